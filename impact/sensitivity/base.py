"""What a sensitivity analysis returns, and how it says where it applies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots, tables
from impact.design import Design
from impact.errors import DesignError, ImpactError, plural
from impact.estimators import estimator_class
from impact.inference.bands import check_level, pointwise_critical_value, two_sided_p_values
from impact.panel import Panel
from impact.result import Result
from impact.sensitivity.labels import say_labels
from impact.sensitivity.sentences import Language, Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FEW",
    "Check",
    "Finding",
    "OverallRow",
    "assignment_groups",
    "cohort_fault",
    "counts",
    "draw_estimates",
    "effect_fault",
    "figure_axes",
    "numbers",
    "printed",
    "printed_error",
    "quick",
    "quick_note",
    "refit",
    "refit_fault",
    "smaller_arm",
    "sorted_frame",
    "with_cohorts",
    "without_rows",
]

Floats = NDArray[np.float64]


class OverallRow(TypedDict):
    """The overall effect of one fit."""

    estimate: float
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    note: str


NO_EFFECT: OverallRow = {
    "estimate": np.nan,
    "std_error": np.nan,
    "p_value": np.nan,
    "conf_low": np.nan,
    "conf_high": np.nan,
    "note": "",
}

FEW = 20
"""Clusters in the smaller arm from which clustered variances are read by the normal law here."""

ROWS_SHOWN = 25
"""Rows of a finding's table that its summary prints."""

PRETENDED = "pretended first treated period"
"""Column that placebo designs add."""


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """Answer one question about how far an effect can be trusted.

    Attributes
    ----------
    name : the analysis
    asked : what it asks
    statistic : the number that answers it; NaN if there is none
    table : the numbers behind it
    said : the answer in words
    values : the numbers that answer, by name
    draw : draws the figure on an Axes (None for one of its own); None if there is no figure
    notes : what a reader of the numbers must know
    """

    name: str
    asked: Sentence
    statistic: float
    table: pd.DataFrame
    said: Sentence
    values: Mapping[str, float] = field(default_factory=dict)
    draw: Callable[[Axes | None], Axes] | None = None
    notes: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """What the analysis asks, in English."""
        return self.asked.say()

    @property
    def sentence(self) -> str:
        """The answer in English; ``said.say("vi")`` gives it in Vietnamese."""
        return self.said.say()

    def figure(self, *, ax: Axes | None = None, language: Language = "en") -> Axes:
        """Draw the finding, its labels in a language ("en" or "vi").

        Raises
        ------
        DesignError : the analysis has no figure, or an unknown language
        """
        if self.draw is None:
            raise DesignError(f"{self.name} has no figure; its numbers are in .table.")
        return say_labels(self.draw(ax), language)

    def summary(self, language: Language = "en") -> str:
        """Return question, answer, the table's first rows and notes (in English) as text."""
        head = tables.to_text(self.table.head(ROWS_SHOWN))
        return "\n".join(
            [self.asked.say(language), self.said.say(language), "", head, *self._notes()]
        )

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        notes = (self.sentence, *self._notes())
        return tables.to_html(self.table.head(ROWS_SHOWN), caption=self.question, notes=notes)

    def _notes(self) -> tuple[str, ...]:
        hidden = len(self.table) - ROWS_SHOWN
        more = (f"{plural(hidden, 'more row')} in .table.",) if hidden > 0 else ()
        return (*more, *self.notes)


@dataclass(frozen=True)
class Check:
    """Name an analysis, the designs it applies to, and how to run it.

    Parameters
    ----------
    name : the analysis
    applies_to : the designs it applies to, in a few words
    fault : says why it does not apply to a result and what to do; None if it does
    run : the analysis; takes the result and its own settings
    needs : settings without a default
    needs_rows : whether it needs the rows of units in memory
    """

    name: str
    applies_to: str
    fault: Callable[[Result], str | None]
    run: Callable[..., Finding]
    needs: tuple[str, ...] = ()
    needs_rows: bool = True

    def reason(self, result: Result) -> str | None:
        """Say why the analysis does not apply to a result; None if it does.

        Raises
        ------
        DesignError : what is given is no result
        """
        if not isinstance(result, Result):
            raise DesignError(
                f"{self.name} takes a Result; this is a {type(result).__name__}. Fit an estimator "
                "to a design, and pass what it returns."
            )
        if self.needs_rows and result.design.table is not None:
            return (
                "it needs the rows of units, and those of this design stay in their table. Draw "
                "units into memory with design.collect(share=0.01, seed=0), or all of them with "
                "design.collect(), and fit again."
            )
        return self.fault(result)

    def require(self, result: Result) -> None:
        """Refuse a result to which the analysis does not apply.

        Raises
        ------
        DesignError : it does not, with the reason
        """
        reason = self.reason(result)
        if reason:
            raise DesignError(f"{self.name} applies to {self.applies_to}: {reason}")


def numbers(name: str, values: Sequence[float], *, above: float = -np.inf) -> list[float]:
    """Return a setting of one or more numbers as a list; refuse none, text, and what is too low."""
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError):
        found = []
    if not found or not all(value > above and np.isfinite(value) for value in found):
        least = "" if above == -np.inf else f" above {above:g}"
        raise DesignError(f"{name} takes one or more numbers{least}; it was {values!r}.")
    return found


def counts(name: str, values: Sequence[int], least: int = 1) -> list[int]:
    """Return a setting of one or more whole numbers as a list; refuse anything else."""
    found = numbers(name, values)
    if any(value < least or value != round(value) for value in found):
        raise DesignError(f"{name} takes whole numbers, {least} or more; it was {values!r}.")
    return [round(value) for value in found]


def figure_axes(ax: Axes | None, width: float = 7.0, height: float = 4.0) -> Axes:
    """Return the Axes given, or one of a new figure, without a frame at top and right."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def refit(result: Result, design: Design) -> Result:
    """Fit the result's own estimator to another design, to be judged as the result is."""
    estimator = estimator_class(result.estimator)(**result.settings)
    return replace(estimator.fit(design), request=result.request)


def sorted_frame(panel: Panel) -> pd.DataFrame:
    """Return the panel's frame in (unit, time) order."""
    return panel.frame if panel.order is None else panel.frame.iloc[panel.order]


def without_rows(design: Design, keep: NDArray[np.bool_]) -> Design:
    """Return the design on the rows of its sample marked by ``keep``, shape (n,)."""
    return replace(design, panel=design.sample.select(keep))


def with_cohorts(design: Design, cohorts: Floats, keep: NDArray[np.bool_]) -> Design:
    """Return the design with other first treated periods, shape (N,), on the rows kept, (n,).

    Units that have no untreated period under the new cohorts are dropped. Cohorts that differ
    within the level of assignment leave it as the clusters.
    """
    sample = design.sample
    if design.assigned_by is not None and not _alike_within(assignment_groups(design), cohorts):
        design = replace(design, clusters=design.cluster_columns, assigned_by=None)
    keep = keep & ~(cohorts <= sample.periods[0])[sample.unit_codes]
    frame = sorted_frame(sample).assign(**{PRETENDED: cohorts[sample.unit_codes]})[keep]
    return replace(
        design,
        panel=Panel(frame, unit=sample.unit, time=sample.time),
        cohort=PRETENDED,
        treated=None,
        dose=None,
        never_treated=None,
        always_treated="drop",
    )


def assignment_groups(design: Design) -> NDArray[np.int64]:
    """Return the level of assignment if stated, else clusters treated as one or units, (N,)."""
    if design.assigned_by is not None:
        if design.assigned_by == design.panel.unit:
            return np.arange(design.n_units)
        return pd.factorize(design.sample.unit_values(design.assigned_by), sort=True)[0]
    codes = np.unique(design.cluster_codes, return_inverse=True)[1].astype(np.int64)
    return codes if _alike_within(codes, design.cohorts) else np.arange(design.n_units)


def _alike_within(codes: NDArray[np.int64], cohorts: Floats) -> bool:
    """Tell whether units of one group, shape (N,), have one first treated period."""
    filled = np.nan_to_num(cohorts, nan=np.inf)
    lowest, highest = np.full(codes.max() + 1, np.inf), np.full(codes.max() + 1, -np.inf)
    np.minimum.at(lowest, codes, filled)
    np.maximum.at(highest, codes, filled)
    return bool((lowest == highest).all())


def cohort_fault(result: Result) -> str | None:
    """Say why a result's design has no first treated periods that could be moved."""
    design = result.design
    if design.dose is not None:
        return "this design has a dose. State cohort= for the question of having been treated."
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated unit."
    if len(design.reversing_units):
        return f"treatment stops again in {plural(len(design.reversing_units), 'unit')}."
    return None


def smaller_arm(design: Design) -> int:
    """Count the clusters with units ever treated, or those with units to compare with if fewer.

    Units are compared with that are treated after the first date, or never.
    """
    try:
        clusters, cohorts = design.cluster_codes, design.cohorts
    except ImpactError:
        facts = design.facts
        return min(facts.n_treated_clusters, facts.n_clusters - facts.n_treated_clusters)
    compared = ~(cohorts <= design.cohort_values.min(initial=np.inf))
    arms = (~np.isnan(cohorts), compared)
    return min(len(np.unique(clusters[arm])) for arm in arms)


def effect_fault(result: Result) -> str | None:
    """Say why a result's overall number is no effect of treatment."""
    term = str(result.att().cells["term"].iloc[0])
    design = result.design
    if len(result) > 1 and term in (f"L1.{design.outcome}", *design.covariates):
        return (
            f'the first coefficient of {result.estimator} is that of "{term}", which is no effect '
            "of treatment. Fit an estimator of treatment effects."
        )
    return None


def refit_fault(result: Result) -> str | None:
    """Say why a result's estimator cannot be asked about other first treated periods."""
    reason = cohort_fault(result) or effect_fault(result)
    if reason is None and result.settings.get("instruments"):
        return (
            f"the instruments of {result.estimator} move the treatment as it was, not one that is "
            "pretended or of others. Fit an estimator without instruments."
        )
    return reason


def printed_error(result: Result, level: float = 0.95) -> float:
    """Return the error of the overall effect as printed; NaN where its interval is unbounded.

    Where a test by ranks gives the interval, it is half its length over the normal critical value.
    """
    row = result.att().tidy(level).iloc[0]
    if row["std_error"] > 0:
        return float(row["std_error"])
    half = (row["conf_high"] - row["conf_low"]) / 2
    return float(half / pointwise_critical_value(level, None)) if np.isfinite(half) else np.nan


def quick_note(result: Result) -> tuple[str, ...]:
    """Say so where the effect is not printed with the estimator's own standard error."""
    inference = result.att().inferences()[0]
    if inference is None or inference.method == "placebo":
        return ()
    return (
        "Judged by the estimator's own standard errors; the effect itself is printed with "
        f"{inference.method}, which does not rely on them.",
    )


def printed(fit: Callable[[], Result], level: float = 0.95) -> OverallRow:
    """Return the overall effect as the result prints it; where that fails, NaN and the reason."""
    check_level(level)
    try:
        row = fit().att().tidy(level).iloc[0]
    except ImpactError as refusal:
        return {**NO_EFFECT, "note": str(refusal).split(". ")[0]}
    note = "" if row["p_value"] == row["p_value"] else "no valid p-value exists for these clusters"
    return {
        "estimate": float(row["estimate"]),
        "std_error": float(row["std_error"]),
        "p_value": float(row["p_value"]),
        "conf_low": float(row["conf_low"]),
        "conf_high": float(row["conf_high"]),
        "note": note,
    }


def quick(fit: Callable[[], Result], level: float = 0.95) -> OverallRow:
    """Return the overall effect judged by the estimator's own standard error."""
    check_level(level)
    try:
        overall = fit().att()
    except ImpactError as refusal:
        return {**NO_EFFECT, "note": str(refusal).split(". ")[0]}
    estimate, std_error = float(overall.estimates[0]), float(overall.std_errors[0])
    half = float(pointwise_critical_value(level, overall.uncertainty.df)) * std_error
    p_value = two_sided_p_values(np.array([estimate / std_error]), overall.uncertainty.df)
    return {
        "estimate": estimate,
        "std_error": std_error,
        "p_value": float(p_value[0]),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "note": "",
    }


def draw_estimates(table: pd.DataFrame, label: str, ax: Axes | None, reference: float) -> Axes:
    """Draw one estimate a row with its interval, and a reference line."""
    ax = figure_axes(ax, 7.0, 0.9 + 0.3 * len(table))
    y = np.arange(len(table))[::-1]
    if "conf_low" in table:
        ax.hlines(y, table["conf_low"], table["conf_high"], color=plots.BLUE, lw=2.0)
    ax.plot(table["estimate"], y, "o", color=plots.BLUE, ms=5)
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.axvline(reference, color=plots.QUIET, lw=0.8, ls=(0, (4, 3)))
    ax.set_yticks(y, [str(value) for value in table[label]])
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("Effect")
    return ax
