"""Predictors that donors should match: which, when measured, by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, listing, plural
from impact.estimators.parts.donors import Block

__all__ = ["Predictor", "PredictorWeights", "predictor_matrix", "predictor_windows"]

Floats: TypeAlias = NDArray[np.float64]
PredictorWeights: TypeAlias = Literal["nested", "cross_validation", "equal"]


@dataclass(frozen=True)
class Predictor:
    """A variable that donors should match: the mean of a column over periods before treatment.

    Parameters
    ----------
    column : name of the column; the outcome's for single years of it
    first, last : first and last period of the mean; the whole pre-period where None
    """

    column: str
    first: int | None = None
    last: int | None = None

    @property
    def label(self) -> str:
        """Name with the periods, for tables."""
        if self.first is None and self.last is None:
            return self.column
        ends = [str(p) for p in (self.first, self.last) if p is not None]
        return f"{self.column} {'-'.join(dict.fromkeys(ends))}"


def predictor_windows(
    design: Design, block: Block, predictor_weights: PredictorWeights
) -> list[NDArray[np.intp]]:
    """Return the positions of periods predictors are measured in: one window, or two halves."""
    pre = np.flatnonzero(block.pre)
    if predictor_weights != "cross_validation":
        return [pre]
    half = len(pre) // 2
    return [pre[:half], pre[half:]]


def predictor_matrix(
    design: Design, block: Block, predictors: tuple[Predictor, ...], window: NDArray[np.intp]
) -> Floats:
    """Measure predictors for the treated (first column) and each donor, shape (k, 1 + n)."""
    rows = []
    for predictor in predictors:
        values = _measured(design, block, predictor, window)
        row = np.append(values[block.treated].mean(), values[block.donors])
        if not np.ptp(row) > 0.0:
            raise DesignError(
                f"predictor {predictor.label} has one value for treated and donors alike, so it "
                "cannot tell donors apart. Leave it out."
            )
        rows.append(row)
    return np.stack(rows) if rows else np.empty((0, 1 + len(block.donors)))


def _measured(
    design: Design, block: Block, predictor: Predictor, window: NDArray[np.intp]
) -> Floats:
    """Average a column over the predictor's periods, shape (N,)."""
    times = design.periods[window]
    last_before = int(design.periods[block.pre][-1])
    first = times[0] if predictor.first is None else predictor.first
    last = times[-1] if predictor.last is None else predictor.last
    if last > last_before:
        raise DesignError(
            f"predictor {predictor.label} is measured up to {last}, after the last period before "
            f"treatment ({last_before}); it would hold the effect itself. End it earlier."
        )
    used = window[(times >= first) & (times <= last)]
    values = design.sample.matrix(predictor.column)[:, used]
    known = ~np.isnan(values)
    needed = np.append(block.treated, block.donors)
    absent = needed[~known[needed].any(axis=1)]
    if len(absent):
        raise DesignError(
            f"predictor {predictor.label} is missing from {first} to {last} for "
            f"{plural(len(absent), 'unit')}, first {design.panel.unit} "
            f"{listing(design.sample.units[absent])}. Choose periods in which it was measured, or "
            "leave those donors out."
        )
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1))
