"""The rows of a sample as arrays, and the groups that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.panel import Panel

__all__ = ["DesignRows", "row_codes", "row_groups", "side_by_side", "units_stay_within"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class DesignRows:
    """Row arrays of a design: n rows in (unit, time) order.

    ``cluster_codes`` has shape (n, number of cluster columns); ``regressors`` has shape
    (n, k) with ``names``: the treatment first, then the covariates. ``positions`` are the rows'
    places in the sample; None if they are all of it.
    """

    unit_codes: Integers
    time_codes: Integers
    cluster_codes: Integers
    outcome: Floats
    regressors: Floats
    names: tuple[str, ...]
    weights: Floats | None
    positions: Integers | None = None


def row_groups(panel: Panel, name: str) -> tuple[Integers, pd.Index]:
    """Return the group of each sorted row, shape (n,), and the groups' names."""
    if name == panel.unit:
        return panel.unit_codes, panel.units
    column = panel.column(name)
    rows = column if panel.order is None else column.iloc[panel.order]
    codes, names = pd.factorize(rows, sort=True)
    return codes.astype(np.int64), pd.Index(names)


def row_codes(panel: Panel, name: str) -> Integers:
    """Return the group of each sorted row, shape (n,)."""
    return panel.unit_codes if name == panel.unit else row_groups(panel, name)[0]


def side_by_side(columns: list[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Lay columns out as (n, k), each contiguous; a single one is not copied."""
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns).T


def units_stay_within(panel: Panel, name: str) -> bool:
    """Tell whether each unit stays in one group of a column."""
    codes = row_codes(panel, name)
    return bool(((np.diff(codes) == 0) | (np.diff(panel.unit_codes) > 0)).all())
