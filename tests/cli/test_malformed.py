"""Thousands of malformed inputs through every command that reads data.

An invalid input must give exit code 2 and one line on stderr. No input, random bytes included, may
raise, hang, or leave a complete or partial folder behind.
"""

import collections
import contextlib
import os
import random
import shutil
import signal

import mutations
import pytest
from doors import DOORS, Made, Options

from zoo import records
from zoo.cli import main

# another seed draws other inputs: ZOO_FUZZ_SEED=7 pytest tests/cli/test_malformed.py
SEED = os.environ.get("ZOO_FUZZ_SEED", "")
CASES = 150  # invalid mutations per door; a third as many with random bytes
SECONDS = 60  # a longer case counts as a hang


@contextlib.contextmanager
def limited(seconds):
    def late(*_):
        raise TimeoutError("hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Valid inputs, and two systems fitted to them."""
    folder = tmp_path_factory.mktemp("good")
    rng = random.Random(0)
    keep = [lambda rng, content: content]
    for name in ("BEIR", "log"):
        DOORS[name].write(rng, folder / name, keep)
    places = {"beir": folder / "BEIR" / "in", "log": folder / "log" / "in"}
    places |= {"search": folder / "search", "recommend": folder / "recommend"}
    for recipe, data, out in (("bm25", "beir", "search"), ("popularity", "log", "recommend")):
        command = ["fit", recipe, "--data", str(places[data]), "--out", str(places[out])]
        assert main.main(command) == 0
    found = {name: str(path) for name, path in places.items()}
    for name, door in DOORS.items():
        if isinstance(door, Made):
            door.collect(main.main, folder / name.replace(" ", "-"), found)
    return found


def outcome(arguments, capsys):
    """(error or "", exit code)."""
    capsys.readouterr()
    try:
        with limited(SECONDS):
            code = arguments() if callable(arguments) else main.main(arguments)
    except records.DataError as error:
        return "" if "\n" not in str(error) else "lines", 2
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        return f"{type(error).__name__}: {error}", None
    said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("zoo")]
    if code not in (0, 2):
        return f"exit code {code}", code
    if code == 2 and len(said) != 1:
        return f"{len(said)} lines", code
    return "", code


def left_over(folder):
    """Leftovers of a refused command."""
    return [path for path in folder.rglob("*") if path.name == "out" or path.name.endswith(".part")]


@pytest.mark.slow  # a minute or two: thousands of commands
@pytest.mark.parametrize("name", DOORS)
def test_malformed_inputs_are_refused_in_one_line_and_leave_nothing(name, good, tmp_path, capsys):
    door, wrong, counts = DOORS[name], [], collections.Counter()
    for seed in range(len(door.wrong) if isinstance(door, Options) else CASES + CASES // 3):
        bad = seed < CASES or isinstance(door, Options)
        rng = random.Random(f"{name} {seed}{SEED and ' ' + SEED}")
        folder = tmp_path / str(seed)
        door.write(rng, folder, None if bad else [mutations.any_bytes])
        said, code = outcome(door.command(rng, folder, good), capsys)
        if not said and bad and code == 0:
            said = "accepted"
        if not said and code == 2 and (left := left_over(folder)):
            said = f"left {left}"
        counts[said or f"exit {code}"] += 1
        if said:
            wrong.append((seed, said))
        elif code == 0 or not wrong:
            shutil.rmtree(folder, ignore_errors=True)
    assert not wrong, (counts, wrong[:5], tmp_path)


def test_good_inputs_are_accepted(good, tmp_path, capsys):
    """Control: the unmutated inputs, and a run, queries and categories."""
    rng = random.Random(0)
    for number, (name, door) in enumerate(DOORS.items()):
        if name in ("history", "user", "compile", "stablehlo"):
            continue  # they need a history or user, minutes, or a system that can be exported
        folder = tmp_path / str(number)
        door.write(rng, folder, [lambda rng, content: content])
        assert outcome(door.command(rng, folder, good), capsys) == ("", 0), name
