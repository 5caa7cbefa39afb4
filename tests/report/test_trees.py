"""Figures of a tree: areas are counts, and the steps of a beam multiply to its answers."""

import matplotlib.image
import numpy as np
import pytest

from zoo.report import code_tree, figures, trees


def near(picture, colour):
    """Fraction of the coloured pixels with one colour."""
    shade = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    coloured = np.ptp(picture, axis=2) > 0.1
    return (np.abs(picture - shade).max(axis=2) < 0.02)[coloured].mean()


def test_the_area_of_a_label_is_its_share_of_the_documents(tmp_path):
    codes = np.stack([np.repeat([0, 1], [75, 25]), np.arange(100) % 5], axis=1)
    path = trees.sunburst(codes, ["many"] * 75 + ["few"] * 25, tmp_path / "rings.png", title="")
    picture = matplotlib.image.imread(path)[..., :3]
    many, few = near(picture, code_tree.COLOURS[0]), near(picture, code_tree.COLOURS[1])
    # edges of nodes and the legend take some pixels
    assert few / (many + few) == pytest.approx(0.25, abs=0.02)


def test_a_marked_prefix_has_a_dark_edge_and_an_unknown_one_is_refused(tmp_path):
    codes = np.stack([np.arange(40) // 10, np.arange(40) % 10], axis=1)
    dark = lambda path: (matplotlib.image.imread(path)[..., :3].max(axis=2) < 0.05).sum()
    plain = trees.sunburst(codes, ["x"] * 40, tmp_path / "plain.png")
    marked = trees.sunburst(codes, ["x"] * 40, tmp_path / "marked.png", marked=[(2,), (2, 3)])
    assert dark(marked) > dark(plain) + 500
    with pytest.raises(ValueError, match=r"\(9,\), which no document has"):
        trees.sunburst(codes, ["x"] * 40, tmp_path / "none.png", marked=[(9,)])


def kept(rows, probabilities):
    with np.errstate(divide="ignore"):
        return trees.Kept(np.array(rows), np.log(np.array(probabilities)))


def test_a_beam_is_laid_out_without_crossings():
    levels = [kept([[1], [4]], [0.5, 0.2]), kept([[1, 2], [4, 4], [1, 5]], [0.3, 0.14, 0.1])]
    height = trees._heights(levels)
    assert height[(1, 2)] > height[(1, 5)] > height[(4, 4)]
    assert (
        height[(1,)] == (height[(1, 2)] + height[(1, 5)]) / 2
        and height[()] == (height[(1,)] + height[(4,)]) / 2
    )


def test_the_title_of_a_beam_is_its_best_answer(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        figures,
        "save",
        lambda drawn, axes, path, title, legend: saved.append(
            (title, [text.get_text() for text in axes.texts])
        ),
    )
    levels = [kept([[1], [4]], [0.5, 0.2]), kept([[4, 4], [1, 2], [0, 0]], [0.14, 0.3, 0.0])]
    trees.beam_path(levels, ["second", "first"], tmp_path / "beam.png", query="what is first?")
    ((title, texts),) = saved
    assert title == "“what is first?” → first, with probability 0.30"
    assert {"1: 0.50", "4: 0.20", "2: 0.60", "4: 0.70"} <= set(texts)  # .3 / .5 and .14 / .2


def test_a_beam_without_answers_or_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one hypothesis"):
        trees.beam_path([kept([[1]], [0.0])], [], tmp_path / "no.png", query="q")
    with pytest.raises(ValueError, match="a name for each of 1 answers, got 0"):
        trees.beam_path([kept([[1]], [1.0])], [], tmp_path / "no.png", query="q")
