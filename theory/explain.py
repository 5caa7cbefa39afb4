"""What the theorems predict for a fitted system: the cost of losing documents, and the beam that a recall takes."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from theory import bounds, exact, recall, worlds
from zoo.docids import table

SHARES = (0.9, 0.5, 0.1)
RECALLS = (0.5, 0.9, 0.99)


def of_index(
    ids: table.Docids,
    scores: np.ndarray | None = None,
    *,
    relevant: int = 10,
    keeps=SHARES,
    recalls=RECALLS,
) -> list[str]:
    """Lines that say it.

    Args:
      ids: identifiers of the N documents.
      scores: f[N] >= 0, relevance of each document for a query, or an average of many; all alike if None.
      relevant: k, how many of the best documents a query is to find.
      keeps: shares of documents, in (0, 1], that may stay while the model is not trained again.
      recalls: wanted, in (0, 1).

    Raises:
      ValueError: for values outside these ranges, and as `worlds.from_docids` does.
    """
    if not 1 <= relevant <= len(ids):
        raise ValueError(
            f"explain: expected relevant from 1 to {len(ids)}, the number of documents, got {relevant}"
        )
    tree = worlds.from_docids(ids, scores)
    sizes = [len(mass) for mass in tree.masses]
    shape = ", ".join(f"{size:,}" for size in sizes[1:])
    lines = [
        f"{len(ids):,} documents, identifiers of up to {tree.depth} tokens; prefixes at each depth: {shape}",
        f"relevance: {'as given' if scores is not None else 'the same for all (pass --scores for a model)'}; Simpson index by depth: "
        + ", ".join(f"{value:.4g}" for value in bounds.simpson_of(tree)),
        "",
        "If only a share p of the documents stays and the decoder masks the others, the KL to the true posterior, in nats:",
    ]
    for keep in keeps:
        steps = exact.expected_kl_of(tree, keep)
        told = " + ".join(f"{step:.4f}" for step in steps)
        lines.append(
            f"  p = {keep:g}: {steps.sum():.4f} = {told} over the steps; a perplexity ratio of {np.exp(steps.sum()):.3f}"
        )
    lines += [
        "  decoding=counted adds the log of the documents below each child and removes what sizes explain; look-ahead removes it all.",
        "",
    ]

    mass = tree.masses[1]
    held = np.zeros(len(mass), bool)
    best = np.argsort(-tree.relevance, kind="stable")[:relevant]
    branch = np.arange(len(tree.relevance))
    for parent in reversed(tree.parents[1:]):
        branch = parent[branch]
    held[branch[best]] = True
    share = held.mean()
    if scores is None or held.all() or (~held).sum() < 2:
        snr, why = 0.0, "no signal is assumed: prefixes of relevant documents look like the others"
        share = min(relevant, len(mass)) / len(mass)
    else:
        spread = mass[~held].std(ddof=1)
        snr = float((mass[held].mean() - mass[~held].mean()) / spread) if spread > 0 else np.inf
        why = f"the best {relevant} documents lie in {held.sum()} of {len(mass)} first tokens, {snr:.2f} standard deviations above the others"
    lines.append(f"Beam search after the first token: {why}.")
    if np.isfinite(snr):
        now = recall.recall_limit(share, max(snr, 0), min(1.0, max(relevant, 1) / len(mass)))
        lines.append(
            f"  a beam of {relevant} keeps about {100 * now:.0f} % of the relevant prefixes"
        )
        for wanted in recalls:
            width = recall.width_for_recall(share, max(snr, 0), wanted) * len(mass)
            lines.append(
                f"  recall {wanted:g} takes a beam of about {int(np.ceil(width)):,} of the {len(mass):,} first tokens"
            )
    lines.append(
        "  decoding=best-first or max-marginal finds the exact top k whatever the signal, at the cost that their docstrings tell."
    )
    return lines


def of_folder(
    folder: str | os.PathLike, scores: str | os.PathLike | None = None, **options
) -> list[str]:
    """`of_index` for a folder that `zoo fit --out` wrote; scores: a .npy file f[N] in the order of the corpus.

    Raises ValueError if the folder holds no generative system or the scores do not fit.
    """
    from zoo.api import fitted as stored

    fitted = stored.load(folder)
    if "docids" not in fitted.state:
        raise ValueError(
            f"{folder}: {fitted.name} has no identifiers; expected a generative system, such as dsi"
        )
    ids = table.unpack(fitted.state["docids"])
    values = None
    if scores is not None:
        try:
            values = np.load(pathlib.Path(scores), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{scores}: expected a .npy file of {len(ids)} numbers, got {error}"
            ) from None
    return of_index(ids, values, **options)
