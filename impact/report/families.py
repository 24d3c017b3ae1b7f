"""Families of outcomes that a plan states, and p-values that hold for all of a family together."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from impact.errors import InferenceError, listing, near
from impact.evaluation import Evaluation
from impact.families import family
from impact.report.effects import OutcomeEffect
from impact.report.headings import AVERAGE_EFFECT, OUTCOME, P_ADJUSTED, capitalised, of_outcome
from impact.report.results import Block, Column, Record
from impact.report.text import Text, text

__all__ = ["add_families", "check_families", "record_p_value"]

Effects = Mapping[str, OutcomeEffect]

_P_ALONE = Column(text("p alone", "p riêng"), "count")
_METHODS = {
    "romano_wolf": text("Romano and Wolf's step-down", "thủ tục giảm dần của Romano và Wolf"),
    "westfall_young": text("Westfall and Young's step-down", "thủ tục của Westfall và Young"),
    "holm": text("Holm's step-down", "thủ tục giảm dần của Holm"),
    "q_values": text("Anderson's sharpened q-values", "giá trị q hiệu chỉnh của Anderson"),
}
_FEW = text(
    "no test holds where so few units are treated",
    "không có kiểm định nào đáng tin khi quá ít đơn vị được hỗ trợ",
)


def check_families(plan: Evaluation) -> list[str]:
    """Name what keeps the plan's families from being computed."""
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
    return findings


def record_p_value(record: Record, id: str, p_value: float, what: Text) -> None:
    """Record a p-value, or that there is none."""
    record.value(id, p_value, "p_value", what, note=_FEW if math.isnan(p_value) else None)


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
        outcome = effects[name].outcome
        alone, together = (of_outcome(outcome, h.label) for h in (_P_ALONE, P_ADJUSTED))
        record_p_value(record, f"{name}.family_{k}_alone", line["p_value"], alone)
        record_p_value(record, f"{name}.family_{k}", line["adjusted"], together)
        rows.append(
            {
                "outcome": capitalised(outcome.label),
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
            "outcome": OUTCOME,
            "effect": AVERAGE_EFFECT,
            "alone": _P_ALONE,
            "adjusted": P_ADJUSTED,
        },
        note=text(f"Adjusted by {method['en']}.", f"Điều chỉnh theo {method['vi']}."),
    )
