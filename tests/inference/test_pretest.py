"""Box probabilities of normal vectors and detectable slopes."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, truncnorm

from impact.errors import InferenceError
from impact.inference.pretest import box_probability, detectable_slope

LATTICE = 3e-4  # three standard deviations over shifts of the lattice, in seven dimensions
THEIR_SIMULATION = 2e-3  # tmvtnorm's quasi-Monte Carlo, as the case's tolerance says


def test_one_coefficient_is_a_truncated_normal():
    box = box_probability(np.array([0.7]), np.array([[4.0]]), np.array([2.5]))
    low, high = (-2.5 - 0.7) / 2, (2.5 - 0.7) / 2
    np.testing.assert_allclose(box.probability, norm.cdf(high) - norm.cdf(low), rtol=1e-10)
    np.testing.assert_allclose(
        box.mean, truncnorm.mean(low, high, loc=0.7, scale=2.0), rtol=LATTICE
    )


@pytest.mark.parametrize("size", [2, 4, 7])
def test_probability_equals_scipys(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(size, size + 2))
    covariance, mean = root @ root.T / size, 0.3 * rng.normal(size=size)
    limits = 1.96 * np.sqrt(np.diag(covariance))
    expected = multivariate_normal(mean, covariance, seed=0, maxpts=10**6, abseps=1e-6).cdf(
        limits, lower_limit=-limits
    )
    found = box_probability(mean, covariance, limits).probability
    np.testing.assert_allclose(found, expected, atol=LATTICE)


def test_mean_inside_the_box_equals_simulation():
    covariance = np.array([[1.0, 0.6], [0.6, 2.0]])
    mean, limits = np.array([0.8, -0.5]), np.array([1.0, 2.0])
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 400_000)
    inside = draws[(np.abs(draws) <= limits).all(axis=1)]
    error = 4 * inside.std(axis=0) / np.sqrt(len(inside))
    assert (np.abs(box_probability(mean, covariance, limits).mean - inside.mean(0)) < error).all()


def test_he_and_wang_equal_r_pretrends(reference_case):
    case, _ = reference_case("pretrends_he_wang")
    given, reference = case["task"]["input"], case["reference"]
    covariance = np.array(given["sigma"])
    distance = np.array(given["event_times"]) + 1.0
    before = covariance[:3, :3]
    limits = norm.ppf(0.975) * np.sqrt(np.diag(before))
    for name, power in (("slope50", 0.5), ("slope80", 0.8)):
        slope = detectable_slope(before, distance[:3], limits, power)
        np.testing.assert_allclose(slope, reference[name], rtol=THEIR_SIMULATION)
    trend = reference["slope50"] * distance
    box = box_probability(trend[:3], before, limits)
    assert 1 - box.probability == pytest.approx(reference["power_table"]["Power"], abs=1e-3)
    after = trend[3:] + covariance[3:, :3] @ np.linalg.solve(before, box.mean - trend[:3])
    theirs = [row["meanAfterPretesting"] for row in reference["event_plot"] if row["t"] != -1]
    np.testing.assert_allclose(np.r_[box.mean, after], theirs, atol=1e-3)


def test_power_below_the_size_is_refused():
    with pytest.raises(InferenceError, match="rejects that often by chance"):
        detectable_slope(np.eye(3), np.array([-3.0, -2.0, -1.0]), np.full(3, 1.96), 0.1)
