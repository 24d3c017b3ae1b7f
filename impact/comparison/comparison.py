"""Several estimators' answers to one question, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import tables
from impact.coefficient_table import CoefficientTable
from impact.comparison.alignment import alignment_table, misalignments
from impact.comparison.differences import agreement_test, matching_rows, rows_of_differences
from impact.comparison.effects import (
    AVERAGE,
    event_study_of,
    mean_over,
    one_effect,
    treatment_rows,
)
from impact.comparison.figure import draw_studies
from impact.errors import EstimationError, listing
from impact.result import JointTest, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison"]

ALWAYS = ("estimator", "term", "estimate", "std_error", "p_value", "conf_low", "conf_high")
TIDY_COLUMNS = (*ALWAYS[:2], "event_time", *ALWAYS[2:], "inference")
DIFFERENCE_COLUMNS = (
    *ALWAYS[:2], "difference", "std_error", "statistic", "p_value", "inference", "note",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Several estimators' answers to one question, side by side.

    Attributes
    ----------
    results : what was fitted; the first is the reference
    skipped : estimators left out, by how they print, with the reason
    """

    results: tuple[Result, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Name of each result, with the settings that tell namesakes apart."""
        names = [result.estimator for result in self.results]
        return tuple(
            name if names.count(name) == 1 else f"{name} {_distinct(result, self.results)}"
            for name, result in zip(names, self.results, strict=True)
        )

    @cached_property
    def studies(self) -> list[Result | None]:
        """Event study of each result; None where it holds one effect only."""
        return [event_study_of(result) for result in self.results]

    @cached_property
    def common_event_times(self) -> tuple[float, ...]:
        """Event times from 0 on at which every event study has an estimate."""
        shared: set[float] | None = None
        for study in self.studies:
            if study is not None:
                known = study.cells["event_time"][~np.isnan(study.std_errors)]
                times = {float(e) for e in known if e >= 0}
                shared = times if shared is None else shared & times
        return tuple(sorted(shared or ()))

    @cached_property
    def averages(self) -> list[Result]:
        """Mean of each result's effects over the event times from 0 on that all share."""
        return [
            one_effect(result) if study is None else mean_over(study, self.common_event_times)
            for result, study in zip(self.results, self.studies, strict=True)
        ]

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Return all estimates as rows: estimator, term, event_time, estimate, std_error, ...

        The term "average" is the mean over the event times from 0 on that all event studies
        share, or the one effect of an estimator without event study. ``inference`` names the
        method where another than the estimator's own gives p-values and sets; ``std_error`` is
        NaN where that method has none.
        """
        parts = []
        for label, study, average in zip(self.labels, self.studies, self.averages, strict=True):
            frames = [average.tidy(level).assign(term=AVERAGE)]
            if study is not None:
                own = study.tidy(level)
                frames.append(own.assign(term=[f"{e:g}" for e in own["event_time"]]))
            for frame in frames:
                parts.append(frame.assign(estimator=label))
        table = pd.concat([part.dropna(axis=1, how="all") for part in parts], ignore_index=True)
        return table.reindex(columns=[c for c in TIDY_COLUMNS if c in table or c in ALWAYS])

    def table(self) -> pd.DataFrame:
        """Return estimates with standard errors, one row a term, two columns an estimator."""
        long = self.tidy()
        order = [AVERAGE, *sorted(set(long["term"]) - {AVERAGE}, key=float)]
        wide = long.pivot(index="term", columns="estimator", values=["estimate", "std_error"])
        wide = wide.swaplevel(axis=1).reindex(index=order)
        columns = [(label, what) for label in self.labels for what in ("estimate", "std_error")]
        return wide.reindex(columns=pd.MultiIndex.from_tuples(columns))

    def differences(self) -> pd.DataFrame:
        """Return each estimator's estimates less the first one's, with tests.

        What a cluster contributes to a difference is the difference of its contributions, so that
        what the two share cancels. ``inference`` "own" is t(G-1), where clusters are many. Where
        they are few and whole clusters are treated it is "cr2", corrected by cohorts as arms with
        Satterthwaite's degrees of freedom; elsewhere the method that the package chooses. It is
        "none", with the reason in the note, where no law is known. All is NaN, with a note, where
        an estimator has no contributions or the two used other clusters.
        """
        rows: list[dict[str, object]] = []
        for label, study, average in list(
            zip(self.labels, self.studies, self.averages, strict=True)
        )[1:]:
            found = rows_of_differences(average, self.averages[0], [(np.nan, 0, 0)])
            terms = [AVERAGE]
            if study is not None and self.studies[0] is not None:
                pairs = matching_rows(study, self.studies[0])
                found += rows_of_differences(study, self.studies[0], pairs)
                terms += [f"{e:g}" for e, _, _ in pairs]
            rows += [
                {"estimator": label, "term": term, **row}
                for term, row in zip(terms, found, strict=True)
            ]
        table = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
        numbers = list(DIFFERENCE_COLUMNS[2:6])
        return table.astype(dict.fromkeys(numbers, np.float64))

    def joint_tests(self) -> dict[str, JointTest]:
        """Test, for each estimator but the first, that all shared effects after treatment agree.

        The law is that of the differences: Hotelling's F where clusters are few, and no p-value
        where treated clusters less cohorts are fewer than the restrictions.
        """
        first = self.studies[0]
        tests = {
            label: agreement_test(f"{label} and {self.labels[0]}", study, first)
            for label, study in zip(self.labels[1:], self.studies[1:], strict=True)
            if study is not None and first is not None
        }
        return {label: test for label, test in tests.items() if test is not None}

    def alignment(self) -> pd.DataFrame:
        """Return how each estimator got its numbers, one row an estimator.

        Columns are estimator, measured_from (the base period), compared_with, cohorts_weighted_by,
        weights (the design's column), rows and n_treated (units behind the effect in the first
        period of treatment).
        """
        return alignment_table(self.labels, self.results, self.studies)

    def words(self) -> list[str]:
        """Say what each estimator estimates, from what, and who was left out."""
        sentences = []
        for label, result, study in zip(self.labels, self.results, self.studies, strict=True):
            df = result.uncertainty.df
            law = "normal" if df is None else f"t({df:g})"
            span = "one effect"
            if study is not None:
                times = study.cells["event_time"]
                span = f"event times {times.min():g} to {times.max():g}"
            said = " ".join(result.notes)
            sentences.append(
                f"{label}: {result.estimand}; {span}; {result.uncertainty.method}, {law}. {said}"
            )
        shared = self.common_event_times
        if shared:
            sentences.append(
                f"The average is over event times {listing((f'{e:g}' for e in shared), 12)}, each "
                "with the same weight."
            )
        sentences.extend(misalignments(self.alignment()))
        sizes = sorted({result.design.n_rows for result in self.results})
        if len(sizes) > 1:
            sentences.append(f"The samples differ: {listing(sizes)} rows.")
        sentences.extend(f"Left out: {name}. {why}" for name, why in self.skipped.items())
        return sentences

    @cached_property
    def has_effects(self) -> bool:
        """Whether these are effects of treatment; other coefficients stand side by side only."""
        return any(
            study is not None or treatment_rows(result)
            for result, study in zip(self.results, self.studies, strict=True)
        )

    def coefficients(
        self,
        labels: Sequence[str] | None = None,
        terms: Sequence[str] | None = None,
        names: Mapping[str, str] | None = None,
        digits: int = 4,
    ) -> CoefficientTable:
        """Return all coefficients side by side, as journals print them; see CoefficientTable."""
        return CoefficientTable(self.results, labels or self.labels, terms, names, digits)

    def to_html(self) -> str:
        """Return the coefficients side by side as HTML."""
        return self.coefficients().to_html()

    def to_markdown(self) -> str:
        """Return the coefficients side by side in Markdown."""
        return self.coefficients().to_markdown()

    def to_latex(self) -> str:
        """Return the coefficients side by side as a LaTeX tabular."""
        return self.coefficients().to_latex()

    def to_word(self, path: str | Path) -> None:
        """Write the coefficients side by side as a Word file.

        Raises
        ------
        ReportError : the extra "docx" is not installed, or the file is not named .docx
        """
        self.coefficients().to_word(path)

    def _average_table(self) -> pd.DataFrame:
        long = self.tidy()
        rows = long[long["term"] == AVERAGE]
        return rows.drop(columns=["term", "event_time"], errors="ignore")

    def summary(self) -> str:
        """Return averages, differences and words as text."""
        if not self.has_effects:
            return repr(self.coefficients())
        parts = ["Average effect after treatment", "", tables.to_text(self._average_table()), ""]
        differences = self.differences()
        if len(differences):
            first = differences[differences["term"] == AVERAGE].drop(columns=["term"])
            parts += [f"Less {self.labels[0]}", "", tables.to_text(first), ""]
            parts += [str(test) for test in self.joint_tests().values()]
        return "\n".join([*parts, "", *self.words()])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        if not self.has_effects:
            return self.to_html()
        tests = [str(test) for test in self.joint_tests().values()]
        return tables.to_html(
            self._average_table(),
            caption="Average effect after treatment",
            notes=(*tests, *self.words()),
        )

    def plot(self, *, ax: Axes | None = None, level: float = 0.95) -> Axes:
        """Draw the event studies in one figure, side by side at each event time."""
        shown = [(label, s) for label, s in zip(self.labels, self.studies, strict=True) if s]
        if not shown:
            raise EstimationError(
                "none of these results has effects by event time to draw; read table() instead."
            )
        return draw_studies(shown, ax=ax, level=level)


def _distinct(result: Result, results: tuple[Result, ...]) -> str:
    """Name the settings in which a result differs from its namesakes."""
    others = [r for r in results if r.estimator == result.estimator and r is not result]
    own = [
        f"{name}={value!r}"
        for name, value in result.settings.items()
        if any(other.settings.get(name) != value for other in others)
    ]
    position = [r for r in results if r.estimator == result.estimator].index(result) + 1
    return f"({', '.join(own)})" if own else f"({position})"
