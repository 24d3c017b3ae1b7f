"""The effect when treatment may have acted before it formally began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from impact.errors import DesignError
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    cohort_fault,
    draw_estimates,
    printed,
    refit,
)
from impact.sensitivity.sentences import Sentence

__all__ = ["ANTICIPATION", "anticipation"]


def anticipation(
    result: Result, *, periods: Sequence[int] = (0, 1, 2), level: float = 0.95
) -> Finding:
    """Ask how the effect changes if treatment may act up to some periods early.

    Parameters
    ----------
    result : of a design with first treated periods
    periods : numbers of periods of anticipation to allow
    level : confidence level

    Returns
    -------
    Finding : statistic = largest change from the printed effect, in the estimator's standard
        errors; one row
        a number of periods, NaN with a note where no period is left to compare with

    Raises
    ------
    DesignError : a design without first treated periods, or a negative number of periods

    Notes
    -----
    Units that lose their last untreated period are dropped, so that samples may differ.
    """
    ANTICIPATION.require(result)
    if any(count < 0 for count in periods) or not len(periods):
        raise DesignError(f"periods of anticipation are 0 or more; they were {list(periods)}.")
    table = pd.DataFrame(
        [
            {"anticipation": count} | printed(partial(_anticipating, result, count), level)
            for count in periods
        ]
    )
    full = result.att()
    estimate, error = float(full.estimates[0]), float(full.std_errors[0])
    known = table.dropna(subset=["estimate"])
    moves = (known["estimate"] - estimate).abs()
    largest = float(moves.max() / error) if len(known) else np.nan
    low, high = float(known["estimate"].min()), float(known["estimate"].max())
    said = Sentence.of("anticipation.impossible")
    if len(known):
        said = Sentence.of(
            "anticipation.answer",
            first=known["anticipation"].min(),
            last=known["anticipation"].max(),
            low=low,
            high=high,
            effect=estimate,
        )
    return Finding(
        name="anticipation",
        asked=Sentence.of("anticipation.question"),
        statistic=largest,
        table=table,
        said=said,
        values={
            "lowest": float(known["estimate"].min()),
            "highest": float(known["estimate"].max()),
        },
        draw=lambda ax: draw_estimates(table, "anticipation", ax, estimate),
    )


def _anticipating(result: Result, count: int) -> Result:
    """Refit allowing for that many periods of anticipation."""
    return refit(result, replace(result.design, anticipation=count, always_treated="drop"))


ANTICIPATION = Check(
    "anticipation", "designs with first treated periods", cohort_fault, anticipation
)
