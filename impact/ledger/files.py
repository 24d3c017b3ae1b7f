"""Open ledger files: Excel, CSV, Stata, Parquet. A file is never written to."""

from __future__ import annotations

import csv
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from impact.errors import LedgerError, listing
from impact.ledger.broken import BrokenCell, broken_cells
from impact.ledger.schema import GUIDE, SHEETS
from impact.places import fold

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

__all__ = ["RawFile", "RawTable", "column_letter", "frame_table", "raw_tables"]


@dataclass(frozen=True)
class RawTable:
    """Hold a sheet as it was found: cells as rows, merged ranges, cells without their value.

    In a ``delimited`` file a stray delimiter moves the cells behind it.
    """

    sheet: str
    cells: tuple[tuple[object, ...], ...]
    merged: tuple[str, ...] = ()
    broken: tuple[BrokenCell, ...] = ()
    delimited: bool = False


@dataclass(frozen=True)
class RawFile:
    """Hold the sheets of a ledger by role, "projects" and "reports", and the names of others."""

    tables: Mapping[str, RawTable]
    unused: tuple[str, ...] = field(default=())


def raw_tables(path: str | Path) -> RawFile:
    """Return the sheets of a ledger file: "projects", and "reports" where there is one.

    Raises
    ------
    LedgerError : the file does not exist, cannot be opened, is of an unknown kind, has no sheet
        of projects, or two
    """
    file = Path(path)
    if not file.is_file():
        raise LedgerError(
            f"there is no file {file}. Check the path, seen from {Path.cwd()}.",
            f"không có tệp {file}. Hãy kiểm tra đường dẫn, tính từ {Path.cwd()}.",
        )
    readers = {
        ".xlsx": _read_workbook,
        ".xlsm": _read_workbook,
        ".xlsb": _read_workbook,
        ".xls": _read_workbook,
        ".ods": _read_workbook,
        ".csv": _read_csv,
        ".dta": _read_frame,
        ".parquet": _read_frame,
    }
    suffix = file.suffix.lower()
    if suffix not in readers:
        raise LedgerError(
            f"{file.name} is of no kind a ledger is read from ({', '.join(readers)}). "
            "Save it as one of these.",
            f"{file.name} không thuộc loại tệp đọc được ({', '.join(readers)}). "
            "Hãy lưu tệp dưới một trong các dạng này.",
        )
    return readers[suffix](file)


def frame_table(frame: pd.DataFrame, sheet: str) -> RawTable:
    """Lay a DataFrame out as a sheet with its headers in row 1."""
    body = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    return RawTable(sheet, (tuple(map(str, frame.columns)), *body))


def _read_workbook(file: Path) -> RawFile:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(file)
    except CalamineError as error:
        raise LedgerError(
            f"{file.name} cannot be opened as an Excel workbook; it may be damaged, protected or "
            "another kind of file under this name. Open it and save it as .xlsx.",
            f"không mở được {file.name} như một tệp Excel; tệp có thể bị hỏng, bị khóa hoặc là "
            "loại tệp khác mang tên này. Hãy mở tệp và lưu lại dưới dạng .xlsx.",
        ) from error
    names = list(book.sheet_names)
    roles: dict[str, str] = {}
    for name in names:
        role = _role(name)
        if role in roles:
            raise LedgerError(
                f'{file.name} has two sheets of {role}, "{roles[role]}" and "{name}"; which one '
                "holds cannot be told. Delete or rename one.",
                f'{file.name} có hai trang tính cùng loại, "{roles[role]}" và "{name}"; không rõ '
                "trang nào đúng. Hãy xóa hoặc đổi tên một trang.",
            )
        if role is not None:
            roles[role] = name
    if "projects" not in roles and len(names) == 1:
        roles["projects"] = names[0]
    if "projects" not in roles:
        raise LedgerError(
            f'{file.name} has no sheet "projects" or "đề án"; it has {listing(names, 9)}. '
            "Name the sheet of projects so, or start from impact template.",
            f'{file.name} không có trang tính "đề án" hoặc "projects"; chỉ có {listing(names, 9)}. '
            "Hãy đặt tên trang tính như vậy, hoặc bắt đầu từ tệp mẫu (impact template).",
        )
    broken = broken_cells(file, roles.values()) if file.suffix.lower() in (".xlsx", ".xlsm") else {}
    tables = {
        role: _sheet(book.get_sheet_by_name(name), broken.get(name, ()))
        for role, name in roles.items()
    }
    others = [n for n in names if n not in roles.values() and fold(n) not in map(fold, GUIDE)]
    return RawFile(tables, tuple(n for n in others if book.get_sheet_by_name(n).to_python()))


def _role(title: str) -> str | None:
    """Return which table a sheet of this title is, if any."""
    for role, names in SHEETS.items():
        if fold(title) in {fold(name) for name in (role, *names)}:
            return role
    return None


def _sheet(sheet: CalamineSheet, broken: tuple[BrokenCell, ...]) -> RawTable:
    merged = tuple(
        f"{column_letter(left)}{top + 1}:{column_letter(right)}{bottom + 1}"
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
    )
    rows = sheet.to_python(skip_empty_area=False)
    return RawTable(sheet.name, tuple(tuple(row) for row in rows), merged, broken)


def column_letter(position: int) -> str:
    """Return the letters of a spreadsheet column counted from 0."""
    letters = ""
    while position >= 0:
        letters = chr(ord("A") + position % 26) + letters
        position = position // 26 - 1
    return letters


def _read_csv(file: Path) -> RawFile:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LedgerError(
            f"{file.name} is not UTF-8 (byte {error.start}), so Vietnamese letters would be lost. "
            "Save it as CSV UTF-8.",
            f"{file.name} không phải UTF-8 (byte {error.start}), nên sẽ mất chữ tiếng Việt. "
            "Hãy lưu dưới dạng CSV UTF-8.",
        ) from error
    first = text.split("\n", 1)[0]
    delimiter = max((";", "\t", ","), key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        cells = tuple(tuple(cell if cell != "" else None for cell in row) for row in rows)
    except csv.Error as error:
        raise LedgerError(
            f"{file.name} cannot be read as CSV: {error} in line {rows.line_num}. Export it again.",
            f"không đọc được {file.name} như tệp CSV: lỗi ở dòng {rows.line_num}. "
            "Hãy xuất lại tệp.",
        ) from error
    return RawFile({"projects": RawTable(file.name, cells, delimited=True)})


def _read_frame(file: Path) -> RawFile:
    kind = "Stata" if file.suffix.lower() == ".dta" else "Parquet"
    try:
        frame = pd.read_stata(file) if kind == "Stata" else pd.read_parquet(file)
    except (ValueError, OSError, struct.error) as error:
        raise LedgerError(
            f"{file.name} cannot be read as a {kind} file; it may be damaged or another kind of "
            "file under this name. Export it again.",
            f"không đọc được {file.name} như tệp {kind}; tệp có thể bị hỏng hoặc là loại tệp khác "
            "mang tên này. Hãy xuất lại tệp.",
        ) from error
    return RawFile({"projects": frame_table(frame, file.name)})
