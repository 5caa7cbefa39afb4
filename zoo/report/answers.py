"""Answers as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.api import fitted as stored
from zoo.records import printable


def format_answers(
    fitted: stored.Fitted, rows: Mapping[str, int], answers: Sequence[tuple[str, float]]
) -> list[str]:
    """One line per answer: rank, score, id, and title or text."""
    lines = []
    for rank, (name, score) in enumerate(answers, start=1):
        title, text = fitted.documents.titles[rows[name]], fitted.documents.texts[rows[name]]
        about = " - ".join(part for part in (title if title != name else "", text[:90]) if part)
        lines.append(printable(f"{rank:3d}. {score:8.2f}  {name}  {about}".rstrip()))
    return lines
