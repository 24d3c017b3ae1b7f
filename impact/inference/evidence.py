"""What is known of one estimate, and the facts that the choice of its inference depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.inference.auto import LARGE_ARM, Facts
from impact.inference.few_treated import size_variance
from impact.inference.leverage import sole_identifiers
from impact.inference.paths import Paths
from impact.inference.permutation import path_changes
from impact.inference.wild_terms import TwoWayRows

__all__ = ["Blocks", "Corrected", "Evidence", "Placebos"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Corrected = Callable[[Literal["cr2", "cr3"]], tuple[float, float | None]]

MOST_SCALED = 2
"""Clusters of an arm up to which other clusters, fitted to sizes, tell how far its mean strays."""

_FEWEST_TO_FIT = 3
_SAME_SIZE = 1e-9


@dataclass(frozen=True, eq=False)
class Blocks:
    """A regression by cluster: gram (G, k, k), cross (G, k) and the contrast estimated (k,).

    Where blocks are finer than clusters, ``variance_groups`` is what
    `impact.inference.wild.wild_cluster_test` takes.
    """

    gram: Floats
    cross: Floats
    contrast: Floats
    variance_groups: tuple[Integers, ...] | None = None


@dataclass(frozen=True, eq=False)
class Placebos:
    """Inference that an estimator makes of its own replicates: placebos or resamples.

    ``ranked`` gives p-value, interval and lattice from ranks at a level; None where the replicates
    give a standard error only.
    """

    method: str
    ranked: Callable[[float], tuple[float, float, float, float]] | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one estimate.

    Attributes
    ----------
    estimate, std_error, df : as the estimator reports them
    sizes : array, shape (G,), weight of each cluster
    treated_sizes : array, shape (G,), weight of its units that are ever treated
    contributions : returns an array, shape (G,), about whose sum the estimate misses the truth;
        None if unknown
    paths : treatment paths; None, with the reason in ``without_paths``, if clusters follow none
    blocks : the regression; None where the estimator is not one
    subclusters : returns its blocks by unit
    two_way : returns it by row, if two dimensions are clustered on
    other_dimension : clusters in the smallest further dimension clustered on; 0 if there is none
    leverages : arrays, shape (G,) and one for each further dimension clustered on, the share of
        each cluster in the information on a regression's estimate; none with one dimension
    corrected : returns standard error and degrees of freedom of "cr2" or "cr3"; from
        contributions and paths if None
    placebos : the estimator's own replicates, which "auto" then keeps to
    strata : array, shape (G,), blocks within which assignment was random; one if None
    split : which units that treatment was assigned to lie in several clusters; empty if none
    unmeasured : whether no regression, mean path or comparison of treated with untreated units
        tells what share of the estimate each cluster holds
    """

    estimate: float
    std_error: float
    df: float | None
    sizes: Floats
    treated_sizes: Floats
    contributions: Callable[[], Floats] | None = None
    paths: Paths | None = None
    without_paths: str = ""
    blocks: Blocks | None = None
    subclusters: Callable[[], Blocks] | None = None
    two_way: Callable[[], TwoWayRows] | None = None
    other_dimension: int = 0
    leverages: tuple[Floats, ...] = ()
    corrected: Corrected | None = None
    placebos: Placebos | None = None
    strata: Integers | None = None
    split: str = ""
    unmeasured: bool = False

    @property
    def remedy(self) -> str:
        """A method that exists for this estimate, as advice to who asked for one that does not."""
        if self.placebos is not None:
            return (
                'Use method="placebo", which keeps to the placebos or resamples of the estimator.'
            )
        if self.paths is not None:
            return 'Use method="permutation".'
        if self.blocks is not None or self.contributions is not None:
            return 'Use method="wild", or "cr1" where clusters are many.'
        return 'Use method="cr1".'

    @cached_property
    def facts(self) -> Facts:
        """The facts that `impact.inference.auto.choose` decides on."""
        few, many = self.arms
        paths = self.paths
        treated = self.treated_sizes > 0 if paths is None else paths.treated
        return Facts(
            n_clusters=len(self.sizes),
            n_treated=int(treated.sum()),
            effective_arm=_effective(self.leverage if paths is None else self.sizes[few]),
            smallest_cohort=0 if paths is None else _smallest_cohort(paths),
            assignments=0.0 if paths is None else paths.assignments(self.strata),
            max_leverage=float(self.leverage.max()),
            sole_identifier=self._is_identified_by_one,
            size_imprecision=self._size_imprecision,
            correctable=self._is_correctable,
            size_gap=float(self.sizes[many].min() / self.sizes[few].mean()),
            split=self.split,
            other_dimension=self.other_dimension,
            even_others=self._even_others,
            dimensions=max(1, len(self.leverages)),
            unmeasured=self.unmeasured,
            scaled_arm=self.scaled_arm,
            even=bool(np.ptp(self.sizes) <= _SAME_SIZE * self.sizes.max()),
            effective_contributions=self._effective_contributions,
        )

    @cached_property
    def arms(self) -> tuple[Booleans, Booleans]:
        """The arm with fewer effective clusters, then the other; all clusters if one is empty."""
        treated = self.treated_sizes > 0
        other = ~treated
        if self.paths is not None:
            treated, other = self.paths.treated, self.paths.untreated
        if not treated.any() or not other.any():
            return np.ones_like(treated), np.ones_like(treated)
        if _effective(self.sizes[treated]) <= _effective(self.sizes[other]):
            return treated, other
        return other, treated

    @property
    def scaled_arm(self) -> int:
        """Clusters of the smaller arm if they are one or two and all paths are two; else 0."""
        few = int(self.arms[0].sum())
        paths = self.paths
        if paths is None or not paths.are_two or few > MOST_SCALED or few == len(self.sizes):
            return 0
        return few if len(self.sizes) - few >= _FEWEST_TO_FIT else 0

    @property
    def leverage(self) -> Floats:
        """Share of each cluster in the information on the estimate, shape (G,)."""
        if self.blocks is not None:
            gram, contrast = self.blocks.gram, self.blocks.contrast
            direction = np.linalg.solve(gram.sum(axis=0), contrast)
            shares = np.einsum("k,gkl,l->g", direction, gram, direction)
            return np.asarray(shares / (contrast @ direction))
        if self.leverages:
            return self.leverages[0]
        share = self.treated_sizes.sum() / self.sizes.sum()
        if not 0 < share < 1:
            return np.asarray(self.sizes / self.sizes.sum())
        own = self.treated_sizes * (1 - share) ** 2 + (self.sizes - self.treated_sizes) * share**2
        return np.asarray(own / own.sum())

    @property
    def _even_others(self) -> float:
        return min((_effective(shares) / len(shares) for shares in self.leverages[1:]), default=0.0)

    @property
    def average_changes(self) -> Floats:
        """Each cluster's change over the cohorts' average treatment path, shape (G,)."""
        if self.paths is None:
            return np.zeros(len(self.sizes))
        changes = path_changes(self.paths.outcomes, self.paths.cells)
        labels, treated = self.paths.labels, self.paths.treated
        mass = np.bincount(labels[treated], self.sizes[treated], self.paths.never)
        average: Floats = changes @ (mass / mass.sum())
        average[treated] = changes[treated, labels[treated]]
        return average

    @property
    def _effective_contributions(self) -> float:
        told = self.blocks is not None or self.paths is not None or self.unmeasured
        if told or self.contributions is None or len(self.sizes) < LARGE_ARM:
            return 0.0
        return 3.0 * _effective(self.contributions() ** 2)

    @property
    def _is_correctable(self) -> bool:
        if self.corrected is not None:
            return self.blocks is not None
        return self.paths is not None and self.contributions is not None

    @property
    def _is_identified_by_one(self) -> bool:
        if self.blocks is not None:
            return bool(sole_identifiers(self.blocks.gram, self.blocks.contrast).any())
        if self.paths is not None:
            return min(int(arm.sum()) for arm in self.arms) == 1
        untreated = self.sizes - self.treated_sizes > 1e-9 * self.sizes
        return bool(min(np.sum(self.treated_sizes > 0), np.sum(untreated)) == 1)

    @property
    def _size_imprecision(self) -> float:
        few, many = self.arms
        if self.paths is None or few.all():
            return 0.0
        if many.sum() < _FEWEST_TO_FIT:
            return np.inf
        return size_variance(self.errors_of(many), self.sizes[many], self.sizes[few]).imprecision

    def errors_of(self, arm: Booleans) -> Floats:
        """Return deviations of an arm's changes from their mean, one a cluster of the arm."""
        changes = self.average_changes[arm]
        return np.asarray(changes - np.average(changes, weights=self.sizes[arm]))


def _effective(sizes: Floats) -> float:
    """Effective number of clusters, (sum n)^2 / sum n^2."""
    return float(sizes.sum() ** 2 / np.sum(sizes**2))


def _smallest_cohort(paths: Paths) -> int:
    return int(np.unique(paths.labels, return_counts=True)[1].min())
