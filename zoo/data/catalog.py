"""The collections that have a name, and `load`, which takes a name or a folder."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

from zoo import records
from zoo.data import amazon, download, files, limit, movielens, pydocs, tldr, toy

_BEIR = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets"
_BEIR_LICENCE = "CC BY-SA 4.0 as published by BEIR; the owner's terms apply too"
_BEIR_CITATION = (
    "Thakur et al. 2021, BEIR: a heterogeneous benchmark for zero-shot evaluation of information "
    "retrieval models, arXiv:2104.08663"
)


class Entry(NamedTuple):
    """A collection that can be had by name."""

    load: Callable[[], records.Collection | records.Interactions]
    description: str  # one line
    licence: str
    address: str  # where it comes from; "" if it is made here
    splits: str
    asks: Literal["query", "history"] = "query"  # whether it is a search collection or interactions
    homepage: str = ""
    citation: str = ""


def beir(name: str, md5: str, address: str | None = None) -> records.Collection:
    """A collection of the BEIR benchmark (Thakur et al. 2021), downloaded at the first call.

    Documents without title and text, which arguana and fiqa have, are dropped with their
    judgements. Judgements of documents that are not there, of which arguana has five, count as not
    found.
    """
    path = download.archive(address or f"{_BEIR}/{name}.zip", md5)
    return files.read_beir(download.unzipped(path, name), empty="drop", may_miss=1.0)


def _beir_entry(name: str, md5: str, description: str, splits: str) -> Entry:
    load = functools.partial(beir, name, md5)
    return Entry(
        load,
        description,
        _BEIR_LICENCE,
        f"{_BEIR}/{name}.zip",
        splits,
        "query",
        "https://github.com/beir-cellar/beir",
        _BEIR_CITATION,
    )


def _films_entry(name: str, description: str) -> Entry:
    load = functools.partial(movielens.load, name)
    address = movielens.ARCHIVES[name].address
    return Entry(
        load,
        description,
        movielens.LICENCE,
        address,
        "dev, test",
        "history",
        movielens.HOMEPAGE,
        movielens.CITATION,
    )


def _products_entry(name: str, description: str) -> Entry:
    address = f"{amazon.ADDRESS}/reviews_{amazon.CATEGORIES[name]}_5.json.gz"
    load = functools.partial(amazon.load, name)
    return Entry(
        load,
        description,
        amazon.LICENCE,
        address,
        "dev, test",
        "history",
        amazon.HOMEPAGE,
        amazon.CITATION,
    )


def tldr_pages() -> records.Collection:
    """The tldr-pages at one commit, downloaded at the first call.

    GitHub publishes no checksum for its archives.
    """
    return tldr.read(download.archive(tldr.ADDRESS, None))


CATALOG: dict[str, Entry] = {
    "pydocs": Entry(
        pydocs.build,
        "sentence of the Python documentation -> function, class or method; about 2,200",
        "PSF-2.0",
        "",
        "train, dev, test",
    ),
    "toy": Entry(
        toy.build, "200 synthetic documents, for tests", "Apache-2.0", "", "train, dev, test"
    ),
    **{
        name: Entry(
            load,
            f"who likes a thing -> both people who do; {size:,}",
            "Apache-2.0",
            "",
            "test",
            homepage="https://github.com/google-deepmind/limit",
            citation="Weller et al. 2025, On the Theoretical Limitations of Embedding-Based "
            "Retrieval, arXiv:2508.21038",
        )
        for name, load, size in (
            ("limit-small", limit.build, limit.PEOPLE),
            ("limit", functools.partial(limit.build, limit.FULL), limit.FULL),
            ("limit-hard", functools.partial(limit.build, limit.FULL, hard=True), limit.FULL),
        )
    },
    "toy-walks": Entry(
        toy.interactions,
        "200 synthetic users of 40 items, for tests",
        "Apache-2.0",
        "",
        "dev, test",
        "history",
    ),
    "tldr": Entry(
        tldr_pages,
        "task in words -> shell command; about 6,800",
        "CC BY 4.0",
        tldr.ADDRESS,
        "train, dev, test",
    ),
    # md5 checksums: the table in the README of github.com/beir-cellar/beir
    "scifact": _beir_entry(
        "scifact",
        "5f7d1de60b170fc8027bb7898e2efca1",
        "scientific claim -> abstract; 5,183",
        "train, test",
    ),
    "nfcorpus": _beir_entry(
        "nfcorpus",
        "a89dba18a62ef92f7d323ec890a0d38d",
        "nutrition question -> medical abstract; 3,633",
        "train, dev, test",
    ),
    "fiqa": _beir_entry(
        "fiqa",
        "17918ed23cd04fb15047f73e6c3bd9d9",
        "financial question -> forum answer; 57,638",
        "train, dev, test",
    ),
    "arguana": _beir_entry(
        "arguana",
        "8ad3e3c2a5867cdced806d6503f29b99",
        "argument -> its best counter-argument; 8,674",
        "test",
    ),
    "ml-100k": _films_entry(
        "ml-100k", "films rated -> next film; 943 users, 1,682 films, 100,000 ratings"
    ),
    "ml-1m": _films_entry(
        "ml-1m", "films rated -> next film; 6,040 users, 3,706 films, 1,000,209 ratings"
    ),
    "amazon-beauty": _products_entry(
        "amazon-beauty",
        "products reviewed -> next one; 22,363 users, 12,101 products, 198,502 reviews",
    ),
    "amazon-sports": _products_entry(
        "amazon-sports",
        "products reviewed -> next one; 35,598 users, 18,357 products, 296,337 reviews",
    ),
    "amazon-toys": _products_entry(
        "amazon-toys",
        "products reviewed -> next one; 19,412 users, 11,924 products, 167,597 reviews",
    ),
    "scidocs": _beir_entry(
        "scidocs",
        "38121350fc3a4d2f48850f6aff52e4a9",
        "paper title -> abstracts it cites; 25,657",
        "test",
    ),
}
