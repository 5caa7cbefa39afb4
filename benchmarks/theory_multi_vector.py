"""Is a trained generative retriever multi-vector? `python benchmarks/theory_multi_vector.py`.

Fits DSI (size tiny) to a collection with several kinds of identifiers, decoder depths and numbers
of steps, and takes the logits of its test queries apart (`theory.alignment`): what share of their
variance each head of the last cross-attention carries directly, what the MLP behind it carries, and
how often each part alone chooses the decoder's token; the effective rank of the attention against
the rank-one bound. `--figure FILE.png` draws one query's alignments beside MVDR's.
"""

from __future__ import annotations

import argparse
import dataclasses
from unittest import mock

import jax
import numpy as np

import zoo
from theory import alignment, fitted as fits
from zoo import records
from zoo.api import fitted as stored, inputs
from zoo.docids import table
from zoo.nets import network, transformer
from zoo.recipes import dsi
from zoo.schemes import scheme
from zoo.text import tokens

QUERIES = 64
TITLE = "title"  # no option of DSI: its naming is replaced
CASES = (  # label, options
    ("semantic, 1 layer", {}),
    ("semantic, 1 layer, 4 x steps", {"fewest_steps": 2400, "most_steps": 2400}),
    ("semantic, 3 layers", {"decoder_layers": 3}),
    ("naive digits, 1 layer", {"identifiers": "naive"}),
    ("atomic, 1 layer", {"identifiers": "atomic"}),
    ("title, 1 layer", {"identifiers": TITLE}),
)


def main() -> None:
    """Prints a line per case; draws the first one's alignment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", nargs="?", default="toy")
    parser.add_argument("--figure", metavar="FILE.png")
    parsed = parser.parse_args()
    collection = inputs.load_data(parsed.data)
    print(
        "case | share of the logits' variance: each head, MLP behind attention, rest | argmax "
        "agrees: direct, direct + MLP, rest | effective rank of A, of L | L1 from rank one, bound, "
        "rows beyond it"
    )
    for number, (label, options) in enumerate(CASES):
        fitted = fit(collection, options)
        system = fits.open(fitted)
        queries, _ = inputs.in_fitted_order(fitted, collection).split("test")
        source = fits.sources(system, queries.take(range(min(QUERIES, len(queries)))))
        for weights, params in (
            ("trained", system.model.params),
            ("random", system.model.net.init(jax.random.key(0))),
        ):
            trained = dataclasses.replace(system, model=system.model._replace(params=params))
            target = best(trained, source)
            parts = alignment.decompose(params, source, target, shape=_shape(system.model.net))
            print(f"{label}, {weights} | " + line(parts, source, legal(system.ids)), flush=True)
            if parsed.figure and not number and weights == "trained":
                draw(system, parts, source, parsed.figure)


def fit(collection: records.Collection, options: dict) -> stored.Fitted:
    """DSI of size tiny; with identifiers=title its documents are named by their titles."""
    if options.get("identifiers") != TITLE:
        return zoo.fit("dsi", collection, size="tiny", options=options)
    replaced = mock.patch.object(dsi, "naming_of", lambda config: scheme.scheme("title"))
    with replaced:
        return zoo.fit("dsi", collection, size="tiny", options={"identifiers": "naive"})


def _shape(net: network.Network) -> transformer.Shape:
    if not isinstance(net.spec, transformer.Shape):
        raise ValueError(f"expected a T5 decoder, got {type(net.spec).__name__}")
    return net.spec


def best(system: fits.System, source: np.ndarray) -> np.ndarray:
    """i32[B, L] most probable identifier of each query, among those that exist."""
    log, _ = fits.log_relevance(system, source)
    return system.ids.tokens[log.argmax(1)]


def legal(ids: table.Docids) -> np.ndarray:
    """bool[L, V] tokens that some identifier has at each position."""
    seen = np.zeros((ids.tokens.shape[1], ids.alphabet), bool)
    for position, column in enumerate(ids.tokens.T):
        seen[position, column] = True
    return seen


def line(parts: alignment.Parts, source: np.ndarray, allowed: np.ndarray) -> str:
    """Shares and ranks as text."""
    share, rank = alignment.shares(parts, allowed), alignment.ranks(parts, source)
    heads = " ".join(f"{100 * value:.1f}" for value in share.heads)
    return (
        f"{heads}, {100 * share.through:.1f}, {100 * share.own:.1f} % | "
        f"{100 * share.direct_argmax:.0f}, {100 * share.attended_argmax:.0f}, "
        f"{100 * share.own_argmax:.0f} % | {rank.effective:.2f} of {parts.weights.shape[2]} | "
        f"{rank.error:.3f} {rank.bound:.3f} {rank.broken}"
    )


def draw(system: fits.System, parts: alignment.Parts, source: np.ndarray, path: str) -> None:
    """One query's alignments: identifier tokens down, words across."""
    from matplotlib.backends import backend_agg
    from matplotlib.figure import Figure

    row = int((np.asarray(source) != 0).sum(1).argmax())
    words = np.asarray(source[row]) != 0
    pieces = _pieces(system, np.asarray(source[row])[words])
    pictures = alignment.matrices(parts, row, words)
    figure = Figure(figsize=(4.6 * len(pictures), 3.2), layout="constrained")
    backend_agg.FigureCanvasAgg(figure)
    for axes, (title, matrix) in zip(figure.subplots(1, len(pictures)), pictures.items()):
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=max(1e-9, matrix.max()), aspect="auto")
        axes.set_title(title, fontsize=9)
        axes.set_xticks(range(len(pieces)), pieces, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(matrix)), [f"token {i + 1}" for i in range(len(matrix))])
    figure.savefig(path, dpi=110)


def _pieces(system: fits.System, ids: np.ndarray) -> list[str]:
    pieces = tokens.decode(str(system.about.state["tokenizer"]), ids[:, None])
    return [piece or "[prompt]" for piece in pieces]


if __name__ == "__main__":
    main()
