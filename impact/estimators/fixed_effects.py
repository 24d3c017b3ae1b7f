"""Least squares with any number of fixed effects, and unit trends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from impact.design import Design
from impact.errors import DesignError
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.absorbed import AbsorbedEffects
from impact.estimators.parts.effects import effect_groups, slope_columns, split_slopes
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result, regress
from impact.estimators.parts.settings import column_names
from impact.estimators.parts.table_regression import (
    covariate_regressors,
    regress_table,
    treatment_regressors,
)
from impact.estimators.parts.variables import design_variables
from impact.result import Result

__all__ = ["FixedEffects"]


@dataclass(frozen=True, kw_only=True)
class FixedEffects(RegressionEstimator):
    r"""Regress the outcome on treatment and covariates within fixed effects.

    .. math:: y_{it} = x_{it}'\beta + \alpha_i + \lambda_t + \dots + u_{it}

    Parameters
    ----------
    effects : any of "unit", "time", columns of the panel, and columns crossed as "a^b"; they may
        carry slopes of their own for variables, as "unit[x]" or "region[x, z]"
    trends : give each unit a linear trend of its own, as "unit[time]" does
    effect_count : how many parameters the effects are: "rank", exactly, or "levels", all levels
        less one an effect beyond the first, fixest's default, which differs where levels fall into
        parts without link, as in "place^year" beside "unit", or nest each other

    Notes
    -----
    The effects are swept out exactly, whatever the gaps (Frisch-Waugh-Lovell). Covariates that
    effects or other covariates explain exactly get no coefficient and a note that says which.
    Effects with slopes take their own intercept too (fixest's ``unit[x]``); for coefficients by
    group that are of interest themselves there are SlopesByGroup and MeanGroup. Where several
    effects have slopes, those beside the largest effect's may number 3,000 with the levels, and
    CR2, CR3 and the jackknife are not computed, so that few clusters give no p-values by default.
    Where units adopt a treatment at different dates its coefficient compares newly treated
    with already treated units; use CallawaySantAnna for the treatment's effect then.

    Source
    ------
    Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, section 10.5;
    Baltagi (2021), Econometric Analysis of Panel Data, sections 2.2 and 3.2.
    """

    effects: str | Sequence[str] = ("unit", "time")
    trends: bool = False
    effect_count: Literal["rank", "levels"] = "rank"

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients within fixed effects"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = column_names(self.name, "effects", self.effects)
        object.__setattr__(self, "effects", names)
        if not names:
            raise DesignError(
                'FixedEffects: effects is empty. Name at least one, such as "unit", or use '
                "PooledOLS."
            )
        groups = split_slopes(names)
        if self.trends and "unit" not in groups:
            raise DesignError(
                'FixedEffects: trends are slopes of the unit effects; effects must include "unit"; '
                f"it was {names}."
            )

    def _needs_rows(self, design: Design) -> str | None:
        if self.effect_count == "levels":
            return 'effect_count="levels" counts the levels of rows'
        if set(self.effects) == {"unit", "time"} and not self.trends:
            return None
        return 'effects other than ("unit", "time") are swept out row by row'

    def _estimate(self, design: Design) -> Result:
        if design.table is not None:
            fit = regress_table(
                design,
                design.table,
                [*treatment_regressors(design), *covariate_regressors(design)],
                covariance=self.covariance,
                convention=self.convention,
            )
            label = ", ".join(self.effects)
            return coefficient_result(self, design, fit, f"{self.estimand} ({label})")
        variables = design_variables(design)
        slopes = split_slopes(tuple(self.effects))
        if self.trends and "time" not in slopes["unit"]:
            slopes["unit"].append("time")
        coded = dict(zip(slopes, effect_groups(design, variables.rows, list(slopes)), strict=True))
        # The largest effect with slopes is swept out first and its slopes with it.
        names = sorted(slopes, key=lambda name: -coded[name].size if slopes[name] else 0)
        groups = [coded[name] for name in names]
        own = [slope_columns(design, slopes[name]) if slopes[name] else None for name in names]
        further = [(g, z) for g, z in zip(groups[1:], own[1:], strict=True) if z is not None]
        fit = regress(
            design,
            variables,
            effects=groups,
            slopes=own[0],
            further=further,
            by_levels=self.effect_count == "levels",
            covariance=self.covariance,
            convention=self.convention,
        )
        absorbed = AbsorbedEffects(
            tuple(names), tuple(groups), tuple(slopes[names[0]]), own[0], bool(further)
        )
        label = ", ".join(self.effects) + (", unit trends" if self.trends else "")
        extra = {"absorbed": absorbed}
        return coefficient_result(self, design, fit, f"{self.estimand} ({label})", extra=extra)
