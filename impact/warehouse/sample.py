"""The rows of a table that answer a design's question, known by counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.warehouse.checks import (
    MOST_GROUPS,
    check_cohorts,
    check_keys,
    check_values,
    refuse_duplicates,
    refuse_patterns,
)
from impact.warehouse.counted import CountedRows
from impact.warehouse.moments import (
    ClusterMeans,
    TableMoments,
    cluster_means,
    pattern_means,
    table_moments,
)
from impact.warehouse.panel import TablePanel
from impact.warehouse.parts import add_up, divide
from impact.warehouse.presence import add_presence, read_presence
from impact.warehouse.rows import Roles, lay_rows, used_rows

__all__ = ["TableSample", "draw_sample"]

Integers = NDArray[np.int64]


_COUNTED = 10
"""Numbers about a unit that are needed to count units by cohort and presence."""


@dataclass(frozen=True, eq=False, repr=False)
class TableSample(CountedRows):
    """The rows used, and the moments and mean paths that the engine adds up over them.

    Attributes are those of `impact.warehouse.counted.CountedRows`.
    """

    @cached_property
    def moments(self) -> TableMoments:
        """Sizes, mean paths and second moments by cohort, and by presence where there are gaps."""
        return table_moments(self)

    @cached_property
    def cluster_means(self) -> ClusterMeans:
        """Mean paths of each cluster's units, cohort by cohort."""
        return cluster_means(self)

    @cached_property
    def pattern_means(self) -> ClusterMeans:
        """Mean paths of each cluster's units, group by group of `moments`."""
        return pattern_means(self, self.moments)


def draw_sample(panel: TablePanel, roles: Roles) -> TableSample:
    """Check a table against a design's roles and count the units that answer its question.

    Raises
    ------
    PanelError : duplicates, missing keys, periods that are not whole, infinite values
    DesignError : wrong treatments, cohorts or weights, an outcome never observed
    TableError : a column is not there or does not aggregate, or the engine cannot answer
    """
    rows = lay_rows(panel, roles)
    whole_names = bool(panel.types[panel.unit].is_integer())
    counted = _count_rows(rows, roles, whole_names)
    found = panel.engine.run("rows by period and cohort", counted)
    check_keys(panel, rows, found)
    check_values(panel, roles, rows, found)
    times = found["time"].to_numpy(dtype=np.float64).astype(np.int64)
    kept = (found["cause"] == 0).to_numpy()
    when = np.unique(times[kept])
    ends = (int(found["low_unit"].min()), int(found["high_unit"].max())) if whole_names else None
    units = _count_units(panel, roles, found, when, ends)
    if units["repeats"].any():
        refuse_duplicates(panel, rows)
    check_cohorts(panel, roles, units, [int(times.min()), int(times.max())])
    presence = read_presence(units, len(when))
    seen = np.flatnonzero(presence.any(axis=1))
    lost = np.bincount(found["cause"], found["n"])[1:].astype(np.int64)
    total = np.bincount(np.searchsorted(when, times[kept]), found["total"][kept].astype(float))
    count = np.bincount(np.searchsorted(when, times[kept]), found["n"][kept].astype(float))
    return TableSample(
        panel.frame,
        unit=panel.unit,
        time=panel.time,
        source=panel,
        rows=used_rows(rows),
        roles=roles,
        dropped={c: int(n) for c, n in zip(roles.causes(), lost, strict=False) if n},
        groups=units.iloc[seen].reset_index(drop=True),
        presence=presence[seen],
        when=when,
        means=total / count,
        extremes=np.array(
            [found["low_outcome"][kept].min(), found["high_outcome"][kept].max()], float
        ),
        ends=ends,
    )


def _count_rows(rows: Any, roles: Roles, whole_names: bool) -> Any:
    """Count and sum rows by period, cohort and cause of being left out."""
    told = {
        "n": rows.count(),
        "n_unit": rows.unit.count(),
        "n_time": rows.time.count(),
        "total": rows.outcome.sum(),
    }
    columns = [c for c in rows.columns if c in ("outcome", "amount", "weight") or c[0] == "x"]
    columns += ["unit"] if whole_names else []
    for column in columns:
        told[f"low_{column}"] = rows[column].min()
        told[f"high_{column}"] = rows[column].max()
    if roles.amount:
        wrong = rows.amount < 0
        if roles.treated:
            wrong = (rows.amount != 0) & (rows.amount != 1)
        told["n_wrong_amount"] = wrong.sum().fill_null(0)
    if roles.weights:
        told["n_wrong_weight"] = (rows.weight <= 0).sum().fill_null(0)
    counted = rows.group_by(["time", "cohort", "cause"]).aggregate(**told)
    return counted.order_by(["time", "cohort", "cause"]).limit(MOST_GROUPS + 1)


def _count_units(
    panel: TablePanel,
    roles: Roles,
    counted: pd.DataFrame,
    when: Integers,
    ends: tuple[int, int] | None,
) -> pd.DataFrame:
    """Count units by cohort, presence and what is wrong with them."""
    whole = bool((counted["cause"] == 0).all())
    most = int(counted.groupby("time")["n"].sum().max())
    parts = [lay_rows(part, roles) for part in divide(panel, most, _COUNTED, ends)]
    keys = _unit_keys(parts[0], roles, when, whole)
    found = add_up(
        panel,
        "units by cohort and presence",
        parts,
        lambda rows: _units_of(rows, roles, when, whole, keys),
        keys,
    )
    if len(found) > MOST_GROUPS:
        refuse_patterns()
    for name in ("partly", "changes", "stopped", "crosses", "uneven"):
        found[name] = found[name].astype(bool) if name in found else False
    counts = read_presence(found, len(when)).sum(axis=1)
    found["repeats"] = (counts != found["n"]) if whole else found["again"] > 0
    return found


def _unit_keys(rows: Any, roles: Roles, when: Integers, whole: bool) -> list[str]:
    """Name what units are told apart by: presence, cohort and what may be wrong with them."""
    keys = [*add_presence(rows.time, when), "cohort", "n" if whole else "again"]
    keys += ["partly", "changes"] if roles.cohort else []
    keys += ["stopped"] if roles.amount else []
    keys += ["crosses"] if "cluster" in rows.columns else []
    return [*keys, *(["uneven"] if "weight" in rows.columns else [])]


def _units_of(rows: Any, roles: Roles, when: Integers, whole: bool, keys: list[str]) -> Any:
    """Return the query that counts the units of rows by their keys."""
    import ibis

    used = rows.cause == 0
    told = add_presence(rows.time, when, used)
    told |= {"n": rows.count(), "cohort": rows.cohort.min(), "top": rows.cohort.max()}
    told["filled"] = rows.cohort.count()
    for name in ("weight", "cluster"):
        if name in rows.columns:
            told[f"low_{name}"] = rows[name].min(where=used)
            told[f"high_{name}"] = rows[name].max(where=used)
    if not whole:
        told["n_times"] = rows.time.nunique()
    if roles.amount:
        told["last_off"] = rows.last_off.max()
    units = rows.group_by("unit").aggregate(**told)

    def flag(condition: Any) -> Any:
        return ibis.ifelse(condition.fill_null(False), 1, 0)

    told = {
        "again": lambda: flag(units.n > units.n_times),
        "partly": lambda: flag((units.filled > 0) & (units.filled < units.n)),
        "changes": lambda: flag(units.cohort != units.top),
        "stopped": lambda: flag(units.last_off > units.cohort),
        "crosses": lambda: flag(units.low_cluster != units.high_cluster),
        "uneven": lambda: flag(units.low_weight != units.high_weight),
    }
    values = {key: told[key]() if key in told else units[key] for key in keys}
    weight = units.low_weight if roles.weights else ibis.literal(1).cast("float64")
    flagged = units.select(**values, unit=units.unit, weight=weight)
    counted = flagged.group_by(keys).aggregate(
        units=flagged.count(), example=flagged.unit.min(), weight=flagged.weight.sum()
    )
    return counted.order_by(keys).limit(MOST_GROUPS + 1)
