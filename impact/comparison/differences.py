"""Differences between estimators, judged by the clusters both rest on as any estimate is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.comparison.arms import Arms, joint_by_arms
from impact.design import Design
from impact.errors import InferenceError, plural
from impact.inference import bands
from impact.inference.auto import MANY_TREATED
from impact.inference.paths import FEWEST_WITH_COVARIATES
from impact.inference.scores import Scores
from impact.result import JointTest, Result
from impact.result.estimates import CELL_COLUMNS, COMBINED, InferenceRequest
from impact.result.judgement import doubted, reason_withheld, refuse_split_assignment

__all__ = ["agreement_test", "difference_of", "matching_rows", "rows_of_differences"]

Floats = NDArray[np.float64]
Pairs = Sequence[tuple[float, int, int]]

NEGLIGIBLE = 1e-9
"""A difference, or its standard error, relative to the estimate's, that is rounding alone."""

ASKED = InferenceRequest("cr1")
"""The request of both results by which their differences too are read by standard errors."""

UNJOINED = "no joint covariance: one has no contributions by the same clusters"
SAME = "the same number: they differ by rounding only"
TWO_WAY = "two dimensions are clustered on, and contributions are by the first one alone"


def matching_rows(study: Result, other: Result) -> list[tuple[float, int, int]]:
    """List the event times two studies both have with a standard error, and their rows."""
    rows = [
        {
            float(e): k
            for k, e in enumerate(one.cells["event_time"])
            if not np.isnan(one.std_errors[k])
        }
        for one in (study, other)
    ]
    return [(e, rows[0][e], rows[1][e]) for e in sorted(rows[0].keys() & rows[1].keys())]


def difference_of(one: Result, other: Result, pairs: Pairs) -> Result | None:
    """Return rows of one result less rows of another; None where they cannot be joined.

    ``pairs`` are event time (NaN for an average), row of the one and row of the other. A difference
    that is rounding alone is zero without a standard error.
    """
    mine, theirs = [p[1] for p in pairs], [p[2] for p in pairs]
    psi = _contributions_to_differences(one, other, mine, theirs) if pairs else None
    if psi is None:
        return None
    values = one.estimates[mine] - other.estimates[theirs]
    negligible = NEGLIGIBLE * one.std_errors[mine]
    errors = np.sqrt(np.einsum("gk,gk->k", psi, psi))
    values[np.abs(values) <= negligible] = 0.0
    psi = np.where(np.minimum(errors, np.abs(values)) <= negligible, 0.0, psi)
    event_times = np.array([p[0] for p in pairs], dtype=np.float64)
    cells = pd.DataFrame(
        {
            "term": ["att" if np.isnan(e) else f"{e:g}" for e in event_times],
            "event_time": event_times,
            "estimate": values,
            "note": "",
        }
    ).reindex(columns=list(CELL_COLUMNS))
    return replace(
        one,
        cells=cells,
        uncertainty=Scores(
            psi, df=float(one.design.n_clusters - 1), without_law=_without_law(one, other)
        ),
        estimand=f"difference between estimators{COMBINED}",
        shares=pd.Series(dtype=np.float64),
        settings={},
        request=one.request if one.request == other.request == ASKED else InferenceRequest(),
        cohort_weights=None if one.cohort_weights is None else one.cohort_weights[mine],
        treated_clusters=np.minimum(
            one.support.smaller_arms[mine], other.support.smaller_arms[theirs]
        ),
        of_rows=None,
    )


def rows_of_differences(one: Result, other: Result, pairs: Pairs) -> list[dict[str, object]]:
    """Return difference, standard error, statistic, p-value, method and note of each pair."""
    found = difference_of(one, other, pairs)
    if found is None:
        return [
            _row(float(one.estimates[k] - other.estimates[j]), note=UNJOINED) for _, k, j in pairs
        ]
    if reason := _refusal(found):
        return [_row(float(gap), note=reason) for gap in found.estimates]
    if not _rests_on_arms(found):
        return _rows_as_judged(found)
    arms = [_arms(found, np.arange(len(found)) == row) for row in range(len(found))]
    # A cluster alone in its arm weighs little in an effect that rests on many.
    many = [
        bool(arm.without_law) and found.support.smaller_arms[row] >= MANY_TREATED
        for row, arm in enumerate(arms)
    ]
    judged = _rows_as_judged(found) if any(many) else []
    return [
        judged[row] if many[row] else _row_by_arms(found, row, arm) for row, arm in enumerate(arms)
    ]


def agreement_test(who: str, study: Result, first: Result) -> JointTest | None:
    """Test that all shared effects after treatment agree; None where nothing can be tested."""
    pairs = [pair for pair in matching_rows(study, first) if pair[0] >= 0]
    found = difference_of(study, first, pairs)
    if found is None or np.isnan(found.std_errors).all():
        return None
    question = f"Test that {who} agree after treatment"
    live = ~np.isnan(found.std_errors)
    if reason := _refusal(found):
        return JointTest(question, np.nan, int(live.sum()), np.nan, note=f"no p-value: {reason}")
    if not _rests_on_arms(found):
        return found.joint_test(live, question)
    psi = found.uncertainty.contributions()
    values = found.estimates[live]
    return joint_by_arms(question, values, np.asarray(psi)[:, live], _arms(found, live))


def _row(
    gap: float,
    error: float = np.nan,
    p_value: float = np.nan,
    inference: str = "",
    note: str = "",
) -> dict[str, object]:
    """Return one line of the table of differences."""
    return {
        "difference": gap,
        "std_error": error,
        "statistic": gap / error,
        "p_value": p_value,
        "inference": inference,
        "note": note,
    }


def _row_by_arms(found: Result, row: int, arms: Arms) -> dict[str, object]:
    """Judge a difference by CR2 with cohorts as arms, t with Satterthwaite's df."""
    gap = float(found.estimates[row])
    if np.isnan(found.std_errors[row]):
        return _row(gap, note=SAME)
    if reason := arms.without_law:
        return _row(gap, inference="none", note=reason)
    error, df = arms.error(np.asarray(found.uncertainty.contributions())[:, row])
    p_value = float(bands.two_sided_p_values(np.array([gap / error]), df)[0])
    return _row(gap, error, p_value, "cr2")


def _rows_as_judged(found: Result) -> list[dict[str, object]]:
    """Return the differences as a result judges its estimates."""
    rows, frame = [], found.tidy()
    numbers = frame[["estimate", "std_error", "p_value"]].to_numpy(dtype=np.float64)
    for k, inference in enumerate(found.inferences()):
        gap, error, p_value = (float(number) for number in numbers[k])
        if np.isnan(found.std_errors[k]):
            rows.append(_row(gap, note=SAME))
        elif inference is None:
            rows.append(_row(gap, error, p_value, "own"))
        else:
            silent = inference.method == "none"
            note = inference.reason.partition("; .std_errors")[0] if silent else ""
            rows.append(_row(gap, error, p_value, inference.method, note))
    return rows


def _arms(found: Result, marked: NDArray[np.bool_]) -> Arms:
    """Form the arms of the differences marked, shape (P,)."""
    sample = found.support.sample
    weights = found.support.weights_of_cohorts[marked].sum(axis=0)
    return Arms.of(np.asarray(sample.labels), sample.sizes, weights)


def _rests_on_arms(found: Result) -> bool:
    """Whether clusters are few, and each is treated as a whole or not at all."""
    support = found.support
    if found.request.method is not None or not doubted(found).any():
        return False
    return support.is_known and support.has_rows and support.sample.labels is not None


def _refusal(found: Result) -> str:
    """Say why differences have no p-value at all; empty where they may."""
    if isinstance(found.uncertainty, Scores) and found.uncertainty.without_law:
        return found.uncertainty.without_law
    try:
        refuse_split_assignment(found)
    except InferenceError as error:
        return str(error)
    few = min(found.support.arm_sizes)
    if found.design.covariates and few < FEWEST_WITH_COVARIATES:
        return f"the smaller arm has {plural(few, 'cluster')}, too few with covariates"
    return ""


def _contributions_to_differences(
    one: Result, other: Result, mine: list[int], theirs: list[int]
) -> Floats | None:
    """Return what clusters contribute to differences, (G, P); None if they cannot be joined."""
    if not _same_clusters(one.design, other.design):
        return None
    found, reference = _contributions(one), _contributions(other)
    if found is None or reference is None or len(found[0]) != len(reference[0]):
        return None
    (psi, factor), (psi0, factor0) = found, reference
    factor, factor0 = factor[mine], factor0[theirs]
    if np.ptp(factor) <= NEGLIGIBLE and np.ptp(factor0) <= NEGLIGIBLE:
        # One factor each, of small samples: shared, lest what the two have in common not cancel.
        larger = np.sqrt(np.maximum(factor, factor0))
        return (psi[:, mine] - psi0[:, theirs]) * larger
    return psi[:, mine] * np.sqrt(factor) - psi0[:, theirs] * np.sqrt(factor0)


def _contributions(result: Result) -> tuple[Floats, Floats] | None:
    """Return contributions (G, K), and what multiplies their squares to the variances (K,)."""
    psi = result.uncertainty.contributions()
    if psi is None:
        return None
    psi = psi[:, : len(result)]
    raw = np.einsum("gk,gk->k", psi, psi)
    variances = result.uncertainty.variances()[: len(result)]
    return psi, np.divide(variances, raw, out=np.ones(len(raw)), where=raw > 0)


def _without_law(one: Result, other: Result) -> str:
    """Say why no law is known for a difference; empty where one is."""
    if len(one.design.cluster_columns) > 1:
        return TWO_WAY
    reasons = (reason_withheld(r, np.ones(len(r), dtype=bool)) for r in (one, other))
    return next((reason for reason in reasons if reason), "")


def _same_clusters(one: Design, other: Design) -> bool:
    if one is other:
        return True
    if one.cluster_columns != other.cluster_columns or one.n_clusters != other.n_clusters:
        return False
    names = [d.sample.unit_values(d.cluster_columns[0]).unique() for d in (one, other)]
    return bool(np.array_equal(np.sort(names[0]), np.sort(names[1])))
