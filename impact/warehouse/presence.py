"""In which periods units are observed, as sums of powers of two that any engine can add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["add_presence", "by_period", "read_presence"]

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

BITS = 40
"""Periods a word holds: a unit's rows, even repeated millions of times, do not overflow it."""


def add_presence(time: Any, periods: Integers, used: Any = None) -> dict[str, Any]:
    """Return aggregates whose values tell the periods a group of rows holds.

    A period that appears twice carries into the next bit, so that words of repeated rows have
    fewer bits than rows.
    """
    import ibis

    words = {}
    for start in range(0, len(periods), BITS):
        own = periods[start : start + BITS]
        bits = by_period(time, own, [2**j for j in range(len(own))], 0)
        if used is not None:
            bits = ibis.ifelse(used, bits, 0)
        words[f"word{start // BITS}"] = bits.sum().cast("int64")
    return words


def by_period(time: Any, periods: Integers, values: Any, otherwise: Any = None) -> Any:
    """Return the expression that takes one value in each period."""
    import ibis

    cases = [(time == int(t), value) for t, value in zip(periods, values, strict=True)]
    return ibis.cases(*cases, else_=otherwise)


def read_presence(found: pd.DataFrame, n_periods: int) -> Booleans:
    """Turn the words of each row back into periods, shape (P, T)."""
    columns = []
    for start in range(0, n_periods, BITS):
        word = found[f"word{start // BITS}"].to_numpy(dtype=np.int64)
        width = min(BITS, n_periods - start)
        columns.append((word[:, None] >> np.arange(width)) & 1)
    return np.concatenate(columns, axis=1).astype(bool)
