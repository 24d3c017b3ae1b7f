"""Wild cluster bootstrap of several restrictions at once, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, listing, plural
from impact.inference.leverage import sole_identifiers
from impact.inference.wild_draws import Law, WildDraws

__all__ = ["WildJointTest", "wild_joint_test"]

Floats = NDArray[np.float64]

_TIE = 1e-9


@dataclass(frozen=True)
class WildJointTest:
    """Report a wild cluster bootstrap of a Wald statistic.

    ``statistic`` is (R b - r)' V^{-1} (R b - r) with V the CR1 covariance without small-sample
    factor; ``p_value`` counts ties, with random draws (1 + count) / (1 + draws).
    """

    statistic: float
    restrictions: int
    p_value: float
    draws: int
    enumerated: bool
    lattice: float
    weights: str


def wild_joint_test(
    gram: Floats,
    cross: Floats,
    contrasts: Floats,
    *,
    values: Floats | None = None,
    weights: Law = "auto",
    draws: int = 9999,
    seed: int = 0,
) -> WildJointTest:
    """Test several contrasts of regression coefficients at once, the null imposed.

    Parameters
    ----------
    gram, cross : arrays, shape (G, k, k) and (G, k), blocks of each cluster
    contrasts : array, shape (q, k), linearly independent rows
    values : array, shape (q,), of the contrasts under the null; zero if None
    weights, draws, seed : as in `impact.inference.wild.wild_cluster_test`

    Raises
    ------
    InferenceError : more restrictions than clusters less one, dependent rows, or a contrast
        that one cluster identifies alone

    Notes
    -----
    Where a draw's covariance is singular its generalised inverse is used.

    Source
    ------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3); Roodman,
    Nielsen, MacKinnon and Webb (2019), Stata Journal 19(1), section 4.2.
    """
    n_clusters, q = len(gram), len(contrasts)
    _check(gram, contrasts)
    null = np.zeros(q) if values is None else values
    scale = np.sqrt(np.diagonal(gram.sum(axis=0)))
    gram, cross, contrasts = gram / np.outer(scale, scale), cross / scale, contrasts / scale
    inverse = np.linalg.inv(gram.sum(axis=0))
    beta = inverse @ cross.sum(axis=0)
    direction = contrasts @ inverse
    gap = contrasts @ beta - null
    observed = _wald(gap[:, None], ((cross - gram @ beta) @ direction.T).T[:, :, None])[0]
    restricted = beta - direction.T @ np.linalg.solve(direction @ contrasts.T, gap)
    scores = cross - gram @ restricted
    parts = scores @ direction.T
    spread = np.einsum("gij,qj->qgi", gram, direction) @ inverse
    maps = [np.diag(parts[:, r]) - spread[r] @ scores.T for r in range(q)]
    source = WildDraws(n_clusters, weights, draws, seed)
    count = total = 0
    for v in source.blocks():
        drawn = _wald(parts.T @ v, np.stack([matrix @ v for matrix in maps]))
        count += int(np.count_nonzero(drawn >= observed * (1 - _TIE)))
        total += v.shape[1]
    own = 0 if source.enumerated else 1
    return WildJointTest(
        statistic=float(observed),
        restrictions=q,
        p_value=(own + count) / (own + total),
        draws=total * (2 if source.enumerated else 1),
        enumerated=source.enumerated,
        lattice=source.lattice,
        weights=source.kind,
    )


def _wald(gaps: Floats, parts: Floats) -> Floats:
    """Return g' (sum_g p_g p_g')^+ g of each draw; gaps (q, B), parts (q, G, B)."""
    meat = np.einsum("pgb,qgb->bpq", parts, parts, optimize=True)
    inverse = np.linalg.pinv(meat, rcond=1e-13, hermitian=True)
    return np.asarray(np.einsum("pb,bpq,qb->b", gaps, inverse, gaps, optimize=True))


def _check(gram: Floats, contrasts: Floats) -> None:
    q, n_clusters = len(contrasts), len(gram)
    if np.linalg.matrix_rank(contrasts) < q:
        raise InferenceError(
            f"The {plural(q, 'restriction')} are linearly dependent, so some follow from the "
            "others. Leave out the redundant ones."
        )
    if q > n_clusters - 1:
        raise InferenceError(
            f"{plural(q, 'restriction')} cannot be tested with {plural(n_clusters, 'cluster')}: "
            f"their covariance has rank {n_clusters - 1} at most. Test fewer at a time and adjust "
            "with romano_wolf."
        )
    for row, contrast in enumerate(contrasts):
        alone = np.flatnonzero(sole_identifiers(gram, contrast))
        if len(alone):
            raise InferenceError(
                f"Restriction {row + 1} cannot be estimated without cluster {listing(alone + 1)} "
                f"(counted from 1 to {n_clusters}): that cluster identifies it alone. Leave the "
                "restriction out, or use a permutation test."
            )
