"""Fit a regression written as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from impact.design import Design
from impact.errors import DesignError, check_choice
from impact.estimators.fixed_effects import FixedEffects
from impact.estimators.panel_iv import PanelIV
from impact.estimators.parts.covariances import Covariance
from impact.estimators.poisson import PoissonFixedEffects
from impact.estimators.pooled import PooledOLS
from impact.formula import composed, read_formula
from impact.inference.clusters import Convention
from impact.result import Result

__all__ = ["fit_formula"]


def fit_formula(
    formula: str,
    frame: pd.DataFrame,
    *,
    unit: str,
    time: str,
    clusters: str | Sequence[str] | None = None,
    weights: str | None = None,
    family: Literal["linear", "poisson"] = "linear",
    covariance: Covariance = "CR1",
    convention: Convention = "fixest",
) -> Result:
    """Fit ``outcome ~ regressors | effects | endogenous ~ instruments``.

    Parameters
    ----------
    formula : see `read_formula`
    frame : one row a unit and period
    unit, time : columns
    clusters, weights : as in Design; clusters are the units if None
    family : "linear", or "poisson" for a mean that is the exponential of the terms
    covariance, convention : as in the regression estimators

    Returns
    -------
    Result : of PooledOLS, FixedEffects, PanelIV or PoissonFixedEffects, whichever the formula asks

    Raises
    ------
    DesignError : instruments in a Poisson regression, or no intercept
    """
    check_choice("family", family, ("linear", "poisson"))
    model = read_formula(formula, frame, unit=unit, time=time)
    several = [clusters] if isinstance(clusters, str) else clusters
    design = Design(
        model.panel,
        outcome=model.outcome,
        covariates=model.covariates,
        clusters=None if several is None else [composed(name) for name in several],
        weights=None if weights is None else composed(weights),
    )
    if family == "poisson" and not (model.effects or model.constant):
        raise DesignError(
            "a Poisson regression without effects has an intercept; the formula leaves it out. "
            'Drop "0 +" or "- 1".'
        )
    how = {"covariance": covariance, "convention": convention}
    if family == "poisson":
        if model.endogenous:
            raise DesignError(
                "a Poisson regression takes no instruments; the formula names "
                f'{", ".join(model.instruments)}. Use family="linear".'
            )
        return PoissonFixedEffects(effects=model.effects, **how).fit(design)  # type: ignore[arg-type]
    if model.endogenous:
        return PanelIV(
            endogenous=model.endogenous,
            instruments=model.instruments,
            effects=model.effects,
            constant=model.constant,
            **how,  # type: ignore[arg-type]
        ).fit(design)
    if model.effects:
        return FixedEffects(effects=model.effects, **how).fit(design)  # type: ignore[arg-type]
    return PooledOLS(constant=model.constant, **how).fit(design)  # type: ignore[arg-type]
