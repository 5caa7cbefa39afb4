"""FLOPs are counted from the program, so the count is the same on every device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from zoo.train import speed

A, B = jnp.ones((6, 5)), jnp.ones((5, 7))
ONE = 2 * 6 * 5 * 7


def repeated(a, b):
    return jax.lax.scan(lambda total, _: (total + a @ b, None), jnp.zeros((6, 7)), length=3)[0]


def chosen(a, b):
    return jax.lax.cond(a[0, 0] > 0, lambda: a @ b @ b.T @ b, lambda: a @ b)


def again(a, b):
    return jax.grad(lambda a: jax.checkpoint(lambda a: jnp.sin(a @ b))(a).sum())(a)


def spread(a, b):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    return jax.shard_map(
        lambda a, b: a @ b, mesh=mesh, in_specs=(P("data"), P()), out_specs=P("data")
    )(a, b)


@pytest.mark.parametrize(
    ("program", "products"),
    [
        (lambda a, b: a @ b + 1, 1),
        (lambda a, b: jnp.einsum("nij,jk->nik", jnp.stack([a, a]), b), 2),
        (jax.grad(lambda a, b: jnp.sin(a @ b).sum(), argnums=(0, 1)), 3),
        (jax.jit(lambda a, b: jax.jit(jnp.matmul)(a, b)), 1),
        (repeated, 3),
        (chosen, 3),
        (again, 3),
        (spread, 1),
    ],
    ids=[
        "product",
        "batch",
        "gradients",
        "nested",
        "scan",
        "branches",
        "computed again",
        "over devices",
    ],
)
def test_products_of_a_program(program, products):
    assert speed.products(jax.jit(program).trace(A, B).jaxpr) == products * ONE


def test_the_count_of_a_step_equals_that_of_xla():
    def step(weights, batch, _):
        loss = lambda w: jnp.square(jax.nn.relu(batch["x"] @ w["in"]) @ w["out"]).mean()
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, jax.grad(loss)(weights))

    arguments = (
        {"in": jnp.ones((64, 256)), "out": jnp.ones((256, 32))},
        {"x": np.ones((128, 64), np.float32)},
        0.5,
    )
    counted = speed.Meter(processes=1).operations(jax.jit(step), *arguments)
    # XLA counts sums and maxima too
    assert counted == pytest.approx(
        jax.jit(step).lower(*arguments).cost_analysis()["flops"], rel=0.03
    )
