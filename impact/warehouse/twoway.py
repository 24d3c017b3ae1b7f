"""The sums from which two effects are swept out of a regression, added up by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, plural
from impact.warehouse.counted import CountedRows
from impact.warehouse.presence import add_presence, by_period, read_presence

__all__ = [
    "MOST_CLUSTERS",
    "ClusterSums",
    "Regressor",
    "TableScores",
    "TwoWaySums",
    "twoway_blocks",
    "twoway_scores",
    "twoway_sums",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

MOST_CLUSTERS = 200_000
"""Clusters up to which each cluster's sums are brought into memory."""


@dataclass(frozen=True)
class Regressor:
    """A column of the regression: the treatment, a range of event times, or a covariate.

    ``events`` holds the first and last event time that an indicator covers; ``covariate`` is the
    covariate's position; the treatment has neither.
    """

    name: str
    events: tuple[float, float] | None = None
    covariate: int | None = None


@dataclass(frozen=True, eq=False)
class TwoWaySums:
    """Weighted sums of m columns, the outcome first, over units observed in the same periods.

    Attributes
    ----------
    presence : array, shape (P, T)
    mass : array, shape (P,), sum of the units' weights
    means : array, shape (P, m), sum over units of weight times the unit's mean
    cross : array, shape (P, m, m), sum over rows of weight times products of deviations from
        the unit's means
    sums : array, shape (T, m), sum over rows by period
    squares : array, shape (m,), sum of squares over rows
    """

    presence: Booleans
    mass: Floats
    means: Floats
    cross: Floats
    sums: Floats
    squares: Floats


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """`TwoWaySums` by cluster: position of each row's cluster, and (G, T, m) period sums."""

    clusters: Integers
    rows: TwoWaySums
    sums: Floats


@dataclass(frozen=True, eq=False)
class TableScores:
    """Scores by cluster (G, k), None where clusters are too many; products, total, squares."""

    scores: Floats | None
    meat: Floats
    total: Floats
    squares: float


def twoway_sums(sample: CountedRows, regressors: Sequence[Regressor]) -> TwoWaySums:
    """Add up unit means, deviations from them and period sums, in two queries."""
    rows, names = _columns(sample, sample.rows, regressors)
    words = list(add_presence(rows.time, sample.when))

    def ask(part: Any) -> Any:
        units = _by_unit(sample, _columns(sample, part, regressors)[0], names)
        return units.group_by(words).aggregate(**_totals(units, names))

    found = sample.add_up("unit means by presence", ask, words, _unit_sums(names))
    periods = sample.engine.run(
        "sums by period",
        rows.group_by("time").aggregate(**_weighted_sums(rows, names)).order_by("time"),
    )
    return _read(found, periods, _stack(periods, "s", len(names)), sample.n_periods)


def twoway_scores(
    sample: CountedRows, regressors: Sequence[Regressor], shifts: Floats, coefficients: Floats
) -> TableScores:
    """Add up each cluster's scores in one query.

    Parameters
    ----------
    shifts : array, shape (T, 1 + k), period effects of the outcome and the regressors
    coefficients : array, shape (k,)
    """
    k = len(regressors)
    key = "cluster" if sample.roles.cluster else "unit"

    def by_cluster(part: Any) -> Any:
        return _scores(sample, part, regressors, shifts, coefficients)

    if sample.cluster_counts[0] <= MOST_CLUSTERS:
        found = sample.add_up(
            "scores by cluster", lambda part: by_cluster(part).order_by(key), [key], 3 * (k + 2)
        )
        scores = _stack(found, "g", k)
        return TableScores(
            scores, scores.T @ scores, scores.sum(axis=0), float(found["squares"].sum())
        )

    def ask(part: Any) -> Any:
        clusters = by_cluster(part)
        told = {f"t{j}": clusters[f"g{j}"].sum() for j in range(k)}
        told |= {
            f"p{j}_{i}": (clusters[f"g{j}"] * clusters[f"g{i}"]).sum()
            for j in range(k)
            for i in range(j + 1)
        }
        return clusters.aggregate(**told, squares=clusters.squares.sum())

    # A cluster's units may lie in several parts, and products are those of its whole score.
    if sample.roles.cluster:
        found = sample.engine.run("products of scores", ask(sample.rows))
    else:
        found = sample.add_up("products of scores", ask, [], 3 * (k + 2))
    meat = _products(found, "p", k)[0]
    return TableScores(None, meat, _stack(found, "t", k)[0], float(found["squares"][0]))


def _scores(
    sample: CountedRows,
    rows: Any,
    regressors: Sequence[Regressor],
    shifts: Floats,
    coefficients: Floats,
) -> Any:
    """Return the query of scores and squared residuals by cluster, or by unit without clusters."""
    rows, names = _columns(sample, rows, regressors)
    swept = [
        rows[name] - by_period(rows.time, sample.when, shifts[:, j].tolist())
        for j, name in enumerate(names)
    ]
    left = swept[0]
    for slope, column in zip(coefficients, swept[1:], strict=True):
        left = left - float(slope) * column
    rows = rows.mutate(left=left, **{f"z{j}": column for j, column in enumerate(swept[1:])})
    own = {"cluster": rows.cluster.min()} if sample.roles.cluster else {}
    mass = rows.count() * (rows.weight.min() if sample.roles.weights else 1.0)
    told = {f"g{j}": mass * rows[f"z{j}"].cov(rows.left, how="pop") for j in range(len(regressors))}
    told["squares"] = mass * rows.left.var(how="pop")
    units = rows.group_by("unit").aggregate(**own, **told)
    if not sample.roles.cluster:
        return units
    return units.group_by("cluster").aggregate(**{name: units[name].sum() for name in told})


def _unit_sums(names: Sequence[str]) -> int:
    """Count the numbers held for a unit while its means and covariances are added up."""
    m = len(names)
    return 4 + m + 2 * m * (m + 1)


def twoway_blocks(sample: CountedRows, regressors: Sequence[Regressor]) -> ClusterSums:
    """Add up the sums of `twoway_sums` cluster by cluster, in two queries.

    Raises
    ------
    TableError : more clusters than are brought into memory
    """
    n_clusters = sample.cluster_counts[0]
    if n_clusters > MOST_CLUSTERS:
        raise TableError(
            f"this needs sums of each of {plural(n_clusters, 'cluster')} in memory, at most "
            f"{MOST_CLUSTERS:,}. Name coarser clusters, or draw units with design.collect(share=)."
        )
    rows, names = _columns(sample, sample.rows, regressors)
    key = "cluster" if sample.roles.cluster else "unit"
    keys = [key, *add_presence(rows.time, sample.when)]

    def ask(part: Any) -> Any:
        units = _by_unit(sample, _columns(sample, part, regressors)[0], names)
        return units.group_by(keys).aggregate(**_totals(units, names)).order_by(keys)

    found = sample.add_up("unit means by cluster and presence", ask, keys, _unit_sums(names))
    periods = sample.engine.run(
        "sums by cluster and period",
        rows.group_by([key, "time"])
        .aggregate(**_weighted_sums(rows, names))
        .order_by([key, "time"]),
    )
    codes, labels = pd.factorize(found[key], sort=True)
    sums = np.zeros((n_clusters, sample.n_periods, len(names)))
    at = np.searchsorted(sample.when, periods["time"].to_numpy())
    sums[pd.Index(labels).get_indexer(periods[key]), at] = _stack(periods, "s", len(names))
    whole = _read(found, periods, sums.sum(axis=0), sample.n_periods)
    return ClusterSums(codes.astype(np.int64), whole, sums)


def _columns(
    sample: CountedRows, rows: Any, regressors: Sequence[Regressor]
) -> tuple[Any, list[str]]:
    """Add the outcome, less its mean, and the regressors as columns v0, v1, ..."""
    import ibis

    sample.require_unit_values()
    since = rows.time - rows.cohort
    columns = {"v0": rows.outcome - float(sample.means.mean())}
    for j, regressor in enumerate(regressors, start=1):
        if regressor.covariate is not None:
            column = rows[f"x{regressor.covariate}"]
        elif regressor.events is not None:
            first, last = regressor.events
            inside = (since >= first) if np.isfinite(first) else since.notnull()
            inside = (inside & (since <= last)) if np.isfinite(last) else inside
            column = ibis.ifelse(inside.fill_null(False), 1, 0).cast("float64")
        elif sample.roles.amount:
            column = rows.amount
        else:
            column = ibis.ifelse((since >= 0).fill_null(False), 1, 0).cast("float64")
        columns[f"v{j}"] = column
    return rows.mutate(**columns), list(columns)


def _by_unit(sample: CountedRows, rows: Any, names: Sequence[str]) -> Any:
    """Aggregate rows to units: presence, rows, weight, means and covariances."""
    told = add_presence(rows.time, sample.when) | {"n": rows.count()}
    if sample.roles.weights:
        told["weight"] = rows.weight.min()
    if sample.roles.cluster:
        told["cluster"] = rows.cluster.min()
    for j, name in enumerate(names):
        told[f"m{j}"] = rows[name].mean()
        for i, other in enumerate(names[: j + 1]):
            same = i == j
            told[f"c{j}_{i}"] = (
                rows[name].var(how="pop") if same else rows[name].cov(rows[other], how="pop")
            )
    return rows.group_by("unit").aggregate(**told)


def _totals(units: Any, names: Sequence[str]) -> dict[str, Any]:
    weighted = "weight" in units.columns
    told = {"mass": units.weight.sum() if weighted else units.count()}
    size = units.n * units.weight if weighted else units.n
    for j in range(len(names)):
        mean = units[f"m{j}"]
        told[f"m{j}"] = (mean * units.weight if weighted else mean).sum()
        for i in range(j + 1):
            told[f"c{j}_{i}"] = (units[f"c{j}_{i}"] * size).sum()
    return told


def _weighted_sums(rows: Any, names: Sequence[str]) -> dict[str, Any]:
    told = {}
    for j, name in enumerate(names):
        scaled = rows[name] * rows.weight if "weight" in rows.columns else rows[name]
        told[f"s{j}"] = scaled.sum()
        told[f"q{j}"] = (scaled * rows[name]).sum()
    return told


def _read(found: pd.DataFrame, periods: pd.DataFrame, sums: Floats, n_periods: int) -> TwoWaySums:
    m = sums.shape[1]
    return TwoWaySums(
        read_presence(found, n_periods),
        found["mass"].to_numpy(dtype=np.float64),
        _stack(found, "m", m),
        _products(found, "c", m),
        sums,
        _stack(periods, "q", m).sum(axis=0),
    )


def _products(found: pd.DataFrame, name: str, m: int) -> Floats:
    products = np.zeros((len(found), m, m))
    for j in range(m):
        for i in range(j + 1):
            products[:, j, i] = products[:, i, j] = found[f"{name}{j}_{i}"]
    return products


def _stack(found: pd.DataFrame, name: str, m: int) -> Floats:
    columns = [found[f"{name}{j}"].to_numpy(dtype=np.float64) for j in range(m)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(found), 0))
