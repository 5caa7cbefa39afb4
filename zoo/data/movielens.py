"""MovieLens: who rated which film, and when.

Harper and Konstan 2015, "The MovieLens datasets: history and context". Every rating counts as an
event, whatever its stars. Films without ratings are left out. Half of the neighbouring events of a
user have one time stamp (in 100k): they keep the order of the archive's file, and results depend on
that.

Where the owner's site cannot be reached but a package index can, 100k is read from the copy in the
wheel of RecBole (Zhao et al. 2021, arXiv:2011.01731): the same ratings in the same order, titles
and genres; the owner's licence holds.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import NamedTuple

import numpy as np

from zoo import records
from zoo.data import download, events, histories, items as item_files, jsonl, tabular

LICENCE = "non-commercial research, not to be redistributed (GroupLens, README of the archive)"
HOMEPAGE = "https://grouplens.org/datasets/movielens/"
CITATION = (
    "Harper and Konstan 2015, The MovieLens datasets: history and context, ACM TiiS 5(4), "
    "doi:10.1145/2827872"
)
GENRES = (  # of 100k, in the order of its columns; of 1M by name
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_YEAR = re.compile(r"(.*\S)\s*\(([0-9]{4})\)\s*")


class Archive(NamedTuple):
    """Where a size comes from and what its files look like."""

    address: str
    md5: str  # published beside the archive, as ADDRESS.md5
    ratings: str  # a line each: user, item, stars, seconds
    films: str  # a line each: item, title (year), ...
    separators: tuple[str, str]  # of ratings and of films


ARCHIVES = {
    "ml-100k": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        "0e33842e24a9c977be4e0107933c0723",
        "u.data",
        "u.item",
        ("\t", "|"),
    ),
    "ml-1m": Archive(
        "https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        "c4d9eecfca2ab87c1945afe126590906",
        "ratings.dat",
        "movies.dat",
        ("::", "::"),
    ),
}


WHEELS = {
    "ml-100k": download.Wheel(
        "recbole",
        "1.2.1",
        "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        "recbole/dataset_example/ml-100k",
    )
}


def load(
    name: str, archive: Archive | None = None, wheel: download.Wheel | None = None
) -> records.Interactions:
    """The interactions of ml-100k or ml-1m, downloaded at the first call.

    Raises DataError if the archive cannot be downloaded (naming where to place it by hand),
    differs, or is broken.
    """
    archive, wheel = archive or ARCHIVES[name], wheel or WHEELS.get(name)
    try:
        path = download.archive(archive.address, archive.md5)
    except download.Unreachable as error:
        if wheel is None:
            raise
        return _from_wheel(name, wheel, error)
    return read(download.unzipped(path, name), name, archive)


def read(folder: pathlib.Path, name: str, archive: Archive) -> records.Interactions:
    """The interactions of an unpacked archive."""
    users, items, times = events.Ids(), events.Ids(), []
    for line, text in jsonl.lines_of(folder / archive.ratings):
        cells = text.split(archive.separators[0])
        if len(cells) != 4 or not cells[3].strip().isdecimal():
            where = f"{folder / archive.ratings}:{line}"
            raise records.DataError(
                f"{where}: expected user, item, stars and seconds, got {jsonl.short(text)}; "
                "unpack the archive again"
            )
        users.add(cells[0], line)
        items.add(cells[1], line)
        times.append(int(cells[3]))
    films = _films(folder / archive.films, archive.separators[1])
    kept = [film for film in films if film in items.where]
    corpus = records.Corpus(
        tuple(kept), *(tuple(films[film][part] for film in kept) for part in (0, 1))
    )
    found = events.Events(users, items, np.array(times, np.int64))
    return histories.build(name, corpus, found, folder / archive.ratings)


def _from_wheel(name: str, wheel: download.Wheel, error: records.DataError) -> records.Interactions:
    """The interactions of a copy in RecBole's files, with items told as those of the archive."""
    try:
        folder = download.from_wheel(wheel, name)
    except records.DataError as second:
        raise records.DataError(
            f"{error}; nor is there the copy in the package {wheel.package} {wheel.version}: "
            f"{second}"
        ) from None
    found = histories.read(folder)
    films = {}
    table = tabular.read(folder / f"{name}.item")
    for row in (dict(zip(table.header, cells)) for _, cells in table.rows):
        titled = (
            row["movie_title"],
            item_files.describe({"genres": row["class"].split(), "year": row["release_year"]}),
        )
        films[row["item_id"]] = titled
    corpus = records.Corpus(
        found.corpus.ids,
        *(tuple(films[film][part] for film in found.corpus.ids) for part in (0, 1)),
    )
    return dataclasses.replace(found, name=name, corpus=corpus)


def _films(path: pathlib.Path, separator: str) -> dict[str, tuple[str, str]]:
    """Item -> (title, text), in file order; these files are in Latin-1."""
    films = {}
    for line, text in enumerate(
        path.read_text(encoding="latin-1").splitlines() if path.exists() else (), start=1
    ):
        cells = text.split(separator)
        if len(cells) not in (3, 5 + len(GENRES)):
            raise records.DataError(
                f"{path}:{line}: expected a film, got {jsonl.short(text)}; unpack the archive again"
            )
        named = _YEAR.fullmatch(cells[1])
        title, year = named.groups() if named else (cells[1].strip(), "")
        genres = (
            cells[2].split("|")
            if len(cells) == 3
            else [genre for genre, flag in zip(GENRES, cells[5:]) if flag == "1"]
        )
        films[cells[0]] = title, item_files.describe({"genres": genres, "year": year})
    if not films:
        raise records.DataError(
            f"{path}: expected the films of the archive, found none; unpack the archive again"
        )
    return films
