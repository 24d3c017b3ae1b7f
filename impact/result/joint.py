"""Tests that several estimates are all zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import EstimationError, plural
from impact.inference import bands
from impact.inference.auto import MANY_TREATED
from impact.inference.clusters import BlockScores
from impact.result.estimates import Estimates
from impact.result.judgement import (
    doubted,
    doubts_two_way,
    has_few_replicates,
    reason_withheld,
    refuse_split_assignment,
)

__all__ = ["JointTest", "joint_wald_test"]

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class JointTest:
    """A test that several estimates are all zero.

    ``restrictions`` is the rank of their covariance; ``df`` the denominator degrees of
    freedom of the F form, None for the chi-square form.
    """

    question: str
    statistic: float
    restrictions: int
    p_value: float
    df: float | None = None
    note: str = ""

    def __str__(self) -> str:
        known = f", p = {self.p_value:.4f}" if self.p_value >= 5e-5 else ", p < 0.0001"
        return (
            f"{self.question}: statistic {self.statistic:.4g} with "
            f"{plural(self.restrictions, 'restriction')}"
            f"{'' if np.isnan(self.p_value) else known}{f' ({self.note})' if self.note else ''}"
        )


def joint_wald_test(of: Estimates, keep: Booleans, question: str) -> JointTest:
    """Test that the estimates marked are zero, as ``Result.joint_test`` describes."""
    keep = _marks(of, keep)
    if not (keep & (of.std_errors > 0)).any():
        raise EstimationError(
            f"{question!r} cannot be tested: none of the {plural(len(of), 'estimate')} is of "
            "that kind with a standard error. More periods before treatment would be needed."
        )
    refuse_split_assignment(of)
    own, method = of.uncertainty, of.request.method
    if isinstance(own, BlockScores) and "CR2" in (own.kind, str(method).upper()):
        return _hotelling_cr2(own, of, keep, question)
    matrix = of.covariance().to_numpy()[np.ix_(keep, keep)]
    statistic, rank, p_value = bands.joint_wald(of.estimates[keep], matrix, df=own.df)
    if reason := reason_withheld(of, keep):
        return JointTest(question, statistic, rank, np.nan, own.df, f"no p-value: {reason}")
    if method in (None, "auto") and doubts_two_way(of, keep):
        why = "no p-value: two-way covariances do not hold for all of these estimates"
        return JointTest(question, statistic, rank, np.nan, own.df, why)
    support, replicated = of.support, has_few_replicates(of)
    fewest = float(support.smaller_arms[keep].min()) if support.has_cohorts else np.inf
    few = fewest < MANY_TREATED and (support.is_large or replicated)
    if method is None and not (doubted(of)[keep].any() or (few and replicated)):
        return JointTest(question, statistic, rank, p_value, own.df)
    return _hotelling_few(of, question, statistic, rank, int(fewest) if few else None)


def _marks(of: Estimates, keep: Booleans) -> Booleans:
    """Return marks of estimates, shape (K,); refuse positions, names and other lengths."""
    marks = np.asarray(keep)
    if marks.dtype != np.bool_ or marks.shape != (len(of),):
        raise EstimationError(
            f"keep says true or false for each of the {plural(len(of), 'estimate')}; it was "
            f"{plural(marks.size, 'value')} of type {marks.dtype}. Mark them by the cells, for "
            'instance keep=result.cells["event_time"] >= 0.'
        )
    return marks


def _hotelling_cr2(own: BlockScores, of: Estimates, keep: Booleans, question: str) -> JointTest:
    """Test regression coefficients by Hotelling's approximation with CR2 (HTZ)."""
    rows = np.eye(len(own.contrast))[np.flatnonzero(keep)]
    cr2 = own.combine(rows).hotelling_test(of.estimates[keep])
    note = "Hotelling's F with CR2" + ("" if cr2.p_value >= 0 else ", too few clusters")
    return JointTest(question, cr2.statistic, cr2.restrictions, cr2.p_value, cr2.df, note)


def _hotelling_few(
    of: Estimates, question: str, statistic: float, rank: int, fewest: int | None
) -> JointTest:
    """Compare a Wald statistic with Hotelling's two-sample law for G clusters.

    ``fewest`` are the treated clusters of the estimate that has fewest; None for the design's.
    """
    treated, untreated = of.support.arm_sizes
    clusters = min(treated + untreated, of.uncertainty.n_clusters)
    arm = fewest or min(treated, untreated) or (treated + untreated) // 2
    freedom = clusters - 1 - rank
    if arm <= rank or freedom < 1:
        return JointTest(
            question, statistic, rank, np.nan, float(freedom),
            f"no p-value: {plural(rank, 'restriction')} and {plural(arm, 'cluster')} in the "
            "smaller arm",
        )  # fmt: skip
    scaled = statistic * (arm - 1) / arm * freedom / (rank * (clusters - 2))
    p_value = float(special.fdtrc(rank, freedom, scaled))
    return JointTest(
        question, scaled * rank, rank, p_value, float(freedom), "Hotelling's F for few clusters"
    )
