"""Equivalence: say "no effect that matters" only when the data exclude one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from impact.errors import InferenceError
from impact.inference.sets import ConfidenceSet

__all__ = ["Equivalence", "Verdict", "two_one_sided_tests", "verdict"]

Verdict = Literal["increase", "decrease", "negligible", "increase_or_negligible",
                  "decrease_or_negligible", "not_settled"]  # fmt: skip


@dataclass(frozen=True)
class Equivalence:
    """Report two one-sided tests against a smallest effect of interest.

    Attributes
    ----------
    low, high : bounds of negligible effects
    p_low, p_high : of the hypotheses that the effect is below ``low``, and above ``high``
    p_value : the larger of the two; small means that the effect lies between the bounds
    smallest_margin : smallest symmetric margin that this estimate would place the effect in,
        at the level given
    """

    estimate: float
    low: float
    high: float
    p_low: float
    p_high: float
    p_value: float
    smallest_margin: float


def two_one_sided_tests(
    estimate: float,
    std_error: float,
    *,
    low: float,
    high: float,
    df: float | None = None,
    level: float = 0.95,
) -> Equivalence:
    """Test that an effect lies between two bounds.

    p_low = P(T >= (estimate - low) / se), p_high = P(T <= (estimate - high) / se), p = max.

    Parameters
    ----------
    estimate, std_error : in the outcome's units
    low, high : the largest decrease and increase that do not matter; low < high
    df : degrees of freedom of the t distribution; normal if None
    level : 1 - level is the size of each one-sided test

    Raises
    ------
    InferenceError : bounds not in order, or a standard error that is not positive

    Source
    ------
    Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6); Lakens (2017),
    Social Psychological and Personality Science 8(4).
    """
    _check_bounds(low, high)
    if not std_error > 0:
        raise InferenceError(
            f"The standard error is {std_error}; an equivalence test needs a positive one. Where "
            "inference comes as a confidence set, use verdict with that set."
        )

    def tail(statistic: float) -> float:
        below = special.ndtr(statistic) if df is None else special.stdtr(df, statistic)
        return float(below)

    p_low, p_high = tail((low - estimate) / std_error), tail((estimate - high) / std_error)
    critical = special.ndtri(level) if df is None else special.stdtrit(df, level)
    return Equivalence(
        estimate=estimate,
        low=low,
        high=high,
        p_low=p_low,
        p_high=p_high,
        p_value=max(p_low, p_high),
        smallest_margin=abs(estimate) + float(critical) * std_error,
    )


def verdict(confidence: ConfidenceSet, *, low: float, high: float) -> Verdict:
    """Say what a confidence set allows to be claimed of an effect.

    Parameters
    ----------
    confidence : for "negligible" to have size alpha, a set of level 1 - 2 alpha; a set of level
        1 - alpha is stricter
    low, high : bounds of negligible effects

    Returns
    -------
    "increase" or "decrease" : the whole set lies beyond the bound
    "negligible" : the whole set lies between the bounds
    "increase_or_negligible", "decrease_or_negligible" : only the other direction is excluded
    "not_settled" : the set holds effects beyond both bounds, or is empty
    """
    _check_bounds(low, high)
    if not confidence.intervals:
        return "not_settled"
    if confidence.low > high:
        return "increase"
    if confidence.high < low:
        return "decrease"
    above, below = confidence.high > high, confidence.low < low
    if above and below:
        return "not_settled"
    if above:
        return "increase_or_negligible"
    return "decrease_or_negligible" if below else "negligible"


def _check_bounds(low: float, high: float) -> None:
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InferenceError(
            f"Bounds of negligible effects run from low to high; they were low={low}, high={high}. "
            "Give the smallest effect that would matter, such as low=-0.05, high=0.05."
        )
