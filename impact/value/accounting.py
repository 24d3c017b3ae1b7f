"""The accounting beside the effects: gross gains, leverage, additionality, present values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from impact.errors import EstimationError, listing, near, plural

__all__ = [
    "additionality",
    "are_amounts",
    "before_after",
    "check_rate",
    "check_share",
    "leverage",
    "net_jobs",
    "present_value",
]


def before_after(
    frame: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    anticipation: int = 0,
) -> pd.DataFrame:
    """Return each treated unit's outcome before treatment and when last observed.

    This is what programmes count as gross gains, sum of after less before. It calls an effect
    whatever happened since, growth that would have come anyway included.

    Returns
    -------
    DataFrame : indexed by unit: before (the table's last period before anticipation), after (when
        last observed), change; units not observed before, or not after treatment, are left out
    """
    _require_columns(frame, [outcome, unit, time, cohort])
    periods = np.unique(frame[time])
    treated = frame[frame[cohort].notna() & frame[outcome].notna()]
    last = treated.sort_values(time, kind="stable").groupby(unit).tail(1).set_index(unit)
    before = np.searchsorted(periods, treated[cohort] - anticipation) - 1
    starts = before >= 0
    base = treated[starts][(treated[time] == periods[before])[starts]].set_index(unit)
    table = pd.DataFrame({"before": base[outcome], "after": last[outcome]})
    table = table[(last[time] >= last[cohort]).reindex(table.index, fill_value=False)].dropna()
    return table.assign(change=table["after"] - table["before"])


def leverage(
    projects: pd.DataFrame, by: Sequence[str] = ("content",), *, paid: str = "disbursed_support"
) -> pd.DataFrame:
    """Return counterpart per dong of support, by content and never pooled alone.

    Parameters
    ----------
    projects : ledger's projects
    by : columns to split by, "content" among them, since soft contents ask for no counterpart and
        dilute any pooled ratio
    paid : column of support

    Returns
    -------
    DataFrame : projects, support, counterpart, leverage, share of support; the last row, "all",
        is the pooled ratio

    Raises
    ------
    EstimationError : "content" is not among ``by``, or a column is missing

    Notes
    -----
    Leverage is accounting: co-financing is compulsory for many contents, so it says nothing about
    what would have been invested anyway.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    _require_columns(projects, [*by, paid, "counterpart"])
    if "content" not in by:
        raise EstimationError(
            f"leverage is not given pooled over contents, as by={list(by)} would: contents without "
            "co-financing dilute it, and two places with the same rules differ by their mix. Put "
            '"content" among by, for instance by=["content", "source"].'
        )
    known = projects.dropna(subset=[paid, "counterpart"])
    known = known[known[paid] > 0]
    groups = known.groupby(list(by), sort=True, dropna=False)
    table = groups[[paid, "counterpart"]].sum().astype(float)
    table.insert(0, "projects", groups.size())
    total = pd.DataFrame(
        [[len(known), float(known[paid].sum()), float(known["counterpart"].sum())]],
        columns=table.columns,
        index=pd.Index(["all"], name=by[0])
        if len(by) == 1
        else pd.MultiIndex.from_tuples([("all",) * len(by)], names=list(by)),
    )
    full = pd.concat([table, total]).rename(columns={paid: "support"})
    full["leverage"] = full["counterpart"] / full["support"]
    full["share"] = full["support"] / float(known[paid].sum())
    return full


def net_jobs(
    gross: float,
    *,
    deadweight: float,
    displacement: float,
    leakage: float = 0.0,
    multiplier: float = 1.0,
) -> float:
    """Return jobs net of what would have come anyway, went elsewhere or was lost by others.

    gross x (1 - deadweight) x (1 - displacement) x (1 - leakage) x multiplier

    Notes
    -----
    An appraisal's arithmetic from stated shares, for jobs counted before and after. An estimated
    effect on the treated is already free of deadweight: pass displacement to ``cost_per_unit``
    instead of chaining the two.

    Source
    ------
    English Partnerships (2008), Additionality Guide, third edition.
    """
    for name, share in (
        ("deadweight", deadweight),
        ("displacement", displacement),
        ("leakage", leakage),
    ):
        check_share(name, share)
    return gross * (1 - deadweight) * (1 - displacement) * (1 - leakage) * multiplier


def additionality(with_support: float, without: float, support: float) -> dict[str, float]:
    """Return additionality and deadweight of investment.

    additionality = (I_1 - I_0) / support; deadweight = I_0 / I_1

    Parameters
    ----------
    with_support, without : investment of the supported as it was, and as it would have been
    support : money they were given, in the same unit

    Notes
    -----
    What would have been invested is no figure of a ledger: it is an estimate, from comparable
    applicants who were turned down. Above one, support drew in more than itself.

    Source
    ------
    English Partnerships (2008), Additionality Guide, third edition.
    """
    if not are_amounts(support, with_support):
        raise EstimationError(
            f"investment with support and the support itself must be positive; they are "
            f"{with_support} and {support}."
        )
    return {
        "additionality": (with_support - without) / support,
        "deadweight": without / with_support,
    }


def present_value(flows: ArrayLike, years: ArrayLike, *, rate: float, base: int) -> float:
    """Return sum_t flow_t / (1 + rate)^(year_t - base).

    Raises
    ------
    EstimationError : a rate that is no share, flows and years of different number, or a flow or
        year that is missing

    Source
    ------
    HM Treasury (2022), The Green Book, on discounting.
    """
    check_rate(rate)
    amounts, when = _numbers("flow", flows), _numbers("year", years)
    if amounts.shape != when.shape:
        raise EstimationError(
            f"{plural(amounts.size, 'flow')} and {plural(when.size, 'year')} do not match; each "
            "flow needs its year."
        )
    return float(amounts @ (1.0 + rate) ** -(when - base))


def check_rate(rate: float) -> None:
    """Refuse a discount rate that turns later amounts infinite, or that is written in percent."""
    if not _is_number(rate) or not -1 < rate < 1:
        raise EstimationError(
            f"the discount rate must lie above -1 and below 1, such as 0.05 for 5 % a year; it was "
            f"{rate}."
        )


def are_amounts(*values: object) -> bool:
    """Tell whether all values are single finite numbers above zero."""
    return all(_is_number(value) and 0 < value < np.inf for value in values)


def _is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is one number, of Python or numpy."""
    return isinstance(value, (int, float, np.integer, np.floating))


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers, shape (n,), none of them missing."""
    found = pd.to_numeric(pd.Series(np.ravel(values)), errors="coerce").to_numpy(dtype=float)
    lost = np.flatnonzero(~np.isfinite(found))
    if len(lost):
        raise EstimationError(
            f"{plural(len(lost), name)} of {len(found):,} missing, infinite or no number, first at "
            f"position {listing(lost)} (counting from 0), so the sum is not known. Fill in what is "
            "missing, 0 where nothing was paid."
        )
    return found


def _require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise EstimationError(
            f"the table has no column {listing(missing)}. {near(missing[0], frame.columns)}It has: "
            f"{listing(frame.columns, 12)}."
        )


def check_share(name: str, share: float) -> None:
    """Refuse what is no share."""
    if not 0 <= share < 1:
        raise EstimationError(f"{name} is a share of at least 0 and below 1; it was {share:g}.")
