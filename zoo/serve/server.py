"""The HTTP application: /search, /recommend, /batch, /health, /metrics, versions, and the page."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import fastapi
from fastapi import exceptions, responses
from starlette import exceptions as starlette_exceptions

from zoo.records import DataError
from zoo.serve import (
    batching,
    checks,
    guard,
    limits as limits_,
    metrics as metrics_,
    page,
    schemas,
    versions,
)
from zoo.serve.limits import Refused

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Failure} for status in (413, 415, 422, 429, 500, 503, 504)
}


@dataclasses.dataclass(eq=False)
class Server:
    """What the requests of one application share."""

    catalogue: versions.Catalogue
    limits: limits_.Limits
    metrics: metrics_.Metrics
    batcher: batching.Batcher
    status: str = "warming"  # "ok" once it answers, "draining" before it stops
    started: float = dataclasses.field(default_factory=time.monotonic)
    warm: int = 0  # programs compiled by then
    changing: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    def refuse_unready(self) -> None:
        """Raises Refused before the warm-up is over."""
        if self.status == "warming":
            raise Refused(503, "warming", "the systems are being compiled; try again later")

    async def change(self, function: Any, *arguments: Any) -> versions.Version:
        """The version that a change of the catalogue leads to, outside the worker's thread."""
        self.refuse_unready()
        async with self.changing:
            before = self.metrics.compilations
            try:
                return await asyncio.to_thread(function, *arguments)
            except (DataError, OSError) as error:
                raise Refused(409, "not_changed", str(error)) from None
            finally:  # compiled before the version answers
                self.warm += self.metrics.compilations - before


def build(
    folders: Sequence[str], limits: limits_.Limits, *, hosts: frozenset[str]
) -> fastapi.FastAPI:
    """The application of fitted systems; it warms up when it starts.

    hosts: names that a request's Host may have, empty = any.
    Raises DataError as `versions.Catalogue`.
    """
    metrics = metrics_.Metrics()
    depths = checks.depths(limits)

    def prepare(version: versions.Version) -> None:
        version.warm_up(depths, excluded=limits.excluded, longest=limits.history)

    catalogue = versions.Catalogue(folders, prepare)
    server = Server(catalogue, limits, metrics, batching.Batcher(limits, metrics))

    async def warm_up() -> None:
        await asyncio.to_thread(catalogue.prepare_all)
        server.warm, server.status = metrics.compilations, "ok"

    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        server.batcher.start()
        warming = asyncio.create_task(warm_up())
        warming.add_done_callback(lambda task: task.cancelled() or task.result())
        yield
        server.status = "draining"
        warming.cancel()
        await server.batcher.stop()

    app = fastapi.FastAPI(
        title="zoo serve",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.server = server
    app.add_middleware(guard.Guard, limits=limits, metrics=metrics, hosts=hosts)
    _answering(app, server)
    _operating(app, server)
    page.routes(app, server)
    return app


def _answering(app: fastapi.FastAPI, server: Server) -> None:
    """Routes that answer queries."""

    @app.exception_handler(Refused)
    async def refused(request: fastapi.Request, error: Refused) -> fastapi.Response:
        return error.response()

    @app.exception_handler(exceptions.RequestValidationError)
    async def invalid(
        request: fastapi.Request, error: exceptions.RequestValidationError
    ) -> fastapi.Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return limits_.refusal(
            422, "invalid", f"{place}: {first['msg']}" if place else first["msg"]
        )

    @app.exception_handler(starlette_exceptions.HTTPException)
    async def failed(
        request: fastapi.Request, error: starlette_exceptions.HTTPException
    ) -> fastapi.Response:
        """A body that is not JSON, an unknown path or method."""
        said = "the body is not JSON in UTF-8" if error.status_code == 400 else error.detail
        headers = dict(error.headers or {})
        return limits_.refusal(error.status_code, "invalid", said, headers)

    @app.post("/search", response_model=schemas.Answers, responses=_FAILURES)
    async def search(body: schemas.Search) -> Any:
        """The k best documents of a query."""
        return await _answer(server, "text", [body.query], body)

    @app.post("/recommend", response_model=schemas.Answers, responses=_FAILURES)
    async def recommend(body: schemas.Recommend) -> Any:
        """The k best next items of a history."""
        return await _answer(
            server, "history", [body.history], body, leave_out=body.leave_out_history
        )

    @app.post("/batch", response_model=schemas.ManyAnswers, responses=_FAILURES)
    async def batch(body: schemas.Batch) -> Any:
        """The k best documents of each of several queries or histories."""
        if (body.queries is None) == (body.histories is None):
            raise Refused(422, "batch", "expected queries or histories, one of the two")
        kind = "history" if body.queries is None else "text"
        queries: Any = body.histories if body.queries is None else body.queries
        return await _answer(server, kind, queries, body, many=True)


async def _answer(
    server: Server,
    kind: str,
    queries: Sequence[Any],
    options: schemas.Options,
    *,
    leave_out: bool = False,
    many: bool = False,
) -> fastapi.Response:
    server.refuse_unready()
    version = checks.version_of(server.catalogue, options.system, kind)
    asked = checks.asked(version, queries, options, server.limits, leave_out=leave_out)
    found = [
        [
            {"id": each.document, "title": each.title, "score": round(each.score, 6)}
            for each in answers
        ]
        for answers in await server.batcher.ask(asked)
    ]
    head = {"system": version.name, "version": version.version, "beam": asked[0].beam}
    return responses.JSONResponse(head | {"answers": found if many else found[0]})


def _operating(app: fastapi.FastAPI, server: Server) -> None:
    """Routes for whoever runs the server."""

    @app.get("/health")
    async def health() -> fastapi.Response:
        """Status, and the systems with their versions; 503 unless the server answers."""
        systems = [
            {
                "name": name,
                "recipe": each.fitted.recipe,
                "asks": each.asks,
                "version": each.version,
                "documents": len(each.rows),
                "beams": each.widths(server.limits.k),
            }
            for name, each in server.catalogue.current().items()
        ]
        body = {"status": server.status, "systems": systems}
        body["seconds"] = round(time.monotonic() - server.started, 3)
        return responses.JSONResponse(body, 200 if server.status == "ok" else 503)

    @app.get("/metrics")
    async def metrics() -> fastapi.Response:
        """Counters in the text format of Prometheus."""
        current = server.catalogue.current()
        text = server.metrics.text(
            queue=len(server.batcher),
            versions={name: each.version for name, each in current.items()},
            warm=server.warm or server.metrics.compilations,
        )
        return responses.PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @app.post("/reload", response_model=schemas.Changed, responses=_FAILURES)
    async def reload(body: schemas.Reload, request: fastapi.Request) -> Any:
        """Loads a system anew; waiting requests are answered by the version that took them."""
        return await _change(server, request, body, "reload")

    @app.post("/rollback", response_model=schemas.Changed, responses=_FAILURES)
    async def rollback(body: schemas.Reload, request: fastapi.Request) -> Any:
        """Lets the version before answer again."""
        return await _change(server, request, body, "roll_back")


async def _change(
    server: Server, request: fastapi.Request, body: schemas.Reload, how: str
) -> fastapi.Response:
    """Only for clients on the machine itself."""
    client = request.client.host if request.client else ""
    if client not in LOOPBACK:
        raise Refused(403, "not_local", "versions change only from the machine itself")
    name = checks.version_of(server.catalogue, body.system, "").name
    arguments = (name, body.folder) if how == "reload" else (name,)
    version = await server.change(getattr(server.catalogue, how), *arguments)
    changed = schemas.Changed(system=name, version=version.version, documents=len(version.rows))
    return responses.JSONResponse(changed.model_dump())
