"""The effect when treatment may have acted before it formally began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from impact.errors import DesignError
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    counts,
    draw_estimates,
    printed,
    printed_error,
    refit,
    refit_fault,
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
    Finding : statistic = largest change from the printed effect, in standard errors as printed;
        one row a number of periods, NaN with a note where no period is left to compare with

    Raises
    ------
    DesignError : a design without first treated periods, a negative number of periods, or none
        that the estimator can allow for beside the design's own

    Notes
    -----
    Units that lose their last untreated period are dropped, so that samples may differ.
    """
    ANTICIPATION.require(result)
    periods = counts("periods", periods, least=0)
    table = pd.DataFrame(
        [
            {"anticipation": count} | printed(partial(_anticipating, result, count), level)
            for count in periods
        ]
    )
    known = table.dropna(subset=["estimate"])
    if not (known["anticipation"] != result.design.anticipation).any():
        refused = table.loc[table["estimate"].isna(), "note"]
        raise DesignError(
            f"no number of periods of anticipation but {result.design.anticipation} can be "
            f"allowed for{': ' + refused.iloc[0] if len(refused) else ''}."
        )
    effect = float(result.att().estimates[0])
    low, high = float(known["estimate"].min()), float(known["estimate"].max())
    largest = float((known["estimate"] - effect).abs().max() / printed_error(result, level))
    return Finding(
        name="anticipation",
        asked=Sentence.of("anticipation.question"),
        statistic=largest,
        table=table,
        said=Sentence.of(
            "anticipation.answer",
            first=known["anticipation"].min(),
            last=known["anticipation"].max(),
            low=low,
            high=high,
            effect=effect,
        ),
        values={"lowest": low, "highest": high},
        draw=lambda ax: draw_estimates(table, "anticipation", ax, effect),
    )


def _anticipating(result: Result, count: int) -> Result:
    """Refit allowing for that many periods of anticipation."""
    return refit(result, replace(result.design, anticipation=count, always_treated="drop"))


ANTICIPATION = Check(
    "anticipation", "designs with first treated periods", refit_fault, anticipation
)
