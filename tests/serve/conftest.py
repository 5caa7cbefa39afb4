"""Fitted systems that the tests of the server share."""

import pytest

import zoo
from zoo.data import toy


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Folders of systems that compile nothing, and of one that generates identifiers."""
    root = tmp_path_factory.mktemp("served")
    walks = toy.interactions(40, 60)
    zoo.fit("bm25", toy.build(40), out=root / "bm25", quiet=True)
    zoo.fit("bm25", toy.build(41), out=root / "more", quiet=True)
    zoo.fit("popularity", walks, out=root / "popular", quiet=True)
    options = {"steps": 3, "branching": 4, "leaf_size": 3}
    zoo.fit("dsi", toy.build(40), size="tiny", options=options, out=root / "dsi", quiet=True)
    return root
