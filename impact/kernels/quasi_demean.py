"""Rows transformed so that errors with unit and period components become uncorrelated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from impact.kernels.groups import Groups
from impact.kernels.variance_components import Components

__all__ = ["quasi_demean"]

Floats = NDArray[np.float64]


def quasi_demean(
    rows: Floats, components: Components, units: Groups, times: Groups | None = None
) -> Floats:
    r"""Transform rows so that errors with these components become uncorrelated.

    One-way: :math:`v_{it} - \theta_i \bar v_i` with
    :math:`\theta_i = 1 - \sqrt{\sigma^2/(\sigma^2 + T_i\sigma^2_\mu)}`. Two-way: the same, then
    the inverse root of :math:`I + (\sigma^2_\lambda/\sigma^2) ZZ'`, Z the transformed period
    dummies, which takes one T x T eigendecomposition. On balanced panels this is
    :math:`v_{it} - \theta_1\bar v_{i.} - \theta_2\bar v_{.t} + \theta_3\bar v`.

    Parameters
    ----------
    rows : shape (k, n)

    Source
    ------
    Baltagi (2021), section 2.4, eq. (2.20), section 3.3, eq. (3.10); Wansbeek and Kapteyn (1989),
    Journal of Econometrics 41(3), for the unbalanced two-way inverse.
    """
    error = components.error
    total = error + units.counts * components.unit
    # Without any variance there is nothing to weigh and rows stay as they are.
    theta = 1 - np.sqrt(np.divide(error, total, where=total > 0, out=np.ones_like(total)))

    def by_unit(values: Floats) -> Floats:
        return np.asarray(values - units.spread(theta * units.total(values) / units.counts))

    one_way = by_unit(rows)
    if times is None or not components.time:
        return one_way
    seen = np.zeros((units.size, times.size))
    seen[units.codes, times.codes] = 1.0
    share = components.unit / (error + units.counts * components.unit)
    crossing = np.diag(times.counts.astype(np.float64)) - seen.T @ (share[:, None] * seen)
    values, vectors = np.linalg.eigh(crossing)
    live = values > 1e-12 * values[-1]
    shrink = (1 - 1 / np.sqrt(1 + components.time / error * values[live])) / values[live]
    kept = (times.total(by_unit(one_way)) @ vectors[:, live] * shrink) @ vectors[:, live].T
    return one_way - by_unit(times.spread(kept))
