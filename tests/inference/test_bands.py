"""Critical values against known laws."""

import numpy as np
import pytest
from scipy import stats

from impact.errors import InferenceError
from impact.inference import bands

# 20,000 draws give a 95 % quantile of max |Z| a Monte Carlo s.d. of about 0.01.
MONTE_CARLO = 0.04


def test_pointwise_values_are_those_of_the_t_distribution():
    assert float(bands.pointwise_critical_value(0.95, None)) == pytest.approx(1.959963984540054)
    assert float(bands.pointwise_critical_value(0.9, 7)) == pytest.approx(stats.t.ppf(0.95, 7))
    p = bands.two_sided_p_values(np.array([1.959963984540054, -2.0]), None)
    np.testing.assert_allclose(p, 2 * stats.norm.sf([1.959963984540054, 2.0]), rtol=1e-12)
    np.testing.assert_allclose(bands.two_sided_p_values(np.array([2.0]), 5), 2 * stats.t.sf(2.0, 5))


@pytest.mark.parametrize("count", [2, 5, 20])
def test_independent_estimates_need_the_sidak_value(count):
    exact = stats.norm.ppf(0.5 + 0.95 ** (1 / count) / 2)
    scale = np.diag(np.linspace(0.1, 3, count))
    assert bands.simultaneous_critical_value(scale) == pytest.approx(exact, abs=MONTE_CARLO)


def test_perfectly_correlated_estimates_need_no_more_than_one():
    value = bands.simultaneous_critical_value(np.ones((6, 6)))
    assert value == pytest.approx(1.96, abs=MONTE_CARLO)
    assert bands.simultaneous_critical_value(np.diag([1.0, 0.0])) == pytest.approx(
        1.95996, abs=1e-5
    )


def test_few_degrees_of_freedom_widen_the_band():
    exact = stats.t.ppf(0.975, 5)
    assert bands.simultaneous_critical_value(np.ones((3, 3)), df=5) == pytest.approx(exact, abs=0.1)


def test_same_seed_same_value_and_the_level_must_be_a_share():
    one = bands.simultaneous_critical_value(np.eye(4), seed=3)
    assert one == bands.simultaneous_critical_value(np.eye(4), seed=3)
    assert one != bands.simultaneous_critical_value(np.eye(4), seed=4)
    with pytest.raises(InferenceError, match=r"share between 0 and 1.*it was 95"):
        bands.simultaneous_critical_value(np.eye(4), 95)


@pytest.mark.parametrize("kind", ["mammen", "rademacher", "webb", "gaussian"])
def test_multiplier_draws_have_the_covariance_of_the_contributions(kind):
    psi = np.random.default_rng(0).normal(size=(30, 2))
    draws = bands.multiplier_draws(psi, 40_000, kind=kind, seed=1)
    assert np.abs(draws.mean(axis=0)).max() < 5 * np.sqrt((psi**2).sum() / 40_000)
    np.testing.assert_allclose(draws.T @ draws / 40_000, psi.T @ psi, atol=1.0)


def test_an_unknown_multiplier_names_the_known_ones():
    with pytest.raises(InferenceError, match='Did you mean "mammen"'):
        bands.multiplier_draws(np.ones((3, 1)), 10, kind="mamen")


def test_joint_wald_equals_the_textbook_form_and_survives_singularity():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(3, 3))
    V, b = root @ root.T, rng.normal(size=3)
    statistic, rank, p = bands.joint_wald(b, V)
    assert statistic == pytest.approx(b @ np.linalg.solve(V, b), rel=1e-9)
    assert rank == 3
    assert p == pytest.approx(stats.chi2.sf(statistic, 3))
    twice = np.vstack((np.eye(3), [[1.0, 1.0, 0.0]]))
    again = bands.joint_wald(twice @ b, twice @ V @ twice.T)
    assert again[0] == pytest.approx(statistic, rel=1e-6)
    assert again[1] == 3
    assert bands.joint_wald(b, V, df=10)[2] == pytest.approx(stats.f.sf(statistic / 3, 3, 10))
