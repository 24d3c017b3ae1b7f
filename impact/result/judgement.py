"""Each estimate is judged by itself: its own standard error holds, or another method is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, plural
from impact.inference.auto import MANY_TREATED, choose, refuse_split
from impact.inference.clusters import BlockScores
from impact.inference.dispatch import Inference, infer, nothing
from impact.inference.evidence import Evidence
from impact.inference.gather import gather
from impact.inference.placebo import PlaceboDraws
from impact.inference.sample import Label
from impact.inference.scores import CovarianceScores, Replicates, Scores
from impact.result.estimates import COMBINED, Estimates

__all__ = [
    "CLUSTERED",
    "doubted",
    "doubts_two_way",
    "evidence_of",
    "freedoms",
    "has_few_replicates",
    "judge",
    "least_freedom",
    "reason_withheld",
    "refuse_split_assignment",
]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

CHEAP = 5000
"""Doubted estimates times clusters up to which methods for few clusters are run unasked in large
designs; about a second takes 2,000."""
CHEAP_BLOCKS = 10**7
"""Numbers in a regression's blocks by cluster up to which the same holds."""

CLUSTERED = ("cr1", "cr2", "cr3")
"""Methods that are a standard error with a t or normal law."""

OWN_ERRORS = '.std_errors has the estimator\'s own; infer("cr1") prints with them'
"""Where to find standard errors that are not read by default."""


def judge(of: Estimates, level: float) -> list[Inference | None]:
    """Return the inference of each estimate; None where the estimator's own is taken."""
    support, method, own = of.support, of.request.method, of.uncertainty
    if isinstance(own, PlaceboDraws) and own.doubt:
        return [nothing(own.doubt, float(estimate), level) for estimate in of.estimates]
    refuse_split_assignment(of)
    every = method is not None
    wanted = np.ones(len(of), dtype=bool) if every else doubted(of)
    wanted = wanted & ~np.isnan(of.std_errors)
    if not wanted.any() or (method == "cr1" and not support.is_known):
        return [None] * len(of)
    if every and not support.is_known:
        raise InferenceError(
            f"{_rests_on_some(of)}, so other methods cannot match them. "
            "Leave out the units it does not use from the design."
        )
    cheap = every or not support.is_large or _is_cheap(of, int(wanted.sum()))
    return [
        _judge_row(of, row, level, cheap=cheap) if wanted[row] else None for row in range(len(of))
    ]


def refuse_split_assignment(of: Estimates) -> None:
    """Refuse to choose a method where clusters split what was assigned as a whole."""
    if of.request.method in (None, "auto"):
        refuse_split(of.support.split)


def _judge_row(of: Estimates, row: int, level: float, *, cheap: bool) -> Inference | None:
    """Return the inference of one estimate; None where the estimator's own holds."""
    request, support, estimate = of.request, of.support, float(of.estimates[row])
    if reason := reason_withheld(of, np.arange(len(of)) == row):
        return nothing(f"{reason}; {OWN_ERRORS}", estimate, level)
    if not support.is_known:
        return nothing(f"{_rests_on_some(of)}, not known which; {OWN_ERRORS}", estimate, level)
    thin = request.method is None and support.is_large
    if thin and not (cheap and support.has_rows):
        return nothing(_thin_reason(of, row), estimate, level)
    evidence = evidence_of(of, row)
    if thin and evidence.paths is None and evidence.blocks is None:
        return nothing(_thin_reason(of, row), estimate, level)
    chosen = None if request.method else choose(evidence.facts).method
    clustered = chosen == "cr1" or (thin and chosen in CLUSTERED)
    measured = evidence.blocks is not None or len(evidence.leverages) > 1
    if clustered and not measured and support.smaller_arms[row] < MANY_TREATED:
        return nothing(_thin_reason(of, row), estimate, level)
    if chosen == "cr1":
        return None
    return infer(
        evidence, request.method or "auto", draws=request.draws, seed=request.seed, level=level
    )


def _is_cheap(of: Estimates, n_rows: int) -> bool:
    """Whether methods for few clusters take seconds at most for so many estimates."""
    own, clusters = of.uncertainty, of.support.n_clusters
    width = own.contrast.shape[1] if isinstance(own, BlockScores) else 0
    return n_rows * clusters <= CHEAP and clusters * width**2 <= CHEAP_BLOCKS


def _thin_reason(of: Estimates, row: int) -> str:
    """Say how few clusters an estimate of a large design rests on."""
    few = plural(round(of.support.smaller_arms[row]), "cluster")
    return f"the smaller arm has about {few}; {OWN_ERRORS}"


def _rests_on_some(of: Estimates) -> str:
    return (
        f"{of.estimator} rests on {of.support.n_clusters} of the design's "
        f"{plural(of.design.n_clusters, 'cluster')}"
    )


def evidence_of(of: Estimates, row: int) -> Evidence:
    """Return what is known of one estimate, as arrays for `impact.inference`."""
    sample, design = of.support.sample, of.design
    cohort, time, event_time = (
        float(of.cells[name].iloc[row]) for name in ("cohort", "time", "event_time")
    )
    term = of.cells["term"].iloc[row]
    of_covariate = term in design.covariates
    dated = not np.isnan([cohort, time, event_time]).all()
    return gather(
        replace(sample, cohorts=None, treated=None) if of_covariate else sample,
        of.uncertainty,
        row,
        estimate=float(of.estimates[row]),
        std_error=float(of.std_errors[row]),
        label=Label(cohort, time, event_time),
        strata=of.support.strata(of.request.strata),
        split=of.support.split,
        units=None if design.table is not None else design.sample.unit_codes,
        of_arms=dated or term == "att",
    )


def reason_withheld(of: Estimates, keep: Booleans) -> str:
    """Say why marked estimates, (K,), have no p-value unless a method is named; else empty."""
    if of.request.method not in (None, "auto"):
        return ""
    reasons = _reasons(of)
    return next((reasons[row] for row in np.flatnonzero(keep) if reasons[row]), "")


def _reasons(of: Estimates) -> list[str]:
    """Say of each estimate why no law is known for it, shape (K,); empty where one is."""
    own, of_treatment = of.uncertainty, _without_law(of)
    reasons = list(own.without_law) if isinstance(own, CovarianceScores) else []
    reasons = reasons[: len(of)] or [""] * len(of)
    if not of_treatment:
        return reasons
    marked = zip(_of_treatment(of), reasons, strict=True)
    return [of_treatment if treated else reason for treated, reason in marked]


def _without_law(of: Estimates) -> str:
    """Say why no law is known for coefficients of treatment; empty where none is missing."""
    own = of.uncertainty
    if isinstance(own, Scores):
        return own.without_law
    if not _rests_on_moments(of):
        return ""
    treated, other = of.support.arm_sizes
    if (min(treated, other) or (treated + other) / 2) >= MANY_TREATED:
        return ""
    return (
        f"{plural(treated + other, 'cluster')}, {treated} treated: tests by moments' robust "
        f"standard errors hold from about {MANY_TREATED} treated and {MANY_TREATED} untreated"
    )


def _rests_on_moments(of: Estimates) -> bool:
    """Whether errors are the robust ones of GMM, read by the normal law."""
    robust = of.settings.get("covariance") == "robust"
    return robust and isinstance(of.uncertainty, CovarianceScores)


def _of_treatment(of: Estimates) -> Booleans:
    """Mark coefficients of the treatment among a regression's, shape (K,).

    Combinations do not say what they hold of it, so each is marked.
    """
    design = of.design
    if design.treatment_column is None:
        return np.zeros(len(of), dtype=bool)
    if of.estimand.endswith(COMBINED):
        return np.ones(len(of), dtype=bool)
    return np.asarray(of.cells["term"] == (design.treated or design.dose or "treated"))


def doubted(of: Estimates) -> Booleans:
    """Mark estimates whose own standard errors are not taken without a look, shape (K,)."""
    withheld = np.array([bool(reason) for reason in _reasons(of)], dtype=bool)
    if withheld.any():
        return withheld
    if _keeps_own(of):
        return np.zeros(len(of), dtype=bool)
    if not of.support.is_large:
        return np.ones(len(of), dtype=bool)
    return of.support.smaller_arms < MANY_TREATED


def doubts_two_way(of: Estimates, keep: Booleans) -> bool:
    """Whether two dimensions are clustered on and cannot both tell some marked estimate, (K,)."""
    own = of.uncertainty
    if not isinstance(own, BlockScores) or len(own.clusters) < 2:
        return False
    rows = np.flatnonzero(keep & doubted(of) & (of.std_errors > 0))
    return any(choose(evidence_of(of, int(row)).facts).method != "cr1" for row in rows)


def _keeps_own(of: Estimates) -> bool:
    """Whether the estimator's own standard errors are taken whatever the clusters."""
    design, own = of.design, of.uncertainty
    if design.treatment_column is None or not design.facts.n_treated_units:
        return True
    if isinstance(own, Replicates) or (isinstance(own, Scores) and own.keeps_law):
        return True
    if of.settings.get("covariance", "CR1") != "CR1":
        return True
    return len(design.cluster_columns) > 1 and not isinstance(own, BlockScores)


def has_few_replicates(of: Estimates) -> bool:
    """Whether replicates, read by the normal law, may rest on few treated clusters."""
    return isinstance(of.uncertainty, Replicates) and of.uncertainty.df is None


def freedoms(of: Estimates) -> Floats:
    """Return the degrees of freedom of each estimate, (K,); infinite for the normal law."""
    own = of.uncertainty
    shared = np.inf if own.df is None else own.df
    if isinstance(own, BlockScores):
        found = own.freedoms[: len(of)]
        return np.where(np.isnan(found), shared, found)
    if has_few_replicates(of) and of.support.has_cohorts:
        arms = of.support.smaller_arms
        return np.where(arms < MANY_TREATED, np.maximum(arms - 1, 1.0), np.inf)
    return np.full(len(of), shared)


def least_freedom(of: Estimates) -> float | None:
    """Return the degrees of freedom of intervals that hold at once; None for the normal law."""
    if not has_few_replicates(of):
        return of.uncertainty.df
    least = float(freedoms(of).min(initial=np.inf))
    return least if np.isfinite(least) else None
