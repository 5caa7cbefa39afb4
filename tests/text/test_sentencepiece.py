"""T5's tokens: unigram models from files against brute-force segmentation and sentencepiece."""

import gzip
import json
import pathlib
import struct

import numpy as np
import pytest

from zoo.records import DataError
from zoo.text import sentencepiece, tokens

T5 = (
    pathlib.Path(__file__).parents[3]
    / "shared"
    / "data"
    / "models"
    / "t5_sentencepiece"
    / "spiece.model.gz"
)
SCORES = {
    "▁": -3.0,
    "a": -4.0,
    "b": -4.5,
    "ab": -5.0,
    "▁a": -4.2,
    "▁ab": -9.0,
    "ba": -5.5,
    "bab": -7.0,
    "▁<": -6.0,
    "pad": -6.0,
    ">": -6.0,
}
TEXTS = [
    "Hello world",
    "  two  blanks  ",
    "",
    "   ",
    "\ttab\nnew line\r\n",
    "Café naïve façade Ⅷ ﬁ ½",
    "日本語テキスト",
    "Привет, мир! हिन्दी كتاب עִבְרִית",
    "emoji 😀👩‍👩‍👧 ok",
    "a\u0301e\u0301 é",
    "full ｗｉｄｔｈ ＡＢＣ",
    "\u200bzero\u200b width soft\u00adhyphen \u00a0nbsp\u3000",
    "▁ the sign ▁x",
    "… — “q” ‘s’ 3.14159 x@y.org https://a.b/c?d=e",
    "<extra_id_0> <pad> </s> <unk>",
    "x" * 300,
]


def message(*fields):
    """A protocol buffer of (number, int, float, bytes or str)."""

    def varint(value):
        parts = []
        while value > 127:
            parts.append(value & 127 | 128)
            value >>= 7
        return bytes([*parts, value])

    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            found += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            value = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(value)) + value
    return found


def model(folder, scores=SCORES, *, first=("<pad>", "</s>"), kind=1):
    special = [message((1, name), (2, 0.0), (3, 3)) for name in first] + [
        message((1, "<unk>"), (2, 0.0), (3, 2))
    ]
    words = [message((1, piece), (2, score)) for piece, score in scores.items()]
    path = folder / "spiece.model"
    path.write_bytes(
        message(
            *((1, piece) for piece in special + words),
            (2, message((3, kind), (4, 14))),
            (3, message((1, "identity"))),
        )
    )
    return path


def best(text):
    """Pieces of the best of all segmentations; the text begins with a blank."""
    if not text:
        return 0.0, []
    options = [
        (score + best(text[len(piece) :])[0], [piece, *best(text[len(piece) :])[1]])
        for piece, score in SCORES.items()
        if text.startswith(piece)
    ]
    return max(options, default=(-np.inf, []))


def test_pieces_equal_the_best_segmentation(tmp_path):
    made = sentencepiece.tokenizer(model(tmp_path))
    names = ["<pad>", "</s>", "<unk>", *SCORES]
    for text in ("a", "ab", "abab", "babba", "aab", "abbabab"):
        score, expected = best("▁" + text)
        assert score > -np.inf
        row = tokens.encode(made, [text], length=16)[0]
        assert [names[token] for token in row[row > 0]] == [*expected, "</s>"]
        assert tokens.decode(made, [row]) == [text]
    assert tokens.count(made) == len(names) + sentencepiece.SENTINELS
    assert (tokens.end(made), tokens.unknown(made)) == (1, 2)


def test_texts_are_cut_before_their_end_and_names_of_special_tokens_are_text(tmp_path):
    made = sentencepiece.tokenizer(model(tmp_path))
    row = tokens.encode(made, ["a a a a"], length=4)[0].tolist()
    assert row == [7, 7, 7, 1]
    assert tokens.encode(made, ["", "q"], length=3).tolist() == [[1, 0, 0], [3, 2, 1]]
    names = ["<pad>", "</s>", "<unk>", *SCORES]
    assert [names[token] for token in tokens.encode(made, ["<pad>"], length=9)[0] if token] == [
        "▁<",
        "pad",
        ">",
        "</s>",
    ]
    with_prompt = tokens.prompted(made, ["[index]"])
    assert tokens.encode(with_prompt, ["a"], length=4, prompt="[index]")[0].tolist() == [
        len(names) + 100,
        7,
        1,
        0,
    ]
    assert tokens.prompted(with_prompt, ["[index]"]) == with_prompt
    assert tokens.decode(with_prompt, [[len(names) + 100, 7, 1, 9]]) == ["a"]


def test_a_published_json_gives_the_same_tokens(tmp_path):
    made = json.loads(sentencepiece.tokenizer(model(tmp_path)))
    as_published = json.loads(json.dumps(made))
    token = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    for number, name in enumerate(("<pad>", "</s>", "<unk>")):
        as_published["model"]["vocab"][number][0] = name
        as_published["added_tokens"].insert(number, {"id": number, "content": name} | token)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(as_published))
    assert json.loads(sentencepiece.published(path)) == made
    as_published["model"]["vocab"][0][0] = "<s>"
    path.write_text(json.dumps(as_published))
    with pytest.raises(DataError, match="tokenizer.json: expected unigram pieces with <pad>"):
        sentencepiece.published(path)
    path.write_text("{}")
    with pytest.raises(DataError, match="tokenizer.json: not a tokenizer"):
        sentencepiece.published(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        sentencepiece.tokenizer(tmp_path / "none")
    for options in (dict(kind=2), dict(first=("</s>",))):
        with pytest.raises(DataError, match="expected a unigram model with pad 0"):
            sentencepiece.tokenizer(model(tmp_path, **options))
    path = model(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a whole SentencePiece model"):
        sentencepiece.tokenizer(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="holds no pieces"):
        sentencepiece.tokenizer(path)


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    if not T5.is_file():
        pytest.skip(f"T5's vocabulary is not here ({T5})")
    path = tmp_path_factory.mktemp("t5") / "spiece.model"
    path.write_bytes(gzip.decompress(T5.read_bytes()))
    return path


def test_t5s_vocabulary_gives_the_published_tokens(t5):
    made = sentencepiece.tokenizer(t5)
    found = tokens.encode(made, ["translate English to German: That is good."], length=12)[
        0
    ].tolist()
    assert found == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5, 1, 0, 0]
    assert tokens.count(made) == 32100
    assert tokens.decode(made, [found]) == ["translate English to German: That is good."]


def test_t5s_tokens_equal_those_of_sentencepiece(t5):
    theirs = pytest.importorskip(
        "sentencepiece", reason="compared where sentencepiece is installed"
    )
    processor = theirs.SentencePieceProcessor(model_file=str(t5))
    made = sentencepiece.tokenizer(t5)
    found = [row.tolist() for row in tokens.whole(made, TEXTS)]
    assert found == [[*processor.encode(text), 1] for text in TEXTS]
