"""The bilinear core: unit weights x outcomes x time weights.

Synthetic control, difference-in-differences and synthetic difference-in-differences differ only
in which weights are fixed and which are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.kernels.frank_wolfe import frank_wolfe_weights
from impact.kernels.simplex import (
    SimplexFit,
    optimality_residual,
    simplex_least_squares,
    simplex_ridge,
)

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

__all__ = [
    "BilinearChoice",
    "BilinearFit",
    "bilinear_fit",
    "effect_paths",
    "gap_paths",
    "leave_one_out_paths",
    "noise_level",
    "placebo_paths",
]


@dataclass(frozen=True)
class BilinearChoice:
    """Which weights are chosen, which are fixed, and how much a donor's weight costs.

    Attributes
    ----------
    units : "fitted" to the treated path before treatment, or "uniform" over donors
    times : "fitted" to the donors' mean after treatment, "uniform" over pre-periods, or "none",
        which leaves gaps in levels
    unit_ridge, time_ridge : on squared norms of the weights, in squared outcome units
    intercept : whether unit weights fit the shape of the path and not its level
    proximity : cost of a donor's weight, times its own squared distance to the treated path
    early_stop : 0 for the exact optimum; else the tolerance at which R synthdid's iteration
        stops short of it

    Notes
    -----
    Difference-in-differences: both uniform. Synthetic control: units fitted, times none, no
    ridge, no intercept. Synthetic difference-in-differences: both fitted, with ridge and
    intercept.
    """

    units: Literal["fitted", "uniform"] = "fitted"
    times: Literal["fitted", "uniform", "none"] = "none"
    unit_ridge: float = 0.0
    time_ridge: float = 0.0
    intercept: bool = False
    proximity: float = 0.0
    early_stop: float = 0.0


@dataclass(frozen=True, eq=False)
class BilinearFit:
    """Weights and the effect path they give.

    Attributes
    ----------
    omega : shape (n,), weights of donors; lambda_ : shape (T0,), weights of pre-periods
    path : shape (T,), the effect by period, its time-weighted pre-period mean taken out
    residual : largest Karush-Kuhn-Tucker residual of the two problems
    unique : whether the unit weights are the only optimum
    """

    omega: Floats
    lambda_: Floats
    path: Floats
    residual: float
    unique: bool


def noise_level(outcomes: Floats) -> float:
    """Return the standard deviation of first differences of donors' pre-period outcomes, (n, T0).

    Source
    ------
    Arkhangelsky et al. (2021), eq. (5).
    """
    changes = np.diff(outcomes, axis=1)
    return float(changes.std(ddof=1)) if changes.size > 1 else 0.0


def bilinear_fit(
    treated: Floats, donors: Floats, pre: Booleans, post: Booleans, choice: BilinearChoice
) -> BilinearFit:
    """Choose weights and compute (1, -omega)' outcomes (1, -lambda) by period.

    Parameters
    ----------
    treated : shape (T,); donors : shape (n, T)
    pre, post : shape (T,), periods before and after treatment

    Source
    ------
    Arkhangelsky et al. (2021), eqs. (1)-(6), with the objectives of (4) and (6) multiplied by
    the number of periods and of donors; Abadie and L'Hour (2021), eq. (5), for proximity.
    """
    before = donors[:, pre]
    if choice.units == "uniform":
        omega = _uniform(len(donors))
    else:
        columns, goal = _unit_problem(before.T, treated[None, pre], choice.intercept)
        omega = _unit_weights(columns, goal[0], choice)
    lambda_ = _time_weights(before, donors[:, post].mean(axis=1), choice)
    path = effect_paths(gap_paths(treated, donors, omega.weights), pre, lambda_.weights)
    residual = max(omega.residual, lambda_.residual)
    return BilinearFit(omega.weights, lambda_.weights, path, residual, omega.unique)


def _uniform(n: int, total: float = 1.0) -> SimplexFit:
    """Return weights that are fixed and equal."""
    return SimplexFit(np.full(n, total / n), residual=0.0, loss=0.0, unique=True)


def _unit_problem(columns: Floats, goals: Floats, intercept: bool) -> tuple[Floats, Floats]:
    """Take each path's own mean out where the level is left to differencing."""
    if not intercept:
        return columns, goals
    return columns - columns.mean(axis=0), goals - goals.mean(axis=1, keepdims=True)


def _unit_weights(columns: Floats, goal: Floats, choice: BilinearChoice) -> SimplexFit:
    """Weigh donors, columns, to meet the goal."""
    if choice.early_stop > 0.0:
        return _stopped(columns, goal, choice.unit_ridge, choice.early_stop)
    penalty = _proximity(columns, goal, choice.proximity)
    return simplex_least_squares(columns, goal, ridge=choice.unit_ridge, penalty=penalty)


def _stopped(columns: Floats, goal: Floats, ridge: float, tolerance: float) -> SimplexFit:
    """Return weights that stop short of the optimum, with the residual that says by how much."""
    weights = frank_wolfe_weights(columns, goal, ridge=ridge, tolerance=tolerance)
    gap = columns @ weights - goal
    residual = optimality_residual(columns, goal, weights, ridge=ridge)
    return SimplexFit(weights, residual, loss=float(gap @ gap), unique=True)


def _proximity(columns: Floats, goal: Floats, strength: float) -> Floats | None:
    """Price each donor by its own squared distance to the goal."""
    if strength == 0.0:
        return None
    gaps = columns - goal[:, None]
    return np.asarray(strength * np.einsum("ij,ij->j", gaps, gaps))


def _time_weights(
    before: Floats, after: Floats, choice: BilinearChoice, start: Floats | None = None
) -> SimplexFit:
    """Weigh pre-periods so that donors' average meets their mean after treatment, up to a shift."""
    if choice.times != "fitted":
        return _uniform(before.shape[1], float(choice.times == "uniform"))
    columns, goal = before - before.mean(axis=0), after - after.mean()
    if choice.early_stop > 0.0:
        return _stopped(columns, goal, choice.time_ridge, choice.early_stop)
    return simplex_least_squares(columns, goal, ridge=choice.time_ridge, start=start)


def gap_paths(treated: Floats, donors: Floats, omega: Floats) -> Floats:
    """Return treated minus weighted donors by period, shape (..., T).

    Parameters
    ----------
    treated : shape (..., T); donors : shape (n, T); omega : shape (..., n)
    """
    return np.asarray(treated - omega @ donors)


def effect_paths(gaps: Floats, pre: Booleans, lambda_: Floats) -> Floats:
    """Difference gaps against their time-weighted mean before treatment.

    Parameters
    ----------
    gaps : shape (..., T); pre : shape (T,); lambda_ : shape (..., T0), zero for no differencing
    """
    return np.asarray(gaps - np.sum(gaps[..., pre] * lambda_, axis=-1, keepdims=True))


def placebo_paths(
    outcomes: Floats,
    pre: Booleans,
    post: Booleans,
    groups: Indices,
    barred: Booleans,
    choice: BilinearChoice,
    lambda_start: Floats,
) -> Floats:
    """Estimate the effect path anew with groups of donors taken as if treated, shape (B, T).

    Parameters
    ----------
    outcomes : shape (n, T), donors only
    pre, post : shape (T,), periods before and after treatment
    groups : shape (B, n1), the donors whose mean is the pretended treated path
    barred : shape (B, n), donors not to be used in a draw (every pretended treated one)
    lambda_start : shape (T0,), time weights of the actual estimate: a start, not a result

    Notes
    -----
    Both sets of weights are chosen anew in each draw; the ridges stay those of the estimate.

    Source
    ------
    Arkhangelsky et al. (2021), algorithm 4; Abadie, Diamond and Hainmueller (2010), section 3.4.
    """
    targets = outcomes[groups].mean(axis=1)
    omega = _placebo_weights(outcomes[:, pre].T, targets[:, pre], ~barred, choice)
    gaps = gap_paths(targets, outcomes, omega)
    if choice.times == "none":
        return gaps
    before, after = outcomes[:, pre], outcomes[:, post].mean(axis=1)
    lambdas = [
        _time_weights(before[~out], after[~out], choice, lambda_start).weights for out in barred
    ]
    return effect_paths(gaps, pre, np.stack(lambdas))


def _placebo_weights(
    columns: Floats, goals: Floats, allowed: Booleans, choice: BilinearChoice
) -> Floats:
    """Choose unit weights for each goal, shape (B, n)."""
    if choice.units == "uniform":
        return np.asarray(allowed / allowed.sum(axis=1, keepdims=True))
    columns, goals = _unit_problem(columns, goals, choice.intercept)
    if choice.proximity == 0.0 and choice.early_stop == 0.0:
        return simplex_ridge(columns, goals, ridge=choice.unit_ridge, allowed=allowed).weights
    weights = np.zeros(allowed.shape)
    for goal, use, row in zip(goals, allowed, weights, strict=True):
        row[use] = _unit_weights(columns[:, use], goal, choice).weights
    return weights


def leave_one_out_paths(
    treated: Floats,
    donors: Floats,
    omega: Floats,
    lambda_: Floats,
    pre: Booleans,
    treated_groups: Indices,
    donor_groups: Indices,
    n_groups: int,
) -> Floats:
    """Recompute the effect path without each group of units in turn, weights held fixed.

    Parameters
    ----------
    treated : shape (n1, T); donors : shape (n0, T)
    omega : shape (n0,), renormalised over the donors that stay
    lambda_ : shape (T0,), held fixed
    treated_groups, donor_groups : group of each unit, 0 .. n_groups - 1

    Returns
    -------
    array, shape (n_groups, T); NaN where no treated unit or no weight is left

    Notes
    -----
    The estimate is linear in the units' outcomes, so all values cost one pass over the data.

    Source
    ------
    Arkhangelsky et al. (2021), algorithm 3.
    """
    width = treated.shape[1]
    lost_treated, lost_donors = np.zeros((n_groups, width)), np.zeros((n_groups, width))
    np.add.at(lost_treated, treated_groups, treated)
    np.add.at(lost_donors, donor_groups, omega[:, None] * donors)
    left = len(treated) - np.bincount(treated_groups, minlength=n_groups)
    weight = 1.0 - np.bincount(donor_groups, weights=omega, minlength=n_groups)
    # What is left of one unit's full weight after subtraction is rounding.
    known = (left > 0) & (weight > 1e-12)
    divisor = np.where(known, left, 1)[:, None], np.where(known, weight, 1.0)[:, None]
    gaps = (treated.sum(axis=0) - lost_treated) / divisor[0]
    gaps = gaps - (omega @ donors - lost_donors) / divisor[1]
    paths = effect_paths(gaps, pre, lambda_)
    paths[~known] = np.nan
    return paths
