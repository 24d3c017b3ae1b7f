"""Cohort moments against brute force over units."""

import numpy as np
import pytest

from impact.kernels.moments import LinearCells, cohort_moments
from impact.kernels.parallel import get_threads, set_threads

EXACT = 1e-10


@pytest.fixture
def sample():
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 3, 60)
    outcomes = rng.normal(size=(60, 4)) + codes[:, None]
    return outcomes, codes, rng.uniform(0.5, 2.0, 60)


def test_means_and_covariances_are_those_of_each_cohort(sample):
    outcomes, codes, _ = sample
    moments = cohort_moments(outcomes, codes, 3)
    for c in range(3):
        own = outcomes[codes == c]
        np.testing.assert_allclose(moments.mean[c], own.mean(axis=0), rtol=EXACT)
        np.testing.assert_allclose(moments.covariance[c], np.cov(own.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(moments.share, np.bincount(codes) / 60)


def test_a_large_common_level_costs_no_digits(sample):
    outcomes, codes, _ = sample
    near = cohort_moments(outcomes, codes, 3).covariance
    far = cohort_moments(outcomes + 1e9, codes, 3).covariance
    # 1e9 leaves about 1e-7 of absolute resolution in the data themselves.
    np.testing.assert_allclose(far, near, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_closed_form_covariance_equals_the_sum_over_units(sample, weighted):
    outcomes, codes, weights = sample
    w = weights if weighted else None
    rng = np.random.default_rng(1)
    linear = LinearCells(rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 5)))
    moments = cohort_moments(outcomes, codes, 3, w)
    own = weights if weighted else np.ones(60)
    means = np.stack(
        [np.average(outcomes[codes == c], axis=0, weights=own[codes == c]) for c in range(3)]
    )
    psi = np.stack(
        [
            own[i] * (linear.slopes[c] @ (outcomes[i] - means[c]) + linear.intercepts[c])
            for i, c in enumerate(codes)
        ]
    )
    np.testing.assert_allclose(
        linear.contributions(outcomes, codes, moments, w), psi, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(linear.covariance(moments), psi.T @ psi, rtol=EXACT)
    clusters = np.arange(60) // 7
    summed = np.stack([psi[clusters == g].sum(axis=0) for g in range(9)])
    np.testing.assert_allclose(
        linear.contributions(outcomes, codes, moments, w, clusters), summed, rtol=1e-9, atol=1e-11
    )


def test_an_empty_cohort_weighs_nothing(sample):
    outcomes, codes, _ = sample
    moments = cohort_moments(outcomes, codes, 5)
    assert moments.units[3:].sum() == 0
    assert moments.size[3:].sum() == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_threads_and_blocks_change_no_digit(weighted):
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, 60_000)
    outcomes = rng.normal(size=(60_000, 9))
    w = rng.uniform(0.5, 2.0, 60_000) if weighted else None
    before, found = get_threads(), []
    try:
        for threads in (1, 3):
            set_threads(threads)
            found.append(cohort_moments(outcomes, codes, 4, w))
    finally:
        set_threads(before)
    np.testing.assert_array_equal(found[0].second, found[1].second)
    np.testing.assert_array_equal(found[0].mean, found[1].mean)
    weights = np.ones(60_000) if w is None else w
    for c in range(4):
        own, at = weights[codes == c], outcomes[codes == c]
        mean = own @ at / own.sum()
        z = own[:, None] * np.column_stack((at - mean, np.ones(len(at))))
        np.testing.assert_allclose(found[0].mean[c], mean, rtol=EXACT, atol=1e-13)
        np.testing.assert_allclose(found[0].second[c], z.T @ z, rtol=1e-9, atol=1e-7)
