"""Answers as lines of text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zoo.api import fitted as stored

# control characters, which a terminal obeys, and marks that reverse the order of the text
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters as escapes, as `\\x1b`: a title cannot drive a terminal."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def format_answers(
    fitted: stored.Fitted, rows: dict[str, int], answers: Sequence[tuple[str, float]]
) -> list[str]:
    """One line per answer: rank, score, id, and title or text."""
    lines = []
    for rank, (name, score) in enumerate(answers, start=1):
        title, text = fitted.documents.titles[rows[name]], fitted.documents.texts[rows[name]]
        about = " - ".join(part for part in (title if title != name else "", text[:90]) if part)
        lines.append(printable(f"{rank:3d}. {score:8.2f}  {name}  {about}".rstrip()))
    return lines
