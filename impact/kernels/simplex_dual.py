"""Ridge-penalised simplex weights by semismooth Newton on the dual, many targets at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

__all__ = ["compressed", "dual_newton"]

NEWTON_STEPS = 60
HALVINGS = 30
SUFFICIENT_DECREASE = 1e-4
# Tables of products of rows are kept when they fit in about 64 MB.
PRODUCT_CELLS = 8_000_000


def compressed(columns: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Rotate periods so that there are no more of them than donors, keeping all distances.

    Parameters
    ----------
    columns : shape (m, n); targets : shape (B, m)

    Returns
    -------
    columns and targets with min(m, n) rows and entries
    """
    if columns.shape[0] <= columns.shape[1]:
        return columns, targets
    q, r = np.linalg.qr(columns)
    return r, targets @ q


def dual_newton(columns: Floats, targets: Floats, ridge: float, allowed: Booleans) -> Floats:
    """Minimise |columns w - b|^2 + ridge |w|^2 over the simplex for each target b.

    The dual is |nu|^2/2 - b'nu + theta + |max(columns'nu - theta, 0)|^2 / (2 ridge), and
    w = max(columns'nu - theta, 0) / ridge.

    Parameters
    ----------
    columns : shape (m, n); targets : shape (B, m)
    ridge : positive, not tiny against the squared lengths of the columns
    allowed : shape (B, n), False where a donor is barred for that target

    Returns
    -------
    array, shape (B, n); to be certified by the caller, zeros where the search found no support

    Source
    ------
    Qi and Sun (1993), Mathematical Programming 58, 353-367.
    """
    size = np.sqrt(np.einsum("ij,ij->j", columns, columns).max() + ridge)
    ridge = ridge / size**2
    extended = np.vstack([columns / size, -np.ones(columns.shape[1])])
    goals = np.column_stack([targets / size, -np.ones(len(targets))])
    quadratic = np.ones(len(extended))
    quadratic[-1] = 0.0
    weighted_gram = _gram_of_active(extended, len(targets))

    points, scores = np.zeros_like(goals), np.zeros(allowed.shape)
    active, running = allowed.copy(), np.arange(len(targets))
    for _ in range(NEWTON_STEPS):
        goal, permitted = goals[running], allowed[running]
        hessian = weighted_gram(active[running]) / ridge
        hessian[:, range(len(quadratic)), range(len(quadratic))] += quadratic
        # An empty support leaves the multiplier without curvature.
        hessian[:, -1, -1] = np.maximum(hessian[:, -1, -1], 1.0 / ridge)
        newton = np.linalg.solve(hessian, goal[:, :, None])[:, :, 0]
        lengths = _step_lengths(
            points[running], newton, scores[running], goal, permitted, extended, ridge
        )
        points[running] += lengths[:, None] * (newton - points[running])
        scores[running] = points[running] @ extended
        now = (scores[running] > 0.0) & permitted
        unfinished = (lengths < 1.0) | (now != active[running]).any(axis=1)
        active[running] = now
        running = running[unfinished]
        if not len(running):
            break
    weights = np.where(active, scores, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.0))


def _step_lengths(
    points: Floats,
    newton: Floats,
    scores: Floats,
    goals: Floats,
    permitted: Booleans,
    extended: Floats,
    ridge: float,
) -> Floats:
    """Halve each Newton step until the dual decreases enough."""
    direction = newton - points
    rise = direction @ extended
    values, gradients = _dual(points, scores, goals, permitted, extended, ridge)
    slopes = np.einsum("bi,bi->b", gradients, direction)
    rounding = np.finfo(float).eps * 100.0 * (1.0 + np.abs(values))
    lengths = np.ones(len(points))
    for _ in range(HALVINGS):
        moved = points + lengths[:, None] * direction
        trial = _dual(moved, scores + lengths[:, None] * rise, goals, permitted, None, ridge)[0]
        short = trial > values + SUFFICIENT_DECREASE * lengths * slopes + rounding
        if not short.any():
            break
        lengths[short] *= 0.5
    return lengths


def _dual(
    points: Floats,
    scores: Floats,
    goals: Floats,
    permitted: Booleans,
    extended: Floats | None,
    ridge: float,
) -> tuple[Floats, Floats]:
    """Return the dual objective a target and, given the rows, its gradient."""
    raised = np.where(permitted, np.maximum(scores, 0.0), 0.0)
    free = points.copy()
    free[:, -1] = 0.0
    values = (
        0.5 * np.einsum("bi,bi->b", free, free)
        - np.einsum("bi,bi->b", goals, points)
        + np.einsum("bj,bj->b", raised, raised) / (2.0 * ridge)
    )
    gradients = free - goals
    if extended is not None:
        gradients += raised @ extended.T / ridge
    return values, gradients


def _gram_of_active(rows: Floats, n_targets: int) -> Callable[[Booleans], Floats]:
    """Return a function from masks (B, n) to the Gram matrices (B, k, k) of the columns kept."""
    k, n = rows.shape
    upper, lower = np.triu_indices(k)
    if n_targets == 1 or n * len(upper) > PRODUCT_CELLS:
        return lambda masks: np.stack([(rows * mask) @ rows.T for mask in masks])
    products = rows[upper].T * rows[lower].T

    def gram(masks: Booleans) -> Floats:
        full = np.empty((len(masks), k, k))
        full[:, upper, lower] = masks.astype(float) @ products
        full[:, lower, upper] = full[:, upper, lower]
        return full

    return gram
