"""Folders of texts, tables and mailboxes become documents; the import reports every file."""

import json
import mailbox
import time

import hypothesis
import pytest
from hypothesis import strategies as st

import zoo
from zoo import records
from zoo.data import documents, files, histories, importing, load, markup

PAGE = """<!DOCTYPE html><html><head><title>Join &amp; split</title><style>p {}</style></head>
<body><nav>Home</nav><h1>Paths</h1><p>Join two<br>paths.</p><script>var x = "<p>no</p>";</script>
<ul><li>one</li><li>two</li></ul></body></html>"""


def write(folder, **texts):
    """Writes files; `__` in a name stands for the dot, `_in_` for a slash."""
    for name, content in texts.items():
        path = folder / name.replace("_in_", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_pages_lose_their_markup():
    assert markup.html_page(PAGE) == ("Join & split", "Paths\nJoin two\npaths.\none\ntwo")
    assert markup.html_page("<h1>Only <b>this</b></h1>text") == ("Only this", "Only this\ntext")
    assert markup.html_page("<head><title>Open<body>text")[0] == "Opentext"  # never closed
    assert markup.html_page("<p title='a > b' x=\"<\">1 < 2 &lt; 3</p><!-- > -->") == (
        "",
        "1 < 2 < 3",
    )
    assert markup.markdown("---\ntitle: 'T'\n---\n# H\n\nsee [this](x.md)") == ("T", "see this")
    assert markup.markdown("Title\n=====\ntext") == ("Title", "text")
    assert markup.markdown("no heading\n\n- a\n- b") == ("", "no heading\n\n- a\n- b")
    assert markup.restructured("=====\nTitle\n=====\n\ntext")[0] == "Title"
    assert markup.restructured("Title\n-----\n\ntext") == ("Title", "text")
    assert markup.plain(" a\n") == ("", "a")


@pytest.mark.parametrize(
    "piece",
    ("<!--", "<a ", "<", "<a b='", "<!", "<script>", "&#", "<title>", "<h1>", "[", "![](", "=\n"),
)
def test_broken_pages_take_linear_time(piece):
    """`html.parser` of Python 3.11 takes minutes on these pages."""
    started = time.monotonic()
    for parse in documents.KINDS.values():
        parse(piece * 100_000)
    assert time.monotonic() - started < 20  # a second on an idle machine


def test_mails_give_subject_and_text():
    mail = (
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="x"\n\n--x\n'
        b"Content-Type: text/plain; charset=latin-1"
        b"\n\nsch\xf6n\n--x\nContent-Type: text/plain\nContent-Disposition: "
        b"attachment\n\nno\n--x--\n"
    )
    assert markup.mail(mail) == ("Grüße", "schön")
    assert markup.mail(b"Subject: a\nContent-Type: text/html\n\n<p>words</p>") == ("a", "words")
    assert markup.mail(b"Content-Type: text/plain; charset=nonsense\n\ntext")[1] == "text"


@hypothesis.given(st.text(max_size=60), st.binary(max_size=60))
def test_any_text_and_any_bytes_are_parsed_or_refused(text, content):
    for parse in documents.KINDS.values():
        title, body = parse(text)
        assert isinstance(title, str) and isinstance(body, str)
    title, body = documents._safely("mail", markup.mail, b"Subject: x\n\n" + content)
    (title + body).encode()


def test_a_folder_is_read_by_file_extension(tmp_path):
    write(
        tmp_path / "docs",
        a__txt="first text",
        guide_in_b__md="# Second\n\ntext",
        c__html=PAGE,
        d__rst="Third\n=====\n\ntext",
        e__eml=b"Subject: Fourth\n\nmail",
        picture__png=b"\x89PNG",
        empty__txt=" \n",
        __hidden__txt="hidden",
    )
    found = documents.read(tmp_path / "docs")
    assert found.corpus.ids == ("a.txt", "c.html", "d.rst", "e.eml", "empty.txt", "guide/b.md")
    assert found.corpus.titles == ("a", "Join & split", "Third", "Fourth", "empty", "Second")
    assert found.corpus.texts[0] == "first text"
    said = " ".join(found.notes)
    assert "6 documents" in said and "left out 1 .png" in said


def test_declared_and_named_encodings_are_used(tmp_path):
    page = '<meta charset="iso-8859-1"><title>sch\xf6n</title>x'.encode("latin-1")
    write(tmp_path, a__html=page)
    assert documents.read(tmp_path).corpus.titles == ("schön",)
    write(tmp_path, b__txt="sch\xf6n".encode("latin-1"))
    with pytest.raises(records.DataError, match="b.txt: expected text in utf-8.*--encoding"):
        documents.read(tmp_path)
    write(tmp_path, c__txt="größer", d__txt="hoch".encode("utf-16"))
    found = documents.read(tmp_path, encoding="latin-1").corpus
    # the encoding applies to files that are not UTF-8
    assert found.texts[1:] == ("schön", "größer", "hoch")
    write(tmp_path, e__html="<title>\x93quoted\x94</title>x".encode("latin-1"))
    assert documents.read(tmp_path, encoding="cp1252").corpus.titles[-1] == "“quoted”"
    with pytest.raises(records.DataError, match="no encoding 'klingon'"):
        documents.read(tmp_path, encoding="klingon")


def test_tables_are_read_by_common_column_names(tmp_path):
    write(tmp_path, a__csv='Doc_ID;Name;Body\n7;"A;B";"two\nlines"\n8;;x\n')
    found = documents.read(tmp_path / "a.csv")
    assert found.corpus == records.Corpus(("7", "8"), ("A;B", ""), ("two\nlines", "x"))
    assert "ids are column 'Doc_ID'" in found.notes
    rows = [
        {"headline": "T", "story": "long words", "price": 3, "tags": ["a", "b"]},
        {"story": "x y"},
    ]
    write(
        tmp_path, b__jsonl="".join(json.dumps(row) + "\n" for row in rows), c__json=json.dumps(rows)
    )
    for name in ("b.jsonl", "c.json"):
        found = documents.read(tmp_path / name, {"text": "story+tags"})
        assert found.corpus == records.Corpus(("1", "2"), ("T", ""), ("long words\na, b", "x y"))
        assert "no column is an id: documents are numbered from 1" in found.notes
    found = documents.read(tmp_path / "b.jsonl")
    assert found.corpus.texts == ("story: long words; tags: a, b", "story: x y")


def test_a_mailbox_is_read_by_message_ids(tmp_path):
    box = mailbox.mbox(tmp_path / "in.mbox")
    for number, name in enumerate(("<1@x>", "<1@x>", "", "a b"), start=1):
        message = mailbox.mboxMessage()
        message["Subject"] = f"S{number}"
        if name:
            message["Message-ID"] = name
        message.set_payload(f"text {number}")
        box.add(message)
    box.close()
    found = documents.read(tmp_path / "in.mbox")
    assert found.corpus.ids == ("1@x", "2", "3", "ab")
    assert found.corpus.titles == ("S1", "S2", "S3", "S4")


@pytest.mark.parametrize(
    ("texts", "name", "message"),
    (
        ({}, "", "expected files of .txt, .*found no files"),
        ({"a__png": b"x"}, "", "found 1 .png"),
        ({"a__txt": b"a\x00b"}, "", "a.txt: expected text, found a zero byte"),
        ({"a__txt": b"\xff\xfe\x00"}, "", "a.txt: expected text in utf-16"),
        ({"a__txt": b"\x9d\xff"}, "", "a.txt: expected text in utf-8"),
        ({"a__html": '<meta charset="nope">x'}, "", "a.html: expected text in nope"),
        ({"a__docx": b"x"}, "a.docx", "expected a folder of .txt.*got .docx"),
        ({}, "absent.csv", "found nothing"),
        ({"a__csv": "id,text\n1,x\n1,y\n"}, "a.csv", "2 documents have the id '1'"),
        (
            {"a__csv": "id,text\n,x\n"},
            "a.csv",
            'a.csv:2: expected a word or a whole number in "id"',
        ),
        ({"a__csv": "id,text\n1,\n"}, "a.csv", "found 1 without text"),
        ({"a__csv": ""}, "a.csv", "expected at least one document with text, found none"),
        ({"a__json": "{}"}, "a.json", "expected an array of JSON objects"),
        ({"a__json": "[1]"}, "a.json", "expected an array of JSON objects"),
        ({"a__json": "[" * 999}, "a.json", "nested more than 50 deep"),
        ({"a__jsonl": '{"id": {}, "text": "x"}'}, "a.jsonl", "expected a word or a whole number"),
        ({"a__jsonl": '{"text": "\\ud800"}'}, "a.jsonl", "half a character"),
        ({"a__mbox": "nothing"}, "a.mbox", "expected at least one document with text, found none"),
        ({"a__parquet": b"PAR1"}, "a.parquet", "a.parquet: "),
    ),
)
def test_unreadable_input_is_refused_and_nothing_is_written(tmp_path, texts, name, message):
    write(tmp_path / "in", **texts)
    (tmp_path / "in").mkdir(exist_ok=True)
    with pytest.raises(records.DataError, match=message) as refused:
        importing.convert(tmp_path / "in" / name, tmp_path / "out")
    assert "\n" not in str(refused.value) and not (tmp_path / "out").exists()


def test_documents_are_written_in_beir_layout_and_found(tmp_path):
    write(tmp_path / "docs", a__txt="apples and pears", b_in_c__md="# Cherries\n\nred fruit")
    said = importing.convert(tmp_path / "docs", tmp_path / "out")
    assert said[0] == "2 documents, 2 with a title"
    assert files.read_beir(tmp_path / "out").corpus.ids == ("a.txt", "b/c.md")
    fitted = zoo.fit("bm25", tmp_path / "out", quiet=True)
    assert zoo.retrieve(fitted, "cherry fruit", 1).answers(0)[0][0] == "b/c.md"
    with pytest.raises(records.DataError, match="in BEIR's layout already"):
        importing.convert(tmp_path / "out", tmp_path / "again")
    with pytest.raises(records.DataError, match="expected no folder or an empty one"):
        importing.convert(tmp_path / "docs", tmp_path / "out")


def test_a_log_is_written_as_sequences(tmp_path):
    write(tmp_path, log__csv="userId;movieId;timestamp\nu;b;2\nu;a;1\nu;c;3\n")
    said = importing.convert(tmp_path / "log.csv", tmp_path / "out")
    assert said[0].startswith("a log: 1 users, 3 items, 3 events") and len(said) == 3
    found = load.load(tmp_path / "out")
    assert [found.corpus.ids[item] for item in found.histories.items] == ["a", "b", "c"]
    write(tmp_path, own__csv="who,what,text\nu,a,x\nu,b,y\nu,c,z\n")
    said = importing.convert(tmp_path / "own.csv", tmp_path / "own", named="user=who,item=what")
    assert said[0].startswith("a log") and "no time column among 'text'" in said[2]
    importing.convert(tmp_path / "own.csv", tmp_path / "texts", named="id=what,text=text")
    assert files.read_beir(tmp_path / "texts").corpus.texts == ("x", "y", "z")
    assert histories.read(tmp_path / "own").left_out == 0


@pytest.mark.parametrize(
    ("name", "content", "texts", "note"),
    [
        # a header that has more semicolons than tabs
        ("a.tsv", "id\ttext (a; b; c; d)\nx\tone\n", {"x": "text (a; b; c; d): one"}, ""),
        ("b.csv", "id,text,more\nx,one\ny,two,2\n", {"x": "one", "y": "two"}, "1 rows have fewer"),
        ("c.csv", "# made by hand\nid,text\nx,one\n", {"x": "one"}, ""),
        ("d.csv", "#id,text\nx,one\n", {"x": "one"}, ""),
        ("e.csv", "7,first one\n8,second\n", {"1": "2: first one", "2": "2: second"}, "no header"),
    ],
)
def test_tables_as_people_have_them(tmp_path, name, content, texts, note):
    (tmp_path / name).write_text(content)
    found = documents.read(tmp_path / name)
    assert dict(zip(found.corpus.ids, found.corpus.texts)) == texts
    assert note in "; ".join(found.notes)


def test_columns_of_a_table_without_header_are_named_by_number(tmp_path):
    (tmp_path / "a.csv").write_text("x,one\ny,two\n")
    found = documents.read(tmp_path / "a.csv", {"id": "1", "text": "2"})
    assert found.corpus.ids == ("x", "y") and found.corpus.texts == ("one", "two")
