"""Title and text of a document in plain text, Markdown, reStructuredText, HTML or as a mail."""

from __future__ import annotations

import email
import email.message
import email.policy
import html
import re

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARED = re.compile(r"<[!?][^>]*(?:>|\Z)")
_UNREAD = re.compile(
    r"<(script|style|template|noscript|svg|nav)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
# a tag with quoted attributes; atomic, and bounded where it might read far
_TAG = re.compile(
    r"""<(/?[a-zA-Z][^\s<>/"'=]*+)(?:[^<>"']++|"[^"]{0,4000}+"|'[^']{0,4000}+'){0,80}+>"""
)
_BLOCKS = {
    *(
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "aside",
        "br",
        "hr",
        "tr",
        "td",
    ),
    *("th", "li", "ul", "ol", "dl", "dt", "dd", "pre", "table", "blockquote", "figure", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6"),
}
_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*")
_UNDERLINE = re.compile(r"([=\-~^\"'*+#`:.])\1{2,}")
_FRONT_TITLE = re.compile(r"title\s*:\s*(.+)", re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]]{0,1000})\]\([^()\s\[\]]{0,2000}(?:\s\"[^\"\[\]]{0,1000}\")?\)")
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)


def plain(text: str) -> tuple[str, str]:
    """No title, and the text without blank lines at its ends."""
    return "", text.strip()


def markdown(text: str) -> tuple[str, str]:
    """Title of the front matter or of the first heading; text with links reduced to their words.

    >>> markdown("# Paths\\n\\nJoin [them](join.md).")
    ('Paths', 'Join them.')
    """
    lines = text.strip().splitlines()
    title, lines = _front_matter(lines)
    for place, line in enumerate(lines):
        if heading := _HEADING.fullmatch(line.strip()):
            title, lines = title or heading[1], lines[:place] + lines[place + 1 :]
            break
        if place and _UNDERLINE.fullmatch(line.strip()) and line.strip()[0] in "=-":
            title, lines = (
                title or lines[place - 1].strip(),
                lines[: place - 1] + lines[place + 1 :],
            )
            break
    return _LINK.sub(r"\1", title), _LINK.sub(r"\1", "\n".join(lines)).strip()


def restructured(text: str) -> tuple[str, str]:
    """The first underlined line as the title; the rest as it stands."""
    lines = text.strip().splitlines()
    for place in range(1, len(lines)):
        above, line = lines[place - 1].strip(), lines[place].strip()
        long = len(line) >= len(above) > 0 and _UNDERLINE.fullmatch(line)
        if long and not _UNDERLINE.fullmatch(above):
            return above, "\n".join(lines[: place - 1] + lines[place + 1 :]).strip()
    return "", "\n".join(lines)


def html_page(text: str) -> tuple[str, str]:
    """The title, or the first h1, and the words of the body without scripts and navigation.

    Tags are found by regular expressions, in linear time also for pages that are broken on purpose:
    `html.parser` of several releases of Python takes quadratic time for tags that never close.
    """
    text = _UNREAD.sub(" ", _DECLARED.sub(" ", _COMMENT.sub(" ", text)))
    titles: dict[str, str] = {}  # the first of each kind
    body, place = [], 0
    for tag in _TAG.finditer(text):
        body.append(text[place : tag.start()])
        place, name = tag.end(), tag[1].lower()
        if name in ("title", "h1") and name not in titles:
            end = _end_of(text, name, place)
            inner = html.unescape(_TAG.sub("", text[place:end]))
            titles[name] = " ".join(inner.split())
            place = end if name == "title" else place
        if name.strip("/") in _BLOCKS:
            body.append("\n")
    body.append(text[place:])
    words = re.sub(r"[^\S\n]+", " ", html.unescape("".join(body)))
    lines = [line.strip() for line in words.splitlines()]
    return titles.get("title") or titles.get("h1", ""), "\n".join(filter(None, lines))


def charset_of(page: bytes) -> str | None:
    """The encoding that an HTML page declares in its first 2 kB."""
    found = _CHARSET.search(page[:2048])
    return None if found is None else found[1].decode("ascii")


def mail(content: bytes) -> tuple[str, str]:
    """Subject and text of a message; of an HTML mail the words. Attachments are left out."""
    return message(email.message_from_bytes(content, policy=email.policy.default))


def message(found: email.message.Message) -> tuple[str, str]:
    """The same for a message that is parsed already."""
    subject = " ".join(str(found.get("subject") or "").split())
    parts = [part for part in found.walk() if not part.is_multipart()]
    parts = [part for part in parts if part.get_content_disposition() != "attachment"]
    kinds = [part for part in parts if part.get_content_type() == "text/plain"]
    texts = [_decode(part).strip() for part in kinds]
    if not any(texts):
        pages = [part for part in parts if part.get_content_type() == "text/html"]
        texts = [html_page(_decode(part))[1] for part in pages]
    return subject, "\n".join(filter(None, texts))


def _decode(part: email.message.Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:  # an encoding of no such name
        return payload.decode("utf-8", "replace")


def _front_matter(lines: list[str]) -> tuple[str, list[str]]:
    """(title, lines below) of YAML between two lines of `---`."""
    if not lines or lines[0].strip() != "---":
        return "", lines
    for place, line in enumerate(lines[1:], start=1):
        if line.strip() in ("---", "..."):
            found = [_FRONT_TITLE.fullmatch(one.strip()) for one in lines[1:place]]
            title = next((match[1].strip("\"' ") for match in found if match), "")
            return title, lines[place + 1 :]
    return "", lines


def _end_of(text: str, name: str, start: int) -> int:
    """Where the element of that name ends; a thousand characters on if it never does."""
    inner = text[start : start + 1000]
    end = inner.lower().find(f"</{name}")
    return start + (len(inner) if end < 0 else end)
