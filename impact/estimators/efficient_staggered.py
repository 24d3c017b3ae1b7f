"""The efficient estimator for staggered adoption at random of Roth and Sant'Anna (2023)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing, plural
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.estimators.parts.cells import Cells, all_cells, balanced_moments, cell_result
from impact.estimators.parts.reporting import result_of
from impact.inference import bands
from impact.inference.scores import CovarianceScores
from impact.kernels.moments import CohortMoments, LinearCells
from impact.kernels.random_timing import adjust_efficiently, variance_lower_bound
from impact.result import JointTest, Result

__all__ = ["EfficientStaggered"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Target = Literal["att", "event_time", "group_time"]
Weighting = Literal["cell", "cohort", "time"]


def _has_gaps(design: Design) -> str | None:
    if design.is_balanced:
        return None
    gaps = _units_with_gaps(design)
    return (
        f"{plural(gaps, 'unit')} of {design.n_units:,} miss a period. Keep the units observed "
        "throughout, if their being so does not depend on treatment."
    )


def _units_with_gaps(design: Design) -> int:
    table = design.table
    if table is None:
        return int(np.isnan(design.outcomes).any(axis=1).sum())
    return int(table.groups["units"].to_numpy()[~table.presence.all(axis=1)].sum())


def _goes_beyond_means(design: Design) -> str | None:
    given = [name for name in ("covariates", "weights", "clusters") if getattr(design, name)]
    if not given or (given == ["clusters"] and design.cluster_columns[0] == design.panel.unit):
        return None
    return (
        f"this design states {listing(given)}, for which the method has no form here. Leave them "
        "out; where whole clusters were assigned, use a panel of cluster means."
    )


def _small_cohorts(design: Design) -> str | None:
    sizes = design.cohort_sizes
    small = sizes.index[sizes == 1]
    if not len(small):
        return None
    return (
        f"cohort {listing(small)} has one unit, whose variance within the cohort cannot be had. "
        "Merge cohorts or leave it out."
    )


@dataclass(frozen=True)
class EfficientStaggered(Estimator):
    r"""Estimate effects of treatment whose timing is random, adjusting for earlier outcomes.

    .. math:: \hat\tau = \hat\theta - \hat X'\hat\beta,

    with theta the differences in mean outcome after treatment, between a cohort and units not
    yet treated, X differences before treatment, zero in expectation, and beta the
    coefficients that make the variance least. With beta = 1 this is difference in
    differences; with 0, the difference in means.

    Parameters
    ----------
    target : what is made efficient: "att" one average, "event_time" averages by event time,
        "group_time" each cell (averages of which are then not efficient themselves)
    weighting : for "att", "cell" weighs cohort-period cells by cohort size, "cohort" averages
        each cohort's mean effect by size, "time" averages periods with equal weights
    adjustment : "scalar" uses for X the difference that difference in differences would
        subtract; "vector" all differences between cohorts before either is treated, for
        cohorts large beside their number
    variance : "adjusted" takes off what outcomes before treatment show of the variance of
        effects; "neyman" is the conservative form

    Raises
    ------
    DesignError : gaps in the panel, covariates, weights or clusters, a cohort of one unit
    EstimationError : no cohort can be compared; no variance is left after adjustment

    Notes
    -----
    Assumes that timing is random, which is stronger than parallel trends; ``extra["balance"]``
    tests it by the differences before treatment. Standard errors are design-based: the units
    are the population, and cohort sizes are given. Critical values are normal.

    Source
    ------
    Roth and Sant'Anna (2023), Journal of Political Economy Microeconomics 1(4), equations 5-12
    and lemma 2; R staggered 1.2.2 for the conventions.
    """

    target: Target = "att"
    weighting: Weighting = "cell"
    adjustment: Literal["scalar", "vector"] = "scalar"
    variance: Literal["adjusted", "neyman"] = "adjusted"

    requires: ClassVar[tuple[Requirement, ...]] = (
        *COHORTS,
        Requirement("a balanced panel", _has_gaps),
        Requirement("no covariates, weights or clusters", _goes_beyond_means),
        Requirement("two units in each cohort", _small_cohorts),
    )
    estimand: ClassVar[str] = "effects under random timing"

    def _needs_rows(self, design: Design) -> str | None:
        return None

    def _estimate(self, design: Design) -> Result:
        cells = all_cells(design)
        cells = cells[cells.event_time >= -design.anticipation]
        moments = balanced_moments(design)
        spread = moments.second[:, :-1, :-1] / np.maximum(moments.units - 1, 1)[:, None, None]
        after, earlier, known = _comparisons(design, cells, moments.units)
        weights, head = _weights(self, design, cells, known, moments.units)
        differences = _pre_differences(design, moments.units > 0)
        targets = np.einsum("kj,jct->kct", weights, after)
        own = np.einsum("kj,jct->kct", weights, earlier)[:, None]
        if self.adjustment == "vector":
            own = np.broadcast_to(differences, (len(targets), *differences.shape))
        fitted = adjust_efficiently(moments.mean, spread, moments.units, targets, own)
        linear = _contributions(fitted.loadings, moments.units)
        matrix = linear.covariance(moments)
        if self.variance == "adjusted":
            before = design.periods < design.cohort_values[0] - design.anticipation
            present = moments.units > 0
            bound = variance_lower_bound(spread[present], targets[:, present], before)
            matrix = matrix - bound / design.n_units
            _check_variances(matrix, weights)
        fit = _Fit(fitted.estimates, matrix, linear, moments)
        extra: dict[str, object] = {"balance": _balance(differences, moments, spread)}
        if self.target == "group_time":
            return _cell_report(self, design, cells, known, fit, extra)
        return _report(self, design, head, fit, extra)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Estimates (K,), their covariance (K, K) and what units contribute to them."""

    estimates: Floats
    matrix: Floats
    linear: LinearCells
    moments: CohortMoments

    def uncertainty(self, design: Design, n_more: int = 0) -> CovarianceScores:
        """Return the joint uncertainty, with ``n_more`` known numbers appended."""
        n_cells = len(self.matrix)
        matrix = np.zeros((n_cells + n_more, n_cells + n_more))
        matrix[:n_cells, :n_cells] = self.matrix

        def contributions() -> Floats:
            table = design.table
            outcomes, codes = (
                (design.outcomes, design.cohort_codes)
                if table is None
                else (table.cluster_means.outcomes, table.cluster_means.codes)
            )
            psi = self.linear.contributions(outcomes, codes, self.moments)
            return np.concatenate((psi, np.zeros((len(psi), n_more))), axis=1)

        return CovarianceScores(
            matrix, contributions, design.n_units, method="design-based variances"
        )


def _comparisons(
    design: Design, cells: Cells, units: NDArray[np.int64]
) -> tuple[Floats, Floats, Booleans]:
    """Return loadings of differences after and before treatment, (J, C + 1, T), and which exist."""
    n_periods, a = len(design.periods), design.anticipation
    onset = np.append(design.cohort_values, np.inf)
    later = onset[None, :] > design.periods[cells.period][:, None] + a
    pool = later * units
    total = pool.sum(axis=1)
    known = total > 0
    role = -pool / np.where(known, total, 1)[:, None]
    role[np.arange(len(cells)), cells.cohort] += 1.0
    role[~known] = 0.0
    starts = design.cohort_values[cells.cohort] - a
    base = (design.periods[None, :] < starts[:, None]).sum(axis=1) - 1
    at = np.eye(n_periods)
    after = role[:, :, None] * at[cells.period][:, None, :]
    earlier = role[:, :, None] * at[base][:, None, :]
    return after, earlier, known


def _pre_differences(design: Design, present: Booleans) -> Floats:
    """Return loadings of adjacent cohorts' differences while both are untreated, (M, C, T)."""
    onset = np.append(design.cohort_values, np.inf) - design.anticipation
    order = np.flatnonzero(present)
    rows = []
    for first, second in pairwise(order):
        for t in np.flatnonzero(design.periods < onset[first]):
            row = np.zeros((len(onset), len(design.periods)))
            row[first, t], row[second, t] = 1.0, -1.0
            rows.append(row)
    return np.stack(rows)


def _weights(
    estimator: EfficientStaggered,
    design: Design,
    cells: Cells,
    known: Booleans,
    units: NDArray[np.int64],
) -> tuple[Floats, pd.DataFrame]:
    """Return the weights of the J cells in each of the K targets, and the targets' labels."""
    if estimator.target == "group_time":
        return np.diag(known.astype(np.float64)), pd.DataFrame()
    after = known & (cells.event_time >= 0)
    if not after.any():
        raise EstimationError(
            f"{estimator.name} finds no cohort that can be compared after its treatment with units "
            "not yet treated. Add units treated later or never."
        )
    size = units[cells.cohort].astype(np.float64)
    if estimator.target == "event_time":
        values = np.unique(cells.event_time[known])
        mass = (cells.event_time == values[:, None]) * (known * size)
        head = pd.DataFrame({"term": [f"event_time {v:g}" for v in values], "event_time": values})
        return mass / mass.sum(axis=1, keepdims=True), head
    labels = {"cell": np.zeros(len(cells)), "cohort": cells.cohort, "time": cells.period}
    group = np.unique(labels[estimator.weighting], return_inverse=True)[1]
    member = (group == np.arange(group.max() + 1)[:, None]) & after
    member = member[member.any(axis=1)]
    within = member * (size if estimator.weighting != "cohort" else 1.0)
    within = within / within.sum(axis=1, keepdims=True)
    share = within @ size if estimator.weighting == "cohort" else np.ones(len(member))
    return (share / share.sum() @ within)[None, :], pd.DataFrame({"term": ["att"]})


def _contributions(loadings: Floats, units: NDArray[np.int64]) -> LinearCells:
    """Return what each unit contributes, scaled to variances that divide by n - 1."""
    scale = 1 / np.sqrt(np.maximum(units, 1) * np.maximum(units - 1.0, 1.0))
    slopes = np.swapaxes(loadings, 0, 1) * scale[:, None, None]
    return LinearCells(slopes, np.zeros(slopes.shape[:2]))


def _check_variances(matrix: Floats, weights: Floats) -> None:
    wanted = weights.any(axis=1)
    if (np.diag(matrix)[wanted] <= 0).any():
        raise EstimationError(
            "no variance is left after taking off what outcomes before treatment show of the "
            "variance of effects; cohorts are too small for it. Use variance='neyman'."
        )


def _balance(differences: Floats, moments: CohortMoments, spread: Floats) -> JointTest:
    """Test that outcomes before treatment do not differ between cohorts."""
    sizes = np.maximum(moments.units, 1)[:, None, None]
    x = np.einsum("mct,ct->m", differences, moments.mean - moments.mean[:1])
    variance = np.einsum("mct,cts,ncs->mn", differences, spread / sizes, differences, optimize=True)
    statistic, rank, p_value = bands.joint_wald(x, variance)
    return JointTest("Cohorts do not differ before treatment", statistic, rank, p_value)


def _notes(estimator: EfficientStaggered, balance: object) -> tuple[str, ...]:
    how = {"scalar": "the difference", "vector": "all differences"}[estimator.adjustment]
    return (
        "Timing taken as random; design-based standard errors, cohort sizes given.",
        f"Adjusted for {how} before treatment with coefficients of least variance.",
        f"{balance}.",
    )


def _cell_report(
    estimator: EfficientStaggered,
    design: Design,
    cells: Cells,
    known: Booleans,
    fit: _Fit,
    extra: dict[str, object],
) -> Result:
    return cell_result(
        estimator,
        design,
        cells,
        np.where(known, fit.estimates, np.nan),
        fit.uncertainty(design, len(design.cohort_values)),
        ["" if k else "no unit left to compare with" for k in known],
        notes=_notes(estimator, extra["balance"]),
        extra=extra,
    )


def _report(
    estimator: EfficientStaggered,
    design: Design,
    head: pd.DataFrame,
    fit: _Fit,
    extra: dict[str, object],
) -> Result:
    frame = head.reindex(
        columns=["term", "cohort", "time", "event_time", "estimate", "weight", "note"]
    )
    frame["estimate"] = fit.estimates
    frame["weight"], frame["note"] = 1.0, ""
    by = f", weighted by {estimator.weighting}" if estimator.target == "att" else ""
    return result_of(
        estimator,
        design,
        frame,
        fit.uncertainty(design),
        estimand=f"{estimator.estimand}{by}",
        notes=_notes(estimator, extra["balance"]),
        extra=extra,
    )
