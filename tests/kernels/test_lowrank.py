"""Low-rank completion: closed forms on full tables, exact recovery, stationarity, refusals."""

import numpy as np
import pytest

from impact.errors import EstimationError
from impact.kernels.lowrank import complete, factor_projection, hard, soft

# Fitted values settle to 1e-10 of the outcome's spread.
SETTLED = 1e-8
NOTHING = np.empty((20, 12, 0))


def two_way(y):
    return y.mean(axis=1, keepdims=True) + y.mean(axis=0) - y.mean()


def table(seed, rank=2, noise=0.5, n=20, periods=12):
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, periods)) * 2
    y = low + rng.normal(size=(n, 1)) + rng.normal(size=(1, periods))
    known = np.ones((n, periods), dtype=bool)
    known[:5, 8:] = False
    return y + noise * rng.normal(size=(n, periods)), known


def test_full_table_is_the_truncated_singular_value_decomposition():
    y, _ = table(0)
    fit = complete(y, np.ones_like(y, dtype=bool), NOTHING, hard(2))
    residual = y - two_way(y)
    u, s, vt = np.linalg.svd(residual, full_matrices=False)
    np.testing.assert_allclose(fit.fitted, two_way(y) + u[:, :2] * s[:2] @ vt[:2], atol=SETTLED)
    np.testing.assert_allclose(fit.factors.T @ fit.factors / 12, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(fit.loadings @ fit.factors.T, u[:, :2] * s[:2] @ vt[:2], atol=1e-7)


@pytest.mark.parametrize("wide", [False, True])
def test_full_table_soft_thresholds_singular_values(wide):
    y, _ = table(1)
    y = y.T if wide else y
    fit = complete(y, np.ones_like(y, dtype=bool), np.empty((*y.shape, 0)), soft(3.0))
    u, s, vt = np.linalg.svd(y - two_way(y), full_matrices=False)
    low = u * np.maximum(s - 3.0, 0.0) @ vt
    np.testing.assert_allclose(fit.fitted, two_way(y) + low, atol=SETTLED)


def test_rank_zero_is_the_two_way_regression_on_known_cells():
    y, known = table(2)
    fit = complete(y, known, NOTHING, hard(0))
    rows, columns = np.nonzero(known)
    dummies = np.zeros((len(rows), 32))
    dummies[np.arange(len(rows)), rows] = 1.0
    dummies[np.arange(len(rows)), 20 + columns] = 1.0
    b = np.linalg.lstsq(dummies, y[known])[0]
    np.testing.assert_allclose(fit.fitted, b[:20, None] + b[20:], atol=SETTLED)
    np.testing.assert_allclose(
        fit.unit_effects[:, None] + fit.time_effects, fit.fitted, atol=SETTLED
    )


def test_missing_cells_of_an_exact_factor_model_come_back():
    y, known = table(3, noise=0.0)
    fit = complete(np.where(known, y, np.nan), known, NOTHING, hard(2))
    np.testing.assert_allclose(fit.fitted, y, atol=1e-6)


@pytest.mark.parametrize("shrink", [hard(1), hard(2), soft(2.0)])
def test_fit_is_stationary(shrink):
    """On unknown cells the fit predicts itself; slopes and effects leave no gradient."""
    y, known = table(4)
    x = np.random.default_rng(5).normal(size=(20, 12, 2))
    y = y + x @ np.array([1.0, -2.0])
    fit = complete(y, known, x, shrink)
    gaps = np.where(known, y - fit.fitted, 0.0)
    assert np.abs(gaps.sum(axis=1)).max() < 1e-6
    assert np.abs(gaps.sum(axis=0)).max() < 1e-6
    assert np.abs(np.tensordot(gaps, x, 2)).max() < 1e-6


def test_extrapolated_steps_end_where_plain_ones_do(monkeypatch):
    y, known = table(6)
    quick = complete(y, known, NOTHING, soft(1.0))
    monkeypatch.setattr("impact.kernels.lowrank.MEMORY", 1)
    plain = complete(y, known, NOTHING, soft(1.0))
    np.testing.assert_allclose(quick.fitted, plain.fitted, atol=1e-6)
    assert quick.iterations < plain.iterations


def test_any_start_ends_in_the_same_convex_optimum():
    y, known = table(7)
    plain = complete(y, known, NOTHING, soft(2.0))
    other = complete(y, known, NOTHING, soft(2.0), start=5 * np.ones_like(y))
    np.testing.assert_allclose(other.fitted, plain.fitted, atol=1e-6)


def test_scale_level_and_order_change_nothing_else():
    y, known = table(8)
    plain = complete(y, known, NOTHING, hard(2))
    moved = complete(1e6 * (y + 50), known, NOTHING, hard(2))
    np.testing.assert_allclose(moved.fitted / 1e6 - 50, plain.fitted, atol=1e-6)
    order = np.random.default_rng(0).permutation(20)
    mixed = complete(y[order], known[order], NOTHING, hard(2))
    np.testing.assert_allclose(mixed.fitted, plain.fitted[order], atol=1e-6)


def test_projection_is_least_squares_on_each_units_known_cells():
    y, known = table(9)
    factors = np.random.default_rng(1).normal(size=(12, 2))
    fitted = factor_projection(y, known, factors)
    X = np.column_stack([np.ones(12), factors])
    for i in (0, 10):
        b = np.linalg.lstsq(X[known[i]], y[i, known[i]])[0]
        np.testing.assert_allclose(fitted[i], X @ b, atol=1e-12)


def test_a_price_above_every_singular_value_leaves_two_way_effects_at_any_scale():
    y, known = table(12)
    flat = complete(y, known, NOTHING, hard(0)).fitted
    for scale in (1e-12, 1.0, 1e12):
        priced = complete(scale * y, known, NOTHING, soft(1e6 * max(scale, 1.0))).fitted
        np.testing.assert_allclose(priced / scale, flat, atol=1e-8)


def test_refusals():
    y, known = table(10)
    known[3] = False
    with pytest.raises(EstimationError, match="1 unit and 0 periods have no untreated"):
        complete(y, known, NOTHING, hard(1))
    y, known = table(10)
    fixed = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 12, 1))
    with pytest.raises(EstimationError, match="do not vary beyond unit and period"):
        complete(y, known, fixed, hard(1))


def test_a_fit_that_does_not_settle_is_refused(monkeypatch):
    y, known = table(11)
    monkeypatch.setattr("impact.kernels.lowrank.ITERATIONS", 2)
    with pytest.raises(EstimationError, match=r"still moves by .* Use fewer factors"):
        complete(y, known, NOTHING, hard(2))
