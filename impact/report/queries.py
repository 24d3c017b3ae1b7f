"""The queries that designs on tables ran: kept with a report, so that a reader can repeat them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Protocol

from impact.report.results import OUTPUT_VARIABLE, write_json
from impact.warehouse import Query

__all__ = ["Asked", "record_queries", "taken_queries"]

FILE = "queries.json"

_LONG_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][+-]?\d+)?")


class Asked(Protocol):
    """What ran queries: a design on a table, a population of its units."""

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries, in order."""


def record_queries(*asked: Asked, folder: Path | None = None) -> None:
    """Keep the queries that designs on tables ran, in the report, its results and its manifest.

    Call it in a notebook once everything is estimated. Without a folder the builder's is used; in
    JupyterLab, where there is none, nothing is kept.

    Parameters
    ----------
    asked : designs and populations whose ``queries`` are kept, in order; one that several ran, once
    folder : where the report is being written; the build says so if None

    Notes
    -----
    Numbers within a query, such as the means that deviations are taken from, are kept to nine
    significant digits: an engine's sums differ in the last ones from run to run. Seconds are not
    kept.
    """
    target = os.environ.get(OUTPUT_VARIABLE) if folder is None else folder
    kept = {
        _rounded(query.sql): {"purpose": query.purpose, "rows": query.rows}
        for one in asked
        for query in one.queries
    }
    if target is None or not kept:
        return
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
