"""Discounted benefits against costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from impact.errors import EstimationError, listing
from impact.inference.sets import ConfidenceSet
from impact.result import Result
from impact.value.accounting import are_amounts, check_rate
from impact.value.costs import own_set
from impact.value.ratios import plain

__all__ = ["BenefitCost", "benefit_cost"]


@dataclass(frozen=True)
class BenefitCost:
    """Hold discounted benefits and costs in dong of one year's prices.

    ``benefit_set``, ``ratio_set`` and ``net_set`` carry the uncertainty of the effects; costs,
    discount rate and unit values are taken as known.
    """

    benefit: float
    cost: float
    benefit_set: ConfidenceSet
    rate: float
    funds_cost: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "benefit", float(self.benefit))
        object.__setattr__(self, "cost", float(self.cost))
        object.__setattr__(self, "benefit_set", plain(self.benefit_set))

    @property
    def ratio(self) -> float:
        """Benefits over costs."""
        return self.benefit / self.cost

    @property
    def net(self) -> float:
        """Benefits less costs in dong."""
        return self.benefit - self.cost

    @property
    def ratio_set(self) -> ConfidenceSet:
        """Confidence set of the ratio."""
        pairs = tuple(
            (low / self.cost, high / self.cost) for low, high in self.benefit_set.intervals
        )
        return ConfidenceSet(pairs, self.benefit_set.level)

    @property
    def net_set(self) -> ConfidenceSet:
        """Confidence set of benefits less costs."""
        return self.benefit_set.shifted(-self.cost)


def benefit_cost(
    result: Result,
    *,
    cost: float,
    units: Mapping[int, float],
    value: float,
    rate: float,
    funds_cost: float = 1.0,
    level: float = 0.95,
) -> BenefitCost:
    """Set discounted gains by years since treatment against the cost.

    B = sum_e units_e x value x tau_e / (1 + rate)^e;  C = cost x funds_cost

    Parameters
    ----------
    result : effects that can be viewed by event time
    cost : money spent in year 0 of each treatment, real dong
    units : treated units that reach each year since treatment
    value : dong that one unit of the outcome is worth a year (a wage, a value added)
    rate : real discount rate
    funds_cost : cost of a dong of public money, 1 if taxes cost nothing
    level : confidence level

    Notes
    -----
    The set of the benefit is that of the same inference the effects are reported with.

    Raises
    ------
    EstimationError : a year in ``units`` has no estimated effect, a cost that is not positive, a
        rate that is no share

    Source
    ------
    HM Treasury (2022), The Green Book, on discounting.
    """
    check_rate(rate)
    if not are_amounts(cost, funds_cost):
        raise EstimationError(
            f"cost and funds_cost must be positive; they are {cost} and {funds_cost}. Without "
            "a cost there is no ratio."
        )
    study = result.by("event_time")
    known = dict(zip(study.cells["event_time"].astype(int), study.estimates, strict=True))
    missing = [e for e in units if not np.isfinite(known.get(e, np.nan))]
    if missing:
        raise EstimationError(
            f"no effect is estimated {listing(missing)} years after treatment, so its benefit "
            f"cannot be valued. Leave those years out of units, which covers {listing(units, 9)}."
        )
    times = study.cells["event_time"].astype(int).to_numpy()
    weights = np.array([units.get(int(e), 0.0) * value * (1 + rate) ** -float(e) for e in times])
    benefit = float(np.where(weights != 0, weights * study.estimates, 0.0).sum())
    # A sum of effects with weights of one sign is judged as their average is.
    term = "benefit" if weights.min() < 0 < weights.max() else "att"
    cell = study.cells.iloc[:1].assign(
        term=term, cohort=np.nan, time=np.nan, event_time=np.nan, estimate=benefit, note=""
    )
    total = replace(
        study, cells=cell, uncertainty=study.uncertainty.combine(weights[None, :]),
        estimand="discounted benefit",
    )  # fmt: skip
    return BenefitCost(benefit, cost * funds_cost, own_set(total, level), rate, funds_cost)
