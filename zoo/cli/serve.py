"""The command `zoo serve`."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from zoo.cli import flags
from zoo.records import DataError

# flag -> field of `zoo.serve.limits.Limits`, and what it bounds
LIMITS = {
    "--max-body": ("body", "bytes of a request"),
    "--max-k": ("k", "answers per query"),
    "--max-batch": ("batch", "queries of one request"),
    "--max-queue": ("queue", "queries that wait; more are refused with 429"),
    "--max-seconds": ("seconds", "seconds that a request may take"),
}
REMEDY = "zoo serve needs FastAPI and uvicorn: pip install 'generative-retrieval-zoo[serve]'"


def serve_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "serve",
        "answer over HTTP, and show the search on a page",
        "zoo serve runs/dsi runs/tiger --port 8000",
        serve,
    )
    added.add_argument(
        "folders", nargs="+", metavar="DIR", help="folders that `zoo fit --out` wrote"
    )
    added.add_argument(
        "--host", default="127.0.0.1", help="interface (default: 127.0.0.1, this machine alone)"
    )
    added.add_argument("--port", type=int, default=8000, help="0 = any free one (default: 8000)")
    added.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name by which clients reach the server, * = any; repeatable",
    )
    bounds = added.add_argument_group("limits")
    for flag, (field, about) in LIMITS.items():
        kind = float if field == "seconds" else int
        bounds.add_argument(flag, type=kind, dest=field, metavar="N", help=f"{about}")


def serve(parsed: argparse.Namespace) -> None:
    """Serves the systems of folders until SIGTERM or Ctrl-C."""
    try:
        from zoo.serve import limits, run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("fastapi", "uvicorn", "pydantic", "starlette"):
            raise DataError(REMEDY) from None
        raise
    chosen = {field: getattr(parsed, field) for field, _ in LIMITS.values()}
    given = {field: value for field, value in chosen.items() if value is not None}
    for flag, (field, _) in LIMITS.items():
        if given.get(field, 1) <= 0:
            raise DataError(f"{flag} expects a number above 0, got {given[field]}")
    run.serve(
        parsed.folders,
        host=parsed.host,
        port=parsed.port,
        allow_hosts=parsed.allow_host,
        limits=dataclasses.replace(limits.Limits(), **given),
    )
