"""What the command line takes: the parser of every command."""

from __future__ import annotations

import argparse

from zoo import recipes

BAD_INPUT = 2  # exit code


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, without the usage before it."""

    def error(self, message: str):
        self.exit(BAD_INPUT, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def _training(flags: argparse._ArgumentGroup) -> None:
    """The fields of a `Plan` as flags."""
    flags.add_argument(
        "--mesh",
        default="",
        metavar="AXIS=SIZE,...",
        help="devices along data, fsdp and model, as data=4,model=2 (default: one device)",
    )
    flags.add_argument(
        "--processes",
        metavar="auto|ADDRESS:PORT,NUMBER,COUNT",
        help="join the processes of one training, started with the same command each",
    )
    flags.add_argument(
        "--accumulate",
        type=int,
        default=1,
        metavar="PARTS",
        help="parts that a batch is computed in, for as many times less memory",
    )
    flags.add_argument(
        "--average",
        type=float,
        default=0.0,
        metavar="DECAY",
        help="keep a moving average of the parameters, as 0.999",
    )
    flags.add_argument(
        "--remat",
        action="store_true",
        help="less memory for a third more computation: layers are computed again in the backward pass",
    )
    flags.add_argument(
        "--skip",
        type=int,
        default=0,
        metavar="STEPS",
        help="leave out up to so many steps that are not finite; the next ends training",
    )
    flags.add_argument(
        "--profile",
        default="",
        metavar="DIR",
        help="write a trace of ten steps, for TensorBoard or ui.perfetto.dev",
    )


def parser() -> argparse.ArgumentParser:
    """Of every command: what it parses has the name of the command in `command`, as "data list"."""
    parser = _Parser(
        prog="zoo", description="Generative retrieval: fit a system, ask it, measure it."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(of, name: str, about: str, example: str) -> argparse.ArgumentParser:
        added = of.add_parser(
            name.split()[-1],
            help=about,
            description=about,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=name)
        return added

    def data(of: argparse.ArgumentParser) -> None:
        of.add_argument(
            "--data",
            required=True,
            metavar="NAME|PATH",
            help="a name of `zoo data list`, or a folder: BEIR's layout, interactions, a TFDS dataset",
        )

    def fitted_to(of: argparse.ArgumentParser) -> None:
        of.add_argument(
            "--data", metavar="NAME|PATH", help="what it was fitted to (default: where it was then)"
        )

    def folder(of: argparse.ArgumentParser) -> None:
        of.add_argument("folder", metavar="DIR")

    def out(of: argparse.ArgumentParser, about: str = "a new folder") -> None:
        of.add_argument("--out", required=True, metavar="DIR", help=about)

    def seed(of: argparse.ArgumentParser) -> None:
        of.add_argument("--seed", type=int, default=0)

    def settings(of: argparse.ArgumentParser, about: str) -> None:
        of.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=about)

    def split(of: argparse.ArgumentParser) -> None:
        of.add_argument(
            "--split", default="test", help="qrels/SPLIT.tsv to measure on (default: test)"
        )

    def answering(of: argparse.ArgumentParser) -> None:
        settings(
            of, "replace an option that answering alone reads (beam, temperature, ...); may repeat"
        )

    added = command(commands, "list", "the systems and their papers", "zoo list --options")
    added.add_argument(
        "--options", action="store_true", help="with every option and its value in each size"
    )

    datasets = commands.add_parser("data", help="collections that have a name").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command(datasets, "data list", "names, contents, licences and addresses", "zoo data list")
    added = command(
        datasets,
        "data get",
        "write a collection as a folder in the BEIR layout",
        "zoo data get pydocs --out pydocs",
    )
    added.add_argument("name", metavar="NAME")
    out(added)
    added = command(
        datasets,
        "data prepare",
        "write a collection as a TFDS dataset, which --data takes too",
        "zoo data prepare ml-100k --out tfds",
    )
    added.add_argument("name", metavar="NAME|PATH")
    out(added, "TFDS's data_dir; the dataset is a new folder in it")
    added.add_argument(
        "--format",
        default="array_record",
        choices=("array_record", "tfrecord"),
        help="tfrecord, for t5x, needs TensorFlow",
    )
    beam = 'build the corpus of a folder by Apache Beam, with its options in one word: --beam="--runner=..."'
    added.add_argument("--beam", nargs="?", const="", metavar="OPTIONS", help=beam)
    added = command(
        datasets,
        "data cold",
        "write interactions in which some of the items to be predicted are new",
        "zoo data cold ml-100k --out ml-100k-cold",
    )
    added.add_argument("name", metavar="NAME|PATH")
    added.add_argument(
        "--share", type=float, default=0.05, help="of the items that test asks for (default: 0.05)"
    )
    seed(added)
    out(added)

    named = commands.add_parser("docids", help="identifiers alone").add_subparsers(
        required=True, metavar="COMMAND"
    )
    added = command(
        named,
        "docids fit",
        "make identifiers of documents or vectors; interrupted, the same command goes on",
        "zoo docids fit rqvae --data pydocs --out runs/codes",
    )
    added.add_argument("kind", metavar="KIND", help="rqvae, rqkmeans, pq, lsh, random or atomic")
    source = added.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data", metavar="NAME|PATH", help="documents: a name of `zoo data list`, or a folder"
    )
    source.add_argument("--vectors", metavar="FILE.npy", help="or their vectors, floats [N, D]")
    added.add_argument(
        "--embed",
        default="tfidf",
        choices=("tfidf", "minilm"),
        help="vectors of documents (default: tfidf)",
    )
    added.add_argument("--levels", type=int, default=3, help="codes of an identifier (default: 3)")
    added.add_argument(
        "--codes", type=int, default=256, help="to choose from at each level (default: 256)"
    )
    added.add_argument(
        "--collisions",
        default="counter",
        choices=("counter", "sinkhorn", "refuse"),
        help="default: counter",
    )
    settings(added, "replace an option of rqvae; may repeat")
    seed(added)
    out(added, "a new folder, or one with the same unfinished")
    added = command(
        named,
        "docids stats",
        "how well codes are used, and a picture of their tree",
        "zoo docids stats runs/codes --plot codes.png",
    )
    folder(added)
    added.add_argument(
        "--categories",
        metavar="FILE",
        help="a category a line, in the order of the documents, to colour the picture by (default: what they say)",
    )
    added.add_argument("--plot", metavar="FILE.png", help="the picture (default: DIR/codes.png)")

    asked = commands.add_parser("queries", help="queries made for documents").add_subparsers(
        required=True, metavar="COMMAND"
    )
    added = command(
        asked,
        "queries generate",
        "train a generator on the train pairs and write its queries; interrupted, the same command goes on",
        "zoo queries generate --data pydocs --out runs/queries --count 5",
    )
    data(added)
    added.add_argument(
        "--count", type=int, default=5, help="queries for each document, at most (default: 5)"
    )
    added.add_argument(
        "--top-k", type=int, help="likely tokens that each is drawn from, 0 = all (default: 10)"
    )
    added.add_argument(
        "--top-p", type=float, help="share of their mass that is drawn from (default: 1)"
    )
    added.add_argument("--temperature", type=float, help="default: 1")
    about = "T5 weights to start from: a folder with safetensors or a checkpoint of t5x, and its tokenizer"
    added.add_argument("--init-from", metavar="DIR", help=about)
    settings(added, "replace an option of training (minutes, steps, ...); may repeat")
    seed(added)
    out(added, "a new folder: BEIR's layout, for --data, or for --set queries=DIR")

    added = command(
        commands,
        "fit",
        "fit a system to a collection; interrupted, the same command goes on",
        "zoo fit dsi --data pydocs --size small --set steps=2000 --out runs/dsi",
    )
    added.add_argument("recipe", metavar="RECIPE", help=", ".join(recipes.names()))
    data(added)
    added.add_argument(
        "--size", default="small", choices=recipes.SIZES, help="preset (default: small)"
    )
    settings(added, "replace an option of the preset; may repeat")
    seed(added)
    out(added, "a new folder, or one with the same fit unfinished")
    about = "weights to start from: a folder with T5's (safetensors, or a checkpoint of t5x) and its tokenizer, or an earlier fit"
    added.add_argument("--init-from", metavar="DIR", help=about)
    _training(added.add_argument_group("how it is trained, whatever the system"))

    added = command(
        commands,
        "add",
        "take documents into a fitted system that it was not trained on",
        "zoo add runs/genret later --out runs/genret-more",
    )
    folder(added)
    added.add_argument(
        "documents", metavar="NAME|PATH", help="a collection, of which the documents count"
    )
    out(added)

    added = command(
        commands,
        "retrieve",
        "ask a fitted system",
        'zoo retrieve runs/dsi --query "join two paths" -k 5',
    )
    folder(added)
    asked = added.add_mutually_exclusive_group(required=True)
    asked.add_argument("--query", metavar="TEXT")
    asked.add_argument("--queries", metavar="FILE.jsonl", help='lines {"_id": ..., "text": ...}')
    asked.add_argument(
        "--history",
        metavar="ITEM,ITEM,...",
        help="item ids, oldest first, for a system that recommends",
    )
    added.add_argument("-k", type=int, default=10, help="answers to each query (default: 10)")
    answering(added)
    added.add_argument(
        "--run", dest="run_file", metavar="FILE.trec", help="write a TREC run instead of printing"
    )

    added = command(
        commands,
        "evaluate",
        "measure a fitted system on a split",
        "zoo evaluate runs/dsi --data pydocs --split test --json dsi.json",
    )
    folder(added)
    data(added)
    split(added)
    answering(added)
    added.add_argument(
        "--categories",
        metavar="FILE",
        help="a category a line, in the order of the items, for Entropy@10 (default: what they say)",
    )
    added.add_argument("--json", metavar="FILE", help="write the measures with the configuration")
    added.add_argument(
        "--run", dest="run_file", metavar="FILE.trec", help="write the answers as a TREC run"
    )

    added = command(
        commands,
        "compare",
        "one table of several fitted systems, with paired significance tests",
        "zoo compare runs/bm25 runs/dsi --data pydocs",
    )
    added.add_argument("folders", nargs="+", metavar="DIR")
    data(added)
    split(added)
    added.add_argument(
        "--measure",
        default="nDCG@10",
        help="the measure that decides, by ir-measures' name (default: nDCG@10)",
    )
    added.add_argument("--markdown", action="store_true", help="print a Markdown table")

    added = command(
        commands,
        "report",
        "one HTML page of a fitted system: training, identifiers, results beside baselines, answers",
        "zoo report runs/tiger --split test --out tiger.html",
    )
    folder(added)
    fitted_to(added)
    added.add_argument("--split", help="to measure on; test only if you say so (default: dev)")
    added.add_argument("--out", metavar="FILE.html", help="the page (default: DIR/report.html)")

    added = command(
        commands,
        "export",
        "write identifiers, trie, examples and parameters of a fitted system, for t5x to train and ask",
        "zoo export runs/dsi --out exports/dsi",
    )
    folder(added)
    fitted_to(added)
    out(added)

    added = command(
        commands,
        "import",
        "make a fitted system of an export and a checkpoint that t5x wrote",
        "zoo import exports/dsi --checkpoint runs/dsi-t5x --out runs/dsi-back",
    )
    added.add_argument("folder", metavar="EXPORT", help="a folder that `zoo export` wrote")
    added.add_argument(
        "--checkpoint",
        required=True,
        metavar="DIR",
        help="checkpoint_STEP, or a MODEL_DIR, of which the last is taken",
    )
    out(added)

    added = command(
        commands,
        "demo",
        "DSI against BM25 on the documentation of this Python",
        "zoo demo --out demo",
    )
    added.add_argument(
        "--out",
        default="demo",
        metavar="DIR",
        help="where systems, tables and plots go (default: demo)",
    )
    seed(added)
    return parser
