"""How much each predictor counts in synthetic control: the outer problem of a nested pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.kernels.simplex import SimplexFit, simplex_least_squares

Floats: TypeAlias = NDArray[np.float64]
Problem: TypeAlias = tuple[Floats, Floats, Floats, Floats]

__all__ = ["NestedFit", "nested_fit", "weighted_fit"]

# Importance of a predictor ranges over this many powers of e below the largest: exp(-18) is
# 1.5e-8, where a predictor no longer decides between donors.
LOG_RANGE = 18.0
# Steps in log v: from every start, from the best few, and from the best.
COARSE, MIDDLE, FINE = (4.0, 2.0, 1.0), (0.5, 0.25), tuple(0.5**k for k in range(3, 14))
KEPT = 4
# Relative gain below which a move is none: the inner problem is exact to far less than this.
GAIN = 1e-8


@dataclass(frozen=True, eq=False)
class NestedFit:
    """Predictor weights and the donor weights they imply.

    Attributes
    ----------
    importance : shape (k,), nonnegative, sum one, the diagonal of V
    donors : SimplexFit of the inner problem at V
    loss : mean squared prediction error of the outcomes the search was judged by
    """

    importance: Floats
    donors: SimplexFit
    loss: float


def weighted_fit(
    donors: Floats, treated: Floats, importance: Floats, *, start: Floats | None = None
) -> SimplexFit:
    """Solve the inner problem: minimise sum_k v_k (x_k - X_k w)^2 over the simplex.

    Parameters
    ----------
    donors : shape (k, n), predictors of donors; treated : shape (k,)
    importance : shape (k,), v
    start : shape (n,), weights to start from

    Source
    ------
    Abadie, Diamond and Hainmueller (2010), section 2.3.
    """
    root = np.sqrt(importance)
    return simplex_least_squares(donors * root[:, None], treated * root, start=start)


def nested_fit(
    donors: Floats, treated: Floats, donor_outcomes: Floats, treated_outcomes: Floats
) -> NestedFit:
    """Choose the predictors' weights so that donors best predict given outcomes.

    Minimises mean_t (z_t - Z_t w(v))^2 over v, with w(v) the inner problem's exact solution.

    Parameters
    ----------
    donors : shape (k, n), predictors in comparable units; treated : shape (k,)
    donor_outcomes : shape (m, n), outcomes the prediction is judged by; treated_outcomes : (m,)

    Notes
    -----
    The outer problem is neither convex nor smooth. It is searched by comparing values on a
    lattice of log v (Hooke and Jeeves), from coarse steps to fine. Kinks do not mislead such a
    search, and every step is a plain comparison, so that it takes the same path on every machine,
    where a path along slopes would turn on the last digit. Starts do not depend on chance: equal
    weights, each predictor alone ahead of the others, and a regression of the outcomes on the
    predictors.
    Another local optimum may remain; ``loss`` says how good this one is, and the fit to the
    outcomes without predictors bounds what any could reach.

    Source
    ------
    Abadie and Gardeazabal (2003), appendix B; Abadie, Diamond and Hainmueller (2010), section
    2.3; Abadie, Diamond and Hainmueller (2011), Journal of Statistical Software 42(13), for the
    regression start; Hooke and Jeeves (1961), Journal of the ACM 8(2), for the search.
    """
    # Weights sum to one: donors' means can be taken out, and the search then ignores levels.
    means, centre = donors.mean(axis=1), donor_outcomes.mean(axis=1)
    size = float(np.sqrt(np.mean((treated_outcomes - centre) ** 2))) or 1.0
    problem = (
        donors - means[:, None],
        treated - means,
        (donor_outcomes - centre[:, None]) / size,
        (treated_outcomes - centre) / size,
    )
    search = _LatticeSearch(problem)
    found = [search.run(_on_lattice(start), COARSE) for start in _starts(*problem)]
    for steps, kept in ((MIDDLE, KEPT), (FINE, 1)):
        found.sort(key=lambda reached: reached[0])
        found = [search.run(logs, steps) for _, logs in found[:kept]]
    importance = np.exp(found[0][1])
    fit = weighted_fit(donors, treated, importance)
    loss = float(np.mean((treated_outcomes - donor_outcomes @ fit.weights) ** 2))
    return NestedFit(importance / importance.sum(), fit, loss)


class _LatticeSearch:
    """Minimise the outer loss over a lattice of log v; values are kept, since paths meet."""

    def __init__(self, problem: Problem) -> None:
        self._donors, self._treated, self._Z, self._z = problem
        self._losses: dict[bytes, float] = {}
        self._weights: Floats | None = None

    def run(self, logs: Floats, steps: tuple[float, ...]) -> tuple[float, Floats]:
        """Move along coordinates, and on along what moved, at ever finer steps."""
        loss, logs = self._value(logs)
        for step in steps:
            moved = True
            while moved:
                before = logs
                loss, logs = self._along_coordinates(loss, logs, step)
                moved = logs is not before
                while moved:
                    further = self._value(2.0 * logs - before)
                    if not _gains(further[0], loss):
                        break
                    before = logs
                    loss, logs = further
        return loss, logs

    def _along_coordinates(self, loss: float, logs: Floats, step: float) -> tuple[float, Floats]:
        for move in np.eye(len(logs)) * step:
            for there in (logs + move, logs - move):
                value, point = self._value(there)
                if _gains(value, loss):
                    loss, logs = value, point
                    break
        return loss, logs

    def _value(self, logs: Floats) -> tuple[float, Floats]:
        """Return the loss at a point and the point, its largest entry zero, in the range."""
        logs = np.clip(logs - logs.max(), -LOG_RANGE, 0.0)
        key = logs.tobytes()
        if key not in self._losses:
            near = self._weights
            fit = weighted_fit(self._donors, self._treated, np.exp(logs), start=near)
            self._weights = fit.weights
            self._losses[key] = float(np.mean((self._z - self._Z @ fit.weights) ** 2))
        return self._losses[key], logs


def _gains(value: float, loss: float) -> bool:
    return value < loss * (1.0 - GAIN)


def _on_lattice(importance: Floats) -> Floats:
    """Return log v relative to its largest entry, on the lattice of the last coarse step's."""
    logs = np.log(np.maximum(importance / importance.max(), np.exp(-LOG_RANGE)))
    return np.asarray(np.round(logs / MIDDLE[-1]) * MIDDLE[-1])


def _starts(donors: Floats, treated: Floats, Z: Floats, z: Floats) -> list[Floats]:
    """List starting weights: equal, the regression's, and each predictor ahead in turn."""
    k = len(treated)
    X = np.column_stack([np.ones(donors.shape[1] + 1), np.column_stack([treated, donors]).T])
    slopes = np.linalg.lstsq(X, np.column_stack([z, Z]).T)[0][1:]
    regression = np.einsum("km,km->k", slopes, slopes)
    ahead = np.full((k, k), 1e-3) + np.eye(k)
    starts = [np.ones(k), *ahead]
    if regression.max() > 0.0:
        starts.insert(1, regression)
    return starts
