"""The Beam graphs that build the corpus of a search folder, and check its judgements, on as many
machines as a runner has.

Every worker must see the files by the same path and have this package. The corpus is read twice,
once to count the lines of its pieces, so that a document's key is its row and the order is that of
the files; its ids are grouped, never its texts.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from apache_beam.options import pipeline_options  # pyright: ignore[reportMissingImports]

from zoo import records
from zoo.data import ranges, tables

# what DirectRunner is where it cannot download another
_LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def options(text: str) -> pipeline_options.PipelineOptions:
    """Beam's options as on a command line; by default a runner of this machine."""
    found = pipeline_options.PipelineOptions(shlex.split(text))
    standard = found.view_as(pipeline_options.StandardOptions)
    standard.runner = standard.runner or _LOCAL_RUNNER
    return found


def _documents(pipeline: beam.Pipeline, pieces: Sequence[ranges.Piece]):
    """(row, example) of each document. An id that stands twice ends the pipeline."""
    read = _read(pipeline, pieces)
    _ = (
        read
        | "Ids" >> beam.MapTuple(lambda row, where, example: (example["id"], where))
        | "OfOneId" >> beam.GroupByKey()
        | "RefuseRepeated" >> beam.MapTuple(_refuse_repeated)
    )
    return read | "Examples" >> beam.MapTuple(lambda row, where, example: (row, example))


def _judgements(
    pipeline: beam.Pipeline,
    pieces: Sequence[ranges.Piece],
    rows: Sequence[tables.Example],
    where: str,
):
    """(number, example) of each judgement.

    A document that is not in the corpus ends the pipeline.
    """
    judged = pipeline | "Judged" >> beam.Create([frozenset(row["document"] for row in rows)])
    present = (
        _read(pipeline, pieces)
        | "Id" >> beam.MapTuple(lambda row, where, example: example["id"])
        | "OfJudged"
        >> beam.Filter(lambda name, judged: name in judged, beam.pvalue.AsSingleton(judged))
        | "Once" >> beam.Distinct()
    )
    checked = judged | "RefuseUnknown" >> beam.Map(
        _refuse_unknown, beam.pvalue.AsIter(present), where
    )
    numbered = pipeline | "Judgements" >> beam.Create(enumerate(rows))
    return numbered | "Checked" >> beam.Map(
        lambda row, checked: row, beam.pvalue.AsSingleton(checked)
    )


documents = beam.ptransform_fn(_documents)
judgements = beam.ptransform_fn(_judgements)


def _read(pipeline: beam.Pipeline, pieces: Sequence[ranges.Piece]):
    """(row, "file:line", example) of each document."""
    spread = pipeline | "Pieces" >> beam.Create(pieces) | "Spread" >> beam.Reshuffle()
    counts = spread | "Count" >> beam.Map(ranges.count) | "Counts" >> beam.combiners.ToList()
    places = beam.pvalue.AsSingleton(counts | "Places" >> beam.Map(ranges.places))
    return spread | "Read" >> beam.FlatMap(ranges.documents, places)


def _refuse_repeated(name: str, where: Iterable[str]) -> None:
    first, *others = sorted(where)
    if others:
        raise records.DataError(
            f'{others[0]}: "_id" {name!r} stands already at {first}; '
            "ids must be unique, rename or remove one"
        )


def _refuse_unknown(judged: frozenset[str], present: Iterable[str], where: str) -> bool:
    unknown = judged.difference(present)
    if unknown:
        raise records.DataError(
            f"{where}: document {min(unknown)!r} is not in the corpus; add it there or remove the "
            "line"
        )
    return True
