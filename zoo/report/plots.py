"""Plots saved as PNG: Hit@k curves, training curves, logged scalars, stages and intervals."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.report import figures


def hit_curves(
    curves: Mapping[str, np.ndarray], path: str | os.PathLike, *, title: str | None = None
) -> pathlib.Path:
    """Saves Hit@k over k on a logarithmic axis, one line per system; returns the path.

    curves: system -> f64[max_k] with Hit@1, Hit@2, ... (`measures.hit_curve`).
    title: the finding; by default who leads at k = 10 (or at the last k).
    """
    drawn, (axes,) = figures.figure(
        "answers looked at, k", "queries with a relevant answer (Hit@k)"
    )
    for number, (name, values) in enumerate(curves.items()):
        figures.line(axes, np.arange(1, len(values) + 1), values, name, number)
    last = max(map(len, curves.values()))
    axes.set_xscale("log")
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= last]
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, max(last, 2))
    axes.set_ylim(0, 1)
    return figures.save(
        drawn,
        axes,
        path,
        title or _leader(curves),
        legend="lower right" if len(curves) > 1 else None,
    )


def training_curves(
    steps: Sequence[int] | np.ndarray,
    series: Mapping[str, Sequence[float]],
    path: str | os.PathLike,
    *,
    ylabel: str = "loss",
    title: str | None = None,
) -> pathlib.Path:
    """Saves values over training steps, a running mean over the raw values; returns the path.

    series: name -> values, as many as steps. title: the finding; by default the first and the last
    value of the first series.
    """
    at = np.asarray(steps)
    drawn, (axes,) = figures.figure("training step", ylabel)
    smooth = {
        name: _running_mean(np.asarray(values, np.float64)) for name, values in series.items()
    }
    for number, (name, values) in enumerate(series.items()):
        if len(at) > 20:
            axes.plot(
                at,
                values,
                color=figures.COLOURS[number % len(figures.COLOURS)],
                linewidth=0.8,
                alpha=0.3,
            )
        figures.line(axes, at, smooth[name], name, number)
    if len(at):
        axes.set_xlim(0, at[-1] or 1)
        finite = np.concatenate([np.asarray(values, np.float64) for values in series.values()])
        if (finite[np.isfinite(finite)] >= 0).all():
            axes.set_ylim(bottom=0)
    return figures.save(
        drawn,
        axes,
        path,
        title or _descent(smooth, ylabel),
        legend="best" if len(series) > 1 else None,
    )


def scalars(
    rows: Sequence[Mapping[str, Any]], path: str | os.PathLike, *, title: str
) -> pathlib.Path:
    """Saves all scalars that were logged in a phase, one panel each; returns the path.

    `usage_1`, `usage_2`, ... share a panel.
    rows: {"step": ..., name: value, ...}, as in `zoo.train.log`; a row need not have every name.
    """
    panels: dict[str, list[str]] = {}
    for name in dict.fromkeys(
        name for row in rows for name in row if name not in ("step", "phase")
    ):
        panels.setdefault(_panel(name), []).append(name)
    ordered = sorted(panels, key=lambda panel: "loss" not in panel)  # the losses first
    wide = 2 if len(panels) in (2, 4) else min(3, max(len(panels), 1))
    tall = -(-len(panels) // wide)
    drawn, grid = figures.figure(
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
                    steps,
                    values,
                    color=figures.COLOURS[number % len(figures.COLOURS)],
                    linewidth=0.8,
                    alpha=0.3,
                )
            figures.line(axes, steps, _running_mean(values), name, number)
            if len(steps) == 1:
                axes.plot(steps, values, "o", color=figures.COLOURS[number % len(figures.COLOURS)])
        axes.set_title(panel.replace("_", " "), color=figures.INK, fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.set_xlabel("step", color=figures.INK, fontsize=8)
        if len(panels[panel]) > 1:
            axes.legend(frameon=False, labelcolor=figures.INK, fontsize=7)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figures.write(drawn, path, title)


def stages(
    rows: Sequence[Mapping[str, Any]],
    path: str | os.PathLike,
    *,
    panels: Mapping[str, str],
    title: str,
) -> pathlib.Path:
    """Saves fractions that were logged over all stages of a training, on one axis of steps.

    Every other stage is shaded; the stages' names stand on top.

    Args:
      rows: as for `scalars`, {"phase": ..., "step": ..., name: value}, the stages in order.
      path: the file; it is returned.
      panels: scalar -> heading of its panel, from top to bottom. `name_1`, `name_2`, ... share the
        panel of `name`. Values are from 0 to 1.
      title: the finding.
    """
    spans = spans_of(rows)
    size = (9.6, 1.2 + 1.7 * len(panels))
    drawn, grid = figures.figure(None, None, size=size, shape=(len(panels), 1))
    for axes, (panel, heading) in zip(grid, panels.items()):
        _stage_panel(axes, rows, spans, panel)
        axes.set_title(heading, color=figures.INK, fontsize=9, loc="left")
    above = grid[0].secondary_xaxis("top")
    above.set_xticks(
        [(first + last) / 2 for first, last in spans.values()],
        list(map(figures.plain, spans)),
        rotation=90,
        fontsize=7,
        color=figures.INK,
    )
    above.tick_params(length=0)
    above.spines["top"].set_visible(False)
    grid[-1].set_xlabel("step of the whole training", color=figures.INK, fontsize=8)
    return figures.write(drawn, path, title)


def _stage_panel(
    axes: Any, rows: Sequence[Mapping[str, Any]], spans: Mapping[str, tuple[int, int]], panel: str
) -> None:
    """Draws the scalars of one panel over all stages."""
    for first, last in list(spans.values())[1::2]:
        axes.axvspan(first, last, color=figures.SHADE, linewidth=0, zorder=0)  # below the grid
    names = sorted({name for row in rows for name in row if _panel(name) == panel})
    for number, name in enumerate(names):
        kept = [row for row in rows if name in row]
        steps = np.array([spans[row["phase"]][0] + row["step"] for row in kept])
        values = np.array([row[name] for row in kept], np.float64)
        figures.line(axes, steps, values, name.replace("_", " "), number)
        # codes do not change between the stages that learn them
        axes.lines[-1].set_drawstyle("steps-post")
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        axes.plot(steps, values, "o", color=colour, markersize=4)
    axes.set_xlim(0, max(last for _, last in spans.values()))
    axes.set_ylim(0, 1.05)
    axes.tick_params(labelsize=8)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            frameon=False,
            labelcolor=figures.INK,
            fontsize=8,
        )


def spans_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """First and last step of each stage, counted over all stages.

    rows: {"phase": ..., "step": ..., ...}, the stages in order.
    """
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
    """Saves means and their intervals as points and bars beside a line at 0; returns the path.

    rows: (name, mean, low, high), from top to bottom.
    """
    drawn, (axes,) = figures.figure(xlabel, None, size=(6.4, 1.1 + 0.45 * len(rows)))
    axes.axvline(0, color=figures.INK, linewidth=1)
    for place, (_, mean, low, high) in enumerate(rows):
        colour = figures.COLOURS[2] if low > 0 else figures.COLOURS[1] if high < 0 else "#888888"
        axes.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(mean, place, "o", color=colour, markersize=8)
    axes.locator_params(axis="x", nbins=6)
    axes.set_yticks(range(len(rows)), [figures.plain(name) for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    return figures.save(drawn, axes, path, title, legend=None)


def _panel(name: str) -> str:
    """The panel of a scalar: `usage_1`, `usage_2`, ... share that of `usage`."""
    return name.rstrip("0123456789").rstrip("_") if name[-1:].isdigit() else name


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
    what = name if name == ylabel else f"{name} {ylabel}"
    return f"{what} went from {values[0]:.3g} to {values[-1]:.3g}"


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a twentieth of the run around each step, shorter at both ends."""
    half = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(len(values))
    first, last = np.maximum(rows - half, 0), np.minimum(rows + half, len(values) - 1)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)
