"""Wild cluster bootstrap in closed form: draws never touch the rows of the data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice, listing, plural
from impact.inference.bands import check_level
from impact.inference.sets import ConfidenceSet, interval, invert, significance
from impact.inference.wild_draws import Law, WildDraws

__all__ = [
    "WildTest",
    "score_blocks",
    "sole_identifiers",
    "wild_cluster_test",
    "wild_statistics",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Tails = Literal["symmetric", "equal"]

# Draws that repeat the sample (all signs equal) tie with it; rounding must not break the tie.
_TIE = 1e-9


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
    problem = _problem(gram, cross, contrast, variance, residuals, variance_groups)
    terms = _bootstrap_terms(
        problem, restricted, weights, draws, seed, draw_groups, variance_groups
    )
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
    problem = _problem(gram, cross, contrast, "cr1", "plain", None)
    terms = _bootstrap_terms(problem, restricted, weights, draws, seed, None, None)
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


def sole_identifiers(gram: Floats, contrast: Floats) -> NDArray[np.bool_]:
    """Tell which clusters identify the contrast alone: without them it cannot be estimated.

    Parameters
    ----------
    gram : array, shape (G, k, k)
    contrast : array, shape (k,)

    Returns
    -------
    array of bool, shape (G,)
    """
    root = np.linalg.cholesky(_scaled_total(gram, contrast)[0])
    scale = np.sqrt(np.diagonal(gram.sum(axis=0)))
    half = np.linalg.solve(root, gram / np.outer(scale, scale))
    share = np.linalg.solve(root, np.swapaxes(half, 1, 2))
    target = np.linalg.solve(root, contrast / scale)
    values, vectors = np.linalg.eigh(share)
    along = np.einsum("gij,i->gj", vectors, target / np.linalg.norm(target))
    return np.asarray(np.any((values > 1 - 1e-9) & (np.abs(along) > 1e-6), axis=1))


def _scaled_total(gram: Floats, contrast: Floats) -> tuple[Floats, Floats]:
    """Return the summed gram with a unit diagonal and the scale; refuse collinear columns."""
    total = gram.sum(axis=0)
    diagonal = np.diagonal(total)
    if contrast.shape != (gram.shape[1],):
        raise InferenceError(
            f"contrast has shape {contrast.shape}; it needs one weight for each of the "
            f"{plural(gram.shape[1], 'coefficient')}."
        )
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = total / np.outer(scale, scale)
    if (diagonal <= 0).any() or np.linalg.eigvalsh(scaled)[0] < 1e-12:
        raise InferenceError(
            f"The {plural(len(total), 'column')} of the blocks are collinear, so the "
            "coefficients are not identified. Drop one of the columns that add up."
        )
    return scaled, scale


@dataclass(frozen=True)
class _Problem:
    """Scores, slopes and projections of one contrast; delta is estimate minus null.

    The restricted scores are ``scores + delta * slopes``, shape (G, k). ``direction`` is a,
    ``loadings`` p_g and ``spread`` A^{-1} A_g p_g, both (G, k).
    """

    estimate: float
    squared_error: float
    scores: Floats
    slopes: Floats
    direction: Floats
    loadings: Floats
    spread: Floats


def _problem(
    gram: Floats,
    cross: Floats,
    contrast: Floats,
    variance: str,
    residuals: str,
    variance_groups: tuple[Integers, ...] | None,
) -> _Problem:
    check_choice("variance", variance, ("cr1", "cr3"), InferenceError)
    check_choice("residuals", residuals, ("plain", "jackknife"), InferenceError)
    if variance == "cr3" and variance_groups is not None:
        raise InferenceError(
            'variance="cr3" leaves out one block at a time and has no form for grouped or two-way '
            'variances. Use variance="cr1" with variance_groups.'
        )
    if len(gram) < 2:
        raise InferenceError(
            f"The wild cluster bootstrap needs at least 2 clusters; there is {len(gram)}. "
            "Nothing is left to compare with. Cluster more finely if treatment was assigned so."
        )
    _refuse_sole_identifiers(gram, contrast, variance_groups)
    total = gram.sum(axis=0)
    inverse = np.linalg.inv(total)
    beta = inverse @ cross.sum(axis=0)
    direction = inverse @ contrast
    scores = cross - gram @ beta
    loadings = np.broadcast_to(direction, scores.shape)
    if variance == "cr3":
        right = np.broadcast_to(contrast[:, None], (*scores.shape, 1))
        loadings = np.linalg.solve(total - gram, right)[:, :, 0]
    spread = np.einsum("gij,gj->gi", gram, loadings) @ inverse
    parts = np.einsum("gk,gk->g", scores, loadings)
    if residuals == "jackknife":
        base, slopes = _jackknife_scores(gram, cross, contrast, float(contrast @ beta))
    else:
        base, slopes = scores, gram @ direction / (contrast @ direction)
    return _Problem(
        estimate=float(contrast @ beta),
        squared_error=_two_way_squares(parts, variance_groups),
        scores=base,
        slopes=slopes,
        direction=direction,
        loadings=loadings,
        spread=spread,
    )


def _refuse_sole_identifiers(
    gram: Floats, contrast: Floats, variance_groups: tuple[Integers, ...] | None
) -> None:
    for codes in variance_groups or (np.arange(len(gram)),):
        _, index = np.unique(codes, return_inverse=True)
        grouped = np.zeros((index.max() + 1, *gram.shape[1:]))
        np.add.at(grouped, index, gram)
        alone = np.flatnonzero(sole_identifiers(grouped, contrast))
        if len(alone):
            raise InferenceError(
                f"The contrast cannot be estimated without cluster {listing(alone)} (its position "
                f"among {len(grouped)}): that cluster identifies it alone, so its residuals say "
                "nothing of its own error and a bootstrap of clusters has no valid p-value. Use "
                "the permutation or Ferman-Pinto test, which learn the error from the others."
            )


def _jackknife_scores(
    gram: Floats, cross: Floats, contrast: Floats, estimate: float
) -> tuple[Floats, Floats]:
    """Return scores at restricted estimates that leave out each cluster, and their slopes."""
    basis = np.linalg.qr(contrast[:, None], mode="complete")[0][:, 1:]
    fixed = contrast / (contrast @ contrast)
    rest, others = gram.sum(axis=0) - gram, cross.sum(axis=0) - cross
    right = np.stack((others - rest @ (fixed * estimate), rest @ fixed), axis=2)
    inner = np.swapaxes(basis.T @ rest @ basis, 1, 2)
    free = basis @ (np.linalg.pinv(inner, rcond=1e-12, hermitian=True) @ (basis.T @ right))
    scores = cross - np.einsum("gij,gj->gi", gram, free[:, :, 0] + fixed * estimate)
    slopes = np.einsum("gij,gj->gi", gram, fixed - free[:, :, 1])
    return scores, slopes


def _two_way_squares(parts: Floats, variance_groups: tuple[Integers, ...] | None) -> float:
    """Sum the squares of cluster totals, with the signs of inclusion and exclusion."""
    total = 0.0
    for codes, sign in _dimensions(variance_groups, len(parts)):
        total += sign * float(np.sum(np.bincount(codes, parts) ** 2))
    if total <= 0 and variance_groups is not None:
        raise InferenceError(
            "The two-way clustered variance is not positive in this sample, so no t statistic "
            "exists. Cluster on the coarser dimension alone."
        )
    if total <= 0:
        raise InferenceError(
            "The standard error is zero: every cluster's scores vanish, so no t statistic exists. "
            "The outcome is fitted without error; check that it is not built from the regressors."
        )
    return total


def _dimensions(
    variance_groups: tuple[Integers, ...] | None, n_blocks: int
) -> list[tuple[Integers, int]]:
    """Return (codes, sign) of each term of a one-way or two-way clustered variance."""
    if variance_groups is None:
        return [(np.arange(n_blocks), 1)]
    codes = [np.unique(group, return_inverse=True)[1] for group in variance_groups]
    if len(codes) == 1:
        return [(codes[0], 1)]
    if len(codes) > 2:
        raise InferenceError(
            f"variance_groups holds {len(codes)} dimensions; one or two are supported. "
            "Cluster on the level of assignment and, if need be, on time."
        )
    crossing = np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_inverse=True)[1]
    return [(codes[0], 1), (codes[1], 1), (crossing, -1)]


@dataclass(frozen=True)
class _Terms:
    """Numerators (2, B) and squared denominators (3, B) as polynomials in delta.

    The unrestricted bootstrap has constant terms only, and its statistics are compared with
    delta over the standard error.
    """

    numerator: Floats
    denominator: Floats
    squared_error: float
    source: WildDraws

    @property
    def enumerated(self) -> bool:
        """Whether the draws are half of all sign patterns."""
        return self.source.enumerated

    @property
    def total(self) -> int:
        """Number of draws, mirror images of enumerated signs included."""
        return int(self.numerator.shape[1]) * (2 if self.enumerated else 1)

    def _at(self, delta: float) -> tuple[Floats, Floats]:
        if len(self.numerator) == 1:
            return self.numerator[0], self.denominator[0]
        n, d = self.numerator, self.denominator
        top: Floats = n[0] + delta * n[1]
        squared: Floats = d[0] + delta * (d[1] + delta * d[2])
        return top, squared

    def statistics(self, delta: float) -> Floats:
        """Return t* under the null that lies ``delta`` below the estimate, shape (B,)."""
        top, squared = self._at(delta)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = top / np.sqrt(np.maximum(squared, 0.0))
        return np.where(np.isnan(t), 0.0, t)

    def p_values(self, delta: float, tails: str) -> tuple[float, float]:
        """Return the p-value with ties counted, and the strict share."""
        if tails == "equal":
            return self._equal_tail(delta)
        top, squared = self._at(delta)
        left, right = top * top * self.squared_error, delta * delta * squared
        at_least = int(np.count_nonzero(left >= right * (1 - _TIE)))
        above = int(np.count_nonzero(left > right * (1 + _TIE)))
        return self._share(at_least), above / len(top)

    def _share(self, count: int) -> float:
        size = int(self.numerator.shape[1])
        return count / size if self.enumerated else (1 + count) / (1 + size)

    def _equal_tail(self, delta: float) -> tuple[float, float]:
        t, observed = self.statistics(delta), delta / np.sqrt(self.squared_error)
        if self.enumerated:
            t = np.concatenate((t, -t))
        slack = _TIE * abs(observed)
        own = 0 if self.enumerated else 1
        tails = [
            (np.count_nonzero(side * t >= side * observed - slack) + own) / (len(t) + own)
            for side in (1, -1)
        ]
        strict = [np.mean(side * t > side * observed + slack) for side in (1, -1)]
        return float(min(1.0, 2 * min(tails))), float(min(1.0, 2 * min(strict)))

    def unrestricted_set(self, estimate: float, level: float, tails: str) -> ConfidenceSet:
        """Return the interval that inverts the unrestricted test, from order statistics of t*."""
        error = np.sqrt(self.squared_error)
        t = self.statistics(0.0)
        if self.enumerated:
            t = np.concatenate((t, -t))
        own = 0 if self.enumerated else 1
        alpha = significance(level) / (1 if tails == "symmetric" else 2)
        rank = int(np.floor(alpha * (len(t) + own) - own + 1e-9))
        if rank < 0:
            return interval(-np.inf, np.inf, level)
        upper, lower = (np.abs(t), np.abs(t)) if tails == "symmetric" else (t, -t)
        high = np.sort(upper)[::-1][rank]
        low = np.sort(lower)[::-1][rank]
        return interval(float(estimate - error * high), float(estimate + error * low), level)


def _bootstrap_terms(
    problem: _Problem,
    restricted: bool,
    weights: Law,
    draws: int,
    seed: int,
    draw_groups: Integers | None,
    variance_groups: tuple[Integers, ...] | None,
) -> _Terms:
    """Accumulate numerators and denominators over blocks of draws."""
    layers = [problem.scores, problem.slopes] if restricted else [problem.scores]
    n_blocks = len(problem.scores)
    groups = (
        np.arange(n_blocks)
        if draw_groups is None
        else np.unique(draw_groups, return_inverse=True)[1]
    )
    maps = [
        (_ClusterMap.of(problem, layers, groups, codes), sign)
        for codes, sign in _dimensions(variance_groups, n_blocks)
    ]
    sums = [_group_sum(layer, groups) for layer in layers]
    heads = np.stack([layer @ problem.direction for layer in sums])
    source = WildDraws(len(sums[0]), weights, draws, seed)
    numerators, denominators = [], []
    for v in source.blocks():
        numerators.append(heads @ v)
        denominators.append(sum(sign * m.squares(v) for m, sign in maps))
    return _Terms(
        numerator=np.concatenate(numerators, axis=1),
        denominator=np.concatenate(denominators, axis=1),
        squared_error=problem.squared_error,
        source=source,
    )


def _group_sum(rows: Floats, codes: Integers) -> Floats:
    total = np.zeros((codes.max() + 1, *rows.shape[1:]))
    np.add.at(total, codes, rows)
    return total


@dataclass(frozen=True)
class _ClusterMap:
    """Linear maps from draws to the cluster terms of the variance, one per layer.

    ``own`` holds the diagonal of a one-way map (G,), or the dense map (G, M) where blocks are
    grouped; ``spread`` (G, k) and ``sums`` (M, k) hold the low-rank part that re-estimation
    subtracts. ``dense`` is used where it costs less.
    """

    own: tuple[Floats, ...]
    spread: Floats
    sums: tuple[Floats, ...]

    @classmethod
    def of(
        cls, problem: _Problem, layers: list[Floats], groups: Integers, codes: Integers
    ) -> _ClusterMap:
        one_way = np.array_equal(groups, codes) and len(np.unique(codes)) == len(codes)
        own = []
        for layer in layers:
            parts = np.einsum("gk,gk->g", layer, problem.loadings)
            own.append(parts if one_way else _cross_sum(parts, codes, groups))
        sums = tuple(_group_sum(layer, groups) for layer in layers)
        return cls(tuple(own), _group_sum(problem.spread, codes), sums)

    @cached_property
    def dense(self) -> tuple[Floats, ...] | None:
        """The maps as matrices (G, M), or None where the low-rank form is cheaper."""
        diagonal = self.own[0].ndim == 1
        if diagonal and 2 * self.spread.shape[1] < len(self.spread) // 2:
            return None
        return tuple(
            (np.diag(own) if diagonal else own) - self.spread @ total.T
            for own, total in zip(self.own, self.sums, strict=True)
        )

    def squares(self, v: Floats) -> Floats:
        """Return the polynomial coefficients of the summed squares, (1 or 3, draws)."""
        if self.dense is not None:
            terms = [matrix @ v for matrix in self.dense]
        else:
            terms = [
                own[:, None] * v - self.spread @ (total.T @ v)
                for own, total in zip(self.own, self.sums, strict=True)
            ]
        pairs = [(0, 0)] if len(terms) == 1 else [(0, 0), (0, 1), (1, 1)]
        squares = [np.einsum("gb,gb->b", terms[i], terms[j]) * (1 + (i != j)) for i, j in pairs]
        return np.stack(squares)


def _cross_sum(parts: Floats, rows: Integers, columns: Integers) -> Floats:
    """Sum parts by pair of row and column group, shape (rows, columns)."""
    shape = (rows.max() + 1, columns.max() + 1)
    flat = np.bincount(rows * shape[1] + columns, parts, shape[0] * shape[1])
    return flat.reshape(shape)
