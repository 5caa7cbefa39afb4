"""The list of long test files names files of this suite, longest first."""

import pathlib

ROOT = pathlib.Path(__file__).parents[1]


def test_every_file_with_a_duration_exists_and_the_longest_is_first():
    rows = (ROOT / "tests" / "durations.txt").read_text(encoding="utf-8").splitlines()
    seconds, names = zip(*(row.split() for row in rows))
    missing = [name for name in names if not (ROOT / name).is_file()]
    assert not missing, "copy build/durations.txt, which a whole run writes, to tests/"
    assert list(map(int, seconds)) == sorted(map(int, seconds), reverse=True)
    assert len(set(names)) == len(names)
