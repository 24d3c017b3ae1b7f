"""The units of an evaluation's data, and those that each outcome loses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.evaluation import Evaluation
from impact.panel import Panel
from impact.report.effects import plan_panel
from impact.report.suppression import is_small
from impact.warehouse import Query, TablePanel, lost_units, units_of

if TYPE_CHECKING:
    import pandas as pd

    from impact.design import Design

__all__ = [
    "LostUnits",
    "Population",
    "count_lost",
    "design_counts",
    "population_of",
    "sample_counts",
]

Floats = NDArray[np.float64]
Counts: TypeAlias = tuple[dict[str, int], list[tuple[str, list[str]]]]

LINES = 400
"""Lines of a figure in which the units of a table are drawn."""


@dataclass(frozen=True, eq=False)
class Population:
    """All units of the data, whatever is observed of them.

    Parameters
    ----------
    periods : shape (T,)
    cohorts : first treated period of each unit, shape (N,); NaN if never treated
    present : whether the data have a row of the unit in the period, shape (N, T)
    alike : how many units each line stands for, shape (N,), where the data stay in their table;
        None where each is one unit
    queries : that were run to count the units of a table
    """

    periods: NDArray[np.int64]
    cohorts: Floats
    present: NDArray[np.bool_]
    alike: NDArray[np.int64] | None = None
    queries: tuple[Query, ...] = ()

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return np.ones(len(self.cohorts), dtype=np.int64) if self.alike is None else self.alike

    @property
    def n_units(self) -> int:
        """Units in the data."""
        return int(self._counts.sum())

    @property
    def n_treated(self) -> int:
        """Units ever treated."""
        return int(self._counts[~np.isnan(self.cohorts)].sum())

    @property
    def waves(self) -> dict[int, int]:
        """Number of units by first treated period."""
        values = np.unique(self.cohorts[~np.isnan(self.cohorts)])
        return {int(value): int(self._counts[self.cohorts == value].sum()) for value in values}

    def without_small(self, smallest: int) -> Population:
        """Return the population without waves, or untreated units, few enough to tell."""
        waves = self.waves | {None: self.n_units - self.n_treated}
        small = [wave for wave, count in waves.items() if is_small(count, smallest)]
        left_out = np.isin(self.cohorts, [w for w in small if w is not None])
        left_out |= np.isnan(self.cohorts) & (None in small)
        alike = None if self.alike is None else self.alike[~left_out]
        return Population(self.periods, self.cohorts[~left_out], self.present[~left_out], alike)

    @property
    def treatment(self) -> Floats:
        """Treatment indicator, shape (N, T), one line a unit; NaN where the data have no row.

        Of a table, `LINES` lines in proportion to the units that are alike.
        """
        on = (self.periods >= self.cohorts[:, None]).astype(np.float64)
        lines = np.where(self.present, on, np.nan)
        if self.alike is None:
            return lines
        ends = np.round(np.cumsum(self.alike) * (LINES / max(self.alike.sum(), 1)))
        return np.repeat(lines, np.diff(ends.astype(np.int64), prepend=0), axis=0)


@dataclass(frozen=True)
class LostUnits:
    """Units of the data that do not carry an outcome's estimate, by cause.

    Parameters
    ----------
    unreported_treated, unreported_untreated : the outcome is missing in every period
    only_after : the outcome is seen only after treatment began; dropped as the plan says
    other : a covariate, weight or cluster is missing
    once : used, but the outcome is seen in one period only, so no change is known
    """

    unreported_treated: int
    unreported_untreated: int
    only_after: int
    other: int
    once: int

    @property
    def unreported(self) -> int:
        """Units whose outcome is missing in every period."""
        return self.unreported_treated + self.unreported_untreated


def population_of(plan: Evaluation, frame: pd.DataFrame | Any) -> Population:
    """Return who is in the plan's data and when each was first treated."""
    panel, cohort = plan_panel(plan, frame), plan.design["cohort"]
    never = plan.design.get("never_treated")
    if isinstance(panel, TablePanel):
        found = units_of(panel, cohort, never)
        queries = tuple(panel.engine.queries)
        return Population(found.periods, found.cohorts, found.presence, found.units, queries)
    cohorts = _cohorts_of(panel, cohort, never)
    present = np.zeros((panel.n_units, panel.n_periods), dtype=bool)
    present[panel.unit_codes, panel.time_codes] = True
    return Population(panel.periods, cohorts, present)


def count_lost(design: Design) -> LostUnits:
    """Count the units of the panel that an outcome's design leaves out, by cause."""
    panel = design.panel
    if design.table is not None:
        return LostUnits(**lost_units(design.table))
    seen = (~np.isnan(panel.matrix(design.outcome))).sum(axis=1)
    cohorts = _cohorts_of(panel, str(design.cohort), design.never_treated)
    treated, used = ~np.isnan(cohorts), np.isin(panel.units, design.sample.units)
    left = ~used & (seen > 0)
    first = _first_seen(panel.matrix(design.outcome), panel.periods)
    late = left & treated & (first >= cohorts - design.anticipation)
    return LostUnits(
        unreported_treated=int(np.count_nonzero((seen == 0) & treated)),
        unreported_untreated=int(np.count_nonzero((seen == 0) & ~treated)),
        only_after=int(np.count_nonzero(late)),
        other=int(np.count_nonzero(left & ~late)),
        once=int(np.count_nonzero(used & (seen == 1))),
    )


def design_counts(population: Population) -> Counts:
    """Return the counts of units in the data, and the sums among them, as a record names them."""
    treated, waves = population.n_treated, population.waves
    counts = {
        "units": population.n_units,
        "treated": treated,
        "never": population.n_units - treated,
    }
    counts |= {f"wave_{cohort}": count for cohort, count in waves.items()}
    return {f"design.{name}": count for name, count in counts.items()}, [
        ("design.units", ["design.treated", "design.never"]),
        ("design.treated", [f"design.wave_{cohort}" for cohort in waves]),
    ]


def sample_counts(name: str, design: Design) -> Counts:
    """Return the counts of units that carry an outcome or are lost to it, and their sums."""
    lost = count_lost(design)
    counts = {"units": design.facts.n_units, "treated": design.facts.n_treated_units}
    losses = {
        "unreported": lost.unreported,
        "only_after": lost.only_after,
        "left_out": lost.other,
        "once": lost.once,
    }
    arms = {
        "unreported_treated": lost.unreported_treated,
        "unreported_untreated": lost.unreported_untreated,
    }
    kept = {cause: count for cause, count in losses.items() if count}
    counts |= kept | (arms if lost.unreported else {})
    sums = [("design.units", [f"{name}.{part}" for part in ("units", *kept) if part != "once"])]
    if lost.unreported:
        sums.append((f"{name}.unreported", [f"{name}.{arm}" for arm in arms]))
    return {f"{name}.{id}": count for id, count in counts.items()}, sums


def _cohorts_of(panel: Panel, column: str, never_treated: float | None) -> Floats:
    """Return each unit's first treated period, NaN if never treated."""
    cohorts: Floats = panel.unit_values(column).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(cohorts == never_treated, np.nan, cohorts)


def _first_seen(outcomes: Floats, periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first period in which each unit's outcome is seen, the first of all if never."""
    first: NDArray[np.int64] = periods[np.argmax(~np.isnan(outcomes), axis=1)]
    return first
