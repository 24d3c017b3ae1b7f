"""Jackknife, corrected contributions and pairs bootstrap against brute force."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.jackknife import (
    arm_variance,
    jackknife_covariance,
    pairs_cluster_bootstrap,
)

BRUTE_FORCE = 1e-12


def arms_data(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [3, 4, 6])
    return rng.normal(size=13) + labels, labels, rng.integers(1, 9, 13).astype(float)


def average_effect(y, labels, sizes):
    mean = [np.average(y[labels == c], weights=sizes[labels == c]) for c in (0, 1, 2)]
    mass = [sizes[labels == c].sum() for c in (0, 1)]
    return np.average(mean[:2], weights=mass) - mean[2]


def effect_contributions(y, labels, sizes):
    treated = sizes[labels < 2].sum()
    psi = np.empty(len(y))
    for c in (0, 1, 2):
        own = labels == c
        mass = sizes[own].sum()
        share = -1.0 if c == 2 else mass / treated
        psi[own] = share * sizes[own] / mass * (y[own] - np.average(y[own], weights=sizes[own]))
    return psi


def test_power_one_is_leave_one_cluster_out_with_fixed_shares():
    y, labels, sizes = arms_data()
    psi = effect_contributions(y, labels, sizes)
    shares = np.array([sizes[labels == 0].sum(), sizes[labels == 1].sum()])
    full = average_effect(y, labels, sizes)
    squares = 0.0
    for g in range(13):
        kept = np.arange(13) != g
        mean = [
            np.average(y[kept & (labels == c)], weights=sizes[kept & (labels == c)])
            for c in (0, 1, 2)
        ]
        squares += (np.average(mean[:2], weights=shares) - mean[2] - full) ** 2
    found = arm_variance(psi, labels, sizes, 2, power=1.0)
    assert found.variance == pytest.approx(squares, rel=BRUTE_FORCE)


def test_equal_sizes_give_unequal_variance_t_test_and_satterthwaite_freedom():
    """Two arms of equal clusters: CR2 is Welch's variance; df of Imbens and Kolesar by hand."""
    y = np.array([1.0, 3, 2, 8, 4, 6, 7])
    labels = np.repeat([0, 1], [3, 4])
    psi = np.where(labels == 0, 1 / 3, -1 / 4) * (
        y - np.where(labels == 0, y[:3].mean(), y[3:].mean())
    )
    found = arm_variance(psi, labels, np.ones(7), 1)
    assert found.variance == pytest.approx(y[:3].var(ddof=1) / 3 + y[3:].var(ddof=1) / 4)
    by_hand = (1 / 3 + 1 / 4) ** 2 / (1 / 9 / 2 + 1 / 16 / 3)
    assert found.df == pytest.approx(by_hand, rel=BRUTE_FORCE)


def test_freedoms_are_the_moments_of_the_variance():
    _, labels, sizes = arms_data()
    rng = np.random.default_rng(1)
    values = [
        arm_variance(effect_contributions(rng.normal(size=13), labels, sizes), labels, sizes, 2)
        for _ in range(20_000)
    ]
    drawn = np.array([v.variance for v in values])
    assert 2 * drawn.mean() ** 2 / drawn.var() == pytest.approx(values[0].df, rel=0.05)


def test_jackknife_covariance():
    values = np.random.default_rng(2).normal(size=(8, 2))
    full = values.mean(axis=0)
    left = np.stack([np.delete(values, g, axis=0).mean(axis=0) for g in range(8)])
    expected = np.cov(values.T) / 8
    np.testing.assert_allclose(jackknife_covariance(full, left), expected, rtol=BRUTE_FORCE)
    left[3, 0] = np.nan
    with pytest.raises(InferenceError, match=r"without cluster number 4 of 8 \(1 cluster\)"):
        jackknife_covariance(full, left)


def test_an_arm_of_one_cluster_is_refused():
    with pytest.raises(InferenceError, match=r"Cluster number 3 of 5 is alone in its arm"):
        arm_variance(np.zeros(5), np.array([0, 0, 1, 2, 2]), np.ones(5), 2)


def regression_blocks(seed=0, n_clusters=12):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_clusters, 5, 2))
    y = x @ np.array([1.0, -2.0]) + rng.normal(size=(n_clusters, 5))
    return x, y, np.einsum("gnk,gnl->gkl", x, x), np.einsum("gnk,gn->gk", x, y)


def test_pairs_bootstrap_equals_stacking_rows():
    x, y, gram, cross = regression_blocks()
    found = pairs_cluster_bootstrap(gram, cross, np.eye(2), draws=20, seed=4)
    counts = np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=20)
    for count, draw in zip(counts, found.draws, strict=True):
        picked = np.repeat(np.arange(12), count)
        beta = np.linalg.lstsq(x[picked].reshape(-1, 2), y[picked].ravel(), rcond=None)[0]
        np.testing.assert_allclose(draw, beta, rtol=1e-10)
    assert found.failed == 0
    np.testing.assert_allclose(found.std_errors(), found.draws.std(axis=0, ddof=1))
    assert found.intervals(0.9).shape == (2, 2)


def test_resamples_without_treatment_are_refused_when_many():
    treated = np.zeros((10, 4, 2))
    treated[:, :, 1] = 1
    treated[0, :, 0] = 1
    gram = np.einsum("gnk,gnl->gkl", treated, treated)
    with pytest.raises(InferenceError, match=r"of 999 resamples leave .* unidentified"):
        pairs_cluster_bootstrap(gram, gram[:, 0] + 1.0, np.eye(2))
