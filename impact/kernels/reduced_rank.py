"""The combination of endogenous regressors that instruments move least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from impact.kernels.products import inner

__all__ = ["FirstStages", "WeakestDirection", "first_stages"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeakestDirection:
    r"""Where the matrix of first-stage slopes comes closest to losing rank.

    Parameters
    ----------
    combination : shape (m,), :math:`\psi`, of the endogenous regressors
    restrictions : shape (q - m + 1, q), combinations of the slopes :math:`\Pi\psi` that are zero
        if the instruments move m - 1 combinations only
    """

    combination: Floats
    restrictions: Floats


@dataclass(frozen=True, eq=False)
class FirstStages:
    """Endogenous regressors and instruments with effects and exogenous regressors swept out.

    ``endogenous`` (m, n) and ``instruments`` (q, n) are multiplied by the root of the weights.
    """

    endogenous: Floats
    instruments: Floats

    @property
    def fitted(self) -> Floats:
        """Projections of the endogenous regressors on the instruments, shape (m, n)."""
        basis = np.linalg.qr(self.instruments.T)[0]
        return np.asarray((self.endogenous @ basis) @ basis.T)

    def partial_r_squared(self) -> Floats:
        """Return the share of each endogenous regressor's variation that is moved, shape (m,)."""
        moved = np.einsum("mn,mn->m", self.fitted, self.fitted)
        return np.asarray(moved / np.einsum("mn,mn->m", self.endogenous, self.endogenous))

    def shea_r_squared(self) -> Floats:
        """Return the share of what each endogenous regressor has apart from the others, (m,).

        Source
        ------
        Shea (1997), Review of Economics and Statistics 79(2), as Godfrey (1999) computes it.
        """
        size = np.sqrt(np.einsum("mn,mn->m", self.endogenous, self.endogenous))[:, None]
        own, moved = self.endogenous / size, self.fitted / size
        every = np.diagonal(np.linalg.inv(inner(own, own)))
        return np.asarray(every / np.diagonal(np.linalg.inv(inner(moved, moved))))

    def weakest_direction(self) -> WeakestDirection:
        r"""Find the smallest canonical correlation of regressors and instruments.

        With :math:`Y = Q_yR_y` and :math:`Z = Q_zR_z` the singular vectors of :math:`Q_z'Q_y`
        give :math:`\psi = R_y^{-1}v_m` and the restrictions :math:`U_\perp'R_z\Pi\psi`, where
        :math:`U_\perp` stands apart from the first m - 1 left vectors.

        Source
        ------
        Kleibergen and Paap (2006), Journal of Econometrics 133(1), section 2.
        """
        m = len(self.endogenous)
        of_y, root_y = np.linalg.qr(self.endogenous.T)
        of_z, root_z = np.linalg.qr(self.instruments.T)
        left, _, right = np.linalg.svd(of_z.T @ of_y)
        combination = scipy.linalg.solve_triangular(root_y, right[m - 1])
        return WeakestDirection(combination, left[:, m - 1 :].T @ root_z)


def first_stages(
    endogenous: Floats, exogenous: Floats, instruments: Floats, weights: Floats | None
) -> FirstStages:
    """Sweep exogenous regressors out of endogenous ones and instruments, all of shape (., n)."""
    root = 1.0 if weights is None else np.sqrt(weights)
    columns = np.concatenate((endogenous, instruments)) * root
    if len(exogenous):
        plane = np.linalg.qr((exogenous * root).T)[0]
        columns = columns - (columns @ plane) @ plane.T
    return FirstStages(columns[: len(endogenous)], columns[len(endogenous) :])
