"""An estimate's reassignments: other clusters, other dates, and the statistics each would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, plural
from impact.inference.assignments import (
    Assignments,
    Labels,
    assignments,
    comparable_assignments,
    over_dates,
)
from impact.inference.evidence import Evidence
from impact.inference.few_treated import size_variance
from impact.inference.paths import Paths
from impact.inference.permutation import Statistics, path_statistics
from impact.inference.scaled_ranks import ArmStatistics, Ranked

__all__ = ["need_paths", "placebo_effects", "reassign", "reassign_jointly"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def reassign(
    evidence: Evidence, method: str, draws: int, seed: int
) -> tuple[Assignments, Ranked, Ranked]:
    """Return reassignments, the statistic of the actual assignment, and theirs.

    Raises
    ------
    InferenceError : clusters follow no whole treatment paths
    """
    labels, by_size = need_paths(evidence, method).labels, method == "permutation_by_size"
    if evidence.scaled_arm == (1 if by_size else 2):
        return _scaled(evidence, draws, seed)
    drawn = (
        assignments(labels, strata=evidence.strata, draws=draws, seed=seed)
        if by_size
        else _comparable(evidence, labels, draws, seed)
    )
    variances = _size_variances(evidence) if by_size else None
    return drawn, *_path_statistics(evidence, drawn, variances)


def reassign_jointly(
    evidence: Evidence, draws: int, seed: int
) -> tuple[Assignments, Ranked, Ranked]:
    """Return the like with reassignments that depend on the seed and who is treated alone."""
    labels = need_paths(evidence, "permutation").labels
    if evidence.scaled_arm:
        return _scaled(evidence, draws, seed)
    drawn = assignments(labels, strata=evidence.strata, draws=draws, seed=seed)
    return drawn, *_path_statistics(evidence, drawn, None)


def _scaled(evidence: Evidence, draws: int, seed: int) -> tuple[Assignments, Ranked, Ranked]:
    """Return the like for an arm of one or two clusters, other dates tried where few are others."""
    paths = need_paths(evidence, "permutation")
    labels, few = paths.labels, evidence.arms[0]
    code = labels[few][0]
    drawn = assignments(labels, strata=evidence.strata, draws=draws, seed=seed)
    if paths.shifted:
        drawn = over_dates(drawn, labels, 1 + len(paths.shifted), paths.with_own)

    def statistics(rows: Labels, *contrasts: Floats) -> ArmStatistics:
        return ArmStatistics(
            np.stack([paths.outcomes @ contrast for contrast in contrasts]),
            np.stack([paths.treatment @ contrast for contrast in contrasts]),
            evidence.sizes,
            np.nonzero(rows == code)[1].reshape(len(rows), -1),
            1.0 if paths.treated[few].all() else -1.0,
        )

    rows = drawn.labels[: len(drawn.labels) // drawn.dates]
    everywhere = statistics(rows, paths.contrast, *paths.shifted)
    return drawn, statistics(labels[None], paths.contrast), everywhere


def placebo_effects(drawn: Assignments, actual: Ranked, reassigned: Ranked) -> Floats:
    """Return effects found at the actual date in outcomes less the estimated effect, shape (B,)."""
    estimate = float(actual.effect[0, 0])
    first = reassigned.effect[:, : len(drawn.labels) // drawn.dates]
    return np.asarray(first[0] - estimate * first[1])


def _comparable(evidence: Evidence, labels: Integers, draws: int, seed: int) -> Assignments:
    """Return reassignments whose smaller arm is about as large and even as the actual one."""
    arm = np.unique(labels[evidence.arms[0]])
    return comparable_assignments(
        labels, evidence.sizes, arm, strata=evidence.strata, draws=draws, seed=seed
    )


def _path_statistics(
    evidence: Evidence, drawn: Assignments, variances: Floats | None
) -> tuple[Ranked, Ranked]:
    """Return the statistics of the actual assignment and of those drawn."""
    paths = need_paths(evidence, "permutation")

    def statistics(labels: Labels) -> Statistics:
        return path_statistics(
            paths.outcomes,
            paths.treatment,
            evidence.sizes,
            labels,
            paths.cells,
            studentise="arms" if variances is None else "sizes",
            size_variances=variances,
        )

    return statistics(paths.labels[None]), statistics(drawn.labels)


def _size_variances(evidence: Evidence) -> Floats:
    """Fit each cluster's error variance to its size on the larger arm, shape (G,)."""
    few, many = evidence.arms
    if many.sum() < 3:
        raise InferenceError(
            f"The larger arm has {plural(int(many.sum()), 'cluster')}; fitting how errors vary "
            'with size takes 3. Use method="permutation".'
        )
    fitted = size_variance(evidence.errors_of(many), evidence.sizes[many], evidence.sizes[few])
    return fitted.at(evidence.sizes)


def need_paths(evidence: Evidence, method: str) -> Paths:
    """Return the paths that a method compares; refuse where clusters follow none."""
    if evidence.paths is None:
        raise InferenceError(
            f'"{method}" compares whole treatment paths of clusters, and here '
            f"{evidence.without_paths or 'no paths are known'}. Cluster at the level of "
            f"assignment. {evidence.remedy}"
        )
    return evidence.paths
