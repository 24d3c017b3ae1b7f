"""Numbers of estimators side by side, each under its name, and what a reader calls them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from impact.comparison import AVERAGE, Comparison
from impact.evaluation import Evaluation, Outcome
from impact.inference.multiplicity import adjust
from impact.report.effect_tables import warn_of_breaks
from impact.report.headings import of_outcome
from impact.report.narrative import estimator_name
from impact.report.results import Record
from impact.report.text import LANGUAGES, Text, text
from impact.result import Result

__all__ = [
    "differing",
    "in_words",
    "joint_p_values",
    "label_in_words",
    "read_effect",
    "record_comparisons",
    "slug",
]

Comparisons = Mapping[str, Comparison]

_WORDS = {
    "last period before treatment": "kỳ liền trước hỗ trợ",
    "last period before treatment; before it, the period before each": (
        "kỳ liền trước hỗ trợ; trước đó, kỳ liền trước mỗi kỳ"
    ),
    "all untreated periods": "mọi kỳ chưa được hỗ trợ",
    "never treated": "không bao giờ được hỗ trợ",
    "not yet or never treated": "chưa hoặc không được hỗ trợ",
    "not yet or never treated by the horizon": "chưa hoặc không được hỗ trợ đến kỳ xét",
    "the cohort treated last": "đợt được hỗ trợ sau cùng",
    "untreated throughout the window": "không được hỗ trợ trong suốt cửa sổ",
    "all others, treated ones too": "mọi đơn vị khác, kể cả đã được hỗ trợ",
    "size": "quy mô",
    "size and variance of treatment": "quy mô và phương sai của hỗ trợ",
    "cannot be tested": "không kiểm định được",
    "the same number: they differ by rounding only": "cùng một số, chỉ khác do làm tròn",
}


def record_comparisons(record: Record, plan: Evaluation, comparisons: Comparisons) -> None:
    """Record what each estimator finds, and its difference from the first one.

    Of outcome ``y`` and estimator ``e``: the average effect ``y.e``, the effect ``y.e.event_k`` k
    periods after treatment began, and ``y.e.difference`` with ``_error``, ``_p`` and ``_holm``,
    its p-value adjusted for all differences of the outcome by Holm's method, ``_joint``, the
    p-value of no difference in any period after treatment, and ``_joint_holm``.
    """
    level = plan.inference["level"]
    record.value("level", round(100 * level, 6), "percent", text("Confidence level", "Mức tin cậy"))
    for outcome in plan.outcomes:
        comparison = comparisons[outcome.name]
        _record_averages(record, outcome, comparison, level)
        _record_events(record, outcome, comparison)
        _record_differences(record, outcome, comparison)
        warn_of_breaks(record, outcome, comparison.results[0].design)


def _record_averages(
    record: Record, outcome: Outcome, comparison: Comparison, level: float
) -> None:
    estimates, clear = [], 0
    for label, result in zip(comparison.labels, comparison.averages, strict=True):
        line = result.tidy(level).iloc[0]
        estimate, low, high = (
            read_effect(outcome, line[c]) for c in ("estimate", "conf_low", "conf_high")
        )
        estimates.append(estimate)
        clear += bool(low > 0 or high < 0)
        _effect(record, outcome, f"{outcome.name}.{slug(label)}", label, estimate,
                _treated(result, 0), low=low, high=high, level=level)  # fmt: skip
    units = _treated(comparison.results[0], 0)
    what = text("lowest average by an estimator", "mức bình quân thấp nhất")
    _effect(record, outcome, f"{outcome.name}.lowest", "", min(estimates), units, what)
    what = text("highest average by an estimator", "mức bình quân cao nhất")
    _effect(record, outcome, f"{outcome.name}.highest", "", max(estimates), units, what)
    for id, count, what in (
        ("estimators", len(estimates), text("estimators", "số phương pháp")),
        ("clear", clear, text("intervals without zero", "số khoảng tin cậy không chứa số không")),
    ):
        record.value(f"{outcome.name}.{id}", count, "count", of_outcome(outcome, what))
    shared = comparison.common_event_times
    last = text("last period since treatment in the average", "kỳ cuối trong mức bình quân")
    if shared:
        record.value(f"{outcome.name}.last", int(shared[-1]), "count", of_outcome(outcome, last))


def _record_events(record: Record, outcome: Outcome, comparison: Comparison) -> None:
    for label, study in zip(comparison.labels, comparison.studies, strict=True):
        if study is None:
            continue
        known = dict(zip(study.cells["event_time"], study.estimates, strict=True))
        for since in comparison.common_event_times:
            what = text(
                f"effect {since:g} periods after treatment began, {label_in_words(label)['en']}",
                f"tác động sau {since:g} kỳ kể từ khi được hỗ trợ, {label_in_words(label)['vi']}",
            )
            id = f"{outcome.name}.{slug(label)}.event_{since:g}"
            estimate = read_effect(outcome, known[since])
            _effect(record, outcome, id, label, estimate, _treated(study, since), what)


def _record_differences(record: Record, outcome: Outcome, comparison: Comparison) -> None:
    table = comparison.differences()
    table = table[table["term"] == AVERAGE]
    holm = adjust(table["p_value"].to_numpy(dtype=np.float64))
    unit, factor = ("log_points", 100.0) if outcome.is_relative else (outcome.unit, 1.0)
    first = label_in_words(comparison.labels[0])
    joint = comparison.joint_tests()
    jointly = joint_p_values(comparison)
    for line, adjusted in zip(table.to_dict("records"), holm, strict=True):
        name = label_in_words(str(line["estimator"]))
        less = text(f"{name['en']} less {first['en']}", f"{name['vi']} trừ {first['vi']}")
        known = str(line["note"]) in _WORDS
        note = in_words(str(line["note"]) if known else "cannot be tested")
        tested = joint.get(str(line["estimator"]))
        for id, value, kind, what in (
            ("", factor * line["difference"], unit, less),
            ("_error", factor * line["std_error"], unit, text("standard error", "sai số chuẩn")),
            ("_p", line["p_value"], "p_value", text("its p-value", "giá trị p")),
            ("_holm", adjusted, "p_value",
             text("its p-value by Holm's method", "giá trị p theo phương pháp Holm")),
            ("_joint", math.nan if tested is None else tested.p_value, "p_value",
             text("p of no difference in any period", "p của không khác biệt ở mọi kỳ")),
            ("_joint_holm", jointly.get(str(line["estimator"]), math.nan), "p_value",
             text("the same by Holm's method", "giá trị đó theo phương pháp Holm")),
        ):  # fmt: skip
            label = what if not id else {c: f"{less[c]}: {what[c]}" for c in LANGUAGES}
            record.value(
                f"{outcome.name}.{slug(str(line['estimator']))}.difference{id}",
                value, kind, of_outcome(outcome, label),
                decimals=None if kind == "p_value" else 1,
                note=note if math.isnan(value) else None,
                units=_treated(comparison.results[0], 0),
            )  # fmt: skip


def differing(comparison: Comparison, size: float = 0.05) -> list[str] | None:
    """List the estimators whose average differs from the first one's; None if none is tested."""
    table = comparison.differences()
    table = table[table["term"] == AVERAGE]
    if table["p_value"].isna().all():
        return None
    holm = adjust(table["p_value"].to_numpy(dtype=np.float64))
    return [str(label) for label in table["estimator"][holm < size]]


def joint_p_values(comparison: Comparison) -> dict[str, float]:
    """Return the p-values of no difference in any period, adjusted by Holm's method."""
    tested = {label: test.p_value for label, test in comparison.joint_tests().items()}
    adjusted = adjust(np.array(list(tested.values()), dtype=np.float64))
    return {label: float(p) for label, p in zip(tested, adjusted, strict=True)}


def _effect(
    record: Record,
    outcome: Outcome,
    id: str,
    label: str,
    estimate: float,
    units: int,
    what: Text | None = None,
    *,
    low: float | None = None,
    high: float | None = None,
    level: float | None = None,
) -> None:
    """Record an effect in the reader's unit."""
    name = label_in_words(label)
    said = what or text(f"average effect, {name['en']}", f"tác động trung bình, {name['vi']}")
    unit = "percent" if outcome.is_relative else outcome.unit
    record.value(
        id, estimate, unit, of_outcome(outcome, said),
        low=low, high=high, level=level, decimals=1, units=units,
    )  # fmt: skip


def _treated(result: Result, since: float) -> int:
    """Count the units of a result's design seen so many periods after their treatment began."""
    design = result.design
    return int(np.isin(design.cohorts + since, design.periods).sum())


def read_effect(outcome: Outcome, value: float) -> float:
    """Put an effect into the reader's unit: percent for logarithms."""
    return 100.0 * math.expm1(value) if outcome.is_relative else float(value)


def label_in_words(label: str) -> Text:
    """Return what a reader calls an estimator of a comparison, with settings that tell it apart."""
    name, _, settings = label.partition(" ")
    said = estimator_name(name) if name else text("–", "–")
    return {code: f"{said[code]} {settings}".strip() for code in LANGUAGES}


def slug(label: str) -> str:
    """Name an estimator in the ids of values."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def in_words(said: str) -> Text:
    """Put what a comparison says of an estimator into the report's languages."""
    return text(f"[[{said}]]", f"[[{_WORDS.get(said, said)}]]")
