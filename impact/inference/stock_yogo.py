"""Published critical values of the first stage where errors are independent with equal variances.

Stock and Yogo (2005), "Testing for weak instruments in linear IV regression", in Andrews and Stock
(eds.), Identification and Inference for Econometric Models, tables 5.1, 5.2 and 5.4. They were
simulated and carry an error of one to three per cent.
"""

from __future__ import annotations

from math import nan
from typing import Literal

__all__ = ["stock_yogo"]

Row = tuple[float, float, float, float]

BIASES = ("bias 5 %", "bias 10 %", "bias 20 %", "bias 30 %")
"""Bias of two-stage least squares as a share of that of least squares."""

SIZES = ("size 10 %", "size 15 %", "size 20 %", "size 25 %")
"""Share of samples in which the Wald test at 5 % rejects the truth."""


def stock_yogo(
    n_endogenous: int, n_instruments: int, method: Literal["2sls", "liml"]
) -> dict[str, float]:
    """Return what the Cragg-Donald F must exceed, by the worst bias or size that is tolerated.

    Returns
    -------
    dict : NaN for biases that do not exist; empty beyond two endogenous regressors or ten
        instruments
    """
    rows = TABLES.get(n_endogenous, {})
    if n_instruments not in rows:
        return {}
    bias, size, size_liml = rows[n_instruments]
    if method == "liml":
        return dict(zip(SIZES, size_liml, strict=True))
    return dict(zip(BIASES + SIZES, bias + size, strict=True))


# By endogenous regressors, then instruments: biases, sizes, sizes of LIML.
# fmt: off
TABLES: dict[int, dict[int, tuple[Row, Row, Row]]] = {
    1: {
        1: ((nan, nan, nan, nan), (16.38, 8.96, 6.66, 5.53), (16.38, 8.96, 6.66, 5.53)),
        2: ((nan, nan, nan, nan), (19.93, 11.59, 8.75, 7.25), (8.68, 5.33, 4.42, 3.92)),
        3: ((13.91, 9.08, 6.46, 5.39), (22.30, 12.83, 9.54, 7.80), (6.46, 4.36, 3.69, 3.32)),
        4: ((16.85, 10.27, 6.71, 5.34), (24.58, 13.96, 10.26, 8.31), (5.44, 3.87, 3.30, 2.98)),
        5: ((18.37, 10.83, 6.77, 5.25), (26.87, 15.09, 10.98, 8.84), (4.84, 3.56, 3.05, 2.77)),
        6: ((19.28, 11.12, 6.76, 5.15), (29.18, 16.23, 11.72, 9.38), (4.45, 3.34, 2.87, 2.61)),
        7: ((19.86, 11.29, 6.73, 5.07), (31.50, 17.38, 12.48, 9.93), (4.18, 3.18, 2.73, 2.49)),
        8: ((20.25, 11.39, 6.69, 4.99), (33.84, 18.54, 13.24, 10.50), (3.97, 3.04, 2.63, 2.39)),
        9: ((20.53, 11.46, 6.65, 4.92), (36.19, 19.71, 14.01, 11.07), (3.81, 2.93, 2.54, 2.32)),
        10: ((20.74, 11.49, 6.61, 4.86), (38.54, 20.88, 14.78, 11.65), (3.68, 2.84, 2.46, 2.25)),
    },
    2: {
        2: ((nan, nan, nan, nan), (7.03, 4.58, 3.95, 3.63), (7.03, 4.58, 3.95, 3.63)),
        3: ((nan, nan, nan, nan), (13.43, 8.18, 6.40, 5.45), (5.44, 3.81, 3.32, 3.09)),
        4: ((11.04, 7.56, 5.57, 4.73), (16.87, 9.93, 7.54, 6.28), (4.72, 3.39, 2.99, 2.79)),
        5: ((13.97, 8.78, 5.91, 4.79), (19.45, 11.22, 8.38, 6.89), (4.32, 3.13, 2.78, 2.60)),
        6: ((15.72, 9.48, 6.08, 4.78), (21.68, 12.33, 9.10, 7.42), (4.06, 2.95, 2.63, 2.46)),
        7: ((16.88, 9.92, 6.16, 4.76), (23.72, 13.34, 9.77, 7.91), (3.90, 2.83, 2.52, 2.35)),
        8: ((17.70, 10.22, 6.20, 4.73), (25.64, 14.31, 10.41, 8.39), (3.78, 2.73, 2.43, 2.27)),
        9: ((18.30, 10.43, 6.22, 4.69), (27.51, 15.24, 11.03, 8.85), (3.70, 2.66, 2.36, 2.20)),
        10: ((18.76, 10.58, 6.23, 4.66), (29.32, 16.16, 11.65, 9.31), (3.64, 2.60, 2.30, 2.14)),
    },
}
# fmt: on
