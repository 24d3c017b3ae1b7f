"""Conley-Taber and Ferman-Pinto tests: exact lists, variance by size, size and refusals."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.few_treated import few_treated_test, size_variance

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
