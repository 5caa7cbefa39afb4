"""Generative retrieval zoo: systems that generate the identifier of the document to return.

>>> import zoo
>>> fitted = zoo.fit("bm25", "toy", quiet=True)
>>> ranking = zoo.retrieve(fitted, "what to look for", k=3)
"""

from __future__ import annotations

import importlib

# the package: once it is loaded, nothing sets this name again, and it is free for the verb
from zoo import evaluate

del evaluate

_HOME = {
    "fit": "zoo.verbs",
    "add": "zoo.verbs",
    "adjusted": "zoo.verbs",
    "retrieve": "zoo.verbs",
    "path": "zoo.verbs",
    "evaluate": "zoo.verbs",
    "save": "zoo.stored",
    "load": "zoo.stored",
    "report": "zoo.run_report",
    "export": "zoo.transfer",
    "import_checkpoint": "zoo.transfer",
    "Fitted": "zoo.stored",
    "Evaluation": "zoo.verbs",
    "Corpus": "zoo.records",
    "Queries": "zoo.records",
    "Qrels": "zoo.records",
    "Collection": "zoo.records",
    "Histories": "zoo.records",
    "Interactions": "zoo.records",
    "Ranking": "zoo.records",
    "DataError": "zoo.records",
    "Docids": "zoo.docids.docids",
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
