"""Products of long thin arrays without the linear algebra library's threads.

For a few columns these are bound by memory, not arithmetic; threads of the library gain nothing
and stall when the machine is busy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_gram", "cross_gram", "inner", "weighted_rows"]

Floats = NDArray[np.float64]

FEW = 25
"""Most products of pairs of columns that are summed plainly."""

CHUNK = 200_000
"""Multiplications of one small matrix product, below where the library starts threads."""

SLAB = 32
"""Small matrix products made at once, whose factors stay in the processor's cache."""


def inner(left: Floats, right: Floats) -> Floats:
    """Return sums over the last axis of products of rows: (k, n), (l, n) to (k, l)."""
    if len(left) * len(right) > FEW:
        return np.asarray(left @ right.T)
    return np.asarray(np.einsum("kn,ln->kl", left, right))


def weighted_rows(weights: Floats, rows: Floats) -> Floats:
    """Return the sum of rows times weights: (k,), (k, n) to (n,)."""
    return np.asarray(np.einsum("k,kn->n", weights, rows))


def column_gram(table: Floats, scale: Floats | None = None) -> Floats:
    """Return A'A of a long table, shape (n, m) to (m, m), in small pieces.

    ``scale`` (n,) multiplies the rows of A first.
    """
    n, width = table.shape
    total = np.zeros((width, width))
    step = max(1, CHUNK // (width * width))
    for start in range(0, n, SLAB * step):
        slab = table[start : start + SLAB * step]
        if scale is not None:
            slab = slab * scale[start : start + SLAB * step, None]
        whole = len(slab) - len(slab) % step
        if not whole or width > 200:
            total += slab.T @ slab
            continue
        pieces = np.ascontiguousarray(slab[:whole]).reshape(-1, step, width)
        rest = slab[whole:]
        total += np.matmul(pieces.transpose(0, 2, 1), pieces).sum(axis=0) + rest.T @ rest
    return total


def cross_gram(left: Floats, right: Floats) -> Floats:
    """Return A'B of two long tables, shapes (n, a) and (n, b) to (a, b), in small pieces."""
    n, a, b = len(left), left.shape[1], right.shape[1]
    step = max(1, CHUNK // max(a * b, 1))
    whole = n - n % step
    if a * b > CHUNK or not whole:
        return np.asarray(left.T @ right)
    total = left[whole:].T @ right[whole:]
    for start in range(0, whole, SLAB * step):
        stop = min(start + SLAB * step, whole)
        pieces = (part[start:stop].reshape(-1, step, part.shape[1]) for part in (left, right))
        one, other = pieces
        total += np.matmul(one.transpose(0, 2, 1), other).sum(axis=0)
    return np.asarray(total)
