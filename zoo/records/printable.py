"""Text that is safe to print."""

from __future__ import annotations

import re

# control characters, which a terminal obeys, and marks that reverse the order of the text
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters as escapes, as `\\x1b`: a title cannot drive a terminal."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
