"""What a ledger holds: columns, choices and code lists, in English and Vietnamese."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal, NamedTuple

import pandas as pd

from impact.places import fold

__all__ = [
    "CHOICES",
    "GUIDE",
    "PROJECTS",
    "REPORTS",
    "SHEETS",
    "TOTALS",
    "Column",
    "Language",
    "Text",
    "code_lists",
    "contents",
    "norms",
]

Language = Literal["en", "vi"]
Kind = Literal["text", "code", "money", "number", "date", "choice", "place"]


class Text(NamedTuple):
    """The same words in English and Vietnamese."""

    en: str
    vi: str

    def __call__(self, lang: Language) -> str:
        """Return the words in one language."""
        return self.en if lang == "en" else self.vi


@dataclass(frozen=True)
class Column:
    """Describe a column of the ledger: its name here, its headers, what it holds.

    ``required`` asks for a value in every row; "column" asks for the column alone.
    """

    name: str
    label: Text
    kind: Kind
    note: Text
    required: bool | Literal["column"] = False
    also: tuple[str, ...] = ()

    @cached_property
    def headers(self) -> frozenset[str]:
        """Folded headers under which the column is recognised."""
        return frozenset(fold(header) for header in (self.name, *self.label, *self.also))


PROJECTS = (
    Column("project_id", Text("project code", "mã đề án"), "code",
           Text("one code a project", "mỗi đề án một mã"), True, ("số đề án", "project id")),
    Column("project_name", Text("project name", "tên đề án"), "text",
           Text("as in the decision of approval", "theo quyết định phê duyệt")),
    Column("beneficiary_id", Text("beneficiary code", "mã đơn vị thụ hưởng"), "code",
           Text("tax code, or another code that the outcome table uses too",
                "mã số thuế hoặc mã dùng chung với bảng kết quả"), True,
           ("mã số thuế", "tax code", "mã cơ sở")),
    Column("beneficiary_name", Text("beneficiary", "đơn vị thụ hưởng"), "text",
           Text("name of the establishment", "tên cơ sở"), False,
           ("tên cơ sở", "beneficiary name")),
    Column("commune", Text("commune", "xã"), "text", Text("commune or ward", "xã, phường"),
           False, ("xã, phường", "phường")),
    Column("district", Text("former district", "huyện (cũ)"), "text",
           Text("district until June 2025", "huyện đến tháng 6/2025"), False,
           ("huyện", "district")),
    Column("village", Text("craft village", "làng nghề"), "text",
           Text("recognised craft village, if any", "làng nghề được công nhận, nếu có")),
    Column("province", Text("province", "tỉnh"), "place",
           Text("name or code", "tên hoặc mã tỉnh"), True, ("tỉnh, thành phố", "mã tỉnh")),
    Column("province_vintage", Text("province list", "danh mục tỉnh"), "choice",
           Text("63 until June 2025, 34 since", "63 đến tháng 6/2025, 34 từ tháng 7/2025"), True),
    Column("trade", Text("trade", "ngành nghề"), "text", Text("line of business", "ngành nghề")),
    Column("content_code", Text("content code", "mã nội dung"), "code",
           Text("number in the code list, or the content's name",
                "số thứ tự trong danh mục hoặc tên nội dung"), True, ("nội dung", "content")),
    Column("code_list", Text("code list", "danh mục nội dung"), "choice",
           Text("the decree or decision that numbers the contents",
                "văn bản quy định danh mục nội dung"), True),
    Column("item", Text("supported item", "hạng mục hỗ trợ"), "choice",
           Text("decides the subsidy rate and its ceiling", "quyết định mức và trần hỗ trợ")),
    Column("source", Text("source of money", "nguồn kinh phí"), "choice",
           Text("national or local budget, or both", "ngân sách quốc gia, địa phương hoặc cả hai"),
           True, ("nguồn vốn", "source", "funding source")),
    Column("approval_date", Text("approved on", "ngày phê duyệt"), "date",
           Text("day/month/year", "ngày/tháng/năm"), False, ("approval date",)),
    Column("contract_date", Text("contract of", "ngày ký hợp đồng"), "date",
           Text("day/month/year", "ngày/tháng/năm"), False, ("contract date", "ngày hợp đồng")),
    Column("disbursement_date", Text("first disbursed on", "ngày giải ngân đầu tiên"), "date",
           Text("day/month/year", "ngày/tháng/năm"), False, ("ngày tạm ứng", "ngày giải ngân")),
    Column("acceptance_date", Text("accepted on", "ngày nghiệm thu"), "date",
           Text("day/month/year", "ngày/tháng/năm"), False, ("acceptance date",)),
    Column("settlement_date", Text("settled on", "ngày quyết toán"), "date",
           Text("day/month/year", "ngày/tháng/năm"), False, ("settlement date",)),
    Column("planned_support", Text("planned support", "kinh phí hỗ trợ theo kế hoạch"), "money",
           Text("dong unless the header names a unit", "đồng, trừ khi tiêu đề ghi đơn vị khác"),
           False, ("kinh phí kế hoạch",)),
    Column("disbursed_support", Text("disbursed support", "kinh phí hỗ trợ đã giải ngân"), "money",
           Text("both budgets together", "tổng hai nguồn ngân sách"), "column",
           ("kinh phí hỗ trợ", "support", "kinh phí thực hiện")),
    Column("national_support", Text("from the national budget", "từ khuyến công quốc gia"), "money",
           Text("part of disbursed support", "một phần kinh phí đã giải ngân"), False,
           ("ngân sách trung ương", "national support", "kinh phí trung ương",
            "kinh phí hỗ trợ trung ương", "kinh phí quốc gia", "kinh phí hỗ trợ quốc gia")),
    Column("local_support", Text("from the local budget", "từ khuyến công địa phương"), "money",
           Text("part of disbursed support", "một phần kinh phí đã giải ngân"), False,
           ("ngân sách địa phương", "local support", "kinh phí địa phương",
            "kinh phí hỗ trợ địa phương")),
    Column("counterpart", Text("counterpart", "vốn đối ứng"), "money",
           Text("paid by the beneficiary", "phần vốn của đơn vị thụ hưởng"), False,
           ("kinh phí đối ứng",)),
    Column("eligible_cost", Text("eligible cost", "chi phí hợp lệ"), "money",
           Text("cost to which the subsidy rate applies", "chi phí làm căn cứ tính mức hỗ trợ")),
    Column("total_cost", Text("total cost", "tổng kinh phí"), "money",
           Text("support and counterpart together", "kinh phí hỗ trợ và vốn đối ứng"), False,
           ("tổng vốn", "tổng mức đầu tư")),
    Column("ceiling", Text("ceiling", "mức hỗ trợ tối đa"), "money",
           Text("highest support allowed", "mức trần hỗ trợ")),
    Column("returned_amount", Text("returned", "kinh phí hoàn trả"), "money",
           Text("refunded by the beneficiary", "đơn vị thụ hưởng hoàn trả"), False,
           ("returned amount",)),
    Column("status", Text("status", "trạng thái"), "choice",
           Text("where the project stands", "tình hình thực hiện"), True, ("tình trạng",)),
)  # fmt: skip

REPORTS = (
    Column("place", Text("place", "địa bàn"), "text",
           Text("province, district or village reported on", "tỉnh, huyện hoặc làng nghề"), True),
    Column("indicator", Text("indicator", "chỉ tiêu"), "text",
           Text("what is counted", "nội dung chỉ tiêu"), True),
    Column("source", Text("source of money", "nguồn kinh phí"), "choice",
           Text("national, local or both", "quốc gia, địa phương hoặc cả hai")),
    Column("period_start", Text("from", "từ ngày"), "date",
           Text("first day", "ngày đầu"), True, ("period start",)),
    Column("period_end", Text("to", "đến ngày"), "date",
           Text("last day", "ngày cuối"), True, ("period end",)),
    Column("value", Text("value", "giá trị"), "number", Text("a number", "số"), True),
    Column("unit", Text("unit", "đơn vị tính"), "text", Text("unit of measure", "đơn vị tính")),
)  # fmt: skip

SHEETS = {
    "projects": Text("projects", "đề án"),
    "reports": Text("reports", "báo cáo"),
}

TOTALS = ("tong", "tongcong", "tongso", "cong", "total", "totals", "sum", "grandtotal")

GUIDE = Text("guide", "hướng dẫn")

CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "status": {
        "registered": ("registered", "đã đăng ký", "đăng ký"),
        "rejected": ("rejected", "không được duyệt", "từ chối"),
        "approved": ("approved", "đã phê duyệt", "phê duyệt"),
        "in_progress": ("in progress", "đang thực hiện"),
        "accepted": ("accepted", "đã nghiệm thu", "nghiệm thu", "hoàn thành"),
        "settled": ("settled", "đã quyết toán", "quyết toán"),
        "cancelled": ("cancelled", "ngừng thực hiện", "hủy", "huỷ bỏ", "canceled"),
        "returned": ("returned", "hoàn trả kinh phí", "hoàn trả"),
    },
    "source": {
        "national": ("national", "quốc gia", "trung ương", "khuyến công quốc gia", "1"),
        "local": ("local", "địa phương", "khuyến công địa phương", "2"),
        "both": ("both", "quốc gia và địa phương", "trung ương và địa phương"),
    },
    "code_list": {
        "nd45_2012": ("Decree 45/2012", "Nghị định 45/2012", "nd45_2012"),
        "qd1881_2020": ("Decision 1881/2020", "Quyết định 1881/2020", "qd1881_2020"),
        "nd235_2025": ("Decree 235/2025", "Nghị định 235/2025", "nd235_2025"),
    },
    "item": {
        "technical_model": ("technical demonstration model", "mô hình trình diễn kỹ thuật"),
        "machinery": ("advanced machinery", "ứng dụng máy móc tiên tiến", "máy móc"),
        "production_line": ("production line", "dây chuyền sản xuất"),
        "other": ("other", "khác"),
    },
    "province_vintage": {"63": ("63", "63 tỉnh"), "34": ("34", "34 tỉnh")},
}


@cache
def contents() -> pd.DataFrame:
    """Return the code lists: code_list, code (missing where unnumbered), content, labels."""
    with files("impact").joinpath("share/contents.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle, dtype=str)


@cache
def norms() -> pd.DataFrame:
    """Return subsidy rates and ceilings by item and date of approval, with their legal source."""
    with files("impact").joinpath("share/norms.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle, parse_dates=["valid_from", "valid_to"])


CODE_LIST_STARTS = {
    "nd45_2012": "2012-05-21",
    "qd1881_2020": "2020-11-20",
    "nd235_2025": "2025-08-27",
}


@cache
def code_lists() -> dict[str, pd.Timestamp]:
    """Return each code list with the day it was issued."""
    return {name: pd.Timestamp(day) for name, day in CODE_LIST_STARTS.items()}
