"""Sub-word tokens of text: byte-pair encoding trained on a collection, as the JSON of `tokenizers`.

A tokenizer of published weights (`zoo.text.sentencepiece`) is JSON of the same kind with other
numbers for its special tokens.
"""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Callable, Sequence

import numpy as np

from zoo.text import sentencepiece

PAD, UNKNOWN = 0, 1
SPECIAL = ("[pad]", "[unk]")


def train(
    texts: Sequence[str], *, size: int, prompts: Sequence[str] = (), strip_accents: bool = False
) -> str:
    """JSON of a tokenizer: normalisation, words at blanks and punctuation, then BPE.

    Text is normalised as `words.fold` does: NFKC and case folding, combining marks stay. Letters
    beyond the most frequent size / 4 are unknown. The same texts give the same tokenizer.

    Args:
        size: most tokens, at least those of the letters and prompts.
        prompts: names of tasks, each a token of its own that is never split, numbered from 2.
        strip_accents: drop the accents of Latin, Greek and Cyrillic letters.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = _normalizer(strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    # The trainer numbers the letters inside words in the order of a hash table and breaks ties
    # between merges by number (huggingface/tokenizers issue 1794). As special tokens they get fixed
    # numbers; afterwards they are made ordinary again.
    counts = collections.Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    letters = sorted(counts, key=lambda letter: (-counts[letter], letter))[: max(size // 4, 1)]
    inner = [
        f"##{c}" for c in letters if len(tokenizer.pre_tokenizer.pre_tokenize_str(f"a{c}a")) == 1
    ]
    special = [*SPECIAL, *prompts]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*special, *inner],
        continuing_subword_prefix="##",
        show_progress=False,
        limit_alphabet=len(letters),
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained = json.loads(tokenizer.to_str())
    trained["added_tokens"] = [
        token for token in trained["added_tokens"] if token["content"] in special
    ]
    return json.dumps(trained, ensure_ascii=False)


def _normalizer(strip_accents: bool):
    """NFKC and default case folding out of the steps that `tokenizers` has."""
    from tokenizers import Regex, normalizers

    steps = [normalizers.NFKD(), normalizers.Lowercase()]
    # case folding beyond lower case: sharp s, final sigma, the capital i of Turkish, iota subscript
    for letter, folded in (("ß", "ss"), ("ς", "σ"), ("i\u0307", "i"), ("\u0345", "ι")):
        steps.append(normalizers.Replace(letter, folded))
    # a zero-width space stays, as it separates words
    invisible = Regex(r"[\p{Default_Ignorable_Code_Point}&&[^\x{200b}]]")
    steps.append(normalizers.Replace(invisible, ""))
    if strip_accents:
        accents = Regex(r"(?<=[\p{Latin}\p{Greek}\p{Cyrillic}])\p{Mn}+")
        steps.append(normalizers.Replace(accents, ""))
    return normalizers.Sequence([*steps, normalizers.NFC()])


def count(tokenizer: str) -> int:
    """Number of tokens that a tokenizer knows."""
    return _loaded(tokenizer).get_vocab_size()


def unknown(tokenizer: str) -> int:
    """The token of letters that the tokenizer does not know."""
    return sentencepiece.UNKNOWN if _unigram(tokenizer) else UNKNOWN


def end(tokenizer: str) -> int:
    """The token that ends a text: PAD, or the tokenizer's own, which `encode` then writes."""
    return sentencepiece.END if _unigram(tokenizer) else PAD


def prompted(tokenizer: str, prompts: Sequence[str]) -> str:
    """The tokenizer with more prompts, numbered behind its tokens; known ones keep their number."""
    from tokenizers import AddedToken

    loaded = _loaded(tokenizer)
    loaded.add_special_tokens(
        [
            AddedToken(prompt, special=True, normalized=False)
            for prompt in prompts
            if loaded.token_to_id(prompt) is None
        ]
    )
    return json.dumps(json.loads(loaded.to_str()), ensure_ascii=False)


def decode(tokenizer: str, rows: np.ndarray) -> list[str]:
    """The text of each row i32[N, L] up to its end, without prompts and unknown letters.

    A tokenizer of `train` returns text in lower case, with blanks around punctuation.
    """
    from tokenizers import decoders

    loaded, last = _loaded(tokenizer), end(tokenizer)
    if loaded.decoder is None:
        loaded.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    special = {token["id"] for token in json.loads(tokenizer)["added_tokens"]} | {
        PAD,
        last,
        unknown(tokenizer),
    }
    texts = []
    for row in np.asarray(rows).tolist():
        row = row[: row.index(last)] if last in row else row
        texts.append(
            loaded.decode(
                [token for token in row if token not in special], skip_special_tokens=False
            ).strip()
        )
    return texts


def encode(tokenizer: str, texts: Sequence[str], *, length: int, prompt: str = "") -> np.ndarray:
    """i32[N, length] tokens of each text after its prompt, cut at `length`, 0 = pad.

    See `encoder`.
    """
    return encoder(tokenizer, length=length, prompt=prompt)(texts)


def encoder(
    tokenizer: str, *, length: int, prompt: str = ""
) -> Callable[[Sequence[str]], np.ndarray]:
    """A function from texts to i32[N, length], which parses the tokenizer only once.

    A text without tokens becomes one unknown token, so that no row is empty. "[pad]" in a text is
    encoded as five characters.
    Raises ValueError for a prompt that the tokenizer was not trained with.
    """
    loaded = _loaded(tokenizer)
    first = [loaded.token_to_id(prompt)] if prompt else []
    if None in first:
        raise ValueError(
            f"encode: the tokenizer has no prompt {prompt!r}; name it in train(prompts=...)"
        )
    loaded.enable_truncation(length)

    def encode(texts: Sequence[str]) -> np.ndarray:
        rows = np.full((len(texts), length), PAD, np.int32)
        for row, encoding in enumerate(loaded.encode_batch_fast(list(texts))):
            ids = [*first, *(encoding.ids or [UNKNOWN])][:length]
            rows[row, : len(ids)] = ids
        return rows

    return encode


def whole(tokenizer: str, texts: Sequence[str]) -> list[np.ndarray]:
    """Tokens i32[...] of each text, uncut."""
    return [
        np.asarray(encoding.ids, np.int32)
        for encoding in _loaded(tokenizer).encode_batch_fast(list(texts))
    ]


@functools.lru_cache(maxsize=8)
def _unigram(tokenizer: str) -> bool:
    return json.loads(tokenizer)["model"]["type"] == "Unigram"


def _loaded(tokenizer: str):
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_str(tokenizer)
    loaded.encode_special_tokens = True  # "[pad]" in a text is text
    return loaded
