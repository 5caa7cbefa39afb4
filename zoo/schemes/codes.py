"""Statistics of the codes of a folder or a fitted system, and a cap on their number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.docids import quantize

FEWEST_OF = 4  # documents per code, on average


def stats(state: Mapping[str, Any]) -> quantize.Stats:
    """Statistics of the codes of `folder.make` before collisions were resolved."""
    return quantize.stats(np.asarray(state["codes"]), num_codes=json.loads(state["about"])["codes"])


def codes_of(config: Any, state: Mapping[str, Any]) -> np.ndarray | None:
    """Codes of the content in a fitted system's identifiers, i[N, levels], without the counter.

    None without identifiers.
    """
    if "docids" not in state:
        return None
    tokens = np.asarray(state["docids"]["tokens"])
    return tokens[:, : getattr(config, "levels", tokens.shape[1])]


def cap_codes(codes: int, num_documents: int, log, *, power_of_two: bool = False) -> int:
    """min(codes, num_documents / FEWEST_OF), with a warning if that is less than `codes`.

    Emptier codes carry no information.

    power_of_two: round the lower number down to a power of two, as LSH needs.
    """
    most = max(2, num_documents // FEWEST_OF)
    most = 1 << (most.bit_length() - 1) if power_of_two else most
    if codes > most:
        log.warn(
            f"codes={codes} is more than {num_documents} documents fill, {FEWEST_OF} to a code; "
            f"each level has {most}"
        )
    return min(codes, most)


def num_codes_of(config: Any, state: Mapping[str, Any]) -> int | None:
    """Codes per level after `cap_codes`; None if unknown."""
    found = state.get("num_codes", state.get("tokenizer_of_documents", {}).get("num_codes"))
    return getattr(config, "codes", None) if found is None else int(found)


def spread(codes: np.ndarray, num_codes: int | None = None) -> quantize.Stats:
    """Statistics of codes i[N, L] whose numbers need not begin at 0; num_codes: by default the
    codes of the fullest level.
    """
    numbered = np.stack(
        [np.unique(column, return_inverse=True)[1].reshape(-1) for column in codes.T], axis=1
    )
    return quantize.stats(numbered, num_codes=num_codes or int(numbered.max()) + 1)


def report(state: dict) -> str:
    """Statistics as a table with a line per level, and a summary."""
    found = stats(state)
    lines = ["level   usage  perplexity  prefixes  bits so far"]
    for level, values in enumerate(
        zip(found.usage, found.perplexity, found.prefixes, found.entropy), start=1
    ):
        usage, perplexity, prefixes, bits = values
        lines.append(f"{level:5d}  {usage:6.3f}  {perplexity:10.1f}  {prefixes:8,d}  {bits:11.2f}")
    rows = len(state["codes"])
    told_apart = np.log2(rows)
    lines.append(
        f"{rows:,} documents ({told_apart:.2f} bits), {found.colliding:.1%} share their codes "
        "with another, "
        f"at most {found.most_alike} the same"
    )
    if found.collapsed:
        lines.append(f"collapsed: level {', '.join(str(level + 1) for level in found.collapsed)}")
    return "\n".join(lines)
