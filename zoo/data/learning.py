"""Which splits a system learns from."""

from __future__ import annotations

import dataclasses

from zoo import records

KINDS = ("train", "train+dev", "all")
Data = records.Collection | records.Interactions


def select(collection: Data, kind: str) -> Data:
    """The collection that a system is fitted to.

    train       without test; dev is left to select checkpoints
    train+dev   dev is learned from too, to be evaluated on test: nothing selects checkpoints
    all         every split and the users too short for any, for use: nothing is left to evaluate

    Interactions of train+dev and all have no splits; of a collection, all judgements are those of
    train (a document that several splits judge keeps its highest grade).

    Raises DataError for another kind.
    """
    refuse_unknown(kind)
    if kind == "train":
        return collection.without("test")
    seen = collection if kind == "all" else collection.without("test")
    if isinstance(seen, records.Interactions):
        if kind == "all":
            return seen.everything()
        return dataclasses.replace(seen, held={}, times=None)
    merged: dict[str, dict[str, int]] = {}
    for qrels in seen.qrels.values():
        for query, documents in qrels.grades.items():
            grades = merged.setdefault(query, {})
            for document, grade in documents.items():
                grades[document] = max(grade, grades.get(document, grade))
    train = {"train": records.Qrels(merged)} if merged else {}
    return dataclasses.replace(seen, qrels=train).without()


def refuse_unknown(kind: str) -> None:
    """Raises DataError for a kind that does not exist."""
    if kind not in KINDS:
        raise records.DataError(f"learn: expected {', '.join(KINDS)}, got {kind!r}")


def includes(kind: str, split: str) -> bool:
    """Whether a system that learned `kind` has learned from a split."""
    return split == "train" or kind == "all" or (kind == "train+dev" and split == "dev")
