"""A plan's table that stays where it is: what is wrong with it, and its rows of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impact.errors import SpecError, listing, near
from impact.warehouse import address_files, open_table
from impact.warehouse.engine import Engine

__all__ = ["check_scan", "open_scanned"]


def check_scan(data: Mapping[str, Any], folder: Path) -> list[str]:
    """Name what is wrong with a plan's ``scan`` before anything is opened."""
    if "scan" not in data:
        return [
            f"data.{name} goes with data.scan, which is missing."
            for name in ("table", "memory_limit")
            if name in data
        ]
    findings = []
    rivals = ["dataset"] if "dataset" in data else []
    rivals += ["files"] if any(not entry.get("beside") for entry in data["files"]) else []
    findings += [
        f"data.scan and data.{name} both name the rows to estimate from; keep one."
        for name in rivals
    ]
    is_database = "://" in data["scan"]
    if is_database and "table" not in data:
        findings.append(f"data.table is missing: which table of {data['scan']}?")
    if not is_database and "table" in data:
        findings.append("data.table goes with a database's address, and data.scan names files.")
    if not is_database and Path(data["scan"]).is_absolute():
        findings.append("data.scan must be relative to the plan, so that others find it too.")
    elif not is_database and not address_files(data["scan"], folder):
        findings.append(
            f'data.scan = "{data["scan"]}" matches no file (paths are relative to the plan).'
        )
    return findings


def open_scanned(
    folder: Path,
    data: Mapping[str, Any],
    logarithms: Mapping[str, str],
    needed: Sequence[str],
) -> Any:
    """Open a plan's table as an Ibis table of the rows of interest.

    Parameters
    ----------
    data : the plan's ``[data]``
    logarithms : name of the column to add by the column it is the logarithm of
    needed : columns that must be there

    Raises
    ------
    TableError : it cannot be opened
    SpecError : a column is missing, or a logarithm is asked of numbers that are not positive
    """
    table = open_table(
        data["scan"], data.get("table"), folder, memory_limit=data.get("memory_limit")
    )
    where = data.get("where", {})
    for name in [*where, *needed]:
        if name not in table.columns:
            what = f'data.where names "{name}", which' if name in where else f'the outcome "{name}"'
            raise SpecError(
                f"{what} is no column of the data. {near(name, table.columns)}Known: "
                f"{listing(table.columns, 12)}."
            )
    for name, value in where.items():
        table = table.filter(table[name] == value)
    for name, column in logarithms.items():
        _refuse_without_logarithm(table, name)
        table = table.mutate(**{column: table[name].cast("float64").ln()})
    return table


def _refuse_without_logarithm(table: Any, name: str) -> None:
    """Refuse a column with numbers that are zero or less."""
    counted = table.aggregate(low=table.count(where=table[name] <= 0))
    engine = Engine(table.get_backend())
    low = int(engine.run(f'values of "{name}" without logarithm', counted)["low"][0])
    if low:
        raise SpecError(
            f'the outcome "{name}" has {low} values that are zero or less, which have no '
            'logarithm. Use transform = "none", or a Poisson estimator.'
        )
