"""The dose: support by unit and year, its sum to date, real and per worker."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import LedgerError, listing, near, plural
from impact.prices import PriceIndex

__all__ = ["add_dose"]

Floats = NDArray[np.float64]


def add_dose(
    frame: pd.DataFrame,
    codes: pd.Series,
    time: str,
    chosen: pd.DataFrame,
    price_base: int | None,
    per: str | None,
    index: PriceIndex,
) -> pd.DataFrame:
    """Add the support of each unit and year, and its sum to date, nominal and real.

    What other units were paid, or after the last period, needs no price.
    """
    paid = chosen[(chosen["role"] == "treated") & (chosen["onset"] <= frame[time].max())]
    paid = paid[paid["unit"].isin(codes.unique())]
    flows = {"support": paid["money"].astype(float)}
    if price_base is not None:
        real = index.real(paid["money"], paid["onset"].astype(int), price_base)
        flows[f"support_real_{price_base}"] = pd.Series(real, index=paid.index)
    keys = pd.DataFrame({"unit": codes, "onset": frame[time].astype("int64")})
    columns = {}
    for name, amounts in flows.items():
        events = paid[["unit"]].assign(onset=paid["onset"].astype("int64"), amount=amounts)
        yearly = events.groupby(["unit", "onset"])["amount"].sum().reset_index()
        yearly["stock"] = yearly.groupby("unit")["amount"].cumsum()
        columns[name] = keys.merge(yearly, how="left")["amount"].fillna(0.0).to_numpy()
        rows = keys.reset_index(names="position").sort_values("onset", kind="stable")
        to_date = pd.merge_asof(rows, yearly.sort_values("onset"), on="onset", by="unit")
        stock = to_date.set_index("position")["stock"].sort_index().fillna(0.0)
        columns[name.replace("support", "support_stock", 1)] = stock.to_numpy()
    if per is not None:
        base = _base_values(frame, codes, time, per)
        columns |= {f"{name}_per_{per}": dose / base for name, dose in columns.items()}
    return frame.assign(**columns)


def _base_values(frame: pd.DataFrame, codes: pd.Series, time: str, column: str) -> Floats:
    """Return each row's unit's value in its first period, refusing what cannot divide."""
    if column not in frame.columns:
        raise LedgerError(
            f'the outcome table has no column "{column}" to divide the dose by. '
            f"{near(column, frame.columns)}It has: {listing(frame.columns, 12)}."
        )
    rows = np.lexsort((frame[time].to_numpy(), codes.to_numpy(dtype=str)))
    first = frame[column].iloc[rows].groupby(codes.iloc[rows]).transform("first")
    base = first.sort_index().to_numpy(dtype=np.float64)
    wrong = ~(base > 0)
    if wrong.any():
        units = codes[wrong].unique()
        raise LedgerError(
            f'"{column}" is not positive in the first period of {plural(len(units), "unit")}, '
            f"first {listing(units)}; support per {column} would be infinite. Mend or drop them."
        )
    return base
