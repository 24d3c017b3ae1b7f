"""Effects on units near the treated ones, and the total of direct effect and spillover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, plural
from impact.inference.bands import pointwise_critical_value, two_sided_p_values
from impact.result import CLUSTERED, Result
from impact.sensitivity.base import (
    Check,
    Finding,
    draw_estimates,
    numbers,
    printed,
    refit,
    refit_fault,
    with_cohorts,
)
from impact.sensitivity.sentences import Sentence

__all__ = ["SPILLOVER", "distances_km", "exposure_dates", "spillover"]

Floats = NDArray[np.float64]

EARTH_RADIUS_KM = 6371.0088


def distances_km(latitude: Floats, longitude: Floats) -> Floats:
    """Return great-circle distances between places in degrees, shape (N, N), in kilometres."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    half = (
        np.sin((lat[:, None] - lat) / 2) ** 2
        + np.cos(lat)[:, None] * np.cos(lat) * np.sin((lon[:, None] - lon) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def exposure_dates(distance: Floats, cohorts: Floats, edges: Sequence[float]) -> Floats:
    """Return when each untreated unit first had a treated unit in its ring, shape (R, N).

    A unit belongs to the ring of its nearest ever treated unit; NaN outside it, and for treated
    units.

    Parameters
    ----------
    distance : array, shape (N, N)
    cohorts : array, shape (N,), first treated period; NaN if never treated
    edges : outer edges of the rings, increasing
    """
    treated = ~np.isnan(cohorts)
    to_treated = distance[:, treated]
    ring = np.searchsorted(np.asarray(edges), to_treated.min(axis=1), side="left")
    dates = np.full((len(edges), len(cohorts)), np.nan)
    for r, edge in enumerate(edges):
        inside = ~treated & (ring == r)
        near = np.where(to_treated[inside] <= edge, cohorts[treated], np.inf)
        dates[r, inside] = near.min(axis=1, initial=np.inf)
    return dates


def spillover(
    result: Result,
    *,
    rings: Sequence[float] = (),
    latitude: str | None = None,
    longitude: str | None = None,
    exposure: str | Sequence[str] | None = None,
    level: float = 0.95,
) -> Finding:
    """Ask what treatment does to neighbours, and what it does in total.

    The result's estimator is fitted to treated units, and to each ring of untreated neighbours
    as if exposure were their treatment, always against units beyond the last ring.

    Parameters
    ----------
    result : of a design with first treated periods
    rings : outer edges of the rings in kilometres, increasing; with latitude and longitude
    latitude, longitude : columns of degrees, one place a unit
    exposure : instead of rings, a column of the period in which each untreated unit was first
        exposed, missing where it never was; or several, one a kind of exposure (neighbours,
        suppliers), strongest first: a unit counts in the first in which it is exposed
    level : confidence level

    Returns
    -------
    Finding : statistic = p-value that no ring shows an effect (Bonferroni); rows direct, each
        ring, and total: the sum over units of direct and ring effects, in outcome units

    Raises
    ------
    DesignError : neither or both of rings and exposure, an empty ring, nobody beyond the rings
    PanelError : a column is not there or changes within a unit

    Notes
    -----
    Assumes that no effect reaches beyond the last ring. The total multiplies each average by the
    number of units it is the average of; numbers of units are taken as given, and covariances
    between rows come from the clusters' contributions. The total has no standard error where the
    estimator has no contributions, and no p-value where clusters are too few for normal intervals
    of its parts. Units exposed before their first period are left out.

    Source
    ------
    Butts (2023), "Difference-in-differences estimation with spatial spillovers", sections 3-4,
    with a heterogeneity-robust estimator in place of the regression.
    """
    SPILLOVER.require(result)
    design = result.design
    dates, names = _exposures(design, rings, latitude, longitude, exposure)
    never = np.isnan(design.cohorts)
    exposed = ~np.isnan(dates).all(axis=0)
    clean = never & ~exposed
    if not clean.any():
        raise DesignError(
            "every untreated unit is exposed, so nobody shows what would have happened without any "
            "treatment. Use narrower rings."
        )
    fits: list[tuple[str, int, Result]] = []
    for name, own in [("direct", design.cohorts), *zip(names, dates, strict=True)]:
        members = ~np.isnan(own)
        keep = (members | clean)[design.sample.unit_codes]
        cohorts = np.where(members, own, np.nan)
        fit = refit(result, with_cohorts(design, cohorts, keep))
        fits.append((name, fit.design.facts.n_treated_units, fit))
    rows = [_row(name, count, fit, level) for name, count, fit in fits]
    table = pd.DataFrame([*rows, _total(fits, design, level)])
    rings_only = table.iloc[1 : len(fits)]
    smallest = float(min(rings_only["p_value"].min() * len(rings_only), 1.0))
    total, direct = table.iloc[-1], table.iloc[0]
    answer = "spillover.yes" if smallest < 1 - level else "spillover.no"
    if np.isnan(smallest):
        answer = "spillover.unknown"
    effects = table.iloc[:-1]
    return Finding(
        name="spillover",
        asked=Sentence.of("spillover.question"),
        statistic=smallest,
        table=table,
        said=Sentence.of(
            "spillover.direct",
            answer,
            "spillover.total",
            direct=direct["estimate"],
            p=smallest,
            total=total["estimate"],
            direct_total=direct["estimate"] * direct["n_units"],
        ),
        values={"total": float(total["estimate"]), "direct": float(direct["estimate"])},
        draw=lambda ax: draw_estimates(effects, "term", ax, float(direct["estimate"])),
        notes=(f"{plural(int(clean.sum()), 'unit')} out of reach to compare with.",),
    )


def _exposures(
    design: Design,
    rings: Sequence[float],
    latitude: str | None,
    longitude: str | None,
    exposure: str | Sequence[str] | None,
) -> tuple[Floats, list[str]]:
    """Return first exposed periods, shape (R, N), and the rings' names."""
    if (not exposure) == (not len(rings)):
        raise DesignError(
            "spillover needs rings= with latitude= and longitude=, or exposure=, and not both."
        )
    if exposure:
        names = [exposure] if isinstance(exposure, str) else list(exposure)
        dates = np.full((len(names), design.n_units), np.nan)
        free = np.isnan(design.cohorts)
        for row, name in zip(dates, names, strict=True):
            values = design.sample.unit_values(name).to_numpy(dtype=np.float64, na_value=np.nan)
            row[free] = values[free]
            free = free & np.isnan(values)
        names = ["exposed"] if isinstance(exposure, str) else names
    else:
        edges = numbers("rings", rings)
        if latitude is None or longitude is None:
            raise DesignError("rings need the columns of latitude= and longitude=, in degrees.")
        if any(b <= a for a, b in zip([0.0, *edges], edges, strict=False)):
            raise DesignError(f"rings must increase from above zero; they were {edges}.")
        places = [
            design.sample.unit_values(name).to_numpy(dtype=np.float64, na_value=np.nan)
            for name in (latitude, longitude)
        ]
        if np.isnan(places).any():
            raise DesignError(
                f'"{latitude}" or "{longitude}" is missing for '
                f"{plural(int(np.isnan(places).any(axis=0).sum()), 'unit')}; its distance to the "
                "treated cannot be told. Fill the place in, or drop the unit."
            )
        dates = exposure_dates(distances_km(*places), design.cohorts, edges)
        starts = [0.0, *edges[:-1]]
        names = [f"{a:g}-{b:g} km" for a, b in zip(starts, edges, strict=True)]
    empty = [name for name, own in zip(names, dates, strict=True) if np.isnan(own).all()]
    if empty:
        raise DesignError(f"no untreated unit is exposed in {empty[0]}; leave it out or widen it.")
    return dates, names


def _row(name: str, count: int, fit: Result, level: float) -> dict[str, object]:
    return {"term": name, "n_units": count, **printed(lambda: fit, level)}


def _total(fits: list[tuple[str, int, Result]], design: Design, level: float) -> dict[str, object]:
    """Sum effects over units, with the standard error from the clusters' contributions."""
    estimate, error = 0.0, np.nan
    psi = np.zeros(design.n_clusters)
    complete = True
    labels = _cluster_labels(design)
    for _, count, fit in fits:
        overall = fit.att()
        estimate += count * float(overall.estimates[0])
        own = overall.uncertainty.contributions()
        there = _cluster_labels(fit.design)
        there = there if fit.clusters_used is None else there[fit.clusters_used]
        if own is None or len(own) != len(there):
            complete = False
            continue
        # Small-sample factors belong to the covariance; contributions are rescaled to it.
        size = float(np.square(own[:, 0]).sum())
        factor = np.sqrt(overall.uncertainty.variances()[0] / size) if size > 0 else 1.0
        psi[np.searchsorted(labels, there)] += count * factor * own[:, 0]
    if complete:
        error = float(np.sqrt(np.square(psi).sum()))
    df = fits[0][2].uncertainty.df
    note = "" if complete else "the estimator gives no contributions of all clusters to sum"
    if complete and not all(_by_standard_errors(fit, level) for _, _, fit in fits):
        note = "clusters are too few for an interval of the sum; see its parts"
    half = float(pointwise_critical_value(level, df)) * error if note == "" else np.nan
    p_value = two_sided_p_values(np.array([estimate / error]), df)[0] if note == "" else np.nan
    return {
        "term": "total",
        "n_units": sum(count for _, count, _ in fits),
        "estimate": estimate,
        "std_error": error,
        "p_value": float(p_value),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "note": note,
    }


def _by_standard_errors(fit: Result, level: float) -> bool:
    """Tell whether clustered standard errors judge the overall effect, rather than ranks."""
    found = fit.att().inferences(level)[0]
    return found is None or found.method in CLUSTERED


def _cluster_labels(design: Design) -> NDArray[np.object_]:
    """Labels of the clusters in the order of their codes."""
    column = design.cluster_columns[0]
    if column == design.panel.unit:
        return np.asarray(design.sample.units)
    return np.unique(design.sample.unit_values(column))


SPILLOVER = Check(
    "spillover",
    "designs with first treated periods and places or exposure dates",
    refit_fault,
    spillover,
    needs=("rings, latitude and longitude, or exposure",),
)
