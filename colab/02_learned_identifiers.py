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
# # Identifiers that are learned
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/generative-retrieval-zoo/generative-retrieval-zoo/blob/main/colab/02_learned_identifiers.ipynb)
#
# A generative retriever answers by generating the identifier of a document, a few codes one after
# the other. The choice of identifiers decides how hard they are to generate. Codes can be random,
# come from clusters of the documents' vectors (k-means), or be *learned* together with the network
# that generates them: GenRet. Here all three are trained with the same network for the same time,
# with a look at what the codes mean. A run on two CPU cores took ten minutes; other runtimes have
# not been timed.

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
import os
import pathlib
import tempfile

import jax
import numpy as np
from IPython.display import Image, display

import zoo
from zoo.data import pydocs
from zoo.metrics import compare
from zoo.recipes import genret
from zoo.report import plots, tables, trees

SMALL = "ZOO_SMALL" in os.environ  # a quick pass over everything, for tests
PICTURES = pathlib.Path(tempfile.mkdtemp())
print(f"running on {jax.device_count()} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## One collection, three kinds of names
#
# The documentation of the Python that runs this; a query is a sentence that was taken out of its
# document.

# %%
collection = pydocs.build(100 if SMALL else None)
budget = (
    {"steps": 200, "encoder_layers": 0, "document_length": 8, "query_length": 8}
    if SMALL
    else {"minutes": 2.5}
)
kinds = {"learned": "GenRet", "kmeans": "k-means codes"} | (
    {} if SMALL else {"random": "random codes"}
)
systems = {
    label: zoo.fit(
        "genret",
        collection,
        size="tiny" if SMALL else "small",
        options=budget | {"identifiers": kind},
        seed=0,
    )
    for kind, label in kinds.items()
}

# %%
results = {label: zoo.evaluate(system, collection) for label, system in systems.items()}
runs = [
    compare.Run(label, result.per_query, systems[label].about["seconds"], result.queries_per_second)
    for label, result in results.items()
]
print(tables.text(compare.compare(runs)))
display(
    Image(
        plots.hit_curves(
            {label: result.hit_curve for label, result in results.items()}, PICTURES / "hits.png"
        )
    )
)

# %% [markdown]
# ## Are all codes used, and do names collide?
#
# A tokenizer of documents can fail in two ways: it uses few codes, or gives many documents the same
# codes. Usage is the fraction of codes that any document has. Diversity is 1 if every code has the
# same number of documents, and falls with every document that would have to move. A counter at the
# end of the identifier distinguishes documents with the same codes.


# %%
def spread(system):
    """Of each level the share of codes in use and the diversity; and of documents the share whose
    codes are also those of another.
    """
    codes = genret.codes_of(system.state["docids"]["tokens"], system.state["num_codes"])
    num_codes = int(system.state["num_codes"])
    counts = [np.bincount(column, minlength=num_codes) for column in codes.T]
    usage = [float((count > 0).mean()) for count in counts]
    diversity = [
        1 - float(np.abs(count - len(codes) / num_codes).sum()) / (2 * len(codes))
        for count in counts
    ]
    _, group, size = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    return usage, diversity, float((size[group.reshape(-1)] > 1).mean())


spreads = {label: spread(system) for label, system in systems.items()}
for label, (usage, diversity, conflicts) in spreads.items():
    print(
        f"{label:14s} usage {np.round(usage, 2)}  diversity {np.round(diversity, 2)}  "
        f"share codes with another: {conflicts:.1%}"
    )

# %% [markdown]
# ## What does a code mean?
#
# For each first code, the words that are frequent in its documents and rare in others.

# %%
learned = systems["GenRet"]
codes = genret.codes_of(learned.state["docids"]["tokens"], learned.state["num_codes"])
words = [
    set(text.lower().replace("(", " ").replace(")", " ").replace(",", " ").split())
    for text in collection.corpus.contents()
]
vocabulary = sorted({word for own in words for word in own if word.isalpha() and len(word) > 2})
has = {word: np.array([word in own for own in words]) for word in vocabulary}
# not "the", nor what is rare
common = [word for word in vocabulary if 4 <= has[word].sum() <= len(words) / 5]
for code in np.argsort(-np.bincount(codes[:, 0]))[:6]:
    inside = codes[:, 0] == code
    lift = {word: has[word][inside].mean() - has[word][~inside].mean() for word in common}
    best = sorted(lift, key=lift.get, reverse=True)[:7]
    print(f"code {code:3d}, {inside.sum():4d} documents: {', '.join(best)}")

# %%
labels = [name.split(".")[0] for name in collection.corpus.ids]
display(Image(trees.sunburst(codes, labels, PICTURES / "rings.png")))

# %% [markdown]
# ## Adding a document
#
# The trained network assigns its codes from its text, without further training. The document can be
# retrieved at once, if the query leads to those codes.

# %%
fresh = zoo.Corpus(
    ("new.document",),
    ("new.document",),
    ("Compute the checksum of a file that is downloaded piece by piece",),
)
grown = zoo.add(learned, fresh)
asked = zoo.retrieve(grown, fresh.texts[0], k=100)
place = (
    [document for document, _ in asked.answers(0)].index("new.document") + 1
    if "new.document" in dict(asked.answers(0))
    else None
)
print(
    "asked for in its own words, the new document comes",
    f"at place {place}" if place else "not among the first hundred",
)

# %% [markdown]
# ## What this notebook claims

# %%
chance = 10 / len(collection.corpus)
for label, result in results.items():
    assert result.measures["Success@10"] > 3 * chance, f"{label}: far more than chance"
assert spreads["GenRet"][0][0] > 0.8 and spreads["GenRet"][1][0] > 0.5, (
    "first codes are in use, and evenly"
)
assert spreads["GenRet"][2] < 1, "and tell documents apart"
before, after = (np.asarray(system.state["docids"]["tokens"]) for system in (learned, grown))
assert len(after) == len(before) + 1 and (after[:-1] == before).all(), (
    "a document that comes later gets a name, and the others keep theirs"
)
for system in systems.values():
    names = np.asarray(system.state["docids"]["tokens"])
    assert len(np.unique(names, axis=0)) == len(names), (
        "a counter tells the rest apart: every name is unique"
    )
print("all claims hold")
