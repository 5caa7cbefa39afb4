import contextlib
import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.records import DataError
from zoo.train import checkpoint, execution, health, log as logs, loop, speed

SCRIPT = pathlib.Path(__file__).with_name("resumed_run.py")
spec = importlib.util.spec_from_file_location("resumed_run", SCRIPT)
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def quiet(folder=None):
    return logs.Log(folder, quiet=True)


def equal(first, second):
    return all(
        jax.tree.leaves(
            jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), first, second)
        )
    )


class Given:
    """A stream that repeats the given batches."""

    def __init__(self, *batches):
        self.batches, self.number = batches, 0

    def __next__(self):
        self.number += 1
        return self.batches[(self.number - 1) % len(self.batches)]

    def position(self):
        return {"number": self.number}

    def seek(self, position):
        self.number = position["number"]


def mean_error(params, batch, key):
    return jnp.mean((params["w"] - batch["x"]) ** 2), {}


def descend(batches, **options):
    settings = dict(steps=3, key=jax.random.key(0), log=quiet()) | options
    return run.looped(mean_error, {"w": jnp.zeros(())}, batches, optax.sgd(0.25), **settings)


def test_steps_of_descent_equal_values_worked_by_hand():
    batches = Given(
        {"x": np.array([2.0, 4.0], np.float32)}, {"x": np.array([8.0, 8.0], np.float32)}
    )
    # w <- w - .25 * 2 (w - mean): 0 -> 1.5 -> 4.75 -> 3.875
    assert descend(batches)["w"] == 3.875


def test_a_step_traces_once_for_each_shape_of_batch():
    shapes = []

    def loss(params, batch, key):
        shapes.append(batch["x"].shape)
        return mean_error(params, batch, key)

    batches = Given({"x": np.zeros(2, np.float32)}, {"x": np.zeros(4, np.float32)})
    run.looped(
        loss,
        {"w": jnp.ones(())},
        batches,
        optax.adam(1e-3),
        steps=9,
        key=jax.random.key(0),
        log=quiet(),
    )
    assert shapes == [(2,), (4,)]


def test_a_key_gives_the_same_parameters_and_new_randomness_every_step():
    assert equal(run.train(quiet()), run.train(quiet()))
    draws = []

    def loss(params, batch, key):
        return params["w"] ** 2, {"draw": jax.random.uniform(key)}

    log = quiet()
    run.looped(
        loss,
        {"w": jnp.ones(())},
        Given({"x": np.zeros(1)}),
        optax.sgd(0.1),
        steps=20,
        key=jax.random.key(3),
        log=log,
    )
    draws = {row["draw"] for row in log.history}
    assert len(log.history) == len(draws) == 20


@pytest.mark.parametrize("mesh_after", [False, True])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, mesh_after):
    whole = quiet()
    expected = run.train(whole)

    def interrupt(params):
        signal.raise_signal(signal.SIGINT)
        return {}

    where = dict(folder=tmp_path / "training", identity="run")
    with contextlib.closing(quiet(tmp_path)) as log:
        with pytest.raises(
            loop.Interrupted,
            match=r"step 17 of 40; all 17 steps are kept in .*training; the same command",
        ):
            run.train(log, evaluate=interrupt, evaluate_every=17, **where)
    mesh = execution.Execution(mesh="data=8" if mesh_after else "")
    with contextlib.closing(logs.Log(tmp_path, quiet=True, execution=mesh)) as log:
        got = run.train(log, **where)
    if mesh_after:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, expected)
    else:
        assert equal(got, expected)
        losses = lambda log: [(row["step"], row["loss"]) for row in log.history if "loss" in row]
        assert losses(log) == losses(whole)


def test_a_run_of_two_trainings_interrupted_in_either_resumes_to_the_same_bits(
    tmp_path, monkeypatch
):
    def both(folder, stop_in=None):
        with contextlib.closing(logs.Log(folder, quiet=True, identity="run")) as log:
            for phase, steps in (("make, first", 5), ("train", 7)):
                log.phase(phase)
                stop = lambda params: signal.raise_signal(signal.SIGINT) or {}
                options = dict(evaluate=stop, evaluate_every=3) if phase == stop_in else {}
                found = run.train(
                    log, steps=steps, folder=log.checkpoints, identity=log.identity, **options
                )
            return found, [
                (row["phase"], row["step"], row["loss"]) for row in log.history if "loss" in row
            ]

    expected, losses = both(tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    for phase, steps in (("make, first", 5), ("train", 7)):
        with pytest.raises(loop.Interrupted, match=f"step 3 of {steps}"):
            both(tmp_path / "parts", stop_in=phase)
    found, again = both(tmp_path / "parts")
    assert equal(found, expected) and again == losses
    ended = both(tmp_path / "parts", stop_in="train")  # no further interruption
    assert equal(ended[0], expected) and ended[1] == losses


def saved_step(folder):
    return max((int(path.name) for path in folder.glob("*") if path.name.isdigit()), default=0)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    # seconds, because two processes start JAX
    expected = run.train(quiet())
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    for at_least in (3, 15):  # killed twice on the way
        child = subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path)], env=environment)
        while saved_step(tmp_path / "training") < at_least and child.poll() is None:
            time.sleep(0.002)
        assert child.poll() is None, "the run ended before it was killed"
        child.kill()
        child.wait()
    with contextlib.closing(quiet(tmp_path)) as log:
        got = run.train(log, folder=tmp_path / "training", identity="run")
    assert equal(got, expected)
    # no step lost or repeated
    assert [row["step"] for row in log.history] == list(range(1, run.STEPS + 1))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    stop = lambda params: signal.raise_signal(signal.SIGTERM) or {}
    with pytest.raises(loop.Interrupted):
        run.train(quiet(), folder=tmp_path, identity="run", evaluate=stop, evaluate_every=2)
    with pytest.raises(
        DataError, match="another configuration or of other data, stopped at step 2"
    ):
        run.train(quiet(), folder=tmp_path, identity="another")


def test_an_interrupt_without_a_folder_reports_that_nothing_is_saved():
    stop = lambda params: signal.raise_signal(signal.SIGINT) or {}
    with pytest.raises(loop.Interrupted, match="step 2 of 40; nothing is kept"):
        run.train(quiet(), evaluate=stop, evaluate_every=2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Numbered(Given):
    """Batches addressable by number, like those of zoo.data.batches."""

    def batch(self, number):
        return self.batches[number % len(self.batches)]

    def examples(self, number):
        return np.arange(number, number + 10)


def test_a_non_finite_loss_stops_at_its_step_and_saves_its_inputs(tmp_path):
    good, bad = {"x": np.ones(2, np.float32)}, {"x": np.array([1.0, np.nan], np.float32)}
    batches = Numbered(*[good] * 6, bad, *[good] * 5000)
    with pytest.raises(
        FloatingPointError,
        match=r"not finite at step 7 \(batch number 6, examples 6, 7, .* 13, ..., SHA-256 "
        r"[0-9a-f]{16}\)",
    ) as raised:
        descend(batches, steps=4000, folder=tmp_path / "training")
    assert batches.number < 100  # detected long before the end
    assert saved_step(tmp_path / "training") == 0
    assert str(tmp_path / "failed-at-7") in str(raised.value)
    state = checkpoint.load_state(tmp_path / "failed-at-7")
    # w <- (1 + w) / 2, six times: before the step, not after it
    assert state["params"]["w"] == 1 - 0.5**6
    value, norm = health.reproduce(mean_error, tmp_path / "failed-at-7")
    assert np.isnan(value) and np.isnan(norm)
    with pytest.raises(FloatingPointError, match=r"at step 7 \(batch number 6\); lower"):
        # for batches without addresses, only the number
        descend(Given(*batches.batches), steps=20)


def test_non_finite_steps_are_skipped_and_counted_up_to_the_limit():
    good, bad = {"x": np.ones(2, np.float32)}, {"x": np.array([1.0, np.inf], np.float32)}
    log = logs.Log(quiet=True, execution=execution.Execution(skip=2))
    assert descend(Given(good, bad, good, bad, good), steps=5, log=log)["w"] == 1 - 0.5**3
    assert [row["skipped"] for row in log.history] == [0, 1, 1, 2, 2]
    with pytest.raises(
        FloatingPointError, match=r"at step 6 \(batch number 5; 2 such steps were left out before\)"
    ):
        descend(
            Given(good, bad, good, bad, good, bad),
            steps=6,
            log=logs.Log(quiet=True, execution=execution.Execution(skip=2)),
        )


def test_a_device_out_of_memory_raises_a_one_line_error():
    def loss(params, batch, key):
        column = jax.random.normal(key, (1 << 22,))
        # 70 TB
        return params["w"] * jnp.sort(
            jnp.broadcast_to(column[:, None], (1 << 22, 1 << 22)), axis=0
        ).mean(), {}

    with pytest.raises(
        DataError,
        match=r"train: out of memory on cpu with x \[2\]; use a smaller batch, --accumulate 2 or "
        r"more, --remat",
    ) as raised:
        run.looped(
            loss,
            {"w": jnp.ones(())},
            Given({"x": np.ones(2)}),
            optax.sgd(0.1),
            steps=1,
            key=jax.random.key(0),
            log=quiet(),
        )
    assert "\n" not in str(raised.value)


def test_sigterm_is_not_a_failure_if_everything_is_saved(tmp_path):
    stop = lambda params: signal.raise_signal(signal.SIGTERM) or {}
    with pytest.raises(loop.Preempted, match="all 2 steps are kept"):
        run.train(quiet(), folder=tmp_path, evaluate=stop, evaluate_every=2)
    with pytest.raises(loop.Interrupted) as raised:
        run.train(quiet(), evaluate=stop, evaluate_every=2)
    assert not isinstance(raised.value, loop.Preempted)


def test_rates_are_logged_with_the_operations_of_a_step(monkeypatch):
    monkeypatch.setitem(speed.PEAKS, "cpu", 1e15)
    log = quiet()
    loss = lambda params, batch, key: (jnp.mean(batch["x"] @ params["w"]), {})
    batches = Given({"x": np.ones((64, 512), np.float32), "source": np.array([[1, 2, 0]] * 64)})
    run.looped(
        loss,
        {"w": jnp.ones((512, 256))},
        batches,
        optax.sgd(0.1),
        steps=3,
        key=jax.random.key(0),
        log=log,
    )
    row = log.history[-1]
    per_example = row["flops_per_second"] / row["examples_per_second"]
    # a product forward, and one for the gradient
    assert per_example == pytest.approx(2 * 2 * 512 * 256)
    # 0 is no token
    assert row["tokens_per_second"] == pytest.approx(2 * row["examples_per_second"])
    assert row["peak_share"] == pytest.approx(row["flops_per_second"] / 8e15)
    assert 0 <= row["data_wait"] <= 1


def test_a_trace_is_written(tmp_path):
    descend(
        Given({"x": np.ones(2, np.float32)}),
        steps=8,
        log=logs.Log(quiet=True, execution=execution.Execution(profile=str(tmp_path))),
    )
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_a_non_finite_gradient_stops_too():
    loss = lambda params, batch, key: (jnp.sqrt(params["w"]) * batch["x"].sum(), {})
    with pytest.raises(FloatingPointError, match="not finite at step 1 "):
        run.looped(
            loss,
            {"w": jnp.zeros(())},
            Given({"x": np.ones(1)}),
            optax.sgd(0.1),
            steps=2,
            key=jax.random.key(0),
            log=quiet(),
        )


def test_training_ends_at_its_time_limit():
    log = quiet()
    started = time.monotonic()
    descend(Given({"x": np.ones(2, np.float32)}), steps=10**9, seconds=0.5, log=log)
    assert time.monotonic() - started < 10  # a compilation and half a second
    assert 0 < log.history[-1]["step"] < 10**9


def test_evaluation_is_logged_at_its_steps():
    log = quiet()
    evaluate = lambda params: {"w": params["w"]}
    descend(
        Given({"x": np.ones(2, np.float32)}), steps=7, evaluate=evaluate, evaluate_every=3, log=log
    )
    rows = [(row["step"], row["w"]) for row in log.history if "w" in row]
    assert rows == [(3, 1 - 0.5**3), (6, 1 - 0.5**6), (7, 1 - 0.5**7)]


def test_parameters_are_amended_before_evaluation_but_not_after_the_last_step():
    log = quiet()
    amend = lambda params, done: {"w": params["w"] + 10 * done}
    options = dict(
        amend=amend,
        amend_every=2,
        evaluate=lambda params: {"w": params["w"]},
        evaluate_every=1,
        log=log,
    )
    assert descend(Given({"x": np.ones(2, np.float32)}), steps=4, **options)["w"] == 5.9375
    # w <- (1 + w) / 2: .5; .75 + 20; 10.875; 5.9375, and amended after steps 2 alone, as 4 is the
    # last
    assert [row["w"] for row in log.history if "w" in row] == [0.5, 20.75, 10.875, 5.9375]


def test_an_interrupted_run_with_amendments_resumes_to_the_same_bits(tmp_path):
    def amend(params, done):
        row = jax.random.randint(jax.random.fold_in(jax.random.key(9), done), (), 0, 10)
        return params | {"table": params["table"].at[row].set(0.3)}

    expected = run.train(quiet(), amend=amend, amend_every=4)
    assert not equal(expected, run.train(quiet()))
    for stop_after in (12, 25):  # on a step of an amendment, and between two
        stop = lambda params: signal.raise_signal(signal.SIGINT) or {}
        with pytest.raises(loop.Interrupted):
            options = dict(evaluate=stop, evaluate_every=stop_after)
            run.train(
                quiet(), folder=tmp_path, identity="run", amend=amend, amend_every=4, **options
            )
    assert equal(
        expected, run.train(quiet(), folder=tmp_path, identity="run", amend=amend, amend_every=4)
    )
