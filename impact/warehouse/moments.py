"""Second moments of outcomes by cohort, and sums by cluster, added up by the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, plural
from impact.warehouse.counted import CountedRows
from impact.warehouse.presence import add_presence, by_period, read_presence

__all__ = ["ClusterMeans", "TableMoments", "cluster_means", "pattern_means", "table_moments"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

MOST_PATTERNS = 20_000
"""Most sets of periods, by cohort, whose moments are brought into memory."""

MOST_NUMBERS = 20_000_000
"""Most cluster means that are brought into memory."""


@dataclass(frozen=True, eq=False)
class TableMoments:
    """Moments of P groups of units alike in cohort and in the periods they are observed in.

    A table without gaps has one group a cohort, the never treated last.

    Attributes
    ----------
    cohort : array, shape (P,), position of each group's cohort
    seen : array, shape (P, T), periods in which its units are observed
    units, size, mean, second : as in `impact.kernels.moments.CohortMoments`; where units are not
        observed, the mean is that of all rows and deviations are zero
    """

    cohort: Integers
    seen: Booleans
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


def table_moments(sample: CountedRows) -> TableMoments:
    """Let the engine add up each group's cross-products of outcomes over periods.

    Deviations are taken from the mean of all units in each period, then re-centred exactly at the
    group's own, so that a level common to all units costs no digits.

    Raises
    ------
    TableError : so many sets of periods that their moments do not fit into memory
    """
    sample.require_unit_values()
    cohort, seen = _groups(sample)
    if len(cohort) > MOST_PATTERNS:
        raise TableError(
            f"units are observed in {len(cohort):,} different sets of periods by cohort, and "
            f"moments of at most {MOST_PATTERNS:,} are brought into memory. Keep fewer periods, "
            "or draw a share of the units with design.collect(share=...)."
        )
    weighted = sample.roles.weights is not None
    keys = _keys(sample)

    def ask(rows: Any) -> Any:
        units = _deviations(sample, rows)
        return units.group_by(keys).aggregate(**_products(units, weighted)).order_by(keys)

    found = sample.add_up("second moments by cohort", ask, keys, sample.n_periods + 2)
    n_periods = sample.n_periods
    codes = _positions(sample, cohort, seen, found)
    shape = (len(cohort), n_periods + 1, n_periods + 1)
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
    return TableMoments(cohort, seen, counts, size, mean, second)


def _deviations(sample: CountedRows, rows: Any) -> Any:
    """Lay each unit's outcomes, less the period's mean and zero where missing, side by side."""
    import ibis

    told = {
        f"d{t}": rows.outcome.max(where=rows.time == int(p)) - float(sample.means[t])
        for t, p in enumerate(sample.when)
    }
    own = {"weight": rows.weight.min() * sample.weight_scale} if sample.roles.weights else {}
    own |= {"cluster": rows.cluster.min()} if sample.roles.cluster else {}
    if not sample.is_balanced:
        own |= add_presence(rows.time, sample.when)
        told = {name: value.fill_null(0.0) for name, value in told.items()}
    units = rows.group_by("unit").aggregate(cohort=rows.cohort.min(), **own, **told)
    return units.mutate(one=ibis.literal(1).cast("float64"))


def _keys(sample: CountedRows) -> list[str]:
    words = [] if sample.is_balanced else add_presence(sample.rows.time, sample.when)
    return ["cohort", *words]


def _groups(sample: CountedRows) -> tuple[Integers, Booleans]:
    """Return the cohort (P,) and presence (P, T) of units alike in both."""
    n_cohorts = len(sample.cohort_values) + 1
    if sample.is_balanced:
        return np.arange(n_cohorts), np.ones((n_cohorts, sample.n_periods), dtype=bool)
    found = np.unique(np.column_stack((sample.codes, sample.presence)), axis=0)
    return found[:, 0].astype(np.int64), found[:, 1:].astype(bool)


def _positions(
    sample: CountedRows, cohort: Integers, seen: Booleans, found: pd.DataFrame
) -> Integers:
    """Find the group of each row of a query's answer."""
    own = _cohort_positions(sample, found["cohort"])
    if sample.is_balanced:
        return own
    names = [_names(cohort, seen), _names(own, read_presence(found, sample.n_periods))]
    return pd.Index(names[0]).get_indexer(pd.Index(names[1])).astype(np.int64)


def _names(cohort: Integers, seen: Booleans) -> list[bytes]:
    packed = np.packbits(seen, axis=1)
    return [b"%d:%b" % (c, row.tobytes()) for c, row in zip(cohort, packed, strict=True)]


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


def cluster_means(sample: CountedRows) -> ClusterMeans:
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
        _cohort_positions(sample, found["cohort"]),
        sizes * scale,
        pd.factorize(found[name], sort=True)[0].astype(np.int64),
    )


def pattern_means(sample: CountedRows, moments: TableMoments) -> ClusterMeans:
    """Let the engine average outcomes by cluster, cohort and periods observed.

    ``codes`` are positions among the groups of ``moments``; where units are not observed,
    the outcome is that of all rows.

    Raises
    ------
    TableError : so many clusters that their means do not fit into memory
    """
    key = "cluster" if sample.roles.cluster else "unit"
    names = [f"d{t}" for t in range(sample.n_periods)]
    keys = [key, *_keys(sample)]
    limit = MOST_NUMBERS // sample.n_periods

    def ask(rows: Any) -> Any:
        units = _deviations(sample, rows)
        weight = units.weight if sample.roles.weights else units.one
        values = {f"s{t}": (units[name] * weight).sum() for t, name in enumerate(names)}
        sums = units.group_by(keys).aggregate(size=weight.sum(), **values)
        return sums.order_by(keys).limit(limit + 1)

    found = sample.add_up("sums by cluster, cohort and presence", ask, keys, sample.n_periods + 3)
    if len(found) > limit:
        raise TableError(
            f"this needs the mean paths of more than {limit:,} groups of units alike in cluster, "
            "cohort and periods observed. Name coarser clusters, keep fewer periods, or draw a "
            "share of the units with design.collect(share=...)."
        )
    size = found["size"].to_numpy(dtype=np.float64)
    return ClusterMeans(
        _stack(found, "s", sample.n_periods) / size[:, None] + sample.means,
        _positions(sample, moments.cohort, moments.seen, found),
        size,
        pd.factorize(found[key], sort=True)[0].astype(np.int64),
    )


def _sizes(sample: CountedRows, name: str, found: pd.DataFrame) -> Floats:
    """Sum the weights of each cluster's units by cohort, whenever they are observed, (M,)."""
    keys = [name, "cohort"]

    def ask(rows: Any) -> Any:
        own = {} if name == "unit" else {name: rows[name].min()}
        own |= {"weight": rows.weight.min()} if sample.roles.weights else {}
        units = rows.group_by("unit").aggregate(cohort=rows.cohort.min(), **own)
        size = units.weight.sum() if sample.roles.weights else units.count()
        return units.group_by(keys).aggregate(size=size).order_by(keys)

    counted = sample.add_up("units by cluster", ask, keys, 3)
    return counted["size"].to_numpy(dtype=np.float64)


def _cohort_positions(sample: CountedRows, cohorts: pd.Series) -> Integers:
    values = cohorts.to_numpy(dtype=np.float64)
    found = np.searchsorted(sample.cohort_values, values)
    return np.where(np.isnan(values), len(sample.cohort_values), found).astype(np.int64)


def _stack(found: pd.DataFrame, name: str, n_periods: int) -> Floats:
    columns = [found[f"{name}{t}"].to_numpy(dtype=np.float64) for t in range(n_periods)]
    return np.asarray(np.nan_to_num(np.stack(columns, axis=1)))
