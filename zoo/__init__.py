"""Generative retrieval zoo: systems that generate the identifier of the document to return.

>>> import zoo
>>> fitted = zoo.fit("bm25", "toy", quiet=True)
>>> ranking = zoo.retrieve(fitted, "what to look for", k=3)
"""

from __future__ import annotations

import importlib

_HOME = {
    "fit": "zoo.api.fit",
    "add": "zoo.api.fit",
    "adjusted": "zoo.api.fit",
    "retrieve": "zoo.api.fit",
    "path": "zoo.api.fit",
    "evaluate": "zoo.api.fit",
    "save": "zoo.api.fitted",
    "load": "zoo.api.fitted",
    "report": "zoo.report.run",
    "export": "zoo.exchange.transfer",
    "import_checkpoint": "zoo.exchange.transfer",
    "Fitted": "zoo.api.fitted",
    "Evaluation": "zoo.api.fit",
    "Corpus": "zoo.records",
    "Queries": "zoo.records",
    "Qrels": "zoo.records",
    "Collection": "zoo.records",
    "Histories": "zoo.records",
    "Interactions": "zoo.records",
    "Ranking": "zoo.records",
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
