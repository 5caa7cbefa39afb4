"""The tree of codes as rows of nodes, coloured by the labels of their documents."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zoo.report import figures

# the palette, and darker shades of it
COLOURS = (
    *figures.COLOURS[:6],
    *("#004C78", "#8F3F00", "#006B4E", "#8A4E6E", "#9E6D00", "#2A7CA8"),
)


def code_tree(
    codes: np.ndarray, labels: Sequence[str], path: str | os.PathLike, *, title: str | None = None
) -> pathlib.Path:
    """Saves the tree of codes as rows of nodes, the root's children on top; returns the path.

    A column is a document. A node is as wide as it has documents, in the colour of their most
    common label, paler if fewer of them have it. Nodes of one label stand together. The last row
    shows each document's own label.

    codes: i[N, L]; labels: N. title: the finding; by default how well first codes predict labels.
    """
    found = majorities(codes, labels)
    rows = found.colours
    drawn, (axes,) = figures.figure("documents, in the order of the tree", "level of the code")
    image = np.stack(rows)[:, found.order]
    axes.imshow(
        image, aspect="auto", interpolation="nearest", extent=(0, len(codes), len(rows) + 0.5, 0.5)
    )
    axes.grid(False)
    axes.set_yticks(range(1, len(rows) + 1), [*map(str, range(1, len(rows))), "itself"])
    for name, colour in found.legend:
        axes.plot([], [], "s", color=colour, label=figures.plain(name))
    return figures.save(drawn, axes, path, title or found.finding, legend="outside")


class Majorities(NamedTuple):
    """A tree of codes, coloured by labels."""

    order: np.ndarray  # i[N] documents in the order of the tree, nodes of one label together
    # per level f[N, 3], the colour of each document's node; the last is that of its own label
    colours: list[np.ndarray]
    legend: list[tuple[str, np.ndarray]]  # label and its colour, the most common first
    finding: str  # how well first codes predict labels


def majorities(codes: np.ndarray, labels: Sequence[str]) -> Majorities:
    """Colours of the nodes of codes i[N, L] by the most common label of their documents."""
    texts = np.asarray(labels, object).astype(str)
    names, row_name, counts = np.unique(texts, return_inverse=True, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    label = np.argsort(by_count)[row_name]  # 0 = the most common
    shown = [str(name) for name in names[by_count[: len(COLOURS)]]]
    levels = [_majority(codes[:, : level + 1], label) for level in range(codes.shape[1])]
    keys = [key for level, (major, _) in enumerate(levels) for key in (major, codes[:, level])]
    order = np.lexsort([label, *keys[::-1]])  # the last key, the first level's, sorts first
    palette = (
        np.array(
            [
                [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
                for colour in (*COLOURS[: len(shown)], "#999999")
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
    """The most common label of each row's node, i[N], the lowest of ties, and its share, f[N]."""
    _, node = np.unique(prefixes, axis=0, return_inverse=True)
    node = node.reshape(-1)
    (nodes, labels), counts = np.unique(np.stack([node, label]), axis=1, return_counts=True)
    order = np.lexsort([labels, -counts, nodes])
    first = order[np.searchsorted(nodes[order], np.arange(node.max() + 1))]
    return labels[first][node], (counts[first] / np.bincount(node))[node]


def _agreement(codes: np.ndarray, label: np.ndarray) -> str:
    share = _majority(codes[:, :1], label)[1].mean()
    chance = np.bincount(label).max() / len(label)
    return (
        f"{share:.0%} of documents have the most common label of their first code, "
        f"{chance:.0%} the most common of all"
    )
