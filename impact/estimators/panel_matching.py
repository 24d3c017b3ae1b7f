"""Matching on lagged outcomes and covariates before differencing: Imai, Kim and Wang (2023)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, plural
from impact.estimators.base import COHORTS, Estimator, Requirement
from impact.estimators.parts.donors import EQUAL_WEIGHTS, cell_frame, cohort_shares
from impact.inference.scores import Scores
from impact.kernels.logit import fit_logit
from impact.kernels.matching import lag_distances, nearest_weights
from impact.result import Result

__all__ = ["PanelMatching", "PanelMatchingFit"]

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
Refinement: TypeAlias = Literal["mahalanobis", "propensity", "none"]

Weigher: TypeAlias = Callable[[Booleans], Floats]

BASE_NOTE = "base period: zero by construction"


@dataclass(frozen=True, eq=False)
class PanelMatchingFit:
    """What the matching did.

    Attributes
    ----------
    balance : by cohort and variable, the mean difference between treated and their matches over
        the lags in standard deviations of the treated, before and after refinement
    matched : by cohort, treated units matched and left out, and candidates at the first
        treated period
    """

    balance: pd.DataFrame
    matched: pd.DataFrame


@dataclass(frozen=True)
class PanelMatching(Estimator):
    """Compare each treated unit with units of the same treatment history and a similar past.

    effect(g, t) = mean over treated i of (Y_it - Y_ib) - sum_j w_ij (Y_jt - Y_jb), with b the
    last period before treatment (less anticipation) and w_ij positive for units j untreated up
    to t, with i's own treatment history over ``lags`` periods, and near i in these periods.

    Parameters
    ----------
    lags : periods before treatment over which histories, outcomes and covariates are matched
    refinement : "mahalanobis" takes the nearest units by average distance over the lags;
        "propensity" weighs all of them by the odds of treatment given the lags; "none" weighs
        them equally
    size : units each treated one is matched with at most (Mahalanobis)

    Raises
    ------
    DesignError : see the requirements; lags or size below one
    EstimationError : no treated unit has matches, or treatment is told apart by the lags alone

    Notes
    -----
    Treatment is absorbing here, so the same history means untreated over the lags; matches must
    still be untreated in the period of the cell. Treated units without all lags, and units
    unobserved in a cell, are left out and counted. With ``refinement="none"`` the cells are those
    of group-time differences with units not yet treated.

    Standard errors take matches as given, from the spread of changes within treated and within
    matched units, by cluster; variation that matching explains is counted too, which makes them
    wide where matching explains much.

    Source
    ------
    Imai, Kim and Wang (2023), American Journal of Political Science 67(3), eqs. (13)-(19).

    Example
    -------
    >>> PanelMatching(lags=4, size=5).fit(design).event_study()       # doctest: +SKIP
    """

    lags: int = 4
    refinement: Refinement = "mahalanobis"
    size: int = 5

    requires: ClassVar[tuple[Requirement, ...]] = (*COHORTS, EQUAL_WEIGHTS)
    estimand: ClassVar[str] = "average effects on matched treated units by cohort and period"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lags", "size"):
            if getattr(self, name) < 1:
                raise DesignError(f"{name} counts from 1 up; it was {getattr(self, name)!r}.")

    def _estimate(self, design: Design) -> Result:
        cohorts = [_matched(design, c, self) for c in range(len(design.cohort_values))]
        cells = cell_frame(design, np.stack([c.estimates for c in cohorts]), [0] * len(cohorts))
        cells["n_treated"] = np.concatenate([c.n_treated for c in cohorts])
        cells["n_comparison"] = np.concatenate([c.n_comparison for c in cohorts])
        cells["note"] = [note for c in cohorts for note in c.notes]
        if not (cells["note"] == "").any():
            raise EstimationError(
                f"no treated unit has a match with {plural(self.lags, 'lag')}: "
                + "; ".join(sorted(set(cells["note"]) - {BASE_NOTE}))
                + ". Use fewer lags, or add earlier periods and untreated units."
            )
        shares = cohort_shares(design)
        member = design.cohorts[:, None] == design.cohort_values
        psi = np.concatenate(
            [*(c.psi for c in cohorts), (member - shares.to_numpy()) / design.n_units], axis=1
        )
        sums = np.zeros((design.n_clusters, psi.shape[1]))
        np.add.at(sums, design.cluster_codes, psi)
        fit = _describe(design, cohorts)
        left_out = int(fit.matched["left_out"].sum())
        return Result(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=Scores(sums, method="clustered influence functions, matches as given"),
            estimand=self.estimand,
            shares=shares,
            settings=self.settings(),
            notes=(
                f"Matched over {plural(self.lags, 'lag')} by {self.refinement}; "
                f"{plural(left_out, 'treated unit')} left out for want of lags.",
            ),
            extra={"fit": fit},
        )


@dataclass(frozen=True, eq=False)
class _Cohort:
    """Cells of one cohort, (T,), each unit's influence, (N, T), and the balance by variable."""

    estimates: Floats
    psi: Floats
    n_treated: Indices
    n_comparison: Indices
    notes: list[str]
    balance: Floats
    n_left_out: int


def _matched(design: Design, cohort: int, settings: PanelMatching) -> _Cohort:
    """Match a cohort's units and estimate its cells."""
    outcomes, periods = design.outcomes, design.periods
    n_units, n_periods = outcomes.shape
    onset = int(np.searchsorted(periods, design.cohort_values[cohort] - design.anticipation))
    begins = np.where(np.isnan(design.cohorts), np.inf, design.cohorts - design.anticipation)
    own = design.cohorts == design.cohort_values[cohort]
    estimates, psi = np.full(n_periods, np.nan), np.zeros((n_units, n_periods))
    counts = np.zeros((2, n_periods), dtype=np.intp)
    if onset < settings.lags:
        notes = [f"fewer than {settings.lags} periods before treatment"] * n_periods
        empty = np.full((1 + len(design.covariates), 2), np.nan)
        return _Cohort(estimates, psi, counts[0], counts[1], notes, empty, int(own.sum()))
    past = _past(design, slice(onset - settings.lags, onset))
    complete = ~np.isnan(past).any(axis=(1, 2))
    treated = np.flatnonzero(own & complete)
    others = np.flatnonzero((begins > periods[onset]) & complete)
    notes = [""] * n_periods
    notes[onset - 1] = BASE_NOTE
    weigh = _weigher(past[treated], past[others], settings)
    change = outcomes - outcomes[:, [onset - 1]]
    for t in range(n_periods):
        seen = ~np.isnan(change[:, t])
        rows = seen[treated]
        allowed = seen[others] & (begins[others] > max(periods[t], periods[onset]))
        counts[:, t] = rows.sum(), allowed.sum()
        if not rows.any() or not allowed.any():
            notes[t] = f"no {'match' if rows.any() else 'treated unit'} with all lags is observed"
            continue
        weights = weigh(allowed)[rows].mean(axis=0)
        ours, theirs = change[treated[rows], t], np.where(allowed, change[others, t], 0.0)
        mean = weights @ theirs
        estimates[t] = ours.mean() - mean
        psi[treated[rows], t] = (ours - ours.mean()) / rows.sum()
        psi[others, t] = -weights * (theirs - mean)
    balance = _balance(past[treated], past[others], weigh, len(treated) > 0)
    return _Cohort(
        estimates, psi, counts[0], counts[1], notes, balance, int(own.sum()) - len(treated)
    )


def _past(design: Design, window: slice) -> Floats:
    """Return outcome and covariates over the lags, shape (N, L, 1 + k)."""
    layers = [design.outcomes[:, window, None], design.covariate_array()[:, window]]
    return np.concatenate(layers, axis=2)


def _weigher(treated: Floats, others: Floats, settings: PanelMatching) -> Weigher:
    """Return the function from allowed candidates, (n0,), to weights, (n1, n0)."""
    n_treated = len(treated)
    if settings.refinement == "mahalanobis":
        distances = lag_distances(treated, others)
        return lambda allowed: nearest_weights(distances, allowed, settings.size)
    odds = np.ones(len(others))
    if settings.refinement == "propensity" and n_treated and len(others):
        odds = _odds(treated, others)

    def weigh(allowed: Booleans) -> Floats:
        share = np.where(allowed, odds, 0.0)
        return np.tile(share / max(float(share.sum()), np.finfo(float).tiny), (n_treated, 1))

    return weigh


def _odds(treated: Floats, others: Floats) -> Floats:
    """Return the odds of treatment of each candidate given all lags, shape (n0,)."""
    both = np.concatenate([treated, others]).reshape(len(treated) + len(others), -1)
    spread = both.std(axis=0)
    live = spread > 1e-12 * np.abs(both).max(initial=1.0)
    scaled = (both[:, live] - both[:, live].mean(axis=0)) / spread[live]
    # Principal components span the same columns without repeating any.
    components, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    components = components[:, sizes > 1e-10 * sizes.max(initial=0.0)] * np.sqrt(len(both))
    own = np.arange(len(both)) < len(treated)
    fit = fit_logit(np.column_stack([np.ones(len(both)), components]), own, np.ones(len(both)))
    if not fit.converged:
        raise EstimationError(
            f"a logit on {components.shape[1]} lagged variables of {plural(len(both), 'unit')} "
            "tells treated and untreated apart, so odds are not defined. Use fewer lags or "
            'covariates, or refinement="mahalanobis".'
        )
    p = fit.probabilities[~own]
    return np.asarray(p / (1.0 - p))


def _balance(treated: Floats, others: Floats, weigh: Weigher, known: bool) -> Floats:
    """Return standardised differences by variable before and after refinement, (k, 2)."""
    if not known or not len(others):
        return np.full((treated.shape[2], 2), np.nan)
    ours, theirs = treated.mean(axis=1), others.mean(axis=1)
    spread = ours.std(axis=0, ddof=1) if len(ours) > 1 else theirs.std(axis=0)
    spread = np.where(spread > 0.0, spread, np.nan)
    weights = weigh(np.ones(len(others), dtype=bool)).mean(axis=0)
    before, after = ours.mean(axis=0) - theirs.mean(axis=0), ours.mean(axis=0) - weights @ theirs
    return np.stack([before / spread, after / spread], axis=1)


def _describe(design: Design, cohorts: list[_Cohort]) -> PanelMatchingFit:
    labels = pd.Index(design.cohort_values, name="cohort")
    names = pd.Index([design.outcome, *design.covariates], name="variable")
    columns = ["all candidates", "matches"]
    onset = np.searchsorted(design.periods, design.cohort_values)
    return PanelMatchingFit(
        balance=pd.concat(
            [pd.DataFrame(c.balance, index=names, columns=columns) for c in cohorts], keys=labels
        ),
        matched=pd.DataFrame(
            {
                "treated": [int(c.n_treated[t]) for c, t in zip(cohorts, onset, strict=True)],
                "left_out": [c.n_left_out for c in cohorts],
                "candidates": [int(c.n_comparison[t]) for c, t in zip(cohorts, onset, strict=True)],
            },
            index=labels,
        ),
    )
