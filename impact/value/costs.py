"""What a job, or another effect, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import EstimationError, InferenceError, listing
from impact.inference.sets import ConfidenceSet, interval
from impact.result import Result
from impact.value.accounting import check_share
from impact.value.ratios import Language, fieller, inverted, spell_set

__all__ = ["CostPerUnit", "cost_per_unit", "gross_and_net", "pooled_cost", "ratio_of_effects"]

Weighting = Literal["cohort", "cell", "event_time", "time"]


@dataclass(frozen=True)
class CostPerUnit:
    """Hold what was spent, what it gained and what one unit of gain cost.

    Attributes
    ----------
    cost : dong, at the prices of ``price_base``
    gained : units gained (jobs, job-years, million dong of output), point estimate
    gained_set : their confidence set
    unit : the unit, in words such as "job"
    price_base : year of the prices
    """

    cost: float
    gained: float
    gained_set: ConfidenceSet
    unit: str
    price_base: int | None = None

    @property
    def estimate(self) -> float:
        """Cost per unit gained in dong; NaN where nothing was gained."""
        return self.cost / self.gained if self.gained > 0 else np.nan

    @property
    def confidence_set(self) -> ConfidenceSet:
        """Costs per unit that the effect's own confidence set allows."""
        return inverted(self.cost, self.gained_set)

    def sentence(self, lang: Language = "en") -> str:
        """Say the cost per unit in words, half-open sets included."""
        return spell_set(self.confidence_set, self.unit, lang)


def cost_per_unit(
    result: Result,
    *,
    cost: float,
    scale: float,
    unit: str = "job",
    weighting: Weighting = "cohort",
    displacement: float = 0.0,
    effect_set: ConfidenceSet | None = None,
    level: float = 0.95,
    price_base: int | None = None,
) -> CostPerUnit:
    """Divide a known cost by the units an estimated effect stands for.

    theta = cost / (scale x (1 - displacement) x ATT)

    Parameters
    ----------
    result : the effects
    cost : money spent on the treated in dong; real if ``price_base`` says so
    scale : what the average effect is multiplied by to be units: the number of treated units where
        the outcome counts jobs, of treated unit-years (with weighting "cell") for job-years, the
        treated units' workers before treatment where the outcome is log workers weighted by them
    unit : name of the unit
    weighting : of the average effect, see ``Result.att``
    displacement : share of the gain that others lost, a stated assumption
    effect_set : confidence set of the average effect from another inference, such as a wild
        bootstrap; the result's own interval if None
    level : confidence level of the set

    Raises
    ------
    EstimationError : cost or scale is not positive, or displacement not a share
    InferenceError : the average effect has no standard error

    Notes
    -----
    The set inverts the very interval of the effect, so both tell the same story: where the effect
    is not different from zero, no finite upper bound of the cost exists.
    """
    if not cost > 0 or not scale > 0:
        raise EstimationError(
            f"cost and scale must be positive; they are {cost:g} and {scale:g}. Without money or "
            "treated units there is no cost per unit."
        )
    check_share("displacement", displacement)
    row = result.att(weighting).tidy(level).iloc[0]
    if effect_set is None:
        effect_set = interval(row["conf_low"], row["conf_high"], level)
    if np.isnan([effect_set.low, effect_set.high]).any():
        raise InferenceError(
            "the average effect has no standard error, so no confidence set of the cost exists. "
            "Choose an inference that gives one, or report the estimate alone."
        )
    factor = scale * (1 - displacement)
    gained = tuple((factor * low, factor * high) for low, high in effect_set.intervals)
    return CostPerUnit(
        cost, factor * row["estimate"], ConfidenceSet(gained, effect_set.level), unit, price_base
    )


def pooled_cost(parts: Sequence[CostPerUnit]) -> CostPerUnit:
    """Add up costs and gains of groups without common units, such as size classes.

    An effect in logarithms stands for more jobs in a large establishment than in a small one, so
    it is estimated and scaled within classes; the half-widths of independent intervals add up as
    the root of their squares.

    Raises
    ------
    EstimationError : no part, parts of several units, prices or levels, or a gain whose set is
        not one bounded interval
    """
    kinds = {(part.unit, part.price_base, part.gained_set.level) for part in parts}
    if len(kinds) != 1:
        raise EstimationError(
            "only costs of one unit, price base and level add up; these have "
            f"{listing(sorted(map(str, kinds)), 9) or 'no part'}. Bring them to the same first."
        )
    if not all(p.gained_set.is_connected and p.gained_set.is_bounded for p in parts):
        raise EstimationError(
            "a gain whose confidence set is no bounded interval cannot be added to another; "
            "estimate all groups with one design instead."
        )
    half_widths = [(p.gained_set.high - p.gained_set.low) / 2 for p in parts]
    centre = sum((p.gained_set.high + p.gained_set.low) / 2 for p in parts)
    reach = float(np.sqrt(np.sum(np.square(half_widths))))
    unit, price_base, level = kinds.pop()
    return CostPerUnit(
        sum(p.cost for p in parts),
        sum(p.gained for p in parts),
        interval(centre - reach, centre + reach, level),
        unit,
        price_base,
    )


def ratio_of_effects(
    numerator: Result, denominator: Result, *, level: float = 0.95
) -> tuple[float, ConfidenceSet]:
    """Return the ratio of two average effects estimated on the same clusters, and its set.

    For additionality: the effect on investment over the effect on the subsidy received.

    Raises
    ------
    InferenceError : the two do not share their clusters, or keep no contributions of clusters, so
        that their covariance is unknown
    """
    parts = [numerator.att(), denominator.att()]
    psi = [part.uncertainty.contributions() for part in parts]
    same_units = numerator.design.sample.units.equals(denominator.design.sample.units)
    if psi[0] is None or psi[1] is None or len(psi[0]) != len(psi[1]) or not same_units:
        raise InferenceError(
            "the covariance of the two effects is unknown: they must come from designs with the "
            "same units and clusters and from estimators that keep cluster contributions. Fit "
            "both on the same panel."
        )
    joint = np.column_stack([psi[0][:, 0], psi[1][:, 0]])
    variances = [part.uncertainty.variances()[0] for part in parts]
    scaled = joint * np.sqrt(variances / (joint**2).sum(axis=0))
    n, d = parts[0].estimates[0], parts[1].estimates[0]
    chosen = fieller(n, d, scaled.T @ scaled, level=level, df=parts[0].uncertainty.df)
    return float(n / d), chosen


def gross_and_net(net: CostPerUnit, reported: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Set reported costs per job, which are gross, beside the cost of a net one.

    Parameters
    ----------
    net : cost per net unit from an estimated effect
    reported : by a name, support in dong and units as reported: counted at the supported before
        and after, so that growth that would have come anyway and jobs taken from others are in it

    Returns
    -------
    DataFrame : indexed by name, "net" last: cost, units, per_unit, low, high (bounds of the
        confidence set; infinite where there is none) and net_times, how often the net cost per
        unit holds the reported one

    Raises
    ------
    EstimationError : money or units that are not positive

    Notes
    -----
    The two differ by definition, not by error: newspapers print gross figures. Prices are those of
    each source; bring them to one year first where that matters.
    """
    rows = {}
    for name, (money, units) in reported.items():
        if not money > 0 or not units > 0:
            raise EstimationError(
                f'"{name}" reports {money:g} dong for {units:g} units; both must be positive to '
                "give a cost per unit. Leave it out."
            )
        rows[name] = (money, units, money / units, np.nan, np.nan)
    gains = [(low, high) for low, high in net.confidence_set.intervals if high > 0]
    low, high = gains[-1] if gains else (np.nan, np.nan)
    rows["net"] = (net.cost, net.gained, net.estimate, max(low, 0.0), high)
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["cost", "units", "per_unit", "low", "high"]
    )
    return table.assign(net_times=net.estimate / table["per_unit"])
