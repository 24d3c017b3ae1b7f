"""The numbers of a report on a province's programme, each under its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impact.evaluation.province import ProvinceStudy, ProvinceTotals
from impact.ledger import Findings, Ledger
from impact.report.results import Record
from impact.report.text import text
from impact.value import CostPerUnit

__all__ = ["is_interval", "record_numbers"]


@dataclass(frozen=True)
class _Costs:
    """What a job and a dong of output cost, in three digits, and whether their sets are bounded."""

    net: float
    low: float
    high: float
    gross: float
    true: float
    bounded: bool
    output_bounded: bool


def _costs(study: ProvinceStudy) -> _Costs:
    costs, output = study.job_cost.confidence_set, study.output_cost.confidence_set
    amounts = (
        study.job_cost.estimate,
        costs.intervals[-1][0],
        costs.high,
        study.spent / study.counted_jobs,
        study.spent / study.true_jobs,
    )
    net, low, high, gross, true = (float(f"{amount:.3g}") for amount in amounts)
    return _Costs(
        net,
        low,
        high,
        gross,
        true,
        is_interval(study.job_cost),
        output.is_connected and output.is_bounded,
    )


def is_interval(cost: CostPerUnit) -> bool:
    """Tell whether the set of a cost is one bounded interval."""
    return cost.confidence_set.is_connected and cost.confidence_set.is_bounded


def record_numbers(
    record: Record, study: ProvinceStudy, as_filed: Ledger, totals: ProvinceTotals
) -> None:
    """Record every number of the report under its name."""
    level = round(100 * study.level, 6)
    record.value("level", level, "percent", text("Confidence level", "Mức tin cậy"))
    _record_effects(record, study)
    _record_ledger(record, study, as_filed.findings)
    _record_jobs(record, study)
    _record_costs(record, study)
    _record_output_cost(record, study)
    _record_printed_costs(record, study)
    _record_totals(record, totals)


def _record_effects(record: Record, study: ProvinceStudy) -> None:
    simulated = f"simulated, seed {study.plan.inference['seed']}"
    table = study.comparison().to_dict("index")
    for outcome in study.plan.outcomes:
        name, row = outcome.name, table[outcome.name]
        record.value(
            f"{name}.effect",
            row["estimate"],
            "percent",
            outcome.label,
            low=row["low"],
            high=row["high"],
            level=study.level,
            decimals=1,
            source=simulated,
        )
        for kind in ("truth", "counted"):
            record.value(
                f"{name}.{kind}", row[kind], "percent", outcome.label, decimals=1, source=simulated
            )
    first = table[study.plan.outcomes[0].name]
    record.value(
        "overstated",
        first["counted"] / first["truth"],
        "times",
        text(
            "Before and after over the truth, workers",
            "So sánh trước sau chia cho giá trị thật, lao động",
        ),
        decimals=1,
    )


def _record_ledger(record: Record, study: ProvinceStudy, found: Findings) -> None:
    record.value(
        "support",
        float(f"{study.spent:.3g}"),
        "VND",
        text("Support at constant prices", "Kinh phí hỗ trợ theo giá cố định"),
    )
    record.value(
        "treated",
        study.n_supported,
        "establishments",
        text("Establishments supported", "Số cơ sở được hỗ trợ"),
    )
    record.value(
        "findings",
        len(found.errors),
        "count",
        text("Errors in the ledger as filed", "Số lỗi trong sổ ban đầu"),
    )
    record.value(
        "warnings", len(found) - len(found.errors), "count", text("Warnings", "Số cảnh báo")
    )
    record.value(
        "displacement",
        100 * study.displacement,
        "percent",
        text("Displacement, assumed", "Tỷ lệ chèn lấn, giả định"),
        decimals=0,
    )


def _record_jobs(record: Record, study: ProvinceStudy) -> None:
    jobs, level = study.job_cost, study.level
    record.value(
        "jobs.gross",
        study.counted_jobs,
        "jobs",
        text("Jobs counted before and after", "Việc làm tính theo trước sau"),
        decimals=0,
    )
    record.value(
        "jobs.net",
        jobs.gained,
        "jobs",
        text("Net jobs, estimated", "Việc làm ròng, ước lượng"),
        low=jobs.gained_set.low,
        high=jobs.gained_set.high,
        level=level,
        decimals=0,
    )
    record.value(
        "jobs.truth",
        study.true_jobs,
        "jobs",
        text("Net jobs, truth", "Việc làm ròng, giá trị thật"),
        decimals=0,
    )


def _record_costs(record: Record, study: ProvinceStudy) -> None:
    costs, level = _costs(study), study.level
    record.value(
        "cost.gross",
        costs.gross,
        "VND/job",
        text("Cost of a job counted before and after", "Chi phí một việc làm theo trước sau"),
    )
    record.value(
        "cost.truth",
        costs.true,
        "VND/job",
        text("Cost of a net job, truth", "Chi phí một việc làm ròng, giá trị thật"),
    )
    record.value(
        "cost.least",
        costs.low,
        "VND/job",
        text("Least cost of a net job", "Chi phí thấp nhất của một việc làm ròng"),
        bound="at_least",
        level=level,
    )
    record.value(
        "cost.net",
        costs.net,
        "VND/job",
        text("Cost of a net job, estimated", "Chi phí một việc làm ròng, ước lượng"),
        low=costs.low if costs.bounded else None,
        high=costs.high if costs.bounded else None,
        level=level,
        note=text(
            "No number where no job was gained by estimate.",
            "Không có số nếu ước lượng không cho thấy có thêm việc làm.",
        ),
    )


def _record_printed_costs(record: Record, study: ProvinceStudy) -> None:
    """Record what newspapers print for other provinces, and how far the net cost is from it."""
    for number, line in enumerate(study.printed.to_dict("records"), start=1):
        record.value(
            f"printed.{number}.jobs",
            line["jobs_reported"],
            "jobs",
            text(f"Jobs as printed, {line['place']}", f"Việc làm theo báo chí, {line['place']}"),
            decimals=0,
            source=line["source"],
        )
        record.value(
            f"printed.{number}.cost",
            float(f"{line['cost']:.3g}"),
            "VND/job",
            text(
                f"Support for a printed job, {line['place']}",
                f"Hỗ trợ cho một việc làm theo báo chí, {line['place']}",
            ),
            source=line["source"],
        )
    least = max(study.job_cost.confidence_set.intervals[-1][0], 0.0)
    record.value(
        "printed.times",
        least / study.printed["cost"].max(),
        "times",
        text(
            "Least cost of a net job over the highest printed cost",
            "Chi phí thấp nhất của một việc làm ròng chia cho mức cao nhất trên báo",
        ),
        decimals=0,
        bound="at_least",
        level=study.level,
    )


def _record_output_cost(record: Record, study: ProvinceStudy) -> None:
    output, level = study.output_cost, study.level
    costs, bounded = output.confidence_set, is_interval(output)
    record.value(
        "cost.output",
        output.estimate / 1e6,
        "ratio",
        text("Support for one dong of output a year", "Hỗ trợ cho một đồng sản lượng một năm"),
        low=costs.low / 1e6 if bounded else None,
        high=costs.high / 1e6 if bounded else None,
        level=level,
    )
    record.value(
        "cost.output_least",
        costs.intervals[-1][0] / 1e6,
        "ratio",
        text(
            "Least support for one dong of output a year",
            "Hỗ trợ thấp nhất cho một đồng sản lượng một năm",
        ),
        bound="at_least",
        level=level,
    )


def _record_totals(record: Record, totals: ProvinceTotals) -> None:
    """Record what totals of all provinces could show, beside what is true."""
    record.value(
        "provinces.detectable",
        100 * np.expm1(totals.detectable),
        "percent",
        text("Smallest effect that totals could show", "Tác động nhỏ nhất có thể phát hiện"),
        decimals=1,
    )
    record.value(
        "provinces.truth",
        100 * np.expm1(totals.truth),
        "percent",
        text("True effect on employment", "Tác động thật lên việc làm"),
        decimals=3,
    )
    record.value(
        "provinces.times",
        totals.detectable / totals.truth,
        "times",
        text("Detectable over true", "Phát hiện được chia cho thật"),
        decimals=0,
    )
