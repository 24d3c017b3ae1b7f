"""Panels with staggered adoption whose true effects are known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import DesignError, check_choice, listing
from impact.simulate.shocks import Array, apportion, autoregressive

Weighting = Literal["cohort", "cell", "event_time", "time"]
Dimension = Literal["cohort", "event_time", "time"]
Effect = float | Callable[[Array, Array], Array]


@dataclass(frozen=True)
class SimulatedPanel:
    """Hold a simulated panel beside its true effects.

    Attributes
    ----------
    frame : one row a unit and period: unit, cluster, time, cohort (first treated period, NaN never
        treated), treated (0/1), x (a unit-level covariate), untreated (the outcome had the unit
        never been treated), outcome
    cells : one row a cohort and period of an effect: cohort, time, event_time, effect,
        share (of all units that belong to the cohort)
    """

    frame: pd.DataFrame
    cells: pd.DataFrame

    def by(self, dimension: Dimension) -> pd.Series:
        """Return the true effects of treated cells, averaged within cohort, event_time or time.

        Cohorts weigh by their share of units; the cells of one cohort weigh the same.
        """
        treated = self._treated_cells()
        if dimension == "cohort":
            return treated.groupby("cohort")["effect"].mean()
        weighted = (treated["effect"] * treated["share"]).groupby(treated[dimension]).sum()
        effects: pd.Series = weighted / treated.groupby(dimension)["share"].sum()
        return effects.rename("effect")

    def att(self, weighting: Weighting = "cohort") -> float:
        """Return the true average effect on the treated.

        Parameters
        ----------
        weighting : "cohort" averages each cohort's periods, then cohorts by size; "cell" weighs all
            treated cells by cohort size; "event_time" and "time" average `by` of that name evenly

        Source
        ------
        Callaway & Sant'Anna (2021), Journal of Econometrics 225(2), section 3.2, Table 1
        """
        treated = self._treated_cells()
        if weighting == "cell":
            return float(np.average(treated["effect"], weights=treated["share"]))
        if weighting == "cohort":
            shares = treated.groupby("cohort")["share"].first()
            return float(np.average(self.by("cohort"), weights=shares))
        return float(self.by(weighting).mean())

    def _treated_cells(self) -> pd.DataFrame:
        return self.cells[self.cells["event_time"] >= 0]


def staggered_panel(
    seed: int,
    *,
    n_units: int = 200,
    periods: int | Sequence[int] = 10,
    cohorts: Mapping[int, float] | Sequence[int] = (5, 7),
    effect: Effect = 1.0,
    anticipation: int = 0,
    assignment: Literal["fixed", "random"] = "fixed",
    n_clusters: int | None = None,
    assigned_by: Literal["unit", "cluster"] = "unit",
    unit_sd: float = 1.0,
    time_sd: float = 1.0,
    noise: float = 1.0,
    cluster_noise: float = 0.0,
    serial_correlation: float = 0.0,
    effect_sd: float = 0.0,
    covariate_trend: float = 0.0,
    covariate_shift: float = 0.0,
    missing: float = 0.0,
) -> SimulatedPanel:
    """Simulate a panel in which units start treatment at different times.

    y_it = a_i + b_t + d x_i t + tau(t - g_i, g_i) 1{t >= g_i - anticipation} + v_ct + e_it,
    with v and e first-order autoregressions.

    Parameters
    ----------
    seed : of numpy's default generator; the same seed gives the same bytes
    n_units : number of units
    periods : number of periods (1, 2, ...) or the periods themselves, consecutive integers
    cohorts : first treated periods, each with its share of all units; a plain sequence shares the
        units evenly among its cohorts and the never treated
    effect : a number, or a vectorised function of event time and cohort, in outcome units
    anticipation : periods before onset in which the effect function already applies
    assignment : "fixed" gives every cohort its share of units exactly (up to rounding);
        "random" draws each unit's cohort
    n_clusters : number of clusters of units; None makes every unit its own cluster
    assigned_by : whether units or whole clusters are assigned to cohorts
    unit_sd, time_sd : standard deviation of a_i and of b_t
    noise, cluster_noise : standard deviation of e_it and of v_ct
    serial_correlation : of both e_it and v_ct, between -1 and 1
    effect_sd : standard deviation, across units, of a unit's effect around its cell's effect
    covariate_trend : d, the yearly trend that goes with a unit of the covariate x ~ N(0, 1)
    covariate_shift : mean of x among ever-treated units; with d this breaks parallel trends unless
        x is conditioned on
    missing : share of rows removed at random, between 0 and 1

    Returns
    -------
    SimulatedPanel : the rows, and the true effect of every cell. Under fixed assignment the shares
        are those of the sample, under random assignment those of the population.

    Raises
    ------
    DesignError : shares above one, an unknown period, a share or correlation out of range

    Example
    -------
    >>> panel = staggered_panel(1, effect=lambda event_time, cohort: 1.0 + event_time, noise=0)
    >>> panel.att("event_time")
    3.5
    """
    times = np.arange(1, periods + 1) if isinstance(periods, int) else np.asarray(periods)
    starts, shares = _cohort_shares(cohorts, times)
    check_choice("assignment", assignment, ("fixed", "random"))
    check_choice("assigned_by", assigned_by, ("unit", "cluster"))
    _check_range("missing", missing, 0.0, 1.0)
    _check_range("serial_correlation", serial_correlation, -1.0, 1.0)
    clusters = n_units if n_clusters is None else n_clusters
    if not 1 <= clusters <= n_units:
        raise DesignError(
            f"n_clusters must lie between 1 and n_units ({n_units}); it was {clusters}. "
            "A cluster without a unit cannot be simulated."
        )

    rng = np.random.default_rng(seed)
    cluster = np.arange(n_units) * clusters // n_units
    assignees = clusters if assigned_by == "cluster" else n_units
    drawn = _assign(rng, assignees, starts, shares, assignment)
    cohort = drawn[cluster] if assigned_by == "cluster" else drawn
    if assignment == "fixed":
        shares = np.array([np.mean(cohort == start) for start in starts[:-1]] + [np.nan])

    x = rng.standard_normal(n_units) + covariate_shift * ~np.isnan(cohort)
    trend = covariate_trend * x[:, None] * (times - times[0])
    unit_effect = unit_sd * rng.standard_normal(n_units)
    time_effect = time_sd * rng.standard_normal(len(times))
    tilt = effect_sd * rng.standard_normal(n_units)
    shape = (clusters, len(times))
    shared = autoregressive(rng, shape, correlation=serial_correlation, sd=cluster_noise)
    own = autoregressive(rng, (n_units, len(times)), correlation=serial_correlation, sd=noise)
    untreated = unit_effect[:, None] + time_effect + trend + shared[cluster] + own

    event_time = times - cohort[:, None]
    affected = event_time >= -anticipation
    gain = np.zeros_like(untreated)
    rows, columns = np.nonzero(affected)
    gain[rows, columns] = tilt[rows] + _evaluate(effect, event_time[affected], cohort[rows])

    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_units), len(times)),
            "cluster": np.repeat(cluster, len(times)),
            "time": np.tile(times, n_units),
            "cohort": np.repeat(cohort, len(times)),
            "treated": (event_time >= 0).ravel().astype(np.int64),
            "x": np.repeat(x, len(times)),
            "untreated": untreated.ravel(),
            "outcome": (untreated + gain).ravel(),
        }
    )
    if missing > 0:
        frame = frame[rng.random(len(frame)) >= missing].reset_index(drop=True)
    return SimulatedPanel(frame, _true_cells(starts, shares, times, effect, anticipation))


def _cohort_shares(
    cohorts: Mapping[int, float] | Sequence[int], times: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Return first treated periods and their shares, the never treated (NaN) last."""
    if not isinstance(cohorts, Mapping):
        cohorts = dict.fromkeys(cohorts, 1.0 / (len(cohorts) + 1))
    unknown = [start for start in cohorts if not times[0] <= start <= times[-1]]
    if unknown:
        raise DesignError(
            f"cohorts {listing(unknown)} lie outside the periods {times[0]} to {times[-1]}: "
            "their first treated period is never seen. Choose cohorts within the periods."
        )
    shares = np.array(list(cohorts.values()), dtype=float)
    if (shares < 0).any() or shares.sum() > 1.0 + 1e-12:
        raise DesignError(
            f"cohort shares must be positive and sum to at most 1; they sum to {shares.sum():g}. "
            "What is left of 1 is the share of the never treated."
        )
    starts = np.append(np.array(list(cohorts), dtype=float), np.nan)
    return starts, np.append(shares, max(1.0 - shares.sum(), 0.0))


def _assign(
    rng: np.random.Generator, count: int, starts: Array, shares: Array, assignment: str
) -> Array:
    """Give each of `count` units or clusters its cohort, in random order."""
    if assignment == "random":
        return starts[rng.choice(len(starts), size=count, p=shares / shares.sum())]
    return rng.permutation(np.repeat(starts, apportion(count, shares)))


def _evaluate(effect: Effect, event_time: Array, cohort: Array) -> Array:
    if callable(effect):
        return np.broadcast_to(np.asarray(effect(event_time, cohort), float), event_time.shape)
    return np.full(event_time.shape, float(effect))


def _true_cells(
    starts: Array, shares: Array, times: NDArray[np.int64], effect: Effect, anticipation: int
) -> pd.DataFrame:
    """Tabulate the effect of every cohort and period from `anticipation` periods before onset."""
    cohort = np.repeat(starts[:-1], len(times))
    time = np.tile(times, len(starts) - 1)
    share = np.repeat(shares[:-1], len(times))
    kept = (time - cohort >= -anticipation) & (share > 0)
    cohort, time, share = cohort[kept], time[kept], share[kept]
    event_time = time - cohort
    return pd.DataFrame(
        {
            "cohort": cohort,
            "time": time,
            "event_time": event_time.astype(np.int64),
            "effect": _evaluate(effect, event_time, cohort),
            "share": share,
        }
    )


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise DesignError(f"{name} must be at least {low:g} and below {high:g}; it was {value:g}.")
