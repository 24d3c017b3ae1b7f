"""How much promotion a village, district or province had: projects and money by year."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import LedgerError, check_choice, listing, plural
from impact.ledger.book import Ledger
from impact.ledger.rules import ONSETS, UNITS
from impact.prices import PriceIndex, consumer_prices

__all__ = ["exposure"]

Place = Literal["commune", "village", "district", "province_code"]
Onset = Literal["approval", "contract", "first_disbursement", "acceptance"]


def exposure(
    ledger: Ledger,
    *,
    by: Place,
    places: Sequence[str],
    years: Sequence[int],
    onset: Onset = "first_disbursement",
    price_base: int,
    per: Mapping[str, float] | None = None,
    accept: Iterable[str] = (),
    index: PriceIndex | None = None,
) -> pd.DataFrame:
    """Sum projects and money over the places where they were.

    Parameters
    ----------
    ledger : a ledger without errors, or with errors accepted by rule
    by : column of the ledger that names the place; paid projects without a village lie outside
        all of them, without another place they are refused
    places : all places that could have had projects; those without any get zeros
    years : years of the table
    onset : date whose year a project counts in
    price_base : year of the real amounts' consumer prices
    per : workers, establishments or heads of each place in a base year, so that the denominator
        does not move with the outcome
    accept : rules of findings that may stand
    index : price index; consumer prices if None

    Returns
    -------
    DataFrame : one row a place and year: projects, support (dong of the year, net of refunds),
        support_real_<base>, support_stock_real_<base> (its sum to date, earlier years included)
        and, with ``per``, support_stock_real_<base>_per

    Raises
    ------
    LedgerError : unaccepted errors, places whose names or codes are not distinct, a place of the
        ledger that is not in ``places``, paid projects without place or date, a place without
        denominator
    """
    ledger.require_sound(accept)
    check_choice("by", by, UNITS[1:], LedgerError)
    check_choice("onset", onset, ONSETS, LedgerError)
    ledger.require_distinct_places(by)
    ledger.require_placed(by)
    paid = _paid_projects(ledger, by, ONSETS[onset])
    if not len(years):
        raise LedgerError("years is empty; name the years of the table, such as range(2015, 2025).")
    _check_places(paid, by, places, per)
    paid = paid[paid["year"] <= max(years)]
    real = (index or consumer_prices()).real(paid["money"], paid["year"], price_base)
    amounts = paid.assign(real=real, projects=1)
    grouped = amounts.groupby([by, "year"])[["projects", "money", "real"]].sum()
    first = min([*years, *amounts["year"]])
    grid = pd.MultiIndex.from_product([places, range(first, max(years) + 1)], names=[by, "year"])
    filled = grouped.reindex(grid).fillna(0.0)
    stock = filled["real"].groupby(level=by, sort=False).cumsum()
    table = pd.DataFrame(
        {
            "projects": filled["projects"].astype("int64"),
            "support": filled["money"],
            f"support_real_{price_base}": filled["real"],
            f"support_stock_real_{price_base}": stock,
        }
    ).reset_index()
    if per is not None:
        table[f"support_stock_real_{price_base}_per"] = stock.to_numpy() / table[by].map(
            dict(per)
        ).to_numpy(dtype=np.float64)
    return table[table["year"].isin(list(years))].reset_index(drop=True)


def _paid_projects(ledger: Ledger, by: str, date: str) -> pd.DataFrame:
    frame = ledger.projects
    money = frame["disbursed_support"].fillna(0) - frame["returned_amount"].fillna(0)
    paid = frame[(money != 0).astype(bool)]
    paid = paid.dropna(subset=[by])
    undated = paid.index[paid[date].isna()]
    if len(undated):
        raise LedgerError(
            f"{plural(len(undated), 'paid project')} without {date}, first in rows "
            f"{listing(undated)}; their money would be missing from the sums. Fill the cells."
        )
    return pd.DataFrame(
        {
            by: paid[by],
            "year": paid[date].dt.year.astype("int64"),
            "money": money[paid.index].astype("float64"),
        }
    )


def _check_places(
    paid: pd.DataFrame, by: str, places: Sequence[str], per: Mapping[str, float] | None
) -> None:
    twice = sorted({place for place in places if list(places).count(place) > 1})
    if twice:
        raise LedgerError(f"places names {listing(twice)} more than once. Name each place once.")
    strangers = sorted(set(paid[by]) - set(places))
    if strangers:
        raise LedgerError(
            f'{plural(len(strangers), "place")} of the ledger\'s "{by}" '
            f"{'is' if len(strangers) == 1 else 'are'} not among the places given, first "
            f"{listing(strangers)}; their money would be lost. Add them, or mend their spelling."
        )
    without = [place for place in places if per is not None and not per.get(place, 0) > 0]
    if without:
        raise LedgerError(
            f"{listing(without)} {'has' if len(without) == 1 else 'have'} no positive denominator; "
            "support per worker or head would be infinite. Give one for every place."
        )
