"""Decoders by name: what each ranks by, which problem it solves, and which it does not.

- `trie`: log-softmax over the whole alphabet, then mask. No identifiers that do not exist; scores
  are the model's. Does not help recall: a beam ranks prefixes by sums, and half of the top k may be
  cut (arXiv:2504.09935).
- `renormalised`: mask, then log-softmax over children. No mass is lost to what does not exist. Does
  not help recall; and mass goes to siblings whatever has survived below them: KL > 0.
- `logit`: sums of raw logits under a mask (RIPOR, arXiv:2311.09134), for models trained to score
  so.
- `counted`: `guided.Counted`, the model's probability x documents below. Removes most of that KL.
  Does not help recall, which counts may lower. Assumes that the model knows nothing of the corpus;
  for one trained on just these documents it counts them twice.
- `lookahead`: `guided.Lookahead` on the scores of all identifiers. Removes all of that KL: scores
  are the posterior given the corpus. Does not help the recall of the beam. Costs a score of every
  identifier.
- `max-marginal`: `guided.MaxMarginal` on the scores of all identifiers: the exact top k, at the
  same cost.
- `best-first`: `best_first.best_first`, blocks of `width` prefixes: the exact top k, and whether
  that is proven. Not for a model whose scores are nearly uniform: everything must be expanded.
- `diverse`: `diverse.diverse_beam_search`, groups of hypotheses that avoid each other's tokens.
- `sampled`: `sampling.sample_distinct`, k draws without replacement at a temperature, in the order
  drawn; scores are perturbed log-probabilities.
- `nucleus`: `sampling.sample`, as many independent draws from the likely children as the beam is
  wide, each answered once, by log-probability.
- `reverse-annealed`: `sampling.reverse_anneal`, k draws one by one at rising temperature, each
  deleted before the next (ZeroGR, Sun et al. 2025); the score of a draw is 1 / its rank.
- `free`: no constraint: the baseline of some papers; identifiers may not exist.

None makes a wrong model right: "top k" is by the model's own probability.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from zoo import records
from zoo.docids import table
from zoo.index import children, trie
from zoo.search import automaton as automata, beam, guided, requests

BUDGET = 2 * 2**30  # bytes that the prefixes of a batch may take
SCORES = typing.get_args(children.Score)


class Option(NamedTuple):
    """An option of a decoder. A number has limits, a name is one of `names`."""

    default: float | int | str
    help: str
    least: float = 0
    most: float = math.inf
    names: tuple[str, ...] = ()


class Kind(NamedTuple):
    """What a name stands for."""

    run: Callable[..., requests.Answers]  # (requests.Request, options by name) -> Answers
    options: Mapping[str, Option]
    filters: bool  # whether `legal` may be a trie with a filter for each query
    plans: bool = False  # whether it takes a potential


@dataclasses.dataclass(frozen=True)
class Decode:
    """A decoder and its options. Hashable: a static argument of jitted functions."""

    name: str
    options: tuple[tuple[str, float | int | str], ...]

    @property
    def filters(self) -> bool:
        """Whether `legal` may be a trie with a filter per query; if not, filter afterwards."""
        return KINDS[self.name].filters

    @property
    def plans(self) -> bool:
        """Whether a potential may guide the search."""
        return KINDS[self.name].plans

    @property
    def score(self) -> children.Score:
        """What a step of the beam adds to the score of a hypothesis."""
        named: dict[str, children.Score] = {"renormalised": "renormalised", "logit": "logit"}
        return named.get(self.name, "model")

    @property
    def draws(self) -> bool:
        """Whether answers are random, and a key is needed."""
        return self.name in ("sampled", "nucleus", "reverse-annealed")

    @property
    def finds_k(self) -> bool:
        """Whether what is computed depends on k, and not on the width alone."""
        return self.name in ("best-first", "sampled", "reverse-annealed")

    def constraint(self, index: trie.Trie, ids: table.Docids) -> Any:
        """The argument `legal` of a call: a pytree, built on the host. index: the trie of ids."""
        if self.name == "free":
            return automata.Free()
        if self.name == "counted":
            return guided.counted(index)
        return requests.Enumerated(index, guided.nodes(ids)) if self.name in TABLED else index

    def __call__(
        self,
        step: beam.Step,
        cache: beam.Cache,
        legal: Any,
        *,
        k: int,
        width: int | Sequence[int],
        length: int,
        key: jax.Array | None = None,
        potential: beam.Potential | None = None,
    ) -> requests.Answers:
        """The answers. Jit with the decoder and the sizes static.

        Args: step, cache, length: as for `beam.beam_search`. legal: what `constraint` returns. k:
          number of answers wanted, at most the last width. width: of the beam, or one per level; of
          best-first, prefixes expanded together; of nucleus, draws. key: of decoders that draw.
          potential: as for `beam.beam_search`, if `plans`.
        """
        if potential is not None and not self.plans:
            able = ", ".join(name for name, kind in KINDS.items() if kind.plans)
            raise records.DataError(
                f"decoding {self.name}: takes no potential; expected one of {able}"
            )
        if self.draws and key is None:
            raise ValueError(f"decoding {self.name}: answers are random; expected a key")
        request = requests.Request((step, cache, legal), k, width, length, key, potential)
        return KINDS[self.name].run(request, **dict(self.options))

    def queries_at_once(self, index: trie.Trie, cache: beam.Cache, *, width: int, most: int) -> int:
        """Number of queries of a batch, at most `most`, whose prefixes stay within BUDGET.

        cache: leaves [B, 1, ...] or their shapes. Raises DataError if not even one query fits.
        """
        leaves = jax.tree.leaves(cache)
        prefix = sum(leaf.dtype.itemsize * math.prod(leaf.shape[2:]) for leaf in leaves)  # bytes
        if self.name == "best-first":
            prefixes, remedy = (
                index.length * int(dict(self.options)["sweeps"]) * width,
                "lower the beam",
            )
        elif self.name in TABLED:
            prefixes = min(len(index.documents), math.prod(index.fanout[:-1]))
            remedy = "choose best-first"
            # before and after the gather; logits, their softmax, the children
            prefix = 2 * prefix + 24 * index.alphabet
        else:
            return most
        fit = BUDGET // (prefixes * prefix)
        if fit < 1:
            size = f"{prefixes * prefix / 2**30:.1f} GiB a query for {prefixes:,} prefixes"
            raise records.DataError(
                f"decoding {self.name!r} would take {size}, over {BUDGET / 2**30:.0f}; {remedy}"
            )
        return min(most, fit)


def decoder(name: str, **options: float | int | str) -> Decode:
    """The decoder of a name, with its options replaced; values may be text.

    Raises DataError for a name or an option that does not exist, and for a value out of range.
    """
    if name not in KINDS:
        raise records.DataError(f"decoding expects one of {', '.join(NAMES)}, got {name!r}")
    known = KINDS[name].options
    for key in options:
        if key not in known:
            allowed = f"expected one of: {', '.join(known)}" if known else "it has none"
            raise records.DataError(f"decoding {name}: no option {key!r}; {allowed}")
    values = {key: option.default for key, option in known.items()}
    values |= {key: _value(name, key, known[key], value) for key, value in options.items()}
    return Decode(name, tuple(values.items()))


@functools.lru_cache(maxsize=256)
def parse(text: str) -> Decode:
    """The decoder named by a text such as "trie" or "diverse,groups=4"; DataError as `decoder`."""
    name, *pairs = (part.strip() for part in text.split(","))
    if bad := [pair for pair in pairs if "=" not in pair]:
        raise records.DataError(
            f"decoding {text!r}: expected NAME,OPTION=VALUE,..., got {bad[0]!r}"
        )
    return decoder(name, **dict(pair.split("=", 1) for pair in pairs))


def _value(name: str, key: str, option: Option, value: float | int | str) -> float | int | str:
    if option.names:
        if value in option.names:
            return value
        raise records.DataError(
            f"decoding {name}: option {key} expects one of {', '.join(option.names)}, got {value!r}"
        )
    kind = int if isinstance(option.default, int) else float
    try:
        number = kind(value)
    except ValueError:
        number = math.nan
    if not option.least <= number <= option.most:
        raise records.DataError(
            f"decoding {name}: option {key} expects {kind.__name__} from {option.least:g} "
            f"to {option.most:g}, got {value!r}"
        )
    return number


def _score(default: str, *names: str) -> dict[str, Option]:
    help = "what a step adds: model (log-probability), renormalised (over children) or logit"
    return {"score": Option(default, help, names=names or SCORES)}


_TEMPERATURE = Option(1.0, "temperature of the draws", 1e-3)

KINDS: Mapping[str, Kind] = {
    "trie": Kind(functools.partial(requests.run_beam, score="model"), {}, True, True),
    "renormalised": Kind(
        functools.partial(requests.run_beam, score="renormalised"), {}, True, True
    ),
    "logit": Kind(functools.partial(requests.run_beam, score="logit"), {}, True, True),
    "counted": Kind(functools.partial(requests.run_beam, score="model"), {}, False),
    "lookahead": Kind(functools.partial(requests.run_tabled, guide=guided.lookahead), {}, False),
    "max-marginal": Kind(
        functools.partial(requests.run_tabled, guide=guided.max_marginal), {}, False
    ),
    "best-first": Kind(
        requests.run_best_first,
        {
            "sweeps": Option(16, "most passes down the levels", 1),
            "frontier": Option(4096, "most prefixes of a level that wait", 1),
            **_score("model", "model", "renormalised"),
        },
        False,
    ),
    "diverse": Kind(
        requests.run_diverse,
        {
            "groups": Option(5, "beams that share the width", 1),
            "penalty": Option(0.5, "nats for each earlier beam that took the token"),
            **_score("model"),
        },
        True,
    ),
    "sampled": Kind(
        requests.run_sampled, {"temperature": _TEMPERATURE, **_score("renormalised")}, True
    ),
    "nucleus": Kind(
        requests.run_nucleus,
        {
            "temperature": _TEMPERATURE,
            "top_p": Option(0.9, "share of the mass that the likely children hold", 1e-6, 1),
            **_score("model"),
        },
        True,
    ),
    "reverse-annealed": Kind(
        requests.run_reverse_annealed,
        {
            "most": Option(1.5, "temperature that the last draw approaches"),
            "steepness": Option(10.0, "of the logistic curve of temperatures", 1e-3),
            "middle": Option(0.1, "of that curve, as a share of the draws", 0, 1),
            **_score("model"),
        },
        True,
    ),
    "free": Kind(functools.partial(requests.run_beam, score="model"), {}, False),
}
NAMES = tuple(KINDS)
TABLED = ("lookahead", "max-marginal")  # these score every identifier first
