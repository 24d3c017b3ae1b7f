"""How many treated clusters an estimate rests on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cohort_weights", "effective_treated"]

Floats = NDArray[np.float64]


def cohort_weights(labels: Floats, cohorts: Floats, clusters: Floats, periods: Floats) -> Floats:
    """Return the weight of each cohort in estimates known by their labels alone, shape (K, C).

    Parameters
    ----------
    labels : shape (K, 3), cohort, time and event time of each estimate, NaN where averaged
    cohorts, clusters : shape (C,), first treated periods and how many clusters start then
    periods : shape (T,), rising

    Notes
    -----
    Cohorts that a label may average count by their clusters: those observed at an event time,
    those treated by a period.
    """
    cohort, time, event_time = labels.T[:, :, None]
    at = cohorts + event_time
    inside = np.isnan(cohort) | (cohort == cohorts)
    inside &= np.isnan(event_time) | ((at >= periods[0]) & (at <= periods[-1]))
    inside &= np.isnan(time) | ~np.isnan(cohort) | ~np.isnan(event_time) | (cohorts <= time)
    mass = inside * clusters
    total = mass.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(mass, total, out=np.zeros(mass.shape), where=total > 0))


def effective_treated(weights: Floats, clusters: Floats) -> Floats:
    """Return the treated clusters whose spread measures each estimate's error, shape (K,).

    (sum v)^2 / sum(v^2 / n) with v = w^2 / n: the sum of the cohorts' clusters where cohorts
    count by their clusters, near the least of them where a small one counts as much as a large
    one. Infinite where no cohort has weight.

    Parameters
    ----------
    weights : shape (K, C), of cohorts in estimates
    clusters : shape (C,), above zero

    Source
    ------
    Satterthwaite (1946), Biometrics Bulletin 2(6), eq. (17), for equal variances within cohorts.
    """
    variances = weights**2 / clusters
    spread = np.sum(variances**2 / clusters, axis=1)
    top = variances.sum(axis=1) ** 2
    return np.asarray(np.divide(top, spread, out=np.full(len(top), np.inf), where=spread > 0))
