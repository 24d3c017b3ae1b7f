"""What the printed figures of a province and window add up to, measure by measure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from impact.errors import LedgerError, check_choice
from impact.published.figures import Funding, PublishedFigures, Window
from impact.published.quantity import Quantity

__all__ = ["MEASURES", "Account", "Measure", "account", "account_table", "accounts"]

Item = tuple[str, Funding | None]
Words = dict[str, str]

INDICATIVE: Words = {
    "en": "The printed bounds leave neither a floor nor a ceiling: indicative only.",
    "vi": "Các con số công bố không cho cận dưới cũng không cho cận trên: chỉ để tham khảo.",
}

PROJECTS: Item = ("projects_implemented", None)
NATIONAL_PROJECTS: Item = ("projects_implemented", "national")
LOCAL_PROJECTS: Item = ("projects_implemented", "local")
SUPPORT: Item = ("support_amount", None)
NATIONAL_SUPPORT: Item = ("support_amount", "national")
LOCAL_SUPPORT: Item = ("support_amount", "local")
COUNTERPART: Item = ("counterpart_amount", None)
OUTPUT: Item = ("craft_village_output", None)
WORKERS: Item = ("craft_village_workers", None)


@dataclass(frozen=True)
class Measure:
    """Define a measure: items added, divided by another item if there is one.

    Parameters
    ----------
    name : name in tables
    label : what it is, in each language
    items : (indicator, source of money) added up; None takes the total over sources
    per : (indicator, source of money) divided by
    percent : whether a ratio is written in percent
    """

    name: str
    label: Words
    items: tuple[Item, ...]
    per: Item | None = None
    percent: bool = False


def _measure(
    name: str, en: str, vi: str, *items: Item, per: Item | None = None, percent: bool = False
) -> Measure:
    return Measure(name, {"en": en, "vi": vi}, items, per, percent)


# fmt: off
_DEFINITIONS = (
    _measure("projects", "Projects", "Số đề án", PROJECTS),
    _measure("national_projects", "Projects, national programme",
             "Số đề án khuyến công quốc gia", NATIONAL_PROJECTS),
    _measure("local_projects", "Projects, local programme",
             "Số đề án khuyến công địa phương", LOCAL_PROJECTS),
    _measure("national_share_of_projects", "National share of projects",
             "Tỷ lệ đề án quốc gia", NATIONAL_PROJECTS, per=PROJECTS, percent=True),
    _measure("support", "Support", "Kinh phí hỗ trợ", SUPPORT),
    _measure("national_support", "Support, national programme",
             "Kinh phí khuyến công quốc gia", NATIONAL_SUPPORT),
    _measure("local_support", "Support, local programme",
             "Kinh phí khuyến công địa phương", LOCAL_SUPPORT),
    _measure("national_share_of_support", "National share of support",
             "Tỷ lệ kinh phí quốc gia", NATIONAL_SUPPORT, per=SUPPORT, percent=True),
    _measure("counterpart", "Counterpart of beneficiaries",
             "Vốn đối ứng của đơn vị thụ hưởng", COUNTERPART),
    _measure("support_and_counterpart", "Support and counterpart together",
             "Tổng kinh phí hỗ trợ và vốn đối ứng", SUPPORT, COUNTERPART),
    _measure("leverage", "Leverage: counterpart per VND of support",
             "Hệ số đòn bẩy: vốn đối ứng trên một đồng hỗ trợ", COUNTERPART, per=SUPPORT),
    _measure("support_per_project", "Support per project",
             "Hỗ trợ bình quân một đề án", SUPPORT, per=PROJECTS),
    _measure("national_support_per_project", "Support per national project",
             "Hỗ trợ bình quân một đề án quốc gia", NATIONAL_SUPPORT, per=NATIONAL_PROJECTS),
    _measure("local_support_per_project", "Support per local project",
             "Hỗ trợ bình quân một đề án địa phương", LOCAL_SUPPORT, per=LOCAL_PROJECTS),
    _measure("counterpart_per_project", "Counterpart per project",
             "Vốn đối ứng bình quân một đề án", COUNTERPART, per=PROJECTS),
    _measure("craft_village_output", "Output of craft villages",
             "Giá trị sản xuất của làng nghề", OUTPUT),
    _measure("craft_village_workers", "Workers of craft villages",
             "Lao động của làng nghề", WORKERS),
    _measure("output_per_worker", "Output per worker of craft villages",
             "Giá trị sản xuất trên một lao động làng nghề", OUTPUT, per=WORKERS),
)
# fmt: on

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _DEFINITIONS}


@dataclass(frozen=True)
class Account:
    """Hold one measure of a province and window.

    Parameters
    ----------
    province, window : what it covers
    measure : its definition
    quantity : the amount with its bound; None where it cannot be had
    facts : fact_ids it is computed from
    note : in each language, why there is no amount, or what limits the one there is; may be empty
    """

    province: str
    window: Window
    measure: Measure
    quantity: Quantity | None
    facts: tuple[str, ...]
    note: Words


def account(published: PublishedFigures, province: str, window: Window, measure: str) -> Account:
    """Compute a measure of a province and window, or say why it cannot be had.

    Parameters
    ----------
    published : the figures
    province : as in the table
    window : years, equal to the printed ones
    measure : a name of `MEASURES`

    Returns
    -------
    Account : its quantity is None, with the reason in ``note``, where a figure is not printed

    Raises
    ------
    LedgerError : the measure is unknown, or one of its figures is printed more than once

    Example
    -------
    >>> from impact.published import read_published_figures
    >>> published = read_published_figures("data/published_figures.csv")
    >>> account(published, "Cao Bằng", Window(2012, 2022), "leverage").note["en"]
    'Not printed for Cao Bằng, 2012–2022: Support.'
    """
    check_choice("measure", measure, MEASURES, LedgerError)
    definition = MEASURES[measure]
    wanted = definition.items if definition.per is None else (*definition.items, definition.per)
    found = {
        (indicator, funding): published.find(province, indicator, window=window, funding=funding)
        for indicator, funding in wanted
    }
    missing = [item for item, figure in found.items() if figure is None]
    if missing:
        note = _not_printed(province, window, missing)
        return Account(province, window, definition, None, (), note)
    figures = [figure for figure in found.values() if figure is not None]
    quantity = figures[0].quantity
    for figure in figures[1 : len(definition.items)]:
        quantity = quantity + figure.quantity
    if definition.per is not None:
        quantity = quantity / figures[-1].quantity
    quantity = quantity.in_percent() if definition.percent else quantity
    facts = tuple(figure.fact_id for figure in figures)
    note = INDICATIVE if quantity.bound == "indicative" else {}
    return Account(province, window, definition, quantity, facts, note)


def accounts(published: PublishedFigures) -> tuple[Account, ...]:
    """Compute every measure for every province and window with a figure of the programme.

    Windows nested in another are left out: what they count is counted there.

    Returns
    -------
    tuple of Account : provinces and windows in the order of the table, measures in that of
        `MEASURES`; a measure of which nothing is printed has a note and no quantity
    """
    indicators = {indicator for measure in MEASURES.values() for indicator, _ in measure.items}
    places = {
        (figure.province, figure.window): None
        for figure in published.originals
        if figure.indicator in indicators and not figure.nested_in
    }
    return tuple(
        account(published, province, window, measure)
        for province, window in places
        for measure in MEASURES
    )


def account_table(entries: Iterable[Account]) -> pd.DataFrame:
    """Return accounts as a table, one row each, amounts as floats.

    Returns
    -------
    DataFrame : province, start, end, measure, value, unit, bound, low, high (the range that the
        printed digits allow), facts, note (English); NaN where an amount cannot be had
    """
    rows = []
    for entry in entries:
        quantity = entry.quantity
        low, high = quantity.span if quantity and quantity.span else (np.nan, np.nan)
        rows.append(
            {
                "province": entry.province,
                "start": entry.window.start,
                "end": entry.window.end,
                "measure": entry.measure.name,
                "value": np.nan if quantity is None else float(quantity),
                "unit": "" if quantity is None else quantity.unit,
                "bound": "" if quantity is None else quantity.bound,
                "low": float(low),
                "high": float(high),
                "facts": ", ".join(entry.facts),
                "note": entry.note.get("en", ""),
            }
        )
    return pd.DataFrame(rows).astype({"start": "Int64", "end": "Int64"})


def _not_printed(province: str, window: Window, items: Iterable[Item]) -> Words:
    """Name the figures that are not printed, in each language."""
    labels = {m.items: m.label for m in MEASURES.values() if m.per is None}
    missing = {code: "; ".join(labels[(item,)][code] for item in items) for code in INDICATIVE}
    return {
        "en": f"Not printed for {province}, {window}: {missing['en']}.",
        "vi": f"Không công bố cho {province}, {window}: {missing['vi']}.",
    }
