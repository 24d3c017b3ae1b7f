"""The table of estimates: standard errors, p-values, intervals and bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.inference import bands
from impact.inference.dispatch import Inference
from impact.result.estimates import Estimates
from impact.result.judgement import CLUSTERED, freedoms, least_freedom

__all__ = ["tidy_table", "value_for_bands"]

Booleans = NDArray[np.bool_]
Found = Sequence[Inference | None]


def tidy_table(of: Estimates, found: Found, level: float, seed: int) -> pd.DataFrame:
    """Return the estimates as ``Result.tidy`` describes, ``found`` being each one's inference."""
    frame = of.cells[["term"]].copy()
    for column in ("cohort", "time", "event_time"):
        if of.cells[column].notna().any():
            frame[column] = of.cells[column]
    errors, df = of.std_errors, freedoms(of)
    statistic = of.estimates / errors
    one = bands.pointwise_critical_value(level, df)
    every = np.maximum(one, value_for_bands(of, level, seed)) if len(of) > 1 else one
    frame["estimate"] = of.estimates
    frame["std_error"] = errors
    frame["statistic"] = statistic
    frame["df"] = df
    frame["p_value"] = bands.two_sided_p_values(statistic, df)
    frame["conf_low"] = of.estimates - one * errors
    frame["conf_high"] = of.estimates + one * errors
    frame["band_low"] = of.estimates - every * errors
    frame["band_high"] = of.estimates + every * errors
    if any(inference is not None for inference in found):
        _replace_inference(frame, of, found, level, seed)
    for column in ("n_treated", "n_comparison"):
        if column in of.cells:
            frame[column] = of.cells[column]
    if (of.cells["note"] != "").any():
        frame["note"] = of.cells["note"]
    return frame


def value_for_bands(of: Estimates, level: float, seed: int) -> float:
    """Return the critical value of all K intervals at once (sup-t)."""
    known = ~np.isnan(of.std_errors)
    matrix = of.covariance().to_numpy()[np.ix_(known, known)]
    return bands.simultaneous_critical_value(matrix, level, df=least_freedom(of), seed=seed)


def _replace_inference(
    frame: pd.DataFrame, of: Estimates, found: Found, level: float, seed: int
) -> None:
    """Put statistics, p-values and sets of other methods in place."""
    rows = [row for row, inference in enumerate(found) if inference is not None]
    chosen = [inference for inference in found if inference is not None]
    errors = np.array([i.std_error for i in chosen])
    frame.loc[rows, "std_error"] = errors
    frame.loc[rows, "statistic"] = of.estimates[rows] / errors
    frame.loc[rows, "df"] = [_shown_df(i) for i in chosen]
    frame.loc[rows, "p_value"] = [i.p_value for i in chosen]
    frame.loc[rows, "conf_low"] = [i.confidence_set.low for i in chosen]
    frame.loc[rows, "conf_high"] = [i.confidence_set.high for i in chosen]
    clustered = np.array([i is None or i.method in CLUSTERED for i in found])
    frame[["band_low", "band_high"]] = np.nan
    if clustered.all() or of.support.is_large:
        _widen_bands(frame, of, clustered, level, seed)
    own = np.where(np.isnan(of.std_errors), "", "own")
    frame["inference"] = [i.method if i else o for i, o in zip(found, own, strict=True)]


def _shown_df(inference: Inference) -> float:
    """Degrees of freedom of a method: infinite for the normal law, NaN where it has no law."""
    if inference.df is not None:
        return inference.df
    return np.inf if inference.method in CLUSTERED else np.nan


def _widen_bands(
    frame: pd.DataFrame, of: Estimates, clustered: Booleans, level: float, seed: int
) -> None:
    """Make bands from clustered standard errors, the estimates' correlation and the least df.

    The correlation is that of the estimator's own covariance; other rows have no band.
    """
    known = clustered & frame["std_error"].notna().to_numpy()
    if not known.any():
        return
    df = float(frame.loc[known, "df"].min())
    every = bands.simultaneous_critical_value(
        of.covariance().to_numpy()[np.ix_(known, known)],
        level,
        df=df if np.isfinite(df) else None,
        seed=seed,
    )
    one = bands.pointwise_critical_value(level, frame["df"].to_numpy(dtype=np.float64)[known])
    errors = frame.loc[known, "std_error"].to_numpy(dtype=np.float64)
    reach = np.maximum(one, every if len(of) > 1 else 0.0) * errors
    frame.loc[known, "band_low"] = of.estimates[known] - reach
    frame.loc[known, "band_high"] = of.estimates[known] + reach
