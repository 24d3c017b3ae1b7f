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
from impact.kernels.blocks import cluster_blocks

__all__ = [
    "TwoWayRows",
    "WildProblem",
    "WildTerms",
    "bootstrap_terms",
    "two_way_problem",
    "wild_problem",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Draws that repeat the sample (all signs equal) tie with it; rounding must not break the tie.
_TIE = 1e-9


@dataclass(frozen=True)
class WildProblem:
    """What drawing for one contrast takes, in layers that powers of delta multiply.

    Delta is estimate minus null. A block's restricted score is the sum of its layers times their
    powers of delta; without the restriction there is one layer.

    Attributes
    ----------
    estimate, squared_error : of the contrast
    parts : a layer each, shape (M,), scores of blocks times their loadings p_g
    sums : a layer each, shape (D, k), scores summed over the blocks that share a draw
    direction : shape (k,), a
    spread : shape (M, k), A^{-1} A_g p_g
    draws : shape (M,), which draw 0..D-1 each block shares
    dimensions : codes (M,) and sign of each term of the variance
    """

    estimate: float
    squared_error: float
    parts: tuple[Floats, ...]
    sums: tuple[Floats, ...]
    direction: Floats
    spread: Floats
    draws: Integers
    dimensions: tuple[tuple[Integers, int], ...]


def wild_problem(
    gram: Floats,
    cross: Floats,
    contrast: Floats,
    *,
    restricted: bool = True,
    variance: str = "cr1",
    residuals: str = "plain",
    draw_groups: Integers | None = None,
    variance_groups: tuple[Integers, ...] | None = None,
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
    layers: tuple[Floats, ...]
    if residuals == "jackknife":
        layers = _jackknife_scores(gram, cross, contrast, float(contrast @ beta))
    else:
        layers = scores, gram @ direction / (contrast @ direction)
    layers = layers if restricted else layers[:1]
    dimensions = _dimensions(variance_groups, len(gram))
    own = np.arange(len(gram)) if draw_groups is None else draw_groups
    draws = np.unique(own, return_inverse=True)[1]
    return WildProblem(
        estimate=float(contrast @ beta),
        squared_error=_squared_error(np.einsum("gk,gk->g", scores, loadings), dimensions),
        parts=tuple(np.einsum("gk,gk->g", layer, loadings) for layer in layers),
        sums=tuple(_group_sum(layer, draws) for layer in layers),
        direction=direction,
        spread=np.einsum("gij,gj->gi", gram, loadings) @ inverse,
        draws=draws,
        dimensions=dimensions,
    )


@dataclass(frozen=True, eq=False)
class TwoWayRows:
    """A regression by row, to be drawn by the first of two cluster dimensions.

    Attributes
    ----------
    estimate : of the contrast
    regressors : shape (k, n), all columns that are not nested in the first dimension's clusters
    residuals : shape (n,)
    weights : shape (n,); equal if None
    contrast : shape (k,)
    first, second : shape (n,), cluster of each row in either dimension, from 0 on
    """

    estimate: float
    regressors: Floats
    residuals: Floats
    weights: Floats | None
    contrast: Floats
    first: Integers
    second: Integers


def two_way_problem(rows: TwoWayRows) -> WildProblem:
    """Reduce rows to what the restricted test with two-way variances takes.

    Sums over cells of both dimensions are taken of what the contrast loads on alone, k + 2 numbers
    a cell, where `wild_problem` would take k^2.

    Raises
    ------
    InferenceError : as `wild_problem`
    """
    weights = np.ones(len(rows.residuals)) if rows.weights is None else rows.weights
    x, first, second = rows.regressors, rows.first, rows.second
    scale = np.sqrt(np.einsum("kn,kn,n->k", x, x, weights))
    x, contrast = x / scale[:, None], rows.contrast / scale
    width = int(second.max()) + 1
    _, cells = np.unique(first * width + second, return_inverse=True)
    blocks = [
        cluster_blocks(rows.residuals, x, codes, int(codes.max()) + 1, rows.weights)
        for codes in (first, second)
    ]
    for block in blocks:
        _refuse_sole_identifiers(block.gram, contrast, None)
    inverse = np.linalg.inv(blocks[0].gram.sum(axis=0))
    direction = inverse @ contrast
    loaded = weights * (direction @ x)
    slope = 1 / (contrast @ direction)
    parts = (
        _totals(cells, loaded * rows.residuals),
        slope * _totals(cells, loaded * (direction @ x)),
    )
    spread = np.stack([_totals(cells, loaded * column) for column in x], axis=1) @ inverse
    codes = np.zeros((2, len(spread)), dtype=np.int64)
    codes[:, cells] = first, second
    dimensions = _dimensions((codes[0], codes[1]), len(spread))
    return WildProblem(
        estimate=rows.estimate,
        squared_error=_squared_error(parts[0], dimensions),
        parts=parts,
        sums=(blocks[0].cross, slope * blocks[0].gram @ direction),
        direction=direction,
        spread=spread,
        draws=codes[0],
        dimensions=dimensions,
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
                f"The contrast cannot be estimated without cluster {listing(alone + 1)} "
                f"(counted from 1 to {len(grouped)}): that cluster identifies it alone, so its "
                "residuals say nothing of its own error and a bootstrap of clusters has no valid "
                "p-value. Use the permutation or Ferman-Pinto test, which learn the error from the "
                "others."
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


def _squared_error(parts: Floats, dimensions: tuple[tuple[Integers, int], ...]) -> float:
    """Sum the squares of cluster totals, with the signs of inclusion and exclusion."""
    total = 0.0
    for codes, sign in dimensions:
        total += sign * float(np.sum(np.bincount(codes, parts) ** 2))
    if total <= 0 and len(dimensions) > 1:
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
) -> tuple[tuple[Integers, int], ...]:
    """Return (codes, sign) of each term of a one-way or two-way clustered variance."""
    if variance_groups is None:
        return ((np.arange(n_blocks), 1),)
    codes = [np.unique(group, return_inverse=True)[1] for group in variance_groups]
    if len(codes) == 1:
        return ((codes[0], 1),)
    if len(codes) > 2:
        raise InferenceError(
            f"variance_groups holds {len(codes)} dimensions; one or two are supported. "
            "Cluster on the level of assignment and, if need be, on time."
        )
    crossing = np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_inverse=True)[1]
    return (codes[0], 1), (codes[1], 1), (crossing, -1)


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


def bootstrap_terms(problem: WildProblem, weights: Law, draws: int, seed: int) -> WildTerms:
    """Accumulate numerators and denominators over blocks of draws."""
    maps = [(_cluster_map(problem, codes), sign) for codes, sign in problem.dimensions]
    heads = np.stack([total @ problem.direction for total in problem.sums])
    source = WildDraws(len(problem.sums[0]), weights, draws, seed)
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


def _totals(codes: Integers, values: Floats, size: int = 0) -> Floats:
    return np.bincount(codes, values, size).astype(np.float64)


def _pairs(n_layers: int) -> list[tuple[int, int]]:
    """Return the pairs of layers that multiply delta to the power of 0, 1 and 2."""
    return [(0, 0)] if n_layers == 1 else [(0, 0), (0, 1), (1, 1)]


def _cluster_map(problem: WildProblem, codes: Integers) -> _ClusterMap | _CellMap:
    """Return the map from draws to one term of the variance, in the form that costs least."""
    groups, spread = problem.draws, _group_sum(problem.spread, codes)
    if np.array_equal(groups, codes) and len(spread) == len(codes):
        return _ClusterMap(problem.parts, spread, problem.sums)
    home = np.zeros(len(spread), dtype=np.int64)
    home[codes] = groups
    if (home[codes] == groups).all():
        own = tuple(_totals(codes, part) for part in problem.parts)
        return _CellMap.of(own, spread, problem.sums, home)
    crossed = tuple(_cross_sum(part, codes, groups) for part in problem.parts)
    return _ClusterMap(crossed, spread, problem.sums)


@dataclass(frozen=True)
class _ClusterMap:
    """Linear maps from draws to the cluster terms of the variance, one per layer.

    ``own`` holds the diagonal of a one-way map (G,), or the dense map (G, D) where blocks are
    grouped; ``spread`` (G, k) and ``sums`` (D, k) hold the low-rank part that re-estimation
    subtracts. ``dense`` is used where it costs less.
    """

    own: tuple[Floats, ...]
    spread: Floats
    sums: tuple[Floats, ...]

    @cached_property
    def dense(self) -> tuple[Floats, ...] | None:
        """The maps as matrices (G, D), or None where the low-rank form is cheaper."""
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
        squares = [
            np.einsum("gb,gb->b", terms[i], terms[j]) * (1 + (i != j))
            for i, j in _pairs(len(terms))
        ]
        return np.stack(squares)


@dataclass(frozen=True)
class _CellMap:
    """The same where each term lies within one draw, its squares summed by draw beforehand.

    With o_m a cell's part, u_m its spread, q = sums'v and D draws: ``squared`` (D,) holds the sums
    of o_m o_m' for each pair of layers, ``mixed`` (D, k) of o_m u_m, ``inner`` (k, k) of u_m u_m'.
    """

    squared: tuple[Floats, ...]
    mixed: tuple[Floats, ...]
    inner: Floats
    sums: tuple[Floats, ...]

    @classmethod
    def of(
        cls, own: tuple[Floats, ...], spread: Floats, sums: tuple[Floats, ...], home: Integers
    ) -> _CellMap:
        size = len(sums[0])
        return cls(
            squared=tuple(_totals(home, own[i] * own[j], size) for i, j in _pairs(len(own))),
            mixed=tuple(
                np.stack([_totals(home, part * u, size) for u in spread.T], axis=1) for part in own
            ),
            inner=spread.T @ spread,
            sums=sums,
        )

    def squares(self, v: Floats) -> Floats:
        """Return the polynomial coefficients of the summed squares, (1 or 3, draws)."""
        moved = [total.T @ v for total in self.sums]
        mixed = [product.T @ v for product in self.mixed]
        squares = []
        for (i, j), squared in zip(_pairs(len(moved)), self.squared, strict=True):
            both = squared @ v**2 + np.einsum("kb,kb->b", moved[i], self.inner @ moved[j])
            both -= np.einsum("kb,kb->b", mixed[i], moved[j])
            both -= np.einsum("kb,kb->b", mixed[j], moved[i])
            squares.append(both * (1 + (i != j)))
        return np.stack(squares)


def _cross_sum(parts: Floats, rows: Integers, columns: Integers) -> Floats:
    """Sum parts by pair of row and column group, shape (rows, columns)."""
    shape = (rows.max() + 1, columns.max() + 1)
    flat = np.bincount(rows * shape[1] + columns, parts, shape[0] * shape[1])
    return flat.reshape(shape)
