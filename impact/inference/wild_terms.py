"""Draws of the wild cluster bootstrap as polynomials in the null."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice, listing
from impact.inference.leverage import sole_identifiers
from impact.inference.sets import ConfidenceSet, interval, significance
from impact.inference.wild_draws import Law, WildDraws

__all__ = ["WildProblem", "WildTerms", "bootstrap_terms", "wild_problem"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Draws that repeat the sample (all signs equal) tie with it; rounding must not break the tie.
_TIE = 1e-9


@dataclass(frozen=True)
class WildProblem:
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


def wild_problem(
    gram: Floats,
    cross: Floats,
    contrast: Floats,
    variance: str,
    residuals: str,
    variance_groups: tuple[Integers, ...] | None,
) -> WildProblem:
    """Reduce blocks (G, k, k) and (G, k) to what testing one contrast (k,) takes.

    Raises
    ------
    InferenceError : fewer than two clusters, collinear columns, a contrast that one cluster
        identifies alone, no positive variance
    """
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
    # Columns of unit length: ranks must not depend on the units of measure of regressors.
    scale = np.sqrt(np.diagonal(gram.sum(axis=0)))
    gram, cross, contrast = gram / np.outer(scale, scale), cross / scale, contrast / scale
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
    return WildProblem(
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
class WildTerms:
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


def bootstrap_terms(
    problem: WildProblem,
    restricted: bool,
    weights: Law,
    draws: int,
    seed: int,
    draw_groups: Integers | None,
    variance_groups: tuple[Integers, ...] | None,
) -> WildTerms:
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
    return WildTerms(
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
        cls, problem: WildProblem, layers: list[Floats], groups: Integers, codes: Integers
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
