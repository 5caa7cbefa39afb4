"""Figures of claims and sweeps in the style of `zoo.report.plots`; titles state the finding."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from theory import claims, cuts, exact, worlds
from zoo.data import atomic
from zoo.docids import table
from zoo.report import figures

SIZE = (7.2, 4.2)  # inches


def of_claim(claim: claims.Claim, check: claims.Check, key: jax.Array, n: int) -> bytes:
    """PNG of a claim: its figure, or predictions against measurements. n: draws per point."""
    with _axes(claim.title) as (axes, picture):
        if claim.figure is not None:
            claim.figure(axes, key, n)
        else:
            _cases(axes, check)
        return picture()


def of_law(name: str, ids: table.Docids, trees: Sequence[worlds.Tree]) -> bytes:
    """PNG of the KL of masking over the share of documents that stay, for a fitted law.

    trees: of the queries. The curves: exact, of equal relevance, and of the count correction over
    drawn corpora.
    """
    keeps = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.97])
    uniform = worlds.from_docids(ids)
    total = lambda tree: [exact.expected_kl_of(tree, keep).sum() for keep in keeps]
    law = np.array([total(tree) for tree in trees])
    counted = [
        np.mean(
            [
                cuts.losses(tree, cuts.draw(len(ids), keep, 16, seed)).counted_kl.sum()
                for seed, tree in enumerate(trees)
            ]
        )
        for keep in keeps
    ]
    with _axes(f"{name}: what a cut corpus costs its law") as (axes, picture):
        for row in law:
            axes.plot(keeps, row, color=figures.GRID, linewidth=0.8)
        axes.plot(keeps, law.mean(0), "o-", label=f"mean of {len(trees)} queries (grey), masked")
        axes.plot(keeps, counted, "s--", label="with counts")
        axes.plot(keeps, total(uniform), "k:", label="equal relevance, masked")
        axes.set(xlabel="share p of the documents that stay", ylabel="KL (nats)", ylim=(0, None))
        axes.legend()
        return picture()


def sweep(
    rows: Sequence[Mapping[str, float]], along: str, title: str, path: str | os.PathLike
) -> None:
    """Saves predicted and measured values over one parameter, one line per setting of the others.

    rows: {parameter: value, ..., "predicted": ., "measured": ., "stderr": .}.
    """
    others = [
        name
        for name in rows[0]
        if name not in (along, "step", "predicted", "measured", "stderr", "agrees")
    ]
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault((tuple(row[name] for name in others), row.get("step", 0)), []).append(row)
    with _axes(title) as (axes, picture):
        for number, ((setting, step), members) in enumerate(groups.items()):
            x = [row[along] for row in members]
            colour = figures.COLOURS[number % len(figures.COLOURS)]
            label = ", ".join(
                [
                    *(f"{name} = {value}" for name, value in zip(others, setting)),
                    *([f"entry {step}"] if step else []),
                ]
            )
            axes.plot(
                x, [row["predicted"] for row in members], color=colour, label=label or "predicted"
            )
            axes.errorbar(
                x,
                [row["measured"] for row in members],
                [4 * row["stderr"] for row in members],
                fmt=".",
                color=colour,
            )
        axes.set(xlabel=along, ylabel="predicted (line), measured with 4 s.e. (points)")
        if len(groups) <= 10:
            axes.legend()
        content = picture()
    with atomic.file(path, "wb") as out:
        out.write(content)


def _cases(axes, check: claims.Check) -> None:
    predicted = np.concatenate([row.predicted for row in check.rows])
    found = np.concatenate([np.atleast_1d(row.found.mean) for row in check.rows])
    errors = np.concatenate([np.atleast_1d(row.found.stderr) for row in check.rows])
    ends = min(predicted.min(), found.min()), max(predicted.max(), found.max())
    axes.plot(ends, ends, color=figures.INK, linewidth=0.8)
    axes.errorbar(predicted, found, claims.ERRORS * errors, fmt="o", markersize=4, alpha=0.8)
    axes.set(
        xlabel=f"predicted (measured should be {check.claim.relation})", ylabel="measured, 4 s.e."
    )


@contextlib.contextmanager
def _axes(title: str) -> Iterator[tuple]:
    """Axes, and a function that returns the PNG of the drawing."""
    import matplotlib
    from cycler import cycler
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    cycle = cycler(color=figures.COLOURS)
    with matplotlib.rc_context(
        {
            "axes.prop_cycle": cycle,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
        }
    ):
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="white")
        backend_agg.FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.grid(color=figures.GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_title(_wrapped(title), loc="left", fontsize=11)

        def picture() -> bytes:
            out = io.BytesIO()
            figure.savefig(out, format="png", dpi=110, metadata=figures.about(title))
            return out.getvalue()

        yield axes, picture


def _wrapped(text: str, width: int = 84) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
