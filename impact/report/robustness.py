"""What an effect hangs on: a few analyses of each primary outcome, told from their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from impact.errors import ImpactError
from impact.evaluation.schema import ANALYSES
from impact.report.effects import OutcomeEffect
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, Text, capital, text
from impact.sensitivity import CHECKS, Finding

__all__ = ["robustness_sentences", "robustness_table"]

MOST_LEFT_OUT = 70
"""Clusters above which leaving out each in turn takes long and changes little."""

_BREAKDOWN = text(
    "**{label}**: the average effect differs from zero as long as trends after treatment deviate "
    "by less than {{{id}.breakdown}} times the largest deviation seen before it.",
    "**{label}**: tác động trung bình còn khác không chừng nào xu hướng sau hỗ trợ lệch không quá "
    "{{{id}.breakdown}} lần độ lệch lớn nhất thấy được trước đó.",
)
_KEPT = text(
    "**{label}**: the average effect differs from zero under every deviation from parallel trends "
    "that was tried.",
    "**{label}**: tác động trung bình khác không với mọi độ lệch xu hướng đã thử.",
)
_LOST = text(
    "**{label}**: the average effect cannot be told from zero even if trends are parallel, so no "
    "deviation from them is needed to explain it.",
    "**{label}**: ngay cả khi xu hướng song song, tác động trung bình vẫn chưa phân biệt được với "
    "số không, nên không cần độ lệch nào để giải thích.",
)
_PLACEBO = text(
    "Treatment pretended to begin earlier (dates tried: {{{id}.placebo_dates}}): p "
    "{{{id}.placebo:equals}}.",
    "Giả định hỗ trợ bắt đầu sớm hơn (số thời điểm thử: {{{id}.placebo_dates}}): p "
    "{{{id}.placebo:equals}}.",
)
_ALONE = text(
    "Without any one cluster the average effect lies between {{{id}.least:signed}} and "
    "{{{id}.most:signed}}.",
    "Bỏ đi từng cụm, tác động trung bình nằm giữa {{{id}.least:signed}} và {{{id}.most:signed}}.",
)
_NOT_MADE = text(
    "Not made, as the design does not allow: [[{names}]].",
    "Không thực hiện được với thiết kế này: [[{names}]].",
)
_SHOWN = {"breakdown": "", "placebo": "", "least": ":signed", "most": ":signed"}
_HEADS = {
    "breakdown": text("Breakdown", "Ngưỡng"),
    "placebo": text("p, pretended dates", "p, thời điểm giả định"),
    "least": text("Least, one cluster out", "Thấp nhất, bỏ một cụm"),
    "most": text("Most, one cluster out", "Cao nhất, bỏ một cụm"),
}
_NEEDED = {"honest": "effect", "placebo_in_time": "p_value", "leave_one_out": "lowest"}
_NAMES = {
    "honest": text("bounds on trends", "giới hạn độ lệch xu hướng"),
    "placebo_in_time": text("pretended dates", "thời điểm giả định"),
    "leave_one_out": text("leaving out one cluster", "bỏ từng cụm"),
}


def robustness_sentences(
    record: Record, effects: Mapping[str, OutcomeEffect], analyses: Sequence[str] = ANALYSES
) -> list[Text]:
    """Say what each primary outcome's average effect hangs on, and record the numbers.

    ``analyses`` are those the plan asks for; `impact.sensitivity.battery` runs all that apply.
    """
    return [_sentence(record, name, effect, analyses) for name, effect in _primary(effects).items()]


def robustness_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block | None:
    """Keep what `robustness_sentences` recorded as a table, a line an outcome; None if nothing."""
    rows = [
        {"outcome": {code: capital(effect.outcome.label[code]) for code in LANGUAGES}}
        | {
            id: f"{{{name}.{id}{form}}}" if f"{name}.{id}" in record.values else None
            for id, form in _SHOWN.items()
        }
        for name, effect in _primary(effects).items()
    ]
    shown = [id for id in _SHOWN if any(row[id] is not None for row in rows)]
    if not shown:
        return None
    return record.table(
        "robustness",
        pd.DataFrame(rows),
        text("What the average effects hang on", "Tác động trung bình phụ thuộc vào đâu"),
        {"outcome": Column(text("Outcome", "Kết quả"))}
        | {id: Column(_HEADS[id], "count") for id in shown},
        note=text(
            "Breakdown: deviation of trends after treatment, relative to the largest before it, at "
            "which the effect is no longer told from zero; a dash: none, as said above.",
            "Ngưỡng: độ lệch xu hướng sau hỗ trợ, so với độ lệch lớn nhất trước đó, mà từ đó tác "
            "động không còn khác không; gạch ngang khi không có, như đã nêu ở trên.",
        ),
    )


def _primary(effects: Mapping[str, OutcomeEffect]) -> dict[str, OutcomeEffect]:
    return {name: e for name, e in effects.items() if e.outcome.primary} or dict(effects)


def _sentence(record: Record, name: str, effect: OutcomeEffect, analyses: Sequence[str]) -> Text:
    many = effect.design.n_clusters > MOST_LEFT_OUT
    made = [name for name in analyses if not (many and name == "leave_one_out")]
    findings = {analysis: _find(analysis, effect) for analysis in made}
    label = {code: capital(effect.outcome.label[code]) for code in LANGUAGES}
    tell = {"honest": _tell_honest, "placebo_in_time": _tell_placebo, "leave_one_out": _tell_alone}
    told = [
        tell[analysis](record, name, effect, finding)
        for analysis, finding in findings.items()
        if finding is not None
    ]
    parts = {
        code: [words[code].format(label=label[code], id=name) for words in told]
        for code in LANGUAGES
    }
    missing = [analysis for analysis, finding in findings.items() if finding is None]
    for code in LANGUAGES if missing else ():
        names = ", ".join(_NAMES[analysis][code] for analysis in missing)
        parts[code].append(_NOT_MADE[code].format(names=names))
    opened = {code: "" if findings.get("honest") else f"**{label[code]}**: " for code in LANGUAGES}
    return {code: opened[code] + " ".join(parts[code]) for code in LANGUAGES}


def _find(analysis: str, effect: OutcomeEffect) -> Finding | None:
    """Run an analysis on the main result; None where the design does not allow it."""
    check = CHECKS[analysis]
    if check.fault(effect.result) is not None:
        return None
    try:
        finding = check.run(effect.result)
    except ImpactError:
        return None
    return None if math.isnan(finding.values[_NEEDED[analysis]]) else finding


def _tell_honest(record: Record, name: str, effect: OutcomeEffect, finding: Finding) -> Text:
    breakdown = finding.values["breakdown"]
    if math.isinf(breakdown):
        return _KEPT
    if not breakdown > 0:
        return _LOST
    words = text("deviation from parallel trends at which the effect is lost",
                 "độ lệch xu hướng làm mất kết luận")  # fmt: skip
    record.value(f"{name}.breakdown", breakdown, "ratio", words, decimals=2)
    return _BREAKDOWN


def _tell_placebo(record: Record, name: str, effect: OutcomeEffect, finding: Finding) -> Text:
    words = text("p-value of pretended dates", "p của các thời điểm giả định")
    record.value(f"{name}.placebo", finding.values["p_value"], "p_value", words)
    dates = text("pretended dates", "số thời điểm giả định")
    record.value(f"{name}.placebo_dates", int(finding.values["n_placebos"]), "count", dates)
    return _PLACEBO


def _tell_alone(record: Record, name: str, effect: OutcomeEffect, finding: Finding) -> Text:
    outcome = effect.outcome
    for id, key in (("least", "lowest"), ("most", "highest")):
        value = finding.values[key]
        record.value(
            f"{name}.{id}",
            100 * math.expm1(value) if outcome.is_relative else value,
            "percent" if outcome.is_relative else outcome.unit,
            text("average effect, one cluster left out", "tác động trung bình khi bỏ một cụm"),
            decimals=1,
            units=effect.design.facts.n_treated_units - 1,
        )
    return _ALONE
