"""TIGER: an encoder-decoder that reads the identifiers of what a user did and generates the
identifier of what comes next.

Rajput et al. 2023, "Recommender Systems with Generative Retrieval" (arXiv 2305.05065). Sec. 3.1:
item texts -> vectors -> codes of a residual quantiser, a counter after them where several items
share their codes. Sec. 3.2: a history is the codes of its items, oldest first; every prefix of a
history is an example; beam search.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.docids import table
from zoo.models import (
    encoder_decoder,
    generate,
    item_identifiers,
    item_tokens,
    validation,
    warm_start,
)
from zoo.nets import network, transformer
from zoo.options import option
from zoo.ranking import cold_items, seen
from zoo.recipes import popularity
from zoo.schemes import scheme as schemes
from zoo.search import decoders
from zoo.train import stages
from zoo.update import catalogue, grow

VALIDATION_BEAM = 10


@dataclasses.dataclass(frozen=True)
class Config(item_identifiers.Naming, options.Writing, options.Answering, options.Validation):
    """Options of TIGER."""

    user_tokens: int = option(
        0,
        "hash buckets of the user token before a history; 0 = none, 2000 in the paper",
        limits=options.COUNT,
    )
    history: int = option(
        20,
        "number of latest items that are read, at most the longest training history",
        limits=options.SIZE,
    )
    recency: bool = option(
        True, "embed a token's position from the end, beside the paper's relative biases"
    )
    width: int = 64
    heads: int = 2
    encoder_hidden: int = 128
    decoder_hidden: int = 128
    encoder_layers: int = option(1, "encoder layers", limits=options.SIZE)
    dropout: float = 0.1
    word_dropout: float = 0.0
    batch: int = 256
    visits: float = 40.0
    fewest_steps: int = 1000
    rate: float = 2e-3
    warmup: int = 500
    decay: str = "cosine"
    weight_decay: float = 0.035
    smoothing: float = 0.0
    z_loss: float = option(
        0.0, "weight of the squared log-normaliser in the loss", limits=options.AMOUNT
    )
    beam: int = 50
    first_beam: int = option(
        256,
        "beam width after the first code, if larger than beam; pruning there costs most recall",
        limits=options.COUNT,
    )
    new_items: float = option(
        -1.0,
        "maximal fraction of answers for cold items, found by their codes; -1 = no special case",
        limits=(-1.0, 1.0),
    )
    filter: str = option(
        "auto",
        "never recommend items of the user's history; auto = yes if no training history repeats "
        "an item",
        one_of=("auto", "yes", "no"),
    )

    SYSTEM = "tiger"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.new_items >= 0 and not decoders.parse(self.decoding).filters:
            allowed = " or ".join(name for name in decoders.NAMES if decoders.KINDS[name].filters)
            raise records.DataError(
                f"tiger: option new_items expects decoding={allowed}, got {self.decoding}"
            )
        if self.new_items >= 0 and self.identifiers == "atomic":
            raise records.DataError(
                "tiger: identifiers=atomic say nothing of new items; choose identifiers=rqkmeans, "
                "or leave new_items=-1"
            )


def fit(
    collection: records.Interactions,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Identifiers, and the parameters of the encoder-decoder.

    The events of `dev` are not learned from.
    """
    name_key, train_key = jax.random.split(key)
    learned = collection.without("dev").histories
    named, ids = item_identifiers.fit(collection.corpus, learned, config, name_key, log)
    longest = min(config.history, int(learned.lengths.max()) - 1)  # places beyond are not trained
    if longest < 1:
        raise records.DataError(
            "tiger: no user has two events before those of dev and test; nothing to learn from"
        )
    following = _examples(learned, longest, config, ids)
    shape = transformer.Shape(
        source_vocab=ids.alphabet + int(config.user_tokens),
        target_vocab=ids.alphabet,
        target_length=ids.tokens.shape[1],
        last_tokens=schemes.last_tokens(named["scheme"], ids.alphabet),
        recency=longest * ids.tokens.shape[1] if config.recency else 0,
        **{field: getattr(config, field) for field in options.WRITER},
    )
    start = warm_start.writing_what_it_reads(start, ids.tokens)
    net = network.build(warm_start.match_shape(shape, start))
    known = {
        "repeats": np.asarray(item_tokens.repeats(learned)),
        "seen": popularity.counts(learned, len(collection.corpus)) > 0,
        "longest": np.asarray(longest),
        **named,
    }
    pack = lambda params: generate.pack_state(params, net, ids, "", collection.corpus) | known
    validate = validation.by_dev(
        collection,
        lambda params, users: open(_quick(config), pack(params))(users, 10),
        users=config.dev_users,
        every=config.evaluate_every,
        patience=config.patience,
    )
    init_key, train_key = jax.random.split(train_key)
    params = stages.run(
        [encoder_decoder.stage(net, [following], config, log, z_loss=config.z_loss)],
        encoder_decoder.init(net, init_key, start=start),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(following.rows["target"])),
        validate=validate,
        docids=ids.tokens,
    )
    return pack(params)


def _quick(config: Config) -> Config:
    """The config of answers during training."""
    return dataclasses.replace(
        config,
        beam=min(config.beam, VALIDATION_BEAM),
        first_beam=0,
        decoding="trie",
        new_items=-1.0,
    )


def add(config: Config, state: dict, corpus: records.Corpus) -> dict:
    """The state with new items, named by their texts; under neighbours they have none."""
    naming, vectors = item_identifiers.of_new(config, state, corpus)
    fresh = grow.assign(state, corpus, naming, vectors)
    seen = np.concatenate([state["seen"], np.zeros(len(corpus), bool)])
    return grow.add(state, corpus, fresh, reads=True) | {"seen": seen}


def open(config: Config, state: dict) -> generate.Opened:
    """Items by the probability of their identifiers given the identifiers of the history."""
    known = np.asarray(state["seen"])
    trained = known if config.new_items >= 0 and not known.all() else None
    model, longest = generate.load(state), _longest(config, state)
    ids = table.unpack(state["docids"])  # of removed items too: histories name them
    read = lambda histories: item_tokens.after_users(
        item_tokens.to_tokens(ids, histories.latest(longest)),
        histories.ids,
        ids.alphabet,
        config.user_tokens,
    )
    opened = generate.open(config, model, read, allowed=trained)
    leave_out = config.filter == "yes" or config.filter == "auto" and not state["repeats"]

    def ask(
        opened: generate.Opened,
        histories: records.Histories,
        k: int,
        *,
        allowed: np.ndarray | None = None,
        excluded: np.ndarray | None = None,
    ) -> records.Ranking:
        sources, wanted = read(histories), min(k, ids.num_documents)
        restricted = {"allowed": allowed, "excluded": excluded}
        if leave_out and not opened.decode.filters:
            wanted = min(k + int(histories.lengths.max(initial=0)), ids.num_documents)
            found = opened.search(sources, histories.ids, wanted, **restricted)
            return seen.remove(found, histories, k)
        if leave_out:
            excluded = seen.join(seen.pad_histories(histories), excluded)
        found = opened.search(sources, histories.ids, wanted, allowed=allowed, excluded=excluded)
        if opened.allowed is not None:
            unseen = ~known & ~catalogue.removed(state)
            if allowed is not None:
                raise records.DataError(
                    "tiger: allowed items do not combine with new_items; set new_items=-1"
                )
            found = cold_items.mixed(
                found, ids.tokens, unseen, config.new_items, k, excluded=excluded
            )
        return seen.widen(found, k)

    return dataclasses.replace(opened, ask=ask)


def examples(
    collection: records.Interactions, config: Config, state: dict
) -> dict[str, batches.Source]:
    """What `fit` learns from: "next", every event after those before it."""
    ids = table.unpack(state["docids"])
    return {
        "next": _examples(collection.without("dev").histories, _longest(config, state), config, ids)
    }


def _longest(config: Config, state: dict) -> int:
    """Events of a history that are read."""
    return int(state["longest"]) if "longest" in state else config.history


def _examples(
    learned: records.Histories, longest: int, config: Config, ids: table.Docids
) -> batches.Source:
    before, following, users = item_tokens.prefixes(learned, longest)
    source = item_tokens.after_users(
        item_tokens.to_tokens(ids, before),
        [learned.ids[user] for user in users],
        ids.alphabet,
        config.user_tokens,
    )
    return batches.Source({"source": source, "target": ids.tokens[following]}, 1.0)


BASE = Config(
    identifiers="rqvae",
    vectors="minilm",
    width=128,
    heads=6,
    head_width=64,
    encoder_hidden=1024,
    decoder_hidden=1024,
    encoder_layers=4,
    decoder_layers=4,
    dropout=0.2,
    dtype="bfloat16",
    rate=3e-4,
    warmup=10_000,
    visits=150.0,
)

RECIPE = recipes.Recipe(
    name="tiger",
    paper="Rajput et al. 2023, Recommender Systems with Generative Retrieval, arXiv 2305.05065",
    presets={
        "tiny": Config(
            levels=2,
            codes=8,
            history=2,
            width=32,
            encoder_hidden=64,
            decoder_hidden=64,
            dropout=0.0,
            batch=64,
            fewest_steps=600,
            most_steps=600,
            rate=5e-3,
            warmup=50,
            dev_users=0,
        ),
        "small": Config(neighbours=1.0, collisions="sinkhorn"),
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            dropout=0.1,
            rate=0.01,
            warmup=10_000,
            decay="rsqrt",
            weight_decay=0.0,
            steps=200_000,
            decoding="free",
            dtype="float32",
            recency=False,
            first_beam=0,
            mlp="relu",
            user_tokens=2000,
            filter="no",
            rqvae="hidden=512x256x128,code_width=32,linear=false,batch=1024,steps=240000",
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "item texts become vectors by TF-IDF and SVD or all-MiniLM-L6-v2; the paper has "
        "Sentence-T5",
        "small quantises by residual k-means; base and paper by an RQ-VAE, with the additions "
        "that zoo.schemes.rqvae lists",
        "small names items by their neighbours in histories as well as by their texts, and shares "
        "out last codes in place of a counter",
        "tokens are position-specific and so are output heads; no user tokens unless "
        "user_tokens=2000",
        "gated MLPs (T5 v1.1) but in paper, whose are of the first T5 (mlp=relu); places from the "
        "end of a history have vectors unless recency=false",
        "the RQ-VAE learns by AdamW at 1e-3 in every size, paper included: the paper's Adagrad at "
        "0.4 collapses to one code; its 20,000 epochs are 240,000 steps of 1,024 items of Beauty",
        "AdamW without weight decay trains the network of paper, with the paper's rates; which "
        "optimiser the paper has is not known",
        "the search is constrained to identifiers that exist (decoding=trie) and keeps up to 256 "
        "first codes (first_beam); the paper's is free, of one width",
        "base follows re-implementations (cosine, 3e-4, dropout .2): the paper's constant .01 was "
        "found unstable by several",
        "items of the history are left out where no user took an item twice in training "
        "(filter=auto); the paper's may come again",
        "the parameters kept are those of best Recall@10 on a sample of dev, validated during "
        "training; patience=N ends it early",
    ),
    asks="history",
    starts=True,
    answering=("beam", "first_beam", "decoding", "new_items", "filter"),
    examples=examples,
    add=add,
    remove=catalogue.hide,
)
