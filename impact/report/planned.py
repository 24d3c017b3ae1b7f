"""What a plan adds to its effects: families of outcomes, subgroups, money. One chapter each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from impact.errors import DesignError, EstimationError, InferenceError, SpecError, listing, near
from impact.estimators import EffectsByGroup, estimator_class
from impact.evaluation import Evaluation
from impact.families import family
from impact.inference.multiplicity import adjust
from impact.inference.sets import ConfidenceSet
from impact.report.effects import OutcomeEffect
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, Text, capital, text
from impact.result import Result
from impact.value import CostPerUnit, cost_per_unit

__all__ = [
    "add_cost",
    "add_families",
    "add_subgroups",
    "check_planned",
    "cost_sentence",
    "plan_cost",
]

Effects = Mapping[str, OutcomeEffect]

GAINED = {"job": "jobs", "worker": "workers", "household": "households", "firm": "firms",
          "establishment": "establishments"}  # fmt: skip
"""Units of what was gained, by the unit that a cost is told per."""

_OUTCOME = text("Outcome", "Kết quả")
_EFFECT = text("Average effect", "Tác động trung bình")
_INTERVAL = text("{level} interval", "Khoảng tin cậy {level}")
_METHODS = {
    "romano_wolf": text("Romano and Wolf's step-down", "thủ tục giảm dần của Romano và Wolf"),
    "westfall_young": text("Westfall and Young's step-down", "thủ tục của Westfall và Young"),
    "holm": text("Holm's step-down", "thủ tục giảm dần của Holm"),
    "q_values": text("Anderson's sharpened q-values", "giá trị q hiệu chỉnh của Anderson"),
}
_NET = {
    "job": text("net jobs", "việc làm ròng"),
    "worker": text("net workers", "lao động ròng"),
    "household": text("net households", "hộ ròng"),
    "firm": text("net firms", "doanh nghiệp ròng"),
    "establishment": text("net establishments", "cơ sở ròng"),
}
_BOUNDED = text(
    "Counting {net} only, the programme cost {{cost.net}} ({{level}} interval: "
    "{{cost.net:interval}}).",
    "Chỉ tính {net}, chi phí là {{cost.net}} (khoảng tin cậy {{level}}: {{cost.net:interval}}).",
)
_OPEN = text(
    "Counting {net} only, the programme cost {{cost.net}} by the estimate; {{cost.least}} or more "
    "is compatible with the data ({{level}}), without an upper limit, since no effect at all is "
    "not excluded.",
    "Chỉ tính {net}, chi phí là {{cost.net}} theo ước lượng; mọi mức từ {{cost.least}} trở lên đều "
    "phù hợp với số liệu ({{level}}), không có cận trên, vì chưa loại trừ khả năng không có tác "
    "động.",
)
_NOTHING = text(
    "The estimate finds no gain for the {{cost.spent}} spent, so no cost can be given; at best, "
    "the data allow {{cost.least}} or more, counting {net} only ({{level}}).",
    "Ước lượng không cho thấy mức tăng nào từ {{cost.spent}} đã chi nên không tính được chi phí; "
    "khả quan nhất, số liệu cho phép mức từ {{cost.least}} trở lên, chỉ tính {net} ({{level}}).",
)
_UNSURE = text(
    "Counting {net} only, the programme cost {{cost.net}} by the estimate. No interval of the "
    "effect holds with so few units treated or untreated, so how far off that is cannot be said.",
    "Chỉ tính {net}, chi phí là {{cost.net}} theo ước lượng. Quá ít đơn vị được hoặc không được "
    "hỗ trợ nên không có khoảng tin cậy nào đáng tin, và không thể nói con số này lệch đến đâu.",
)
_UNSURE_NOTHING = text(
    "The estimate finds no gain for the {{cost.spent}} spent, so no cost can be given; no interval "
    "of the effect holds with so few units treated or untreated.",
    "Ước lượng không cho thấy mức tăng nào từ {{cost.spent}} đã chi nên không tính được chi phí; "
    "quá ít đơn vị được hoặc không được hỗ trợ nên không có khoảng tin cậy nào đáng tin.",
)
_LOST = text(
    "The {{cost.spent}} spent bought no gain: the effect is a fall.",
    "Khoản {{cost.spent}} đã chi không mang lại mức tăng nào: tác động là mức giảm.",
)
_FEW = text(
    "no test holds where so few units are treated",
    "không có kiểm định nào đáng tin khi quá ít đơn vị được hỗ trợ",
)
_NO_GAIN = text("nothing was gained by the estimate", "ước lượng không cho thấy mức tăng nào")


def check_planned(plan: Evaluation) -> list[str]:
    """Name what keeps families, subgroups and cost of a plan from being computed."""
    names = [outcome.name for outcome in plan.outcomes]
    findings = []
    for number, entry in enumerate(plan.families, start=1):
        unknown = [name for name in entry["outcomes"] if name not in names]
        if unknown:
            findings.append(
                f"families.{number} names {listing(unknown)}, which is no outcome of the plan. "
                f"{near(unknown[0], names)}There are: {listing(names, 12)}."
            )
        elif len(set(entry["outcomes"])) < 2:
            findings.append(f"families.{number} needs two outcomes or more to be a family.")
    if plan.subgroups and plan.scan is not None:
        findings.append(
            "subgroups need the rows of units, and data.scan leaves them in their table. Leave "
            "subgroups out, or build a report for each value: impact matrix PLAN --over COLUMN."
        )
    for number, entry in enumerate([] if plan.scan else plan.subgroups, start=1):
        columns = plan.load().columns
        if entry["by"] not in columns:
            findings.append(
                f'subgroups.{number} names "{entry["by"]}", which is no column of the data. '
                f"{near(entry['by'], columns)}Known: {listing(columns, 12)}."
            )
    if plan.cost and plan.cost["outcome"] not in names:
        findings.append(
            f'cost.outcome names "{plan.cost["outcome"]}", which is no outcome of the plan. '
            f"{near(plan.cost['outcome'], names)}There are: {listing(names, 12)}."
        )
    elif plan.cost and "spent" not in plan.cost:
        findings.append(
            "cost.spent is missing: what was spent on the treated must be said, since this "
            "notebook has no ledger to take it from."
        )
    elif plan.cost and _needs_scale(plan):
        findings.append(
            "cost.scale is missing: an effect on a logarithm is a share, and what it is a share of "
            "(such as the jobs of all treated units before treatment) must be said."
        )
    return findings


def _needs_scale(plan: Evaluation) -> bool:
    """Tell whether the cost is of an effect on a logarithm and no scale is given."""
    outcome = next(o for o in plan.outcomes if o.name == plan.cost["outcome"])
    return outcome.is_relative and "scale" not in plan.cost


def add_families(record: Record, plan: Evaluation, effects: Effects) -> None:
    """Add p-values that hold for all outcomes of each family together.

    Of outcome ``y`` in the plan's k-th family: ``y.family_k`` and, alone, ``y.family_k_alone``.
    """
    if not plan.families:
        return
    told = [_family_block(record, plan, effects, k) for k in range(1, len(plan.families) + 1)]
    record.section(
        "families",
        text("Outcomes taken together", "Xét chung các kết quả"),
        text(
            "Whoever tests many outcomes finds something by chance. The adjusted p-values hold for "
            "all outcomes of a family at once.",
            "Kiểm định nhiều kết quả thì ngẫu nhiên cũng thấy có tác động. Giá trị p điều chỉnh có "
            "hiệu lực cho mọi kết quả của một nhóm cùng lúc.",
        ),
        *told,
    )


def _family_block(record: Record, plan: Evaluation, effects: Effects, k: int) -> Block | Text:
    """Return a family's table, or why its p-values cannot be adjusted."""
    try:
        return _family_table(record, plan, effects, k)
    except InferenceError as reason:
        label = plan.families[k - 1]["label"]
        return text(
            f"**{label['en']}**: p-values cannot be adjusted: [[{reason}]]",
            f"**{label['vi']}**: không điều chỉnh được giá trị p (lý do bằng tiếng Anh): "
            f"[[{reason}]]",
        )


def _family_table(record: Record, plan: Evaluation, effects: Effects, k: int) -> Block:
    entry = plan.families[k - 1]
    found = family(
        {name: effects[name].result for name in entry["outcomes"]},
        entry["method"],
        draws=plan.inference["draws"],
        seed=plan.inference["seed"],
    )
    rows = []
    for line in found.to_dict("records"):
        name = str(line["name"])
        label = _label(effects[name])
        alone, together = text("p alone", "p riêng"), text("p adjusted", "p điều chỉnh")
        _keep_p(record, f"{name}.family_{k}_alone", line["p_value"], _joined(label, alone))
        _keep_p(record, f"{name}.family_{k}", line["adjusted"], _joined(label, together))
        rows.append(
            {
                "outcome": label,
                "effect": f"{{{name}.average:signed}}",
                "alone": f"{{{name}.family_{k}_alone}}",
                "adjusted": f"{{{name}.family_{k}}}",
            }
        )
    method = _METHODS[entry["method"]]
    return record.table(
        f"family_{k}",
        pd.DataFrame(rows),
        entry["label"],
        {
            "outcome": Column(_OUTCOME),
            "effect": Column(_EFFECT, "count"),
            "alone": Column(text("p alone", "p riêng"), "count"),
            "adjusted": Column(text("p adjusted", "p điều chỉnh"), "count"),
        },
        note=text(f"Adjusted by {method['en']}.", f"Điều chỉnh theo {method['vi']}."),
    )


def add_subgroups(record: Record, plan: Evaluation, effects: Effects) -> None:
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
            rows += _class_rows(record, effect, fitted, k, entry["label"])
            tests[f"{name}.group_{k}"] = float(fitted.extra["equality"].p_value)
    adjusted = adjust(np.array(list(tests.values())))
    for (id, p_value), holm in zip(tests.items(), adjusted, strict=True):
        _keep_p(
            record, f"{id}_equal", p_value, text("p of equal effects", "p của tác động như nhau")
        )
        _keep_p(record, f"{id}_holm", holm, text("p by Holm", "p theo Holm"))
    shown = [_class_table(record, rows)] if rows else []
    record.section(
        "subgroups",
        text("For whom", "Tác động với từng nhóm"),
        text(
            "A class that differs from zero while another does not is no proof that they differ; "
            "the test of equal effects is.",
            "Một nhóm khác không còn nhóm kia thì không chưa chứng tỏ hai nhóm khác nhau; phải xem "
            "kiểm định tác động như nhau.",
        ),
        *shown,
        *missing,
    )


def _keep_p(record: Record, id: str, p_value: float, what: Text) -> None:
    """Record a p-value, or that there is none."""
    record.value(id, p_value, "p_value", what, note=_FEW if math.isnan(p_value) else None)


def _class_rows(
    record: Record, effect: OutcomeEffect, fitted: Result, k: int, label: Text
) -> list[dict[str, object]]:
    """Record one outcome's effects by class; return the rows of the table."""
    outcome, y = effect.outcome, effect.outcome.name
    read = (lambda v: 100 * math.expm1(v)) if outcome.is_relative else float
    rows: list[dict[str, object]] = []
    for c, line in enumerate(fitted.tidy(effect.level).to_dict("records")):
        named = str(line["term"]).rpartition(" = ")[2]
        group = text("all", "tất cả") if c == 0 else text(named, named)
        what = text(f"effect, class {group['en']}", f"tác động, nhóm {group['vi']}")
        estimate, low, high = (float(line[x]) for x in ("estimate", "conf_low", "conf_high"))
        record.value(
            f"{y}.group_{k}_{c}",
            read(estimate),
            "percent" if outcome.is_relative else outcome.unit,
            _joined(_label(effect), what),
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
                "outcome": _label(effect),
                "by": {code: capital(label[code]) for code in LANGUAGES},
                "class": group if c == 0 else {code: f"[[{group[code]}]]" for code in LANGUAGES},
                "effect": f"{{{y}.group_{k}_{c}:signed}}",
                "interval": f"{{{y}.group_{k}_{c}:interval}}",
                "equal": f"{{{y}.group_{k}_equal}}" if c == 0 else None,
                "holm": f"{{{y}.group_{k}_holm}}" if c == 0 else None,
            }
        )
    return rows


def _class_table(record: Record, rows: list[dict[str, object]]) -> Block:
    return record.table(
        "subgroups",
        pd.DataFrame(rows),
        text("Average effects by class of units", "Tác động trung bình theo nhóm đơn vị"),
        {
            "outcome": Column(_OUTCOME),
            "by": Column(text("By", "Theo")),
            "class": Column(text("Class", "Nhóm")),
            "effect": Column(_EFFECT, "count"),
            "interval": Column(_INTERVAL, "count"),
            "equal": Column(text("p of equal effects", "p như nhau"), "count"),
            "holm": Column(text("p by Holm", "p theo Holm"), "count"),
        },
        note=text(
            "Treated units are compared with untreated ones of their class. Holm: adjusted for all "
            "tests of equal effects in this table.",
            "Đơn vị được hỗ trợ so với đơn vị không được hỗ trợ cùng nhóm. Holm: điều chỉnh theo "
            "số kiểm định tác động như nhau trong bảng.",
        ),
    )


def _not_made(effect: OutcomeEffect, label: Text, reason: str) -> Text:
    names = _label(effect)
    return text(
        f"**{names['en']}** by {label['en']} cannot be estimated: [[{reason}]]",
        f"**{names['vi']}** theo {label['vi']} không ước lượng được (lý do bằng tiếng Anh): "
        f"[[{reason}]]",
    )


def cost_sentence(record: Record, plan: Evaluation, effects: Effects) -> Text | None:
    """Say what a net unit cost, and record the numbers as ``cost.*``; None without money.

    Recorded are ``cost.spent``, ``cost.gained``, ``cost.net`` (the estimate; its interval where
    there is an upper limit) and else ``cost.least``, the lower one, if the effect has an interval;
    costs in three digits. `add_effects` and others have
    recorded ``level``.
    """
    if not plan.cost:
        return None
    stated = plan.cost
    effect = effects[stated["outcome"]]
    found = plan_cost(plan, effects)
    money, unit = stated["currency"], stated["unit"]
    spent = text("money spent on the treated", "kinh phí chi cho đơn vị được hỗ trợ")
    record.value("cost.spent", stated["spent"], money, spent)
    units = effect.design.facts.n_treated_units
    gained = found.gained_set
    record.value(
        "cost.gained", found.gained, GAINED[unit], text("net gain", "mức tăng ròng"),
        low=_finite(gained.low), high=_finite(gained.high), level=effect.level, decimals=0,
        units=units,
    )  # fmt: skip
    is_known = math.isfinite(gained.low) or math.isfinite(gained.high)
    positive = [ends for ends in found.confidence_set.intervals if ends[1] > 0]
    bounded = bool(gained.low > 0)
    low = max(positive[-1][0], 0.0) if positive else math.nan
    record.value(
        "cost.net", _three_digits(found.estimate), f"{money}/{unit}",
        text("cost of a net unit, by the estimate", "chi phí một đơn vị ròng, theo ước lượng"),
        low=_three_digits(low) if bounded else None,
        high=_three_digits(_finite(positive[-1][1])) if bounded else None,
        level=effect.level if bounded else None,
        note=_NO_GAIN if math.isnan(found.estimate) else None, units=units,
    )  # fmt: skip
    if positive and is_known and not bounded:
        least = text("least cost of a net unit", "chi phí thấp nhất của một đơn vị ròng")
        record.value("cost.least", _three_digits(low), f"{money}/{unit}", least, units=units)
    template = _cost_template(found, is_known, bool(positive), bounded)
    return {c: template[c].format(net=_NET[unit][c]) for c in LANGUAGES}


def _cost_template(found: CostPerUnit, is_known: bool, may_gain: bool, bounded: bool) -> Text:
    """Choose the sentence: an interval, no upper limit, no interval at all, or no gain."""
    if not is_known:
        return _UNSURE_NOTHING if math.isnan(found.estimate) else _UNSURE
    if not may_gain:
        return _LOST
    if bounded:
        return _BOUNDED
    return _NOTHING if math.isnan(found.estimate) else _OPEN


def plan_cost(plan: Evaluation, effects: Effects) -> CostPerUnit:
    """Divide the plan's money by what its outcome's average effect stands for.

    Where the effect has no valid interval, nothing is excluded: its set is the whole line.

    Raises
    ------
    SpecError : the effect is on a logarithm, and the plan does not say of what it is a share
    """
    stated = plan.cost
    if _needs_scale(plan):
        raise SpecError(f"{plan.path}: {check_planned(plan)[-1]}")
    effect = effects[stated["outcome"]]

    def cost(effect_set: ConfidenceSet | None) -> CostPerUnit:
        return cost_per_unit(
            effect.result,
            cost=stated["spent"],
            scale=stated.get("scale", effect.design.facts.n_treated_units),
            unit=stated["unit"],
            displacement=stated["displacement"],
            effect_set=effect_set,
            level=effect.level,
            price_base=stated.get("price_base"),
        )

    try:
        return cost(None)
    except InferenceError:
        return cost(ConfidenceSet(((-math.inf, math.inf),), effect.level))


def add_cost(record: Record, plan: Evaluation, effects: Effects) -> None:
    """Add how the cost of a net unit comes about; `cost_sentence` has recorded its numbers."""
    if not plan.cost:
        return
    stated = plan.cost
    share = text("share of the gain that others lost, assumed", "tỷ lệ chèn lấn, giả định")
    record.value("cost.displacement", round(100 * stated["displacement"], 9), "percent", share)
    label = effects[stated["outcome"]].outcome.label
    prices = {"en": "", "vi": ""}
    if "price_base" in stated:
        record.value("cost.prices", stated["price_base"], "year", text("prices of", "giá năm"))
        prices = text(" at the prices of {cost.prices}", " theo giá năm {cost.prices}")
    gained = record.values["cost.gained"]
    sure = text(" ({level} interval: {cost.gained:interval})", " (khoảng tin cậy {level}: "
                "{cost.gained:interval})")  # fmt: skip
    if gained.low is None or gained.high is None:
        sure = text(" (without a bounded interval)", " (không có khoảng tin cậy hữu hạn)")
    record.section(
        "cost",
        text("What a net unit cost", "Chi phí một đơn vị ròng"),
        text(
            f"Spent on the treated: {{cost.spent}}{prices['en']}. Gained, by the average effect on "
            f"{label['en']}: {{cost.gained}}{sure['en']}, after taking off {{cost.displacement}} "
            "for what others lost, which is assumed. Units that would have been gained anyway are "
            "not counted.",
            f"Đã chi cho đơn vị được hỗ trợ: {{cost.spent}}{prices['vi']}. Mức tăng theo tác động "
            f"trung bình đến {label['vi']}: {{cost.gained}}{sure['vi']}, đã trừ "
            "{cost.displacement} do chèn lấn, là giả định. Không tính phần dù sao cũng tăng.",
        ),
    )


def _three_digits(amount: float | None) -> float | None:
    """Round an estimated amount to what it is worth printing."""
    return None if amount is None else float(f"{amount:.3g}")


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None


def _label(effect: OutcomeEffect) -> Text:
    return {code: capital(effect.outcome.label[code]) for code in LANGUAGES}


def _joined(label: Text, what: Text) -> Text:
    return {code: f"{label[code]}: {what[code]}" for code in LANGUAGES}
