"""The forms of joint uncertainty answer alike."""

import numpy as np
import pytest

from impact.inference.scores import CovarianceScores, Replicates, Scores, Uncertainty


@pytest.fixture
def psi():
    return np.random.default_rng(0).normal(size=(40, 3)) / 40


def test_scores_and_closed_form_agree(psi):
    W = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, -1.0]])
    dense = Scores(psi, factor=1.1, df=39.0)
    closed = CovarianceScores(1.1 * psi.T @ psi, lambda: psi, 40, 39.0)
    for one in (dense, closed):
        assert isinstance(one, Uncertainty)
        np.testing.assert_allclose(one.covariance(), 1.1 * psi.T @ psi, rtol=1e-12)
        np.testing.assert_allclose(one.variances(), np.diag(one.covariance()), rtol=1e-12)
        view = one.combine(W)
        np.testing.assert_allclose(view.covariance(), W @ one.covariance() @ W.T, rtol=1e-12)
        np.testing.assert_allclose(view.contributions(), psi @ W.T, rtol=1e-12)
        assert view.n_clusters == 40
        assert view.df == 39.0


def test_replicates_scale_and_centre():
    draws = np.random.default_rng(1).normal(size=(50, 2))
    boot = Replicates(draws, 20, "bootstrap")
    np.testing.assert_allclose(boot.covariance(), np.cov(draws.T), rtol=1e-12)
    jack = Replicates(draws, 50, "jackknife", scale=49 / 50)
    np.testing.assert_allclose(jack.covariance(), 49 / 50 * 49 * np.cov(draws.T), rtol=1e-12)
    around = Replicates(draws, 20, "placebo", scale=1 / 50, centre=np.zeros(2))
    np.testing.assert_allclose(around.variances(), (draws**2).mean(axis=0), rtol=1e-12)
    W = np.array([[1.0, -1.0]])
    np.testing.assert_allclose(
        around.combine(W).variances(), ((draws @ W.T) ** 2).mean(axis=0), rtol=1e-12
    )
    assert boot.contributions() is None
