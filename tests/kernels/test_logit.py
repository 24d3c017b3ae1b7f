"""The logit against statsmodels, and separation."""

import numpy as np
import pytest

from impact.kernels.logit import fit_logit


def test_equals_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    X = np.column_stack((np.ones(300), rng.normal(size=(300, 2))))
    treated = rng.random(300) < 1 / (1 + np.exp(-X @ [0.2, 1.0, -0.5]))
    weights = rng.uniform(0.5, 2, 300)
    fit = fit_logit(X, treated, weights)
    glm = sm.GLM(treated.astype(float), X, family=sm.families.Binomial(), freq_weights=weights)
    theirs = glm.fit(tol=1e-14, maxiter=200)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, theirs.params, rtol=1e-9)
    np.testing.assert_allclose(fit.inverse_information, theirs.cov_params(), rtol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_separation_is_not_taken_for_convergence(scale):
    x = np.linspace(-1, 1, 40) * scale
    X = np.column_stack((np.ones(40), x))
    assert not fit_logit(X, x > 0, np.ones(40)).converged
