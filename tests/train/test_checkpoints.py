"""Checkpoints of a training run."""

import jax
import jax.numpy as jnp
import pytest

from zoo.records import DataError
from zoo.train import checkpoints


def progress(value):
    return {"params": jnp.full((1000, 1000), value, jnp.float32), "step": jnp.asarray(int(value))}


def test_the_last_checkpoints_are_kept_and_restored(tmp_path):
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        assert keeper.restore(progress(0)) is None
        for step in (1, 2, 3):
            keeper.save(step, progress(step), {"next_index": step})
        # again, as an interrupt right after a save does
        keeper.save(3, progress(3), {"next_index": 3})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "3"]
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        found, position = keeper.restore(progress(0))
    assert position == {"next_index": 3} and (found["params"] == 3).all() and found["step"] == 3


def test_saved_arrays_may_be_donated_at_once(tmp_path):
    advance = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    tree = progress(5)
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        keeper.save(5, tree, {})
        for _ in range(20):  # overwrites the buffers while the files are written
            tree = advance(tree)
        jax.block_until_ready(tree)
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        found, _ = keeper.restore(progress(0))
    assert (found["params"] == 5).all()


def test_another_run_and_a_damaged_checkpoint_are_refused(tmp_path):
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        for step in (1, 2):
            keeper.save(step, progress(step), {"next_index": step})
    with checkpoints.Checkpoints(tmp_path, "another") as keeper:
        with pytest.raises(
            DataError, match="another configuration or of other data, stopped at step 2"
        ):
            keeper.restore(progress(0))
    largest = max(
        (path for path in (tmp_path / "2").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    largest.write_bytes(largest.read_bytes()[:100])
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        with pytest.raises(
            DataError, match=r"2: a damaged checkpoint .*remove it to go on from step 1"
        ):
            keeper.restore(progress(0))


def test_a_changed_added_or_removed_file_is_refused_by_name(tmp_path):
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        keeper.save(1, progress(1), {})
    files = [
        path
        for path in (tmp_path / "1").rglob("*")
        if path.is_file() and path.name != checkpoints.DIGESTS
    ]
    assert len(files) > 5

    def refused(why):
        with (
            checkpoints.Checkpoints(tmp_path, "run") as keeper,
            pytest.raises(
                DataError, match=rf"1: a damaged checkpoint \({why}\); remove it to start again"
            ),
        ):
            keeper.restore(progress(0))

    for path in files:
        whole, name = path.read_bytes(), path.relative_to(tmp_path / "1").as_posix()
        path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        refused(f"{name} is not what was written: its SHA-256 differs")
        path.unlink()
        refused(f"{name} is missing")
        path.write_bytes(whole)
    (tmp_path / "1" / "more").write_text("x")
    refused("more was added")
    (tmp_path / "1" / "more").unlink()
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        assert keeper.restore(progress(0))[0]["step"] == 1


def test_a_checkpoint_without_digests_is_accepted(tmp_path):
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        keeper.save(1, progress(1), {})
    (tmp_path / "1" / checkpoints.DIGESTS).unlink()
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        assert keeper.restore(progress(0))[0]["step"] == 1


def test_another_key_and_other_identifiers_are_refused(tmp_path):
    names = {"docids": jnp.arange(6).reshape(3, 2)}
    with checkpoints.Checkpoints(tmp_path, "run", jax.random.key(1), names) as keeper:
        keeper.save(1, progress(1), {})
    for key, attached, what in (
        (2, names, "another key"),
        (1, {"docids": names["docids"] + 1}, "other identifiers"),
        (1, None, "other identifiers"),
    ):
        with checkpoints.Checkpoints(tmp_path, "run", jax.random.key(key), attached) as keeper:
            with pytest.raises(DataError, match=f"holds training of {what}, stopped at step 1"):
                keeper.restore(progress(0))
    with checkpoints.Checkpoints(tmp_path, "run", jax.random.key(1), names) as keeper:
        assert keeper.restore(progress(0)) is not None


def test_arrays_are_restored_onto_another_mesh(tmp_path):
    place = lambda mesh, *axes: jax.sharding.NamedSharding(
        jax.make_mesh(
            (8 // 2**mesh, 2**mesh), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2
        ),
        jax.sharding.PartitionSpec(*axes),
    )
    drawn = jax.random.normal(jax.random.key(0), (16, 8))
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        keeper.save(1, {"w": jax.device_put(drawn, place(1, "data", "model"))}, {})
    for like in (place(2, "model", None), place(0, None, "data"), place(3)):
        with checkpoints.Checkpoints(tmp_path, "run") as keeper:
            found = keeper.restore({"w": jax.device_put(jnp.zeros((16, 8)), like)})[0]["w"]
        assert found.sharding == like and (found == drawn).all()


def test_a_full_disk_raises_a_one_line_error(tmp_path, monkeypatch):
    with checkpoints.Checkpoints(tmp_path, "run") as keeper:
        keeper.save(1, progress(1), {})

    def full(*args, **options):
        raise ValueError("UNKNOWN: Error writing file: [OS error 28: No space left on device]")

    with pytest.raises(
        DataError,
        match=r"no space left to write to \(\d+ MB are free\); step 1 is kept; free some space "
        r"and repeat",
    ):
        with checkpoints.Checkpoints(tmp_path, "run") as keeper:
            monkeypatch.setattr(keeper._manager, "save", full)
            keeper.save(2, progress(2), {})
