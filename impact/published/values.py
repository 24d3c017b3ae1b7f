"""Quantities as a report prints them: rounded without claiming more than is known."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypedDict

from impact.published.labels import UNITS, Words
from impact.published.quantity import Quantity

__all__ = ["Shown", "shown"]

MILLION = 10**6

# The last digit printed of a computed amount, and the decimals that takes in a report's unit.
PLACES: dict[str, tuple[int | Fraction, int]] = {
    "VND/project": (Fraction(MILLION, 10), 1),
    "VND/worker": (Fraction(MILLION, 10), 1),
    "percent": (Fraction(1, 10), 1),
    "ratio": (Fraction(1, 100), 2),
}


class Shown(TypedDict):
    """The parts of a quantity that a report's value is made of."""

    value: int | float
    unit: str | Words
    bound: Literal["exact", "at_least", "at_most", "about"]
    low: float | None
    high: float | None
    decimals: int | None


def shown(quantity: Quantity) -> Shown:
    """Return a quantity as a report prints it.

    Parameters
    ----------
    quantity : printed or computed

    Returns
    -------
    Shown : a lower bound rounded down and an upper bound up to the last digit printed, limits of
        the span outwards; an indicative number is printed as "about"; low and high are None
        where the span is a point or unknown
    """
    place, decimals = PLACES.get(quantity.unit, (None, None))
    if quantity.value.denominator == 1 and quantity.unit == "percent":
        decimals = 0
    coarse = quantity if place is None else quantity.rounded(place)
    amount = coarse if quantity.bound in ("at_least", "at_most") else quantity
    whole = amount.value.denominator == 1
    point = quantity.span is None or quantity.span[0] == quantity.span[1]
    low, high = (None, None) if point or coarse.span is None else coarse.span
    return Shown(
        value=int(amount.value) if whole else float(amount.value),
        unit=UNITS.get(quantity.unit, quantity.unit),
        bound="about" if quantity.bound == "indicative" else quantity.bound,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        decimals=decimals,
    )
