"""Texts of a collection for systems that train on text: stems, queries, tokens, vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records
from zoo.models import encoder_decoder, query_generator, warm_start
from zoo.schemes import scheme as schemes
from zoo.text import embed as embed_, languages, tokens, vectors, words as segments
from zoo.train import log as logs


class Texts(NamedTuple):
    """The texts of a collection, stemmed if the system stems."""

    contents: list[str]  # N documents
    queries: list[str]  # of the train split
    answers: list[int]  # row of a relevant document per query
    made: list[str]  # queries generated from documents
    origins: list[int]  # row of the document per generated query
    tokenizer: str
    languages: dict[str, str]  # of the stems, by script
    encoder: str = ""  # pretrained, of `options.Reading`
    log: Any = None  # with the encoder's progress

    def encode(
        self, texts: list[str], length: int, prompt: str = "", *, side: str = embed_.QUERY
    ) -> np.ndarray:
        """What a system reads of texts: i32[n, length] tokens (`tokens.encode`), or the vectors
        f32[n, D] of the encoder, for which `side` counts in place of length and prompt.
        """
        if self.encoder:
            return embed_.encode(texts, self.encoder, self.log, side=side)
        return tokens.encode(self.tokenizer, texts, length=length, prompt=prompt)

    @property
    def vector_width(self) -> int:
        """D of the vectors that are read; 0 = tokens are."""
        return embed_.width_of(self.encoder) if self.encoder else 0


def read(
    collection: records.Collection,
    config,
    log,
    *,
    prompts: tuple[str, ...] = (),
    start: warm_start.Start | None = None,
    state: dict | None = None,
) -> Texts:
    """Texts of a collection. config: of `options.Reading`.

    The tokenizer and the languages are those of `state`, a fitted system; else of `start`; else
    they are trained, with the prompts, and detected.
    """
    if start is not None and config.encoder:
        raise records.DataError(
            f"{config.SYSTEM}: weights of {start.where} read tokens, and encoder={config.encoder} "
            "gives vectors; leave one of the two out"
        )
    queries, answers = encoder_decoder.pairs(collection)
    made, origins = query_generator.make_queries(
        config.queries,
        collection,
        per_document=config.generated,
        seed=0,
        log=log,
        # without train queries among the examples, all documents get as many
        count_train=config.generated_share < 1,
    )
    log.phase("tokens and vectors")
    contents = collection.corpus.contents()
    if state is not None:
        chosen = _languages(state)
    elif start is not None and "languages" in start.options:
        chosen = start.options["languages"]
    else:
        chosen = languages.choose(config.language, segments.segment(contents))
    if _stems(config):
        contents, queries, made = (
            languages.stem_texts(texts, chosen) for texts in (contents, queries, made)
        )
    if state is not None:
        tokenizer = state["tokenizer"]
    elif start is not None:
        tokenizer = warm_start.reader(start, prompts)
    else:
        tokenizer = tokens.train(
            [*contents, *queries],
            size=config.vocabulary,
            prompts=prompts,
            strip_accents=config.strip_accents,
        )
    return Texts(contents, queries, answers, made, origins, tokenizer, chosen, config.encoder, log)


def pack_languages(texts: Texts) -> dict[str, Any]:
    """The part of a system's state that `as_read`, `read_documents` and `reader` need."""
    packed: dict[str, Any] = {"languages": json.dumps(texts.languages)}
    if texts.encoder:
        packed["encoder"] = {"how": texts.encoder, "digest": embed_.digest_of(texts.encoder)}
    return packed


def as_read(config, state: dict, texts: Sequence[str]) -> list[str]:
    """Texts as the fitted system reads them: stemmed in the languages of the fit, if it stems."""
    return languages.stem_texts(texts, _languages(state)) if _stems(config) else list(texts)


def read_documents(config, state: dict, texts: Sequence[str], *, prompt: str = "") -> np.ndarray:
    """What a fitted system reads of documents: i32[n, S] tokens after a prompt, or f32[n, D]."""
    if "encoder" in state:
        return embed_.embed_texts(state["encoder"], texts, logs.Log(quiet=True))
    read = as_read(config, state, texts)
    return tokens.encode(state["tokenizer"], read, length=config.document_length, prompt=prompt)


def reader(config, state: dict, *, prompt: str = "") -> Callable[[records.Queries], np.ndarray]:
    """A function from queries to what the system reads: i32[B, S] tokens after a prompt, or the
    vectors f32[B, D] of its encoder.
    """
    if "encoder" in state:
        quiet = logs.Log(quiet=True)
        return lambda queries: embed_.embed_texts(
            state["encoder"], queries.texts, quiet, side=embed_.QUERY
        )
    encode = tokens.encoder(state["tokenizer"], length=config.query_length, prompt=prompt)
    chosen = _languages(state) if _stems(config) else None

    def read(queries: records.Queries) -> np.ndarray:
        return encode(
            queries.texts if chosen is None else languages.stem_texts(queries.texts, chosen)
        )

    return read


def embed(texts: Texts, dim: int) -> vectors.Vectors:
    """TF-IDF and SVD vectors of the documents, each with its train queries appended."""
    whole = list(texts.contents)
    for query, row in zip(texts.queries, texts.answers):
        whole[row] += "\n" + query
    return vectors.tfidf_svd(
        tokens.whole(texts.tokenizer, whole),
        vocabulary=tokens.count(texts.tokenizer),
        dim=dim,
        seed=0,
    )


def words(embedded: vectors.Vectors, config) -> np.ndarray | None:
    """Initial source embeddings f32[source_vocab, D] of deviation 1; None for random ones."""
    if config.encoder or not config.vector_start:
        return None
    return embedded.words / embedded.words.std()


def _stems(config) -> bool:
    """Whether texts are stemmed: a pretrained encoder reads them as they are."""
    return config.stem and not getattr(config, "encoder", "")


def _naming(config) -> str:
    """What embeds documents for their identifiers, a name of `embed.fit`."""
    how = getattr(config, "vectors", embed_.AUTO)
    return (getattr(config, "encoder", "") or embed_.TFIDF) if how == embed_.AUTO else how


def _languages(state: dict) -> dict[str, str]:
    """The languages of a fitted system; before they were stored, all stems were English."""
    return json.loads(state["languages"]) if "languages" in state else languages.ENGLISH


def naming_vectors(
    config: Any, corpus: records.Corpus, embedded: vectors.Vectors, log: Any
) -> np.ndarray:
    """f32[N, D] vectors that name the documents of a fit, by `config.vectors`."""
    if (how := _naming(config)) != embed_.TFIDF:
        return embed_.embed(corpus, how, log)
    return embedded.documents


def pack_naming(
    texts: Texts, config: Any, naming: schemes.Scheme, named: dict, embedded: vectors.Vectors
) -> dict:
    """The part of a state that reads queries and names new documents.

    named: the state of the scheme. embedded: kept if `new_vectors` needs it.
    """
    fitted = naming.needs_vectors and _naming(config) == embed_.TFIDF
    kept = {"words": embedded.words} if fitted else {}
    return pack_languages(texts) | {"scheme": named} | kept


def new_vectors(
    config: Any, state: dict, naming: schemes.Scheme, corpus: records.Corpus
) -> np.ndarray | None:
    """f32[n, D] vectors of new documents in the space of the fit; None if the scheme reads none."""
    if not naming.needs_vectors:
        return None
    contents = corpus.contents()
    if (how := _naming(config)) != embed_.TFIDF:
        return embed_.embed_texts({"how": how}, contents, logs.Log(quiet=True))
    if "words" not in state:
        raise records.DataError(
            "fitted by an earlier version, which kept no word vectors to embed new documents by; "
            "fit again"
        )
    rows = tokens.whole(state["tokenizer"], as_read(config, state, contents))
    return vectors.embed(rows, np.asarray(state["words"]))
