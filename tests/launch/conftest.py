"""A system of four steps of training, and its export."""

import pytest

import zoo
from zoo.data import toy

OPTIONS = {
    "steps": 4,
    "batch": 8,
    "document_length": 8,
    "query_length": 8,
    "width": 16,
    "head_width": 8,
    "decoder_hidden": 16,
    "encoder_hidden": 16,
    "generated": 1,
    "beam": 10,
    "branching": 4,
    "leaf_size": 6,
}


@pytest.fixture(scope="session")
def collection():
    return toy.build(40)


@pytest.fixture(scope="session")
def run(tmp_path_factory, collection):
    """Folder of a fitted system."""
    folder = tmp_path_factory.mktemp("launch") / "run"
    zoo.fit("dsi", collection, size="tiny", options=OPTIONS, out=folder, quiet=True)
    return folder


@pytest.fixture(scope="session")
def export(run, collection):
    """Folder of its export."""
    return zoo.export(run, run.parent / "export", collection)
