"""Correlated random effects: unit averages as additional regressors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from impact.design import Design
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.generalised import averages_test, fit_random_effects, with_unit_means
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result
from impact.estimators.parts.variables import design_variables
from impact.result import Result

__all__ = ["Mundlak"]


@dataclass(frozen=True, kw_only=True)
class Mundlak(RegressionEstimator):
    r"""Regress by random effects with the unit average of each regressor added.

    .. math:: y_{it} = \alpha + x_{it}'\beta + \bar x_i'\pi + \mu_i + \nu_{it}

    Notes
    -----
    :math:`\beta` equals the fixed-effects estimate, and coefficients of variables that are
    constant over time can be had beside it. ``extra["hausman"]`` tests :math:`\pi = 0`, Hausman's
    hypothesis, with the estimator's own covariance, so that it holds under clustering. Regressors
    constant within units have no average of their own. Weights are refused.

    Source
    ------
    Mundlak (1978), Econometrica 46(1), eq. (2.8); Wooldridge (2010), section 10.7.3, for the test.
    """

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients within and between units"

    def _estimate(self, design: Design) -> Result:
        variables = with_unit_means(design, design_variables(design))
        fit, components = fit_random_effects(
            design, variables, covariance=self.covariance, convention=self.convention
        )
        extra = {"components": components, "hausman": averages_test(fit)}
        return coefficient_result(self, design, fit, self.estimand, extra=extra)
