"""SentencePiece's unigram models as tokenizers of `tokenizers`: T5's vocabulary from its
`spiece.model`.

Kudo 2018 (arXiv 1804.10959) and Kudo and Richardson 2018 (arXiv 1808.06226). The file is a protocol
buffer, ModelProto of sentencepiece_model.proto: pieces with scores and kinds, and the compiled
table of its normaliser. T5 adds 100 sentinels behind the pieces, <extra_id_99> first, and ends each
text with </s>.

Differs from the sentencepiece library where combining marks stand on letters that the table
rewrites, as full-width ones: `tokenizers` normalises such a cluster as a whole.
"""

from __future__ import annotations

import json
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

from zoo.records import DataError

PAD, END, UNKNOWN = 0, 1, 2  # T5's
SENTINELS = 100
SPACE = "\u2581"  # stands for a blank
NORMAL, IS_UNKNOWN, CONTROL = 1, 2, 3  # kinds of pieces
UNIGRAM = 1  # kind of model


def tokenizer(path: str | os.PathLike, *, sentinels: int = SENTINELS) -> str:
    """JSON of the tokenizer of a `spiece.model` with T5's numbers of <pad>, </s> and <unk>.

    Raises DataError if the file is none, is no unigram model, or numbers its special pieces
    otherwise.
    """
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    path = pathlib.Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected a SentencePiece model (spiece.model)")
    pieces, kinds, settings = _read(path)
    if (
        settings["kind"] != UNIGRAM
        or kinds[:3] != [CONTROL, CONTROL, IS_UNKNOWN]
        or set(kinds[3:]) - {NORMAL}
        or not settings["prefix"]
    ):
        raise DataError(
            f"{path}: expected a unigram model with pad 0, end 1, unknown 2 and words after them, "
            "as T5's; this one is another"
        )
    made = Tokenizer(models.Unigram(pieces, UNKNOWN, False))
    steps = [normalizers.Precompiled(settings["table"])] if settings["table"] else []
    if settings["squeeze"]:  # blanks at either end, and of several all but one, go
        steps += [
            normalizers.Strip(left=True, right=True),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    made.normalizer = normalizers.Sequence(steps)
    made.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=SPACE, prepend_scheme="always", split=True
    )
    made.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", END)]
    )
    made.add_special_tokens([f"<extra_id_{number}>" for number in reversed(range(sentinels))])
    return _guarded(json.loads(made.to_str()))


def published(path: str | os.PathLike) -> str:
    """JSON of T5's tokenizer from the `tokenizer.json` of the Hugging Face layout.

    Raises DataError if it is another's.
    """
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        first = [piece for piece, _ in content["model"]["vocab"][:3]]
        fits = content["model"]["type"] == "Unigram" and first == ["<pad>", "</s>", "<unk>"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(
            f"{path}: not a tokenizer of unigram pieces; expected T5's tokenizer.json"
        ) from None
    if not fits:
        raise DataError(
            f"{path}: expected unigram pieces with <pad>, </s> and <unk> first, as T5's; got "
            f"{first}"
        )
    try:
        return _checked(_guarded(content))
    except BaseException as error:  # the library's Exception, and panics of its Rust code
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataError(f"{path}: not a whole tokenizer ({said}); copy it again") from None


def _checked(made: str) -> str:
    """The JSON of a tokenizer that parses and encodes a text."""
    from tokenizers import Tokenizer

    known = Tokenizer.from_str(made)
    if any(token >= known.get_vocab_size() for token in known.encode("a word, 1").ids):
        raise ValueError("its tokens are not numbered from 0")
    return made


def _guarded(content: dict) -> str:
    """The tokenizer with special pieces that no text has: behind their names stands a line break,
    which normalising takes out of texts.
    """
    vocabulary = content["model"]["vocab"]
    for number in (PAD, END, UNKNOWN):
        vocabulary[number][0] += "\n"
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] > UNKNOWN]
    return json.dumps(content, ensure_ascii=False)


def _read(path: pathlib.Path) -> tuple[list[tuple[str, float]], list[int], dict]:
    """Pieces with their scores, their kinds, and what of the other messages matters: numbers of
    fields are those of ModelProto.
    """
    pieces, kinds = [], []
    settings = {"kind": UNIGRAM, "table": b"", "prefix": True, "squeeze": True}
    try:
        for field, value in _fields(path.read_bytes()):
            if field == 1:  # pieces
                piece = dict(_fields(value))
                pieces.append(
                    (piece[1].decode("utf-8"), struct.unpack("<f", piece.get(2, bytes(4)))[0])
                )
                kinds.append(piece.get(3, NORMAL))
            elif field == 2:  # trainer_spec
                settings["kind"] = dict(_fields(value)).get(3, UNIGRAM)
            elif field == 3:  # normalizer_spec
                found = dict(_fields(value))
                settings |= {
                    "table": found.get(2, b""),
                    "prefix": bool(found.get(3, 1)),
                    "squeeze": bool(found.get(4, 1)),
                }
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise DataError(
            f"{path}: not a whole SentencePiece model ({type(error).__name__}); copy it again"
        ) from None
    if not pieces:
        raise DataError(f"{path}: holds no pieces; expected a SentencePiece model (spiece.model)")
    return pieces, kinds, settings


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protocol buffer: an int of a varint, the bytes of anything
    else.
    """
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        field, kind = divmod(varint(), 8)
        if kind == 0:
            yield field, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        size = {1: 8, 5: 4}.get(kind) or varint()
        if place + size > len(message):
            raise IndexError
        yield field, message[place : place + size]
        place += size
