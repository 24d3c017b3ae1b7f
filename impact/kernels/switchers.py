"""Effects of changes of treatment, whatever its values and however often it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HorizonEffect", "SwitchPaths", "horizon_effect", "switch_paths"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SwitchPaths:
    """Treatment paths of N units over T periods, read for their first change.

    Attributes
    ----------
    doses : array, shape (N, T); NaN where unknown
    baseline : array, shape (N,), first known treatment
    stratum : array, shape (N,), code of baseline and class, within which units are compared
    first : array, shape (N,), position of the first period with another treatment; T if none
    steady : array, shape (N,), periods from the first in which the baseline is known to last
    direction : array, shape (N,), +1 where that change is a rise, -1 where a fall, else 0
    crossed : array, shape (N, T), from when a unit has been above and below its baseline
    unclear : array, shape (N,), the period before the first change is unknown
    """

    doses: Floats
    baseline: Floats
    stratum: Integers
    first: Integers
    steady: Integers
    direction: Floats
    crossed: Booleans
    unclear: Booleans


def switch_paths(doses: Floats, classes: Integers | None = None) -> SwitchPaths:
    """Find baseline, first change and its direction in treatment paths (N, T), classes (N,)."""
    n, n_periods = doses.shape
    known = ~np.isnan(doses)
    unit = np.arange(n)
    baseline = doses[unit, np.argmax(known, axis=1)]
    gap = np.where(known, doses - baseline[:, None], 0.0)
    changed = gap != 0
    first = np.where(changed.any(axis=1), np.argmax(changed, axis=1), n_periods)
    at = np.minimum(first, n_periods - 1)
    direction = np.where(first < n_periods, np.sign(gap[unit, at]), 0.0)
    above = np.logical_or.accumulate(gap > 0, axis=1)
    below = np.logical_or.accumulate(gap < 0, axis=1)
    unclear = (first < n_periods) & ~known[unit, np.maximum(at - 1, 0)]
    before = known & (np.arange(n_periods) < first[:, None])
    last_known = n_periods - np.argmax(before[:, ::-1], axis=1)
    steady = np.where(unclear, last_known, first)
    stratum = np.unique(baseline, return_inverse=True)[1]
    if classes is not None:
        stratum = np.unique(stratum * (classes.max() + 1) + classes, return_inverse=True)[1]
    return SwitchPaths(doses, baseline, stratum, first, steady, direction, above & below, unclear)


@dataclass(frozen=True, eq=False)
class HorizonEffect:
    """The effect a number of periods after the first change, averaged over switchers.

    Attributes
    ----------
    total : sum over switchers of weight times effect, in the direction of the change
    size : sum of the switchers' weights
    psi : array, shape (N,), contributions to ``total`` given the treatment paths
    switchers, comparisons : arrays, shape (N,), who enters
    dose : sum over switchers of weight times treatment less baseline, cumulated from the first
        change to the horizon, in the direction of the change
    last_dose : the same at the horizon only
    n_alone : switchers without another of their cohort
    """

    total: float
    size: float
    psi: Floats
    switchers: Booleans
    comparisons: Booleans
    dose: float
    last_dose: float
    n_alone: int


def horizon_effect(
    outcomes: Floats,
    paths: SwitchPaths,
    weights: Floats,
    horizon: int,
    *,
    placebo: bool = False,
    among: Booleans | None = None,
    clusters: Integers | None = None,
    pool_alone: bool = True,
) -> HorizonEffect:
    """Compare switchers' outcomes with those of units of the same baseline yet to change.

    DID_g = Y_{F-1+l} - Y_{F-1} less the mean of the same among units with the same baseline
    treatment whose treatment has not changed by F-1+l; a placebo puts Y_{F-1-l} in place of
    Y_{F-1+l} and keeps the units, those in which Y_{F-1+l} is observed.

    Parameters
    ----------
    outcomes : array, shape (N, T); NaN where unobserved
    horizon : l, 1 in the period of the change
    among : array, shape (N,), switchers to keep; all if None
    clusters : array, shape (N,), codes that contributions will be summed by; units if None
    pool_alone : whether a cohort of one cluster is measured from the mean of all switchers of its
        baseline, date and direction and their comparison units; else from its own, so that it
        adds nothing to the variance

    Notes
    -----
    Contributions are deviations from the mean of the switcher's own cohort (baseline, period
    of the change and treatment it changed to), or from that of the comparison units, times
    sqrt(n / (n - 1)) with n the clusters of that group: the variance given treatment paths.
    Deviations from the mean of one cluster would sum to zero in it, however little is known.

    Source
    ------
    de Chaisemartin and D'Haultfoeuille (2024), Review of Economics and Statistics.
    """
    n, n_periods = outcomes.shape
    keep = np.ones(n, dtype=bool) if among is None else among
    cluster = np.arange(n) if clusters is None else clusters
    arrival = paths.doses[np.arange(n), np.minimum(paths.first, n_periods - 1)]
    psi, total, size, dose, last_dose, n_alone = np.zeros(n), 0.0, 0.0, 0.0, 0.0, 0
    switched, compared = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for first, stratum, direction in _groups(paths, n_periods):
        late, base = first - 1 + horizon, first - 1
        shown = base - horizon if placebo else late
        if late >= n_periods or shown < 0:
            continue
        change = outcomes[:, shown] - outcomes[:, base]
        seen = ~np.isnan(change) & ~np.isnan(outcomes[:, late])
        same = (paths.stratum == stratum) & seen
        others = same & (paths.steady > late)
        moved = (paths.first == first) & (paths.direction == direction) & ~paths.unclear
        own = same & moved & keep & ~paths.crossed[:, late]
        if not own.any() or not others.any():
            continue
        level = float(np.average(change[others], weights=weights[others]))
        mass = weights * paths.direction * own
        total += float(mass[own] @ (change[own] - level))
        size += float(weights[own].sum())
        path = np.nan_to_num(paths.doses[own, first : late + 1] - paths.baseline[own, None])
        dose += float(mass[own] @ path.sum(axis=1))
        last_dose += float(mass[own] @ path[:, -1])
        for value in np.unique(arrival[own]):
            cohort = own & (arrival == value)
            alone = _count(cluster, cohort) == 1
            n_alone += int(cohort.sum()) if alone else 0
            base_group = own | others if alone and pool_alone else cohort
            psi[cohort] += mass[cohort] * _deviations(change, cohort, base_group, weights, cluster)
        share = weights[others] / weights[others].sum() * mass.sum()
        base_group = own | others if pool_alone and _count(cluster, others) == 1 else others
        psi[others] -= share * _deviations(change, others, base_group, weights, cluster)
        switched |= own
        compared |= others
    return HorizonEffect(total, size, psi, switched, compared, dose, last_dose, n_alone)


def _groups(paths: SwitchPaths, n_periods: int) -> Iterator[tuple[int, int, int]]:
    """Yield each period of change, stratum that other units share, and direction."""
    moved = (paths.first < n_periods) & (paths.first > 0) & ~paths.unclear
    moved &= np.bincount(paths.stratum)[paths.stratum] > 1
    kinds = [paths.first, paths.stratum, paths.direction.astype(np.int64)]
    for first, stratum, direction in np.unique(np.stack(kinds, axis=1)[moved], axis=0):
        yield int(first), int(stratum), int(direction)


def _count(cluster: Integers, group: Booleans) -> int:
    """Count the clusters of a group."""
    return len(np.unique(cluster[group]))


def _deviations(
    change: Floats, group: Booleans, base: Booleans, weights: Floats, cluster: Integers
) -> Floats:
    """Return a group's deviations from the mean of a base, widened for that mean's own error."""
    n = _count(cluster, base)
    factor = np.sqrt(n / (n - 1)) if n > 1 else 1.0
    centre = np.average(change[base], weights=weights[base])
    return np.asarray(factor * (change[group] - centre))
