"""Draws docs/systems.png from the stored runs: `python benchmarks/picture.py`.

Hit@k of the tree and its peers on each measured collection, mean over seeds, from the ranks that
`benchmarks/results.py` stored in results/search/.
"""

from __future__ import annotations

import pathlib

import numpy as np

import results
from zoo.report import figures

PICTURE = results.ROOT / "docs" / "systems.png"
SHOWN = ("Tree", "Dense", "BM25 + train queries", "BM25", "DSI")


def curve(runs: list[dict]) -> np.ndarray:
    """f64[DEPTH] Hit@1 .. Hit@DEPTH, mean over runs."""
    ranks = np.array([run["ranks"] for run in runs])
    return np.array([((ranks > 0) & (ranks <= k)).mean() for k in range(1, results.DEPTH + 1)])


def main(path: pathlib.Path = PICTURE) -> pathlib.Path:
    """Draws a panel for each collection that has a run of the tree."""
    found = [
        (folder.name, results.stored(folder)[1])
        for folder in sorted(results.RESULTS.iterdir())
        if (folder / "collection.json").is_file()
    ]
    found = [(name, runs) for name, runs in found if SHOWN[0] in runs]
    size = (3.4 * len(found), 3.4)
    drawn, panels = figures.figure("answers looked at, k", None, size=size, shape=(1, len(found)))
    leads = 0
    for axes, (name, runs) in zip(panels, found):
        for number, system in enumerate(SHOWN):
            if system in runs:
                hits = curve(runs[system])
                figures.line(axes, np.arange(1, len(hits) + 1), hits, system, number)
        gain = {s: np.mean([run[results.DECIDES] for run in runs[s]]) for s in SHOWN if s in runs}
        leads += max(gain, key=lambda system: gain[system]) == SHOWN[0]
        axes.set_title(name, color=figures.INK, fontsize=10, loc="left")
        axes.set_ylim(0, 1)
        axes.set_xticks(range(1, results.DEPTH + 1))
    panels[0].set_ylabel("queries with a relevant answer (Hit@k)", color=figures.INK)
    panels[-1].legend(loc="lower right", frameon=False, labelcolor=figures.INK, fontsize=8)
    title = f"The tree has the best {results.DECIDES} of these on {leads} of {len(found)}"
    return figures.write(drawn, path, f"{title} collections")


if __name__ == "__main__":
    print(main())
