"""Stages share one budget, hold parameters still, mine examples and keep an honest clock."""

import contextlib
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo import options
from zoo.data import batches
from zoo.train import log as logs, loop, optimizers, stages, step

TRAINING = options.Training(batch=4, rate=0.1, warmup=0, decay="constant", weight_decay=0.0)


def source(value, rows=8):
    """Examples whose x is the value; the loss below pulls w towards it."""
    x = np.full(rows, value, np.float32)
    return batches.Source({"source": np.ones((rows, 1), np.int32), "x": x}, 1.0)


def pull(params, batch, key):
    noise = jax.random.normal(key)
    return jnp.mean((params["w"] - batch["x"]) ** 2) + 1e-3 * noise * params["v"], {}


def params():
    return {"w": jnp.zeros(()), "v": jnp.zeros(())}


def run(plan, log=None, *, steps=100, training=TRAINING, **more):
    log = log or logs.Log(quiet=True)
    budget = stages.Budget(steps, more.pop("seconds", float("inf")))
    key = jax.random.key(0)
    return stages.run(plan, params(), training, key, log, budget=budget, **more), log


def test_stages_follow_each_other_with_their_shares_of_the_steps():
    plan = [
        stages.Stage("first", [source(2.0)], pull, share=0.3),
        stages.Stage("second", [source(-2.0)], pull, share=0.7),
    ]
    found, log = run(plan)
    assert [(row["stage"], row["steps"]) for row in log.stages] == [("first", 30), ("second", 70)]
    assert {row["phase"] for row in log.history} == {"first", "second"}
    assert float(found["w"]) == pytest.approx(-2.0, abs=0.5)  # Adam of rate .1 moves .1 a step


def test_sources_may_be_mined_with_the_parameters_of_the_stage_before():
    seen = []

    def mine(params):
        seen.append(float(params["w"]))
        return [source(seen[-1])]

    plan = [
        stages.Stage("first", [source(2.0)], pull, share=0.5),
        stages.Stage("second", mine, pull, share=0.5),
    ]
    found, _ = run(plan)
    assert seen[0] == pytest.approx(2.0, abs=0.2) and float(found["w"]) == pytest.approx(
        seen[0], abs=0.05
    )


def test_held_parameters_stay_bit_for_bit():
    hold = {"w": jnp.asarray(True), "v": jnp.asarray(False)}
    found, _ = run([stages.Stage("only", [source(5.0)], pull, hold=hold)])
    assert float(found["w"]) == 0 and float(found["v"]) != 0


def test_losses_by_task_reach_the_optimiser_apart_and_sum_to_one_loss():
    tasks = {
        "near": lambda params, batch, key: ((params["w"] - 1.0) ** 2, {}),
        "far": lambda params, batch, key: ((params["w"] + 3.0) ** 2, {"asked": batch["x"].mean()}),
    }
    whole = lambda params, batch, key: (sum(t(params, batch, key)[0] for t in tasks.values()), {})
    seen = {}

    def update(updates, state, params=None, *, gradients=None, **more):
        if gradients is not None:  # the traced values leave through the state
            state = {task: tree["w"] for task, tree in gradients.items()}
        return jax.tree.map(lambda leaf: -0.1 * leaf, updates), state

    zeros = lambda params: {"near": jnp.zeros(()), "far": jnp.zeros(())}
    optimizer = optax.GradientTransformationExtraArgs(zeros, update)
    for loss in (tasks, whole):
        progress = step.begin({"w": jnp.zeros(())}, optimizer)
        advance = step.step_function(loss, optimizer, jax.random.key(0))
        progress, metrics = advance(progress, {"x": jnp.ones(2)}, np.float32(0))
        seen[loss is tasks] = progress, metrics
    apart, together = seen[True], seen[False]
    assert float(apart[0].params["w"]) == float(together[0].params["w"]) == pytest.approx(-0.4)
    assert {task: float(value) for task, value in apart[0].optimizer.items()} == {
        "near": -2.0,
        "far": 6.0,
    }
    assert float(apart[1]["near_loss"]) == 1 and float(apart[1]["far_asked"]) == 1


def test_equal_trainings_share_their_compiled_step():
    made = lambda: optimizers.by_name(
        "adamw", optimizers.schedule(0.1, warmup=1, decay="constant"), weight_decay=0.0, clip=1.0
    )
    after = []
    steps = [step.step_function(pull, made(), jax.random.key(seed)) for seed in (0, 1, 1)]
    for advance in steps:
        progress = step.begin(params(), made())
        after.append(advance(progress, {"x": jnp.ones(2)}, np.float32(0))[1]["loss"])
    assert {id(advance.jitted) for advance in steps} == {id(steps[0].jitted)}
    assert steps[0].jitted._cache_size() == 1
    assert after[0] == after[1] == 1  # v is 0: the key reaches the gradient alone
    norms = [
        advance(step.begin(params(), made()), {"x": jnp.ones(2)}, np.float32(0))[1]["gradient_norm"]
        for advance in steps
    ]
    assert norms[0] != norms[1] == norms[2]
    other = step.step_function(lambda *arguments: pull(*arguments), made(), jax.random.key(0))
    assert other.jitted is not steps[0].jitted


def slow_to_compile(seconds):
    def loss(params, batch, key):
        time.sleep(seconds)  # while it is traced
        return pull(params, batch, key)

    return loss


def test_the_clock_leaves_out_compilation():
    started = time.monotonic()
    plan = [stages.Stage("only", [source(5.0)], slow_to_compile(1.0))]
    _, log = run(plan, steps=10**9, seconds=0.5)
    (stage,) = log.stages
    assert time.monotonic() - started > 1.5
    assert 0.5 <= stage["seconds"] < 1.0 and stage["steps"] > stages.FEWEST_STEPS
    assert not log.warnings


def test_a_stage_cut_short_by_time_warns_and_leaves_the_others_their_shares():
    def sleepy(params):
        time.sleep(0.1)
        return {}

    slow = loop.Hooks(evaluate=sleepy, evaluate_every=1)
    plan = [
        stages.Stage("slow", [source(5.0)], pull, share=0.5, hooks=slow),
        stages.Stage("fast", [source(5.0)], pull, share=0.5),
    ]
    _, log = run(plan, steps=10**9, seconds=1.0)
    slow, fast = log.stages
    assert slow["steps"] < stages.FEWEST_STEPS < fast["steps"]
    assert slow["seconds"] + fast["seconds"] == pytest.approx(1.0, abs=0.3)
    assert log.warnings == [
        f"stage slow: {slow['steps']} of 500000000 steps in its 0.5 s, fewer than 20: "
        "it trains next to nothing; raise minutes"
    ]


def test_later_stages_get_the_time_left_by_earlier_ones():
    budget = stages.Budget(100, seconds=60.0)
    assert budget.seconds_of(0.25) == 15.0
    budget.spend(0.25, 3.0)
    assert budget.seconds_of(0.25) == pytest.approx(57.0 / 3)
    budget.spend(0.25, 57.0)
    assert 0 < budget.seconds_of(0.5) < 1e-6  # one step


def test_a_share_of_few_steps_warns():
    plan = [
        stages.Stage("first", [source(5.0)], pull, share=0.1),
        stages.Stage("second", [source(5.0)], pull, share=0.9),
    ]
    _, log = run(plan, steps=100)
    assert log.warnings == [
        "stage first: its share of 100 steps is 10, fewer than 20: "
        "it trains next to nothing; raise steps"
    ]
    _, log = run([stages.Stage("only", [source(5.0)], pull)], steps=3)  # control: as requested
    assert not log.warnings


@pytest.mark.parametrize("stop_in", ["first", "second"])
def test_an_interrupted_run_resumes_in_its_stage_to_the_same_bits(tmp_path, stop_in):
    def plan(stopping=""):
        stop = lambda params: signal.raise_signal(signal.SIGINT) or {}
        hooks = loop.Hooks(evaluate=stop, evaluate_every=7)
        return [
            stages.Stage(
                name,
                lambda params, value=value: [source(value + float(params["w"]))],
                pull,
                share=0.5,
                hooks=hooks if name == stopping else loop.Hooks(),
            )
            for name, value in (("first", 5.0), ("second", -3.0))
        ]

    expected, whole = run(plan(), steps=40)
    with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
        with pytest.raises(loop.Interrupted, match="step 7 of 20"):
            run(plan(stop_in), log, steps=40)
    with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
        found, _ = run(plan(), log, steps=40)
    assert all(float(found[name]) == float(expected[name]) for name in expected)
    assert [row["steps"] for row in log.stages] == [row["steps"] for row in whole.stages]
    losses = lambda log: [
        (row["phase"], row["step"], row["loss"]) for row in log.history if "loss" in row
    ]
    assert losses(log) == losses(whole)


def test_a_stage_ended_by_time_does_not_train_further_after_a_resume(tmp_path):
    plan = [stages.Stage("only", [source(5.0)], pull)]
    steps = []
    for _ in range(2):
        with contextlib.closing(logs.Log(tmp_path, quiet=True)) as log:
            run(plan, log, steps=10**9, seconds=0.2)
        steps.append(log.stages[0]["steps"])
    assert steps[0] == steps[1] > 0


def test_a_budget_repeats_examples_as_the_options_specify():
    training = options.Training(batch=10, visits=5.0, fewest_steps=20, most_steps=100)
    steps = lambda **changed: stages.Budget.of(options.replace(training, changed, system=""), 60)
    assert steps().steps == 30  # 5 x 60 / 10
    assert (steps(visits=1.0).steps, steps(visits=1e3).steps, steps(steps=7).steps) == (20, 100, 7)
    assert steps(minutes=0.5).seconds_of(1.0) == 30.0
    assert steps().steps_of(0.5) == 15 and steps().steps_of(1e-9) == 1


def test_every_optimiser_of_the_options_trains():
    for name in optimizers.NAMES:
        training = options.replace(TRAINING, {"optimizer": name, "rate": 0.05}, system="")
        found, _ = run([stages.Stage("only", [source(5.0)], pull)], training=training)
        assert 0.5 < float(found["w"]) < 6
