"""What random-effects estimators share: components, transformation, regression."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from impact.design import Design
from impact.errors import DesignError, EstimationError, VarianceError
from impact.estimators.parts.covariances import Covariance
from impact.estimators.parts.regression import Regression, regress
from impact.estimators.parts.variables import Variables
from impact.inference.bands import joint_wald
from impact.inference.clusters import Convention
from impact.kernels.groups import Groups
from impact.kernels.quasi_demean import quasi_demean
from impact.kernels.variance_components import Components, Method, variance_components
from impact.result import JointTest

__all__ = ["averages_test", "fit_random_effects", "mean_name", "with_unit_means"]


def fit_random_effects(
    design: Design,
    variables: Variables,
    *,
    effects: Literal["unit", "two_way"] = "unit",
    method: Method = "swamy_arora",
    unbiased: bool | None = None,
    covariance: Covariance = "classical",
    convention: Convention = "fixest",
) -> tuple[Regression, Components]:
    """Estimate variance components, quasi-demean and regress.

    Raises
    ------
    DesignError : the design has weights
    EstimationError : no degrees of freedom for a component, or components that are not corrected
        on an unbalanced panel
    """
    if variables.rows.weights is not None:
        raise DesignError(
            "random effects take no weights: their variance components are defined for rows of "
            "equal weight. Use FixedEffects or PooledOLS with these weights, or a design without."
        )
    units = Groups(variables.rows.unit_codes, design.sample.n_units)
    times = Groups(variables.rows.time_codes, design.sample.n_periods)
    two_way = effects == "two_way"
    components = variance_components(
        variables.outcome,
        variables.regressors,
        [units, times] if two_way else [units],
        method,
        unbiased=unbiased,
    )
    full = variables.with_constant()
    stacked = np.concatenate((full.outcome[None, :], full.regressors))
    transformed = quasi_demean(stacked, components, units, times if two_way else None)
    ready = replace(full, outcome=transformed[0], regressors=transformed[1:])
    return regress(design, ready, covariance=covariance, convention=convention), components


def mean_name(name: str) -> str:
    """Name the unit average of a regressor."""
    return f"{name} (unit mean)"


def with_unit_means(design: Design, variables: Variables) -> Variables:
    """Add the unit average of each regressor that varies within units.

    Raises
    ------
    EstimationError : no regressor varies within units
    """
    units = Groups(variables.rows.unit_codes, design.sample.n_units)
    averages = units.spread(units.total(variables.regressors) / units.counts)
    scale = np.abs(variables.regressors).max(axis=1)
    apart = np.abs(variables.regressors - averages).max(axis=1)
    varies = np.flatnonzero(apart > 1e-12 * scale)
    if not len(varies):
        raise EstimationError(
            f"none of the regressors ({', '.join(variables.names)}) changes within a unit, so "
            "there is no within coefficient to set beside the one between units. Use Between."
        )
    return replace(
        variables,
        regressors=np.concatenate((variables.regressors, averages[varies])),
        names=(*variables.names, *(mean_name(variables.names[j]) for j in varies)),
    )


def averages_test(fit: Regression) -> JointTest:
    """Test that the unit averages have no coefficient of their own."""
    added = {mean_name(name) for name in fit.variables.names}
    keep = np.array([name in added for name in fit.variables.names])
    keep &= ~np.isnan(fit.coefficients)
    question = "Unit effects do not correlate with the regressors"
    try:
        covariance = fit.uncertainty.covariance()[np.ix_(keep, keep)]
    except VarianceError as error:
        return JointTest(question, np.nan, 0, np.nan, note=str(error))
    statistic, rank, p_value = joint_wald(fit.coefficients[keep], covariance, df=fit.uncertainty.df)
    return JointTest(question, statistic, rank, p_value, fit.uncertainty.df)
