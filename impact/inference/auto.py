"""Which inference holds here: a table of decisions on counts and leverages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impact.errors import InferenceError, plural

__all__ = ["Choice", "Facts", "Method", "choose", "refuse_split"]

Method = Literal[
    "cr1",
    "cr2",
    "cr3",
    "wild",
    "wild_unrestricted",
    "wild_subcluster",
    "wild_two_way",
    "permutation",
    "permutation_by_size",
    "ferman_pinto",
    "conley_taber",
    "pairs",
    "placebo",
    "none",
]

MANY_CLUSTERS = 50
"""Clusters from which asymptotic theory with CR2 is trusted, if enough are treated."""
MANY_TREATED = 15
"""Treated clusters, and untreated ones, that this takes."""
LARGE_ARM = 200
"""Clusters of either arm beyond which small-sample corrections are below half a per cent."""
LOW_LEVERAGE = 0.15
"""Share of the information that one cluster may then hold."""
HIGH_LEVERAGE = 0.5
"""Share beyond which the wild bootstrap is not trusted either."""
FEWEST_CLUSTERS = 6
"""Clusters below which even six-point weights leave too few distinct draws."""
FEWEST_OTHER = 8
"""Clusters of a further dimension, years as a rule, from which two-way variances are trusted."""
FEWEST_FIRST = 30
"""Clusters of the first dimension that two-way variances take: 11 of 10 years rejected in 9 %."""
FEWEST_OTHER_WILD = 20
"""The same for a bootstrap of the first dimension, which does not draw what years share."""
EVEN_OTHERS = 0.75
"""Share that their effective number is then of their number at least. It is less where treatment
begins late, so that a few years tell the effect, and near none for the effect of one year."""
MANY_EFFECTIVE = 20
"""Effective clusters of the first dimension, of the smaller arm where whole clusters are treated,
from which a two-way standard error needs no bootstrap."""
ENOUGH_EFFECTIVE = 10
"""The same with so few years that t of their degrees of freedom makes up for it."""
FEWEST_WHOLE = 5
"""Effective clusters of that arm from which the two-way bootstrap does not keep silent."""
MOST_OTHER_WILD = 1_000
"""Clusters of the further dimension up to which it is drawn at all."""
FEWEST_EFFECTIVE = 3.5
"""Effective clusters below which the restricted wild bootstrap hardly ever rejects."""
FEWEST_ASSIGNMENTS = 20
"""Reassignments without which no p-value can be 5 % or less."""
SPREAD_ARM = 1.3
"""Effective clusters of the smaller arm from which its own spread can be estimated."""
SAFE_ARM = 2.5
"""Effective clusters of the smaller arm from which studentising copes with any sizes."""
SIZE_IMPRECISION = 0.6
"""Relative error of the variance fitted for the sizes of the smaller arm, if it is the only
source of scale."""
LONE_IMPRECISION = 1.0
"""The same where that arm is one cluster, whose statistic allows for the imprecision; with fewer
than 20 clusters these must be of one size."""
UNLIKE_SIZES = 4.0
"""How many times smaller than every other cluster an arm of two may be."""


@dataclass(frozen=True)
class Facts:
    """What the choice of inference depends on.

    Attributes
    ----------
    n_clusters, n_treated : clusters, and those ever treated
    effective_arm : effective number of clusters, (sum n)^2 / sum n^2, of the smaller of the
        treated and the never-treated arm; where treatment varies within clusters, one over the
        sum of squared leverages
    smallest_cohort : clusters in the smallest cohort, the never treated counted as one
    assignments : distinct reassignments of treatment paths; 0 where treatment varies within
        clusters, so that there is nothing to reassign
    max_leverage : largest share of one cluster in the information on the estimate
    sole_identifier : whether the estimate does not exist without some cluster
    size_imprecision : relative standard error of the error variance predicted for the sizes of
        the smaller arm (`few_treated.size_variance`); infinite if sizes there are unlike
    correctable : whether CR2 can be computed
    size_gap : smallest cluster of the larger arm over the mean cluster of the smaller one
    split : which units that treatment was assigned to lie in several clusters; empty if none
    other_dimension : clusters in the smallest further dimension clustered on; 0 if there is none
    even_others : effective number of clusters of a further dimension, by their shares of the
        information, over their number; the least of several
    dimensions : how many are clustered on
    unmeasured : whether leverages are unknown, those of a difference in means standing for them
    scaled_arm : clusters of the smaller arm if one or two and every other cluster follows one
        other path; else 0
    even : whether all clusters are of one size
    effective_contributions : 3 (sum c^2)^2 / sum c^4 of what clusters contribute to the estimate,
        about their number if that is normal; 0 where a regression or reassignments tell more
    """

    n_clusters: int
    n_treated: int
    effective_arm: float
    smallest_cohort: int
    assignments: float
    max_leverage: float
    sole_identifier: bool
    size_imprecision: float
    size_gap: float
    correctable: bool = True
    split: str = ""
    other_dimension: int = 0
    even_others: float = 0.0
    dimensions: int = 1
    unmeasured: bool = False
    scaled_arm: int = 0
    even: bool = False
    effective_contributions: float = 0.0


@dataclass(frozen=True)
class Choice:
    """A method with the rule that chose it, in one line."""

    method: Method
    reason: str


def choose(facts: Facts) -> Choice:
    """Return the inference that holds in a design, or "none", and why.

    Raises
    ------
    InferenceError : clusters are finer than the level of assignment

    Notes
    -----
    First rule that applies: (0) hundreds of clusters in either arm, or hundreds of effective
    ones where treatment varies within clusters, by shares of treated units and by what clusters
    contribute: the standard error as it is; (1) many clusters, many treated, none dominant:
    CR2; (2) whole clusters follow treatment paths, and the smaller arm has at least two of
    comparable weight: permutation, studentised by arms, and with two clusters of one date by
    the others' errors too; (3) one cluster is or dominates that arm: permutation scaled by
    cluster size, if sizes identify the scale; (4) treatment varies within clusters: wild
    cluster bootstrap, if it rests on enough clusters; else no p-value.

    Where two dimensions are clustered on, places and years, two-way standard errors with t of the
    smaller dimension's degrees of freedom hold from 30 places, 10 of them effective (of the smaller
    arm where whole places are treated), and 8 years, if the information is spread over the years;
    from 20 years on 20 effective ones, with fewer the two-way wild bootstrap. Else (2)
    and (3) apply to whole places, and the reason says that they take what treated places alone
    share in a year for effects; there is no p-value where treatment varies within them. All take
    shocks of different years as independent.

    Where fewer than 100 reassignments of one or two clusters exist, they are tried at every date
    of the panel. That makes p-values of 5 % possible, and the test approximate: standardised
    changes must have one law at all dates. Where errors persist, one place of n is the farthest
    astray at all dates at once. Fewer than 20 are therefore reassigned to the other dates with the
    one actually treated among them: exact if the date was drawn at random as well as the place.

    Thresholds come from tests/calibration. In its tables, at the 5 % level, a true null of no
    effect is rejected in 3 % to 7 % of samples, within simulation error, whether treated places
    are drawn whatever their size or are the smallest or the largest. Where a third to half of so
    few as 11, the largest, are treated, the test is cautious (3 %).

    Source
    ------
    MacKinnon and Webb (2020), Journal of Econometrics 218(2); Ferman and Pinto (2019), Review of
    Economics and Statistics 101(3); MacKinnon, Nielsen and Webb (2023), Journal of Econometrics
    232(2), for the diagnostics.
    """
    refuse_split(facts.split)
    treated, other = facts.n_treated, facts.n_clusters - facts.n_treated
    arms = f"{plural(facts.n_clusters, 'cluster')}, {treated} treated"
    if facts.other_dimension:
        return _choose_two_way(facts, f"{arms}, and {facts.other_dimension} of the other dimension")
    needless = min(treated, other) >= LARGE_ARM or _rests_on_hundreds(facts)
    if needless and facts.max_leverage < 4 / LARGE_ARM:
        return Choice("cr1", f"{arms}: clustered standard errors need no correction")
    if _is_large(facts, min(treated, other)):
        return Choice("cr2", f"{arms}, none dominant: CR2 with Satterthwaite degrees of freedom")
    if facts.assignments > 0:
        return _choose_permutation(facts, arms)
    return _choose_wild(facts, arms)


def refuse_split(split: str) -> None:
    """Refuse clusters that split what was assigned as a whole, as ``split`` says; "" is none.

    Raises
    ------
    InferenceError : clusters are finer than the level of assignment
    """
    if split:
        raise InferenceError(
            f"Clusters are finer than the level at which treatment was assigned: {split}. Errors "
            "shared by everything assigned together would be counted as independent. Give the "
            "design clusters= the level of assignment, or name a method to override this."
        )


def _rests_on_hundreds(facts: Facts) -> bool:
    """Whether an estimate that is no regression is the sum of hundreds of like contributions."""
    if facts.assignments > 0 or facts.unmeasured:
        return False
    return min(facts.effective_arm, facts.effective_contributions) >= LARGE_ARM


def _is_large(facts: Facts, smaller: int) -> bool:
    if facts.assignments > 0:
        enough = smaller >= MANY_TREATED and facts.smallest_cohort >= 2
    else:
        enough = facts.effective_arm >= MANY_TREATED
    even = facts.max_leverage < LOW_LEVERAGE and not facts.sole_identifier
    return facts.correctable and facts.n_clusters >= MANY_CLUSTERS and enough and even


def _choose_permutation(facts: Facts, arms: str) -> Choice:
    if facts.assignments < FEWEST_ASSIGNMENTS:
        return Choice(
            "none",
            f"{arms}: only {facts.assignments:.0f} reassignments of treatment exist, so that no "
            f"p-value could be below {1 / facts.assignments:.3f}",
        )
    if facts.scaled_arm == 2 or facts.effective_arm >= SPREAD_ARM:
        if facts.size_gap > UNLIKE_SIZES and facts.effective_arm < SAFE_ARM:
            return Choice(
                "none",
                f"{arms}; clusters of the smaller arm are {facts.size_gap:.1f} times smaller than "
                "any other: how much more their means vary cannot be learnt from the others",
            )
        return Choice(
            "permutation",
            f"{arms}: randomisation inference over treatment paths, studentised by arms",
        )
    if facts.size_imprecision > _most_imprecise(facts):
        return Choice(
            "none",
            f"{arms}, one of which makes up the smaller arm and is unlike the others in size: "
            "how much its mean varies cannot be learnt from them",
        )
    return Choice(
        "permutation_by_size",
        f"{arms}, one of which makes up the smaller arm: randomisation inference scaled by size",
    )


def _most_imprecise(facts: Facts) -> float:
    """Relative error allowed to the variance fitted for the size of an arm of one cluster."""
    if not facts.scaled_arm:
        return SIZE_IMPRECISION
    few_unlike = facts.n_clusters < FEWEST_ASSIGNMENTS and not facts.even
    return 0.0 if few_unlike else LONE_IMPRECISION


def _choose_two_way(facts: Facts, arms: str) -> Choice:
    few = facts.n_clusters < FEWEST_FIRST or facts.other_dimension < FEWEST_OTHER
    if few or facts.even_others < EVEN_OTHERS:
        return _choose_without_others(facts, arms)
    even = facts.max_leverage < LOW_LEVERAGE and not facts.sole_identifier
    many = facts.other_dimension >= FEWEST_OTHER_WILD
    if facts.effective_arm >= (MANY_EFFECTIVE if many else ENOUGH_EFFECTIVE) and even:
        return Choice("cr1", f"{arms}, none dominant: two-way clustered standard errors")
    if facts.dimensions != 2 or not many or facts.other_dimension > MOST_OTHER_WILD:
        return _choose_without_others(facts, arms)
    if facts.assignments > 0 and facts.effective_arm < FEWEST_WHOLE:
        return _choose_permutation(facts, arms)
    chosen = _choose_wild(facts, arms)
    if chosen.method == "none":
        return chosen
    return Choice("wild_two_way", f"{arms}: restricted wild bootstrap with two-way variances")


def _choose_without_others(facts: Facts, arms: str) -> Choice:
    """Reassign whole clusters where what the other dimension shares cannot be estimated."""
    if facts.assignments > 0:
        chosen = _choose_permutation(facts, arms)
        shared = "; shocks that treated clusters alone share would count as effects"
        return chosen if chosen.method == "none" else Choice(chosen.method, chosen.reason + shared)
    return Choice(
        "none",
        f"{arms}: the estimate rests on too few of the one or the other for two-way variances; "
        "cluster by the level of assignment alone if effects take out what the other shares",
    )


def _choose_wild(facts: Facts, arms: str) -> Choice:
    smaller = min(facts.n_treated, facts.n_clusters - facts.n_treated) or facts.n_clusters
    if facts.unmeasured and smaller < MANY_TREATED:
        return Choice(
            "none",
            f"{arms}: neither a regression nor mean paths tell what share of the estimate each "
            "cluster holds, and no bootstrap of so few is known to hold without",
        )
    if facts.sole_identifier:
        return Choice("none", f"{arms}: one cluster identifies the estimate alone")
    if facts.n_clusters < FEWEST_CLUSTERS:
        return Choice("none", f"{arms}: fewer than {FEWEST_CLUSTERS} clusters tell too little")
    if facts.max_leverage >= HIGH_LEVERAGE:
        return Choice(
            "none",
            f"{arms}: one cluster holds {facts.max_leverage:.0%} of the information on the "
            "estimate, and what it would have been without treatment is not known",
        )
    if facts.effective_arm < FEWEST_EFFECTIVE:
        return Choice(
            "none",
            f"{arms}: the estimate rests on {facts.effective_arm:.1f} effective clusters, too few "
            "for a bootstrap of clusters, and treatment within clusters cannot be reassigned",
        )
    return Choice(
        "wild",
        f"{arms}, treatment varying within them or the "
        "estimate no difference of their mean paths: restricted wild bootstrap",
    )
