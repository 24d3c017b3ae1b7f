"""The question, frozen: what was treated, when, how much, and which rows answer it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.calendar import OUTCOMES, Break, Outcome, spanned_breaks, warn_of_breaks
from impact.errors import DesignError, check_choice, listing, plural
from impact.panel import Panel
from impact.warehouse import Query, Roles, TablePanel, TableSample, draw_sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Design", "DesignFacts", "DesignRows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

# Cohorts are counted over the periods they span unless these are far more than the units.
PERIODS_PER_UNIT = 4


@dataclass(frozen=True, eq=False, repr=False)
class Design:
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

    panel: Panel
    outcome: str = field(kw_only=True)
    cohort: str | None = field(default=None, kw_only=True)
    treated: str | None = field(default=None, kw_only=True)
    dose: str | None = field(default=None, kw_only=True)
    anticipation: int = field(default=0, kw_only=True)
    clusters: str | Sequence[str] | None = field(default=None, kw_only=True)
    covariates: str | Sequence[str] = field(default=(), kw_only=True)
    weights: str | None = field(default=None, kw_only=True)
    never_treated: float | None = field(default=None, kw_only=True)
    always_treated: Literal["refuse", "drop"] = field(default="refuse", kw_only=True)
    series: Outcome | None = field(default=None, kw_only=True)
    assigned_by: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _normalise(self)
        _check_settings(self)
        _ = self._drawn
        if self.treatment_column is not None and self.table is None:
            _ = self.cohorts
        if self.assigned_by is not None:
            _check_assignment(self, self.assigned_by)
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
        names = [self.outcome, *_given_columns(self), *self.cluster_columns]
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

    @property
    def treatment_column(self) -> str | None:
        """Name of the column that says who is treated, whichever of the three was given."""
        return self.cohort or self.treated or self.dose

    @property
    def cluster_columns(self) -> tuple[str, ...]:
        """Columns that standard errors are clustered by."""
        if self.clusters is None:
            return (self.assigned_by or self.panel.unit,)
        return (self.clusters,) if isinstance(self.clusters, str) else tuple(self.clusters)

    @cached_property
    def _drawn(self) -> _Sample:
        return _draw_sample(self)

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
        return _follows_nobody(self.panel if self.table is None else self.sample)

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
    def _coded_cohorts(self) -> _CodedCohorts:
        return _code_cohorts(self.cohorts)

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
        early = _without_pre_period(self.cohorts, self.outcomes, self)
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
        if not _is_nested(self):
            rows = self.treatment[~np.isnan(self.outcomes)] > 0
            return len(np.unique(_row_codes(self.sample, self.cluster_columns[0])[rows]))
        return int(np.count_nonzero(np.bincount(self.cluster_codes[treated])))

    @cached_property
    def split_assignments(self) -> pd.Index:
        """Values of ``assigned_by`` that every cluster column splits over several clusters."""
        column = self.assigned_by
        if column is None or column in self.cluster_columns:
            return pd.Index([])
        groups, names = _row_groups(self.sample, column)
        fewest = np.ones(len(names), dtype=bool)
        for name in self.cluster_columns:
            codes = _row_codes(self.sample, name)
            pairs = np.unique(groups * (codes.max() + 1) + codes) // (codes.max() + 1)
            split = np.bincount(pairs, minlength=len(names)) > 1
            fewest = split if split.sum() < fewest.sum() else fewest
        return names[fewest]

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
        clusters = [_row_codes(sample, column) for column in self.cluster_columns]
        return DesignRows(
            unit_codes=sample.unit_codes,
            time_codes=sample.time_codes,
            cluster_codes=_side_by_side(clusters),
            outcome=sample.numeric(self.outcome),
            regressors=_side_by_side(columns) if columns else np.empty((sample.n_rows, 0)),
            names=tuple(str(name) for name in names),
            weights=None if self.weights is None else sample.numeric(self.weights),
        )

    @cached_property
    def facts(self) -> DesignFacts:
        """Counts that decide which estimators and which inference fit."""
        return _state_facts(self)

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


@dataclass(frozen=True, eq=False)
class DesignRows:
    """Row arrays of a design: n rows in (unit, time) order.

    ``cluster_codes`` has shape (n, number of cluster columns); ``regressors`` has shape
    (n, k) with ``names``: the treatment first, then the covariates. ``positions`` are the rows'
    places in the sample; None if they are all of it.
    """

    unit_codes: Integers
    time_codes: Integers
    cluster_codes: Integers
    outcome: Floats
    regressors: Floats
    names: tuple[str, ...]
    weights: Floats | None
    positions: Integers | None = None


@dataclass(frozen=True)
class DesignFacts:
    """What a design holds; ``adoption`` is "none", "single date", "staggered" or "reversing"."""

    n_rows: int
    n_units: int
    n_periods: int
    first_period: int
    last_period: int
    is_balanced: bool
    adoption: str
    n_treated_units: int
    n_never_treated: int
    n_always_treated: int
    n_cohorts: int
    smallest_cohort: int
    n_reversing: int
    n_clusters: int
    n_treated_clusters: int
    n_dropped_rows: int

    def sentence(self) -> str:
        """Say the design in a line."""
        text = (
            f"{plural(self.n_units, 'unit')}, {plural(self.n_periods, 'period')} "
            f"({self.first_period}-{self.last_period})"
        )
        if self.adoption == "none":
            return text + ", no treatment stated"
        return (
            f"{text}, {self.adoption} adoption by {plural(self.n_treated_units, 'unit')} in "
            f"{plural(self.n_cohorts, 'cohort')}, {self.n_never_treated:,} never treated, "
            f"{plural(self.n_clusters, 'cluster')} ({self.n_treated_clusters:,} treated)"
        )

    def table(self) -> dict[str, str]:
        """Return the facts as labelled text, in the order a reader wants them."""
        return {
            "Units": f"{self.n_units:,}",
            "Periods": f"{self.n_periods} ({self.first_period}-{self.last_period})",
            "Rows": f"{self.n_rows:,} ({'balanced' if self.is_balanced else 'unbalanced'})",
            "Rows left out": f"{self.n_dropped_rows:,}",
            "Adoption": self.adoption,
            "Treated units": f"{self.n_treated_units:,} in {plural(self.n_cohorts, 'cohort')}",
            "Never treated": f"{self.n_never_treated:,}",
            "Clusters": f"{self.n_clusters:,} ({self.n_treated_clusters:,} treated)",
        }


def _normalise(design: Design) -> None:
    """Store the sequences of column names as tuples."""
    covariates = design.covariates
    names = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    object.__setattr__(design, "covariates", names)
    if design.clusters is not None and not isinstance(design.clusters, str):
        object.__setattr__(design, "clusters", tuple(design.clusters))


def _check_settings(design: Design) -> None:
    if not isinstance(design.panel, Panel):
        raise DesignError(
            f"a design starts from a Panel; this is a {type(design.panel).__name__}. "
            "Make one with Panel(frame, unit=..., time=...)."
        )
    given = [name for name in ("cohort", "treated", "dose") if getattr(design, name) is not None]
    if len(given) > 1:
        raise DesignError(
            f"the treatment is stated {len(given)} times ({listing(given)}); they may contradict "
            "each other. Give one of cohort, treated or dose."
        )
    check_choice("always_treated", design.always_treated, ("refuse", "drop"))
    if design.series is not None:
        check_choice("series", design.series, OUTCOMES)
    whole = isinstance(design.anticipation, (int, np.integer))
    if not whole or isinstance(design.anticipation, bool) or design.anticipation < 0:
        raise DesignError(
            f"anticipation counts whole periods before treatment, 0 or more; it was "
            f"{design.anticipation!r}."
        )
    if design.never_treated is not None and design.cohort is None:
        raise DesignError(
            "never_treated names the value of the cohort column that means never treated, but no "
            "cohort column was given."
        )
    if design.assigned_by is not None and isinstance(design.panel, TablePanel):
        raise DesignError(
            f'assigned_by="{design.assigned_by}" is checked against the rows of units, which stay '
            f'in their table. Give clusters="{design.assigned_by}" instead, or state the design on '
            "rows drawn into memory with design.collect(share=...)."
        )
    if design.outcome in (design.panel.unit, design.panel.time):
        role = "unit" if design.outcome == design.panel.unit else "time"
        raise DesignError(
            f'column "{design.outcome}" is the panel\'s {role}, which no treatment can change. '
            "Name the outcome."
        )
    roles = [design.outcome, *_given_columns(design)]
    repeated = {name for name in roles if roles.count(name) > 1}
    if repeated:
        raise DesignError(
            f'column "{sorted(repeated)[0]}" has two roles in this design; outcome, treatment and '
            "covariates must be different columns."
        )


def _given_columns(design: Design) -> list[str]:
    """List the treatment column and the covariates."""
    treatment = design.treatment_column
    return [*([treatment] if treatment else []), *design.covariates]


@dataclass(frozen=True, eq=False)
class _Sample:
    """Rows used, rows left out by cause, and what the treatment column says of the units used.

    ``cohorts`` and ``stopped`` (whether treatment is seen to stop) are read before rows are left
    out, so that an outcome missing when treatment begins does not move its beginning.
    """

    panel: Panel
    dropped: dict[str, int]
    cohorts: Floats | None
    stopped: NDArray[np.bool_] | None


def _draw_sample(design: Design) -> _Sample:
    panel = design.panel
    if isinstance(panel, TablePanel):
        drawn = draw_sample(panel, _roles(design))
        return _Sample(drawn, drawn.dropped, None, None)
    keep = np.ones(panel.n_rows, dtype=bool)
    dropped: dict[str, int] = {}

    def leave_out(rows: NDArray[np.bool_], cause: str) -> None:
        count = int(np.count_nonzero(rows & keep))
        if count:
            dropped[cause] = count
            keep[rows] = False

    def leave_out_missing(name: str, cause: str) -> None:
        if not panel.is_complete(name):
            leave_out(np.isnan(panel.numeric(name)), cause)

    if not panel.is_complete(design.outcome) and np.isnan(panel.numeric(design.outcome)).all():
        raise DesignError(
            f'outcome "{design.outcome}" is missing in all {plural(panel.n_rows, "row")}; there is '
            "nothing to estimate. Check the column's name and how the file was read."
        )
    leave_out_missing(design.outcome, f'outcome "{design.outcome}" missing')
    if design.treated is not None:
        _check_indicator(panel, panel.numeric(design.treated), design.treated)
        leave_out_missing(design.treated, f'treatment "{design.treated}" missing')
    if design.dose is not None:
        _check_dose(panel, panel.numeric(design.dose), design.dose)
        leave_out_missing(design.dose, f'dose "{design.dose}" missing')
    for name in design.covariates:
        leave_out_missing(name, f'covariate "{name}" missing')
    if design.weights is not None:
        _check_weights(panel, panel.numeric(design.weights), design.weights)
        leave_out_missing(design.weights, f'weight "{design.weights}" missing')
    for name in dict.fromkeys((*design.cluster_columns, *_level(design))):
        if name == panel.unit:
            continue
        missing = panel.column(name).isna().to_numpy()
        leave_out(missing if panel.order is None else missing[panel.order], f'"{name}" missing')
    if not keep.any():
        causes = "; ".join(f"{cause} in {count}" for cause, count in dropped.items())
        raise DesignError(
            f"no row is left of {panel.n_rows:,}: {causes}. Check those columns, or leave one out."
        )
    cohorts, stopped = _read_treatment(design)
    if cohorts is not None and design.always_treated == "drop":
        first = np.full(panel.n_units, np.inf)
        rows = np.flatnonzero(keep)
        np.minimum.at(first, panel.unit_codes[rows], panel.periods[panel.time_codes[rows]])
        if _follows_nobody(panel):
            first[:] = panel.periods[0]
        always = cohorts - design.anticipation <= first
        leave_out(always[panel.unit_codes], "unit treated whenever it is observed")
    if keep.all():
        return _Sample(panel, dropped, cohorts, stopped)
    left = np.unique(panel.unit_codes[keep])
    return _Sample(
        panel.select(keep),
        dropped,
        None if cohorts is None else cohorts[left],
        None if stopped is None else stopped[left],
    )


def _level(design: Design) -> tuple[str, ...]:
    return () if design.assigned_by is None else (design.assigned_by,)


def _roles(design: Design) -> Roles:
    own = design.cluster_columns == (design.panel.unit,)
    return Roles(
        outcome=design.outcome,
        cohort=design.cohort,
        treated=design.treated,
        dose=design.dose,
        anticipation=design.anticipation,
        clusters=() if own else design.cluster_columns,
        covariates=tuple(design.covariates),
        weights=design.weights,
        never_treated=design.never_treated,
        always_treated=design.always_treated,
    )


def _read_treatment(design: Design) -> tuple[Floats | None, NDArray[np.bool_] | None]:
    """Return each unit's first treated period and whether treatment stops, from all its rows."""
    if design.cohort is not None:
        return _check_cohorts(design), None
    column = design.treated or design.dose
    if column is None:
        return None, None
    panel = design.panel
    amounts = panel.matrix(column)
    active = np.nan_to_num(amounts) > 0
    first = panel.periods[np.argmax(active, axis=1)].astype(np.float64)
    cohorts = np.where(active.any(axis=1), first, np.nan)
    begun = np.logical_or.accumulate(active, axis=1)
    return cohorts, (begun & (amounts == 0)).any(axis=1)


def _check_cohorts(design: Design) -> Floats:
    """Read the cohort of each unit of the panel, refusing values outside its periods."""
    panel, name = design.panel, str(design.cohort)
    values = panel.repeated(name)
    if values is None:
        _refuse_partly_missing(panel, name)
        values = panel.unit_values(name)
    cohorts = _cohort_numbers(values, design)
    first, last = panel.periods[0], panel.periods[-1]
    outside = (cohorts < first) | (cohorts > last)
    if outside.any():
        wrong = np.unique(cohorts[outside])
        raise DesignError(
            f'cohort column "{name}" holds {listing(f"{v:g}" for v in wrong)}, outside the '
            f"panel's periods {first}-{last}, for {plural(int(outside.sum()), 'unit')}, first "
            f"{panel.unit} {listing(panel.units[outside])}; their timing cannot be told from "
            '"never treated". If a value stands for never treated, say so with never_treated='
            f"{wrong[0]:g}; if units are treated after the panel ends, set them to NaN to use "
            "them as never treated; else drop them."
        )
    fractional = ~np.isnan(cohorts) & (cohorts != np.round(cohorts))
    if fractional.any():
        raise DesignError(
            f'cohort column "{name}" holds {listing(np.unique(cohorts[fractional]))}; a cohort is '
            f"the first treated period and must be one of the panel's whole periods."
        )
    return cohorts


def _refuse_partly_missing(panel: Panel, name: str) -> None:
    missing = panel.column(name).isna().to_numpy()
    partly = _differs_within(panel, missing if panel.order is None else missing[panel.order])
    if partly.any():
        raise DesignError(
            f'cohort column "{name}" is missing in some rows of '
            f"{plural(int(partly.sum()), 'unit')} and filled in others, first {panel.unit} "
            f"{listing(panel.units[partly])}; whether they are treated cannot be told. Fill it in "
            "all rows of a unit, or in none."
        )


@dataclass(frozen=True, eq=False)
class _CodedCohorts:
    """Cohorts in order (C,), each unit's position among them (N,), C if never, units (C + 1,)."""

    values: Floats
    codes: Integers
    units: Integers


def _code_cohorts(cohorts: Floats) -> _CodedCohorts:
    """Code first treated periods, whole numbers or NaN, shape (N,)."""
    low, high = np.fmin.reduce(cohorts), np.fmax.reduce(cohorts)
    if np.isnan(low):
        nobody = np.zeros(len(cohorts), dtype=np.int64)
        return _CodedCohorts(np.zeros(0), nobody, np.array([len(cohorts)]))
    if high - low > PERIODS_PER_UNIT * len(cohorts) + 1024:
        values, codes = np.unique(np.fmin(cohorts, high + 1), return_inverse=True)
        values = values[values <= high]
        return _CodedCohorts(values, codes, np.bincount(codes, minlength=len(values) + 1))
    # Less the first, with the never treated after the last.
    steps = (np.fmin(cohorts, high + 1) - low).astype(np.int64)
    counts = np.bincount(steps, minlength=int(high - low) + 2)
    found = np.flatnonzero(counts[:-1])
    table = np.cumsum(counts > 0) - 1
    table[-1] = len(found)
    units = np.append(counts[found], counts[-1])
    return _CodedCohorts(found + low, table.take(steps), units)


def _differs_within(panel: Panel, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell in which units some sorted rows are marked and others are not, shape (N,)."""
    if panel.is_balanced:
        grid = marks.reshape(panel.n_units, panel.n_periods)
        differs = grid != grid[:, :1]
        return differs.any(axis=1) if differs.any() else np.zeros(panel.n_units, dtype=bool)
    count = np.bincount(panel.unit_codes, marks, panel.n_units)
    return np.asarray((count > 0) & (count < np.bincount(panel.unit_codes)))


def _cohort_numbers(values: pd.Series, design: Design) -> Floats:
    if not pd.api.types.is_numeric_dtype(values):
        numbers = pd.to_numeric(values, errors="coerce")
        texts = values[numbers.isna() & values.notna()]
        if len(texts):
            shown = listing([repr(t) for t in texts.unique()])
            raise DesignError(
                f'cohort column "{design.cohort}" holds {shown}; it must hold the first treated '
                "period as a number, and be missing for never treated."
            )
        values = numbers
    cohorts = values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    if design.never_treated is not None:
        cohorts[cohorts == design.never_treated] = np.nan
    return cohorts


def _without_pre_period(cohorts: Floats, outcomes: Floats, design: Design) -> NDArray[np.bool_]:
    if design.is_repeated_cross_section or design.is_balanced:
        return np.asarray(cohorts - design.anticipation <= design.periods[0])
    first_seen = design.periods[np.argmax(~np.isnan(outcomes), axis=1)]
    return np.asarray(cohorts - design.anticipation <= first_seen)


def _follows_nobody(panel: Panel) -> bool:
    return panel.n_rows == panel.n_units and panel.n_periods > 1


def _values(design: Design, name: str) -> list[Any]:
    """Return the distinct values of a column of the sample."""
    if isinstance(design.panel, TablePanel):
        return design.panel.distinct(name)
    return design.sample.frame[name].unique().tolist()


def _side_by_side(columns: list[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Lay columns out as (n, k), each contiguous; a single one is not copied."""
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns).T


def _row_codes(panel: Panel, name: str) -> Integers:
    return panel.unit_codes if name == panel.unit else _row_groups(panel, name)[0]


def _row_groups(panel: Panel, name: str) -> tuple[Integers, pd.Index]:
    """Return the group of each sorted row, shape (n,), and the groups' names."""
    if name == panel.unit:
        return panel.unit_codes, panel.units
    column = panel.column(name)
    rows = column if panel.order is None else column.iloc[panel.order]
    codes, names = pd.factorize(rows, sort=True)
    return codes.astype(np.int64), pd.Index(names)


def _check_assignment(design: Design, column: str) -> None:
    """Refuse a level of assignment that units cross or within which treatment differs."""
    treatment = design.treatment_column
    if treatment is None:
        raise DesignError(
            f'assigned_by="{column}" says at which level treatment was assigned, but the design '
            "states no treatment. Give cohort, treated or dose."
        )
    sample = design.sample
    groups, names = _row_groups(sample, column)
    crossing = (np.diff(groups) != 0) & (np.diff(sample.unit_codes) == 0)
    if crossing.any():
        units = np.unique(sample.unit_codes[1:][crossing])
        raise DesignError(
            f'{plural(len(units), "unit")} moved between values of "{column}", first '
            f"{sample.unit} {listing(sample.units[units])}; treatment assigned to whole "
            f'"{column}" values cannot be told of units that move between them. Name a level '
            "that units stay in, such as where each was when treatment was assigned."
        )
    if design.cohort is not None:
        values = np.nan_to_num(design.cohorts, nan=np.inf)[sample.unit_codes]
    else:
        values = sample.numeric(treatment)
    cells = groups * sample.n_periods + sample.time_codes
    order = np.argsort(cells, kind="stable")
    cells, values = cells[order], values[order]
    rows = order[1:][(cells[1:] == cells[:-1]) & (values[1:] != values[:-1])]
    if len(rows):
        mixed, first = np.unique(groups[rows], return_index=True)
        cases = [
            f"{names[group]} ({sample.time} {sample.periods[sample.time_codes[rows[row]]]})"
            for group, row in zip(mixed, first, strict=True)
        ]
        raise DesignError(
            f'treatment "{treatment}" differs between units of one "{column}" and period in '
            f'{len(mixed):,} of {len(names):,} values of "{column}", first {listing(cases)}; it '
            "was not assigned to them as wholes. Name the level at which it was assigned, or "
            "leave assigned_by out if units were treated one by one."
        )


def _cases(panel: Panel, rows: NDArray[np.bool_]) -> str:
    where = np.flatnonzero(rows)
    units, times = panel.units[panel.unit_codes[where]], panel.periods[panel.time_codes[where]]
    pairs = [f"({panel.unit} {u}, {panel.time} {t})" for u, t in zip(units, times, strict=True)]
    return f"{plural(len(pairs), 'row')}, first {listing(pairs)}"


def _check_indicator(panel: Panel, values: Floats, name: str) -> None:
    wrong = ~np.isnan(values) & (values != 0) & (values != 1)
    if wrong.any():
        raise DesignError(
            f'treatment column "{name}" is neither 0 nor 1 in {_cases(panel, wrong)}; an indicator '
            f"says only whether a unit is treated. If it is an amount, give it as dose={name!r}."
        )


def _check_dose(panel: Panel, values: Floats, name: str) -> None:
    negative = values < 0
    if negative.any():
        raise DesignError(
            f'dose column "{name}" is negative in {_cases(panel, negative)}; a dose is an amount '
            "received. Enter money paid back as a smaller amount or in a column of its own."
        )


def _check_weights(panel: Panel, values: Floats, name: str) -> None:
    wrong = values <= 0
    if wrong.any():
        raise DesignError(
            f'weight column "{name}" is zero or negative in {_cases(panel, wrong)}; such a row '
            "would count for nothing or against the rest. Drop those rows or mend the weights."
        )


def _state_facts(design: Design) -> DesignFacts:
    stated = design.treatment_column is not None
    sizes = design.cohort_units[:-1]
    reversing = len(design.reversing_units) if stated else 0
    return DesignFacts(
        n_rows=design.n_rows,
        n_units=design.n_units,
        n_periods=len(design.periods),
        first_period=int(design.periods[0]),
        last_period=int(design.periods[-1]),
        is_balanced=design.is_balanced,
        adoption=_adoption(len(sizes), reversing),
        n_treated_units=int(sizes.sum()),
        n_never_treated=int(design.cohort_units[-1]) if stated else 0,
        n_always_treated=len(design.always_treated_units) if stated else 0,
        n_cohorts=len(sizes),
        smallest_cohort=int(sizes.min()) if len(sizes) else 0,
        n_reversing=reversing,
        n_clusters=design.n_clusters,
        n_treated_clusters=design.n_treated_clusters if stated else 0,
        n_dropped_rows=sum(design.dropped.values()),
    )


def _is_nested(design: Design) -> bool:
    """Whether each unit stays in one cluster."""
    if design.table is not None:
        return not design.table.units_cross_clusters
    codes = _row_codes(design.sample, design.cluster_columns[0])
    order = design.sample.unit_codes
    return bool(((np.diff(codes) == 0) | (np.diff(order) > 0)).all())


def _adoption(n_cohorts: int, reversing: int) -> str:
    if reversing:
        return "reversing"
    return {0: "none", 1: "single date"}.get(n_cohorts, "staggered")
