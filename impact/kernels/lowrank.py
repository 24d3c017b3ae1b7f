"""Counterfactuals from low-rank structure: interactive effects and matrix completion.

Both fill in the untreated outcome of treated cells from a two-way model plus a matrix L of low
rank, hard (a given number of factors) or soft (a price on singular values).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError, plural

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

__all__ = ["LowRankFit", "Shrink", "complete", "factor_projection", "hard", "soft"]

# Largest change of a fitted value, in standard deviations of the outcome, at the end.
SETTLED = 1e-10
# A fit whose changes are still above this is refused: its digits are not to be trusted.
UNSETTLED = 1e-6
# Least variance, of its own, that a covariate keeps beyond unit and period effects.
CONSTANT = 1e-12
ITERATIONS = 3_000
MEMORY = 10


@dataclass(frozen=True, eq=False)
class LowRankFit:
    """Untreated outcomes by unit and period.

    Attributes
    ----------
    fitted : shape (N, T), untreated outcome in every cell
    slopes : shape (k,), coefficients of the covariates
    unit_effects : shape (N,), mean zero; time_effects : shape (T,), the level among them
    loadings : shape (N, r); factors : shape (T, r), with factors'factors / T the identity
    change : largest change of a fitted value in the last step, in outcome standard deviations
    iterations : steps taken
    """

    fitted: Floats
    slopes: Floats
    unit_effects: Floats
    time_effects: Floats
    loadings: Floats
    factors: Floats
    change: float
    iterations: int


@dataclass(frozen=True)
class Shrink:
    """What becomes of singular values: at most ``rank`` are kept, each lowered by ``price``."""

    rank: float = np.inf
    price: float = 0.0

    def shares(self, values: Floats) -> Floats:
        """Return the share of each singular value that is kept, largest first, shape (r,)."""
        kept = (np.arange(len(values)) < self.rank) & (values > self.price)
        lowered = np.divide(self.price, values, out=np.ones_like(values), where=kept)
        return np.asarray(1.0 - lowered)


def hard(rank: int) -> Shrink:
    """Keep the largest singular values: interactive fixed effects with ``rank`` factors."""
    return Shrink(rank=rank)


def soft(price: float) -> Shrink:
    """Lower every singular value by a price in outcome units: the nuclear-norm penalty."""
    return Shrink(price=price)


def complete(
    outcomes: Floats,
    known: Booleans,
    covariates: Floats,
    shrink: Shrink,
    *,
    start: Floats | None = None,
) -> LowRankFit:
    """Fit y = a_i + b_t + x'beta + L_it on the known cells and predict the others.

    Minimises the sum of squares over known cells, plus for ``soft`` the price times twice the
    sum of singular values of L.

    Parameters
    ----------
    outcomes : shape (N, T), of any value where not known
    known : shape (N, T), observed and untreated
    covariates : shape (N, T, k), finite in every cell
    shrink : ``hard(rank)`` or ``soft(price)``
    start : shape (N, T), fitted values to start from

    Raises
    ------
    EstimationError : a unit or period has no known cell, a covariate does not vary within, or
        fitted values still move by 1e-6 standard deviations after 3,000 steps

    Notes
    -----
    Expectation-maximisation: unknown cells are filled with their fitted values, the balanced
    problem is solved in closed form (two-way means, then singular values of what is left, by
    the smaller Gram matrix), and so on. Steps are extrapolated over the last ten (Anderson),
    and an extrapolation that would raise the objective is dropped. With ``hard`` the
    objective is not convex, the start is the two-way fit, and with more factors than the known
    cells bear a minimum need not exist: the search then does not settle and is refused.

    Source
    ------
    Bai (2009), Econometrica 77(4), section 3, and its supplement for missing cells; Athey, Bayati,
    Doudchenko, Imbens and Khosravi (2021), JASA 116(536), eqs. (6)-(11); Walker and Ni (2011),
    SIAM Journal on Numerical Analysis 49(4), for the extrapolation.
    """
    if not (known.any(axis=1).all() and known.any(axis=0).all()):
        lost = int((~known.any(axis=1)).sum()), int((~known.any(axis=0)).sum())
        raise EstimationError(
            f"{plural(lost[0], 'unit')} and {plural(lost[1], 'period')} "
            "have no untreated observation, so nothing is known of their untreated outcomes. Drop "
            "them."
        )
    scale = float(outcomes[known].std()) or 1.0
    y = np.where(known, outcomes / scale, 0.0)
    problem = _problem(y, known, covariates, Shrink(shrink.rank, shrink.price / scale))
    state = _initial(problem, None if start is None else start / scale)
    state, change, steps = _iterate(problem, state)
    if change > UNSETTLED:
        raise EstimationError(
            f"the low-rank fit still moves by {change:.1e} standard deviations after {steps:,} "
            "steps: too little is known of some cells for this rank. Use fewer factors or a "
            "larger penalty."
        )
    step = _step(problem, state)
    n_periods = y.shape[1]
    factors = step.directions * np.sqrt(n_periods)
    return LowRankFit(
        fitted=scale * step.fitted,
        slopes=scale * step.slopes / problem.spread,
        unit_effects=scale * step.unit_effects,
        time_effects=scale * step.time_effects,
        loadings=scale * (step.low @ factors) / n_periods,
        factors=factors,
        change=change,
        iterations=steps,
    )


def factor_projection(outcomes: Floats, known: Booleans, factors: Floats) -> Floats:
    """Predict each unit's path from an intercept and factors, by its own known cells.

    Parameters
    ----------
    outcomes : shape (n, T), net of period effects and covariates
    known : shape (n, T); factors : shape (T, r)

    Returns
    -------
    array, shape (n, T)

    Source
    ------
    Xu (2017), Political Analysis 25(1), eqs. (8)-(9).
    """
    design = np.column_stack([np.ones(len(factors)), factors])
    return np.stack(
        [
            design @ np.linalg.lstsq(design[seen], path[seen])[0]
            for path, seen in zip(outcomes, known, strict=True)
        ]
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """Outcomes (N, T) with zeros where unknown, centred covariates (k, N*T) and their inverse."""

    y: Floats
    known: Booleans
    x: Floats
    inverse: Floats
    spread: Floats
    shrink: Shrink


@dataclass(frozen=True, eq=False)
class _Step:
    """One pass: the fit of every cell, its parts, and the objective on known cells."""

    fitted: Floats
    low: Floats
    slopes: Floats
    unit_effects: Floats
    time_effects: Floats
    directions: Floats
    loss: float


def _problem(y: Floats, known: Booleans, covariates: Floats, shrink: Shrink) -> _Problem:
    """Bring covariates to unit spread and check that they vary beyond unit and period."""
    x = np.moveaxis(covariates, 2, 0)
    spread = np.array([layer[known].std() for layer in x])
    x = x / np.where(spread > 0.0, spread, 1.0)[:, None, None]
    within = np.stack([_double_demeaned(layer) for layer in x]) if len(x) else x
    flat = within.reshape(len(x), y.size)
    gram = flat @ flat.T
    if len(x) and np.linalg.eigvalsh(gram)[0] < CONSTANT * y.size:
        raise EstimationError(
            "the covariates do not vary beyond unit and period effects, or repeat each other, so "
            "their coefficients are not identified. Leave out those constant within units or "
            "common to all."
        )
    return _Problem(y, known, x, np.asarray(np.linalg.inv(gram)), spread, shrink)


def _double_demeaned(values: Floats) -> Floats:
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    return np.asarray(values - rows - columns + values.mean())


def _initial(problem: _Problem, start: Floats | None) -> Floats:
    """Return the state to start from: a given fit's, or the two-way fit's."""
    hidden = ~problem.known
    slopes = np.zeros(len(problem.x))
    if start is not None:
        return np.concatenate([start[hidden], slopes])
    counts = problem.known.sum(axis=1, keepdims=True)
    means = np.broadcast_to(problem.y.sum(axis=1, keepdims=True) / counts, problem.y.shape)
    flat = replace(problem, shrink=hard(0))
    return _iterate(flat, np.concatenate([means[hidden], slopes]))[0]


def _step(problem: _Problem, state: Floats) -> _Step:
    """Fill unknown cells, refit the low-rank part, then covariates and two-way effects."""
    k = len(problem.x)
    filled, slopes = problem.y.copy(), state[len(state) - k :]
    filled[~problem.known] = state[: len(state) - k]
    residual = _double_demeaned(filled - np.tensordot(slopes, problem.x, 1))
    low, directions, cost = _low_rank(residual, problem.shrink)
    rest = filled - low
    if k:
        products = np.tensordot(problem.x, _double_demeaned(rest), 2)
        slopes = problem.inverse @ products
    rest = rest - np.tensordot(slopes, problem.x, 1)
    time_effects = rest.mean(axis=0)
    unit_effects = rest.mean(axis=1) - rest.mean()
    fitted = low + np.tensordot(slopes, problem.x, 1)
    fitted += unit_effects[:, None] + time_effects
    gaps = (problem.y - fitted)[problem.known]
    loss = 0.5 * float(gaps @ gaps) + cost
    return _Step(fitted, low, slopes, unit_effects, time_effects, directions, loss)


def _low_rank(residual: Floats, shrink: Shrink) -> tuple[Floats, Floats, float]:
    """Shrink singular values; return the matrix, its directions over time and what it costs."""
    tall = residual.shape[0] >= residual.shape[1]
    matrix = residual if tall else residual.T
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    singular = np.sqrt(np.maximum(values[::-1], 0.0))
    # Singular values of a matrix that is zero but for rounding carry no direction.
    shares = np.where(singular > 1e-14 * residual.size, shrink.shares(singular), 0.0)
    live = shares > 0.0
    right, share, size = vectors[:, ::-1][:, live], shares[live], singular[live]
    left = matrix @ right
    low = left * share @ right.T
    cost = shrink.price * float(share @ size)
    return (low, right, cost) if tall else (low.T, left / size, cost)


def _iterate(problem: _Problem, state: Floats) -> tuple[Floats, float, int]:
    """Repeat steps with Anderson extrapolation until fitted values settle."""
    states: list[Floats] = []
    moves: list[Floats] = []
    best = np.inf
    plain, change = state, np.inf
    for count in range(1, ITERATIONS + 1):
        step = _step(problem, state)
        image = np.concatenate([step.fitted[~problem.known], step.slopes])
        if step.loss > best * (1.0 + 1e-9) and states:
            # An extrapolation that made the fit worse is dropped.
            states, moves, state = [], [], plain
            best = np.inf
            continue
        best, plain = step.loss, image
        move = image - state
        change = float(np.abs(move).max(initial=0.0))
        if change <= SETTLED:
            return image, change, count
        states, moves = [*states, image][-MEMORY:], [*moves, move][-MEMORY:]
        state = _extrapolated(states, moves)
    return state, change, ITERATIONS


def _extrapolated(states: list[Floats], moves: list[Floats]) -> Floats:
    """Combine the last images so that their moves cancel as far as possible."""
    if len(moves) == 1:
        return states[-1]
    differences = np.diff(np.stack(moves), axis=0).T
    mix = np.linalg.lstsq(differences, moves[-1], rcond=1e-10)[0]
    return np.asarray(states[-1] - np.diff(np.stack(states), axis=0).T @ mix)
