"""What a server accepts, and the error that a client sees where it does not."""

from __future__ import annotations

import dataclasses

import fastapi


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds on requests; each is an option of `zoo serve`."""

    body: int = 1_000_000  # bytes of a request
    k: int = 100  # answers per query
    batch: int = 256  # queries of one request
    queue: int = 1024  # queries that wait
    text: int = 10_000  # characters of a query
    history: int = 256  # items of a history
    excluded: int = 64  # documents that a query excludes
    seconds: float = 30.0  # that a request may take


class Refused(Exception):
    """A request that is not answered: an HTTP status, a short code, and a reason in words."""

    def __init__(self, status: int, code: str, reason: str):
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason

    def response(self) -> fastapi.responses.JSONResponse:
        """What the client gets; 429 and 503 say when to come back."""
        again = {"Retry-After": "1"} if self.status in (429, 503) else None
        return refusal(self.status, self.code, self.reason, again)


def refusal(
    status: int, code: str, reason: str, headers: dict[str, str] | None = None
) -> fastapi.responses.JSONResponse:
    """{"error": {"code", "reason"}} with a status."""
    body = {"error": {"code": code, "reason": reason}}
    return fastapi.responses.JSONResponse(body, status, headers)
