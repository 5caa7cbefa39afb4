"""Options that systems share, each with the values that it takes: a system's `Config` is of the groups that it needs, and adds its own.

    @dataclasses.dataclass(frozen=True)
    class Config(options.Writing, options.Reading, options.Answering):
        codes: int = 32

        SYSTEM = "mine"
        LIMITS = {"codes": (2, math.inf)}

A config checks itself when it is made. Of an option that several groups limit, the limits of the class that is nearest count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from zoo.records import DataError
from zoo.search import decoders
from zoo.train import optimizers

# the least and the most
SIZE, COUNT, AMOUNT, SHARE = (1, math.inf), (0, math.inf), (0.0, math.inf), (0.0, 0.99)
# of `transformer.Shape`: of an encoder
SHAPE = ("width", "heads", "head_width", "encoder_hidden", "encoder_layers", "dropout", "dtype")
WRITER = (*SHAPE, "decoder_hidden", "decoder_layers")  # and of an encoder-decoder


@dataclasses.dataclass(frozen=True)
class Checked:
    """Refuses values that mean nothing before work begins."""

    SYSTEM: ClassVar[str] = ""  # as errors call it
    ONE_OF: ClassVar[Mapping[str, Sequence[str]]] = {}  # names that an option takes
    LIMITS: ClassVar[Mapping[str, tuple[float, float]]] = {}  # its least and its most

    def __post_init__(self) -> None:
        """Raises DataError naming the first option that is none of its names, or is not within its least and most."""
        groups = type(self).__mro__[::-1]
        for option, names in {
            o: n for group in groups for o, n in vars(group).get("ONE_OF", {}).items()
        }.items():
            if getattr(self, option) not in names:
                raise DataError(
                    f"{self.SYSTEM}: option {option} expects one of {', '.join(names)}, got {getattr(self, option)!r}"
                )
        for option, (least, most) in {
            o: bounds for group in groups for o, bounds in vars(group).get("LIMITS", {}).items()
        }.items():
            if not least <= getattr(self, option) <= most:
                raise DataError(
                    f"{self.SYSTEM}: option {option} expects {least} to {most}, got {getattr(self, option)}"
                )


@dataclasses.dataclass(frozen=True)
class Training(Checked):
    """Of every system that is trained by steps."""

    dropout: float = 0.0
    dtype: str = "float32"  # of activations: float32 or bfloat16
    batch: int = 128
    steps: int = 0  # 0 = by visits
    visits: float = 250.0  # times that each document, example or history is shown, on average
    fewest_steps: int = 1500
    most_steps: int = 1_000_000
    # training ends after so long if that is sooner, 0 = no limit; the result then depends on the
    # machine
    minutes: float = 0.0
    rate: float = 3e-3  # peak learning rate
    warmup: int = 100
    decay: str = "linear"  # constant, linear, cosine or rsqrt
    weight_decay: float = 0.01

    ONE_OF = {"dtype": ("float32", "bfloat16"), "decay": optimizers.DECAYS}
    LIMITS = {
        "dropout": SHARE,
        **dict.fromkeys(("batch", "fewest_steps", "most_steps"), SIZE),
        **dict.fromkeys(("steps", "warmup"), COUNT),
        **dict.fromkeys(("visits", "minutes", "rate", "weight_decay"), AMOUNT),
    }


@dataclasses.dataclass(frozen=True)
class Encoding(Training):
    """Of an encoder of T5."""

    width: int = 128
    heads: int = 4
    head_width: int = 32
    encoder_hidden: int = 256
    encoder_layers: int = 0  # 0: a text is the embeddings of its words, a bag
    word_dropout: float = 0.5  # share of source tokens that are hidden in training

    LIMITS = {
        **dict.fromkeys(("width", "heads", "head_width", "encoder_hidden"), SIZE),
        "encoder_layers": COUNT,
        "word_dropout": SHARE,
    }


@dataclasses.dataclass(frozen=True)
class Writing(Encoding):
    """Of an encoder-decoder of T5."""

    decoder_hidden: int = 4096
    decoder_layers: int = 1
    smoothing: float = 0.1

    LIMITS = {"decoder_hidden": SIZE, "decoder_layers": SIZE, "smoothing": SHARE}


@dataclasses.dataclass(frozen=True)
class Reading(Checked):
    """Of a system that reads texts, see `zoo.models.corpus_text`."""

    # how queries are made: rules, seq2seq (by a generator), or a folder of `zoo queries generate`
    queries: str = "rules"
    generated: int = 16  # queries made from each document, 0 = none
    generated_share: float = 0.5  # of the retrieval examples, where there are train queries too
    vector_start: bool = True  # source embeddings start from the SVD of the corpus instead of noise
    vocabulary: int = 8000  # sub-words
    stem: bool = True  # cut English words to their stems before they are split into sub-words
    document_length: int = 32  # tokens that are read of a document
    query_length: int = 32

    LIMITS = {
        **dict.fromkeys(("vocabulary", "document_length", "query_length"), SIZE),
        "generated": COUNT,
        "generated_share": (0.0, 1.0),
    }


@dataclasses.dataclass(frozen=True)
class Answering(Checked):
    """Of a system that generates identifiers."""

    beam: int = 100
    # one of zoo.search.decoders; free: as most papers, invalid identifiers are dropped and counted
    decoding: str = "trie"

    ONE_OF = {"decoding": decoders.NAMES}
    LIMITS = {"beam": SIZE}


@dataclasses.dataclass(frozen=True)
class Validation(Checked):
    """Options of checkpoint selection during training, see `zoo.models.validation`."""

    # dev users whose Recall@10 selects the parameters, 0 = keep the last ones
    dev_users: int = 1000
    evaluate_every: int = 500  # steps between validations
    patience: int = 0  # early-stopping patience, in validations; 0 disables early stopping

    LIMITS = {"dev_users": COUNT, "evaluate_every": SIZE, "patience": COUNT}


def replace(config: Any, options: Mapping[str, Any], *, system: str) -> Any:
    """The config with options replaced; values may be text, as they come from `--set key=value`.

    Raises DataError for an unknown key (naming those that exist) and a value of the wrong kind.
    """
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    for key in options:
        if key not in known:
            raise DataError(f"{system}: no option {key!r}; expected one of: {', '.join(known)}")
    parsed = {key: _parse(system, key, value, known[key]) for key, value in options.items()}
    return dataclasses.replace(config, **parsed)


def _parse(recipe: str, key: str, value: Any, default: Any) -> Any:
    """Value as the kind of the default: bool, int, float or str."""
    kind = type(default)
    if isinstance(value, str) and kind is bool and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, str) and kind is not bool:
        with contextlib.suppress(ValueError):
            value = kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if (
        isinstance(value, kind)
        and (kind is bool or not isinstance(value, bool))
        and not (kind is float and math.isnan(value))
    ):
        return value
    raise DataError(
        f"{recipe}: option {key} expects {kind.__name__} (as {default!r}), got {value!r}"
    )
