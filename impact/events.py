"""Units with several events: one event a unit, with what that leaves out counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import PanelError, check_choice, listing, plural
from impact.panel import Panel

__all__ = ["SingleEvents", "single_events"]

Array = NDArray[Any]
Rule = Literal["first", "censored", "clean"]


@dataclass(frozen=True, eq=False)
class SingleEvents:
    """A frame in which each unit has one event at most, and what was done to get there.

    Attributes
    ----------
    frame : the rows kept, with columns ``event_unit`` (one event each), ``cohort`` (its period,
        NaN where there is none) and ``later_events`` (further events of the unit up to the row)
    n_events : events in the frame given
    n_used : events that remain as a cohort
    share_with_later : of the events used, the share followed by another of the same unit within
        ``after`` periods: mixed into the effect under "first", cut off under "censored", none
        under "clean"
    share_with_earlier : of the events used, the share preceded by another of the same unit,
        however long before: its effect may not have ended
    n_rows_dropped : rows left out
    rule, after : as given
    """

    frame: pd.DataFrame
    n_events: int
    n_used: int
    share_with_later: float
    share_with_earlier: float
    n_rows_dropped: int
    rule: Rule
    after: int

    def sentence(self) -> str:
        """Say in a line which events are used and how many had another inside the window."""
        fate = {
            "first": ", whose effect is mixed in",
            "censored": ", where their rows end",
            "clean": "",
        }[self.rule]
        earlier = (
            f"{self.share_with_earlier:.1%} preceded by another before the window; "
            if self.rule == "clean"
            else ""
        )
        return (
            f"{self.n_used:,} of {plural(self.n_events, 'event')} used ({self.rule}); "
            f"{self.share_with_later:.1%} followed by another within "
            f"{plural(self.after, 'period')}{fate}; {earlier}"
            f"{plural(self.n_rows_dropped, 'row')} left out."
        )


def single_events(
    frame: pd.DataFrame,
    *,
    unit: str,
    time: str,
    event: str,
    rule: Rule = "first",
    before: int = 2,
    after: int = 3,
) -> SingleEvents:
    """Reduce units with several events to one event each, by a stated rule.

    Parameters
    ----------
    frame : one row a unit and period
    event : column that is positive in periods in which an event happens to the unit
    rule : "first" takes the first event and keeps all rows, so that its effect includes that
        of later ones; "censored" takes the first and drops rows from the second on; "clean"
        takes every event without another of the unit in the ``before`` periods before it or
        the ``after`` periods after it, each with the rows of that window
    before, after : periods around an event; ``after`` also sets the window in which later
        events are counted, whatever the rule

    Raises
    ------
    PanelError : rows do not form a panel, the event column is missing or negative, nobody has
        an event, or no event is clean

    Notes
    -----
    Under "clean" one unit can stand for several events: cluster by the unit. Its rows outside
    the windows are dropped, and units without any event stay whole. Under "censored", units
    with quick repeats leave the sample early; that is selection if repeats follow outcomes.

    Example
    -------
    >>> sample = single_events(frame, unit="firm", time="year", event="project")  # doctest: +SKIP
    >>> Design(Panel(sample.frame, unit="event_unit", time="year"), outcome="jobs",
    ...        cohort="cohort", clusters="firm")                               # doctest: +SKIP
    """
    check_choice("rule", rule, ("first", "censored", "clean"), PanelError)
    panel = Panel(frame, unit=unit, time=time)
    amounts = panel.numeric(event)
    if np.isnan(amounts).any() or (amounts < 0).any():
        wrong = np.isnan(amounts) | (amounts < 0)
        units = panel.units[np.unique(panel.unit_codes[wrong])]
        raise PanelError(
            f'event column "{event}" is missing or negative in {plural(int(wrong.sum()), "row")}, '
            f"first {unit} {listing(units)}; whether an event happened there is unknown. Enter 0 "
            "where none did."
        )
    rows = frame if panel.order is None else frame.iloc[panel.order]
    table = pd.DataFrame(
        {
            "unit": panel.unit_codes,
            "time": panel.periods[panel.time_codes],
            "on": amounts > 0,
        }
    )
    events = table.loc[table["on"], ["unit", "time"]].reset_index(drop=True)
    if events.empty:
        raise PanelError(f'no row has a positive "{event}", so there is no event to study.')
    gaps = events.groupby("unit")["time"]
    events["since"] = events["time"] - gaps.shift(1)
    events["until"] = gaps.shift(-1) - events["time"]
    if rule == "clean":
        used = events[~(events["since"] <= before) & ~(events["until"] <= after)]
        if used.empty:
            raise PanelError(
                f"none of the {plural(len(events), 'event')} is without another of its {unit} "
                f"{before} periods before and {after} after. Narrow the window, or use "
                'rule="censored".'
            )
    else:
        used = events[events["since"].isna()]
    kept, cohort, label = _lay_out(table, used, panel, rule, before, after)
    past = table["on"].groupby(table["unit"]).cumsum().to_numpy()[kept]
    later = np.where(np.isnan(cohort), 0, past - _count_until(events, table, kept, cohort))
    result = rows.iloc[kept].assign(
        event_unit=label, cohort=cohort, later_events=np.maximum(later, 0)
    )
    return SingleEvents(
        frame=result.reset_index(drop=True),
        n_events=len(events),
        n_used=len(used),
        share_with_later=float((used["until"] <= after).mean()),
        share_with_earlier=float(used["since"].notna().mean()),
        n_rows_dropped=len(frame) - len(np.unique(kept)),
        rule=rule,
        after=after,
    )


def _lay_out(
    table: pd.DataFrame, used: pd.DataFrame, panel: Panel, rule: Rule, before: int, after: int
) -> tuple[Array, Array, Array]:
    """Return positions of rows kept, the cohort of each, and the label of its event unit."""
    never = ~table["unit"].isin(table.loc[table["on"], "unit"])
    first = used.set_index("unit")
    if rule != "clean":
        cohort = table["unit"].map(first["time"]).to_numpy(dtype=np.float64)
        second = cohort + table["unit"].map(first["until"]).to_numpy(dtype=np.float64)
        keep = np.ones(len(table), dtype=bool)
        if rule == "censored":
            keep = ~(table["time"].to_numpy() >= second)
        kept = np.flatnonzero(keep)
        names = np.asarray(panel.units, dtype=object)[table["unit"].to_numpy()[kept]]
        return kept, cohort[kept], names
    pairs = table.reset_index().merge(used.rename(columns={"time": "start"}), on="unit")
    distance = pairs["time"] - pairs["start"]
    pairs = pairs[(distance >= -before) & (distance <= after)]
    alone = np.flatnonzero(never)
    kept = np.concatenate((pairs["index"].to_numpy(), alone))
    cohort = np.concatenate(
        (pairs["start"].to_numpy(dtype=np.float64), np.full(len(alone), np.nan))
    )
    units = np.asarray(panel.units, dtype=object)
    labels = [f"{units[u]} ({s})" for u, s in zip(pairs["unit"], pairs["start"], strict=True)] + [
        str(units[u]) for u in table["unit"].to_numpy()[alone]
    ]
    return kept, cohort, np.array(labels, dtype=object)


def _count_until(events: pd.DataFrame, table: pd.DataFrame, kept: Array, cohort: Array) -> Array:
    """Count each row's unit's events up to and with its cohort's, shape (n kept,)."""
    order = events.assign(count=events.groupby("unit").cumcount() + 1)
    keys = pd.MultiIndex.from_arrays([order["unit"], order["time"].astype(np.float64)])
    counts = pd.Series(order["count"].to_numpy(), index=keys)
    wanted = pd.MultiIndex.from_arrays([table["unit"].to_numpy()[kept], cohort])
    return counts.reindex(wanted).fillna(0).to_numpy()
