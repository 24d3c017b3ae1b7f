"""Tests of instruments: overidentification, exogeneity of regressors, Anderson and Rubin's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.estimators.parts.instrumented import Instrumented
from impact.estimators.parts.regression import Regression
from impact.inference.bands import joint_wald
from impact.kernels.instruments import efficient_minimum, quadratic_set
from impact.kernels.least_squares import LeastSquares
from impact.result import JointTest

__all__ = [
    "AcceptedValues",
    "anderson_rubin_set",
    "anderson_rubin_test",
    "hansen_test",
    "is_exact",
    "sargan_test",
    "wu_hausman_test",
]

Floats = NDArray[np.float64]

EXACT = 1e-25
"""Share of the outcome's sum of squares that rounding leaves in residuals."""

TOO_FEW = "clusters are too few to measure all moments"


@dataclass(frozen=True)
class AcceptedValues:
    """Values of a coefficient a test does not reject: intervals, perhaps unbounded or none."""

    level: float
    intervals: tuple[tuple[float, float], ...]

    @property
    def is_bounded(self) -> bool:
        """Whether the set has finite ends."""
        return all(np.isfinite(end) for interval in self.intervals for end in interval)


def is_exact(problem: Instrumented, fit: LeastSquares) -> bool:
    """Tell whether residuals are rounding beside the outcome."""
    outcome = problem.variables.outcome
    return float(fit.residuals @ fit.residuals) <= EXACT * float(outcome @ outcome)


def sargan_test(problem: Instrumented, structural: Regression) -> JointTest | None:
    """Test the excess instruments: n times R-squared of the residuals on all instruments."""
    excess = len(problem.instruments) - len(problem.endogenous)
    if not excess or is_exact(problem, structural.fit):
        return None
    auxiliary = problem.on_instruments(structural.fit.residuals).fit
    statistic = structural.fit.n_rows * auxiliary.r_squared_within
    p_value = float(special.chdtrc(excess, statistic))
    return JointTest("All instruments are exogenous (Sargan)", statistic, excess, p_value)


def hansen_test(problem: Instrumented, structural: Regression) -> JointTest | None:
    """Test the excess instruments by the moments' covariance under clusters or kernel."""
    excess = len(problem.instruments) - len(problem.endogenous)
    fit, own = structural.fit, structural.uncertainty
    undefined = problem.covariance == "classical" or len(own.clusters) > 1
    if not excess or undefined or is_exact(problem, fit):
        return None
    x = np.concatenate((problem.swept_endogenous, problem.swept_exogenous))
    z = np.concatenate((problem.swept_instruments, problem.swept_exogenous))
    z = z / np.sqrt(np.einsum("kn,kn->k", z, z))[:, None]
    weighted = z if problem.weights is None else z * problem.weights
    scores = weighted * fit.residuals
    if not isinstance(own.kind, str):
        spread = own.kind.meat(scores)
    else:
        summed = own.clusters[0].total(scores) if own.kind.startswith("CR") else scores
        spread = summed @ summed.T
    question = "All instruments are exogenous (Hansen)"
    if np.linalg.matrix_rank(spread, hermitian=True) < len(z):
        return JointTest(question, np.nan, excess, np.nan, note=TOO_FEW)
    statistic = efficient_minimum(weighted @ x.T, weighted @ problem.swept_outcome, spread)
    return JointTest(question, statistic, excess, float(special.chdtrc(excess, statistic)))


def wu_hausman_test(problem: Instrumented) -> JointTest:
    """Test by an F test whether first-stage residuals enter the outcome equation."""
    residuals = [problem.on_instruments(x).fit.residuals for x in problem.swept_endogenous]
    plain = problem.plain.fit
    wide = problem.regress(problem.swept_outcome, np.concatenate((plain.regressors, residuals)))
    m = len(residuals)
    question = "Regressors called endogenous are exogenous (Wu-Hausman F)"
    if wide.df_residual <= 0 or is_exact(problem, wide):
        return JointTest(question, np.nan, m, np.nan, note="the regression leaves no error")
    statistic = (plain.rss - wide.rss) / m / wide.sigma2
    p_value = float(special.fdtrc(m, wide.df_residual, statistic))
    return JointTest(question, statistic, m, p_value, float(wide.df_residual))


def anderson_rubin_test(problem: Instrumented) -> JointTest:
    """Test that all coefficients of endogenous regressors are zero, however weak instruments."""
    q, m = len(problem.instruments), len(problem.endogenous)
    reduced = problem.on_instruments(problem.swept_outcome)
    df = reduced.uncertainty.df
    statistic, rank, p_value = joint_wald(reduced.slopes, reduced.covariance, df=df)
    what = "The coefficient is" if m == 1 else f"All {m} coefficients are"
    question = f"{what} 0 (Anderson-Rubin)"
    if rank < q:
        return JointTest(question, np.nan, q, np.nan, df, TOO_FEW)
    return JointTest(question, statistic, rank, p_value, df)


def anderson_rubin_set(
    problem: Instrumented, structural: Regression, level: float = 0.95
) -> AcceptedValues:
    """Invert the Anderson-Rubin test: its covariance is quadratic in the tested value."""
    q = len(problem.instruments)
    y, x = problem.swept_outcome, problem.swept_endogenous[0]
    estimate = float(structural.fit.coefficients[0])
    width = float(np.sqrt(structural.uncertainty.variances()[problem.endogenous[0]])) or 1.0
    fits = [problem.on_instruments(y - (estimate + s * width) * x) for s in (0.0, 1.0, -1.0)]
    slopes = [fit.slopes for fit in fits]
    at, plus, minus = (fit.covariance for fit in fits)
    slope = slopes[1] - slopes[0]
    linear, curved = (plus - minus) / 2, (plus + minus) / 2 - at

    def spread(value: float) -> Floats:
        return np.asarray(at + value * linear + value**2 * curved)

    def statistic(value: float) -> float:
        apart = slopes[0] + value * slope
        return float(apart @ np.linalg.solve(spread(value), apart))

    df = fits[0].uncertainty.df
    critical = float(special.chdtri(q, 1 - level))
    if df is not None:
        critical = q * float(special.fdtri(q, df, level))
    found = quadratic_set(
        statistic, 2 * q, 0.0, 1.0, critical, lambda v: float(np.linalg.det(spread(v)))
    )
    ends = tuple((estimate + low * width, estimate + high * width) for low, high in found)
    return AcceptedValues(level, ends)
