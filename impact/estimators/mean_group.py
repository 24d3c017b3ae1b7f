"""The average of slopes that each unit has of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import (
    NO_ANTICIPATION,
    TREATMENT_OR_COVARIATES,
    UNIT_CLUSTERS,
    Estimator,
    Requirement,
)
from impact.estimators.parts.regression import coefficient_cells
from impact.estimators.parts.variables import Variables, design_variables, unit_trend
from impact.inference.scores import Scores
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups
from impact.kernels.mean_group import UnitSlopes, unit_slopes
from impact.result import JointTest, Result

__all__ = ["MeanGroup"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MeanGroup(Estimator):
    r"""Regress each unit by itself and average the coefficients.

    .. math:: y_{it} = \alpha_i + x_{it}'\beta_i + [\delta_i t] + [\bar w_t'\gamma_i] + u_{it},
              \quad \hat\beta = \frac1N \sum_i \hat\beta_i

    Parameters
    ----------
    trends : give each unit a linear trend of its own
    common_factors : add to each unit's regression the averages over all units, period by period,
        of outcome and regressors, which stand for unobserved common factors

    Notes
    -----
    Consistent where slopes differ between units, for which pooled and fixed-effects coefficients
    are weighted averages with weights that nobody chose. Needs several periods a unit: units that
    do not identify every slope (too few rows, a regressor constant or collinear) are left out and
    counted. Standard errors come from the spread of the units' slopes, summed within clusters
    above the unit, with G/(G - 1) and t(G - 1). ``extra["slopes"]`` holds the units' slopes,
    ``extra["homogeneity"]`` a test that they are all the same. Weights are refused.

    A treatment that lasts has no p-value by default without ``common_factors``: units are compared
    with their own past, and shocks common to all of them are not in the spread of their slopes (a
    true null was rejected in 43 to 70 % of samples of 20 to 60 units with autocorrelated ones).

    Raises
    ------
    DesignError : weights
    EstimationError : fewer than two units, or two clusters, identify the slopes

    Source
    ------
    Pesaran and Smith (1995), Journal of Econometrics 68(1); Pesaran (2006), Econometrica 74(4), eq.
    (53) and (58), for common factors; Pesaran and Yamagata (2008) for the test.
    """

    trends: bool = False
    common_factors: bool = False

    requires: ClassVar[tuple[Requirement, ...]] = (
        TREATMENT_OR_COVARIATES,
        NO_ANTICIPATION,
        UNIT_CLUSTERS,
    )
    estimand: ClassVar[str] = "average over units of their own coefficients"

    def _estimate(self, design: Design) -> Result:
        variables = design_variables(design)
        if variables.rows.weights is not None:
            raise DesignError(
                "MeanGroup takes no weights: each unit's slopes count once. Use FixedEffects with "
                "these weights, or a design without."
            )
        units = Groups(variables.rows.unit_codes, design.sample.n_units)
        own = self._own_columns(design, variables)
        absorber = absorb([units], slopes=own if len(own) else None)
        found = unit_slopes(variables.outcome, variables.regressors, units, absorber)
        known = found.is_known
        clusters = design.cluster_codes[known]
        self._check(design, variables, known, clusters)
        slopes = found.slopes[known]
        mean = slopes.mean(axis=0)
        home = np.unique(clusters, return_inverse=True)[1]
        n_clusters = int(home.max()) + 1
        n_lost = int((~known).sum())
        psi = np.zeros((n_clusters, slopes.shape[1]))
        np.add.at(psi, home, (slopes - mean) / len(slopes))
        uncertainty = Scores(
            psi,
            n_clusters / (n_clusters - 1),
            float(n_clusters - 1),
            "spread of units' slopes",
            keeps_law=bool(n_lost),
            without_law=self._shared_shocks(design),
        )
        notes = (
            (
                f"{plural(n_lost, 'unit')} of {len(known):,} do not identify every slope and are "
                "left out.",
            )
            if n_lost
            else ()
        )
        names = variables.names
        return Result(
            estimator=self.name,
            design=design,
            cells=coefficient_cells(names, mean, [""] * len(names)),
            uncertainty=uncertainty,
            estimand=self.estimand,
            settings=self.settings(),
            notes=notes,
            extra={
                "slopes": pd.DataFrame(found.slopes, design.sample.units, list(names)),
                "homogeneity": _homogeneity(found),
                "n_units": len(slopes),
            },
        )

    def _shared_shocks(self, design: Design) -> str:
        """Say that units treated for good are compared with their own past alone; else nothing."""
        if self.common_factors or not len(design.cohort_values):
            return ""
        return (
            "each unit's slope compares its own periods after treatment with those before, so that "
            "shocks common to all units move every slope alike and their spread does not show "
            "them; common_factors=True takes them out"
        )

    def _own_columns(self, design: Design, variables: Variables) -> Floats:
        """Columns besides the intercept whose slope each unit has, shape (q, n)."""
        columns = [unit_trend(design)] if self.trends else []
        if self.common_factors:
            times = Groups(variables.rows.time_codes, len(design.periods))
            every = np.concatenate((variables.outcome[None, :], variables.regressors))
            columns.append(times.spread(times.total(every) / times.counts))
        return np.concatenate(columns) if columns else np.zeros((0, variables.n))

    def _check(
        self,
        design: Design,
        variables: Variables,
        known: NDArray[np.bool_],
        clusters: NDArray[np.int64],
    ) -> None:
        if known.sum() < 2:
            raise EstimationError(
                f"{plural(int(known.sum()), 'unit')} of {len(known):,} identify the slopes of "
                f"{listing(variables.names, 6)} by their own rows alone; their spread needs two. "
                "Use fewer regressors, or FixedEffects, which pools the units."
            )
        if len(np.unique(clusters)) < 2:
            raise EstimationError(
                "all units that identify the slopes belong to one cluster of "
                f'"{design.cluster_columns[0]}", so nothing tells how far their mean may stray. '
                "Cluster at a finer level."
            )


def _homogeneity(found: UnitSlopes) -> JointTest:
    test = found.homogeneity()
    k = found.slopes.shape[1]
    question = "All units have the same slopes (adjusted delta, standard normal)"
    note = "" if np.isfinite(test.statistic) else "fewer than two units have rows to spare"
    return JointTest(
        question, test.statistic, k * max(test.n_units - 1, 0), test.p_value, note=note
    )
