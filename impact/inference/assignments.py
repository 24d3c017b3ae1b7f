"""Reassignments of treatment paths among exchangeable clusters: all of them, or random ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, product
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, listing, plural

__all__ = [
    "Assignments",
    "Labels",
    "assignments",
    "comparable_assignments",
    "count_assignments",
    "count_over_dates",
    "over_dates",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[np.int64] | NDArray[np.int16]

_EXACT_LOG = 30.0
_MOST_BYTES = 2**27
_FEWEST_DRAWS = 199
_CLASSES = ((3, 2), (3, 1))
_FEWEST_ALIKE = 40
_TWENTY = 20
_FEWEST_IN_ARM = 3
_MOST_DRAWN = 2**22
_SAME_SIZE = 1e-9


@dataclass(frozen=True, eq=False)
class Assignments:
    """Hold reassignments of the clusters' treatment paths.

    Attributes
    ----------
    labels : array, shape (B, G), path of each cluster
    exhaustive : whether these are all distinct reassignments, the actual one among them
    possible : number of distinct reassignments, approximate beyond 1e13
    alike : whether only those were kept whose arm is like the actual one in size
    dates : treatment dates to which paths were reassigned too, one after another; the actual one
        is the first
    """

    labels: Labels
    exhaustive: bool
    possible: float
    alike: bool = False
    dates: int = 1

    @property
    def lattice(self) -> float:
        """Smallest p-value that a test on these assignments can give."""
        return 1.0 / (len(self.labels) + (not self.exhaustive))


def assignments(
    labels: Integers, *, strata: Integers | None = None, draws: int = 9999, seed: int = 0
) -> Assignments:
    """Return reassignments of treatment paths among exchangeable clusters.

    Parameters
    ----------
    labels : array, shape (G,), code of the path (cohort) each cluster follows
    strata : array, shape (G,), blocks within which clusters are exchangeable; one if None
    draws : reassignments drawn at random; all distinct ones are used if there are no more. With
        tens of thousands of clusters fewer are drawn, as many as 256 MB hold
    seed : of the draws

    Raises
    ------
    InferenceError : all clusters of every stratum follow one path, so that nothing can be
        reassigned

    Source
    ------
    Fisher (1935); Imbens and Rubin (2015), chapter 5.
    """
    blocks = np.zeros(len(labels), dtype=np.int64) if strata is None else strata
    members = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    alone = [int(blocks[m[0]]) for m in members if len(np.unique(labels[m])) == 1]
    if len(alone) == len(members):
        where = "" if strata is None else f" within stratum {listing(alone)}"
        raise InferenceError(
            f"All {plural(len(labels), 'cluster')} follow one treatment path{where}, so no "
            "reassignment differs from the actual one. A permutation test needs treated and "
            "untreated clusters that could have changed places; use wider strata."
        )
    possible = count_assignments(labels, strata)
    if possible <= draws + 0.5:
        return Assignments(_all_arrangements(labels, members), True, possible)
    rng = np.random.default_rng(seed)
    size = max(_FEWEST_DRAWS, min(draws, _MOST_BYTES // len(labels)))
    drawn = np.tile(labels.astype(np.int16), (min(draws, size), 1))
    for m in members:
        drawn[:, m] = _shuffled(rng, drawn[0, m], len(drawn))
    return Assignments(drawn, False, possible)


def comparable_assignments(
    labels: Integers,
    sizes: Floats,
    arm: Integers,
    *,
    strata: Integers | None = None,
    draws: int = 9999,
    seed: int = 0,
) -> Assignments:
    """Return reassignments that give an arm about the actual size and evenness.

    Reassignments fall into six classes: thirds by the arm's total size, halves of each by its
    effective number of clusters, (sum n)^2 / sum n^2, about equal but in full twenties, which
    tests at 5 % and 10 % need. Those of the actual one's class are kept.
    Where a class would hold fewer than 40, the thirds alone are taken, or all; and all where sizes
    are equal, or the arm has fewer than 3 clusters or more than a third of them, since then
    tests/calibration shows no better size within classes.

    Parameters
    ----------
    labels, strata, draws, seed : as in `assignments`; with unequal sizes up to six times as many
        are drawn, so that about ``draws`` are kept
    sizes : array, shape (G,), weight of each cluster
    arm : paths whose clusters make up the arm in question

    Notes
    -----
    Classes depend on sizes alone, never on outcomes, so a test within a class is as exact under
    random assignment as one over all. A t statistic of an arm that one cluster dominates has
    heavier tails than one of even clusters; ranked among all, large or even arms would hardly
    ever reject.

    Source
    ------
    Hennessy, Dasgupta, Miratrix, Pattanayak and Sarkar (2016), Journal of Causal Inference 4(1),
    on conditional randomisation tests.
    """
    even, count = np.ptp(sizes) <= _SAME_SIZE * sizes.max(), int(np.isin(labels, arm).sum())
    if even or not _FEWEST_IN_ARM <= count <= len(labels) / 3:
        return assignments(labels, strata=strata, draws=draws, seed=seed)
    pool = max(draws, min(6 * draws, _MOST_DRAWN // len(labels)))
    drawn = assignments(labels, strata=strata, draws=pool, seed=seed)
    every = (
        drawn.labels
        if drawn.exhaustive
        else np.vstack((drawn.labels, labels.astype(drawn.labels.dtype)))
    )
    own = int(np.flatnonzero((every == labels).all(axis=1))[0])
    totals, evenness = _arm_sizes(every, sizes, np.isin(np.arange(labels.max() + 1), arm))
    for thirds, halves in _CLASSES:
        classes = _classes(totals, evenness, thirds, halves)
        if np.bincount(classes, minlength=thirds * halves).min() < _FEWEST_ALIKE:
            continue
        keep = (classes == classes[own])[: len(drawn.labels)]
        kept, share = drawn.labels[keep], float(keep.mean())
        return replace(drawn, labels=kept, possible=share * drawn.possible, alike=True)
    return drawn


def _arm_sizes(labels: Labels, sizes: Floats, in_arm: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return total size and effective number of clusters of each assignment's arm, both (B,)."""
    totals, squares = np.empty(len(labels)), np.empty(len(labels))
    width = max(1, _MOST_DRAWN // len(sizes))
    for start in range(0, len(labels), width):
        part = slice(start, start + width)
        member = in_arm[labels[part]].astype(np.float64)
        totals[part], squares[part] = member @ sizes, member @ sizes**2
    # Equal arms must not differ by the order in which their sizes were added.
    return np.round(totals / sizes.sum(), 9), np.round(totals**2 / squares, 6)


def _classes(totals: Floats, evenness: Floats, thirds: int, halves: int) -> Integers:
    """Number the classes by total size, and within them by evenness, shape (B,)."""
    first = _codes(totals, thirds)
    result = first * halves
    for code in np.unique(first):
        rows = np.flatnonzero(first == code)
        result[rows] += _codes(evenness[rows], halves)
    return result


def _codes(values: Floats, parts: int) -> Integers:
    """Number about equal parts of rising values so that most of them lie in full twenties.

    A test at 5 % rejects one in twenty of a part, rounded down. Cuts are therefore moved, by no
    more than twenty values, to where the parts hold the most twenties; equal values stay together.
    """
    ordered = np.sort(values)
    rises = np.flatnonzero(np.diff(ordered)) + 1
    if parts == 1 or not len(rises):
        return np.zeros(len(values), dtype=np.int64)
    equal = len(values) * np.arange(1, parts) / parts
    away = np.abs(rises - equal[:, None])
    near = [rises[own <= max(_TWENTY, own.min())] for own in away]
    tried = np.array(list(product(*near)))
    counts = np.diff(tried, axis=1, prepend=0, append=len(values))
    twenties, moved = (counts // _TWENTY).sum(axis=1), np.abs(tried - equal).sum(axis=1)
    cuts = tried[np.lexsort((moved, -twenties))[0]]
    return np.asarray(np.searchsorted(ordered[cuts], values, side="right"))


def _shuffled(rng: np.random.Generator, labels: Labels, draws: int) -> Labels:
    """Draw random orders of a stratum's labels, shape (draws, n).

    Few labels among many clusters get random places; rows in which two meet are drawn again.
    """
    values, counts = np.unique(labels, return_counts=True)
    common = values[counts.argmax()]
    rare = labels[labels != common]
    if 4 * len(rare) ** 2 > len(labels):
        return rng.permuted(np.tile(labels, (draws, 1)), axis=1)
    places = np.empty((draws, len(rare)), dtype=np.int64)
    open_rows = np.arange(draws)
    while len(open_rows):
        places[open_rows] = rng.integers(0, len(labels), (len(open_rows), len(rare)))
        ordered = np.sort(places[open_rows], axis=1)
        open_rows = open_rows[(np.diff(ordered, axis=1) == 0).any(axis=1)]
    result = np.full((draws, len(labels)), common)
    np.put_along_axis(result, places, np.broadcast_to(rare, places.shape), axis=1)
    return result


def count_assignments(labels: Integers, strata: Integers | None = None) -> float:
    """Return the number of distinct reassignments of labels within strata."""
    blocks = np.zeros(len(labels), dtype=np.int64) if strata is None else strata
    log = sum(_log_count(labels[blocks == block]) for block in np.unique(blocks))
    return float(np.round(np.exp(log))) if log < _EXACT_LOG else float(np.exp(min(log, 700.0)))


def _log_count(labels: Integers) -> float:
    """Log of the number of distinct orders of a multiset."""
    counts = np.unique(labels, return_counts=True)[1]
    return lgamma(counts.sum() + 1) - sum(lgamma(c + 1) for c in counts)


def over_dates(drawn: Assignments, labels: Integers, dates: int, with_own: bool) -> Assignments:
    """Return the assignments repeated for each of several dates, the actual date first.

    Parameters
    ----------
    drawn : assignments of paths
    labels : array, shape (G,), the actual assignment
    dates : number of dates
    with_own : whether the actual assignment is one of them, at every date; else it is left out

    Notes
    -----
    With it, the test is exact if the date was drawn at random as well. Without it, errors that
    persist make one of n clusters the farthest astray at all dates at once, and a true null is
    rejected with a chance of up to 1/n; but what treatment did cannot hide what it did.
    """
    rows = drawn.labels if with_own else drawn.labels[(drawn.labels != labels).any(axis=1)]
    return replace(
        drawn,
        labels=np.concatenate([rows] * dates),
        exhaustive=drawn.exhaustive and with_own,
        possible=count_over_dates(drawn.possible, dates, with_own),
        dates=dates,
    )


def count_over_dates(count: float, dates: int, with_own: bool) -> float:
    """Return how many reassignments to places and dates there are, of so many to places."""
    return dates * count if with_own else 1 + dates * (count - 1)


def _all_arrangements(labels: Integers, members: list[NDArray[np.intp]]) -> Integers:
    """List every distinct order within every stratum, shape (B, G)."""
    result = labels[None, :].copy()
    for m in members:
        own = _orders(labels[m])
        result = np.repeat(result, len(own), axis=0)
        result[:, m] = np.tile(own, (len(result) // len(own), 1))
    return result


def _orders(labels: Integers) -> Integers:
    """List the distinct orders of a multiset, shape (B, n)."""
    values = np.unique(labels)
    rows = np.full((1, len(labels)), values[-1], dtype=np.int64)
    free = np.ones((1, len(labels)), dtype=bool)
    for value in values[:-1]:
        places = np.nonzero(free)[1].reshape(len(rows), -1)
        chosen = np.array(list(combinations(range(places.shape[1]), int(np.sum(labels == value)))))
        rows, free = np.repeat(rows, len(chosen), axis=0), np.repeat(free, len(chosen), axis=0)
        at = places[:, chosen].reshape(len(rows), -1)
        np.put_along_axis(rows, at, value, axis=1)
        np.put_along_axis(free, at, False, axis=1)
    return rows
