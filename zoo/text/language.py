"""Text as tokens of causal language models: those of `tokenizers`, plus one; 0 = pad.

`zoo.nets.llama` reads and generates these numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.records import DataError

PAD = 0
END = "<|endoftext|>"  # token 0 of tokenizers that `train` makes


def train(texts: Sequence[str], *, size: int) -> str:
    """JSON of a byte-level BPE tokenizer of about `size` tokens; it knows every text.

    The same texts give the same tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    # as special tokens, bytes are numbered in this order and not in that of a hash table
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(letters) + 1), special_tokens=[END, *letters], show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    trained = json.loads(made.to_str())
    trained["added_tokens"] = [one for one in trained["added_tokens"] if one["content"] == END]
    return json.dumps(trained, ensure_ascii=False)


def spell(tokenizer: str, texts: Sequence[str]) -> list[np.ndarray]:
    """Tokens i32[...] of each text; names of special tokens in a text are text."""
    found = _loaded(tokenizer, special=False).encode_batch_fast(list(texts), False)
    return [np.asarray(one.ids, np.int32) + 1 for one in found]


def read(tokenizer: str, rows: np.ndarray) -> list[str]:
    """The text of each row i32[N, L] of tokens up to its first pad."""
    loaded, known = _loaded(tokenizer, special=True), count(tokenizer)
    texts = []
    for row in np.asarray(rows).tolist():
        row = row[: row.index(PAD)] if PAD in row else row
        texts.append(loaded.decode([token - 1 for token in row if token <= known]))
    return texts


def prompts(tokenizer: str, instruction: str, texts: Sequence[str], *, length: int) -> np.ndarray:
    """i32[N, S] instruction, newline, the first `length` tokens of each text, newline."""
    first, line = spell(tokenizer, [instruction + "\n", "\n"])
    rows = [np.concatenate([first, one[:length], line]) for one in spell(tokenizer, texts)]
    padded = np.full((len(rows), len(first) + length + len(line)), PAD, np.int32)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def conversation(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """A conversation as the text that a model was trained on, up to where it answers.

    template: Jinja, of the model. messages: each of a role (system, user, assistant) and content.
    Raises DataError if the model has no template or refuses the messages, or Jinja is missing.
    """
    if not template:
        raise DataError("this language model has no template of conversations; give it plain text")
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise DataError("templates of conversations need jinja2; pip install jinja2") from None

    def refuse(reason: str) -> Any:
        raise TemplateError(reason)

    rules = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    rules.globals["raise_exception"] = refuse
    try:
        return rules.from_string(template).render(
            messages=list(messages), add_generation_prompt=True
        )
    except TemplateError as error:
        raise DataError(f"template of conversations: {error}") from None


def encode(tokenizer: str, text: str) -> np.ndarray:
    """Tokens i32[...] of a text of `conversation`, in which special tokens are tokens."""
    return np.asarray(_loaded(tokenizer, special=True).encode(text, None, False, False).ids) + 1


def count(tokenizer: str) -> int:
    """Number of tokens that a tokenizer knows."""
    return _loaded(tokenizer, special=True).get_vocab_size()


def _loaded(tokenizer: str, *, special: bool) -> Any:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_str(tokenizer)
    loaded.encode_special_tokens = not special
    return loaded
