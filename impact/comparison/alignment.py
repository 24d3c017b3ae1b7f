"""How each estimator got its numbers: base period, comparison, weights, sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from impact.errors import listing
from impact.result import Result

__all__ = ["alignment_table", "misalignments"]

LAST_BEFORE = "last period before treatment"
ALL_UNTREATED = "all untreated periods"


def alignment_table(
    labels: Sequence[str], results: Sequence[Result], studies: Sequence[Result | None]
) -> pd.DataFrame:
    """Return one row an estimator, with the columns of ``Comparison.alignment``."""
    return pd.DataFrame(
        [
            {
                "estimator": label,
                "measured_from": _measured_from(result),
                "compared_with": _compared_with(result),
                "cohorts_weighted_by": _weighted_by(result, study),
                "weights": result.design.weights or "none",
                "rows": result.design.n_rows,
                "n_treated": _first_treated(result),
            }
            for label, result, study in zip(labels, results, studies, strict=True)
        ]
    )


def misalignments(table: pd.DataFrame) -> list[str]:
    """Say where estimators differ in base period, comparison or weights, and what of it."""
    sentences = []
    for column, head, meaning in (
        ("measured_from", "Base periods differ",
         "the same effects if trends are parallel in all periods before treatment, not else"),
        ("compared_with", "Comparison units differ",
         "the same effects if the trends of those treated later are parallel too"),
        ("cohorts_weighted_by", "Cohorts are weighted differently",
         "the same average only if effects do not differ between cohorts"),
    ):  # fmt: skip
        groups = table.groupby(column, sort=False)["estimator"].apply(listing)
        if len(groups) > 1:
            said = "; ".join(f"{what} ({who})" for what, who in groups.items())
            sentences.append(f"{head}: {said}. They are {meaning}.")
    seen = table.dropna(subset="n_treated")
    shown = seen["n_treated"].map("{:,.0f}".format)
    counts = seen["estimator"].groupby(shown, sort=False).apply(listing)
    if len(counts) > 1:
        said = "; ".join(f"{n} ({who})" for n, who in counts.items())
        sentences.append(f"Treated units behind the first effect differ: {said}.")
    return sentences


def _measured_from(result: Result) -> str:
    """Say which untreated periods the effects are measured from."""
    settings = result.settings
    if settings.get("base_period") == "varying":
        return f"{LAST_BEFORE}; before it, the period before each"
    if settings.get("base_event_times") is not None:
        return f"event times {settings['base_event_times']}"
    if int(str(settings.get("base_periods", 1))) > 1:
        return f"mean of the last {settings['base_periods']} periods before treatment"
    imputes = result.estimator in ("Imputation", "TwoStage")
    pooled = result.estimator == "ExtendedTWFE" and settings["comparison"] == "not_yet_treated"
    static = result.estimator == "TwoWayFixedEffects" and settings["effect"] == "static"
    return ALL_UNTREATED if imputes or pooled or static else LAST_BEFORE


def _compared_with(result: Result) -> str:
    """Say who serves as comparison."""
    stated = result.settings.get("comparison")
    if stated is not None:
        return "never treated" if stated == "never_treated" else "not yet or never treated"
    if result.estimator == "SunAbraham":
        alone = np.isnan(result.design.cohorts).any()
        return "never treated" if alone else "the cohort treated last"
    if result.estimator == "StackedDiD":
        return "untreated throughout the window"
    if result.estimator == "TwoWayFixedEffects":
        return "all others, treated ones too"
    return "not yet or never treated"


def _weighted_by(result: Result, study: Result | None) -> str:
    """Say what weight a cohort has in an event time's effect."""
    if result.settings.get("weighting") in ("variance", "none"):
        return "size and variance of treatment"
    if study is None:
        return "size and variance of treatment"
    return "size"


def _first_treated(result: Result) -> float:
    """Count the treated units behind the effects in the first period of treatment."""
    if "n_treated" not in result.cells or len(result) == 0:
        return np.nan
    first = (result.cells["event_time"] == 0) & result.cells["estimate"].notna()
    return float(result.cells.loc[first, "n_treated"].sum()) if first.any() else np.nan
