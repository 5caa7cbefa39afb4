"""Every command that reads data, with small valid files and mutations of each."""

import itertools
import time

import mutations as bad
import numpy as np
import pretrained

from zoo import records
from zoo.models import warm_start
from zoo.nets import pretrained as text_encoders
from zoo.text import encoders
from zoo.train import log as logs


class Door:
    """A command, its valid input files, and their mutations."""

    def __init__(self, arguments, files, broken):
        self.arguments, self.files, self.broken = arguments, files, broken

    def write(self, rng, folder, mutations=None):
        """Writes the files to a folder; applies one mutation to one of them."""
        name = rng.choice(list(self.broken))
        for other, content in self.files.items():
            path = folder / other
            path.parent.mkdir(parents=True, exist_ok=True)
            if other == name:
                mutate = rng.choice(mutations or self.broken[name])
                content = mutate(rng, content)
                if mutations is None and name.endswith("l") and rng.random() < 0.1:
                    content, path = (
                        bad.cut_gzip(rng, self.files[name]),
                        path.with_name(path.name + ".gz"),
                    )
            path.write_bytes(content)

    def command(self, rng, folder, good):
        """The arguments of the command; good: paths of valid data and systems."""
        return [part.format(folder=folder, **good) for part in self.arguments]


class Options(Door):
    """A command with valid files and invalid options."""

    def __init__(self, arguments, wrong):
        super().__init__(arguments, {}, {})
        self.wrong, self.turn = wrong, itertools.cycle(range(len(wrong)))

    def write(self, rng, folder, mutations=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.good = mutations is not None

    def command(self, rng, folder, good):
        more = [] if self.good else self.wrong[next(self.turn)]
        return [*super().command(rng, folder, good), *(part.format(**good) for part in more)]


class Reader(Door):
    """A function of a folder that reads what a command reads before long work."""

    def __init__(self, read, files, broken):
        super().__init__([], files, broken)
        self.read = read

    def command(self, rng, folder, good):
        def read():
            self.read(folder)
            return 0

        return read


class Request(Door):
    """A body sent to the server of a fitted system; a refusal gives its reason."""

    def __init__(self, files, broken):
        super().__init__([], files, dict.fromkeys(files, broken))
        self.client = None

    def command(self, rng, folder, good):
        if self.client is None:
            self.client = served(good["search"])

        def send():
            found = self.client.post(
                "/search",
                content=(folder / "body.json").read_bytes(),
                headers={"Content-Type": "application/json", "Host": "localhost"},
            )
            if found.status_code == 200:
                return 0
            if not 400 <= found.status_code < 500:
                raise RuntimeError(f"status {found.status_code}")
            raise records.DataError(found.json()["error"]["reason"])

        return send


class Made(Door):
    """A command on the files that another command wrote; see `collect`."""

    def __init__(self, made_by, arguments, broken):
        super().__init__(arguments, {}, {})
        self.made_by, self.of_suffix = made_by, broken

    def collect(self, run, folder, good):
        """Runs the command that writes the files, and keeps them. run: of arguments."""
        run([part.format(folder=folder, **good) for part in self.made_by])
        found = {path for path in folder.rglob("*") if path.is_file()}
        self.files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}
        self.broken = {
            name: change
            for name in self.files
            for end, change in self.of_suffix.items()
            if name.endswith(end)
        }


SEARCH = {
    "in/corpus.jsonl": bad.jsonl(bad.CORPUS),
    "in/queries.jsonl": bad.jsonl(bad.QUERIES),
    "in/qrels/test.tsv": bad.QRELS,
}
GET = ["data", "get", "{folder}/in", "--out", "{folder}/out"]
IMPORT = ["data", "import", "{folder}/in/", "--out", "{folder}/out"]


def encode(folder):
    """Vectors of two texts by the encoder of a folder."""
    encoder = text_encoders.load(str(folder))
    encoders.encode(["some words", "here"], log=logs.Log(quiet=True), encoder=encoder)


def served(folder):
    """A client of a server of one folder, ready."""
    from fastapi import testclient

    from zoo.serve import limits, server

    app = server.build([folder], limits.Limits(k=20, text=200), hosts=frozenset())
    client = testclient.TestClient(app, raise_server_exceptions=False)
    client.__enter__()
    until = time.monotonic() + 60
    while client.get("/health").status_code != 200:
        assert time.monotonic() < until, "never ready"
        time.sleep(0.02)
    return client


TEXT = b"u0 i0 i1 i2\nu1 i2 i1 i0 i3\n"
ITEM_TABLE = b"item_id,title\n" + b"".join(b"i%d,I%d\n" % (n, n) for n in range(4))
RUN = b"".join(b"q%d Q0 d%d 1 0.5 x\n" % (n, n) for n in range(4))
DOORS = {
    "BEIR": Door(
        GET,
        SEARCH,
        {
            "in/corpus.jsonl": bad.CORPUS_BAD,
            "in/queries.jsonl": bad.QUERIES_BAD,
            "in/qrels/test.tsv": bad.QRELS_BAD,
        },
    ),
    "BEIR, fitted": Door(
        ["fit", "bm25", "--data", "{folder}/in", "--out", "{folder}/out"],
        SEARCH,
        {"in/corpus.jsonl": bad.CORPUS_BAD, "in/qrels/test.tsv": bad.QRELS_BAD},
    ),
    "log": Door(GET, {"in/interactions.csv": bad.LOG}, {"in/interactions.csv": bad.LOG_BAD}),
    "log, fitted": Door(
        ["fit", "popularity", "--data", "{folder}/in", "--out", "{folder}/out"],
        {"in/interactions.csv": bad.LOG},
        {"in/interactions.csv": bad.LOG_BAD},
    ),
    "log, split": Door(
        ["data", "split", "{folder}/in", "--by", "time", "--out", "{folder}/out"],
        {"in/interactions.csv": bad.LOG},
        {"in/interactions.csv": bad.LOG_BAD},
    ),
    "sequences": Door(
        GET,
        {"in/sequences.jsonl": bad.jsonl(bad.SEQUENCES), "in/items.jsonl": bad.jsonl(bad.ITEMS)},
        {"in/sequences.jsonl": bad.SEQUENCES_BAD, "in/items.jsonl": bad.ITEMS_BAD},
    ),
    "sequences, text": Door(
        GET,
        {"in/sequences.txt": TEXT, "in/items.csv": ITEM_TABLE},
        {"in/sequences.txt": bad.TEXT_BAD, "in/items.csv": bad.TABLE_BAD},
    ),
    "documents": Door(
        [*IMPORT[:2], "{folder}/in/docs.jsonl", *IMPORT[3:]],
        {"in/docs.jsonl": bad.jsonl(bad.DOCUMENTS)},
        {"in/docs.jsonl": bad.DOCUMENTS_BAD},
    ),
    "table of documents": Door(
        [*IMPORT[:2], "{folder}/in/docs.csv", *IMPORT[3:]],
        {
            "in/docs.csv": b"id,title,text\n"
            + b"".join(b"d%d,T,word%d\n" % (n, n) for n in range(4))
        },
        {"in/docs.csv": bad.TABLE_BAD},
    ),
    "vectors": Door(
        [
            *(
                "docids fit atomic --vectors {folder}/v.npy --levels 2 --codes 4 --out {folder}/out"
            ).split()
        ],
        {"v.npy": bad.npy(np.eye(4))},
        {"v.npy": [lambda rng, content: bad.vectors(rng)]},
    ),
    "queries": Door(
        ["retrieve", "{search}", "--queries", "{folder}/asked.jsonl", "--run", "{folder}/out"],
        {"asked.jsonl": bad.jsonl(bad.QUERIES)},
        {"asked.jsonl": bad.QUERIES_BAD},
    ),
    "histories": Door(
        ["retrieve", "{recommend}", "--histories", "{folder}/asked.jsonl", "--run", "{folder}/out"],
        {"asked.jsonl": b'["i0", "i1"]\n{"user": "u", "items": ["i2"]}\n'},
        {"asked.jsonl": bad.ASKED_BAD},
    ),
    "run": Door(
        ["evaluate", "--run-file", "{folder}/x.trec", "--data", "{beir}", "--json", "{folder}/out"],
        {"x.trec": RUN},
        {"x.trec": bad.RUN_BAD},
    ),
    "categories": Door(
        [
            *(
                "evaluate {recommend} --data {log} --categories {folder}/c.txt --json {folder}/out"
            ).split()
        ],
        {"c.txt": b"a\nb\na\nb\n"},
        {"c.txt": bad.LABELS_BAD},
    ),
    "T5": Reader(
        lambda folder: warm_start.of_weights(folder / "t5"),
        pretrained.t5(),
        {
            "t5/config.json": bad.T5_CONFIG_BAD,
            "t5/model.safetensors.index.json": bad.INDEX_BAD,
            "t5/tokenizer.json": bad.TOKENIZER_BAD,
            "t5/b.safetensors": bad.BYTES_BAD,
        },
    ),
    "encoder": Reader(
        lambda folder: encode(folder / "bert"),
        pretrained.bert(),
        {
            "bert/config.json": bad.BERT_CONFIG_BAD,
            "bert/model.safetensors": bad.BYTES_BAD,
            "bert/tokenizer.json": bad.WORDS_BAD,
            "bert/modules.json": bad.MODULES_BAD,
            "bert/1_Pooling/config.json": bad.POOLING_BAD,
            "bert/sentence_bert_config.json": bad.TEXTS_BAD,
            "bert/config_sentence_transformers.json": bad.PROMPTS_BAD,
        },
    ),
    "learn": Options(
        ["fit", "popularity", "--data", "{log}", "--out", "{folder}/out"],
        [["--learn", text] for text in ("", "test", "dev", "ALL", "train,dev", "train + dev")],
    ),
    "user": Options(
        ["retrieve", "{recommend}", "--run", "{folder}/out"],
        [["--user", text] for text in ("", "U0", "u0,u1", "u0 ", "i0", "u0\nu1", "\udc80")]
        + [["--user", "u0", *more] for more in (["--data", "{beir}"], ["-k", "0"])],
    ),
    "compile": Options(
        ["compile", "dsi", "--size", "tiny", "--json", "{folder}/out"],
        [[name, text] for name in ("--documents", "--queries") for text in ("0", "-1", "1.5", "x")]
        + [["--topology", text] for text in ("", "x", "v5e", "v5e:0x4", "v99:2x2")]
        + [["--mesh", text] for text in ("data", "data=0", "rows=2", "data=-1", "data=x")]
        + [["--seed=-1"], ["--accumulate", "0"], ["--data", "nobody"], ["--set", "dtype=x"]],
    ),
    "stablehlo": Options(
        ["export", "{search}", "--format", "stablehlo", "--out", "{folder}/out"],
        [["-k", "0"], ["-k", "x"], ["--batch", "0"], ["--batch=-1"], ["--format", "onnx"]],
    ),
    "request": Request({"body.json": b'{"query": "word1", "k": 2}'}, bad.REQUEST_BAD),
    "identifiers": Made(
        "docids fit rqkmeans --data {beir} --levels 2 --codes 2 --out {folder}/made".split(),
        ["docids", "stats", "{folder}/made", "--plot", "{folder}/out"],
        {"made/docids.json": bad.DOCIDS_BAD, "texts.json": bad.BYTES_BAD, "json": bad.NOT_JSON},
    ),
    "TFDS": Made(
        "data prepare {beir} --out {folder}/made".split(),
        ["data", "get", "{folder}/made/in", "--out", "{folder}/out"],
        {
            "dataset_info.json": bad.DATASET_BAD,
            "features.json": bad.NOT_JSON,
            "corpus/1.0.0/in-train.array_record-00000-of-00001": bad.BYTES_BAD,
        },
    ),
    "Parquet": Door(
        GET,
        {"in/interactions.parquet": bad.table({"user": ["u"] * 3, "item": ["a", "b", "c"]})},
        {"in/interactions.parquet": [bad.parquet]},
    ),
    "texts": Door(
        IMPORT,
        {"in/a.txt": b"word", "in/b/c.md": b"# T\nword", "in/d.html": b"<title>T</title>word"},
        {"in/a.txt": [lambda rng, content: rng.choice([b"\x00", b"a\xff", b"\xff\xfea"])]},
    ),
    "columns": Options(
        ["fit", "popularity", "--data", "{log}/interactions.csv", "--out", "{folder}/out"],
        [
            ["--columns", text]
            for text in ("", "user", "who=user", "user=,item=", "user=u", "time=t")
        ]
        + [
            ["--columns", text]
            for text in ("user=user,user=item", "item=user,user=", "=", "item=8")
        ],
    ),
    "splits": Options(
        ["data", "split", "{log}", "--by", "ratio", "--out", "{folder}/out"],
        [["--dev", text] for text in ("0", "1", "nan", "inf", "-0.1", "x", "0.95", "")]
        + [
            ["--by", "week"],
            ["--ties", "x"],
            ["--ties", "shuffled", "--seed=-1"],
            ["--seed", "1.5"],
        ],
    ),
    "cold": Options(
        ["data", "cold", "{log}", "--share", "0.5", "--out", "{folder}/out"],
        [["--share", text] for text in ("0", "1", "nan", "inf", "-1", "x")] + [["--seed=-1"]],
    ),
    "options": Options(
        ["fit", "itemknn", "--data", "{log}", "--out", "{folder}/out"],
        [
            ["--set", text]
            for text in (
                "shrinkage=1e300",
                "shrinkage=inf",
                "decay=nan",
                "last=0",
                "window=-1",
                "x=1",
            )
        ],
    ),
    "history": Options(
        ["retrieve", "{recommend}", "--run", "{folder}/out"],
        [
            ["--history", text]
            for text in ("", ",", "i0,,i1", '"i0', "new", "i0 i1", "i0\ni1", '"i0"x')
        ],
    ),
    "encoding": Options(
        ["data", "import", "{log}/interactions.csv", "--out", "{folder}/out"],
        [
            ["--encoding", "klingon", "--columns", "id=time"],
            ["--columns", "id=x"],
            ["--columns", "id"],
        ],
    ),
}
