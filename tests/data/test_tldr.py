"""Pages become documents and queries by the rules in the module's docstring."""

import zipfile

import pytest

from zoo import records
from zoo.data import catalog, tldr

TAR = """# tar

> Archiving utility.
> More information: <https://example.org>.

- E[x]tract an `archive` [f]ile:

`tar xf {{path/to/source.tar}}`

- [c]reate an archive:

`tar cf {{target}}`

- Display help:

`tar --help`

- List the contents:

`tar tf {{source}}`
"""


def archive(folder, pages):
    path = folder / "tldr.zip"
    with zipfile.ZipFile(path, "w") as members:
        for name, text in pages.items():
            members.writestr(f"tldr-{tldr.COMMIT}/{name}", text)
    return path


@pytest.fixture
def collection(tmp_path):
    pages = {
        "pages/common/tar.md": TAR,
        "pages/linux/help.md": "# help\n\n> Help.\n\n- Display help:\n\n`help`\n",
        "pages/common/gtar.md": "# gtar\n\n> This command is an alias of `tar`.\n\n"
        "- View documentation:\n\n`tldr tar`\n",
        "pages/common/bare.md": "# bare\n\n> Nothing to show.\n",
        "pages.de/common/tar.md": "# tar\n\n> Archivierung.\n\n- Archiv anlegen:\n\n`tar cf`\n",
        "README.md": "- not a page",
    }
    return tldr.read(archive(tmp_path, pages))


def test_documents_are_the_english_pages_with_examples(collection):
    assert collection.corpus.ids == ("common/tar", "linux/help")
    assert collection.corpus.titles == ("tar", "help")
    assert (
        collection.corpus.texts[0]
        == "Archiving utility. || tar xf path/to/source.tar ; tar cf target ; tar --help ; tar tf "
        "source"
    )


def test_queries_are_the_descriptions_unique_to_one_page(collection):
    assert set(collection.queries.texts) == {
        "Extract an archive file",
        "create an archive",
        "List the contents",
    }
    assert {split: len(qrels) for split, qrels in collection.qrels.items()} == {
        "train": 2,
        "test": 1,
    }
    assert {document for qrels in collection.qrels.values() for _, document in qrels.pairs()} == {
        "common/tar"
    }


def test_six_descriptions_give_one_to_dev(tmp_path):
    page = "# x\n\n> X.\n\n" + "\n".join(
        f"- Do thing {number}:\n\n`x {number}`\n" for number in range(6)
    )
    path = archive(tmp_path, {"pages/common/x.md": page})
    collection = tldr.read(path)
    assert {split: len(qrels) for split, qrels in collection.qrels.items()} == {
        "train": 4,
        "dev": 1,
        "test": 1,
    }
    assert tldr.read(path) == collection
    assert any(tldr.read(path, seed=seed).qrels != collection.qrels for seed in range(1, 9))


def test_other_archives_are_refused(tmp_path):
    with pytest.raises(records.DataError, match="found none"):
        tldr.read(archive(tmp_path, {"README.md": "x"}))
    (tmp_path / "bad.zip").write_bytes(b"nonsense")
    with pytest.raises(records.DataError, match="expected a zip archive"):
        tldr.read(tmp_path / "bad.zip")


def test_it_is_in_the_catalogue_under_its_licence():
    assert catalog.CATALOG["tldr"].licence == "CC BY 4.0"
    assert catalog.CATALOG["tldr"].address == tldr.ADDRESS
