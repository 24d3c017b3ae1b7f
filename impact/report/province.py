"""The report on a province's programme: its numbers, tables, drawings, sentences and chapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from impact import value
from impact.evaluation.province import TRUE_NAMES, ProvinceStudy, ProvinceTotals
from impact.ledger import RULES, Findings, Ledger
from impact.report.charts import TITLE_LETTERS
from impact.report.figures import Drawing, report_style, wrapped
from impact.report.results import Block, Column, Record, bullets, callout
from impact.report.text import Text, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from impact.evaluation import Outcome
    from impact.value import CostPerUnit

__all__ = ["add_chapters", "draw_event_studies", "record_numbers", "record_tables", "summarise"]

SHOWN = (-6, 8)
"""Years since acceptance that are drawn."""

_SINCE = text("years since acceptance", "số năm từ khi nghiệm thu")
_UP = text("effect on the logarithm", "tác động lên logarit")
_ESTIMATE = text("estimate, 95%", "ước lượng, 95%")
_TRUTH = text("truth", "giá trị thật")
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

_ANSWER = text(
    "On simulated data whose truth is known: supported establishments gained "
    "{revenue.effect} of output ({revenue.effect:interval}; truth {revenue.truth}) and "
    "{monthly_income.effect} of income ({monthly_income.effect:interval}; truth "
    "{monthly_income.truth}). For workers the estimate is {workers.effect} "
    "({workers.effect:interval}; truth {workers.truth}).",
    "Trên dữ liệu mô phỏng đã biết giá trị thật: cơ sở được hỗ trợ tăng {revenue.effect} giá "
    "trị sản xuất ({revenue.effect:interval}; thật {revenue.truth}) và "
    "{monthly_income.effect} thu nhập ({monthly_income.effect:interval}; thật "
    "{monthly_income.truth}). Với lao động, ước lượng là {workers.effect} "
    "({workers.effect:interval}; thật {workers.truth}).",
)


def draw_event_studies(study: ProvinceStudy) -> Drawing:
    """Draw every outcome's effects by year since acceptance, and the truth."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(9.5, 3.2), layout="constrained")
        axes = figure.subplots(1, 3)
        words = [(axes[0].set_ylabel("", fontsize=8), _UP)]
        for ax, outcome in zip(axes, study.plan.outcomes, strict=True):
            shown = _draw_outcome(ax, study, outcome)
            if ax is axes[0]:
                legend = ax.legend(shown, ("", ""), loc="lower left", fontsize=8, frameon=False)
                words += zip(legend.get_texts(), (_ESTIMATE, _TRUTH), strict=True)
            title = wrapped(outcome.label, TITLE_LETTERS)
            words += [
                (ax.set_title("", fontsize=9), title),
                (ax.set_xlabel("", fontsize=8), _SINCE),
            ]
            ax.tick_params(labelsize=8)
            ax.set_xticks(range(SHOWN[0], SHOWN[1] + 1, 2))
    return Drawing(figure, words, list(axes))


def _draw_outcome(ax: Axes, study: ProvinceStudy, outcome: Outcome) -> list[Any]:
    """Draw one outcome's estimates with their intervals, and the truth; return the two."""
    points = study.results[outcome.name].event_study().tidy(study.level)
    points = points[points["event_time"].between(*SHOWN)]
    reach = points["estimate"] - points["conf_low"]
    drawn = ax.errorbar(
        points["event_time"], points["estimate"], reach, fmt="o", ms=4, lw=1.5, color="#2f5d8a"
    )
    true = study.truth.groupby("event_time")[TRUE_NAMES[outcome.name]].mean().loc[0 : SHOWN[1]]
    (line,) = ax.plot(true.index, true, color="#b5532a", lw=2, zorder=3)
    ax.axhline(0, color="black", lw=0.8)
    ax.axvline(-0.5, color="grey", lw=0.8, ls="--")
    return [drawn, line]


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
        _is_interval(study.job_cost),
        output.is_connected and output.is_bounded,
    )


def _is_interval(cost: CostPerUnit) -> bool:
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
    costs, bounded = output.confidence_set, _is_interval(output)
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
        "drawing": _drawing(record, drawing),
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
            "outcome": outcome.label,
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
            "outcome": Column(text("Outcome", "Chỉ tiêu")),
            "effect": Column(text("Effect", "Tác động")),
            "interval": Column(text("95% interval", "Khoảng tin cậy 95%")),
            "truth": Column(text("Truth", "Giá trị thật")),
            "counted": Column(text("Before and after", "Trước và sau")),
        },
    )


def _cost_table(record: Record, study: ProvinceStudy) -> Block:
    """Tabulate jobs and what one cost: counted, estimated, true."""
    known = _is_interval(study.job_cost)
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
    interval = text("95% interval", "Khoảng tin cậy 95%")
    return record.table(
        "cost",
        pd.DataFrame(rows),
        text("Jobs and what one cost", "Việc làm và chi phí một việc làm"),
        {
            "how": Column(text("How", "Cách tính")),
            "jobs": Column(text("Jobs", "Việc làm")),
            "jobs_interval": Column(interval),
            "cost": Column(text("Support for a job", "Hỗ trợ cho một việc làm")),
            "cost_interval": Column(interval),
        },
        note=text(
            "Newspapers divide the support of their years by the jobs counted at the supported, "
            "before and after: gross, with growth that would have come anyway.",
            "Báo chí chia kinh phí hỗ trợ của từng năm cho số việc làm đếm tại cơ sở được hỗ trợ, "
            "trước và sau: tính gộp, gồm cả phần tăng trưởng dù sao cũng xảy ra.",
        ),
    )


def _drawing(record: Record, drawing: Drawing) -> Block:
    """Keep the drawing of event studies."""
    return record.figure(
        "event-studies",
        drawing,
        text("Effects by years since acceptance", "Tác động theo số năm từ khi nghiệm thu"),
        text(
            "Three panels, for workers, output and income. Estimates before acceptance scatter "
            "around zero; after it those of output and income rise with the line of the truth, "
            "those "
            "of workers have wide intervals around it.",
            "Ba hình cho lao động, giá trị sản xuất và thu nhập. Trước nghiệm thu các ước lượng "
            "dao "
            "động quanh số không; sau đó sản xuất và thu nhập tăng theo đường giá trị thật, còn "
            "lao "
            "động có khoảng tin cậy rộng quanh đường này.",
        ),
    )


def _cost_words(study: ProvinceStudy) -> Text:
    """Say what a net job cost, and what counting before and after would have said."""
    told = (
        text(
            "Counting net jobs only, the programme cost {cost.net} ({level} interval: "
            "{cost.net:interval})",
            "Chỉ tính việc làm ròng, chi phí là {cost.net} (khoảng tin cậy {level}: "
            "{cost.net:interval})",
        )
        if _is_interval(study.job_cost)
        else text(
            "Counting net jobs only, the programme cost {cost.least}, without an upper limit "
            "({level}), since no gain at all is not ruled out",
            "Chỉ tính việc làm ròng, chi phí là {cost.least}, không có cận trên ({level}), vì chưa "
            "loại trừ khả năng không có thêm việc làm nào",
        )
    )
    return text(
        f"{told['en']}. Counting jobs before and after instead gives {{cost.gross}}, the truth is "
        "{cost.truth}.",
        f"{told['vi']}. Nếu đếm việc làm trước và sau thì ra {{cost.gross}}; giá trị thật là "
        "{cost.truth}.",
    )


def _output_words(study: ProvinceStudy) -> Text:
    """Say what support one dong of output took."""
    return (
        text(
            "One dong of output a year took {cost.output} dong of support "
            "({cost.output:interval}).",
            "Một đồng sản lượng một năm cần {cost.output} đồng hỗ trợ ({cost.output:interval}).",
        )
        if _is_interval(study.output_cost)
        else text(
            "One dong of output a year took {cost.output} dong of support by estimate, "
            "{cost.output_least} by the confidence set, which has no upper bound.",
            "Một đồng sản lượng một năm cần {cost.output} đồng hỗ trợ theo ước lượng, "
            "{cost.output_least} theo tập tin cậy, không có giới hạn trên.",
        )
    )


def summarise(record: Record, study: ProvinceStudy) -> None:
    """Fill the first page: estimates beside the truth, the reading from the plan."""
    reading = {name: item for name, item in study.plan.reading.items() if name != "cost"}
    record.summary(answer=_ANSWER, cost=_cost_words(study), **reading)


def add_chapters(record: Record, study: ProvinceStudy, blocks: Mapping[str, Block]) -> None:
    """Add the chapters; `record_numbers` and `record_tables` have made what they show."""
    _add_ledger(record, blocks)
    _add_effects(record, blocks)
    _add_cost(record, study, blocks)
    _add_provinces(record)
    _add_breaks(record, study)


def _add_ledger(record: Record, blocks: Mapping[str, Block]) -> None:
    """Add the way from the ledger to the treatment."""
    record.section(
        "ledger",
        text("From the ledger to the treatment", "Từ sổ theo dõi đến nhóm được hỗ trợ"),
        callout(
            text(
                "Everything here is simulated, at the scale of published totals.",
                "Mọi số liệu ở đây là mô phỏng, theo quy mô các số đã công bố.",
            ),
            "caution",
        ),
        text(
            "The workbook as filed has {findings} errors and {warnings} warnings; it is refused "
            "until "
            "they are mended or accepted by name.",
            "Tệp ban đầu có {findings} lỗi và {warnings} cảnh báo; chưa sửa hoặc chưa chấp nhận "
            "từng "
            "quy tắc thì không được dùng.",
        ),
        blocks["findings"],
        blocks["rules"],
        blocks["waterfall"],
        blocks["leverage"],
    )


def _add_effects(record: Record, blocks: Mapping[str, Block]) -> None:
    """Add what changed."""
    record.section(
        "effects",
        text("What changed", "Điều gì đã thay đổi"),
        text(
            "Establishments of [[50]] workers and more are left out by plan. {treated} with "
            "accepted projects are compared with establishments that had none yet, or "
            "never, rejected applicants among them.",
            "Các cơ sở từ [[50]] lao động trở lên được loại ra theo kế hoạch. {treated} có đề án "
            "được nghiệm thu được so sánh với các cơ sở chưa hoặc không có đề án, "
            "kể cả cơ sở nộp đơn không được duyệt.",
        ),
        blocks["effects"],
        blocks["drawing"],
    )


def _add_cost(record: Record, study: ProvinceStudy, blocks: Mapping[str, Block]) -> None:
    """Add what a job cost."""
    record.section(
        "cost",
        text("What a job cost", "Chi phí một việc làm"),
        text(
            "The projects took {support} of support at constant prices.",
            "Các đề án sử dụng {support} kinh phí hỗ trợ theo giá cố định.",
        ),
        blocks["cost"],
        text(
            "That is {printed.times} the highest of the costs that newspapers print for other "
            "provinces.",
            "Tức là {printed.times} mức cao nhất mà báo chí nêu cho các tỉnh khác.",
        ),
        _output_words(study),
    )


def _add_provinces(record: Record) -> None:
    """Add whether totals of provinces could tell."""
    record.section(
        "provinces",
        text("Could the province's totals tell?", "Số liệu toàn tỉnh có cho biết được không?"),
        text(
            "No. Where provinces double a programme of this size, employment changes by "
            "{provinces.truth}; totals of all provinces could show {provinces.detectable} at "
            "the least, {provinces.times} as much.",
            "Không. Khi các tỉnh tăng gấp đôi chương trình cỡ này, việc làm thay đổi "
            "{provinces.truth}; số liệu toàn tỉnh chỉ phát hiện được từ {provinces.detectable} trở "
            "lên, gấp {provinces.times}.",
        ),
    )


def _add_breaks(record: Record, study: ProvinceStudy) -> None:
    """Add the breaks of series within the years observed."""
    record.section(
        "breaks",
        text("Breaks in the series", "Các điểm gãy của chuỗi số liệu"),
        bullets(
            *(
                text(
                    f"{outcome.label['en']}: [[{known.warning('en')}]]",
                    f"{outcome.label['vi']}: [[{known.warning('vi')}]]",
                )
                for outcome in study.plan.outcomes
                for known in study.results[outcome.name].design.breaks
            )
        ),
    )
