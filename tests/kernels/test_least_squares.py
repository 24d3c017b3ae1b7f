"""Least squares after sweeping, and which columns it refuses a coefficient."""

import numpy as np
import pytest

from impact.kernels.absorb import absorb
from impact.kernels.least_squares import least_squares


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    unit, time = np.repeat(np.arange(30), 6), np.tile(np.arange(6), 30)
    x = rng.normal(size=(3, 180))
    y = x[0] - 2 * x[1] + unit + time**2 + rng.normal(size=180)
    return y, x, unit, time, rng.uniform(0.5, 2, 180)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_equals_dummies_at_any_scale(data, scale):
    y, x, unit, time, weights = data
    absorber = absorb([unit, time], weights)
    fit = least_squares(
        y * scale, x, weights, sweep=absorber.sweep, n_effects=absorber.rank,
        leverage_of_effects=absorber.leverage,
    )  # fmt: skip
    root = np.sqrt(weights)
    columns = np.vstack((x, np.eye(30)[:, unit], np.eye(6)[1:, time])) * root
    beta = np.linalg.lstsq(columns.T, y * root * scale, rcond=None)[0]
    np.testing.assert_allclose(fit.coefficients, beta[:3], rtol=1e-10)
    hat = columns.T @ np.linalg.solve(columns @ columns.T, columns)
    np.testing.assert_allclose(fit.leverages, np.diag(hat), rtol=1e-9)
    assert fit.df_residual == 180 - 3 - 35
    left = y * root * scale - columns.T @ beta
    np.testing.assert_allclose(fit.sigma2, left @ left / fit.df_residual, rtol=1e-10)


def test_absorbed_and_collinear_columns_are_named(data):
    y, x, unit, time, _ = data
    columns = np.vstack((x[0], unit**2.0, x[1], 3 * x[0] - x[1] + time, x[2]))
    absorber = absorb([unit, time])
    fit = least_squares(y, columns, sweep=absorber.sweep, n_effects=absorber.rank)
    assert fit.kept.tolist() == [0, 2, 4]
    assert [(r.column, r.partners) for r in fit.redundant] == [(1, ()), (3, (0, 2))]


def test_amounts_in_dong_with_little_variation_are_not_taken_for_constants(data):
    y, x, unit, time, _ = data
    absorber = absorb([unit, time])
    big = least_squares(y, x[:1] + 1e9, sweep=absorber.sweep, n_effects=absorber.rank)
    small = least_squares(y, x[:1], sweep=absorber.sweep, n_effects=absorber.rank)
    # The column itself is only known to 1e-7 of its variation after the shift.
    np.testing.assert_allclose(big.coefficients, small.coefficients, rtol=1e-6)


def test_a_badly_scaled_design_keeps_its_digits(data):
    y, x, *_ = data
    ones = np.ones(180)
    one = least_squares(y, np.vstack((ones, x)))
    other = least_squares(y, np.vstack((ones, x * np.array([[1e-8], [1.0], [1e8]]))))
    np.testing.assert_allclose(
        other.coefficients[1:] * [1e-8, 1, 1e8], one.coefficients[1:], rtol=1e-9
    )


def test_nothing_left_to_estimate(data):
    y, _, unit, time, _ = data
    absorber = absorb([unit, time])
    fit = least_squares(y, unit[None, :] * 1.0, sweep=absorber.sweep, n_effects=absorber.rank)
    assert fit.kept.size == 0
    assert fit.coefficients.size == 0
    np.testing.assert_allclose(fit.residuals, absorber.sweep(y))


@pytest.mark.parametrize("apart", [1e-2, 1e-3, 1e-4])
def test_a_combination_of_two_columns_almost_alike_is_redundant(apart):
    """Its pivot is rounding that the slopes, of size 1/apart, have multiplied."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, noise, other = rng.normal(size=(3, 60))
        second = first + apart * noise
        x = np.vstack((first, second, first + noise + other * 1e-14))
        assert least_squares(first + noise, x).kept.tolist() == [0, 1]
