"""Inference by re-assignment: placebos in space and time, ranks, and conformal tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, plural
from impact.inference.scores import Replicates

__all__ = [
    "Assignment",
    "CrossFit",
    "PlaceboDraws",
    "canonical_order",
    "conformal_interval",
    "conformal_p_value",
    "cross_fit_t",
    "misfit_rank",
    "no_uncertainty",
    "placebo_assignments",
    "rank_p_value",
    "rmspe_ratios",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

# Two statistics closer than this, relative to their size, are tied: equal draws computed in
# another order differ by rounding.
TIE = 1e-9


@dataclass(frozen=True, eq=False)
class PlaceboDraws:
    """Joint uncertainty from estimates in which there was no treatment.

    Parameters
    ----------
    draws : shape (B, K), each row the estimates of one placebo assignment; under the null of
        no effect and exchangeable units they have the law of the actual estimates
    n_clusters : number of units that take part
    doubt : why the estimates cannot be read against the draws, in words; every standard error,
        p-value and interval is then NaN. Empty where they can

    Notes
    -----
    The covariance is the draws' own, and assumes that treated and untreated units vary alike;
    it takes their mean as the bias of the method and leaves it out. P-values and intervals
    come from ranks and need exchangeability only. No p-value can be below ``p_lattice``.

    Source
    ------
    Arkhangelsky et al. (2021), algorithm 4, for the variance; Abadie, Diamond and Hainmueller
    (2010), section 3.4, for the ranks.
    """

    draws: Floats
    n_clusters: int
    df: float | None = None
    doubt: str = ""

    @property
    def method(self) -> str:
        """What the draws are, in words."""
        return plural(len(self.draws), "placebo assignment")

    def covariance(self) -> Floats:
        """Return the covariance of the placebo estimates, shape (K, K)."""
        if self.doubt:
            return np.full((self.draws.shape[1],) * 2, np.nan)
        deviations = self.draws - self.draws.mean(axis=0)
        return np.asarray(deviations.T @ deviations / len(self.draws))

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (K,)."""
        return np.full(self.draws.shape[1], np.nan) if self.doubt else self.draws.var(axis=0)

    def contributions(self) -> None:
        """Return None: placebos do not tell what each unit contributes."""

    def combine(self, weights: Floats) -> PlaceboDraws:
        """Return the placebo draws of ``weights @ estimates``."""
        return PlaceboDraws(self.draws @ weights.T, self.n_clusters, self.df, self.doubt)

    @property
    def p_lattice(self) -> float:
        """Smallest p-value these placebos can give, 1 / (B + 1)."""
        return 1.0 / (len(self.draws) + 1)

    def p_values(self, estimates: Floats) -> Floats:
        """Return two-sided rank p-values of the estimates, shape (K,)."""
        if self.doubt:
            return np.full(len(estimates), np.nan)
        return np.array(
            [
                rank_p_value(abs(e), np.abs(d))
                for e, d in zip(estimates, self.draws.T[: len(estimates)], strict=True)
            ]
        )

    def intervals(self, estimates: Floats, level: float = 0.95) -> Floats:
        """Invert the rank test of a constant shift, shape (K, 2); infinite where B is too small.

        The interval holds the effects that the placebos would not reject: estimate plus or
        minus the k-th largest absolute placebo, k the largest rank with a p-value of at most
        1 - level.
        """
        if self.doubt:
            return np.full((len(estimates), 2), np.nan)
        rank = int(np.floor((1.0 - level) * (len(self.draws) + 1) + TIE))
        if rank == 0:
            reach = np.full(len(estimates), np.inf)
        else:
            reach = np.sort(np.abs(self.draws[:, : len(estimates)]), axis=0)[-rank]
        return np.stack([estimates - reach, estimates + reach], axis=1)


def no_uncertainty(width: int, n_clusters: int) -> Replicates:
    """Return the uncertainty of estimates that come without any: all missing."""
    return Replicates(np.full((2, width), np.nan), n_clusters, "none asked for")


def rank_p_value(statistic: float, placebos: Floats) -> float:
    """Return (1 + number of placebos at least as large) / (1 + number of placebos).

    NaN placebos count as larger: leaving them out would reward a method that fails.
    """
    with np.errstate(invalid="ignore"):
        smaller = placebos < statistic - TIE * abs(statistic)
    return float((1 + np.sum(~smaller)) / (1 + len(placebos)))


def rmspe_ratios(gaps: Floats, pre: NDArray[np.bool_], post: NDArray[np.bool_]) -> Floats:
    """Return the root mean squared gap after treatment over that before, shape (B,).

    Source
    ------
    Abadie, Diamond and Hainmueller (2010), section 3.4.
    """
    before = np.sqrt(np.mean(gaps[:, pre] ** 2, axis=1))
    after = np.sqrt(np.mean(gaps[:, post] ** 2, axis=1))
    return np.asarray(np.divide(after, before, out=np.full(len(gaps), np.inf), where=before > 0.0))


def misfit_rank(
    gap: Floats, placebos: Floats, pre: NDArray[np.bool_], post: NDArray[np.bool_]
) -> float:
    """Rank the root mean squared gap before treatment among those of placebos after it.

    Parameters
    ----------
    gap : shape (T,), of the treated unit
    placebos : shape (B, T)

    Notes
    -----
    What is ranked held no effect yet. Where its p-value is small, the misfit alone would pass for
    an effect: the weights miss the path by more than chance makes of effects in the placebos.
    Outcomes of the treated unit after treatment have no part in it, so that turning away what
    fails leaves the size of the rank test at most what it was.
    """
    before = float(np.sqrt(np.mean(gap[pre] ** 2)))
    return rank_p_value(before, np.sqrt(np.mean(placebos[:, post] ** 2, axis=1)))


def canonical_order(outcomes: Floats) -> Indices:
    """Order units by the size of their path about unit and period means, shape (n,).

    Random draws made in this order do not depend on labels, on the order of rows, on the
    outcome's unit of measure, nor on constants added to units or periods.
    """
    centred = outcomes - outcomes.mean(axis=1, keepdims=True)
    centred = centred - centred.mean(axis=0)
    sizes = np.einsum("it,it->i", centred, centred)
    # Rounded, so that what another order of additions changes does not decide a near tie.
    rounded = np.round(sizes / max(float(sizes.max(initial=0.0)), np.finfo(float).tiny), 9)
    return np.argsort(rounded, kind="stable")


@dataclass(frozen=True, eq=False)
class Assignment:
    """Donors that stand in for one block's treated units in B placebo draws.

    Attributes
    ----------
    groups : shape (B, n1), positions in the block's donor pool
    barred : shape (B, n0), True for donors pretended treated in any block of the draw
    """

    groups: Indices
    barred: NDArray[np.bool_]


def placebo_assignments(
    pools: Sequence[Indices], sizes: Sequence[int], draws: int, seed: int
) -> list[Assignment]:
    """Choose donors to stand in for the treated units, jointly over blocks that share donors.

    Parameters
    ----------
    pools : donors of each block
    sizes : treated units of each block
    draws : number of draws; with one block, all sets are used when there are no more

    Raises
    ------
    InferenceError : no donor would be left to compare with
    """
    shared = all(np.array_equal(pool, pools[0]) for pool in pools[1:])
    need = [(len(pool), size) for pool, size in zip(pools, sizes, strict=True)]
    if shared:
        need = [(len(pools[0]), sum(sizes))]
    for n_donors, n_treated in need:
        if n_donors <= n_treated:
            raise InferenceError(
                f"placebos need more donors than treated units: {plural(n_donors, 'donor')} cannot "
                f"stand in for {plural(n_treated, 'treated unit')} and be their comparison too. "
                'Use inference="jackknife" where the estimator offers it, or widen the donor pool.'
            )
    rng = np.random.default_rng(seed)
    if len(pools) == 1 and comb(*need[0]) <= draws:
        chosen = [np.array(list(combinations(range(need[0][0]), need[0][1])), dtype=np.intp)]
    else:
        chosen = [
            np.argsort(rng.random((draws, n_donors)), axis=1)[:, :n_treated].astype(np.intp)
            for n_donors, n_treated in need
        ]
    barred = []
    for (n_donors, _), groups in zip(need, chosen, strict=True):
        mask = np.zeros((len(groups), n_donors), dtype=bool)
        np.put_along_axis(mask, groups, True, axis=1)
        barred.append(mask)
    if not shared:
        return [Assignment(*pair) for pair in zip(chosen, barred, strict=True)]
    parts = np.split(chosen[0], np.cumsum(sizes)[:-1], axis=1)
    return [Assignment(part, barred[0]) for part in parts]


def conformal_p_value(residuals: Floats, n_after: int, *, q: float = 1.0) -> float:
    """Rank the size of the last residuals among all cyclic shifts of the series.

    Parameters
    ----------
    residuals : shape (T,), of a model fitted to all periods with the null imposed
    n_after : number of periods after treatment, the last ones
    q : power of the statistic (mean |u|^q)^(1/q)

    Notes
    -----
    Exact when the residuals are exchangeable, approximately valid when they are stationary and
    weakly dependent. The lattice is 1/T.

    Source
    ------
    Chernozhukov, Wuthrich and Zhu (2021), Journal of the American Statistical Association
    116(536), section 2 (moving block permutations).
    """
    sizes = np.abs(residuals) ** q
    shifted = np.array([np.roll(sizes, k)[-n_after:].mean() for k in range(len(sizes))])
    return float(np.mean(shifted >= shifted[0] * (1.0 - TIE)))


def conformal_interval(
    p_value: Callable[[float], float],
    centre: float,
    spread: float,
    level: float,
    *,
    points: int = 101,
) -> tuple[float, float]:
    """Collect the effects that a conformal test does not reject, and return their range.

    Parameters
    ----------
    p_value : p-value of the hypothesis that the effect is the argument
    centre, spread : where the search starts and its first half-width
    points : grid points of each pass

    Returns
    -------
    low, high : ends of the smallest interval that holds the set; infinite where the test
        does not reject even far away

    Notes
    -----
    The set need not be an interval; the range is then conservative. The half-width is doubled
    until both ends are rejected, and each end is then bisected to 1e-6 of the spread.
    """
    alpha = 1.0 - level
    for _ in range(12):
        grid = centre + spread * np.linspace(-1.0, 1.0, points)
        kept = np.array([p_value(float(g)) > alpha + TIE for g in grid])
        if not kept[0] and not kept[-1]:
            break
        spread *= 2.0
    if not kept.any():
        return np.nan, np.nan
    inside = np.flatnonzero(kept)
    ends = []
    for edge, outside in ((inside[0], inside[0] - 1), (inside[-1], inside[-1] + 1)):
        if not 0 <= outside < points:
            ends.append(-np.inf if outside < 0 else np.inf)
            continue
        good, bad = float(grid[edge]), float(grid[outside])
        while abs(good - bad) > 1e-6 * spread:
            middle = 0.5 * (good + bad)
            good, bad = (middle, bad) if p_value(middle) > alpha + TIE else (good, middle)
        ends.append(good)
    return ends[0], ends[1]


@dataclass(frozen=True)
class CrossFit:
    """A debiased average effect with its t statistic's scale.

    ``estimate`` and ``std_error`` refer to a t distribution with ``df`` degrees of freedom.
    """

    estimate: float
    std_error: float
    df: int


def cross_fit_t(
    treated: Floats,
    fitted: Callable[[Indices], Floats],
    n_before: int,
    *,
    folds: int = 3,
) -> CrossFit:
    """Estimate the average effect with blocks of pre-periods held out to remove the bias.

    tau_k = mean over post of (y - fit_k) - mean over the held-out block k of (y - fit_k), with
    fit_k from the pre-periods outside the block; tau = mean of tau_k.

    Parameters
    ----------
    treated : shape (T,), the treated path, n_before periods first
    fitted : maps the pre-periods used, shape (m,), to the fitted path, shape (T,)
    folds : number K of blocks

    Raises
    ------
    InferenceError : fewer than two pre-periods a block

    Source
    ------
    Chernozhukov, Wuthrich and Zhu (2025), "A t-test for synthetic controls",
    arXiv:1812.10820, section 2; K = 3 is their default.
    """
    n_after = len(treated) - n_before
    width = min(n_before // folds, n_after)
    if n_before // folds < 2:
        raise InferenceError(
            f"cross-fitting over {folds} blocks needs {2 * folds} periods before treatment; there "
            f'are {n_before}. Use inference="placebo".'
        )
    taus = np.empty(folds)
    first = n_before - folds * width
    for k in range(folds):
        held = np.arange(first + k * width, first + (k + 1) * width)
        kept = np.setdiff1d(np.arange(n_before), held)
        gaps = treated - fitted(kept)
        taus[k] = gaps[n_before:].mean() - gaps[held].mean()
    scale = np.sqrt(1.0 + folds * width / n_after)
    return CrossFit(float(taus.mean()), float(scale * taus.std(ddof=1) / np.sqrt(folds)), folds - 1)
