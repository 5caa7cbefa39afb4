"""Checkpoint selection and early stopping."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.train import best, log as logs, loop


class Steps:
    """A stream of equal batches."""

    number = 0

    def __next__(self):
        self.number += 1
        return {"x": np.zeros(1, np.float32)}

    def position(self):
        return {"number": self.number}

    def seek(self, position):
        self.number = position["number"]


def climb(validation, steps, **options):
    """w grows by one a step."""
    log = logs.Log(None, quiet=True)
    loss = lambda params, batch, key: (-params["w"], {})
    run = loop.Run(steps=steps, key=jax.random.key(0), log=log, **options)
    hooks = loop.Hooks(validation=validation)
    found = loop.train(loss, {"w": jnp.zeros(())}, Steps(), optax.sgd(1.0), run, hooks)
    return float(found.params["w"]), log


def peak_at(place):
    return lambda params: -abs(float(params["w"]) - place)


def validated(log):
    return {row["step"]: row["validation"] for row in log.history if "validation" in row}


def test_the_best_validated_parameters_are_returned_and_not_the_last():
    found, log = climb(best.Validation(peak_at(7.0), every=3, patience=0), steps=13)
    assert found == 6  # validated at 3, 6, 9, 12 and 13; 6 is nearest to 7
    assert validated(log) == {3: -4.0, 6: -1.0, 9: -2.0, 12: -5.0, 13: -6.0}


def test_the_first_of_equal_scores_is_returned():
    assert climb(best.Validation(lambda params: 1.0, every=2, patience=0), steps=8)[0] == 2


def test_patience_stops_training_early():
    found, log = climb(best.Validation(peak_at(7.0), every=3, patience=2), steps=1000)
    assert found == 6 and list(validated(log)) == [3, 6, 9, 12]


def test_the_last_step_is_validated_too():
    assert climb(best.Validation(peak_at(100.0), every=3, patience=1), steps=10)[0] == 10


@pytest.mark.parametrize("stop_at", [4, 7, 8])
def test_an_interrupted_run_keeps_its_best_parameters(tmp_path, stop_at, monkeypatch):
    whole, log = climb(best.Validation(peak_at(7.0), every=3, patience=2), steps=1000)

    class Stopped(Steps):
        def __next__(self):
            if self.number + 1 == stop_at:
                signal.raise_signal(signal.SIGINT)
            return super().__next__()

    with monkeypatch.context() as patch:
        patch.setitem(globals(), "Steps", Stopped)
        with pytest.raises(loop.Interrupted):
            climb(best.Validation(peak_at(7.0), every=3, patience=2), steps=1000, folder=tmp_path)
    again, log = climb(
        best.Validation(peak_at(7.0), every=3, patience=2), steps=1000, folder=tmp_path
    )
    assert again == whole == 6
    assert max(validated(log)) == 12


def test_a_nan_score_is_never_the_best():
    assert (
        climb(
            best.Validation(
                lambda params: float("nan") if params["w"] > 2 else 0.0, every=2, patience=0
            ),
            steps=6,
        )[0]
        == 2
    )


def test_of_equal_scores_the_first_is_kept_though_float32_cannot_hold_them():
    # 0.7 > float32(0.7)
    first = best.better(best.init({"w": jnp.zeros(())}), {"w": jnp.ones(())}, 0.7, 40)
    again = best.better(first, {"w": jnp.zeros(())}, 0.7, 80)
    assert int(again.step) == 40 and float(again.params["w"]) == 1
    assert int(best.better(first, {"w": jnp.zeros(())}, 0.71, 80).step) == 80
