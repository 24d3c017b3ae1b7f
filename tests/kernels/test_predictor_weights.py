"""The search for predictors' weights: against a fine grid, its slopes, what moves nothing."""

import numpy as np
import pytest

from impact.kernels.predictor_weights import nested_fit, weighted_fit
from impact.kernels.simplex import simplex_least_squares


def problem(seed, k=3, n=12, m=15):
    rng = np.random.default_rng(seed)
    factors, loadings = rng.normal(size=(m, k)), rng.normal(size=(k, n + 1))
    outcomes = factors @ loadings + 0.3 * rng.normal(size=(m, n + 1))
    predictors = loadings + 0.5 * rng.normal(size=(k, n + 1))
    return predictors[:, 1:], predictors[:, 0], outcomes[:, 1:], outcomes[:, 0]


def loss_at(importance, donors, treated, Z, z):
    weights = weighted_fit(donors, treated, importance).weights
    return np.mean((z - Z @ weights) ** 2)


@pytest.mark.parametrize("seed", range(6))
def test_two_predictors_as_good_as_a_fine_grid(seed):
    data = problem(seed, k=2)
    grid = [loss_at(np.array([v, 1.0]), *data) for v in np.exp(np.linspace(-18, 18, 2001))]
    assert nested_fit(*data).loss <= min(grid) * 1.001


@pytest.mark.parametrize("seed", range(4))
def test_search_beats_equal_weights_and_random_ones(seed):
    data, rng = problem(seed, k=5), np.random.default_rng(seed)
    found = nested_fit(*data)
    assert found.loss == pytest.approx(loss_at(found.importance, *data), rel=1e-9)
    tried = [loss_at(rng.dirichlet(np.full(5, 0.5)), *data) for _ in range(300)]
    assert found.loss <= min(tried)
    bound = simplex_least_squares(data[2], data[3]).loss / len(data[3])
    assert found.loss >= bound * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_change_in_the_last_digits_leads_to_the_same_weights(seed):
    donors, treated, Z, z = problem(seed, k=6)
    nudge = 1.0 + 1e-14 * np.random.default_rng(seed).normal(size=donors.shape)
    plain, nudged = nested_fit(donors, treated, Z, z), nested_fit(donors * nudge, treated, Z, z)
    np.testing.assert_array_equal(plain.importance, nudged.importance)


def test_importance_is_nonnegative_and_sums_to_one():
    found = nested_fit(*problem(1))
    assert found.importance.min() >= 0.0
    assert found.importance.sum() == pytest.approx(1.0)
    assert found.donors.residual <= 1e-10


def test_levels_and_units_of_outcomes_move_nothing():
    donors, treated, Z, z = problem(2)
    plain = nested_fit(donors, treated, Z, z)
    moved = nested_fit(donors + 7.0, treated + 7.0, 1e3 * (Z + 50.0), 1e3 * (z + 50.0))
    assert moved.loss / 1e6 == pytest.approx(plain.loss, rel=1e-6)


def test_a_predictor_of_noise_gets_little_weight():
    donors, treated, Z, z = problem(3, k=2, n=30, m=40)
    rng = np.random.default_rng(0)
    donors = np.vstack([donors, 3 * rng.normal(size=30)])
    found = nested_fit(donors, np.append(treated, 3 * rng.normal()), Z, z)
    assert found.importance[2] < 0.1
