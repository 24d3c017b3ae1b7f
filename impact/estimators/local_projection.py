"""Local-projection difference in differences of Dube, Girardi, Jorda and Taylor (2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import (
    ABSORBING,
    COMPARISON_UNITS,
    PRE_PERIODS,
    TREATMENT,
    UNIT_CLUSTERS,
    Estimator,
    Requirement,
)
from impact.estimators.parts.cells import BASE_NOTE, time_step
from impact.estimators.parts.reporting import cells_without_cohorts, result_of
from impact.inference.linear import small_sample_factor
from impact.inference.scores import CovarianceScores
from impact.kernels.local_projection import Horizon, fit_horizon
from impact.result import Result

__all__ = ["LocalProjectionDiD"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


LASTING = Requirement("a treatment that lasts, or stabilisation", ABSORBING.fault)


@dataclass(frozen=True)
class LocalProjectionDiD(Estimator):
    r"""Estimate effects horizon by horizon from long differences with clean comparisons.

    .. math:: Y_{i,t+h} - Y_{i,t-1} = \beta_h \Delta D_{it} + \delta_t^h + x_{i,t-1}'\gamma^h + u

    over units entering treatment in t and units untreated until t + h.

    Parameters
    ----------
    pre, post : furthest lead and horizon, in units of time; None for all that the panel holds
    weighting : "variance" is the regression's own, which weighs periods by their variance of
        entry; "equal" gives every entrant the same weight, an average effect on the treated
        (by regression adjustment where there are covariates)
    comparison : "not_yet_treated" or "never_treated" units
    composition : "any" takes at each horizon the entrants observed then and all units untreated
        until then, so that who is compared changes along the path; "fixed" the same entrants and
        comparison units at every horizon from ``pre`` before to ``post`` after: observed at all
        of them, comparison units untreated until the last. State ``pre`` and ``post`` with it:
        the longer the window, the fewer are left
    effect : "event_study", or "pooled" for one average over all horizons and one over all leads
    base_periods : periods before treatment whose mean outcomes are measured from
    unbalanced : in a panel with gaps, "pairs" takes every unit observed in the base period and
        at the horizon; "observed_at_entry" only those also observed in t, as lpdid and
        diff-diff do, whose rows are those of period t
    stabilisation : for treatments that may stop: treatment must not have changed in the
        last ``stabilisation`` periods before t, of entrants and comparison units both, nor
        until t + h after it; None for treatments that last

    Raises
    ------
    DesignError : no treatment; without ``stabilisation``, a treatment that reverses or a unit
        without untreated period; a window that makes no sense
    EstimationError : no horizon can be estimated

    Notes
    -----
    Assumes parallel trends between entrants and clean comparison units and, with
    ``stabilisation``, that effects are stable that many periods after a change. Covariates
    enter with their values in the last base period. A difference rests on two periods, and who
    enters in t is known from the cohort, so that a gap in t loses nothing with "pairs"; with
    ``stabilisation`` the treatment in t must be observed. A fixed composition is that of lpdid's
    ``nocomp`` since 1.1.0; earlier versions, which need no outcome, and diff-diff, whose leads
    take all rows, hold less of it. Standard errors are clustered with
    G/(G-1) (n-1)/(n-K) at each horizon and t(G-1). The effect at event time -1 (less
    anticipation) is zero by construction.

    Source
    ------
    Dube, Girardi, Jorda and Taylor (2025), Journal of Applied Econometrics, equations 8-13, and
    section 4.2 for treatments that reverse.
    """

    pre: int | None = None
    post: int | None = None
    weighting: Literal["variance", "equal"] = "variance"
    comparison: Literal["not_yet_treated", "never_treated"] = "not_yet_treated"
    composition: Literal["any", "fixed"] = "any"
    effect: Literal["event_study", "pooled"] = "event_study"
    base_periods: int = 1
    stabilisation: int | None = None
    unbalanced: Literal["pairs", "observed_at_entry"] = "pairs"

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT, UNIT_CLUSTERS)
    estimand: ClassVar[str] = "effects by event time from local projections"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("pre", 0), ("post", 0), ("base_periods", 1), ("stabilisation", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise DesignError(f"{name} must be at least {least}; it was {value!r}.")

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is needed of a design: more where treatment is taken to last."""
        if self.stabilisation is not None:
            return self.requires
        return (TREATMENT, LASTING, PRE_PERIODS, COMPARISON_UNITS, UNIT_CLUSTERS)

    def _estimate(self, design: Design) -> Result:
        window = _Window.of(self, design)
        if self.effect == "pooled":
            return _report_pooled(self, design, window)
        horizons = _horizons(self, design, window)
        fits = [
            Horizon(0.0, np.zeros(design.n_clusters), 0, 0, 0, design.n_clusters)
            if h == window.base_horizon
            else _fit(self, design, window, h)
            for h in horizons
        ]
        return _report(self, design, window, horizons, fits)


@dataclass(frozen=True, eq=False)
class _Window:
    """Outcomes and treatment laid out over periods one ``step`` apart, those absent all NaN.

    Horizons count steps. Rows reach back and forth by ``reach``, the panel's own length, so that
    any lead or lag can be sliced; ``anticipation`` is the design's in steps.
    """

    step: int
    anticipation: int
    outcomes: Floats
    status: Floats
    base: Floats
    entrants: Booleans
    n_periods: int
    reach: int

    @staticmethod
    def of(estimator: LocalProjectionDiD, design: Design) -> _Window:
        """Lay a design out."""
        first, last, step = int(design.periods[0]), int(design.periods[-1]), time_step(design)
        anticipation = design.anticipation // step
        n_periods = (last - first) // step + 1
        reach = n_periods + anticipation + 1
        at = reach + (design.periods - first) // step
        outcomes = np.full((design.n_units, n_periods + 2 * reach), np.nan)
        outcomes[:, at] = design.outcomes
        status = np.full(outcomes.shape, np.nan)
        if estimator.stabilisation is None:
            clock = step * np.arange(-reach, n_periods + reach) + first
            onset = np.where(np.isnan(design.cohorts), np.inf, design.cohorts)
            status[:] = clock[None, :] >= onset[:, None]
        else:
            status[:, at] = design.treatment
        own = np.arange(reach, reach + n_periods)
        entrants = (status[:, own] == 1) & (status[:, own - 1] == 0)
        lags = [outcomes[:, own - 1 - anticipation - j] for j in range(estimator.base_periods)]
        base = np.asarray(sum(lags) / estimator.base_periods)
        return _Window(step, anticipation, outcomes, status, base, entrants, n_periods, reach)

    @property
    def base_horizon(self) -> int:
        """Horizon of the last base period, at which effects are zero."""
        return -1 - self.anticipation

    def stable(self, stabilisation: int) -> int:
        """Return how many steps cover the time after which effects are taken as stable."""
        return -(-stabilisation // self.step)

    def outcome(self, h: int) -> Floats:
        """Return the outcome h periods later, shape (N, n_periods)."""
        return self.outcomes[:, self.reach + h : self.reach + h + self.n_periods]

    def state(self, h: int) -> Floats:
        """Return the treatment h periods later, shape (N, n_periods)."""
        return self.status[:, self.reach + h : self.reach + h + self.n_periods]


def _horizons(estimator: LocalProjectionDiD, design: Design, window: _Window) -> list[int]:
    """List the horizons asked for, or all at which some cohort is seen, in steps."""
    cohorts, periods, step = design.cohort_values, design.periods, window.step
    pre = int(cohorts[-1] - periods[0]) if estimator.pre is None else estimator.pre
    post = int(periods[-1] - cohorts[0]) if estimator.post is None else estimator.post
    first = -(pre // step)
    if estimator.stabilisation is not None and estimator.pre is None:
        first = max(first, -1 - window.stable(estimator.stabilisation))
    first = min(first, window.base_horizon)
    return list(range(first, post // step + 1))


def _sample(
    estimator: LocalProjectionDiD, design: Design, window: _Window, first: int, last: int
) -> tuple[Booleans, Booleans]:
    """Return entrants and clean comparison rows, (N, n_periods), for horizons first to last.

    With a fixed composition these are the horizons of the window, whichever are asked for.
    """
    held = _horizons(estimator, design, window) if estimator.composition == "fixed" else []
    first, last = min([first, *held]), max([last, 0, *held])
    if estimator.stabilisation is None:
        entrants = window.entrants
        clean = window.state(last + window.anticipation) == 0
    else:
        back = min(-1 - window.stable(estimator.stabilisation), first)
        before = [window.state(j) for j in range(back, 0)]
        after = [window.state(j) for j in range(last + window.anticipation + 1)]
        still = np.all([state == before[-1] for state in before], axis=0)
        entrants = window.entrants & still & np.all([s == 1 for s in after[: last + 1]], axis=0)
        clean = still & np.all([state == before[-1] for state in after], axis=0)
    if estimator.comparison == "never_treated":
        clean = clean & np.isnan(design.cohorts)[:, None]
    if estimator.unbalanced == "observed_at_entry":
        held = [*held, 0]
    for h in held:
        seen = ~np.isnan(window.outcome(h))
        entrants, clean = entrants & seen, clean & seen
    return entrants, clean


def _fit(
    estimator: LocalProjectionDiD,
    design: Design,
    window: _Window,
    h: int,
) -> Horizon:
    """Estimate one horizon."""
    entrants, clean = _sample(estimator, design, window, min(h, 0), h)
    return _regress(estimator, design, window, window.outcome(h) - window.base, entrants, clean)


def _regress(
    estimator: LocalProjectionDiD,
    design: Design,
    window: _Window,
    differences: Floats,
    entrants: Booleans,
    clean: Booleans,
) -> Horizon:
    return fit_horizon(
        differences,
        entrants,
        clean,
        design.cluster_codes,
        design.n_clusters,
        weights=design.unit_weights,
        covariates=_earlier_covariates(design, window) if design.covariates else None,
        equal_weights=estimator.weighting == "equal",
    )


def _earlier_covariates(design: Design, window: _Window) -> Floats:
    """Date covariates in the last base period, shape (N, n_periods, k)."""
    values = design.covariate_array()
    lag = -window.base_horizon
    result = np.full((design.n_units, window.n_periods, values.shape[2]), np.nan)
    at = (design.periods - design.periods[0]) // window.step + lag
    inside = at < window.n_periods
    result[:, at[inside]] = values[:, inside]
    return result


def _uncertainty(design: Design, fits: list[Horizon]) -> CovarianceScores:
    """Join the horizons' contributions; each has its own small-sample factor in the covariance."""
    factors = np.ones(len(fits))
    for j, fit in enumerate(fits):
        if fit.n_parameters and fit.n_clusters > 1:
            factors[j] = small_sample_factor(fit.n_clusters, fit.n_rows, fit.n_parameters)
    psi = np.stack([fit.contributions for fit in fits], axis=1)
    scaled = psi * np.sqrt(factors)
    return CovarianceScores(
        scaled.T @ scaled, lambda: psi, design.n_clusters, float(design.n_clusters - 1)
    )


def _notes(estimator: LocalProjectionDiD, design: Design, window: _Window) -> tuple[str, ...]:
    who = {"not_yet_treated": "not yet or never", "never_treated": "never"}[estimator.comparison]
    how = {
        "variance": "Horizons weigh periods by their variance of entry: not an equal-weighted ATT.",
        "equal": "Every entrant counts the same.",
    }[estimator.weighting]
    notes = [f"Compared with units {who} treated by the horizon.", how]
    if estimator.stabilisation is not None:
        notes[0] = (
            f"Treatment unchanged in the {plural(estimator.stabilisation, 'period')} before, and "
            "until the horizon after, of entrants and comparison units."
        )
    if estimator.composition == "fixed":
        notes.append("The same entrants and comparison units at every horizon of the window.")
    if not design.is_balanced:
        both = {"pairs": "", "observed_at_entry": ", and when treatment begins"}
        notes.append(
            "Unbalanced: each horizon uses the units observed before treatment and at the "
            f"horizon{both[estimator.unbalanced]}."
        )
    absent = _cohorts_without_base(design, window)
    if len(absent):
        who = f"{'Cohort' if len(absent) == 1 else 'Cohorts'} {listing(f'{g:g}' for g in absent)}"
        notes.append(
            f"{who} {'does' if len(absent) == 1 else 'do'} not enter: none of "
            f"{'its' if len(absent) == 1 else 'their'} units is observed in the base period just "
            "before treatment."
        )
    return tuple(notes)


def _cohorts_without_base(design: Design, window: _Window) -> Floats:
    """Return the cohorts of which no entrant is known before entry."""
    known = (window.entrants & ~np.isnan(window.base)).any(axis=1)
    return np.setdiff1d(design.cohort_values, design.cohorts[known])


def _report(
    estimator: LocalProjectionDiD,
    design: Design,
    window: _Window,
    horizons: list[int],
    fits: list[Horizon],
) -> Result:
    base, step = window.base_horizon, window.step
    known = [not np.isnan(fit.estimate) for fit in fits]
    asked = [
        k or (h < 0 and estimator.pre is not None) or (h >= 0 and estimator.post is not None)
        for h, k in zip(horizons, known, strict=True)
    ]
    if not any(k for h, k in zip(horizons, known, strict=True) if h != base):
        raise EstimationError(
            f"{estimator.name} can estimate no horizon from {step * horizons[0]} to "
            f"{step * horizons[-1]}: units "
            "entering treatment and clean comparison units never meet in a period, observed then, "
            "in the base period just before and at the horizon. Shorten pre and post, use "
            "composition='any', or, where periods are unevenly spaced, number them 1, 2, 3, ..."
        )
    kept = [(h, fit) for h, fit, keep in zip(horizons, fits, asked, strict=True) if keep]
    notes = [
        BASE_NOTE
        if h == base
        else "entrants and clean comparison units do not meet at this horizon"
        if np.isnan(fit.estimate)
        else ""
        for h, fit in kept
    ]
    times = [step * h for h, _ in kept]
    terms = [f"event_time {e}" for e in times]
    return _result(
        estimator, design, window, terms, [fit for _, fit in kept], notes, np.array(times, float)
    )


def _report_pooled(estimator: LocalProjectionDiD, design: Design, window: _Window) -> Result:
    """Estimate the mean effect over all horizons, and over all leads."""
    base = window.base_horizon
    horizons = _horizons(estimator, design, window)
    ranges = {"att": [h for h in horizons if h >= 0], "before": [h for h in horizons if h < base]}
    terms, fits = [], []
    for term, members in ranges.items():
        if not members:
            continue
        mean = sum(window.outcome(h) for h in members) / len(members)
        entrants, clean = _sample(estimator, design, window, min(members), max(members))
        fits.append(_regress(estimator, design, window, mean - window.base, entrants, clean))
        terms.append(term)
    if np.isnan(fits[0].estimate):
        raise EstimationError(
            f"{estimator.name} cannot pool horizons 0 to {window.step * horizons[-1]}: no entrant "
            "is observed throughout beside a clean comparison unit. Set a smaller post"
            f"{', and pre' if estimator.composition == 'fixed' else ''}."
        )
    notes = [
        "no entrant is observed at all leads" if np.isnan(fit.estimate) else "" for fit in fits
    ]
    return _result(estimator, design, window, terms, fits, notes)


def _result(
    estimator: LocalProjectionDiD,
    design: Design,
    window: _Window,
    terms: list[str],
    fits: list[Horizon],
    cell_notes: list[str],
    event_time: Floats | float = np.nan,
) -> Result:
    cells = cells_without_cohorts(
        terms,
        [fit.estimate for fit in fits],
        cell_notes,
        event_time=event_time,
        n_treated=[fit.n_entrants for fit in fits],
        n_comparison=[fit.n_rows - fit.n_entrants for fit in fits],
    )
    notes = _notes(estimator, design, window)
    lasting, uncertainty = estimator.stabilisation is None, _uncertainty(design, fits)
    return result_of(estimator, design, cells, uncertainty, notes=notes, by_cohort=lasting)
