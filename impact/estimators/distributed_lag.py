"""Distributed lags: how an outcome responds over time to a dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing
from impact.estimators.base import NO_ANTICIPATION, TREATMENT, Requirement
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.regression import RegressionEstimator, coefficient_cells, regress
from impact.estimators.parts.settings import column_names, whole_number
from impact.estimators.parts.variables import Variables, design_variables, take_rows
from impact.kernels.groups import compact
from impact.result import Result

__all__ = ["DistributedLag"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DistributedLag(RegressionEstimator):
    r"""Regress the outcome on present, past and future amounts of the treatment.

    .. math:: y_{it} = \sum_{l=-m}^{p} \beta_l d_{i,t-l} + x_{it}'\gamma + \alpha_i + \lambda_t
              + u_{it}

    Parameters
    ----------
    lags, leads : p and m, in the panel's steps
    effect : "cumulative" reports :math:`\sum_{l=0}^{h} \beta_l`, the response h periods after a
        lasting unit increase (and each lead on its own); "each" reports :math:`\beta_h`
    effects : fixed effects, as in FixedEffects

    Notes
    -----
    Rows are used where all lags and leads are observed; amounts come from all rows of the
    panel, those left out of the design for a missing outcome included. A step is the smallest
    distance between two of the panel's periods, so gaps are respected. Leads test for
    anticipation. Effects are taken to be the same for all units and linear in the dose.

    Raises
    ------
    DesignError : lags or leads negative
    EstimationError : no row has all lags, or lags that cannot be told apart

    Source
    ------
    Schmidheiny and Siegloch (2023), Journal of Applied Econometrics 38(5), on distributed lags
    and event studies.
    """

    lags: int = 2
    leads: int = 0
    effect: Literal["cumulative", "each"] = "cumulative"
    effects: str | Sequence[str] = ("unit", "time")

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT, NO_ANTICIPATION)
    estimand: ClassVar[str] = "response over time to the treatment"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = column_names(self.name, "effects", self.effects)
        object.__setattr__(self, "effects", names)
        whole_number(self.name, "lags", self.lags, 0)
        whole_number(self.name, "leads", self.leads, 0)

    def _estimate(self, design: Design) -> Result:
        variables = design_variables(design)
        horizons = np.arange(-self.leads, self.lags + 1)
        shifted = _shifts(design, horizons)
        keep = np.flatnonzero(~np.isnan(shifted).any(axis=0))
        if not len(keep):
            raise EstimationError(
                f"no row has all of {self.lags} lags and {self.leads} leads observed; the panel "
                f"has {len(design.periods)} periods. Use fewer."
            )
        names = tuple(f"lag {h}" if h >= 0 else f"lead {-h}" for h in horizons)
        rows = take_rows(variables.rows, keep)
        ready = Variables(
            replace(rows, unit_codes=compact(rows.unit_codes).codes),
            variables.outcome[keep],
            np.concatenate((shifted[:, keep], variables.regressors[1:, keep])),
            (*names, *variables.names[1:]),
        )
        groups = effect_groups(design, variables.rows, list(self.effects))
        fit = regress(
            design,
            ready,
            effects=[compact(group.codes[keep]) for group in groups],
            covariance=self.covariance,
            convention=self.convention,
        )
        lost = [names[r.column] for r in fit.fit.redundant if r.column < len(names)]
        if lost:
            raise EstimationError(
                f"{listing(lost)} cannot be told from the other lags and the fixed effects. Use "
                "fewer lags and leads, or units never treated."
            )
        picked = np.eye(len(horizons), len(ready.names))
        if self.effect == "cumulative":
            after = horizons >= 0
            sums = np.tril(np.ones((len(horizons), len(horizons)))) * np.outer(after, after)
            picked[:, : len(horizons)] = sums + np.diag(~after)
        cells = coefficient_cells(
            names, picked @ np.nan_to_num(fit.coefficients), [""] * len(names)
        )
        cells["event_time"] = horizons.astype(np.float64)
        return Result(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=fit.uncertainty.combine(picked),
            estimand=f"{self.estimand}, {self.effect}",
            settings=self.settings(),
            notes=fit.notes(),
            extra={**fit.facts(), "regression": fit},
        )


def _shifts(design: Design, horizons: NDArray[np.int64]) -> Floats:
    """Return the treatment ``h`` steps before each row of the sample, shape (H, n)."""
    panel, sample = design.panel, design.sample
    name = design.treated or design.dose
    since = panel.periods - panel.periods[0]
    step = int(np.diff(since).min()) if len(since) > 1 else 1
    # The grid is so fine that every period lies on it, whatever the distances between them.
    grid = int(np.gcd.reduce(since)) or 1
    place = since // grid
    amounts = np.full((panel.n_units, int(place[-1]) + 1), np.nan)
    if name is not None:
        amounts[:, place] = panel.matrix(name)
    else:
        cohort = np.full(panel.n_units, np.nan)
        cohort[panel.units.get_indexer(sample.units)] = design.cohorts
        amounts[:] = np.arange(amounts.shape[1]) * grid + panel.periods[0] >= cohort[:, None]
    unit = panel.units.get_indexer(sample.units)[sample.unit_codes]
    at = (sample.periods[sample.time_codes] - panel.periods[0]) // grid
    back = horizons * (step // grid)
    wide = np.pad(amounts, ((0, 0), (back[-1], -back[0])), constant_values=np.nan)
    return np.stack([wide[unit, at - h + back[-1]] for h in back])
