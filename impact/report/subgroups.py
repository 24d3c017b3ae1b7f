"""Effects by classes of units that a plan names, and whether the classes differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from impact.errors import DesignError, EstimationError, listing, near
from impact.estimators import EffectsByGroup, estimator_class
from impact.evaluation import Evaluation, class_name
from impact.inference.multiplicity import adjust
from impact.report.effects import OutcomeEffect
from impact.report.families import record_p_value
from impact.report.headings import (
    AVERAGE_EFFECT,
    INTERVAL,
    OUTCOME,
    P_HOLM,
    capitalised,
    of_outcome,
)
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, Text, check_text, text
from impact.result import Result

__all__ = ["add_subgroups", "check_subgroups"]

_ALL = text("all", "tất cả")
_CLASS_NOTE = text(
    "Treated units are compared with untreated ones of their class. Holm: adjusted for all tests "
    "of equal effects in this table.",
    "Đơn vị được hỗ trợ so với đơn vị không được hỗ trợ cùng nhóm. Holm: điều chỉnh theo số kiểm "
    "định tác động như nhau trong bảng.",
)
_WITHHELD = text(
    "Where a class has too few treated or untreated units, no test of equal effects holds.",
    "Khi một nhóm có quá ít đơn vị được hoặc không được hỗ trợ thì không có kiểm định nào đáng "
    "tin.",
)


def check_subgroups(plan: Evaluation) -> list[str]:
    """Name what keeps the plan's subgroups from being computed, labels of classes included."""
    if not plan.subgroups:
        return []
    if plan.scan is not None:
        return [
            "subgroups need the rows of units, and data.scan leaves them in their table. Leave "
            "subgroups out, or build a report for each value: impact matrix PLAN --over COLUMN."
        ]
    shown, everything = plan.load(), plan.rows()
    findings = []
    for number, entry in enumerate(plan.subgroups, start=1):
        if entry["by"] not in shown.columns:
            findings.append(
                f'subgroups.{number} names "{entry["by"]}", which is no column of the data. '
                f"{near(entry['by'], shown.columns)}Known: {listing(shown.columns, 12)}."
            )
        elif "classes" in entry:
            here, known = (_classes(frame[entry["by"]]) for frame in (shown, everything))
            findings += _label_faults(f"subgroups.{number}.classes", entry, here, known)
    return findings


def _label_faults(
    place: str, entry: dict[str, Any], here: list[str], known: list[str]
) -> list[str]:
    """Name labels of no class of the data, and classes shown without a label."""
    labels = entry["classes"]
    unknown = [name for name in labels if name not in known]
    bare = [name for name in here if name not in labels]
    are = f'The classes of "{entry["by"]}" are: {listing(known, 12)}.'
    return [
        f"{place} {said} {are}"
        for said, names in (
            (f"labels {listing(unknown)}, which no unit has.", unknown),
            (f"has no label for {listing(bare)}; label every class, or none.", bare),
        )
        if names
    ]


def _classes(values: pd.Series) -> list[str]:
    """Name the classes of a column, whole numbers without decimals."""
    return sorted({class_name(value) for value in values.dropna().unique()})


def add_subgroups(record: Record, plan: Evaluation, effects: Mapping[str, OutcomeEffect]) -> None:
    """Add the primary outcomes' effects by classes of units, and whether the classes differ.

    Of outcome ``y`` and the plan's k-th subgroups: ``y.group_k_c`` of class c, 0 being all units,
    ``y.group_k_equal`` (that all classes have one effect), and ``y.group_k_holm``, the same p-value
    adjusted for all such tests of the report by Holm's method.
    """
    if not plan.subgroups:
        return
    primary = {name: e for name, e in effects.items() if e.outcome.primary} or dict(effects)
    estimator = estimator_class(plan.estimation["estimator"])(**plan.estimation["settings"])
    rows: list[dict[str, object]] = []
    tests: dict[str, float] = {}
    missing: list[Text] = []
    for k, entry in enumerate(plan.subgroups, start=1):
        for name, effect in primary.items():
            try:
                fitted = EffectsByGroup(estimator=estimator, by=entry["by"]).fit(effect.design)
            except (DesignError, EstimationError) as error:
                missing.append(_not_made(effect, entry["label"], str(error)))
                continue
            rows += _class_rows(record, plan, effect, fitted, k)
            tests[f"{name}.group_{k}"] = float(fitted.extra["equality"].p_value)
    adjusted = adjust(np.array(list(tests.values())))
    equal, by_holm = text("p of equal effects", "p của tác động như nhau"), P_HOLM.label
    for (id, p_value), holm in zip(tests.items(), adjusted, strict=True):
        record_p_value(record, f"{id}_equal", p_value, equal)
        record_p_value(record, f"{id}_holm", holm, by_holm)
    withheld = bool(np.isnan(list(tests.values())).any())
    shown = [_class_table(record, plan, rows, withheld)] if rows else []
    record.section(
        "subgroups",
        text("For whom", "Tác động với từng nhóm"),
        text(
            "A class that differs from zero while another does not is no proof that they differ; "
            "the test of equal effects is.",
            "Tác động ở nhóm này khác số không còn ở nhóm kia thì chưa rõ, điều đó chưa chứng tỏ "
            "hai nhóm khác nhau; phải xem kiểm định tác động như nhau.",
        ),
        *shown,
        *missing,
    )


def _class_rows(
    record: Record, plan: Evaluation, effect: OutcomeEffect, fitted: Result, k: int
) -> list[dict[str, object]]:
    """Record one outcome's effects by class; return the rows of the table."""
    outcome, y = effect.outcome, effect.outcome.name
    read = (lambda v: 100 * math.expm1(v)) if outcome.is_relative else float
    entry = plan.subgroups[k - 1]
    by = entry["by"]
    rows: list[dict[str, object]] = []
    for c, line in enumerate(fitted.tidy(effect.level).to_dict("records")):
        value = str(line["term"]).removeprefix(f"{by} = ")
        group = _ALL if c == 0 else check_text(plan.class_label(by, value), f"the label of {value}")
        what = text(f"effect, class {group['en']}", f"tác động, nhóm {group['vi']}")
        estimate, low, high = (float(line[x]) for x in ("estimate", "conf_low", "conf_high"))
        record.value(
            f"{y}.group_{k}_{c}",
            read(estimate),
            "percent" if outcome.is_relative else outcome.unit,
            of_outcome(outcome, what),
            low=read(low),
            high=read(high),
            level=effect.level,
            decimals=1,
            note=text("cannot be estimated", "không ước lượng được")
            if math.isnan(estimate)
            else None,
            units=line["n_treated"],
        )
        rows.append(
            {
                "outcome": capitalised(outcome.label),
                "by": capitalised(entry["label"]),
                "class": group if c == 0 else {code: f"[[{group[code]}]]" for code in LANGUAGES},
                "effect": f"{{{y}.group_{k}_{c}:signed}}",
                "interval": f"{{{y}.group_{k}_{c}:interval}}",
                "equal": f"{{{y}.group_{k}_equal}}" if c == 0 else None,
                "holm": f"{{{y}.group_{k}_holm}}" if c == 0 else None,
            }
        )
    return rows


def _class_table(
    record: Record, plan: Evaluation, rows: list[dict[str, object]], withheld: bool
) -> Block:
    """Keep the table; a single characteristic heads the column of its classes."""
    alone = len(plan.subgroups) == 1
    heading = capitalised(plan.subgroups[0]["label"]) if alone else text("Class", "Nhóm")
    columns = {
        "outcome": OUTCOME,
        **({} if alone else {"by": Column(text("By", "Theo"))}),
        "class": Column(heading),
        "effect": AVERAGE_EFFECT,
        "interval": INTERVAL,
        "equal": Column(text("p of equal effects", "p của tác động như nhau"), "count"),
        "holm": P_HOLM,
    }
    title = text("Average effects by class of units", "Tác động trung bình theo nhóm đơn vị")
    note = _CLASS_NOTE
    if withheld:
        note = {code: f"{note[code]} {_WITHHELD[code]}" for code in LANGUAGES}
    return record.table("subgroups", pd.DataFrame(rows), title, columns, note=note)


def _not_made(effect: OutcomeEffect, label: Text, reason: str) -> Text:
    names = capitalised(effect.outcome.label)
    return text(
        f"**{names['en']}** by {label['en']} cannot be estimated: [[{reason}]]",
        f"**{names['vi']}** theo {label['vi']} không ước lượng được (lý do bằng tiếng Anh): "
        f"[[{reason}]]",
    )
