"""Expected KL by quadrature against enumeration of all corpora, published values and algebra."""

import numpy as np
import pytest

import theory


@pytest.mark.parametrize(
    ("branching", "depth", "relevance", "keep", "steps"),
    (
        (2, 3, np.ones(8), 0.5, [0.0430735594, 0.0157044048, 0]),
        (2, 3, 1 / np.arange(1, 9), 0.1, [0.00858753103, 0.00146452489, 0]),
        (4, 2, 1 / np.arange(1, 17), 0.5, [0.0766263612, 0]),
    ),
)
def test_values_known_to_nine_digits_come_out(branching, depth, relevance, keep, steps):
    np.testing.assert_allclose(theory.expected_kl(relevance, branching=branching, depth=depth, keep=keep), steps, rtol=4e-9)  # printed to 9 digits
