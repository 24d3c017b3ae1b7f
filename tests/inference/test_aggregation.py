"""Share-weighted averages: values and derivatives."""

import numpy as np

from impact.inference.aggregation import share_average


def test_average_and_both_derivatives_against_differences():
    rng = np.random.default_rng(0)
    cells, shares = rng.normal(size=6), np.array([0.2, 0.3, 0.1])
    index = np.array([0, 0, 1, 1, 2, 2])
    S = rng.uniform(0, 1, (2, 6))
    got = share_average(cells, S, index, shares)
    mass = S * shares[index]
    np.testing.assert_allclose(got.estimates, (mass @ cells) / mass.sum(axis=1), rtol=1e-12)
    step = 1e-6
    for c in range(3):
        moved = shares.copy()
        moved[c] += step
        slope = (share_average(cells, S, index, moved).estimates - got.estimates) / step
        np.testing.assert_allclose(got.share_slopes[:, c], slope, atol=1e-5)
    np.testing.assert_allclose(got.weights.sum(axis=1), 1.0, rtol=1e-12)


def test_cells_that_cannot_be_had_are_left_out_and_empty_averages_are_nan():
    got = share_average(
        np.array([1.0, np.nan, 3.0]),
        np.array([[1, 1, 1], [0, 1, 0]], float),
        np.zeros(3, int),
        np.ones(1),
    )
    assert got.estimates[0] == 2.0
    assert np.isnan(got.estimates[1])
    assert np.isfinite(got.jacobian()).all()
