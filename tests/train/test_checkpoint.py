import pickle

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from zoo.records import DataError
from zoo.train import checkpoint


def state():
    random = np.random.default_rng(0)
    return {
        "params": {
            "layer_0": {"kernel": random.normal(size=(3, 4)).astype(np.float32)},
            "1": {"a/b": np.arange(3)},
        },
        "half": random.normal(size=(5,)).astype(ml_dtypes.bfloat16),
        "count": np.asarray(7),
        "wide": np.array([2**40, -1]),
        "flags": np.array([True, False]),
        "bytes": np.arange(5, dtype=np.uint8),
        "double": np.array([1 / 3]),
        "names": {"inner": "ünïcode\n", "empty": ""},
        "top": "text",
    }


def flat(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def test_a_state_is_restored_bit_for_bit_with_its_types(tmp_path):
    checkpoint.save_state(state(), tmp_path / "state")
    expected, got = flat(state()), flat(checkpoint.load_state(tmp_path / "state"))
    assert got.keys() == expected.keys()
    for name, leaf in expected.items():
        if isinstance(leaf, str):
            assert got[name] == leaf
        else:
            assert (
                isinstance(got[name], np.ndarray)
                and got[name].dtype == leaf.dtype
                and got[name].shape == leaf.shape
            ), name
            assert got[name].tobytes() == leaf.tobytes(), name


def test_device_arrays_and_states_of_one_type_are_restored(tmp_path):
    checkpoint.save_state({"x": jnp.ones((2, 2), jnp.bfloat16)}, tmp_path / "arrays")
    assert checkpoint.load_state(tmp_path / "arrays")["x"].dtype == ml_dtypes.bfloat16
    checkpoint.save_state({"x": {"y": "only text"}}, tmp_path / "texts")
    assert checkpoint.load_state(tmp_path / "texts") == {"x": {"y": "only text"}}


@pytest.fixture
def saved(tmp_path):
    checkpoint.save_state(state(), tmp_path / "state")
    return tmp_path / "state"


def test_a_change_of_any_file_is_refused(saved):
    files = [
        path for path in saved.rglob("*") if path.is_file() and path.name != checkpoint.MANIFEST
    ]
    assert len(files) > 3
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if whole else b"x")
        with pytest.raises(DataError, match="changed since it was written"):
            checkpoint.load_state(saved)
        path.write_bytes(whole[:-1] if whole else b"xx")
        with pytest.raises(DataError, match="changed since it was written"):
            checkpoint.load_state(saved)
        path.unlink()
        with pytest.raises(DataError, match="missing, but the manifest lists it"):
            checkpoint.load_state(saved)
        path.write_bytes(whole)
    checkpoint.load_state(saved)


def test_a_state_with_a_bad_manifest_or_a_foreign_file_is_refused(saved):
    manifest = saved / checkpoint.MANIFEST
    whole = manifest.read_text()
    (saved / "foreign").write_text("x")
    with pytest.raises(DataError, match="foreign: not in the manifest"):
        checkpoint.load_state(saved)
    (saved / "foreign").unlink()
    manifest.write_text(whole[:-5])
    with pytest.raises(DataError, match="not a manifest"):
        checkpoint.load_state(saved)
    manifest.unlink()
    with pytest.raises(DataError, match="expected a saved state"):
        checkpoint.load_state(saved)


def test_nothing_is_pickled(saved):
    for path in saved.rglob("*"):
        if path.is_file():
            with pytest.raises(Exception):
                pickle.loads(path.read_bytes())


def test_an_empty_array_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="array 'a/b' is empty"):
        checkpoint.save_state({"a": {"b": np.zeros((0, 3))}}, tmp_path / "state")
