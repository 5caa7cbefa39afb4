"""A figure for each system: what it learns from and how it answers, as two rows of boxes."""

from __future__ import annotations

import io

from zoo.report import figures

# system -> (what it learns, how it answers), each a row of boxes; * marks the box that is trained
STEPS = {
    "bm25": (
        ("documents", "terms, stemmed", "inverted index"),
        ("query", "terms, stemmed", "sum of term weights", "documents"),
    ),
    "tree": (
        (
            "vectors of documents,\nBM25 in few dimensions",
            "clusters",
            "*rows of documents,\nthen of clusters",
        ),
        ("query's vector\nand BM25", "beam over clusters,\nthen documents", "documents"),
    ),
    "flat": (
        ("vectors of documents,\nBM25 in few dimensions", "*rows of documents"),
        ("query's vector", "largest inner products,\nexact", "documents"),
    ),
    "dense": (
        ("documents", "frozen encoder", "vectors"),
        ("query", "frozen encoder", "largest cosines,\nexact", "documents"),
    ),
    "dense-max": (
        ("documents and\ntrain queries", "frozen encoder", "several vectors\na document"),
        ("query", "frozen encoder", "largest cosine\nof each document", "documents"),
    ),
    "hybrid": (
        (
            "documents and\ntrain queries",
            "frozen encoder,\ninverted index",
            "weight, on dev queries",
        ),
        ("query", "cosine + weight x BM25", "documents"),
    ),
    "dsi": (
        (
            "first words of a document,\nor a query",
            "*encoder-decoder",
            "path in a tree\nof clusters",
        ),
        ("query", "*encoder-decoder", "beam over the trie\nof paths", "documents"),
    ),
    "nci": (
        (
            "queries, real and made,\nand spans of a document",
            "*encoder, decoder whose head\nreads the prefix",
            "path in a tree\nof clusters",
        ),
        ("query", "*encoder, prefix-aware\ndecoder", "beam over the trie\nof paths", "documents"),
    ),
    "dsi-qg": (
        ("queries made from\na document", "*encoder-decoder", "number of the\ndocument"),
        ("query", "*encoder-decoder", "beam over the trie\nof numbers", "documents"),
    ),
    "dpr": (
        (
            "query and its document,\nothers of the batch",
            "*two encoders",
            "softmax over\ninner products",
        ),
        ("query", "*encoder", "largest inner products,\nexact", "documents"),
    ),
    "dpr-hn": (
        (
            "query, its document,\nand mined wrong ones",
            "*two encoders",
            "softmax over\ninner products",
        ),
        ("query", "*encoder", "largest inner products,\nexact", "documents"),
    ),
    "genret": (
        (
            "document",
            "*encoder-decoder",
            "code after code,\nlearned",
            "tells documents of\none prefix apart",
        ),
        ("query", "*the same\nencoder-decoder", "beam over the trie\nof codes", "documents"),
    ),
    "genre": (
        ("query", "*encoder-decoder", "words of the title\nof its document"),
        ("query", "*encoder-decoder", "beam over the trie\nof titles", "documents"),
    ),
    "seal": (
        ("query", "*encoder-decoder", "spans and title\nof its document"),
        (
            "query",
            "*encoder-decoder",
            "n-grams of the corpus,\nby an FM-index",
            "documents that\nhold the best",
        ),
    ),
    "zerogr": (
        (
            "instruction, and a query\nor the document",
            "*causal language\nmodel",
            "name of the document\nin a few words",
        ),
        (
            "instruction,\nquery",
            "*causal language\nmodel",
            "beam over the trie of\nshortest beginnings",
            "documents",
        ),
    ),
    "tiger": (
        (
            "texts of items",
            "*residual quantiser",
            "codes of items",
            "*encoder-decoder:\nhistory to next item",
        ),
        ("history, as codes", "*encoder-decoder", "beam over the trie\nof codes", "items"),
    ),
    "popularity": (("events", "counts"), ("any history", "the most taken", "items")),
    "markov": (
        ("events, in order", "counts of pairs"),
        ("last items", "what followed them", "items"),
    ),
    "semanticknn": (("texts of items", "vectors"), ("last items", "nearest vectors", "items")),
    "itemknn": (
        ("events", "cosines of items\nby their users"),
        ("history", "sum of cosines", "items"),
    ),
    "gru4rec": (
        ("histories", "*recurrent network", "softmax over items"),
        ("history", "*recurrent network", "a score of every item", "items"),
    ),
    "sasrec": (
        ("histories", "*causal self-attention", "softmax over items"),
        ("history", "*causal self-attention", "a score of every item", "items"),
    ),
}
ROWS = {
    "popularity": "popularity",
    "markov": "Markov chain",
    "semanticknn": "like the last item",
    "itemknn": "item neighbours",
    "gru4rec": "GRU4Rec",
    "sasrec": "SASRec",
    "tiger": "TIGER",
}  # of results/recommend.json


WIDE, TALL, ARROW = 5.9, 1.5, 0.28  # inches, of the figure and of an arrow


def png(name: str) -> bytes:
    """The figure of a system as PNG; KeyError for a system that has none."""
    learns, answers = STEPS[name]
    drawn, (axes,) = figures.figure(None, None, size=(WIDE, TALL))
    drawn.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDE)
    axes.set_ylim(0, TALL)
    for height, title, boxes in (
        (0.74 * TALL, "learns", learns),
        (0.26 * TALL, "answers", answers),
    ):
        axes.text(
            0.08,
            height,
            title,
            ha="left",
            va="center",
            fontsize=9,
            color=figures.INK,
            weight="bold",
        )
        end = 0.75
        for place, box in enumerate(boxes):
            if place:
                axes.annotate(
                    "",
                    (end + ARROW, height),
                    (end, height),
                    arrowprops={"arrowstyle": "->", "color": figures.INK},
                )
                end += ARROW
            end = _box(axes, end, height, box)
    out = io.BytesIO()
    drawn.savefig(out, format="png", facecolor="white")
    return out.getvalue()


def _box(axes, start: float, height: float, told: str) -> float:
    """Draws a box from `start` on; returns where it ends."""
    trained = told.startswith("*")
    style = {
        "boxstyle": "round,pad=0.45",
        "facecolor": "#E8F2FA" if trained else "white",
        "edgecolor": figures.COLOURS[0] if trained else "#888888",
        "linewidth": 1.4,
    }
    text = axes.text(
        start,
        height,
        told.removeprefix("*"),
        ha="left",
        va="center",
        multialignment="center",
        fontsize=8,
        color=figures.INK,
    )
    text.set_bbox(style)
    pad = 0.45 * 8 / 72  # the box goes beyond its text
    text.set_x(start + pad)
    return start + 2 * pad + text.get_window_extent().width / axes.figure.dpi
