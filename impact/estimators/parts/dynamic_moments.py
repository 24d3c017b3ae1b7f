"""Equations and instruments of dynamic panels: differences, and levels for system GMM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing
from impact.kernels.gmm import LinearMoments

__all__ = ["Grid", "MomentChoices", "stack_moments"]

Floats = NDArray[np.float64]
Column = tuple[str, slice, Floats]
"""An instrument: its group, the equations it has a place in, its values there, (N, equations)."""

EXOGENOUS = "exogenous regressors and time effects"


@dataclass(frozen=True)
class MomentChoices:
    """Which lags instrument what; see `impact.ArellanoBond`. ``system`` adds levels."""

    predetermined: tuple[str, ...]
    endogenous: tuple[str, ...]
    first_instrument_lag: int
    last_instrument_lag: int | None
    collapse: bool
    time_effects: bool
    system: bool


@dataclass(frozen=True, eq=False)
class Grid:
    """Outcome and regressors of all units on consecutive periods, NaN where unknown.

    ``outcome`` has shape (N, T), ``regressors`` (N, T, m).
    """

    outcome: Floats
    regressors: Floats
    clusters: NDArray[np.int64]
    outcome_name: str
    regressor_names: tuple[str, ...]
    lags: int

    @property
    def n_periods(self) -> int:
        """Number of periods T of the grid."""
        return int(self.outcome.shape[1])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the reported coefficients: lags of the outcome, then regressors."""
        lags = (f"L{lag}.{self.outcome_name}" for lag in range(1, self.lags + 1))
        return (*lags, *self.regressor_names)

    @classmethod
    def of(cls, design: Design, lags: int) -> Grid:
        """Lay out all rows of a design's panel."""
        panel = design.panel
        periods = panel.periods
        step = int(np.diff(periods).min()) if len(periods) > 1 else 1
        _refuse_uneven(design, step)
        width = int(periods[-1] - periods[0]) // step + 1
        place = (periods - periods[0]) // step

        def lay_out(matrix: Floats) -> Floats:
            wide = np.full((panel.n_units, width), np.nan)
            wide[:, place] = matrix
            return wide

        names = [name for name in (design.treated, design.dose) if name]
        layers = [lay_out(panel.matrix(name)) for name in (*names, *design.covariates)]
        if design.cohort is not None:
            cohort = pd.Series(design.cohorts, index=design.sample.units).reindex(panel.units)
            treated = (periods >= cohort.to_numpy(dtype=np.float64)[:, None]).astype(np.float64)
            layers.insert(0, lay_out(treated))
            names.insert(0, "treated")
        column = design.cluster_columns[0]
        clusters = np.arange(panel.n_units)
        if column != panel.unit:
            clusters = pd.factorize(panel.unit_values(column), sort=True)[0].astype(np.int64)
        shape = (panel.n_units, width, 0)
        return cls(
            lay_out(panel.matrix(design.outcome)),
            np.stack(layers, axis=2) if layers else np.empty(shape),
            clusters,
            design.outcome,
            (*names, *design.covariates),
            lags,
        )


def _refuse_uneven(design: Design, step: int) -> None:
    """Refuse periods between which a lag would be longer here than there."""
    since = design.panel.periods - design.panel.periods[0]
    off = design.panel.periods[since % step != 0]
    if len(off):
        raise EstimationError(
            f"periods lie {step} apart at the nearest, and {listing(off)} no whole number of such "
            f"steps after {design.panel.periods[0]}: a lag would be longer here than there. Keep "
            "evenly spaced periods, or number the waves through if one wave's outcome rests on "
            "the one before, however long ago."
        )


def stack_moments(choices: MomentChoices, grid: Grid) -> LinearMoments:
    """Build equations and instruments: differences first, then levels for system GMM."""
    y, x, n_periods = grid.outcome, grid.regressors, grid.n_periods
    own = [_lag(y, lag)[:, :, None] for lag in range(1, grid.lags + 1)]
    right = np.concatenate((*own, x), axis=2)
    change, right_change = y - _lag(y, 1), right - _lag(right, 1)
    used = ~(np.isnan(change) | np.isnan(right_change).any(axis=2))
    columns = _level_lags(choices, grid, used)
    if choices.system:
        return _stack_system(choices, grid, right, right_change, used, columns)
    periods = np.flatnonzero(used.any(axis=0)) if choices.time_effects else np.zeros(0, int)
    dummies = np.eye(n_periods)[:, periods]
    columns += [
        (EXOGENOUS, slice(0, n_periods), x[:, :, j] - _lag(x[:, :, j], 1))
        for j in _exogenous(choices, grid)
    ]
    columns += _shared_columns(dummies, len(y))
    regressors = np.concatenate((right_change, _for_all(dummies, len(y))), axis=2)
    return _finish(grid, change, regressors, columns, used, _difference_structure(n_periods))


def _exogenous(choices: MomentChoices, grid: Grid) -> list[int]:
    """Find the regressors that instrument themselves."""
    others = (*choices.predetermined, *choices.endogenous)
    return [j for j, name in enumerate(grid.regressor_names) if name not in others]


def _for_all(matrix: Floats, n_units: int) -> Floats:
    """Give each unit the same columns, (E, P) to (N, E, P), without a copy."""
    return np.broadcast_to(matrix, (n_units, *matrix.shape))


def _shared_columns(matrix: Floats, n_units: int) -> list[Column]:
    """Make instruments of columns, (E, P), that all units share."""
    everywhere = slice(0, len(matrix))
    return [(EXOGENOUS, everywhere, _for_all(column, n_units)) for column in matrix.T]


def _lag(values: Floats, by: int) -> Floats:
    """Shift along periods, axis 1, filling with NaN."""
    shifted = np.full_like(values, np.nan)
    shifted[:, by:] = values[:, : values.shape[1] - by]
    return shifted


def _level_lags(choices: MomentChoices, grid: Grid, used: NDArray[np.bool_]) -> list[Column]:
    """Build the lagged levels that instrument the differenced equations."""
    last, collapse = choices.last_instrument_lag, choices.collapse
    label = f"lags of {grid.outcome_name}"
    columns = _lags(label, grid.outcome, choices.first_instrument_lag, last, collapse, used)
    for names, first in ((choices.predetermined, 1), (choices.endogenous, 2)):
        for name in names:
            values = grid.regressors[:, :, grid.regressor_names.index(name)]
            columns += _lags(f"lags of {name}", values, first, last, collapse, used)
    return columns


def _lags(
    label: str,
    values: Floats,
    first: int,
    last: int | None,
    collapse: bool,
    used: NDArray[np.bool_],
    start: int = 0,
) -> list[Column]:
    """Lay out lags from equation ``start`` on: one instrument a period and lag, or one a lag."""
    n_periods = values.shape[1]
    limit = n_periods - 1 if last is None else min(last, n_periods - 1)
    known = np.nan_to_num(values)
    columns: list[Column] = []
    for lag in range(first, limit + 1):
        shifted = np.zeros_like(known)
        shifted[:, lag:] = known[:, : n_periods - lag]
        shifted *= used
        if collapse:
            columns.append((label, slice(start, start + n_periods), shifted))
            continue
        columns += [
            (label, slice(start + t, start + t + 1), shifted[:, [t]]) for t in range(lag, n_periods)
        ]
    return columns


def _stack_system(
    choices: MomentChoices,
    grid: Grid,
    right: Floats,
    right_change: Floats,
    change_used: NDArray[np.bool_],
    columns: list[Column],
) -> LinearMoments:
    """Add the equations in levels, their instruments, and a constant."""
    y, x, n_periods = grid.outcome, grid.regressors, grid.n_periods
    levels_used = ~(np.isnan(y) | np.isnan(right).any(axis=2))
    used = np.concatenate((change_used, levels_used), axis=1)
    periods = (
        np.flatnonzero(levels_used.any(axis=0))[1:] if choices.time_effects else np.zeros(0, int)
    )
    identity = np.eye(n_periods)
    difference = identity - np.eye(n_periods, k=-1)
    transform = np.vstack((difference, identity))
    constant = np.concatenate((np.zeros((n_periods, 1)), np.ones((n_periods, 1))))
    common = np.hstack((transform[:, periods], constant))
    both = np.concatenate((right_change, right), axis=1)
    regressors = np.concatenate((both, _for_all(common, len(y))), axis=2)
    lagged = [(y, choices.first_instrument_lag - 1)]
    lagged += [(x[:, :, grid.regressor_names.index(m)], 0) for m in choices.predetermined]
    lagged += [(x[:, :, grid.regressor_names.index(m)], 1) for m in choices.endogenous]
    for values, by in lagged:
        change = values - _lag(values, 1)
        label = "differences in levels"
        columns += _lags(label, change, by, by, choices.collapse, levels_used, start=n_periods)
    for j in _exogenous(choices, grid):
        own = x[:, :, j]
        values = np.concatenate((own - _lag(own, 1), own), axis=1)
        columns.append((EXOGENOUS, slice(0, 2 * n_periods), values))
    columns += _shared_columns(common, len(y))
    structure = transform @ transform.T
    structure[:n_periods, :n_periods] = _difference_structure(n_periods)
    outcome = np.concatenate((y - _lag(y, 1), y), axis=1)
    return _finish(grid, outcome, regressors, columns, used, structure)


def _difference_structure(n_periods: int) -> Floats:
    """Covariance of differenced uncorrelated errors: 2 on the diagonal, -1 beside it."""
    return 2 * np.eye(n_periods) - np.eye(n_periods, k=1) - np.eye(n_periods, k=-1)


def _finish(
    grid: Grid,
    outcome: Floats,
    regressors: Floats,
    columns: list[Column],
    used: NDArray[np.bool_],
    structure: Floats,
) -> LinearMoments:
    """Zero what is not used and leave out instruments that are zero throughout."""
    known = [(label, rows, _blank(values, used[:, rows])) for label, rows, values in columns]
    live = [column for column in known if column[2].any()]
    instruments = np.zeros((*used.shape, len(live)))
    for j, (_, rows, values) in enumerate(live):
        instruments[:, rows, j] = values
    return LinearMoments(
        _blank(outcome, used),
        _blank(regressors, used[:, :, None]),
        instruments,
        used,
        grid.clusters,
        structure,
        tuple(label for label, _, _ in live),
    )


def _blank(values: Floats, used: NDArray[np.bool_]) -> Floats:
    """Return values with zero where they are unknown or not used."""
    return np.where(used & ~np.isnan(values), values, 0.0)
