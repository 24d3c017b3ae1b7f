"""The rows of a design as one table expression with columns of known names and types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impact.errors import DesignError, TableError, listing
from impact.warehouse.panel import TablePanel

__all__ = ["Roles", "lay_rows", "used_rows"]


@dataclass(frozen=True)
class Roles:
    """What each column of a table is to a design; see `impact.Design` for the meanings."""

    outcome: str
    cohort: str | None = None
    treated: str | None = None
    dose: str | None = None
    anticipation: int = 0
    clusters: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    weights: str | None = None
    never_treated: float | None = None
    always_treated: Literal["refuse", "drop"] = "refuse"

    @property
    def amount(self) -> str | None:
        """The column of treatment by unit and period, if that is how treatment is stated."""
        return self.treated or self.dose

    @property
    def cluster(self) -> str | None:
        """The column of clusters; None where each unit is its own."""
        return self.clusters[0] if self.clusters else None

    def causes(self) -> list[str]:
        """Why rows are left out, in the order in which causes are counted."""
        columns = [f'outcome "{self.outcome}"']
        columns += [f'treatment "{self.treated}"'] if self.treated else []
        columns += [f'dose "{self.dose}"'] if self.dose else []
        columns += [f'covariate "{name}"' for name in self.covariates]
        columns += [f'weight "{self.weights}"'] if self.weights else []
        columns += [f'"{self.cluster}"'] if self.cluster else []
        return [*(f"{name} missing" for name in columns), ALWAYS_TREATED]


ALWAYS_TREATED = "unit treated whenever it is observed"


def lay_rows(panel: TablePanel, roles: Roles) -> Any:
    """Select unit, time, outcome, cohort, amount, x0.., weight, cluster and cause.

    ``cause`` is 0 for rows that are used, and else one plus the position of the cause for which
    a row is left out in ``roles.causes()``. With a treatment by unit and period, the cohort is
    the first period in which it is positive, and ``last_off`` the last in which it is zero.
    """
    if len(roles.clusters) > 1:
        raise DesignError(
            f"a table's design clusters by one column; this one names {listing(roles.clusters)}. "
            "Name the level at which treatment was assigned, or use design.collect()."
        )
    table = panel.frame
    columns = {
        "unit": panel.label(panel.unit),
        "time": _periods(panel),
        "outcome": panel.number(roles.outcome, "outcome"),
    }
    if roles.cohort:
        columns["cohort"] = _cohorts(panel, roles)
    if roles.amount:
        columns["amount"] = panel.number(roles.amount, "treatment")
    for j, name in enumerate(roles.covariates):
        columns[f"x{j}"] = panel.number(name, "covariate")
    if roles.weights:
        columns["weight"] = panel.number(roles.weights, "weight")
    if roles.cluster:
        columns["cluster"] = panel.label(roles.cluster)
    rows = table.select(**columns)
    if roles.amount:
        rows = _with_onset(rows)
    if not roles.cohort and not roles.amount:
        import ibis

        rows = rows.mutate(cohort=ibis.null("float64"))
    return _with_causes(rows, roles)


def used_rows(rows: Any) -> Any:
    """Keep the rows that nothing leaves out."""
    return rows.filter(rows.cause == 0)


def _periods(panel: TablePanel) -> Any:
    kind = panel.types[panel.time]
    if not kind.is_numeric():
        example = f'{panel.time}=table["{panel.time}"].year()'
        if not (kind.is_date() or kind.is_timestamp()):
            example = f'{panel.time}=table["{panel.time}"].cast("int64")'
        raise TableError(
            f'time column "{panel.time}" holds {kind} values; periods must be whole numbers, so '
            f"that the distance to treatment can be counted. Use table.mutate({example})."
        )
    if kind.is_integer():
        return panel.frame[panel.time].cast("int64")
    return panel.number(panel.time, "time")


def _cohorts(panel: TablePanel, roles: Roles) -> Any:
    column = panel.number(str(roles.cohort), "cohort")
    return column if roles.never_treated is None else column.nullif(float(roles.never_treated))


def _with_onset(rows: Any) -> Any:
    """Add each unit's first period of treatment, and its last without."""
    begun = rows.group_by("unit").aggregate(
        cohort=rows.time.min(where=rows.amount > 0).cast("float64"),
        last_off=rows.time.max(where=rows.amount == 0).cast("float64"),
    )
    return rows.left_join(begun, "unit").select(*rows.columns, "cohort", "last_off")


def _with_causes(rows: Any, roles: Roles) -> Any:
    import ibis

    covariates = [f"x{j}" for j in range(len(roles.covariates))]
    names = ["outcome", *(["amount"] if roles.amount else []), *covariates]
    names += [name for name in ("weight", "cluster") if name in rows.columns]
    cases = [(rows[name].isnull(), i + 1) for i, name in enumerate(names)]
    rows = rows.mutate(cause=ibis.cases(*cases, else_=0))
    if roles.always_treated == "refuse" or not (roles.cohort or roles.amount):
        return rows
    seen = rows.filter(rows.cause == 0).group_by("unit").aggregate(first=lambda t: t.time.min())
    rows = rows.left_join(seen, "unit").select(*rows.columns, "first")
    always = (rows.cause == 0) & (rows.cohort - roles.anticipation <= rows["first"])
    always = always.fill_null(False)
    return rows.mutate(cause=ibis.ifelse(always, len(names) + 1, rows.cause)).drop("first")
