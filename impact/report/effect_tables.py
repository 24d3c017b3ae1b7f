"""The numbers of an evaluation's effects, kept in the record, and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from impact.design import Design
from impact.evaluation import Evaluation, Outcome
from impact.report.effects import EffectNumber, OutcomeEffect, Verdict
from impact.report.headings import EFFECT, INTERVAL, OUTCOME, capitalised, of_outcome
from impact.report.narrative import estimator_name, unit_name
from impact.report.results import Block, Column, Record
from impact.report.suppression import is_small
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = [
    "comparison_table",
    "effects_table",
    "event_study_table",
    "group_time_table",
    "record_effects",
    "warn_of_breaks",
]

_VERDICTS: dict[Verdict, Text] = {
    "rise": text("rise", "tăng"),
    "fall": text("fall", "giảm"),
    "no_effect": text("no effect of interest", "không có tác động đáng kể"),
    "cannot_tell": text("cannot tell", "chưa thể kết luận"),
}
_NO_PRE_TREND = text(
    "no period before treatment can be tested", "không có kỳ nào trước hỗ trợ để kiểm định"
)
_NOT_IDENTIFIED = text(
    "no unit can be compared in this period", "không có đơn vị nào để so sánh trong kỳ này"
)
_FEW = text(
    "no inference holds with so few units treated or untreated",
    "quá ít đơn vị được hoặc không được hỗ trợ nên không có suy luận nào đáng tin",
)


def record_effects(record: Record, effects: Mapping[str, OutcomeEffect]) -> None:
    """Record the numbers of every outcome: effects, counts, detectable effects, verdicts' limits.

    The main number of outcome ``y`` is the value ``y``; beside it ``y.average``, ``y.first``,
    ``y.detectable`` (a rise), ``y.detectable_fall``, ``y.units``, ``y.treated`` and
    ``y.<estimator>``.
    """
    level = next(iter(effects.values())).level
    record.value("level", round(100 * level, 6), "percent", text("Confidence level", "Mức tin cậy"))
    for name, effect in effects.items():
        _record_effect(record, name, effect)
        warn_of_breaks(record, effect.outcome, effect.design)


def warn_of_breaks(record: Record, outcome: Outcome, design: Design) -> None:
    """Have the report warn of known breaks of an outcome's series, the outcome named."""
    label = outcome.label
    for known in design.breaks if outcome.series else ():
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

    def effect_value(id: str, number: EffectNumber, what: Text, withheld: bool = False) -> None:
        record.value(
            id,
            number.estimate,
            unit,
            of_outcome(outcome, what),
            low=number.low,
            high=number.high,
            level=effect.level,
            decimals=decimals,
            note=_NOT_IDENTIFIED if math.isnan(number.estimate) else None,
            units=effect.design.facts.n_treated_units,
            withheld=withheld,
        )

    hides_main = effect.hides_first if effect.headline == "first_period" else effect.hides_average
    effect_value(name, effect.main, text("effect", "tác động"), hides_main)
    effect_value(
        f"{name}.average",
        effect.average,
        text("average effect", "tác động trung bình"),
        effect.hides_average,
    )
    effect_value(
        f"{name}.first",
        effect.first,
        text("effect in the first treated period", "tác động trong kỳ đầu được hỗ trợ"),
        effect.hides_first,
    )
    for estimator, result in effect.beside.items():
        effect_value(
            f"{name}.{estimator.lower()}",
            effect.number(result),
            text(f"effect by {estimator}", f"tác động theo {estimator}"),
        )
    for id, size, what in (
        (
            "detectable",
            effect.main.detectable,
            text("smallest rise that would be found", "mức tăng nhỏ nhất phát hiện được"),
        ),
        (
            "detectable_fall",
            effect.main.detectable_fall,
            text("smallest fall that would be found", "mức giảm nhỏ nhất phát hiện được"),
        ),
    ):
        record.value(
            f"{name}.{id}",
            size,
            unit,
            of_outcome(outcome, what),
            decimals=decimals,
            note=_FEW if math.isnan(size) else None,
            units=effect.design.facts.n_treated_units,
        )
    if outcome.smallest_effect is not None:
        record.value(
            f"{name}.smallest",
            round(outcome.smallest_effect * (100 if outcome.is_relative else 1), 9),
            unit,
            of_outcome(
                outcome, text("smallest effect of interest", "tác động nhỏ nhất đáng quan tâm")
            ),
        )
    test = effect.pre_trends
    p_value = math.nan if test is None else test.p_value
    missing = _NO_PRE_TREND if test is None else _FEW
    record.value(
        f"{name}.pretrend",
        p_value,
        "p_value",
        of_outcome(outcome, text("p of no effect before", "p của không có tác động trước")),
        note=missing if math.isnan(p_value) else None,
    )
    facts = effect.design.facts
    for id, count, what in (
        ("units", facts.n_units, text("units observed", "số đơn vị quan sát")),
        ("treated", facts.n_treated_units, text("units treated", "số đơn vị được hỗ trợ")),
    ):
        record.value(f"{name}.{id}", count, "count", of_outcome(outcome, what), units=count)


def effects_table(record: Record, plan: Evaluation, effects: Mapping[str, OutcomeEffect]) -> Block:
    """Keep the table of all outcomes: units, effects with intervals, what could be found."""
    rows = [
        {
            "outcome": capitalised(effect.outcome.label),
            "effect": f"{{{name}:signed}}",
            "interval": f"{{{name}:interval}}",
            "reading": _VERDICTS[effect.verdict],
            "detectable": f"{{{name}.detectable}}",
            "detectable_fall": f"{{{name}.detectable_fall}}",
            "units": f"{{{name}.units}}",
            "treated": f"{{{name}.treated}}",
        }
        for name, effect in effects.items()
    ]
    columns = {
        "outcome": OUTCOME,
        "effect": EFFECT,
        "interval": INTERVAL,
        "reading": Column(text("Reading", "Kết luận")),
        "detectable": Column(text("Detectable rise", "Mức tăng phát hiện được"), "count"),
        "detectable_fall": Column(text("Detectable fall", "Mức giảm phát hiện được"), "count"),
        "units": Column({code: capital(unit_name(plan)[code]) for code in LANGUAGES}, "count"),
        "treated": Column(text("Treated", "Được hỗ trợ"), "count"),
    }
    return record.table(
        "effects",
        pd.DataFrame(rows),
        text("Effects by outcome", "Tác động theo từng kết quả"),
        columns,
        note=text(
            "Detectable: the size of a true rise, and of a true fall, that would be found four "
            "times in five, whatever the sign of the estimate. In percent the two differ, as one "
            "step in logarithms is more percent upwards than downwards.",
            "Phát hiện được: độ lớn của mức tăng thật, và của mức giảm thật, sẽ được phát hiện bốn "
            "trong năm lần, bất kể dấu của ước lượng. Tính theo phần trăm thì hai mức khác nhau, "
            "vì cùng một bước trên thang logarit ứng với phần trăm lớn hơn khi tăng.",
        ),
    )


def comparison_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block:
    """Keep the table of the average effect by each estimator, and of the test before treatment."""
    beside = list(dict.fromkeys(name for effect in effects.values() for name in effect.beside))
    estimator = next(iter(effects.values())).result.estimator
    main, said = _heading(estimator), estimator_name(estimator)
    rows = [
        {"outcome": capitalised(effect.outcome.label), "average": f"{{{name}.average:signed}}"}
        | {"interval": f"{{{name}.average:interval}}", "pretrend": f"{{{name}.pretrend}}"}
        | {other.lower(): f"{{{name}.{other.lower()}:signed}}" for other in beside}
        | {f"{other.lower()}_interval": f"{{{name}.{other.lower()}:interval}}" for other in beside}
        for name, effect in effects.items()
    ]
    columns = {
        "outcome": OUTCOME,
        "average": Column(main, "count"),
        "interval": INTERVAL,
    }
    for other in beside:
        columns[other.lower()] = Column(_heading(other), "count")
        columns[f"{other.lower()}_interval"] = INTERVAL
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
            f"p before: test of no effect before treatment, by [[{said['en']}]].",
            f"p trước: kiểm định không có tác động trước khi được hỗ trợ, bằng [[{said['vi']}]].",
        ),
    )


def group_time_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block | None:
    """Keep the table of effects by wave of treatment and period; None if no outcome has them.

    The effect of cohort g in period t on outcome ``y`` is the value ``y.att_g_t``. Counts of units
    are left out where the record hides some, which these would give away.
    """
    rows = []
    hidden = record.hides_counts
    for name, effect in effects.items():
        for cell in effect.cells().to_dict("records"):
            cohort, time = int(cell["cohort"]), int(cell["time"])
            id = f"{name}.att_{cohort}_{time}"
            _record_line(
                record, effect, id, cell,
                text(f"effect on the wave of {cohort} in {time}",
                     f"tác động lên đợt {cohort} trong {time}"),
            )  # fmt: skip
            rows.append(
                {
                    "outcome": capitalised(effect.outcome.label),
                    "cohort": cohort,
                    "time": time,
                    "effect": f"{{{id}:signed}}",
                    "interval": f"{{{id}:interval}}",
                    "treated": None if hidden else _large(record, cell.get("n_treated")),
                    "comparison": None if hidden else _large(record, cell.get("n_comparison")),
                }
            )
    if not rows:
        return None
    return record.table(
        "group_time",
        pd.DataFrame(rows, dtype=object),
        text("Effects by wave of treatment and year", "Tác động theo đợt hỗ trợ và năm"),
        {
            "outcome": OUTCOME,
            "cohort": Column(text("First treated", "Bắt đầu"), "year"),
            "time": Column(text("Year", "Năm"), "year"),
            "effect": EFFECT,
            "interval": INTERVAL,
            "treated": Column(text("Treated compared", "Được hỗ trợ"), "count"),
            "comparison": Column(text("Compared with", "So với"), "count"),
        },
        note=text(
            "A year before the first treated one shows what was no effect yet. The year before "
            "treatment, from which changes are counted, is left out. Counted are the units seen "
            "in both years compared; intervals hold one at a time.",
            "Năm trước khi được hỗ trợ cho thấy khác biệt khi chưa có tác động. Năm liền trước hỗ "
            "trợ là gốc so sánh nên không ghi. Số đơn vị là số được quan sát ở cả hai năm so sánh; "
            "mỗi khoảng tin cậy có hiệu lực riêng.",
        ),
    )


def event_study_table(record: Record, effects: Mapping[str, OutcomeEffect]) -> Block:
    """Keep the table of effects by periods since treatment began.

    The effect k periods after on outcome ``y`` is the value ``y.event_k``, k before ``y.event_mk``.
    Effects without valid inference stand there without an interval, as they do in the figure.
    """
    rows = []
    for name, effect in effects.items():
        for point in effect.event_study().to_dict("records"):
            bare = point.get("inference") == "none" and not point["hidden"]
            if pd.isna(point["conf_low"]) and not bare:
                continue
            since = int(point["event_time"])
            id = f"{name}.event_{'m' if since < 0 else ''}{abs(since)}"
            _record_line(
                record, effect, id, point,
                _since_words(since),
            )  # fmt: skip
            rows.append(
                {
                    "outcome": capitalised(effect.outcome.label),
                    "since": since,
                    "effect": f"{{{id}:signed}}",
                    "interval": f"{{{id}:interval}}",
                }
            )
    return record.table(
        "event_study",
        pd.DataFrame(rows, columns=["outcome", "since", "effect", "interval"]),
        text("Effects by periods since treatment began", "Tác động theo số kỳ từ khi hỗ trợ"),
        {
            "outcome": OUTCOME,
            "since": Column(text("Periods since", "Số kỳ"), "count"),
            "effect": EFFECT,
            "interval": INTERVAL,
        },
        note=text(
            "The period before treatment, from which changes are counted, is left out.",
            "Kỳ liền trước hỗ trợ là gốc so sánh nên không ghi.",
        ),
    )


def _since_words(since: int) -> Text:
    """Say how long before or after the first treated period an effect lies."""
    count = abs(since)
    if since == 0:
        return text("effect in the first treated period", "tác động trong kỳ đầu được hỗ trợ")
    periods = "period" if count == 1 else "periods"
    if since < 0:
        return text(
            f"difference {count} {periods} before treatment began",
            f"khác biệt {count} kỳ trước khi được hỗ trợ",
        )
    return text(
        f"effect {count} {periods} after the first treated one",
        f"tác động sau kỳ đầu được hỗ trợ {count} kỳ",
    )


def _record_line(
    record: Record, effect: OutcomeEffect, id: str, line: Mapping[Any, Any], what: Text
) -> None:
    """Record one estimate of an outcome with its interval."""
    outcome = effect.outcome
    record.value(
        id,
        line["estimate"],
        "percent" if outcome.is_relative else outcome.unit,
        of_outcome(outcome, what),
        low=line["conf_low"],
        high=line["conf_high"],
        level=effect.level,
        decimals=1,
        note=_NOT_IDENTIFIED if pd.isna(line["estimate"]) else None,
        units=line.get("n_treated"),
        withheld=bool(line.get("hidden")),
    )


def _large(record: Record, count: float | None) -> float | None:
    """Return a count of units; None where it is so small that it would disclose them."""
    return None if count is None or is_small(count, record.smallest_cell) else count


def _heading(estimator: str) -> Text:
    """Name an estimator at the head of a column."""
    name = estimator_name(estimator)
    return {code: f"[[{capital(name[code])}]]" for code in LANGUAGES}
