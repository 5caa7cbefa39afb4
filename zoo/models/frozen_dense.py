"""The state of systems that search the vectors of a frozen encoder."""

from __future__ import annotations

import json
from typing import Any

from zoo import records
from zoo.models import text_vectors


def fit(collection: records.Collection, config: Any, log: Any) -> dict:
    """State with "params" {"document" f32[N, D]}, "encoder" and ids; config: `vector_start.Frozen`.

    The encoder that was used goes to the facts of the log.
    """
    log.phase("vectors")
    found = text_vectors.fit(collection.corpus, config.encoder, log, width=config.encoder_width)
    log.facts |= {"encoder": found.state["how"]}
    return {
        "params": {"document": found.documents},
        "encoder": found.state,
        "corpus_ids": json.dumps(collection.corpus.ids),
    }
