"""The effects that results share: event studies, and one average over common periods."""

from __future__ import annotations

import numpy as np

from impact.errors import EstimationError, listing
from impact.result import Result

__all__ = ["AVERAGE", "event_study_of", "mean_over", "one_effect", "treatment_rows"]

AVERAGE = "average"
"""Label of the average over the periods after treatment that all estimators share."""


def event_study_of(result: Result) -> Result | None:
    """Return the effects by event time, or None where the estimates have none."""
    if len(result.shares):
        return result.event_study()
    return result if result.cells["event_time"].notna().all() else None


def treatment_rows(result: Result) -> list[int]:
    """List the rows of a result that are the effect of treatment."""
    names = ("att", "treated", result.design.treatment_column)
    return [k for k, term in enumerate(result.cells["term"]) if term in names]


def one_effect(result: Result) -> Result:
    """Return the effect of treatment of a result without event study.

    Raises
    ------
    EstimationError : none of its estimates is one
    """
    rows = treatment_rows(result)
    if not rows:
        raise EstimationError(
            f"{result.estimator} holds no effect of treatment to compare; it estimates "
            f"{listing(result.cells['term'])}. Leave it out."
        )
    return result.contrasts(np.eye(len(result))[rows[0]], [str(result.cells["term"][rows[0]])])


def mean_over(study: Result, event_times: tuple[float, ...]) -> Result:
    """Average an event study over the given event times with equal weights."""
    keep = study.cells["event_time"].isin(event_times).to_numpy()
    if not keep.any():
        raise EstimationError(
            "these estimators share no event time after treatment at which all have an estimate, "
            "so their averages would not be of the same effects. Leave one of them out."
        )
    return study.contrasts(keep / keep.sum(), ["att"])
