"""The joint uncertainty of a vector of estimates, in the forms estimators produce it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["CovarianceScores", "Replicates", "Scores", "Uncertainty", "Unmeasured"]

Floats = NDArray[np.float64]


@runtime_checkable
class Uncertainty(Protocol):
    """Joint uncertainty of K estimates.

    ``df`` are the degrees of freedom of the t distribution that critical values come from;
    None means the normal distribution. ``n_clusters`` counts independent observations.
    ``method`` names, in words, how the covariance is had.
    """

    @property
    def df(self) -> float | None:
        """Degrees of freedom of the t distribution; None for the normal."""
        ...

    @property
    def n_clusters(self) -> int:
        """Number of independent clusters."""
        ...

    @property
    def method(self) -> str:
        """How the covariance is had, in words."""
        ...

    def covariance(self) -> Floats:
        """Return the covariance of the estimates, shape (K, K)."""
        ...

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (K,)."""
        ...

    def contributions(self) -> Floats | None:
        """Return each cluster's contribution to estimate minus truth, shape (G, K), if known."""
        ...

    def combine(self, weights: Floats) -> Uncertainty:
        """Return the uncertainty of the linear combinations ``weights @ estimates``, (A, K)."""
        ...


@dataclass(frozen=True, eq=False)
class Scores:
    """Uncertainty from the contributions of independent clusters.

    The covariance is ``factor * psi' psi`` with psi of shape (G, K), scaled so that
    estimate minus truth is about the sum of its rows. ``keeps_law`` says that the t distribution
    holds with few clusters too, so that no other method is looked for; ``without_law`` why no law
    holds for coefficients of treatment however many they are, empty if one does.
    """

    psi: Floats
    factor: float = 1.0
    df: float | None = None
    method: str = "clustered influence functions"
    keeps_law: bool = False
    without_law: str = ""

    @property
    def n_clusters(self) -> int:
        """Number of rows of psi."""
        return len(self.psi)

    @cached_property
    def _covariance(self) -> Floats:
        return self.factor * (self.psi.T @ self.psi)

    def covariance(self) -> Floats:
        """Return ``factor * psi' psi``, shape (K, K)."""
        return self._covariance.copy()

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (K,)."""
        return np.diagonal(self._covariance).copy()

    def contributions(self) -> Floats:
        """Return psi, shape (G, K)."""
        return self.psi

    def combine(self, weights: Floats) -> Scores:
        """Return the scores of ``weights @ estimates``."""
        return replace(self, psi=self.psi @ weights.T)


@dataclass(frozen=True, eq=False)
class CovarianceScores:
    """Uncertainty whose covariance is known in closed form, contributions only when asked for.

    Cohort moments give the covariance of all cells without a unit x cell matrix; ``make``
    builds that matrix, shape (G, K), for those who need it. ``without_law`` says of each estimate
    why no law of its t statistic is known, empty where one is; with none, all have one.
    """

    matrix: Floats
    make: Callable[[], Floats]
    n_clusters: int
    df: float | None = None
    method: str = "clustered influence functions"
    without_law: tuple[str, ...] = ()

    def covariance(self) -> Floats:
        """Return the covariance, shape (K, K)."""
        return self.matrix

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (K,)."""
        return np.diagonal(self.matrix).copy()

    def contributions(self) -> Floats:
        """Build each cluster's contribution, shape (G, K)."""
        return self.make()

    def combine(self, weights: Floats) -> CovarianceScores:
        """Return the uncertainty of ``weights @ estimates``."""
        return CovarianceScores(
            weights @ self.matrix @ weights.T,
            lambda: self.make() @ weights.T,
            self.n_clusters,
            self.df,
            self.method,
            self._reasons(weights) if self.without_law else (),
        )

    def _reasons(self, weights: Floats) -> tuple[str, ...]:
        """Return the first reason among the estimates that each combination has a part of."""
        return tuple(
            next((self.without_law[k] for k in np.flatnonzero(row) if self.without_law[k]), "")
            for row in weights
        )


@dataclass(frozen=True, eq=False)
class Replicates:
    """Uncertainty from re-estimation: placebo, jackknife or bootstrap draws.

    Parameters
    ----------
    draws : array, shape (B, K), each row the estimates of one replicate
    scale : what the sum of squared deviations is multiplied by: 1/(B-1) for a bootstrap,
        (B-1)/B for a jackknife; 1/(B-1) if None
    centre : array, shape (K,), what deviations are taken from; the draws' mean if None
    """

    draws: Floats
    n_clusters: int
    method: str
    scale: float | None = None
    centre: Floats | None = None
    df: float | None = None

    @cached_property
    def _deviations(self) -> Floats:
        centre = self.draws.mean(axis=0) if self.centre is None else self.centre
        return self.draws - centre

    @property
    def _scale(self) -> float:
        return 1.0 / (len(self.draws) - 1) if self.scale is None else self.scale

    def covariance(self) -> Floats:
        """Return the scaled cross-product of the draws' deviations, shape (K, K)."""
        return self._scale * (self._deviations.T @ self._deviations)

    def variances(self) -> Floats:
        """Return the diagonal of the covariance, shape (K,)."""
        return np.asarray(self._scale * np.einsum("bk,bk->k", self._deviations, self._deviations))

    def contributions(self) -> None:
        """Return None: replicates do not tell what each cluster contributes."""
        return

    def combine(self, weights: Floats) -> Replicates:
        """Return the replicates of ``weights @ estimates``."""
        centre = None if self.centre is None else weights @ self.centre
        return Replicates(
            self.draws @ weights.T, self.n_clusters, self.method, self.scale, centre, self.df
        )


@dataclass(frozen=True, eq=False)
class Unmeasured:
    """Uncertainty of K estimates that nothing in the data measures: every covariance is NaN.

    Parameters
    ----------
    width : K
    """

    width: int
    n_clusters: int
    method: str = "none"
    df: float | None = None

    def covariance(self) -> Floats:
        """Return NaN, shape (K, K)."""
        return np.full((self.width, self.width), np.nan)

    def variances(self) -> Floats:
        """Return NaN, shape (K,)."""
        return np.full(self.width, np.nan)

    def contributions(self) -> None:
        """Return None: what clusters contribute is unknown."""
        return

    def combine(self, weights: Floats) -> Unmeasured:
        """Return the uncertainty, as unknown, of ``weights @ estimates``."""
        return Unmeasured(len(weights), self.n_clusters)
