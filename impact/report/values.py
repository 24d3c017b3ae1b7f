"""One number of a report: what it is, its unit, its interval, and how a sentence writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from impact.report.numbers import MISSING, NO_BREAK, format_interval, format_number, format_quantity
from impact.report.text import Text, fill

__all__ = ["FORMS", "Bound", "Value", "format_value", "render_template"]

Bound: TypeAlias = Literal["exact", "at_least", "at_most", "about"]
FORMS = ("", "number", "interval", "signed", "magnitude", "equals")

_BOUND_WORDS = {
    "exact": {"en": "", "vi": ""},
    "at_least": {"en": "at least ", "vi": "ít nhất "},
    "at_most": {"en": "at most ", "vi": "nhiều nhất "},
    "about": {"en": "about ", "vi": "khoảng "},
}


@dataclass(frozen=True)
class Value:
    """A number of the report.

    Parameters
    ----------
    id : the name by which sentences and tables call it
    value : the number; None where it cannot be had, with the reason in ``note``
    unit : a unit the languages know ("VND", "percent", "jobs", "VND/worker"), or the words of one
    label : what the number is, in each language
    low, high : limits of its interval, in the same unit
    level : the interval's confidence level, as a share
    bound : whether the number is exact, a lower or an upper bound, or about right
    decimals : decimals printed; without it, those of the unit, else three significant digits
    source : where the number comes from
    """

    id: str
    value: int | float | None
    unit: str | Text
    label: Text
    low: int | float | None = None
    high: int | float | None = None
    level: float | None = None
    bound: Bound = "exact"
    decimals: int | None = None
    note: Text | None = None
    source: str | None = None


def format_value(value: Value, language: str, form: str = "") -> str:
    """Write a value: plain (bound and unit), its number, interval, with its sign, or without.

    The form "equals" is the plain one as a statement about a letter: "= 0.012", or "< 0.001".
    """
    if form == "interval":
        if value.low is None or value.high is None:
            return MISSING[language]
        return format_interval(value.low, value.high, value.unit, language, value.decimals)
    if value.value is None:
        return MISSING[language]
    if form == "number" and value.unit != "p_value":
        return format_number(value.value, language, value.decimals)
    shown = abs(value.value) if form == "magnitude" else value.value
    written = format_quantity(shown, value.unit, language, value.decimals)
    rises = form == "signed" and value.value > 0 and re.search("[1-9]", written) is not None
    sign = "+" if rises else ""
    plain = _BOUND_WORDS[value.bound][language] + sign + written
    if form != "equals":
        return plain
    is_less = plain.startswith("<")
    return f"{'<' if is_less else '='}{NO_BREAK}{plain.removeprefix('<')}"


def render_template(template: str, values: Mapping[str, Value], language: str) -> str:
    """Fill a template with its values, written in a language."""
    return fill(template, lambda name, form: format_value(values[name], language, form))
