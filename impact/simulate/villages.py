"""Craft villages by year: sums of their establishments, recognised at different times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import DesignError, check_choice, plural
from impact.simulate.population import VILLAGE_WORKERS_2021
from impact.simulate.programme import simulate_programme
from impact.simulate.settings import ProgrammeSettings, changed
from impact.simulate.shocks import Array, autoregressive

__all__ = ["SimulatedVillages", "simulate_villages"]

PROFILE = np.array([0.02, 0.05, 0.07, 0.07])
LATER_DECAY = 0.9
REVENUE_FACTOR = 1.6
VILLAGE_REVENUE_2021 = 7.3e6
FIRST_RECOGNITION, LAST_RECOGNITION = 4, -4
LEAST_YEARS = 9
SIZE_SD = 0.4
REPORTING_SD = 0.15
CARRIED_SHARE = 0.20


@dataclass(frozen=True, repr=False)
class SimulatedVillages:
    """Hold simulated craft villages beside the truth.

    Attributes
    ----------
    frame : one row a village and year: village, district, year, cohort (year of recognition, NaN
        if never), establishments, workers, revenue (million VND of the year), untreated_workers
        and untreated_revenue (had no village been recognised), reported_workers and
        reported_revenue (as villages file them: rounded, misjudged, carried forward)
    """

    frame: pd.DataFrame

    def __repr__(self) -> str:
        cohorts = self.frame.groupby("village")["cohort"].first()
        return (
            f"SimulatedVillages(simulated, not observed: {len(cohorts)} villages, "
            f"{int(cohorts.notna().sum())} of them recognised)"
        )

    def att(self, outcome: Literal["workers", "revenue"] = "workers") -> float:
        """Return the true mean effect of recognition on a logarithm, treated years only."""
        return float(self._effects(outcome).mean())

    def event_study(self, outcome: Literal["workers", "revenue"] = "workers") -> pd.Series:
        """Return the true mean effect by years since recognition."""
        since = (self.frame["year"] - self.frame["cohort"]).rename("event_time")
        return self._effects(outcome).groupby(since).mean()

    def _effects(self, outcome: str) -> pd.Series:
        treated = self.frame[self.frame["year"] >= self.frame["cohort"]]
        ratio = treated[outcome] / treated[f"untreated_{outcome}"]
        return pd.Series(np.log(ratio), index=ratio.index)


def simulate_villages(
    seed: int,
    settings: ProgrammeSettings | None = None,
    *,
    recognised: int = 36,
    selection: Literal["none", "levels"] = "levels",
    effect_scale: float = 1.0,
    noise: float = 0.03,
    **changes: object,
) -> SimulatedVillages:
    """Simulate the 60 craft villages of a province, some of which are recognised.

    ln y_vt = ln(sum of establishments) + size_v + e_vt + tau(t - g_v), with e a first-order
    autoregression (0.6) and tau on workers 0.02, 0.05, 0.07, 0.07, then a tenth less a year; on
    revenue 1.6 times as much

    Parameters
    ----------
    seed : of numpy's default generator
    settings, changes : of the establishments and their programme, see ``ProgrammeSettings``
    recognised : villages recognised between the fifth year and the last but three
    selection : "levels" recognises villages of large permanent size, "none" any
    effect_scale : factor of the effects of recognition
    noise : standard deviation of a village's own shocks

    Notes
    -----
    Scaled so that the villages together have the published 45,000 workers and 7.3 trillion VND of
    output in 2021; simulated all the same. Each report errs by 15 per cent, is rounded to two
    digits and repeats last year's figure in one case of five.
    """
    check_choice("selection", selection, ("none", "levels"))
    chosen = changed(settings, changes)
    if len(chosen.years) < LEAST_YEARS:
        raise DesignError(
            f"villages are recognised from the fifth year to the last but three; "
            f"{plural(len(chosen.years), 'year')} leave none. Take at least {LEAST_YEARS}."
        )
    people = simulate_programme(seed, chosen).establishments
    inside = people[people["village"] >= 0]
    sums = inside.groupby(["village", "year"]).agg(
        district=("district", "first"),
        establishments=("establishment", "size"),
        workers=("workers", "sum"),
        revenue=("revenue", "sum"),
    )
    rng = np.random.default_rng([seed, 2])
    shape = (sums.index.get_level_values("village").nunique(), len(chosen.years))
    if len(sums) != shape[0] * shape[1]:
        raise DesignError(
            f"{chosen.n_establishments:,} establishments leave some of the villages without any in "
            "some years. Raise n_establishments."
        )
    if not 0 < recognised < shape[0]:
        raise DesignError(
            f"recognised counts villages of {shape[0]}, some of which must be left to compare "
            f"with; it was {recognised}."
        )
    size = SIZE_SD * rng.standard_normal(shape[0])
    merit = rng.gumbel(size=shape[0]) + (3 * size if selection == "levels" else 0)
    cohort = np.full(shape[0], np.nan)
    winners = np.argsort(-merit, kind="stable")[:recognised]
    cohort[winners] = rng.choice(chosen.years[FIRST_RECOGNITION:LAST_RECOGNITION], recognised)
    effect = effect_scale * _effects(chosen.years - cohort[:, None])
    at = int(np.flatnonzero(chosen.years <= 2021)[-1])
    frame = sums.reset_index().assign(cohort=np.repeat(cohort, shape[1]))
    for name, total, factor in (
        ("workers", VILLAGE_WORKERS_2021, 1.0),
        ("revenue", VILLAGE_REVENUE_2021, REVENUE_FACTOR),
    ):
        shocks = autoregressive(rng, shape, correlation=0.6, sd=noise)
        untreated = sums[name].to_numpy().reshape(shape) * np.exp(size[:, None] + shocks)
        seen = untreated * np.exp(factor * effect)
        scale = total / seen[:, at].sum()
        frame[name] = (scale * seen).ravel()
        frame[f"untreated_{name}"] = (scale * untreated).ravel()
        frame[f"reported_{name}"] = _report(rng, scale * seen).ravel()
    return SimulatedVillages(frame)


def _effects(event_time: Array) -> Array:
    """Return the effect on log workers by years since recognition; 0 before and for NaN."""
    since = np.nan_to_num(event_time, nan=-1.0).astype(np.int64)
    late = np.maximum(since - len(PROFILE) + 1, 0)
    profile = PROFILE[since.clip(0, len(PROFILE) - 1)] * LATER_DECAY**late
    return np.where(since >= 0, profile, 0.0)


def _report(rng: np.random.Generator, values: Array) -> Array:
    """Misjudge and round values, villages x years, and repeat some of the year before."""
    judged = values * np.exp(REPORTING_SD * rng.standard_normal(values.shape))
    digit = 10.0 ** (np.floor(np.log10(judged)) - 1)
    filed = np.round(judged / digit) * digit
    carried = rng.random(values.shape) < CARRIED_SHARE
    for year in range(1, values.shape[1]):
        filed[:, year] = np.where(carried[:, year], filed[:, year - 1], filed[:, year])
    return filed
