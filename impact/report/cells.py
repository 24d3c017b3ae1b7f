"""The reports of a matrix: one for each value of what is varied, and how each ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from impact.evaluation import Evaluation
from impact.report.derive import slug
from impact.report.text import Text, text

__all__ = ["Cell", "Matrix", "Status"]

Status = Literal["built", "current", "failed", "hidden"]


@dataclass(frozen=True)
class Cell:
    """One report of a matrix.

    Parameters
    ----------
    value : the province, or whatever is varied
    status : "built"; "current" (nothing had changed); "failed", with the ``error``; or "hidden"
        (so few units that a report would disclose them)
    folder : where the report is; None if it is hidden
    error : why it failed
    """

    value: object
    status: Status
    folder: Path | None
    error: str | None = None


@dataclass(frozen=True)
class Matrix:
    """The reports of an evaluation by the values of ``over``, in the values' order."""

    plan: Evaluation
    over: str
    cells: tuple[Cell, ...]

    @property
    def folder(self) -> Path:
        """The folder that holds the reports and their index."""
        return self.plan.folder / f"by-{slug(self.over)}"

    @property
    def heading(self) -> Text:
        """What is varied, as readers call it."""
        stated = (e["label"] for e in self.plan.subgroups if e["by"] == self.over)
        return dict(next(stated, text(self.over, self.over)))

    def label_of(self, cell: Cell) -> Text:
        """Return what readers call the value of a report."""
        return self.plan.class_label(self.over, cell.value)

    def having(self, *status: Status) -> tuple[Cell, ...]:
        """Return the reports that ended so."""
        return tuple(cell for cell in self.cells if cell.status in status)

    def counts(self) -> str:
        """Count the reports by how they ended: "2 built, 61 up to date"."""
        numbers = {status: len(self.having(status)) for status in get_args(Status)}
        words = {"current": "up to date"}
        return ", ".join(f"{n} {words.get(status, status)}" for status, n in numbers.items() if n)
