"""The bilinear core: unit weights x outcomes x time weights.

Synthetic control, difference-in-differences and synthetic difference-in-differences differ only
in which weights are fixed and which are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.kernels.simplex import SimplexFit, simplex_least_squares, simplex_ridge

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

__all__ = [
    "BilinearWeights",
    "effect_paths",
    "gap_paths",
    "leave_one_out_paths",
    "noise_level",
    "placebo_paths",
    "time_weights",
    "unit_weights",
]


@dataclass(frozen=True)
class BilinearWeights:
    """How weights are chosen in a block of donors and treated units.

    Attributes
    ----------
    unit_ridge : ridge on the unit weights, in squared outcome units
    time_ridge : ridge on the time weights; None leaves time weights at zero (no differencing
        against the pre-period, as in synthetic control)
    intercept : whether weights fit the shape of the path and not its level
    """

    unit_ridge: float
    time_ridge: float | None
    intercept: bool


def noise_level(outcomes: Floats) -> float:
    """Return the standard deviation of first differences of donors' pre-period outcomes, (n, T0).

    Source
    ------
    Arkhangelsky et al. (2021), eq. (5).
    """
    return float(np.diff(outcomes, axis=1).std(ddof=1))


def unit_weights(
    donors: Floats, target: Floats, *, ridge: float = 0.0, intercept: bool = False
) -> SimplexFit:
    """Weigh donors so that their average follows the target before treatment.

    Parameters
    ----------
    donors : shape (n, T0), target : shape (T0,)
    ridge : in squared outcome units, on the squared norm of the weights
    intercept : whether a constant gap is left to differencing

    Source
    ------
    Arkhangelsky et al. (2021), eq. (4), times T0.
    """
    columns, goal = donors.T, target
    if intercept:
        columns, goal = columns - columns.mean(axis=0), goal - goal.mean()
    return simplex_least_squares(columns, goal, ridge=ridge)


def time_weights(
    donors: Floats, after: Floats, *, ridge: float = 0.0, start: Floats | None = None
) -> SimplexFit:
    """Weigh pre-periods so that donors' average equals their mean after treatment, up to a shift.

    Parameters
    ----------
    donors : shape (n, T0); after : shape (n,), each donor's mean outcome after treatment
    start : shape (T0,), weights to start from

    Source
    ------
    Arkhangelsky et al. (2021), eq. (6), times the number of donors.
    """
    return simplex_least_squares(
        donors - donors.mean(axis=0), after - after.mean(), ridge=ridge, start=start
    )


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
    choice: BilinearWeights,
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
    columns, goals = outcomes[:, pre].T, targets[:, pre]
    if choice.intercept:
        columns = columns - columns.mean(axis=0)
        goals = goals - goals.mean(axis=1, keepdims=True)
    omega = simplex_ridge(columns, goals, ridge=choice.unit_ridge, allowed=~barred).weights
    gaps = gap_paths(targets, outcomes, omega)
    if choice.time_ridge is None:
        return gaps
    after = outcomes[:, post].mean(axis=1)
    before = outcomes[:, pre]
    lambdas = np.stack(
        [
            time_weights(
                before[~out], after[~out], ridge=choice.time_ridge, start=lambda_start
            ).weights
            for out in barred
        ]
    )
    return effect_paths(gaps, pre, lambdas)


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
