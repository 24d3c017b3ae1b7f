"""Regression between units: averages over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from impact.design import Design
from impact.estimators.base import (
    NO_ANTICIPATION,
    TREATMENT_OR_COVARIATES,
    UNIT_CLUSTERS,
    Requirement,
)
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result, regress
from impact.estimators.parts.variables import design_variables, unit_means
from impact.result import Result

__all__ = ["Between"]


@dataclass(frozen=True, kw_only=True)
class Between(RegressionEstimator):
    r"""Regress unit averages of the outcome on unit averages of treatment and covariates.

    .. math:: \bar y_i = \alpha + \bar x_i'\beta + \bar u_i

    Notes
    -----
    Uses only differences between units, what fixed effects leave out; biased if unit effects
    correlate with the regressors. Averages are over each unit's observed rows, each unit counts
    once whatever their number; with weights, averages are weighted and a unit counts with its
    mean weight.

    Source
    ------
    Baltagi (2021), Econometric Analysis of Panel Data, section 2.3.
    """

    requires: ClassVar[tuple[Requirement, ...]] = (
        TREATMENT_OR_COVARIATES,
        NO_ANTICIPATION,
        UNIT_CLUSTERS,
    )
    estimand: ClassVar[str] = "coefficients between units"

    def _estimate(self, design: Design) -> Result:
        variables = unit_means(design, design_variables(design)).with_constant()
        fit = regress(design, variables, covariance=self.covariance, convention=self.convention)
        return coefficient_result(self, design, fit, self.estimand)
