"""Languages: detected by function words, stemmed by script."""

import gzip
import json

import pytest
import Stemmer
from bm25s import stopwords

from zoo import records
from zoo.text import languages, words

SENTENCES = {
    "english": "The path of a file is read from the configuration and written to the log.",
    "german": "Der Pfad der Datei wird aus der Konfiguration gelesen und in das Protokoll mit dem",
    "spanish": "La ruta del archivo se lee de la configuración y los datos se escriben en el "
    "registro",
    "turkish": "Dosyanın yolu yapılandırmadan okunur ve bir günlük için olarak daha çok yazılır",
    "finnish": "Tiedoston polku luetaan asetuksista ja se on kirjoitettu lokiin, mutta ei aina",
    "russian": "Путь к файлу читается из настроек и записывается в журнал, но не на диск",
    "ukrainian": "Шлях до файлу читається з налаштувань і записується в журнал, але не на диск, як",
    "persian": "مسیر پرونده از تنظیمات خوانده می‌شود و در گزارش نوشته می‌شود که این را با",
    "arabic": "يقرأ مسار الملف من الإعدادات التي في المجلد على القرص",
    "marathi": "फाईलचा मार्ग आहे आणि ते असे वाचले जाते व या मध्ये",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_of_a_text_is_detected(language):
    found = languages.detect(words.segment([SENTENCES[language]]))
    script = languages.script_of(SENTENCES[language].lower())
    assert found[script] == language


def test_without_evidence_the_default_of_a_script_stays():
    default = languages.detect(words.segment([]))
    assert default["LATIN"] == "english" and default["CYRILLIC"] == "russian"
    # letters and flags of commands are function words somewhere, "de" and "la" occur in names
    for text in ("tar -z -s a.out v a", "Rio de Janeiro, La Paz", "Того, Чад"):
        assert languages.detect(words.segment([text])) == default


def test_the_language_of_most_of_a_mixed_collection_wins():
    texts = [SENTENCES["english"]] * 3 + [SENTENCES["german"], SENTENCES["russian"]]
    found = languages.detect(words.segment(texts))
    assert (found["LATIN"], found["CYRILLIC"]) == ("english", "russian")
    assert languages.detect(words.segment(texts[:1] + texts[3:4] * 4))["LATIN"] == "german"


def test_a_named_language_needs_no_detection_and_leaves_other_scripts():
    found = languages.choose(
        "german", words.segment([SENTENCES["english"], SENTENCES["ukrainian"]])
    )
    assert (found["LATIN"], found["CYRILLIC"]) == ("german", "ukrainian")
    assert languages.choose("none", words.segment([SENTENCES["english"]])) == {}
    with pytest.raises(records.DataError, match="expected one of auto, none, english, .*'klingon'"):
        languages.choose("klingon", words.segment([]))


def test_words_are_stemmed_by_the_language_of_their_script():
    chosen = {"LATIN": "german", "CYRILLIC": "ukrainian", "HEBREW": "hebrew"}
    vocabulary = ["häuser", "haus", "книги", "ספר", "東京", "42"]
    # neither Ukrainian nor Hebrew has a stemmer
    assert languages.stem(vocabulary, chosen) == ["haus", "haus", *vocabulary[2:]]
    assert languages.stem(vocabulary, {}) == vocabulary
    assert languages.stem(["книги", "книга"], {"CYRILLIC": "russian"}) == ["книг", "книг"]


def test_stems_replace_words_within_texts():
    texts = languages.stem_texts(["Joining joins JOINED, the", ""], languages.ENGLISH)
    assert texts == ["join join join, the", ""]
    # punctuation, digits and underscores stay
    texts = languages.stem_texts(["os.path.joins(files_x, 3)"], languages.ENGLISH)
    assert texts == ["os.path.join(file_x, 3)"]
    assert languages.stem_texts(["Die HÄUSER, книги"], {"LATIN": "german"}) == ["die haus, книги"]
    # a vowel sign is part of its word: किताबें are books
    assert languages.stem_texts(["किताबें"], {"DEVANAGARI": "hindi"}) == ["किताब"]


def test_every_stemmer_but_three_has_a_language_option():
    # variants of English and Dutch, and a language without a list of function words
    assert set(Stemmer.algorithms()) - set(languages.names()) == {
        *("dutch_porter", "porter", "sesotho")
    }


def test_stop_words_are_english_only():
    stop_words = sorted(stopwords.STOPWORDS_EN)
    assert languages.stem(stop_words, {"LATIN": "english"}) == [""] * len(stop_words)
    assert languages.stem(["того", "the"], {"CYRILLIC": "russian"}) == ["тог", "the"]


@pytest.mark.parametrize(
    ("name", "language"),
    [("de", "german"), ("es", "spanish"), ("fr", "french"), ("id", "indonesian"), ("it", "italian")]
    + [("nl", "dutch"), ("pt_BR", "portuguese")],
)
def test_collections_of_short_texts_are_recognised(shared, name, language):
    """Groups of thirty neighbouring short queries of a collection."""
    with gzip.open(shared / f"data/search/tldr/queries_test_{name}.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    for start in range(0, len(texts) - 30, 30):
        found = languages.detect(words.segment(texts[start : start + 30]))
        assert found["LATIN"] == language
