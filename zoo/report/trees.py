"""Pictures of a tree of identifiers: rings coloured by label, and the way of a beam through it with its probabilities."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo.report import plots

HOLE, RING = 0.6, 1.0  # radius of the middle, width of a ring
LEAST_ARC = 0.002  # of a turn: narrower nodes are drawn without an edge
MOST_TOLD = 60  # letters of an answer


class Kept(NamedTuple):
    """What a beam kept at one depth for one query, best first."""

    tokens: np.ndarray  # i[K, t]
    score: np.ndarray  # f[K] log-probability of the prefix, -inf = no hypothesis


def sunburst(
    codes: np.ndarray,
    labels: Sequence[str],
    path: str | os.PathLike,
    *,
    marked: Sequence[Sequence[int]] = (),
    title: str | None = None,
) -> pathlib.Path:
    """Saves the tree of codes as rings, the first level inmost, and returns the path.

    A node takes as much of the circle as it has documents, coloured by the label that most of them have, the paler the fewer;
    the outmost ring has each document's own label.

    codes: i[N, L]; labels: N. marked: prefixes whose nodes get a dark edge, such as those that a beam kept.
    title: the finding; by default how often documents of one first code have one label.
    """
    found = plots.majorities(codes, labels)
    drawn, (axes,) = plots.figure(None, None, size=(7.2, 5.4))
    axes.set_axis_off()
    axes.set_aspect("equal")
    num = len(codes)
    ordered = codes[found.order]
    for level in range(codes.shape[1]):
        _, first = _runs(ordered[:, : level + 1])
        _ring(axes, level, first, num, found.colours[level][found.order[first]])
    outer = codes.shape[1]
    own = found.colours[outer][found.order]
    _, first = _runs(own)
    _ring(axes, outer, first, num, own[first], width=0.35)
    for prefix in marked:
        rows = np.flatnonzero((ordered[:, : len(prefix)] == np.asarray(prefix)).all(axis=1))
        if not len(rows):
            raise ValueError(
                f"sunburst: expected marked prefixes of the codes, got {tuple(prefix)}, which no document has"
            )
        _edge(axes, len(prefix) - 1, rows[0], rows[-1] + 1, num)
    reach = HOLE + RING * (outer + 0.4)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.text(0, 0, f"{num:,}\ndocuments", ha="center", va="center", fontsize=8, color=plots.INK)
    for name, colour in found.legend:
        axes.plot([], [], "s", color=colour, label=plots.plain(name))
    return plots.save(drawn, axes, path, title or found.finding, legend="outside")


def beam_path(
    levels: Sequence[Kept],
    answers: Sequence[str],
    path: str | os.PathLike,
    *,
    query: str,
    title: str | None = None,
) -> pathlib.Path:
    """Saves what a beam kept at each depth as a tree from left to right, with the probability of every step; returns the path.

    A line is the thicker the more probable the prefix that it leads to; a number is the probability of the token given the prefix
    before it. Hypotheses that were kept and have no continuation that was kept end in a cross.

    levels: depth 1 .. L, as `zoo.search.beam.beam_prefixes` gives them for one query; answers: names of the last level's.
    title: the finding; by default the first answer and its probability.
    """
    alive = [np.isfinite(kept.score) for kept in levels]
    live = [Kept(kept.tokens[which], kept.score[which]) for kept, which in zip(levels, alive)]
    if not live or not len(live[-1].score):
        raise ValueError(
            "beam_path: expected at least one hypothesis that reached the last depth, got none"
        )
    if len(answers) != len(live[-1].score):
        raise ValueError(
            f"beam_path: expected a name for each of {len(live[-1].score)} answers, got {len(answers)}"
        )
    height = _heights(live)
    drawn, (axes,) = plots.figure(
        None, None, size=(9.6, 0.9 + 0.36 * max(len(kept.score) for kept in live))
    )
    axes.set_axis_off()
    scores: dict[tuple, float] = {(): 0.0}
    for depth, kept in enumerate(live, start=1):
        followed = (
            {tuple(prefix[:depth]) for prefix in live[depth].tokens} if depth < len(live) else set()
        )
        for tokens, score in zip(kept.tokens, kept.score):
            node = tuple(int(token) for token in tokens)
            scores[node] = float(score)
            colour = plots.COLOURS[0] if depth == len(live) or node in followed else "#999999"
            before, after = height[node[:-1]], height[node]
            axes.plot(
                [depth - 1, depth],
                [before, after],
                color=colour,
                linewidth=0.6 + 5 * np.exp(score),
                solid_capstyle="round",
                zorder=1,
            )
            axes.plot(
                depth,
                after,
                "o" if colour == plots.COLOURS[0] else "x",
                color=colour,
                markersize=4,
                zorder=2,
            )
            step = np.exp(score - scores.get(node[:-1], 0.0))
            place = depth - 0.42, before + 0.58 * (after - before)
            axes.text(
                *place,
                f"{node[-1]}: {step:.2f}",
                fontsize=7,
                color=plots.INK,
                ha="center",
                va="bottom",
                bbox=_HALO,
            )
    axes.plot(0, height[()], "o", color=plots.INK, markersize=6)
    for tokens, score, answer in zip(live[-1].tokens, live[-1].score, answers):
        told = answer if len(answer) <= MOST_TOLD else answer[: MOST_TOLD - 1] + "…"
        node = tuple(int(token) for token in tokens)
        axes.text(
            len(live) + 0.06,
            height[node],
            f"{np.exp(score):.3f}  {plots.plain(told, MOST_TOLD)}",
            fontsize=8,
            color=plots.INK,
            va="center",
        )
    axes.set_xlim(-0.1, len(live) + 1.6)
    best = int(np.argmax(live[-1].score))
    found = f"“{plots.plain(query, MOST_TOLD)}” → {plots.plain(answers[best], MOST_TOLD)}, with probability {np.exp(live[-1].score[best]):.2f}"
    return plots.save(drawn, axes, path, title or found, legend=None)


_HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.7}


def _heights(live: Sequence[Kept]) -> dict[tuple, float]:
    """Of every node that was kept: leaves one below the other, in the order of a walk; a parent in the middle of its children."""
    children: dict[tuple, list[tuple]] = {}
    for kept in live:
        for tokens in kept.tokens:
            node = tuple(int(token) for token in tokens)
            children.setdefault(node[:-1], []).append(node)
    height, row = {}, 0

    def walk(node: tuple) -> float:
        nonlocal row
        if node not in children:
            height[node] = -float(row)
            row += 1
        else:
            below = [walk(child) for child in children[node]]
            height[node] = (below[0] + below[-1]) / 2
        return height[node]

    walk(())
    return height


def _runs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows [N, ...] that stand in groups: number of each row's group, and the first row of each group."""
    rows = rows.reshape(len(rows), -1)
    new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])
    return np.cumsum(new) - 1, np.flatnonzero(new)


def _ring(
    axes, level: int, first: np.ndarray, num: int, colours: np.ndarray, *, width: float = RING
) -> None:
    ends = np.append(first, num)
    _wedges(axes, HOLE + RING * level, width, ends / num, colours)


def _wedges(axes, inner: float, width: float, turns: np.ndarray, colours: np.ndarray) -> None:
    from matplotlib import collections, patches

    shapes = [
        patches.Wedge(
            (0, 0), inner + width, 90 - 360 * turns[i + 1], 90 - 360 * turns[i], width=width
        )
        for i in range(len(turns) - 1)
    ]
    # a narrow node would be all edge
    edges = np.where((np.diff(turns) >= LEAST_ARC)[:, None], 1.0, colours)
    axes.add_collection(
        collections.PatchCollection(shapes, facecolors=colours, edgecolors=edges, linewidths=0.3)
    )


def _edge(axes, level: int, first: int, last: int, num: int) -> None:
    from matplotlib import patches

    inner = HOLE + RING * level
    axes.add_patch(
        patches.Wedge(
            (0, 0),
            inner + RING,
            90 - 360 * last / num,
            90 - 360 * first / num,
            width=RING,
            fill=False,
            edgecolor="black",
            linewidth=1.6,
        )
    )
