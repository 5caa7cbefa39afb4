"""Checkpoints of a training run."""

import jax
import jax.numpy as jnp
import pytest

from zoo.records import DataError
from zoo.train import keeper as keepers


def progress(value):
    return {"params": jnp.full((1000, 1000), value, jnp.float32), "step": jnp.asarray(int(value))}


def test_the_last_checkpoints_are_kept_and_come_back(tmp_path):
    with keepers.Keeper(tmp_path, "run") as keeper:
        assert keeper.restore(progress(0)) is None
        for step in (1, 2, 3):
            keeper.save(step, progress(step), {"next_index": step})
        keeper.save(3, progress(3), {"next_index": 3})  # again, as an interrupt right after a save does
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "3"]
    with keepers.Keeper(tmp_path, "run") as keeper:
        found, position = keeper.restore(progress(0))
    assert position == {"next_index": 3} and (found["params"] == 3).all() and found["step"] == 3


def test_what_is_saved_may_be_donated_at_once(tmp_path):
    advance = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    tree = progress(5)
    with keepers.Keeper(tmp_path, "run") as keeper:
        keeper.save(5, tree, {})
        for _ in range(20):  # overwrites the buffers while the files are written
            tree = advance(tree)
        jax.block_until_ready(tree)
    with keepers.Keeper(tmp_path, "run") as keeper:
        found, _ = keeper.restore(progress(0))
    assert (found["params"] == 5).all()


def test_another_run_and_a_damaged_checkpoint_are_refused(tmp_path):
    with keepers.Keeper(tmp_path, "run") as keeper:
        for step in (1, 2):
            keeper.save(step, progress(step), {"next_index": step})
    with keepers.Keeper(tmp_path, "another") as keeper:
        with pytest.raises(DataError, match="another configuration or of other data, stopped at step 2"):
            keeper.restore(progress(0))
    largest = max((path for path in (tmp_path / "2").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    with keepers.Keeper(tmp_path, "run") as keeper:
        with pytest.raises(DataError, match=r"2: a damaged checkpoint .*remove it to go on from step 1"):
            keeper.restore(progress(0))
