"""Laws of differences where clusters are few: each cohort, and those untreated, is an arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.errors import plural
from impact.inference import bands
from impact.inference.jackknife import arm_variance
from impact.result import JointTest

__all__ = ["Arms", "joint_by_arms"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arms:
    """The arms that clusters form: cohorts whose effect is in question, and all others.

    Attributes
    ----------
    labels : array, shape (G,), cohort of each cluster in 0..C-1, or C for those in no question
    sizes : array, shape (G,), weight of each cluster in its arm
    never : the label C
    """

    labels: Integers
    sizes: Floats
    never: int

    @classmethod
    def of(cls, labels: Integers, sizes: Floats, weights: Floats) -> Arms:
        """Form arms; cohorts of weight zero, (C,), are compared with as those never treated are."""
        weighs = np.append(weights > 0, False)
        return cls(np.where(weighs[labels], labels, len(weights)), sizes, len(weights))

    @property
    def counts(self) -> Integers:
        """Clusters of each arm that has any."""
        return np.unique(self.labels, return_counts=True)[1].astype(np.int64)

    @property
    def n_treated(self) -> int:
        """Clusters of the cohorts in question."""
        return int(np.sum(self.labels != self.never))

    @property
    def n_cohorts(self) -> int:
        """Cohorts in question."""
        return len(np.unique(self.labels[self.labels != self.never]))

    @property
    def without_law(self) -> str:
        """Say why the arms do not tell how far they stray; empty if they do."""
        if self.counts.min() > 1:
            return ""
        return (
            f"{plural(len(self.labels), 'cluster')}, {self.n_treated} treated in "
            f"{plural(self.n_cohorts, 'cohort')}: a cluster that is alone in its arm does not tell "
            "how much of a difference between estimators is chance"
        )

    def error(self, psi: Floats) -> tuple[float, float]:
        """Return CR2 standard error and degrees of freedom of contributions, shape (G,)."""
        found = arm_variance(psi, self.labels, self.sizes, self.never)
        return float(np.sqrt(found.variance)), float(found.df)

    def corrected(self, psi: Floats) -> Floats:
        """Return contributions, (G, K), whose cross-product is the CR2 covariance."""
        share = self.sizes / np.bincount(self.labels, self.sizes)[self.labels]
        return np.asarray(psi / np.sqrt(1 - share)[:, None])


def joint_by_arms(question: str, values: Floats, psi: Floats, arms: Arms) -> JointTest:
    """Test that differences are zero by Hotelling's F with the degrees of freedom of CR2.

    W (nu - q + 1) / (nu q) ~ F(q, nu - q + 1), W with the CR2 covariance by arms and nu the
    Satterthwaite degrees of freedom. Treated clusters less cohorts bound the rank of what they
    tell, so that with more restrictions there is no p-value.

    Parameters
    ----------
    values : array, shape (K,)
    psi : array, shape (G, K), what clusters contribute to them

    Source
    ------
    Pustejovsky and Tipton (2018), Journal of Business and Economic Statistics 36(4), section 3.2.
    """
    if reason := arms.without_law:
        statistic, rank, _ = bands.joint_wald(values, psi.T @ psi)
        return JointTest(question, statistic, rank, np.nan, note=f"no p-value: {reason}")
    corrected = arms.corrected(psi)
    statistic, rank, _ = bands.joint_wald(values, corrected.T @ corrected)
    _, nu = arms.error(psi[:, 0])
    others = len(arms.labels) - arms.n_treated
    freedom = nu - rank + 1
    if min(arms.n_treated - arms.n_cohorts, others - 1) < rank or freedom < 1:
        why = (
            f"no p-value: {plural(rank, 'restriction')} and {plural(arms.n_treated, 'cluster')} "
            f"treated in {plural(arms.n_cohorts, 'cohort')}"
        )
        return JointTest(question, statistic, rank, np.nan, freedom, why)
    scaled = statistic * freedom / (nu * rank)
    p_value = float(special.fdtrc(rank, freedom, scaled))
    note = "Hotelling's F with CR2 by cohorts"
    return JointTest(question, scaled * rank, rank, p_value, freedom, note)
