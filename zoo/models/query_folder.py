"""A folder of a collection's documents with generated queries, in the BEIR layout."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax

from zoo import options as options_, records
from zoo.data import atomic, files
from zoo.models import query_filter, query_generator, warm_start
from zoo.train import log as logs

DRAWN = "drawn.jsonl"  # samples of an unfinished command, a batch per line


def write(
    collection: records.Collection,
    out: str | os.PathLike,
    *,
    count: int,
    options: Mapping[str, Any],
    seed: int,
    start: warm_start.Start | None = None,
    quiet: bool = False,
) -> records.Collection:
    """Trains a generator and writes a BEIR folder with its queries as the train split.

    Interrupted, the same call resumes, from a folder beside `out` with the suffix ".unfinished".
    """
    atomic.refuse_occupied(out)
    if count < 1:
        raise records.DataError(f"queries: expected a count of at least 1, got {count}")
    config = options_.replace(query_generator.Config(), options, system="queries")
    if start is not None:
        config = warm_start.configure("queries", config, options, start)
    collection = collection.without(*(split for split in collection.qrels if split != "train"))
    run = {
        "config": dataclasses.asdict(config),
        "seed": seed,
        "start": "" if start is None else start.digest,
        "data": _digest(collection),
    }
    work = pathlib.Path(f"{os.fspath(out).rstrip('/')}.unfinished")
    existed = work.exists()
    log = logs.Log(work, quiet=quiet, identity=json.dumps(run, sort_keys=True))
    try:
        state = query_generator.fit(collection, config, jax.random.key(seed), log, start)
        log.phase("queries")
        name = hashlib.sha256(f"{log.identity} {count}".encode()).hexdigest()[:8]
        texts, rows = query_generator.generate_queries(
            state,
            config,
            collection.corpus,
            count=count,
            seed=seed,
            log=log,
            kept=work / f"{name}-{DRAWN}",
        )
    except records.DataError:
        log.close()
        if not existed:  # bad input leaves nothing behind
            shutil.rmtree(work)
        raise
    finally:
        log.close()
    result = _collection(collection, texts, rows)
    files.write_beir(result, out)
    shutil.rmtree(work)
    note = query_filter.describe(log.facts["queries"])
    return dataclasses.replace(result, notes=(note,))


def _collection(
    collection: records.Collection, texts: list[str], rows: list[int]
) -> records.Collection:
    """The documents with generated queries as the train split."""
    names = tuple(f"g{number}" for number in range(len(texts)))
    grades = {query: {collection.corpus.ids[row]: 1} for query, row in zip(names, rows)}
    return records.Collection(
        f"{collection.name} generated",
        collection.corpus,
        records.Queries(names, tuple(texts)),
        {"train": records.Qrels(grades)},
    )


def _digest(collection: records.Collection) -> str:
    """First 16 hex digits of the SHA-256 of everything that a generator reads."""
    read = [
        collection.corpus.fingerprint(),
        collection.queries.ids,
        collection.queries.texts,
        [dict(qrels.grades) for qrels in collection.qrels.values()],
    ]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()[:16]
