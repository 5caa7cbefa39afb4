"""The page at `/`: one HTML file that shows the search of a query, and the routes that it asks."""

from __future__ import annotations

import asyncio
import importlib.resources
import secrets
from typing import Any

import fastapi
import numpy as np
from fastapi import responses

from zoo.records import DataError
from zoo.report import html, walks
from zoo.serve import checks, limits as limits_, schemas, versions
from zoo.serve.limits import Refused

NUM_SAMPLES, SAMPLE_LETTERS, SAMPLE_ITEMS = 4, 48, 3  # queries and users to start with
TITLES, LETTERS = 8, 200  # completions shown, characters of what is completed


def document(nonce: str) -> str:
    """The page with its styles and scripts inside."""
    read = lambda package, name: (importlib.resources.files(package) / name).read_text("utf-8")
    style = read("zoo.serve", "page.css") + read("zoo.report", "walk.css")
    script = read("zoo.report", "walk.js") + read("zoo.serve", "page.js")
    whole = read("zoo.serve", "page.html").replace("STYLE\n", style).replace("SCRIPT\n", script)
    return whole.replace('nonce="NONCE"', f'nonce="{nonce}"')


def routes(app: fastapi.FastAPI, server: Any) -> None:
    """Adds the page and its routes to the application of a `server.Server`."""

    @app.get("/", include_in_schema=False)
    async def page() -> fastapi.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
        return responses.HTMLResponse(document(nonce), headers=headers)

    @app.get("/systems", include_in_schema=False)
    async def systems() -> fastapi.Response:
        """Systems with a tree, their decoders, and queries to start with."""
        server.refuse_unready()
        current = server.catalogue.current().values()
        described = [_describe(each, each.walker) for each in current if each.walker is not None]
        return responses.JSONResponse({"systems": described})

    @app.get("/titles", include_in_schema=False)
    async def titles(system: str, text: str) -> fastapi.Response:
        """Documents whose title or id begins with, or else holds, a text."""
        version = checks.version_of(server.catalogue, system, "")
        found = await asyncio.to_thread(_completions, version, text[:LETTERS])
        return responses.JSONResponse({"titles": found})

    @app.post("/walk")
    async def walk(body: schemas.Walk) -> fastapi.Response:
        """The search of one query, level by level."""
        server.refuse_unready()
        version = checks.version_of(server.catalogue, body.system, "")
        walker = version.walker
        if walker is None:
            raise Refused(422, "no_tree", f"{version.name} generates no identifiers")
        query = _query(version, body, server.limits)
        chosen = body.model_dump(include={"decoder", "beam", "temperature", "k", "wanted"})
        chosen["beam"] = min(body.beam, walks.WIDEST)
        try:
            found = await server.batcher.call(lambda: walker.walk(query, **chosen))
        except DataError as error:
            raise Refused(422, "walk", str(error)) from None
        return responses.JSONResponse({"version": version.version, **found})


def _query(version: versions.Version, body: schemas.Walk, limits: limits_.Limits) -> Any:
    query = body.query if version.asks == "text" else body.history
    if not query:
        kind = "query" if version.asks == "text" else "history"
        raise Refused(422, "query", f"{version.name} expects a {kind}")
    if version.asks == "text" and len(query) > limits.text:
        raise Refused(422, "text", f"expected at most {limits.text} characters, got {len(query)}")
    return query if isinstance(query, str) else query[-limits.history :]


def _describe(version: versions.Version, walker: walks.Walker) -> dict[str, Any]:
    return {
        "name": version.name,
        "recipe": version.fitted.name,
        "asks": version.asks,
        "documents": len(version.rows),
        "version": version.version,
        "decoders": walker.decoders(),
        "samples": _samples(version),
    }


def _samples(version: versions.Version) -> list[Any]:
    """Beginnings of texts as queries, or a few items as a user."""
    shown = version.fitted.documents
    rows = np.random.default_rng(0).permutation(len(shown))
    if version.asks == "history":
        few = [
            rows[at : at + SAMPLE_ITEMS]
            for at in range(0, NUM_SAMPLES * SAMPLE_ITEMS, SAMPLE_ITEMS)
        ]
        return [[_entry(version, int(row)) for row in each] for each in few if len(each)]
    found = []
    for row in rows[: 50 * NUM_SAMPLES]:
        text = html.short(shown.texts[row].split(". ")[0], SAMPLE_LETTERS)
        if len(text.split()) >= 3 and not text.endswith("…"):
            found.append(text.rstrip("."))
    return found[:NUM_SAMPLES]


def _completions(version: versions.Version, text: str) -> list[dict[str, str]]:
    shown, wanted = version.fitted.documents, text.strip().lower()
    begins, holds = [], []
    for row, (name, title) in enumerate(zip(shown.ids, shown.titles)):
        lower = title.lower()
        if lower.startswith(wanted) or name.lower().startswith(wanted):
            begins.append(row)
            if len(begins) == TITLES:
                break
        elif wanted in lower and len(holds) < TITLES:
            holds.append(row)
    return [_entry(version, row) for row in (*begins, *holds)[:TITLES]]


def _entry(version: versions.Version, row: int) -> dict[str, str]:
    shown = version.fitted.documents
    title = shown.titles[row] or html.short(shown.texts[row]) or shown.ids[row]
    return {"id": shown.ids[row], "title": html.short(title)}
