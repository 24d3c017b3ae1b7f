"""Tests of differences between estimators, from the contributions of their common clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.inference import bands
from impact.result import JointTest, Result

__all__ = ["agreement_test", "difference", "matching_rows"]

Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-9
"""A difference, or its standard error, relative to the estimate's, that is rounding alone."""


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


def difference(one: Result, other: Result, mine: int, theirs: int) -> dict[str, object]:
    """Test the difference between a row of each of two results."""
    (gap,), psi = _joint(one, other, [(0.0, mine, theirs)])
    error, note = np.nan, ""
    negligible = NEGLIGIBLE * one.std_errors[mine]
    if abs(gap) <= negligible:
        gap = 0.0
    if psi is None:
        note = "no joint covariance: one has no contributions by the same clusters"
    else:
        error = float(np.sqrt(psi[:, 0] @ psi[:, 0]))
        if min(error, abs(gap)) <= negligible:
            error, note = np.nan, "the same number: they differ by rounding only"
    statistic = gap / error
    return {
        "difference": float(gap),
        "std_error": error,
        "statistic": float(statistic),
        "p_value": float(bands.two_sided_p_values(np.array([statistic]), _df(one))[0]),
        "note": note,
    }


def agreement_test(who: str, study: Result, first: Result) -> JointTest | None:
    """Test that all shared effects after treatment agree; None where nothing can be tested."""
    pairs = [pair for pair in matching_rows(study, first) if pair[0] >= 0]
    values, psi = _joint(study, first, pairs)
    if psi is None or not pairs:
        return None
    sizes = np.minimum(np.sqrt(np.einsum("gk,gk->k", psi, psi)), np.abs(values))
    live = sizes > NEGLIGIBLE * study.std_errors[[pair[1] for pair in pairs]]
    if not live.any():
        return None
    df = _df(study)
    matrix = psi[:, live].T @ psi[:, live]
    statistic, rank, p_value = bands.joint_wald(values[live], matrix, df=df)
    return JointTest(f"{who} agree after treatment", statistic, rank, p_value, df)


def _joint(
    one: Result, other: Result, pairs: list[tuple[float, int, int]]
) -> tuple[Floats, Floats | None]:
    """Return differences (P,) and their contributions (G, P), None if they cannot be joined."""
    mine, theirs = [p[1] for p in pairs], [p[2] for p in pairs]
    values = one.estimates[mine] - other.estimates[theirs]
    if not _same_clusters(one.design, other.design):
        return values, None
    found, reference = _contributions(one), _contributions(other)
    if found is None or reference is None or len(found[0]) != len(reference[0]):
        return values, None
    (psi, factor), (psi0, factor0) = found, reference
    factor, factor0 = factor[mine], factor0[theirs]
    if np.ptp(factor) <= NEGLIGIBLE and np.ptp(factor0) <= NEGLIGIBLE:
        # One factor each, of small samples: shared, lest what the two have in common not cancel.
        larger = np.sqrt(np.maximum(factor, factor0))
        return values, (psi[:, mine] - psi0[:, theirs]) * larger
    return values, psi[:, mine] * np.sqrt(factor) - psi0[:, theirs] * np.sqrt(factor0)


def _contributions(result: Result) -> tuple[Floats, Floats] | None:
    """Return contributions (G, K), and what multiplies their squares to the variances (K,)."""
    psi = result.uncertainty.contributions()
    if psi is None:
        return None
    psi = psi[:, : len(result)]
    raw = np.einsum("gk,gk->k", psi, psi)
    variances = result.uncertainty.variances()[: len(result)]
    return psi, np.divide(variances, raw, out=np.ones(len(raw)), where=raw > 0)


def _same_clusters(one: Design, other: Design) -> bool:
    if one is other:
        return True
    if one.cluster_columns != other.cluster_columns or one.n_clusters != other.n_clusters:
        return False
    names = [d.sample.unit_values(d.cluster_columns[0]).unique() for d in (one, other)]
    return bool(np.array_equal(np.sort(names[0]), np.sort(names[1])))


def _df(result: Result) -> float:
    """Return the degrees of freedom of differences: clusters less one."""
    return float(result.design.n_clusters - 1)
