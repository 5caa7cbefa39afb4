"""Table and figure of systems on a corpus that grows, beside the published values."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from zoo.api import dynamic as grown_
from zoo.metrics import dynamic
from zoo.report import figures


def text(systems: Sequence[grown_.Grown]) -> str:
    """Hit@10 on old and new queries at each step, F_n, GA_n, and what was published of NQ."""
    steps = len(systems[0].cells) - 1
    head = ["system", *(f"P{step}" for step in range(steps + 1))]
    head += [*(f"G{step + 1}" for step in range(steps)), "F_n (-BWT)", "GA_n (FWT)", "GA_n/P0"]
    head += ["ms/doc", "F_n NQ", "GA_n NQ"]
    rows = [head, *(_row(system) for system in systems)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    notes = [
        f"P_i: Hit@10 on {len(systems[0].cells[0].old['Success@10'])} queries of D0 after step i; "
        "G_i: on the queries of D_i. +- 95 % over queries. NQ: arXiv 2504.17519."
    ]
    shown = [_behaviour(system) for system in systems if system.cells[-1].behaviour]
    return "\n".join([*(line.rstrip() for line in lines), "", *notes, *agreement(systems), *shown])


def _behaviour(system: grown_.Grown) -> str:
    """The decoder on queries of new documents, in the mean of the steps."""
    seen = [cell.behaviour for cell in system.cells[1:]]
    old = np.mean([each["old_share"] for each in seen])
    spell = lambda name: " ".join(
        f"{np.mean(values):.2f}" for values in zip(*(each[name] for each in seen))
    )
    return (
        f"{system.name}, new documents: token accuracy by position {spell('accuracy')}, entropy "
        f"{spell('entropy')}, first answers that are older documents {old:.2f}"
    )


def agreement(systems: Sequence[grown_.Grown]) -> list[str]:
    """Which pairs of systems generalise in the published order, a line each kind; or nothing."""
    published = {row.system: row.generalisation for row in dynamic.PUBLISHED.values() if row.system}
    known = [system for system in systems if system.name in published]
    same, other = [], []
    for place, first in enumerate(known):
        for second in known[place + 1 :]:
            ours = first.generalisation()[0] - second.generalisation()[0]
            theirs = published[first.name] - published[second.name]
            (same if ours * theirs > 0 else other).append(f"{first.name}/{second.name}")
    if not known[1:]:
        return []
    return [
        f"GA_n in the published order: {len(same)} of {len(same) + len(other)} pairs"
        + (f"; not: {', '.join(other)}" if other else "")
    ]


def curves(systems: Sequence[grown_.Grown], path: str | os.PathLike, *, name: str) -> pathlib.Path:
    """Saves Hit@10 on the queries of D0 and on those of each new part by step; returns the path.

    name: of the collection.
    """
    steps = len(systems[0].cells) - 1
    drawn, (old, new) = figures.figure("parts added", "Hit@10", size=(8.4, 4.0), shape=(1, 2))
    for number, system in enumerate(systems):
        figures.line(old, np.arange(steps + 1), system.old(), system.name, number)
        figures.line(new, np.arange(1, steps + 1), system.new(), system.name, number)
    for axes, title in ((old, "queries of D0"), (new, "queries of the part just added")):
        axes.set_title(title, color=figures.INK, fontsize=10, loc="left")
        axes.set_ylim(0, 1)
        axes.set_xticks(range(steps + 1))
        axes.set_xlim(-0.2, steps + 0.2)
    new.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, labelcolor=figures.INK)
    best = max(systems, key=lambda system: system.generalisation()[0])
    title = f"{figures.plain(name)}: {best.name} finds new documents best, "
    return figures.write(drawn, path, f"{title}GA_n {best.generalisation()[0]:.3f}")


def _row(system: grown_.Grown) -> list[str]:
    forgot, new = system.forgetting(), system.generalisation()
    first = system.old()[0]
    row = [system.name, *(f"{hits:.3f}" for hits in (*system.old(), *system.new()))]
    row += [f"{value:.3f}+-{half:.3f}" for value, half in (forgot, new)]
    row += [f"{new[0] / first:.2f}" if first else "-", f"{1000 * system.seconds_a_document():.2f}"]
    found = [each for each in dynamic.PUBLISHED.values() if each.system == system.name]
    return row + ([f"{value:.3f}" for value in found[0][:2]] if found else ["-", "-"])
