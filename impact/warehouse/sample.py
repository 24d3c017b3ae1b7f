"""The rows of a table that answer a design's question, known by counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, plural
from impact.warehouse.checks import (
    MOST_GROUPS,
    check_cohorts,
    check_keys,
    check_values,
    refuse_duplicates,
    refuse_patterns,
)
from impact.warehouse.engine import Engine
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
from impact.warehouse.rows import Roles, lay_rows

__all__ = ["TableSample", "draw_sample"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


_COUNTED = 10
"""Numbers about a unit that are needed to count units by cohort and presence."""


@dataclass(frozen=True, eq=False, repr=False)
class TableSample(TablePanel):
    """The rows used, and the units by cohort and by the periods in which they are observed.

    Attributes
    ----------
    source : the whole table
    rows : Ibis expression of the rows used, see `impact.warehouse.rows.lay_rows`
    roles : what the columns are to the design
    dropped : rows left out, counted by cause
    groups : one row for each cohort and pattern of presence: cohort, units, weight (sum over
        units), stopped, crosses (clusters) and uneven (weights)
    presence : array, shape (P, T), which periods each group's units are observed in
    when : periods of the sample, shape (T,)
    means : mean outcome by period, shape (T,), of all rows alike
    extremes : lowest and highest outcome, shape (2,)
    ends : lowest and highest name of a unit, where names are whole numbers
    """

    source: TablePanel = field(kw_only=True)
    rows: Any = field(kw_only=True)
    roles: Roles = field(kw_only=True)
    dropped: dict[str, int] = field(kw_only=True)
    groups: pd.DataFrame = field(kw_only=True)
    presence: Booleans = field(kw_only=True)
    when: Integers = field(kw_only=True)
    means: Floats = field(kw_only=True)
    extremes: Floats = field(kw_only=True)
    ends: tuple[int, int] | None = field(kw_only=True)

    @property
    def engine(self) -> Engine:
        """What runs the queries, shared with the whole table."""
        return self.source.engine

    @property
    def n_rows(self) -> int:
        """Rows used."""
        return int((self._units[:, None] * self.presence).sum())

    @property
    def n_units(self) -> int:
        """Units used."""
        return int(self._units.sum())

    @property
    def n_periods(self) -> int:
        """Periods in which any row is used."""
        return len(self.when)

    @property
    def periods(self) -> Integers:
        """Periods of the sample, shape (T,)."""
        return self.when

    @property
    def is_balanced(self) -> bool:
        """Whether every unit is observed in every period."""
        return bool(self.presence.all())

    @property
    def _units(self) -> Integers:
        return self.groups["units"].to_numpy(dtype=np.int64)

    @property
    def _cohorts(self) -> Floats:
        return self.groups["cohort"].to_numpy(dtype=np.float64)

    @cached_property
    def cohort_values(self) -> Floats:
        """Distinct cohorts in order, shape (C,)."""
        cohorts = self._cohorts
        return np.unique(cohorts[~np.isnan(cohorts)])

    @cached_property
    def codes(self) -> Integers:
        """Position of each group's cohort, C for the never treated, shape (P,)."""
        found = np.searchsorted(self.cohort_values, self._cohorts)
        return np.where(np.isnan(self._cohorts), len(self.cohort_values), found).astype(np.int64)

    @cached_property
    def cohort_units(self) -> Integers:
        """Units by cohort, the never treated last, shape (C + 1,)."""
        sums = np.bincount(self.codes, self._units, len(self.cohort_values) + 1)
        return sums.astype(np.int64)

    @property
    def weight_scale(self) -> float:
        """What a weight is multiplied by so that units have mean one."""
        return self.n_units / float(self.groups["weight"].sum())

    @property
    def cohort_sizes(self) -> Floats:
        """Units by cohort, or their weights, the never treated last, shape (C + 1,)."""
        own = self.groups["weight"].to_numpy(dtype=np.float64) * self.weight_scale
        return np.asarray(np.bincount(self.codes, own, len(self.cohort_values) + 1), np.float64)

    def by_cell(self, *, weighted: bool) -> Floats:
        """Count units, or sum their weights, by cohort and period, shape (C + 1, T)."""
        own = self.groups["weight"].to_numpy() * self.weight_scale if weighted else self._units
        sums = np.zeros((len(self.cohort_values) + 1, self.n_periods))
        np.add.at(sums, self.codes, own[:, None] * self.presence)
        return sums

    @property
    def never_observed_untreated(self) -> Booleans:
        """Groups treated, or in anticipation of it, whenever they are observed, shape (P,)."""
        first = self.when[np.argmax(self.presence, axis=1)]
        return np.asarray(self._cohorts - self.roles.anticipation <= first)

    @cached_property
    def always_treated_units(self) -> pd.Index:
        """Units treated whenever they are observed."""
        if not self.never_observed_untreated.any():
            return pd.Index([])
        units = self.rows.group_by("unit").aggregate(
            cohort=lambda t: t.cohort.max(), first=lambda t: t.time.min()
        )
        early = units.filter(units.cohort - self.roles.anticipation <= units["first"])
        return self._names("units treated whenever observed", early)

    @cached_property
    def reversing_units(self) -> pd.Index:
        """Units whose treatment, once begun, is seen to stop."""
        if not self.groups["stopped"].any():
            return pd.Index([])
        units = self.rows.group_by("unit").aggregate(
            cohort=lambda t: t.cohort.max(), last=lambda t: t.last_off.max()
        )
        stopped = units.filter(units["last"] > units.cohort)
        return self._names("units whose treatment stops", stopped)

    def _names(self, what: str, units: Any) -> pd.Index:
        found = self.engine.run(what, units.select("unit").order_by("unit"))
        units_found: pd.Index = pd.Index(found["unit"])
        return units_found

    @property
    def units_cross_clusters(self) -> bool:
        """Whether some unit changes cluster."""
        return bool(self.groups["crosses"].any())

    def add_up(
        self, purpose: str, ask: Callable[[Any], Any], keys: Sequence[str], sums: int
    ) -> pd.DataFrame:
        """Add up over the rows of all units, part by part where memory asks for it.

        Parameters
        ----------
        ask : makes of rows the query by ``keys``, of sums that add up over units
        sums : how many numbers it holds for each unit on the way
        """
        panels = divide(self.source, self.n_units, sums, self.ends)
        parts = (
            [self.rows] if len(panels) == 1 else [_used(lay_rows(p, self.roles)) for p in panels]
        )
        return add_up(self.source, purpose, parts, ask, keys)

    def require_unit_values(self) -> None:
        """Refuse clusters and weights that change within a unit."""
        for flag, name in (("crosses", self.roles.cluster), ("uneven", self.roles.weights)):
            wrong = self.groups[self.groups[flag]]
            if len(wrong):
                raise TableError(
                    f'column "{name}" changes within {plural(int(wrong["units"].sum()), "unit")}, '
                    f"first {self.unit} {wrong['example'].iloc[0]}; here it must say one thing a "
                    "unit. Use its value in a base period."
                )

    @cached_property
    def cluster_counts(self) -> tuple[int, int]:
        """Clusters, and clusters with a unit that is ever treated."""
        if self.roles.cluster is None:
            return self.n_units, int(self.cohort_units[:-1].sum())
        clusters = self.rows.group_by("cluster").aggregate(treated=lambda t: t.cohort.count())
        found = self.engine.run(
            "how many clusters",
            clusters.aggregate(
                n=clusters.count(), treated=clusters.count(where=clusters.treated > 0)
            ),
        )
        return int(found["n"][0]), int(found["treated"][0])

    @cached_property
    def widest_change(self) -> float:
        """Most by which units' changes between the same two periods in a row differ."""
        rows = self.rows
        before = {"group_by": rows.unit, "order_by": rows.time}
        moves = rows.select(
            "time",
            since=rows.time.lag().over(**before),
            change=rows.outcome - rows.outcome.lag().over(**before),
        )
        spans = moves.group_by(["time", "since"]).aggregate(
            gap=moves.change.max() - moves.change.min()
        )
        found = self.engine.run("range of changes", spans.aggregate(widest=spans.gap.max()))
        return float(np.nan_to_num(found["widest"].to_numpy(dtype=np.float64))[0])

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
        return pattern_means(self)

    def complete(self) -> TablePanel:
        """Return the table of the units observed in every period."""
        units = self.rows.group_by("unit").aggregate(seen=lambda t: t.count())
        whole = units.filter(units.seen == self.n_periods)
        kept = self.frame.semi_join(whole, self.frame[self.unit] == whole.unit)
        kept = kept.filter(kept[self.time].isin(self.when.tolist()))
        return TablePanel(kept, unit=self.unit, time=self.time, log=self.source.log)


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
        rows=_used(rows),
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


def _used(rows: Any) -> Any:
    return rows.filter(rows.cause == 0)


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
