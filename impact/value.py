"""What a job, or another effect, cost: ratios with confidence sets that may have no upper end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from impact.errors import EstimationError, InferenceError, listing
from impact.inference import bands
from impact.inference.sets import ConfidenceSet, interval
from impact.result import Result

__all__ = [
    "BenefitCost",
    "CostPerUnit",
    "additionality",
    "before_after",
    "benefit_cost",
    "cost_per_unit",
    "fieller",
    "leverage",
    "net_jobs",
    "pooled_cost",
    "present_value",
    "ratio_of_effects",
    "spell_money",
    "spell_set",
]

Floats = NDArray[np.float64]
Language = Literal["en", "vi"]
Weighting = Literal["cohort", "cell", "event_time", "time"]


def fieller(
    numerator: float,
    denominator: float,
    covariance: ArrayLike,
    *,
    level: float = 0.95,
    df: float | None = None,
) -> ConfidenceSet:
    """Return the confidence set of a ratio of two estimates.

    {theta: (n - theta d)^2 <= c^2 (V_nn - 2 theta V_nd + theta^2 V_dd)}

    Parameters
    ----------
    numerator, denominator : the estimates n and d
    covariance : of the two, shape (2, 2); zeros where the numerator is known
    level : confidence level
    df : degrees of freedom of the t distribution c comes from; None for the normal

    Returns
    -------
    ConfidenceSet : an interval where d differs from zero at this level; otherwise two half-lines,
        or the whole line where the data say nothing about the ratio

    Source
    ------
    Fieller (1954), Journal of the Royal Statistical Society B 16(2), section 3.
    """
    matrix = np.asarray(covariance, dtype=float)
    critical = bands.pointwise_critical_value(level, df) ** 2
    a = denominator**2 - critical * matrix[1, 1]
    b = numerator * denominator - critical * matrix[0, 1]
    c = numerator**2 - critical * matrix[0, 0]
    if not np.isfinite([a, b, c]).all():
        raise InferenceError(
            f"the ratio has no confidence set: its parts are {numerator:g} and {denominator:g} "
            "with a covariance that is not finite. Use an effect that has a standard error."
        )
    discriminant = b**2 - a * c
    if a == 0 and b != 0:
        end = c / (2 * b)
        return interval(end, np.inf, level) if b > 0 else interval(-np.inf, end, level)
    if a <= 0 and discriminant <= 0:
        return interval(-np.inf, np.inf, level)
    low, high = _roots(a, b, c, np.sqrt(max(discriminant, 0.0)))
    if a > 0:
        return interval(low, high, level)
    return ConfidenceSet(((-np.inf, low), (high, np.inf)), level)


def _roots(a: float, b: float, c: float, root: float) -> tuple[float, float]:
    """Return the roots of a x^2 - 2 b x + c in order, without cancellation."""
    far = b + np.copysign(root, b)
    first = far / a
    second = c / far if far else first
    return (min(first, second), max(first, second))


def _reciprocal(cost: float, effects: ConfidenceSet) -> ConfidenceSet:
    """Return the set of cost / effect for effects in a set; zero effects mean no finite ratio."""
    pieces = []
    for low, high in effects.intervals:
        if low < 0 < high:
            pieces += [(-np.inf, cost / low), (cost / high, np.inf)]
        elif low == high == 0:
            continue
        else:
            ends = [
                np.copysign(np.inf, 1.0 if (low, high)[1 - i] >= 0 else -1.0) if end == 0
                else cost / end
                for i, end in enumerate((low, high))
            ]  # fmt: skip
            pieces.append((min(ends), max(ends)))
    return ConfidenceSet(tuple(sorted(pieces)), effects.level)


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
        return _reciprocal(self.cost, self.gained_set)

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
    _check_share("displacement", displacement)
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


def before_after(
    frame: pd.DataFrame,
    outcome: str,
    *,
    unit: str,
    time: str,
    cohort: str,
    anticipation: int = 0,
) -> pd.DataFrame:
    """Return each treated unit's outcome before treatment and when last observed.

    This is what programmes count as gross gains, sum of after less before. It calls an effect
    whatever happened since, growth that would have come anyway included.

    Returns
    -------
    DataFrame : indexed by unit: before (last period before anticipation), after, change; units
        not observed in either period are left out
    """
    treated = frame[frame[cohort].notna()]
    last = treated.sort_values(time, kind="stable").groupby(unit).tail(1).set_index(unit)
    base = treated[treated[time] == treated[cohort] - 1 - anticipation].set_index(unit)
    table = pd.DataFrame({"before": base[outcome], "after": last[outcome]})
    table = table[(last[time] >= last[cohort]).reindex(table.index, fill_value=False)].dropna()
    return table.assign(change=table["after"] - table["before"])


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


def leverage(
    projects: pd.DataFrame, by: Sequence[str] = ("content",), *, paid: str = "disbursed_support"
) -> pd.DataFrame:
    """Return counterpart per dong of support, by content and never pooled alone.

    Parameters
    ----------
    projects : ledger's projects
    by : columns to split by; content first, since soft contents ask for no counterpart and
        dilute any pooled ratio
    paid : column of support

    Returns
    -------
    DataFrame : projects, support, counterpart, leverage, share of support; the last row, "all",
        is the pooled ratio

    Notes
    -----
    Leverage is accounting: co-financing is compulsory for many contents, so it says nothing about
    what would have been invested anyway.
    """
    if not by:
        raise EstimationError(
            "leverage is not given pooled alone: contents without co-financing dilute it, and two "
            'places with the same rules differ by their mix. Split it, for instance by=["content"].'
        )
    known = projects.dropna(subset=[paid, "counterpart"])
    known = known[known[paid] > 0]
    groups = known.groupby(list(by), sort=True)
    table = groups[[paid, "counterpart"]].sum().astype(float)
    table.insert(0, "projects", groups.size())
    total = pd.DataFrame(
        [[len(known), float(known[paid].sum()), float(known["counterpart"].sum())]],
        columns=table.columns,
        index=pd.Index(["all"], name=by[0])
        if len(by) == 1
        else pd.MultiIndex.from_tuples([("all",) * len(by)], names=list(by)),
    )
    full = pd.concat([table, total]).rename(columns={paid: "support"})
    full["leverage"] = full["counterpart"] / full["support"]
    full["share"] = full["support"] / float(known[paid].sum())
    return full


def net_jobs(
    gross: float,
    *,
    deadweight: float,
    displacement: float,
    leakage: float = 0.0,
    multiplier: float = 1.0,
) -> float:
    """Return jobs net of what would have come anyway, went elsewhere or was lost by others.

    gross x (1 - deadweight) x (1 - displacement) x (1 - leakage) x multiplier

    Notes
    -----
    An appraisal's arithmetic from stated shares, for jobs counted before and after. An estimated
    effect on the treated is already free of deadweight: pass displacement to ``cost_per_unit``
    instead of chaining the two.
    """
    for name, share in (
        ("deadweight", deadweight),
        ("displacement", displacement),
        ("leakage", leakage),
    ):
        _check_share(name, share)
    return gross * (1 - deadweight) * (1 - displacement) * (1 - leakage) * multiplier


def additionality(with_support: float, without: float, support: float) -> dict[str, float]:
    """Return additionality and deadweight of investment.

    additionality = (I_1 - I_0) / support; deadweight = I_0 / I_1
    """
    if not support > 0 or not with_support > 0:
        raise EstimationError(
            f"investment with support and the support itself must be positive; they are "
            f"{with_support:g} and {support:g}."
        )
    return {
        "additionality": (with_support - without) / support,
        "deadweight": without / with_support,
    }


def present_value(flows: ArrayLike, years: ArrayLike, *, rate: float, base: int) -> float:
    """Return sum_t flow_t / (1 + rate)^(year_t - base)."""
    if rate <= -1:
        raise EstimationError(f"the discount rate must lie above -1; it was {rate:g}.")
    discount = (1.0 + rate) ** -(np.asarray(years, dtype=float) - base)
    return float(np.asarray(flows, dtype=float) @ discount)


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

    Raises
    ------
    EstimationError : a year in ``units`` has no estimated effect
    """
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
    error = float(np.sqrt(study.uncertainty.combine(weights[None, :]).variances()[0]))
    reach = float(bands.pointwise_critical_value(level, study.uncertainty.df)) * error
    return BenefitCost(
        benefit,
        cost * funds_cost,
        interval(benefit - reach, benefit + reach, level),
        rate,
        funds_cost,
    )


MONEY = {
    "en": ((1e12, "trillion VND"), (1e9, "billion VND"), (1e6, "million VND"), (1.0, "VND")),
    "vi": ((1e12, "nghìn tỷ đồng"), (1e9, "tỷ đồng"), (1e6, "triệu đồng"), (1.0, "đồng")),
}


def spell_money(amount: float, lang: Language = "en") -> str:
    """Write an amount with two or three digits and its unit: ``210 million VND``."""
    size, name = next(
        ((size, name) for size, name in MONEY[lang] if abs(amount) >= size), MONEY[lang][-1]
    )
    scaled = amount / size
    text = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{text.replace('.', ',') if lang == 'vi' else text} {name}"


WORDS = {
    "between": {"en": "between {low} and {high} a {unit}", "vi": "từ {low} đến {high} một {unit}"},
    "least": {
        "en": "at least {low} a {unit}; no upper bound, since no gain at all is not ruled out",
        "vi": "ít nhất {low} một {unit}; không có giới hạn trên, vì chưa loại trừ không có kết quả",
    },
    "loss": {
        "en": "no cost a {unit}: the data rule out any gain",
        "vi": "không có chi phí một {unit}: dữ liệu loại trừ mọi kết quả dương",
    },
    "anything": {
        "en": "the data do not bound the cost of a {unit}",
        "vi": "dữ liệu không giới hạn được chi phí một {unit}",
    },
}


def spell_set(costs: ConfidenceSet, unit: str, lang: Language = "en") -> str:
    """Say a confidence set of costs per unit in words.

    Only costs above zero are read as costs of a gain; a set that also reaches below zero, where
    units were lost, has no upper bound.
    """
    positive = [(low, high) for low, high in costs.intervals if high > 0]
    if not positive:
        return WORDS["loss"][lang].format(unit=unit)
    low, high = positive[-1]
    if low <= 0:
        return WORDS["anything"][lang].format(unit=unit)
    ends = {"low": spell_money(low, lang), "unit": unit}
    if np.isinf(high):
        return WORDS["least"][lang].format(**ends)
    return WORDS["between"][lang].format(high=spell_money(high, lang), **ends)


def _check_share(name: str, share: float) -> None:
    if not 0 <= share < 1:
        raise EstimationError(f"{name} is a share of at least 0 and below 1; it was {share:g}.")
