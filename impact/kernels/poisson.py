"""Poisson regression with absorbed effects, and the rows that no finite estimate fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import EstimationError
from impact.kernels.absorb import Absorber, absorb
from impact.kernels.groups import Groups
from impact.kernels.least_squares import LeastSquares, least_squares

__all__ = [
    "PoissonFit",
    "fit_poisson",
    "separated_rows",
    "sum_of",
    "zero_groups",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_STEPS = 60
"""Newton steps before giving up; ten do unless rows are separated."""

HALVINGS = 30
"""Times a step is halved before it counts as leading nowhere."""

SETTLED = 1e-12
"""Relative change of the deviance at which Newton's method stops; it converges quadratically."""

ROUNDING = 1e-14
"""Change of the deviance, relative to the sum of outcomes, that is rounding: perfect fits."""

VANISHING = 1e-7
"""Fitted mean of a zero, relative to the outcome's mean, at which separation is looked for."""


@dataclass(frozen=True, eq=False)
class PoissonFit(LeastSquares):
    """A Poisson fit as the weighted regression at its last step.

    ``residuals`` are working residuals and ``weights`` fitted means (times weights), so that
    row scores are regressor times (outcome - mean) and the bread is the inverse information.
    ``linear`` is the logarithm of ``means``.
    """

    means: Floats
    linear: Floats
    deviance: float
    n_steps: int

    def has_vanishing_means(self, outcome: Floats) -> bool:
        """Whether the mean of some zero is tiny, or still falls: the next step divides it by e."""
        zero = outcome == 0
        falls = (self.residuals[zero] > -0.5).any()
        return bool(falls or (self.means[zero] < VANISHING * outcome.mean()).any())

    @property
    def r_squared_within(self) -> float:
        """NaN: the deviance measures the fit."""
        return np.nan

    @property
    def sigma2(self) -> float:
        """(n - 1)/(n - K), as fixest: the variance is the mean, but for a small-sample factor."""
        return (self.n_rows - 1) / self.df_residual if self.df_residual > 0 else np.nan


def fit_poisson(
    outcome: Floats,
    regressors: Floats,
    effects: Sequence[Groups],
    weights: Floats | None = None,
    offset: Floats | None = None,
) -> PoissonFit:
    r"""Maximise the Poisson likelihood of :math:`E[y] = \exp(x'\beta + effects + offset)`.

    Parameters
    ----------
    outcome : non-negative, shape (n,); every group of every effect has a positive one
    regressors : shape (K, n)
    effects : absorbed effects; with none, ``regressors`` hold a constant
    weights : positive, shape (n,)
    offset : shape (n,), known part of the logarithm of the mean

    Notes
    -----
    Newton's method by weighted least squares; effects are swept out exactly at every step, with
    weights equal to the fitted means. A step that raises the deviance is halved.

    Raises
    ------
    EstimationError : Newton's method does not settle

    Source
    ------
    Correia, Guimaraes and Zylkin (2020), Stata Journal 20(1), section 3.
    """
    scale = float(np.average(outcome, weights=weights))
    linear, means = np.empty_like(outcome), (outcome + scale) / 2
    np.log(means, out=linear)
    # The start fits each row almost exactly; the first step may lose likelihood.
    deviance = np.inf
    best = 2 * sum_of(lambda y: special.xlogy(y, y) - y, outcome, weights)
    rounding = ROUNDING * float(outcome.sum() if weights is None else outcome @ weights)
    absorber: Absorber | None = None
    settled = False
    for step in range(1, MOST_STEPS + 1):
        row_weights = means if weights is None else means * weights
        working = outcome - means
        working /= means
        working += linear
        if offset is not None:
            working -= offset
        if effects:
            absorber = (
                absorb(effects, row_weights) if absorber is None else absorber.reweight(row_weights)
            )
        fit = least_squares(
            working,
            regressors,
            row_weights,
            sweep=None if absorber is None else absorber.sweep,
            n_effects=0 if absorber is None else absorber.rank,
            leverage_of_effects=None if absorber is None else absorber.leverage,
        )
        if settled:
            last: dict[str, Any] = {f.name: getattr(fit, f.name) for f in fields(fit)}
            return PoissonFit(**last, means=means, linear=linear, deviance=deviance, n_steps=step)
        working -= fit.residuals
        if offset is not None:
            working += offset
        linear, means, gain = _step(outcome, linear, means, working, deviance, rounding, weights)
        settled = step > 1 and gain <= SETTLED * abs(deviance) + rounding
        deviance = best - 2 * _likelihood(outcome, linear, means, weights)
    raise _unsettled(f"its likelihood still grows after {MOST_STEPS} steps")


def _unsettled(what: str) -> EstimationError:
    return EstimationError(
        f"the Poisson regression does not settle: {what}. Coefficients are infinite, or regressors "
        "are of wildly different sizes. Rescale them, or drop those that are positive only where "
        "the outcome is zero."
    )


def _step(
    outcome: Floats,
    linear: Floats,
    means: Floats,
    target: Floats,
    deviance: float,
    rounding: float,
    weights: Floats | None,
) -> tuple[Floats, Floats, float]:
    """Move to the target, or part of the way if the deviance would rise; say how far it falls."""
    for _ in range(HALVINGS):
        with np.errstate(over="ignore"):
            new = np.exp(target)
        if np.isfinite(new).all() and new.min() > 0:
            change = target - linear
            change *= outcome
            change -= new
            change += means
            gain = 2 * float(change.sum() if weights is None else change @ weights)
            if gain >= -SETTLED * abs(deviance) - rounding:
                return target, new, gain
        target = (linear + target) / 2
    raise _unsettled(f"no step of {HALVINGS} halvings raises its likelihood")


def _likelihood(outcome: Floats, linear: Floats, means: Floats, weights: Floats | None) -> float:
    """Return the log-likelihood without its constant; ``linear`` is the logarithm of ``means``."""
    if weights is None:
        return float(outcome @ linear - means.sum())
    return float(np.einsum("n,n,n->", weights, outcome, linear) - weights @ means)


def sum_of(
    function: Callable[[Floats], Floats], outcome: Floats, weights: Floats | None = None
) -> float:
    """Sum a function of a non-negative outcome, shape (n,); counts are tabulated first."""
    highest = float(outcome.max(initial=0.0))
    if highest < len(outcome):
        counts = outcome.astype(np.int64)
        if (counts == outcome).all():
            levels = np.arange(int(highest) + 1, dtype=np.float64)
            return float(np.bincount(counts, weights, len(levels)) @ function(levels))
    values = function(outcome)
    return float(values.sum() if weights is None else values @ weights)


def zero_groups(outcome: Floats, effects: Sequence[Groups]) -> Mask:
    """Mark rows in groups whose outcomes are all zero: their effect is minus infinity.

    Returns
    -------
    array of bool, shape (n,)
    """
    gone = np.zeros(len(outcome), dtype=np.bool_)
    while True:
        before = int(gone.sum())
        for effect in effects:
            total = effect.total(np.where(gone, 0.0, outcome))
            gone |= effect.spread(total) == 0
        if int(gone.sum()) == before:
            return gone


def separated_rows(outcome: Floats, regressors: Floats, effects: Sequence[Groups]) -> Mask:
    r"""Mark zeros that some combination of regressors and effects predicts perfectly.

    A row is separated if a combination is zero wherever the outcome is positive, nowhere
    negative on zeros, and positive on this row: its fitted mean can be driven to zero at no cost.
    The largest such set solves the linear program :math:`\max \sum_r u_r` over
    :math:`0 \le u_r \le 1`, :math:`u_r \le a_r'\gamma` on zeros and :math:`a_r'\gamma = 0`
    elsewhere, whose solution is 1 on separated rows and 0 on others.

    Returns
    -------
    array of bool, shape (n,)

    Raises
    ------
    EstimationError : the program is not solved

    Source
    ------
    Correia, Guimaraes and Zylkin (2019), "Verifying the existence of maximum likelihood
    estimates for generalized linear models", theorem 2 and section 3.1.
    """
    from scipy import optimize, sparse

    solve: Any = optimize.linprog
    n, zero = len(outcome), outcome == 0
    n_zeros, size = int(zero.sum()), np.abs(regressors).max(axis=1, keepdims=True)
    dummies = [sparse.csr_array((np.ones(n), (np.arange(n), e.codes))) for e in effects]
    scaled = sparse.csr_array((regressors / np.where(size > 0, size, 1.0)).T)
    columns = sparse.hstack([scaled, *dummies], format="csr")
    k = columns.shape[1]
    found = solve(
        np.repeat([0.0, -1.0], [k, n_zeros]),
        A_ub=sparse.hstack([-columns[zero], sparse.eye_array(n_zeros)], format="csr"),
        b_ub=np.zeros(n_zeros),
        A_eq=sparse.hstack([columns[~zero], sparse.csr_array((n - n_zeros, n_zeros))]),
        b_eq=np.zeros(n - n_zeros),
        bounds=np.repeat([[-np.inf, np.inf], [0.0, 1.0]], [k, n_zeros], axis=0),
        method="highs-ds",
    )
    if found.x is None:
        raise _unsettled("whether its estimates are finite cannot be told")
    separated = np.zeros(n, dtype=np.bool_)
    separated[zero] = found.x[k:] > 0.5
    return separated
