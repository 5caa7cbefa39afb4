import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from zoo.train import optimizers


@pytest.mark.parametrize("decay", optimizers.DECAYS)
def test_a_schedule_rises_for_the_warm_up_and_then_follows_its_formula(decay):
    rate = optimizers.schedule(2.0, steps=100, warmup=20, decay=decay)
    after = {
        "constant": lambda t: 2.0,
        "linear": lambda t: 2.0 * (100 - t) / 80,
        "cosine": lambda t: 1.0 + np.cos(np.pi * (t - 20) / 80),
        "rsqrt": lambda t: 2.0 * np.sqrt(20 / t),
    }[decay]
    got = [float(rate(step)) for step in range(101)]
    expected = [2.0 * step / 20 if step < 20 else after(step) for step in range(101)]
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("decay", optimizers.DECAYS)
@pytest.mark.parametrize("steps, warmup", [(1, 0), (1, 10), (5, 100), (10, 0)])
def test_a_short_run_has_a_finite_rate_that_is_not_always_zero(decay, steps, warmup):
    rate = optimizers.schedule(1.0, steps=steps, warmup=warmup, decay=decay)
    rates = np.array([float(rate(step)) for step in range(steps)])
    assert np.isfinite(rates).all() and rates.max() > 0 and rates.max() <= 1 + 1e-6


def test_an_unknown_decay_is_refused():
    with pytest.raises(ValueError, match="no decay 'step'; expected one of: constant"):
        optimizers.schedule(1.0, steps=10, warmup=0, decay="step")


@pytest.mark.parametrize(
    "make",
    [lambda rate: optimizers.adamw(rate, weight_decay=0.0, clip=1.0), lambda rate: optimizers.adafactor(rate, clip=1.0)],
)
def test_an_optimizer_finds_the_least_squares_solution(make):
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=(64, 8)), jnp.float32)
    wanted = jnp.asarray(random.normal(size=(8, 3)), jnp.float32)
    optimizer = make(optimizers.schedule(0.1, steps=400, warmup=10, decay="linear"))
    params = {"w": jnp.zeros((8, 3))}
    loss = lambda params: jnp.mean((inputs @ params["w"] - inputs @ wanted) ** 2)

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(400):
        params, state = step(params, state)
    np.testing.assert_allclose(params["w"], wanted, atol=0.02)  # where the linear decay leaves it


def test_matrices_decay_and_vectors_do_not():
    optimizer = optimizers.adamw(optax.constant_schedule(0.1), weight_decay=0.5, clip=1.0)
    params = {"matrix": jnp.ones((2, 2)), "vector": jnp.ones(2)}
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["matrix"], -0.05)
    np.testing.assert_allclose(updates["vector"], 0.0)


def test_gradients_are_clipped_to_their_global_norm():
    optimizer = optimizers.adafactor(optax.constant_schedule(0.1), clip=1.0)
    params = {"a": jnp.ones((2, 2)), "b": jnp.ones(3)}
    small = {"a": jnp.full((2, 2), 3.0), "b": jnp.full(3, -4.0)}
    small = jax.tree.map(lambda leaf: leaf / optax.tree.norm(small), small)  # of norm 1
    large = jax.tree.map(lambda leaf: leaf * 100, small)
    states = [optimizer.update(gradient, optimizer.init(params), params)[1] for gradient in (small, large)]
    for first, second in zip(*map(jax.tree.leaves, states)):
        np.testing.assert_allclose(first, second, rtol=1e-5)
