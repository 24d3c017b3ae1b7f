"""The question, frozen: what was treated, when, how much, and which rows answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.calendar import Break, spanned_breaks, warn_of_breaks
from impact.design.assignment import check_assignment, split_by_clusters
from impact.design.cohorts import CodedCohorts, code_cohorts
from impact.design.facts import DesignFacts, adoption_of
from impact.design.question import Question, given_columns
from impact.design.rows import DesignRows, row_codes, side_by_side, units_stay_within
from impact.design.sample import Sample, follows_nobody, sample_of
from impact.panel import Panel
from impact.warehouse import Query, TablePanel, TableSample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Design"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Design(Question):
    """State what was treated and when, for one outcome of a panel.

    Everything two estimators must agree on to answer the same question lives here: sample,
    treatment, anticipation, clusters, weights, covariates.

    Parameters
    ----------
    panel : Panel
    outcome : column of the outcome, in its own units
    cohort : column of the first treated period, one value a unit; missing = never treated
    treated : column of 0 and 1 by unit and period, instead of ``cohort``
    dose : column of amounts by unit and period, 0 where untreated, instead of ``cohort``
    anticipation : periods before the first treated one in which the treatment may already act
    clusters : column, or columns, that standard errors are clustered by; if None the level of
        assignment, which is the unit if ``assigned_by`` is None too
    assigned_by : column whose values were treated as wholes, such as the province; units lie
        within them, and treatment must be alike within each in every period. Inference then
        refuses clusters that split them
    covariates : columns that comparisons condition on
    weights : column of positive sampling weights; equal if None
    never_treated : value of ``cohort`` that stands for "never treated", such as 0, if one does
    always_treated : "refuse" leaves units without an untreated period to the estimators, which
        refuse them by name where they cannot be used; "drop" drops and counts them
    series : kind of Vietnamese statistic the outcome is, such as "employment", "enterprise_jobs"
        or "income"; the known breaks of that kind within the years are then warned of. Nothing is
        guessed from a column's name, and other data are left alone

    Raises
    ------
    DesignError : contradictory treatment columns, a cohort outside the panel, a treatment
        that is not 0 or 1, a negative dose, a weight that is not positive, an outcome never
        observed, treatment that differs within the level of assignment

    Notes
    -----
    Rows in which outcome, treatment, weight, cluster, level of assignment or a covariate is
    missing are left out together, so that all estimators use the same rows; ``dropped`` counts
    them by cause. A cohort outside the panel is an error and never becomes "never treated" in
    silence.

    Years are the panel's periods, provinces those of a column ``province_code`` if it has one:
    see ``impact.calendar``. A panel keyed by ``places.keyed`` shows in ``breaks`` the breaks of
    every kind, without a warning, while ``series`` is not stated.

    A panel whose units are each observed once is a series of cross-sections: give every
    observation its own unit, and ``cohort`` says when its group was first treated, also in
    rows from before. Estimators that follow units refuse such a design.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._drawn
        if self.treatment_column is not None and self.table is None:
            _ = self.cohorts
        if self.assigned_by is not None:
            check_assignment(self, self.sample, self.cohorts, self.assigned_by)
        if self.series is not None:
            warn_of_breaks(self.breaks, self.outcome, self.series, stacklevel=4)

    @classmethod
    def from_table(
        cls, table: Any, *, unit: str, time: str, outcome: str, **question: Any
    ) -> Design:
        """State a design on a table that stays where it is.

        Parameters
        ----------
        table : Ibis table expression: `impact.scan("folder/*.parquet")`, or a table of a database
        unit, time : as of a `Panel`
        outcome, question : as of a design

        Returns
        -------
        Design : whose estimates the table's engine computes, from cohort moments and cluster sums

        Raises
        ------
        TableError : a column is not there or does not aggregate, or the engine cannot answer

        Notes
        -----
        Estimators that need the rows of units refuse such a design; `collect` draws rows into
        memory for them. Clusters are one column that units do not cross, and weights do not
        change within a unit. Nothing is written to the engine.
        """
        return cls(TablePanel(table, unit=unit, time=time), outcome=outcome, **question)

    @property
    def table(self) -> TableSample | None:
        """The sample as counted where it lies; None where rows are in memory."""
        sample = self.sample
        return sample if isinstance(sample, TableSample) else None

    @property
    def queries(self) -> tuple[Query, ...]:
        """The queries that a table's engine ran for this design so far; none in memory."""
        return () if self.table is None else tuple(self.table.engine.queries)

    def collect(self, *, share: float = 1.0, seed: int = 0) -> Design:
        """Return the same design with the rows in memory: the needed columns of a share of units.

        Parameters
        ----------
        share : of the units, between 0 and 1, drawn by a hash of their names
        seed : of the draw
        """
        if not isinstance(self.panel, TablePanel):
            return self
        names = [self.outcome, *given_columns(self), *self.cluster_columns]
        names += [self.weights] if self.weights else []
        return replace(self, panel=self.panel.collect(names, share=share, seed=seed))

    def __repr__(self) -> str:
        return f"Design({self.outcome}: {self.facts.sentence()})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{value}</td></tr>"
            for name, value in (self.facts.table() | self._break_row()).items()
        )
        return f"<table><caption>Design: {self.outcome}</caption><tbody>{rows}</tbody></table>"

    def _break_row(self) -> dict[str, str]:
        return (
            {"Known breaks": "; ".join(known.label for known in self.breaks)} if self.breaks else {}
        )

    @cached_property
    def _drawn(self) -> Sample:
        return sample_of(self)

    @property
    def sample(self) -> Panel:
        """The panel of the rows used."""
        return self._drawn.panel

    @property
    def dropped(self) -> dict[str, int]:
        """Rows left out, counted by the first cause that applies."""
        return self._drawn.dropped

    @property
    def periods(self) -> Integers:
        """Periods of the sample, shape (T,)."""
        return self.sample.periods

    @property
    def n_units(self) -> int:
        """Units in the sample."""
        return self.sample.n_units

    @property
    def n_rows(self) -> int:
        """Rows in the sample."""
        return self.sample.n_rows

    @property
    def is_balanced(self) -> bool:
        """Whether every unit of the sample is observed in every period."""
        return self.sample.is_balanced

    @property
    def is_repeated_cross_section(self) -> bool:
        """Whether no unit is followed: each is observed once, in one of several periods."""
        return follows_nobody(self.panel if self.table is None else self.sample)

    @cached_property
    def breaks(self) -> tuple[Break, ...]:
        """Known breaks of Vietnamese statistics within the sample's years."""
        columns = self.panel.frame.columns
        if self.series is None and "province_vintage" not in columns:
            return ()
        provinces = _values(self, "province_code") if "province_code" in columns else None
        vintages = _values(self, "province_vintage") if "province_vintage" in columns else [63]
        return spanned_breaks(
            self.periods.tolist(),
            outcome=self.series,
            province_codes=provinces,
            vintage=34 if set(vintages) == {34} else 63,
        )

    @cached_property
    def outcomes(self) -> Floats:
        """Outcome by unit and period, shape (N, T); NaN where unobserved."""
        return self.sample.matrix(self.outcome)

    @cached_property
    def cohorts(self) -> Floats:
        """First treated period of each unit, shape (N,); NaN if never treated."""
        if self._drawn.cohorts is None:
            return np.full(self.n_units, np.nan)
        return self._drawn.cohorts

    @cached_property
    def treatment(self) -> Floats:
        """Treatment indicator by unit and period, shape (N, T); NaN where unobserved."""
        if self.treated is not None:
            return self.sample.matrix(self.treated)
        if self.dose is not None:
            doses = self.doses
            return np.where(np.isnan(doses), np.nan, (doses > 0).astype(np.float64))
        on = (self.periods >= self.cohorts[:, None]).astype(np.float64)
        return np.where(np.isnan(self.outcomes), np.nan, on)

    @cached_property
    def doses(self) -> Floats:
        """Dose by unit and period, shape (N, T); the indicator where no dose was given."""
        return self.sample.matrix(self.dose) if self.dose is not None else self.treatment

    @property
    def cohort_values(self) -> Floats:
        """Distinct cohorts in order, shape (C,), without the never treated."""
        return self._coded_cohorts.values if self.table is None else self.table.cohort_values

    @property
    def cohort_codes(self) -> Integers:
        """Position of each unit's cohort in ``cohort_values``, shape (N,); C if never treated."""
        return self._coded_cohorts.codes

    @property
    def cohort_units(self) -> Integers:
        """Units by cohort, the never treated last, shape (C + 1,)."""
        return self._coded_cohorts.units if self.table is None else self.table.cohort_units

    @cached_property
    def _coded_cohorts(self) -> CodedCohorts:
        return code_cohorts(self.cohorts)

    @property
    def has_never_treated(self) -> bool:
        """Whether some unit is never treated."""
        return bool(self.cohort_units[-1])

    @property
    def cohort_sizes(self) -> pd.Series:
        """Units by cohort, with the never treated last."""
        labels = [f"{value:g}" for value in self.cohort_values]
        index = pd.Index([*labels, "never treated"], name="cohort")
        return pd.Series(self.cohort_units, index=index)

    @cached_property
    def reversing_units(self) -> pd.Index:
        """Units whose treatment, once begun, is seen to stop."""
        if self.table is not None:
            return self.table.reversing_units
        stopped = self._drawn.stopped
        units: pd.Index = self.sample.units[np.zeros(0, int) if stopped is None else stopped]
        return units

    @cached_property
    def always_treated_units(self) -> pd.Index:
        """Units already treated, or in anticipation of it, whenever they are first observed."""
        if self.table is not None:
            return self.table.always_treated_units
        first_seen = self.periods[0]
        if not (self.is_repeated_cross_section or self.is_balanced):
            first_seen = self.periods[np.argmax(~np.isnan(self.outcomes), axis=1)]
        early = self.cohorts - self.anticipation <= first_seen
        return self.sample.units[np.flatnonzero(early)]

    @cached_property
    def cluster_codes(self) -> Integers:
        """Cluster of each unit, shape (N,), by the first cluster column.

        Raises
        ------
        PanelError : a unit changes cluster
        """
        column = self.cluster_columns[0]
        if column == self.panel.unit:
            return np.arange(self.n_units)
        codes, _ = pd.factorize(self.sample.unit_values(column), sort=True)
        return codes.astype(np.int64)

    @cached_property
    def n_clusters(self) -> int:
        """Number of clusters by the first cluster column."""
        if self.table is not None:
            return self.table.cluster_counts[0]
        if self.cluster_columns[0] == self.panel.unit:
            return self.n_units
        return int(self.sample.column(self.cluster_columns[0]).nunique())

    @cached_property
    def n_treated_clusters(self) -> int:
        """Clusters with a unit that is ever treated; where units move, with a treated row."""
        if self.table is not None:
            return self.table.cluster_counts[1]
        treated = ~np.isnan(self.cohorts)
        if self.cluster_columns[0] == self.panel.unit:
            return int(np.count_nonzero(treated))
        if not units_stay_within(self.sample, self.cluster_columns[0]):
            rows = self.treatment[~np.isnan(self.outcomes)] > 0
            return len(np.unique(row_codes(self.sample, self.cluster_columns[0])[rows]))
        return int(np.count_nonzero(np.bincount(self.cluster_codes[treated])))

    @cached_property
    def split_assignments(self) -> pd.Index:
        """Values of ``assigned_by`` that every cluster column splits over several clusters."""
        column = self.assigned_by
        if column is None or column in self.cluster_columns:
            return pd.Index([])
        return split_by_clusters(self.sample, column, self.cluster_columns)

    @cached_property
    def unit_weights(self) -> Floats | None:
        """Weight of each unit, shape (N,), scaled to mean one; None if all are equal.

        Raises
        ------
        PanelError : weights change within a unit
        """
        if self.weights is None:
            return None
        values = self.sample.unit_values(self.weights).to_numpy(dtype=np.float64)
        return np.asarray(values / values.mean())

    def covariate_array(self) -> Floats:
        """Covariates by unit and period, shape (N, T, k); NaN where unobserved."""
        layers = [self.sample.matrix(name) for name in self.covariates]
        shape = (self.n_units, len(self.periods), 0)
        return np.stack(layers, axis=2) if layers else np.empty(shape)

    def rows(self) -> DesignRows:
        """Return the sample as row arrays in (unit, time) order, for regressions."""
        sample = self.sample
        names = [
            *([self.treated or self.dose] if self.treated or self.dose else []),
            *self.covariates,
        ]
        columns = [sample.numeric(str(name)) for name in names]
        if self.cohort is not None:
            observed = ~np.isnan(self.outcomes)
            columns.insert(0, self.treatment[observed])
            names.insert(0, "treated")
        clusters = [row_codes(sample, column) for column in self.cluster_columns]
        return DesignRows(
            unit_codes=sample.unit_codes,
            time_codes=sample.time_codes,
            cluster_codes=side_by_side(clusters),
            outcome=sample.numeric(self.outcome),
            regressors=side_by_side(columns) if columns else np.empty((sample.n_rows, 0)),
            names=tuple(str(name) for name in names),
            weights=None if self.weights is None else sample.numeric(self.weights),
        )

    @cached_property
    def facts(self) -> DesignFacts:
        """Counts that decide which estimators and which inference fit."""
        stated = self.treatment_column is not None
        sizes = self.cohort_units[:-1]
        reversing = len(self.reversing_units) if stated else 0
        return DesignFacts(
            n_rows=self.n_rows,
            n_units=self.n_units,
            n_periods=len(self.periods),
            first_period=int(self.periods[0]),
            last_period=int(self.periods[-1]),
            is_balanced=self.is_balanced,
            adoption=adoption_of(len(sizes), reversing),
            n_treated_units=int(sizes.sum()),
            n_never_treated=int(self.cohort_units[-1]) if stated else 0,
            n_always_treated=len(self.always_treated_units) if stated else 0,
            n_cohorts=len(sizes),
            smallest_cohort=int(sizes.min()) if len(sizes) else 0,
            n_reversing=reversing,
            n_clusters=self.n_clusters,
            n_treated_clusters=self.n_treated_clusters if stated else 0,
            n_dropped_rows=sum(self.dropped.values()),
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw who is treated when, one line a unit, sorted by the first treated period."""
        from impact import plots

        return plots.treatment_timing(
            self.treatment, self.periods, ax=ax, unit=f"units by {self.panel.unit}",
            time=self.panel.time,
        )  # fmt: skip

    def diagnose(self) -> DesignFacts:
        """Return the facts of the design: adoption, comparison units, clusters, reversals."""
        return self.facts


def _values(design: Design, name: str) -> list[Any]:
    """Return the distinct values of a column of the sample."""
    if isinstance(design.panel, TablePanel):
        return design.panel.distinct(name)
    return design.sample.frame[name].unique().tolist()
