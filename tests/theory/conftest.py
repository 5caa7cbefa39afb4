"""A fitted system that several tests read."""

import pytest

import zoo
from zoo.data import toy


@pytest.fixture(scope="session")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "dsi"
    zoo.fit("dsi", toy.build(60), size="tiny", options={"steps": 2}, out=folder, quiet=True)
    return folder
