"""`zoo docids report` on a small collection, and what it refuses."""

import json

import pytest

from zoo.cli import main

WORDS = ("red", "green", "blue", "black", "white", "grey")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("colours")
    (made / "qrels").mkdir()
    rows = [{"_id": f"d{n}", "text": f"{word} {word} paint"} for n, word in enumerate(WORDS)]
    asked = [{"_id": f"q{n}", "text": word} for n, word in enumerate(WORDS)]
    for name, content in (("corpus", rows), ("queries", asked)):
        (made / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    grades = "".join(f"q{n}\td{n}\t1\n" for n in range(len(WORDS)))
    (made / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + grades)
    return made


def test_identifiers_of_their_own_keep_what_the_vectors_find(folder, capsys):
    main.main(f"docids report --data {folder} --levels 2 --codes 2".split())
    _, header, *lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert header.split()[-1] == "share" and rows["vectors"] == ["1.000", "1.00"]
    assert rows["atomic"][-2:] == ["1.000", "1.00"] and rows["atomic"][1] == "0.000"
    # control: 6 documents have at most 4 pairs of codes, so two documents share one
    assert float(rows["random"][1]) > 0 and float(rows["random"][-1]) < 1


def test_codes_that_a_scheme_cannot_have_are_refused_before_any_row(folder, capsys):
    code = main.main(f"docids report --data {folder} --codes 3".split())
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and "power of two" in err
