"""The queries that designs on tables ran: kept with a report, so that a reader can repeat them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from impact.design import Design
from impact.errors import ReportError
from impact.report.results import OUTPUT_VARIABLE, write_json

__all__ = ["record_queries", "taken_queries"]

FILE = "queries.json"

_LONG_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][+-]?\d+)?")


def record_queries(*designs: Design, folder: Path | None = None) -> None:
    """Keep the queries that designs on tables ran, in the report's results and its manifest.

    Call it in a notebook once everything is estimated.

    Parameters
    ----------
    designs : whose ``Design.queries`` are kept, in order; a query that several ran, once
    folder : where the report is being written; the build says so if None

    Raises
    ------
    ReportError : no folder is named and no report is being built

    Notes
    -----
    Numbers within a query, such as the means that deviations are taken from, are kept to nine
    significant digits: an engine's sums differ in the last ones from run to run. Seconds are not
    kept.
    """
    target = os.environ.get(OUTPUT_VARIABLE) if folder is None else folder
    if target is None:
        raise ReportError(
            "record_queries writes into the folder of a report that is being built, and none is. "
            'Run the notebook by "impact report PLAN", or name folder=.'
        )
    kept = {
        _rounded(query.sql): {"purpose": query.purpose, "rows": query.rows}
        for design in designs
        for query in design.queries
    }
    queries = [entry | {"sql": sql} for sql, entry in kept.items()]
    write_json(Path(target) / FILE, {"queries": queries})


def taken_queries(folder: Path, *, hidden: bool) -> list[dict[str, Any]]:
    """Take the queries kept in a report's folder out of it; without their text if ``hidden``.

    Queries hold means by period, which a report that hides numbers must not give away.
    """
    file = folder / FILE
    if not file.exists():
        return []
    queries: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["queries"]
    file.unlink()
    return [query | {"sql": None} for query in queries] if hidden else queries


def _rounded(sql: str) -> str:
    return _LONG_NUMBER.sub(lambda number: f"{float(number.group()):.9g}", sql)
