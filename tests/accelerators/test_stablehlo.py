"""The exported program answers like the system, in a process that does not import the package."""

import json
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.accelerators import stablehlo
from zoo.cli import main
from zoo.data import toy


@pytest.mark.exact
def test_the_exported_program_gives_the_answers_of_the_system(tmp_path):
    collection = toy.build(20)
    options = {"steps": 2, "beam": 20}
    fitted = zoo.fit("dsi", collection, size="tiny", options=options, quiet=True)
    zoo.save(fitted, tmp_path / "fit")
    out = tmp_path / "program"
    arguments = [str(tmp_path / "fit"), "--format", "stablehlo", "--out", str(out), "-k", "5"]
    assert main.main(["export", *arguments]) == 0
    script = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0]);"
    script += "assert not any(name.split('.')[0] == 'zoo' for name in sys.modules)"
    subprocess.run([sys.executable, "-c", script, str(out / "run.py")], check=True, cwd=tmp_path)
    contents = collection.corpus.contents()[:8]
    asked = records.Queries(tuple(f"q{row}" for row in range(8)), tuple(contents))
    expected = zoo.retrieve(fitted, asked, k=5)
    found = np.load(out / "outputs.npz")
    np.testing.assert_array_equal(found["documents"], expected.documents)
    np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-5)
    lines = (out / "documents.jsonl").read_text().splitlines()
    named = [json.loads(line)["_id"] for line in lines]
    assert named == list(collection.corpus.ids)


def test_systems_without_one_program_are_refused(tmp_path):
    zoo.fit("bm25", toy.build(20), out=tmp_path / "bm25", quiet=True)
    with pytest.raises(zoo.DataError, match="answers by 0 programs"):
        stablehlo.export(tmp_path / "bm25", tmp_path / "program")
    with pytest.raises(zoo.DataError, match="at least 1, got 0 and 10"):
        stablehlo.export(tmp_path / "bm25", tmp_path / "program", batch=0)
    options = {"steps": 1, "identifiers": "random"}
    zoo.fit(
        "tiger", toy.interactions(), size="tiny", options=options, out=tmp_path / "t", quiet=True
    )
    with pytest.raises(zoo.DataError, match="filter=auto may search another index"):
        stablehlo.export(tmp_path / "t", tmp_path / "program")
    assert not (tmp_path / "program").exists()
