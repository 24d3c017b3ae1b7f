"""The numbers of an evaluation's effects, kept in the record, and the tables that show them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from impact.report.effects import EffectNumber, OutcomeEffect, Verdict
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = ["comparison_table", "effects_table", "record_effects"]

_VERDICTS: dict[Verdict, Text] = {
    "rise": text("rise", "tăng"),
    "fall": text("fall", "giảm"),
    "no_effect": text("no effect of interest", "không có tác động đáng kể"),
    "cannot_tell": text("cannot tell", "chưa thể kết luận"),
}
_NO_PRE_TREND = text(
    "no period before treatment can be tested", "không có kỳ nào trước hỗ trợ để kiểm định"
)


def record_effects(record: Record, effects: Mapping[str, OutcomeEffect]) -> None:
    """Record the numbers of every outcome: effects, counts, detectable effects, verdicts' limits.

    The main number of outcome ``y`` is the value ``y``; beside it ``y.average``, ``y.first``,
    ``y.detectable``, ``y.units``, ``y.treated`` and ``y.<estimator>``.
    """
    level = next(iter(effects.values())).level
    record.value("level", round(100 * level, 6), "percent", text("Confidence level", "Mức tin cậy"))
    for name, effect in effects.items():
        _record_effect(record, name, effect)
        _warn_of_breaks(record, effect)


def _warn_of_breaks(record: Record, effect: OutcomeEffect) -> None:
    """Have the report warn of known breaks of an outcome's series, the outcome named."""
    label = effect.outcome.label
    for known in effect.design.breaks if effect.outcome.series else ():
        record.warn(
            text(
                f"[[{label['en']}, {known.warning('en')}]]",
                f"[[{label['vi']}, {known.warning('vi')}]]",
            )
        )


def _record_effect(record: Record, name: str, effect: OutcomeEffect) -> None:
    outcome = effect.outcome
    unit = "percent" if outcome.is_relative else outcome.unit
    decimals = 1
    label = outcome.label

    def effect_value(id: str, number: EffectNumber, what: Text) -> None:
        record.value(
            id,
            number.estimate,
            unit,
            _joined(label, what),
            low=number.low,
            high=number.high,
            level=effect.level,
            decimals=decimals,
        )

    effect_value(name, effect.main, text("effect", "tác động"))
    effect_value(f"{name}.average", effect.average, text("average effect", "tác động trung bình"))
    effect_value(
        f"{name}.first",
        effect.first,
        text("effect in the first treated period", "tác động trong kỳ đầu được hỗ trợ"),
    )
    for estimator, result in effect.beside.items():
        effect_value(
            f"{name}.{estimator.lower()}",
            effect.number(result),
            text(f"effect by {estimator}", f"tác động theo {estimator}"),
        )
    record.value(
        f"{name}.detectable",
        effect.main.detectable,
        unit,
        _joined(label, text("smallest detectable effect", "tác động nhỏ nhất phát hiện được")),
        decimals=decimals,
    )
    if outcome.smallest_effect is not None:
        record.value(
            f"{name}.smallest",
            round(outcome.smallest_effect * (100 if outcome.is_relative else 1), 9),
            unit,
            _joined(label, text("smallest effect of interest", "tác động nhỏ nhất đáng quan tâm")),
        )
    test = effect.pre_trends
    record.value(
        f"{name}.pretrend",
        None if test is None else test.p_value,
        "p_value",
        _joined(label, text("p of no effect before", "p của không có tác động trước")),
        note=None if test is not None else _NO_PRE_TREND,
    )
    facts = effect.design.facts
    for id, count, what in (
        ("units", facts.n_units, text("units observed", "số đơn vị quan sát")),
        ("treated", facts.n_treated_units, text("units treated", "số đơn vị được hỗ trợ")),
    ):
        record.value(f"{name}.{id}", count, "count", _joined(label, what))


def effects_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block:
    """Keep the table of all outcomes: units, effects with intervals, what could be found."""
    rows = [
        {
            "outcome": _named(effect),
            "units": f"{{{name}.units}}",
            "treated": f"{{{name}.treated}}",
            "effect": f"{{{name}:signed}}",
            "interval": f"{{{name}:interval}}",
            "reading": _VERDICTS[effect.verdict],
            "detectable": f"{{{name}.detectable}}",
        }
        for name, effect in effects.items()
    ]
    columns = {
        "outcome": Column(text("Outcome", "Kết quả")),
        "units": Column(text("Units", "Đơn vị"), "count"),
        "treated": Column(text("Treated", "Được hỗ trợ"), "count"),
        "effect": Column(text("Effect", "Tác động"), "count"),
        "interval": Column(text("{level} interval", "Khoảng tin cậy {level}"), "count"),
        "reading": Column(text("Reading", "Kết luận")),
        "detectable": Column(text("Detectable", "Phát hiện được"), "count"),
    }
    return record.table(
        "effects",
        pd.DataFrame(rows),
        text("Effects by outcome", "Tác động theo từng kết quả"),
        columns,
        note=text(
            "Detectable: the size of a true effect that would be found four times in five.",
            "Phát hiện được: độ lớn của tác động thật sẽ được phát hiện bốn trong năm lần.",
        ),
    )


def comparison_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block:
    """Keep the table of the average effect by each estimator, and of the test before treatment."""
    beside = list(dict.fromkeys(name for effect in effects.values() for name in effect.beside))
    main = next(iter(effects.values())).result.estimator
    rows = [
        {"outcome": _named(effect), "average": f"{{{name}.average:signed}}"}
        | {"interval": f"{{{name}.average:interval}}", "pretrend": f"{{{name}.pretrend}}"}
        | {other: f"{{{name}.{other.lower()}:signed}}" for other in beside}
        | {f"{other} interval": f"{{{name}.{other.lower()}:interval}}" for other in beside}
        for name, effect in effects.items()
    ]
    interval = text("{level} interval", "Khoảng tin cậy {level}")
    columns = {
        "outcome": Column(text("Outcome", "Kết quả")),
        "average": Column(text(f"[[{main}]]", f"[[{main}]]"), "count"),
        "interval": Column(interval, "count"),
    }
    for other in beside:
        columns[other] = Column(text(f"[[{other}]]", f"[[{other}]]"), "count")
        columns[f"{other} interval"] = Column(interval, "count")
    columns["pretrend"] = Column(text("p before", "p trước"), "count")
    return record.table(
        "comparison",
        pd.DataFrame(rows),
        text(
            "Average effect over all treated periods, by estimator",
            "Tác động trung bình các kỳ được hỗ trợ, theo phương pháp ước lượng",
        ),
        columns,
        note=text(
            f"p before: test that [[{main}]] finds no effect before treatment.",
            f"p trước: kiểm định [[{main}]] không thấy tác động trước khi được hỗ trợ.",
        ),
    )


def _named(effect: OutcomeEffect) -> Text:
    return {code: capital(effect.outcome.label[code]) for code in LANGUAGES}


def _joined(label: Text, what: Text) -> Text:
    return {code: f"{capital(label[code])}: {what[code]}" for code in LANGUAGES}
