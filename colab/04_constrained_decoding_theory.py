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
# # What constrained decoding costs
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/generative-retrieval-zoo/generative-retrieval-zoo/blob/main/colab/04_constrained_decoding_theory.ipynb)
#
# A generative retriever generates the identifier of a document token by token. A trie, the tree of
# all identifiers that exist, keeps it to documents that exist. Two theorems (Wu et al., SIGIR 2025,
# [arXiv 2504.09935](https://arxiv.org/abs/2504.09935)) say what that costs: the constraint *changes
# the relevance that is predicted*, and a beam that ranks prefixes by what lies below them *finds
# about half* of the relevant documents where relevance is sparse and the tail is thick. Here are
# both, with exact values beside the published forms, remedies, a law for the whole search, and what
# it all says about a model that was trained.

# %%
REPOSITORY = "https://github.com/generative-retrieval-zoo/generative-retrieval-zoo"

import glob
import importlib.util
import shutil
import subprocess
import sys

if importlib.util.find_spec("theory") is None:
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
import tempfile

import jax
import numpy as np
from IPython.display import Image, display

import theory
from theory import bounds, claims, exact, plots, simulate, tails, worlds
from zoo.report import figures as style

SMALL = "ZOO_SMALL" in os.environ  # a quick pass over everything, for tests
KEY = jax.random.key(0)
FIGURES = tempfile.mkdtemp()
print(f"running on {jax.device_count()} x {jax.devices()[0].device_kind}")

# %% [markdown]
# ## Three documents are enough
#
# Names have two tokens. The model knows the relevance of all four names: 00 .1, 01 .4, 10 .3, 11
# .2. The corpus holds 00, 10 and 11. The best answer is 10, with .5 of the probability of what
# exists. Masking and renormalising at each step gives both first tokens probability .5, and 00 all
# the mass of its branch: it wins with .5, although it is the least relevant of the three. The KL
# divergence measures how far the two distributions are apart.

# %%
relevance = np.array([0.1, 0.4, 0.3, 0.2])
kept = np.array([True, False, True, True])
first = np.array([0.5, 0.5])  # what a mask leaves: both tokens have a document
true = np.array([0.1, 0.5]) / 0.6
masked = {"00": first[0], "10": first[1] * 0.3 / 0.5, "11": first[1] * 0.2 / 0.5}
for name, share in zip(masked, relevance[kept] / relevance[kept].sum()):
    print(f"{name}: true share {share:.3f}, said by the masked decoder {masked[name]:.3f}")
print(
    "Kullback-Leibler divergence (KL) of the first step:",
    f"{(first * np.log(first / true)).sum():.5f} nats",
)

# %% [markdown]
# ## The first theorem: relevance is changed
#
# Keep each document with probability $p$, mask the rest, renormalise. The expected KL between the
# decoder's distribution and the true relevance given the corpus has a lower bound; the published is
# $0.05\,E^2[A]/p$, with $A$ the Simpson index of a branch (how concentrated its relevance is).
# `theory.expected_kl` computes the left side *exactly*, without sampling a corpus, and so shows
# where the bound holds and where it does not.


# %%
def costs(leaves, keep):
    """Exact cost of the first step and the published bound, for uniform relevance in 32 branches of
    so many leaves.
    """
    tree = worlds.Tree(
        (np.zeros(32, np.int64), np.repeat(np.arange(32), leaves)),
        np.full(32 * leaves, 1 / (32 * leaves)),
    )
    return exact.expected_kl_of(tree, keep)[0], 0.05 / leaves**2 / keep


def draw_costs(leaves=64):
    shares = np.concatenate([np.geomspace(1e-4, 0.5, 20), 1 - np.geomspace(0.4, 1e-3, 10)])
    cost, published = np.array([costs(leaves, keep) for keep in shares]).T
    drawn, (axes,) = style.figure("share of documents kept, p", "KL of the first step (nats)")
    axes.loglog(shares, cost, color=style.COLOURS[0], linewidth=2, label="exact")
    axes.loglog(
        shares, published, "--", color=style.COLOURS[1], linewidth=2, label="published bound"
    )
    axes.set_ylim(1e-8, 10)
    fails = shares[published > cost]
    told = (
        f"{leaves} leaves a branch: the published bound fails for p below "
        f"{fails[fails < 0.5].max():.2g}"
        if (fails < 0.5).any()
        else f"{leaves} leaves a branch"
    )
    return style.save(drawn, axes, f"{FIGURES}/costs.png", told, legend="lower left")


display(Image(draw_costs()))

# %% [markdown]
# In a live notebook, move the sliders; otherwise see the figure above.


# %%
def live(draw, **ranges):
    """Sliders where a notebook can show them."""
    try:
        import ipywidgets
    except ImportError:
        return
    if "ipykernel" in sys.modules:
        ipywidgets.interact_manual(lambda **chosen: display(Image(draw(**chosen))), **ranges)


live(draw_costs, leaves=(2, 256, 2))

# %% [markdown]
# Where does it hold? The map covers all branch sizes and all $p$. Inside the line the published
# form is a bound. On both sides of it, it is not: for small $p$ it grows while the cost vanishes,
# and near $p = 1$ it lacks a factor $1 - p$.


# %%
def figure_of(name):
    if SMALL and name in ("published_bound", "max_marginals", "product_law"):
        return  # those that take longest
    claim = claims.get(name)
    check = claims.check(claim, KEY, quick=True)
    assert check.passed, f"{name}: the prediction and the measurement differ"
    display(
        Image(
            plots.of_claim(
                claim, check, jax.random.fold_in(KEY, 1), claim.quick // (4 if SMALL else 1)
            )
        )
    )


figure_of("published_bound")

# %% [markdown]
# ### Ways out of the cost
#
# The price is what the decoder does not know about the survivors. One number per child, the
# logarithm of the documents below it, removes what sizes explain (`--set decoding=counted`): most
# of the cost if relevance is even, little if it is concentrated. The mass of the documents below
# removes all of it (`decoding=lookahead`).

# %% tags=["not-on-site"]
figure_of("count_correction")

# %% [markdown]
# ## The second theorem: a beam finds half
#
# Let $k$ of $b$ branches hold one relevant document each, among $n$ others of moderate scores. The
# beam keeps the branches with the largest *sums*. As $n$ grows, the noise of the sum hides the
# relevant document: recall falls to $k/b$, one half for $b = 2k$, while the first answer stays
# right.

# %%
figure_of("recall_half")


# %%
def draw_recall(snr=1.0, width=50):
    widths = np.arange(1, 101)
    recalls = [theory.recall_exact(100, 50, int(w), snr) for w in widths]
    drawn, (axes,) = style.figure("beam width K", "recall of 50 relevant branches among 100")
    axes.plot(widths, recalls, color=style.COLOURS[0], linewidth=2)
    axes.plot(widths, widths / 100, ":", color=style.COLOURS[1], linewidth=2)
    axes.axvline(width, color=style.INK, linewidth=0.8)
    axes.set_ylim(0, 1.02)
    told = (
        f"A lead of {snr:g} standard deviations: a beam of {width} finds "
        f"{theory.recall_exact(100, 50, int(width), snr):.0%}; dots are chance"
    )
    return style.save(drawn, axes, f"{FIGURES}/recall.png", told, legend=None)


display(Image(draw_recall()))
live(draw_recall, snr=(0.0, 4.0, 0.1), width=(1, 100))

# %% [markdown]
# The curve is a formula; the real beam search over the real trie lies on it.

# %%
world = worlds.SparseThick(100, 50, 10_000, 101.0, tails.gaussian(1.0, 1.0))
lead = (101.0 - 1.0) / np.sqrt(10_000)
found = simulate.recall(world, KEY, width=50, num_queries=200 if SMALL else 2000)
print(
    f"lead {lead:g}: formula {theory.recall_exact(100, 50, 50, lead):.4f}, "
    f"beam search {found.mean:.4f} ± {found.stderr:.4f}"
)

# %% [markdown]
# ### Ways out of the ceiling
#
# A wider beam improves recall at a high cost. Ranking prefixes by their *best* document instead of
# the sum finds the exact top $k$ with a beam of $k$: `decoding=max-marginal`, or
# `decoding=best-first`, which proves it by bounds.

# %%
figure_of("max_marginals")

# %% [markdown]
# ## The product law: the whole search
#
# One half is only the first factor. Every level selects again, with a signal that grows by
# the root of $b$ and fewer relevant nodes among more candidates; recall of the whole search is
# the product (`theory.leaf_recall`). It says what depth costs, and where to spend the beam
# (`theory.beam_schedule`): on the first level, as `first_beam` of TIGER does.

# %%
figure_of("product_law")
plan = theory.beam_schedule(b=256, depth=4, k=50, snr=0.5, recall=0.9)
print(f"256 codes, 4 levels, recall .9 of 50: beams {plan.widths}, {plan.cost:,} children scored")

# %% [markdown]
# ## A trained model
#
# Relevance was assumed so far. A fitted system has its own: what its network says of every
# document. `theory explain` reads that law with the system's exact scorer.

# %%
import zoo
from theory import explain, fitted
from zoo.data import toy

collection = toy.build()
steps = {"steps": 20} if SMALL else {}
system = fitted.open(zoo.fit("dsi", collection, size="tiny", options=steps, quiet=True))
queries = collection.split("dev")[0].take(range(4 if SMALL else 16))
source = fitted.sources(system, queries)
print("\n".join(explain.of_law(system, source)))

# %% [markdown]
# The model is sure of its answers, so its relevance is concentrated and a cut corpus costs several
# times what equal relevance predicts. Ranks suffer less than probabilities.

# %%
trees = fitted.relevance_trees(system, source)
display(Image(plots.of_law("DSI on the toy collection", system.ids, trees)))

# %% [markdown]
# ## What this notebook claims

# %%
assert max(masked, key=masked.get) == "00" and relevance[kept].argmin() == 0, (
    "the least relevant document comes first"
)
assert abs((first * np.log(first / true)).sum() - 0.29389) < 1e-5
cost, published = costs(64, 0.2)
assert cost > published, "inside its region the published form is a bound"
cost, published = costs(64, 1e-4)
assert cost < published, "for small p it is none"
cost, published = costs(64, 0.999)
assert cost < published, "nor near p = 1"
assert abs(found.mean - theory.recall_exact(100, 50, 50, lead)) < 4 * found.stderr, (
    "the beam search does what the formula says"
)
assert theory.recall_exact(100, 50, 50, 0.01) < 0.51, "without a lead a beam finds half"
assert theory.leaf_recall(20, 3, 10, 10, 0.3) < 0.5 * theory.recall_exact(20, 10, 10, 0.3), (
    "the second level loses again"
)
cut = sum(exact.expected_kl_of(tree, 0.5).sum() for tree in trees) / len(trees)
even = exact.expected_kl_of(worlds.from_docids(system.ids), 0.5).sum()
assert SMALL or cut > 2 * even, "a trained model's law is concentrated"
smaller = theory.expected_kl(worlds.zipf(2, 3), 2, 3, 0.1)[0]
assert smaller < bounds.published_bound(worlds.zipf(2, 3), 2, 3, 0.1), (
    "the smallest counterexample: two children, three levels"
)
print(f"all claims hold; `python -m theory report` shows all {len(claims.names())}")
