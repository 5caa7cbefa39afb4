"""Generative retrieval zoo: systems that generate the identifier of the document to return.

>>> import zoo
>>> fitted = zoo.fit("bm25", ["bread and salt", "green tea"], quiet=True)
>>> zoo.retrieve(fitted, "a cup of tea", k=3)[0][0].document
'1'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names for type checkers and editors
    from zoo.api.add import add as add, remove as remove
    from zoo.api.answer import (
        Opened as Opened,
        open as open,
        path as path,
        retrieve as retrieve,
        with_options as with_options,
    )
    from zoo.api.dynamic import Grown as Grown, divide as divide, grow as grow
    from zoo.api.evaluate import (
        Evaluation as Evaluation,
        evaluate as evaluate,
        evaluate_run as evaluate_run,
    )
    from zoo.api.explain import Explained as Explained, explain as explain
    from zoo.api.fit import fit as fit
    from zoo.api.fitted import Fitted as Fitted, load as load, save as save
    from zoo.api.learn import learn as learn
    from zoo.docids.table import Docids as Docids
    from zoo.exchange.transfer import export as export, import_checkpoint as import_checkpoint
    from zoo.index.trie import Trie as Trie
    from zoo.recipes import Recipe as Recipe
    from zoo.records import (
        Answer as Answer,
        Collection as Collection,
        Corpus as Corpus,
        DataError as DataError,
        Histories as Histories,
        Interactions as Interactions,
        Qrels as Qrels,
        Queries as Queries,
        Ranking as Ranking,
    )
    from zoo.report.run import write_report as write_report
    from zoo.search.beam import Beams as Beams, beam_search as beam_search

_HOME = {
    "fit": "zoo.api.fit",
    "add": "zoo.api.add",
    "remove": "zoo.api.add",
    "with_options": "zoo.api.answer",
    "open": "zoo.api.answer",
    "retrieve": "zoo.api.answer",
    "path": "zoo.api.answer",
    "explain": "zoo.api.explain",
    "Explained": "zoo.api.explain",
    "divide": "zoo.api.dynamic",
    "grow": "zoo.api.dynamic",
    "Grown": "zoo.api.dynamic",
    "evaluate": "zoo.api.evaluate",
    "evaluate_run": "zoo.api.evaluate",
    "learn": "zoo.api.learn",
    "save": "zoo.api.fitted",
    "load": "zoo.api.fitted",
    "write_report": "zoo.report.run",
    "export": "zoo.exchange.transfer",
    "import_checkpoint": "zoo.exchange.transfer",
    "Fitted": "zoo.api.fitted",
    "Evaluation": "zoo.api.evaluate",
    "Opened": "zoo.api.answer",
    "Corpus": "zoo.records",
    "Queries": "zoo.records",
    "Qrels": "zoo.records",
    "Collection": "zoo.records",
    "Histories": "zoo.records",
    "Interactions": "zoo.records",
    "Ranking": "zoo.records",
    "Answer": "zoo.records",
    "DataError": "zoo.records",
    "Docids": "zoo.docids.table",
    "Trie": "zoo.index.trie",
    "Beams": "zoo.search.beam",
    "beam_search": "zoo.search.beam",
    "Recipe": "zoo.recipes",
}
__all__ = [*_HOME]  # loaded when first used, so that `import zoo` is quick
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
