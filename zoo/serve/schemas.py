"""Bodies of requests and responses; FastAPI checks the former and describes both (OpenAPI)."""

from __future__ import annotations

import pydantic
from pydantic import Field


class _Body(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class Options(_Body):
    """How to answer; the same for every query of a request."""

    system: str | None = Field(None, description="its name in /health; may be left out if only one")
    k: int = Field(10, ge=1, description="answers per query")
    beam: int | None = Field(
        None, ge=1, description="beam width; rounded up to a width that the server has compiled"
    )
    allowed: list[str] | None = Field(
        None, description="ids of the only documents that may be answered"
    )
    excluded: list[str] | None = Field(
        None, description="ids of documents that may not be answered, such as what was seen"
    )


class Search(Options):
    """A query in words."""

    query: str


class Recommend(Options):
    """A history of items."""

    history: list[str] = Field(min_length=1, description="ids of items, oldest first")
    leave_out_history: bool = Field(False, description="exclude the items of the history")


class Batch(Options):
    """Several queries, or several histories."""

    queries: list[str] | None = None
    histories: list[list[str]] | None = None


class Walk(_Body):
    """One query whose search is shown level by level."""

    system: str | None = None
    query: str | None = None
    history: list[str] | None = None
    wanted: str | None = Field(None, description="id of the document whose path is followed")
    decoder: str = "trie"
    beam: int = Field(10, ge=1)
    temperature: float = Field(1.0, ge=0.1, le=10.0)
    k: int = Field(10, ge=1, le=50)


class Reload(_Body):
    """Which system to load anew, or to roll back."""

    system: str | None = None
    folder: str | None = Field(None, description="a folder beside the one that is served")


class Answer(pydantic.BaseModel):
    """One document."""

    id: str
    title: str
    score: float


class Answers(pydantic.BaseModel):
    """The answers to one query, best first."""

    system: str
    version: str
    beam: int = Field(description="width of the beam; 0 = the system has none")
    answers: list[Answer]


class ManyAnswers(pydantic.BaseModel):
    """The answers to several queries, in their order."""

    system: str
    version: str
    beam: int
    answers: list[list[Answer]]


class Changed(pydantic.BaseModel):
    """The version that answers now."""

    system: str
    version: str
    documents: int


class Problem(pydantic.BaseModel):
    """Why a request was not answered."""

    code: str
    reason: str


class Failure(pydantic.BaseModel):
    """The body of every response with a status of 400 or more."""

    error: Problem
