"""Figures as the press prints them: where, when, of what, and how they hang together."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from impact.errors import LedgerError, check_choice, listing, near
from impact.published.quantity import Bound, Quantity

__all__ = ["Figure", "Funding", "PublishedFigures", "Window", "read_published_figures"]

Funding = Literal["all", "national", "local", "none"]

COLUMNS = (
    "fact_id", "province", "start", "end", "indicator", "funding", "value", "unit", "qualifier",
    "printed_to", "publisher", "address", "published_on", "language", "part_of", "nested_in",
    "duplicate_of", "note",
)  # fmt: skip
LINKS = ("part_of", "nested_in", "duplicate_of")
QUALIFIERS: dict[str, Bound] = {
    "exact": "exact",
    "more_than": "at_least",
    "less_than": "at_most",
    "about": "about",
}


@dataclass(frozen=True)
class Window:
    """Name the years a figure covers, both included.

    Parameters
    ----------
    start : first year; None for a stock without a date
    end : last year; None for a window that ends with an undated article, "until now"
    """

    start: int | None
    end: int | None

    @property
    def last(self) -> float:
        """Last year the window may reach."""
        return math.inf if self.end is None else self.end

    def overlaps(self, other: Window) -> bool:
        """Tell whether a year may be counted in both; an undated figure may overlap any."""
        if self.start is None or other.start is None:
            return True
        return self.start <= other.last and other.start <= self.last

    def may_contain(self, other: Window) -> bool:
        """Tell whether the other window can lie inside; an open end may lie in any year."""
        if self.start is None or other.start is None:
            return False
        return self.start <= other.start and (other.end or other.start) <= self.last

    def __str__(self) -> str:
        if self.start is None:
            return "undated"
        if self.end == self.start:
            return str(self.start)
        return f"{self.start}–{'' if self.end is None else self.end}"


@dataclass(frozen=True)
class Figure:
    """Hold one printed figure with its place, window, source and relations.

    Parameters
    ----------
    fact_id : identifier in the table of figures
    province : as named in the period it was printed, NFC
    window : years covered
    indicator : what was measured
    funding : ``"national"``, ``"local"``, ``"all"`` sources, or ``"none"`` where money has no part
    quantity : the amount, with its bound
    publisher, address, published_on, language : the source; ``"none printed"`` where it names none
    part_of, nested_in, duplicate_of : fact_id of the total it is a part of, of the figure whose
        window holds its own, of the figure it repeats; empty for none
    note : remark on the figure
    """

    fact_id: str
    province: str
    window: Window
    indicator: str
    funding: Funding
    quantity: Quantity
    publisher: str = "none printed"
    address: str = "none printed"
    published_on: str = ""
    language: str = ""
    part_of: str = ""
    nested_in: str = ""
    duplicate_of: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.fact_id} ({self.province}, {self.window}, {self.indicator}, {self.quantity})"


@dataclass(frozen=True)
class PublishedFigures:
    """Hold the figures of one table and refuse arithmetic their windows do not allow.

    Parameters
    ----------
    figures : the figures, each fact_id once

    Raises
    ------
    LedgerError : a fact_id that appears twice, a link to a figure that is not there or that
        cannot be what it is said to be

    Example
    -------
    >>> from impact.published import Window, read_published_figures
    >>> published = read_published_figures("data/published_figures.csv")
    >>> support = published.one("Lai Châu", "support_amount", window=Window(2021, 2025))
    >>> projects = published.one("Lai Châu", "projects_implemented", window=Window(2021, 2025))
    >>> print(published.ratio(support, projects))
    >156,666,000 VND/project
    """

    figures: tuple[Figure, ...]

    def __post_init__(self) -> None:
        ids = [figure.fact_id for figure in self.figures]
        twice = sorted(name for name, count in Counter(ids).items() if count > 1)
        if twice:
            raise LedgerError(
                f"fact_id names one figure; {len(twice)} appear more than once: {listing(twice)}. "
                "A link could mean either of them: give each figure its own fact_id."
            )
        for figure in self.figures:
            for link in LINKS:
                self._check_link(figure, link)

    def __getitem__(self, fact_id: str) -> Figure:
        if fact_id not in self._by_id:
            raise LedgerError(
                f'there is no figure "{fact_id}". {near(fact_id, self._by_id)}'
                f"Known: {listing(self._by_id)}."
            )
        return self._by_id[fact_id]

    @cached_property
    def _by_id(self) -> dict[str, Figure]:
        return {figure.fact_id: figure for figure in self.figures}

    @property
    def originals(self) -> tuple[Figure, ...]:
        """The figures without those that repeat another."""
        return tuple(figure for figure in self.figures if not figure.duplicate_of)

    def parts(self, total: Figure) -> tuple[Figure, ...]:
        """Return the figures printed as parts of a total, one where several repeat it."""
        named = [figure for figure in self.figures if figure.part_of == total.fact_id]
        first = {self.original(figure.fact_id): figure for figure in reversed(named)}
        return tuple(figure for figure in named if first[self.original(figure.fact_id)] is figure)

    def find(
        self, province: str, indicator: str, *, window: Window, funding: Funding | None = None
    ) -> Figure | None:
        """Return the figure of a province, indicator and window, None where it is not printed.

        Parameters
        ----------
        province, indicator : as in the table
        window : years, equal to the printed ones
        funding : source of money; None takes the total ("all", or "none" where there is none)

        Raises
        ------
        LedgerError : the figure is printed more than once
        """
        wanted = ("all", "none") if funding is None else (funding,)
        name = unicodedata.normalize("NFC", province)
        found = [
            figure
            for figure in self.originals
            if (figure.province, figure.indicator, figure.window) == (name, indicator, window)
            and figure.funding in wanted
        ]
        if len(found) > 1:
            raise LedgerError(
                f"{indicator} is printed {len(found)} times for {name}, {window}: "
                f"{listing(figure.fact_id for figure in found)}. To choose one would be to guess: "
                "mark copies in duplicate_of."
            )
        return found[0] if found else None

    def one(
        self, province: str, indicator: str, *, window: Window, funding: Funding | None = None
    ) -> Figure:
        """Return the figure of a province, indicator and window, as `find` does.

        Raises
        ------
        LedgerError : the figure is not printed, or is printed more than once
        """
        figure = self.find(province, indicator, window=window, funding=funding)
        if figure is None:
            provinces = {known.province for known in self.figures}
            indicators = {known.indicator for known in self.figures}
            hint = near(province, provinces) if province not in provinces else ""
            hint += near(indicator, indicators) if indicator not in indicators else ""
            source = "" if funding is None else f" ({funding} funding)"
            raise LedgerError(
                f"{indicator}{source} is not printed for {province}, {window}, and nothing else "
                f"in the table determines it. {hint}Ask for a figure that is printed, or leave "
                "the measure out."
            )
        return figure

    def add(self, figures: Sequence[Figure]) -> Quantity:
        """Add figures of one indicator that share no project, person or year.

        Parameters
        ----------
        figures : two or more figures, of one indicator and unit

        Returns
        -------
        Quantity : the sum, with the bound that is left

        Raises
        ------
        LedgerError : a figure repeats, is part of, is nested in or overlaps another, or the two
            describe different provinces in different windows
        """
        if len(figures) == 0:
            raise LedgerError("add needs at least one figure; it was given none. Name the figures.")
        for first, second in combinations(figures, 2):
            reason = self._why_not_added(first, second)
            if reason:
                raise LedgerError(
                    f"{first} and {second} cannot be added: {reason} "
                    "Add figures that share nothing, or report them side by side."
                )
        total = figures[0].quantity
        for figure in figures[1:]:
            total = total + figure.quantity
        return total

    def ratio(self, numerator: Figure, denominator: Figure) -> Quantity:
        """Divide two figures of one province and window.

        Raises
        ------
        LedgerError : the two cover different provinces or years
        """
        same = (numerator.province, numerator.window) == (denominator.province, denominator.window)
        if not same:
            raise LedgerError(
                f"{numerator} and {denominator} have no ratio: they cover different provinces or "
                "years, so it would mix two programmes. Take both from one province and window."
            )
        return numerator.quantity / denominator.quantity

    def increment(self, outer: Figure, inner: Figure) -> Quantity:
        """Subtract from a figure the one whose window is nested in its own.

        Raises
        ------
        LedgerError : the second figure is not nested in the first
        """
        if inner.nested_in != outer.fact_id:
            raise LedgerError(
                f"{inner} is not marked as nested in {outer}, so their difference counts nothing. "
                "Fill nested_in where one window lies inside the other."
            )
        return outer.quantity - inner.quantity

    def original(self, fact_id: str) -> str:
        """Return the fact_id a figure repeats, or its own; an empty name stays empty."""
        return (self[fact_id].duplicate_of or fact_id) if fact_id else ""

    def _why_not_added(self, first: Figure, second: Figure) -> str:
        """Say why two figures share what they count, or nothing."""
        if first.indicator != second.indicator:
            return "they measure different things."
        ids = {self.original(first.fact_id), self.original(second.fact_id)}
        if len(ids) == 1:
            return "they are one figure, printed twice."
        if {self.original(first.part_of), self.original(second.part_of)} & ids:
            return "one is a part of the other and would be counted twice."
        if {self.original(first.nested_in), self.original(second.nested_in)} & ids:
            return "the window of one is nested in that of the other."
        if first.province != second.province:
            same = first.window == second.window and first.window.start is not None
            return "" if same else "they cover different provinces in different years."
        if {first.funding, second.funding} == {"national", "local"}:
            return "" if first.window == second.window else "they cover different years."
        return "their windows overlap." if first.window.overlaps(second.window) else ""

    def _check_link(self, figure: Figure, link: str) -> None:
        """Refuse a link to a missing figure, or one the two figures cannot have."""
        name = getattr(figure, link)
        if not name:
            return
        if name not in self._by_id or name == figure.fact_id:
            raise LedgerError(
                f'{link} of {figure.fact_id} is "{name}", which is no other figure of the table. '
                f"{near(name, self._by_id)}Fill in the fact_id of a row, or leave the cell empty."
            )
        target = self[name]
        fits = figure.province == target.province and figure.quantity.unit == target.quantity.unit
        if link == "part_of":
            fits = fits and figure.window == target.window
        if link == "nested_in":
            fits = fits and figure.indicator == target.indicator
            fits = fits and target.window.may_contain(figure.window)
        if link == "duplicate_of":
            fits = fits and figure.indicator == target.indicator and not target.duplicate_of
        if not fits:
            raise LedgerError(
                f"{link} of {figure} names {target}, which it cannot be: province, unit, indicator "
                "or window do not fit. Correct the link or the figure."
            )


def read_published_figures(path: str | Path) -> PublishedFigures:
    """Read a table of printed figures, every cell checked.

    Parameters
    ----------
    path : CSV file, UTF-8, with the columns described in data/published_figures.md

    Returns
    -------
    PublishedFigures

    Raises
    ------
    LedgerError : no such file, a missing column, a value, year, qualifier, source of
        money or link that cannot be read
    """
    if not Path(path).is_file():
        raise LedgerError(f"there is no file {path}. Give the path of a table of printed figures.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise LedgerError(
            f"{Path(path).name} lacks {len(missing)} of its columns: {listing(missing)}. "
            f"{near(missing[0], table.columns)}A figure without them cannot be placed: add them, "
            "with empty cells where nothing is printed."
        )
    rows = table[list(COLUMNS)].itertuples(index=False, name=None)
    return PublishedFigures(tuple(_figure(dict(zip(COLUMNS, row, strict=True))) for row in rows))


def _figure(record: dict[str, str]) -> Figure:
    """Turn one row of the table into a figure."""
    cell = {name: unicodedata.normalize("NFC", text.strip()) for name, text in record.items()}
    check_choice(f"funding of {cell['fact_id']}", cell["funding"], get_args(Funding), LedgerError)
    check_choice(f"qualifier of {cell['fact_id']}", cell["qualifier"], QUALIFIERS, LedgerError)
    return Figure(
        fact_id=cell["fact_id"],
        province=cell["province"],
        window=_window(cell),
        indicator=cell["indicator"],
        funding=cell["funding"],  # type: ignore[arg-type]  # checked above
        quantity=Quantity.printed(
            _whole(cell, "value"),
            cell["unit"],
            QUALIFIERS[cell["qualifier"]],
            _whole(cell, "printed_to"),
        ),
        **{name: cell[name] for name in COLUMNS[10:]},
    )


def _window(cell: dict[str, str]) -> Window:
    """Read the years of a row; a year without a first year or in the wrong order is refused."""
    start = _whole(cell, "start") if cell["start"] else None
    end = _whole(cell, "end") if cell["end"] else None
    if (start is None and end is not None) or (start and end and end < start):
        raise LedgerError(
            f"the window of {cell['fact_id']} runs from {start} to {end}: it needs a first year, "
            "no later than the last. Leave both empty for a stock without a date."
        )
    return Window(start, end)


def _whole(cell: dict[str, str], column: str) -> int:
    """Read a whole number written in digits only."""
    if not cell[column].isascii() or not cell[column].isdigit():
        raise LedgerError(
            f'{column} of {cell["fact_id"]} is "{cell[column]}", not a whole number in digits. '
            "Scaled words and separators hide a factor of ten: write 4.7 billion as 4700000000."
        )
    return int(cell[column])
