"""Applications to a programme: who applies, who wins, on what terms, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from impact.simulate.population import TRADES, Population
from impact.simulate.settings import ProgrammeSettings
from impact.simulate.shocks import Array

__all__ = ["CONTENTS", "draw_projects"]

CONTENTS = ("technology", "training", "products", "management", "information")
CONTENT_SHARES = (0.60, 0.15, 0.12, 0.06, 0.07)


def draw_projects(
    rng: np.random.Generator, settings: ProgrammeSettings, people: Population, shocks: Array
) -> pd.DataFrame:
    """Draw applications, approvals and what becomes of them, one row an application."""
    ids = people.ids
    score = np.zeros(len(people.size))
    if settings.selection != "none":
        score = (
            0.8 * (people.size - people.size.mean())
            + 1.0 * people.certified
            - 0.02 * (people.km - people.km.mean())
        )
    if settings.selection == "growth":
        score = score + 80 * people.trend
    applied = np.zeros(len(people.size), dtype=bool)
    rounds = []
    for period in range(2, len(settings.years) - 1):
        stays = (ids[:, period - 1] == ids[:, period]) & (ids[:, period] == ids[:, period + 1])
        slots = np.flatnonzero(stays & ~applied[ids[:, period]])
        merit = score[ids[slots, period]]
        if settings.selection == "dip":
            merit = merit - 4 * shocks[slots, period - 1]
        count = round(settings.approvals * settings.applicants)
        entrants = np.argsort(-(merit + rng.gumbel(size=len(slots))), kind="stable")[:count]
        appraised = 0.5 * merit[entrants] + rng.standard_normal(count)
        won = np.zeros(count, dtype=bool)
        won[np.argsort(-appraised, kind="stable")[: settings.approvals]] = True
        chosen = ids[slots[entrants], period]
        applied[chosen] = True
        year = settings.years[period]
        rounds.append(pd.DataFrame({"establishment": chosen, "won": won, "plan_year": year}))
    projects = pd.concat(rounds, ignore_index=True)
    return _draw_terms(rng, settings, people, projects)


def _draw_terms(
    rng: np.random.Generator,
    settings: ProgrammeSettings,
    people: Population,
    projects: pd.DataFrame,
) -> pd.DataFrame:
    """Draw content, cost, support, dates and fate of every application."""
    count = len(projects)
    content = rng.choice(len(CONTENTS), size=count, p=CONTENT_SHARES)
    technology = content == 0
    model = technology & (rng.random(count) < 0.2)
    start = pd.to_datetime(projects["plan_year"].astype(str) + "-01-01")
    approved = start + pd.to_timedelta(rng.integers(-61, 120, count), unit="D")
    late = approved >= pd.Timestamp("2018-03-28")
    rate = np.where(model, 0.3, 0.5)
    ceiling = np.where(model, np.where(late, 1000, 500), np.where(late, 300, 200)) * 1_000_000
    cost = np.exp(np.log(450) + 0.9 * rng.standard_normal(count)).clip(20, 20_000)
    soft = np.exp(np.log(60) + 0.4 * rng.standard_normal(count)).clip(10, 300)
    cost = (np.where(technology, cost, 1.1 * soft).round() * 1_000_000).astype(np.int64)
    support = np.minimum(rate * cost, ceiling) // 1_000_000 * 1_000_000
    support = np.where(technology, support, (soft.round() * 1_000_000).clip(max=cost))
    contract = approved + pd.to_timedelta(rng.integers(15, 46, count), unit="D")
    paid = contract + pd.to_timedelta(rng.integers(10, 61, count), unit="D")
    duration = (180 + 90 * rng.standard_normal(count)).clip(110, 480).astype(np.int64)
    accepted = approved + pd.to_timedelta(duration, unit="D")
    settled = accepted + pd.to_timedelta(rng.integers(20, 91, count), unit="D")
    fate = rng.random(count)
    status = np.select(
        [~projects["won"], fate < 0.025, fate < 0.05],
        ["rejected", "cancelled", "returned"],
        "settled",
    )
    back = (rng.uniform(0.6, 1.0, count) * support // 1_000_000 * 1_000_000).astype(np.int64)
    return projects.assign(
        content=content,
        item=np.select([model, technology], ["technical_model", "machinery"], "other"),
        district=people.district[projects["establishment"]],
        village=people.village[projects["establishment"]],
        trade=np.array(TRADES)[people.trade[projects["establishment"]]],
        cost=cost,
        support=support.astype(np.int64),
        national=rng.random(count) < 0.25,
        approved=approved,
        contract=contract,
        paid=paid,
        accepted=accepted,
        settled=settled,
        status=status,
        returned=np.where(status == "returned", back, 0),
        cohort=np.where(status == "settled", accepted.dt.year, 0),
    )
