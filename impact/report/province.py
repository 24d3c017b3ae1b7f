"""The report on a province's programme: its first page and its chapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impact.evaluation.province import ProvinceStudy
from impact.report.effects import verdict_of
from impact.report.headings import capitalised
from impact.report.narrative import tell_verdicts
from impact.report.province_figure import draw_event_studies
from impact.report.province_numbers import is_interval, record_numbers
from impact.report.province_tables import record_tables
from impact.report.results import Block, Record, bullets, callout
from impact.report.text import Text, text

__all__ = ["add_chapters", "draw_event_studies", "record_numbers", "record_tables", "summarise"]

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


def _cost_words(study: ProvinceStudy) -> Text:
    """Say what a net job cost, and what counting before and after would have said."""
    told = (
        text(
            "Counting net jobs only, the programme cost {cost.net} ({level} interval: "
            "{cost.net:interval})",
            "Chỉ tính việc làm ròng, chi phí là {cost.net} (khoảng tin cậy {level}: "
            "{cost.net:interval})",
        )
        if is_interval(study.job_cost)
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
        if is_interval(study.output_cost)
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
    record.summary(answer=_ANSWER, finding=_finding(study), cost=_cost_words(study), **reading)


def _finding(study: ProvinceStudy) -> Text:
    """Say of which outcomes a rise or a fall is found."""
    found: Any = study.comparison()
    verdicts = [
        (
            outcome.label,
            verdict_of(
                float(found.loc[outcome.name, "low"]),
                float(found.loc[outcome.name, "high"]),
                None if outcome.smallest_effect is None else 100 * outcome.smallest_effect,
            ),
        )
        for outcome in study.plan.outcomes
    ]
    return tell_verdicts(verdicts)


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
            "A net job thus cost {printed.times} the highest of the costs that newspapers print "
            "for other provinces.",
            "Như vậy chi phí một việc làm ròng bằng {printed.times} mức cao nhất mà báo chí nêu "
            "cho các tỉnh khác.",
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
                    f"{capitalised(outcome.label)['en']}: [[{known.warning('en')}]]",
                    f"{capitalised(outcome.label)['vi']}: [[{known.warning('vi')}]]",
                )
                for outcome in study.plan.outcomes
                for known in study.results[outcome.name].design.breaks
            )
        ),
    )
