"""Which effects of an outcome a report must not print, since few units could be told from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.report.disclosure import hidden_estimates
from impact.report.suppression import is_small

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HiddenEffects", "hidden_effects"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HiddenEffects:
    """The effects to hide: cells (K,), event times, and whether the average is among them."""

    cells: Booleans
    events: frozenset[float]
    average: bool


def hidden_effects(
    cells: pd.DataFrame, shares: pd.Series, base: Booleans, smallest: int
) -> HiddenEffects:
    """Return what to hide of a result's cells, event study and average effect.

    Parameters
    ----------
    cells : of a result, K rows with cohort, time, event_time, estimate and n_treated
    shares : each cohort's share; empty where the result has no cohorts
    base : shape (K,), periods compared with, which are zero by construction
    smallest : fewest treated units that an effect may rest on
    """
    since = cells["event_time"].to_numpy(dtype=np.float64)
    cohort = cells["cohort"].to_numpy(dtype=np.float64)
    units = cells["n_treated"].to_numpy(dtype=np.float64)
    known = ~base & cells["estimate"].notna().to_numpy()
    small = is_small(units, smallest) & known
    events = np.unique(since[known & ~np.isnan(since)])
    of_event = np.nansum(np.where(since == events[:, None], units, 0.0), axis=1)
    small_events = is_small(of_event, smallest)
    if not small.any():
        return HiddenEffects(small, frozenset(events[small_events].tolist()), False)
    share = np.ones(len(cells))
    if len(shares):
        share = shares.reindex(cohort).to_numpy(dtype=np.float64)
    after = known & (since >= 0)
    counts = pd.Series(after).groupby(np.nan_to_num(cohort, nan=-np.inf)).transform("sum")
    average = np.where(after, share / np.maximum(counts, 1), 0.0)
    by_event = np.where((since == events[:, None]) & known, share, 0.0)
    own = np.diag((known & ~small).astype(np.float64))
    by_event[small_events] = 0.0
    groups = np.where(small, pd.factorize(cohort, use_na_sentinel=False)[0], -1)
    reluctance = [*units, *_of_events(events, of_event, units.sum()), np.inf]
    hidden = hidden_estimates(np.vstack((own, by_event, average)), groups, np.array(reluctance))
    rest = hidden[len(cells) : -1] | small_events
    return HiddenEffects(
        small | hidden[: len(cells)], frozenset(events[rest].tolist()), bool(hidden[-1])
    )


def _of_events(events: Floats, units: Floats, above: float) -> Iterable[float]:
    """Rank event times after all cells: those of few units first, the later first, zero last."""
    nearness = 1.0 / (2.0 + np.abs(events))
    return above + units + nearness + np.where(events == 0, units.sum(), 0.0)
