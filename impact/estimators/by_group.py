"""Effects by a characteristic of units, with one test that they are all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import (
    DesignError,
    EstimationError,
    ImpactError,
    InferenceError,
    listing,
    plural,
)
from impact.estimators.base import TREATMENT, UNIT_CLUSTERS, Estimator, Requirement
from impact.inference.bands import joint_wald
from impact.inference.dispatch import Inference, nothing
from impact.inference.evidence import Evidence
from impact.inference.scores import Scores
from impact.result import COMBINED, JointTest, Result

__all__ = ["EffectsByGroup"]

Floats = NDArray[np.float64]

# More groups than this are a continuous characteristic, not classes of units.
MOST_GROUPS = 40

FEWEST = 15
"""Treated and untreated clusters of each class from which the classes are tested for equality."""


@dataclass(frozen=True, eq=False, repr=False)
class ClassEffects(Result):
    """Effects by class, each inferred on the units of its class alone.

    ``classes`` holds the average effect of each term that was estimated.
    """

    classes: Mapping[str, Result] = field(default_factory=dict)

    def inferences(self, level: float = 0.95) -> list[Inference | None]:
        """Return what each class's own units and clusters allow; None for its standard error.

        A combination of classes keeps its standard error where the test of equality holds.
        """
        found: list[Inference | None] = []
        for row, error in enumerate(self.std_errors):
            own = self._class_of(row)
            if np.isnan(error):
                found.append(None)
            elif own is not None:
                found.append(own.inferences(level)[0])
            else:
                found.append(self._infer_combination(float(self.estimates[row]), level))
        return found

    def _infer_combination(self, estimate: float, level: float) -> Inference | None:
        """Return None where the standard error holds or is asked for, else no inference."""
        method = self.request.method
        if method not in (None, "auto", "cr1"):
            raise InferenceError(
                f'"{method}" exists for each class of units alone, and this combines several. Use '
                'infer("cr1"), or the classes themselves.'
            )
        few = [term for term, average in self.classes.items() if _is_small(average)]
        if method == "cr1" or not few:
            return None
        return nothing(
            f"it combines classes, with fewer than {FEWEST} treated or untreated clusters in "
            f'{listing(few)}; infer("cr1") prints with its standard error',
            estimate,
            level,
        )

    def evidence(self, row: int = 0) -> Evidence:
        """Return what is known of one class's effect from the units of the class."""
        own = self._class_of(row)
        if own is None:
            raise InferenceError(
                f'"{self.cells["term"].iloc[row]}" combines classes of units, which have no '
                f"evidence in common. Ask for that of {listing(self.classes)}."
            )
        return own.evidence(0)

    def _class_of(self, row: int) -> Result | None:
        """Return the class whose effect an estimate is; None for a combination of classes."""
        own = self.classes.get(self.cells["term"].iloc[row])
        if own is None or self.estimand.endswith(COMBINED):
            return None
        return replace(own, request=self.request)


@dataclass(frozen=True)
class EffectsByGroup(Estimator):
    """Estimate the average effect in each class of units: by size, sector, district, legal form.

    Each class is estimated on its own, treated units compared with comparison units of the
    same class; the classes' joint covariance is kept, so that differences can be tested.

    Parameters
    ----------
    estimator : what to fit in each class, such as CallawaySantAnna()
    by : column of the characteristic, one value a unit
    weighting : how each class's effects are averaged, as in ``Result.att``

    Raises
    ------
    DesignError : the characteristic changes within units, or has one value or very many
    EstimationError : fewer than two classes can be estimated, or the estimator does not tell
        what each cluster contributes

    Notes
    -----
    The first row is all units together. ``result.extra["equality"]`` tests that all classes
    have the same effect (Wald, with the covariance of clusters that hold several classes).
    The characteristic must be fixed before treatment: one the treatment can move, such as
    present size, selects units by their outcome. Units without a value are left out of the
    classes and counted. A class that cannot be estimated is NaN with its reason. With several
    characteristics tried, adjust for the number of tests. Inference for few clusters is that of
    the class's own; with fewer than 15 treated or untreated clusters in a class, the test of
    equality has no p-value.

    Source
    ------
    Separate estimation and Wald test; for group-time effects this is Callaway and Sant'Anna
    (2021) within classes.
    """

    estimator: Estimator = field(kw_only=True)
    by: str = field(kw_only=True)
    weighting: Literal["cohort", "cell", "event_time", "time"] | None = None

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT, UNIT_CLUSTERS)
    estimand: ClassVar[str] = "average effects by class of units"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.estimator, Estimator):
            raise DesignError(
                f"EffectsByGroup: estimator is an estimator such as CallawaySantAnna(); it was "
                f"{self.estimator!r}."
            )

    def _estimate(self, design: Design) -> Result:
        values = design.sample.unit_values(self.by)
        classes = sorted(values.dropna().unique().tolist(), key=lambda v: (isinstance(v, str), v))
        if not 1 < len(classes) <= MOST_GROUPS:
            raise DesignError(
                f'"{self.by}" takes {plural(len(classes), "value")} among '
                f"{plural(design.n_units, 'unit')}; classes to compare are 2 to {MOST_GROUPS}. "
                "Cut a continuous characteristic into classes fixed beforehand."
            )
        members = [
            np.ones(design.n_units, dtype=bool),
            *((values == c).to_numpy() for c in classes),
        ]
        fitted = [_fit_class(self, design, member) for member in members]
        if fitted[0].reason:
            raise EstimationError(fitted[0].reason)
        estimates = np.array([f.estimate for f in fitted])
        known = ~np.isnan(estimates[1:])
        if known.sum() < 2:
            reasons = listing(sorted({f.reason for f in fitted if f.reason}), 2)
            raise EstimationError(
                f'fewer than two classes of "{self.by}" can be estimated: {reasons}'
            )
        terms = ["all units", *(f"{self.by} = {c}" for c in classes)]
        cells = pd.DataFrame(
            {
                "term": terms,
                "cohort": np.nan,
                "time": np.nan,
                "event_time": np.nan,
                "estimate": estimates,
                "weight": [float(m.sum()) for m in members],
                "note": [f.reason for f in fitted],
                "n_treated": [int((m & ~np.isnan(design.cohorts)).sum()) for m in members],
                "n_comparison": [int((m & np.isnan(design.cohorts)).sum()) for m in members],
            }
        )
        dfs = [f.df for f in fitted if f.df is not None]
        scores = Scores(np.stack([f.psi for f in fitted], axis=1), df=min(dfs) if dfs else None)
        test = _equality(estimates[1:][known], scores.covariance()[1:, 1:][np.ix_(known, known)],
                         self.by, scores.df)  # fmt: skip
        few = [t for t, f in zip(terms, fitted, strict=True) if f.average and _is_small(f.average)]
        if few:
            note = f"no p-value: fewer than {FEWEST} treated or untreated clusters in {few[0]}"
            test = replace(test, p_value=np.nan, note=note)
        lost = int(values.isna().sum())
        return ClassEffects(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=scores,
            estimand=f"{self.estimand} ({fitted[0].estimand})",
            settings=self.settings(),
            notes=(
                f"{test}.",
                f"{self.estimator} within each class of {self.by}.",
                *([f"{plural(lost, 'unit')} without {self.by} are in no class."] if lost else []),
            ),
            extra={"equality": test},
            classes={t: f.average for t, f in zip(terms, fitted, strict=True) if f.average},
        )


@dataclass(frozen=True, eq=False)
class _Class:
    """A class's effect, the contribution of each of the design's clusters (G,), or a reason."""

    estimate: float
    psi: Floats
    average: Result | None = None
    reason: str = ""

    @property
    def df(self) -> float | None:
        """Degrees of freedom of its standard error."""
        return None if self.average is None else self.average.uncertainty.df

    @property
    def estimand(self) -> str:
        """What its estimator estimates."""
        return "" if self.average is None else self.average.estimand


def _fit_class(estimator: EffectsByGroup, design: Design, member: NDArray[np.bool_]) -> _Class:
    """Fit the units of a class and place their clusters among all the design's."""
    own = design
    if not member.all():
        own = replace(design, panel=design.sample.select(member[design.sample.unit_codes]))
    n_clusters = int(design.cluster_codes.max()) + 1
    try:
        result = estimator.estimator.fit(own).att(estimator.weighting)
    except ImpactError as error:
        return _Class(np.nan, np.zeros(n_clusters), reason=str(error))
    contributions = result.uncertainty.contributions()
    if contributions is None:
        raise EstimationError(
            f"{estimator.estimator.name} does not tell what each cluster contributes "
            f"({result.uncertainty.method}), so classes cannot be compared. Use an estimator with "
            "clustered standard errors."
        )
    psi = contributions[:, 0]
    # Small-sample factors belong to the covariance; contributions are rescaled to it.
    size = float(psi @ psi)
    factor = np.sqrt(result.uncertainty.variances()[0] / size) if size > 0 else 1.0
    placed = np.zeros(n_clusters)
    first = np.unique(own.cluster_codes, return_index=True)[1]
    where = design.cluster_codes[design.sample.units.get_indexer(own.sample.units[first])]
    placed[where] = factor * psi
    return _Class(float(result.estimates[0]), placed, result)


def _is_small(average: Result) -> bool:
    """Tell whether a class has too few clusters in an arm for tests by clustered covariances."""
    facts = average.design.facts
    treated = facts.n_treated_clusters
    return min(treated, facts.n_clusters - treated) < FEWEST


def _equality(estimates: Floats, covariance: Floats, by: str, df: float | None) -> JointTest:
    """Test that all classes have the effect of the first."""
    contrast = np.concatenate((-np.ones((len(estimates) - 1, 1)), np.eye(len(estimates) - 1)), 1)
    statistic, rank, p_value = joint_wald(
        contrast @ estimates, contrast @ covariance @ contrast.T, df=df
    )
    return JointTest(f"Effects are the same in all classes of {by}", statistic, rank, p_value, df)
