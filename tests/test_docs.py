"""The site builds without a warning, its links resolve, and every system has a page."""

import base64
import html.parser
import importlib.util
import os
import pathlib
import subprocess
import sys
import urllib.parse

import jupytext
import nbformat
import pytest

from zoo import recipes
from zoo.report import figures

ROOT = pathlib.Path(__file__).parents[1]


def module(name):
    """A module of docs/, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    found = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


pictures, pages = module("pictures"), module("pages")


class Links(html.parser.HTMLParser):
    """Links of a page and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.targets += [found[name] for name in ("href", "src") if found.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the site, built by `make docs` in this environment."""
    out = tmp_path_factory.mktemp("site")
    bin_folder = pathlib.Path(sys.executable).parent
    done = subprocess.run(
        ["make", "docs", "READY=", f"BIN={bin_folder}", f"SITE={out}"],
        cwd=ROOT,
        env=os.environ | {"JUPYTER_PLATFORM_DIRS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    return out


def dead_links(site):
    """(page, target) of broken links inside the site."""
    pages = {
        path.resolve(): Links(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"
    }
    dead = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (
                (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
            )
            place = place / "index.html" if place.is_dir() else place
            anchor = urllib.parse.unquote(parts.fragment)
            if (
                not place.exists()
                or anchor
                and place in pages
                and anchor not in pages[place].anchors | {"__top"}
            ):
                dead.append((page.relative_to(site.resolve()).as_posix(), target))
    return dead


def test_every_link_inside_the_site_resolves(site):
    assert dead_links(site) == []
    (site / "control.html").write_text(
        '<a href="no/such/page/">x</a><a href="index.html#no-such-place">y</a>'
    )
    assert len(dead_links(site)) == 2
    (site / "control.html").unlink()


def test_every_system_has_a_page_with_its_figure_and_its_deviations(site):
    for name in recipes.names():
        text = (site / "systems" / name / "index.html").read_text(encoding="utf-8")
        assert f"{name}.png" in text and (site / "systems" / f"{name}.png").stat().st_size > 5_000
        assert f"zoo fit {name}" in text and text.count("<li>") >= len(recipes.get(name).deviations)


def test_every_notebook_has_a_page(site):
    for source in (ROOT / "colab").glob("*.py"):
        assert "Open in Colab" in (site / "notebooks" / source.stem / "index.html").read_text(
            encoding="utf-8"
        )


def test_the_site_has_every_page_in_its_navigation(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    for page in (
        *(f"systems/{name}/" for name in recipes.names()),
        *(f"notebooks/{source.stem}/" for source in (ROOT / "colab").glob("*.py")),
    ):
        assert f'href="{page}"' in text


def test_formulas_are_read_without_a_network_and_others_are_refused(site):
    assert (
        pages.maths(r"$0.05\,E^2[A]/p$ and $1 - p$")
        == "0.05\u2009<i>E</i><sup>2</sup>[<i>A</i>]/<i>p</i> and 1 \u2212 <i>p</i>"
    )
    assert pages.maths("5 $ or no formula") == "5 $ or no formula"
    with pytest.raises(ValueError, match="write it in words"):
        pages.maths(r"$\frac{k}{b}$")
    for source in (ROOT / "colab").glob("*.py"):
        assert "$" not in pages.maths(
            "\n".join(
                cell.source for cell in jupytext.read(source).cells if cell.cell_type == "markdown"
            )
        )


ENDS = {"execute_input": "01.500000", "status.idle": "43.750000"}  # of a cell


def executed(folder):
    """The source of a notebook of three cells, and the notebook with its outputs.

    The outputs are a text and two pictures, one of which the site leaves out.
    """
    drawn, (axes,) = figures.figure("x", "y")
    axes.plot([0, 1], [0, 1])
    content = base64.b64encode(
        figures.save(
            drawn, axes, folder / "drawn.png", "a < b, and half of $p", legend=None
        ).read_bytes()
    ).decode()
    source = folder / "99_story.py"
    source.write_text(
        '# %% [markdown]\n# # Story\n\n# %%\nprint("one")\n\n# %% tags=["not-on-site"]\nshow()\n',
        encoding="utf-8",
    )
    notebook = jupytext.read(source)
    told = nbformat.v4.new_output("stream", name="stdout", text="running on 1 x cpu\n")
    shown = nbformat.v4.new_output("display_data", data={"image/png": content})
    notebook.cells[1].outputs, notebook.cells[2].outputs = [told, shown], [shown]
    times = {f"iopub.{name}": f"2026-01-01T00:00:{at}+00:00" for name, at in ENDS.items()}
    notebook.cells[1].metadata["execution"] = times
    return source, notebook


def test_what_a_notebook_shows_is_on_its_page_with_its_finding_and_where_it_is_from(tmp_path):
    source, notebook = executed(tmp_path)
    about = {
        "setting": "full",
        "machine": "2 cores, 1 x cpu",
        "date": "2026-01-01",
        "seconds": 1234,
    }
    pictures.store(source, notebook, about, tmp_path / "kept")
    note, (first, second) = pictures.shown(source, tmp_path / "kept")
    assert "full run of 2026-01-01 on 2 cores, 1 x cpu, 1,234 s" in note and "changed" not in note
    assert (
        "running on 1 x cpu" in first
        and "<figcaption>a &lt; b, and half of $p</figcaption>" in first
        and "99_story-1.png" in first
        and "took 42 s" in first
    )
    assert second == "" and len(list((tmp_path / "kept").glob("*.png"))) == 1
    assert (tmp_path / "kept" / "99_story-1.png").stat().st_size < (
        tmp_path / "drawn.png"
    ).stat().st_size / 2


def test_the_small_setting_is_never_shown_as_a_result(tmp_path):
    source, notebook = executed(tmp_path)
    pictures.store(
        source,
        notebook,
        {"setting": "small", "machine": "2 cores", "date": "2026-01-01", "seconds": 9},
        tmp_path,
    )
    note, (first, _) = pictures.shown(source, tmp_path)
    assert "Not results" in note and "make pictures NOTEBOOKS=99_story" in note
    assert "<figcaption>Small setting, no result: a &lt; b" in first


def test_outputs_of_other_code_say_so_and_those_of_other_cells_are_not_shown(tmp_path):
    source, notebook = executed(tmp_path)
    pictures.store(
        source,
        notebook,
        {"setting": "full", "machine": "2 cores", "date": "2026-01-01", "seconds": 9},
        tmp_path,
    )
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("one", "two"), encoding="utf-8")
    assert "code has changed since" in pictures.shown(source, tmp_path)[0]
    source.write_text(f"{text}\n# %%\nmore()\n", encoding="utf-8")
    assert pictures.shown(source, tmp_path) == ("", ["", "", ""])


def test_the_pictures_of_notebooks_are_few_and_small_and_none_is_left_over():
    kept = sorted(pictures.KEPT.glob("*.png"))
    assert len(kept) <= 12 and all(path.stat().st_size < 250_000 for path in kept)
    text = "".join(path.read_text(encoding="utf-8") for path in pictures.KEPT.glob("*.json"))
    assert all(f'"{path.name}"' in text for path in kept)


@pytest.mark.parametrize("name", recipes.names())
def test_the_page_of_a_system_explains_every_option(name):
    page = pages.system(name)
    for each, sizes in recipes.options_of(recipes.get(name)):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{each.name}` |")]
        assert each.about in row and each.accepts in row
        assert all(f"`{pages.help_.value(value)}`" in row for value in sizes.values())
