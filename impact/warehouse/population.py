"""Who is in a table, and who a design leaves out: counts of units, never the units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import PanelError, listing, plural
from impact.warehouse.checks import MOST_GROUPS, refuse_patterns
from impact.warehouse.engine import Engine
from impact.warehouse.panel import TablePanel
from impact.warehouse.presence import add_presence, read_presence
from impact.warehouse.rows import lay_rows
from impact.warehouse.sample import TableSample

__all__ = ["TableUnits", "lost_units", "units_by_value", "units_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TableUnits:
    """Units of a table by cohort and by the periods of their rows: P groups.

    Attributes
    ----------
    periods : array, shape (T,)
    cohorts : array, shape (P,), first treated period; NaN if never treated
    presence : array, shape (P, T)
    units : array, shape (P,), how many
    """

    periods: Integers
    cohorts: Floats
    presence: Booleans
    units: Integers


def units_of(panel: TablePanel, cohort: str, never_treated: float | None = None) -> TableUnits:
    """Count the units of a table by cohort and presence, in two queries.

    Raises
    ------
    PanelError : the cohort changes within a unit
    TableError : more groups than can be brought into memory
    """
    periods = np.array(panel.distinct(panel.time), dtype=np.int64)
    column = panel.number(cohort, "cohort")
    if never_treated is not None:
        column = column.nullif(float(never_treated))
    rows = panel.frame.select(
        unit=panel.label(panel.unit), time=panel.frame[panel.time].cast("int64"), cohort=column
    )
    words = add_presence(rows.time, periods)
    units = rows.group_by("unit").aggregate(
        cohort=rows.cohort.min(), top=rows.cohort.max(), **words
    )
    keys = ["cohort", *words]
    changed = (units.cohort != units.top).fill_null(False)
    counted = units.group_by(keys).aggregate(
        units=units.count(),
        changed=units.count(where=changed),
        example=units.unit.min(where=changed),
    )
    found = panel.engine.run("units of the data", counted.order_by(keys).limit(MOST_GROUPS + 1))
    if len(found) > MOST_GROUPS:
        refuse_patterns()
    moved = found[found["changed"] > 0]
    if len(moved):
        raise PanelError(
            f'column "{cohort}" changes within {plural(int(moved["changed"].sum()), "unit")}, '
            f"first {panel.unit} {listing(moved['example'])}; it must say one thing a unit."
        )
    return TableUnits(
        periods,
        found["cohort"].to_numpy(dtype=np.float64, na_value=np.nan),
        read_presence(found, len(periods)),
        found["units"].to_numpy(dtype=np.int64),
    )


def lost_units(sample: TableSample) -> dict[str, int]:
    """Count the units that a design leaves out, by cause, in one query.

    Returns
    -------
    dict : "unreported_treated" and "unreported_untreated" (the outcome is never observed),
        "only_after" (first observed when treated), "other", and "once" (used, in one period)
    """
    rows = lay_rows(sample.source, sample.roles)
    used, reported = rows.cause == 0, rows.outcome.notnull()
    units = rows.group_by("unit").aggregate(
        cohort=rows.cohort.min(),
        reports=rows.outcome.count(),
        first=rows.time.min(where=reported),
        rows_used=rows.count(where=used),
    )
    treated, seen, kept = units.cohort.notnull(), units.reports > 0, units.rows_used > 0
    begun = units["first"] >= units.cohort - sample.roles.anticipation
    late = ~kept & seen & begun.fill_null(False)
    conditions = {
        "unreported_treated": ~seen & treated,
        "unreported_untreated": ~seen & ~treated,
        "only_after": late,
        "other": ~kept & seen & ~late,
        "once": kept & (units.reports == 1),
    }
    counts = {name: units.count(where=condition) for name, condition in conditions.items()}
    found = sample.engine.run("units left out", units.aggregate(**counts))
    return {name: int(found[name][0]) for name in conditions}


def units_by_value(table: Any, column: str, unit: str | None) -> pd.Series:
    """Count the units, or the rows where no unit is named, of each value of a table's column."""
    counted = table.count() if unit is None else table[unit].nunique()
    values = table.filter(table[column].notnull()).group_by(column).aggregate(units=counted)
    found = Engine(table.get_backend()).run(f'units by "{column}"', values.order_by(column))
    units: pd.Series = found.set_index(column)["units"].astype("int64")
    return units
