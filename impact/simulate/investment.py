"""What establishments invest: a little every year, and the machine they applied for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from impact.prices import consumer_prices
from impact.simulate.population import Population
from impact.simulate.settings import ProgrammeSettings
from impact.simulate.shocks import Array

__all__ = ["invest"]

REPLACEMENT = 2.0
REPLACEMENT_SD = 0.8
CONCENTRATION = 5.0


def invest(
    rng: np.random.Generator,
    settings: ProgrammeSettings,
    people: Population,
    projects: pd.DataFrame,
    log_workers: Array,
) -> tuple[Array, pd.DataFrame]:
    """Return investment (million VND of the year), slots x years, and the truth of the supported.

    An applicant for machinery would invest a share of the planned cost anyway, in the year the
    machine would have been accepted; with support all of it. The rejected show what anyway means.
    """
    prices = 1 / consumer_prices().factors(settings.years, base=2021)
    spread = REPLACEMENT_SD * rng.standard_normal(people.ids.shape)
    investment = REPLACEMENT * np.exp(log_workers + spread - REPLACEMENT_SD**2 / 2) * prices
    planned = projects[projects["item"] != "other"]
    shares = (settings.deadweight * CONCENTRATION, (1 - settings.deadweight) * CONCENTRATION)
    share = rng.beta(*shares, len(planned)) if settings.deadweight else np.zeros(len(planned))
    cost = planned["cost"].to_numpy()
    truth = pd.DataFrame(
        {
            "establishment": planned["establishment"].to_numpy(),
            "year": planned["accepted"].dt.year.to_numpy(),
            "invested": np.where(planned["status"] == "settled", cost, share * cost),
            "anyway": share * cost,
            "support": planned["support"].to_numpy(),
        }
    )
    added = truth.groupby(["establishment", "year"])["invested"].sum()
    slot, period = np.nonzero(np.isin(people.ids, planned["establishment"]))
    keys = pd.MultiIndex.from_arrays([people.ids[slot, period], settings.years[period]])
    investment[slot, period] += added.reindex(keys, fill_value=0.0).to_numpy() / 1e6
    supported = truth[(planned["status"] == "settled").to_numpy()]
    return investment, supported[supported["year"] <= settings.last_year].reset_index(drop=True)
