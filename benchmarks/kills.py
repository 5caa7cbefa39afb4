"""Kill commands at random moments, repeat them, and compare the result with an uninterrupted run.

    python benchmarks/kills.py --kills 20
    python benchmarks/kills.py --kills 5 --commands "fit dsi" add export

Each command first runs twice without interruption, as the first may compile. Then it runs in
another folder, and the script kills it (SIGKILL) at a moment drawn uniformly from its running time
and repeats it until `--kills` kills have hit it while it ran; the last repetition finishes. The
result must equal the uninterrupted one: the same files, every array bit for bit, every text, every
example of a dataset (array_record's bytes differ between two runs). The comparison ignores seconds,
rates, paths and TensorBoard's files. Prints one line per command; exits 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
QUICK = ("--set", "steps=60", "--set", "batch=16")
COMMANDS = {  # name -> preparation and command; the command writes to {out}
    "fit bm25": ((), "fit bm25 --data toy --out {out}"),
    "fit dsi": ((), f"fit dsi --data toy --size tiny {' '.join(QUICK)} --out {{out}}"),
    "fit tiger": ((), f"fit tiger --data toy-walks --size tiny {' '.join(QUICK)} --out {{out}}"),
    "fit genret": ((), f"fit genret --data toy --size tiny {' '.join(QUICK)} --out {{out}}"),
    "fit dpr-hn": ((), f"fit dpr-hn --data toy --size tiny {' '.join(QUICK)} --out {{out}}"),
    "add": (
        ("fit bm25 --data toy --out {base}/system",),
        "add {base}/system {base}/more --out {out}",
    ),
    "remove": (
        ("fit bm25 --data toy --out {base}/system",),
        "remove {base}/system d3 d7 --out {out}",
    ),
    "export": (
        (f"fit dsi --data toy --size tiny {' '.join(QUICK)} --out {{base}}/system",),
        "export {base}/system --out {out}",
    ),
    "data get": ((), "data get toy --out {out}"),
    "data prepare": ((), "data prepare toy --out {out}"),
    "docids fit": ((), "docids fit rqkmeans --data toy --levels 2 --codes 8 --out {out}"),
    "save an index": ((), f"{pathlib.Path(__file__).with_name('kills_index.py')} {{out}}"),
    "queries generate": ((), "queries generate --data toy --count 2 --set steps=40 --out {out}"),
}
FINISHED = "already", "expected no folder or an empty one"  # a refused repetition
# prefixes of file names
LEFT_OUT = ("events.out.tfevents", "_CHECKPOINT_METADATA", "commit_success")
# substrings of keys
TIMES = ("seconds", "_per_second", "data_wait", "wall", "source", "path", "time")


def comparable(value):
    """A JSON value without the keys that differ between runs."""
    if isinstance(value, dict):
        return {
            key: comparable(item)
            for key, item in value.items()
            if not any(word in key for word in (*TIMES, "sha256", "files"))
        }
    return [comparable(item) for item in value] if isinstance(value, list) else value


def contents(folder: pathlib.Path) -> dict[str, str]:
    """path -> comparable content of every file in a folder."""
    found = {}
    if folder.is_file():
        return {"": hashlib.sha256(folder.read_bytes()).hexdigest()}
    arrays = [path.parent for path in folder.rglob("_METADATA")]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name.startswith(LEFT_OUT):
            continue
        if path.match("*.array_record-*"):
            found[name] = of_examples(path)
            continue
        if any(parent in path.parents for parent in arrays):
            continue  # Orbax's files hold times; of_arrays compares their arrays
        if path.name == "manifest.json":
            continue
        text = path.read_bytes()
        if path.suffix in (".json", ".jsonl"):
            rows = (
                [json.loads(line) for line in text.splitlines()]
                if path.suffix == ".jsonl"
                else json.loads(text)
            )
            text = json.dumps(comparable(rows), sort_keys=True).encode()
        found[name] = hashlib.sha256(text).hexdigest()
    for parent in arrays:
        found[parent.relative_to(folder).as_posix()] = of_arrays(parent)
    return found


def of_examples(path: pathlib.Path) -> str:
    """Digest of the examples in a shard of a TFDS dataset, in order."""
    import tensorflow_datasets

    source = tensorflow_datasets.builder_from_directory(path.parent).as_data_source()
    split = path.name.partition("-")[2].partition(".")[0]
    rows = [[(name, str(value)) for name, value in sorted(row.items())] for row in source[split]]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def of_arrays(folder: pathlib.Path) -> str:
    """Digest of the arrays in an Orbax checkpoint."""
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    digest = hashlib.sha256()
    tree = ocp.PyTreeCheckpointer().restore(folder.absolute())
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def start(command: str, **names: os.PathLike) -> subprocess.Popen:
    arguments = [part.format(**names) for part in command.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    script = [] if arguments[0].endswith(".py") else ["-m", "zoo"]
    return subprocess.Popen(
        [sys.executable, *script, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(command: str, **names: os.PathLike) -> float:
    """Seconds of a command; exits with its output if it fails."""
    began = time.monotonic()
    process = start(command, **names)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"zoo {command}: exit code {process.returncode}\n{printed}")
    return time.monotonic() - began


def killed(command: str, kills: int, seconds: float, draw: random.Random, **names) -> int:
    """Kills the command until enough kills hit it while it ran, then lets it finish.

    Returns the number of kills that hit.
    """
    done = 0
    while done < kills:
        process = start(command, **names)
        time.sleep(draw.uniform(0, seconds))
        done += process.poll() is None
        process.kill()
        process.communicate()
        if process.returncode == 0:  # it finished before the kill; its result is compared too
            break
    finished = start(command, **names)
    printed, _ = finished.communicate()
    if finished.returncode and not any(words in printed for words in FINISHED):
        sys.exit(f"zoo {command}: exit code {finished.returncode} after {done} kills\n{printed}")
    return done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="kills per command (default: 20)")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, differ = random.Random(options.seed), []
    for name in options.commands:
        prepared, command = COMMANDS[name]
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder)
            more = base / "more"
            more.mkdir()
            (more / "corpus.jsonl").write_text(
                '{"_id": "new", "title": "a new one", "text": "words that nobody had before"}\n'
            )
            for each in prepared:
                finish(each, base=base)
            for part in ("first", "whole"):
                (base / part).mkdir()
            finish(command, base=base, out=base / "first" / "out")  # compiles
            seconds = finish(command, base=base, out=base / "whole" / "out")
            kills = 0
            for attempt in range(4 * options.kills):  # some finish before their kill
                (base / f"cut{attempt}").mkdir()
                out = base / f"cut{attempt}" / "out"
                kills += killed(command, options.kills - kills, seconds, draw, base=base, out=out)
                whole, cut = contents(base / "whole"), contents(base / f"cut{attempt}")
                other = sorted(
                    path for path in whole.keys() | cut.keys() if whole.get(path) != cut.get(path)
                )
                same = not other
                if not same or kills >= options.kills:
                    break
        print(
            f"{name}: {kills} kills, {'the same result' if same else f'ANOTHER RESULT: {other}'}",
            flush=True,
        )
        differ += [] if same else [name]
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
