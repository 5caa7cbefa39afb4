"""Options of systems: each states its default, help and limits where it is declared.

    @dataclasses.dataclass(frozen=True)
    class Config(options.Writing, options.Reading, options.Answering):
        codes: int = options.option(32, "codes per level", limits=(2, math.inf))
        rate: float = 1e-3

        SYSTEM = "mine"

A system's `Config` derives from the groups that it needs and adds its own options. It validates
itself when it is constructed. A plain default in a derived class keeps the help and the limits of
the group; if several groups limit an option, the most derived class wins.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from zoo.records import DataError
from zoo.search import decoders
from zoo.text import embed, languages
from zoo.train import optimizers

Value = TypeVar("Value")

# limits: the smallest and the largest value of an option
SIZE, COUNT, AMOUNT = (1, math.inf), (0, math.inf), (0.0, math.inf)
WIDTH, DEPTH, BATCH = (1, 2**16), (1, 1024), (1, 2**20)  # of networks: beyond, no memory suffices
SHARE, PROBABILITY = (0.0, 0.99), (0.0, 1.0)
# the options that describe an encoder to `transformer.Shape`, and an encoder-decoder
SHAPE = (
    "width",
    "heads",
    "head_width",
    "encoder_hidden",
    "encoder_layers",
    "dropout",
    "dtype",
    "mlp",
)
WRITER = (*SHAPE, "decoder_hidden", "decoder_layers")


def option(
    default: Value,
    about: str = "",
    *,
    limits: tuple[float, float] | None = None,
    one_of: Sequence[str] = (),
) -> Value:
    """A dataclass field with its help text and the values that it accepts.

    about: one phrase, with its unit and the meaning of 0 where it has one; inherited if "".
    limits: smallest and largest value. one_of: names that a text option accepts.
    """
    metadata = {"about": about, "limits": limits, "one_of": tuple(one_of)}
    stated = {key: value for key, value in metadata.items() if value}
    return dataclasses.field(default=default, metadata=stated)


class Option(NamedTuple):
    """An option as `zoo list --options` describes it."""

    name: str
    kind: str  # int, float, bool, str or tuple
    default: Any
    about: str
    limits: tuple[float, float] | None
    one_of: tuple[str, ...]

    @property
    def accepts(self) -> str:
        """The accepted values in words: "0 to 1", "1 or more", "one of a, b"; "" if any."""
        if self.one_of:
            return f"one of {', '.join(self.one_of)}"
        if self.limits is None:
            return ""
        least, most = self.limits
        return f"{least:g} or more" if most == math.inf else f"{least:g} to {most:,.10g}"


def describe(config: Any) -> list[Option]:
    """Every option of a config (or of its class), in the order of declaration."""
    found = []
    for field in dataclasses.fields(config):
        stated = _metadata(config if isinstance(config, type) else type(config), field.name)
        found.append(
            Option(
                field.name,
                type(field.default).__name__,
                field.default if isinstance(config, type) else getattr(config, field.name),
                stated.get("about", ""),
                stated.get("limits"),
                stated.get("one_of", ()),
            )
        )
    return found


def _metadata(kind: type, name: str) -> dict[str, Any]:
    """Help, limits and names of an option, each from the most derived class that states it."""
    merged: dict[str, Any] = {}
    for group in kind.__mro__[::-1]:
        if name in vars(group).get("__dataclass_fields__", {}):
            merged |= vars(group)["__dataclass_fields__"][name].metadata
    return merged


@dataclasses.dataclass(frozen=True)
class Checked:
    """A config that validates itself when it is constructed."""

    SYSTEM: ClassVar[str] = ""  # the name in error messages

    def __post_init__(self) -> None:
        """Raises DataError naming the first option whose value is not accepted."""
        for each in describe(self):
            values = each.default if isinstance(each.default, tuple) else (each.default,)
            for value in values:
                if not _accepts(each, value):
                    raise DataError(
                        f"{self.SYSTEM}: option {each.name} expects {each.accepts}, got {value!r}"
                    )


def _accepts(each: Option, value: Any) -> bool:
    if each.one_of:
        return value in each.one_of
    if each.limits is None:
        return True
    return each.limits[0] <= value <= each.limits[1] and math.isfinite(value)


@dataclasses.dataclass(frozen=True)
class Training(Checked):
    """Options of every system that is trained by gradient descent."""

    dropout: float = option(0.0, "dropout rate of the network", limits=SHARE)
    dtype: str = option("float32", "dtype of activations", one_of=("float32", "bfloat16"))
    batch: int = option(128, "examples per training step", limits=BATCH)
    steps: int = option(0, "training steps; 0 = computed from visits", limits=COUNT)
    visits: float = option(
        250.0, "epochs: how often each document, example or history is seen", limits=AMOUNT
    )
    fewest_steps: int = option(1500, "lower bound of the computed steps", limits=SIZE)
    most_steps: int = option(1_000_000, "upper bound of the computed steps", limits=SIZE)
    minutes: float = option(
        0.0,
        "time limit of training; 0 = none; the result then depends on the machine's speed",
        limits=AMOUNT,
    )
    rate: float = option(3e-3, "peak learning rate", limits=AMOUNT)
    warmup: int = option(100, "steps of linear learning-rate warm-up", limits=COUNT)
    decay: str = option("linear", "learning-rate schedule after warm-up", one_of=optimizers.DECAYS)
    optimizer: str = option("adamw", "optimiser", one_of=optimizers.NAMES)
    weight_decay: float = option(0.01, "weight decay of AdamW", limits=AMOUNT)


@dataclasses.dataclass(frozen=True)
class Encoding(Training):
    """Options of a T5 encoder."""

    width: int = option(128, "model width (d_model)", limits=WIDTH)
    heads: int = option(4, "attention heads", limits=DEPTH)
    head_width: int = option(32, "width of an attention head (d_kv)", limits=WIDTH)
    encoder_hidden: int = option(256, "width of the encoder's MLPs (d_ff)", limits=WIDTH)
    encoder_layers: int = option(
        0, "encoder layers; 0 = a text is the bag of its word embeddings", limits=(0, 1024)
    )
    mlp: str = option(
        "gelu",
        "MLPs: gelu, the gated ones of T5 v1.1, or relu, the plain ones of the first T5",
        one_of=("gelu", "relu"),
    )
    word_dropout: float = option(
        0.5, "fraction of source tokens masked during training", limits=SHARE
    )


@dataclasses.dataclass(frozen=True)
class Writing(Encoding):
    """Options of a T5 encoder-decoder."""

    decoder_hidden: int = option(4096, "width of the decoder's MLPs (d_ff)", limits=WIDTH)
    decoder_layers: int = option(1, "decoder layers", limits=DEPTH)
    smoothing: float = option(0.1, "label smoothing", limits=SHARE)


# sizes of T5's base encoder, and what goes with them on an accelerator
T5_BASE: Mapping[str, Any] = dict(
    vocabulary=32_000,
    width=768,
    heads=12,
    head_width=64,
    encoder_hidden=2048,
    encoder_layers=12,
    dropout=0.1,
    dtype="bfloat16",
    batch=256,
)
# MLPs of the first T5, which papers of 2022 start from
T5_FIRST: Mapping[str, Any] = dict(mlp="relu", encoder_hidden=3072, decoder_hidden=3072)
# a network that a laptop trains in seconds, and one piece of text a word
TINY: Mapping[str, Any] = dict(vocabulary=1000, width=64, heads=2, batch=64)


@dataclasses.dataclass(frozen=True)
class Reading(Checked):
    """Options of a system that reads texts, see `zoo.models.corpus_text`."""

    queries: str = option(
        "rules",
        "source of generated queries: rules, seq2seq (trains a generator), or the folder of "
        "`zoo queries generate`",
    )
    generated: int = option(16, "generated queries per document; 0 = none", limits=COUNT)
    generated_share: float = option(
        0.5,
        "fraction of the retrieval examples with generated queries, if there are train queries",
        limits=PROBABILITY,
    )
    vector_start: bool = option(
        True, "initialise the source embeddings from the corpus's SVD, not at random"
    )
    vocabulary: int = option(8000, "size of the sub-word vocabulary", limits=SIZE)
    stem: bool = option(True, "stem words before they are split into sub-words")
    language: str = option(
        languages.AUTO, "language of the stemmer; auto detects it", one_of=languages.names()
    )
    strip_accents: bool = option(False, "drop the accents of Latin, Greek and Cyrillic letters")
    document_length: int = option(32, "tokens read per document", limits=SIZE)
    query_length: int = option(32, "tokens read per query", limits=SIZE)
    encoder: str = option(
        "",
        "pretrained encoder whose frozen vectors of texts are read in place of tokens: minilm "
        "(all-MiniLM-L6-v2) or the folder of a BERT or MPNet; empty = none, tokens are read",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        embed.refuse_encoder(self.SYSTEM, self.encoder)


@dataclasses.dataclass(frozen=True)
class Answering(Checked):
    """Options of a system that generates identifiers."""

    beam: int = option(
        0, "beam width; 0 = 20 for up to 10 answers, else 100 or as many as answers", limits=COUNT
    )
    decoding: str = option(
        "trie",
        "decoder and its options, NAME or NAME,OPTION=VALUE,...; free is unconstrained: "
        f"identifiers of no document are dropped and counted; names: {', '.join(decoders.NAMES)}",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            decoders.parse(self.decoding)
        except DataError as error:
            raise DataError(f"{self.SYSTEM}: option {error}") from None


@dataclasses.dataclass(frozen=True)
class Validation(Checked):
    """Options of checkpoint selection during training, see `zoo.models.validation`."""

    dev_users: int = option(
        1000,
        "dev users whose Recall@10 selects the checkpoint; 0 = the last parameters",
        limits=COUNT,
    )
    evaluate_every: int = option(500, "steps between two validations", limits=SIZE)
    patience: int = option(
        0, "early-stopping patience, in validations; 0 disables early stopping", limits=COUNT
    )


def replace(config: Any, options: Mapping[str, Any], *, system: str) -> Any:
    """The config with options replaced; values may be text, as in `--set key=value`.

    Raises DataError for an unknown key (listing the known ones) or a value of the wrong type.
    """
    if not isinstance(options, Mapping):
        raise TypeError(
            f"{system}: expected options as a dict of values by name, got {type(options).__name__}"
        )
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    for key in options:
        if key not in known:
            raise DataError(f"{system}: no option {key!r}; expected one of: {', '.join(known)}")
    parsed = {key: _parse(system, key, value, known[key]) for key, value in options.items()}
    return dataclasses.replace(config, **parsed)


def _parse(recipe: str, key: str, value: Any, default: Any) -> Any:
    """The value converted to the type of the default: bool, int, float or str."""
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
        and not (isinstance(value, float) and math.isnan(value))
    ):
        return value
    raise DataError(
        f"{recipe}: option {key} expects {kind.__name__} (as {default!r}), got {value!r}"
    )
