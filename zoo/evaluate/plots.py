"""Plots in one style, saved as PNG: training curves, Hit@k curves and code trees, each with its finding as the title.

Only matplotlib's figure objects are used: no window, no global state, so a plot can be drawn from any thread or notebook.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from zoo.data import atomic

# Okabe and Ito's palette, told apart with any kind of colour vision, and dashes for print without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
INK, GRID = "#333333", "#DDDDDD"


def hit_curves(curves: Mapping[str, np.ndarray], path: str | os.PathLike, *, title: str | None = None) -> pathlib.Path:
    """Saves Hit@k over k on a logarithmic axis, one line a system; returns the path.

    curves: system -> f64[max_k] with Hit@1, Hit@2, ... (`measures.hit_curve`).
    title: the finding; by default who leads at k = 10 (or at the last k).
    """
    figure, axes = _figure("answers looked at, k", "queries with a relevant answer (Hit@k)")
    for number, (name, values) in enumerate(curves.items()):
        _line(axes, np.arange(1, len(values) + 1), values, name, number)
    last = max(map(len, curves.values()))
    axes.set_xscale("log")
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= last]
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, max(last, 2))
    axes.set_ylim(0, 1)
    return _save(figure, axes, path, title or _leader(curves), legend="lower right" if len(curves) > 1 else None)


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
    figure, axes = _figure("training step", ylabel)
    smooth = {name: _running_mean(np.asarray(values, np.float64)) for name, values in series.items()}
    for number, (name, values) in enumerate(series.items()):
        if len(steps) > 20:
            axes.plot(steps, values, color=COLOURS[number % len(COLOURS)], linewidth=0.8, alpha=0.3)
        _line(axes, steps, smooth[name], name, number)
    if len(steps):
        axes.set_xlim(0, steps[-1] or 1)
        finite = np.concatenate([np.asarray(values, np.float64) for values in series.values()])
        if (finite[np.isfinite(finite)] >= 0).all():
            axes.set_ylim(bottom=0)
    return _save(figure, axes, path, title or _descent(smooth, ylabel), legend="best" if len(series) > 1 else None)


def code_tree(codes: np.ndarray, labels: Sequence[str], path: str | os.PathLike, *, title: str | None = None) -> pathlib.Path:
    """Saves the tree of codes as rows of nodes, the root's children on top; returns the path.

    A document is a column, a node as wide as it has documents, coloured by the label that most of them have, the paler the
    fewer they are. The last row has each document's own label. Nodes of one label stand together.

    codes: i[N, L]; labels: N. title: the finding; by default how often documents of one first code have one label.
    """
    labels = np.asarray(labels, object)
    names, counts = np.unique(labels.astype(str), return_counts=True)
    shown = list(names[np.argsort(-counts, kind="stable")][: len(COLOURS) - 1])
    label = np.array([shown.index(name) if name in shown else len(shown) for name in labels.astype(str)])
    majorities = [_majority(codes[:, : level + 1], label, len(shown) + 1) for level in range(codes.shape[1])]
    keys = [key for level, (major, _) in enumerate(majorities) for key in (major, codes[:, level])]
    order = np.lexsort([label, *keys[::-1]])  # the last key, the first level's, sorts first
    palette = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (*COLOURS[: len(shown)], "#999999")]) / 255
    rows = [1 - share[:, None] * (1 - palette[major]) for major, share in majorities] + [palette[label]]
    figure, axes = _figure("documents, in the order of the tree", "level of the code")
    image = np.stack(rows)[:, order]
    axes.imshow(image, aspect="auto", interpolation="nearest", extent=(0, len(codes), len(rows) + 0.5, 0.5))
    axes.grid(False)
    axes.set_yticks(range(1, len(rows) + 1), [*map(str, range(1, len(rows))), "itself"])
    for number, name in enumerate([*shown, "other"] if (label == len(shown)).any() else shown):
        axes.plot([], [], "s", color=palette[number], label=name)
    return _save(figure, axes, path, title or _agreement(codes, label), legend="outside")


def _majority(prefixes: np.ndarray, label: np.ndarray, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row's node: the label that most of its rows have, i[N], and their share, f[N]."""
    _, node = np.unique(prefixes, axis=0, return_inverse=True)
    node = node.reshape(-1)
    counts = np.zeros((node.max() + 1, num_labels))
    np.add.at(counts, (node, label), 1)
    return counts.argmax(axis=1)[node], (counts.max(axis=1) / counts.sum(axis=1))[node]


def _agreement(codes: np.ndarray, label: np.ndarray) -> str:
    share = _majority(codes[:, :1], label, label.max() + 1)[1].mean()
    chance = np.bincount(label).max() / len(label)
    return f"{share:.0%} of documents have the most common label of their first code, {chance:.0%} the most common of all"


def _figure(xlabel: str, ylabel: str):
    import matplotlib.figure
    from matplotlib.backends import backend_agg

    figure = matplotlib.figure.Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    backend_agg.FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=INK, length=3)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return figure, axes


def _line(axes, x: np.ndarray, y: np.ndarray, name: str, number: int) -> None:
    axes.plot(x, y, label=name, color=COLOURS[number % len(COLOURS)], linestyle=DASHES[number % len(DASHES)], linewidth=2)


def _save(figure, axes, path: str | os.PathLike, title: str, *, legend: str | None) -> pathlib.Path:
    axes.set_title(title, color=INK, fontsize=11, loc="left", wrap=True)
    if legend == "outside":
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK, fontsize=8)
    elif legend:
        axes.legend(loc=legend, frameon=False, labelcolor=INK)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path, "wb") as out:
        figure.savefig(out, format="png", facecolor="white")
    return path


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
