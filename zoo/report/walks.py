"""The search of one query as JSON for the view of `walk.js`: levels, answers, the exact top k."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.api import answer, inputs
from zoo.index import lexical
from zoo.models import beam_walk, generate
from zoo.records import DataError
from zoo.report import branch_names, html
from zoo.search import decoders, guided

DECODERS = {  # name -> what it ranks by, in words
    "trie": "the model's probability of each prefix",
    "counted": "probability × documents below, shared among siblings",
    "lookahead": "probability of all documents below, summed",
    "max-marginal": "probability of the best document below: finds the exact top k",
    "best-first": "everything that could still hold one of the top k is opened",
    "potential": "probability, and the best lexical match (BM25) below",
}
WIDEST = beam_walk.WIDTH  # beam
NATS = 3.0  # potential of a document that matches best, e^3 = 20 times
MOST_LEXICAL = 200_000  # documents that a potential is computed for
LETTERS = 90  # of a title
REMEMBERED = 8  # queries whose scores of all identifiers are kept


class Walker:
    """Shows searches of one opened system. Raises DataError if it generates no identifiers."""

    def __init__(self, opened: answer.Opened):
        if not isinstance(opened.ask, generate.Opened):
            raise DataError(
                f"walk: {opened.fitted.recipe} generates no identifiers; there is no tree to show"
            )
        if opened.ask.fixed or opened.ask.plan is not None:
            raise DataError(f"walk: {opened.fitted.recipe} has a search of its own; not shown yet")
        self.opened, self.model = opened, opened.ask.model
        self.fitted = opened.fitted
        self.shared = beam_walk.guides(self.model)
        self._scored: dict[tuple, np.ndarray] = {}
        self.names = branch_names.Names(self.fitted.documents.titles, self.model.index)

    def decoders(self) -> dict[str, str]:
        """Decoders that can be shown for this system, and what each ranks by."""
        without = set() if self.shared.tabled else {*decoders.TABLED, "best-first"}
        if self.lexical is None:
            without.add("potential")
        return {name: about for name, about in DECODERS.items() if name not in without}

    @functools.cached_property
    def lexical(self) -> Any:
        """The BM25 index of the titles and the beginnings of documents; None for items."""
        texts = self.fitted.documents.contents()
        is_text = not hasattr(self.fitted.config, "history") and len(texts) <= MOST_LEXICAL
        return lexical.build(texts) if is_text and any(text.strip() for text in texts) else None

    def walk(
        self,
        query: str | Sequence[str],
        *,
        decoder: str = "trie",
        beam: int = 10,
        temperature: float = 1.0,
        k: int = 10,
        wanted: str | None = None,
    ) -> dict[str, Any]:
        """What the view shows. query: a text, or a history of item ids; wanted: id of a document.

        Raises DataError for a decoder that cannot be shown, and what `zoo.retrieve` refuses.
        """
        if decoder not in self.decoders():
            raise DataError(
                f"walk: expected a decoder of {', '.join(self.decoders())}, got {decoder!r}"
            )
        source = jnp.asarray(self._read(query))
        warmth = jnp.float32(temperature)
        scores = self._leaf_scores(source, warmth)
        exact = self._exact(scores, k)
        row = self._row(wanted)
        found = self._search(source, warmth, decoder, beam, query, scores, exact, k, row)
        levels = [self._level(depth, level, found) for depth, level in enumerate(found.levels)]
        return {
            "query": query if isinstance(query, str) else [self._title(each) for each in query],
            "decoder": decoder,
            "ranks_by": DECODERS[decoder],
            "beam": beam,
            "temperature": temperature,
            "documents": len(self.fitted.documents),
            "levels": levels,
            "answers": self._answers(found, k),
            "exact": None if exact is None else [self._document(*each) for each in exact[:k]],
            "wanted": None if row is None else self._wanted(source, warmth, row, found, scores),
        }

    def warm_up(self, query: str | Sequence[str]) -> None:
        """Compiles what any walk needs."""
        for decoder in self.decoders():
            self.walk(query, decoder=decoder, wanted=self.fitted.documents.ids[0])

    def _read(self, query: str | Sequence[str]) -> np.ndarray:
        opened = self.opened.ask
        assert isinstance(opened, generate.Opened)
        return opened.read(inputs.as_queries(self.fitted, [query]))

    def _row(self, wanted: str | None) -> int | None:
        if wanted is None:
            return None
        row = self.fitted.documents.rows().get(wanted)
        if row is None:
            raise DataError(f"walk: no document {wanted!r} in this system")
        return row

    def _leaf_scores(self, source: Any, temperature: Any) -> np.ndarray | None:
        """f32[M] log-probability of every identifier; None if they are too many."""
        if not self.shared.tabled:
            return None
        asked, model = (np.asarray(source).tobytes(), float(temperature)), self.model
        if asked in self._scored:
            return self._scored[asked]
        while len(self._scored) >= REMEMBERED:
            self._scored.pop(next(iter(self._scored)))
        self._scored[asked] = np.asarray(
            beam_walk.leaf_scores(
                model.params,
                source,
                temperature,
                model.index,
                net=model.net,
                num_leaves=self.shared.num_leaves,
            )
        )
        return self._scored[asked]

    def _exact(self, scores: np.ndarray | None, k: int) -> list[tuple[int, float]] | None:
        """(row, log-probability) of the best documents, at least k if there are."""
        if scores is None:
            return None
        leaf = np.asarray(self.shared.where.leaf)  # of each identifier
        each = scores[leaf]
        order = np.argsort(-each, kind="stable")
        rows = self.model.ids.documents[order]
        _, first = np.unique(rows, return_index=True)
        first = np.sort(first)[: max(k, 50)]
        return [(int(rows[at]), float(each[order[at]])) for at in first]

    def _search(
        self,
        source: Any,
        temperature: Any,
        decoder: str,
        beam: int,
        query: Any,
        scores: np.ndarray | None,
        exact: Any,
        k: int,
        row: int | None,
    ) -> beam_walk.Walk:
        model, shared = self.model, self.shared
        potential, threshold = shared.flat, -np.inf
        if decoder == "potential":
            potential = self._potential(query)
        if decoder == "best-first" and exact is not None:
            beam, threshold = WIDEST, exact[min(k, len(exact)) - 1][1] - 1e-4  # float32
        tokens = self._tokens(row)
        nodes = np.full(model.net.spec.target_length, -1, np.int32)
        if tokens is not None:
            nodes = np.asarray(_walk(model.index, tokens[None]))[0]
        return beam_walk.walk(
            model.params,
            source,
            temperature,
            beam_walk.automaton(
                decoder, model, shared, None if scores is None else jnp.asarray(scores)
            ),
            model.index,
            potential,
            jnp.int32(min(beam, WIDEST)),
            jnp.float32(threshold),
            jnp.asarray(nodes),
            net=model.net,
        )

    def _tokens(self, row: int | None) -> np.ndarray | None:
        """The first identifier of a document."""
        if row is None:
            return None
        return self.model.ids.tokens[np.argmax(self.model.ids.documents == row)]

    def _potential(self, query: Any) -> Any:
        rows, scores = lexical.search(self.lexical, [query], len(self.fitted.documents))
        each = np.zeros(len(self.fitted.documents), np.float32)
        each[rows[0][rows[0] >= 0]] = scores[0][rows[0] >= 0]
        each *= NATS / max(float(each.max()), 1e-9)
        return _bounds(self.shared.where, jnp.asarray(each[self.model.ids.documents])[None])

    def _level(self, depth: int, level: beam_walk.Level, found: beam_walk.Walk) -> dict[str, Any]:
        before = found.levels[depth - 1].score if depth else None
        alive = np.flatnonzero(np.asarray(level.key) > -np.inf)
        parents = np.asarray(level.parent)
        nodes = []
        for at in alive.tolist():
            parent = int(parents[at])
            above = 0.0 if before is None else float(before[parent])
            nodes.append(
                {
                    "token": int(level.token[at]),
                    "parent": parent,
                    "probability": _exp(float(level.score[at])),
                    "step": _exp(float(level.score[at]) - above),
                    "margin": round(float(level.key[at]) - float(level.cutoff), 3),
                    "kept": bool(level.kept[at]),
                    "wanted": at == int(level.wanted),
                    **self.names.of(int(level.first[at]), int(level.end[at])),
                }
            )
        return {"nodes": nodes, "children": int(level.num_children)}

    def _answers(self, found: beam_walk.Walk, k: int) -> list[dict[str, Any]]:
        last, answers, seen = found.levels[-1], [], set()
        for at in np.flatnonzero(np.asarray(last.kept)).tolist():
            row = int(found.documents[at])
            if row >= 0 and row not in seen:
                seen.add(row)
                answers.append(self._document(row, float(last.score[at])))
        return answers[:k]

    def _wanted(
        self,
        source: Any,
        temperature: Any,
        row: int,
        found: beam_walk.Walk,
        scores: np.ndarray | None,
    ) -> dict[str, Any]:
        """The path of a document, and where it leaves the beam."""
        tokens, model = self._tokens(row), self.model
        assert tokens is not None
        path = beam_walk.path_scores(
            model.params, source, temperature, jnp.asarray(tokens), net=model.net
        )
        died = None
        for depth, level in enumerate(found.levels):
            at = int(level.wanted)
            if at < 0 or not bool(level.kept[at]):
                died = {
                    "step": depth + 1,
                    "rank": int(level.wanted_rank) + 1,
                    "nats": round(float(level.cutoff) - float(level.wanted_key), 3),
                }
                break
        place = None
        if scores is not None:
            leaf = np.asarray(self.shared.where.leaf)[np.argmax(model.ids.documents == row)]
            place = int((scores > scores[leaf]).sum()) + 1
        return {
            **self._document(row, float(np.asarray(path)[-1])),
            "tokens": [int(token) for token in tokens],
            "path": [_exp(float(each)) for each in np.asarray(path)],
            "died": died,
            "exact_rank": place,
        }

    def _document(self, row: int, score: float) -> dict[str, Any]:
        shown = self.fitted.documents
        title = html.short(shown.titles[row], LETTERS) or html.short(shown.texts[row], LETTERS)
        return {"id": shown.ids[row], "title": title or shown.ids[row], "probability": _exp(score)}

    def _title(self, name: str) -> str:
        row = self.fitted.documents.rows().get(name)
        return name if row is None else self._document(row, 0.0)["title"]


def _exp(score: float) -> float:
    """A probability with four significant digits."""
    return float(f"{np.exp(score):.4g}") if score > -np.inf else 0.0


_walk = jax.jit(lambda index, tokens: index.walk(tokens))
_bounds = jax.jit(guided.upper_bounds)
