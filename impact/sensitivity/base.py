"""What a sensitivity analysis returns, and how it says where it applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import tables
from impact.design import Design
from impact.errors import DesignError
from impact.estimators import estimator_class
from impact.panel import Panel
from impact.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Check", "Finding", "figure_axes", "headline", "refit", "with_columns"]


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """Answer one question about how far an effect can be trusted.

    Attributes
    ----------
    name : the analysis
    question : what it asks, as a sentence
    statistic : the number that answers it; NaN if there is none
    table : the numbers behind it
    sentence : the answer in words
    values : the numbers used in the sentence, by name
    draw : draws the figure on an Axes (None for one of its own); None if there is no figure
    notes : what a reader of the numbers must know
    """

    name: str
    question: str
    statistic: float
    table: pd.DataFrame
    sentence: str
    values: Mapping[str, float] = field(default_factory=dict)
    draw: Callable[[Axes | None], Axes] | None = None
    notes: tuple[str, ...] = ()

    def figure(self, *, ax: Axes | None = None) -> Axes:
        """Draw the finding.

        Raises
        ------
        DesignError : the analysis has no figure
        """
        if self.draw is None:
            raise DesignError(f"{self.name} has no figure; its numbers are in .table.")
        return self.draw(ax)

    def summary(self) -> str:
        """Return question, answer, table and notes as text."""
        parts = [self.question, self.sentence, "", tables.to_text(self.table), *self.notes]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return tables.to_html(self.table, caption=self.question, notes=(self.sentence, *self.notes))


@dataclass(frozen=True)
class Check:
    """Name an analysis, the designs it applies to, and how to run it.

    Parameters
    ----------
    name : the analysis
    applies_to : the designs it applies to, in a few words
    fault : says why it does not apply to a result and what to do; None if it does
    run : the analysis with its default settings
    """

    name: str
    applies_to: str
    fault: Callable[[Result], str | None]
    run: Callable[[Result], Finding]

    def require(self, result: Result) -> None:
        """Refuse a result to which the analysis does not apply.

        Raises
        ------
        DesignError : it does not, with the reason
        """
        reason = self.fault(result)
        if reason:
            raise DesignError(f"{self.name} applies to {self.applies_to}: {reason}")


def figure_axes(ax: Axes | None, width: float = 7.0, height: float = 4.0) -> Axes:
    """Return the Axes given, or one of a new figure, without a frame at top and right."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def refit(result: Result, design: Design) -> Result:
    """Fit the result's own estimator, with its settings, to another design."""
    return estimator_class(result.estimator)(**result.settings).fit(design)


def with_columns(design: Design, columns: Mapping[str, object], **changes: object) -> Design:
    """Return the design on the same rows with columns added and settings changed.

    ``columns`` hold one value a row of the design's sample in (unit, time) order; rows whose
    value in a column named "keep" is False are left out.
    """
    sample = design.sample
    frame = sample.frame if sample.order is None else sample.frame.iloc[sample.order]
    frame = frame.assign(**{name: np.asarray(values) for name, values in columns.items()})
    if "keep" in columns:
        frame = frame[np.asarray(columns["keep"], dtype=bool)]
    panel = Panel(frame, unit=sample.unit, time=sample.time)
    return replace(design, panel=panel, **changes)  # type: ignore[arg-type]


def headline(result: Result) -> tuple[float, float]:
    """Return the estimate and standard error of the result's overall effect."""
    overall = result.att()
    return float(overall.estimates[0]), float(overall.std_errors[0])
