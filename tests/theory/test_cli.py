"""Every command of `python -m theory` does what it says, and refuses in one line what it cannot."""

import csv
import re

import numpy as np
import pytest

from theory import cli, explain, worlds
from zoo.docids import table


def test_list_names_every_claim(capsys):
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "sharp_law" in shown and "multi_vector" in shown


def test_check_prints_numbers_and_a_verdict(capsys):
    assert cli.main(["check", "sharp_law", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert (
        shown.startswith("PASS  sharp_law:") and "predicted 0.00011" in shown and "limit: " in shown
    )


def test_a_claim_that_fails_is_an_exit_status(capsys, monkeypatch):
    from theory.claims import sharp_law

    monkeypatch.setattr(
        sharp_law,
        "CLAIM",
        sharp_law.CLAIM._replace(predict=lambda params: 2 * sharp_law.predict(params)),
    )
    assert cli.main(["check", "sharp_law"]) == cli.FAILED
    assert capsys.readouterr().out.startswith("FAIL  sharp_law")


def test_sweep_writes_a_table_and_a_picture(tmp_path, capsys):
    assert (
        cli.main(
            [
                "sweep",
                "sharp_law",
                "--grid",
                "keep=0.2,0.5",
                "branching=4,8",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    with open(tmp_path / "sharp_law.csv", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(float(row["keep"]), int(row["branching"])) for row in rows] == [
        (0.2, 4),
        (0.2, 8),
        (0.5, 4),
        (0.5, 8),
    ]
    assert all(abs(float(row["measured"]) / float(row["predicted"]) - 1) < 0.3 for row in rows)
    assert (tmp_path / "sharp_law.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_says_where_the_claim_fails(tmp_path, capsys):
    sweep = ["sweep", "sharp_law", "--out", str(tmp_path), "--grid"]
    assert cli.main([*sweep, "relevance=uniform,spike"]) == 0
    assert "FAIL at 1 of 2 points" in capsys.readouterr().out
    assert cli.main([*sweep, "keep=0.4,0.5"]) == 0
    assert "PASS at all 2 points" in capsys.readouterr().out


def test_report_is_one_page_that_needs_no_network(fitted, tmp_path, capsys):
    claims = ["--claims", "sharp_law", "rigorous_bound"]
    assert cli.main(["report", "--out", str(tmp_path), "--fitted", str(fitted), *claims]) == 0
    page = (tmp_path / "theory.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 and page.count("PASS") >= 4
    assert "Your system: dsi-semantic" in page and page.count("for your index") == 3
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)


def test_explain_reads_the_fitted_network(fitted, tmp_path, capsys):
    assert cli.main(["explain", str(fitted), "--keep", "0.5", "--queries", "3"]) == 0
    plain = capsys.readouterr().out
    assert plain.startswith("60 documents") and "means over 3 queries" in plain
    assert "p = 0.5: " in plain and "max-marginal, beam 10: 1.000" in plain
    scores = np.r_[np.full(5, 50.0), np.ones(55)]
    np.save(tmp_path / "scores.npy", scores)
    assert (
        cli.main(
            ["explain", str(fitted), "--scores", str(tmp_path / "scores.npy"), "--relevant", "5"]
        )
        == 0
    )
    assert "relevance: as given" in capsys.readouterr().out


def test_explain_predicts_what_the_exact_value_is():
    ids = table.build(np.stack(np.unravel_index(np.arange(27), (3, 3, 3)), 1).astype(np.int32) + 1)
    lines = explain.of_index(ids, worlds.zipf(3, 3), keeps=(0.5,))
    import theory

    total = theory.expected_kl(worlds.zipf(3, 3), 3, 3, 0.5).sum()
    assert any(line.startswith(f"  p = 0.5: {total:.4f} = ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nope"], "no claim 'nope'"),
        (
            ["sweep", "sharp_law", "--grid", "size=3", "--out", "{}"],
            "a key of relevance, branching, depth, keep",
        ),
        (["sweep", "sharp_law", "--grid", "keep=half", "--out", "{}"], "expected float"),
        (
            ["sweep", "published_bound", "--grid", "relevance=nonsense", "--out", "{}"],
            "one of unif",
        ),
        (
            ["sweep", "sharp_law", "--grid", "keep=0.5", "--case", "9", "--out", "{}"],
            "--case: expe",
        ),
        (["sweep", "sharp_law", "--grid", "keep=1.5", "--out", "{}"], r"\(0, 1\]"),
        (["explain", "{}"], "holds no fitted system"),
        (["report", "--out", "{}", "--claims", "nope"], "no claim 'nope'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys):
    assert cli.main([argument.format(tmp_path) for argument in arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr().err
    assert re.search(message, shown) and shown.count("\n") == 1 and shown.startswith("theory: ")


def test_explain_refuses_what_does_not_fit(fitted, tmp_path, capsys):
    for content, message in ((np.ones(7), "shape"), (-np.ones(60), ">= 0")):
        np.save(tmp_path / "scores.npy", content)
        assert (
            cli.main(["explain", str(fitted), "--scores", str(tmp_path / "scores.npy")])
            == cli.BAD_INPUT
        )
        assert message in capsys.readouterr().err
    assert cli.main(["explain", str(fitted), "--relevant", "0"]) == cli.BAD_INPUT
    assert "relevant from 1 to 60" in capsys.readouterr().err
