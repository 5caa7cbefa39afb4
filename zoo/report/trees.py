"""Figures of a tree of identifiers: rings coloured by label, and the path of a beam through it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.report import code_tree, figures

HOLE, RING = 0.6, 1.0  # radius of the middle, width of a ring
LEAST_ARC = 0.002  # turns; narrower nodes are drawn without an edge
MOST_LETTERS = 60  # of an answer


class Kept(NamedTuple):
    """The hypotheses of a beam at one depth for one query, best first."""

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
    """Saves the tree of codes as rings, the first level innermost; returns the path.

    The arc of a node is proportional to its documents, in the colour of their most common label,
    paler if fewer of them have it; the outermost ring shows each document's own label.

    codes: i[N, L]; labels: N. marked: prefixes whose nodes get a dark edge, as those of a beam.
    title: the finding; by default how well first codes predict labels.
    Raises ValueError for a marked prefix that no document has.
    """
    found = code_tree.majorities(codes, labels)
    drawn, (axes,) = figures.figure(None, None, size=(7.2, 5.4))
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
                f"sunburst: expected marked prefixes of the codes, got {tuple(prefix)}, which no "
                "document has"
            )
        _edge(axes, len(prefix) - 1, rows[0], rows[-1] + 1, num)
    reach = HOLE + RING * (outer + 0.4)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.text(0, 0, f"{num:,}\ndocuments", ha="center", va="center", fontsize=8, color=figures.INK)
    for name, colour in found.legend:
        axes.plot([], [], "s", color=colour, label=figures.plain(name))
    return figures.save(drawn, axes, path, title or found.finding, legend="outside")


def beam_path(
    levels: Sequence[Kept],
    answers: Sequence[str],
    path: str | os.PathLike,
    *,
    query: str,
    title: str | None = None,
) -> pathlib.Path:
    """Saves the hypotheses of a beam as a tree from left to right; returns the path.

    A line is thicker if its prefix is more probable; a number is the probability of a token given
    the prefix before it. Hypotheses without a surviving continuation end in a cross.

    Args:
      levels: depth 1 .. L, as `zoo.search.beam.beam_prefixes` returns them for one query.
      answers: names of the last level's hypotheses.
      path: the file.
      query: for the title.
      title: the finding; by default the first answer and its probability.

    Raises:
      ValueError: no hypothesis reached the last depth, or the answers are not as many as those.
    """
    alive = [np.isfinite(kept.score) for kept in levels]
    live = [Kept(kept.tokens[which], kept.score[which]) for kept, which in zip(levels, alive)]
    if not live or not len(live[-1].score):
        raise ValueError(
            "beam_path: expected at least one hypothesis that reached the last depth, got none"
        )
    if len(answers) != len(live[-1].score):
        raise ValueError(
            f"beam_path: expected a name for each of {len(live[-1].score)} answers, "
            f"got {len(answers)}"
        )
    height = _heights(live)
    size = (9.6, 0.9 + 0.36 * max(len(kept.score) for kept in live))
    drawn, (axes,) = figures.figure(None, None, size=size)
    axes.set_axis_off()
    _draw_steps(axes, live, height)
    axes.plot(0, height[()], "o", color=figures.INK, markersize=6)
    for node, score, answer in zip(_nodes(live[-1]), live[-1].score, answers):
        name = figures.plain(_cut(answer), MOST_LETTERS)
        words = {"fontsize": 8, "color": figures.INK, "va": "center"}
        axes.text(len(live) + 0.06, height[node], f"{np.exp(score):.3f}  {name}", **words)
    axes.set_xlim(-0.1, len(live) + 1.6)
    best = int(np.argmax(live[-1].score))
    found = (
        f"“{figures.plain(query, MOST_LETTERS)}” → {figures.plain(answers[best], MOST_LETTERS)}, "
        f"with probability {np.exp(live[-1].score[best]):.2f}"
    )
    return figures.save(drawn, axes, path, title or found, legend=None)


def _draw_steps(axes: Any, live: Sequence[Kept], height: Mapping[tuple, float]) -> None:
    """Draws a line per hypothesis and depth, with the probability of its token."""
    scores: dict[tuple, float] = {(): 0.0}
    for depth, kept in enumerate(live, start=1):
        last = depth == len(live)
        followed = set() if last else {node[:depth] for node in _nodes(live[depth])}
        for node, score in zip(_nodes(kept), kept.score):
            scores[node] = float(score)
            survives = last or node in followed
            colour = figures.COLOURS[0] if survives else "#999999"
            before, after = height[node[:-1]], height[node]
            axes.plot(
                [depth - 1, depth],
                [before, after],
                color=colour,
                linewidth=0.6 + 5 * np.exp(score),
                solid_capstyle="round",
                zorder=1,
            )
            mark = "o" if survives else "x"
            axes.plot(depth, after, mark, color=colour, markersize=4, zorder=2)
            step = np.exp(score - scores.get(node[:-1], 0.0))
            axes.text(
                depth - 0.42,
                before + 0.58 * (after - before),
                f"{node[-1]}: {step:.2f}",
                fontsize=7,
                color=figures.INK,
                ha="center",
                va="bottom",
                bbox=_HALO,
            )


def _nodes(kept: Kept) -> list[tuple[int, ...]]:
    return [tuple(int(token) for token in tokens) for tokens in kept.tokens]


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


_HALO = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.7}


def _heights(live: Sequence[Kept]) -> dict[tuple, float]:
    """Height of every node: leaves below each other in depth-first order, parents centred."""
    children: dict[tuple, list[tuple]] = {}
    for kept in live:
        for node in _nodes(kept):
            children.setdefault(node[:-1], []).append(node)
    height: dict[tuple, float] = {}
    row = 0

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
    """Number of each row's run of equal rows [N, ...], and the first row of each run."""
    rows = rows.reshape(len(rows), -1)
    new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])
    return np.cumsum(new) - 1, np.flatnonzero(new)


def _ring(
    axes: Any, level: int, first: np.ndarray, num: int, colours: np.ndarray, *, width: float = RING
) -> None:
    ends = np.append(first, num)
    _wedges(axes, HOLE + RING * level, width, ends / num, colours)


def _wedges(axes: Any, inner: float, width: float, turns: np.ndarray, colours: np.ndarray) -> None:
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


def _edge(axes: Any, level: int, first: int, last: int, num: int) -> None:
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
