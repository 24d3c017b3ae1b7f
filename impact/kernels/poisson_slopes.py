"""Poisson regression on cohort and period effects, with covariates' slopes by both.

Within a cell of cohort c and period t the logarithm of the mean is z' M_ct theta with
z = (1, x): the cell's level a_c + b_t and its slopes beta + beta_c + beta_t. Normal equations need
one small matrix a cell; rows by parameters are never formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.cell_regression import Solution, by_cohort, solve_normal

__all__ = ["PoissonSlopes", "cells_of", "fit_own_means", "fit_poisson_slopes"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

STEPS = 100
SETTLED = 1e-12
"""Change of the logarithm of any fitted mean at which the fit has settled."""
PRESENT = 1e-10
"""Share of the largest variation below which covariates do not vary in a direction."""


@dataclass(frozen=True, eq=False)
class PoissonSlopes:
    """A fit to the untreated rows.

    Attributes
    ----------
    solution : normal equations at the solution, weighted by fitted means
    maps : array, shape (C, T, 1 + k, P), M_ct
    means : array, shape (N, T), mean without treatment of every row observed, else NaN
    Z : array, shape (N, T, 1 + k), the constant and the covariates, centred and scaled
    """

    solution: Solution
    maps: Floats
    means: Floats
    Z: Floats

    def known(self, cohort: int, period: int, rows: Integers) -> bool:
        """Tell whether the means of a cell's rows are determined by the rows fitted."""
        z = self.Z[rows, period]
        values, vectors = np.linalg.eigh(z.T @ z)
        directions = vectors[:, values > PRESENT * values[-1]].T
        return bool(self.solution.estimable(directions @ self.maps[cohort, period]).all())

    def gradient(self, cohort: int, period: int, rows: Integers, weights: Floats) -> Floats:
        """Return the derivative of a cell's mean predicted outcome by theta, shape (P,)."""
        share = weights[rows] / weights[rows].sum()
        moved = (share * self.means[rows, period]) @ self.Z[rows, period]
        return np.asarray(moved @ self.maps[cohort, period])


def fit_poisson_slopes(
    outcomes: Floats, covariates: Floats, codes: Integers, weights: Floats, used: Booleans
) -> PoissonSlopes:
    """Fit cohort and period effects, and slopes that differ by both, by maximum likelihood.

    Parameters
    ----------
    outcomes : array, shape (N, T), not negative; NaN where unobserved
    covariates : array, shape (N, T, k), finite wherever outcomes are
    codes : array, shape (N,), cohort of each unit
    weights : array, shape (N,)
    used : array, shape (C, T), cells whose rows enter

    Raises
    ------
    EstimationError : the iteration does not settle
    """
    seen = ~np.isnan(outcomes)
    Z = _with_constant(covariates, seen)
    maps = _maps(len(used), outcomes.shape[1], Z.shape[2] - 1)
    cells = [
        (maps[c, t], Z[rows, t], outcomes[rows, t], weights[rows])
        for c, t, rows in cells_of(seen, codes, len(used))
        if used[c, t]
    ]
    mass = sum(float(w.sum()) for *_, w in cells)
    average = sum(float(w @ y) for _, _, y, w in cells) / mass
    linear = [np.log((y + average) / 2) for _, _, y, _ in cells]
    for _ in range(STEPS):
        solution = _step(cells, linear)
        before = linear
        linear = [z @ (m @ solution.coefficients) for m, z, _, _ in cells]
        size = max(float(np.abs(now).max()) for now in linear)
        moved = max(
            float(np.abs(now - then).max()) for now, then in zip(linear, before, strict=True)
        )
        if moved <= SETTLED * (1 + size):
            solution = _step(cells, linear)
            paths = np.einsum("ctqp,p->ctq", maps, solution.coefficients)
            fitted = np.einsum("ntq,ntq->nt", Z, paths[codes])
            means = np.where(seen, np.exp(np.clip(fitted, -700, 700)), np.nan)
            return PoissonSlopes(solution, maps, means, Z)
    raise EstimationError(
        f"the Poisson regression does not settle in {STEPS} steps; covariates, cohorts or periods "
        "tell zeros from positive outcomes too well before treatment. Merge cohorts, leave out "
        "such periods, or use fewer covariates."
    )


def fit_own_means(
    outcomes: Floats, Z: Floats, codes: Integers, weights: Floats, own: Booleans
) -> tuple[Floats, int]:
    """Fit each cell marked in ``own`` by itself; return means (N, T) and the parameters spent.

    A cell's level and slopes make its fitted mean its observed mean. Where covariates tell its
    zeros from positive outcomes the means settle though the slopes do not.
    """
    seen = ~np.isnan(outcomes)
    means, spent = np.full(outcomes.shape, np.nan), 0
    for c, t, rows in cells_of(seen, codes, len(own)):
        if not own[c, t]:
            continue
        y, z, w = outcomes[rows, t], Z[rows, t], weights[rows]
        spent += int(np.linalg.matrix_rank(z, tol=PRESENT * len(rows)))
        average = float(w @ y) / float(w.sum())
        if average == 0:
            means[rows, t] = 0.0
            continue
        linear = np.log((y + average) / 2)
        cell = [(np.eye(z.shape[1]), z, y, w)]
        for _ in range(STEPS):
            before = np.exp(linear)
            linear = np.maximum(z @ _step(cell, [linear]).coefficients, np.log(average) - 40)
            if np.abs(np.exp(linear) - before).max() <= SETTLED * average:
                break
        means[rows, t] = np.exp(linear)
    return means, spent


def cells_of(
    seen: Booleans, codes: Integers, n_cohorts: int
) -> Iterator[tuple[int, int, Integers]]:
    """Yield cohort, period and the units observed there, for every cell with some."""
    for cohort, members in by_cohort(codes, n_cohorts):
        for period in range(seen.shape[1]):
            rows = members[seen[members, period]]
            if len(rows):
                yield cohort, period, rows


def _step(cells: list[tuple[Floats, Floats, Floats, Floats]], linear: list[Floats]) -> Solution:
    """Solve the weighted least squares problem at a linear predictor."""
    n_parameters = cells[0][0].shape[1]
    gram, right = np.zeros((n_parameters, n_parameters)), np.zeros(n_parameters)
    for (m, z, y, w), at in zip(cells, linear, strict=True):
        mean = np.exp(at)
        mass = w * mean
        gram += m.T @ ((z * mass[:, None]).T @ z) @ m
        right += m.T @ (z.T @ (mass * (at + (y - mean) / mean)))
    return solve_normal(gram, right)


def _maps(n_cohorts: int, n_periods: int, k: int) -> Floats:
    """Return M_ct: levels by cohort and period, slopes common, by cohort, by period."""
    levels = n_cohorts + n_periods
    maps = np.zeros((n_cohorts, n_periods, 1 + k, levels + k * (n_cohorts + n_periods - 1)))
    cohort, period = np.arange(n_cohorts), np.arange(n_periods)
    maps[cohort, :, 0, cohort] = 1.0
    maps[:, period, 0, n_cohorts + period] = 1.0
    for j in range(k):
        start = levels + j * (n_cohorts + n_periods - 1)
        maps[:, :, 1 + j, start] = 1.0
        maps[cohort[:-1], :, 1 + j, start + 1 + cohort[:-1]] = 1.0
        maps[:, period[1:], 1 + j, start + n_cohorts - 1 + period[1:]] = 1.0
    return maps


def _with_constant(covariates: Floats, seen: Booleans) -> Floats:
    """Put a one before the covariates, centred and scaled over the rows observed."""
    values = covariates[seen]
    scale = values.std(axis=0)
    X = (covariates - values.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    Z = np.concatenate((np.ones((*seen.shape, 1)), X), axis=2)
    return np.where(seen[:, :, None], Z, 0.0)
