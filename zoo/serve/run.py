"""Runs the application in a process of its own until SIGTERM or Ctrl-C; then it drains."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import fastapi
import uvicorn

from zoo.records import DataError
from zoo.serve import limits as limits_, server

IDLE = 30  # seconds that a kept connection may be idle
BACKLOG = 1024  # connections that wait to be accepted


class _Server(uvicorn.Server):
    """uvicorn's server, which returns after a signal instead of raising it again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        numbers = signal.SIGTERM, signal.SIGINT
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: Any) -> None:
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True
        app: Any = self.config.app
        app.state.server.status = "draining"


def serve(
    folders: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_hosts: Sequence[str] = (),
    limits: limits_.Limits | None = None,
) -> None:
    """Serves fitted systems over HTTP; returns when it is stopped and has answered what it took.

    host: the interface, by default only of this machine. allow_hosts: further names that the
    Host of a request may have. Raises DataError for a folder without a fitted system or a busy
    port.
    """
    limits = limits or limits_.Limits()
    hosts = server.LOOPBACK | {host} | {name.lower() for name in allow_hosts}
    app = server.build(folders, limits, hosts=hosts if "*" not in allow_hosts else frozenset())
    listening = _listen(host, port)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
    )
    _announce(app, listening)
    with listening:
        _Server(config).run([listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)  # who connects before the server runs waits
    except OSError as error:
        listening.close()
        raise DataError(
            f"serve: cannot listen on {host} port {port} ({error.strerror}); choose another --port"
        ) from None
    return listening


def _announce(app: fastapi.FastAPI, listening: socket.socket) -> None:
    """Prints where the server is and what it serves."""
    host, port = listening.getsockname()[:2]
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    for name, version in app.state.server.catalogue.current().items():
        print(f"{name}: {version.fitted!r}, version {version.version}")
    print(f"serving at {place} (warming up; {place}/health says when it is ready)", flush=True)
