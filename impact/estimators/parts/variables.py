"""A design's rows as the columns of a regression, in levels, differences and unit means."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import EstimationError, plural
from impact.kernels.groups import Groups

__all__ = [
    "Variables",
    "design_variables",
    "difference",
    "paired_rows",
    "take_rows",
    "unit_means",
    "unit_trend",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Variables:
    """The columns of a regression: outcome (n,), regressors (k, n) with their names."""

    rows: DesignRows
    outcome: Floats
    regressors: Floats
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.outcome)

    def with_constant(self) -> Variables:
        """Add a column of ones, named "constant", as the last."""
        ones = np.ones((1, self.n))
        return Variables(
            self.rows,
            self.outcome,
            np.concatenate((self.regressors, ones)),
            (*self.names, "constant"),
        )


def design_variables(design: Design) -> Variables:
    """Take the treatment, if one is stated, and the covariates as regressors."""
    rows = design.rows()
    return Variables(rows, rows.outcome, np.ascontiguousarray(rows.regressors.T), rows.names)


def difference(design: Design, variables: Variables, span: int = 1) -> Variables:
    """Subtract from each row the unit's row exactly ``span`` periods before.

    Raises
    ------
    EstimationError : no unit is observed at two periods that far apart
    """
    rows = variables.rows
    earlier, later = paired_rows(design, rows, span)
    if not len(later):
        raise EstimationError(
            f"no unit is observed at two periods {plural(span, 'step')} apart: nothing to "
            f"subtract. Periods run {design.periods[0]}-{design.periods[-1]}. Use a smaller span."
        )
    return Variables(
        take_rows(rows, later),
        variables.outcome[later] - variables.outcome[earlier],
        variables.regressors[:, later] - variables.regressors[:, earlier],
        variables.names,
    )


def paired_rows(design: Design, rows: DesignRows, span: int) -> tuple[Integers, Integers]:
    """Find rows and the same unit's rows ``span`` steps before: positions (earlier, later).

    One step is the smallest distance between two of the panel's periods.
    """
    periods = design.periods
    step = int(np.diff(periods).min()) if len(periods) > 1 else 1
    when = periods[rows.time_codes] - periods[0]
    width = int(when.max(initial=0)) + span * step + 1
    key = rows.unit_codes * width + when + span * step
    at = np.searchsorted(key, key - span * step)
    later = np.flatnonzero(key[at] == key - span * step)
    return at[later], later


def take_rows(rows: DesignRows, keep: Integers) -> DesignRows:
    """Keep some of a design's rows."""
    return DesignRows(
        unit_codes=rows.unit_codes[keep],
        time_codes=rows.time_codes[keep],
        cluster_codes=rows.cluster_codes[keep],
        outcome=rows.outcome[keep],
        regressors=rows.regressors[keep],
        names=rows.names,
        weights=None if rows.weights is None else rows.weights[keep],
        positions=keep if rows.positions is None else rows.positions[keep],
    )


def unit_means(design: Design, variables: Variables) -> Variables:
    """Average outcome and regressors over each unit's rows: one row a unit, all in one period."""
    rows = variables.rows
    units = Groups(rows.unit_codes, design.sample.n_units)
    weights = rows.weights
    counts = units.counts if weights is None else units.total(weights)
    first = np.searchsorted(rows.unit_codes, np.arange(units.size))
    kept = take_rows(rows, first)
    averages = [
        units.total(column if weights is None else column * weights) / counts
        for column in (variables.outcome, *variables.regressors)
    ]
    means = replace(
        kept,
        time_codes=np.zeros_like(kept.time_codes),
        weights=None if weights is None else counts / units.counts,
    )
    return Variables(means, averages[0], np.stack(averages[1:]), variables.names)


def unit_trend(design: Design) -> Floats:
    """Return the time since the first period of each row, shape (1, n)."""
    since = (design.periods - design.periods[0]).astype(np.float64)
    trend: Floats = since[None, design.sample.time_codes]
    return trend
