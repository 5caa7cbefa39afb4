"""SeqIO tasks of an exported system: a mixture of training examples, a retrieval task with metrics.

SeqIO and TensorFlow are imported lazily, so that the configurations can be checked without them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.docids import table
from zoo.exchange import exported
from zoo.text import tokens

CUTS = (1, 5, 10, 20, 100)  # k of Hits@k, up to the number of answers
RANK = 10  # cut-off of MRR


def mixture(folder: str, word_dropout: float = 0.0) -> str:
    """Name of an export's mixture: its examples by weight (split train) and the `retrieval` task.

    word_dropout: fraction of source tokens replaced by the unknown token in training, anew in each
    epoch.
    """
    import seqio  # pyright: ignore[reportMissingImports]

    source, questions = exported.read(folder), retrieval(folder)
    named = {kind: _name(source, kind) for kind in source.about["examples"]}
    if questions + "_mixture" in seqio.MixtureRegistry.names():
        return questions + "_mixture"
    for kind, name in named.items():
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(
                functools.partial(_train_dataset, folder, kind, word_dropout), splits=("train",)
            ),
            preprocessors=[],
            output_features=_features(source),
        )
    rates = [(name, source.about["examples"][kind]["weight"]) for kind, name in named.items()]
    seqio.MixtureRegistry.add(questions + "_mixture", [*rates, (questions, 1.0)])
    return questions + "_mixture"


def retrieval(folder: str) -> str:
    """Name of an export's retrieval task: the queries of its splits, Hits@k and MRR."""
    import seqio  # pyright: ignore[reportMissingImports]

    source = exported.read(folder)
    name = _name(source, "questions")
    if name not in seqio.TaskRegistry.names():
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(
                functools.partial(_question_dataset, folder),
                splits=tuple(source.about["questions"]),
            ),
            preprocessors=[],
            output_features=_features(source),
            postprocess_fn=functools.partial(documents_of, rows=rows_of(source.docids())),
            metric_fns=[hits_and_mrr],
        )
    return name


def lengths(folder: str) -> dict[str, int]:
    """TASK_FEATURE_LENGTHS of an export."""
    return exported.read(folder).lengths


def input_vocabulary(folder: str) -> Any:
    """Vocabulary of the sources: ids pass through, without an end token."""
    import seqio  # pyright: ignore[reportMissingImports]

    return seqio.PassThroughVocabulary(exported.read(folder).shape.source_vocab)


def output_vocabulary(folder: str) -> Any:
    """Vocabulary of the identifiers: ids pass through, without an end token."""
    import seqio  # pyright: ignore[reportMissingImports]

    return seqio.PassThroughVocabulary(exported.read(folder).shape.target_vocab)


def rows_of(ids: table.Docids) -> dict[bytes, int]:
    """Row of each document by the bytes of its identifier."""
    return {tokens_of.tobytes(): int(row) for row, tokens_of in zip(ids.documents, ids.tokens)}


def documents_of(
    output: Any,
    *,
    rows: Mapping[bytes, int],
    example: Mapping[str, Any] | None = None,
    is_target: bool = False,
) -> list[int]:
    """Rows of documents: the relevant ones of a target, those of K predicted identifiers [K, L'].

    -1 for an identifier of no document.
    """
    if is_target:
        assert example is not None  # SeqIO passes it with a target
        return [int(row) for row in example["relevant"] if row >= 0]
    length = len(next(iter(rows))) // np.dtype(np.int32).itemsize
    named = np.ascontiguousarray(np.atleast_2d(output)[:, :length], np.int32)
    return [rows.get(tokens_of.tobytes(), -1) for tokens_of in named]


def hits_and_mrr(
    targets: Sequence[Sequence[int]], predictions: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Hits@k of CUTS and MRR@RANK.

    Hits@k is the fraction of queries with a relevant document among the first k answers.

    predictions: rows of documents in ASCENDING order of score, as t5x returns them.
    """
    places = [
        _place(set(relevant), list(answers)[::-1])
        for relevant, answers in zip(targets, predictions)
    ]
    most = max((len(answers) for answers in predictions), default=0)
    found = {
        f"hits@{k}": float(np.mean([place <= k for place in places])) for k in CUTS if k <= most
    }
    return found | {
        f"mrr@{RANK}": float(np.mean([1 / place if place <= RANK else 0.0 for place in places]))
    }


def write_answers(
    path: str, inferences: tuple, task_ds: Any, mode: str, vocabulary: Any = None, *, folder: str
) -> None:
    """Writes answers of `t5x.infer` in mode predict_with_aux as JSON lines, one per query.

    {"_id": ..., "query": ..., "answers": [[document, score], ...]}, best first.
    """
    import tensorflow as tf

    if mode != "predict_with_aux":
        raise ValueError(f"write_answers: expected infer.mode = 'predict_with_aux', got {mode!r}")
    source = exported.read(folder)
    found, names = (
        rows_of(source.docids()),
        [row["_id"] for row in source.lines(exported.DOCUMENTS)],
    )
    predictions, aux = inferences
    with tf.io.gfile.GFile(path, "w") as out:
        for row, example in enumerate(task_ds.as_numpy_iterator()):
            rows, scores = (
                documents_of(predictions[row], rows=found),
                np.asarray(aux["scores"][row], np.float32).reshape(-1),
            )
            answers = [
                [names[document], float(score)]
                for document, score in zip(rows[::-1], scores[::-1])
                if document >= 0
            ]
            line = {
                "_id": example["id_pretokenized"].decode(),
                "query": example["inputs_pretokenized"].decode(),
                "answers": answers,
            }
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _place(relevant: set[int], answers: Sequence[int]) -> float:
    """Rank, from 1, of the first relevant answer; inf if there is none."""
    return next(
        (place for place, row in enumerate(answers, start=1) if row in relevant), float("inf")
    )


def _name(source: exported.Export, kind: str) -> str:
    """Name of a task, unique to the export."""
    return f"{source.about['recipe']}_{source.about['docids'][:8]}_{kind}"


def _features(source: exported.Export) -> dict:
    import seqio  # pyright: ignore[reportMissingImports]

    shape = source.shape
    sizes = {"inputs": shape.source_vocab, "targets": shape.target_vocab}
    return {
        name: seqio.Feature(seqio.PassThroughVocabulary(size), add_eos=False)
        for name, size in sizes.items()
    }


def _train_dataset(
    folder: str,
    kind: str,
    word_dropout: float,
    split: str,
    shuffle_files: bool,
    seed: int | None = None,
) -> Any:
    import tensorflow as tf

    source = exported.read(folder)
    arrays: Any = source.examples(kind)
    unknown = source.about["unknown"]
    data = tf.data.Dataset.from_tensor_slices(arrays)
    if shuffle_files:
        data = data.shuffle(len(arrays["targets"]), seed=seed)
    if not word_dropout:
        return data
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)

    def hide(example, pair):
        drawn = tf.random.stateless_uniform(tf.shape(example["inputs"]), seed=pair) < word_dropout
        hidden = drawn & (example["inputs"] != tokens.PAD)
        return example | {"inputs": tf.where(hidden, unknown, example["inputs"])}

    return tf.data.Dataset.zip((data, seeds)).map(hide, num_parallel_calls=tf.data.AUTOTUNE)


def _question_dataset(folder: str, split: str, shuffle_files: bool, seed: int | None = None) -> Any:
    import tensorflow as tf

    asked = exported.read(folder).questions(split)
    columns: Any = {"inputs": asked.inputs, "targets": asked.targets, "relevant": asked.relevant}
    named = {
        "id_pretokenized": np.array(asked.ids, object),
        "inputs_pretokenized": np.array(asked.texts, object),
    }
    return tf.data.Dataset.from_tensor_slices(columns | named)
