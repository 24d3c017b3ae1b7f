"""Pooled least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from impact.design import Design
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.absorbed import AbsorbedEffects
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result, regress
from impact.estimators.parts.variables import design_variables
from impact.result import Result

__all__ = ["PooledOLS"]


@dataclass(frozen=True, kw_only=True)
class PooledOLS(RegressionEstimator):
    r"""Regress the outcome on treatment and covariates with one intercept for all rows.

    .. math:: y_{it} = \alpha + x_{it}'\beta + u_{it}

    Parameters
    ----------
    constant : include the intercept

    Notes
    -----
    Differences between units enter the estimates: with unit effects that correlate with the
    regressors the coefficients are biased, which FixedEffects avoids. Unbalanced panels and
    weights are used as they are; standard errors cluster by the design's clusters.

    Source
    ------
    Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, section 7.8.
    """

    constant: bool = True

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients of a pooled regression"

    def _estimate(self, design: Design) -> Result:
        variables = design_variables(design)
        if self.constant:
            variables = variables.with_constant()
        fit = regress(design, variables, covariance=self.covariance, convention=self.convention)
        return coefficient_result(
            self, design, fit, self.estimand, extra={"absorbed": AbsorbedEffects()}
        )
