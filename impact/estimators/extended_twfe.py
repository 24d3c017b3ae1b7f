"""Extended two-way fixed effects of Wooldridge (2021, 2023), linear and Poisson."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import (
    COHORTS,
    SECTIONS,
    Estimator,
    Requirement,
    covariates_by_unit,
)
from impact.estimators.parts.cells import (
    BASE_NOTE,
    Cells,
    all_cells,
    cell_result,
    cluster_codes,
    last_period_before,
    linear_uncertainty,
    moments_of,
    period_dummies,
    reasons_lost,
    regress,
    row_mass,
    untreated_periods,
)
from impact.inference.linear import small_sample_factor
from impact.inference.scores import Scores, Uncertainty
from impact.kernels.cell_regression import by_cohort, group_sums
from impact.kernels.moments import LinearCells
from impact.kernels.poisson_cells import PoissonCells, fit_poisson_cells
from impact.kernels.poisson_slopes import cells_of, fit_own_means, fit_poisson_slopes
from impact.result import Result

__all__ = ["ExtendedTWFE"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Comparison = Literal["not_yet_treated", "never_treated"]

CONSTANT = 1e-11
"""Deviation from a cell's mean, in standard deviations of the covariate, that is rounding."""

NOTHING = 1e-13
"""Total of a cell, in the largest of any cell, that is rounding."""


@dataclass(frozen=True)
class ExtendedTWFE(Estimator):
    r"""Estimate each cohort's effect in each period in one regression with all interactions.

    .. math:: Y_{it} = \alpha_i + \lambda_t + \sum_{g} \sum_{t \ge g} \tau_{gt} 1\{G_i = g\}
              + \text{covariates} + u_{it}

    and, with ``family="poisson"``, :math:`E[Y_{it}] = \exp(\alpha_{g(i)} + \lambda_t)` without
    treatment, with effects in units of the outcome: the mean of the cell less what the
    cohort and period effects predict.

    Parameters
    ----------
    family : "linear" or "poisson", the latter for outcomes that are not negative and whose
        trends are parallel in percent
    comparison : "not_yet_treated" takes all untreated rows to hold no effect; "never_treated"
        also gives each cell before treatment an effect, save the last (a universal base)
    cohort_trends : give each cohort a linear trend of its own
    effects : "unit" gives each unit an intercept, "cohort" each cohort only (with covariates
        and their slopes by cohort among the regressors), as R etwfe does, which repeated
        cross-sections need; on balanced panels with covariates constant in time they differ by
        the small-sample factor alone
    covariance : "CR1", clustered; "classical" takes errors as independent with one variance
        (linear only)
    covariate_means : "given" holds for the covariates of the rows at hand, as R etwfe does;
        "sampled" for the population they come from: where effects differ with covariates, that a
        cell's mean of them is estimated widens its standard error

    Raises
    ------
    DesignError : treatment reverses, a unit has no untreated period, nobody to compare with;
        with "poisson", a negative outcome, cohort trends or a classical covariance; sampled means
        of covariates with a classical covariance
    EstimationError : ``comparison="never_treated"`` without such units; no cell is identified

    Notes
    -----
    Covariates enter with slopes that differ by cohort (where they vary in time) and period,
    and interacted with each cell after their cell's mean is taken off, so that a cell's
    coefficient is its average effect. Standard errors are clustered with the factor G/(G-1)
    (n-1)/(n-K) and t(G-1); cohort shares are taken as given. The Poisson form
    always has cohort effects: without covariates, unit effects would give the same on a balanced
    panel. Its effects with covariates average, over the cell's rows, the difference between the
    mean fitted with and without the cell's own level and slopes.

    In repeated cross-sections, where each unit is observed once, ``effects="cohort"`` and the
    Poisson form compare rows of cohorts, covariates as observed in the row, assuming that who is
    sampled does not change. ``att("row")`` weighs cells by their rows, which differ in number.

    Source
    ------
    Wooldridge (2021), "Two-way fixed effects, the two-way Mundlak regression, and
    difference-in-differences estimators", equations 6.33 and 7.8; Wooldridge (2023),
    Econometrics Journal 26(3), section 3, for the Poisson form; Deb, Norton, Wooldridge and Zabel
    (2024), NBER working paper 33026, for repeated cross-sections.
    """

    family: Literal["linear", "poisson"] = "linear"
    comparison: Comparison = "not_yet_treated"
    cohort_trends: bool = False
    effects: Literal["unit", "cohort"] = "unit"
    covariance: Literal["CR1", "classical"] = "CR1"
    covariate_means: Literal["given", "sampled"] = "given"

    requires: ClassVar[tuple[Requirement, ...]] = COHORTS
    estimand: ClassVar[str] = "cohort-by-period effects of the saturated regression"

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is needed of a design: units followed only where each has its own effect."""
        by_cohort = self.effects == "cohort" or self.family == "poisson"
        return SECTIONS if by_cohort else self.requires

    def _needs_rows(self, design: Design) -> str | None:
        if self.covariance == "classical":
            return 'covariance="classical" needs the residual of every row'
        return covariates_by_unit(design)

    def _refuse_design(self, design: Design) -> None:
        if self.comparison == "never_treated" and not design.has_never_treated:
            raise EstimationError(
                f"comparison='never_treated' needs units that are never treated; all "
                f"{plural(design.n_units, 'unit')} of this design are treated in the end. Use "
                "comparison='not_yet_treated'."
            )
        if self.covariate_means == "sampled" and self.covariance == "classical":
            raise DesignError(
                'covariate_means="sampled" adds what each cluster brings to the means, and '
                'covariance="classical" knows no clusters. Use covariance="CR1".'
            )
        if self.family == "poisson":
            _check_poisson(self, design)

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        if self.comparison == "never_treated":
            base = last_period_before(design, cells)
        else:
            cells = cells[cells.event_time >= -design.anticipation]
            base = np.zeros(len(cells), dtype=bool)
        if self.family == "poisson":
            return _fit_poisson(self, design, cells, base)
        return _fit_linear(self, design, cells, base)


def _fit_linear(estimator: ExtendedTWFE, design: Design, cells: Cells, base: Booleans) -> Result:
    n_periods, n_cohorts = len(design.periods), len(design.cohort_values)
    dummies = period_dummies(design)
    own = cells[~base].indicators(n_cohorts + 1, n_periods)
    parts = [dummies, own]
    by_unit = estimator.effects == "unit"
    if not by_unit:
        parts.append(
            np.broadcast_to(
                np.eye(n_cohorts + 1)[:, None], (n_cohorts + 1, n_periods, n_cohorts + 1)
            )
        )
    if estimator.cohort_trends:
        parts.append(_trends(design))
    regressors = np.concatenate(parts, axis=2)
    made = _interactions(design, own, by_unit) if design.covariates else None
    n_own = regressors.shape[2]
    fit = regress(
        design, regressors, covariates=None if made is None else made.columns, unit_effects=by_unit,
        classical=estimator.covariance == "classical",
    )  # fmt: skip
    functionals = np.zeros((len(cells) + n_cohorts, len(fit.solution.scale)))
    functionals[np.flatnonzero(~base), n_periods + np.arange((~base).sum())] = 1.0
    known = fit.solution.estimable(functionals[: len(cells)])
    functionals[: len(cells)][~known] = 0.0
    estimates = np.where(known, functionals[: len(cells)] @ fit.solution.coefficients, np.nan)
    cell_notes = np.where(base & known, BASE_NOTE, "").astype(object)
    cell_notes[~known] = reasons_lost(design, cells[~known])
    uncertainty = fit.uncertainty(functionals)
    if estimator.covariate_means == "sampled" and made is not None:
        slopes = fit.solution.coefficients[n_own:] / fit.covariate_scale
        apart = np.zeros((design.n_units, len(functionals)))
        apart[:, np.flatnonzero(~base)] = made.effects_apart(cells[~base], slopes)
        apart[:, : len(cells)] *= known
        uncertainty = _with_sampled_means(design, cells, uncertainty, apart)
    return cell_result(
        estimator,
        design,
        cells,
        estimates,
        uncertainty,
        [str(note) for note in cell_notes],
        notes=_notes(estimator, design),
        comparison=_compares(estimator, design),
    )


@dataclass(frozen=True, eq=False)
class _Interactions:
    """Covariates times cohorts, periods and cells, (N, T, q), and which times the K cells, (k, K).

    Those times cells have their cell's mean taken off.
    """

    columns: Floats
    of_cells: Integers

    def effects_apart(self, cells: Cells, slopes: Floats) -> Floats:
        """Return how far each unit's effect is from its cell's, by its covariates, (N, K)."""
        rows = np.nan_to_num(self.columns[:, cells.period, self.of_cells])
        return np.asarray((rows * slopes[self.of_cells]).sum(axis=1))


def _with_sampled_means(
    design: Design, cells: Cells, uncertainty: Uncertainty, apart: Floats
) -> Uncertainty:
    """Add what units bring to the mean effects of their cells, ``apart`` of shape (N, K + C)."""
    if not isinstance(uncertainty, Scores):
        return uncertainty
    size = row_mass(design)[cells.cohort, cells.period]
    apart[:, : len(cells)] /= np.where(size > 0, size, 1.0)
    if design.unit_weights is not None:
        apart *= design.unit_weights[:, None]
    clusters = cluster_codes(design)
    sums = apart if clusters is None else group_sums(apart, clusters, design.n_clusters)
    return replace(uncertainty, psi=uncertainty.psi + sums)


def _trends(design: Design) -> Floats:
    """Return each treated cohort's own linear trend, shape (C + 1, T, C)."""
    n_cohorts = len(design.cohort_values)
    years = (design.periods - design.periods.mean()).astype(np.float64)
    return np.asarray(np.eye(n_cohorts + 1, n_cohorts)[:, None, :] * years[None, :, None])


def _interactions(design: Design, own: Floats, by_unit: bool) -> _Interactions:
    """Interact covariates with cohorts, periods and, demeaned, with cells."""
    codes = design.cohort_codes
    values = design.covariate_array()
    values = (values - np.nanmean(values, axis=(0, 1))) / _spread(values)
    constant = np.nanmax(values, axis=1) == np.nanmin(values, axis=1)
    weights = np.ones(len(codes)) if design.unit_weights is None else design.unit_weights
    member = np.eye(len(own))[codes][:, None, :]
    period = np.eye(len(design.periods))[None, :, :]
    columns, at = [], []
    for j in range(values.shape[2]):
        x = values[:, :, j, None]
        if not (by_unit and constant[:, j].all()):
            columns += [x, x * member[:, :, :-1]]
        centred = values[:, :, j] - _cell_means(values[:, :, j], codes, weights, len(own))
        # Rounding left of a covariate that is constant in a cell is no variation to fit.
        centred[np.abs(centred) < CONSTANT] = 0.0
        columns += [x * period[:, :, 1:], centred[:, :, None] * own[codes]]
        width = sum(column.shape[2] for column in columns)
        at.append(np.arange(width - own.shape[2], width))
    return _Interactions(np.concatenate(columns, axis=2), np.array(at))


def _spread(values: Floats) -> Floats:
    """Return each covariate's standard deviation, one where it is constant, shape (k,)."""
    spread = np.nanstd(values, axis=(0, 1))
    return np.where(spread > 0, spread, 1.0)


def _cell_means(x: Floats, codes: NDArray[np.int64], weights: Floats, n_cohorts: int) -> Floats:
    """Give each row the mean of its cohort and period, shape (N, T)."""
    observed = ~np.isnan(x)
    total = group_sums(np.where(observed, x, 0.0) * weights[:, None], codes, n_cohorts)
    mass = group_sums(observed * weights[:, None], codes, n_cohorts)
    return np.asarray((total / np.where(mass > 0, mass, 1.0))[codes])


def _compares(estimator: ExtendedTWFE, design: Design) -> Booleans:
    """Mark the rows that serve as comparison, shape (C + 1, T)."""
    untreated = untreated_periods(design)
    if estimator.comparison == "never_treated":
        untreated[:-1] = False
    return untreated


def _notes(estimator: ExtendedTWFE, design: Design) -> list[str]:
    who = {
        "not_yet_treated": "units not yet or never treated, in all their untreated periods",
        "never_treated": "units never treated, from the last period before treatment",
    }[estimator.comparison]
    notes = [f"Compared with {who}; cohort shares taken as given."]
    if estimator.cohort_trends:
        notes.append("Each cohort has a linear trend of its own.")
    if design.covariates:
        notes.append(
            f"Slopes of {', '.join(design.covariates)} by cohort, period and cell; their means in "
            f"cells taken as {estimator.covariate_means}."
        )
    if estimator.family == "poisson":
        notes.append("Parallel trends in percent (Poisson); effects in units of the outcome.")
    return notes


def _fit_poisson(estimator: ExtendedTWFE, design: Design, cells: Cells, base: Booleans) -> Result:
    sizes, means = row_mass(design), _outcome_means(design)
    used = sizes > 0
    used[cells.cohort[~base], cells.period[~base]] = False
    used = _with_positive_margins(means, used)
    if design.covariates:
        return _fit_poisson_slopes(estimator, design, cells, base, used)
    fit = fit_poisson_cells(means, sizes, used)

    known = fit.solution.estimable(fit.regressors[cells.cohort, cells.period])
    known &= sizes[cells.cohort, cells.period] > 0
    predicted = fit.means[cells.cohort, cells.period]
    estimates = np.where(known, means[cells.cohort, cells.period] - predicted, np.nan)
    estimates[base & known] = 0.0
    n_parameters = fit.solution.rank + int((~base).sum())
    factor = small_sample_factor(design.n_clusters, design.n_rows, n_parameters)
    return cell_result(
        estimator,
        design,
        cells,
        estimates,
        _poisson_uncertainty(design, fit, means, sizes, used, cells, known & ~base, factor),
        _poisson_cell_notes(design, cells, base, known),
        notes=_notes(estimator, design),
        comparison=_compares(estimator, design),
    )


def _poisson_cell_notes(design: Design, cells: Cells, base: Booleans, known: Booleans) -> list[str]:
    notes = np.where(base & known, BASE_NOTE, "").astype(object)
    zeros = "all untreated outcomes it rests on are zero"
    if design.covariates:
        zeros += ", or covariates are not told apart"
    notes[~known] = [
        note if note.startswith(("no ", "nobody")) else zeros
        for note in reasons_lost(design, cells[~known])
    ]
    return [str(note) for note in notes]


def _fit_poisson_slopes(
    estimator: ExtendedTWFE, design: Design, cells: Cells, base: Booleans, used: Booleans
) -> Result:
    """Impute each cell from untreated rows at its rows' own covariates."""
    codes, outcomes, n_cohorts = design.cohort_codes, design.outcomes, len(used)
    weights = np.ones(len(codes)) if design.unit_weights is None else design.unit_weights
    fit = fit_poisson_slopes(outcomes, design.covariate_array(), codes, weights, used)
    own = np.zeros(used.shape, dtype=bool)
    own[cells.cohort[~base], cells.period[~base]] = True
    means, spent = fit_own_means(outcomes, fit.Z, codes, weights, own)
    seen = {(c, t): rows for c, t, rows in cells_of(~np.isnan(outcomes), codes, n_cohorts)}

    estimates = np.full(len(cells), np.nan)
    psi = np.zeros((len(codes), len(cells) + n_cohorts - 1))
    gradient = np.zeros((len(cells), fit.maps.shape[3]))
    sampled = estimator.covariate_means == "sampled"
    for k, (c, t) in enumerate(zip(cells.cohort, cells.period, strict=True)):
        rows = seen.get((c, t))
        if rows is None or not fit.known(c, t, rows):
            continue
        estimates[k] = 0.0
        if not base[k]:
            share = weights[rows] / weights[rows].sum()
            estimates[k] = share @ (outcomes[rows, t] - fit.means[rows, t])
            own_mean = fit.means[rows, t] + estimates[k] if sampled else means[rows, t]
            psi[rows, k] = share * (outcomes[rows, t] - own_mean)
            gradient[k] = -fit.gradient(c, t, rows, weights)
    moved = gradient @ fit.solution.inverse
    for (c, t), rows in seen.items():
        if used[c, t]:
            score = (weights[rows] * (outcomes[rows, t] - fit.means[rows, t]))[:, None]
            psi[rows, : len(cells)] += (score * fit.Z[rows, t]) @ (fit.maps[c, t] @ moved.T)
    known = ~np.isnan(estimates)
    factor = small_sample_factor(design.n_clusters, design.n_rows, fit.solution.rank + spent)
    clusters = cluster_codes(design)
    psi = psi if clusters is None else group_sums(psi, clusters, design.n_clusters)
    return cell_result(
        estimator,
        design,
        cells,
        estimates,
        Scores(psi, factor, float(design.n_clusters - 1)),
        _poisson_cell_notes(design, cells, base, known),
        notes=_notes(estimator, design),
        comparison=_compares(estimator, design),
    )


def _outcome_means(design: Design) -> Floats:
    """Return the mean outcome of each cohort in each period, zero where nobody is seen, (C, T)."""
    sizes = row_mass(design)
    moments = moments_of(design)
    if moments is None:
        weights = np.ones(design.n_units) if design.unit_weights is None else design.unit_weights
        rows = np.nan_to_num(design.outcomes) * weights[:, None]
        totals = group_sums(rows, design.cohort_codes, len(sizes))
    else:
        totals = np.zeros(sizes.shape)
        own = moments.moments.size[:, None] * moments.seen * moments.moments.mean
        np.add.at(totals, moments.cohort, own)
        # Means of zeros come out of centred sums as rounding.
        totals[np.abs(totals) <= NOTHING * np.abs(totals).max()] = 0.0
    return np.asarray(totals / np.where(sizes > 0, sizes, 1.0))


def _check_poisson(estimator: ExtendedTWFE, design: Design) -> None:
    where = _where_negative(design)
    if where is not None:
        raise DesignError(
            f'family="poisson" needs outcomes that are not negative; "{design.outcome}" {where}. '
            'Use family="linear".'
        )
    if estimator.covariance == "classical":
        raise DesignError(
            'family="poisson" has no classical covariance here: its variance would have to equal '
            'its mean. Use covariance="CR1".'
        )
    if estimator.cohort_trends:
        raise DesignError('family="poisson" takes no cohort_trends here. Use family="linear".')


def _where_negative(design: Design) -> str | None:
    """Say where the outcome is below zero; None where it never is."""
    if design.table is not None:
        lowest = design.table.extremes[0]
        return f"falls to {lowest:g} in the table" if lowest < 0 else None
    negative = np.flatnonzero((design.outcomes < 0).any(axis=1))
    if not len(negative):
        return None
    return (
        f"is below zero in {plural(len(negative), 'unit')}, first {design.panel.unit} "
        f"{listing(design.sample.units[negative])}"
    )


def _with_positive_margins(means: Floats, used: Booleans) -> Booleans:
    """Leave out cohorts and periods whose outcomes are all zero: their effects infinite."""
    kept = used.copy()
    while True:
        positive = kept & (means > 0)
        smaller = kept & positive.any(axis=1, keepdims=True) & positive.any(axis=0, keepdims=True)
        if (smaller == kept).all():
            return kept
        kept = smaller


def _poisson_uncertainty(
    design: Design,
    fit: PoissonCells,
    means: Floats,
    sizes: Floats,
    used: Booleans,
    cells: Cells,
    known: Booleans,
    factor: float,
) -> Uncertainty:
    """Sum each unit's share in its cell's mean and in the effects that predict the rest."""
    at = fit.regressors[cells.cohort, cells.period]
    rows = -fit.means[cells.cohort, cells.period][:, None] * (at @ fit.solution.inverse)
    rows[~known] = 0.0
    rows = np.concatenate((rows, np.zeros((len(means) - 1, rows.shape[1]))))
    slopes = (rows @ np.swapaxes(fit.regressors, 1, 2)) * used[:, None, :]
    k = np.flatnonzero(known)
    slopes[cells.cohort[k], k, cells.period[k]] += 1.0 / sizes[cells.cohort[k], cells.period[k]]
    centre = np.where(used, fit.means, means)

    df, groups = float(design.n_clusters - 1), moments_of(design)
    if groups is not None:
        seen = slopes[groups.cohort] * groups.seen[:, None, :]
        moved = groups.moments.mean - centre[groups.cohort]
        linear = LinearCells(seen, np.einsum("pkt,pt->pk", seen, moved))
        return linear_uncertainty(design, linear, groups.moments, factor=factor, df=df)
    outcomes, codes, weights = design.outcomes, design.cohort_codes, design.unit_weights
    clusters = cluster_codes(design)
    psi = np.zeros((len(codes), slopes.shape[1]))
    for cohort, members in by_cohort(codes, len(means)):
        psi[members] = np.nan_to_num(outcomes[members] - centre[cohort]) @ slopes[cohort].T
    if weights is not None:
        psi *= weights[:, None]
    psi = psi if clusters is None else group_sums(psi, clusters, design.n_clusters)
    return Scores(psi, factor, df)
