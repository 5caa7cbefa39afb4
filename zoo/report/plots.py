"""Plots in one style, saved as PNG: training curves, shares over stages, Hit@k curves, intervals and code trees, each with its finding as the title.

Only matplotlib's figure objects are used: no window, no global state, so a plot can be drawn from any thread or notebook.
"""

from __future__ import annotations

import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo.data import atomic

# Okabe and Ito's palette, told apart with any kind of colour vision, and dashes for print without
# colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
# and their darker shades
TREE_COLOURS = (*COLOURS[:6], "#004C78", "#8F3F00", "#006B4E", "#8A4E6E", "#9E6D00", "#2A7CA8")
INK, GRID, SHADE = "#333333", "#DDDDDD", "#F2F2F2"


def hit_curves(
    curves: Mapping[str, np.ndarray], path: str | os.PathLike, *, title: str | None = None
) -> pathlib.Path:
    """Saves Hit@k over k on a logarithmic axis, one line a system; returns the path.

    curves: system -> f64[max_k] with Hit@1, Hit@2, ... (`measures.hit_curve`).
    title: the finding; by default who leads at k = 10 (or at the last k).
    """
    drawn, (axes,) = figure("answers looked at, k", "queries with a relevant answer (Hit@k)")
    for number, (name, values) in enumerate(curves.items()):
        _line(axes, np.arange(1, len(values) + 1), values, name, number)
    last = max(map(len, curves.values()))
    axes.set_xscale("log")
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= last]
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, max(last, 2))
    axes.set_ylim(0, 1)
    return save(
        drawn,
        axes,
        path,
        title or _leader(curves),
        legend="lower right" if len(curves) > 1 else None,
    )


def training_curves(
    steps: Sequence[int],
    series: Mapping[str, Sequence[float]],
    path: str | os.PathLike,
    *,
    ylabel: str = "loss",
    title: str | None = None,
) -> pathlib.Path:
    """Saves values over training steps, one line a name, a running mean over the raw values; returns the path.

    series: name -> values, as many as steps. title: the finding; by default from where to where the first series went.
    """
    steps = np.asarray(steps)
    drawn, (axes,) = figure("training step", ylabel)
    smooth = {
        name: _running_mean(np.asarray(values, np.float64)) for name, values in series.items()
    }
    for number, (name, values) in enumerate(series.items()):
        if len(steps) > 20:
            axes.plot(steps, values, color=COLOURS[number % len(COLOURS)], linewidth=0.8, alpha=0.3)
        _line(axes, steps, smooth[name], name, number)
    if len(steps):
        axes.set_xlim(0, steps[-1] or 1)
        finite = np.concatenate([np.asarray(values, np.float64) for values in series.values()])
        if (finite[np.isfinite(finite)] >= 0).all():
            axes.set_ylim(bottom=0)
    return save(
        drawn,
        axes,
        path,
        title or _descent(smooth, ylabel),
        legend="best" if len(series) > 1 else None,
    )


def scalars(
    rows: Sequence[Mapping[str, float]], path: str | os.PathLike, *, title: str
) -> pathlib.Path:
    """Saves everything that was logged in a phase, a panel a scalar; `usage_1`, `usage_2`, ... share one; returns the path.

    rows: {"step": ..., name: value, ...}, as `zoo.train.log` keeps them; a row need not have every name.
    """
    panels: dict[str, list[str]] = {}
    for name in dict.fromkeys(
        name for row in rows for name in row if name not in ("step", "phase")
    ):
        panels.setdefault(_panel(name), []).append(name)
    ordered = sorted(panels, key=lambda panel: "loss" not in panel)  # the losses first
    wide = 2 if len(panels) in (2, 4) else min(3, max(len(panels), 1))
    tall = -(-len(panels) // wide)
    drawn, grid = figure(
        None, None, size=(9.6, 2.4 * max(tall, 1) + 0.4), shape=(max(tall, 1), wide)
    )
    for axes, panel in zip(grid, ordered):
        for number, name in enumerate(panels[panel]):
            kept = [row for row in rows if name in row]
            steps, values = (
                np.array([row["step"] for row in kept]),
                np.array([row[name] for row in kept], np.float64),
            )
            if len(steps) > 20:
                axes.plot(
                    steps, values, color=COLOURS[number % len(COLOURS)], linewidth=0.8, alpha=0.3
                )
            _line(axes, steps, _running_mean(values), name, number)
            if len(steps) == 1:
                axes.plot(steps, values, "o", color=COLOURS[number % len(COLOURS)])
        axes.set_title(panel.replace("_", " "), color=INK, fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.set_xlabel("step", color=INK, fontsize=8)
        if len(panels[panel]) > 1:
            axes.legend(frameon=False, labelcolor=INK, fontsize=7)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return write(drawn, path, title)


def stages(
    rows: Sequence[Mapping[str, float]],
    path: str | os.PathLike,
    *,
    panels: Mapping[str, str],
    title: str,
) -> pathlib.Path:
    """Saves shares that were logged over all stages of a training, on one axis of steps; returns the path.

    A stage begins where the one before ended; every other one is shaded, and their names are above. panels: what stands over each,
    one below the other; its name is a scalar, or that of `name_1`, `name_2`, ..., which share it.

    rows: as of `scalars`, {"phase": ..., "step": ..., name: value}, the stages in their order; values from 0 to 1.
    """
    spans = spans_of(rows)
    drawn, grid = figure(None, None, size=(9.6, 1.2 + 1.7 * len(panels)), shape=(len(panels), 1))
    for axes, (panel, heading) in zip(grid, panels.items()):
        for first, last in list(spans.values())[1::2]:
            axes.axvspan(first, last, color=SHADE, linewidth=0, zorder=0)  # the grid stays above
        for number, name in enumerate(
            sorted({name for row in rows for name in row if _panel(name) == panel})
        ):
            kept = [row for row in rows if name in row]
            steps = np.array([spans[row["phase"]][0] + row["step"] for row in kept])
            _line(
                axes,
                steps,
                np.array([row[name] for row in kept], np.float64),
                name.replace("_", " "),
                number,
            )
            # codes stay between the stages that change them
            axes.lines[-1].set_drawstyle("steps-post")
            axes.plot(
                steps,
                [row[name] for row in kept],
                "o",
                color=COLOURS[number % len(COLOURS)],
                markersize=4,
            )
        axes.set_title(heading, color=INK, fontsize=9, loc="left")
        axes.set_xlim(0, max(last for _, last in spans.values()))
        axes.set_ylim(0, 1.05)
        axes.tick_params(labelsize=8)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(
                loc="center left",
                bbox_to_anchor=(1, 0.5),
                frameon=False,
                labelcolor=INK,
                fontsize=8,
            )
    above = grid[0].secondary_xaxis("top")
    above.set_xticks(
        [(first + last) / 2 for first, last in spans.values()],
        list(map(plain, spans)),
        rotation=90,
        fontsize=7,
        color=INK,
    )
    above.tick_params(length=0)
    above.spines["top"].set_visible(False)
    grid[-1].set_xlabel("step of the whole training", color=INK, fontsize=8)
    return write(drawn, path, title)


def spans_of(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[int, int]]:
    """First and last step of each stage, counted over all of them; rows: {"phase": ..., "step": ..., ...}, the stages in their order."""
    lengths: dict[str, int] = {}
    for row in rows:
        lengths[row["phase"]] = max(lengths.get(row["phase"], 0), row["step"])
    ends = np.cumsum(list(lengths.values())).tolist()
    return {phase: (end - length, end) for (phase, length), end in zip(lengths.items(), ends)}


def intervals(
    rows: Sequence[tuple[str, float, float, float]],
    path: str | os.PathLike,
    *,
    xlabel: str,
    title: str,
) -> pathlib.Path:
    """Saves means with their intervals as points and bars beside a line at 0; returns the path. rows: (name, mean, low, high), top first."""
    drawn, (axes,) = figure(xlabel, None, size=(6.4, 1.1 + 0.45 * len(rows)))
    axes.axvline(0, color=INK, linewidth=1)
    for place, (_, mean, low, high) in enumerate(rows):
        colour = COLOURS[2] if low > 0 else COLOURS[1] if high < 0 else "#888888"
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(mean, place, "o", color=colour, markersize=8)
    axes.locator_params(axis="x", nbins=6)
    axes.set_yticks(range(len(rows)), [plain(name) for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return save(drawn, axes, path, title, legend=None)


def code_tree(
    codes: np.ndarray, labels: Sequence[str], path: str | os.PathLike, *, title: str | None = None
) -> pathlib.Path:
    """Saves the tree of codes as rows of nodes, the root's children on top; returns the path.

    A document is a column, a node as wide as it has documents, coloured by the label that most of them have, the paler the
    fewer they are. The last row has each document's own label. Nodes of one label stand together.

    codes: i[N, L]; labels: N. title: the finding; by default how often documents of one first code have one label.
    """
    found = majorities(codes, labels)
    rows = found.colours
    drawn, (axes,) = figure("documents, in the order of the tree", "level of the code")
    image = np.stack(rows)[:, found.order]
    axes.imshow(
        image, aspect="auto", interpolation="nearest", extent=(0, len(codes), len(rows) + 0.5, 0.5)
    )
    axes.grid(False)
    axes.set_yticks(range(1, len(rows) + 1), [*map(str, range(1, len(rows))), "itself"])
    for name, colour in found.legend:
        axes.plot([], [], "s", color=colour, label=plain(name))
    return save(drawn, axes, path, title or found.finding, legend="outside")


class Majorities(NamedTuple):
    """A tree of codes, coloured by labels."""

    order: np.ndarray  # i[N] documents as the tree has them, nodes of one label together
    # of each level f[N, 3]: colour of each document's node; the last is of each document's own
    # label
    colours: list[np.ndarray]
    legend: list[tuple[str, np.ndarray]]  # label and its colour, the most common first
    finding: str  # how often documents of one first code have one label


def majorities(codes: np.ndarray, labels: Sequence[str]) -> Majorities:
    """Colours of the nodes of codes i[N, L] by the label that most of their documents have, the paler the fewer they are."""
    labels = np.asarray(labels, object)
    names, row_name, counts = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    label = np.argsort(by_count)[row_name]  # 0 = the most common
    shown = [str(name) for name in names[by_count[: len(TREE_COLOURS)]]]
    levels = [_majority(codes[:, : level + 1], label) for level in range(codes.shape[1])]
    keys = [key for level, (major, _) in enumerate(levels) for key in (major, codes[:, level])]
    order = np.lexsort([label, *keys[::-1]])  # the last key, the first level's, sorts first
    palette = (
        np.array(
            [
                [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
                for colour in (*TREE_COLOURS[: len(shown)], "#999999")
            ]
        )
        / 255
    )
    coloured = lambda of: palette[np.minimum(of, len(shown))]
    colours = [1 - share[:, None] * (1 - coloured(major)) for major, share in levels] + [
        coloured(label)
    ]
    legend = list(zip([*shown, "other"] if len(names) > len(shown) else shown, palette))
    return Majorities(order, colours, legend, _agreement(codes, label))


def _majority(prefixes: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row's node: the label that most of its rows have, i[N], and their share, f[N]; of equal shares the lowest."""
    _, node = np.unique(prefixes, axis=0, return_inverse=True)
    node = node.reshape(-1)
    (nodes, labels), counts = np.unique(np.stack([node, label]), axis=1, return_counts=True)
    order = np.lexsort([labels, -counts, nodes])
    first = order[np.searchsorted(nodes[order], np.arange(node.max() + 1))]
    return labels[first][node], (counts[first] / np.bincount(node))[node]


def _agreement(codes: np.ndarray, label: np.ndarray) -> str:
    share = _majority(codes[:, :1], label)[1].mean()
    chance = np.bincount(label).max() / len(label)
    return f"{share:.0%} of documents have the most common label of their first code, {chance:.0%} the most common of all"


def figure(
    xlabel: str | None,
    ylabel: str | None,
    *,
    size: tuple[float, float] = (6.4, 4.0),
    shape: tuple[int, int] = (1, 1),
):
    """A figure and its axes, row by row."""
    import matplotlib.figure
    from matplotlib.backends import backend_agg

    drawn = matplotlib.figure.Figure(figsize=size, dpi=150, layout="constrained")
    backend_agg.FigureCanvasAgg(drawn)
    grid = list(drawn.subplots(*shape, squeeze=False).flat)
    for axes in grid:
        axes.set_xlabel(xlabel or "", color=INK)
        axes.set_ylabel(ylabel or "", color=INK)
        axes.tick_params(colors=INK, length=3)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(INK)
    return drawn, grid


def _panel(name: str) -> str:
    """The panel that a scalar stands in: `usage_1`, `usage_2`, ... share that of `usage`."""
    return name.rstrip("0123456789").rstrip("_") if name[-1:].isdigit() else name


def _line(axes, x: np.ndarray, y: np.ndarray, name: str, number: int) -> None:
    axes.plot(
        x,
        y,
        label=name,
        color=COLOURS[number % len(COLOURS)],
        linestyle=DASHES[number % len(DASHES)],
        linewidth=2,
    )


def save(drawn, axes, path: str | os.PathLike, title: str, *, legend: str | None) -> pathlib.Path:
    """Saves a figure of one panel with its title and legend; returns the path."""
    axes.set_title(title, color=INK, fontsize=11, loc="left", wrap=True)
    if legend == "outside":
        axes.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK, fontsize=8
        )
    elif legend:
        axes.legend(loc=legend, frameon=False, labelcolor=INK)
    return _written(drawn, path, title)


def write(drawn, path: str | os.PathLike, title: str = "") -> pathlib.Path:
    """Saves a figure as PNG, whole or not at all, with a title over its panels; returns the path."""
    if title:
        drawn.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    return _written(drawn, path, title)


def about(title: str) -> dict[str, str]:
    """Metadata of a PNG: its title, so that a page can write it under the picture."""
    return {"Title": title.replace(r"\$", "$")}


def _written(drawn, path: str | os.PathLike, title: str) -> pathlib.Path:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path, "wb") as out, warnings.catch_warnings():
        # a script without a font is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        drawn.savefig(out, format="png", facecolor="white", metadata=about(title))
    return path


def plain(text: str, most: int = 32) -> str:
    """A label as it stands: no mathematics between dollars, not hidden for beginning with an underscore, not too long."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _leader(curves: Mapping[str, np.ndarray]) -> str:
    k = min([10, *map(len, curves.values())])
    ranked = sorted(((float(values[k - 1]), name) for name, values in curves.items()), reverse=True)
    (best, leader), *rest = ranked
    if not rest:
        return f"{leader} finds a relevant document among its first {k} for {best:.0%} of queries"
    if rest[0][0] == best:
        return f"{leader} and {rest[0][1]} are level at Hit@{k}: {best:.3f}"
    return f"{leader} leads at Hit@{k}: {best:.3f} against {rest[0][0]:.3f} of {rest[0][1]}"


def _descent(series: Mapping[str, np.ndarray], ylabel: str) -> str:
    name, values = next(iter(series.items()))
    if not len(values):
        return f"{name}: no step was logged"
    return f"{name if name == ylabel else f'{name} {ylabel}'} went from {values[0]:.3g} to {values[-1]:.3g}"


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a twentieth of the run around each step, cut off at both ends."""
    half = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(len(values))
    first, last = np.maximum(rows - half, 0), np.minimum(rows + half, len(values) - 1)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)
