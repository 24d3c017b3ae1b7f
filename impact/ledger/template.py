"""The workbook a department fills in: headers, drop-down lists, notes, an example."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impact.errors import LedgerError, check_choice
from impact.ledger.schema import (
    CHOICES,
    GUIDE,
    PROJECTS,
    REPORTS,
    SHEETS,
    Column,
    Language,
    contents,
)

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["write_template"]

ROWS = 5_000
FIXED = dt.datetime(2024, 1, 1)
EXAMPLE = {
    "project_id": "KC-2021-001",
    "project_name": {"en": "Automatic weaving machine", "vi": "Máy dệt tự động"},
    "beneficiary_id": "0900000001",
    "beneficiary_name": {"en": "Example Weaving Cooperative", "vi": "Hợp tác xã dệt Ví Dụ"},
    "district": "Khoái Châu",
    "province": "Hưng Yên",
    "province_vintage": "63",
    "trade": {"en": "textiles", "vi": "dệt may"},
    "content_code": "1",
    "code_list": "qd1881_2020",
    "item": "machinery",
    "source": "national",
    "approval_date": dt.datetime(2021, 1, 15),
    "contract_date": dt.datetime(2021, 2, 10),
    "disbursement_date": dt.datetime(2021, 4, 1),
    "acceptance_date": dt.datetime(2021, 8, 20),
    "settlement_date": dt.datetime(2021, 10, 5),
    "planned_support": 300_000_000,
    "disbursed_support": 300_000_000,
    "national_support": 300_000_000,
    "local_support": 0,
    "counterpart": 400_000_000,
    "eligible_cost": 700_000_000,
    "total_cost": 700_000_000,
    "ceiling": 300_000_000,
    "returned_amount": 0,
    "status": "settled",
}


def write_template(path: str | Path, lang: Language = "vi") -> Path:
    """Write an empty ledger workbook with its columns, choices, notes and one example row.

    Parameters
    ----------
    path : of the workbook; a file that exists is not overwritten
    lang : language of headers, choices and notes

    Raises
    ------
    LedgerError : the file exists, does not end in .xlsx, or cannot be written
    """
    from openpyxl import Workbook

    check_choice("lang", lang, ("en", "vi"), LedgerError)
    file = Path(path)
    if file.suffix.lower() != ".xlsx":
        raise LedgerError(f"a template is an Excel workbook; {file.name} does not end in .xlsx.")
    if file.exists():
        raise LedgerError(f"{file} exists and is not overwritten. Name another file.")
    book = Workbook()
    book.remove(book.worksheets[0])
    projects = book.create_sheet(SHEETS["projects"](lang))
    _write_headers(projects, PROJECTS, lang)
    projects.append([_example(column, lang) for column in PROJECTS])
    _format_cells(projects, PROJECTS)
    reports = book.create_sheet(SHEETS["reports"](lang))
    _write_headers(reports, REPORTS, lang)
    _format_cells(reports, REPORTS)
    _write_guide(book, lang)
    book.properties.creator = "impact"
    book.properties.created = book.properties.modified = FIXED
    try:
        book.save(file)
    except OSError as fault:
        raise LedgerError(
            f"{file} cannot be written: {fault.strerror}. Name a file in a folder that exists and "
            "may be written to."
        ) from None
    return file


def _write_headers(sheet: Worksheet, columns: Sequence[Column], lang: Language) -> None:
    from openpyxl.comments import Comment
    from openpyxl.styles import Alignment, Font, PatternFill

    fills = {
        True: PatternFill("solid", fgColor="CFE3F5"),
        False: PatternFill("solid", fgColor="EEEEEE"),
    }
    for position, column in enumerate(columns, start=1):
        unit = {"en": " (dong)", "vi": " (đồng)"}[lang] if column.kind == "money" else ""
        cell = sheet.cell(1, position, column.label(lang) + unit)
        cell.font = Font(bold=True)
        cell.fill = fills[bool(column.required)]
        cell.alignment = Alignment(wrap_text=True, vertical="top")
        cell.comment = Comment(column.note(lang), "impact")
        sheet.column_dimensions[cell.column_letter].width = 18
    sheet.freeze_panes = "A2"


def _format_cells(sheet: Worksheet, columns: Sequence[Column]) -> None:
    """Give columns their number formats and drop-down lists."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    formats = {"money": "#,##0", "date": "dd/mm/yyyy", "code": "@"}
    for position, column in enumerate(columns, start=1):
        letter = get_column_letter(position)
        if column.kind in formats:
            sheet.column_dimensions[letter].number_format = formats[column.kind]
            for row in sheet.iter_rows(2, max(sheet.max_row, 2), position, position):
                row[0].number_format = formats[column.kind]
        if column.kind == "choice":
            options = _options(column.name, sheet.title)
            rule = DataValidation(type="list", formula1=f'"{",".join(options)}"', allow_blank=True)
            rule.add(f"{letter}2:{letter}{ROWS}")
            sheet.add_data_validation(rule)


def _options(name: str, title: str) -> list[str]:
    vietnamese = title in {sheet.vi for sheet in SHEETS.values()}
    return [labels[1 if vietnamese else 0] for labels in CHOICES[name].values()]


def _example(column: Column, lang: Language) -> object:
    value = EXAMPLE.get(column.name)
    if isinstance(value, dict):
        return value[lang]
    if column.kind == "choice":
        return CHOICES[column.name][str(value)][0 if lang == "en" else 1]
    return value


def _write_guide(book: Workbook, lang: Language) -> None:
    sheet = book.create_sheet(GUIDE(lang))
    head = {"en": ("column", "what it holds", "needed"), "vi": ("cột", "nội dung", "bắt buộc")}
    yes = {"en": "yes", "vi": "có"}[lang]
    sheet.append(head[lang])
    for column in PROJECTS:
        sheet.append([column.label(lang), column.note(lang), yes if column.required else ""])
    sheet.append([])
    table = contents()
    labels = table["label_en"] if lang == "en" else table["label_vi"]
    for code_list, code, label in zip(table["code_list"], table["code"], labels, strict=True):
        name = CHOICES["code_list"][code_list][0 if lang == "en" else 1]
        sheet.append([name, label, code if isinstance(code, str) else ""])
    for letter, width in zip("ABC", (28, 70, 10), strict=True):
        sheet.column_dimensions[letter].width = width
