"""The level at which treatment was assigned: alike within it, and not split by clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design.question import Question
from impact.design.rows import row_codes, row_groups
from impact.errors import DesignError, listing, plural
from impact.panel import Panel

__all__ = ["check_assignment", "split_by_clusters"]

Floats = NDArray[np.float64]


def check_assignment(question: Question, sample: Panel, cohorts: Floats, column: str) -> None:
    """Refuse a level of assignment that units cross or within which treatment differs."""
    treatment = question.treatment_column
    if treatment is None:
        raise DesignError(
            f'assigned_by="{column}" says at which level treatment was assigned, but the design '
            "states no treatment. Give cohort, treated or dose."
        )
    groups, names = row_groups(sample, column)
    crossing = (np.diff(groups) != 0) & (np.diff(sample.unit_codes) == 0)
    if crossing.any():
        units = np.unique(sample.unit_codes[1:][crossing])
        raise DesignError(
            f'{plural(len(units), "unit")} moved between values of "{column}", first '
            f"{sample.unit} {listing(sample.units[units])}; treatment assigned to whole "
            f'"{column}" values cannot be told of units that move between them. Name a level '
            "that units stay in, such as where each was when treatment was assigned."
        )
    if question.cohort is not None:
        values = np.nan_to_num(cohorts, nan=np.inf)[sample.unit_codes]
    else:
        values = sample.numeric(treatment)
    cells = groups * sample.n_periods + sample.time_codes
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], values[order]
    rows = order[1:][(cells[1:] == cells[:-1]) & (values[1:] != values[:-1])]
    if len(rows):
        mixed, first = np.unique(groups[rows], return_index=True)
        cases = [
            f"{names[group]} ({sample.time} {sample.periods[sample.time_codes[rows[row]]]})"
            for group, row in zip(mixed, first, strict=True)
        ]
        raise DesignError(
            f'treatment "{treatment}" differs between units of one "{column}" and period in '
            f'{len(mixed):,} of {len(names):,} values of "{column}", first {listing(cases)}; it '
            "was not assigned to them as wholes. Name the level at which it was assigned, or "
            "leave assigned_by out if units were treated one by one."
        )


def split_by_clusters(sample: Panel, column: str, clusters: Sequence[str]) -> pd.Index:
    """Return the values of a column that every cluster column splits over several clusters."""
    groups, names = row_groups(sample, column)
    fewest = np.ones(len(names), dtype=bool)
    for name in clusters:
        codes = row_codes(sample, name)
        pairs = np.unique(groups * (codes.max() + 1) + codes) // (codes.max() + 1)
        split = np.bincount(pairs, minlength=len(names)) > 1
        fewest = split if split.sum() < fewest.sum() else fewest
    return names[fewest]
