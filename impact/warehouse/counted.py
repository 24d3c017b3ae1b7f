"""The rows of a table that are used, and what counts by cohort and presence say of their units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, plural
from impact.warehouse.engine import Engine
from impact.warehouse.panel import TablePanel
from impact.warehouse.parts import add_up, divide
from impact.warehouse.rows import Roles, lay_rows, used_rows

__all__ = ["CountedRows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class CountedRows(TablePanel):
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
            [self.rows]
            if len(panels) == 1
            else [used_rows(lay_rows(p, self.roles)) for p in panels]
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

    def complete(self) -> TablePanel:
        """Return the table of the units observed in every period."""
        units = self.rows.group_by("unit").aggregate(seen=lambda t: t.count())
        whole = units.filter(units.seen == self.n_periods)
        kept = self.frame.semi_join(whole, self.frame[self.unit] == whole.unit)
        kept = kept.filter(kept[self.time].isin(self.when.tolist()))
        return TablePanel(kept, unit=self.unit, time=self.time, log=self.source.log)
