"""The units of an evaluation's data, and those that each outcome loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from impact.evaluation import Evaluation
from impact.report.effects import OutcomeEffect, plan_panel
from impact.report.suppression import is_small

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LostUnits", "Population", "count_lost", "population_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Population:
    """All units of the data, whatever is observed of them.

    Parameters
    ----------
    periods : shape (T,)
    cohorts : first treated period of each unit, shape (N,); NaN if never treated
    present : whether the data have a row of the unit in the period, shape (N, T)
    """

    periods: NDArray[np.int64]
    cohorts: Floats
    present: NDArray[np.bool_]

    @property
    def n_units(self) -> int:
        """Units in the data."""
        return len(self.cohorts)

    @property
    def n_treated(self) -> int:
        """Units ever treated."""
        return int(np.count_nonzero(~np.isnan(self.cohorts)))

    @property
    def waves(self) -> dict[int, int]:
        """Number of units by first treated period."""
        values, counts = np.unique(self.cohorts[~np.isnan(self.cohorts)], return_counts=True)
        return {int(value): int(count) for value, count in zip(values, counts, strict=True)}

    def without_small(self, smallest: int) -> Population:
        """Return the population without waves, or untreated units, few enough to tell."""
        waves = self.waves | {None: self.n_units - self.n_treated}
        small = [wave for wave, count in waves.items() if is_small(count, smallest)]
        left_out = np.isin(self.cohorts, [w for w in small if w is not None])
        left_out |= np.isnan(self.cohorts) & (None in small)
        return Population(self.periods, self.cohorts[~left_out], self.present[~left_out])

    @property
    def treatment(self) -> Floats:
        """Treatment indicator, shape (N, T); NaN where the data have no row."""
        on = (self.periods >= self.cohorts[:, None]).astype(np.float64)
        return np.where(self.present, on, np.nan)


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


def population_of(plan: Evaluation, frame: pd.DataFrame) -> Population:
    """Return who is in the plan's data and when each was first treated."""
    panel = plan_panel(plan, frame)
    cohorts = panel.unit_values(plan.design["cohort"]).to_numpy(dtype=np.float64, na_value=np.nan)
    present = np.zeros((panel.n_units, panel.n_periods), dtype=bool)
    present[panel.unit_codes, panel.time_codes] = True
    return Population(panel.periods, cohorts, present)


def count_lost(effect: OutcomeEffect) -> LostUnits:
    """Count the units of the panel that an outcome's design leaves out, by cause."""
    panel, design = effect.design.panel, effect.design
    seen = (~np.isnan(panel.matrix(design.outcome))).sum(axis=1)
    cohorts = panel.unit_values(str(design.cohort)).to_numpy(dtype=np.float64, na_value=np.nan)
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


def _first_seen(outcomes: Floats, periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first period in which each unit's outcome is seen, the first of all if never."""
    first: NDArray[np.int64] = periods[np.argmax(~np.isnan(outcomes), axis=1)]
    return first
