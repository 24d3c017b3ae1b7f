"""What a net unit of the plan's outcome cost: the sentence of the first page and its chapter."""

from __future__ import annotations

import math
from collections.abc import Mapping

from impact.errors import InferenceError, SpecError, listing, near
from impact.evaluation import Evaluation
from impact.inference.sets import ConfidenceSet
from impact.report.effects import OutcomeEffect
from impact.report.results import Record
from impact.report.text import LANGUAGES, Text, text
from impact.value import CostPerUnit, cost_per_unit

__all__ = ["add_cost", "check_cost", "cost_sentence", "plan_cost"]

Effects = Mapping[str, OutcomeEffect]

GAINED = {"job": "jobs", "worker": "workers", "household": "households", "firm": "firms",
          "establishment": "establishments"}  # fmt: skip
"""Units of what was gained, by the unit that a cost is told per."""

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
    "What a unit gained cost cannot be said: no interval of the effect holds with so few units or "
    "clusters treated or untreated, and a cost by the estimate alone may be off by any factor. It "
    "stands, with that caveat, in the chapter on cost.",
    "Chưa thể nói chi phí cho một đơn vị tăng thêm: quá ít đơn vị hoặc cụm được hoặc không được hỗ "
    "trợ nên không có khoảng tin cậy nào đáng tin, và chi phí chỉ theo ước lượng có thể lệch bất "
    "kỳ bao nhiêu lần. Con số đó, kèm lưu ý này, nằm ở chương về chi phí.",
)
_BY_ESTIMATE = text(
    "By the estimate alone, counting {net} only, the programme cost {{cost.net}}. No interval of "
    "the effect holds, so how far off that is cannot be said; it is no finding to quote.",
    "Chỉ theo ước lượng và chỉ tính {net}, chi phí là {{cost.net}}. Không có khoảng tin cậy nào "
    "đáng tin nên không thể nói con số này lệch đến đâu; đây không phải là kết quả để trích dẫn.",
)
_UNSURE_NOTHING = text(
    "The estimate finds no gain for the {{cost.spent}} spent, so no cost can be given; no interval "
    "of the effect holds with so few units or clusters treated or untreated.",
    "Ước lượng không cho thấy mức tăng nào từ {{cost.spent}} đã chi nên không tính được chi phí; "
    "quá ít đơn vị hoặc cụm được hoặc không được hỗ trợ nên không có khoảng tin cậy nào đáng tin.",
)
_LOST = text(
    "The {{cost.spent}} spent bought no gain: the effect is a fall.",
    "Khoản {{cost.spent}} đã chi không mang lại mức tăng nào: tác động là mức giảm.",
)
_NO_GAIN = text("nothing was gained by the estimate", "ước lượng không cho thấy mức tăng nào")


def check_cost(plan: Evaluation) -> list[str]:
    """Name what keeps the plan's cost from being computed."""
    names = [outcome.name for outcome in plan.outcomes]
    if not plan.cost:
        return []
    if plan.cost["outcome"] not in names:
        return [
            f'cost.outcome names "{plan.cost["outcome"]}", which is no outcome of the plan. '
            f"{near(plan.cost['outcome'], names)}There are: {listing(names, 12)}."
        ]
    if "spent" not in plan.cost:
        return [
            "cost.spent is missing: what was spent on the treated must be said, since this "
            "notebook has no ledger to take it from."
        ]
    if _needs_scale(plan):
        return [
            "cost.scale is missing: an effect on a logarithm is a share, and what it is a share of "
            "(such as the jobs of all treated units before treatment) must be said."
        ]
    return []


def _needs_scale(plan: Evaluation) -> bool:
    """Tell whether the cost is of an effect on a logarithm and no scale is given."""
    outcome = next(o for o in plan.outcomes if o.name == plan.cost["outcome"])
    return outcome.is_relative and "scale" not in plan.cost


def cost_sentence(record: Record, plan: Evaluation, effects: Effects) -> Text | None:
    """Say what a net unit cost, and record the numbers as ``cost.*``; None without money.

    Where the effect has no valid interval the sentence leaves the cost out; `add_cost` tells it.

    Recorded are ``cost.spent``, ``cost.gained``, ``cost.net`` (the estimate; its interval where
    there is an upper limit) and else ``cost.least``, the lower one, if the effect has an interval;
    costs in three digits. `add_effects` and others have recorded ``level``.
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
    return _naming(template, unit)


def _naming(template: Text, unit: str) -> Text:
    """Fill in what is counted."""
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
        raise SpecError(f"{plan.path}: {check_cost(plan)[-1]}")
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
    estimated = record.values["cost.net"].value is not None
    unknown = gained.low is None and gained.high is None
    by_estimate = [_naming(_BY_ESTIMATE, stated["unit"])] if estimated and unknown else []
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
        *by_estimate,
    )


def _three_digits(amount: float | None) -> float | None:
    """Round an estimated amount to what it is worth printing."""
    return None if amount is None else float(f"{amount:.3g}")


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None
