"""The rules by which projects become treatment; every one is printed with the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from impact.errors import LedgerError, check_choice
from impact.ledger.schema import Text, contents

__all__ = ["ONSETS", "UNITS", "AssignmentRules"]

ONSETS = {
    "approval": "approval_date",
    "contract": "contract_date",
    "first_disbursement": "disbursement_date",
    "acceptance": "acceptance_date",
}
RULE_LABELS = {
    "onset": Text("treatment begins with", "hỗ trợ bắt đầu từ"),
    "unit": Text("unit", "đơn vị"),
    "contents": Text("contents counted", "nội dung được tính"),
    "cancelled": Text("stopped before any money", "ngừng trước khi giải ngân"),
    "returned": Text("money paid back", "hoàn trả kinh phí"),
    "repeated": Text("several projects", "nhiều đề án"),
    "rejected": Text("rejected applicants", "hồ sơ không được duyệt"),
    "missing_onset": Text("no date of onset", "thiếu ngày bắt đầu"),
    "after_panel": Text("onset after the last year", "bắt đầu sau năm cuối"),
    "anticipation": Text("years of anticipation", "số năm có thể tác động trước"),
    "price_base": Text("prices of", "theo giá năm"),
    "per": Text("dose also divided by", "mức hỗ trợ còn chia cho"),
}
SETTING_LABELS = {
    "approval": Text("approval", "phê duyệt"),
    "contract": Text("contract", "ký hợp đồng"),
    "first_disbursement": Text("first disbursement", "giải ngân lần đầu"),
    "acceptance": Text("acceptance", "nghiệm thu"),
    "beneficiary_id": Text("beneficiary", "đơn vị thụ hưởng"),
    "commune": Text("commune", "xã"),
    "village": Text("craft village", "làng nghề"),
    "district": Text("former district", "huyện (cũ)"),
    "province_code": Text("province", "tỉnh"),
    "all": Text("all", "tất cả"),
    "none": Text("none", "không"),
    "placebo": Text("kept as an arm of their own", "giữ thành nhóm riêng"),
    "drop": Text("left out", "loại ra"),
    "treated": Text("kept as treated", "vẫn tính là được hỗ trợ"),
    "first": Text("dated by the first", "tính từ đề án đầu tiên"),
    "comparison": Text("compared with", "dùng để so sánh"),
    "refuse": Text("refused", "không chấp nhận"),
}
UNITS = ("beneficiary_id", "commune", "village", "district", "province_code")


@dataclass(frozen=True)
class AssignmentRules:
    """State how projects become treatment; every rule is printed with the report.

    Parameters
    ----------
    onset : the date whose year is the first treated period
    unit : the column of the ledger that names the unit; several projects of a village, district
        or province add up. Paid projects without a village lie outside all of them; without
        another place they are refused
    contents : contents that count as the treatment, all if empty; units with any project of
        another content are left out, since they were treated otherwise
    cancelled : projects stopped before any money: "placebo" keeps their units as an arm of its
        own, "drop" leaves the units out; they are never comparison units
    returned : projects that paid money back: "treated" keeps them (intention to treat), "drop"
        leaves the units out
    repeated : units with several projects: "first" dates them by the first, "drop" leaves them out
    rejected : units whose applications were all turned down: "comparison" or "drop"
    missing_onset : paid or accepted projects without the onset's date: "refuse" or "drop" (units)
    after_panel : onset after the last period: "refuse", "drop" (units), or "comparison", which
        uses the units as not yet treated
    anticipation : periods before onset in which the programme may already act; units need a
        period before those
    price_base : year at whose consumer prices the dose is also given; none if None
    per : column of the outcome table, such as workers, by whose value in the unit's first period
        the doses are also divided, so that the denominator does not move with the outcome
    """

    onset: Literal["approval", "contract", "first_disbursement", "acceptance"] = (
        "first_disbursement"
    )
    unit: Literal["beneficiary_id", "commune", "village", "district", "province_code"] = (
        "beneficiary_id"
    )
    contents: Sequence[str] = ()
    cancelled: Literal["placebo", "drop"] = "placebo"
    returned: Literal["treated", "drop"] = "treated"
    repeated: Literal["first", "drop"] = "first"
    rejected: Literal["comparison", "drop"] = "comparison"
    missing_onset: Literal["refuse", "drop"] = "refuse"
    after_panel: Literal["refuse", "drop", "comparison"] = "refuse"
    anticipation: int = 0
    price_base: int | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("onset", ONSETS),
            ("unit", UNITS),
            ("cancelled", ("placebo", "drop")),
            ("returned", ("treated", "drop")),
            ("repeated", ("first", "drop")),
            ("rejected", ("comparison", "drop")),
            ("missing_onset", ("refuse", "drop")),
            ("after_panel", ("refuse", "drop", "comparison")),
        ):
            check_choice(name, getattr(self, name), allowed, LedgerError)
        names = (self.contents,) if isinstance(self.contents, str) else tuple(self.contents)
        object.__setattr__(self, "contents", names)
        for content in self.contents:
            check_choice("contents", content, contents()["content"].unique(), LedgerError)
        if not isinstance(self.anticipation, (int, np.integer)) or self.anticipation < 0:
            raise LedgerError(
                "anticipation counts whole periods before onset, 0 or more; it was "
                f"{self.anticipation!r}."
            )

    def table(self) -> dict[str, str]:
        """Return the rules by the names under which they are set."""
        stated = asdict(self) | {"contents": ", ".join(self.contents) or "all"}
        return {name: "none" if value is None else str(value) for name, value in stated.items()}

    def spelled(self) -> list[tuple[Text, Text]]:
        """Return each rule and its setting in both languages, as the report prints them."""
        return [
            (RULE_LABELS[name], SETTING_LABELS.get(setting, Text(setting, setting)))
            for name, setting in self.table().items()
        ]
