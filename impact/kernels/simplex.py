"""Least squares over the simplex, exact and certified: the weights of synthetic control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dgels, dposv

from impact.errors import EstimationError
from impact.kernels.simplex_dual import compressed, dual_newton

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

__all__ = [
    "SimplexBatch",
    "SimplexFit",
    "optimality_residual",
    "simplex_least_squares",
    "simplex_ridge",
]

# A gradient is a sum of rounded products: below this, in units of the largest squared
# distance between donor and target, its sign is noise.
GRADIENT_NOISE = 1e-13
# A Karush-Kuhn-Tucker residual above this says the weights are not the optimum.
CERTIFIED = 1e-10
# Donors whose gradient exceeds the multiplier by less than this may share the optimum.
DEGENERATE = 1e-11
# Donors are affinely dependent when a direction between them is shorter than this.
DEPENDENT = 1e-6
# A ridge below this, of the scale, cannot be seen in gradients: it only chooses among ties.
FAINT = 1e-9
# Singular values below this, of the largest, are rounding.
ROUNDING = 1e-12
# The dual divides by the ridge: beyond this ratio rounding would spoil the certificate.
DUAL_RATIO = 1e4
NEWTON_STEPS = 60
HALVINGS = 30


@dataclass(frozen=True)
class SimplexFit:
    """Weights on the simplex with the certificate that they are optimal.

    Attributes
    ----------
    weights : shape (n,), nonnegative, sum one
    residual : largest violation of the Karush-Kuhn-Tucker conditions, free of scale
    loss : ||columns @ weights - target||^2, without ridge and penalty
    unique : False when other weights reach the same objective; without penalty those of least
        norm are then returned, so that equal donors share alike
    """

    weights: Floats
    residual: float
    loss: float
    unique: bool


@dataclass(frozen=True)
class SimplexBatch:
    """Simplex weights of many targets over the same donors.

    Attributes
    ----------
    weights : shape (B, n), rows nonnegative with sum one
    residuals : shape (B,), Karush-Kuhn-Tucker residuals, free of scale
    """

    weights: Floats
    residuals: Floats


def simplex_least_squares(
    columns: Floats,
    target: Floats,
    *,
    ridge: float = 0.0,
    penalty: Floats | None = None,
    start: Floats | None = None,
) -> SimplexFit:
    """Find the convex combination of columns closest to a target.

    Minimises ||columns @ w - target||^2 + ridge ||w||^2 + penalty' w over w >= 0, sum w = 1.

    Parameters
    ----------
    columns : shape (m, n), one column a donor
    target : shape (m,)
    ridge : nonnegative, in squared units of the target
    penalty : shape (n,), cost of each donor's weight, in squared units of the target
    start : shape (n,), weights whose support starts the search; changes the time, not the answer

    Returns
    -------
    SimplexFit

    Raises
    ------
    EstimationError : the certificate exceeds 1e-10

    Notes
    -----
    A primal active set: each step solves the equality-constrained problem on the support, then
    either stops at the first bound on the way there or admits the donor of steepest gradient.
    An admitted donor is affinely independent of the support, so the systems stay regular
    although the problem may be singular (more donors than periods). Where the ridge is too small
    to be told from rounding, equal fits are ranked by their norm. Without penalty the
    search starts from the support of the dual solution where there is a ridge, else of the
    equivalent nonnegative least-squares problem, so that it mostly confirms it.

    Source
    ------
    Lawson and Hanson (1974), Solving Least Squares Problems, chapter 23; Wolfe (1976),
    Mathematical Programming 11, 128-149 for the nearest point of a convex hull.
    """
    gaps = columns - target[:, None]
    costs = np.zeros(gaps.shape[1]) if penalty is None else 0.5 * penalty
    distances = np.einsum("ij,ij->j", gaps, gaps)
    scale = float(distances.max() + ridge + np.abs(costs).max())
    if scale == 0.0:
        weights = np.full(len(costs), 1.0 / len(costs))
        return SimplexFit(weights, residual=0.0, loss=0.0, unique=len(costs) == 1)
    if start is None or not np.any(start > 0.0):
        start = _starting_weights(gaps, ridge, costs, distances, scale)
    weights = _active_set(gaps, ridge, costs, scale, start)
    if scale > DUAL_RATIO * ridge:
        weights = _polished(gaps, ridge, costs, weights)
    gradient = (gaps @ weights) @ gaps + ridge * weights + costs
    residual = _kkt_residual(gradient, weights, scale)
    candidates = _candidates(gradient, weights, scale)
    # Donors with weight are independent, or their system had not been solved.
    alone = len(candidates) == np.count_nonzero(weights)
    faint = ridge <= FAINT * scale
    tied = faint and not alone and not _are_independent(gaps[:, candidates], scale)
    if tied and not costs.any():
        even = _evenest(gaps, candidates, weights, scale)
        even_residual = _kkt_residual((gaps @ even) @ gaps + ridge * even, even, scale)
        better = ridge == 0.0 or _cost(gaps, ridge, even) <= _cost(gaps, ridge, weights)
        if even_residual <= CERTIFIED and better:
            weights, residual = even, even_residual
    if residual > CERTIFIED:
        raise EstimationError(
            f"the simplex weights of {len(costs)} donors miss the optimum: the "
            f"Karush-Kuhn-Tucker residual is {residual:.1e}, above {CERTIFIED:.0e}. The rows "
            "differ in scale beyond double precision: rescale the outcome or the predictors."
        )
    fitted = gaps @ weights
    unique = ridge > 0.0 or not tied
    return SimplexFit(weights, residual, loss=float(fitted @ fitted), unique=unique)


def optimality_residual(
    columns: Floats, target: Floats, weights: Floats, *, ridge: float = 0.0
) -> float:
    """Return the Karush-Kuhn-Tucker residual of any weights, free of scale.

    With g the gradient of half the objective of ``simplex_least_squares``, the largest of
    max(w'g - g_j, 0), w_j |g_j - w'g|, max(-w_j, 0) and |sum w - 1|, gradients in units of the
    largest squared distance between a donor and the target plus the ridge.
    """
    gaps = columns - target[:, None]
    scale = np.einsum("ij,ij->j", gaps, gaps).max() + ridge
    gradient = (gaps @ weights) @ gaps + ridge * weights
    return _kkt_residual(gradient, weights, float(scale))


def simplex_ridge(
    columns: Floats,
    targets: Floats,
    *,
    ridge: float,
    allowed: Booleans | None = None,
) -> SimplexBatch:
    """Find ridge-penalised simplex weights of many targets over the same donors.

    For each target b minimises ||columns @ w - b||^2 + ridge ||w||^2 over w >= 0, sum w = 1,
    with w = 0 where a donor is not allowed.

    Parameters
    ----------
    columns : shape (m, n), one column a donor
    targets : shape (B, m)
    ridge : nonnegative, in squared units of the target
    allowed : shape (B, n), False where a donor is barred for that target; None: all allowed

    Returns
    -------
    SimplexBatch

    Raises
    ------
    EstimationError : no donor is allowed for some target, or a certificate exceeds 1e-10

    Notes
    -----
    Semismooth Newton on the dual in (nu, theta), at most m + 1 unknowns whatever the number of
    donors: w = max(columns' nu - theta, 0) / ridge. The dual is convex and piecewise
    quadratic, so the method ends at the solution after finitely many steps. Where the ridge is
    too small against the distances, or the certificate fails, the primal active set takes over.

    Source
    ------
    Arkhangelsky et al. (2021), American Economic Review 111(12), eq. (4) for the problem; Qi
    and Sun (1993), Mathematical Programming 58, 353-367 for the method.
    """
    shape = (len(targets), columns.shape[1])
    allowed = np.ones(shape, dtype=bool) if allowed is None else allowed
    barred = ~allowed.any(axis=1)
    if barred.any():
        raise EstimationError(
            f"{int(barred.sum())} of {len(targets)} targets have no allowed donor, and weights on "
            "the simplex need one. Widen the donor pool."
        )
    centre = columns.mean(axis=1)
    columns, targets = columns - centre[:, None], targets - centre
    weights, residuals = np.zeros(shape), np.full(len(targets), np.inf)
    if ridge > 0 and np.einsum("ij,ij->j", columns, columns).max() <= DUAL_RATIO * ridge:
        weights = dual_newton(*compressed(columns, targets), ridge, allowed)
        residuals = _batch_residuals(columns, targets, ridge, allowed, weights)
    for b in np.flatnonzero(residuals > CERTIFIED):
        donors = np.flatnonzero(allowed[b])
        fit = simplex_least_squares(
            columns[:, donors], targets[b], ridge=ridge, start=weights[b, donors]
        )
        weights[b] = 0.0
        weights[b, donors], residuals[b] = fit.weights, fit.residual
    return SimplexBatch(weights, residuals)


def _starting_weights(
    gaps: Floats, ridge: float, costs: Floats, distances: Floats, scale: float
) -> Floats:
    """Return the dual solution, the equivalent nonnegative least-squares one, or a vertex."""
    nearest = np.zeros(len(costs))
    nearest[np.argmin(0.5 * distances + costs)] = 1.0
    if costs.any():
        return nearest
    if scale <= DUAL_RATIO * ridge:
        everyone = np.ones((1, len(costs)), dtype=bool)
        columns, goals = compressed(gaps, np.zeros((1, len(gaps))))
        weights = dual_newton(columns, goals, ridge, everyone)[0]
        return weights if weights.any() else nearest
    from scipy.optimize import nnls

    rows = np.vstack([gaps, np.full(len(costs), np.sqrt(scale))])
    goal = np.zeros(len(rows))
    goal[-1] = np.sqrt(scale)
    try:
        weights = nnls(rows, goal)[0]
    except RuntimeError:
        return nearest
    return weights if weights.any() else nearest


def _active_set(gaps: Floats, ridge: float, costs: Floats, scale: float, start: Floats) -> Floats:
    """Minimise |gaps w|^2/2 + ridge |w|^2/2 + costs'w on the simplex, from the start's support."""
    weights = np.maximum(start, 0.0)
    weights = _to_face_minimum(gaps, ridge, costs, scale, weights / weights.sum(), None)
    refused = np.zeros(len(weights), dtype=bool)
    for _ in range(20 * (sum(gaps.shape) + 10)):
        gradient = (gaps @ weights) @ gaps + ridge * weights + costs
        slack = gradient - weights @ gradient
        slack[(weights > 0.0) | refused] = 0.0
        entering = int(np.argmin(slack))
        if slack[entering] >= -GRADIENT_NOISE * scale:
            break
        moved = _to_face_minimum(gaps, ridge, costs, scale, weights, entering)
        # A donor thrown out at once differs from the support by rounding alone.
        refused &= np.array_equal(moved, weights)
        refused[entering] |= moved[entering] == 0.0
        weights = moved
    return weights


def _to_face_minimum(
    gaps: Floats, ridge: float, costs: Floats, scale: float, weights: Floats, entering: int | None
) -> Floats:
    """Move to the minimum on the support's face, giving up donors whose weight reaches zero."""
    weights = weights.copy()
    support = np.flatnonzero(weights)
    if entering is not None:
        support = np.append(support, entering)
    while True:
        current = weights[support]
        goal = _equality_solution(gaps[:, support], ridge, costs[support], scale)
        if goal is not None:
            step, falling = goal - current, goal <= 0.0
        elif entering == support[-1]:
            step = _null_direction(gaps[:, support], scale)
            falling = step < 0.0
            entering = None
        else:
            # A start on dependent donors: keep the heaviest alone.
            support = support[[int(np.argmax(current))]]
            weights[:] = 0.0
            weights[support] = 1.0
            continue
        if not falling.any():
            weights[support] = current + step
            return weights
        lengths = np.full(len(support), np.inf)
        lengths[falling] = -current[falling] / step[falling]
        current = np.maximum(current + lengths.min() * step, 0.0)
        current[lengths == lengths.min()] = 0.0
        weights[support] = current
        support = support[current > 0.0]


def _equality_solution(gaps: Floats, ridge: float, costs: Floats, scale: float) -> Floats | None:
    """Minimise over sum w = 1 alone; None when the donors are affinely dependent."""
    # Adding scale to every entry changes nothing where sum w = 1 and makes the matrix regular.
    matrix = gaps.T @ gaps + scale
    matrix.flat[:: len(costs) + 1] += ridge
    _, solution, info = dposv(matrix, np.column_stack([np.ones(len(costs)), -costs]))
    if info != 0:
        return None
    level, tilt = solution.T
    weights: Floats = tilt + level * ((1.0 - tilt.sum()) / level.sum())
    return weights


def _null_direction(gaps: Floats, scale: float) -> Floats:
    """Return d with gaps d = 0, sum d = 0 and last entry one, the last donor being dependent."""
    rows = np.vstack([gaps, np.full(gaps.shape[1], np.sqrt(scale))])
    others = np.linalg.lstsq(rows[:, :-1], -rows[:, -1])[0]
    return np.append(others, 1.0)


def _polished(gaps: Floats, ridge: float, costs: Floats, weights: Floats) -> Floats:
    """Solve again on the support by orthogonal factors: the Gram matrix loses half the digits."""
    support = np.flatnonzero(weights)
    if len(support) == 1:
        return weights
    heaviest = int(np.argmax(weights[support]))
    others = np.delete(support, heaviest)
    pivot = support[heaviest]
    # With w_pivot = 1 - sum of the others the problem is least squares without constraint.
    rows = gaps[:, others] - gaps[:, [pivot]]
    goal = -gaps[:, pivot]
    if ridge > 0.0:
        root = np.sqrt(ridge)
        rows = np.vstack([rows, root * np.eye(len(others)), np.full(len(others), root)])
        goal = np.concatenate([goal, np.zeros(len(others)), [root]])
    if len(rows) < len(others):
        return weights
    factors, solution, _ = dgels(rows, goal)
    r = factors[: len(others)]
    diagonal = np.abs(np.diagonal(r))
    if diagonal.min() <= np.finfo(float).eps * len(rows) * diagonal.max():
        return weights
    solved = solution[: len(others)]
    if costs.any():
        linear = solve_triangular(r, costs[others] - costs[pivot], trans="T")
        solved = solved - solve_triangular(r, linear)
    if solved.min() <= 0.0 or solved.sum() >= 1.0:
        return weights
    polished = np.zeros_like(weights)
    polished[others], polished[pivot] = solved, 1.0 - solved.sum()
    return polished


def _cost(gaps: Floats, ridge: float, weights: Floats) -> float:
    fitted = gaps @ weights
    return float(fitted @ fitted + ridge * (weights @ weights))


def _kkt_residuals(gradients: Floats, weights: Floats, scales: Floats) -> Floats:
    """Return the largest violation of the optimality conditions a row, in units of scale."""
    multiplier = np.einsum("bj,bj->b", gradients, weights)
    slack = (gradients - multiplier[:, None]) / scales[:, None]
    violations = [
        np.maximum(-slack, 0.0).max(axis=1),
        np.abs(weights * slack).max(axis=1),
        np.maximum(-weights, 0.0).max(axis=1),
        np.abs(weights.sum(axis=1) - 1.0),
    ]
    return np.asarray(np.max(violations, axis=0))


def _kkt_residual(gradient: Floats, weights: Floats, scale: float) -> float:
    """Return the largest violation of the optimality conditions, in units of scale."""
    return float(_kkt_residuals(gradient[None], weights[None], np.array([scale]))[0])


def _candidates(gradient: Floats, weights: Floats, scale: float) -> Indices:
    """Return the donors that may carry weight at some optimum."""
    slack = (gradient - weights @ gradient) / scale
    return np.flatnonzero((slack <= DEGENERATE) | (weights > 0.0))


def _are_independent(gaps: Floats, scale: float) -> bool:
    """Tell whether donors are affinely independent, so that one optimum on them is the only one."""
    if gaps.shape[1] > gaps.shape[0] + 1:
        return False
    rows = np.vstack([gaps / np.sqrt(scale), np.ones(gaps.shape[1])])
    return bool(np.linalg.matrix_rank(rows, tol=DEPENDENT) == gaps.shape[1])


def _evenest(gaps: Floats, candidates: Indices, weights: Floats, scale: float) -> Floats:
    """Among weights of the same fit return those of least norm, which no order of donors moves.

    Semismooth Newton on the dual of min |u|^2 over A u = A w, u >= 0, where u = max(A'y, 0);
    the weights given come back where it does not end.
    """
    rows = np.vstack([gaps[:, candidates] / np.sqrt(scale), np.ones(len(candidates))])
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    live = s > ROUNDING * s[0]
    basis = vt[live]
    goal = basis @ weights[candidates]
    dual = goal.copy()
    for _ in range(NEWTON_STEPS):
        raised = np.maximum(dual @ basis, 0.0)
        short = goal - basis @ raised
        if np.abs(short).max() <= GRADIENT_NOISE:
            even = np.zeros_like(weights)
            even[candidates] = raised / raised.sum()
            return even
        kept = basis[:, raised > 0.0]
        step = np.linalg.lstsq(kept @ kept.T, short)[0]
        value, length = 0.5 * raised @ raised - goal @ dual, 1.0
        for _ in range(HALVINGS):
            moved = np.maximum((dual + length * step) @ basis, 0.0)
            if 0.5 * moved @ moved - goal @ (dual + length * step) <= value + 1e-15:
                break
            length *= 0.5
        dual = dual + length * step
    return weights


def _batch_residuals(
    columns: Floats, targets: Floats, ridge: float, allowed: Booleans, weights: Floats
) -> Floats:
    """Certify many solutions at once; donors that are not allowed do not count."""
    gradients = (weights @ columns.T - targets) @ columns + ridge * weights
    distances = (
        np.einsum("ij,ij->j", columns, columns)
        - 2.0 * targets @ columns
        + np.einsum("bi,bi->b", targets, targets)[:, None]
    )
    scales = np.where(allowed, distances, 0.0).max(axis=1) + ridge
    multiplier = np.einsum("bj,bj->b", gradients, weights)
    gradients = np.where(allowed, gradients, multiplier[:, None])
    return _kkt_residuals(gradients, weights, scales)
