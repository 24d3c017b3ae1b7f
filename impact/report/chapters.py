"""The chapters of an evaluation's report, each one call: sentences, tables and figures together."""

from __future__ import annotations

from collections.abc import Mapping

from impact.evaluation import Evaluation
from impact.report import charts, effect_tables, narrative
from impact.report.cost import add_cost, cost_sentence
from impact.report.credibility import (
    Credibility,
    credibility_reasons,
    evidence_of,
    grade,
    record_credibility,
)
from impact.report.effects import OutcomeEffect
from impact.report.families import add_families
from impact.report.figures import Drawing
from impact.report.population import Population
from impact.report.remedies import remedy_sentence
from impact.report.results import Block, Record, bullets
from impact.report.robustness import robustness_sentences, robustness_table
from impact.report.subgroups import add_subgroups
from impact.report.text import Text, text
from impact.report.textbook import TextbookFit, textbook_table

__all__ = [
    "add_credibility",
    "add_criteria",
    "add_effects",
    "add_event_studies",
    "add_group_time",
    "add_method",
    "add_planned",
    "add_textbook",
    "add_timing",
    "draw_timing",
    "summarise",
]

Effects = Mapping[str, OutcomeEffect]

_CREDIBILITY = ("credibility", "reasons")


def summarise(record: Record, plan: Evaluation, effects: Effects, population: Population) -> None:
    """Fill the first page: answer, findings, credibility and cost by rules; the rest from the plan.

    Of the reasons only those that lower the grade stand here; `add_credibility` has them all.
    """
    graded, labels = _graded(plan, effects, population)
    reading = {key: said for key, said in plan.reading.items() if key not in _CREDIBILITY}
    cost = cost_sentence(record, plan, effects)
    if cost is not None:
        reading["cost"] = cost
    remedy = remedy_sentence(effects)
    if remedy is not None:
        reading["caveats"] = [*reading["caveats"], remedy]
    record.summary(
        answer=narrative.answer(effects),
        finding=narrative.summarise_verdicts(effects),
        credibility=record_credibility(record, graded, labels),
        reasons=credibility_reasons(graded, labels, lowering_only=True),
        **reading,
    )


def add_credibility(
    record: Record, plan: Evaluation, effects: Effects, population: Population
) -> None:
    """Add every reason of the credibility, what people say of it, and what the answer hangs on."""
    said = [plan.reading["credibility"]] if "credibility" in plan.reading else []
    record.section(
        "credibility",
        text("How sure, and why", "Chắc chắn đến đâu, và vì sao"),
        bullets(
            *said,
            *plan.reading["reasons"],
            *credibility_reasons(*_graded(plan, effects, population)),
        ),
        text("What the answer hangs on:", "Câu trả lời phụ thuộc vào:"),
        bullets(*robustness_sentences(record, effects, plan.analyses)),
        *_present(robustness_table(record, effects)),
    )


def add_planned(record: Record, plan: Evaluation, effects: Effects) -> None:
    """Add what the plan asks for beyond effects: subgroups, families of outcomes, cost."""
    add_subgroups(record, plan, effects)
    add_families(record, plan, effects)
    add_cost(record, plan, effects)


def _present(block: Block | None) -> list[Block]:
    return [] if block is None else [block]


def _graded(
    plan: Evaluation, effects: Effects, population: Population
) -> tuple[dict[str, Credibility], dict[str, Text]]:
    """Grade every primary outcome; return the grades and the outcomes' labels, by name."""
    primary = {name: e for name, e in effects.items() if e.outcome.primary} or dict(effects)
    graded = {name: grade(evidence_of(plan, e, population)) for name, e in primary.items()}
    return graded, {name: effect.outcome.label for name, effect in primary.items()}


def draw_timing(plan: Evaluation, population: Population) -> Drawing:
    """Draw who was treated when, without waves so small that they would tell who they are."""
    shown = population.without_small(plan.smallest_cell)
    return charts.treatment_timing(shown, narrative.unit_name(plan))


def add_timing(
    record: Record, plan: Evaluation, population: Population, effects: Effects, drawing: Drawing
) -> None:
    """Add who was treated and when, as drawn, and what each outcome rests on and loses.

    The drawing has a line a unit, and is left out where the record hides counts of units.
    """
    who = narrative.design_sentence(record, plan, population)
    rests_on = narrative.sample_sentences(record, plan, effects)
    drawn = (
        []
        if record.hides_counts
        else [
            record.figure(
                "timing",
                drawing,
                text("Treatment by unit and period", "Hỗ trợ theo đơn vị và kỳ"),
                narrative.timing_alt(plan),
            )
        ]
    )
    record.section(
        "timing",
        text("Who was treated, and when", "Ai được hỗ trợ, khi nào"),
        who,
        *drawn,
        text("What each outcome rests on:", "Mỗi kết quả dựa trên:"),
        bullets(*rests_on),
    )


def add_effects(record: Record, plan: Evaluation, effects: Effects) -> None:
    """Add what was found, outcome by outcome, with its table."""
    record.section(
        "effects",
        text("What changed", "Điều gì đã thay đổi"),
        *narrative.findings(effects),
        effect_tables.effects_table(record, plan, effects),
    )


def add_group_time(record: Record, effects: Effects, drawing: Drawing) -> None:
    """Add the effects by wave and period, as drawn, where the estimator has them."""
    table = effect_tables.group_time_table(record, effects)
    if table is None:
        return
    record.section(
        "group-time",
        text("Wave by wave, year by year", "Theo từng đợt, từng năm"),
        text(
            "Every estimate above is an average of these. A wave is compared, from the year "
            "before its treatment on, with those not treated yet or never.",
            "Mọi ước lượng ở trên là bình quân của các số này. Mỗi đợt được so sánh, kể từ năm "
            "liền trước hỗ trợ, với nhóm chưa hoặc không được hỗ trợ.",
        ),
        record.figure(
            "group-time",
            drawing,
            text("Effects by wave of treatment and year", "Tác động theo đợt hỗ trợ và năm"),
            narrative.cells_alt(effects),
            caption=text(
                "Hollow points lie before treatment.", "Điểm rỗng là trước khi được hỗ trợ."
            ),
        ),
        table,
    )


def add_event_studies(record: Record, effects: Effects, drawing: Drawing) -> None:
    """Add the event studies, as drawn, and what they show before treatment."""
    record.section(
        "before-after",
        text("Before and after", "Trước và sau"),
        *narrative.event_study_sentences(effects),
        record.figure(
            "event-studies",
            drawing,
            text(
                "Effects by periods since treatment began",
                "Tác động theo số kỳ kể từ khi được hỗ trợ",
            ),
            narrative.event_study_alt(effects),
            caption=narrative.event_study_caption(effects),
        ),
        effect_tables.event_study_table(record, effects),
    )


def add_method(record: Record, plan: Evaluation, effects: Effects) -> None:
    """Add how it was estimated, beside other estimators."""
    record.section(
        "method",
        text("Method, and other estimators beside it", "Phương pháp và đối chiếu"),
        *narrative.method_sentences(plan, effects),
        *narrative.inference_sentences(effects),
        effect_tables.comparison_table(record, effects),
    )


def add_textbook(
    record: Record, plan: Evaluation, effects: Effects, fits: Mapping[str, TextbookFit]
) -> None:
    """Add the regressions a textbook prints on these data, and why the report's numbers differ."""
    if not fits:
        return
    source = plan.textbook["source"]
    results = {name: effect.result for name, effect in effects.items()}
    table = textbook_table(record, fits, results)
    record.section(
        "textbook",
        text("Beside the textbook", "So với giáo trình"),
        text(
            f"The same data are known from [[{source['en']}]]. Its regressions on the treatment of "
            "the year and of the year before, run here, give:",
            f"Cùng bộ số liệu này có trong [[{source['vi']}]]. Các hồi quy theo hỗ trợ của năm đó "
            "và của năm liền trước, chạy lại ở đây, cho kết quả:",
        ),
        table,
        plan.textbook["differs"],
    )


def add_criteria(record: Record, plan: Evaluation) -> None:
    """Add which criteria of evaluation the report answers."""
    record.section(
        "criteria",
        text("What this report answers", "Báo cáo này trả lời điều gì"),
        *narrative.criteria_sentences(plan),
    )
