"""TIGER: an encoder-decoder that reads the identifiers of what a user did and generates the identifier of what comes next.

Rajput et al. 2023, "Recommender Systems with Generative Retrieval" (arXiv 2305.05065). Sec. 3.1: item texts -> vectors -> codes of a
residual quantiser, a counter after them where several items share their codes. Sec. 3.2: a history is the codes of its items, oldest
first; every prefix of a history is an example; beam search.
"""

from __future__ import annotations

import dataclasses
import math
import zlib

import jax
import numpy as np

from zoo import options, recipes, records
from zoo.data import batches
from zoo.docids import collisions, table
from zoo.models import encoder_decoder, generate, validation, warm_start
from zoo.nets import transformer
from zoo.options import option
from zoo.ranking import cold_items, collect
from zoo.recipes import popularity
from zoo.schemes import codes as identifiers, rqvae
from zoo.text import embed, vectors as texts
from zoo.train import optimizers

WINDOW, NEAR = 3, 128  # events that are near, and dimensions of their vectors
VALIDATION_BEAM = 10


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Answering, options.Validation):
    """Options of TIGER."""

    identifiers: str = option(
        "rqkmeans", "quantiser of the item vectors; rqvae is the paper's", one_of=identifiers.KINDS
    )
    vectors: str = option(
        "tfidf",
        "item vectors: tfidf (TF-IDF and SVD), minilm (all-MiniLM-L6-v2), or FILE.npy, a row per item",
    )
    neighbours: float = option(
        0.0,
        "weight of co-occurrence vectors beside those of the text; 0 = text alone",
        limits=options.AMOUNT,
    )
    levels: int = option(3, "codes per item", limits=options.SIZE)
    codes: int = option(256, "codes per level, capped at one per 4 items", limits=(2, math.inf))
    collisions: str = option(
        "counter",
        "items with equal codes: counter (a last token, the paper's), sinkhorn (reassigns the "
        "last code) or refuse",
        one_of=collisions.POLICIES,
    )
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
    optimizer: str = option("adamw", "optimiser", one_of=optimizers.NAMES)
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
    temperature: float = option(
        0.0,
        "above 0, answers are sampled without replacement at this temperature",
        limits=options.AMOUNT,
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
        embed.refuse_embedding("tiger", self.vectors)
        if self.collisions == "sinkhorn" and self.identifiers in ("lsh", "random"):
            remedy = "set collisions=counter"
            raise records.DataError(
                f"tiger: identifiers={self.identifiers} has no distances to share out codes by (collisions=sinkhorn); {remedy}"
            )
        if self.temperature and self.decoding not in generate.FILTERED:
            allowed = " or ".join(generate.FILTERED)
            raise records.DataError(
                f"tiger: option temperature expects decoding={allowed}, got {self.decoding}"
            )
        if self.new_items >= 0 and self.decoding not in generate.FILTERED:
            allowed = " or ".join(generate.FILTERED)
            raise records.DataError(
                f"tiger: option new_items expects decoding={allowed}, got {self.decoding}"
            )
        if self.new_items >= 0 and self.identifiers == "atomic":
            raise records.DataError(
                "tiger: identifiers=atomic say nothing of new items; choose identifiers=rqkmeans, or leave new_items=-1"
            )


def fit(
    collection: records.Interactions,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Identifiers, and the parameters of the encoder-decoder. The events of `dev` are not learned from."""
    name_key, train_key = jax.random.split(key)
    log.phase("identifiers")
    learned = collection.without("dev").histories
    vectors = _vectors(collection.corpus, learned, config, log)
    codes = len(vectors)
    if config.identifiers != "atomic":
        codes = identifiers.cap_codes(
            config.codes, len(vectors), log, power_of_two=config.identifiers == "lsh"
        )
    named = identifiers.Config(
        kind=config.identifiers,
        levels=config.levels,
        codes=codes,
        collisions=config.collisions,
        training=rqvae.Config(),
    )
    made = identifiers.fit(vectors, named, name_key, log)
    ids = table.offset(table.build(np.asarray(made["tokens"]), int(made["alphabet"])))

    log.phase("train")
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
        last_tokens=tuple(ids.tokens.max(axis=0).tolist()),
        recency=longest * ids.tokens.shape[1] if config.recency else 0,
        **{field: getattr(config, field) for field in options.WRITER},
    )
    start = warm_start.writing_what_it_reads(start, ids.tokens)
    shape = warm_start.match_shape(shape, start)
    seen = popularity.counts(learned, len(collection.corpus)) > 0
    known = {
        "repeats": np.asarray(_repeats(learned)),
        "seen": seen,
        "longest": np.asarray(longest),
        "num_codes": np.asarray(codes),
    }
    pack = lambda params: generate.pack_state(params, shape, ids, "", collection.corpus) | known
    quick = dataclasses.replace(
        config,
        beam=min(config.beam, VALIDATION_BEAM),
        first_beam=0,
        decoding="trie",
        temperature=0.0,
        new_items=-1.0,
    )
    answer = lambda params, users: retrieve(quick, pack(params), users, 10)
    judge = validation.by_dev(
        collection,
        answer,
        users=int(config.dev_users),
        every=config.evaluate_every,
        patience=int(config.patience),
    )
    return pack(
        encoder_decoder.fit(
            [following],
            len(following.rows["target"]),
            shape,
            config,
            train_key,
            log,
            judge=judge,
            start=start,
            docids=ids.tokens,
        )
    )


def _vectors(corpus: records.Corpus, learned: records.Histories, config: Config, log) -> np.ndarray:
    """f32[N, D] what items are named by."""
    if config.identifiers in identifiers.WITHOUT_VECTORS:
        return np.zeros((len(corpus), 1), np.float32)
    vectors = embed.embed(corpus, config.vectors, log)
    if config.neighbours:
        near = texts.cooccurrence_svd(
            learned.items, learned.starts, num_items=len(vectors), window=WINDOW, dim=NEAR, seed=0
        )
        vectors = np.concatenate([vectors, np.float32(config.neighbours) * near], axis=1)
    if (vectors == vectors[0]).all():
        remedy = "set neighbours=1 to name them by what users take near them, or identifiers=random"
        raise records.DataError(
            f"tiger: the texts of the {len(vectors)} items tell nothing apart; {remedy}"
        )
    return vectors


def retrieve(config: Config, state: dict, histories: records.Histories, k: int) -> records.Ranking:
    """Items by the probability of their identifiers given the identifiers of the history."""
    ids = table.unpack(state["docids"])
    sources, _ = reads(config, state, histories)
    leave_out = config.filter == "yes" or config.filter == "auto" and not state["repeats"]
    if not leave_out or config.decoding in generate.FILTERED:
        excluded = collect.pad_histories(histories) if leave_out else None
        seen = np.asarray(state["seen"]) if config.new_items >= 0 else None
        allowed = None if seen is None or seen.all() else seen
        found = generate.search(
            config,
            state,
            sources,
            histories.ids,
            min(k, len(ids)),
            excluded=excluded,
            allowed=allowed,
            temperature=config.temperature,
            first=int(config.first_beam),
        )
        if allowed is not None:
            found = cold_items.mixed(
                found, ids.tokens, ~seen, config.new_items, k, excluded=excluded
            )
        return found if found.documents.shape[1] == k else collect.widen(found, k)
    seen = int(histories.lengths.max(initial=0))
    found = generate.search(
        config, state, sources, histories.ids, min(k + seen, len(ids)), first=int(config.first_beam)
    )
    taken = np.zeros((len(histories), len(ids) + 1), bool)  # the last column is that of no item
    taken[histories.users, histories.items] = True
    again = np.take_along_axis(taken, found.documents, axis=1)
    documents = np.where(again, -1, found.documents)
    order = np.argsort(documents < 0, axis=1, kind="stable")[:, :k]
    documents = np.take_along_axis(documents, order, axis=1)
    scores = np.where(documents < 0, -np.inf, np.take_along_axis(found.scores, order, axis=1))
    return collect.widen(
        dataclasses.replace(found, documents=documents, scores=scores.astype(np.float32)), k
    )


def reads(
    config: Config, state: dict, histories: records.Histories
) -> tuple[np.ndarray, transformer.Shape]:
    """Tokens i32[B, S] of the latest items of each history, oldest first, and the shape of the network that reads them."""
    ids = table.unpack(state["docids"])
    sources = _after_users(
        read(ids, histories.latest(_longest(config, state))), histories.ids, ids.alphabet, config
    )
    return sources, transformer.Shape.of(state["shape"])


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
    before, following, users = prefixes(learned, longest)
    source = _after_users(
        read(ids, before), [learned.ids[user] for user in users], ids.alphabet, config
    )
    return batches.Source({"source": source, "target": ids.tokens[following]}, 1.0)


def _repeats(histories: records.Histories) -> bool:
    """Whether any user took an item twice."""
    pairs = histories.users * (int(histories.items.max(initial=0)) + 1) + histories.items
    return len(np.unique(pairs)) < len(pairs)


def _after_users(sources: np.ndarray, names, alphabet: int, config: Config) -> np.ndarray:
    """Sources i32[B, S] behind the token of each user, by a hash of the name (sec. 3.2.1); as they are without user tokens."""
    if not config.user_tokens:
        return sources
    users = [
        alphabet + zlib.crc32(name.encode("utf-8", "surrogatepass")) % int(config.user_tokens)
        for name in names
    ]
    return np.concatenate([np.array(users, np.int32).reshape(-1, 1), sources], axis=1)


def prefixes(
    histories: records.Histories, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events before each target i32[n, longest], -1 = none; targets i32[n], every event but the first of a user; their users i64[n].

    At most `longest` events before. They stand oldest first and end in the last column.
    """
    place = np.arange(len(histories.items))
    first = histories.starts[histories.users]
    target = place[place > first]
    window = target[:, None] - longest + np.arange(longest)
    inside = window >= first[target][:, None]
    before = np.where(inside, histories.items[np.maximum(window, 0)], -1).astype(np.int32)
    return before, histories.items[target], histories.users[target]


def read(ids: table.Docids, items: np.ndarray) -> np.ndarray:
    """i32[B, H L] tokens of items i32[B, H], -1 = none, oldest first without gaps, padded behind."""
    num_users, longest = items.shape
    tokens = np.where((items >= 0)[..., None], ids.tokens[np.maximum(items, 0)], table.PAD).reshape(
        num_users, longest * ids.tokens.shape[1]
    )
    order = np.argsort(tokens == table.PAD, axis=1, kind="stable")
    return np.take_along_axis(tokens, order, axis=1).astype(np.int32)


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
        ),
    },
    fit=fit,
    retrieve=retrieve,
    deviations=(
        "item texts become vectors by TF-IDF and SVD or all-MiniLM-L6-v2; the paper has Sentence-T5",
        "small quantises by residual k-means; base and paper by an RQ-VAE, with the additions that zoo.schemes.rqvae lists",
        "small names items by their neighbours in histories as well as by their texts, and shares out last codes in place of a counter",
        "tokens are position-specific and so are output heads; no user tokens unless user_tokens=2000",
        "gated MLPs (T5 v1.1); the paper's are of the first T5; places from the end of a history have vectors unless recency=false",
        "the search is constrained to identifiers that exist (decoding=trie) and keeps up to 256 first codes (first_beam); the paper's is free, of one width",
        "base follows re-implementations (cosine, 3e-4, dropout .2): the paper's constant .01 was found unstable by several",
        "items of the history are left out where no user took an item twice in training (filter=auto); the paper's may come again",
        "the parameters kept are those of best Recall@10 on a sample of dev, judged while training; patience=N ends it early",
    ),
    asks="history",
    starts=True,
    answering=("beam", "first_beam", "decoding", "temperature", "new_items", "filter"),
    reads=reads,
    examples=examples,
)
