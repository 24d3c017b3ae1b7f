"""What the regression estimators share: a design's rows in, coefficients as a Result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import (
    DesignError,
    EstimationError,
    InferenceError,
    check_choice,
    listing,
    plural,
)
from impact.estimators.base import Estimator
from impact.estimators.parts.covariances import Covariance
from impact.estimators.parts.variables import Variables
from impact.inference.clusters import (
    CONVENTIONS,
    KINDS,
    BlockScores,
    Convention,
    FullRegression,
    count_effects,
    full_regression,
)
from impact.kernels.absorb import Absorber, absorb
from impact.kernels.groups import Groups, compact
from impact.kernels.least_squares import LeastSquares, Redundancy, least_squares
from impact.result import Result

__all__ = [
    "Regression",
    "RegressionEstimator",
    "cluster_groups",
    "coefficient_cells",
    "coefficient_result",
    "regress",
    "why_redundant",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SEVERAL_SLOPES = (
    "CR2, CR3 and the jackknife are not computed where several effects have slopes of their own. "
    "Use CR1, or give slopes to one effect only."
)


@dataclass(frozen=True, kw_only=True)
class RegressionEstimator(Estimator):
    """Base of the regression estimators: how their standard errors are computed.

    Parameters
    ----------
    covariance : "classical", "HC0" to "HC3", "CR0" to "CR3", "jackknife", or one of
        DriscollKraay, NeweyWest, BeckKatz, Conley
    convention : whose small-sample factor clustered covariances carry: "fixest", "stata",
        "areg", "sandwich", "clubsandwich", "plm", "linearmodels"
    """

    covariance: Covariance = "CR1"
    convention: Convention = "fixest"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.covariance, str):
            check_choice(f"{self.name}: covariance", self.covariance, KINDS)
        elif isinstance(self.covariance, type) or not hasattr(self.covariance, "kernel"):
            raise DesignError(
                f"{self.name}: covariance may be {listing(KINDS, 12)}, DriscollKraay(), "
                f"NeweyWest(), BeckKatz() or Conley(cutoff=...); it was {self.covariance!r}."
            )
        check_choice(f"{self.name}: convention", self.convention, CONVENTIONS)


@dataclass(frozen=True, eq=False)
class Regression:
    """A fitted regression with the uncertainty of all its coefficients, redundant ones as zero."""

    variables: Variables
    fit: LeastSquares
    uncertainty: BlockScores
    absorber: Absorber | None
    n_lone: int

    def coefficient(self, name: str) -> float:
        """Return one coefficient by name, NaN if it has none."""
        return float(self.coefficients[self.variables.names.index(name)])

    @property
    def coefficients(self) -> Floats:
        """All coefficients, shape (K,); NaN for redundant columns."""
        every = np.full(len(self.variables.names), np.nan)
        every[self.fit.kept] = self.fit.coefficients
        return every

    def notes(self) -> tuple[str, ...]:
        """Say what a reader of the coefficients must know."""
        names = self.variables.names
        notes = [
            f'"{names[r.column]}" has no coefficient: {why_redundant(r, names)}.'
            for r in self.fit.redundant
        ]
        if self.n_lone:
            notes.append(
                f"{plural(self.n_lone, 'row')} stand alone at a level of a fixed effect; it fits "
                "them exactly and they tell nothing about the coefficients."
            )
        return tuple(notes)

    def facts(self) -> Mapping[str, Any]:
        """Return sizes and fit statistics."""
        fit = self.fit
        return {
            "n_rows": fit.n_rows,
            "n_effects": fit.n_effects,
            "df_residual": fit.df_residual,
            "rss": fit.rss,
            "sigma2": fit.sigma2,
            **self._shares_explained(),
        }

    def _shares_explained(self) -> dict[str, float]:
        """Return R-squared, of all that is fitted and within the effects, plain and adjusted."""
        fit, outcome = self.fit, self.variables.outcome
        within = fit.r_squared_within
        if not len(outcome) or np.isnan(within):
            return {"r_squared_within": within}
        has_constant = self.absorber is not None or "constant" in self.variables.names
        centre = float(np.average(outcome, weights=fit.weights)) if has_constant else 0.0
        apart = (outcome - centre) ** 2
        variation = float(apart.sum() if fit.weights is None else apart @ fit.weights)
        whole = 1 - fit.rss / variation if variation > 0 else np.nan
        spare = max(fit.df_residual, 0) or np.nan
        shares = {
            "r_squared": whole,
            "adjusted_r_squared": 1 - (1 - whole) * (fit.n_rows - has_constant) / spare,
        }
        if self.absorber is None:
            return shares
        return shares | {
            "r_squared_within": within,
            "adjusted_r_squared_within": 1 - (1 - within) * (fit.n_rows - fit.n_effects) / spare,
        }


def why_redundant(redundancy: Redundancy, names: Sequence[str]) -> str:
    """Say what explains a column that has no coefficient."""
    if not redundancy.partners:
        return "the fixed effects, or being zero, explain it exactly"
    return f"{listing([names[j] for j in redundancy.partners], 5)} explain it exactly"


def regress(
    design: Design,
    variables: Variables,
    *,
    effects: Sequence[Groups] = (),
    slopes: Floats | None = None,
    further: Sequence[tuple[Groups, Floats]] = (),
    by_levels: bool = False,
    covariance: Covariance = "CR1",
    convention: Convention = "fixest",
) -> Regression:
    """Fit least squares with absorbed effects and the design's weights and clusters.

    Parameters
    ----------
    effects : absorbed effects; the first carries ``slopes``
    slopes : shape (q, n), variables with a slope a group of the first effect
    further : other effects with variables, (q, n), that have a slope a group of theirs
    by_levels : count levels and slopes less one an effect beyond the first, instead of the rank

    Notes
    -----
    A regressor that effects or other regressors explain exactly has no coefficient; it is for
    the caller to say whether an answer is left.
    """
    rows = variables.rows
    absorber = absorb(effects, rows.weights, slopes, further) if effects else None
    n_effects = 0 if absorber is None else absorber.rank
    n_further = sum(groups.size * len(variables) for groups, variables in further)
    if by_levels and effects:
        n_slopes = 0 if slopes is None else effects[0].size * len(slopes)
        levels = sum(effect.size for effect in effects) - (len(effects) - 1)
        n_effects = levels + n_slopes + n_further
    fit = least_squares(
        variables.outcome,
        variables.regressors,
        rows.weights,
        sweep=None if absorber is None else absorber.sweep,
        n_effects=n_effects,
        leverage_of_effects=None if absorber is None else absorber.leverage,
    )
    clusters = cluster_groups(design, rows, effects)
    full: Callable[..., FullRegression] = (
        _no_blocks
        if further
        else cache(
            partial(
                full_regression,
                fit,
                variables.outcome,
                variables.regressors[fit.kept] if fit.redundant else variables.regressors,
                rows.weights,
                effects,
                slopes,
                clusters[0],
            )
        )
    )
    kind = covariance if isinstance(covariance, str) else covariance.kernel(design, rows, fit)
    contrast = np.zeros((len(variables.names), len(fit.kept)))
    contrast[fit.kept, np.arange(len(fit.kept))] = 1.0
    counts = count_effects(effects, clusters, fit.n_effects, 0 if slopes is None else len(slopes))
    counts = replace(counts, fixest=counts.fixest + n_further)
    uncorrected = SEVERAL_SLOPES if further else ""
    uncertainty = BlockScores(fit, clusters, contrast, counts, full, kind, convention, uncorrected)
    lone = [(effect.counts[effect.codes] == 1) for effect in effects if effect.counts.min() == 1]
    n_lone = int(np.logical_or.reduce(lone).sum()) if lone else 0
    return Regression(variables, fit, uncertainty, absorber, n_lone)


def _no_blocks(**_: Any) -> FullRegression:
    raise InferenceError(SEVERAL_SLOPES)


def cluster_groups(
    design: Design, rows: DesignRows, effects: Sequence[Groups]
) -> tuple[Groups, ...]:
    """Code each cluster dimension, sharing groups with the unit effect where they are the same."""
    groups = []
    for name, codes in zip(design.cluster_columns, rows.cluster_codes.T, strict=True):
        shared = [e for e in effects if name == design.panel.unit and e.codes is rows.unit_codes]
        groups.append(shared[0] if shared else compact(np.ascontiguousarray(codes)))
    return tuple(groups)


def coefficient_cells(
    names: Sequence[str], estimates: Floats, notes: Sequence[str]
) -> pd.DataFrame:
    """Lay coefficients out as the cells of a Result."""
    return pd.DataFrame(
        {
            "term": list(names),
            "cohort": np.nan,
            "time": np.nan,
            "event_time": np.nan,
            "estimate": estimates,
            "weight": 1.0,
            "note": list(notes),
        }
    )


def coefficient_result(
    estimator: Estimator,
    design: Design,
    regression: Regression,
    estimand: str,
    notes: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Result:
    """Return all coefficients of a regression as a Result.

    Raises
    ------
    EstimationError : no regressor has variation left
    """
    names = regression.variables.names
    if not len(regression.fit.kept):
        raise EstimationError(
            f"no regressor varies within the fixed effects: {listing(names)} "
            f"{'is' if len(names) == 1 else 'are'} constant there, so no coefficient exists. "
            "Absorb fewer effects, or use regressors that change within units."
        )
    reasons = {r.column: why_redundant(r, names) for r in regression.fit.redundant}
    cells = coefficient_cells(
        names, regression.coefficients, [reasons.get(j, "") for j in range(len(names))]
    )
    return Result(
        estimator=estimator.name,
        design=design,
        cells=cells,
        uncertainty=regression.uncertainty,
        estimand=estimand,
        settings=estimator.settings(),
        notes=(*regression.notes(), *notes),
        extra={**regression.facts(), **(extra or {}), "regression": regression},
        clusters_used=_clusters_used(design, regression),
    )


def _clusters_used(design: Design, regression: Regression) -> NDArray[np.int64] | None:
    """Return the clusters whose rows the regression has, where it lacks some; None for all."""
    own, rows = regression.uncertainty, regression.variables.rows
    if not isinstance(own, BlockScores) or own.clusters[0].size == design.n_clusters:
        return None
    return np.unique(rows.cluster_codes[:, 0])
