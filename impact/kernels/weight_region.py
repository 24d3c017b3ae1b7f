"""How far weights on the simplex may lie from an optimum: linear functions over a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.errors import EstimationError
from impact.kernels.simplex import simplex_least_squares

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]

__all__ = ["WeightRegion", "region_extremes"]

# Makes the Gram matrix regular where donors outnumber periods, in units of its mean diagonal:
# simulated bounds move by less than a millionth of their size.
RIDGE = 1e-9
# Rates below this, of the largest, are rounding.
ROUNDING = 1e-12
# Numbers of the padded systems solved at once.
CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class WeightRegion:
    """Changes d of weights that noise of a given draw could have caused.

    The set of d with |Z d|^2 <= 2 xi'Z d, sum d = 0 and d >= -slack, for noise xi.

    Attributes
    ----------
    columns : shape (T0, n), Z, outcomes of donors in the periods matched
    slack : shape (n,), how far each weight may fall, not all zero
    intercept : whether a constant is chosen beside the weights, free in sign and size
    """

    columns: Floats
    slack: Floats
    intercept: bool = False


def region_extremes(region: WeightRegion, noise: Floats, directions: Floats) -> Floats:
    """Return the least and greatest value of each direction over each region, shape (B, m, 2).

    Parameters
    ----------
    region : WeightRegion with n donors; noise : shape (B, T0)
    directions : shape (m, n), p; with an intercept the constant counts one

    Raises
    ------
    EstimationError : a path does not end, for want of double precision

    Notes
    -----
    For s >= 0 let d(s) minimise |Z d|^2 / 2 - xi'Z d - s p'd subject to the linear constraints.
    d(s) is piecewise linear and the ellipsoid's inequality rises with s, so the maximum is where
    it becomes an equality, or the path's last vertex. All paths are followed in step.

    Source
    ------
    Cattaneo, Feng and Titiunik (2021), Journal of the American Statistical Association
    116(536), section 4, for the problem; Best (1996), Applied Mathematics and Parallel Computing,
    57-76, for parametric quadratic programs.
    """
    problem = _Problem.of(region, directions)
    both = np.concatenate([-problem.directions, problem.directions])
    linear = np.repeat(noise @ problem.columns, len(both), axis=0)
    starts = np.repeat(problem.least(noise), len(both), axis=0)
    goals = np.tile(both, (len(noise), 1))
    maxima = np.empty(len(goals))
    step = max(1, CHUNK // min(len(problem.slack), len(problem.columns) + 2) ** 2)
    for first in range(0, len(goals), step):
        rows = slice(first, first + step)
        maxima[rows] = _paths(problem, linear[rows], goals[rows], starts[rows])
    low, high = np.split(maxima.reshape(len(noise), len(both)), 2, axis=1)
    return np.stack([-low, high], axis=2)


@dataclass(frozen=True, eq=False)
class _Problem:
    """A region scaled and centred, a constant as its last coordinate where there is one."""

    columns: Floats
    directions: Floats
    slack: Floats
    bounded: Booleans
    ridge: Floats

    @classmethod
    def of(cls, region: WeightRegion, directions: Floats) -> _Problem:
        # Changes sum to zero, so a path common to all donors can be taken out.
        Z = region.columns - region.columns.mean(axis=1, keepdims=True)
        P = directions - directions.mean(axis=1, keepdims=True)
        slack, n = region.slack, Z.shape[1]
        size = float(np.einsum("ij,ij->", Z, Z)) / n or 1.0
        ridge = np.full(n, RIDGE * size)
        if region.intercept:
            # The constant in units in which its column is as long as a donor's.
            unit = np.sqrt(size / len(Z))
            Z = np.column_stack([Z, np.full(len(Z), unit)])
            P = np.column_stack([P, np.full(len(P), unit)])
            slack, ridge = np.append(slack, 0.0), np.append(ridge, 0.0)
        return cls(Z, P, slack, np.arange(Z.shape[1]) < n, ridge)

    def least(self, noise: Floats) -> Floats:
        """Return weights where |Z d|^2 / 2 - noise'Z d is least, as d + slack, shape (B, n)."""
        total, reach = self.slack.sum(), self.slack[self.bounded]
        settled = np.zeros((len(noise), len(self.slack)))
        constant, columns = self.columns[:, ~self.bounded], self.columns[:, self.bounded]
        goals = columns @ reach + noise
        if constant.size:
            columns = columns - columns.mean(axis=0)
            goals = goals - goals.mean(axis=1, keepdims=True)
        weights = [
            simplex_least_squares(
                total * columns,
                goal,
                ridge=total**2 * self.ridge[0],
                penalty=-2.0 * total * self.ridge[0] * reach,
                start=reach / total,
            ).weights
            for goal in goals
        ]
        settled[:, self.bounded] = total * np.stack(weights)
        if constant.size:
            left = noise - (settled - self.slack) @ self.columns.T
            settled[:, ~self.bounded] = left.mean(axis=1, keepdims=True) / constant[0]
        return settled


def _paths(problem: _Problem, linear: Floats, goals: Floats, starts: Floats) -> Floats:
    """Follow all paths, shape (B, n), to the edge of the ellipsoid; return goals' maxima, (B,)."""
    slack, bounded = problem.slack, problem.bounded
    gram = problem.columns.T @ problem.columns + np.diag(problem.ridge)
    maxima = np.empty(len(goals))
    left = np.arange(len(goals))
    used = (starts > 0.0) | ~bounded
    s = np.zeros(len(goals))
    turned = np.full(len(goals), -1)
    for _ in range(20 * (len(slack) + 10)):
        piece = _piece(gram, linear[left], goals[left], slack, bounded, used)
        at, coordinate = piece.next_turn(s, used, bounded, turned)
        end = piece.edge(gram, linear[left], slack, s)
        done = end <= at
        stop = np.where(np.isfinite(end), end, s)[done]
        reached = piece.level[done] + stop[:, None] * piece.rate[done] - slack
        maxima[left[done]] = np.einsum("bj,bj->b", goals[left[done]], reached)
        go = ~done
        left, s, used, turned = left[go], at[go], used[go], coordinate[go]
        if not len(left):
            return maxima
        rows = np.arange(len(left))
        used[rows, turned] = ~used[rows, turned]
    raise EstimationError(
        f"{len(left)} of {len(goals)} simulated bounds of the weights were not reached: donors "
        "are too alike for double precision. Leave out donors whose paths nearly coincide."
    )


@dataclass(frozen=True, eq=False)
class _Piece:
    """Linear pieces of paths: weights level + s rate (B, n), and of the slack of the gradient."""

    level: Floats
    rate: Floats
    gradient: Floats
    gradient_rate: Floats

    def next_turn(
        self, s: Floats, used: Booleans, bounded: Booleans, turned: NDArray[np.intp]
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Return where each path turns next, and at which coordinate."""
        value = np.where(used, self.level, self.gradient)
        rate = np.where(used, self.rate, self.gradient_rate)
        size = np.where(used, _largest(self.rate), _largest(self.gradient_rate))
        falls = (rate < -ROUNDING * size) & bounded
        # What has just turned cannot turn again by rounding.
        rows = np.flatnonzero(turned >= 0)
        falls[rows, turned[rows]] = False
        at = np.full(value.shape, np.inf)
        np.divide(-value, rate, out=at, where=falls)
        at = np.maximum(at, s[:, None])
        coordinate = np.argmin(at, axis=1)
        return at[np.arange(len(s)), coordinate], coordinate

    def edge(self, gram: Floats, linear: Floats, slack: Floats, s: Floats) -> Floats:
        """Return where d'gram d = 2 linear'd on the piece beyond s; infinite where it never is."""
        d0, d1 = self.level - slack, self.rate
        curved = d1 @ gram
        a = np.einsum("bj,bj->b", curved, d1)
        b = np.einsum("bj,bj->b", curved, d0) - np.einsum("bj,bj->b", linear, d1)
        c = np.einsum("bj,bj->b", d0 @ gram, d0) - 2.0 * np.einsum("bj,bj->b", linear, d0)
        # a s^2 + 2 b s + c rises through zero at its larger root.
        root = np.sqrt(np.maximum(b * b - a * c, 0.0))
        end = np.full(len(s), np.inf)
        np.divide(-b + root, a, out=end, where=a > 0.0)
        return np.asarray(np.maximum(end, s))


def _largest(values: Floats) -> Floats:
    return np.asarray(np.abs(values).max(axis=1, keepdims=True))


def _piece(
    gram: Floats, linear: Floats, goals: Floats, slack: Floats, bounded: Booleans, used: Booleans
) -> _Piece:
    """Solve the optimality conditions on the coordinates used, for all s at once."""
    k = int(used.sum(axis=1).max())
    index = np.argsort(~used, axis=1, kind="stable")[:, :k]
    known = np.take_along_axis(used, index, axis=1)
    system = gram[index[:, :, None], index[:, None, :]]
    system = np.where(known[:, :, None] & known[:, None, :], system, np.eye(k))
    ones = np.broadcast_to(bounded.astype(float), used.shape)
    sides = np.stack([linear + slack @ gram, goals, ones], axis=2)
    inside = np.take_along_axis(sides, index[:, :, None], axis=1) * known[:, :, None]
    solved = np.zeros(sides.shape)
    np.put_along_axis(solved, index[:, :, None], np.linalg.solve(system, inside), axis=1)
    # The multiplier keeps the sum of the bounded coordinates at the slack's.
    sums = np.einsum("bjc,j->bc", solved, bounded.astype(float))
    theta0, theta1 = (sums[:, 0] - slack.sum()) / sums[:, 2], sums[:, 1] / sums[:, 2]
    level = solved[:, :, 0] - theta0[:, None] * solved[:, :, 2]
    rate = solved[:, :, 1] - theta1[:, None] * solved[:, :, 2]
    gradient = level @ gram - sides[:, :, 0] + theta0[:, None] * ones
    gradient_rate = rate @ gram - goals + theta1[:, None] * ones
    return _Piece(level, rate, gradient, gradient_rate)
