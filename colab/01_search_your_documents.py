# ---
# jupyter:
#   accelerator: GPU
#   jupytext:
#     notebook_metadata_filter: accelerator
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Search your own documents
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/generative-retrieval-zoo/generative-retrieval-zoo/blob/main/colab/01_search_your_documents.ipynb)
#
# A generative retriever has no index: an encoder-decoder reads the query and *generates the
# identifier* of the document that answers it. Here you fit one (DSI, the differentiable search
# index) to a small collection or to files of your own, compare it with BM25, the classical search
# engine, and look inside: at the identifiers, at the beam search, and at the mistakes. A run on two
# CPU cores took five minutes; other runtimes have not been timed.

# %%
REPOSITORY = "https://github.com/generative-retrieval-zoo/generative-retrieval-zoo"

import glob
import importlib.util
import shutil
import subprocess
import sys

if importlib.util.find_spec("zoo") is None:
    extra = (
        "[tpu]"
        if glob.glob("/dev/accel*") + glob.glob("/dev/vfio/[0-9]*")
        else "[cuda]"
        if shutil.which("nvidia-smi")
        else ""
    )
    # from the repository or, if it cannot be reached, from a wheel beside this notebook
    wheels = [f"{name}{extra}" for name in glob.glob("./generative_retrieval_zoo-*.whl")]
    for package in [f"generative-retrieval-zoo{extra} @ git+{REPOSITORY}", *wheels]:
        command = [sys.executable, "-m", "pip", "install", "--quiet", package]
        if subprocess.run(command).returncode == 0:
            break
    else:
        raise SystemExit(f"{REPOSITORY} cannot be reached; upload a wheel beside this notebook")

# %%
import collections
import os
import pathlib
import tempfile

import jax
import numpy as np
from IPython.display import Image, display

import zoo
from zoo.data import pydocs
from zoo.metrics import compare
from zoo.report import plots, tables, trees

SMALL = "ZOO_SMALL" in os.environ  # a quick pass over everything, for tests
PICTURES = pathlib.Path(tempfile.mkdtemp())
print(f"running on {jax.device_count()} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## Something to search
#
# By default: the documentation of the Python that runs this notebook. A document is a function,
# class or method; a query is a sentence of its docstring *that was removed from the document*. No
# query occurs verbatim in its document; on average, 39 % of its words do.
#
# To search your own files, put the path of a folder of text files into `MY_FILES`; or of a folder
# in the BEIR layout (`corpus.jsonl`, `queries.jsonl`, `qrels/train.tsv`) into `zoo.fit(...,
# data=path)`.

# %%
MY_FILES = None  # a folder with .txt or .md files

if MY_FILES:
    paths = sorted(
        path for path in pathlib.Path(MY_FILES).rglob("*") if path.suffix in (".txt", ".md")
    )
    names = tuple(path.relative_to(MY_FILES).as_posix() for path in paths)
    corpus = zoo.Corpus(
        names, names, tuple(path.read_text(encoding="utf-8", errors="replace") for path in paths)
    )
    collection = zoo.Collection("my files", corpus, zoo.Queries((), ()), {})
else:
    collection = pydocs.build(200 if SMALL else None)
print(
    f"{len(collection.corpus):,} documents;",
    ", ".join(f"{len(qrels):,} {split} queries" for split, qrels in collection.qrels.items()),
)
print(collection.corpus.ids[7], "|", collection.corpus.texts[7][:200])

# %% [markdown]
# ## Two systems
#
# BM25 counts words. DSI clusters the documents into a tree; the path to a document is its *semantic
# identifier*. It learns to generate that path from queries: those of the training split, and
# queries made from each document by rule.

# %%
bm25 = zoo.fit("bm25", collection)
dsi = zoo.fit(
    "dsi",
    collection,
    size="tiny" if SMALL else "small",
    options={} if SMALL else {"minutes": 4.0},
    seed=0,
)
print(f"DSI: {dsi.about['parameters']:,} parameters, fitted in {dsi.about['seconds']:.0f} s")

# %%
question = "remove whitespace at both ends of a string"
for system in (bm25, dsi):
    print(system.name)
    for document, score in zoo.retrieve(system, question, k=3).answers(0):
        print(f"  {score:8.2f}  {document}")

# %% [markdown]
# ## Who is better?
#
# Neither system has seen the test queries. Hit@k is the fraction of queries with a relevant
# document among the first k answers; MRR and nDCG also depend on its rank. Differences have a 95 %
# confidence interval and the p-value of a paired randomisation test.

# %% tags=["not-on-site"]
if "test" in collection.qrels:
    results = {system.name: zoo.evaluate(system, collection) for system in (bm25, dsi)}
    runs = [
        compare.Run(name, result.per_query, system.about["seconds"], result.queries_per_second)
        for system, (name, result) in zip((bm25, dsi), results.items())
    ]
    print(tables.text(compare.compare(runs)))
    curves = {name: result.hit_curve for name, result in results.items()}
    display(Image(plots.hit_curves(curves, PICTURES / "hits.png")))

# %% [markdown]
# ## What is the identifier of a document?
#
# Rings are the levels of the tree of identifiers, the first one inside. The colour of a slice is
# the most common part of the library in it (the first word of the name); the paler the slice, the
# smaller its majority. If identifiers carried no meaning, the inner ring would be pale.

# %%
labels = [name.split("." if not MY_FILES else "/")[0] for name in collection.corpus.ids]
codes = np.asarray(dsi.state["docids"]["tokens"])
display(Image(trees.sunburst(codes, labels, PICTURES / "rings.png")))
print("for example", collection.corpus.ids[7], "is called", codes[7][codes[7] > 0].tolist())


def agreement(labels):
    """Share of documents whose label is the most common one of their first code."""
    groups = [
        collections.Counter(np.asarray(labels)[codes[:, 0] == code].tolist())
        for code in np.unique(codes[:, 0])
    ]
    return sum(group.most_common(1)[0][1] for group in groups) / len(labels)


shuffled = np.random.default_rng(0).permutation(labels)
print(
    f"of the commonest part of their first code: {agreement(labels):.0%} of documents, "
    f"{agreement(shuffled):.0%} were names dealt out at random"
)

# %% [markdown]
# ## How is an answer written?
#
# Token by token. A beam search keeps the eight most probable prefixes at each step; a trie, the
# tree of all identifiers that exist, masks all other tokens. Numbers are `token: probability of the
# token`; grey prefixes were dropped.

# %%
way = zoo.path(dsi, question, width=8)
names = [collection.corpus.ids[row] for row in way.documents if row >= 0]
levels = [trees.Kept(level.token, level.score) for level in way.levels]
display(Image(trees.beam_path(levels, names, PICTURES / "beam.png", query=question)))

# %% [markdown]
# ## Mistakes
#
# Queries that one system answers first and the other not in its first ten. Read a few: do the
# queries that BM25 misses use other words than their documents? Do the queries that DSI misses have
# documents with many similar neighbours?

# %%
if "test" in collection.qrels:
    queries, qrels = collection.split("test")
    hits = {
        name: (result.per_query["Success@1"] > 0, result.per_query["Success@10"] > 0)
        for name, result in results.items()
    }
    for winner, loser in ((bm25.name, dsi.name), (dsi.name, bm25.name)):
        rows = (hits[winner][0] & ~hits[loser][1]).nonzero()[0]
        print(f"\n{winner} finds {len(rows)} at once that {loser} does not find in ten:")
        for row in rows[:5]:
            print(f"  {queries.texts[row][:90]!r} -> {', '.join(qrels.grades[queries.ids[row]])}")

# %% [markdown]
# ## What this notebook claims

# %%
answers = zoo.retrieve(dsi, ["open a file", "a lock for threads", "zebra quux"], k=10)
for row in range(3):
    found = [document for document, _ in answers.answers(row)]
    assert len(set(found)) == len(found) and set(found) <= set(collection.corpus.ids), (
        "every answer exists, none comes twice"
    )
if not MY_FILES:
    assert agreement(labels) > 1.2 * agreement(shuffled), "names carry meaning"
if "test" in collection.qrels:
    chance = 10 / len(collection.corpus)
    for name, result in results.items():
        assert result.measures["Success@10"] > 3 * chance, f"{name} knows far more than chance"
    if not SMALL:
        assert results[dsi.name].measures["Success@10"] > 0.45, (
            "DSI finds about half of the documents among its first ten"
        )
print("all claims hold")
