"""How credible an estimate is, graded by rules from its design and checks, never from what it says.

The grade starts from the design, on the Maryland scale, and each check that fails or cannot be made
lowers it by one. Sign, size and significance of the estimate have no part in it.

Source
------
Sherman et al. (1998), Preventing Crime: What Works, What Doesn't, What's Promising, NCJ 171676
(the scale). Madaleno and Waights (2016), Guide to Scoring Methods Using the Maryland Scientific
Methods Scale, What Works Centre for Local Economic Growth (where regressions on panels,
instruments and discontinuities lie, and that a design not shown to hold scores less).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from impact.errors import ReportError, check_choice
from impact.evaluation import ASSIGNMENTS, Evaluation
from impact.report.effects import OutcomeEffect
from impact.report.population import Population, count_lost
from impact.report.results import Record
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = [
    "Credibility",
    "Evidence",
    "Reason",
    "credibility_reasons",
    "evidence_of",
    "grade",
    "record_credibility",
]

Outcome: TypeAlias = Literal["holds", "fails", "unknown", "note"]

MOST_LOST_APART = 0.10
"""Difference between the shares of treated and untreated units lost, above which a check fails."""

FEW_CLUSTERS = 20
"""Clusters in the smaller arm below which that is said."""

_LOWERS = ("fails", "unknown")


@dataclass(frozen=True)
class Evidence:
    """What is known of how an estimate came about.

    Parameters
    ----------
    assignment : who was treated came by "randomised" draw, by a "discontinuity", through an
        "instrument", or "observational"
    has_comparison : whether units not treated, or not yet, are observed
    has_before : whether outcomes before treatment are observed
    has_covariates : whether differences in covariates are taken out
    pre_trend_p : p-value of no effect before treatment; None where it cannot be tested
    level : confidence level of the report
    has_p_value : whether a valid p-value exists for the estimate
    smaller_arm : clusters in the smaller of treated and untreated
    lost_treated, lost_untreated : shares of units whose outcome is never seen
    """

    assignment: str
    has_comparison: bool
    has_before: bool
    has_covariates: bool
    pre_trend_p: float | None
    level: float
    has_p_value: bool
    smaller_arm: int
    lost_treated: float
    lost_untreated: float


@dataclass(frozen=True)
class Reason:
    """One rule and what it found; only those that fail or cannot be checked lower the grade."""

    rule: str
    outcome: Outcome


@dataclass(frozen=True)
class Credibility:
    """The grade, 1 to 5; the grade of the design before checks; and every rule's finding."""

    level: int
    design_level: int
    reasons: tuple[Reason, ...]


def grade(evidence: Evidence) -> Credibility:
    """Grade the credibility of an estimate.

    Parameters
    ----------
    evidence : how it came about

    Returns
    -------
    Credibility

    Raises
    ------
    ReportError : an unknown way of assignment
    """
    check_choice("assignment", evidence.assignment, ASSIGNMENTS, ReportError)
    rule, design_level = _design(evidence)
    checks: tuple[Reason, ...] = (
        Reason("before", _before(evidence)),
        Reason("attrition", _attrition(evidence)),
        Reason("inference", "holds" if evidence.has_p_value else "fails"),
    )
    if evidence.has_p_value:
        few = evidence.smaller_arm < FEW_CLUSTERS
        checks += (Reason("clusters", "note" if few else "holds"),)
    lowered = sum(reason.outcome in _LOWERS for reason in checks)
    return Credibility(
        max(1, design_level - lowered), design_level, (Reason(rule, "note"), *checks)
    )


def _design(evidence: Evidence) -> tuple[str, int]:
    """Return the rule of the design and its level on the Maryland scale."""
    if evidence.assignment == "randomised":
        return "randomised", 5
    if evidence.assignment in ("discontinuity", "instrument"):
        return evidence.assignment, 4
    if evidence.has_comparison and evidence.has_before:
        return "before_and_comparison", 3
    one = "comparison_only" if evidence.has_comparison else "before_only"
    if not (evidence.has_comparison or evidence.has_before):
        return "neither", 1
    return (f"{one}_adjusted", 2) if evidence.has_covariates else (one, 1)


def _before(evidence: Evidence) -> Outcome:
    """Tell whether treated and untreated moved alike before treatment."""
    if evidence.pre_trend_p is None:
        return "unknown" if evidence.assignment == "observational" else "note"
    return "fails" if evidence.pre_trend_p + evidence.level < 1 else "holds"


def _attrition(evidence: Evidence) -> Outcome:
    """Tell whether treated and untreated units are lost alike."""
    apart = abs(evidence.lost_treated - evidence.lost_untreated)
    return "fails" if apart > MOST_LOST_APART else "holds"


def evidence_of(plan: Evaluation, effect: OutcomeEffect, population: Population) -> Evidence:
    """Gather what is known of how the estimate of one outcome came about."""
    facts, test = effect.design.facts, effect.pre_trends
    lost = count_lost(effect.design)
    untreated = population.n_units - population.n_treated
    return Evidence(
        assignment=plan.design["assignment"],
        has_comparison=facts.n_never_treated > 0 or facts.n_cohorts > 1,
        has_before=facts.n_periods > 1,
        has_covariates=bool(plan.design["covariates"]),
        pre_trend_p=None if test is None or math.isnan(test.p_value) else test.p_value,
        level=effect.level,
        has_p_value=effect.main.p_value == effect.main.p_value,
        smaller_arm=min(facts.n_treated_clusters, facts.n_clusters - facts.n_treated_clusters),
        lost_treated=lost.unreported_treated / max(population.n_treated, 1),
        lost_untreated=lost.unreported_untreated / max(untreated, 1),
    )


_LEVELS: dict[int, Text] = {
    5: text("very high", "rất cao"),
    4: text("high", "cao"),
    3: text("moderate", "trung bình"),
    2: text("low", "thấp"),
    1: text("very low", "rất thấp"),
}
_SENTENCE = text(
    "**{label}**: {word}, level {{{name}.credibility}} of {{credibility.most}}.",
    "**{label}**: {word}, mức {{{name}.credibility}} trên {{credibility.most}}.",
)
_LEVEL = text("credibility, Maryland scale", "độ tin cậy, thang Maryland")
_SCALE = text(
    "By the Maryland scale, which looks at how an estimate came about and not at what it says. ",
    "Theo thang Maryland, xét cách có được ước lượng chứ không xét kết quả. ",
)
_SHARED: dict[tuple[str, Outcome], Text] = {
    ("randomised", "note"): text(
        "Who was treated was drawn by lot: the scale starts at {credibility.design}.",
        "Đơn vị được hỗ trợ do bốc thăm: thang bắt đầu từ mức {credibility.design}.",
    ),
    ("discontinuity", "note"): text(
        "Who was treated turned on a threshold: the scale starts at {credibility.design}.",
        "Đơn vị được hỗ trợ theo một ngưỡng: thang bắt đầu từ mức {credibility.design}.",
    ),
    ("instrument", "note"): text(
        "Treatment is moved by an instrument: the scale starts at {credibility.design}.",
        "Hỗ trợ chịu tác động của biến công cụ: thang bắt đầu từ mức {credibility.design}.",
    ),
    ("before_and_comparison", "note"): text(
        "Treated units are compared with others, before and after, not by a draw of lots: the "
        "scale starts at {credibility.design}.",
        "So sánh đơn vị được hỗ trợ với đơn vị khác, trước và sau, không phải bốc thăm: thang bắt "
        "đầu từ mức {credibility.design}.",
    ),
    ("comparison_only_adjusted", "note"): text(
        "Treated units are compared with others, but not with themselves before, covariates taken "
        "out: the scale starts at {credibility.design}.",
        "So sánh với đơn vị khác nhưng không so với chính mình trước đó, có biến kiểm soát: thang "
        "bắt đầu từ mức {credibility.design}.",
    ),
    ("before_only_adjusted", "note"): text(
        "Treated units are compared with themselves before, but with no others, covariates taken "
        "out: the scale starts at {credibility.design}.",
        "So sánh với chính mình trước đó nhưng không so với đơn vị khác, có biến kiểm soát: thang "
        "bắt đầu từ mức {credibility.design}.",
    ),
    ("comparison_only", "note"): text(
        "Treated units are compared with others, but not with themselves before: the scale starts "
        "at {credibility.design}.",
        "Chỉ so sánh với đơn vị khác, không so với chính mình trước đó: thang bắt đầu từ mức "
        "{credibility.design}.",
    ),
    ("before_only", "note"): text(
        "Treated units are compared with themselves before, but with no others: the scale starts "
        "at {credibility.design}.",
        "Chỉ so sánh với chính mình trước đó, không so với đơn vị khác: thang bắt đầu từ mức "
        "{credibility.design}.",
    ),
    ("neither", "note"): text(
        "There is nothing to compare with: the scale starts at {credibility.design}.",
        "Không có gì để so sánh: thang bắt đầu từ mức {credibility.design}.",
    ),
}
_CHECKS: dict[tuple[str, Outcome], Text] = {
    ("before", "holds"): text(
        "no difference before treatment is seen in {names}",
        "không thấy khác biệt trước khi được hỗ trợ ở {names}",
    ),
    ("before", "fails"): text(
        "a level lower: {names} moved differently before treatment already",
        "giảm một mức: {names} đã biến động khác trước khi được hỗ trợ",
    ),
    ("before", "unknown"): text(
        "a level lower: nothing before treatment can be tested for {names}",
        "giảm một mức: không kiểm định được giai đoạn trước hỗ trợ với {names}",
    ),
    ("before", "note"): text(
        "nothing before treatment can be tested for {names}",
        "không kiểm định được giai đoạn trước hỗ trợ với {names}",
    ),
    ("attrition", "holds"): text(
        "treated and untreated are seen alike often for {names}",
        "nhóm được và không được hỗ trợ được quan sát với tỷ lệ gần nhau ở {names}",
    ),
    ("attrition", "fails"): text(
        "a level lower: treated and untreated are lost unequally often for {names}",
        "giảm một mức: tỷ lệ mất số liệu của hai nhóm khác nhau ở {names}",
    ),
    ("inference", "holds"): text(
        "a valid test exists for {names}", "có kiểm định hợp lệ cho {names}"
    ),
    ("inference", "fails"): text(
        "a level lower: with so few clusters no valid test exists for {names}",
        "giảm một mức: quá ít cụm nên không có kiểm định hợp lệ cho {names}",
    ),
    ("clusters", "holds"): text(
        "clusters are many enough for {names}", "số cụm đủ nhiều cho {names}"
    ),
    ("clusters", "note"): text(
        "clusters are few for {names}, so intervals are wide or coarse",
        "số cụm ít ở {names} nên khoảng tin cậy rộng hoặc thô",
    ),
}


def record_credibility(
    record: Record, graded: Mapping[str, Credibility], labels: Mapping[str, Text]
) -> Text:
    """Record the grade of every outcome; return the sentence.

    Parameters
    ----------
    record : where ``credibility.design`` and, for outcome ``y``, ``y.credibility`` are kept
    graded : the credibility of each primary outcome, by its name
    labels : the outcomes' labels by name
    """
    one = next(iter(graded.values()))
    most = text("Highest level of the scale", "Mức cao nhất của thang")
    design = text("Credibility of the design alone", "Độ tin cậy của riêng thiết kế")
    record.value("credibility.most", 5, "count", most)
    record.value("credibility.design", one.design_level, "count", design)
    told: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for name, credibility in graded.items():
        label, word = labels[name], _LEVELS[credibility.level]
        record.value(
            f"{name}.credibility", credibility.level, "count",
            {c: f"{capital(label[c])}: {_LEVEL[c]}" for c in LANGUAGES},
        )  # fmt: skip
        for code in LANGUAGES:
            words = {"label": capital(label[code]), "word": word[code], "name": name}
            told[code].append(_SENTENCE[code].format(**words))
    return {code: _SCALE[code] + " ".join(told[code]) for code in LANGUAGES}


def credibility_reasons(
    graded: Mapping[str, Credibility], labels: Mapping[str, Text], *, lowering_only: bool = False
) -> list[Text]:
    """Write what the rules found, the outcomes named, those that lower the grade first."""
    checks = _check_reasons(graded, labels, lowering_only)
    rule = next(iter(graded.values())).reasons[0].rule
    return checks if lowering_only else [_SHARED[rule, "note"], *checks]


def _check_reasons(
    graded: Mapping[str, Credibility], labels: Mapping[str, Text], lowering_only: bool
) -> list[Text]:
    """Write each check's findings, the outcomes named, those that lower the grade first."""
    found: dict[tuple[str, Outcome], list[str]] = {}
    for name, credibility in graded.items():
        for reason in credibility.reasons[1:]:
            found.setdefault((reason.rule, reason.outcome), []).append(name)
    ordered = sorted(found.items(), key=lambda item: item[0][1] not in _LOWERS)
    return [
        _named(_CHECKS[key], [labels[name] for name in names])
        for key, names in ordered
        if key[1] in _LOWERS or not lowering_only
    ]


def _named(template: Text, labels: Sequence[Text]) -> Text:
    return {
        code: capital(template[code].format(names=", ".join(label[code] for label in labels)) + ".")
        for code in LANGUAGES
    }
