"""Treatments that rise, fall and come back: de Chaisemartin and D'Haultfoeuille (2024)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import (
    NO_ANTICIPATION,
    TREATMENT,
    UNIT_CLUSTERS,
    Estimator,
    Requirement,
)
from impact.estimators.parts.cells import cluster_codes
from impact.estimators.parts.contributions import clustered, unit_weights
from impact.estimators.parts.reporting import cells_without_cohorts, result_of
from impact.kernels.switcher_trends import CovariateTrends, covariate_trends
from impact.kernels.switchers import HorizonEffect, SwitchPaths, horizon_effect, switch_paths
from impact.result import Result

__all__ = ["SwitchersDiD"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Target = Literal["dynamic", "normalised", "total"]


def _paths(design: Design, within: str | None = None) -> SwitchPaths:
    """Read the treatment of the sample's units, also in periods without an outcome."""
    classes = None if within is None else _classes(design, within)
    column = design.dose or design.treated
    if column is None:
        started = (design.periods >= design.cohorts[:, None]).astype(np.float64)
        return switch_paths(started, classes)
    panel, sample = design.panel, design.sample
    rows = panel.units.get_indexer(sample.units)
    columns = np.searchsorted(panel.periods, sample.periods)
    return switch_paths(panel.matrix(column)[np.ix_(rows, columns)], classes)


def _classes(design: Design, within: str) -> Integers:
    """Return the code of each unit's class, shape (N,)."""
    codes, _ = pd.factorize(design.sample.unit_values(within), sort=True)
    lost = design.sample.units[codes < 0]
    if len(lost):
        raise DesignError(
            f'SwitchersDiD: within="{within}" is missing for {plural(len(lost), "unit")}, first '
            f"{design.panel.unit} {listing(lost)}, so it is not known whom to compare them with. "
            "Fill it, or drop those units."
        )
    return np.asarray(codes, dtype=np.int64)


def _nobody_switches(design: Design) -> str | None:
    if design.is_repeated_cross_section:
        return f"no {design.panel.unit} is observed twice. Use CallawaySantAnna for cross-sections."
    paths = _paths(design)
    if ((paths.first < len(design.periods)) & ~paths.unclear).any():
        return None
    return (
        f'"{design.treatment_column}" never changes within a {design.panel.unit} between two '
        "observed periods, so no outcome before and after a change is known."
    )


@dataclass(frozen=True)
class SwitchersDiD(Estimator):
    """Estimate the effect of a change of treatment by periods since the first change.

    For a unit whose treatment first changes in F, with D_1 its baseline treatment and S = +1
    for a rise, -1 for a fall: DID_l averages S times Y_{F-1+l} - Y_{F-1} less the mean of the
    same among units with the same D_1 not yet changed by F-1+l. It is the effect of having
    been treated as the units were, rather than at baseline, for l periods.

    Parameters
    ----------
    effects : how many periods after the first change to estimate; all there are if None
    placebos : how many periods before it; all there are if None
    target : "dynamic" is DID_l; "normalised" divides it by the average cumulated dose above
        baseline, the effect of a unit of dose; "total" is one number, the sum of effects over
        the sum of doses above baseline
    same_switchers : keep only switchers seen in all the effects, in placebos too, so that their
        path does not mix different units
    lone_switchers : switchers of one baseline, date and new dose that lie in one cluster have no
        mean of their own to deviate from: "pooled" uses that of all switchers of the baseline,
        date and direction and their comparison units; "own" uses theirs, and counts units where
        errors are clustered (as R DIDmultiplegtDYN 2.1.2), so that they add too little to the
        variance
    direction : "both", or only switchers whose first change is a "rise" or a "fall"
    comparison : "not_yet_changed" compares with units yet to change and units that never do,
        "never_changed" with the latter only, of which it is known that they never do
    within : column, one value a unit; only units with the same value are compared

    Raises
    ------
    DesignError : treatment never changes within a unit, anticipation, ``within`` missing for a unit
    EstimationError : no unit of the same baseline is left to compare with

    Notes
    -----
    Treatments may be of any kind, change often and reverse; only the first change is used to
    sort units, and later ones are part of the path. Rows after a unit has been both above and
    below its baseline are not used, because S no longer says what the effect means; units whose
    first change falls next to a period without a known treatment are not among the switchers,
    and serve for comparison while their treatment is known. Both are counted in the notes. A
    placebo is of the units whose effect at the same distance is observed. Event times are in
    units of time where periods are evenly spaced. With treatments that take many values, units
    with the same baseline may be few: comparison is exact, never at a neighbouring value.

    Assumes parallel trends among units of the same baseline treatment and no anticipation.
    Covariates: changes of the outcome are taken less changes of the covariates times their slopes
    in a regression among units of the same baseline yet to change, with period effects, whatever
    ``comparison``; the slopes' own error counts. Parallel trends are then assumed of what remains.
    Standard errors are conditional on treatment paths. With a binary treatment that lasts,
    the effects are those of CallawaySantAnna's event study with units not yet treated.

    Source
    ------
    de Chaisemartin and D'Haultfoeuille (2024), Review of Economics and Statistics,
    "Difference-in-differences estimators of intertemporal treatment effects"; numbers checked
    with R DIDmultiplegtDYN 2.1.2 and the authors' py-did-multiplegt-dyn 0.1.9.
    """

    effects: int | None = None
    placebos: int | None = None
    target: Target = "dynamic"
    same_switchers: bool = False
    lone_switchers: Literal["pooled", "own"] = "pooled"
    direction: Literal["both", "rise", "fall"] = "both"
    comparison: Literal["not_yet_changed", "never_changed"] = "not_yet_changed"
    within: str | None = None

    requires: ClassVar[tuple[Requirement, ...]] = (
        Requirement("a change of treatment", _nobody_switches),
        TREATMENT,
        UNIT_CLUSTERS,
        NO_ANTICIPATION,
    )
    estimand: ClassVar[str] = "effect of a change of treatment, by periods since the first change"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("effects", 1), ("placebos", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise DesignError(
                    f"SwitchersDiD: {name} counts periods, {least} or more, or None for all; it "
                    f"was {value!r}."
                )

    def _estimate(self, design: Design) -> Result:
        asked = _Asked.of(self, design, _paths(design, self.within))
        after = asked.horizons(self.effects)
        if not after:
            raise EstimationError(
                "no effect can be estimated: no unit with the same baseline treatment is yet to "
                "change when another changes, and observed with it. With doses that differ between "
                "all units, group them into classes, or use HeterogeneousAdoption."
            )
        if self.same_switchers and len(after) > 1:
            asked = replace(asked, keep=np.all([h.switchers for h in after.values()], axis=0))
            if not asked.keep.any():
                raise EstimationError(
                    f"same_switchers=True leaves nobody: no switcher is seen in all "
                    f"{len(after)} effects. Ask for fewer with effects=."
                )
            after = asked.horizons(len(after))
        if self.target == "total":
            cells, psi = _total(after)
        else:
            before = asked.horizons(self.placebos, placebo=True)
            step = _step(design.periods)
            cells, psi = _by_horizon(after, before, step, normalise=self.target == "normalised")
        notes = _notes(self, asked, after)
        uncertainty = clustered(design, psi)
        return result_of(self, design, cells, uncertainty, notes=notes, by_cohort=False)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is compared: the design's paths, whose changes count, and covariates' trends if any."""

    design: Design
    paths: SwitchPaths
    keep: Booleans
    clusters: Integers | None
    pool_alone: bool
    trends: CovariateTrends | None

    @classmethod
    def of(cls, estimator: SwitchersDiD, design: Design, paths: SwitchPaths) -> _Asked:
        """Read a design by an estimator's settings."""
        counts_units = estimator.lone_switchers == "own"
        clusters = None if counts_units else design.cluster_codes
        wanted = {"both": (1, -1), "rise": (1,), "fall": (-1,)}[estimator.direction]
        trends = None
        if design.covariates:
            covariates = np.stack([design.sample.matrix(name) for name in design.covariates])
            trends = covariate_trends(
                design.outcomes, covariates, paths, unit_weights(design), clusters
            )
        if estimator.comparison == "never_changed":
            never = paths.steady == len(design.periods)
            paths = replace(paths, steady=np.where(never, paths.steady, 0))
        keep = np.isin(paths.direction, wanted)
        return cls(design, paths, keep, clusters, not counts_units, trends)

    def horizons(self, limit: int | None, *, placebo: bool = False) -> dict[int, HorizonEffect]:
        """Estimate horizons from one on, as far as there are switchers and comparison units."""
        found = {}
        longest = len(self.design.periods) - 1
        for horizon in range(1, 1 + (longest if limit is None else min(limit, longest))):
            effect = self._horizon(horizon, placebo)
            if effect.size > 0:
                found[horizon] = effect
        return found

    def _horizon(self, horizon: int, placebo: bool) -> HorizonEffect:
        """Estimate one horizon; errors count what the covariates' slopes add."""

        def compare(outcomes: Floats, keep: Booleans) -> HorizonEffect:
            return horizon_effect(
                outcomes, self.paths, unit_weights(self.design), horizon, placebo=placebo,
                among=keep, clusters=self.clusters, pool_alone=self.pool_alone,
            )  # fmt: skip

        if self.trends is None:
            return compare(self.design.outcomes, self.keep)
        effect = compare(self.trends.adjusted, self.keep)
        carried = self.trends.carried(lambda x, own: compare(x, self.keep & own).total)
        return replace(effect, psi=effect.psi + carried)


def _by_horizon(
    after: dict[int, HorizonEffect],
    before: dict[int, HorizonEffect],
    step: int,
    *,
    normalise: bool,
) -> tuple[pd.DataFrame, Floats]:
    """Lay out placebos and effects by event time, with contributions (N, K)."""
    placebos = [(f"placebo {h}", -step * (1 + h), before[h]) for h in sorted(before, reverse=True)]
    rows = [*placebos, *((f"effect {h}", step * (h - 1), after[h]) for h in sorted(after))]
    scale = [e.dose if normalise else e.size for _, _, e in rows]
    known = [abs(s) > 0 for s in scale]
    safe = [s if k else np.nan for s, k in zip(scale, known, strict=True)]
    cells = cells_without_cohorts(
        [term for term, _, _ in rows],
        [e.total / s for (_, _, e), s in zip(rows, safe, strict=True)],
        ["" if k else "doses above baseline sum to zero" for k in known],
        event_time=[float(event_time) for _, event_time, _ in rows],
        weight=[e.size for _, _, e in rows],
        n_treated=[int(e.switchers.sum()) for _, _, e in rows],
        n_comparison=[int(e.comparisons.sum()) for _, _, e in rows],
    )
    psi = np.stack([e.psi / s for (_, _, e), s in zip(rows, safe, strict=True)], axis=1)
    return cells, np.nan_to_num(psi)


def _total(after: dict[int, HorizonEffect]) -> tuple[pd.DataFrame, Floats]:
    """Divide the sum of all effects by the sum of doses above baseline."""
    dose = sum(e.last_dose for e in after.values())
    if dose == 0:
        raise EstimationError(
            "doses above baseline sum to zero over all switchers and effects, so there is no "
            'effect per unit of dose. Use target="dynamic".'
        )
    cells = cells_without_cohorts(
        ["effect per unit of dose"],
        [sum(e.total for e in after.values()) / dose],
        n_treated=[int(np.any([e.switchers for e in after.values()], axis=0).sum())],
        n_comparison=[int(np.any([e.comparisons for e in after.values()], axis=0).sum())],
    )
    return cells, np.sum([e.psi for e in after.values()], axis=0)[:, None] / dose


def _step(periods: Integers) -> int:
    """Return the distance of neighbouring periods; 1 where it differs between them."""
    steps = np.unique(np.diff(periods))
    return int(steps[0]) if len(steps) == 1 else 1


def _notes(
    estimator: SwitchersDiD, asked: _Asked, after: dict[int, HorizonEffect]
) -> tuple[str, ...]:
    design, paths = asked.design, asked.paths
    who = "have not changed yet" if estimator.comparison == "not_yet_changed" else "never change"
    alike = "" if estimator.within is None else f' and the same "{estimator.within}"'
    notes = [f"Compared with units of the same baseline treatment{alike} that {who}."]
    if estimator.direction != "both":
        notes.append(f"Only switchers whose first change is a {estimator.direction}.")
    if asked.trends is not None:
        notes.append(f"Less what changes of {listing(design.covariates)} do before a change.")
        if asked.trends.without:
            notes.append(
                "A covariate does not vary before a change where treatment begins at "
                f"{listing(asked.trends.without)}; it is left aside there."
            )
    moved = paths.direction != 0
    rises, falls = int((paths.direction > 0).sum()), int((paths.direction < 0).sum())
    notes.append(f"First changes: {plural(rises, 'rise')}, {plural(falls, 'fall')}.")
    crossed = int(paths.crossed.any(axis=1).sum())
    if crossed:
        notes.append(
            f"{plural(crossed, 'unit')} went above and below the baseline; not used from then on."
        )
    unclear = int((paths.unclear & moved).sum())
    if unclear:
        notes.append(
            f"{plural(unclear, 'switcher')} left out: the treatment is unknown just before the "
            "change."
        )
    alone = max(e.n_alone for e in after.values())
    if alone:
        one = "one cluster" if cluster_codes(design) is not None else "one unit"
        notes.append(
            f"{plural(alone, 'switcher')} in cohorts (baseline, date and new dose) of {one}."
        )
    if len(np.unique(np.diff(design.periods))) > 1:
        notes.append("Periods are not evenly spaced; event times count the panel's periods.")
    return tuple(notes)
