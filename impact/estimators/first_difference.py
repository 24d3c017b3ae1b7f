"""Regression in differences, one period or several apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from impact.design import Design
from impact.errors import DesignError
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result, regress
from impact.estimators.parts.variables import design_variables, difference
from impact.kernels.groups import compact
from impact.result import Result

__all__ = ["FirstDifference"]


@dataclass(frozen=True, kw_only=True)
class FirstDifference(RegressionEstimator):
    r"""Regress changes of the outcome on changes of treatment and covariates.

    .. math:: y_{it} - y_{i,t-s} = \alpha + (x_{it} - x_{i,t-s})'\beta + \Delta u_{it}

    Parameters
    ----------
    span : periods s between the two rows; more than one gives long differences
    constant : include an intercept, a common change per span
    time_effects : absorb an effect of each later period instead of the intercept

    Notes
    -----
    Gaps are respected: a difference is used only where both rows are observed exactly ``span``
    periods apart. One period is the smallest step between the panel's periods. Regressors that
    do not change drop out with a note. Weights are those of the later row.

    Source
    ------
    Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, section 10.6.
    """

    span: int = 1
    constant: bool = True
    time_effects: bool = False

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients in differences"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.span, (int, np.integer)) or self.span < 1:
            raise DesignError(
                f"FirstDifference: span counts whole periods, 1 or more; it was {self.span!r}."
            )

    def _estimate(self, design: Design) -> Result:
        variables = difference(design, design_variables(design), self.span)
        effects = [compact(variables.rows.time_codes)] if self.time_effects else []
        if self.constant and not self.time_effects:
            variables = variables.with_constant()
        fit = regress(
            design,
            variables,
            effects=effects,
            covariance=self.covariance,
            convention=self.convention,
        )
        return coefficient_result(self, design, fit, self.estimand)
