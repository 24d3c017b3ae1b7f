"""Checks of reported figures: scale, signs, windows, half-years, carried counts, heaping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from impact.ledger.findings import Finding
from impact.ledger.parse import money_unit
from impact.ledger.read import Typed
from impact.ledger.schema import REPORTS
from impact.places import fold

__all__ = ["REPORT_RULES"]

LABELS = {column.name: column.label for column in REPORTS}
LEAST_COUNT = 30
EXPECTED_REPEATS = 0.5
EVEN_SHARE = 0.2
HEAPED_SHARE = 0.35
STEADY = 2.0
"""Neighbours differ by less than this factor, or they measure no scale."""
NEAR_POWER = 1.6
"""A figure is about 10, 100, ... times another within this factor, half the way between tenfolds
being 3.2."""
SIGNED = (
    "tang", "giam", "chenhlech", "loinhuan", "lailo", "candoi",
    "growth", "change", "increase", "decrease", "difference", "profit", "loss", "balance",
)  # fmt: skip
"""Words, folded, of indicators that may fall below zero."""


class Figure(NamedTuple):
    """A reported value, its window and its row in the file."""

    row: int
    place: str
    indicator: str
    start: pd.Timestamp
    end: pd.Timestamp
    value: float
    unit: str = ""

    @property
    def size(self) -> float:
        """The value with its unit of money, so that billions and millions compare."""
        return float(self.value) * money_unit(self.unit)

    @property
    def window(self) -> str:
        """First and last day, as they are printed."""
        return f"{self.start:%d/%m/%Y}-{self.end:%d/%m/%Y}"

    def spans(self, last_day: tuple[int, int]) -> bool:
        """Whether the window runs from 1 January to a day of the same year."""
        end = (self.end.year, self.end.month, self.end.day)
        return (self.start.month, self.start.day) == (1, 1) and end == (self.start.year, *last_day)


def find_reversed(reports: Typed) -> Iterator[Finding]:
    """Find windows that end before they begin, or on the day they begin."""
    for row, start, end in reports.rows("period_start", "period_end"):
        if end == start:
            yield reports.find(
                "end_equals_start", row, "period_end",
                label=LABELS["period_end"], other_label=LABELS["period_start"],
                value=f"{end:%d/%m/%Y}",
            )  # fmt: skip
        if end < start:
            yield reports.find(
                "dates_out_of_order", row, "period_end",
                label=LABELS["period_end"], value=f"{end:%d/%m/%Y}",
                other_label=LABELS["period_start"], other=f"{start:%d/%m/%Y}",
            )  # fmt: skip


def find_overlaps(reports: Typed) -> Iterator[Finding]:
    """Find windows of one series that overlap or nest, whose values must not be added."""
    for series in _series(reports):
        longest = series[0]
        for figure in series[1:]:
            if figure.start <= longest.end:
                yield reports.find(
                    "windows_overlap", figure.row, "period_start",
                    value=figure.indicator, place=figure.place, window=figure.window,
                    other=longest.row, other_window=longest.window,
                )  # fmt: skip
            longest = max(longest, figure, key=lambda f: f.end)


def find_half_years(reports: Typed) -> Iterator[Finding]:
    """Find annual values that do not exceed the first half, or are half of their neighbours."""
    for series in _series(reports):
        annual = {figure.start.year: figure for figure in series if figure.spans((12, 31))}
        halves = {figure.start.year: figure for figure in series if figure.spans((6, 30))}
        for year, figure in annual.items():
            half = halves.get(year)
            details: dict[str, object] = {"value": figure.value, "year": year}
            if half is not None and figure.value <= half.value:
                details |= {"half": half.value, "other": half.row}
                yield reports.find("half_year_as_annual", figure.row, "value", **details)
            elif year - 1 in annual and year + 1 in annual:
                before, after = annual[year - 1].value, annual[year + 1].value
                if figure.value > 0 and 0.4 * min(before, after) <= figure.value <= 0.6 * min(
                    before, after
                ):
                    details |= {"before": before, "after": after}
                    yield reports.find("half_year_suspected", figure.row, "value", **details)


def find_scale(reports: Typed) -> Iterator[Finding]:
    """Find values about 10, 100, 1,000, ... times the years before and after, or a tenth, ....

    The first and the last of a series are held against the two figures next to them.
    """
    for series in _series(reports):
        for last_day in ((12, 31), (6, 30)):
            figures = list({f.start.year: f for f in series if f.spans(last_day)}.values())
            for k, figure in enumerate(figures):
                first = min(max(k - 1, 0), len(figures) - 3)
                others = [f for f in figures[first : first + 3] if f is not figure]
                power = _tenfolds(figure, others) if len(figures) >= 3 else 0
                if power:
                    details = {
                        "value": figure.value,
                        "factor": 10.0**power,
                        "window": figure.window,
                    }
                    details |= {"one": others[0].value, "two": others[1].value}
                    yield reports.find("figure_scale", figure.row, "value", **details)


def _tenfolds(figure: Figure, others: list[Figure]) -> int:
    """Return the power of ten that sets a figure apart from two that agree, 0 if none does."""
    low, high = sorted(other.size for other in others)
    if not (low > 0 and figure.size > 0 and high < STEADY * low):
        return 0
    power = np.log10(figure.size / np.sqrt(low * high))
    return round(power) if abs(power - round(power)) < np.log10(NEAR_POWER) else 0


def find_negatives(reports: Typed) -> Iterator[Finding]:
    """Find counts and amounts below zero, except of indicators that are changes or balances."""
    for row, indicator, value in reports.rows("indicator", "value"):
        if value < 0 and not any(word in fold(indicator) for word in SIGNED):
            number = int(value) if value.is_integer() else value
            details = {"value": number, "indicator": indicator}
            yield reports.find("figure_negative", row, "value", **details)


def find_carried_counts(reports: Typed) -> Iterator[Finding]:
    """Find values repeated to the last digit more often than chance would repeat them.

    A figure v that changes by about a tenth a year repeats by chance with probability
    phi(0) / (0.1 v) = 4 / v; runs of repeats are found where fewer than half a one is expected
    among all figures of the indicator.
    """
    series = list(_series(reports))
    pairs = Counter(fold(figures[0].indicator) for figures in series for _ in figures[1:])
    for figures in series:
        repeats = 0
        for before, figure in pairwise(figures):
            repeated = figure.value == before.value != 0 and figure.start > before.end
            repeats = repeats + 1 if repeated else 0
            chance = min(1.0, 4 / abs(figure.value)) ** repeats if repeated else 1.0
            if repeated and pairs[fold(figure.indicator)] * chance < EXPECTED_REPEATS:
                details = {"value": figure.value, "other": before.row}
                yield reports.find(
                    "carried_forward", figure.row, "value", other_window=before.window, **details
                )


def find_heaping(reports: Typed) -> Iterator[Finding]:
    """Find indicators whose whole numbers end in 0 or 5 far more often than one in five."""
    values = reports.frame.dropna(subset=["indicator", "value"])
    whole = values[(values["value"] >= 20) & (values["value"] % 1 == 0)]
    for indicator, counts in whole.groupby("indicator")["value"]:
        share = float((counts % 5 == 0).mean())
        noise = 4 * np.sqrt(EVEN_SHARE * (1 - EVEN_SHARE) / len(counts))
        if len(counts) >= LEAST_COUNT and share > max(HEAPED_SHARE, EVEN_SHARE + noise):
            details = {"value": indicator, "share": share, "count": len(counts)}
            yield Finding("heaping", reports.sheet, details=details)


def _series(reports: Typed) -> Iterator[list[Figure]]:
    """Split the figures by place, indicator and source, each in order of its windows."""
    series: dict[tuple[str, str, str], list[Figure]] = {}
    sources = reports.frame["source"].fillna("").to_dict()
    units = reports.frame["unit"].fillna("").to_dict()
    columns = ("place", "indicator", "period_start", "period_end", "value")
    for row, place, indicator, start, end, value in reports.rows(*columns):
        if end < start:
            continue
        key = (fold(place), fold(indicator), sources[row])
        number = int(value) if value.is_integer() else value
        figure = Figure(row, place, indicator, start, end, number, units[row])
        series.setdefault(key, []).append(figure)
    for figures in series.values():
        yield sorted(figures, key=lambda f: (f.start, -f.end.toordinal(), f.row))


REPORT_RULES = (
    find_reversed,
    find_overlaps,
    find_half_years,
    find_scale,
    find_negatives,
    find_carried_counts,
    find_heaping,
)
