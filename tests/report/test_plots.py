"""Plots: every line is drawn, the title is the finding, matplotlib's global state is untouched."""

import sys
import threading

import numpy as np
import pytest

from zoo.report import code_tree, figures, plots


def curves():
    k = np.arange(1, 101)
    return {"dsi semantic": 1 - 0.7 / k**0.4, "bm25": 1 - 0.75 / k**0.3}


def pixels(path):
    import matplotlib.image

    return matplotlib.image.imread(path)[..., :3]


def has_colour(image, colour):
    wanted = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return (np.abs(image - wanted).max(axis=-1) < 0.02).sum() > 50


def test_a_picture_has_its_title_as_metadata(tmp_path):
    from PIL import Image

    with Image.open(plots.hit_curves(curves(), tmp_path / "hits.png", title="“a” → b")) as picture:
        assert picture.info["Title"] == "“a” → b"


def test_each_system_has_its_line_in_its_colour(tmp_path):
    path = plots.hit_curves(curves(), tmp_path / "new" / "hits.png")
    image = pixels(path)
    assert image.shape == (600, 960, 3)
    assert has_colour(image, figures.COLOURS[0]) and has_colour(image, figures.COLOURS[1])
    assert not has_colour(image, figures.COLOURS[2])
    assert [file.name for file in path.parent.iterdir()] == ["hits.png"]


def test_the_title_is_the_finding():
    assert (
        plots._leader({"a": np.full(100, 0.5), "b": np.full(100, 0.25)})
        == "a leads at Hit@10: 0.500 against 0.250 of b"
    )
    assert (
        plots._leader({"a": np.full(5, 0.5), "b": np.full(100, 0.5)})
        == "b and a are level at Hit@5: 0.500"
    )
    assert (
        plots._leader({"a": np.full(100, 0.5)})
        == "a finds a relevant document among its first 10 for 50% of queries"
    )
    assert (
        plots._descent({"train": np.array([4.0, 0.5])}, "loss") == "train loss went from 4 to 0.5"
    )


def test_training_curves_draw_raw_values_and_their_mean(tmp_path):
    steps = np.arange(0, 1000, 10)
    loss = 4 * np.exp(-steps / 300) + 0.1 * np.random.default_rng(0).normal(size=len(steps))
    image = pixels(plots.training_curves(steps, {"train": loss}, tmp_path / "loss.png"))
    assert has_colour(image, figures.COLOURS[0]) and not has_colour(image, figures.COLOURS[1])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_runs_of_no_or_few_steps_can_be_drawn(tmp_path, count):
    assert plots.training_curves(
        range(count), {"train": [1.0] * count}, tmp_path / "loss.png"
    ).exists()


def test_the_running_mean_keeps_straight_lines_and_smooths_noise():
    line = np.linspace(3.0, 1.0, 101)
    # windows of 5, shorter only at the ends
    np.testing.assert_allclose(plots._running_mean(line)[2:-2], line[2:-2], atol=1e-12)
    noise = np.random.default_rng(0).normal(size=400)
    assert plots._running_mean(noise)[50:-50].std() < 0.4  # windows of 21: 1 / sqrt(21) = .22


def test_plots_are_drawn_in_a_thread_without_pyplot(tmp_path):
    loaded = set(sys.modules)
    drawn = []
    worker = threading.Thread(
        target=lambda: drawn.append(plots.hit_curves(curves(), tmp_path / "a.png"))
    )
    worker.start()
    worker.join()
    assert drawn and drawn[0].exists()
    assert "matplotlib.pyplot" not in set(sys.modules) - loaded


def test_nodes_of_a_code_tree_have_their_most_common_label(tmp_path):
    codes = np.array([[0, 0], [0, 0], [0, 1], [1, 0], [1, 0]])
    label = np.array([0, 1, 1, 0, 0])
    major, share = code_tree._majority(codes[:, :1], label)
    assert major.tolist() == [1, 1, 1, 0, 0] and share.tolist() == [2 / 3] * 3 + [1.0] * 2
    major, share = code_tree._majority(codes, label)
    # the first label wins ties
    assert major.tolist() == [0, 0, 1, 0, 0] and share.tolist() == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert (
        code_tree._agreement(codes, label)
        == "80% of documents have the most common label of their first code, "
        "60% the most common of all"
    )
    path = code_tree.code_tree(codes, ["a", "b", "b", "a", "a"], tmp_path / "tree.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_rare_labels_of_a_code_tree_share_a_colour(tmp_path):
    labels = [f"label {number}" for number in np.repeat(np.arange(14), np.arange(14, 0, -1))]
    codes = np.arange(len(labels))[:, None] % 5
    # more than the edges of letters
    grey = lambda image: (np.abs(image - 0.6).max(axis=-1) < 0.02).sum() > 1000
    assert grey(pixels(code_tree.code_tree(codes, labels, tmp_path / "tree.png", title="many")))
    assert not grey(
        pixels(
            code_tree.code_tree(
                codes,
                [min(label, "label 4") for label in labels],
                tmp_path / "few.png",
                title="few",
            )
        )
    )


def test_labels_beyond_the_colours_still_differ():
    """Twenty labels under one code: the most common has 5 %, but all are drawn as `other`."""
    assert code_tree._agreement(np.zeros((20, 1), int), np.arange(20)).startswith("5% of documents")


@pytest.mark.parametrize("name", ("$x_{$", "_hidden", "\u4e2d\u6587", "x" * 99))
def test_any_label_can_be_drawn(name, tmp_path):
    tree = pixels(code_tree.code_tree(np.array([[0], [1]]), [name, "b"], tmp_path / "tree.png"))
    assert has_colour(tree, figures.COLOURS[0]) and has_colour(tree, figures.COLOURS[1])

    def gaps(label):
        path = tmp_path / "gaps.png"
        rows = [(label, 0.1, 0.0, 0.2)]
        return pixels(plots.intervals(rows, path, xlabel="difference", title="one"))

    drawn, blank = gaps(name), gaps(" ")
    assert drawn.shape != blank.shape or (drawn != blank).any()  # the label is visible
    np.testing.assert_array_equal(drawn, gaps(name))  # control: nothing else varies


def test_intervals_are_coloured_by_their_sign(tmp_path):
    better, worse, open_ = ("b", 0.2, 0.1, 0.3), ("w", -0.2, -0.3, -0.1), ("o", 0.0, -0.1, 0.1)
    for rows, seen in (
        ((better, open_), (True, False)),
        ((worse,), (False, True)),
        ((better, worse), (True, True)),
    ):
        image = pixels(
            plots.intervals(rows, tmp_path / "gaps.png", xlabel="difference", title="gaps")
        )
        assert (
            has_colour(image, figures.COLOURS[2]),
            has_colour(image, figures.COLOURS[1]),
        ) == seen


def test_scalars_with_numbers_share_a_panel_and_rows_may_lack_some(tmp_path):
    rows = [
        {
            "phase": "p",
            "step": step,
            "loss": 1.0 / step,
            **({"usage_1": 0.5, "usage_2": 0.9} if step % 2 else {}),
        }
        for step in range(1, 41)
    ]
    image = pixels(plots.scalars(rows, tmp_path / "scalars.png", title="both"))
    alone = pixels(plots.scalars([{"step": 1, "loss": 2.0}], tmp_path / "one.png", title="one"))
    # the second line of the second panel
    assert has_colour(image, figures.COLOURS[0]) and has_colour(image, figures.COLOURS[1])
    assert has_colour(alone, figures.COLOURS[0]) and not has_colour(alone, figures.COLOURS[1])
    assert image.shape == alone.shape  # two panels side by side are one row, like a single panel


def test_stages_follow_each_other_on_one_axis(tmp_path):
    rows = [
        {"phase": "a", "step": 4, "loss": 9.0},
        {"phase": "a", "step": 10, "diversity_1": 0.5, "conflicts": 1.0},
        {"phase": "b", "step": 5, "loss": 9.0},
    ]
    assert plots.spans_of(rows) == {"a": (0, 10), "b": (10, 15)}
    rows += [{"phase": "b", "step": 8, "diversity_1": 0.5, "diversity_2": 0.9, "conflicts": 0.2}]
    assert plots.spans_of(rows) == {"a": (0, 10), "b": (10, 18)}
    draw = lambda rows: pixels(
        plots.stages(
            rows,
            tmp_path / "stages.png",
            panels={"conflicts": "conflicts", "diversity": "diversity"},
            title="found",
        )
    )
    both, one = draw(rows), draw(rows[:2])
    # the second position's line
    assert has_colour(both, figures.COLOURS[1]) and not has_colour(one, figures.COLOURS[1])
    shaded = lambda image: (
        np.abs(image - int(figures.SHADE[1:3], 16) / 255).max(axis=-1) < 0.002
    ).mean()
    assert shaded(both) > 0.1 > 0.01 > shaded(one)  # every other stage; edges of letters
