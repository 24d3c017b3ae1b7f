"""Ranks, placebo assignments and conformal tests: hand-counted cases, validity and refusals."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.placebo import (
    PlaceboDraws,
    canonical_order,
    conformal_interval,
    conformal_p_value,
    cross_fit_t,
    misfit_rank,
    placebo_assignments,
    rank_p_value,
    rmspe_ratios,
)


def test_rank_p_value_counts_ties_and_failures_against_the_effect():
    placebos = np.array([1.0, 2.0, 3.0, np.nan])
    assert rank_p_value(3.0, placebos) == pytest.approx(3 / 5)
    assert rank_p_value(3.1, placebos) == pytest.approx(2 / 5)
    assert rank_p_value(3.0 * (1 - 1e-12), placebos[:3]) == pytest.approx(2 / 4)


def test_draws_give_covariance_ranks_and_intervals():
    draws = np.array([[1.0, 0.0], [-2.0, 1.0], [3.0, -1.0], [-4.0, 0.0]])
    placebos = PlaceboDraws(draws, n_clusters=5)
    np.testing.assert_allclose(placebos.covariance(), np.cov(draws.T, ddof=0))
    np.testing.assert_allclose(placebos.variances(), np.diag(placebos.covariance()))
    assert placebos.p_lattice == pytest.approx(0.2)
    np.testing.assert_allclose(placebos.p_values(np.array([3.5, 5.0])), [2 / 5, 1 / 5])
    np.testing.assert_allclose(placebos.intervals(np.array([10.0]), 0.8), [[6.0, 14.0]])
    np.testing.assert_allclose(placebos.intervals(np.array([10.0]), 0.6), [[7.0, 13.0]])
    assert np.isinf(placebos.intervals(np.array([10.0]), 0.95)).all()
    assert "4 placebo assignments" in placebos.method


def test_combinations_of_draws_are_draws_of_combinations():
    draws = np.random.default_rng(0).normal(size=(30, 3))
    weights = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, -1.0]])
    combined = PlaceboDraws(draws, 10).combine(weights)
    expected = weights @ PlaceboDraws(draws, 10).covariance() @ weights.T
    np.testing.assert_allclose(combined.covariance(), expected, atol=1e-14)


def test_draws_in_doubt_tell_no_error_rank_or_interval():
    placebos = PlaceboDraws(np.arange(8.0).reshape(4, 2), 5, doubt="the fit is bad")
    for doubted in (placebos, placebos.combine(np.ones((2, 2)))):
        estimates = np.array([1.0, 2.0])
        assert doubted.covariance().shape == (2, 2)
        for numbers in (
            doubted.covariance(),
            doubted.variances(),
            doubted.p_values(estimates),
            doubted.intervals(estimates),
        ):
            assert np.isnan(numbers).all()
        assert doubted.doubt == "the fit is bad"


def test_a_gap_before_is_ranked_among_the_placebos_gaps_after():
    pre = np.array([True, True, False, False])
    placebos = np.array([[9.0, 9.0, 1.0, 1.0], [9.0, 9.0, 3.0, 4.0], [0.0, 0.0, 1.0, 7.0]])
    # Root mean squares after: 1, 3.54 and 5; the gap's before is 4.
    gap = np.array([4.0, -4.0, 100.0, 100.0])
    assert misfit_rank(gap, placebos, pre, ~pre) == pytest.approx(2 / 4)


def test_interval_holds_exactly_what_the_rank_test_does_not_reject():
    draws = np.random.default_rng(1).normal(size=(39, 1))
    placebos = PlaceboDraws(draws, 40)
    low, high = placebos.intervals(np.array([2.0]), 0.9)[0]
    for effect, kept in ((low + 1e-6, True), (low - 1e-6, False), (high + 1e-6, False)):
        p = rank_p_value(abs(2.0 - effect), np.abs(draws[:, 0]))
        assert (p > 0.1) == kept


def test_rank_p_values_are_valid_under_the_null():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4000, 20))
    p = np.array([rank_p_value(abs(v[0]), np.abs(v[1:])) for v in values])
    # Exactly uniform on the lattice of twentieths: three standard deviations of a share.
    for level in (0.05, 0.1, 0.5):
        assert abs(np.mean(p <= level + 1e-9) - level) < 3 * np.sqrt(level * (1 - level) / 4000)


def test_few_sets_are_all_used_and_many_are_drawn():
    (every,) = placebo_assignments([np.arange(5)], [2], 100, 0)
    assert len(np.unique(every.groups, axis=0)) == 10
    (some,) = placebo_assignments([np.arange(30)], [4], 100, 0)
    assert some.groups.shape == (100, 4)
    assert all(len(set(group)) == 4 for group in some.groups)
    assert (some.barred.sum(axis=1) == 4).all()
    (again,) = placebo_assignments([np.arange(30)], [4], 100, 0)
    np.testing.assert_array_equal(some.groups, again.groups)


def test_blocks_that_share_donors_never_use_one_twice():
    first, second = placebo_assignments([np.arange(9)] * 2, [2, 3], 50, 1)
    both = np.concatenate([first.groups, second.groups], axis=1)
    assert all(len(set(row)) == 5 for row in both)
    np.testing.assert_array_equal(first.barred, second.barred)


def test_blocks_with_pools_of_their_own_draw_by_themselves():
    first, second = placebo_assignments([np.arange(9), np.arange(4)], [2, 3], 50, 1)
    assert first.barred.shape == (50, 9)
    assert second.barred.shape == (50, 4)
    assert (second.barred.sum(axis=1) == 3).all()


def test_no_donor_left_is_refused():
    with pytest.raises(InferenceError, match="3 donors cannot stand in for 3 treated"):
        placebo_assignments([np.arange(3)], [3], 10, 0)
    with pytest.raises(InferenceError, match="5 donors cannot stand in for 6 treated"):
        placebo_assignments([np.arange(5)] * 2, [3, 3], 10, 0)


def test_canonical_order_ignores_scale_level_and_order():
    rng = np.random.default_rng(3)
    y = rng.normal(size=(12, 6))
    order = canonical_order(y)
    moved = -1e7 * (y + rng.normal(size=(12, 1)) + rng.normal(size=(1, 6)))
    np.testing.assert_array_equal(canonical_order(moved), order)
    mixed = rng.permutation(12)
    np.testing.assert_array_equal(mixed[canonical_order(y[mixed])], order)


def test_rmspe_ratio_by_hand():
    gaps = np.array([[3.0, 4.0, 5.0, 5.0], [0.0, 0.0, 1.0, 1.0]])
    pre = np.array([True, True, False, False])
    np.testing.assert_allclose(rmspe_ratios(gaps, pre, ~pre), [5 / np.sqrt(12.5), np.inf])


def test_conformal_p_value_by_hand():
    """The last residual is the second largest of five: two of five shifts are as large."""
    assert conformal_p_value(np.array([0.1, -5.0, 0.2, 0.3, 2.0]), 1) == pytest.approx(2 / 5)
    assert conformal_p_value(np.array([9.0, 1.0, 1.0, 9.0]), 2) == pytest.approx(3 / 4)


def test_conformal_interval_of_a_location_model():
    """With residuals u_s against y - effect, the set is |y - effect| below the largest |u| kept."""
    before = np.arange(1.0, 20.0)

    def p_value(effect):
        return conformal_p_value(np.append(before, 100.0 - effect), 1)

    low, high = conformal_interval(p_value, 98.0, 1.0, 0.9)
    assert low == pytest.approx(100 - 18, abs=1e-3)
    assert high == pytest.approx(100 + 18, abs=1e-3)


def test_conformal_interval_is_unbounded_where_nothing_is_rejected():
    assert conformal_interval(lambda _: 1.0, 0.0, 1.0, 0.9) == (-np.inf, np.inf)
    assert np.isnan(conformal_interval(lambda _: 0.0, 0.0, 1.0, 0.9)).all()


def test_cross_fit_by_hand():
    """A constant gap of 2 and an effect of 3: each block finds 3 exactly, with no spread."""
    treated = np.concatenate([np.full(9, 2.0), np.full(3, 5.0)])
    fit = cross_fit_t(treated, lambda _: np.zeros(12), 9)
    assert fit.estimate == pytest.approx(3.0)
    assert fit.std_error == pytest.approx(0.0, abs=1e-15)
    assert fit.df == 2


def test_cross_fit_covers_at_its_nominal_rate():
    from scipy.stats import t

    rng = np.random.default_rng(5)
    n_reps, hits = 2000, 0
    for _ in range(n_reps):
        treated = rng.normal(size=42) + 0.7
        treated[30:] += 1.0
        fit = cross_fit_t(treated, lambda _: np.zeros(42), 30)
        hits += abs(fit.estimate - 1.0) <= t.ppf(0.95, fit.df) * fit.std_error
    # Exact here: t(2) at 90 %, three standard deviations of a share.
    assert abs(hits / n_reps - 0.9) < 3 * np.sqrt(0.9 * 0.1 / n_reps)


def test_cross_fit_needs_periods():
    with pytest.raises(InferenceError, match="needs 6 periods before treatment; there are 5"):
        cross_fit_t(np.zeros(8), lambda _: np.zeros(8), 5)
