"""`load` distinguishes names, folders, logs and mistakes; each error says what it accepts."""

import pytest

from zoo import records
from zoo.data import files, load, toy

LOG = "uid,sku,when\nu,b,2\nu,a,1\nu,c,3\n"


def test_a_log_with_other_columns_loads_by_a_name_with_its_columns(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    with pytest.raises(records.DataError, match="is 'when' the time of an event"):
        load.load(path)
    name = load.with_columns(path, "user=uid,item=sku,time=when")
    assert name == f"{path}?user=uid&item=sku&time=when"
    found = load.load(name)
    assert [found.corpus.ids[item] for item in found.histories.items] == ["a", "b", "c"]
    assert load.load(load.with_columns(tmp_path, "user=uid,item=sku,time=when")).histories.ids == (
        "u",
    )
    assert load.with_columns(path, None) == str(path)


def test_column_names_of_any_letters_survive(tmp_path):
    path = tmp_path / "what?.csv"
    path.write_text("who & when,item=,t?\nu,b,2\nu,a,1\nu,c,3\n")
    name = load.with_columns(path, "user=who & when,item=item=,time=t?")
    assert load.load(name).times.tolist() == [1, 2, 3]
    assert load.exists(name) and load.exists(path) and not load.exists(tmp_path / "other?user=a")


def test_a_located_name_loads_from_any_working_directory(tmp_path, monkeypatch):
    (tmp_path / "log.csv").write_text(LOG)
    monkeypatch.chdir(tmp_path)
    name = load.locate("log.csv?user=uid&item=sku&time=when")
    monkeypatch.chdir("/")
    assert len(load.load(name).histories) == 1
    assert load.locate("toy") == "toy"


def test_notes_are_printed(tmp_path, capsys):
    (tmp_path / "ratings.csv").write_text("userId;movieId;timestamp\nu;a;1\nu;b;2\nu;c;3\n")
    load.load(tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{tmp_path}: cells of ratings.csv are separated by ';'",
        f"{tmp_path}: read column 'userId' as the user, 'movieId' as the item",
    ]


def test_an_error_about_a_log_does_not_ask_for_documents(tmp_path):
    (tmp_path / "ratings.csv").write_text("a,b\n1,2\n")
    for name in (tmp_path, tmp_path / "ratings.csv"):
        with pytest.raises(records.DataError) as refused:
            load.load(name)
        said = str(refused.value)
        assert "user and an item column" in said and "zoo data import" in said and "\n" not in said


def test_a_folder_with_documents_and_a_table_is_a_collection(tmp_path):
    files.write_beir(toy.build(3), tmp_path / "in")
    (tmp_path / "in" / "extra.csv").write_text("user,item\nu,a\n")
    assert isinstance(load.load(tmp_path / "in"), records.Collection)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(records.DataError, match="found nothing"):
        load.load(tmp_path)
