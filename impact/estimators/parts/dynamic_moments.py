"""Equations and instruments of dynamic panels: differences, and levels for system GMM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.kernels.gmm import LinearMoments

__all__ = ["Grid", "MomentChoices", "stack_moments"]

Floats = NDArray[np.float64]
Block = tuple[str, Floats]

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


def _lag(values: Floats, by: int) -> Floats:
    """Shift along periods, axis 1, filling with NaN."""
    shifted = np.full_like(values, np.nan)
    shifted[:, by:] = values[:, : values.shape[1] - by]
    return shifted


def stack_moments(choices: MomentChoices, grid: Grid) -> LinearMoments:
    """Build equations and instruments: differences first, then levels for system GMM."""
    y, x, n_periods = grid.outcome, grid.regressors, grid.n_periods
    own = [_lag(y, lag)[:, :, None] for lag in range(1, grid.lags + 1)]
    right = np.concatenate((*own, x), axis=2)
    levels_used = ~(np.isnan(y) | np.isnan(right).any(axis=2))
    change, right_change = y - _lag(y, 1), right - _lag(right, 1)
    change_used = ~(np.isnan(change) | np.isnan(right_change).any(axis=2))
    exogenous = [
        j
        for j, name in enumerate(grid.regressor_names)
        if name not in (*choices.predetermined, *choices.endogenous)
    ]
    blocks = _level_lags(choices, grid, change_used)
    iv_change = [x[:, :, j] - _lag(x, 1)[:, :, j] for j in exogenous]
    periods = np.flatnonzero(change_used.any(axis=0)) if choices.time_effects else np.zeros(0, int)
    dummies = np.broadcast_to(np.eye(n_periods)[:, periods], (len(y), n_periods, len(periods)))
    if not choices.system:
        columns = [*blocks, *((EXOGENOUS, c[:, :, None]) for c in iv_change), (EXOGENOUS, dummies)]
        regressors = np.concatenate((right_change, dummies), axis=2)
        return _finish(
            grid,
            change,
            regressors,
            columns,
            change_used,
            _difference_structure(n_periods),
        )
    return _stack_system(
        choices, grid, right, right_change, change_used, levels_used, blocks, exogenous
    )


def _level_lags(choices: MomentChoices, grid: Grid, used: NDArray[np.bool_]) -> list[Block]:
    """Build the lagged levels that instrument the differenced equations."""
    last = choices.last_instrument_lag
    own = _gmm_block(grid.outcome, choices.first_instrument_lag, last, choices.collapse, used)
    blocks = [(f"lags of {grid.outcome_name}", own)]
    for names, first in ((choices.predetermined, 1), (choices.endogenous, 2)):
        for name in names:
            values = grid.regressors[:, :, grid.regressor_names.index(name)]
            block = _gmm_block(values, first, last, choices.collapse, used)
            blocks.append((f"lags of {name}", block))
    return blocks


def _gmm_block(
    values: Floats, first: int, last: int | None, collapse: bool, used: NDArray[np.bool_]
) -> Floats:
    """Lay out lags of a level as instruments, one a period and lag, or one a lag, (N, T, L)."""
    n_periods = values.shape[1]
    limit = n_periods - 1 if last is None else min(last, n_periods - 1)
    known = np.nan_to_num(values)
    columns = []
    for lag in range(first, limit + 1):
        shifted = np.zeros_like(known)
        shifted[:, lag:] = known[:, : n_periods - lag]
        shifted *= used
        if collapse:
            columns.append(shifted[:, :, None])
            continue
        columns.append(shifted[:, :, None] * np.eye(n_periods)[None, :, lag:])
    if not columns:
        return np.zeros((*values.shape, 0))
    return np.concatenate(columns, axis=2)


def _stack_system(
    choices: MomentChoices,
    grid: Grid,
    right: Floats,
    right_change: Floats,
    change_used: NDArray[np.bool_],
    levels_used: NDArray[np.bool_],
    blocks: list[Block],
    exogenous: list[int],
) -> LinearMoments:
    y, x, n_periods = grid.outcome, grid.regressors, grid.n_periods
    n = len(y)
    used = np.concatenate((change_used, levels_used), axis=1)
    outcome = np.concatenate((y - _lag(y, 1), y), axis=1)

    def both(difference: Floats, level: Floats) -> Floats:
        return np.concatenate((difference, level), axis=1)

    periods = (
        np.flatnonzero(levels_used.any(axis=0))[1:] if choices.time_effects else np.zeros(0, int)
    )
    identity = np.eye(n_periods)
    shift = np.vstack((np.zeros((1, n_periods)), identity[:-1]))
    effects = np.vstack((identity - shift, identity))[:, periods]
    constant = np.concatenate((np.zeros((n_periods, 1)), np.ones((n_periods, 1))))
    common = np.broadcast_to(np.hstack((effects, constant)), (n, 2 * n_periods, len(periods) + 1))
    regressors = np.concatenate((both(right_change, right), common), axis=2)
    columns = [(label, both(block, np.zeros_like(block))) for label, block in blocks]
    lagged = [(y, choices.first_instrument_lag - 1)]
    lagged += [(x[:, :, grid.regressor_names.index(m)], 0) for m in choices.predetermined]
    lagged += [(x[:, :, grid.regressor_names.index(m)], 1) for m in choices.endogenous]
    for values, by in lagged:
        change = values - _lag(values, 1)
        block = _gmm_block(change, by, by, choices.collapse, levels_used)
        columns.append(("differences in levels", both(np.zeros_like(block), block)))
    columns += [
        (EXOGENOUS, both(x[:, :, [j]] - _lag(x, 1)[:, :, [j]], x[:, :, [j]])) for j in exogenous
    ]
    columns.append((EXOGENOUS, common))
    difference = np.eye(n_periods) - np.eye(n_periods, k=-1)
    transform = np.vstack((difference, np.eye(n_periods)))
    structure = transform @ transform.T
    structure[:n_periods, :n_periods] = _difference_structure(n_periods)
    return _finish(grid, outcome, regressors, columns, used, structure)


def _difference_structure(n_periods: int) -> Floats:
    """Covariance of differenced uncorrelated errors: 2 on the diagonal, -1 beside it."""
    return 2 * np.eye(n_periods) - np.eye(n_periods, k=1) - np.eye(n_periods, k=-1)


def _finish(
    grid: Grid,
    outcome: Floats,
    regressors: Floats,
    columns: list[Block],
    used: NDArray[np.bool_],
    structure: Floats,
) -> LinearMoments:
    """Zero what is not used and drop instruments that are zero throughout."""
    instruments = np.concatenate([block for _, block in columns], axis=2)
    labels = np.repeat([label for label, _ in columns], [b.shape[2] for _, b in columns])
    _blank(instruments, used)
    live = instruments.any(axis=(0, 1))
    known, right = outcome.copy(), regressors.copy()
    _blank(known[:, :, None], used)
    _blank(right, used)
    return LinearMoments(
        known,
        right,
        instruments if live.all() else np.ascontiguousarray(instruments[:, :, live]),
        used,
        grid.clusters,
        structure,
        tuple(str(label) for label in labels[live]),
    )


def _blank(values: Floats, used: NDArray[np.bool_]) -> None:
    """Set to zero, in place, what is unknown or in rows that are not used, shape (N, E, m)."""
    values[~used] = 0.0
    np.copyto(values, 0.0, where=np.isnan(values))
