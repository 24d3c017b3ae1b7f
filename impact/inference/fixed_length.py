"""Shortest fixed-length confidence intervals when trends bend by a bounded amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["FixedLengthPath", "folded_normal_quantile", "smoothness_path"]

Floats = NDArray[np.float64]


def folded_normal_quantile(mean: Floats, probability: float) -> Floats:
    """Return the quantile of ``|N(mean, 1)|``, elementwise, by Newton's method.

    Parameters
    ----------
    mean : array of any shape, not negative
    probability : between 0 and 1
    """
    quantile = np.maximum(mean + ndtri(probability), 0.5)
    for _ in range(60):
        excess = ndtr(quantile - mean) - ndtr(-quantile - mean) - probability
        density = np.exp(-0.5 * (quantile - mean) ** 2) + np.exp(-0.5 * (quantile + mean) ** 2)
        step = excess * np.sqrt(2.0 * np.pi) / density
        quantile = quantile - step
        if np.abs(step).max() < 1e-13:
            break
    return quantile


@dataclass(frozen=True)
class FixedLengthPath:
    """Affine estimators of the target that trade variance against worst-case bias.

    Attributes
    ----------
    estimate : array, shape (K,)
    covariance : array, shape (K, K)
    weights : array, shape (L, K), estimators at the kinks of the frontier, least variance first
    bias : array, shape (L,), worst-case bias of each per unit of the bound M
    """

    estimate: Floats
    covariance: Floats
    weights: Floats
    bias: Floats

    def interval(self, bound: float, size: float) -> tuple[float, float]:
        """Return the ends of the shortest interval of level ``1 - size``."""
        weights, half_length = self.best(bound, size)
        centre = float(weights @ self.estimate)
        return centre - half_length, centre + half_length

    def best(self, bound: float, size: float) -> tuple[Floats, float]:
        """Return the estimator with the shortest interval, and half the interval's length.

        The half-length is unimodal along the frontier, because it is a convex and increasing
        function of bias and standard deviation.
        """
        low, high = 0.0, float(len(self.bias) - 1)
        while True:
            positions = np.linspace(low, high, 65)
            lengths = self._half_lengths(positions, bound, size)
            best = int(lengths.argmin())
            if high - low < 1e-10 * len(self.bias):
                return self._mix(positions[best : best + 1])[0][0], float(lengths[best])
            low, high = positions[max(best - 1, 0)], positions[min(best + 1, 64)]

    def _half_lengths(self, positions: Floats, bound: float, size: float) -> Floats:
        weights, bias = self._mix(positions)
        deviation = np.sqrt(np.einsum("ij,jk,ik->i", weights, self.covariance, weights))
        lengths: Floats = deviation * folded_normal_quantile(bound * bias / deviation, 1.0 - size)
        return lengths

    def _mix(self, positions: Floats) -> tuple[Floats, Floats]:
        """Interpolate between kinks: bias and weights are linear there."""
        start = np.minimum(positions.astype(int), len(self.bias) - 2)
        share = positions - start
        weights = self.weights[start] + share[:, None] * (
            self.weights[start + 1] - self.weights[start]
        )
        return weights, self.bias[start] + share * (self.bias[start + 1] - self.bias[start])


def smoothness_path(
    estimate: Floats, covariance: Floats, n_pre: int, target: Floats
) -> FixedLengthPath:
    """Trace the estimators of ``target' tau`` when second differences of delta are at most M.

    Parameters
    ----------
    estimate : array, shape (K,), pre-treatment coefficients first
    covariance : array, shape (K, K), positive definite
    n_pre : number P of pre-treatment coefficients
    target : array l, shape (T,)

    Notes
    -----
    With weights v on the pre-treatment coefficients, write the bias in delta's slope after the
    reference period and its second differences. The slope's coefficient must vanish, which fixes
    ``w_0 = sum_s s v_s = sum_t t l_t``; the worst-case bias is M times
    ``sum_k |c_k| + |w_0| + sum_k |w_k|`` with ``w_k = sum_{s > k} (s - k) v_s`` and c fixed by
    the target. Minimising variance plus a multiple of the bias is therefore a lasso in
    ``w_1 .. w_{P-1}``, whose path is the whole frontier.

    Source
    ------
    Rambachan & Roth (2023), Section 4.1; Armstrong & Kolesar (2018), Econometrica 86(2);
    Osborne, Presnell & Turlach (2000) for the path.
    """
    n_post = len(target)
    before = np.arange(n_pre)
    to_bends = np.clip(np.arange(1, n_pre + 1)[None, ::-1] - before[:, None], 0, None)
    from_bends = np.linalg.inv(to_bends.astype(np.float64))
    total = target @ np.arange(1, n_post + 1)
    after = np.clip(np.arange(1, n_post + 1)[:, None] - np.arange(1, n_post)[None, :], 0, None)
    fixed_bias = np.abs(target @ after).sum() + abs(total)

    base = np.concatenate([from_bends[:, 0] * total, target])
    moves = np.vstack([from_bends[:, 1:], np.zeros((n_post, n_pre - 1))])
    bends = _lasso_path(moves.T @ covariance @ moves, moves.T @ covariance @ base)
    return FixedLengthPath(
        estimate, covariance, base + bends @ moves.T, fixed_bias + np.abs(bends).sum(1)
    )


def _lasso_path(quadratic: Floats, linear: Floats) -> Floats:
    """Kinks of ``argmin u'Qu/2 + q'u + penalty |u|_1`` as the penalty falls to zero, reversed.

    Returns an array of shape (L, k) with L >= 2, from the unpenalised solution to zero.
    """
    size = len(linear)
    solution = np.zeros(size)
    kinks = [solution, solution]
    if size == 0:
        return np.array(kinks)
    penalty = np.abs(linear).max()
    active = np.abs(linear) >= penalty
    sign = -np.sign(linear)
    while penalty > 0:
        inside = np.ix_(active, active)
        direction = np.zeros(size)
        direction[active] = np.linalg.solve(quadratic[inside], sign[active])
        gradient = quadratic @ solution + linear
        drift = quadratic @ direction
        with np.errstate(divide="ignore", invalid="ignore"):
            joins = np.minimum(
                _ahead((penalty + gradient) / (1.0 - drift), ~active, penalty),
                _ahead((penalty - gradient) / (1.0 + drift), ~active, penalty),
            )
            leaves = _ahead(-solution / direction, active, penalty)
        step = min(penalty, joins.min(), leaves.min())
        solution = solution + step * direction
        penalty = 0.0 if step == penalty else penalty - step
        if penalty > 0 and leaves.min() <= step:
            leaver = int(leaves.argmin())
            solution[leaver], active[leaver] = 0.0, False
        elif penalty > 0:
            joiner = int(joins.argmin())
            active[joiner] = True
            sign[joiner] = -np.sign((quadratic @ solution + linear)[joiner])
        kinks.append(solution)
    return np.array(kinks[:0:-1])


def _ahead(steps: Floats, candidates: NDArray[np.bool_], penalty: float) -> Floats:
    """Steps that lie ahead, infinite for the rest and for the kink just passed."""
    return np.where(candidates & (steps > 1e-12 * penalty), steps, np.inf)
