"""Counts of units that nested reports must withhold, so that none can be had by subtraction.

Reports on parts of one whole (provinces of a country) stand beside a report on the whole. Whoever
has them can subtract: the whole less the parts shown leaves the part that is not. All reports of a
matrix, and that on the whole, are therefore taken as one table of counts: of every province the
units in the data, treated, never treated and by wave, and of every outcome those that carry it or
are lost to it; each with its total over all provinces, which is taken as known whether or not that
report exists. Counts below the smallest cell are hidden, and so are those of a province without a
report; then further counts are, until no small one can be had by adding and subtracting.

Source
------
Hundepool et al. (2012), Statistical Disclosure Control, Wiley, sections 4.4 and 5.3 (linked
tables).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from impact.design import Design
from impact.errors import ImpactError
from impact.evaluation import Evaluation
from impact.report.effects import plan_design, plan_panel
from impact.report.population import Counts, design_counts, population_of, sample_counts
from impact.report.suppression import hidden_counts, is_small

__all__ = ["counts_of", "nested_counts", "withheld_ids"]


def nested_counts(
    plan: Evaluation, column: str, values: Collection[object], reported: Collection[object]
) -> dict[object, tuple[str, ...]]:
    """Name, for each value with a report, the counts that it must withhold for the others' sake.

    Parameters
    ----------
    plan : the plan of the whole
    column : the column by whose values there are reports
    values : all values of the column, with a report or without
    reported : those that have a report
    """
    data = plan.data()
    ordered = sorted(values, key=str)
    found = {value: counts_of(plan, _rows(data, column, value)) for value in ordered}
    return withheld_ids(found, reported, plan.smallest_cell)


def withheld_ids(
    found: Mapping[object, Counts], reported: Collection[object], smallest: int
) -> dict[object, tuple[str, ...]]:
    """Return, of the counts and sums of each part, the names that its report must withhold.

    Example
    -------
    >>> parts = {"A": ({"units": 2}, []), "B": ({"units": 9}, []), "C": ({"units": 30}, [])}
    >>> withheld_ids(parts, ["B", "C"], 3)
    {'B': ('units',), 'C': ()}
    """
    counts: dict[str, float] = {}
    sums: list[tuple[str, list[str]]] = []
    totals: dict[str, list[str]] = {}
    for number, (cells, within) in enumerate(found.values()):
        for id, count in cells.items():
            counts[f"{number} {id}"] = count
            totals.setdefault(id, []).append(f"{number} {id}")
        sums += [(f"{number} {w}", [f"{number} {part}" for part in parts]) for w, parts in within]
    if not is_small(list(counts.values()), smallest).any():
        return dict.fromkeys(reported, ())
    for id, parts in totals.items():
        counts[id] = sum(counts[part] for part in parts)
        sums.append((id, parts))
    unreported = {
        name
        for number, value in enumerate(found)
        if value not in reported
        for name in counts
        if name.startswith(f"{number} ")
    }
    hidden = hidden_counts(counts, sums, smallest, withheld=unreported, public=set(totals))
    return {
        value: tuple(sorted(id for id in cells if f"{number} {id}" in hidden))
        for number, (value, (cells, _)) in enumerate(found.items())
        if value in reported
    }


def counts_of(plan: Evaluation, frame: Any) -> Counts:
    """Return the counts of units that a report on these rows would print, and their sums.

    An outcome whose design is refused there has no counts: its report is not built.
    """
    counts, sums = design_counts(population_of(plan, frame))
    for outcome in plan.outcomes:
        try:
            design: Design = plan_design(plan, plan_panel(plan, frame), outcome)
        except ImpactError:
            continue
        more, relations = sample_counts(outcome.name, design)
        counts, sums = counts | more, sums + relations
    return counts, sums


def _rows(data: Any, column: str, value: object) -> Any:
    """Return the rows of one value, of a frame in memory or of a table where it stays."""
    chosen = data[column] == value
    if isinstance(data, pd.DataFrame):
        return data[chosen].reset_index(drop=True)
    return data.filter(chosen)
