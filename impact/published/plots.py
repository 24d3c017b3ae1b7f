"""Figures of printed programmes: money a project, and windows that lie inside one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from impact.errors import LedgerError, check_choice
from impact.plots import BLUE, INK, ORANGE, PALE, QUIET
from impact.published.accounts import (
    COUNTERPART,
    LOCAL_SUPPORT,
    NATIONAL_SUPPORT,
    PROJECTS,
)
from impact.published.figures import Figure, PublishedFigures, Window
from impact.published.labels import INDICATORS, Words, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["draw_money_per_project", "draw_windows"]

MILLION = 10**6
SKY = "#7fa3c7"
SOURCES = (
    (NATIONAL_SUPPORT, BLUE, -1, {"en": "support, national", "vi": "hỗ trợ quốc gia"}),
    (LOCAL_SUPPORT, SKY, -1, {"en": "support, local", "vi": "hỗ trợ địa phương"}),
    (COUNTERPART, ORANGE, 1, {"en": "counterpart", "vi": "vốn đối ứng"}),
)
MONEY_AXIS: Words = {"en": "million VND per project", "vi": "triệu đồng một đề án"}
NOT_PRINTED: Words = {"en": "not printed", "vi": "không công bố"}
POINTS = {"en": {}, "vi": str.maketrans(",", ".")}
SIGNS = {"at_least": ">", "at_most": "<", "about": "~"}
LONG_BAR = 5
BAR = 0.55
LETTER = 0.018
"""Width of a letter, as a share of the axis."""
PROJECTS_WORD: Words = {"en": "projects", "vi": "đề án"}


def draw_money_per_project(
    published: PublishedFigures, places: Sequence[tuple[str, Window]], language: str = "en"
) -> Drawing:
    """Draw support by source and counterpart, divided by all projects of the window.

    Parameters
    ----------
    published : the figures
    places : (province, window), one bar each; each needs a printed number of projects
    language : ``"en"`` or ``"vi"``

    Returns
    -------
    matplotlib Figure : support to the left of zero, counterpart to the right; ``>`` marks a lower
        bound, and a side of which nothing is printed says so

    Raises
    ------
    LedgerError : an unknown language, no place, or a place without a number of projects
    """
    check_choice("language", language, ("en", "vi"), LedgerError)
    if not places:
        raise LedgerError("places names no province and window, so there is no bar to draw.")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 0.8 + 0.7 * len(places)), layout="constrained")
    amounts = [
        amount
        for row, (province, window) in enumerate(places)
        for amount in _money_bar(ax, published, province, window, row, language)
    ]
    ax.set_yticks(range(len(places)), [f"{name}\n{window}" for name, window in places])
    ax.set_xlabel(MONEY_AXIS[language], color=INK, fontsize=10)
    ax.set_xlim(left=min(ax.get_xlim()[0], -0.25 * ax.get_xlim()[1]))
    for x, row, width, written, ink in amounts:
        _name_amount(ax, x, row, width, written, ink)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}".translate(POINTS[language]))
    ax.axvline(0, color=INK, linewidth=1)
    ax.invert_yaxis()
    ax.tick_params(colors=INK, labelsize=10, left=False)
    ax.spines[["top", "right", "left"]].set_visible(False)
    for _, colour, _, words in SOURCES:
        ax.barh(0, 0, color=colour, label=words[language])
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=len(SOURCES), frameon=False, fontsize=10
    )
    plt.close(figure)
    return figure


def draw_windows(published: PublishedFigures, language: str = "en") -> Drawing:
    """Draw the years each group of figures covers, a nested window under the one around it.

    Parameters
    ----------
    published : the figures
    language : ``"en"`` or ``"vi"``

    Returns
    -------
    matplotlib Figure : one bar a province and window, named by its projects where they are
        printed; an open end fades out in a dashed line

    Raises
    ------
    LedgerError : an unknown language, or no figure with a first year
    """
    check_choice("language", language, ("en", "vi"), LedgerError)
    shown: dict[tuple[str, Window], Figure] = {}
    for figure in published.originals:
        if figure.window.start is not None:
            shown.setdefault((figure.province, figure.window), figure)
    if not shown:
        raise LedgerError("no figure has a first year, so there is no window to draw.")
    import matplotlib.pyplot as plt

    drawing, ax = plt.subplots(figsize=(6.4, 0.6 + 0.4 * len(shown)), layout="constrained")
    first = min(window.start for _, window in shown if window.start is not None)
    last = max(window.end or window.start or first for _, window in shown)
    for row, ((province, window), figure) in enumerate(shown.items()):
        _window_bar(ax, window, row, nested=bool(figure.nested_in), empty=not figure.quantity.value)
        words = _window_words(published, province, window, figure, language)
        _name_window(ax, window, row, words, middle=(first + last + 1) / 2)
    ax.set_yticks(range(len(shown)), [province for province, _ in shown])
    ax.invert_yaxis()
    ax.set_xlim(first, last + 1)
    years = range(first, last + 1)
    ax.set_xticks([year + 0.5 for year in years], [str(year) for year in years])
    ax.tick_params(colors=INK, labelsize=9, left=False, bottom=False)
    ax.spines[["top", "right", "left", "bottom"]].set_visible(False)
    plt.close(drawing)
    return drawing


def _money_bar(
    ax: Axes,
    published: PublishedFigures,
    province: str,
    window: Window,
    row: int,
    language: str,
) -> list[tuple[float, int, float, str, str]]:
    """Stack the printed money of one province and window, a project.

    Returns
    -------
    list of (middle of the bar, row, width, words, colour of words inside it)
    """
    indicator, _ = PROJECTS
    projects = published.one(province, indicator, window=window).quantity
    ends, amounts = {-1: 0.0, 1: 0.0}, []
    for (name, funding), colour, side, _ in SOURCES:
        found = published.find(province, name, window=window, funding=funding)
        if found is None:
            continue
        amount = (found.quantity / projects).rounded(MILLION)
        width = side * float(amount) / MILLION
        ax.barh(row, width, left=ends[side], height=BAR, color=colour, edgecolor="white")
        words = SIGNS.get(amount.bound, "") + f"{abs(width):,.0f}".translate(POINTS[language])
        ink = INK if colour == SKY else "white"
        amounts.append((ends[side] + width / 2, row, abs(width), words, ink))
        ends[side] += width
    for side, end in ends.items():
        if end == 0:
            align = "left" if side > 0 else "right"
            words = f" {NOT_PRINTED[language]} "
            ax.text(0, row, words, ha=align, va="center", fontsize=10, color=QUIET)
    return amounts


def _name_amount(ax: Axes, x: float, row: int, width: float, words: str, ink: str) -> None:
    """Write an amount into its bar, or above a bar too narrow for it."""
    low, high = ax.get_xlim()
    inside = width > LETTER * (high - low) * len(words)
    y, align = (row, "center") if inside else (row - BAR / 2, "bottom")
    ax.text(x, y, words, ha="center", va=align, fontsize=10, color=ink if inside else INK)


def _window_bar(ax: Axes, window: Window, row: int, *, nested: bool, empty: bool) -> None:
    """Draw one window: whole years, the last one included, an open end dashed; nothing, hollow."""
    start, end = _edges(window)
    colour = "white" if empty else PALE if nested else BLUE
    ax.barh(row, end - start, left=start, height=0.5, color=colour, edgecolor=BLUE)
    if window.end is None:
        ax.plot([end, end + 1.5], [row, row], color=BLUE, linestyle="--", linewidth=1.5)


def _name_window(ax: Axes, window: Window, row: int, words: str, *, middle: float) -> None:
    """Write what a window holds: inside a long bar, else on the side with more room."""
    start, end = _edges(window)
    if end - start >= LONG_BAR:
        x, align, colour = (start + end) / 2, "center", "white"
    elif start >= middle:
        x, align, colour = start - 0.15, "right", INK
    else:
        x, align, colour = end + (2.0 if window.end is None else 0.15), "left", INK
    ax.text(x, row, words, ha=align, va="center", fontsize=10, color=colour)


def _edges(window: Window) -> tuple[int, int]:
    """Return the first day's year of a window and of what follows it, an open end after a year."""
    start = window.start or 0
    return start, (start if window.end is None else window.end) + 1


def _window_words(
    published: PublishedFigures, province: str, window: Window, first: Figure, language: str
) -> str:
    """Say what is printed for a window: its projects, or else the first of its figures."""
    projects = published.find(province, PROJECTS[0], window=window)
    if projects is None:
        words = label(INDICATORS, first.indicator)[language]
        return words if first.quantity.value else f"{words}: 0"
    words = f"{projects.quantity.value} {PROJECTS_WORD[language]}"
    if projects.nested_in:
        around = published[projects.nested_in].quantity.value
        words += {"en": f", inside the {around}", "vi": f", nằm trong {around}"}[language]
    return words
