"""Reassignments of treatment paths among exchangeable clusters: all of them, or random ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, listing, plural

__all__ = ["Assignments", "Labels", "assignments", "count_assignments"]

Integers = NDArray[np.int64]
Labels = NDArray[np.int64] | NDArray[np.int16]

_EXACT_LOG = 30.0
_MOST_BYTES = 2**27
_FEWEST_DRAWS = 199


@dataclass(frozen=True, eq=False)
class Assignments:
    """Hold reassignments of the clusters' treatment paths.

    Attributes
    ----------
    labels : array, shape (B, G), path of each cluster
    exhaustive : whether these are all distinct reassignments, the actual one among them
    possible : number of distinct reassignments, approximate beyond 1e13
    """

    labels: Labels
    exhaustive: bool
    possible: float

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
