"""Establishments of a province: who they are and how they would grow untreated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.simulate.settings import ProgrammeSettings
from impact.simulate.shocks import Array

__all__ = ["SIZE_CLASSES", "TRADES", "Population", "draw_log_workers", "draw_population"]

Integers = NDArray[np.int64]

N_DISTRICTS = 10
N_VILLAGES = 60
TRADES = (
    "wood", "textiles", "food", "metal", "bamboo", "ceramics", "plastics", "leather",
)  # fmt: skip
SIZE_CLASSES = ("micro", "small", "medium")
SIZE_SHARES = (0.93, 0.06, 0.01)
SIZE_LOG_MEANS = np.log([2.2, 18.0, 90.0])
SIZE_LOG_SDS = np.array([0.45, 0.45, 0.30])
EXIT_HAZARDS = np.array([0.08, 0.04, 0.02])
VILLAGE_SHARE = 0.70
VILLAGE_WORKERS_2021 = 45_000


@dataclass(frozen=True)
class Population:
    """Establishments: ``ids`` (slots x years) says who stands where; the rest is by id."""

    ids: Integers
    size_class: Integers
    size: Array
    trend: Array
    district: Integers
    village: Integers
    trade: Integers
    certified: NDArray[np.bool_]
    km: Array


def draw_population(rng: np.random.Generator, settings: ProgrammeSettings) -> Population:
    """Draw establishments; in each slot the one that closes is replaced by a new one."""
    slots, periods = settings.n_establishments, len(settings.years)
    ids = np.empty((slots, periods), dtype=np.int64)
    ids[:, 0] = np.arange(slots)
    size_class = rng.choice(3, size=slots, p=SIZE_SHARES)
    for period in range(1, periods):
        closes = rng.random(slots) < EXIT_HAZARDS[size_class[ids[:, period - 1]]]
        closes &= settings.closures
        opened = len(size_class) + np.arange(closes.sum())
        ids[:, period] = ids[:, period - 1]
        ids[closes, period] = opened
        size_class = np.append(size_class, rng.choice(3, size=len(opened), p=SIZE_SHARES))
    count = len(size_class)
    village = np.where(rng.random(count) < VILLAGE_SHARE, rng.integers(0, N_VILLAGES, count), -1)
    district = np.where(village >= 0, village % N_DISTRICTS, rng.integers(0, N_DISTRICTS, count))
    size = SIZE_LOG_MEANS[size_class] + SIZE_LOG_SDS[size_class] * rng.standard_normal(count)
    return Population(
        ids=ids,
        size_class=size_class,
        size=size,
        trend=0.01 * rng.standard_normal(count),
        district=district,
        village=village,
        trade=rng.integers(0, len(TRADES), count),
        certified=rng.random(count) < 0.03,
        km=rng.gamma(4.0, 4.0, count),
    )


def draw_log_workers(
    rng: np.random.Generator, settings: ProgrammeSettings, people: Population
) -> tuple[Array, Array]:
    """Return untreated log workers and their transitory part, both slots x years."""
    ids, years = people.ids, np.arange(len(settings.years))
    opened = np.diff(ids, axis=1, prepend=-1) != 0
    shocks = np.empty(ids.shape)
    draws = 0.25 * rng.standard_normal(ids.shape)
    for year in years:
        carried = 0.7 * shocks[:, year - 1] + np.sqrt(1 - 0.49) * draws[:, year]
        shocks[:, year] = np.where(opened[:, year], draws[:, year], carried)
    trade_year = 0.03 * rng.standard_normal((len(TRADES), len(years)))
    district_trend = 0.005 * rng.standard_normal(N_DISTRICTS)
    trend = settings.growth + people.trend + district_trend[people.district]
    log_workers = (
        people.size[ids] + trend[ids] * years + trade_year[people.trade[ids], years] + shocks
    )
    at = int(np.flatnonzero(settings.years <= 2021)[-1])
    in_village = people.village[ids[:, at]] >= 0
    target = VILLAGE_WORKERS_2021 * settings.n_establishments / 17_000
    shift = np.log(target / np.exp(log_workers[in_village, at]).sum())
    return log_workers + shift, shocks
