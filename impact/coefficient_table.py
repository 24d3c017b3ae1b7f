"""Coefficients of several results in columns, as journals print them, for every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from impact import tables
from impact.errors import DesignError, listing, near
from impact.result import Result

__all__ = ["CoefficientTable"]


@dataclass(frozen=True, eq=False, repr=False)
class CoefficientTable:
    """Print results side by side: an estimate a row, its standard error below, facts at the foot.

    Parameters
    ----------
    results : of any estimators, outcomes and designs
    labels : heading of each column; numbers in brackets if None
    terms : which estimates, in which order; all, in order of first appearance, if None
    names : what to print in place of a term, by term
    digits : significant digits

    Raises
    ------
    DesignError : labels that do not match the results, a term that no result has

    Notes
    -----
    An estimate without value shows a dash. Notes under the table say, for each column, which
    standard errors stand in brackets and by what they are clustered.
    """

    results: Sequence[Result]
    labels: Sequence[str] | None = None
    terms: Sequence[str] | None = None
    names: Mapping[str, str] | None = None
    digits: int = 4

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self.results):
            raise DesignError(
                f"labels names {len(self.labels)} columns for {len(self.results)} results; give "
                "one a result."
            )
        for term in (*(self.terms or ()), *(self.names or ())):
            if term not in self._known:
                raise DesignError(
                    f'no result has a term "{term}". {near(term, self._known)}They have: '
                    f"{listing(self._known, 12)}."
                )

    @cached_property
    def _known(self) -> list[str]:
        every = (str(term) for result in self.results for term in result.cells["term"])
        return list(dict.fromkeys(every))

    @cached_property
    def headings(self) -> list[str]:
        """Heading of each result."""
        return list(self.labels or (f"({j + 1})" for j in range(len(self.results))))

    def frame(self) -> pd.DataFrame:
        """Return the table as text, a column a result, the first one with the rows' names."""
        shown = [
            {str(row["term"]): row for _, row in result.tidy().iterrows()}
            for result in self.results
        ]
        rows: list[list[str]] = []
        for term in self.terms or self._known:
            name = (self.names or {}).get(term, term)
            found = [one.get(term) for one in shown]
            rows.append([name, *(self._estimate(one) for one in found)])
            rows.append(["", *(self._error(one) for one in found)])
        rows += [[name, *(fact(result) for result in self.results)] for name, fact in FACTS.items()]
        rows = [row for row in rows if any(row[1:])]
        return pd.DataFrame(rows, columns=["", *self.headings])

    def _estimate(self, row: pd.Series | None) -> str:
        if row is None:
            return ""
        return tables.format_number(float(row["estimate"]), self.digits) or "–"

    def _error(self, row: pd.Series | None) -> str:
        if row is None or np.isnan(row["std_error"]):
            return ""
        return f"({tables.format_number(float(row['std_error']), self.digits)})"

    def notes(self) -> tuple[str, ...]:
        """Say whose standard errors stand in brackets, and the clusters."""
        said: dict[str, list[str]] = {}
        for heading, result in zip(self.headings, self.results, strict=True):
            by = listing(result.design.cluster_columns, 3)
            text = f"Standard errors: {result.uncertainty.method}; clusters: {by}."
            said.setdefault(text, []).append(heading)
        if len(said) == 1:
            return tuple(said)
        return tuple(f"{', '.join(headings)}: {text}" for text, headings in said.items())

    def __repr__(self) -> str:
        return "\n".join([tables.to_text(self.frame()), "", *self.notes()])

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self) -> str:
        """Return the table as HTML."""
        return tables.to_html(self.frame(), notes=self.notes())

    def to_markdown(self) -> str:
        """Return the table in Markdown, notes below."""
        return "\n\n".join([tables.to_markdown(self.frame()), *self.notes()])

    def to_latex(self) -> str:
        """Return the table as a LaTeX tabular."""
        return tables.to_latex(self.frame())

    def to_word(self, path: str | Path) -> None:
        """Write the table as a Word file.

        Raises
        ------
        ReportError : the extra "docx" is not installed, or the file is not named .docx
        """
        tables.to_word(self.frame(), path, notes=self.notes())


def _outcome(result: Result) -> str:
    return str(result.design.outcome)


def _effects(result: Result) -> str:
    effects = result.settings.get("effects", ())
    if effects and not isinstance(effects, str) and isinstance(effects, Sequence):
        return ", ".join(str(effect) for effect in effects)
    return str(effects) if isinstance(effects, str) else ""


def _fixed_effects(result: Result) -> str:
    return "" if result.estimator == "RandomEffects" else _effects(result)


def _random_effects(result: Result) -> str:
    return _effects(result) if result.estimator == "RandomEffects" else ""


def _rows(result: Result) -> str:
    return f"{int(result.extra.get('n_rows', result.design.n_rows)):,}"


def _within(result: Result) -> str:
    return tables.format_number(result.extra.get("r_squared_within"), 3)


FACTS = {
    "Outcome": _outcome,
    "Estimator": lambda result: result.estimator,
    "Fixed effects": _fixed_effects,
    "Random effects": _random_effects,
    "Rows": _rows,
    "Units": lambda result: f"{result.design.n_units:,}",
    "Clusters": lambda result: f"{result.uncertainty.n_clusters:,}",
    "R² within": _within,
}
"""What is said of each result at the foot of the table."""
