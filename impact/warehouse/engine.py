"""Run queries where the table lies, keep their text, and say what an engine could not do."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from impact.errors import TableError

__all__ = ["Engine", "Query"]


@dataclass(frozen=True)
class Query:
    """A query that was run: what for, its text, the seconds it took, the rows it returned."""

    purpose: str
    sql: str
    seconds: float = field(compare=False)
    rows: int

    def __str__(self) -> str:
        return f"-- {self.purpose}: {self.rows:,} rows\n{self.sql}"


@dataclass(frozen=True, eq=False)
class Engine:
    """The database or query engine behind an Ibis table; it is only ever read from.

    Attributes
    ----------
    backend : Ibis backend
    queries : every query run so far, in order
    """

    backend: Any
    queries: list[Query] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the engine, such as duckdb or postgres."""
        return str(getattr(self.backend, "name", type(self.backend).__name__))

    def run(self, purpose: str, expression: Any) -> pd.DataFrame:
        """Run an expression that aggregates and return its rows.

        Raises
        ------
        TableError : the engine lacks a function, refuses the query, or is gone
        """
        import ibis

        try:
            sql = str(ibis.to_sql(expression))
        except Exception as error:
            raise TableError(
                f"{self.name} has no form for the query that finds {purpose}: {_words(error)}. "
                "Copy the needed columns to Parquet and read them with impact.scan, or draw units "
                f"into memory with design.collect(share=...). The query was: {expression!r}"
            ) from error
        started = time.perf_counter()
        # An engine raises errors of its own; Ibis gives them no common class.
        try:
            with warnings.catch_warnings():
                # Ibis 12 reads an option of pandas that pandas 3 has deprecated.
                warnings.filterwarnings("ignore", message=".*future.infer_string")
                frame: pd.DataFrame = self.backend.to_pyarrow(expression).to_pandas()
        except Exception as error:
            raise TableError(
                f"{self.name} could not find {purpose}: {_words(error)}. Check the connection, the "
                f"table and the rights to read it. The query was:\n{sql}"
            ) from error
        self.queries.append(Query(purpose, sql, time.perf_counter() - started, len(frame)))
        return frame

    def knows_nan(self) -> bool:
        """Whether the engine tells NaN from a number, so that it can be taken as missing."""
        from ibis.expr import operations

        return bool(self.backend.has_operation(operations.IsNan))


def _words(error: Exception) -> str:
    """Return an engine's own message without its trailing stop."""
    text = str(error).strip() or type(error).__name__
    return text.rstrip(".")
