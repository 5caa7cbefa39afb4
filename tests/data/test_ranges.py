"""Pieces of a file contain every line once, in order, for any cut."""

import gzip
import json

import pytest

from zoo import records
from zoo.data import ranges


def corpus(folder, name="corpus.jsonl", count=7, mark=b""):
    """A file of documents with all kinds of line ends, blank lines and multi-byte characters."""
    lines = [
        json.dumps(
            {"_id": f"{name}-{row}", "title": "é" * row, "text": "寿司 text"}, ensure_ascii=False
        ).encode()
        for row in range(count)
    ]
    # no newline at the end
    body = mark + b"\r\n".join(lines[:3]) + b"\n\n \xe3\x80\x80\n" + b"\n".join(lines[3:])
    (folder / name).write_bytes(gzip.compress(body, mtime=0) if name.endswith(".gz") else body)
    return folder / name


def read(paths, size):
    """(row, "file:line", id) of all pieces, in order."""
    made = ranges.pieces(paths, size)
    place = ranges.places(reversed([ranges.count(piece) for piece in made]))
    return [
        (row, where, example["id"])
        for piece in made
        for row, where, example in ranges.documents(piece, place)
    ]


@pytest.mark.parametrize("mark", (b"", b"\xef\xbb\xbf"))
def test_every_cut_gives_every_line_once_in_order(tmp_path, mark):
    paths = [
        corpus(tmp_path, "a.jsonl", mark=mark),
        corpus(tmp_path, "b.jsonl.gz", mark=mark),
        corpus(tmp_path, "c.jsonl", 4),
    ]
    line = lambda row: row + 1 if row < 3 else row + 3
    names = [(path, row) for path, count in zip(paths, (7, 7, 4)) for row in range(count)]
    expected = [
        (number, f"{path}:{line(row)}", f"{path.name}-{row}")
        for number, (path, row) in enumerate(names)
    ]
    for size in range(1, paths[0].stat().st_size + 2):
        assert read(paths, size) == expected


def test_pieces_cover_a_file(tmp_path):
    path = corpus(tmp_path)
    length = path.stat().st_size
    made = ranges.pieces([path], 100)
    assert [(piece.first, piece.last) for piece in made] == [
        (first, min(first + 100, length)) for first in range(0, length, 100)
    ]
    assert [piece.number for piece in ranges.pieces([path, path], 100)] == list(
        range(2 * len(made))
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    (
        (
            "a.jsonl",
            b'{"_id": "1", "text": "a"}\n{"_id": "2"}\n',
            r'a.jsonl:2: expected the key "text"',
        ),
        ("a.jsonl", b'\n\n{"_id": 2, "text": "a"}\n', r'a.jsonl:3: expected a string in "_id"'),
        (
            "a.jsonl",
            b'{"_id": "1", "text": "a"}\n{"_id": "2", "text": " "}\n',
            r"a.jsonl:2: expected .* with content",
        ),
        (
            "a.jsonl",
            b'{"_id": "1", "text": "\xff"}\n',
            r"a.jsonl:1: expected UTF-8, got byte 0xff at byte 23",
        ),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"_id": "1", "text": "a"}\n' * 9, mtime=0)[:-12],
            r"a.jsonl.gz: cannot be read",
        ),
    ),
)
def test_errors_in_lines_name_file_and_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(records.DataError, match=message):
        read([tmp_path / name], 10)
