"""Ratios of estimates: confidence sets that may have no upper end, and their words."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from impact.errors import InferenceError
from impact.inference import bands
from impact.inference.sets import ConfidenceSet, interval

__all__ = ["Language", "fieller", "inverted", "plain", "spell_money", "spell_set"]

Language = Literal["en", "vi"]

# A covariance may exceed what variances allow by this share where the two estimates are one.
ROUNDING = 1e-9

MONEY = {
    "en": (
        (1e12, "trillion VND"),
        (1e9, "billion VND"),
        (1e6, "million VND"),
        (1e3, "thousand VND"),
        (1.0, "VND"),
    ),
    "vi": (
        (1e12, "nghìn tỷ đồng"),
        (1e9, "tỷ đồng"),
        (1e6, "triệu đồng"),
        (1e3, "nghìn đồng"),
        (1.0, "đồng"),
    ),
}
WORDS = {
    "between": {"en": "between {low} and {high} a {unit}", "vi": "từ {low} đến {high} một {unit}"},
    "least": {
        "en": "at least {low} a {unit}; no upper bound, since no gain at all is not ruled out",
        "vi": "ít nhất {low} một {unit}; không có giới hạn trên, vì chưa loại trừ không có kết quả",
    },
    "loss": {
        "en": "no cost a {unit}: the data rule out any gain",
        "vi": "không có chi phí một {unit}: dữ liệu loại trừ mọi kết quả dương",
    },
    "anything": {
        "en": "the data do not bound the cost of a {unit}",
        "vi": "dữ liệu không giới hạn được chi phí một {unit}",
    },
}
UNITS_VI = {
    "job": "việc làm",
    "job-year": "việc làm trong một năm",
    "million VND": "triệu đồng",
}


def fieller(
    numerator: float,
    denominator: float,
    covariance: ArrayLike,
    *,
    level: float = 0.95,
    df: float | None = None,
) -> ConfidenceSet:
    """Return the confidence set of a ratio of two estimates.

    {theta: (n - theta d)^2 <= c^2 (V_nn - 2 theta V_nd + theta^2 V_dd)}

    Parameters
    ----------
    numerator, denominator : the estimates n and d
    covariance : of the two, shape (2, 2); zeros where the numerator is known
    level : confidence level
    df : degrees of freedom of the t distribution c comes from; None for the normal

    Returns
    -------
    ConfidenceSet : an interval where d differs from zero at this level; otherwise two half-lines,
        or the whole line where the data say nothing about the ratio

    Raises
    ------
    InferenceError : parts or covariance that are not finite, or a covariance no two numbers have

    Source
    ------
    Fieller (1954), Journal of the Royal Statistical Society B 16(2), section 3.
    """
    matrix = np.asarray(covariance, dtype=float)
    critical = bands.pointwise_critical_value(level, df) ** 2
    a = denominator**2 - critical * matrix[1, 1]
    b = numerator * denominator - critical * matrix[0, 1]
    c = numerator**2 - critical * matrix[0, 0]
    if not np.isfinite([a, b, c]).all():
        raise InferenceError(
            f"the ratio has no confidence set: its parts are {numerator:g} and {denominator:g} "
            "with a covariance that is not finite. Use an effect that has a standard error."
        )
    if matrix[0, 1] ** 2 > matrix[0, 0] * matrix[1, 1] * (1 + ROUNDING):
        raise InferenceError(
            f"the covariance {matrix[0, 1]:g} is larger than variances of {matrix[0, 0]:g} and "
            f"{matrix[1, 1]:g} allow, so it is of no two estimates. Give variances on the "
            "diagonal, not standard errors."
        )
    discriminant = b**2 - a * c
    if a == 0 and b != 0:
        end = c / (2 * b)
        return interval(end, np.inf, level) if b > 0 else interval(-np.inf, end, level)
    if a <= 0 and discriminant <= 0:
        return interval(-np.inf, np.inf, level)
    low, high = _roots(a, b, c, np.sqrt(max(discriminant, 0.0)))
    if a > 0:
        return interval(low, high, level)
    return ConfidenceSet(((-np.inf, low), (high, np.inf)), level)


def _roots(a: float, b: float, c: float, root: float) -> tuple[float, float]:
    """Return the roots of a x^2 - 2 b x + c in order, without cancellation."""
    far = b + np.copysign(root, b)
    first = far / a
    second = c / far if far else first
    return (min(first, second), max(first, second))


def inverted(cost: float, effects: ConfidenceSet) -> ConfidenceSet:
    """Return the set of cost / effect for effects in a set; zero effects mean no finite ratio."""
    pieces = []
    for low, high in effects.intervals:
        if low < 0 < high:
            pieces += [(-np.inf, cost / low), (cost / high, np.inf)]
        elif low == high == 0:
            continue
        else:
            ends = [
                np.copysign(np.inf, 1.0 if (low, high)[1 - i] >= 0 else -1.0) if end == 0
                else cost / end
                for i, end in enumerate((low, high))
            ]  # fmt: skip
            pieces.append((min(ends), max(ends)))
    return ConfidenceSet(tuple(sorted(pieces)), effects.level)


def plain(found: ConfidenceSet) -> ConfidenceSet:
    """Return a set whose ends are Python's own floats, as they are printed."""
    return ConfidenceSet(tuple((float(a), float(b)) for a, b in found.intervals), found.level)


def spell_money(amount: float, lang: Language = "en") -> str:
    """Write an amount with two or three digits and its unit: ``210 million VND``."""
    size, name = next(
        ((size, name) for size, name in MONEY[lang] if abs(amount) >= size), MONEY[lang][-1]
    )
    scaled = amount / size
    text = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{text.replace('.', ',') if lang == 'vi' else text} {name}"


def spell_set(costs: ConfidenceSet, unit: str, lang: Language = "en") -> str:
    """Say a confidence set of costs per unit in words.

    Only costs above zero are read as costs of a gain; a set that also reaches below zero, where
    units were lost, has no upper bound. In Vietnamese the units "job", "job-year" and "million
    VND" are translated; any other is written as it is.
    """
    unit = UNITS_VI.get(unit, unit) if lang == "vi" else unit
    positive = [(low, high) for low, high in costs.intervals if high > 0]
    if not positive:
        return WORDS["loss"][lang].format(unit=unit)
    low, high = positive[-1]
    if low <= 0:
        return WORDS["anything"][lang].format(unit=unit)
    ends = {"low": spell_money(low, lang), "unit": unit}
    if np.isinf(high):
        return WORDS["least"][lang].format(**ends)
    return WORDS["between"][lang].format(high=spell_money(high, lang), **ends)
