"""Tests that a mean is flat, or a line, in a regressor, against any other shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["stute_test", "yatchew_test"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Units times draws held at once.
_BLOCK = 4_000_000


def yatchew_test(y: Floats, d: Floats) -> tuple[float, float]:
    """Test that E[y | d] is a line, whatever the residuals' variance; statistic and p-value.

    T = sqrt(n) (s_line - s_near) / s with s_line the mean squared residual of the line, s_near
    half the mean squared difference of y between neighbours in d, and s^2 the mean product of
    neighbours' squared residuals; one-sided normal.

    Source
    ------
    de Chaisemartin et al. (2024), arXiv 2405.04465, theorem 7, robust to heteroskedasticity;
    Yatchew (1997), Economics Letters 57(2).
    """
    order = np.argsort(d, kind="stable")
    y, d = y[order], d[order]
    X = np.stack((np.ones(len(d)), d), axis=1)
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    line = residual @ residual / len(y)
    near = np.sum(np.diff(y) ** 2) / (2 * len(y))
    spread = np.sqrt(np.sum(residual[1:] ** 2 * residual[:-1] ** 2) / (len(y) - 1))
    statistic = float(np.sqrt(len(y)) * (line - near) / spread)
    return statistic, float(special.ndtr(-statistic))


def stute_test(
    outcomes: Floats,
    d: Floats,
    *,
    line: bool = True,
    weights: Floats | None = None,
    clusters: Integers | None = None,
    draws: int = 999,
    seed: int = 0,
) -> tuple[float, float]:
    """Test that E[y_k | d] is a line, or flat, in d for all K outcomes; statistic and p-value.

    S = sum_k n^-2 sum_i w_i (sum_j w_j e_jk 1{d_j <= d_i})^2 with e the residuals of the line (of
    the mean if not ``line``): partial sums along d, which stay small where the shape is right.

    Parameters
    ----------
    outcomes : array, shape (n, K)
    d : array, shape (n,)
    weights : array, shape (n,), of mean one; equal if None
    clusters : array, shape (n,), whose members share a multiplier; every row its own if None
    draws, seed : of the wild bootstrap with Mammen's two points; one multiplier for all K

    Source
    ------
    Stute (1997), Annals of Statistics 25(2); Stute, Gonzalez Manteiga and Presedo Quindimil
    (1998), JASA 93(441), for the bootstrap; de Chaisemartin et al. (2024), appendix D. The joint
    statistic sums over outcomes.
    """
    n = len(d)
    order = np.argsort(d, kind="stable")
    d, y = d[order], outcomes[order]
    w = np.ones(n) if weights is None else weights[order]
    X = np.stack((np.ones(n), d), axis=1)[:, : 1 + line]
    hat = np.linalg.pinv(X * np.sqrt(w)[:, None]) * np.sqrt(w)
    residual = y - X @ (hat @ y)
    ends = np.append(np.flatnonzero(np.diff(d)), n - 1)
    sizes = np.diff(np.cumsum(w)[ends], prepend=0.0)

    def size_of(e: Floats) -> Floats:
        """Return the statistic of residuals (n, ...) in the order of d."""
        sums = np.cumsum(w.reshape(-1, *[1] * (e.ndim - 1)) * e, axis=0)[ends]
        return np.asarray(np.tensordot(sizes, sums**2, axes=1) / n**2)

    statistic = float(size_of(residual).sum())
    own = np.arange(n) if clusters is None else clusters
    n_clusters = int(own.max()) + 1
    rng = np.random.default_rng(seed)
    larger = 0
    step = max(1, _BLOCK // n)
    for start in range(0, draws, step):
        count = min(step, draws - start)
        multipliers = _mammen(rng, n_clusters, count)[own[order]]
        drawn = np.zeros(count)
        for column in residual.T:
            moved = column[:, None] * multipliers
            drawn += size_of(moved - X @ (hat @ moved))
        larger += int((drawn >= statistic).sum())
    return statistic, (1 + larger) / (draws + 1)


def _mammen(rng: np.random.Generator, n: int, draws: int) -> Floats:
    """Draw Mammen's two points, mean zero and second and third moments one, shape (n, draws)."""
    root = np.sqrt(5.0)
    low = rng.random((n, draws)) < (root + 1) / (2 * root)
    return np.asarray(np.where(low, (1 - root) / 2, (1 + root) / 2))
