"""Second moments of outcomes by cohort, and sums by cluster, added up by the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, plural
from impact.warehouse.presence import by_period

if TYPE_CHECKING:
    from impact.warehouse.sample import TableSample

__all__ = ["ClusterMeans", "TableMoments", "cluster_means", "table_moments"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_NUMBERS = 20_000_000
"""Most cluster means that are brought into memory."""


@dataclass(frozen=True, eq=False)
class TableMoments:
    """Units (C,), size (C,), mean (C, T) and second (C, T + 1, T + 1) of each cohort.

    They mean what they mean in `impact.kernels.moments.CohortMoments`.
    """

    units: Integers
    size: Floats
    mean: Floats
    second: Floats


@dataclass(frozen=True, eq=False)
class ClusterMeans:
    """Mean outcomes of each cluster's units of one cohort: M rows.

    Attributes
    ----------
    outcomes : array, shape (M, T), NaN where nobody is observed
    codes : array, shape (M,), position of the cohort
    sizes : array, shape (M,), sum of the units' weights
    clusters : array, shape (M,), position among the sorted clusters
    """

    outcomes: Floats
    codes: Integers
    sizes: Floats
    clusters: Integers


def table_moments(sample: TableSample) -> TableMoments:
    """Let the engine add up each cohort's cross-products of outcomes over periods.

    Deviations are taken from the mean of all units in each period, then re-centred exactly at the
    cohort's own, so that a level common to all units costs no digits.
    """
    import ibis

    sample.require_unit_values()
    rows, n_periods = sample.rows, sample.n_periods
    weighted = sample.roles.weights is not None
    told = {
        f"d{t}": rows.outcome.max(where=rows.time == int(p)) - float(sample.means[t])
        for t, p in enumerate(sample.when)
    }
    own = {"weight": rows.weight.min() * sample.weight_scale} if weighted else {}
    units = rows.group_by("unit").aggregate(cohort=rows.cohort.min(), **own, **told)
    units = units.mutate(one=ibis.literal(1.0))
    found = sample.engine.run(
        "second moments by cohort", units.group_by("cohort").aggregate(**_products(units, weighted))
    )
    codes = _positions(sample, found["cohort"])
    shape = (len(sample.cohort_values) + 1, n_periods + 1, n_periods + 1)
    total, first = np.zeros(shape), np.zeros((shape[0], n_periods + 1))
    for t in range(n_periods + 1):
        first[codes, t] = found[f"s{t}"]
        for s in range(t + 1):
            total[codes, t, s] = total[codes, s, t] = found[f"p{t}_{s}"]
    counts = np.zeros(shape[0], dtype=np.int64)
    counts[codes] = found["n"]
    size = first[:, -1]
    shift = first[:, :-1] / np.where(size > 0, size, 1.0)[:, None]
    centring = np.broadcast_to(np.eye(n_periods + 1), shape).copy()
    centring[:, :-1, -1] = -shift
    second = centring @ total @ np.swapaxes(centring, 1, 2)
    mean = np.where((counts > 0)[:, None], sample.means + shift, 0.0)
    return TableMoments(counts, size, mean, second)


def _products(units: Any, weighted: bool) -> dict[str, Any]:
    """Return the sums of w d and w^2 d d', the deviations followed by a one."""
    names = [name for name in units.columns if name.startswith("d")]
    values = [*(units[name] for name in names), units.one]
    scaled = [value * units.weight for value in values] if weighted else values
    told = {"n": units.count()}
    for t, value in enumerate(scaled):
        told[f"s{t}"] = value.sum()
        for s in range(t + 1):
            told[f"p{t}_{s}"] = (value * scaled[s]).sum()
    return told


def cluster_means(sample: TableSample) -> ClusterMeans:
    """Let the engine average outcomes by cluster, cohort and period.

    Raises
    ------
    TableError : so many clusters that their means do not fit into memory
    """
    sample.require_unit_values()
    n_clusters, _ = sample.cluster_counts
    if n_clusters * sample.n_periods > MOST_NUMBERS:
        raise TableError(
            f"this needs the mean path of each of {plural(n_clusters, 'cluster')} in memory. "
            "Name coarser clusters, ask for infer('cr1') only where few units are treated, or "
            "draw a share of the units with design.collect(share=...)."
        )
    rows = sample.rows
    name = "cluster" if sample.roles.cluster else "unit"
    weighted = sample.roles.weights is not None
    weight = rows.weight if weighted else 1.0
    deviation = rows.outcome - by_period(rows.time, sample.when, sample.means.tolist())
    told = {f"s{t}": (deviation * weight).sum(where=rows.time == int(p))
            for t, p in enumerate(sample.when)}  # fmt: skip
    seen = (rows.weight * 1.0) if weighted else (rows.time * 0 + 1)
    told |= {f"n{t}": seen.sum(where=rows.time == int(p)) for t, p in enumerate(sample.when)}
    found = sample.engine.run(
        "sums by cluster, cohort and period",
        rows.group_by([name, "cohort"]).aggregate(**told).order_by([name, "cohort"]),
    )
    mass = _stack(found, "n", sample.n_periods)
    total = _stack(found, "s", sample.n_periods)
    means = np.divide(total, mass, out=np.full(total.shape, np.nan), where=mass > 0)
    scale = sample.weight_scale if weighted else 1.0
    sizes = mass[:, 0] if sample.is_balanced else _sizes(sample, name, found)
    return ClusterMeans(
        means + sample.means,
        _positions(sample, found["cohort"]),
        sizes * scale,
        pd.factorize(found[name], sort=True)[0].astype(np.int64),
    )


def _sizes(sample: TableSample, name: str, found: pd.DataFrame) -> Floats:
    """Sum the weights of each cluster's units by cohort, whenever they are observed, (M,)."""
    rows = sample.rows
    own = {} if name == "unit" else {name: rows[name].min()}
    own |= {"weight": rows.weight.min()} if sample.roles.weights else {}
    units = rows.group_by("unit").aggregate(cohort=rows.cohort.min(), **own)
    size = units.weight.sum() if sample.roles.weights else units.count()
    sums = units.group_by([name, "cohort"]).aggregate(size=size)
    counted = sample.engine.run("units by cluster", sums.order_by([name, "cohort"]))
    return counted["size"].to_numpy(dtype=np.float64)


def _positions(sample: TableSample, cohorts: pd.Series) -> Integers:
    values = cohorts.to_numpy(dtype=np.float64)
    found = np.searchsorted(sample.cohort_values, values)
    return np.where(np.isnan(values), len(sample.cohort_values), found).astype(np.int64)


def _stack(found: pd.DataFrame, name: str, n_periods: int) -> Floats:
    columns = [found[f"{name}{t}"].to_numpy(dtype=np.float64) for t in range(n_periods)]
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))
