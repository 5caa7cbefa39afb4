import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.train import optimizers


@pytest.mark.parametrize("decay", optimizers.DECAYS)
def test_a_schedule_rises_for_the_warm_up_while_it_follows_its_decay(decay):
    rate = optimizers.schedule(2.0, warmup=20, decay=decay)
    decayed = {
        "constant": lambda t: 1.0,
        "linear": lambda t: 1 - t / 100,
        "cosine": lambda t: (1 + np.cos(np.pi * t / 100)) / 2,
        "rsqrt": lambda t: np.sqrt(20 / max(t, 20)),
    }[decay]
    got = [float(rate(step, step / 100)) for step in range(101)]
    expected = [2.0 * min(1, (step + 1) / 20) * decayed(step) for step in range(101)]
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_decay_ends_at_zero_when_time_is_over_before_the_steps(decay):
    assert float(
        optimizers.schedule(1.0, warmup=2, decay=decay)(jnp.asarray(17), jnp.asarray(1.0))
    ) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("decay", optimizers.DECAYS)
@pytest.mark.parametrize("steps, warmup", [(1, 0), (1, 10), (5, 100), (10, 0)])
def test_a_short_run_has_a_finite_rate_that_is_not_always_zero(decay, steps, warmup):
    rate = optimizers.schedule(1.0, warmup=warmup, decay=decay)
    rates = np.array([float(rate(step, step / steps)) for step in range(steps)])
    assert np.isfinite(rates).all() and rates.max() > 0 and rates.max() <= 1 + 1e-6


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match="no decay 'step'; expected one of: constant"):
        optimizers.schedule(1.0, warmup=0, decay="step")


@pytest.mark.parametrize(
    # the steps of Adagrad shrink on their own
    ("name", "peak"),
    [("adamw", 0.1), ("adafactor", 0.1), ("adagrad", 1.0)],
)
def test_an_optimizer_finds_the_least_squares_solution(name, peak):
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=(64, 8)), jnp.float32)
    wanted = jnp.asarray(random.normal(size=(8, 3)), jnp.float32)
    optimizer = optimizers.by_name(
        name, optimizers.schedule(peak, warmup=10, decay="linear"), weight_decay=0.0, clip=1.0
    )
    params = {"w": jnp.zeros((8, 3))}
    loss = lambda params: jnp.mean((inputs @ params["w"] - inputs @ wanted) ** 2)

    @jax.jit
    def step(params, state, number):
        updates, state = optimizer.update(
            jax.grad(loss)(params), state, params, step=number, fraction=number / 400
        )
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for number in range(400):
        params, state = step(params, state, number)
    np.testing.assert_allclose(params["w"], wanted, atol=0.02)  # where the linear decay leaves it


def test_matrices_decay_and_vectors_do_not():
    optimizer = optimizers.adamw(
        optimizers.schedule(0.1, warmup=0, decay="constant"), weight_decay=0.5, clip=1.0
    )
    params = {"matrix": jnp.ones((2, 2)), "vector": jnp.ones(2)}
    updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params, step=0, fraction=0.0
    )
    np.testing.assert_allclose(updates["matrix"], -0.05)
    np.testing.assert_allclose(updates["vector"], 0.0)


def test_gradients_are_clipped_to_their_global_norm():
    optimizer = optimizers.adafactor(optimizers.schedule(0.1, warmup=0, decay="constant"), clip=1.0)
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones(3)}
    small = {"a": jnp.full((2, 2), 3.0), "b": jnp.full(3, -4.0)}
    small = jax.tree.map(lambda leaf: leaf / optax.tree.norm(small), small)  # of norm 1
    large = jax.tree.map(lambda leaf: leaf * 100, small)
    states = [
        optimizer.update(gradient, optimizer.init(params), params, step=0, fraction=0.0)[1]
        for gradient in (small, large)
    ]
    for first, second in zip(*map(jax.tree.leaves, states)):
        np.testing.assert_allclose(first, second, rtol=1e-5)


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    optimizer = optimizers.adagrad(optimizers.schedule(0.1, warmup=0, decay="constant"), clip=1.0)
    params = {"w": jnp.zeros(())}
    state, total = optimizer.init(params), 0.1
    for gradient in (0.5, -0.2, 0.9):
        updates, state = optimizer.update(
            {"w": jnp.asarray(gradient)}, state, params, step=0, fraction=0.0
        )
        total += gradient**2
        np.testing.assert_allclose(updates["w"], -0.1 * gradient / np.sqrt(total), rtol=1e-5)
