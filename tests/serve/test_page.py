"""The page in a real browser: it answers, unfolds, switches and fits two widths."""

import contextlib
import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

pytest.importorskip("fastapi", reason="install the extra `serve`")
sync_api = pytest.importorskip("playwright.sync_api", reason="install the extra `test`")

from zoo.serve import page

ROOT = pathlib.Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
needs_browser = pytest.mark.skipif(
    not CHROMIUM,
    reason="no chromium on the PATH: install it (apt install chromium) to test the page",
)


def test_the_page_is_one_file_that_needs_no_network():
    text = page.document("abc")
    assert text.count("<script") == 1 and text.count("<style") == 1
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in text.replace("http://www.w3.org/2000/svg", "")
    assert "NONCE" not in text and "innerHTML" not in text


@pytest.fixture(scope="module")
def address(folder):
    """Where `zoo serve` answers for two systems."""
    command = [sys.executable, "-m", "zoo", "serve", str(folder / "dsi"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--max-k", "5"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        line = next(line for line in process.stdout if line.startswith("serving at "))
        port = int(line.split()[2].rsplit(":", 1)[1])
        until, status = time.monotonic() + 300, 0
        while status != 200:
            assert time.monotonic() < until and process.poll() is None, "never ready"
            time.sleep(0.2)
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("GET", "/health")
                status = connection.getresponse().status
        yield f"http://localhost:{port}/"
        process.terminate()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def opened(browser, address, request):
    """The page at a width, after a first query; it must have logged no error in the end."""
    width, height = WIDTHS[getattr(request, "param", "desktop")]
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.emulate_media(reduced_motion="reduce")
    errors = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else 0)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    tab.get_by_label("Query").fill("bab cec")
    tab.keyboard.press("Enter")
    tab.locator(".told").wait_for(timeout=120_000)
    yield tab
    assert errors == []
    tab.close()


@needs_browser
@pytest.mark.browser
def test_a_query_is_answered_and_its_tree_unfolds(opened):
    assert "first answer is" in opened.locator(".told").inner_text()
    levels = opened.locator(".walk .level:not(.root)")
    assert levels.count() >= 3 and opened.locator(".walk svg path").count() > 5
    first = opened.locator(".walk .node.kept[aria-expanded]").first
    first.focus()
    opened.keyboard.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    assert "so far" in first.inner_text()
    opened.get_by_role("button", name="Step 1").click()
    assert levels.nth(0).is_visible() and not levels.nth(1).is_visible()
    opened.get_by_role("button", name="Step 2").click()
    assert levels.nth(1).is_visible()


@needs_browser
@pytest.mark.browser
def test_decoder_beam_and_the_wanted_document_change_the_search(opened):
    exact = opened.locator(".walk .lists section").nth(1).locator("button")
    last = exact.last.inner_text()
    kept = opened.locator(".walk .level:not(.root)").nth(0).locator(".node.kept")
    opened.locator("#beam").fill("0")  # the first place: one hypothesis
    sync_api.expect(kept).to_have_count(1)
    exact.last.click()
    opened.locator(".walk .told .want").wait_for()
    assert "is lost at step" in opened.locator(".told").inner_text()
    assert opened.locator("#wanted").input_value() == last
    for decoder in ("counted", "lookahead", "max-marginal", "potential", "best-first"):
        with opened.expect_response("**/walk") as response:
            opened.locator("#decoder").select_option(decoder)
        assert response.value.json()["decoder"] == decoder
    told = opened.locator(".told")
    sync_api.expect(told).to_contain_text("found 10 of the model's 10")


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("opened", WIDTHS, indirect=True)
def test_nothing_is_cut_off_at_either_width(opened):
    width = opened.viewport_size["width"]
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    for control in ("#query", "#decoder", "#wanted"):
        box = opened.locator(control).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    columns = opened.locator(".walk .level:not(.root):visible").count()
    assert columns == 1 if width < 700 else columns >= 3
    found, exact = (opened.locator(".walk .lists section").nth(n).bounding_box() for n in (0, 1))
    assert (exact["y"] > found["y"]) == (width < 700)


@needs_browser
@pytest.mark.browser
def test_every_control_has_a_name_and_a_reason_is_shown_for_a_refusal(opened):
    unnamed = opened.evaluate(
        "[...document.querySelectorAll('input,select,button')].filter(e => !(e.labels?.length ||"
        " e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert unnamed == []
    opened.route(
        "**/walk",
        lambda route: route.fulfill(status=200, content_type="application/json", body="{}"),
    )
    opened.get_by_role("button", name="Search").click()
    opened.get_by_role("alert").wait_for()
    opened.unroute("**/walk")
