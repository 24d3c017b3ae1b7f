"""What is known of one estimate, gathered from a panel's arrays and the estimate's uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError
from impact.inference.assignments import count_assignments
from impact.inference.auto import LARGE_ARM, Facts
from impact.inference.clusters import BlockScores
from impact.inference.few_treated import size_variance
from impact.inference.leverage import sole_identifiers
from impact.inference.permutation import (
    PathCells,
    path_changes,
    path_contributions,
    path_statistics,
    two_group_cells,
)
from impact.inference.placebo import PlaceboDraws
from impact.inference.scores import Replicates, Uncertainty
from impact.kernels.groups import compact

__all__ = ["Blocks", "Evidence", "Label", "Paths", "Placebos", "Sample", "gather"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Corrected = Callable[[Literal["cr2", "cr3"]], tuple[float, float | None]]

SAME_ESTIMATE = 0.01
"""Standard errors by which a difference in mean paths may miss the estimate it stands for."""
SAME_FORMULA = 1e-6
"""Standard errors within which it is the estimate, not near it by chance."""
LEAST_ALIKE = 0.95
"""Correlation of what clusters contribute to either that otherwise tells so."""

MOST_SCALED = 2
"""Clusters of an arm up to which other clusters, fitted to sizes, tell how far its mean strays."""
FEW_ASSIGNMENTS = 100
"""Reassignments of so few clusters below which other dates of treatment are tried too."""
FEWEST_PLACES = 11
"""Reassignments of clusters that this takes. Errors that persist stray alike at all dates, and one
place of so few is the farthest astray too often."""

FEWEST_WITH_COVARIATES = 5
"""Clusters of the smaller arm from which contributions to estimates with covariates are reassigned:
four of 30 rejected a true null in 8 to 10 % of samples, five of 34 in 4 %."""

_FEWEST_TO_FIT = 3
_SAME_SIZE = 1e-9


@dataclass(frozen=True, eq=False)
class Paths:
    """Clusters that follow whole treatment paths.

    Attributes
    ----------
    labels : array, shape (G,), cohort of each cluster in 0..C-1, or C for never treated
    outcomes : array, shape (G, T), mean outcome by cluster and period
    treatment : array, shape (G, T), 1 in the cells whose effect is in question
    cells : how the estimate is computed from mean paths
    shifted : arrays, shape (T,), weights of the periods had treatment begun at other dates; none
        where reassigning clusters gives enough, or not all treated ones began together
    linear : whether outcomes are what clusters contribute to an estimate that is no difference in
        mean paths: nothing before treatment, the estimate and its errors after
    """

    labels: Integers
    outcomes: Floats
    treatment: Floats
    cells: PathCells
    shifted: tuple[Floats, ...] = ()
    linear: bool = False

    @property
    def never(self) -> int:
        """Label of the never treated."""
        return int(self.cells.compares.shape[1] - 1)

    @property
    def treated(self) -> Booleans:
        """Clusters of the cohorts whose effect the estimate is, shape (G,)."""
        return np.isin(self.labels, self.cells.cohort)

    @property
    def untreated(self) -> Booleans:
        """Clusters never treated, or all other clusters if all are treated in the end, (G,)."""
        never = self.labels == self.never
        return never if never.any() else ~self.treated

    @property
    def are_two(self) -> bool:
        """Whether every cluster is either never treated or of the one cohort in question."""
        return bool(np.isin(self.labels, [self.cells.cohort[0], self.never]).all())

    @property
    def contrast(self) -> Floats:
        """Weights of the periods in the estimate, averaged over its cells, shape (T,)."""
        return np.asarray(np.average(self.cells.contrasts, axis=0, weights=self.cells.incidence))

    def assignments(self, strata: Integers | None) -> float:
        """Count reassignments that differ in who follows the paths in question, and when."""
        coarse = np.where(self.treated, self.labels, self.never)
        count = count_assignments(coarse, strata)
        return 1 + (count - 1) * (1 + len(self.shifted)) if self.shifted else count


@dataclass(frozen=True, eq=False)
class Blocks:
    """A regression by cluster: gram (G, k, k), cross (G, k) and the contrast estimated (k,).

    Where blocks are finer than clusters, ``draw_groups`` and ``variance_groups`` are what
    `impact.inference.wild.wild_cluster_test` takes.
    """

    gram: Floats
    cross: Floats
    contrast: Floats
    draw_groups: Integers | None = None
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
    subclusters, two_way : return its blocks by unit, and by cell of two cluster dimensions
    other_dimension : clusters in the smallest further dimension clustered on; 0 if there is none
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
    two_way: Callable[[], Blocks] | None = None
    other_dimension: int = 0
    corrected: Corrected | None = None
    placebos: Placebos | None = None
    strata: Integers | None = None
    split: str = ""
    unmeasured: bool = False

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
        share = self.treated_sizes.sum() / self.sizes.sum()
        if not 0 < share < 1:
            return np.asarray(self.sizes / self.sizes.sum())
        own = self.treated_sizes * (1 - share) ** 2 + (self.sizes - self.treated_sizes) * share**2
        return np.asarray(own / own.sum())

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


@dataclass(frozen=True)
class Label:
    """Which effect an estimate is: of a cohort, in a period, at an event time; NaN: averaged."""

    cohort: float = np.nan
    time: float = np.nan
    event_time: float = np.nan


@dataclass(frozen=True, eq=False)
class Sample:
    """The panel that was fitted, as arrays.

    Attributes
    ----------
    outcomes : array, shape (N, T), NaN where unobserved
    cohorts : array, shape (N,), first treated period, NaN never treated; None if treatment
        switches off again, or is an amount
    clusters : array, shape (N,), codes 0..G-1
    weights : array, shape (N,); equal if None
    periods : array, shape (T,), rising
    anticipation : periods before treatment in which it may already act
    covariates : array, shape (N, T, k), that comparisons condition on; each unit's first values
        are taken, and what they predict of untreated outcomes is taken off before reassigning
    irregular : why clusters follow no treatment paths although treatment is absorbing, such as
        units that move between them (rows are then a unit's stays, one a cluster); empty if none
    treated : array, shape (N,), who is ever treated; those with a cohort if None
    """

    outcomes: Floats
    cohorts: Floats | None
    clusters: Integers
    weights: Floats | None
    periods: Integers
    anticipation: int = 0
    covariates: Floats | None = None
    irregular: str = ""
    treated: Booleans | None = None

    @property
    def unit_weights(self) -> Floats:
        """Weights, ones if equal, shape (N,)."""
        return np.ones(len(self.clusters)) if self.weights is None else self.weights

    @cached_property
    def sizes(self) -> Floats:
        """Weight of each cluster, shape (G,)."""
        return np.bincount(self.clusters, self.unit_weights).astype(np.float64)

    @cached_property
    def treated_sizes(self) -> Floats:
        """Weight of each cluster's ever-treated units, shape (G,); all of it if unknown."""
        treated = self.treated
        if treated is None:
            if self.cohorts is None:
                return self.sizes
            treated = ~np.isnan(self.cohorts)
        return np.bincount(self.clusters, self.unit_weights * treated).astype(np.float64)

    @cached_property
    def cluster_means(self) -> Floats:
        """Mean outcome by cluster and period over the units observed, shape (G, T)."""
        outcomes = self._adjusted
        seen = ~np.isnan(outcomes)
        mass = np.stack([np.bincount(self.clusters, self.unit_weights * s) for s in seen.T], axis=1)
        filled = np.where(seen, outcomes, 0.0) * self.unit_weights[:, None]
        total = np.stack([np.bincount(self.clusters, column) for column in filled.T], axis=1)
        means: Floats = np.divide(total, mass, out=np.full(total.shape, np.nan), where=mass > 0)
        return means

    def of_clusters(self, used: Integers) -> Sample:
        """Return the rows of some clusters, given rising, as codes 0..len(used) - 1."""
        rows = np.isin(self.clusters, used)
        return replace(
            self,
            outcomes=self.outcomes[rows],
            cohorts=None if self.cohorts is None else self.cohorts[rows],
            clusters=np.searchsorted(used, self.clusters[rows]),
            weights=None if self.weights is None else self.weights[rows],
            covariates=None if self.covariates is None else self.covariates[rows],
            treated=None if self.treated is None else self.treated[rows],
        )

    @property
    def _adjusted(self) -> Floats:
        """Outcomes less what covariates predict of untreated ones, by period, shape (N, T)."""
        if self.covariates is None or not self.covariates.shape[2] or self.cohorts is None:
            return self.outcomes
        known = np.asarray(~np.isnan(self.covariates).any(axis=2))
        x = self.covariates[np.arange(len(known)), np.argmax(known, axis=1)]
        x = np.nan_to_num(x - np.nanmean(x, axis=0))
        design = np.column_stack((np.ones(len(x)), x)) * np.sqrt(self.unit_weights)[:, None]
        onset = np.where(np.isnan(self.cohorts), np.inf, self.cohorts - self.anticipation)
        result = self.outcomes.copy()
        for t, period in enumerate(self.periods):
            rows = (period < onset) & ~np.isnan(self.outcomes[:, t])
            y = self.outcomes[rows, t] * np.sqrt(self.unit_weights[rows])
            result[:, t] -= x @ np.linalg.lstsq(design[rows], y, rcond=None)[0][1:]
        return result

    @property
    def cohort_array(self) -> Floats:
        """Cohorts, shape (N,); empty where treatment is not absorbing."""
        return np.array([]) if self.cohorts is None else self.cohorts

    @cached_property
    def cohort_values(self) -> Floats:
        """Cohorts in order of adoption, shape (C,)."""
        return np.unique(self.cohort_array[~np.isnan(self.cohort_array)])

    @cached_property
    def labels(self) -> Integers | None:
        """Cohort of each cluster, C for never treated; None where units of one differ."""
        if self.cohorts is None or self.irregular:
            return None
        own = np.searchsorted(self.cohort_values, self.cohorts)
        low = np.full(len(self.sizes), len(self.cohort_values))
        high = np.zeros(len(self.sizes), dtype=np.int64)
        np.minimum.at(low, self.clusters, own)
        np.maximum.at(high, self.clusters, own)
        return low if np.array_equal(low, high) else None

    @property
    def without_paths(self) -> str:
        """Why clusters follow no whole treatment path; empty if they do."""
        if self.cohorts is None:
            return "treatment switches off again or is an amount"
        if self.irregular:
            return self.irregular
        if self.labels is None:
            return "treatment starts at different times for units of one cluster"
        if np.isnan(self.cluster_means).any():
            return "some clusters are not observed in some periods"
        return ""


def gather(
    sample: Sample,
    uncertainty: Uncertainty,
    row: int,
    *,
    estimate: float,
    std_error: float,
    label: Label,
    strata: Integers | None = None,
    split: str = "",
    units: Integers | None = None,
    of_arms: bool = True,
) -> Evidence:
    """Gather what is known of the estimate in one row of a result.

    Parameters
    ----------
    sample : the panel
    uncertainty : joint uncertainty of all rows
    row : which of its columns this estimate is
    estimate, std_error : as reported
    label : which effect it is
    strata : array, shape (G,), blocks within which assignment was random
    split : which units that treatment was assigned to lie in several clusters; empty if none
    units : array, shape (n,), unit of each row of the design
    of_arms : whether the estimate compares treated with untreated clusters over the same periods,
        as effects by date do and a coefficient beside others may not

    Notes
    -----
    Paths compute the estimate as a difference in cluster-mean paths. Of the usual forms (from
    the last period before treatment or from the mean of all; against clusters not yet treated
    or never treated) the one that gives the estimate is taken: to rounding, or to a hundredth of
    its standard error if clusters contribute alike to both. Group-time estimators without
    covariates have one; where no form gives the estimate what clusters contribute to it takes
    their place (``Paths.linear``), which large samples allow as they do the bootstrap of scores,
    if whole clusters were treated together.
    """
    regression = uncertainty if isinstance(uncertainty, BlockScores) else None
    reason = sample.without_paths or _large_arms(sample, label)
    contributions = _contributions(uncertainty, row)
    paths = None if reason else _paths(sample, label, estimate, std_error, contributions)
    if paths is None and not reason:
        reason = "no difference of mean paths gives this estimate"
    if paths is None and of_arms and contributions is not None and not _large_arms(sample, label):
        paths = _linear_paths(sample, label, estimate, contributions)
        reason = "" if paths is not None else reason
    blocks = None if regression is None else _blocks(regression, row)
    within = sample.labels is None
    by_groups = sample.cohorts is not None if regression is None else len(regression.clusters) > 1
    found = Evidence(
        estimate=estimate,
        std_error=std_error,
        df=uncertainty.df,
        sizes=sample.sizes,
        treated_sizes=sample.treated_sizes,
        contributions=contributions,
        paths=paths,
        without_paths=reason,
        blocks=blocks,
        subclusters=None
        if regression is None or units is None
        else partial(_subclusters, regression, row, units),
        two_way=None if regression is None else partial(_two_way, regression, row),
        other_dimension=0 if regression is None else _other_dimension(regression),
        corrected=None
        if regression is None or regression.uncorrected
        else _corrections(regression, row),
        placebos=_placebos(uncertainty, row, estimate),
        strata=strata,
        split=split,
        unmeasured=blocks is None and paths is None and not (by_groups and within and of_arms),
    )
    return _with_dates(found, sample, label)


def _with_dates(evidence: Evidence, sample: Sample, label: Label) -> Evidence:
    """Add the other dates at which reassignments of one or two clusters are tried, if few exist."""
    paths = evidence.paths
    if paths is None or paths.linear or not evidence.scaled_arm:
        return evidence
    if not FEWEST_PLACES <= paths.assignments(evidence.strata) < FEW_ASSIGNMENTS:
        return evidence
    return replace(evidence, paths=replace(paths, shifted=_shifted(sample, paths, label)))


def _placebos(uncertainty: Uncertainty, row: int, estimate: float) -> Placebos | None:
    if isinstance(uncertainty, Replicates):
        return Placebos(uncertainty.method)
    if not isinstance(uncertainty, PlaceboDraws):
        return None
    own = uncertainty.combine(np.eye(uncertainty.draws.shape[1])[[row]])

    def ranked(level: float) -> tuple[float, float, float, float]:
        low, high = own.intervals(np.array([estimate]), level)[0]
        return float(own.p_values(np.array([estimate]))[0]), float(low), float(high), own.p_lattice

    return Placebos(own.method, ranked)


def _contributions(uncertainty: Uncertainty, row: int) -> Callable[[], Floats] | None:
    """Return a call for one column of contributions; None where replicates give none."""
    if isinstance(uncertainty, Replicates | PlaceboDraws):
        return None

    def column() -> Floats:
        every = uncertainty.contributions()
        if every is None:
            raise InferenceError(
                f"The uncertainty of this estimate ({uncertainty.method}) does not tell what each "
                "cluster contributes. Use the permutation test."
            )
        return every[:, row]

    return column


def _large_arms(sample: Sample, label: Label) -> str:
    """Say that the arms are too large for reassignment to add anything; empty if not."""
    if sample.labels is None:
        return ""
    counts = np.bincount(sample.labels, minlength=len(sample.cohort_values) + 1)
    cohorts = sorted({c for c, _ in _wanted(sample, label)})
    treated, never = counts[cohorts].sum(), counts[-1]
    other = never if never else counts.sum() - treated
    if min(treated, other) < LARGE_ARM:
        return ""
    return f"both arms have {LARGE_ARM} clusters or more, where reassigning adds nothing"


def _blocks(regression: BlockScores, row: int) -> Blocks | None:
    """Return the regression's blocks, None where effects that cross clusters are too many."""
    try:
        blocks = regression.blocks
    except InferenceError:
        return None
    return Blocks(blocks.gram, blocks.cross, regression.wide_contrast[row])


def _subclusters(regression: BlockScores, row: int, units: Integers) -> Blocks:
    """Return blocks by unit, which draw for themselves while variances are by cluster."""
    found, home = regression.subcluster_blocks(compact(units))
    contrast = np.pad(regression.contrast[row], (0, found.gram.shape[1] - len(regression.fit.kept)))
    return Blocks(found.gram, found.cross, contrast, variance_groups=(home,))


def _two_way(regression: BlockScores, row: int) -> Blocks:
    """Return blocks by cell of two dimensions; draws are by the first."""
    found, (first, second) = regression.two_way_blocks()
    contrast = np.pad(regression.contrast[row], (0, found.gram.shape[1] - len(regression.fit.kept)))
    return Blocks(found.gram, found.cross, contrast, first, (first, second))


def _other_dimension(regression: BlockScores) -> int:
    return min((groups.size for groups in regression.clusters[1:]), default=0)


def _corrections(regression: BlockScores, row: int) -> Corrected:
    def corrected(kind: Literal["cr2", "cr3"]) -> tuple[float, float | None]:
        other = regression.with_kind("CR2" if kind == "cr2" else "CR3")
        freedom = float(other.freedoms[row])
        error = float(np.sqrt(other.variances()[row]))
        return error, None if np.isnan(freedom) else freedom

    return corrected


def _paths(
    sample: Sample,
    label: Label,
    estimate: float,
    std_error: float,
    contributions: Callable[[], Floats] | None,
) -> Paths | None:
    """Return the difference in mean paths that gives the estimate; None if none does."""
    labels = sample.labels
    if labels is None:
        return None
    nearest, distance = None, SAME_ESTIMATE * std_error
    forms = product((False, True), (True, False))
    for all_before, compare_not_yet in forms:
        cells = _path_cells(sample, labels, label, all_before, compare_not_yet)
        if cells is None:
            continue
        treatment = _treatment(sample, labels, label)
        found = path_statistics(
            sample.cluster_means, treatment, sample.sizes, labels[None], cells, studentise="none"
        )
        gap = abs(float(found.effect[0, 0]) - estimate)
        if gap < distance * (1 - 1e-9) and found.effect[1, 0] != 0:
            nearest = Paths(labels, sample.cluster_means, treatment, cells)
            distance = gap
    if nearest is None or contributions is None or distance <= SAME_FORMULA * std_error:
        return nearest
    return nearest if _are_alike(nearest, sample.sizes, contributions()) else None


def _are_alike(paths: Paths, sizes: Floats, contributions: Floats) -> bool:
    """Whether clusters contribute to an estimate what they do to the difference in mean paths."""
    if len(contributions) != len(sizes):
        return False
    own = path_contributions(paths.outcomes, sizes, paths.labels, paths.cells)
    length = np.linalg.norm(own) * np.linalg.norm(contributions)
    return bool(own @ contributions >= LEAST_ALIKE * length)


def _linear_paths(
    sample: Sample, label: Label, estimate: float, contributions: Callable[[], Floats]
) -> Paths | None:
    """Return paths of what clusters contribute; None where clusters do not form two arms.

    A cluster contributes its share of its arm times its error, with the arm's sign. Cohorts whose
    effect is not in question would be compared in some periods only, so there must be none. What
    covariates predict is fitted to the clusters themselves, which takes some in either arm.
    """
    if sample.labels is None:
        return None
    treated = np.isin(sample.labels, sorted({c for c, _ in _wanted(sample, label)}))
    if len(np.unique(sample.labels[~treated])) != 1 or not treated.any():
        return None
    adjusted = sample.covariates is not None and sample.covariates.shape[2] > 0
    if adjusted and min(treated.sum(), (~treated).sum()) < FEWEST_WITH_COVARIATES:
        return None
    psi = contributions()
    if len(psi) != len(treated) or not np.isfinite(psi).all() or not psi[~treated].all():
        return None
    errors = np.zeros(len(psi))
    for arm, sign in ((treated, 1.0), (~treated, -1.0)):
        own = sign * psi[arm] * sample.sizes[arm].sum() / sample.sizes[arm]
        errors[arm] = own - np.average(own, weights=sample.sizes[arm])
    after = np.where(treated, estimate, 0.0) + errors
    return Paths(
        labels=np.where(treated, 0, 1),
        outcomes=np.column_stack((np.zeros(len(psi)), after)),
        treatment=np.column_stack((np.zeros(len(psi)), treated)),
        cells=two_group_cells(),
        linear=True,
    )


def _shifted(sample: Sample, paths: Paths, label: Label) -> tuple[Floats, ...]:
    """Return the weights of periods had the one cohort been treated from other periods on."""
    treated = ~np.isnan(sample.cohort_array)
    start = int(np.searchsorted(sample.periods, sample.cohort_values[0]))
    all_before = bool(np.count_nonzero(paths.cells.contrasts[0] < 0) > 1)
    found = []
    for onset, period in enumerate(sample.periods):
        moved = _moved(sample, label, onset - start) if onset != start else None
        if moved is not None:
            other = replace(sample, cohorts=np.where(treated, float(period), np.nan))
            cells = _path_cells(other, paths.labels, moved, all_before, True)
            if cells is not None:
                found.append(np.average(cells.contrasts, axis=0, weights=cells.incidence))
    return tuple(np.asarray(weights) for weights in found)


def _moved(sample: Sample, label: Label, periods: int) -> Label | None:
    """Return the label of the same effect some periods later; None beyond the panel."""
    dates = []
    for value in (label.cohort, label.time):
        at = np.flatnonzero(sample.periods == value) + periods
        if not np.isnan(value) and not (len(at) and 0 <= at[0] < len(sample.periods)):
            return None
        dates.append(np.nan if np.isnan(value) else float(sample.periods[at[0]]))
    return Label(dates[0], dates[1], label.event_time)


def _wanted(sample: Sample, label: Label) -> Iterator[tuple[int, int]]:
    """Yield (cohort, period) positions of the cells that the labelled effect averages."""
    dated = not np.isnan([label.time, label.event_time]).all()
    before_too = not np.isnan(label.event_time) or (dated and not np.isnan(label.cohort))
    for c, cohort in enumerate(sample.cohort_values):
        if not (np.isnan(label.cohort) or label.cohort == cohort):
            continue
        for t, period in enumerate(sample.periods):
            at_time = np.isnan(label.time) or label.time == period
            at_event = np.isnan(label.event_time) or label.event_time == period - cohort
            if at_time and at_event and (before_too or period >= cohort):
                yield c, t


def _path_cells(
    sample: Sample, labels: Integers, label: Label, all_before: bool, compare_not_yet: bool
) -> PathCells | None:
    onsets = sample.cohort_values - sample.anticipation
    never, present = len(onsets), np.bincount(labels, minlength=len(onsets) + 1) > 0
    rows = []
    for c, t in _wanted(sample, label):
        before = np.flatnonzero(sample.periods < onsets[c])
        if not len(before):
            continue
        base = before if all_before else before[-1:]
        contrast = np.zeros(len(sample.periods))
        contrast[t] += 1.0
        contrast[base] -= 1.0 / len(base)
        last = sample.periods[max(t, int(base[-1]))]
        pool = np.append(compare_not_yet & (onsets > last), True)
        pool[c] = False
        pool &= present
        if contrast.any() and pool.any():
            rows.append((c, pool, contrast))
    if not rows:
        return None
    cohort, compares, contrasts = (np.array(column) for column in zip(*rows, strict=True))
    incidence = 1.0 / np.bincount(cohort, minlength=never)[cohort]
    return PathCells(cohort, compares, contrasts, incidence)


def _treatment(sample: Sample, labels: Integers, label: Label) -> Floats:
    """Mark the cells treated by the actual assignment; only the label's if before treatment."""
    onset = np.append(sample.cohort_values - sample.anticipation, np.inf)
    treated = sample.periods >= onset[labels][:, None]
    wanted = list(_wanted(sample, label))
    if all(sample.periods[t] < onset[c] for c, t in wanted):
        treated[:] = False
        for c, t in wanted:
            treated[labels == c, t] = True
    return treated.astype(np.float64)
