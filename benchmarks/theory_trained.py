"""Does the theory predict trained models? `python benchmarks/theory_trained.py toy clinc150=PATH`.

For each collection and recipe it fits a model, reads r(d | q) with the model's own exact scorer,
cuts the corpus to a share p of its documents and compares predictions from r alone with what the
system's own search does on the new trie, and with a model fitted anew to the documents that stayed.
One JSON file per cell in results/theory/trained/ is kept; a second run measures what is missing.
`--figure FILE.png` draws Hit@1 against p; the table is printed in any case.

Columns: KL in nats of masking and renormalising: predicted E KL (T3, `expected_kl_of`) against that
of one drawn corpus through the search; the same of the count correction (predicted by other drawn
corpora). top-1: share of queries whose best document that stayed (by the model) is the first answer
of a beam of one: predicted from r over other corpora of size p N, and measured through the search.
Hit@1: of queries whose relevant document stayed: masked beam of one, counted, look-ahead, the exact
top 1, and the model fitted anew (beam 10).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import tempfile

import numpy as np

import zoo
from theory import cuts, exact, fitted as fits
from zoo import records
from zoo.api import inputs

ROOT = pathlib.Path(__file__).parents[1]
KEPT = ROOT / "results" / "theory" / "trained"
RECIPES = "dsi", "nci", "genret", "tiger"
KEEPS = 0.9, 0.5, 0.2
FITTED_ANEW = 0.5, 0.2  # shares at which a model is fitted to the smaller corpus
QUERIES, CORPORA, SEED = 64, 16, 0
DECODERS = {"masked": "renormalised", "counted": "counted", "look-ahead": "lookahead"}


def main() -> None:
    """Measures what is missing, prints the table and draws the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", nargs="*", metavar="NAME[=PATH]", help="collections to measure")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--work", default=tempfile.gettempdir() + "/theory_trained")
    parser.add_argument("--figure", metavar="FILE.png")
    parsed = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    for text in parsed.data:
        name, _, path = text.partition("=")
        collection = inputs.load_data(path or name)
        for recipe in parsed.recipes:
            if isinstance(collection, records.Interactions) == (recipe == "tiger"):
                work = pathlib.Path(parsed.work) / f"{recipe}-{name}"
                _cell(recipe, name, collection, parsed.size, work)
    rows = [json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))]
    print_table(rows)
    if parsed.figure:
        draw(rows, parsed.figure)


def _cell(recipe: str, name: str, collection, size: str, work: pathlib.Path) -> None:
    path = KEPT / f"{recipe}-{name}.json"
    if path.exists():
        return
    done = (work / "fit.json").exists()
    model = zoo.load(work) if done else zoo.fit(recipe, collection, size=size, out=work)
    system = fits.open(model)
    ordered = inputs.in_fitted_order(model, collection)
    queries, qrels = ordered.split("test")
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(queries))[:QUERIES])
    queries = queries.take(chosen)
    rows = model.documents.rows()
    answers = [{rows[d] for d in qrels.grades[q] if d in rows} for q in queries.ids]
    source = fits.sources(system, queries)
    log, mass = fits.log_relevance(system, source)
    trees = fits.trees(system, log)
    cell = {
        "recipe": recipe,
        "collection": name,
        "size": size,
        "documents": len(system.ids),
        "queries": len(queries),
        "steps": _steps(model),
        "on_documents": float(mass.mean()),
        "hit1_full": _hit(log.argmax(1), answers),
        "cuts": [],
    }
    for keep in KEEPS:
        one = _cut(system, source, log, trees, answers, keep)
        if recipe != "tiger" and keep in FITTED_ANEW:
            one["hit1_retrained"] = _retrained(recipe, size, ordered, one["rows"], answers, queries)
        del one["rows"]
        cell["cuts"].append(one)
        print(recipe, name, one, flush=True)
    path.write_text(json.dumps(cell, indent=1) + "\n")


def _steps(model) -> int:
    return max((int(row.get("step", 0)) for row in model.history), default=0)


def _cut(system, source, log, trees, answers, keep: float) -> dict:
    """Predictions and measurements of one drawn corpus of a share of the documents."""
    kept = cuts.draw(len(system.ids), keep, 1, seed=SEED)[0]
    drawn = cuts.draw(len(kept), keep, CORPORA, seed=SEED + 1)
    losses = [cuts.losses(tree, drawn) for tree in trees]
    top1 = [cuts.top1(tree, drawn, width=1) for tree in trees]
    best = np.where(kept, log, -np.inf).argmax(1)
    stayed = np.array([bool(kept[list(rows)].any()) for rows in answers])
    here = [{row for row in rows if kept[row]} for rows in answers]
    one: dict = {
        "keep": keep,
        "stayed": int(stayed.sum()),
        "kl_predicted": float(np.mean([exact.expected_kl_of(tree, keep).sum() for tree in trees])),
        "kl_counted_predicted": float(np.mean([loss.counted_kl.sum() for loss in losses])),
        "hit1_exact": _hit(best[stayed], [here[i] for i in np.flatnonzero(stayed)]),
        "rows": kept,
    }
    posterior = np.where(kept, log, -np.inf)
    posterior = posterior - np.logaddexp.reduce(posterior, axis=1, keepdims=True)
    for name, column in (("renormalised", "kl_measured"), ("counted", "kl_counted_measured")):
        law = fits.kept_law(system, source, kept, name)[:, kept]
        one[column] = float(np.mean((np.exp(law) * (law - posterior[:, kept])).sum(1)))
    for name, decoding in DECODERS.items():
        numpy_name = {"look-ahead": "exact"}.get(name, name)
        one[f"top1_{name}_predicted"] = float(np.mean([top[numpy_name] for top in top1]))
        found = _first(system, source, decoding, kept)
        one[f"top1_{name}"] = float(np.mean(found == best))
        one[f"hit1_{name}"] = _hit(found[stayed], [here[i] for i in np.flatnonzero(stayed)])
    return one


def _first(system, source, decoding: str, kept: np.ndarray) -> np.ndarray:
    return fits.found(system, source, 1, decoding=decoding, beam=1, kept=kept)[:, 0]


def _hit(first: np.ndarray, answers) -> float:
    return float(np.mean([row in rows for row, rows in zip(first, answers)])) if len(first) else 0.0


def _retrained(recipe, size, collection, kept, answers, queries) -> float:
    """Hit@1 of a model fitted to the documents that stayed, on the queries that they answer."""
    corpus = collection.corpus
    rows = np.flatnonzero(kept)
    columns = (corpus.ids, corpus.titles, corpus.texts)
    smaller = records.Corpus(*(tuple(column[row] for row in rows) for column in columns))
    left = set(smaller.ids)
    qrels = {split: judged.among(left) for split, judged in collection.qrels.items()}
    qrels = {split: judged for split, judged in qrels.items() if judged.grades}
    part = dataclasses.replace(collection, corpus=smaller, qrels=qrels)
    fresh = zoo.fit(recipe, part, size=size)
    stayed = [i for i, own in enumerate(answers) if kept[list(own)].any()]
    asked = queries.take(stayed)
    found = zoo.open(fresh)(asked, 1)
    names = [fresh.documents.ids[row] if row >= 0 else "" for row in found.documents[:, 0]]
    own = [{corpus.ids[row] for row in answers[i] if kept[row]} for i in stayed]
    return float(np.mean([name in ids for name, ids in zip(names, own)]))


def print_table(rows: list[dict]) -> None:
    """One line per cell and share."""
    print(
        "recipe collection N steps | p | KL masked predicted measured | counted | top-1 of a beam "
        "of one: masked, counted, look-ahead, predicted/measured | Hit@1 masked counted look-ahead "
        "exact retrained"
    )
    for row in rows:
        for cut in row["cuts"]:
            pairs = ", ".join(
                f"{cut[f'top1_{name}_predicted']:.2f}/{cut[f'top1_{name}']:.2f}"
                for name in DECODERS
            )
            hits = [cut[f"hit1_{name}"] for name in DECODERS] + [cut["hit1_exact"]]
            again = cut.get("hit1_retrained")
            hits_text = " ".join(f"{hit:.2f}" for hit in hits)
            print(
                f"{row['recipe']:7} {row['collection']:10} {row['documents']:5} {row['steps']:5} | "
                f"{cut['keep']:.1f} | {cut['kl_predicted']:.4f} {cut['kl_measured']:.4f} | "
                f"{cut['kl_counted_predicted']:.4f} {cut['kl_counted_measured']:.4f} | {pairs} | "
                f"{hits_text} {'-' if again is None else f'{again:.2f}'}"
            )


def draw(rows: list[dict], path: str) -> None:
    """Hit@1 against p, a panel per cell; the gap from look-ahead to masked is decoys."""
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    across = 3
    down = -(-len(rows) // across)
    figure = Figure(figsize=(4 * across, 3 * down), layout="constrained")
    backend_agg.FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(down, across, squeeze=False)).reshape(-1)
    for axes, row in zip(panels, rows):
        keeps = [cut["keep"] for cut in row["cuts"]]
        column = lambda name, row=row: [cut[f"hit1_{name}"] for cut in row["cuts"]]
        masked, ahead = column("masked"), column("look-ahead")
        axes.fill_between(keeps, masked, ahead, color="C3", alpha=0.25, label="decoys")
        for name in ("masked", "counted", "look-ahead", "exact"):
            axes.plot(keeps, column(name), "o-", markersize=3, label=name)
        anew = [
            (cut["keep"], cut["hit1_retrained"]) for cut in row["cuts"] if "hit1_retrained" in cut
        ]
        if anew:
            axes.plot(*zip(*anew), "ks--", markersize=3, label="fitted anew")
        axes.set_title(f"{row['recipe']}, {row['collection']} (N = {row['documents']:,})")
        axes.set(xlabel="share p of the documents that stayed", ylabel="Hit@1", ylim=(0, 1))
    for axes in panels[len(rows) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
