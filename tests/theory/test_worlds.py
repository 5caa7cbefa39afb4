"""Trees, relevance, corpora and tails keep what they promise."""

import pytest

from theory import worlds


@pytest.mark.parametrize("draw", (worlds.uniform, worlds.zipf))
def test_relevance_sums_to_one(draw):
    relevance = draw(3, 4)
    assert relevance.shape == (81,) and abs(relevance.sum() - 1) < 1e-12
