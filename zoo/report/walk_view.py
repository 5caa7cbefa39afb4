"""The view of a search (`walk.js`) inside a report or a notebook: no server, no network."""

from __future__ import annotations

import dataclasses
import html as html_
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo import records
from zoo.api import answer, fitted as stored
from zoo.models import generate
from zoo.report import html, walks

NUM_WALKS, SEED, BEAM = 10, 0, 5  # as the examples of `zoo.report.examples`
HEIGHT = 980  # pixels of a notebook's cell
# wider than the text of the page
_WIDE = "#walk-view { width: min(72rem, 94vw); margin-left: calc(50% - min(36rem, 47vw)); }"
_SHOW = """
(() => {
  const all = JSON.parse(document.getElementById("walk-data").textContent);
  const menu = document.getElementById("walk-query"), view = document.getElementById("walk-view");
  const show = () => zooWalk(view, all[Number(menu.value)], {animate: false});
  menu.addEventListener("change", show);
  show();
})();
"""


@dataclasses.dataclass(frozen=True)
class View:
    """A search that a notebook shows."""

    data: dict[str, Any]  # of `walks.Walker.walk`

    def _repr_html_(self) -> str:
        page = html.page("The search of a query", *_view([self.data], [_name(self.data)]))
        source = html_.escape(page, quote=True)
        style = "border:0;width:100%"
        return f'<iframe srcdoc="{source}" height="{HEIGHT}" style="{style}"></iframe>'


def view(fitted: stored.Fitted, query: str | Sequence[str], **options: Any) -> View:
    """The search of one query, for a notebook. Options: see `walks.Walker.walk`."""
    return View(walks.Walker(answer.open(fitted)).walk(query, **options))


def section(
    fitted: stored.Fitted, queries: records.Queries | records.Histories, qrels: records.Qrels
) -> list[html.Html]:
    """The section of a report: ten queries to choose from, each followed to its first relevant
    document; [] for a system that generates no identifiers.
    """
    opened = answer.open(fitted)
    if not isinstance(opened.ask, generate.Opened) or opened.ask.fixed:
        return []
    walker, rows = walks.Walker(opened), fitted.documents.rows()
    count = min(NUM_WALKS, len(queries))
    chosen = sorted(np.random.default_rng(SEED).choice(len(queries), count, replace=False))
    found = []
    for row in map(int, chosen):
        grades = qrels.grades[queries.ids[row]]
        wanted = next((name for name, grade in grades.items() if grade > 0 and name in rows), None)
        if isinstance(queries, records.Histories):
            asked: Any = [fitted.documents.ids[item] for item in queries.history(row)]
        else:
            asked = queries.texts[row]
        found.append(walker.walk(asked, beam=BEAM, wanted=wanted))
    note = (
        f"What a beam of {BEAM} keeps and prunes at each step, and where it loses the relevant "
        "document, if it does. A branch is named by words that the titles below it share."
    )
    parts = _view(found, [_name(data) for data in found])
    return [html.section("The search, step by step", html.element("p", note), *parts, name="walks")]


def _view(found: Sequence[dict[str, Any]], names: Sequence[str]) -> list[html.Html]:
    """A menu of searches, the view, its data, style and script."""
    choices = [html.element("option", name, value=place) for place, name in enumerate(names)]
    menu = html.element("select", choices, id="walk-query")
    label = html.element("label", "Query ", menu, for_="walk-query")
    data = html.Html(json.dumps(list(found)).replace("<", "\\u003c"))
    read = lambda name: (importlib.resources.files("zoo.report") / name).read_text("utf-8")
    return [
        html.element("style", html.Html(read("walk.css") + _WIDE)),
        html.element("p", label),
        html.element("div", id="walk-view"),
        html.element("script", data, type="application/json", id="walk-data"),
        html.element("script", html.Html(read("walk.js") + _SHOW)),
    ]


def _name(data: dict[str, Any]) -> str:
    query = data["query"] if isinstance(data["query"], str) else " → ".join(data["query"])
    return html.short(query, 100)
