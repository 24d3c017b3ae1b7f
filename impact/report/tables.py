"""A record's tables as written: headings, and cells with their text and sorting key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from impact.report.numbers import MISSING, format_number, format_quantity
from impact.report.text import Text
from impact.report.values import Value, render_template

__all__ = ["prepare_table"]

_STRONG = re.compile(r"\*\*(.+?)\*\*")
_ONE_VALUE = re.compile(r"\{([A-Za-z0-9_.]+)(?::[a-z]+)?\}")


def prepare_table(
    table: Mapping[str, Any], values: Mapping[str, Value], language: str
) -> dict[str, Any]:
    """Return a table with every cell written in a language.

    A cell is {"text", "key", "numeric", "template"}: what is read, what it is sorted by (the number
    behind it, where there is one), its column's alignment, and the sentence it came from, if any.
    """
    columns = table["columns"]
    numeric = [
        column["unit"] is not None or any(isinstance(row[i], (int, float)) for row in table["rows"])
        for i, column in enumerate(columns)
    ]
    return {
        "title": table["title"],
        "note": table["note"],
        "source": table["source"],
        "columns": [
            {"label": column["label"], "numeric": numeric[i]} for i, column in enumerate(columns)
        ],
        "rows": [
            [
                _cell(cell, columns[i], values, language) | {"numeric": numeric[i]}
                for i, cell in enumerate(row)
            ]
            for row in table["rows"]
        ],
    }


def _cell(
    cell: int | float | str | Text | None,
    column: Mapping[str, Any],
    values: Mapping[str, Value],
    language: str,
) -> dict[str, Any]:
    """Write one cell."""
    if cell is None:
        return {"text": "–", "key": "", "template": None, "missing": MISSING[language]}
    if isinstance(cell, (int, float)):
        unit, decimals = column["unit"], column["decimals"]
        written = (
            format_number(cell, language, decimals)
            if unit is None
            else format_quantity(cell, unit, language, decimals)
        )
        return {"text": written, "key": repr(cell), "template": None, "missing": None}
    template = cell[language] if isinstance(cell, Mapping) else cell
    written = _STRONG.sub(r"\1", render_template(template, values, language))
    named = _ONE_VALUE.fullmatch(template)
    number = values[named[1]].value if named else written
    key = "" if number is None else str(number)
    return {"text": written, "key": key, "template": template, "missing": None}
