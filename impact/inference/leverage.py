"""Clusters without which an estimate does not exist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, plural

__all__ = ["sole_identifiers"]

Floats = NDArray[np.float64]


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
