"""What is wrong with a table, found where it lies and told with examples."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import pandas as pd

from impact.errors import DesignError, PanelError, TableError, listing, plural
from impact.warehouse.panel import TablePanel
from impact.warehouse.rows import Roles

__all__ = [
    "MOST_GROUPS",
    "check_cohorts",
    "check_keys",
    "check_values",
    "refuse_duplicates",
    "refuse_patterns",
]

MOST_GROUPS = 200_000
"""Most groups of period and cohort, or of cohort and presence, that a query may return."""


def check_keys(panel: TablePanel, rows: Any, found: pd.DataFrame) -> None:
    """Refuse a table without rows, with missing keys, or with periods that are not whole."""
    if not len(found):
        raise TableError("the table has no rows; a panel needs at least one observation.")
    if len(found) > MOST_GROUPS:
        raise TableError(
            f'"{panel.time}" and the cohort together take more than {MOST_GROUPS:,} values; '
            "effects are estimated by period and cohort, so that both must be few. Check that "
            "the right columns are named, and number the periods through."
        )
    for role, name in (("unit", panel.unit), ("time", panel.time)):
        lost = int((found["n"] - found[f"n_{role}"]).sum())
        if lost:
            other = "time" if role == "unit" else "unit"
            cases = _examples(panel, rows.filter(rows[role].isnull()), [other], "missing keys")
            shown = listing(cases[other])
            raise PanelError(
                f'{role} column "{name}" is missing in {plural(lost, "row")}, first at '
                f"{panel.time if other == 'time' else panel.unit} {shown}; a row without it cannot "
                "be placed in the panel. Fill it in or filter those rows out of the table."
            )
    times = found["time"].to_numpy(dtype=np.float64)
    wrong = (times != np.round(times)) | np.isinf(times)
    if wrong.any():
        raise PanelError(
            f'time column "{panel.time}" has {plural(int(found["n"][wrong].sum()), "value")} not '
            f"whole, first {listing(np.unique(times[wrong]))}; event time is counted in whole "
            "periods. Number the periods through, for instance quarters as 4 * year + quarter."
        )


def check_values(panel: TablePanel, roles: Roles, rows: Any, found: pd.DataFrame) -> None:
    """Refuse infinite numbers, wrong treatments and weights, and an outcome never observed."""
    names = {"outcome": roles.outcome, "amount": roles.amount, "weight": roles.weights}
    names |= {f"x{j}": name for j, name in enumerate(roles.covariates)}
    for column, name in names.items():
        if name is None:
            continue
        ends = found[[f"low_{column}", f"high_{column}"]].to_numpy(dtype=np.float64)
        if np.isinf(ends).any():
            value = rows[column]
            cases = _cases(panel, rows.filter((value == np.inf) | (value == -np.inf)))
            raise PanelError(
                f'column "{name}" is infinite, first {cases}; sums and means would be infinite '
                "too. A logarithm of zero is the usual cause: mend those rows or filter them out."
            )
    if not found.loc[found["cause"] != 1, "n"].sum():
        raise DesignError(
            f'outcome "{roles.outcome}" is missing in all {plural(int(found["n"].sum()), "row")}; '
            "there is nothing to estimate. Check the column's name and how the table was made."
        )
    if roles.amount and found["n_wrong_amount"].sum():
        _refuse_amount(panel, roles, rows, int(found["n_wrong_amount"].sum()))
    if roles.weights and found["n_wrong_weight"].sum():
        cases = _cases(panel, rows.filter(rows.weight <= 0))
        raise DesignError(
            f'weight column "{roles.weights}" is zero or negative in '
            f"{plural(int(found['n_wrong_weight'].sum()), 'row')}, first {cases}; such a row would "
            "count for nothing or against the rest. Filter those rows out or mend the weights."
        )
    if not found.loc[found["cause"] == 0, "n"].sum():
        counts = np.bincount(found["cause"], found["n"])[1:]
        causes = zip(roles.causes(), counts, strict=False)
        told = "; ".join(f"{cause} in {n:,.0f}" for cause, n in causes if n)
        raise DesignError(
            f"no row is left of {int(found['n'].sum()):,}: {told}. Check those columns, or leave "
            "one out."
        )


def _refuse_amount(panel: TablePanel, roles: Roles, rows: Any, count: int) -> None:
    if roles.treated:
        cases = _cases(panel, rows.filter((rows.amount != 0) & (rows.amount != 1)))
        raise DesignError(
            f'treatment column "{roles.treated}" is neither 0 nor 1 in {plural(count, "row")}, '
            f"first {cases}; an indicator says only whether a unit is treated. If it is an amount, "
            f"give it as dose={roles.treated!r}."
        )
    cases = _cases(panel, rows.filter(rows.amount < 0))
    raise DesignError(
        f'dose column "{roles.dose}" is negative in {plural(count, "row")}, first {cases}; a dose '
        "is an amount received. Enter money paid back as a smaller amount or in another column."
    )


def refuse_duplicates(panel: TablePanel, rows: Any) -> None:
    """Name the pairs of unit and period that appear more than once."""
    pairs = rows.group_by(["unit", "time"]).aggregate(copies=lambda t: t.count())
    pairs = pairs.filter(pairs.copies > 1)
    count = int(panel.engine.run("how many duplicates", pairs.aggregate(n=pairs.count()))["n"][0])
    raise PanelError(
        f"unit and time do not identify rows: {plural(count, 'pair')} "
        f"{'appears' if count == 1 else 'appear'} more than once, first {_cases(panel, pairs)}. "
        "Each unit may be observed once a period. Keep one of the copies, or aggregate with "
        f'table.group_by(["{panel.unit}", "{panel.time}"]).aggregate(...).'
    )


def refuse_patterns() -> NoReturn:
    """Refuse units observed in too many different sets of periods."""
    raise TableError(
        f"units are observed in more than {MOST_GROUPS:,} different sets of periods; too many to "
        "be exact about. Keep fewer periods, or draw units with design.collect(share=...)."
    )


def check_cohorts(panel: TablePanel, roles: Roles, units: pd.DataFrame, ends: list[int]) -> None:
    """Refuse cohorts that vary or are partly missing in a unit, or lie outside the periods."""
    name = roles.cohort
    if name is None:
        return
    partly = units[units["partly"]]
    if len(partly):
        raise DesignError(
            f'cohort column "{name}" is missing in some rows of '
            f"{plural(int(partly['units'].sum()), 'unit')} and filled in others, first "
            f"{panel.unit} {listing(partly['example'])}; whether they are treated cannot be told. "
            "Fill it in all rows of a unit, or in none."
        )
    changing = units[units["changes"]]
    if len(changing):
        raise PanelError(
            f'column "{name}" changes within {plural(int(changing["units"].sum()), "unit")}, first '
            f"{panel.unit} {listing(changing['example'])}; it must say one thing a unit."
        )
    cohorts = units["cohort"].to_numpy(dtype=np.float64)
    outside = (cohorts < ends[0]) | (cohorts > ends[1])
    if outside.any():
        values = np.unique(cohorts[outside])
        cases = listing(units["example"][outside])
        raise DesignError(
            f'cohort column "{name}" holds {listing(f"{v:g}" for v in values)}, outside the '
            f"table's periods {ends[0]}-{ends[1]}, for "
            f"{plural(int(units['units'][outside].sum()), 'unit')}, first {panel.unit} {cases}; "
            'their timing cannot be told from "never treated". If a value stands for never '
            f"treated, say so with never_treated={values[0]:g}; if units are treated after the "
            "table ends, set them to NULL to use them as never treated; else filter them out."
        )
    fractional = cohorts[~np.isnan(cohorts) & (cohorts != np.round(cohorts))]
    if len(fractional):
        raise DesignError(
            f'cohort column "{name}" holds {listing(np.unique(fractional))}; a cohort is the first '
            "treated period and must be one of the table's whole periods."
        )


def _cases(panel: TablePanel, rows: Any) -> str:
    """Name the first three rows by unit and period."""
    found = _examples(panel, rows, ["unit", "time"], "examples")
    return listing(
        f"({panel.unit} {unit}, {panel.time} {time:g})"
        for unit, time in zip(found["unit"], found["time"], strict=True)
    )


def _examples(panel: TablePanel, rows: Any, columns: list[str], what: str) -> pd.DataFrame:
    chosen = rows.select(*columns).order_by(columns).limit(3)
    return panel.engine.run(f"{what} of what is wrong", chosen)
