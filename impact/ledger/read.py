"""Recognise a ledger's columns and read its cells, collecting everything that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from string import ascii_uppercase
from typing import Any, NamedTuple

import pandas as pd

from impact.errors import LedgerError, listing
from impact.ledger.files import RawTable, column_letter
from impact.ledger.findings import Finding
from impact.ledger.parse import (
    Problem,
    clean_text,
    header_unit,
    parse_amount,
    parse_choice,
    parse_date,
    parse_number,
    stated_unit,
)
from impact.ledger.schema import CHOICES, TOTALS, Column, Text
from impact.places import fold

__all__ = ["Typed", "type_table"]

HEADER_ROWS = 15
DTYPES = {
    "text": "str",
    "code": "str",
    "place": "str",
    "choice": "str",
    "money": "Int64",
    "number": "float64",
    "date": "datetime64[s]",
}


@dataclass(frozen=True)
class Typed:
    """Hold a table whose columns have their names and types.

    ``frame`` is indexed by the row's number in the file; ``letters`` gives each column's letter.
    """

    frame: pd.DataFrame
    sheet: str
    letters: dict[str, str]
    findings: tuple[Finding, ...] = ()

    def rows(
        self, *columns: str, where: pd.Series | None = None, complete: bool = True
    ) -> Iterator[tuple[Any, ...]]:
        """Yield row number and values of some columns, of rows that have them all if complete."""
        frame = self.frame[list(columns)] if where is None else self.frame.loc[where, list(columns)]
        if complete:
            frame = frame.dropna()
        values = [frame[column].astype(object).tolist() for column in columns]
        return zip(frame.index.tolist(), *values, strict=True)

    def find(self, rule: str, row: int, column: str = "", **details: object) -> Finding:
        """State a finding in a row, at the address of a column's cell."""
        cell = f"{self.letters[column]}{row}" if column in self.letters else ""
        return Finding(rule, self.sheet, row, cell, details)


@dataclass(frozen=True)
class _Place:
    """Where a column stands in the sheet, and how many dong its bare numbers mean."""

    position: int
    column: Column
    scale: int


class _Header(NamedTuple):
    """A header, its column counted from 0 and the row it stands in."""

    position: int
    row: int
    label: str


def type_table(raw: RawTable, columns: Sequence[Column]) -> Typed:
    """Read a sheet into a table of typed columns.

    Raises
    ------
    LedgerError : no row near the top of the sheet names columns of the ledger
    """
    top = _header_row(raw, columns)
    headers = _headers(raw, top, columns)
    last = max(header.row for header in headers)
    found, findings = _match_headers(raw, headers, columns, _stated_unit(raw, top))
    body = [
        (number, row)
        for number, row in enumerate(raw.cells[last:], start=last + 1)
        if any(_filled(cell) for cell in row)
    ]
    if raw.delimited:
        findings += _find_long_rows(raw, top, body)
    index = pd.Index([number for number, _ in body], name="row", dtype="int64")
    letters = {name: column_letter(place.position) for name, place in found.items()}
    typed = Typed(pd.DataFrame(index=index), raw.sheet, letters)
    data = {}
    for column in columns:
        values: list[object] = [None] * len(body)
        if column.name in found:
            place = found[column.name]
            cells = [row[place.position] if place.position < len(row) else None for _, row in body]
            values, problems = _read_column(typed, cells, place)
            findings += problems
        data[column.name] = pd.Series(values, index=index, dtype=DTYPES[column.kind])
    return Typed(pd.DataFrame(data, index=index), raw.sheet, letters, tuple(findings))


def _find_long_rows(
    raw: RawTable, top: int, body: Sequence[tuple[int, tuple[object, ...]]]
) -> Iterator[Finding]:
    """Find rows with more cells than there are headers."""
    width = len(raw.cells[top - 1])
    for number, row in body:
        if any(_filled(cell) for cell in row[width:]):
            details = {"value": len(row), "headers": width}
            yield Finding("row_too_long", raw.sheet, number, details=details)


def _header_row(raw: RawTable, columns: Sequence[Column]) -> int:
    """Return the number of the row that names most columns, at least three of them.

    Of two rows of headers that is the upper one, in which the columns without parts are named.
    """
    counts = [
        sum(_recognise(cell, columns) is not None for cell in row if _filled(cell))
        for row in raw.cells[:HEADER_ROWS]
    ]
    if not counts or max(counts) < 3:
        wanted = listing((column.label.vi for column in columns if column.required), 5)
        raise LedgerError(
            f'sheet "{raw.sheet}" has no row of headers among its first {HEADER_ROWS} rows: none '
            f"names three columns of the ledger ({wanted}). Start from impact template, or "
            "rename the headers.",
            f'trang tính "{raw.sheet}" không có dòng tiêu đề trong {HEADER_ROWS} dòng đầu: không '
            f"dòng nào nêu được ba cột của sổ theo dõi ({wanted}). Hãy bắt đầu từ tệp mẫu (impact "
            "template) hoặc sửa tên các cột.",
        )
    return counts.index(max(counts)) + 1


def _headers(raw: RawTable, top: int, columns: Sequence[Column]) -> list[_Header]:
    """Return the headers of a sheet, those of a second row joined to the one they stand under.

    A second row of headers holds texts without digits, and only below headers that reach over
    several of them, as "Kinh phí" over "Trung ương" and "Địa phương"; values fill other columns.
    """
    first = {p: clean_text(cell) for p, cell in enumerate(raw.cells[top - 1]) if _filled(cell)}
    headers = {position: _Header(position, top, label) for position, label in first.items()}
    row = raw.cells[top] if top < len(raw.cells) else ()
    second = {p: clean_text(cell) for p, cell in enumerate(row) if _filled(cell)}
    over = {p: max((head for head in first if head <= p), default=-1) for p in second}
    wide = {head for position, head in over.items() if -1 < head < position}
    texts = not any(character.isdigit() for character in "".join(second.values()))
    if len(second) > 1 and texts and set(over.values()) <= wide:
        for position, head in over.items():
            label = _joined(first[head], second[position], columns)
            headers[position] = _Header(position, top + 1, label)
    return [headers[position] for position in sorted(headers)]


def _joined(upper: str, lower: str, columns: Sequence[Column]) -> str:
    """Join a header to the one above it, keeping the unit of either; a total is the upper one."""
    (over, _, unit), (own, _, own_unit) = upper.partition("("), lower.partition("(")
    names = [over] if fold(own) in TOTALS else [f"{over.strip()} {own.strip()}", own]
    name = next((name for name in names if _recognise(name, columns)), names[0]).strip()
    return f"{name} ({own_unit or unit}" if own_unit or unit else name


def _stated_unit(raw: RawTable, top: int) -> int:
    """Return the dong that a line above the headers states, such as "Đơn vị: triệu đồng"."""
    for row in raw.cells[: top - 1]:
        for cell in row:
            if isinstance(cell, str) and (stated := stated_unit(cell)):
                return stated
    return 1


def _match_headers(
    raw: RawTable, headers: Sequence[_Header], columns: Sequence[Column], unit: int
) -> tuple[dict[str, _Place], list[Finding]]:
    """Match headers to columns; the rest are findings."""
    top, last = min(h.row for h in headers), max(h.row for h in headers)
    lowest = last + 1 if last > top else top
    findings = [
        Finding("merged_cells", raw.sheet, details={"value": area})
        for area in raw.merged
        if int(area.split(":")[1].lstrip(ascii_uppercase)) >= lowest  # titles' cells are not read
    ]
    findings += [
        Finding("cell_broken", raw.sheet, row, f"{letters}{row}", {"value": error})
        for row, letters, error in raw.broken
        if row >= top
    ]
    found: dict[str, _Place] = {}
    for position, row, label in headers:
        address = f"{column_letter(position)}{row}"
        column = _recognise(label, columns)
        if column is None:
            hint = _nearest(label, columns)
            unknown = {"value": label, "hint": hint}
            findings.append(Finding("column_unknown", raw.sheet, top, address, unknown))
        elif column.name in found:
            twice = {"value": column.label}
            findings.append(Finding("column_twice", raw.sheet, top, address, twice))
        else:
            scale = header_unit(label)
            if scale is None and "(" in label and column.kind == "money":
                named = {"value": label}
                findings.append(Finding("unit_unknown", raw.sheet, top, address, named))
            found[column.name] = _Place(position, column, scale or unit)
    findings += [
        Finding("column_missing", raw.sheet, details={"value": column.label})
        for column in columns
        if column.required and column.name not in found
    ]
    return found, findings


def _recognise(header: object, columns: Sequence[Column]) -> Column | None:
    """Return the column a header names, with or without a unit in brackets."""
    label = clean_text(header)
    spellings = {fold(label), fold(label.split("(")[0])}
    return next((column for column in columns if column.headers & spellings), None)


def _nearest(label: str, columns: Sequence[Column]) -> Text:
    by_header = {header: column for column in columns for header in column.headers}
    close = get_close_matches(fold(label), by_header, n=1, cutoff=0.75)
    if not close:
        return Text("", "")
    meant = by_header[close[0]].label
    return Text(f' (perhaps "{meant.en}")', f' (có thể là "{meant.vi}")')


def _read_column(
    typed: Typed, cells: Sequence[object], place: _Place
) -> tuple[list[object], list[Finding]]:
    """Read the cells of a column; what cannot be read stays missing and becomes a finding."""
    column = place.column
    values: list[object] = []
    findings = []
    for row, cell in zip(typed.frame.index.tolist(), cells, strict=True):
        value = _read_cell(cell, place) if _filled(cell) else None
        if isinstance(value, Problem):
            details = {"value": _written(cell), "known": _known(column)}
            findings.append(typed.find(value.rule, row, column.name, **details))
            value = None
        elif value is None and column.required is True:
            findings.append(typed.find("value_missing", row, column.name, label=column.label))
        values.append(value)
    return values, findings


def _read_cell(cell: object, place: _Place) -> object:
    kind = place.column.kind
    if kind == "money":
        return parse_amount(cell, place.scale)
    if kind == "number":
        return parse_number(cell, place.scale)
    if kind == "date":
        return parse_date(cell)
    if kind == "choice":
        return parse_choice(cell, CHOICES[place.column.name])
    return _written(cell)


def _written(cell: object) -> str:
    """Return a cell's text, whole numbers without decimals."""
    return clean_text(int(cell) if isinstance(cell, float) and cell.is_integer() else cell)


def _known(column: Column) -> Text:
    labels = CHOICES.get(column.name, {}).values()
    return Text(", ".join(name[0] for name in labels), ", ".join(name[1] for name in labels))


def _filled(cell: object) -> bool:
    return not (cell is None or cell != cell or (isinstance(cell, str) and not cell.strip()))
