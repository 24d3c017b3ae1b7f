"""Evidence on the rows of a result, gathered from the sample and the joint uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError
from impact.inference.auto import LARGE_ARM
from impact.inference.clusters import BlockScores
from impact.inference.evidence import Blocks, Corrected, Evidence, Placebos
from impact.inference.paths import contribution_paths, mean_paths, shifted_contrasts, wanted_cells
from impact.inference.placebo import PlaceboDraws
from impact.inference.sample import Label, Sample
from impact.inference.scores import Replicates, Uncertainty
from impact.kernels.groups import compact

__all__ = ["gather"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FEW_ASSIGNMENTS = 100
"""Reassignments of so few clusters below which other dates of treatment are tried too."""
FEWEST_PLACES = 11
"""Reassignments of clusters that this takes; tests/calibration has none with fewer."""
FEWEST_WITHOUT_OWN = 20
"""Reassignments of clusters from which those treated need not be reassigned to other dates too:
where errors persist, that one of so many is the farthest astray at all dates rejects in 5 %."""


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
    paths = None if reason else mean_paths(sample, label, estimate, std_error, contributions)
    if paths is None and not reason:
        reason = "no difference of mean paths gives this estimate"
    if paths is None and of_arms and contributions is not None and not _large_arms(sample, label):
        paths = contribution_paths(sample, label, estimate, contributions)
        reason = "" if paths is not None else reason
    blocks = None if regression is None else _blocks(regression, row)
    several = regression is not None and len(regression.clusters) > 1
    leverages = regression.leverages(row) if regression is not None and several else ()
    within = sample.labels is None
    by_groups = sample.cohorts is not None if regression is None else several
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
        two_way=None if regression is None else partial(regression.two_way_rows, row),
        other_dimension=0 if regression is None else _other_dimension(regression),
        leverages=leverages,
        corrected=None
        if regression is None or regression.uncorrected
        else _corrections(regression, row),
        placebos=_placebos(uncertainty, row, estimate),
        strata=strata,
        split=split,
        unmeasured=not (blocks or leverages or paths or (by_groups and within and of_arms)),
    )
    return _with_dates(found, sample, label)


def _with_dates(evidence: Evidence, sample: Sample, label: Label) -> Evidence:
    """Add the other dates at which reassignments of one or two clusters are tried, if few exist."""
    paths = evidence.paths
    if paths is None or paths.linear or not evidence.scaled_arm:
        return evidence
    count = paths.assignments(evidence.strata)
    if not FEWEST_PLACES <= count < FEW_ASSIGNMENTS:
        return evidence
    paths = replace(paths, with_own=count < FEWEST_WITHOUT_OWN)
    return replace(evidence, paths=replace(paths, shifted=shifted_contrasts(sample, paths, label)))


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
    cohorts = sorted({c for c, _ in wanted_cells(sample, label)})
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


def _other_dimension(regression: BlockScores) -> int:
    return min((groups.size for groups in regression.clusters[1:]), default=0)


def _corrections(regression: BlockScores, row: int) -> Corrected:
    def corrected(kind: Literal["cr2", "cr3"]) -> tuple[float, float | None]:
        other = regression.with_kind("CR2" if kind == "cr2" else "CR3")
        freedom = float(other.freedoms[row])
        error = float(np.sqrt(other.variances()[row]))
        return error, None if np.isnan(freedom) else freedom

    return corrected
