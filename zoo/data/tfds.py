"""TFDS datasets of every collection: built from its name or from a folder, read through
`data_source` (grain) or tf.data (t5x).

A dataset is one of the names of `zoo data list`, written with underlines, or a folder of the
user's; its configurations are the tables of `zoo.data.tables`. Built and read here without
TensorFlow as array_record; with TensorFlow also as tfrecord:

    path = tfds.prepare("ml-100k", "data")  # or a folder; data/ml_100k/items/1.0.0, ...
    interactions = load.load(path)  # equal to load.load("ml-100k"), bit for bit
    source = tfds_read.data_source(path, "sequences", "train")  # grain.MapDataset.source(source)
    seqio.Task("next", source=tfds_read.seqio_source(path, "sequences"), ...)

Importing this module registers the builders, so TFDS's own commands find them:
`tensorflow_datasets.load("ml_100k/items")`, `tfds build`, and `own_interactions`, `own_search` and
`large_search` (Beam) for a folder given as manual_dir. Downloads go through `zoo.data.download`,
which knows the owners' checksums, the files placed by hand and the copies in packages, and not
through TFDS. Examples keep the order of the collection. This is the one module that imports TFDS,
and `import zoo` does not import it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import tqdm

from zoo import records
from zoo.data import atomic, catalog, files, histories, load, qrels, tables, tfds_read

try:
    import tensorflow_datasets
except ImportError as error:
    raise records.DataError(
        f"TFDS datasets need the package {error.name}; pip install 'generative-retrieval-zoo[tfds]'"
    ) from None

FORMATS = ("array_record", "tfrecord")
# a new one when an example's features or order change
RELEASES = {"1.0.0": "Tables of zoo.data.tables."}


class Tables(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder of the tables of a collection."""

    VERSION = tensorflow_datasets.core.Version(list(RELEASES)[-1])
    RELEASE_NOTES = RELEASES
    source = ""  # a name of the catalog; else the folder is manual_dir
    # what has been read already
    collection: records.Collection | records.Interactions | None = None

    @property
    def table(self) -> str:
        """Name of the table, the builder's configuration."""
        return cast(tensorflow_datasets.core.BuilderConfig, self.builder_config).name

    def _info(self) -> tensorflow_datasets.core.DatasetInfo:
        entry = catalog.CATALOG.get(self.source)
        of = f"{self.source}: {entry.description}" if entry else f"The user's own data {self.name}"
        return tensorflow_datasets.core.DatasetInfo(
            builder=self,
            description=f"{of}. Made by the Generative Retrieval Zoo"
            + (f" from {entry.address}." if entry and entry.address else "."),
            features=features(self.table),
            homepage=entry.homepage if entry else None,
            citation=entry.citation if entry else None,
            license=entry.licence if entry else "that of the folder it was made from",
            disable_shuffling=True,
            metadata=tensorflow_datasets.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager) -> Mapping[str, Iterable]:
        collection = self.collection or self._read(dl_manager)
        made = tables.of(collection)
        if self.table not in made:
            raise records.DataError(
                f"{collection.name}: has no {self.table}; it has: {', '.join(made)}"
            )
        cast(dict, self.info.metadata)[tfds_read.METADATA_KEY] = tables.about(collection)
        splits = made[self.table].items()
        return {
            split: self._generate_examples(rows(), f"writing {self.table}, {split}")
            for split, rows in splits
        }

    def _generate_examples(
        self, rows: Iterator[tables.Example], about: str
    ) -> Iterator[tuple[int, tables.Example]]:
        yield from enumerate(
            tqdm.tqdm(rows, desc=about, unit=" examples", unit_scale=True, delay=2)
        )

    def _read(self, dl_manager) -> records.Collection | records.Interactions:
        return load.load(self.source)


class InteractionTables(Tables, skip_registration=True):
    """Items and what users did to them."""

    BUILDER_CONFIGS = [
        tensorflow_datasets.core.BuilderConfig(name=name, description=tables.ABOUT[name])
        for name in tables.INTERACTIONS
    ]


class SearchTables(Tables, skip_registration=True):
    """Documents, queries and judgements."""

    BUILDER_CONFIGS = [
        tensorflow_datasets.core.BuilderConfig(name=name, description=tables.ABOUT[name])
        for name in tables.SEARCH
    ]


class OwnInteractions(InteractionTables):
    """The interactions of a folder that `zoo.data.histories` reads."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = f"manual_dir is the folder: {histories.__doc__}"

    def _read(self, dl_manager) -> records.Interactions:
        return histories.read(os.fspath(dl_manager.manual_dir))


class OwnSearch(SearchTables):
    """The search collection of a folder in the BEIR layout."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = f"manual_dir is the folder: {files.__doc__}"

    def _read(self, dl_manager) -> records.Collection:
        return files.read_beir(os.fspath(dl_manager.manual_dir))


class LargeSearch(SearchTables):
    """The collection of a folder whose corpus is too large for one machine, built by Beam."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "manual_dir is a folder in the BEIR layout; "
        "in place of corpus.jsonl it may have corpus/*.jsonl"
    )

    def _split_generators(self, dl_manager) -> Mapping[str, object]:
        from zoo.data import beam_corpus, ranges  # needs apache_beam

        folder = pathlib.Path(os.fspath(dl_manager.manual_dir))
        pieces = ranges.pieces(files.corpus_files(folder))
        judged = qrels.files_of(folder / "qrels") if (folder / "qrels").is_dir() else {}
        names = tables.split_names(judged)
        cast(dict, self.info.metadata)[tfds_read.METADATA_KEY] = {
            "name": folder.resolve().name,
            "corpus": None,
            "splits": names,
        }
        if self.table == "corpus":
            return {"train": beam_corpus.documents(pieces)}
        queries = files.read_queries(files.present(folder / "queries.jsonl"))
        if self.table == "queries":
            return {"train": self._generate_examples(tables.query_rows(queries), "writing queries")}
        texts = dict(zip(queries.ids, queries.texts))
        rows = {
            name: tables.judgement_rows(qrels.read(judged[split], texts, None), texts)
            for name, split in names.items()
        }
        return {
            name: beam_corpus.judgements(pieces, list(rows[name]), os.fspath(judged[names[name]]))
            for name in names
        }


def features(table: str) -> tensorflow_datasets.features.FeaturesDict:
    """Types of the examples of a table."""
    text, number = tensorflow_datasets.features.Text, tensorflow_datasets.features.Scalar
    return tensorflow_datasets.features.FeaturesDict(
        {
            "items": lambda: {"id": text(), "title": text(), "text": text()},
            "corpus": lambda: {"id": text(), "title": text(), "text": text()},
            "queries": lambda: {"id": text(), "text": text()},
            "qrels": lambda: {
                "query": text(),
                "text": text(),
                "document": text(),
                "grade": number(np.int32),
            },
            "sequences": lambda: {
                "user": text(),
                "history": tensorflow_datasets.features.Tensor(shape=(None,), dtype=np.int32),
                "target": number(np.int32),
            },
        }[table]()
    )


def prepare(
    name_or_path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    file_format: str = "array_record",
    beam: str | None = None,
) -> pathlib.Path:
    """Writes the TFDS dataset of a collection and returns its folder, out/NAME, which appears whole
    or not at all.

    name_or_path: what `load.load` takes. out: TFDS's data_dir; it may hold other datasets. beam:
      options of Apache Beam, as on its command line ("" for this machine alone), to build the
      corpus of a search folder piece by piece; None: without. Raises DataError if out/NAME exists,
      TensorFlow or Beam is needed and missing, or the collection cannot be read.
    """
    if file_format not in FORMATS:
        raise records.DataError(f"expected a format of {', '.join(FORMATS)}, got {file_format!r}")
    if file_format == "tfrecord" and importlib.util.find_spec("tensorflow") is None:
        raise records.DataError(
            "tfrecord is written by TensorFlow; pip install tensorflow-cpu, or write array_record"
        )
    source = os.fspath(name_or_path)
    name = dataset_name(
        source if source in catalog.CATALOG else pathlib.Path(source).resolve().name
    )
    target = pathlib.Path(out) / name
    atomic.refuse_occupied(target)
    if beam is not None:
        options = _beam_options(source, beam)
        builder = _builder_class(name, LargeSearch, "", skip_registration=True)
        with atomic.folder(target) as part:
            _write(
                builder,
                _tables_of(pathlib.Path(source)),
                part,
                file_format,
                manual_dir=source,
                beam_options=options,
            )
        return target
    collection = load.load(source)
    kind = InteractionTables if isinstance(collection, records.Interactions) else SearchTables
    builder = _builder_class(
        name, kind, source if source in catalog.CATALOG else "", collection, skip_registration=True
    )
    with atomic.folder(target) as part:
        _write(builder, list(tables.of(collection)), part, file_format)
    return target


def dataset_name(name: str) -> str:
    """Name of a collection in TFDS: small letters, digits and underlines, a letter first."""
    words = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return words if words[:1].isalpha() else f"data_{words}".rstrip("_")


def _builder_class(
    name: str, kind: type[Tables], source: str, collection=None, **options
) -> type[Tables]:
    title = "".join(word.capitalize() for word in name.split("_"))
    return type(
        title,
        (kind,),
        {"name": name, "source": source, "collection": collection, "__module__": __name__},
        **options,
    )


def _beam_options(source: str, beam: str):
    """Beam's options, if it is there and the source is for it."""
    if importlib.util.find_spec("apache_beam") is None:
        raise records.DataError(
            "Beam is the package apache-beam; pip install 'generative-retrieval-zoo[beam]', or "
            "leave out --beam"
        )
    if (
        source in catalog.CATALOG
        or not pathlib.Path(source).is_dir()
        or histories.holds_interactions(pathlib.Path(source))
    ):
        raise records.DataError(
            f"{source}: Beam builds a folder in the BEIR layout, with corpus.jsonl or corpus/; "
            "leave out --beam for others"
        )
    from zoo.data import beam_corpus

    return beam_corpus.options(beam)


def _tables_of(folder: pathlib.Path) -> Sequence[str]:
    """The tables of a folder in the BEIR layout."""
    asked, judged = (
        files.plain_or_zipped(folder / "queries.jsonl"),
        (folder / "qrels").is_dir() and qrels.files_of(folder / "qrels"),
    )
    if bool(asked) != bool(judged):
        raise records.DataError(
            f"{folder}: expected queries.jsonl and qrels/SPLIT.tsv together or neither; add the "
            "other, or remove the one"
        )
    return tables.SEARCH if asked else tables.SEARCH[:1]


def _write(
    builder: type[Tables], names: Iterable[str], part: pathlib.Path, file_format: str, **options
) -> None:
    """Writes tables into a folder, as TABLE/VERSION/..."""
    asked = tensorflow_datasets.download.DownloadConfig(
        compute_stats=tensorflow_datasets.download.ComputeStatsMode.SKIP,
        try_download_gcs=False,
        **options,
    )
    room = part / ".room"  # TFDS writes to room/name/table/version
    with _silent():
        for name in names:
            made = builder(data_dir=os.fspath(room), config=name, file_format=file_format)
            try:
                made.download_and_prepare(
                    download_dir=os.fspath(room / "downloads"), download_config=asked
                )
            except Exception as error:  # Beam wraps what its workers raise
                said = re.search(
                    r"DataError: (.*?)(?: \[while running|\n|$)", f"{type(error).__name__}: {error}"
                )
                if said is None:
                    raise
                raise records.DataError(said[1]) from error
    for path in (room / builder.name).iterdir():
        path.rename(part / path.name)
    shutil.rmtree(room)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Leaves out TFDS's own lines and bars, which name folders that are gone when it is done."""
    tensorflow_datasets.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tensorflow_datasets.enable_progress_bar()


BUILDERS = {
    name: _builder_class(
        dataset_name(name), InteractionTables if entry.asks == "history" else SearchTables, name
    )
    for name, entry in catalog.CATALOG.items()
}
