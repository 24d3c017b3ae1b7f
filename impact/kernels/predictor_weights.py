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
SEARCH_STEPS = 200
# Relative gains at which a search stops: from every start, and again from the best.
ROUGH, FINE = 1e-6, 1e-13
COMPARISONS = 60


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
    The outer problem is neither convex nor smooth. It is searched by a quasi-Newton method in
    log v, with the derivative of w(v) from the inner optimality conditions, and then by
    comparison of values (Nelder-Mead). Starts do not depend on chance: equal weights, each
    predictor alone ahead of the others, and a regression of the outcomes on the predictors.
    Another local optimum may remain; ``loss`` says how good this one is, and the fit to the
    outcomes without predictors bounds what any could reach.

    Source
    ------
    Abadie and Gardeazabal (2003), appendix B; Abadie, Diamond and Hainmueller (2010), section
    2.3; Abadie, Diamond and Hainmueller (2011), Journal of Statistical Software 42(13), for the
    regression start.
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
    rough = [_search(start, problem, ROUGH) for start in _starts(*problem)]
    best = min(rough, key=lambda found: found[0])[1]
    importance = _simplex_search(_search(best, problem, FINE)[1], problem)
    fit = weighted_fit(donors, treated, importance)
    loss = float(np.mean((treated_outcomes - donor_outcomes @ fit.weights) ** 2))
    return NestedFit(importance / importance.sum(), fit, loss)


def _search(start: Floats, problem: Problem, tolerance: float) -> tuple[float, Floats]:
    """Minimise the outer loss from one start; return it and v with largest entry at most one."""
    from scipy.optimize import minimize

    weights: Floats | None = None

    def outer(log_importance: Floats) -> tuple[float, Floats]:
        nonlocal weights
        loss, slopes, weights = _outer_loss(np.exp(log_importance), *problem, weights)
        return loss, slopes

    found = minimize(
        outer,
        _logs(start),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_RANGE, 0.0)] * len(start),
        options={"maxiter": SEARCH_STEPS, "ftol": tolerance, "gtol": 1e-12},
    )
    return float(found.fun), np.exp(found.x)


def _simplex_search(start: Floats, problem: Problem) -> Floats:
    """Go on from a kink, where slopes mislead, by comparing values alone (Nelder-Mead)."""
    from scipy.optimize import minimize

    weights: Floats | None = None

    def outer(logs: Floats) -> float:
        nonlocal weights
        importance = np.exp(np.clip(logs, -LOG_RANGE, 0.0))
        loss, _, weights = _outer_loss(importance, *problem, weights)
        return loss

    centre = _logs(start)
    k = len(centre)
    steps = np.where(centre > -0.5 * LOG_RANGE, -1.0, 1.0)
    found = minimize(
        outer,
        centre,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([centre, centre + np.diag(steps)]),
            "maxfev": COMPARISONS * k,
            "adaptive": True,
        },
    )
    return np.exp(np.clip(found.x, -LOG_RANGE, 0.0))


def _logs(importance: Floats) -> Floats:
    """Return log v relative to its largest entry, no lower than the range searched."""
    return np.asarray(np.log(np.maximum(importance / importance.max(), np.exp(-LOG_RANGE))))


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


def _outer_loss(
    importance: Floats,
    donors: Floats,
    treated: Floats,
    Z: Floats,
    z: Floats,
    near: Floats | None = None,
) -> tuple[float, Floats, Floats]:
    """Return the prediction error at v, its derivative by log v on the support, and w(v)."""
    weights = weighted_fit(donors, treated, importance, start=near).weights
    gaps = z - Z @ weights
    loss = float(np.mean(gaps**2))
    support = np.flatnonzero(weights)
    X, outcome = donors[:, support], Z[:, support]
    n = len(support)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = X.T @ (importance[:, None] * X)
    system[:n, n] = system[n, :n] = 1.0
    slope = np.append(-2.0 / len(z) * (gaps @ outcome), 0.0)
    adjoint = np.linalg.lstsq(system, slope)[0][:n]
    # d w = -K^{-1} X_k (X_k'w - x_k) dv_k, so the derivative is minus the adjoint's product.
    misfit = X @ weights[support] - treated
    return loss, -importance * (X @ adjoint) * misfit, weights
