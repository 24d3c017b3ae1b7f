"""The unit x time table whose rows stay in a file or a warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import TableError, listing, near
from impact.panel import Panel
from impact.warehouse.engine import Engine, Query

__all__ = ["TablePanel"]

HASHED = 1_000_000
"""Parts into which units are hashed when a share of them is drawn."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class TablePanel(Panel):
    """Describe a long table that stays where it is.

    Parameters
    ----------
    frame : Ibis table expression, one row a unit and period; `impact.scan` makes one from files
    unit : column that names the unit
    time : column of periods, whole numbers
    log : queries run so far, to which those of this table are added

    Raises
    ------
    TableError : not an Ibis table, a column is not there, a period is not a number

    Notes
    -----
    Nothing is written to the engine. What only rows tell (duplicates, missing keys, periods that
    are not whole) is checked when a design is made of the panel, in the same queries.
    """

    frame: Any
    unit: str = field(kw_only=True)
    time: str = field(kw_only=True)
    log: list[Query] = field(default_factory=list, kw_only=True)

    def __post_init__(self) -> None:
        if not hasattr(self.frame, "schema") or not hasattr(self.frame, "get_backend"):
            raise TableError(
                f"a table's design starts from an Ibis table; this is a "
                f"{type(self.frame).__name__}. Open files with impact.scan(...), a database with "
                'ibis.postgres.connect(...).table("name"), or use Panel(frame, ...) for a '
                "DataFrame in memory."
            )
        for name in (self.unit, self.time):
            self.require(name)
        if self.unit == self.time:
            raise TableError(f'unit and time are both "{self.unit}"; they must be two columns.')

    def __repr__(self) -> str:
        return f"TablePanel({self.engine.name} table by {self.unit} and {self.time})"

    def _repr_html_(self) -> str:
        """Show what is known without a query."""
        return f"<code>{escape(repr(self))}</code>"

    @cached_property
    def engine(self) -> Engine:
        """What runs the queries, and the queries it ran."""
        return Engine(self.frame.get_backend(), self.log)

    @cached_property
    def types(self) -> dict[str, Any]:
        """Ibis type of each column by name."""
        return dict(self.frame.schema().items())

    def require(self, name: str) -> None:
        """Refuse a column that the table does not have."""
        if name not in self.types:
            raise TableError(
                f'the table has no column "{name}". {near(name, self.types)}'
                f"It has: {listing(self.types, 12)}."
            )

    def number(self, name: str, role: str) -> Any:
        """Return a column as floats, NaN as missing, refusing what does not aggregate."""
        self.require(name)
        kind, column = self.types[name], self.frame[name]
        if not (kind.is_numeric() or kind.is_boolean()):
            raise TableError(
                f'{role} "{name}" holds {kind} values in the table, which have no sum or mean. '
                f'Convert it first, for instance table.mutate({name}=table["{name}"]'
                '.cast("float64")).'
            )
        if kind.is_boolean():
            import ibis

            return ibis.cases((column, 1), (~column, 0)).cast("float64")
        return self.label(name).cast("float64")

    def label(self, name: str) -> Any:
        """Return a column as it is, such as units or clusters, NaN as missing."""
        self.require(name)
        kind, column = self.types[name], self.frame[name]
        if not (kind.is_floating() and self.engine.knows_nan()):
            return column
        import ibis

        return ibis.ifelse(column.isnan(), ibis.null(kind), column)

    def distinct(self, name: str) -> list[Any]:
        """Return the distinct values of a column, in order."""
        column = self.frame.select(name).distinct().order_by(name)
        return self.engine.run(f'values of "{name}"', column)[name].tolist()

    def collect(self, columns: Sequence[str], *, share: float, seed: int) -> Panel:
        """Bring the given columns of a share of the units into memory."""
        if not 0 < share <= 1:
            raise TableError(f"share is a part of the units, above 0 up to 1; it was {share!r}.")
        names = dict.fromkeys((self.unit, self.time, *columns))
        rows = self.frame.select(*names)
        if share < 1:
            label = rows[self.unit].cast("string") + f" {seed}"
            rows = rows.filter((label.hash() % HASHED).abs() < round(share * HASHED))
        frame = self.engine.run("rows drawn into memory", rows)
        return Panel(frame, unit=self.unit, time=self.time)

    def column(self, name: str) -> NoReturn:
        """Refuse: rows are not in memory."""
        self._refuse(f'the column "{name}"')

    def numeric(self, name: str) -> NoReturn:
        """Refuse: rows are not in memory."""
        self._refuse(f'the column "{name}"')

    def unit_values(self, name: str) -> NoReturn:
        """Refuse: rows are not in memory."""
        self._refuse(f'the column "{name}" by unit')

    @property
    def units(self) -> pd.Index:
        """Refuse: units are not in memory."""
        self._refuse("the list of units")

    @property
    def unit_codes(self) -> Integers:
        """Refuse: rows are not in memory."""
        self._refuse("each row's unit")

    @property
    def time_codes(self) -> Integers:
        """Refuse: rows are not in memory."""
        self._refuse("each row's period")

    @property
    def order(self) -> Integers | None:
        """Refuse: rows are not in memory."""
        self._refuse("the order of rows")

    def _refuse(self, what: str) -> NoReturn:
        raise TableError(
            f"this needs {what} in memory, and the rows of this design stay in {self.engine.name}. "
            "Draw a share of the units into memory with design.collect(share=0.01, seed=0), or all "
            "units with only the design's columns with design.collect()."
        )
