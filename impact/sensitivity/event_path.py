"""The effect a report prints, laid out by event time with its joint uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from impact.errors import DesignError, InferenceError, listing, plural
from impact.inference.aggregation import share_average
from impact.inference.bands import pointwise_critical_value
from impact.result import Result, Weighting
from impact.sensitivity.base import smaller_arm

__all__ = ["EventPath", "event_path", "judged_path", "path_fault"]

Floats = NDArray[np.float64]

FEWEST = 3
"""Clusters of the smaller arm from which one scale of errors serves a whole event study."""


@dataclass(frozen=True, eq=False)
class EventPath:
    """An event study whose post-treatment part averages to the printed effect.

    Attributes
    ----------
    times : array, shape (K,), consecutive event times (of a panel of every other year, even
        ones), the reference left out
    reference : event time the estimates are measured from
    n_pre : number of event times before the reference
    estimate : array, shape (K,)
    covariance : array, shape (K, K)
    target : array, shape (K - n_pre,), weights on the later part; zero in anticipation periods
    df : degrees of freedom of t critical values; None for normal ones
    """

    times: NDArray[np.int64]
    reference: int
    n_pre: int
    estimate: Floats
    covariance: Floats
    target: Floats
    df: float | None

    @property
    def effect(self) -> float:
        """The printed effect."""
        return float(self.target @ self.estimate[self.n_pre :])

    @property
    def std_error(self) -> float:
        """Its standard error."""
        weights = np.concatenate((np.zeros(self.n_pre), self.target))
        return float(np.sqrt(weights @ self.covariance @ weights))

    def widened(self, level: float) -> Floats:
        """Covariance scaled so that normal intervals become t intervals, shape (K, K)."""
        ratio = pointwise_critical_value(level, self.df) / pointwise_critical_value(level, None)
        return np.asarray(self.covariance * float(ratio) ** 2)


def event_path(result: Result, weighting: Weighting | None = None) -> EventPath:
    """Lay the effect ``result.att(weighting)`` out by event time.

    Parameters
    ----------
    result : with cells by cohort and event time, or an event study
    weighting : as in ``Result.att``

    Raises
    ------
    DesignError : the estimates before treatment are not measured from one reference period, none
        lies on one side of it, or the event times that carry the effect have a gap
    EstimationError : the estimates do not carry what the weighting needs

    Notes
    -----
    Each post-treatment point averages the cells of its event time with the weights they have in
    the printed effect, so that the points, weighted by their sums, add up to it. Points before
    treatment weight each cohort by its total weight in the effect. Estimated cohort shares enter
    the covariance, so that the points give the effect's own standard error.
    """
    reason = path_fault(result)
    if reason:
        raise DesignError(reason)
    _ = result.att(weighting)
    event = result.cells["event_time"].to_numpy(dtype=np.float64)
    step, reference = _grid(result)
    known = ~np.isnan(result.std_errors) & (event != reference)
    weight = _cell_weights(result, weighting)
    times = _consecutive(np.unique(event[known]), reference, step)
    lost = np.setdiff1d(np.unique(event[weight > 0]), times)
    if len(lost):
        raise DesignError(
            f"the printed effect includes event time {listing(f'{e:g}' for e in lost)}, which the "
            "event study reaches only across a gap. Restrict the panel to consecutive periods."
        )
    incidence = (event == times[:, None]) & known
    target = incidence[times > reference] @ weight
    if len(result.shares):
        estimate, covariance = _averaged(result, incidence, weight, weighting)
    else:
        positions = incidence.argmax(axis=1)
        estimate = result.estimates[positions]
        covariance = result.uncertainty.covariance()[np.ix_(positions, positions)]
    return EventPath(
        times=times.astype(np.int64),
        reference=reference,
        n_pre=int((times < reference).sum()),
        estimate=estimate,
        covariance=covariance,
        target=target,
        df=result.uncertainty.df,
    )


def judged_path(
    result: Result, weighting: Weighting | None = None, level: float = 0.95
) -> tuple[EventPath, tuple[str, ...]]:
    """Lay the effect out by event time with the uncertainty that the result prints it with.

    Where the estimator's own standard errors judge the effect, they stand. Where another method
    does, the covariance is scaled by one factor, so that a normal interval of the effect is as
    long as the printed one; notes say so.

    Raises
    ------
    DesignError : as `event_path`
    InferenceError : the printed effect has no bounded interval, or an arm has fewer than three
        clusters, and no method was asked for by name

    Notes
    -----
    With few treated clusters the standard errors of all event times are too small for the same
    reason and by about the same factor.
    """
    path = event_path(result, weighting)
    inference = result.att(weighting).inferences(level)[0]
    if inference is None:
        return path, ()
    found, smaller = inference.confidence_set, smaller_arm(result.design)
    if not found.intervals or not np.isfinite(found.high - found.low):
        raise InferenceError(
            f"the printed effect has no bounded {level:.0%} interval ({inference.reason}), so "
            "nothing tells how far chance alone may move the event study. Use placebo_in_time."
        )
    if smaller < FEWEST and result.request.method in (None, "auto"):
        raise InferenceError(
            f"{plural(smaller, 'cluster')} in the smaller arm cannot show how far chance alone may "
            f"move a whole event study; it takes {FEWEST}. Use placebo_in_time, or name the "
            "standard errors to rely on with infer()."
        )
    normal = float(pointwise_critical_value(level, None))
    factor = (found.high - found.low) / (2.0 * normal * path.std_error)
    note = (
        f"Standard errors of the event study times {factor:.2f}, so that under parallel trends the "
        f"interval is as long as the printed one ({inference.method}: {inference.reason})."
    )
    return replace(path, covariance=path.covariance * factor**2, df=None), (note,)


def _cell_weights(result: Result, weighting: Weighting | None) -> Floats:
    """Weight of each cell in the printed effect, shape (K,)."""
    cells = result.cells
    after = (cells["event_time"] >= 0).to_numpy() & ~np.isnan(result.estimates)
    if not len(result.shares):
        return np.asarray(after / after.sum())
    share = result.shares.reindex(cells["cohort"]).to_numpy(dtype=np.float64) * after
    if weighting == "cell":
        return np.asarray(share / share.sum())
    groups = cells[weighting or "cohort"].to_numpy(dtype=np.float64)
    codes = np.unique(groups, return_inverse=True)[1]
    total = np.bincount(codes, share)
    within = np.divide(share, total[codes], out=np.zeros_like(share), where=after)
    if weighting in ("event_time", "time"):
        return np.asarray(within / (total > 0).sum())
    size = np.bincount(codes, share) / np.maximum(np.bincount(codes, after), 1)
    return np.asarray(within * size[codes] / size.sum())


def _averaged(
    result: Result, incidence: NDArray[np.bool_], weight: Floats, weighting: Weighting | None
) -> tuple[Floats, Floats]:
    """Average cells by event time with the effect's weights, shares estimated.

    The points' covariance gets what estimated shares add to the effect beyond the points.
    """
    labels = result.shares.index.to_numpy(dtype=np.float64)
    shares = result.shares.to_numpy(dtype=np.float64)
    index = np.searchsorted(labels, result.cells["cohort"].to_numpy(dtype=np.float64))
    by_cohort = np.bincount(index, weight, len(shares)) / shares
    own = weight / shares[index]

    def derivative(rows: Floats) -> Floats:
        average = share_average(result.estimates, rows, index, shares)
        return np.asarray(average.jacobian()[: len(rows)])

    multiplier = np.where(weight > 0, own, by_cohort[index])
    estimate = share_average(result.estimates, incidence * multiplier, index, shares).estimates
    points = derivative(incidence * multiplier)
    if weighting in ("event_time", "time"):
        groups = result.cells[weighting].to_numpy(dtype=np.float64)
        values = np.unique(groups[weight > 0])
        effect = derivative((groups == values[:, None]) * (weight > 0)).mean(axis=0)
    else:
        effect = derivative(own[None, :])[0]
    target = incidence @ weight
    points[target > 0] += effect - target @ points
    return estimate, result.uncertainty.combine(points).covariance()


def _grid(result: Result) -> tuple[int, int]:
    """Return the step between event times, and the last one before treatment may act."""
    times = np.unique(result.cells["event_time"].to_numpy(dtype=np.float64))
    steps = np.append(times, np.diff(result.design.periods)).astype(np.int64)
    step = int(np.gcd.reduce(steps)) or 1
    return step, -step * -(-(1 + result.design.anticipation) // step)


def _consecutive(times: Floats, reference: int, step: int) -> Floats:
    """Event times next to the reference without a gap, on both sides."""
    present = set(times.tolist())
    first = reference - step
    while first in present:
        first -= step
    last = reference + step
    while last in present:
        last += step
    block = np.arange(first + step, last, step, dtype=np.float64)
    return np.asarray(block[block != reference])


def path_fault(result: Result) -> str | None:
    """Say why a result has no event study around one reference period; None if it has."""
    event = result.cells["event_time"].to_numpy(dtype=np.float64)
    if np.isnan(event).any():
        return (
            f"{result.estimator} gives no effects by event time. Fit an estimator that does, such "
            "as CallawaySantAnna."
        )
    step, reference = _grid(result)
    known = ~np.isnan(result.std_errors)
    if not len(result.shares) and len(np.unique(event)) < len(event):
        return "several estimates share an event time and have no weights to average them with."
    if (known & (event == reference)).any():
        return (
            f"estimates before treatment are not all measured from event time {reference}: that "
            "one has an estimate of its own. Use an estimator with a universal base period, such "
            'as CallawaySantAnna(base_period="universal").'
        )
    times = _consecutive(np.unique(event[known]), reference, step)
    design = result.design
    seen_before = (design.cohort_values + reference > design.periods[0]).any()
    if seen_before and not (event < reference).any():
        return (
            f"{result.estimator} gives no estimates before treatment here that are measured as "
            "those after it. Fit an estimator that does, such as CallawaySantAnna, with two or "
            "more periods before treatment."
        )
    if not (times < reference).any() or not (times >= 0).any():
        return (
            f"estimates are needed right before and after event time {reference}; there are "
            f"{int((times < reference).sum())} before and {int((times >= 0).sum())} after. Use "
            "more periods before treatment."
        )
    return None
