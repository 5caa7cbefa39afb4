"""A figure for each system: what it learns from and how it answers, as two rows of boxes."""

from __future__ import annotations

import io

from zoo.evaluate import plots

STEPS = {  # system -> (what it learns, how it answers), each a row of boxes; * marks the box that is trained
    "bm25": (("documents", "terms, stemmed", "inverted index"), ("query", "terms, stemmed", "sum of term weights", "documents")),
    "dsi": (
        ("first words of a document,\nor a query", "*encoder-decoder", "path in a tree\nof clusters"),
        ("query", "*encoder-decoder", "beam over the trie\nof paths", "documents"),
    ),
    "nci": (
        ("queries, real and made,\nand spans of a document", "*encoder, decoder whose head\nreads the prefix", "path in a tree\nof clusters"),
        ("query", "*encoder, prefix-aware\ndecoder", "beam over the trie\nof paths", "documents"),
    ),
    "dsi-qg": (
        ("queries made from\na document", "*encoder-decoder", "number of the\ndocument"),
        ("query", "*encoder-decoder", "beam over the trie\nof numbers", "documents"),
    ),
    "dpr": (
        ("query and its document,\nothers of the batch", "*two encoders", "softmax over\ninner products"),
        ("query", "*encoder", "largest inner products,\nexact", "documents"),
    ),
    "dpr-hn": (
        ("query, its document,\nand mined wrong ones", "*two encoders", "softmax over\ninner products"),
        ("query", "*encoder", "largest inner products,\nexact", "documents"),
    ),
    "genret": (
        ("document", "*encoder-decoder", "code after code,\nlearned", "tells documents of\none prefix apart"),
        ("query", "*the same\nencoder-decoder", "beam over the trie\nof codes", "documents"),
    ),
    "tiger": (
        ("texts of items", "*residual quantiser", "codes of items", "*encoder-decoder:\nhistory to next item"),
        ("history, as codes", "*encoder-decoder", "beam over the trie\nof codes", "items"),
    ),
    "popularity": (("events", "counts"), ("any history", "the most taken", "items")),
    "markov": (("events, in order", "counts of pairs"), ("last items", "what followed them", "items")),
    "semanticknn": (("texts of items", "vectors"), ("last items", "nearest vectors", "items")),
    "itemknn": (("events", "cosines of items\nby their users"), ("history", "sum of cosines", "items")),
    "gru4rec": (("histories", "*recurrent network", "softmax over items"), ("history", "*recurrent network", "a score of every item", "items")),
    "sasrec": (("histories", "*causal self-attention", "softmax over items"), ("history", "*causal self-attention", "a score of every item", "items")),
}
ROWS = {"popularity": "popularity", "markov": "Markov chain", "semanticknn": "like the last item", "itemknn": "item neighbours",
        "gru4rec": "GRU4Rec", "sasrec": "SASRec", "tiger": "TIGER"}  # fmt: skip  # of results/recommend.json


def png(name: str) -> bytes:
    """The figure of a system as PNG; KeyError for a system that has none."""
    learns, answers = STEPS[name]
    drawn, (axes,) = plots.figure(None, None, size=(8.4, 2.5))
    axes.set_axis_off()
    for height, (title, boxes) in enumerate((("answers", answers), ("learns", learns))):
        axes.text(-0.62, height, title, ha="right", va="center", fontsize=9, color=plots.INK, weight="bold")
        for place, box in enumerate(boxes):
            trained = box.startswith("*")
            colour = plots.COLOURS[0] if trained else "#888888"
            style = {"boxstyle": "round,pad=0.5", "facecolor": "#E8F2FA" if trained else "white", "edgecolor": colour, "linewidth": 1.4}
            axes.text(place, height, box.removeprefix("*"), ha="center", va="center", fontsize=8, color=plots.INK, bbox=style, zorder=2)
            if place:
                axes.annotate("", (place - 0.36, height), (place - 0.64, height), arrowprops={"arrowstyle": "->", "color": plots.INK}, zorder=3)
    axes.set_xlim(-0.9, 3.6)
    axes.set_ylim(-0.55, 1.55)
    out = io.BytesIO()
    drawn.savefig(out, format="png", facecolor="white")
    return out.getvalue()
