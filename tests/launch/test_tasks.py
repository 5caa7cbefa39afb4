"""Documents and measures of t5x's answers; tests that need SeqIO are in test_t5x.py."""

import numpy as np
import pytest

from zoo import records
from zoo.exchange import exported
from zoo.launch import tasks
from zoo.metrics import measures


def test_measures_equal_those_of_the_zoo():
    rng = np.random.default_rng(0)
    answers = np.stack([rng.permutation(30)[:20] for _ in range(50)])  # best first
    relevant = [rng.choice(30, size=rng.integers(1, 4), replace=False).tolist() for _ in range(50)]
    names = tuple(map(str, range(50)))
    ranking = records.Ranking(
        names,
        tuple(map(str, range(30))),
        answers.astype(np.int32),
        np.tile(-np.arange(20, dtype=np.float32), (50, 1)),
    )
    qrels = records.Qrels(
        {name: {str(row): 1 for row in rows} for name, rows in zip(names, relevant)}
    )
    expected = measures.evaluate(
        ranking, qrels, ("Success@1", "Success@5", "Success@10", "Success@20", "RR@10")
    )
    found = tasks.hits_and_mrr(relevant, answers[:, ::-1].tolist())
    assert list(found) == ["hits@1", "hits@5", "hits@10", "hits@20", "mrr@10"], (
        "no cut beyond the answers"
    )
    assert list(found.values()) == pytest.approx([expected[name] for name in list(expected)[:5]])
    assert tasks.hits_and_mrr(relevant, answers.tolist()) != found  # control: the order matters


def test_identifiers_become_rows_and_invalid_ones_none(export):
    ids = exported.read(export).docids()
    rows = tasks.rows_of(ids)
    filled = np.pad(ids.tokens, ((0, 0), (0, 2)))  # padded to the length of the batch, like in t5x
    assert tasks.documents_of(filled, rows=rows) == list(range(len(ids)))
    assert tasks.documents_of(np.zeros_like(filled[:2]), rows=rows) == [-1, -1]
    assert tasks.documents_of(filled[3], rows=rows) == [3]
    assert tasks.documents_of(
        None, rows=rows, is_target=True, example={"relevant": np.array([7, 2, -1])}
    ) == [7, 2]
