"""Divide a table by unit, so that the sums of each part's units fit into the engine's memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from impact.warehouse.panel import TablePanel

__all__ = ["add_up", "divide"]

BYTES_A_UNIT = 80
"""Memory that DuckDB takes for a unit by which it groups, measured at ten million units."""

BYTES_A_SUM = 40
"""Memory for each sum of a unit."""

SHARE = 3
"""A part's sums may take one part in so many of the memory: beyond, DuckDB sets some aside."""

DENSE = 4
"""Whole-number names of units at most so many times as far apart as there are units are cut into
ranges; others by a hash. Files ordered by unit are then read once, not once a part."""

_SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def divide(
    panel: TablePanel, units: int, sums: int, ends: tuple[int, int] | None
) -> list[TablePanel]:
    """Return the table in parts, each with all rows of its units; the table itself if one does.

    Parameters
    ----------
    units : about how many there are
    sums : how many numbers a query adds up by unit
    ends : lowest and highest name of a unit, where names are whole numbers

    Notes
    -----
    Only DuckDB's table is divided; servers and Spark find their own way with little memory.
    """
    memory = _memory(panel)
    if memory is None:
        return [panel]
    needed = units * (BYTES_A_UNIT + sums * BYTES_A_SUM)
    n_parts = -(-needed * SHARE // memory)
    if n_parts < 2:
        return [panel]
    unit = panel.frame[panel.unit]
    if ends is not None and ends[1] - ends[0] < DENSE * units:
        cuts = [ends[0] + (ends[1] + 1 - ends[0]) * j // n_parts for j in range(n_parts + 1)]
        conditions = [(unit >= cuts[j]) & (unit < cuts[j + 1]) for j in range(n_parts)]
    else:
        place = (unit.hash() % n_parts + n_parts) % n_parts
        conditions = [place == j for j in range(n_parts)]
    return [replace(panel, frame=panel.frame.filter(condition)) for condition in conditions]


def add_up(
    panel: TablePanel,
    purpose: str,
    parts: Sequence[Any],
    ask: Callable[[Any], Any],
    keys: Sequence[str],
) -> pd.DataFrame:
    """Ask each part for sums by keys and add them up; ``example`` keeps the smallest."""
    if len(parts) == 1:
        return panel.engine.run(purpose, ask(parts[0]))
    found = [
        panel.engine.run(f"{purpose}, part {j} of {len(parts)}", ask(part))
        for j, part in enumerate(parts, start=1)
    ]
    whole = pd.concat(found, ignore_index=True)
    how = {c: "min" if c == "example" else "sum" for c in whole.columns if c not in keys}
    if not keys:
        return whole.agg(how).to_frame().T
    summed = whole.groupby(list(keys), dropna=False, sort=True).agg(how)
    return summed.reset_index()[list(whole.columns)]


def _memory(panel: TablePanel) -> int | None:
    """Return the bytes that DuckDB may take; None for other engines."""
    if panel.engine.name != "duckdb":
        return None
    import duckdb

    setting = "select current_setting('memory_limit')"
    try:
        stated = panel.engine.backend.con.execute(setting).fetchone()[0]
    except duckdb.Error:  # the next query fails for the same reason, and tells it
        return None
    told = re.fullmatch(r"([\d.]+) (\w+)", stated)
    return None if told is None else int(float(told[1]) * _SIZES.get(told[2], 1))
