"""The style of all figures: palette, axes, and saving as PNG with the finding as the title.

Only matplotlib's figure objects are used: no window and no global state, so a figure can be drawn
from any thread or notebook.
"""

from __future__ import annotations

import os
import pathlib
import warnings
from typing import Any

import numpy as np

from zoo.data import atomic

# Okabe and Ito's palette, distinct for any kind of colour vision; dashes for print without colour
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":")
INK, GRID, SHADE = "#333333", "#DDDDDD", "#F2F2F2"


def figure(
    xlabel: str | None,
    ylabel: str | None,
    *,
    size: tuple[float, float] = (6.4, 4.0),
    shape: tuple[int, int] = (1, 1),
) -> tuple[Any, list[Any]]:
    """A figure and its axes, row by row.

    xlabel, ylabel: of all axes. size: inches. shape: rows and columns of axes.
    """
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


def line(axes: Any, x: np.ndarray, y: np.ndarray, name: str, number: int) -> None:
    """Draws a line in the colour and the dashes of its number."""
    axes.plot(
        x,
        y,
        label=name,
        color=COLOURS[number % len(COLOURS)],
        linestyle=DASHES[number % len(DASHES)],
        linewidth=2,
    )


def save(
    drawn: Any, axes: Any, path: str | os.PathLike, title: str, *, legend: str | None
) -> pathlib.Path:
    """Saves a figure of one panel with its title and legend; returns the path."""
    axes.set_title(title, color=INK, fontsize=11, loc="left", wrap=True)
    if legend == "outside":
        axes.legend(
            loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=INK, fontsize=8
        )
    elif legend:
        axes.legend(loc=legend, frameon=False, labelcolor=INK)
    return _save(drawn, path, title)


def write(drawn: Any, path: str | os.PathLike, title: str = "") -> pathlib.Path:
    """Saves a figure atomically as PNG, with a title over its panels; returns the path."""
    if title:
        drawn.suptitle(title, color=INK, fontsize=11, x=0.01, ha="left")
    return _save(drawn, path, title)


def about(title: str) -> dict[str, str]:
    """Metadata of a PNG: its title, so that a page can print it under the picture."""
    return {"Title": title.replace(r"\$", "$")}


def plain(text: str, most: int = 32) -> str:
    """A label that matplotlib shows literally: dollars, a first underscore, and not too long."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _save(drawn: Any, path: str | os.PathLike, title: str) -> pathlib.Path:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path, "wb") as out, warnings.catch_warnings():
        # characters that no font has are drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        drawn.savefig(out, format="png", facecolor="white", metadata=about(title))
    return path
