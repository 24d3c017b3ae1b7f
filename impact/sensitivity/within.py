"""The regression with unit and period effects that omitted-variable analyses start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from impact.errors import listing
from impact.kernels.absorb import absorb
from impact.result import Result

__all__ = ["COVARIATES_VARY", "Within", "within", "within_fault"]

Floats = NDArray[np.float64]

COVARIATES_VARY = "designs with covariates that vary within units"
"""The designs that these analyses apply to."""


@dataclass(frozen=True, eq=False)
class Within:
    """Outcome (n,), treatment (n,), covariates (n, k) free of unit and period effects."""

    outcome: Floats
    treatment: Floats
    covariates: Floats
    names: tuple[str, ...]
    df: int


def within(result: Result) -> Within:
    """Sweep unit and period effects out; leave out covariates that then no longer vary."""
    rows = result.design.rows()
    absorber = absorb([rows.unit_codes, rows.time_codes], rows.weights)
    before = np.vstack([rows.outcome, rows.regressors.T])
    swept = absorber.sweep(before)
    if rows.weights is not None:
        swept, before = swept * np.sqrt(rows.weights), before * np.sqrt(rows.weights)
    varies = np.square(swept).sum(1) > 1e-10 * np.square(before - before.mean(1)[:, None]).sum(1)
    kept = np.flatnonzero(varies[2:])
    return Within(
        swept[0],
        swept[1],
        swept[2 + kept].T,
        tuple(rows.names[1 + k] for k in kept),
        df=len(rows.outcome) - absorber.rank - 1 - len(kept),
    )


def within_fault(result: Result) -> str | None:
    """Say why a design gives no such regression; None if it does."""
    design = result.design
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated cell."
    if not design.covariates:
        return "this design has none, so there is nothing to measure a confounder by."
    sample = within(result)
    if not sample.names:
        return (
            f"{listing(design.covariates)} do not vary within units and periods, whose effects "
            "have already taken them up."
        )
    if sample.treatment @ sample.treatment <= 1e-10 * len(sample.treatment):
        return "treatment does not vary beside units and periods."
    if sample.df < 2:
        return "too few rows are left for the regression."
    return None
