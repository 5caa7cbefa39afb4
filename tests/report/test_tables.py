"""Tables: the numbers of the comparison, alignment, and the verdict."""

import numpy as np

from zoo.metrics import compare, measures
from zoo.report import tables


def comparison(num_queries=400, gap=0.2, invalid_share=0.0):
    rng = np.random.default_rng(0)
    values = (rng.random(num_queries) < 0.4).astype(float)
    other = np.where(rng.random(num_queries) < gap, 1.0, values)
    runs = [
        compare.Run("bm25", {name: values for name in measures.DEFAULT}, 0.4, 1234.0),
        compare.Run(
            "dsi|small", {name: other for name in measures.DEFAULT}, 212.0, None, invalid_share
        ),
    ]
    return compare.compare(runs, "Success@10", num_samples=2_000)


def test_the_text_table_lines_up_and_names_the_winner():
    found = comparison()
    lines = tables.text(found).splitlines()
    assert lines[0].split("  ")[0] == "system"
    assert lines[0].endswith("fit (s)  queries/s")
    assert len(lines[0]) == len(lines[1]) == len(lines[3])
    assert lines[2].startswith("dsi|small") and lines[2].endswith("212          -")
    assert lines[3].startswith("bm25") and lines[3].endswith("0.4      1,234")
    high, low = (f"{run.mean('Success@10'):.3f}" for run in found.runs)
    assert (
        lines[5]
        == f"dsi|small wins: Hit@10 {high} against {low} of bm25 on 400 queries (p < .001)."
    )
    assert "95 % interval [+0." in lines[6] and "Holm" in lines[6]
    assert (
        lines[7] == "ir-measures' names: Hit@1 = Success@1, Hit@10 = Success@10, MRR@10 = RR@10, "
        "Recall@100 = R@100."
    )


def test_an_insignificant_difference_is_not_called_a_win():
    assert tables.verdict(comparison(num_queries=20, gap=0.1)).startswith("No clear winner: ")


def test_the_markdown_table_has_a_cell_per_column_and_bold_bests():
    table = tables.markdown(comparison()).splitlines()[:4]
    assert [line.replace("\\|", "").count("|") for line in table] == [9, 9, 9, 9]
    assert table[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert table[2].count("**") == 10 and "**" not in table[3]


def test_invalid_answers_have_a_column_only_if_there_are_any():
    assert "invalid" not in tables.text(comparison())
    assert "2.5 %" in tables.text(comparison(invalid_share=0.025))


def test_a_single_run_is_reported_without_a_winner():
    alone = compare.compare([compare.Run("bm25", {name: np.ones(3) for name in measures.DEFAULT})])
    assert tables.verdict(alone) == "bm25 reaches nDCG@10 1.000 on 3 queries."
    assert tables.text(alone).splitlines()[2].startswith("bm25")
