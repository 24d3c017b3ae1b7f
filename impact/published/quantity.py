"""Printed amounts that keep their qualifier through arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from impact.errors import LedgerError, check_choice

__all__ = ["Bound", "Quantity"]

Bound = Literal["exact", "at_least", "at_most", "about", "indicative"]

Span = tuple[Fraction, Fraction]

# Where the truth may lie, seen from the printed value. A combination that is not listed is
# indicative: the truth may lie on either side, at any distance.
_DIRECTIONS: dict[Bound, frozenset[str]] = {
    "exact": frozenset(),
    "at_least": frozenset({"above"}),
    "at_most": frozenset({"below"}),
    "about": frozenset({"near"}),
    "indicative": frozenset({"above", "below"}),
}
_BOUNDS = {directions: bound for bound, directions in _DIRECTIONS.items()}
_OPPOSITE: dict[Bound, Bound] = {"at_least": "at_most", "at_most": "at_least"}


@dataclass(frozen=True)
class Quantity:
    """Hold a printed amount exactly, with what its qualifier allows one to say.

    Two readings travel side by side. The *bound* takes the words alone: "more than 4.7 billion"
    has a floor and no ceiling. The *span* takes the digits at their word as well: a writer who
    prints "more than 4.7 billion" would have printed 4.8 had the amount reached it.

    Parameters
    ----------
    value : the printed number, an exact integer or fraction, zero or more
    unit : what is counted, as in ``"VND"`` or ``"VND/project"``
    bound : ``"exact"``, ``"at_least"``, ``"at_most"``, ``"about"``, or ``"indicative"``, a number
        that bounds nothing
    span : lowest and highest amount that would be printed with the same digits; None where the
        digits do not say

    Raises
    ------
    LedgerError : a value that is not an exact number or is negative, an unknown bound, a span
        that does not hold the value

    Notes
    -----
    Sums, differences and ratios are exact (rational numbers). Their bounds follow from the
    direction in which each operand may err, all amounts being non-negative:

    - at least + at least is at least; at least + at most is indicative;
    - exact - at least is at most; at least - at least is indicative;
    - at least / exact is at least; exact / at least is at most; at least / at least is indicative;
    - about stays about beside exact amounts and is indicative beside a bound.

    Spans follow interval arithmetic, which treats the operands as unrelated: an amount that
    enters twice gives a span that is too wide, never too narrow.
    """

    value: Fraction
    unit: str
    bound: Bound = "exact"
    span: Span | None = None

    def __post_init__(self) -> None:
        if type(self.value) not in (int, Fraction):
            raise LedgerError(
                f"a quantity needs an exact number; it was {self.value!r} of type "
                f"{type(self.value).__name__}. Binary floats cannot hold every printed amount: "
                "write whole dong as an integer, shares as fractions.Fraction."
            )
        if self.value < 0:
            raise LedgerError(
                f"a quantity is zero or more; it was {self.value} {self.unit}. Ratios of negative "
                "amounts turn their bounds round: state a shortfall as a positive amount."
            )
        check_choice("bound", self.bound, get_args(Bound), LedgerError)
        object.__setattr__(self, "value", Fraction(self.value))
        if self.span is not None:
            low, high = Fraction(self.span[0]), Fraction(self.span[1])
            if not low <= self.value <= high:
                raise LedgerError(
                    f"the span of a quantity holds its value; {self.value} {self.unit} is outside "
                    f"{low} to {high}. Give the lowest amount first."
                )
            object.__setattr__(self, "span", (low, high))

    @classmethod
    def printed(
        cls, value: int, unit: str, bound: Bound = "exact", last_digit: int = 1
    ) -> Quantity:
        """Read a printed number, with the place of the last digit shown.

        Parameters
        ----------
        value : the number in full, 4700000000 for "4.7 billion"
        unit : what is counted
        bound : ``"exact"``, ``"at_least"`` ("more than"), ``"at_most"`` or ``"about"``
        last_digit : the place value of the last digit, 100000000 for "4.7 billion"; an unscaled
            count has 1

        Returns
        -------
        Quantity : its span is the number itself for a count, half a last digit either way for a
            scaled number, one last digit upwards for "more than", and None for "about"
        """
        amount = Fraction(value)
        half = Fraction(last_digit, 2) if last_digit > 1 else Fraction(0)
        spans: dict[str, Span] = {
            "exact": (max(amount - half, Fraction(0)), amount + half),
            "at_least": (amount, amount + last_digit),
            "at_most": (max(amount - last_digit, Fraction(0)), amount),
        }
        return cls(amount, unit, bound, spans.get(bound))

    def __add__(self, other: Quantity) -> Quantity:
        self._require_same_unit(other, "added to")
        span = None
        if self.span and other.span:
            span = (self.span[0] + other.span[0], self.span[1] + other.span[1])
        return Quantity(self.value + other.value, self.unit, _joint(self.bound, other.bound), span)

    def __sub__(self, other: Quantity) -> Quantity:
        self._require_same_unit(other, "compared with")
        span = None
        if self.span and other.span:
            low, high = self.span[0] - other.span[1], self.span[1] - other.span[0]
            span = (max(low, Fraction(0)), high)
        bound = _joint(self.bound, _reverse(other.bound))
        return Quantity(self.value - other.value, self.unit, bound, span)

    def __truediv__(self, other: Quantity) -> Quantity:
        if other.value == 0:
            raise LedgerError(
                f"{self} cannot be divided by {other}: a ratio to nothing has no value. "
                "Report the two amounts side by side."
            )
        span = None
        if self.span and other.span and other.span[0] > 0:
            span = (self.span[0] / other.span[1], self.span[1] / other.span[0])
        unit = "ratio" if self.unit == other.unit else f"{self.unit}/{_singular(other.unit)}"
        bound = _joint(self.bound, _reverse(other.bound))
        return Quantity(self.value / other.value, unit, bound, span)

    def in_percent(self) -> Quantity:
        """Write a ratio in percent."""
        span = None if self.span is None else (100 * self.span[0], 100 * self.span[1])
        return Quantity(100 * self.value, "percent", self.bound, span)

    def rounded(self, place: int | Fraction) -> Quantity:
        """Round to a multiple of a place without claiming more than is known.

        A lower bound is rounded down, an upper bound up, a span outwards; everything else goes
        to the nearest multiple, halves to even.

        Parameters
        ----------
        place : what the result is a multiple of, 1000000 for whole millions

        Raises
        ------
        LedgerError : the place is zero or negative
        """
        if place <= 0:
            raise LedgerError(
                f"place is above zero; it was {place}. It names the last digit to keep: 1000000 "
                "keeps whole millions."
            )
        steps = self.value / place
        nearest = {"at_least": math.floor, "at_most": math.ceil}.get(self.bound, round)
        value = Fraction(nearest(steps)) * place
        span = None
        if self.span is not None:
            low = math.floor(self.span[0] / place) * Fraction(place)
            span = (low, math.ceil(self.span[1] / place) * Fraction(place))
        return Quantity(value, self.unit, self.bound, span)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        sign = {"at_least": ">", "at_most": "<", "about": "~", "indicative": "?"}
        return f"{sign.get(self.bound, '')}{self._digits()} {self.unit}"

    def _digits(self) -> str:
        """Write a whole number in full, any other with six significant digits."""
        if self.value.denominator == 1:
            return f"{self.value.numerator:,}"
        place = Fraction(10) ** (math.floor(math.log10(self.value)) - 5)
        number = float(self.rounded(place))
        return f"{number:,.0f}" if place >= 1 else f"{number:,.6g}"

    def _require_same_unit(self, other: Quantity, verb: str) -> None:
        if self.unit != other.unit:
            raise LedgerError(
                f"{self} cannot be {verb} {other}: the units differ. Only amounts of one unit "
                "have a sum or a difference; a ratio of the two may be what is meant."
            )


def _joint(first: Bound, second: Bound) -> Bound:
    """Bound of a result that rises with both of two amounts."""
    return _BOUNDS.get(_DIRECTIONS[first] | _DIRECTIONS[second], "indicative")


def _reverse(bound: Bound) -> Bound:
    """Bound of a result that falls with an amount."""
    return _OPPOSITE.get(bound, bound)


def _singular(unit: str) -> str:
    """Name one of what a unit counts: ``project`` for ``projects``."""
    return unit.removesuffix("s")
