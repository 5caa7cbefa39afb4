"""The site builds without a warning, every link inside it resolves, and every system has its page."""

import html.parser
import os
import pathlib
import subprocess
import sys
import urllib.parse

import pytest

from zoo import recipes

ROOT = pathlib.Path(__file__).parents[1]


class Links(html.parser.HTMLParser):
    """What a page points to, and the places in it that can be pointed to."""

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
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", out]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "JUPYTER_PLATFORM_DIRS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    return out


def dead_links(site):
    """(page, target) of links inside the site that lead nowhere."""
    pages = {path.resolve(): Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    dead = []
    for page, links in pages.items():
        for target in links.targets:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
            place = place / "index.html" if place.is_dir() else place
            anchor = urllib.parse.unquote(parts.fragment)
            if not place.exists() or anchor and place in pages and anchor not in pages[place].anchors | {"__top"}:
                dead.append((page.relative_to(site.resolve()).as_posix(), target))
    return dead


def test_every_link_inside_the_site_resolves(site):
    assert dead_links(site) == []
    (site / "control.html").write_text('<a href="no/such/page/">x</a><a href="index.html#no-such-place">y</a>')
    assert len(dead_links(site)) == 2
    (site / "control.html").unlink()


def test_every_system_has_a_page_with_its_figure_and_its_deviations(site):
    for name in recipes.names():
        text = (site / "systems" / name / "index.html").read_text(encoding="utf-8")
        assert f"{name}.png" in text and (site / "systems" / f"{name}.png").stat().st_size > 5_000
        assert f"zoo fit {name}" in text and text.count("<li>") >= len(recipes.get(name).deviations)


def test_every_notebook_has_a_page(site):
    for source in (ROOT / "colab").glob("*.py"):
        assert "Open in Colab" in (site / "notebooks" / source.stem / "index.html").read_text(encoding="utf-8")
