"""Kinds of documents, and what is asked of each: code and its documentation, command pages, FAQs.

A function is asked for by what it does, a command by its task, an answer by its question; none by
a span of its text. `phrases` writes such queries by rule from names, first sentences, comments,
options and questions; prose has none, its queries are sentences and terms (`zoo.text.rules`).
"""

from __future__ import annotations

import re

PROSE, CODE, COMMAND, FAQ = "prose", "code", "command", "faq"
KINDS = (PROSE, CODE, COMMAND, FAQ)
LONGEST = 12  # words of a phrase
FEW = 4  # words of a name or a sentence that stand together in a phrase

_STOP = frozenset(
    "a an and are as at be been but by can could did do does for from had has have he her his how "
    "i if in into is it its may might must no nor not of on one or our shall she should so some "
    "such than that the their them then there these they this those to was we were what when where "
    "which who whom whose why will with would you your".split()
)
_DEFINITION = re.compile(
    r"^\s*(?:@[^\n]*\n\s*)*(?:(?:public|private|static|async|export|final)\s+)*"
    r"(?:def|class|function|func|fn|interface|struct)\s+(\w+)"
)
# os.path.join, keyword.issoftkeyword(s), range(stop), Vec::push
_NAME = re.compile(r"^(?:class\s+)?[A-Za-z_]\w*(?:(?:\.|::)\w+)+(?:\(.*\))?$|^[A-Za-z_]\w*\(.*\)$")
_OPTION = re.compile(r"(?:^|\s)--?[A-Za-z][\w-]*")
_PROMPT = re.compile(r"^\s*\$ \S", re.MULTILINE)
_QUESTION = re.compile(r"[^.?!\n]{8,200}\?")
_OPENS = re.compile(r"\s*[^.!?\n]{3,200}\?")  # a first sentence that asks
_ASKS = re.compile(r"^\s*(?:q|question)\s*[:.]", re.IGNORECASE)
_DOCSTRING = re.compile(
    r'"""\s*(.+?)(?:"""|\n\s*\n|\Z)' + r"|'''\s*(.+?)(?:'''|\n\s*\n|\Z)", re.DOTALL
)
_COMMENT = re.compile(r"(?:^|\s)(?:#|//)\s*([A-Za-z][^\n]{8,80})")
_SENTENCE = re.compile(r"^\s*(.+?)(?:\.(?=\s|$)|\n\s*\n|\Z)", re.DOTALL)
_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
# what a description says of a function -> what is asked for
_LEADS = (
    (re.compile(r"^returns? true (?:if|when|iff) ", re.IGNORECASE), "check if "),
    (re.compile(r"^(?:returns?|gets?) ", re.IGNORECASE), "get "),
    (re.compile(r"^(?:this|a|the) (?:function|method|class|command|tool) (?:that )?", re.I), ""),
)
_VERB = re.compile(r"^([a-z]+)s (?=the |a |an |all |any |each |this )")  # creates the -> create the


def kind_of(title: str, text: str) -> str:
    """One of KINDS.

    >>> kind_of("os.path.join(a, *paths)", "Join one or more path segments.")
    'code'
    >>> kind_of("tar", "Archiving utility. tar -c -f FILE ; tar --list -f FILE")
    'command'
    """
    title = title.strip()
    if _DEFINITION.match(text) or _NAME.match(title):
        return CODE
    options = len(_OPTION.findall(text))
    if 0 < len(title.split()) <= 3 and (
        options >= 2
        and 20 * options >= len(text.split())
        or _PROMPT.search(text)
        # an example that begins with the command
        or re.search(rf"(?:\|\||\n|`)\s*{re.escape(title)}(?:\s|`|$)", text)
    ):
        return COMMAND
    if title.endswith("?") or _ASKS.match(text) or _OPENS.match(text):
        return FAQ
    return PROSE


def phrases(title: str, text: str) -> list[str]:
    """Different queries that a reader would put to a document of its kind; [] for prose.

    >>> phrases("keyword.issoftkeyword(s)", "Return True if s is a Python soft keyword.")[:2]
    ['check if s is a python soft keyword', 'how to check if s is a python soft keyword']
    """
    kind = kind_of(title, text)
    if kind == PROSE:
        return []
    made = {CODE: _of_code, COMMAND: _of_command, FAQ: _of_faq}[kind](title.strip(), text)
    made = [" ".join(phrase.split()[:LONGEST]) for phrase in made]
    return list(dict.fromkeys(phrase for phrase in made if _LETTERS.search(phrase)))


def _of_code(title: str, text: str) -> list[str]:
    definition = _DEFINITION.match(text)
    name = (title or (definition[1] if definition else "")).split("(")[0].removeprefix("class ")
    name = " ".join(_HUMPS.findall(name))
    described = _DOCSTRING.search(text)
    if described is None and definition is not None:
        about = ""
    else:
        about = text if described is None else described[1] or described[2]
    about = _task(about)
    comments = [_task(comment) for comment in _COMMENT.findall(text)] if definition else []
    found = [*_how_to(about), name.lower(), *comments]
    terms = _content(about)
    if name and terms:
        found += [f"{name.lower()} {' '.join(terms[:FEW])}", " ".join(terms)]
    return found


def _of_command(title: str, text: str) -> list[str]:
    about = re.split(r"\s\|\||\n|\s;\s|(?<=\.)\s", text.strip(), maxsplit=1)[0]
    about = _task(about)
    terms = _content(about)
    found = [*_how_to(about), f"{title} {' '.join(terms[:FEW])}", " ".join(terms)]
    for line in re.split(r"\|\||\n|\s;\s", text)[1:]:
        # path/to/file, --list: words of the example, with those of the description
        own = [word.lower() for word in _LETTERS.findall(line) if word.lower() != title.lower()]
        own = [word for word in dict.fromkeys(own) if word not in _STOP][:FEW]
        if own:
            found += [f"{title} {' '.join(own)}", f"{' '.join(terms[:2])} {' '.join(own)}"]
    return found


def _of_faq(title: str, text: str) -> list[str]:
    questions = [title] if title.endswith("?") else []
    questions += [question.strip() for question in _QUESTION.findall(text)]
    questions = [re.sub(r"^(?:q|question)\s*[:.]\s*", "", each, flags=re.I) for each in questions]
    found = []
    for question in questions:
        found += [question.rstrip("?").strip().lower(), " ".join(_content(question))]
    return found


def _how_to(about: str) -> list[str]:
    """A task, and the question how to do it if it begins with a verb, or what may be one."""
    first = about.split(" ", 1)[0]
    return [about] if not about or first in _STOP else [about, f"how to {about}"]


def _task(sentence: str) -> str:
    """The first sentence as a task: lower case, an imperative where it describes one."""
    sentence = " ".join(_first_sentence(sentence).strip(" .:;").split())
    for lead, asked in _LEADS:
        if lead.match(sentence):
            sentence = lead.sub(asked, sentence)
            break
    return _VERB.sub(r"\1 ", sentence.lower())


def _first_sentence(text: str) -> str:
    found = _SENTENCE.match(text)
    return found[1].strip() if found else ""


def _content(text: str) -> list[str]:
    """Words that say something, in order, each once."""
    words = dict.fromkeys(word.lower() for word in re.findall(r"[^\W_]+", text))
    return [word for word in words if word not in _STOP and len(word) > 1]
