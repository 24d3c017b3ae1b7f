"""What a job, or another effect, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import EstimationError, InferenceError, listing
from impact.inference.sets import ConfidenceSet, interval, invert
from impact.inference.wild import score_blocks, wild_cluster_test
from impact.result import Result
from impact.value.accounting import are_amounts, check_share
from impact.value.ratios import Language, fieller, inverted, plain, spell_set

__all__ = [
    "CostPerUnit",
    "cost_per_unit",
    "gross_and_net",
    "own_set",
    "pooled_cost",
    "ratio_of_effects",
]

Floats = NDArray[np.float64]
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
    contributions : what each cluster adds to the error of ``gained``, indexed by the values of the
        design's cluster column; None if unknown
    """

    cost: float
    gained: float
    gained_set: ConfidenceSet
    unit: str
    price_base: int | None = None
    contributions: pd.Series | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", float(self.cost))
        object.__setattr__(self, "gained", float(self.gained))
        object.__setattr__(self, "gained_set", plain(self.gained_set))

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
    is not different from zero, no finite upper bound of the cost exists. Newspapers divide by jobs
    counted before and after instead: see ``gross_and_net``.

    Source
    ------
    Criscuolo, Martin, Overman and Van Reenen (2019), American Economic Review 109(1), divide
    support by jobs from an estimated effect; Fieller (1954), Journal of the Royal Statistical
    Society B 16(2), for ratios whose denominator is estimated.
    """
    if not are_amounts(cost, scale):
        raise EstimationError(
            f"cost and scale must be positive; they are {cost} and {scale}. Without money or "
            "treated units there is no cost per unit."
        )
    check_share("displacement", displacement)
    average = result.att(weighting)
    if effect_set is None:
        effect_set = own_set(average, level)
    if np.isnan([effect_set.low, effect_set.high]).any():
        raise InferenceError(
            "the average effect has no standard error, so no confidence set of the cost exists. "
            "Choose an inference that gives one, or report the estimate alone."
        )
    factor = scale * (1 - displacement)
    gained = tuple((factor * low, factor * high) for low, high in effect_set.intervals)
    gains = factor * float(average.estimates[0])
    found = ConfidenceSet(gained, effect_set.level)
    return CostPerUnit(cost, gains, found, unit, price_base, _by_cluster(average, factor))


def _by_cluster(average: Result, factor: float) -> pd.Series | None:
    """Return a multiple of each cluster's contribution, by cluster; None where unknown."""
    design, psi = average.design, average.uncertainty.contributions()
    if psi is None or design.table is not None or len(design.cluster_columns) > 1:
        return None
    column = design.cluster_columns[0]
    values = design.sample.units if column == design.panel.unit else design.sample.column(column)
    clusters = pd.Index(pd.factorize(values, sort=True)[1], name=column)
    if average.clusters_used is not None:
        clusters = clusters[average.clusters_used]
    return pd.Series(factor * psi[:, 0], clusters) if len(psi) == len(clusters) else None


def own_set(average: Result, level: float) -> ConfidenceSet:
    """Return the confidence set that a single estimate is reported with; NaN ends if none."""
    found = average.inferences(level)[0]
    if found is not None and found.method != "none":
        return found.confidence_set
    row = average.tidy(level).iloc[0]
    return interval(row["conf_low"], row["conf_high"], level)


def pooled_cost(parts: Sequence[CostPerUnit], *, independent: bool = False) -> CostPerUnit:
    """Add up costs and gains of groups without common units, such as size classes.

    An effect in logarithms stands for more jobs in a large establishment than in a small one, so
    it is estimated and scaled within classes. The half-widths h of the parts' intervals add up to
    the root of h'Rh, R being the correlations of their errors.

    Parameters
    ----------
    independent : whether parts of unknown correlation are independent. If not, their half-widths
        add up, which is the largest that any correlation makes of them

    Raises
    ------
    EstimationError : no part, parts of several units, prices or levels, or a gain whose set is
        not one bounded interval

    Notes
    -----
    Correlations come from the clusters that parts have in common: small and large establishments
    of one commune share its shocks. Parts without common clusters are independent. Correlations
    are unknown where a part was made by hand, its estimator tells no contributions of clusters,
    or two are clustered by different columns.
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
    half_widths = np.array([(p.gained_set.high - p.gained_set.low) / 2 for p in parts])
    centre = sum((p.gained_set.high + p.gained_set.low) / 2 for p in parts)
    reach = float(np.sqrt(half_widths @ _correlations(parts, independent) @ half_widths))
    unit, price_base, level = kinds.pop()
    return CostPerUnit(
        sum(p.cost for p in parts),
        sum(p.gained for p in parts),
        interval(centre - reach, centre + reach, level),
        unit,
        price_base,
        _sum_by_cluster(parts),
    )


def _correlations(parts: Sequence[CostPerUnit], independent: bool) -> Floats:
    """Return correlations of the parts' errors, shape (P, P), one where unknown unless told."""
    found = np.eye(len(parts))
    for i, j in combinations(range(len(parts)), 2):
        one, other = parts[i].contributions, parts[j].contributions
        if one is None or other is None or one.index.name != other.index.name:
            found[i, j] = found[j, i] = 0.0 if independent else 1.0
            continue
        sizes = np.linalg.norm(one.to_numpy()) * np.linalg.norm(other.to_numpy())
        together = float(one.mul(other, fill_value=0.0).to_numpy().sum())
        found[i, j] = found[j, i] = together / float(sizes) if sizes > 0 else 0.0
    return found


def _sum_by_cluster(parts: Sequence[CostPerUnit]) -> pd.Series | None:
    """Add up what clusters contribute to the parts; None where some part's are unknown."""
    known = [part.contributions for part in parts if part.contributions is not None]
    if len(known) < len(parts) or len({own.index.name for own in known}) > 1:
        return None
    total = known[0]
    for own in known[1:]:
        total = total.add(own, fill_value=0.0)
    return total


def ratio_of_effects(
    numerator: Result, denominator: Result, *, level: float = 0.95, seed: int = 0
) -> tuple[float, ConfidenceSet]:
    """Return the ratio of two average effects estimated on the same clusters, and its set.

    For additionality: the effect on investment over the effect on the subsidy received.

    Raises
    ------
    InferenceError : the two do not share their clusters, or keep no contributions of clusters, so
        that their covariance is unknown; or no valid inference of them exists

    Notes
    -----
    The set holds the ratios r at which "the first effect is r times the second" is not rejected.
    With many clusters that is Fieller's set from clustered standard errors; where these do not
    hold, and the effects alone are inferred otherwise, the test is the restricted wild score
    bootstrap (draws by ``seed``).
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
    n, d = (float(part.estimates[0]) for part in parts)
    own = [found for part in parts if (found := part.inferences(level)[0]) is not None]
    if own:
        without = next((found for found in own if found.method == "none"), None)
        if without is not None:
            raise InferenceError(f"the ratio has no confidence set: {without.reason}.")
        return n / d, _bootstrapped_ratio(n, d, joint, parts[1].evidence().leverage, level, seed)
    variances = [part.uncertainty.variances()[0] for part in parts]
    scaled = joint * np.sqrt(variances / (joint**2).sum(axis=0))
    chosen = fieller(n, d, scaled.T @ scaled, level=level, df=parts[0].uncertainty.df)
    return n / d, chosen


def _bootstrapped_ratio(
    n: float, d: float, joint: Floats, leverage: Floats, level: float, seed: int
) -> ConfidenceSet:
    """Return the ratios r for which n - r d is not rejected by the wild score bootstrap."""

    def p_value(ratio: float) -> float:
        gram, cross = score_blocks(n - ratio * d, joint[:, 0] - ratio * joint[:, 1], leverage)
        return wild_cluster_test(gram, cross, np.ones(1), seed=seed, level=None).p_value

    spread = float(np.sqrt(((joint[:, 0] - n / d * joint[:, 1]) ** 2).sum()) / abs(d))
    if not spread > 0:
        return interval(n / d, n / d, level)
    return invert(p_value, scale=spread, level=level, centre=n / d)


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
        if not are_amounts(money, units):
            raise EstimationError(
                f'"{name}" reports {money} dong for {units} units; both must be positive to '
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
