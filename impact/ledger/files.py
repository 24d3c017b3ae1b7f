"""Open ledger files: Excel, CSV, Stata, Parquet. A file is never written to."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import pandas as pd

from impact.errors import LedgerError, listing
from impact.ledger.schema import SHEETS
from impact.places import fold

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["RawTable", "frame_table", "raw_tables"]


@dataclass(frozen=True)
class RawTable:
    """Hold a sheet as it was found: cells as rows, and the ranges of merged cells."""

    sheet: str
    cells: tuple[tuple[object, ...], ...]
    merged: tuple[str, ...] = ()


def raw_tables(path: str | Path) -> dict[str, RawTable]:
    """Return the sheets of a ledger file: "projects", and "reports" where there is one.

    Raises
    ------
    LedgerError : the file does not exist, cannot be opened, is of an unknown kind, or has no
        sheet of projects
    """
    file = Path(path)
    if not file.is_file():
        raise LedgerError(f"there is no file {file}. Check the path, seen from {Path.cwd()}.")
    readers = {
        ".xlsx": _read_workbook,
        ".xlsm": _read_workbook,
        ".csv": _read_csv,
        ".dta": _read_frame,
        ".parquet": _read_frame,
    }
    suffix = file.suffix.lower()
    if suffix not in readers:
        raise LedgerError(
            f"{file.name} is of no kind a ledger is read from ({', '.join(readers)}). "
            "Save it as one of these."
        )
    return readers[suffix](file)


def frame_table(frame: pd.DataFrame, sheet: str) -> RawTable:
    """Lay a DataFrame out as a sheet with its headers in row 1."""
    body = frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)
    return RawTable(sheet, (tuple(map(str, frame.columns)), *body))


def _read_workbook(file: Path) -> dict[str, RawTable]:
    from openpyxl import load_workbook

    try:
        book = load_workbook(file, data_only=True)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise LedgerError(
            f"{file.name} cannot be opened as an Excel workbook; it may be damaged, protected or "
            "another kind of file under this name. Open it and save it as .xlsx."
        ) from error
    tables = {role: _sheet(sheet) for sheet in book.worksheets if (role := _role(sheet.title))}
    if "projects" not in tables and len(book.worksheets) == 1:
        tables["projects"] = _sheet(book.worksheets[0])
    if "projects" not in tables:
        raise LedgerError(
            f'{file.name} has no sheet "projects" or "đề án"; it has '
            f"{listing(book.sheetnames, 9)}. Name the sheet of projects so, or start from "
            "impact template."
        )
    return tables


def _role(title: str) -> str | None:
    """Return which table a sheet of this title is, if any."""
    for role, names in SHEETS.items():
        if fold(title) in {fold(name) for name in (role, *names)}:
            return role
    return None


def _sheet(sheet: Worksheet) -> RawTable:
    merged = tuple(str(area) for area in sheet.merged_cells.ranges)
    return RawTable(sheet.title, tuple(sheet.iter_rows(values_only=True)), merged)


def _read_csv(file: Path) -> dict[str, RawTable]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LedgerError(
            f"{file.name} is not UTF-8 (byte {error.start}), so Vietnamese letters would be lost. "
            "Save it as CSV UTF-8."
        ) from error
    first = text.split("\n", 1)[0]
    delimiter = max((";", "\t", ","), key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    cells = tuple(tuple(cell if cell != "" else None for cell in row) for row in rows)
    return {"projects": RawTable(file.name, cells)}


def _read_frame(file: Path) -> dict[str, RawTable]:
    frame = pd.read_stata(file) if file.suffix.lower() == ".dta" else pd.read_parquet(file)
    return {"projects": frame_table(frame, file.name)}
