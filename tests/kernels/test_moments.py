"""Cohort moments against brute force over units."""

import numpy as np
import pytest

from impact.kernels.moments import LinearCells, cohort_moments

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
