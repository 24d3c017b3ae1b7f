"""What projects do: effects on the treated, displacement and spillover around them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from impact.prices import consumer_prices
from impact.simulate.applications import CONTENTS
from impact.simulate.population import SIZE_CLASSES, TRADES, Population
from impact.simulate.settings import ProgrammeSettings
from impact.simulate.shocks import Array, autoregressive

__all__ = ["displace", "observe", "true_effects"]

SIZE_EFFECTS = np.array([1.3, 1.0, 0.0])
CONTENT_EFFECTS = np.array([1.0, 0.5, 0.3, 0.2, 0.0])
EFFECT_PROFILE = np.array([0.03, 0.075, 0.105, 0.105])
LATER_DECAY = 0.9
DOSE_ELASTICITY = 0.3
TYPICAL_SUPPORT = 150e6
REVENUE_FACTOR = 1.6
INCOME_FACTOR = 0.4
VILLAGE_REVENUE_2021 = 7.3e12


def true_effects(
    settings: ProgrammeSettings, people: Population, projects: pd.DataFrame, log_workers: Array
) -> pd.DataFrame:
    """Tabulate the effects on every treated establishment and year, slot by slot."""
    treated = projects[projects["cohort"] > 0].set_index("establishment")
    slot, period = np.nonzero(np.isin(people.ids, treated.index))
    identity = people.ids[slot, period]
    project = treated.loc[identity]
    year = settings.years[period]
    cohort = project["cohort"].to_numpy()
    event_time = year - cohort
    late = np.maximum(event_time - len(EFFECT_PROFILE) + 1, 0)
    profile = EFFECT_PROFILE[event_time.clip(0, len(EFFECT_PROFILE) - 1)] * LATER_DECAY**late
    content = project["content"].to_numpy()
    dose = (project["support"].to_numpy() / TYPICAL_SUPPORT) ** DOSE_ELASTICITY
    strength = SIZE_EFFECTS[people.size_class[identity]] * CONTENT_EFFECTS[content]
    strength = strength * np.where(content == 0, dose, 1.0)
    waits = (project["approved"].dt.year.to_numpy() < cohort) & (content == 0)
    effect = settings.effect_scale * np.where(event_time >= 0, profile * strength, 0.0)
    effect += settings.effect_scale * settings.anticipation * (waits & (event_time == -1))
    kept = (event_time >= 0) | (waits & (event_time == -1))
    table = pd.DataFrame(
        {
            "establishment": identity,
            "year": year,
            "cohort": cohort,
            "event_time": event_time,
            "log_workers": effect,
            "log_revenue": REVENUE_FACTOR * effect,
            "log_income": INCOME_FACTOR * effect,
            "jobs": np.exp(log_workers[slot, period]) * np.expm1(effect),
            "support": project["support"].to_numpy(),
            "content": np.array(CONTENTS)[content],
            "slot": slot,
            "period": period,
        }
    )
    effects: pd.DataFrame = table[kept].reset_index(drop=True)
    return effects


def displace(
    settings: ProgrammeSettings, people: Population, effects: pd.DataFrame, log_workers: Array
) -> Array:
    """Return log workers lost by the untreated of a trade and village, slots x years."""
    jobs, treated = np.zeros(people.ids.shape), np.zeros(people.ids.shape, dtype=bool)
    at = effects["slot"].to_numpy(), effects["period"].to_numpy()
    jobs[at] = effects["jobs"].clip(lower=0)
    treated[at] = True
    place = np.where(
        people.village >= 0, people.village, people.village.max() + 1 + people.district
    )
    group = (place * len(TRADES) + people.trade)[people.ids]
    lost = np.zeros(people.ids.shape)
    for period in range(people.ids.shape[1]):
        cells = group[:, period]
        others = np.exp(log_workers[:, period]) * ~treated[:, period]
        gained = np.bincount(cells, weights=jobs[:, period])
        exposed = np.bincount(cells, weights=others)
        share = settings.displacement * gained / np.where(exposed > 0, exposed, np.inf)
        lost[:, period] = np.where(treated[:, period], 0, np.log1p(-share.clip(max=0.5))[cells])
    return lost


def observe(
    rng: np.random.Generator,
    settings: ProgrammeSettings,
    people: Population,
    projects: pd.DataFrame,
    effects: pd.DataFrame,
    log_workers: Array,
    investment: Array,
) -> pd.DataFrame:
    """Tabulate what is seen of every establishment and year: workers, money earned and invested."""
    ids, years = people.ids, settings.years
    effect = np.zeros(ids.shape)
    effect[effects["slot"], effects["period"]] = effects["log_workers"]
    shape = (ids.shape[0], len(years))
    revenue_shock = autoregressive(rng, shape, correlation=0.6, sd=0.30)
    productivity = 0.3 * rng.standard_normal(len(people.size))
    log_revenue = (
        log_workers
        + productivity[ids]
        + 0.03 * np.arange(len(years))
        + revenue_shock
        + REVENUE_FACTOR * effect
        + _demonstrate(settings, people, projects)
    )
    log_income = np.log(5.0) + 0.03 * (years - 2021) + 0.15 * revenue_shock + INCOME_FACTOR * effect
    year = int(np.flatnonzero(years <= 2021)[-1])
    in_village = people.village[ids[:, year]] >= 0
    target = VILLAGE_REVENUE_2021 / 1e6 * settings.n_establishments / 17_000
    log_revenue += np.log(target / np.exp(log_revenue[in_village, year]).sum())
    prices = 1 / consumer_prices().factors(years, base=int(years[year]))
    flat = ids.ravel()
    table = pd.DataFrame(
        {
            "establishment": flat,
            "year": np.tile(years, len(ids)),
            "district": people.district[flat],
            "village": people.village[flat],
            "trade": np.array(TRADES)[people.trade[flat]],
            "size_class": np.array(SIZE_CLASSES)[people.size_class[flat]],
            "certified": people.certified[flat],
            "km_to_centre": people.km[flat].round(1),
            "workers": np.exp(log_workers + effect).ravel().round(2),
            "revenue": (np.exp(log_revenue) * prices).ravel().round(1),
            "monthly_income": (np.exp(log_income) * prices).ravel().round(3),
            "investment": investment.ravel().round(3),
            "eligible": True,
        }
    )
    return table.sort_values(["establishment", "year"], kind="stable", ignore_index=True)


def _demonstrate(settings: ProgrammeSettings, people: Population, projects: pd.DataFrame) -> Array:
    """Return the gain in log revenue that demonstration models bring to others near by."""
    gain = np.zeros(people.ids.shape)
    models = projects[(projects["item"] == "technical_model") & (projects["cohort"] > 0)]
    group = people.district * len(TRADES) + people.trade
    typical = settings.spillover * settings.effect_scale * REVENUE_FACTOR * EFFECT_PROFILE[2]
    for model in models.to_dict("records"):
        near = (group == group[model["establishment"]])[people.ids]
        near &= people.ids != model["establishment"]
        near &= settings.years > model["cohort"]
        gain[near] = typical
    return gain
