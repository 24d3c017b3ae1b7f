"""Families of tests: adjusted p-values that control what is claimed of all of them at once."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice, listing

__all__ = ["adjust", "romano_wolf", "sharpened_q_values", "westfall_young"]

Floats = NDArray[np.float64]
Adjustment = Literal[
    "bonferroni", "holm", "hochberg", "hommel", "benjamini_hochberg", "benjamini_yekutieli"
]

_STATSMODELS = {
    "bonferroni": "bonferroni",
    "holm": "holm",
    "hochberg": "simes-hochberg",
    "hommel": "hommel",
    "benjamini_hochberg": "fdr_bh",
    "benjamini_yekutieli": "fdr_by",
}
_TIE = 1e-9
_Q_STEPS = 1000


def adjust(p_values: Floats, method: Adjustment = "holm") -> Floats:
    """Adjust p-values for the number of tests, in closed form.

    Parameters
    ----------
    p_values : array, shape (S,); NaN for tests that could not be made, left out of the family
    method : "bonferroni", "holm", "hochberg" and "hommel" bound the chance of any false
        rejection (the last two under positive dependence); "benjamini_hochberg" and
        "benjamini_yekutieli" the expected share of false ones (the last under any dependence)

    Returns
    -------
    array, shape (S,)

    Raises
    ------
    InferenceError : a p-value outside [0, 1], or an unknown method

    Source
    ------
    Holm (1979), Scandinavian Journal of Statistics 6(2); Hommel (1988), Biometrika 75(2);
    Benjamini and Hochberg (1995), JRSS B 57(1); Benjamini and Yekutieli (2001), Annals of
    Statistics 29(4); computed by statsmodels.
    """
    check_choice("method", method, _STATSMODELS, InferenceError)
    known = _checked(p_values)
    adjusted = np.full(len(p_values), np.nan)
    if known.any():
        from statsmodels.stats.multitest import multipletests

        adjusted[known] = multipletests(p_values[known], method=_STATSMODELS[method])[1]
    return adjusted


def sharpened_q_values(p_values: Floats) -> Floats:
    """Return the smallest false discovery rate at which each test rejects, in two stages.

    Parameters
    ----------
    p_values : array, shape (S,); NaN for tests that could not be made

    Returns
    -------
    array, shape (S,), on a grid of thousandths; 1 where nothing rejects

    Notes
    -----
    At rate q the first stage applies Benjamini and Hochberg's rule at q' = q / (1 + q) and
    finds r rejections; the second applies it at q' S / (S - r). A sharpened q may be below the
    p-value when many tests reject.

    Source
    ------
    Benjamini, Krieger and Yekutieli (2006), Biometrika 93(3), definition 6; Anderson (2008),
    Journal of the American Statistical Association 103(484), for its use and the grid.
    """
    known = _checked(p_values)
    own = p_values[known]
    n = len(own)
    rates = np.arange(1, _Q_STEPS + 1) / _Q_STEPS
    first = rates / (1 + rates)
    found = _rejections(own, first)
    second = first * n / np.maximum(n - found, 1)
    kept = np.where(found == n, n, _rejections(own, second))
    rank = np.searchsorted(np.sort(own), own, side="right")
    rejected = rank[:, None] <= kept
    q = np.where(rejected.any(axis=1), rates[rejected.argmax(axis=1)], 1.0)
    result = np.full(len(p_values), np.nan)
    result[known] = q
    return result


def _rejections(p_values: Floats, rates: Floats) -> NDArray[np.int64]:
    """Count Benjamini-Hochberg rejections at each rate, shape of ``rates``."""
    ordered, ranks = np.sort(p_values), np.arange(1, len(p_values) + 1)
    below = ordered[:, None] <= rates * ranks[:, None] / len(p_values) * (1 + _TIE)
    return np.asarray(np.max(np.where(below, ranks[:, None], 0), axis=0, initial=0))


def romano_wolf(statistics: Floats, drawn: Floats, *, exhaustive: bool = False) -> Floats:
    """Return step-down p-values of several tests from joint draws of their statistics.

    Parameters
    ----------
    statistics : array, shape (S,), t statistics
    drawn : array, shape (B, S), the same statistics under their nulls, with draws shared across
        tests (one seed in `wild_statistics`), so that dependence is kept
    exhaustive : the draws are all there are, the sample among them; else (1 + count) / (1 + B)

    Returns
    -------
    array, shape (S,), family-wise adjusted and monotone in |t|

    Raises
    ------
    InferenceError : draws and statistics differ in number, or are not finite

    Source
    ------
    Romano and Wolf (2005), Econometrica 73(4); Romano and Wolf (2016), Statistics and
    Probability Letters 113, for the p-values.
    """
    _check_draws(statistics, drawn)
    size = np.abs(statistics)
    order = np.argsort(-size, kind="stable")
    maxima = np.maximum.accumulate(np.abs(drawn)[:, order[::-1]], axis=1)[:, ::-1]
    counts = np.sum(maxima >= size[order] * (1 - _TIE), axis=0)
    return _step_down(counts, order, len(drawn), exhaustive)


def westfall_young(statistics: Floats, drawn: Floats, *, exhaustive: bool = False) -> Floats:
    """Return step-down min-p values of several tests from joint draws of their statistics.

    Each test's own p-value, and that of each draw, is its rank among the test's draws, so that
    tests whose statistics have different laws weigh the same; the minimum over tests is then
    compared with its draws.

    Parameters
    ----------
    statistics, drawn, exhaustive : as in `romano_wolf`

    Source
    ------
    Westfall and Young (1993), Resampling-Based Multiple Testing, algorithm 2.8.
    """
    _check_draws(statistics, drawn)
    own = 0 if exhaustive else 1
    size, pool = np.abs(statistics), np.sort(np.abs(drawn), axis=0)
    observed = np.array(
        [len(pool) - np.searchsorted(pool[:, s], size[s] * (1 - _TIE)) for s in range(len(size))]
    )
    ranks = np.stack(
        [
            len(pool) - np.searchsorted(pool[:, s], np.abs(drawn[:, s]) * (1 - _TIE))
            for s in range(len(size))
        ],
        axis=1,
    )
    order = np.argsort(observed, kind="stable")
    minima = np.minimum.accumulate(ranks[:, order[::-1]], axis=1)[:, ::-1]
    counts = np.sum(minima <= observed[order] + own, axis=0)
    return _step_down(counts, order, len(drawn), exhaustive)


def _step_down(
    counts: NDArray[np.int64], order: NDArray[np.intp], n_draws: int, exhaustive: bool
) -> Floats:
    own = 0 if exhaustive else 1
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate((own + counts) / (own + n_draws))
    return adjusted


def _checked(p_values: Floats) -> NDArray[np.bool_]:
    """Tell which p-values are known; refuse those outside [0, 1]."""
    known = ~np.isnan(p_values)
    wrong = known & ~((p_values >= 0) & (p_values <= 1))
    if wrong.any():
        raise InferenceError(
            f"p-values lie between 0 and 1; {int(wrong.sum())} do not, first "
            f"{listing(p_values[wrong])}. Pass p-values, not statistics or percentages."
        )
    return known


def _check_draws(statistics: Floats, drawn: Floats) -> None:
    if drawn.ndim != 2 or drawn.shape[1] != len(statistics):
        raise InferenceError(
            f"drawn has shape {drawn.shape}; it needs one column for each of the "
            f"{len(statistics)} statistics, with draws shared along the rows."
        )
    lost = np.flatnonzero(~np.isfinite(statistics) | np.isnan(drawn).any(axis=0))
    if len(lost):
        raise InferenceError(
            f"Statistics at position {listing(lost)} are missing, so the family is not what was "
            "announced. Leave those tests out of both arguments and say so."
        )
