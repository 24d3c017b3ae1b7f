"""Read amounts, dates and choices as departments write them, guessing nothing."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from impact.places import fold

__all__ = [
    "Problem",
    "clean_text",
    "header_unit",
    "money_unit",
    "parse_amount",
    "parse_choice",
    "parse_date",
    "parse_number",
    "stated_unit",
]

UNITS = {
    "": 1,
    "d": 1,
    "dong": 1,
    "vnd": 1,
    "nghin": 10**3,
    "nghindong": 10**3,
    "ngan": 10**3,
    "thousand": 10**3,
    "thousandvnd": 10**3,
    "tr": 10**6,
    "trieu": 10**6,
    "trieudong": 10**6,
    "trd": 10**6,
    "million": 10**6,
    "millionvnd": 10**6,
    "ty": 10**9,
    "ti": 10**9,
    "tydong": 10**9,
    "tidong": 10**9,
    "billion": 10**9,
    "billionvnd": 10**9,
}
NUMBER = re.compile(r"^([-−(]?)\s*([0-9][0-9.,\s]*)\)?\s*([^0-9]*)$")
SPACED = re.compile(r"^\d{1,3}(?: \d{3})+(?:[.,]\d+)?$")
LARGEST = 10**18
SMALLEST = 1_000
ROUNDING = 1e-6
YEARS = range(1990, 2101)
MIDNIGHT = r"(?:[T ]00:00(?::00(?:\.0+)?)?)?"
DAY_FIRST = re.compile(rf"^(\d{{1,2}})[/.\-](\d{{1,2}})[/.\-](\d{{4}}){MIDNIGHT}$")
YEAR_FIRST = re.compile(rf"^(\d{{4}})-(\d{{1,2}})-(\d{{1,2}}){MIDNIGHT}$")

Reason = Literal[
    "amount_unreadable", "amount_ambiguous", "date_unreadable", "date_month_first", "choice_unknown"
]


@dataclass(frozen=True)
class Problem:
    """Say why a cell could not be read; the cell's value stays missing."""

    rule: Reason


UNREADABLE = Problem("amount_unreadable")


def clean_text(value: object) -> str:
    """Return a text composed (NFC), with single spaces and no invisible characters."""
    text = unicodedata.normalize("NFC", str(value))
    visible = "".join(" " if c.isspace() else c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def header_unit(header: str) -> int | None:
    """Return how many dong the unit in a header's brackets stands for, or None if it has none."""
    bracketed = re.search(r"\(([^)]*)\)", header)
    return UNITS.get(fold(bracketed.group(1))) if bracketed else None


def stated_unit(line: str) -> int | None:
    """Return the dong that a line such as ``ĐVT: triệu đồng`` states, or None if it states none."""
    stated = re.match(r"^\s*\(?\s*(?:đơn vị(?: tính)?|đvt|unit)\s*:\s*([^()]*)\)?\s*$", line, re.I)
    return UNITS.get(fold(stated.group(1))) if stated else None


def money_unit(unit: str) -> int:
    """Return how many dong a unit such as ``tỷ đồng`` stands for, 1 if it is no unit of money."""
    return UNITS.get(fold(unit), 1)


def parse_amount(value: object, scale: int = 1) -> int | Problem:
    """Return an amount in whole dong.

    Parameters
    ----------
    value : a number, or text such as ``1.250.000.000``, ``1,5 tỷ``, ``350 triệu đồng``
    scale : dong that a bare number stands for, from the column's header

    Notes
    -----
    A dot or comma followed by exactly three digits is a thousands separator when the unit is the
    dong, which has no decimals. In millions or billions the same text is ambiguous and is
    returned as a problem rather than read either way. A fraction of a small number of dong, such
    as 0.3, is no amount either: its unit is another, and rounding would make it zero.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _in_range(value * scale)
    number = _parse_text(value, scale, whole=True)
    return number if isinstance(number, Problem) else _in_range(number)


def _parse_text(value: object, scale: int, *, whole: bool) -> float | Problem:
    """Read a number with its unit; ``whole`` when a bare one stands for dong, without decimals."""
    match = NUMBER.match(clean_text(value))
    if match is None:
        return UNREADABLE
    sign, digits, unit_text = match.groups()
    factor = UNITS.get(fold(unit_text))
    if factor is None:
        return UNREADABLE
    unit = factor if fold(unit_text) else scale
    digits = digits.strip()
    if " " in digits and not SPACED.match(digits):
        return UNREADABLE
    number = _parse_digits(digits.replace(" ", ""), whole=whole and unit == 1)
    if isinstance(number, Problem):
        return number
    return -number * unit if sign else number * unit


def parse_number(value: object, scale: int = 1) -> float | Problem:
    """Return a reported figure, which may have decimals: ``12,5``, ``1.250.000``, ``7,3 tỷ``.

    A dot or comma followed by exactly three digits can be either and is returned as a problem.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value * scale) if math.isfinite(value) else UNREADABLE
    return _parse_text(value, scale, whole=False)


def _in_range(dong: float) -> int | Problem:
    """Return whole dong; what no budget could hold is no amount, nor a small fraction."""
    if not abs(dong) <= LARGEST or (abs(dong) < SMALLEST and abs(dong - round(dong)) > ROUNDING):
        return UNREADABLE
    return round(dong)


def _parse_digits(digits: str, *, whole: bool) -> float | Problem:
    """Read digits with dots and commas; ``whole`` when decimals make no sense."""
    separators = [c for c in digits if c in ".,"]
    if not separators:
        return float(digits)
    groups = re.split(r"[.,]", digits)
    mixed = len(set(separators)) == 2
    grouped = groups[:-1] if mixed else groups
    thousands = all(len(g) == 3 for g in grouped[1:]) and grouped[0].lstrip("0") != ""
    if mixed:
        regular = thousands and len(set(separators[:-1])) == 1
        return float("".join(grouped) + "." + groups[-1]) if regular else UNREADABLE
    if len(separators) > 1:
        return float("".join(groups)) if thousands else UNREADABLE
    if thousands and len(groups[0]) <= 3:
        return float("".join(groups)) if whole else Problem("amount_ambiguous")
    if whole and (groups[1].strip("0") or len(groups[1]) > 2):
        return UNREADABLE
    return float(f"{groups[0]}.{groups[1]}")


def parse_date(value: object) -> pd.Timestamp | Problem:
    """Return a day from a date cell, ``31/12/2020`` (day first) or ``2020-12-31``.

    Years before 1990 or after 2100 are taken for slips. A month-first date whose day is beyond
    12 is returned as a problem of its own, since its neighbours may be month-first without
    showing it.
    """
    if isinstance(value, (dt.datetime, dt.date)):
        day = pd.Timestamp(value).normalize()
        return day if day.year in YEARS else Problem("date_unreadable")
    text = clean_text(value)
    day_first, year_first = DAY_FIRST.match(text), YEAR_FIRST.match(text)
    if day_first:
        number, month, year = map(int, day_first.groups())
        if month > 12 >= number:
            return Problem("date_month_first")
    elif year_first:
        year, month, number = map(int, year_first.groups())
    else:
        return Problem("date_unreadable")
    if year not in YEARS:
        return Problem("date_unreadable")
    try:
        return pd.Timestamp(year=year, month=month, day=number)
    except ValueError:
        return Problem("date_unreadable")


def parse_choice(value: object, choices: Mapping[str, tuple[str, ...]]) -> str | Problem:
    """Return the choice whose name or label, in either language, the text is."""
    folded = fold(f"{value:g}" if isinstance(value, float) else value)
    for name, labels in choices.items():
        if folded == fold(name) or folded in {fold(label) for label in labels}:
            return name
    return Problem("choice_unknown")
