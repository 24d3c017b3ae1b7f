"""What the regression estimators share: a design's rows in, coefficients as a Result out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import DesignError, EstimationError, check_choice, listing, near, plural
from impact.estimators.base import Estimator
from impact.inference.clusters import (
    CONVENTIONS,
    KINDS,
    BlockScores,
    Convention,
    Kernel,
    Kind,
    count_effects,
    full_regression,
)
from impact.inference.spatial import (
    BeckKatzKernel,
    ConleyKernel,
    DriscollKraayKernel,
    NeweyWestKernel,
)
from impact.kernels.absorb import Absorber, absorb
from impact.kernels.groups import Groups, compact
from impact.kernels.least_squares import LeastSquares, Redundancy, least_squares
from impact.result import Result

__all__ = [
    "BeckKatz",
    "Conley",
    "Covariance",
    "DriscollKraay",
    "NeweyWest",
    "Regression",
    "RegressionEstimator",
    "Variables",
    "cluster_groups",
    "coefficient_cells",
    "coefficient_result",
    "design_variables",
    "difference",
    "effect_groups",
    "paired_rows",
    "regress",
    "slope_columns",
    "split_slopes",
    "take_rows",
    "unit_means",
    "unit_trend",
    "why_redundant",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class DriscollKraay:
    """Ask for Driscoll and Kraay's covariance: errors correlate across units and over time.

    Parameters
    ----------
    lags : Bartlett lags over periods; floor(4 (T/100)^(2/9)) if None
    """

    lags: int | None = None

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return DriscollKraayKernel(design.periods[rows.time_codes], self.lags)


@dataclass(frozen=True)
class NeweyWest:
    """Ask for Newey and West's covariance within units: errors correlate over time only.

    Parameters
    ----------
    lags : Bartlett lags over periods; floor(4 (T/100)^(2/9)) if None
    """

    lags: int | None = None

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return NeweyWestKernel(rows.unit_codes, design.periods[rows.time_codes], self.lags)


@dataclass(frozen=True)
class BeckKatz:
    """Ask for Beck and Katz's panel-corrected covariance; the panel must be balanced."""

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return BeckKatzKernel(rows.unit_codes, rows.time_codes, fit.regressors, fit.residuals)


@dataclass(frozen=True)
class Conley:
    """Ask for Conley's covariance: errors correlate up to a distance, within periods.

    Parameters
    ----------
    cutoff : km
    latitude, longitude : columns in degrees
    lags : Bartlett lags over which a unit's own errors correlate
    shape : "uniform" or "bartlett" fall of the correlation with distance
    distance : "spherical", or "plane" as fixest's triangular distance
    across_periods : count pairs of rows whatever their periods (a cross-section)
    """

    cutoff: float
    latitude: str = "lat"
    longitude: str = "lon"
    lags: int = 0
    shape: Literal["uniform", "bartlett"] = "uniform"
    distance: Literal["spherical", "plane"] = "spherical"
    across_periods: bool = False

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return ConleyKernel(
            design.sample.numeric(self.latitude),
            design.sample.numeric(self.longitude),
            self.cutoff,
            None if self.across_periods else design.periods[rows.time_codes],
            rows.unit_codes,
            self.lags,
            self.shape,
            self.distance,
        )


Covariance = Kind | DriscollKraay | NeweyWest | BeckKatz | Conley


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
        elif not hasattr(self.covariance, "kernel"):
            raise DesignError(
                f"{self.name}: covariance may be {listing(KINDS, 12)}, DriscollKraay(), "
                f"NeweyWest(), BeckKatz() or Conley(cutoff=...); it was {self.covariance!r}."
            )
        check_choice(f"{self.name}: convention", self.convention, CONVENTIONS)


@dataclass(frozen=True, eq=False)
class Variables:
    """The columns of a regression: outcome (n,), regressors (k, n) with their names."""

    rows: DesignRows
    outcome: Floats
    regressors: Floats
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.outcome)

    def with_constant(self) -> Variables:
        """Add a column of ones, named "constant", as the last."""
        ones = np.ones((1, self.n))
        return Variables(
            self.rows,
            self.outcome,
            np.concatenate((self.regressors, ones)),
            (*self.names, "constant"),
        )


def design_variables(design: Design) -> Variables:
    """Take the treatment, if one is stated, and the covariates as regressors."""
    rows = design.rows()
    return Variables(rows, rows.outcome, np.ascontiguousarray(rows.regressors.T), rows.names)


def difference(design: Design, variables: Variables, span: int = 1) -> Variables:
    """Subtract from each row the unit's row exactly ``span`` periods before.

    Raises
    ------
    EstimationError : no unit is observed at two periods that far apart
    """
    rows = variables.rows
    earlier, later = paired_rows(design, rows, span)
    if not len(later):
        raise EstimationError(
            f"no unit is observed at two periods {plural(span, 'step')} apart: nothing to "
            f"subtract. Periods run {design.periods[0]}-{design.periods[-1]}. Use a smaller span."
        )
    return Variables(
        take_rows(rows, later),
        variables.outcome[later] - variables.outcome[earlier],
        variables.regressors[:, later] - variables.regressors[:, earlier],
        variables.names,
    )


def paired_rows(design: Design, rows: DesignRows, span: int) -> tuple[Integers, Integers]:
    """Find rows and the same unit's rows ``span`` steps before: positions (earlier, later).

    One step is the smallest distance between two of the panel's periods.
    """
    periods = design.periods
    step = int(np.diff(periods).min()) if len(periods) > 1 else 1
    when = periods[rows.time_codes] - periods[0]
    width = int(when.max(initial=0)) + span * step + 1
    key = rows.unit_codes * width + when + span * step
    at = np.searchsorted(key, key - span * step)
    later = np.flatnonzero(key[at] == key - span * step)
    return at[later], later


def take_rows(rows: DesignRows, keep: Integers) -> DesignRows:
    """Keep some of a design's rows."""
    return DesignRows(
        unit_codes=rows.unit_codes[keep],
        time_codes=rows.time_codes[keep],
        cluster_codes=rows.cluster_codes[keep],
        outcome=rows.outcome[keep],
        regressors=rows.regressors[keep],
        names=rows.names,
        weights=None if rows.weights is None else rows.weights[keep],
    )


def unit_means(design: Design, variables: Variables) -> Variables:
    """Average outcome and regressors over each unit's rows, one row a unit."""
    rows = variables.rows
    units = Groups(rows.unit_codes, design.sample.n_units)
    weights = rows.weights
    counts = units.counts if weights is None else units.total(weights)
    first = np.searchsorted(rows.unit_codes, np.arange(units.size))
    kept = take_rows(rows, first)
    averages = [
        units.total(column if weights is None else column * weights) / counts
        for column in (variables.outcome, *variables.regressors)
    ]
    means = replace(kept, weights=None if weights is None else counts / units.counts)
    return Variables(means, averages[0], np.stack(averages[1:]), variables.names)


def unit_trend(design: Design) -> Floats:
    """Return the time since the first period of each row, shape (1, n)."""
    since = (design.periods - design.periods[0]).astype(np.float64)
    trend: Floats = since[None, design.sample.time_codes]
    return trend


def effect_groups(design: Design, rows: DesignRows, effects: Sequence[str]) -> list[Groups]:
    """Code fixed effects by name: "unit", "time", a column, or columns crossed as "a^b".

    Raises
    ------
    DesignError : an unknown or missing effect, or one with slopes
    """
    for effect in effects:
        if "[" in effect:
            raise DesignError(
                f'fixed effect "{effect}" asks for slopes by group, which FixedEffects takes and '
                "this estimator does not. Name the effect alone."
            )
    return [_effect(design, rows, effect) for effect in effects]


def split_slopes(effects: Sequence[str]) -> tuple[list[str], list[str]]:
    """Read "group[x, z]" among effects: the effects, that one first, and its variables.

    Raises
    ------
    DesignError : brackets that cannot be read, or slopes of two effects
    """
    with_slopes = [effect for effect in effects if "[" in effect]
    if not with_slopes:
        return list(effects), []
    read = re.fullmatch(r"([^\[\]]+)\[([^\[\]]+)\]", with_slopes[0].strip())
    if read is None or len(with_slopes) > 1:
        raise DesignError(
            f'fixed effects with slopes are written "group[x]" or "group[x, z]", for one group '
            f'variable; they were {listing(with_slopes)}. Cross groups as "a^b[x]" if both matter.'
        )
    others = [effect for effect in effects if effect != with_slopes[0]]
    return [read[1].strip(), *others], [name.strip() for name in read[2].split(",")]


def slope_columns(design: Design, names: Sequence[str]) -> Floats:
    """Return the variables whose slopes differ by group, shape (q, n).

    Raises
    ------
    DesignError : one is missing in some row
    """
    columns = [
        unit_trend(design)[0]
        if name in ("time", design.panel.time)
        else design.sample.numeric(name)
        for name in names
    ]
    for name, column in zip(names, columns, strict=True):
        missing = int(np.isnan(column).sum())
        if missing:
            raise DesignError(
                f'"{name}", whose slope differs by group, is missing in {plural(missing, "row")}. '
                "Name it as a covariate to leave those rows out, or fill it."
            )
    return np.array(columns)


def _effect(design: Design, rows: DesignRows, effect: str) -> Groups:
    first, *others = [_effect_part(design, rows, p.strip(), effect) for p in effect.split("^")]
    for other in others:
        first = compact(first.codes * other.size + other.codes)
    return first


def _effect_part(design: Design, rows: DesignRows, name: str, effect: str) -> Groups:
    panel = design.sample
    if name in ("unit", panel.unit):
        return Groups(rows.unit_codes, panel.n_units)
    if name in ("time", panel.time):
        return Groups(rows.time_codes, panel.n_periods)
    if name not in panel.frame.columns:
        known = ["unit", "time", *map(str, panel.frame.columns)]
        raise DesignError(
            f'fixed effect "{effect}" names "{name}", which is no column of the panel. '
            f'{near(name, known)}Use "unit", "time", a column, or columns crossed as "a^b".'
        )
    column = panel.column(name)
    missing = int(column.isna().sum())
    if missing:
        raise DesignError(
            f'fixed effect "{effect}": column "{name}" is missing in {plural(missing, "row")}; a '
            "row without its group cannot be compared within it. Fill it, or drop those rows."
        )
    values = column if panel.order is None else column.iloc[panel.order]
    return compact(pd.factorize(values, sort=True)[0])


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
            "r_squared_within": fit.r_squared_within,
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
    covariance: Covariance = "CR1",
    convention: Convention = "fixest",
) -> Regression:
    """Fit least squares with absorbed effects and the design's weights and clusters.

    Parameters
    ----------
    effects : absorbed effects; the first carries ``slopes``
    slopes : shape (q, n), variables with a slope a group of the first effect

    Notes
    -----
    A regressor that effects or other regressors explain exactly has no coefficient; it is for
    the caller to say whether an answer is left.
    """
    rows = variables.rows
    absorber = absorb(effects, rows.weights, slopes) if effects else None
    fit = least_squares(
        variables.outcome,
        variables.regressors,
        rows.weights,
        sweep=None if absorber is None else absorber.sweep,
        n_effects=0 if absorber is None else absorber.rank,
        leverage_of_effects=None if absorber is None else absorber.leverage,
    )
    clusters = cluster_groups(design, rows, effects)
    full = cache(
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
    kind = covariance if isinstance(covariance, str) else covariance.kernel(design, rows, fit)
    contrast = np.zeros((len(variables.names), len(fit.kept)))
    contrast[fit.kept, np.arange(len(fit.kept))] = 1.0
    counts = count_effects(effects, clusters, fit.n_effects, 0 if slopes is None else len(slopes))
    uncertainty = BlockScores(fit, clusters, contrast, counts, full, kind, convention)
    lone = [(effect.counts[effect.codes] == 1) for effect in effects if effect.counts.min() == 1]
    n_lone = int(np.logical_or.reduce(lone).sum()) if lone else 0
    return Regression(variables, fit, uncertainty, absorber, n_lone)


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
    )
