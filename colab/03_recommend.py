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
# # Recommend by generating identifiers
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/generative-retrieval-zoo/generative-retrieval-zoo/blob/main/colab/03_recommend.ipynb)
#
# TIGER gives every film an identifier of a few codes, so that similar films have similar
# identifiers. It reads the identifiers of what a user saw and generates that of the next film. Here
# it is compared with popularity, a table of counts (a Markov chain), and SASRec, a network that
# scores every film: same users, same split, all films compete. A run on two CPU cores took six
# minutes; other runtimes have not been timed.

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
from zoo.data import categories, load
from zoo.metrics import compare, recommend
from zoo.report import plots, tables, trees

SMALL = "ZOO_SMALL" in os.environ  # a quick pass over everything, for tests
PICTURES = pathlib.Path(tempfile.mkdtemp())
print(f"running on {jax.device_count()} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## Who saw what
#
# MovieLens-100k: 943 people, 1,682 films. Its licence allows research but no redistribution, so it
# is downloaded from its owners, or from the copy in RecBole's wheel if only a package index can be
# reached. For your own logs, set `MY_LOGS` to a folder with `interactions.csv`
# (`user_id,item_id,timestamp`) and, optionally, `items.jsonl`.
#
# The last event of each user is the test target, the last but one is for validation, and earlier
# events are for training.

# %%
MY_LOGS = None

logs = load.load(MY_LOGS or ("toy-walks" if SMALL else "ml-100k"))
rows = logs.corpus.rows()
title = {item: logs.corpus.titles[rows[item]] or item for item in logs.corpus.ids}
print(
    f"{len(logs.histories):,} users, {len(logs.corpus):,} items, "
    f"{len(logs.histories.items):,} events"
)

# %% [markdown]
# ## Four systems

# %%
minutes = {"minutes": 3.0}
systems = {
    "popularity": zoo.fit("popularity", logs),
    "Markov chain": zoo.fit("markov", logs, options={"filter": True}),
    "SASRec": zoo.fit(
        "sasrec", logs, size="tiny" if SMALL else "small", options={} if SMALL else minutes
    ),
    "TIGER": zoo.fit(
        "tiger", logs, size="tiny" if SMALL else "small", options={} if SMALL else minutes
    ),
}

# %% tags=["not-on-site"]
results = {name: zoo.evaluate(system, logs) for name, system in systems.items()}
runs = [
    compare.Run(name, result.per_query, systems[name].about["seconds"], result.queries_per_second)
    for name, result in results.items()
]
print(tables.text(compare.compare(runs), recommend.DEFAULT, digits=4))
display(
    Image(
        plots.hit_curves(
            {name: result.hit_curve for name, result in results.items()}, PICTURES / "hits.png"
        )
    )
)

# %% [markdown]
# ## Names of films
#
# Rings are codes, the first one inside. The colour of a slice is its most common genre; the paler
# the slice, the smaller its majority. The codes come from the text of a film (title, year and
# genres) and from which films people watch one after the other.

# %%
genres, where = categories.of(logs.corpus)
codes = np.asarray(systems["TIGER"].state["docids"]["tokens"])
display(Image(trees.sunburst(codes[:, :3], genres, PICTURES / "rings.png")))

# %% [markdown]
# ## From a history to what comes next

# %%
tiger = systems["TIGER"]
histories, held = logs.split("test")
user = 0
seen = [
    logs.corpus.ids[row]
    for row in histories.items[histories.starts[user] : histories.starts[user + 1]]
]
print("saw, latest last:", *(f"  {title[item]}" for item in seen[-6:]), sep="\n")
print("then saw:", *(title[item] for item in held.grades[histories.ids[user]]))
for name in ("Markov chain", "SASRec", "TIGER"):
    answers = zoo.retrieve(systems[name], [seen], k=5).answers(0)
    print(f"{name}:", *(f"  {score:7.2f}  {title[item]}" for item, score in answers), sep="\n")

# %%
way = zoo.path(tiger, seen, width=6)
names = [title[logs.corpus.ids[row]] for row in way.documents if row >= 0]
levels = [trees.Kept(level.token, level.score) for level in way.levels]
display(Image(trees.beam_path(levels, names, PICTURES / "beam.png", query=title[seen[-1]])))

# %% [markdown]
# ## More diverse, less sure
#
# Sampled at a temperature instead of found by beam search, answers cover more genres and are right
# less often.

# %%
for decoding in ("trie", "sampled,temperature=1", "sampled,temperature=2"):
    found = zoo.evaluate(
        zoo.with_options(tiger, {"decoding": decoding}), logs, categories=genres
    ).measures
    print(
        f"{decoding}: Recall@10 {found['R@10']:.4f}, "
        f"entropy of genres in ten answers {found['entropy@10']:.3f}"
    )

# %% [markdown]
# ## What this notebook claims

# %%
by_item, by_name = (
    results["TIGER"].measures["R@10"],
    results["TIGER"].measures["R@10" + recommend.BY_IDENTIFIER],
)
print(
    f"TIGER's Recall@10: {by_item:.4f} counting items, {by_name:.4f} counting names "
    "(equal codes are one name)"
)
assert by_name >= by_item - 1e-9, "counting names flatters"
assert len(np.unique(codes, axis=0)) == len(codes), "every item has a name of its own"
assert results["Markov chain"].measures["R@10"] > results["popularity"].measures["R@10"], (
    "what was seen last tells more than what is popular"
)
assert by_item > results["popularity"].measures["R@10"], "TIGER has learned more than popularity"
print("all claims hold")
