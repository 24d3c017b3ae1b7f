"""From contributions of units to the uncertainty of a design's clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.estimators.parts.cells import cluster_codes
from impact.inference.scores import Scores

__all__ = ["clustered", "unit_weights"]

Floats = NDArray[np.float64]


def clustered(design: Design, psi: Floats) -> Scores:
    """Sum units' contributions, shape (N, K), within the design's clusters."""
    clusters = cluster_codes(design)
    if clusters is None:
        return Scores(psi)
    n_clusters = int(clusters.max()) + 1
    return Scores(np.stack([np.bincount(clusters, c, n_clusters) for c in psi.T], axis=1))


def unit_weights(design: Design) -> Floats:
    """Return the weight of each unit, shape (N,), ones where none were given."""
    return np.ones(design.n_units) if design.unit_weights is None else design.unit_weights
