"""Random effects: feasible generalised least squares with unit and period components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from impact.design import Design
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.generalised import fit_random_effects
from impact.estimators.parts.regression import (
    RegressionEstimator,
    coefficient_result,
    design_variables,
)
from impact.kernels.variance_components import Method
from impact.result import Result

__all__ = ["RandomEffects"]


@dataclass(frozen=True, kw_only=True)
class RandomEffects(RegressionEstimator):
    r"""Regress by generalised least squares, unit effects taken for random.

    .. math:: y_{it} = \alpha + x_{it}'\beta + \mu_i + [\lambda_t] + \nu_{it}

    Parameters
    ----------
    effects : "unit" for unit effects, "two_way" for unit and period effects
    method : variance components: "swamy_arora", "amemiya", "wallace_hussain" or "nerlove"

    Notes
    -----
    Assumes that unit effects do not correlate with the regressors; `hausman_test` and the
    Mundlak estimator test and drop that assumption. Panels may be unbalanced: rows are transformed
    by each unit's own number of rows and, with two-way effects, by the exact inverse root of their
    covariance; two-way components are unbiased for any pattern of gaps. "nerlove" is for unit
    effects alone. A component estimated negative is set to zero, with a note. Weights are refused.

    Source
    ------
    Baltagi (2021), Econometric Analysis of Panel Data, sections 2.4, 3.3, 9.2 and 9.4.
    """

    effects: Literal["unit", "two_way"] = "unit"
    method: Method = "swamy_arora"

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients with random effects"

    def _estimate(self, design: Design) -> Result:
        fit, components = fit_random_effects(
            design,
            design_variables(design),
            effects=self.effects,
            method=self.method,
            covariance=self.covariance,
            convention=self.convention,
        )
        notes = tuple(
            f"The variance of {name} effects was estimated negative and is taken as zero."
            for name in components.negative
        )
        extra = {"components": components}
        return coefficient_result(self, design, fit, self.estimand, notes, extra)
