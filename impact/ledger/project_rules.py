"""Checks of projects: what their amounts, dates, codes and names say that cannot be right."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from impact.ledger.findings import Finding
from impact.ledger.read import Typed
from impact.ledger.schema import CHOICES, PROJECTS, TOTALS, Text, code_lists, norms
from impact.places import fold, vintage_at

__all__ = ["PROJECT_RULES"]

DONG = 1_000
LABELS = {column.name: column.label for column in PROJECTS}
SUPPORT = ("planned_support", "disbursed_support", "national_support", "local_support", "ceiling")
COSTS = ("counterpart", "eligible_cost", "total_cost")
PLAUSIBLE = {
    **dict.fromkeys(SUPPORT, (2_000_000, 50_000_000_000)),
    **dict.fromkeys(COSTS, (500_000, 2_000_000_000_000)),
}
LEAST_NAME = 10
SLACK = 0.001
ABBREVIATIONS = {
    "htx": "hợp tác xã",
    "cssx": "cơ sở sản xuất",
    "dntn": "doanh nghiệp tư nhân",
    "hkd": "hộ kinh doanh",
    "cty": "công ty",
    "tnhh": "trách nhiệm hữu hạn",
    "cp": "cổ phần",
    "mtv": "một thành viên",
}


def find_duplicate_rows(projects: Typed) -> Iterator[Finding]:
    """Find projects entered twice for the same beneficiary."""
    first: dict[tuple[str, str], int] = {}
    for row, project, beneficiary in projects.rows("project_id", "beneficiary_id"):
        other = first.setdefault((project, beneficiary), row)
        if other != row:
            yield projects.find("duplicate_row", row, "project_id", value=project, other=other)


def find_totals(projects: Typed) -> Iterator[Finding]:
    """Find rows of totals, which stand below the projects of a sheet."""
    for column in ("project_id", "project_name", "beneficiary_id", "beneficiary_name"):
        for row, text in projects.rows(column):
            if fold(text).startswith(TOTALS) and fold(text).rstrip("0123456789") in TOTALS:
                yield projects.find("total_row", row, column, value=text)


def find_names(projects: Typed) -> Iterator[Finding]:
    """Find one code with two names, and names of one district a letter apart under two codes."""
    districts = projects.frame["district"].fillna("").map(fold).to_dict()
    met: set[tuple[str, str]] = set()
    first_of: dict[str, tuple[int, str]] = {}
    seen: dict[tuple[str, str], tuple[int, str, str]] = {}
    for row, code, name in projects.rows("beneficiary_id", "beneficiary_name"):
        if (code, name) in met:
            continue
        met.add((code, name))
        full = _in_full(name)
        other, other_name = first_of.setdefault(code, (row, name))
        if _in_full(other_name) != full:
            details = {"value": name, "code": code, "other": other, "other_name": other_name}
            yield projects.find("id_two_names", row, "beneficiary_name", **details)
        keys = [(districts[row], key) for key in _shortened(full)]
        for other, other_code, other_name in dict.fromkeys(seen[k] for k in keys if k in seen):
            if other_code != code and _a_letter_apart(full, _in_full(other_name)):
                details = {"value": name, "other": other, "other_name": other_name}
                yield projects.find("near_duplicate_name", row, "beneficiary_name", **details)
                break
        for key in keys:
            seen.setdefault(key, (row, code, name))


def _in_full(name: str) -> str:
    """Return a folded name with the usual abbreviations of legal forms written out."""
    words = re.split(r"[\s\-–/,]+", name)
    return fold(" ".join(ABBREVIATIONS.get(fold(word), word) for word in words))


def _shortened(folded: str) -> list[str]:
    """Return a name and its spellings with one letter left out.

    Names within one substitution, insertion or deletion of each other share one of them.
    """
    if len(folded) < LEAST_NAME:
        return [folded]
    return [folded, *(folded[:i] + folded[i + 1 :] for i in range(len(folded)))]


def _a_letter_apart(one: str, two: str) -> bool:
    """Whether two names differ by one letter, one swap of neighbours or not at all."""
    if _digits(one) != _digits(two):
        return False
    short, long = sorted((one, two), key=len)
    if len(short) < len(long):
        return short in _shortened(long)
    differ = [i for i, (a, b) in enumerate(zip(one, two, strict=True)) if a != b]
    swapped = (
        len(differ) == 2 and one[differ[0]] == two[differ[1]] and one[differ[1]] == two[differ[0]]
    )
    return len(differ) <= 1 or (swapped and differ[1] == differ[0] + 1)


def _digits(folded: str) -> str:
    return "".join(c for c in folded if c.isdigit())


def find_sums(projects: Typed) -> Iterator[Finding]:
    """Find parts that do not make their whole, and wholes off by a power of ten."""
    yield from _compare_sum(
        projects, "sources_sum", ("national_support", "local_support", "disbursed_support")
    )
    yield from _compare_sum(
        projects, "cost_sum", ("disbursed_support", "counterpart", "total_cost")
    )
    for row, planned, disbursed in projects.rows("planned_support", "disbursed_support"):
        yield from _lost_decimal(projects, row, "disbursed_support", disbursed, planned)


def _compare_sum(projects: Typed, rule: str, columns: tuple[str, str, str]) -> Iterator[Finding]:
    for row, one, two, whole in projects.rows(*columns):
        if abs(one + two - whole) <= DONG:
            continue
        slips = [
            finding
            for column, value, implied in zip(
                columns, (one, two, whole), (whole - two, whole - one, one + two), strict=True
            )
            for finding in _lost_decimal(projects, row, column, value, implied)
        ]
        if slips:
            yield slips[0]
        else:
            names = ("national", "local") if rule == "sources_sum" else ("support", "counterpart")
            parts = dict(zip(names, (one, two), strict=True))
            yield projects.find(rule, row, columns[2], value=whole, total=one + two, **parts)


def _lost_decimal(
    projects: Typed, row: int, column: str, value: int, implied: int
) -> Iterator[Finding]:
    """Find a value that is 10, 100 or 1,000 times, or a tenth ..., of what others imply."""
    if value <= 0 or implied <= 0:
        return
    power = round(np.log10(value / implied))
    if power and abs(power) <= 3 and abs(value / implied / 10.0**power - 1) < 0.01:
        details = {"value": value, "implied": implied, "factor": 10.0**power}
        yield projects.find("decimal_lost", row, column, **details)


def find_implausible_amounts(projects: Typed) -> Iterator[Finding]:
    """Find negative amounts and amounts that betray a wrong unit."""
    for column, (low, high) in PLAUSIBLE.items():
        for row, value in projects.rows(column):
            if value < 0:
                yield projects.find("amount_negative", row, column, value=value)
            elif value and not low <= value <= high:
                yield projects.find("unit_thousandfold", row, column, value=value)


def find_breached_norms(projects: Typed) -> Iterator[Finding]:
    """Find support above its ceiling or rate, and counterparts below what the rate asks for."""
    frame = projects.frame
    for row, support, ceiling in projects.rows("disbursed_support", "ceiling"):
        if support > ceiling:
            yield projects.find(
                "support_above_ceiling", row, "disbursed_support",
                value=support, ceiling=ceiling, why=LABELS["ceiling"],
            )  # fmt: skip
    for norm in norms().to_dict("records"):
        applies = (
            (frame["item"] == norm["item"])
            & (frame["approval_date"] >= norm["valid_from"])
            & ~(frame["approval_date"] > norm["valid_to"])
            & (frame["disbursed_support"] > 0).fillna(False).astype(bool)
        )
        label = CHOICES["item"][norm["item"]]
        why = Text(f"{label[0]}, {norm['source']}", f"{label[1]}, {norm['source_vi']}")
        rate, ceiling = float(norm["rate"]), int(norm["ceiling"])
        for row, support in projects.rows("disbursed_support", where=applies):
            if support > ceiling:
                details = {"value": support, "ceiling": ceiling, "why": why}
                yield projects.find("support_above_ceiling", row, "disbursed_support", **details)
        columns = ("disbursed_support", "eligible_cost")
        for row, support, cost in projects.rows(*columns, where=applies):
            if support > (1 + SLACK) * rate * cost > 0:
                details = {"value": support / cost, "rate": rate, "why": why}
                yield projects.find("rate_above_norm", row, "disbursed_support", **details)
        least = (1 - rate) / rate
        columns = ("disbursed_support", "counterpart")
        for row, support, counterpart in projects.rows(*columns, where=applies):
            if counterpart < (1 - SLACK) * least * support:
                details = {"value": counterpart / support, "rate": rate, "least": least}
                yield projects.find("counterpart_below_norm", row, "counterpart", **details)


def find_dates(projects: Typed) -> Iterator[Finding]:
    """Find steps of a project dated before the step they follow, and end dates that copy one."""
    follows = (
        ("contract_date", "approval_date"),
        ("disbursement_date", "approval_date"),
        ("acceptance_date", "contract_date"),
        ("acceptance_date", "approval_date"),
        ("settlement_date", "acceptance_date"),
    )
    reported: set[tuple[object, str]] = set()
    for later, earlier in follows:
        for row, after, before in projects.rows(later, earlier):
            if after == before and later == "acceptance_date":
                yield projects.find(
                    "end_equals_start", row, later,
                    label=LABELS[later], other_label=LABELS[earlier], value=_day(after),
                )  # fmt: skip
            if after < before and (row, later) not in reported:
                reported.add((row, later))
                yield projects.find(
                    "dates_out_of_order", row, later,
                    label=LABELS[later], value=_day(after),
                    other_label=LABELS[earlier], other=_day(before),
                )  # fmt: skip


def find_vintages(projects: Typed) -> Iterator[Finding]:
    """Find province and content lists that were not in force when a project was approved."""
    for row, approved, vintage in projects.rows("approval_date", "province_vintage"):
        if int(vintage) != vintage_at(approved):
            details = {"value": vintage, "date": _day(approved)}
            yield projects.find("province_list_date", row, "province_vintage", **details)
    for row, approved, code_list in projects.rows("approval_date", "code_list"):
        if approved < code_lists()[code_list]:
            label = CHOICES["code_list"][code_list]
            yield projects.find(
                "code_list_date", row, "code_list",
                value=Text(label[0], label[1]), date=_day(approved),
                issued=_day(code_lists()[code_list]),
            )  # fmt: skip


def find_status(projects: Typed) -> Iterator[Finding]:
    """Find a status that dates or amounts contradict."""
    frame = projects.frame
    done = frame["status"].isin(["accepted", "settled"])
    unpaid = (frame["disbursed_support"].fillna(0) == 0).astype(bool)
    returned = frame["returned_amount"].fillna(0)
    never_ran = frame["status"].isin(["registered", "rejected"])
    contradictions = (
        (done & frame["acceptance_date"].isna(),
         Text("there is no date of acceptance", "không có ngày nghiệm thu")),
        (done & unpaid, Text("nothing was disbursed", "chưa giải ngân")),
        (~done & (frame["status"] != "returned") & frame["acceptance_date"].notna()
         & frame["status"].notna(),
         Text("there is a date of acceptance", "có ngày nghiệm thu")),
        (never_ran & ~unpaid, Text("money was disbursed", "đã giải ngân")),
        ((frame["status"] == "returned") & (returned == 0).astype(bool),
         Text("no returned amount is given", "không có số kinh phí hoàn trả")),
    )  # fmt: skip
    for wrong, why in contradictions:
        for row, status in projects.rows("status", where=wrong):
            label = CHOICES["status"][status]
            value = Text(label[0], label[1])
            yield projects.find("status_contradiction", row, "status", value=value, why=why)
    for row, back, support in projects.rows("returned_amount", "disbursed_support"):
        if back > support:
            details = {"value": back, "support": support}
            yield projects.find("returned_above_support", row, "returned_amount", **details)


def _day(date: pd.Timestamp) -> str:
    return f"{date:%d/%m/%Y}"


PROJECT_RULES = (
    find_totals,
    find_duplicate_rows,
    find_names,
    find_sums,
    find_implausible_amounts,
    find_breached_norms,
    find_dates,
    find_vintages,
    find_status,
)
