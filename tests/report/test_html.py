"""Elements of pages: any text is escaped."""

from hypothesis import given, strategies as st

from zoo.report import html


@given(st.text(), st.text())
def test_any_text_stays_text(reader, text, value):
    read = reader(html.element("p", text, html.element("b", "end"), title=value))
    assert read.tags == ["p", "b"]
    clean = lambda words: html._CONTROL.sub("\ufffd", words).encode("utf-8", "replace").decode()
    assert "".join(read.texts) == clean(text) + "end"
    assert read.attributes == [("p", "title", clean(value))]


def test_markup_is_not_escaped_twice():
    inner = html.element("i", "a & b")
    assert html.element("p", inner, [inner, "<"]) == "<p><i>a &amp; b</i><i>a &amp; b</i>&lt;</p>"


def test_surrogates_and_control_characters_are_replaced():
    assert html.escaped("a\ud800\x00b") == "a?\ufffdb"


def test_columns_of_numbers_are_right_aligned_and_the_own_row_is_marked(reader):
    read = reader(
        html.table(
            ("name", "p", "gap"), [("1 of us", "< .001", "[-0.1, +0.2]"), ("x", ".5", "-")], own=1
        )
    )
    assert [value for tag, name, value in read.attributes if tag == "th"] == ["number", "number"]
    assert ("tr", "class", "own") in read.attributes and read.texts[-3:] == ["x", ".5", "-"]


def test_a_table_without_rows_is_its_header(reader):
    assert reader(html.table(("a", "b"), [])).tags == ["table", "tbody", "tr", "th", "th"]


def test_short_cuts_between_words():
    assert html.short("one two\n three", 40) == "one two three"
    assert html.short("one two three four", 12) == "one two…"
    assert html.short("x" * 50, 10) == "x" * 9 + "…"


def test_a_page_has_its_title_and_style(reader):
    source = html.page(
        "<Tom & Jerry>",
        html.section("one", html.items(["a"], ordered=True), name="first"),
        html.picture(b"abc", "letters"),
    )
    read = reader(source)
    assert source.startswith("<!doctype html>") and read.texts.count("<Tom & Jerry>") == 2
    assert ("section", "id", "first") in read.attributes and (
        "img",
        "src",
        "data:image/png;base64,YWJj",
    ) in read.attributes
    assert "script" not in read.tags and "link" not in read.tags
