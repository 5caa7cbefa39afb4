"""The demo reuses systems of an earlier run only if the fit is identical."""

import pytest

from zoo import records
from zoo.cli import demo
from zoo.data import toy


def test_only_an_identical_earlier_fit_is_reused(tmp_path, capsys):
    arguments = dict(
        folder=tmp_path / "bm25",
        collection=toy.build(20),
        recipe="bm25",
        options={"k1": 1.2},
        seed=0,
    )
    first = demo._fitted(**arguments)
    again = demo._fitted(**arguments)
    assert again.about == first.about and again.config == first.config
    assert "holds a fit from before" in capsys.readouterr().err
    for other in ({"collection": toy.build(21)}, {"options": {}}, {"seed": 1}):
        with pytest.raises(
            records.DataError, match="fitted to another collection or with another seed or options"
        ):
            demo._fitted(**arguments | other)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "hits.png").write_bytes(b"of an earlier demo")
    demo._refuse_foreign(tmp_path)
    demo._refuse_foreign(tmp_path / "new")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(records.DataError, match="expected no folder or an empty one"):
        demo.run(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hits.png", "thesis.tex"]
