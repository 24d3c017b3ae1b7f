"""Findings: what a ledger's rows say that cannot be right, cell by cell, in two languages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Literal, NamedTuple

import pandas as pd

from impact.errors import LedgerError, listing, plural
from impact.ledger.schema import Language, Text

__all__ = ["RULES", "Finding", "Findings", "Rule"]


class Rule(NamedTuple):
    """A check: whether it stops the way to a design, its name and what it says, in two languages.

    An "error" stands for a value that is missing or contradicts another; a "warning" for one that
    is possible but unlikely.
    """

    severity: Literal["error", "warning"]
    name: Text
    text: Text


RULES: dict[str, Rule] = {
    "column_unknown": Rule("warning",
        Text("column not known", "cột không thuộc sổ"), Text(
        'header "{value}" is not a column of the ledger{hint}; the column is not used',
        'tiêu đề "{value}" không thuộc sổ theo dõi{hint}; cột này không được dùng')),
    "column_missing": Rule("error",
        Text("column missing", "thiếu cột"), Text(
        'there is no column "{value}", which the ledger needs',
        'thiếu cột bắt buộc "{value}"')),
    "column_twice": Rule("error",
        Text("column given twice", "cột bị trùng"), Text(
        'two headers mean the column "{value}"; which one holds cannot be told',
        'hai tiêu đề cùng chỉ cột "{value}"; không rõ cột nào đúng')),
    "unit_unknown": Rule("error",
        Text("unit of a header not known", "đơn vị tiền không rõ"), Text(
        'the brackets of header "{value}" name no unit of money, so its bare numbers are read as '
        "dong",
        'phần trong ngoặc của tiêu đề "{value}" không phải đơn vị tiền, nên các số được hiểu là '
        "đồng")),
    "merged_cells": Rule("error",
        Text("merged cells", "ô bị gộp"), Text(
        "cells {value} are merged: only the first holds a value, the others read as empty",
        "các ô {value} bị gộp: chỉ ô đầu có giá trị, các ô còn lại trống")),
    "cell_broken": Rule("error",
        Text("formula without result", "công thức không có kết quả"), Text(
        "the cell holds {value} and reads as empty; mend the formula or type the value",
        "ô chứa {value} nên bị coi là trống; hãy sửa công thức hoặc nhập giá trị")),
    "row_too_long": Rule("error",
        Text("row longer than the headers", "dòng dài hơn tiêu đề"), Text(
        "the row has {value} cells and the headers {headers}: an unquoted comma may have split a "
        "cell and moved the others",
        "dòng có {value} ô còn tiêu đề có {headers}: có thể một dấu phẩy không nằm trong ngoặc kép "
        "đã tách ô và đẩy các ô sau")),
    "sheet_unused": Rule("warning",
        Text("sheet not read", "trang tính không được đọc"), Text(
        "the sheet is neither projects nor reports; it is not read",
        "trang tính này không phải đề án hay báo cáo; không được đọc")),
    "total_row": Rule("error",
        Text("row of totals", "dòng tổng"), Text(
        '"{value}": the row looks like a total, whose amounts would count twice; leave it out',
        '"{value}": dòng này có vẻ là dòng tổng, số tiền sẽ bị tính hai lần; hãy bỏ dòng')),
    "value_missing": Rule("error",
        Text("empty cell", "ô để trống"), Text(
        "{label} is empty", "{label} để trống")),
    "amount_unreadable": Rule("error",
        Text("amount not readable", "số tiền không đọc được"), Text(
        '"{value}" is not an amount', '"{value}" không phải là số tiền')),
    "amount_ambiguous": Rule("error",
        Text("amount read two ways", "số tiền hiểu được hai cách"), Text(
        '"{value}" can be read as thousands or as decimals; write it without a separator',
        '"{value}" có thể hiểu là phần nghìn hoặc phần thập phân; hãy bỏ dấu phân cách')),
    "date_unreadable": Rule("error",
        Text("date not readable", "ngày không đọc được"), Text(
        '"{value}" is not a day; write day/month/year',
        '"{value}" không phải là ngày; hãy ghi ngày/tháng/năm')),
    "date_month_first": Rule("error",
        Text("month before day", "tháng ghi trước ngày"), Text(
        '"{value}" has the month first, so other dates of the column may have it too',
        '"{value}" ghi tháng trước ngày, nên các ngày khác trong cột cũng có thể như vậy')),
    "choice_unknown": Rule("error",
        Text("value outside its list", "giá trị ngoài danh mục"), Text(
        '"{value}" is not one of: {known}', '"{value}" không thuộc: {known}')),
    "content_unknown": Rule("error",
        Text("content not known", "nội dung không có trong danh mục"), Text(
        '"{value}" is no content of {code_list}{hint}',
        '"{value}" không có trong danh mục {code_list}{hint}')),
    "place_unknown": Rule("error",
        Text("province not known", "tỉnh không có trong danh mục"), Text(
        "{value}: no such province among the {vintage}",
        "{value}: không có trong danh mục {vintage} tỉnh")),
    "province_list_date": Rule("error",
        Text("province list of another time", "danh mục tỉnh không đúng thời điểm"), Text(
        "province list {value}, yet the project was approved on {date}; the lists changed on "
        "1 July 2025 and seven codes changed hands",
        "danh mục {value} tỉnh nhưng đề án được duyệt ngày {date}; danh mục đổi từ 01/7/2025 "
        "và bảy mã tỉnh đã chuyển sang tỉnh khác")),
    "code_list_date": Rule("error",
        Text("content list of another time", "danh mục nội dung không đúng thời điểm"), Text(
        "content code of {value}, which was issued on {issued}, after the approval on {date}: the "
        "same number means another content in an older list",
        "mã nội dung theo {value}, ban hành {issued}, sau ngày phê duyệt {date}: cùng một số chỉ "
        "nội dung khác trong danh mục cũ")),
    "duplicate_row": Rule("error",
        Text("project entered twice", "đề án nhập hai lần"), Text(
        "project {value} appears again for the same beneficiary; first in row {other}",
        "đề án {value} lặp lại cho cùng đơn vị thụ hưởng; lần đầu ở dòng {other}")),
    "near_duplicate_name": Rule("warning",
        Text("nearly the same name", "tên gần trùng"), Text(
        '"{value}" is nearly the name of row {other}, "{other_name}", under another code',
        '"{value}" gần giống tên ở dòng {other}, "{other_name}", nhưng khác mã')),
    "id_two_names": Rule("warning",
        Text("one code, two names", "một mã hai tên"), Text(
        'code {code} stands for "{value}" here and for "{other_name}" in row {other}',
        'mã {code} chỉ "{value}" ở đây và "{other_name}" ở dòng {other}')),
    "sources_sum": Rule("error",
        Text("budgets do not add up", "tổng hai nguồn không khớp"), Text(
        "national {national:,} and local {local:,} make {total:,}, not {value:,}",
        "quốc gia {national:,} cộng địa phương {local:,} bằng {total:,}, không phải {value:,}")),
    "cost_sum": Rule("error",
        Text("support and counterpart do not add up", "tổng hỗ trợ và đối ứng không khớp"), Text(
        "support {support:,} and counterpart {counterpart:,} make {total:,}, not {value:,}",
        "hỗ trợ {support:,} cộng đối ứng {counterpart:,} bằng {total:,}, không phải {value:,}")),
    "decimal_lost": Rule("error",
        Text("decimal or zero lost", "mất dấu phẩy hoặc số không"), Text(
        "{value:,} is {factor:,g} times what the rest of the row implies ({implied:,}): a decimal "
        "or a zero may be lost",
        "{value:,} gấp {factor:,g} lần mức suy ra từ các ô khác ({implied:,}): có thể mất dấu phẩy "
        "hoặc số không")),
    "unit_thousandfold": Rule("error",
        Text("amount out of range", "số tiền ngoài khoảng hợp lý"), Text(
        "{value:,} dong is not a plausible amount for a project: the unit may be wrong by a "
        "thousand or a million",
        "{value:,} đồng không hợp lý cho một đề án: có thể sai đơn vị nghìn hoặc triệu lần")),
    "amount_negative": Rule("error",
        Text("negative amount", "số tiền âm"), Text(
        "{value:,} is negative; a recovery belongs in the column of returned amounts",
        "{value:,} là số âm; khoản thu hồi ghi ở cột kinh phí hoàn trả")),
    "support_above_ceiling": Rule("warning",
        Text("support above its ceiling", "hỗ trợ vượt trần"), Text(
        "support {value:,} is above its ceiling of {ceiling:,} ({why})",
        "mức hỗ trợ {value:,} vượt trần {ceiling:,} ({why})")),
    "rate_above_norm": Rule("warning",
        Text("rate above the norm", "tỷ lệ hỗ trợ vượt mức"), Text(
        "support is {value:.0%} of the eligible cost; at most {rate:.0%} is allowed ({why})",
        "hỗ trợ bằng {value:.0%} chi phí hợp lệ; tối đa {rate:.0%} ({why})")),
    "counterpart_below_norm": Rule("warning",
        Text("counterpart below the norm", "đối ứng thấp hơn mức"), Text(
        "counterpart is {value:.2f} times the support; a rate of {rate:.0%} asks for {least:.2f}",
        "đối ứng bằng {value:.2f} lần hỗ trợ; mức {rate:.0%} đòi hỏi {least:.2f}")),
    "dates_out_of_order": Rule("error",
        Text("dates out of order", "ngày sai thứ tự"), Text(
        "{label} {value} lies before {other_label} {other}",
        "{label} {value} trước {other_label} {other}")),
    "end_equals_start": Rule("warning",
        Text("end on the day of the start", "ngày cuối trùng ngày đầu"), Text(
        "{label} is the same day as {other_label}, {value}: some systems copy the start date",
        "{label} trùng {other_label}, {value}: có hệ thống chép ngày bắt đầu")),
    "returned_above_support": Rule("error",
        Text("more returned than disbursed", "hoàn trả lớn hơn giải ngân"), Text(
        "returned {value:,} is more than was disbursed, {support:,}",
        "hoàn trả {value:,} lớn hơn số đã giải ngân {support:,}")),
    "status_contradiction": Rule("error",
        Text("status contradicted", "trạng thái mâu thuẫn"), Text(
        "status {value}, but {why}", "trạng thái {value}, nhưng {why}")),
    "windows_overlap": Rule("warning",
        Text("overlapping periods", "giai đoạn chồng lấn"), Text(
        "{value} of {place} for {window} overlaps row {other} ({other_window}); the two must not "
        "be added",
        "{value} của {place} giai đoạn {window} chồng lên dòng {other} ({other_window}); không "
        "được cộng hai số")),
    "half_year_as_annual": Rule("warning",
        Text("half-year filed as annual", "số sáu tháng ghi là cả năm"), Text(
        "{value:,} for all of {year} does not exceed the first half, {half:,} in row {other}: a "
        "half-year may be filed as annual",
        "{value:,} cả năm {year} không vượt sáu tháng đầu năm, {half:,} ở dòng {other}: có thể số "
        "sáu tháng bị ghi là cả năm")),
    "half_year_suspected": Rule("warning",
        Text("half-year suspected", "nghi số sáu tháng"), Text(
        "{value:,} for {year} is about half of the years before and after ({before:,}, {after:,}): "
        "a half-year may be filed as annual",
        "{value:,} năm {year} chỉ bằng khoảng một nửa năm trước và năm sau ({before:,}, "
        "{after:,}): có thể số sáu tháng bị ghi là cả năm")),
    "figure_scale": Rule("warning",
        Text("figure out of scale", "số báo cáo sai cỡ"), Text(
        "{value:,} for {window} is about {factor:,g} times the figures beside it ({one:,}, "
        "{two:,}): a decimal or a zero may be lost, or the unit be another",
        "{value:,} giai đoạn {window} gấp khoảng {factor:,g} lần các số liền kề ({one:,}; "
        "{two:,}): có thể mất dấu phẩy hoặc số không, hoặc sai đơn vị tính")),
    "figure_negative": Rule("error",
        Text("negative figure", "số báo cáo âm"), Text(
        '{value:,} is negative, which "{indicator}" cannot be',
        '{value:,} là số âm, trong khi "{indicator}" không thể âm')),
    "carried_forward": Rule("warning",
        Text("old figure repeated", "chép lại số cũ"), Text(
        "{value:,} repeats the figure of {other_window} in row {other} to the last digit: an old "
        "count may be carried forward",
        "{value:,} lặp lại đúng số của {other_window} ở dòng {other}: có thể chép số cũ")),
    "heaping": Rule("warning",
        Text("rounded figures", "số làm tròn"), Text(
        '{share:.0%} of {count} values of "{value}" end in 0 or 5, where about 20% would: they are '
        "rounded or estimated",
        '{share:.0%} trong {count} giá trị "{value}" tận cùng bằng 0 hoặc 5, thông thường khoảng '
        "20%: số đã làm tròn hoặc ước tính")),
}  # fmt: skip


class _VietnameseNumbers(Formatter):
    """Write numbers with dotted thousands and a decimal comma."""

    def format_field(self, value: object, format_spec: str) -> str:
        written = str(super().format_field(value, format_spec))
        if isinstance(value, (int, float)):
            return written.translate(str.maketrans(",.", ".,"))
        return written


@dataclass(frozen=True)
class Finding:
    """State what is wrong in one cell or row of a file."""

    rule: str
    sheet: str
    row: int | None = None
    cell: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """Whether it is an "error" or a "warning"."""
        return RULES[self.rule].severity

    @property
    def where(self) -> str:
        """Sheet and cell, or sheet and row."""
        if self.cell:
            return f"{self.sheet}!{self.cell}"
        return f"{self.sheet} {self.row}" if self.row is not None else self.sheet

    def text(self, lang: Language = "en") -> str:
        """Say the finding in English or Vietnamese."""
        words = {
            name: value(lang) if isinstance(value, Text) else value
            for name, value in self.details.items()
        }
        template = RULES[self.rule].text(lang)
        return (_VietnameseNumbers() if lang == "vi" else Formatter()).vformat(template, (), words)


@dataclass(frozen=True, repr=False)
class Findings:
    """Hold findings in the order of the file."""

    items: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Findings:
        """Collect findings, sorted by sheet, row and rule."""
        order = {rule: position for position, rule in enumerate(RULES)}
        return cls(
            tuple(sorted(findings, key=lambda f: (f.sheet, f.row or 0, order[f.rule], f.cell)))
        )

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        errors = len(self.errors)
        return f"Findings({plural(errors, 'error')}, {plural(len(self) - errors, 'warning')})"

    @property
    def errors(self) -> Findings:
        """Findings that stop the way to a design."""
        return Findings(tuple(f for f in self if f.severity == "error"))

    @property
    def rules(self) -> frozenset[str]:
        """Names of the rules that found something."""
        return frozenset(f.rule for f in self)

    def of_rule(self, rule: str) -> Findings:
        """Return the findings of one rule."""
        return Findings(tuple(f for f in self if f.rule == rule))

    def table(self, lang: Language = "en") -> pd.DataFrame:
        """Return one row a finding: severity, rule, where, row, finding."""
        return pd.DataFrame(
            [(f.severity, f.rule, f.where, f.row, f.text(lang)) for f in self],
            columns=["severity", "rule", "where", "row", "finding"],
        ).astype({"row": "Int64"})

    def summary(self) -> pd.Series:
        """Count findings by rule, most frequent first."""
        return pd.Series([f.rule for f in self], dtype="str", name="rule").value_counts()

    def require_none(self, accept: Iterable[str] = ()) -> None:
        """Refuse to go on with errors whose rule is not accepted.

        Raises
        ------
        LedgerError : naming every rule with its count and the first cases with their cells
        """
        accepted = set(accept)
        open_errors = [f for f in self.errors if f.rule not in accepted]
        if open_errors:
            cases = [f"{f.where}: {f.text()}" for f in open_errors]
            rules = pd.Series([f.rule for f in open_errors]).value_counts(sort=False)
            counts = ", ".join(f"{rule} {count}" for rule, count in rules.items())
            raise LedgerError(
                f"the ledger has {plural(len(open_errors), 'error')} ({counts}): "
                f"{listing(cases, 5)}. Rows with wrong dates or amounts would enter the estimate "
                "as they stand. Mend the cells, or accept a rule by name: accept=[...]."
            )

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False, border=0)
