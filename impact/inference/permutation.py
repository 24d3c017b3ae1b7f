"""Randomisation inference: reassign treatment paths among clusters and rank the estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice
from impact.inference.assignments import Assignments, Labels
from impact.inference.bands import check_level
from impact.inference.scaled_ranks import Ranked
from impact.inference.sets import ConfidenceSet, invert_together

__all__ = [
    "PathCells",
    "PermutationTest",
    "Statistics",
    "path_changes",
    "path_contributions",
    "path_statistics",
    "permutation_test",
    "two_group_cells",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Alternative = Literal["two_sided", "greater", "less"]
Studentise = Literal["arms", "sizes", "none"]

# Assignments that give the same statistic differ by rounding alone.
_TIE = 1e-9
_CELLS = 2**17


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of B assignments as functions of the effect r under the hypothesis.

    Attributes
    ----------
    effect : array, shape (2, B); the effect found in outcomes less r is effect[0] - r effect[1]
    variance : array, shape (3, B), of its estimated variance v[0] + r v[1] + r^2 v[2]; None
        if the effect itself is ranked
    """

    effect: Floats
    variance: Floats | None = None

    def signed_squares(self, value: Floats | float) -> Floats:
        """Return sign(t) t^2 of each assignment under each effect, ``value``'s shape + (B,)."""
        value = np.asarray(value)[..., None]
        top = self.effect[0] - value * self.effect[1]
        signed: Floats = top * np.abs(top)
        if self.variance is None:
            return signed
        v = self.variance
        below = np.maximum(v[0] + value * (v[1] + value * v[2]), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(top == 0.0, 0.0, signed / below)


@dataclass(frozen=True, eq=False)
class PathCells:
    """Say how an average effect is computed from cohorts' mean paths.

    theta = sum_k s_k N_c(k) L_k'(Y_c(k) - Y_pool(k)) / sum_k s_k N_c(k), with Y_c the
    size-weighted mean path of cohort c and N_c its size.

    Attributes
    ----------
    cohort : array, shape (K,), code of the cohort of each cell in 0..C-1
    compares : array, shape (K, C + 1), cohorts pooled as comparison; C stands for never treated
    contrasts : array, shape (K, T), L_k: weights of the periods, summing to zero
    incidence : array, shape (K,), s_k; to average within and then over cohorts, one over the
        number of the cohort's cells
    """

    cohort: Integers
    compares: NDArray[np.bool_]
    contrasts: Floats
    incidence: Floats


@dataclass(frozen=True)
class PermutationTest:
    """Report a randomisation test of a constant effect.

    Attributes
    ----------
    estimate : statistic of the actual assignment
    p_value : share of assignments with a statistic at least as large, the actual one counted
    p_strict : share strictly larger
    confidence_set : constant effects that the test does not reject
    draws, exhaustive, lattice : assignments used, whether all, and the smallest p-value
    """

    estimate: float
    null: float
    p_value: float
    p_strict: float
    confidence_set: ConfidenceSet
    draws: int
    exhaustive: bool
    lattice: float
    alternative: Alternative


def permutation_test(
    actual: Ranked,
    reassigned: Ranked,
    drawn: Assignments,
    *,
    null: float = 0.0,
    level: float | None = 0.95,
    alternative: Alternative = "two_sided",
) -> PermutationTest:
    """Test a constant effect by the rank of its statistic among those of reassignments.

    Under the null that treatment added r in every treated cell the untreated outcomes are
    known, and with them the statistic that each assignment would have given.

    Parameters
    ----------
    actual : statistics of the actual assignment, B = 1
    reassigned : statistics of the assignments in ``drawn``
    drawn : the assignments
    null : effect r under the hypothesis
    level : of the confidence set; None leaves it out
    alternative : "two_sided" ranks magnitudes; "greater" and "less" one tail

    Returns
    -------
    PermutationTest

    Raises
    ------
    InferenceError : the statistics do not vary, or an option is unknown

    Notes
    -----
    Exact in finite samples when clusters are exchangeable (within strata) under the null. The
    p-value counts ties and the actual assignment, so it is never zero: with all assignments
    listed it is their share, else (1 + count) / (1 + draws). Studentised by arms, the test is
    also valid in large samples for the average effect where effects differ.

    Source
    ------
    Fisher (1935); Imbens and Rubin (2015), chapter 5; Hess (2017), Stata Journal 17(3), for
    the inversion; MacKinnon and Webb (2020), Journal of Econometrics 218(2), for few treated
    clusters; Wu and Ding (2021), Journal of the American Statistical Association 116(536),
    for studentised statistics.
    """
    if level is not None:
        check_level(level)
    check_choice("alternative", alternative, ("two_sided", "greater", "less"), InferenceError)
    estimate = float(actual.effect[0, 0])
    centre = estimate / float(actual.effect[1, 0])
    spread = float(np.std(reassigned.effect[0] - centre * reassigned.effect[1]))
    if spread <= 1e-12 * abs(estimate):
        raise InferenceError(
            "Every reassignment gives the same statistic, so ranks say nothing. The outcome does "
            "not vary between clusters; check its column."
        )
    own = 0 if drawn.exhaustive else 1
    # Rounding in statistics that are zero in exact arithmetic must not break their tie.
    floor = float(np.median(np.abs(reassigned.signed_squares(centre)))) * _TIE**2

    def shares(values: Floats) -> tuple[Floats, Floats]:
        ranked, observed = reassigned.signed_squares(values), actual.signed_squares(values)
        if alternative == "two_sided":
            ranked, observed = np.abs(ranked), np.abs(observed)
        elif alternative == "less":
            ranked, observed = -ranked, -observed
        slack = _TIE * np.abs(observed) + floor
        count = np.count_nonzero(ranked >= observed - slack, axis=1)
        strict = np.count_nonzero(ranked > observed + slack, axis=1)
        return (own + count) / (own + ranked.shape[1]), strict / ranked.shape[1]

    width = max(1, _CELLS // reassigned.effect.shape[1])

    def p_values(values: Floats) -> Floats:
        parts = [values[start : start + width] for start in range(0, len(values), width)]
        return np.concatenate([shares(part)[0] for part in parts])

    p_value, p_strict = (float(share[0]) for share in shares(np.array([null])))
    return PermutationTest(
        estimate=estimate,
        null=null,
        p_value=p_value,
        p_strict=p_strict,
        confidence_set=invert_together(p_values, scale=spread, level=level, centre=centre),
        draws=len(drawn.labels),
        exhaustive=drawn.exhaustive,
        lattice=drawn.lattice,
        alternative=alternative,
    )


def two_group_cells() -> PathCells:
    """Return the cells of a comparison of two groups: one cohort, one change (T = 2)."""
    return PathCells(
        cohort=np.zeros(1, dtype=np.int64),
        compares=np.array([[False, True]]),
        contrasts=np.array([[-1.0, 1.0]]),
        incidence=np.ones(1),
    )


def path_statistics(
    paths: Floats,
    treatment: Floats,
    sizes: Floats,
    labels: Labels,
    cells: PathCells,
    *,
    studentise: Studentise = "arms",
    size_variances: Floats | None = None,
) -> Statistics:
    """Return the average effect that each assignment of cohorts finds, with its variance.

    Parameters
    ----------
    paths : array, shape (G, T), mean outcome of each cluster and period
    treatment : array, shape (G, T), 1 where the actual assignment treats
    sizes : array, shape (G,), weight of each cluster (its units)
    labels : array, shape (B, G), cohort of each cluster in 0..C-1, or C for never treated
    cells : how the effect is computed
    studentise : "arms" estimates the variance of each assignment from the spread of clusters
        within its treated and its never-treated arm; "sizes" takes ``size_variances``; "none"
    size_variances : array, shape (G,), variance of each cluster's error, known up to a factor

    Notes
    -----
    With w_g = n_g / N the share of a treated cluster and E_g its own effect, the variance by
    arms is sum_g w_g^2 (E_g - theta)^2, plus the like sum over never-treated clusters of their
    placebo effects. It is quadratic in r, so three values of r determine it.
    """
    # Contrasts sum to zero: a cluster's own level would add nothing but rounding.
    paths = paths - paths.mean(axis=1, keepdims=True)
    scale = float(np.std(paths)) or 1.0
    points = np.array([0.0, scale, -scale])
    width = max(1, _CELLS // len(sizes))
    effects, variances = np.empty((3, len(labels))), np.empty((3, len(labels)))
    for i, value in enumerate(points if studentise == "arms" else points[:2]):
        for start in range(0, len(labels), width):
            part = slice(start, start + width)
            effects[i, part], variances[i, part] = _arm_statistics(
                paths - value * treatment, sizes, labels[part], cells, studentise == "arms"
            )
    effect = np.stack((effects[0], (effects[0] - effects[1]) / scale))
    if studentise == "none":
        return Statistics(effect)
    if studentise == "sizes":
        if size_variances is None:
            raise InferenceError(
                'studentise="sizes" scales by the variance of each cluster\'s error; give '
                "size_variances, one a cluster (few_treated.size_variance fits them)."
            )
        known = _size_scale(sizes, labels, size_variances, len(cells.compares[0]) - 1)
        return Statistics(effect, np.stack((known, 0 * known, 0 * known)))
    # Rounding, which values of r far from zero would blow up, is no dependence on r.
    least = _TIE * variances[0]
    first, second = variances[1] - variances[2], variances[1] + variances[2] - 2 * variances[0]
    linear = np.where(np.abs(first) > least, first, 0.0) / (2 * scale)
    square = np.where(np.abs(second) > least, second, 0.0) / (2 * scale**2)
    return Statistics(effect, np.stack((variances[0], linear, square)))


def _size_scale(sizes: Floats, labels: Labels, variances: Floats, never: int) -> Floats:
    """Variance of a difference of size-weighted means, given each cluster's, shape (B,)."""
    result = np.zeros(len(labels))
    for arm in (labels != never, labels == never):
        mass = arm @ sizes
        result += np.divide(arm @ (sizes**2 * variances), mass**2, where=mass > 0, out=0 * mass)
    return result


def _arm_statistics(
    paths: Floats, sizes: Floats, labels: Labels, cells: PathCells, with_variance: bool
) -> tuple[Floats, Floats]:
    """Return effect and variance by arms of each assignment, both (B,)."""
    n_cohorts = cells.compares.shape[1] - 1
    arms = [(labels == c).astype(np.float64) for c in range(n_cohorts + 1)]
    mass = np.stack([arm @ sizes for arm in arms])
    sums = np.stack([arm @ (sizes[:, None] * paths) for arm in arms])
    mean = np.divide(sums, mass[:, :, None], where=mass[:, :, None] > 0, out=0 * sums)
    weight = np.zeros((n_cohorts, len(labels)))
    total = np.zeros(len(labels))
    compared = np.zeros((n_cohorts, len(labels)))
    for cohort, pool, contrast, incidence in zip(
        cells.cohort, cells.compares, cells.contrasts, cells.incidence, strict=True
    ):
        others = (sums[pool] @ contrast).sum(axis=0) / mass[pool].sum(axis=0)
        total += incidence * mass[cohort] * (mean[cohort] @ contrast - others)
        weight[cohort] += incidence * mass[cohort]
        compared[cohort] += incidence * others
    effect, shares = total / weight.sum(axis=0), weight / weight.sum(axis=0)
    if not with_variance:
        return effect, np.zeros(len(labels))
    multiplicity = np.bincount(cells.cohort, cells.incidence, n_cohorts)
    own = np.stack(
        [
            cells.incidence[cells.cohort == c]
            @ cells.contrasts[cells.cohort == c]
            / max(multiplicity[c], 1e-300)
            for c in range(n_cohorts)
        ]
    )
    changes = paths @ own.T
    variance = np.zeros(len(labels))
    for c in np.flatnonzero(multiplicity):
        centre = compared[c] / multiplicity[c] + effect
        variance += (shares[c] / mass[c]) ** 2 * _squares(arms[c], sizes, changes[:, c], centre)
    return effect, variance + _never_variance(arms[-1], sizes, mass[-1], changes, shares)


def path_changes(paths: Floats, cells: PathCells) -> Floats:
    """Return each cluster's change over the average contrast of each cohort, shape (G, C)."""
    n_cohorts = cells.compares.shape[1] - 1
    member = (cells.cohort == np.arange(n_cohorts)[:, None]) * cells.incidence
    total = np.maximum(member.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray(paths @ (member @ cells.contrasts / total).T)


def path_contributions(paths: Floats, sizes: Floats, labels: Integers, cells: PathCells) -> Floats:
    """Return what each cluster contributes to the error of one assignment's effect, shape (G,).

    Parameters
    ----------
    paths : array, shape (G, T), mean outcome of each cluster and period
    sizes : array, shape (G,), weight of each cluster
    labels : array, shape (G,), cohort of each cluster, C for never treated
    cells : how the effect is computed
    """
    psi, total, effect = np.zeros(len(sizes)), 0.0, 0.0
    movers = np.zeros(len(sizes))
    for cohort, pool, contrast, incidence in zip(
        cells.cohort, cells.compares, cells.contrasts, cells.incidence, strict=True
    ):
        changes, arms = paths @ contrast, (labels == cohort, pool[labels])
        own, other = (np.average(changes[arm], weights=sizes[arm]) for arm in arms)
        mass = incidence * sizes[arms[0]].sum()
        psi[arms[0]] += incidence * sizes[arms[0]] * (changes[arms[0]] - other)
        psi[arms[1]] -= mass * sizes[arms[1]] / sizes[arms[1]].sum() * (changes[arms[1]] - other)
        movers[arms[0]] += incidence * sizes[arms[0]]
        total, effect = total + mass, effect + mass * (own - other)
    return np.asarray((psi - movers * effect / total) / total)


def _squares(arm: Floats, sizes: Floats, values: Floats, centre: Floats) -> Floats:
    """Sum n_g^2 (value_g - centre)^2 over the clusters of an arm, shape (B,)."""
    square = sizes**2
    return np.asarray(
        arm @ (square * values**2) - 2 * centre * (arm @ (square * values))
        + centre**2 * (arm @ square)
    )  # fmt: skip


def _never_variance(
    arm: Floats, sizes: Floats, mass: Floats, changes: Floats, shares: Floats
) -> Floats:
    """Variance of the mean of never-treated clusters' placebo effects, shape (B,)."""
    result = np.zeros(len(mass))
    if not mass.any():
        return result
    n_cohorts = changes.shape[1]
    means = [arm @ (sizes * changes[:, c]) / mass for c in range(n_cohorts)]
    first = [arm @ (sizes**2 * changes[:, c]) for c in range(n_cohorts)]
    count = arm @ sizes**2
    for a in range(n_cohorts):
        for b in range(n_cohorts):
            cross = arm @ (sizes**2 * changes[:, a] * changes[:, b])
            centred = (
                cross - means[a] * first[b] - means[b] * first[a] + means[a] * means[b] * count
            )
            result += shares[a] * shares[b] * centred
    return result / mass**2
