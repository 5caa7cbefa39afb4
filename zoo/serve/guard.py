"""ASGI middleware: bodies within their limits, JSON alone, hosts that are ours, no stack traces."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from zoo.serve import limits as limits_, metrics as metrics_
from zoo.serve.limits import Refused

LOG = logging.getLogger("zoo.serve")


class Guard:
    """Checks each HTTP request before the application sees it, and counts its response."""

    def __init__(
        self, app: Any, limits: limits_.Limits, metrics: metrics_.Metrics, hosts: frozenset[str]
    ):
        self.app, self.limits, self.metrics, self.hosts = app, limits, metrics, hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def noted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._refuse(scope)
            body = await self._body(receive) if scope["method"] == "POST" else b""
            await self.app(scope, _once(body, receive), noted)
        except Refused as refused:
            await refused.response()(scope, receive, noted)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if not status:
                reason = "the server failed; its log says why"
                response = limits_.refusal(500, "internal", reason)
                with contextlib.suppress(RuntimeError):
                    await response(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")  # few labels, whatever is asked
            self.metrics.request(route, status, time.perf_counter() - started)

    def _refuse(self, scope: Any) -> None:
        """Raises Refused for another host, or a POST that a page of another site could send."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "").rsplit(":", 1)[0].strip("[]").lower()
        if self.hosts and host not in self.hosts:
            raise Refused(
                421, "other_host", f"this server is not {host[:80]!r}; start it with --allow-host"
            )
        if scope["method"] != "POST":
            return
        if headers.get(b"content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Refused(415, "not_json", "expected Content-Type: application/json")
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body:
            raise self._too_large()

    async def _body(self, receive: Any) -> bytes:
        """The body. Raises Refused if it is too large or comes too slowly."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "gone", "the client has gone")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self.limits.body:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, "slow_body", "the body did not arrive in time") from None

    def _too_large(self) -> Refused:
        return Refused(413, "body_too_large", f"expected at most {self.limits.body} bytes")


def _once(body: bytes, receive: Any) -> Any:
    """A `receive` that returns the body and then whatever comes."""
    sent = False

    async def next_message() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
