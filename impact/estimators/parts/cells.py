"""What estimators of cohort-by-period effects share: cells, regressions, the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing
from impact.estimators.base import Estimator
from impact.estimators.parts.reporting import result_of
from impact.inference.linear import moment_uncertainty, small_sample_factor
from impact.inference.scores import CovarianceScores, Scores, Uncertainty
from impact.kernels.cell_regression import Solution, fit_moments, fit_rows, group_sums
from impact.kernels.moments import CohortMoments, LinearCells, cohort_moments
from impact.result import Result

__all__ = [
    "BASE_NOTE",
    "Cells",
    "GroupMoments",
    "Regression",
    "all_cells",
    "balanced_moments",
    "cell_result",
    "cluster_codes",
    "clusters_of_groups",
    "cohort_shares",
    "last_period_before",
    "linear_uncertainty",
    "moments_of",
    "moving_covariates",
    "period_dummies",
    "reasons_lost",
    "regress",
    "row_mass",
    "rows_seen",
    "time_step",
    "unlinked",
    "untreated_periods",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

BASE_NOTE = "base period: zero by construction"


@dataclass(frozen=True, eq=False)
class Cells:
    """K pairs of a cohort and a period, by position, with their event times."""

    cohort: Integers
    period: Integers
    event_time: Floats

    def __len__(self) -> int:
        return len(self.cohort)

    def __getitem__(self, keep: Booleans) -> Cells:
        return Cells(self.cohort[keep], self.period[keep], self.event_time[keep])

    def indicators(self, n_cohorts: int, n_periods: int) -> Floats:
        """Return one indicator a cell, shape (n_cohorts, n_periods, K)."""
        columns = np.zeros((n_cohorts, n_periods, len(self)))
        columns[self.cohort, self.period, np.arange(len(self))] = 1.0
        return columns


def all_cells(design: Design) -> Cells:
    """Return every pair of a treated cohort and a period."""
    n_cohorts, n_periods = len(design.cohort_values), len(design.periods)
    cohort = np.repeat(np.arange(n_cohorts), n_periods)
    period = np.tile(np.arange(n_periods), n_cohorts)
    return Cells(cohort, period, design.periods[period] - design.cohort_values[cohort])


def untreated_periods(design: Design) -> Booleans:
    """Tell which cohorts are untreated when, shape (C + 1, T), the never treated last."""
    onset = np.append(design.cohort_values, np.inf) - design.anticipation
    return np.asarray(design.periods[None, :] < onset[:, None])


def time_step(design: Design) -> int:
    """Return the largest distance that lies a whole number of times between periods and cohorts."""
    marks = np.unique(np.append(design.periods, design.cohort_values)).astype(np.int64)
    return max(int(np.gcd.reduce(np.diff(marks))), 1)


def period_dummies(design: Design) -> Floats:
    """Return one indicator a period, shape (C + 1, T, T)."""
    n_periods = len(design.periods)
    shape = (len(design.cohort_values) + 1, n_periods, n_periods)
    return np.broadcast_to(np.eye(n_periods), shape).copy()


def last_period_before(design: Design, cells: Cells) -> Booleans:
    """Mark each cohort's last cell before treatment, less anticipation, shape (K,)."""
    before = cells.event_time < -design.anticipation
    last = pd.Series(np.where(before, cells.event_time, -np.inf)).groupby(cells.cohort)
    return np.asarray(before & (cells.event_time == last.transform("max").to_numpy()))


def rows_seen(design: Design) -> Integers:
    """Count the units of each cohort observed in each period, shape (C + 1, T)."""
    if design.table is not None:
        return design.table.by_cell(weighted=False).astype(np.int64)
    return _by_cell(design, None).astype(np.int64)


def row_mass(design: Design) -> Floats:
    """Sum the weights of the rows of each cohort and period, shape (C + 1, T)."""
    if design.table is not None:
        return design.table.by_cell(weighted=True)
    return _by_cell(design, design.unit_weights)


def _by_cell(design: Design, weights: Floats | None) -> Floats:
    """Sum unit weights, or ones, over the rows of each cohort and period."""
    shape = (len(design.cohort_values) + 1, len(design.periods))
    if design.is_balanced:
        sizes = np.bincount(design.cohort_codes, weights, minlength=shape[0])
        return np.broadcast_to(sizes[:, None], shape).astype(np.float64)
    unit, period = design.sample.unit_codes, design.sample.time_codes
    keys = design.cohort_codes[unit] * shape[1] + period
    own = None if weights is None else weights[unit]
    sums = np.bincount(keys, own, minlength=shape[0] * shape[1])
    return sums.reshape(shape).astype(np.float64)


@dataclass(frozen=True, eq=False)
class GroupMoments:
    """Moments of P groups of units alike in cohort and in the periods they are observed in.

    ``cohort``, shape (P,), is each group's position among the cohorts, the never treated last;
    ``seen``, shape (P, T), says when its units are observed.
    """

    moments: CohortMoments
    cohort: Integers
    seen: Booleans

    def used(self, used: Booleans | None) -> Booleans:
        """Return which periods of each group enter, (P, T), of cells (C + 1, T); all if None."""
        return self.seen if used is None else self.seen & used[self.cohort]


def moments_of(design: Design) -> GroupMoments | None:
    """Return the moments of a balanced panel or of a table, None for rows with gaps in memory."""
    if design.table is not None:
        found = design.table.moments
        moments = CohortMoments(found.units, found.size, found.mean, found.second)
        return GroupMoments(moments, found.cohort, found.seen)
    if not design.is_balanced:
        return None
    moments = balanced_moments(design)
    seen = np.ones(moments.mean.shape, dtype=bool)
    return GroupMoments(moments, np.arange(len(seen)), seen)


def clusters_of_groups(design: Design, member: Booleans) -> int:
    """Count the clusters with a unit in any of the groups of `moments_of` marked, shape (P,)."""
    if design.table is None:
        clusters = cluster_codes(design)
        inside = member[design.cohort_codes]
        return int(inside.sum() if clusters is None else len(np.unique(clusters[inside])))
    table = design.table
    if table.roles.cluster is None:
        return int(table.moments.units[member].sum())
    rows = table.cluster_means if table.is_balanced else table.pattern_means
    return len(np.unique(rows.clusters[member[rows.codes]]))


def balanced_moments(design: Design) -> CohortMoments:
    """Return the cohort moments of a balanced panel, from its rows or from its table's engine."""
    if design.table is not None:
        found = design.table.moments
        return CohortMoments(found.units, found.size, found.mean, found.second)
    n_cohorts = len(design.cohort_values) + 1
    return cohort_moments(design.outcomes, design.cohort_codes, n_cohorts, design.unit_weights)


def linear_uncertainty(
    design: Design,
    linear: LinearCells,
    moments: CohortMoments,
    *,
    factor: float = 1.0,
    df: float | None = None,
) -> Uncertainty:
    """Return the uncertainty of estimates linear in group means, within the design's clusters.

    A cluster's contribution is linear in its units' outcomes, so that for a table one row for
    each cluster and group, their mean outcome weighted by their number, stands for the units.
    """
    if design.table is None:
        return moment_uncertainty(
            linear, moments, design.outcomes, design.cohort_codes, design.unit_weights,
            cluster_codes(design), factor=factor, df=df,
        )  # fmt: skip
    table = design.table

    def by_cluster() -> Floats:
        if table.is_balanced:
            rows = table.cluster_means
            return linear.contributions(
                rows.outcomes, rows.codes, moments, rows.sizes, rows.clusters
            )
        rows = table.pattern_means
        parts = linear.contributions(rows.outcomes, rows.codes, moments, rows.sizes)
        return group_sums(parts, rows.clusters, design.n_clusters)

    if table.roles.cluster is not None:
        return Scores(by_cluster(), factor, df)
    return CovarianceScores(
        factor * linear.covariance(moments),
        by_cluster,
        design.n_units,
        df,
    )


def reasons_lost(
    design: Design, cells: Cells, otherwise: str = "not identified beside the other regressors"
) -> list[str]:
    """Say for each cell that is not identified why it is not."""
    if not len(cells):
        return []
    seen = rows_seen(design) > 0
    anyone = np.any(seen & untreated_periods(design), axis=0)
    return [
        "no unit of the cohort is observed in this period"
        if not seen[c, t]
        else "nobody is untreated in this period"
        if not anyone[t]
        else otherwise
        for c, t in zip(cells.cohort, cells.period, strict=True)
    ]


def cohort_shares(design: Design) -> Floats:
    """Return each cohort's share of units, or of their weights, shape (C,)."""
    mass = _cohort_mass(design)
    return np.asarray(mass[:-1] / mass.sum())


def _cohort_mass(design: Design) -> Floats:
    """Count units, or sum their weights, by cohort, the never treated last, shape (C + 1,)."""
    if design.table is not None:
        return design.table.cohort_sizes
    return np.bincount(
        design.cohort_codes, design.unit_weights, minlength=len(design.cohort_values) + 1
    ).astype(np.float64)


def cluster_codes(design: Design) -> Integers | None:
    """Return the cluster of each unit, shape (N,); None where every unit is its own."""
    own = design.cluster_columns[0] == design.panel.unit
    return None if own else design.cluster_codes


def unlinked(design: Design) -> str:
    """Say why untreated rows do not determine a cell whose period has some."""
    if design.covariates:
        return "untreated rows do not tell period, unit and covariate effects apart here"
    return "no unit links this period to the cohort's untreated rows"


@dataclass(frozen=True, eq=False)
class Regression:
    """A fitted regression: its solution and the uncertainty of combinations (J, P) of it.

    ``covariate_scale``, shape (k,), is what covariates were divided by.
    """

    solution: Solution
    n_rows: int
    covariate_scale: Floats
    uncertainty: Callable[[Floats], Uncertainty]


def regress(
    design: Design,
    regressors: Floats,
    *,
    used: Booleans | None = None,
    covariates: Floats | None = None,
    unit_effects: bool = True,
    moments: GroupMoments | None = None,
    classical: bool = False,
) -> Regression:
    """Regress the design's outcome on cohort-by-period regressors, unit effects and covariates.

    Parameters
    ----------
    regressors : array, shape (C + 1, T, P), period indicators among them
    used : array, shape (C + 1, T), which cells of rows enter; all if None
    covariates : array, shape (N, T, k), whose coefficients follow the regressors'
    unit_effects : whether each unit has its own intercept
    moments : the design's, where they are already known
    classical : take errors as independent with one variance instead of clustering

    Notes
    -----
    Covariances are clustered with the factor G/(G-1) (n-1)/(n-K), unit effects nested in the
    clusters counting as one, and G - 1 degrees of freedom; classical ones divide by n - K, each
    unit effect counted, and have as many degrees of freedom.
    """
    n_clusters = design.n_clusters
    if classical:
        return _regress_classically(design, regressors, used, covariates, unit_effects)

    def scale(n_rows: int, solution: Solution) -> float:
        return small_sample_factor(n_clusters, n_rows, solution.rank + int(unit_effects))

    moments = moments or (moments_of(design) if covariates is None else None)
    if moments is not None and covariates is None:
        fit = fit_moments(
            moments.moments,
            regressors[moments.cohort],
            moments.used(used),
            unit_effects=unit_effects,
        )
        factor = scale(fit.n_rows, fit.solution)
        return Regression(
            fit.solution,
            fit.n_rows,
            np.ones(0),
            lambda functionals: linear_uncertainty(
                design,
                fit.linear(functionals),
                moments.moments,
                factor=factor,
                df=float(n_clusters - 1),
            ),
        )
    outcomes, codes, weights = design.outcomes, design.cohort_codes, design.unit_weights
    clusters = cluster_codes(design)
    kept = outcomes if used is None else np.where(used[codes], outcomes, np.nan)
    rows = fit_rows(kept, codes, regressors, covariates, weights, unit_effects=unit_effects)
    factor = scale(rows.n_rows, rows.solution)
    return Regression(
        rows.solution,
        rows.n_rows,
        rows.covariate_scale,
        lambda functionals: Scores(
            rows.contributions(functionals, clusters), factor, float(n_clusters - 1)
        ),
    )


def _regress_classically(
    design: Design,
    regressors: Floats,
    used: Booleans | None,
    covariates: Floats | None,
    unit_effects: bool,
) -> Regression:
    """Regress row by row, with the covariance s^2 (X'WX)^-1."""
    codes, clusters = design.cohort_codes, cluster_codes(design)
    kept = design.outcomes if used is None else np.where(used[codes], design.outcomes, np.nan)
    fit = fit_rows(
        kept, codes, regressors, covariates, design.unit_weights, unit_effects=unit_effects
    )
    n_effects = int((fit.weights > 0).any(axis=1).sum()) if unit_effects else 0
    df = fit.n_rows - fit.solution.rank - n_effects
    if df < 1:
        raise EstimationError(
            f"{fit.n_rows} rows and {fit.solution.rank + n_effects} coefficients leave nothing to "
            'estimate the variance from. Use covariance="CR1", or a longer panel.'
        )
    within = np.divide(
        fit.residuals**2, fit.weights, out=np.zeros(fit.weights.shape), where=fit.weights > 0
    )
    variance = within.sum() / df
    return Regression(
        fit.solution,
        fit.n_rows,
        fit.covariate_scale,
        lambda functionals: CovarianceScores(
            variance * functionals @ fit.solution.inverse @ functionals.T,
            lambda: fit.contributions(functionals, clusters),
            design.n_clusters,
            float(df),
            "classical",
        ),
    )


def moving_covariates(design: Design) -> list[str]:
    """Warn of covariates whose values after treatment began enter a regression."""
    moving = []
    for name in design.covariates:
        values = design.sample.matrix(name)
        seen = ~np.isnan(values)
        first = values[np.arange(len(values)), np.argmax(seen, axis=1)][:, None]
        after = seen & (design.periods >= design.cohorts[:, None])
        if (after & (values != first)).any():
            moving.append(name)
    if not moving:
        return []
    return [
        f"{listing(moving)} {'varies' if len(moving) == 1 else 'vary'} in time, and values "
        "measured after treatment began enter: what treatment does through them is taken off the "
        "effect. Use values from before, unless treatment cannot move them."
    ]


def _presence(design: Design) -> Floats:
    """Return the share of each treated cohort, by weight, observed in each period, (C, T)."""
    mass = row_mass(design)[:-1]
    if design.is_balanced:
        return np.ones(mass.shape)
    return np.asarray(mass / _cohort_mass(design)[:-1, None])


def cell_result(
    estimator: Estimator,
    design: Design,
    cells: Cells,
    estimates: Floats,
    uncertainty: Uncertainty,
    cell_notes: Sequence[str],
    *,
    notes: Sequence[str] = (),
    extra: dict[str, object] | None = None,
    comparison: Booleans | None = None,
    of_rows: Callable[[Floats], Uncertainty] | None = None,
) -> Result:
    """Put estimates of cells, (K,), and the uncertainty of cells and shares into a Result.

    ``comparison``, shape (C + 1, T), marks who serves as comparison when; all untreated if None.
    ``of_rows`` is as in ``Result``.

    Raises
    ------
    EstimationError : no cell after treatment has an estimate
    """
    after = cells.event_time >= 0
    if np.isnan(estimates[after]).all():
        reasons = sorted({note for note, late in zip(cell_notes, after, strict=True) if late})
        raise EstimationError(
            f"{estimator.name} can estimate none of the {after.sum()} effects after treatment: "
            f"{'; '.join(reasons)}. Add units treated later or never, or more periods."
        )
    shares = cohort_shares(design)
    cohorts, times = design.cohort_values[cells.cohort], design.periods[cells.period]
    seen = rows_seen(design)
    compares = untreated_periods(design) if comparison is None else comparison
    others = np.where(compares, seen, 0)
    own = others[cells.cohort, cells.period]
    n_comparison = others.sum(axis=0)[cells.period] - own
    frame = pd.DataFrame(
        {
            "term": [f"att({g:g}, {t})" for g, t in zip(cohorts, times, strict=True)],
            "cohort": cohorts,
            "time": times,
            "event_time": cells.event_time,
            "estimate": estimates,
            "weight": shares[cells.cohort],
            "note": list(cell_notes),
            "n_treated": seen[cells.cohort, cells.period],
            "n_comparison": n_comparison,
            "presence": _presence(design)[cells.cohort, cells.period],
        }
    )
    lost = int(np.isnan(estimates).sum())
    said = [*notes, *moving_covariates(design)]
    if lost:
        said.append(
            f"{lost} of {len(cells)} cells could not be estimated; the column note says why."
        )
    return result_of(
        estimator,
        design,
        frame,
        uncertainty,
        shares=pd.Series(shares, index=pd.Index(design.cohort_values, name="cohort")),
        notes=said,
        extra=extra,
        of_rows=of_rows,
    )
