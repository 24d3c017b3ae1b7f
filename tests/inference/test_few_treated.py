"""Conley-Taber and Ferman-Pinto tests: exact lists, variance by size, size and refusals."""

import numpy as np
import pytest
from scipy.optimize import nnls

from impact.errors import InferenceError
from impact.inference.dispatch import infer
from impact.inference.few_treated import few_treated_test, size_variance
from impact.inference.gather import gather
from impact.inference.sample import Label, Sample
from impact.inference.scores import Scores

ROUNDING = 1e-12


def test_one_treated_cluster_by_hand():
    """Placebos -1, 0, 1 become errors times sqrt(3/2) sqrt(4/3) = sqrt 2 in size."""
    test = few_treated_test(1.3, np.array([[-1.0], [0.0], [1.0]]), np.ones(1))
    assert (test.p_value, test.draws, test.exhaustive, test.lattice) == (3 / 4, 3, True, 1 / 4)
    assert few_treated_test(1.5, np.array([[-1.0], [0.0], [1.0]]), np.ones(1)).p_value == 0.25
    assert not test.confidence_set.is_bounded
    third = few_treated_test(1.5, np.array([[-1.0], [0.0], [1.0]]), np.ones(1), level=0.5)
    assert third.confidence_set.intervals[0] == pytest.approx((1.5 - 2**0.5, 1.5 + 2**0.5))


def test_two_treated_clusters_list_every_pair():
    placebos = np.random.default_rng(0).normal(size=(8, 2))
    test = few_treated_test(0.4, placebos, np.array([0.25, 0.75]))
    errors = (placebos - placebos.mean(axis=0)) * np.sqrt(8 / 7)
    pairs = np.add.outer(0.25 * errors[:, 0], 0.75 * errors[:, 1]).ravel()
    pairs *= np.sqrt(1 + 1 / (8 * (0.25**2 + 0.75**2)))
    assert test.draws == 64
    assert test.p_value == (1 + np.sum(np.abs(pairs) >= 0.4)) / 65


def test_set_holds_the_effects_that_are_kept():
    rng = np.random.default_rng(1)
    placebos = rng.normal(size=(40, 3))
    weights = np.ones(3) / 3
    test = few_treated_test(2.0, placebos, weights, draws=999)
    low = test.confidence_set.low
    assert few_treated_test(2.0, placebos, weights, draws=999, null=low + 1e-9).p_value > 0.05
    assert few_treated_test(2.0, placebos, weights, draws=999, null=low - 1e-6).p_value <= 0.05
    assert test == few_treated_test(2.0, placebos, weights, draws=999)


def test_variance_by_size_recovers_both_parts():
    sizes = np.tile([1.0, 2.0, 4.0, 8.0], 50)
    signs = np.tile([1.0, 1, 1, 1, -1, -1, -1, -1], 25)
    errors = signs * np.sqrt((0.5 + 2.0 / sizes) * 199 / 200)
    fitted = size_variance(errors, sizes, np.array([4.0]))
    assert fitted.common == pytest.approx(0.5, rel=1e-10)
    assert fitted.individual == pytest.approx(2.0, rel=1e-10)
    np.testing.assert_allclose(fitted.at(np.array([4.0])), [1.0], rtol=1e-10)
    assert 0.1 < fitted.imprecision < 0.2


def test_variance_parts_are_never_negative():
    sizes = np.array([1.0, 2, 4, 8, 16])
    rising = size_variance(np.sqrt(sizes), sizes, sizes[:1])
    assert (rising.individual, rising.common > 0) == (0.0, True)
    falling = size_variance(1 / sizes**2, sizes, sizes[:1])
    assert (falling.common, falling.individual > 0) == (0.0, True)


def test_sizes_that_do_not_identify_the_scale_are_told():
    errors = np.random.default_rng(2).normal(size=30)
    same = np.full(30, 5.0)
    assert size_variance(errors, same, np.array([5.0])).imprecision == pytest.approx(
        (2 / 30) ** 0.5
    )
    assert size_variance(errors, same, np.array([1.0])).imprecision == np.inf
    spread = np.linspace(5, 50, 30)
    near = size_variance(errors, spread, np.array([10.0])).imprecision
    far = size_variance(errors, spread, np.array([0.5])).imprecision
    assert near < 0.6 < far


def test_rescaling_makes_small_treated_clusters_less_certain():
    rng = np.random.default_rng(3)
    sizes = rng.integers(2, 40, 60).astype(float)
    placebos = rng.normal(size=(60, 1)) * np.sqrt(0.1 + 4 / sizes)[:, None]
    small = few_treated_test(1.5, placebos, np.ones(1), sizes=sizes, treated_sizes=np.array([2.0]))
    large = few_treated_test(1.5, placebos, np.ones(1), sizes=sizes, treated_sizes=np.array([40.0]))
    assert small.p_value > large.p_value
    assert small.confidence_set.high > large.confidence_set.high


def test_size_with_many_comparison_clusters():
    """63 clusters, 2 treated, normal errors: rejections at 5 % stay near it."""
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(600):
        values = rng.normal(size=63)
        estimate = values[:2].mean() - values[2:].mean()
        placebos = np.repeat(values[2:, None], 2, axis=1)
        test = few_treated_test(estimate, placebos, np.ones(2) / 2, draws=299)
        rejected += test.p_value <= 0.05
    assert 0.03 < rejected / 600 < 0.08


def test_refusals():
    with pytest.raises(InferenceError, match=r"2 comparison clusters cannot show.*at least 3"):
        few_treated_test(1.0, np.ones((2, 1)), np.ones(1))
    with pytest.raises(InferenceError, match=r"one side only.*treated_sizes"):
        few_treated_test(1.0, np.arange(5.0)[:, None], np.ones(1), sizes=np.ones(5))
    with pytest.raises(InferenceError, match=r"level is a share"):
        few_treated_test(1.0, np.arange(5.0)[:, None], np.ones(1), level=1.5)


def placebo_paths(outcomes, cohorts, periods):
    """What each untreated cluster would show in the place of each treated one, by loops."""
    treated, untreated = np.flatnonzero(~np.isnan(cohorts)), np.flatnonzero(np.isnan(cohorts))
    found = np.empty((len(untreated), len(treated)))
    for i, j in enumerate(untreated):
        for k, g in enumerate(treated):
            after = [y for y, t in zip(outcomes[j], periods, strict=True) if t >= cohorts[g]]
            base = [y for y, t in zip(outcomes[j], periods, strict=True) if t == cohorts[g] - 1]
            found[i, k] = sum(after) / len(after) - base[0]
    return found


@pytest.mark.parametrize("method", ["conley_taber", "ferman_pinto"])
def test_two_dates_equal_loops_over_clusters_and_pairs(method):
    """Ten clusters of unlike size, two treated at different dates: all 64 pairs by hand."""
    rng = np.random.default_rng(11)
    outcomes = rng.normal(size=(10, 6))
    cohorts, periods = np.full(10, np.nan), np.arange(1, 7)
    cohorts[:2] = 3, 5
    sizes = rng.integers(2, 30, 10).astype(float)
    weights = sizes[:2] / sizes[:2].sum()
    placebos = placebo_paths(outcomes, cohorts, periods)
    own = [outcomes[g, periods >= cohorts[g]].mean() - outcomes[g, periods == cohorts[g] - 1]
           for g in (0, 1)]  # fmt: skip
    compared = np.average(placebos, axis=0, weights=sizes[2:])
    estimate = sum(float(w * (o[0] - c)) for w, o, c in zip(weights, own, compared, strict=True))
    sample = Sample(outcomes, cohorts, np.arange(10), sizes, periods)
    evidence = gather(
        sample, Scores(np.zeros((10, 1))), 0, estimate=estimate, std_error=1.0, label=Label()
    )
    errors = (placebos - placebos.mean(axis=0)) * np.sqrt(8 / 7)
    if method == "ferman_pinto":
        x = np.column_stack([np.ones(8), 1 / sizes[2:]])
        parts = nnls(x, (errors @ weights) ** 2 * 8 / 7)[0]
        for j in range(8):
            for g in range(2):
                ratio = (parts @ [1, 1 / sizes[g]]) / (parts @ x[j])
                errors[j, g] *= np.sqrt(ratio)
    scale = np.sqrt(1 + 1 / (8 * sum(w**2 for w in weights)))
    drawn = [
        scale * abs(weights[0] * a + weights[1] * b) for a in errors[:, 0] for b in errors[:, 1]
    ]
    found = infer(evidence, method)
    assert found.p_value == (1 + sum(d >= abs(estimate) for d in drawn)) / 65
    reach = sorted(drawn)[-3]  # at 5 % three of 65 ranks are rejected
    assert found.confidence_set.high == pytest.approx(estimate + reach, rel=1e-10)
    assert found.confidence_set.low == pytest.approx(estimate - reach, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_identification_check_equals_a_loop(seed):
    """Relative standard error of the fitted variance, worst target, from sums row by row."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 40, 15).astype(float)
    errors = rng.normal(size=15) * np.sqrt(0.2 + 3 / sizes)
    targets = np.array([1.0, 8.0, 60.0])
    fitted = size_variance(errors, sizes, targets)
    x = np.column_stack([np.ones(15), 1 / sizes])
    parts = nnls(x, errors**2 * 15 / 14)[0]
    np.testing.assert_allclose([fitted.common, fitted.individual], parts, rtol=1e-10, atol=1e-12)
    information = np.zeros((2, 2))
    for row in x:
        information += np.outer(row, row) / (row @ parts) ** 2
    worst = 0.0
    for target in targets:
        row = np.array([1, 1 / target])
        worst = max(worst, 2 * row @ np.linalg.inv(information) @ row / (row @ parts) ** 2)
    assert fitted.imprecision == pytest.approx(np.sqrt(worst), rel=1e-10)


def test_identification_check_by_hand():
    """Sizes 1 and 2, two clusters each, squared errors 3 and 2 after correction: 1 + 2 / size.

    In units of the fitted variance the rows are (1, 1)/3 and (1, 1/2)/2 twice each; a target of
    size 1 is then known from two squares alone: sqrt(2 / 2).
    """
    errors = np.sqrt(np.array([3.0, 3.0, 2.0, 2.0]) * 3 / 4) * np.array([1, -1, 1, -1])
    fitted = size_variance(errors, np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0]))
    assert (fitted.common, fitted.individual) == pytest.approx((1.0, 2.0), rel=1e-12)
    assert fitted.imprecision == pytest.approx(1.0, rel=1e-12)
