"""Wild cluster bootstrap in closed form: draws never touch the rows of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice
from impact.inference.bands import check_level
from impact.inference.sets import ConfidenceSet, invert
from impact.inference.wild_draws import Law
from impact.inference.wild_terms import (
    TwoWayRows,
    WildProblem,
    WildTerms,
    bootstrap_terms,
    two_way_problem,
    wild_problem,
)

__all__ = [
    "TwoWayRows",
    "WildTest",
    "score_blocks",
    "wild_cluster_test",
    "wild_statistics",
    "wild_two_way_test",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Tails = Literal["symmetric", "equal"]


@dataclass(frozen=True)
class WildTest:
    """Report a wild cluster bootstrap of one contrast.

    Attributes
    ----------
    estimate, std_error, statistic : of the contrast, the statistic against ``null``
    p_value : share of draws at least as large as the statistic, ties counted; with random
        draws (1 + count) / (1 + draws)
    p_strict : share of draws strictly larger
    confidence_set : by inversion of the same test; may be unbounded or disjoint
    draws : draws used; all sign patterns if ``enumerated`` (half of them by symmetry)
    lattice : smallest p-value that the weights can give
    weights : law of the draws
    """

    estimate: float
    std_error: float
    statistic: float
    null: float
    p_value: float
    p_strict: float
    confidence_set: ConfidenceSet
    draws: int
    enumerated: bool
    lattice: float
    weights: str
    restricted: bool
    tails: Tails


def wild_cluster_test(
    gram: Floats,
    cross: Floats,
    contrast: Floats,
    *,
    null: float = 0.0,
    restricted: bool = True,
    weights: Law = "auto",
    draws: int = 9999,
    seed: int = 0,
    level: float | None = 0.95,
    tails: Tails = "symmetric",
    variance: Literal["cr1", "cr3"] = "cr1",
    residuals: Literal["plain", "jackknife"] = "plain",
    draw_groups: Integers | None = None,
    variance_groups: tuple[Integers, ...] | None = None,
    factor: float = 1.0,
) -> WildTest:
    """Test a contrast of regression coefficients by the wild cluster bootstrap.

    t* = a's*(v) / sqrt(sum_g (p_g's*_g(v))^2), with s*_g = v_g s~_g - A_g A^{-1} sum_h v_h s~_h,
    a = A^{-1} contrast and s~_g = b_g - A_g beta~ the score of cluster g, at estimates that
    satisfy the null hypothesis if ``restricted``.

    Parameters
    ----------
    gram : array, shape (G, k, k), A_g = X_g'W X_g of each cluster, all columns explicit that
        are not nested in the clusters (time dummies)
    cross : array, shape (G, k), b_g = X_g'W y_g
    contrast : array, shape (k,)
    null : value of the contrast under the hypothesis
    restricted : impose the null when drawing (WCR); otherwise WCU
    weights : "rademacher" (signs, all of them if 2^(G-1) <= draws), "webb" (six points),
        "mammen"; "auto" takes signs unless they give fewer than 100 distinct p-values
    level : of the confidence set; None leaves it out
    tails : "symmetric" compares |t|; "equal" doubles the smaller tail
    variance : p_g = a ("cr1") or (I - A^{-1} A_g)^{-1} a ("cr3") in t and t*
    residuals : "plain", or "jackknife": s~_g at estimates without cluster g
    draw_groups : array, shape (G,), blocks that share a draw, if blocks are finer or crossed;
        each block draws for itself if None (with ``variance_groups``: the subcluster bootstrap)
    variance_groups : one or two arrays, shape (G,), the dimensions clustered on; two-way
        variances add the two and subtract their intersection
    factor : small-sample factor of the reported standard error; it cancels in the test

    Returns
    -------
    WildTest

    Raises
    ------
    InferenceError : fewer than two clusters, collinear columns, a contrast that one cluster
        identifies alone, an unknown option, "cr3" with grouped variances

    Notes
    -----
    After the blocks nothing depends on the number of rows: B draws cost O(G^2 B) or O(G k B),
    whichever is less. Numerators are linear and squared denominators quadratic in the null, so
    each further null costs O(B). Restricted tests under-reject and unrestricted ones
    over-reject with few treated clusters. In a draw whose two-way variance is not positive
    t* is infinite.

    Source
    ------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3); Roodman,
    Nielsen, MacKinnon and Webb (2019), Stata Journal 19(1); MacKinnon and Webb (2018),
    Econometrics Journal 21(2), for subclusters; MacKinnon, Nielsen and Webb (2023), Journal of
    Applied Econometrics 38(5), for "jackknife" residuals and "cr3".
    """
    if level is not None:
        check_level(level)
    check_choice("tails", tails, ("symmetric", "equal"), InferenceError)
    problem = wild_problem(
        gram,
        cross,
        contrast,
        restricted=restricted,
        variance=variance,
        residuals=residuals,
        draw_groups=draw_groups,
        variance_groups=variance_groups,
    )
    terms = bootstrap_terms(problem, weights, draws, seed)
    return _report(problem, terms, null, restricted, level, tails, factor)


def wild_two_way_test(
    rows: TwoWayRows,
    *,
    null: float = 0.0,
    weights: Law = "auto",
    draws: int = 9999,
    seed: int = 0,
    level: float | None = 0.95,
) -> WildTest:
    """Test a contrast by the restricted wild bootstrap with two-way variances.

    Draws are by cluster of the first dimension. Numbers are those of `wild_cluster_test` on the
    blocks of cells of both dimensions, at a cost of D k B for B draws in D clusters.

    Raises
    ------
    InferenceError : as `wild_cluster_test`

    Source
    ------
    MacKinnon, Nielsen and Webb (2021), Journal of Business and Economic Statistics 39(2).
    """
    if level is not None:
        check_level(level)
    problem = two_way_problem(rows)
    terms = bootstrap_terms(problem, weights, draws, seed)
    return _report(problem, terms, null, True, level, "symmetric", 1.0)


def _report(
    problem: WildProblem,
    terms: WildTerms,
    null: float,
    restricted: bool,
    level: float | None,
    tails: Tails,
    factor: float,
) -> WildTest:
    """Compare the statistic with its draws, and invert the comparison."""
    delta = problem.estimate - null
    p_value, p_strict = terms.p_values(delta, tails)
    if restricted or level is None:
        kept = invert(
            lambda shift: terms.p_values(shift, tails)[0],
            scale=np.sqrt(problem.squared_error),
            level=level,
        ).shifted(problem.estimate, -1)
    else:
        kept = terms.unrestricted_set(problem.estimate, level, tails)
    std_error = np.sqrt(problem.squared_error)
    return WildTest(
        estimate=problem.estimate,
        std_error=float(np.sqrt(factor) * std_error),
        statistic=float(delta / (np.sqrt(factor) * std_error)),
        null=null,
        p_value=p_value,
        p_strict=p_strict,
        confidence_set=kept,
        draws=terms.total,
        enumerated=terms.enumerated,
        lattice=terms.source.lattice,
        weights=terms.source.kind,
        restricted=restricted,
        tails=tails,
    )


def wild_statistics(
    gram: Floats,
    cross: Floats,
    contrast: Floats,
    *,
    null: float = 0.0,
    restricted: bool = True,
    weights: Law = "auto",
    draws: int = 9999,
    seed: int = 0,
) -> tuple[float, Floats]:
    """Return the t statistic without small-sample factor and its bootstrap draws, shape (B,).

    The same seed and number of clusters give the same draws, so that several outcomes can
    share them, as `romano_wolf` requires. Enumerated signs come with their mirror images.
    """
    problem = wild_problem(gram, cross, contrast, restricted=restricted)
    terms = bootstrap_terms(problem, weights, draws, seed)
    delta = problem.estimate - null
    t = terms.statistics(delta)
    return float(delta / np.sqrt(problem.squared_error)), (
        np.concatenate((t, -t)) if terms.enumerated else t
    )


def score_blocks(estimate: float, contributions: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Return blocks (gram, cross) whose wild bootstrap is the score bootstrap of an estimate.

    An estimate with contributions psi_g (summing to zero) behaves as the coefficient of one
    regressor with A_g = share_g and b_g = psi_g + share_g * estimate: a null value r moves
    the contributions by (estimate - r) * share_g.

    Parameters
    ----------
    estimate : the estimate
    contributions : array, shape (G,), estimate minus truth is about their sum
    shares : array, shape (G,), by how much of a common change of the effect each cluster moves
        the estimate; rescaled to sum to one

    Source
    ------
    Kline and Santos (2012), Journal of Econometric Methods 1(1), section 3, with the null
    imposed as in the linear model.
    """
    weight = shares / shares.sum()
    centred = contributions - contributions.sum() * weight
    return weight[:, None, None], (centred + weight * estimate)[:, None]
