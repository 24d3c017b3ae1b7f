"""The tables of a report on a province's programme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from impact import value
from impact.evaluation.province import ProvinceStudy
from impact.ledger import RULES, Findings, Ledger
from impact.report.figures import Drawing
from impact.report.headings import EFFECT, INTERVAL, OUTCOME, capitalised
from impact.report.province_figure import event_study_block
from impact.report.province_numbers import is_interval
from impact.report.results import Block, Column, Record
from impact.report.text import Text, text

__all__ = ["record_tables"]

_STEPS = {
    "in the ledger, net of refunds": "trong sổ, đã trừ hoàn trả",
    "rejected": "không được duyệt",
    "cancelled before any money": "ngừng trước khi giải ngân",
    "returned": "hoàn trả",
    "not in the outcome table": "không có trong bảng kết quả",
    "no period before treatment": "không có kỳ trước hỗ trợ",
    "begins after the panel": "bắt đầu sau kỳ quan sát",
    "treatment": "được coi là hỗ trợ",
}
_CONTENTS = {
    "technology": "công nghệ",
    "training": "đào tạo",
    "skills": "nhân lực, tư vấn",
    "products": "sản phẩm",
    "management": "quản lý",
    "information": "thông tin",
    "all": "tất cả",
}


def record_tables(
    record: Record, study: ProvinceStudy, as_filed: Ledger, drawing: Drawing
) -> dict[str, Block]:
    """Record the tables and the drawing; return them by name."""
    return {
        "findings": _findings_table(record, as_filed.findings),
        "rules": _rules_table(record, study),
        "waterfall": _waterfall_table(record, study),
        "leverage": _leverage_table(record, study),
        "effects": _effects_table(record, study),
        "cost": _cost_table(record, study),
        "drawing": event_study_block(record, drawing),
    }


def _findings_table(record: Record, found: Findings) -> Block:
    """Tabulate what the checks found, one case of each rule."""
    examples = {rule: found.of_rule(rule).items[0] for rule in found.summary().index}
    return record.table(
        "findings",
        pd.DataFrame(
            {
                "rule": text(*RULES[rule].name),
                "count": len(found.of_rule(rule)),
                "example": text(item.text("en"), item.text("vi")),
            }
            for rule, item in examples.items()
        ),
        text("What the checks found in the ledger as filed", "Các lỗi phát hiện trong sổ ban đầu"),
        {
            "rule": Column(text("Rule", "Quy tắc")),
            "count": Column(text("Cases", "Số ca"), "count"),
            "example": Column(text("First case", "Ca đầu tiên")),
        },
    )


def _rules_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate the rules by which projects became treatment."""
    return record.table(
        "rules",
        pd.DataFrame(
            {"rule": text(*rule), "setting": text(*setting)}
            for rule, setting in study.assignment.rules.spelled()
        ),
        text(
            "The rules by which projects became treatment",
            "Các quy tắc xác định cơ sở được hỗ trợ",
        ),
        {"rule": Column(text("Rule", "Quy tắc")), "setting": Column(text("Setting", "Lựa chọn"))},
    )


def _waterfall_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate what each rule left out on the way from the ledger to the treatment."""
    steps = study.assignment.waterfall
    return record.table(
        "waterfall",
        _worded(steps, "step", _STEPS),
        text("From the ledger to the treatment", "Từ sổ theo dõi đến nhóm được hỗ trợ"),
        {
            "step": Column(text("Step", "Bước")),
            "projects": Column(text("Projects", "Đề án"), "count"),
            "support": Column(text("Support", "Kinh phí"), "VND"),
        },
        note=text(
            "Support in the prices of each year, net of refunds.",
            "Kinh phí theo giá từng năm, đã trừ hoàn trả.",
        ),
    )


def _leverage_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate the counterpart for one dong of support, by content."""
    shares = value.leverage(study.ledger.projects).reset_index()
    return record.table(
        "leverage",
        _worded(shares.assign(share=100 * shares["share"]), "content", _CONTENTS),
        text("Counterpart for one dong of support", "Vốn đối ứng trên một đồng hỗ trợ"),
        {
            "content": Column(text("Content", "Nội dung")),
            "projects": Column(text("Projects", "Đề án"), "count"),
            "support": Column(text("Support", "Kinh phí"), "VND"),
            "share": Column(text("Share of support", "Tỷ trọng kinh phí"), "percent", 0),
            "leverage": Column(text("Leverage", "Hệ số đòn bẩy"), "ratio"),
        },
        note=text(
            "Accounting: co-financing is compulsory for machines and models, so the ratio says "
            "nothing about what would have been invested anyway.",
            "Chỉ là hạch toán: vốn đối ứng là bắt buộc với máy móc và mô hình, nên tỷ số không cho "
            "biết khoản nào dù sao cũng được đầu tư.",
        ),
    )


def _worded(frame: pd.DataFrame, column: str, vietnamese: Mapping[str, str]) -> pd.DataFrame:
    """Put a column's English words into both languages."""
    words: Any = [text(key, vietnamese.get(key, key)) for key in frame[column].astype(str)]
    return frame.assign(**{column: words})


def _effects_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate estimates beside the truth and beside counting before and after."""
    rows = [
        {
            "outcome": capitalised(outcome.label),
            "effect": f"{{{outcome.name}.effect}}",
            "interval": f"{{{outcome.name}.effect:interval}}",
            "truth": f"{{{outcome.name}.truth}}",
            "counted": f"{{{outcome.name}.counted}}",
        }
        for outcome in study.plan.outcomes
    ]
    return record.table(
        "effects",
        pd.DataFrame(rows),
        text(
            "Estimated effect, truth, and before and after",
            "Tác động ước lượng, giá trị thật và so sánh trước sau",
        ),
        {
            "outcome": OUTCOME,
            "effect": EFFECT,
            "interval": INTERVAL,
            "truth": Column(text("Truth", "Giá trị thật"), "count"),
            "counted": Column(text("Before and after", "Trước và sau"), "count"),
        },
    )


def _cost_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate jobs and what one cost: counted, estimated, true."""
    known = is_interval(study.job_cost)
    rows: list[dict[str, str | Text | None]] = [
        {
            "how": text("counted before and after", "tính theo trước sau"),
            "jobs": "{jobs.gross}",
            "cost": "{cost.gross}",
        },
        {
            "how": text("net, estimated", "ròng, ước lượng"),
            "jobs": "{jobs.net}",
            "jobs_interval": "{jobs.net:interval}",
            "cost": "{cost.net}" if known else "{cost.least}",
            "cost_interval": "{cost.net:interval}" if known else None,
        },
        {
            "how": text("net, truth", "ròng, giá trị thật"),
            "jobs": "{jobs.truth}",
            "cost": "{cost.truth}",
        },
    ]
    for number, place in enumerate(study.printed["place"], start=1):
        rows.append(
            {
                "how": text(f"as printed for {place} (gross)", f"theo báo chí, {place} (tính gộp)"),
                "jobs": f"{{printed.{number}.jobs}}",
                "cost": f"{{printed.{number}.cost}}",
            }
        )
    return record.table(
        "cost",
        pd.DataFrame(rows),
        text("Jobs and what one cost", "Việc làm và chi phí một việc làm"),
        {
            "how": Column(text("How", "Cách tính")),
            "jobs": Column(text("Jobs", "Việc làm"), "count"),
            "jobs_interval": INTERVAL,
            "cost": Column(text("Support for a job", "Hỗ trợ cho một việc làm"), "count"),
            "cost_interval": INTERVAL,
        },
        note=text(
            "Newspapers divide the support of their years by the jobs counted at the supported, "
            "before and after: gross, with growth that would have come anyway.",
            "Báo chí chia kinh phí hỗ trợ của từng năm cho số việc làm đếm tại cơ sở được hỗ trợ, "
            "trước và sau: tính gộp, gồm cả phần tăng trưởng dù sao cũng xảy ra.",
        ),
    )
