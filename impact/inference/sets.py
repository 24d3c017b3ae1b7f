"""Confidence sets by test inversion: unions of intervals that may be unbounded or disjoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError

__all__ = ["ConfidenceSet", "interval", "invert", "invert_together", "significance"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

_HORIZON = 1e6
_GRID = 201
_BISECTIONS = 60


@dataclass(frozen=True)
class ConfidenceSet:
    """Values that a test does not reject, as closed intervals in rising order.

    Attributes
    ----------
    intervals : pairs (low, high); an end may be infinite; empty if every value is rejected
    level : confidence level
    """

    intervals: tuple[tuple[float, float], ...]
    level: float

    @property
    def low(self) -> float:
        """Smallest value in the set; NaN if it is empty."""
        return self.intervals[0][0] if self.intervals else np.nan

    @property
    def high(self) -> float:
        """Largest value in the set; NaN if it is empty."""
        return self.intervals[-1][1] if self.intervals else np.nan

    @property
    def is_bounded(self) -> bool:
        """Whether neither end is infinite."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def is_connected(self) -> bool:
        """Whether the set is one interval."""
        return len(self.intervals) == 1

    def contains(self, value: float) -> bool:
        """Tell whether a value is in the set."""
        return any(low <= value <= high for low, high in self.intervals)

    def shifted(self, origin: float, sign: int = 1) -> ConfidenceSet:
        """Return the set of ``origin + sign * value``."""
        moved = [
            sorted((origin + sign * low, origin + sign * high)) for low, high in self.intervals
        ]
        return ConfidenceSet(tuple(sorted((a, b) for a, b in moved)), self.level)

    def __str__(self) -> str:
        """Write the set with a few digits: ``[-0.2, 1.4] and [3.1, inf)``."""
        if not self.intervals:
            return "empty"
        return " and ".join(_written(low, high) for low, high in self.intervals)


def _written(low: float, high: float) -> str:
    opening = f"[{low:.4g}" if np.isfinite(low) else "(-inf"
    closing = f"{high:.4g}]" if np.isfinite(high) else "inf)"
    return f"{opening}, {closing}"


def interval(low: float, high: float, level: float) -> ConfidenceSet:
    """Return the set of one interval."""
    return ConfidenceSet(((low, high),), level)


def invert(
    p_value: Callable[[float], float], *, scale: float, level: float | None, centre: float = 0.0
) -> ConfidenceSet:
    """Return the values whose test has a p-value above ``1 - level``.

    Parameters
    ----------
    p_value : p-value of the hypothesis that the parameter equals a value
    scale : a length of the order of the standard error, positive
    level : confidence level; None leaves the set out (empty, at level NaN), for simulations
    centre : value the search starts from, the estimate as a rule

    Notes
    -----
    The p-value is read at 201 points from ``centre - 1e6 scale`` to ``centre + 1e6 scale``,
    spaced by 0.15 scale near the centre and by 15 % of the distance far from it; each change
    from kept to rejected is then bisected to rounding. A gap or an island narrower than that
    spacing can be missed. An end still kept at the outermost point is reported as infinite:
    the data do not bound the parameter on that side.

    Raises
    ------
    InferenceError : the scale is not a positive number, so that no grid can bracket the set
    """

    def p_values(values: Floats) -> Floats:
        return np.array([p_value(float(value)) for value in values])

    return invert_together(p_values, scale=scale, level=level, centre=centre)


def invert_together(
    p_values: Callable[[Floats], Floats],
    *,
    scale: float,
    level: float | None,
    centre: float = 0.0,
) -> ConfidenceSet:
    """Return what `invert` does, for p-values that many hypotheses at once are read faster.

    Parameters
    ----------
    p_values : takes an array of values, shape (V,), and returns their p-values, shape (V,)
    scale, level, centre : as in `invert`
    """
    if level is None:
        return ConfidenceSet((), np.nan)
    if not (np.isfinite(scale) and scale > 0):
        raise InferenceError(
            f"The grid of the confidence set has scale {scale!r}; it must be a positive number, "
            "such as the standard error, or the set cannot be bracketed. A standard error of zero "
            "means that the outcome fits without error in every cluster."
        )
    alpha = significance(level)
    points = np.sinh(np.linspace(-np.arcsinh(_HORIZON), np.arcsinh(_HORIZON), _GRID))
    grid = centre + scale * points
    kept = p_values(grid) > alpha
    edges = np.flatnonzero(kept[1:] != kept[:-1])
    ends = _bisect(p_values, alpha, grid[edges], grid[edges + 1], kept[edges]).tolist()
    if kept[0]:
        ends.insert(0, -np.inf)
    if kept[-1]:
        ends.append(np.inf)
    return ConfidenceSet(tuple(zip(ends[::2], ends[1::2], strict=True)), level)


def significance(level: float) -> float:
    """Return 1 - level free of the rounding that would move ties (1 - 0.9 < 0.1)."""
    return round(1.0 - level, 12)


def _bisect(
    p_values: Callable[[Floats], Floats],
    alpha: float,
    low: Floats,
    high: Floats,
    low_kept: Booleans,
) -> Floats:
    """Find where the test turns between pairs of points; return the last point of each it keeps."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        turning = (middle != low) & (middle != high)
        if not turning.any():
            break
        lower = turning.copy()
        lower[turning] = (p_values(middle[turning]) > alpha) == low_kept[turning]
        low, high = np.where(lower, middle, low), np.where(turning & ~lower, middle, high)
    return np.where(low_kept, low, high)
