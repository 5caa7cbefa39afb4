"""What the theorems predict for a fitted system: the cost of losing documents, and recall of beams.

`of_law` reads the network: r(d | q) of every document for a sample of queries, by the system's own
exact scorer (`theory.fitted`). `of_index` reads the identifiers only, with one relevance for all.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from theory import bounds, cuts, exact, fitted as fits, recall, worlds
from zoo.docids import table

SHARES = (0.9, 0.5, 0.1)
RECALLS = (0.5, 0.9, 0.99)
QUERIES, CORPORA = 16, 32  # sampled queries; random corpora per query and share


def of_index(
    ids: table.Docids,
    scores: np.ndarray | None = None,
    *,
    relevant: int = 10,
    keeps: Sequence[float] = SHARES,
    recalls: Sequence[float] = RECALLS,
) -> list[str]:
    """Lines of text.

    Args:
      ids: identifiers of the N documents.
      scores: f[N] >= 0, relevance of each document for a query, or an average over many queries;
        equal if None.
      relevant: k, how many of the best documents a query is to find.
      keeps: shares of documents, in (0, 1], that may stay while the model is not trained again.
      recalls: wanted, in (0, 1).

    Raises:
      ValueError: for values outside these ranges, and as `worlds.from_docids` does.
    """
    _check(relevant, ids)
    tree = worlds.from_docids(ids, scores)
    source = "as given" if scores is not None else "equal (a fitted folder has its model's)"
    return [
        *_shape(ids, tree),
        f"relevance: {source}; Simpson index by depth: {_listed(bounds.simpson_of(tree))}",
        "",
        "If only a share p of the documents stays and the decoder masks the others, the KL to the "
        "true posterior, in nats:",
        *_costs(tree, keeps),
        "  decoding=counted adds the log of the documents below each child and removes what sizes "
        "explain; look-ahead removes it all.",
        "",
        *_first_beam(tree, relevant, recalls, known=scores is not None),
        "  decoding=best-first or max-marginal finds the exact top k whatever the signal, at the "
        "cost that their docstrings state.",
    ]


def of_law(
    system: fits.System,
    source: np.ndarray,
    *,
    relevant: int = 10,
    keeps: Sequence[float] = SHARES,
    beams: Sequence[int] | None = None,
) -> list[str]:
    """Lines of text on a fitted network, means over the queries source i32[B, S].

    relevant: k. beams: widths whose recall of the model's own top k is measured by the system's
    own search; k, 2 k and 5 k if None.

    Raises:
      ValueError: as `of_index`.
    """
    _check(relevant, system.ids)
    log, on_documents = fits.log_relevance(system, source)
    trees = fits.trees(system, log)
    simpson = np.mean([bounds.simpson_of(tree) for tree in trees], axis=0)
    return [
        *_shape(system.ids, trees[0]),
        f"relevance: r(d | q) by the fitted network, means over {len(trees)} queries; "
        f"{100 * on_documents.mean():.1f} % of the model's mass is on identifiers that exist",
        f"Simpson index by depth: {_listed(simpson)}; the best document has "
        f"{100 * np.exp(log.max(1)).mean():.0f} % of the mass",
        "",
        "If only a share p of the documents stays and the model is not trained again, KL in nats "
        "to the model's law over what stays:",
        *(line for keep in keeps for line in _cut(trees, keep, system.ids)),
        "  look-ahead: KL 0 and no flips, at the cost of a score for every document.",
        "",
        *_measured_beams(system, source, log, relevant, beams),
    ]


def of_folder(
    folder: str | os.PathLike,
    scores: str | os.PathLike | None = None,
    *,
    data: str | None = None,
    queries: int = QUERIES,
    relevant: int = 10,
    keeps: Sequence[float] = SHARES,
    recalls: Sequence[float] = RECALLS,
) -> list[str]:
    """`of_law` for a folder that `zoo fit --out` wrote; `of_index` with scores.

    Args:
      folder: of a system that generates identifiers.
      scores: a .npy file f[N] in the order of the corpus.
      data: name or folder of the collection whose dev queries are asked; titles of documents if
        None, and histories of one item for a recommender.
      queries: number of them.
      relevant: as in `of_index`, like keeps and recalls.
      keeps: shares of documents.
      recalls: wanted; they need `scores` or are read off the first level of the network's law.

    Raises:
      ValueError: if the folder holds no such system or the scores do not fit.
    """
    system = fits.open(folder)
    if scores is not None:
        try:
            values = np.load(pathlib.Path(scores), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{scores}: expected a .npy file of {len(system.ids)} numbers, got {error}"
            ) from None
        return of_index(system.ids, values, relevant=relevant, keeps=keeps, recalls=recalls)
    if queries < 1:
        raise ValueError(f"explain: expected at least one query, got {queries}")
    source = fits.sources(system, fits.example_queries(system, data, queries))
    return of_law(system, source, relevant=relevant, keeps=keeps)


def _check(relevant: int, ids: table.Docids) -> None:
    if not 1 <= relevant <= len(ids):
        raise ValueError(
            f"explain: expected relevant from 1 to {len(ids)}, the number of documents, "
            f"got {relevant}"
        )


def _shape(ids: table.Docids, tree: worlds.Tree) -> list[str]:
    shape = ", ".join(f"{len(mass):,}" for mass in tree.masses[1:])
    return [
        f"{len(ids):,} documents, identifiers of up to {tree.depth} tokens; prefixes at each "
        f"depth: {shape}"
    ]


def _listed(values: np.ndarray, digits: str = ".3g") -> str:
    return ", ".join(f"{value:{digits}}" for value in values)


def _costs(tree: worlds.Tree, keeps: Sequence[float]) -> list[str]:
    lines = []
    for keep in keeps:
        steps = exact.expected_kl_of(tree, keep)
        total = steps.sum()
        parts = " + ".join(f"{step:.4f}" for step in steps)
        lines.append(
            f"  p = {keep:g}: {total:.4f} = {parts} over the steps; a perplexity ratio of "
            f"{np.exp(total):.3f}"
        )
    return lines


def _cut(trees: Sequence[worlds.Tree], keep: float, ids: table.Docids) -> list[str]:
    """Exact KL of masking; counts, and flips of the best document, over sampled corpora."""
    steps = np.mean([exact.expected_kl_of(tree, keep) for tree in trees], axis=0)
    uniform = exact.expected_kl_of(worlds.from_docids(ids), keep).sum()
    sampled = [
        cuts.losses(tree, cuts.draw(len(ids), keep, CORPORA, seed))
        for seed, tree in enumerate(trees)
    ]
    masked, counted = (
        np.sum([getattr(one, name).sum() for one in sampled]) for name in ("kl", "counted_kl")
    )
    saved = 100 * (1 - counted / masked) if masked > 0 else 0.0
    flips, fewer = (np.mean([getattr(one, f) for one in sampled]) for f in FLIPS)
    parts = " + ".join(f"{step:.4f}" for step in steps)
    ratio = f"{steps.sum() / uniform:.1f} x" if uniform > 0 else "not 0 like"
    return [
        f"  p = {keep:g}: {steps.sum():.4f} = {parts} over the steps, {ratio} that of equal "
        f"relevance; counted removes {saved:.0f} %",
        f"    the most probable document is not the best one that stayed: masked "
        f"{100 * flips:.1f} %, counted {100 * fewer:.1f} % of queries",
    ]


FLIPS = "flips", "counted_flips"


def _measured_beams(
    system: fits.System,
    source: np.ndarray,
    log: np.ndarray,
    relevant: int,
    beams: Sequence[int] | None,
) -> list[str]:
    best = np.argsort(-log, axis=1, kind="stable")[:, :relevant]
    documents = system.ids.documents[best]
    widths = [min(w, len(system.ids)) for w in beams or (relevant, 2 * relevant, 5 * relevant)]
    lines = [f"Recall of the model's own top {relevant} by the system's search:"]
    for decoding, width in [*(("trie", w) for w in dict.fromkeys(widths)), ("max-marginal", 0)]:
        found = fits.found(system, source, relevant, decoding=decoding, beam=width or relevant)
        share = (found[:, :, None] == documents[:, None, :]).any(1).mean()
        lines.append(f"  {decoding}, beam {width or relevant}: {share:.3f}")
    return lines


def _first_beam(
    tree: worlds.Tree, relevant: int, recalls: Sequence[float], *, known: bool
) -> list[str]:
    """What a beam keeps after the first token, from the limit law (T8)."""
    mass = tree.masses[1]
    held = np.zeros(len(mass), bool)
    best = np.argsort(-tree.relevance, kind="stable")[:relevant]
    branch = np.arange(len(tree.relevance))
    for parent in reversed(tree.parents[1:]):
        branch = parent[branch]
    held[branch[best]] = True
    share = held.mean()
    if not known or held.all() or (~held).sum() < 2:
        snr, why = 0.0, "no signal is assumed: prefixes of relevant documents look like the others"
        share = min(relevant, len(mass)) / len(mass)
    else:
        spread = mass[~held].std(ddof=1)
        snr = float((mass[held].mean() - mass[~held].mean()) / spread) if spread > 0 else np.inf
        why = (
            f"the best {relevant} documents lie in {held.sum()} of {len(mass)} first tokens, "
            f"{snr:.2f} standard deviations above the others"
        )
    lines = [f"Beam search after the first token: {why}."]
    if not np.isfinite(snr):
        return lines
    now = recall.recall_limit(share, max(snr, 0), min(1.0, relevant / len(mass)))
    lines.append(f"  a beam of {relevant} keeps about {100 * now:.0f} % of the relevant prefixes")
    for wanted in recalls:
        width = recall.width_for_recall(share, max(snr, 0), wanted) * len(mass)
        lines.append(
            f"  recall {wanted:g} takes a beam of about {int(np.ceil(width)):,} of the "
            f"{len(mass):,} first tokens"
        )
    return lines
