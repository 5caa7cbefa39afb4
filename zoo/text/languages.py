"""Languages of words: detection by script and function words, Snowball stemmers, stop words.

A word's script decides between languages of different scripts. Among languages of one script, the
one whose function words cover most of the corpus wins; the first of the script is the default.
Snowball (PyStemmer) has no stemmer for some of them, which then keep their words whole.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import regex

from zoo.records import DataError
from zoo.text import words

AUTO, NONE = "auto", "none"
ENGLISH = {"LATIN": "english"}
LEAST_COVERAGE = 0.05  # share of a script's words that must be a language's function words
LEAST_DISTINCT = 3  # function words that occur at all
LEAST_LEAD = 1.5  # how many times the default's coverage another language needs

# script -> language -> frequent function words; about ten each, so that coverages compare; Latin
# ones of two letters or more, as commands and formulas are full of single letters
_FUNCTION_WORDS = {
    "LATIN": {
        "english": "the of and to in is that for with on this it",
        "german": "der die und das von den mit ist nicht zu für auf",
        "french": "de la le et les des en du une que dans pour",
        "spanish": "de la que el en los una las por con para un",
        "portuguese": "de que do da em para um os com não uma dos",
        "italian": "di e che il la in del per un della con sono",
        "dutch": "de van het een en in is dat op te voor met",
        "swedish": "och att det som en på är av för den inte ett",
        "norwegian": "og det som en på er av til med ikke et jeg",
        "danish": "og det at en af på er til for den ikke der",
        "finnish": "ja on ei että se oli hän mutta joka kuin myös ovat",
        "hungarian": "az és hogy nem is egy van meg ez csak volt mint",
        "romanian": "de și în la cu pe nu care din că pentru este",
        "turkish": "ve bir bu için ile da de olarak çok daha olan gibi",
        "catalan": "de la que el en els les per del amb una dels",
        "polish": "na się do nie że jest to od jak po przez dla",
        "czech": "se na je že do to pro ve jsou jako by ale",
        "indonesian": "yang dan di dengan untuk dari dalam ini pada tidak itu ke",
        "estonian": "ja on ei et see oma kui ta ka oli mis aga",
        "lithuanian": "ir į kad iš su yra tai buvo bet kaip už ar",
        "irish": "an na agus ar sé bhí go ag leis le sin ní",
        "basque": "eta da ez du zen ere dira bat izan den hau baina",
        "esperanto": "la kaj de en estas al por ne kun ke mi pri",
        "vietnamese": "và của là các có được cho không một những trong với",
        "slovak": "sa na je že do to pre vo sú ako by ale",
        "croatian": "je se na da za su od što kao ili nije bi",
    },
    "CYRILLIC": {
        "russian": "и в не на что с по как это из для от",
        "ukrainian": "і в не на що з та до як це від є",
        "bulgarian": "и на да се за от не са със като е с",
        "serbian": "и у је да се на за су од са не као",
        "belarusian": "і ў не на што з да як гэта ад для па",
    },
    "GREEK": {"greek": "και το να του η της με που"},
    "ARABIC": {
        "arabic": "في من على إلى أن التي عن مع هذا كان ما لا",
        "persian": "و در به از که این را است با برای آن یک",
        "urdu": "کے کی میں ہے اور سے کو کا پر نے ہیں کہ",
    },
    "DEVANAGARI": {
        "hindi": "के में है की से का को और ने पर यह भी",
        "nepali": "छ र को मा ले हो भने पनि गर्न यो छन् लागि",
        "marathi": "आहे आणि या व तर ते हे होते मध्ये असे ही आहेत",
    },
    "ARMENIAN": {"armenian": "և է որ են մի"},
    "TAMIL": {"tamil": "ஒரு என்று மற்றும் இந்த"},
    "HEBREW": {"hebrew": "של את על לא הוא עם זה גם", "yiddish": "און די דער אין איז צו מיט"},
}
# Lucene's. Other languages keep all words: the longer lists in use hold names ("Того" is Togo)
_STOP_WORDS = {
    "english": "a an and are as at be but by for if in into is it no not of on or such that the"
    " their then there these they this to was will with"
}
_LETTERS = regex.compile(r"\p{L}[\p{L}\p{M}]*", regex.VERSION1)


def names() -> tuple[str, ...]:
    """The languages that can be named, and "auto" and "none"."""
    return (AUTO, NONE, *(name for table in _FUNCTION_WORDS.values() for name in table))


def choose(language: str, found: words.Words) -> dict[str, str]:
    """The language of each script, as far as stemming and stop words go.

    language: "auto" to detect all of them, "none" for no stemming and no stop words, or the name of
        one, which then needs no detection; the other scripts do.
    Raises DataError if there is no such language.
    """
    if language not in names():
        raise DataError(f"language: expected one of {', '.join(names())}, got {language!r}")
    if language == NONE:
        return {}
    chosen = detect(found)
    for script, table in _FUNCTION_WORDS.items():
        if language in table:
            chosen[script] = language
    return chosen


def detect(found: words.Words) -> dict[str, str]:
    """The language of each script in segmented texts.

    The default of a script stays unless at least three function words of another language occur,
    which are 5 % of the script's words and half as many again as the default's.
    """
    counts = dict(
        zip(found.vocabulary, np.bincount(found.numbers, minlength=len(found.vocabulary)).tolist())
    )
    totals = dict.fromkeys(_FUNCTION_WORDS, 0)
    for word, count in counts.items():
        if (script := script_of(word)) in totals:
            totals[script] += count
    chosen = {}
    for script, table in _FUNCTION_WORDS.items():
        seen = {
            name: [counts[word] for word in _function_words(script, name) if word in counts]
            for name in table
        }
        default, best = next(iter(table)), max(seen, key=lambda name: sum(seen[name]))
        least = max(LEAST_COVERAGE * totals[script], LEAST_LEAD * sum(seen[default]))
        sure = len(seen[best]) >= LEAST_DISTINCT and sum(seen[best]) >= least
        chosen[script] = best if sure else default
    return chosen


def stem(vocabulary: Sequence[str], languages: Mapping[str, str]) -> list[str]:
    """The stem of each word by the language of its script; "" for a stop word.

    languages: of `choose`; a script that is not in it keeps its words.

    >>> stem(["paths", "the", "книги"], {"LATIN": "english", "CYRILLIC": "russian"})
    ['path', '', 'книг']
    """
    stemmed = _stems(vocabulary, languages)
    for place, word in enumerate(vocabulary):
        language = languages.get(script_of(word))
        if language and word in _stop_words(language):
            stemmed[place] = ""
    return stemmed


def stem_texts(texts: Sequence[str], languages: Mapping[str, str]) -> list[str]:
    """Folded texts with every word replaced by its stem; stop words and all else stay.

    >>> stem_texts(["Joining os.paths, the files_x"], ENGLISH)
    ['join os.path, the file_x']
    """
    dotless = languages.get("LATIN") == "turkish"
    texts = [words.fold(text, dotless=dotless) for text in texts]
    vocabulary = list({word for text in texts for word in _LETTERS.findall(text)})
    stems = dict(zip(vocabulary, _stems(vocabulary, languages)))
    return [_LETTERS.sub(lambda word: stems[word.group()], text) for text in texts]


def _stems(vocabulary: Sequence[str], languages: Mapping[str, str]) -> list[str]:
    stems = list(vocabulary)
    places: dict[str, list[int]] = {}
    for place, word in enumerate(vocabulary):
        places.setdefault(script_of(word), []).append(place)
    for script, group in places.items():
        stemmer = _stemmer(languages.get(script, NONE))
        whole = [vocabulary[place] for place in group]
        for place, short in zip(group, stemmer.stemWords(whole) if stemmer else whole):
            stems[place] = short
    return stems


def script_of(word: str) -> str:
    """The script of a folded word by its first character, as Unicode names it.

    Digits count as Latin.
    """
    return "LATIN" if word.isascii() else _script(word[0])


@functools.lru_cache(maxsize=4096)
def _script(character: str) -> str:
    name = unicodedata.name(character, "").partition(" ")[0]
    return "LATIN" if name == "DIGIT" or character.isascii() else name


@functools.cache
def _function_words(script: str, language: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(words.fold, _FUNCTION_WORDS[script][language].split())))


def _stemmer(language: str):
    """A new Snowball stemmer, which threads cannot share; None if there is none."""
    import Stemmer

    return Stemmer.Stemmer(language) if language in Stemmer.algorithms() else None


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(_STOP_WORDS.get(language, "").split())
