"""SASRec and GRU4Rec: inputs, causality of states, and learning of order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo import records
from zoo.data import toy
from zoo.models import next_item
from zoo.nets import causal, network, recurrent

SHAPES = {
    "sasrec": causal.Shape(num_items=10, width=16, heads=2, hidden=16, layers=2),
    "gru4rec": recurrent.Shape(num_items=10, width=16, layers=2),
}
ROUNDING = 1e-5  # f32 states of size 1, sums in another order


def test_every_event_but_the_first_is_a_target_once():
    histories = records.Histories(
        ("a", "b", "c"), np.array([5, 6, 7, 8, 9, 1, 2, 0], np.int32), np.array([0, 5, 7, 8])
    )
    rows = next_item.windows(histories, 3)
    np.testing.assert_array_equal(rows["source"], [[7, 8, 9], [6, 0, 0], [2, 0, 0]])
    np.testing.assert_array_equal(rows["target"], [[8, 9, 10], [7, 0, 0], [3, 0, 0]])
    assert next_item.windows(histories.take([2]), 3)["source"].shape == (0, 3)
    np.testing.assert_array_equal(next_item.read(histories, 3), [[8, 9, 10], [2, 3, 0], [1, 0, 0]])


@pytest.fixture(scope="module", params=SHAPES)
def states(request):
    """items -> hidden states of a network at random."""
    net = network.build(SHAPES[request.param])
    params = net.init(jax.random.key(0))
    return lambda items: np.asarray(net.encode(params, jnp.asarray(items)))


def test_a_state_does_not_depend_on_later_items(states):
    items = np.array([[1, 2, 3, 4, 5, 6]])
    other = items.copy()
    other[0, 4] = 9
    one, two = states(items), states(other)
    np.testing.assert_array_equal(one[0, :4], two[0, :4])
    assert (np.abs(one[0, 4:] - two[0, 4:]).max(axis=1) > 1e-3).all()


def test_pads_behind_change_no_state(states):
    items = np.array([[1, 2, 3]])
    np.testing.assert_allclose(
        states(np.pad(items, ((0, 0), (0, 4))))[:, :3], states(items), atol=ROUNDING
    )


def test_attention_has_relative_positions_only():
    """Padding in front would shift absolute positions; relative ones do not change."""
    net = network.build(SHAPES["sasrec"])
    params = net.init(jax.random.key(0))
    table = params["params"]["bias"]["table"]
    assert table.shape == (32, 2)  # buckets of distances alone have parameters, for each head
    assert not any(
        "position" in jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    )


@pytest.mark.parametrize("name", SHAPES)
def test_scores_read_the_last_state_for_any_batching_of_queries(name):
    walks = toy.interactions()
    fitted = zoo.fit(name, walks, size="tiny", options={"steps": 2}, quiet=True)
    asked, _ = walks.split("test")
    net = network.of(fitted.state)
    assert type(net.spec) is type(SHAPES[name]) and net.spec.num_items == 40
    score = next_item.open(fitted.config, fitted.state).score
    whole = score(asked)
    assert whole.shape == (200, 40)
    for row in (0, 77):
        alone = score(asked.take([row]))
        items = asked.history(row)[-fitted.config.history :] + 1
        hidden = net.encode(fitted.state["params"], jnp.asarray(items)[None])[0, -1]
        direct = np.asarray(fitted.state["params"]["params"]["items"]["embedding"])[
            1:
        ] @ np.asarray(hidden)
        np.testing.assert_allclose(alone[0], direct, atol=ROUNDING)
        np.testing.assert_allclose(whole[row], direct, atol=ROUNDING)


@pytest.mark.slow  # trains three networks
@pytest.mark.parametrize("loss", ["bce", "bpr-max"])
def test_other_losses_learn_the_walk_and_nothing_from_noise(loss):
    options = {"loss": loss, "negatives": 1 if loss == "bce" else 20}
    walks = toy.interactions()
    learned = zoo.evaluate(
        zoo.fit("gru4rec", walks, size="tiny", options=options, quiet=True), walks
    ).measures["R@5"]
    drawn = np.random.default_rng(0).integers(0, 40, len(walks.histories.items)).astype(np.int32)
    noise = records.Interactions(
        "noise", walks.corpus, records.Histories(walks.histories.ids, drawn, walks.histories.starts)
    )
    control = zoo.evaluate(
        zoo.fit("gru4rec", noise, size="tiny", options=options, quiet=True), noise
    ).measures["R@5"]
    assert learned > 0.8
    assert control < 0.25  # by chance 5 / 40, standard error .023


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "options",
    [{"loss": "mse"}, {"history": 0}, {"dropout": 1.0}, {"evaluate_every": 0}, {"decay": "sudden"}],
)
def test_invalid_options_are_refused(name, options):
    with pytest.raises(records.DataError, match=f"{name}: option {next(iter(options))} expects"):
        zoo.fit(name, toy.interactions(), size="tiny", options=options, quiet=True)
