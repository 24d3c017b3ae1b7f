"""Random effects: feasible generalised least squares with unit and period components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from impact.design import Design
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.generalised import fit_random_effects
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result
from impact.estimators.parts.variables import design_variables
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
    method : variance components: "swamy_arora", "amemiya" (Wansbeek and Kapteyn's where rows are
        missing), "wallace_hussain" or "nerlove"
    unbiased : whether the components of "amemiya" and "wallace_hussain" are corrected for the
        estimated coefficients; None corrects them where rows are missing, as R plm does

    Notes
    -----
    Assumes that unit effects do not correlate with the regressors; `hausman_test` and the
    Mundlak estimator test and drop that assumption. Panels may be unbalanced: rows are transformed
    by each unit's own number of rows and, with two-way effects, by the exact inverse root of their
    covariance; with gaps components are unbiased for any pattern, except "nerlove", the spread of
    the estimated effects. A component estimated negative is set to zero, with a note. Weights are
    refused.

    On Grunfeld's data these are the numbers that R plm prints, complete or with a row missing;
    ``unbiased=True`` gives Baltagi's Tables 2.1 and 3.1. plm's standard errors of unbalanced
    two-way models (2.6-9999) are not ours: they lack the scale of the errors.

    Source
    ------
    Baltagi (2021), Econometric Analysis of Panel Data, sections 2.4, 3.3, 9.2 and 9.4.
    """

    effects: Literal["unit", "two_way"] = "unit"
    method: Method = "swamy_arora"
    unbiased: bool | None = None

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients with random effects"

    def _estimate(self, design: Design) -> Result:
        fit, components = fit_random_effects(
            design,
            design_variables(design),
            effects=self.effects,
            method=self.method,
            unbiased=self.unbiased,
            covariance=self.covariance,
            convention=self.convention,
        )
        notes = tuple(
            f"The variance of {name} effects was estimated negative and is taken as zero."
            for name in components.negative
        )
        extra = {"components": components}
        return coefficient_result(self, design, fit, self.estimand, notes, extra)
