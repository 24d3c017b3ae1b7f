"""Tables of published figures: each number recorded under its own name, with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from impact.published import (
    FUNDINGS,
    INDICATORS,
    MEASURES,
    Figure,
    Finding,
    PublishedFigures,
    Window,
    account,
    label,
    shown,
)
from impact.report.results import Block, Column, Record
from impact.report.text import Text, text

__all__ = ["record_accounts", "record_checks", "record_figures"]

Programmes = Mapping[str, tuple[str, Window]]

_CRAFT = ("craft_village_output", "craft_village_workers", "output_per_worker")
_CHECKS = {
    "identity": text("Parts make up the total", "Các phần cộng thành tổng"),
    "repeated": text("The same, second translation", "Như trên, bản dịch thứ hai"),
    "reading": text("Counterpart as part of support", "Vốn đối ứng nằm trong kinh phí hỗ trợ"),
    "nesting": text("Shorter window inside the longer", "Giai đoạn ngắn nằm trong giai đoạn dài"),
}
_NO_SOURCE = text("no source printed", "không ghi nguồn")
_OUTCOMES = {
    True: text("holds", "khớp"),
    False: text("does not hold", "không khớp"),
    None: text("cannot be told", "không xác định được"),
}


def record_figures(record: Record, published: PublishedFigures) -> Block:
    """Record every printed figure under its own name, copies included; tabulate each once."""
    for figure in published.figures:
        record.value(
            figure.fact_id.lower(),
            label=label(INDICATORS, figure.indicator),
            note=None if _is_sourced(figure) else _NO_SOURCE,
            source=f"{figure.publisher}; {figure.address}" if _is_sourced(figure) else None,
            **shown(figure.quantity),
        )
    return record.table(
        "figures",
        pd.DataFrame(_figure_row(figure) for figure in published.originals),
        text("The printed figures, each once", "Các số liệu được công bố, mỗi số liệu một lần"),
        {
            "fact": Column(text("Figure", "Mã")),
            "indicator": Column(text("What", "Chỉ tiêu")),
            "value": Column(text("Printed value", "Giá trị công bố")),
            "province": Column(text("Province", "Tỉnh")),
            "years": Column(text("Years", "Giai đoạn")),
            "funding": Column(text("Funding", "Nguồn")),
            "source": Column(text("Source", "Nguồn tin")),
        },
        note=text(
            "Remarks on single figures are in data/published_figures.csv.",
            "Ghi chú về từng số liệu nằm trong tệp data/published_figures.csv.",
        ),
    )


def _figure_row(figure: Figure) -> dict[str, str | Text]:
    """Return one printed figure as a row."""
    years = str(figure.window)
    return {
        "fact": figure.fact_id,
        "province": figure.province,
        "years": text(years, years) if figure.window.start else text("undated", "không rõ năm"),
        "indicator": label(INDICATORS, figure.indicator),
        "funding": label(FUNDINGS, figure.funding),
        "value": f"{{{figure.fact_id.lower()}}}",
        "source": figure.publisher if _is_sourced(figure) else _NO_SOURCE,
    }


def _is_sourced(figure: Figure) -> bool:
    """Tell whether the text at hand names where the figure was printed."""
    return figure.publisher != "none printed"


def record_checks(
    record: Record, published: PublishedFigures, findings: Sequence[Finding]
) -> Block:
    """Record how many repetitions agree, and tabulate the sums that printed figures owe."""
    copies = [finding for finding in findings if finding.check == "copy"]
    agreeing = sum(bool(finding.holds) for finding in copies)
    record.value("copies", len(copies), "count", text("Repeated figures", "Số liệu lặp lại"))
    record.value(
        "copies_agreeing",
        agreeing,
        "count",
        text("Repeated figures that agree", "Số liệu lặp lại trùng khớp"),
    )
    rows = [_check_row(published, f) for f in findings if f.check != "copy"]
    return record.table(
        "checks",
        pd.DataFrame(rows),
        text("Sums the printed figures owe", "Các đẳng thức mà số liệu phải thỏa mãn"),
        {
            "check": Column(text("Check", "Kiểm tra")),
            "province": Column(text("Province", "Tỉnh")),
            "facts": Column(text("Figures", "Mã số liệu")),
            "sum": Column(text("In numbers", "Bằng số")),
            "outcome": Column(text("Outcome", "Kết quả")),
        },
    )


def _check_row(published: PublishedFigures, finding: Finding) -> dict[str, str | Text]:
    """Return one sum as a row: what was checked, the figures, the sum in numbers."""
    total, *parts = [f"{{{name.lower()}}}" for name in finding.facts]
    repeated = finding.check == "identity" and published[finding.facts[0]].duplicate_of
    joint = " ≤ " if finding.check == "nesting" else " = " if finding.holds else " ≠ "
    return {
        "check": _CHECKS["repeated" if repeated else finding.check],
        "province": finding.province,
        "facts": ", ".join(finding.facts),
        "sum": " + ".join(parts) + joint + total,
        "outcome": _OUTCOMES[finding.holds],
    }


def record_accounts(
    record: Record, published: PublishedFigures, programmes: Programmes
) -> dict[str, Block]:
    """Record every measure of every programme; return the tables by name.

    ``accounts`` holds money and projects, ``craft_villages`` those of craft villages, ``ranges``
    the ratios with the range that printed digits allow.
    """
    cells: dict[str, dict[str, Any]] = {
        name: {"measure": measure.label} for name, measure in MEASURES.items()
    }
    ranges: list[dict[str, Any]] = []
    for measure in MEASURES:
        for name, programme in programmes.items():
            cell, spread = _record_account(record, published, name, programme, measure)
            cells[measure][name] = cell
            ranges += [] if spread is None else [spread]
    table = pd.DataFrame(list(cells.values()), index=list(cells))
    return {
        "accounts": _accounts_table(record, table.drop(list(_CRAFT)), programmes),
        "craft_villages": _craft_table(record, table.loc[list(_CRAFT)], programmes),
        "ranges": _ranges_table(record, ranges),
    }


def _record_account(
    record: Record,
    published: PublishedFigures,
    name: str,
    programme: tuple[str, Window],
    measure: str,
) -> tuple[str | Text, dict[str, Any] | None]:
    """Record one measure of one programme; return its cell, and its row among the ranges."""
    entry, key = account(published, *programme, measure), f"{name}.{measure}"
    words = MEASURES[measure]
    if entry.quantity is None:
        record.value(key, None, "count", words.label, note=entry.note)
        return text("not printed", "không công bố"), None
    printed, facts = shown(entry.quantity), ", ".join(entry.facts)
    record.value(key, label=words.label, note=entry.note or None, source=facts, **printed)
    if printed["low"] is None or words.per is None:
        return f"{{{key}}}", None
    return f"{{{key}}}", {
        "province": programme[0],
        "measure": words.label,
        "value": f"{{{key}}}",
        "range": f"{{{key}:interval}}",
        "facts": facts,
    }


def _headings(programmes: Programmes, *names: str) -> dict[str, Column]:
    """Head the columns of programmes by province and years."""
    columns = {"measure": Column(text("Measure", "Chỉ tiêu"))}
    for name in names:
        province, window = programmes[name]
        columns[name] = Column(text(f"{province}, {window}", f"{province}, {window}"))
    return columns


def _accounts_table(record: Record, table: pd.DataFrame, programmes: Programmes) -> Block:
    return record.table(
        "accounts",
        table,
        text("Projects and money by province", "Đề án và kinh phí theo tỉnh"),
        _headings(programmes, "lai_chau", "cao_bang"),
        note=text(
            "Nominal VND. “At least” and “at most” carry the printed “more than” through the sums.",
            "Giá hiện hành. “Ít nhất” và “nhiều nhất” giữ nguyên chữ “trên” của nguồn tin qua các "
            "phép tính.",
        ),
    )


def _craft_table(record: Record, table: pd.DataFrame, programmes: Programmes) -> Block:
    return record.table(
        "craft_villages",
        table,
        text("Craft villages of Hưng Yên", "Làng nghề Hưng Yên"),
        _headings(programmes, "hung_yen"),
    )


def _ranges_table(record: Record, ranges: Sequence[Mapping[str, Any]]) -> Block:
    return record.table(
        "ranges",
        pd.DataFrame(ranges),
        text(
            "Ratios, and the range their printed digits allow",
            "Các tỷ số và khoảng mà chữ số công bố cho phép",
        ),
        {
            "province": Column(text("Province", "Tỉnh")),
            "measure": Column(text("Measure", "Chỉ tiêu")),
            "value": Column(text("Value", "Giá trị")),
            "range": Column(text("Range of the digits", "Khoảng theo chữ số")),
            "facts": Column(text("From figures", "Tính từ")),
        },
        note=text(
            "“At least” and “at most” take the words alone, an unqualified amount as exact. The "
            "range "
            "also takes the last printed digit at its word, and lets an unqualified amount in "
            "billions be rounded; it may therefore reach a little beyond a bound.",
            "“Ít nhất” và “nhiều nhất” chỉ dựa vào lời văn, số không kèm chữ “trên” được coi là "
            "chính "
            "xác. Khoảng còn dựa vào chữ số cuối cùng được công bố và cho phép số tính bằng tỷ "
            "đồng "
            "đã được làm tròn, nên có thể vượt cận một chút.",
        ),
    )
