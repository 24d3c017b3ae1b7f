"""Tables of a record for machines: CSV files of stored numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impact.report.text import Text, fill, named_values
from impact.report.values import Value, render_template

__all__ = ["write_csv"]


def write_csv(table: Mapping[str, Any], values: Mapping[str, Value], path: Path) -> None:
    """Write a table for machines: numbers in full stored precision, words in English.

    A column of values becomes numbers, with ``_unit`` beside it where they have one and ``_bound``
    where one is no exact number; a column of intervals becomes ``_low`` and ``_high``.
    """
    columns: dict[str, list[object]] = {}
    for position, column in enumerate(table["columns"]):
        cells = [row[position] for row in table["rows"]]
        columns |= _machine_columns(column["name"], cells, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _machine_columns(
    name: str, cells: Sequence[Any], values: Mapping[str, Value]
) -> dict[str, list[object]]:
    """Return one column of a table as the columns of its CSV."""
    words = [cell["en"] if isinstance(cell, Mapping) else cell for cell in cells]
    named = [_only_value(cell, values) for cell in words]
    told = [value for value in named if value is not None]
    plain = [
        isinstance(cell, str) and value is None and bool(named_values(cell))
        for cell, value in zip(words, named, strict=True)
    ]
    if not told or any(plain):
        return {
            name: [render_template(w, values, "en") if isinstance(w, str) else w for w in words]
        }
    remarks = [
        fill(cell, lambda *_: "") if isinstance(cell, str) and value is None else None
        for cell, value in zip(words, named, strict=True)
    ]
    if any(isinstance(cell, str) and cell.endswith(":interval}") for cell in words):
        made: dict[str, list[object]] = {
            f"{name}_low": [None if value is None else value.low for value in named],
            f"{name}_high": [None if value is None else value.high for value in named],
        }
    else:
        made = {name: [None if value is None else value.value for value in named]}
        units = [None if value is None else _unit_word(value.unit) for value in named]
        if any(units):
            made[f"{name}_unit"] = list(units)
        if any(value.bound != "exact" for value in told):
            made[f"{name}_bound"] = [None if value is None else value.bound for value in named]
    return made | ({f"{name}_note": list(remarks)} if any(remarks) else {})


def _only_value(cell: object, values: Mapping[str, Value]) -> Value | None:
    """Return the value that a cell consists of, or None."""
    named = named_values(cell) if isinstance(cell, str) else []
    alone = len(named) == 1 and bool(re.fullmatch(r"\{[^{}]*\}", str(cell)))
    return values[named[0][0]] if alone else None


def _unit_word(unit: str | Text) -> str:
    """Return a unit as machines know it; counts and pure numbers have none."""
    word = unit if isinstance(unit, str) else unit["en"]
    return "" if word in ("count", "number", "ratio", "p_value", "year") else word
