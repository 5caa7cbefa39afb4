"""Commands of benchmarks/: the table of compiled systems resumes; no accelerator, nothing runs."""

import importlib.util
import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """A function that runs the table with measured cells replaced; and the cells it compiled."""
    table = script("compile_table")
    cells = []

    def measure(*cell):
        cells.append(cell)
        if cell[0] == "wrong":
            return None, "expected another recipe"
        one = {"memory": 2**30, "flops": 1e9, "bytes": 1e9, "predicted_seconds": {"memory": 0.002}}
        programs = [{"name": f"{kind}: x", "seconds": 3} | one for kind in ("train", "answer")]
        plan = {"parameters": 5_000_000, "fits": True, "jax": "1", "programs": programs}
        return dict(zip(table.CELL, cell)) | table.summary(plan), ""

    def run(*recipes):
        arguments = ["--sizes", "base", "--topologies", "v6e:2x2", "--keep", str(tmp_path / "kept")]
        monkeypatch.setattr(sys, "argv", ["compile_table", *arguments, "--recipes", *recipes])
        return table.main()

    monkeypatch.setattr(table, "measure", measure)
    return run, cells, tmp_path / "kept", table


def test_a_second_run_compiles_only_what_is_missing(compiled):
    run, cells, kept, table = compiled
    assert run("dsi", "wrong") == 1
    with kept.open("a") as file:
        file.write('{"recipe": "tig')  # killed while it wrote
    assert run("dsi", "tiger") == 0
    assert [cell[0] for cell in cells] == ["dsi", "wrong", "tiger"]
    rows = table.read(kept)
    assert {key[0] for key in rows} == {"dsi", "tiger"}
    page = table.replaced(f"a\n{table.OPEN}\nold\n{table.CLOSE}\nb", rows)
    assert "| dsi | base | v6e:2x2 | data=4 | - | 5.0 | 1.00 | 2 | 1.00 | 2 | 6 | yes |" in page
    assert page.startswith("a\n") and page.endswith("\nb") and "old" not in page


def test_without_an_accelerator_nothing_runs(monkeypatch, tmp_path, capsys):
    accelerator = script("accelerator")
    monkeypatch.setattr(sys, "argv", ["accelerator", "--out", str(tmp_path)])
    monkeypatch.setattr(accelerator, "accelerator", lambda: ("cpu", "cpu"))
    monkeypatch.setattr(accelerator, "run", lambda _: pytest.fail("ran a check"))
    assert accelerator.main() == 0
    assert "nothing was run" in capsys.readouterr().out and not list(tmp_path.iterdir())
    monkeypatch.setattr(accelerator, "accelerator", lambda: ("gpu", "Some GPU 80GB"))
    monkeypatch.setattr(accelerator, "run", lambda _: {"exit": 1, "seconds": 0.0, "output": []})
    assert accelerator.main() == 1
    (file,) = tmp_path.iterdir()
    assert file.name == "accelerator_some_gpu_80gb.json"
    assert set(json.loads(file.read_text())["checks"]) == set(accelerator.checks(tmp_path, ""))
