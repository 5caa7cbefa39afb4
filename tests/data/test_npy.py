"""Files of vectors: finite floats [N, D] load; anything else raises before it is read."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from zoo import records
from zoo.data import npy

GOOD = np.arange(12.0).reshape(4, 3)


def saved(path, array):
    np.save(path, array)
    return path


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f8"])
def test_floats_are_read(tmp_path, kind):
    for array in (GOOD.astype(kind), np.asfortranarray(GOOD.astype(kind))):
        read = npy.read_vectors(saved(tmp_path / "v.npy", array))
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, GOOD)


def header(text):
    """A .npy file of version 1 with this header and no numbers."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    (
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000, 8), }\n"),
            "header says float32 .100000000000, 8., 3,200,000,000,000 bytes, but 0 follow",
        ),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (40, 8\n"), "NumPy's format"),
        (header("(" * 9000), "NumPy's format"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 8), }\n"), "v.npy"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 8), }\n"),
            "expected floats",
        ),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (4, 8), }\n"), "says object"),
        (b"", "NumPy's format"),
        (b"PK\x03\x04", "NumPy's format"),
        (b"\x93NUMPY\x09\x00", "NumPy's format"),
    ),
)
def test_broken_files_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "v.npy"
    path.write_bytes(content)
    with pytest.raises(records.DataError, match=message) as refused:
        npy.read_vectors(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused_with_their_row(tmp_path, bad):
    array = GOOD.copy()
    array[2, 1] = bad
    with pytest.raises(records.DataError, match="expected finite numbers, row 2"):
        npy.read_vectors(saved(tmp_path / "v.npy", array))


def test_other_arrays_and_places_are_refused(tmp_path):
    for array in (GOOD.astype(int), GOOD[0], GOOD[None], GOOD > 1, GOOD + 1j):
        with pytest.raises(records.DataError, match=r"expected floats \[N, D\]"):
            npy.read_vectors(saved(tmp_path / "v.npy", array))
    with pytest.raises(records.DataError, match="found nothing"):
        npy.read_vectors(tmp_path / "absent.npy")
    with pytest.raises(records.DataError, match="no regular file"):
        npy.read_vectors(tmp_path)


@hypothesis.given(st.integers(0, 10**9))
@hypothesis.settings(max_examples=60)
def test_every_truncation_is_refused(tmp_path_factory, length):
    path = saved(tmp_path_factory.mktemp("cut") / "v.npy", GOOD)
    content = path.read_bytes()
    path.write_bytes(content[: length % len(content)])
    with pytest.raises(records.DataError):
        npy.read_vectors(path)
