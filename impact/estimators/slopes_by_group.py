"""Coefficients that differ between groups, with a test that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, near, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.regression import (
    Regression,
    RegressionEstimator,
    coefficient_cells,
    regress,
    why_redundant,
)
from impact.estimators.parts.variables import design_variables
from impact.inference.bands import joint_wald
from impact.inference.treated import effective_treated
from impact.result import JointTest, Result

__all__ = ["SlopesByGroup"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

MOST_GROUPS = 500
"""Most groups; more are units, whose mean slope MeanGroup estimates."""
CLUSTERED = ("CR0", "CR1", "CR2", "CR3", "jackknife")
"""Covariances that sum errors by cluster."""
IN_ONE_CLUSTER = "its rows lie in one cluster, so no standard error exists"


@dataclass(frozen=True, kw_only=True)
class SlopesByGroup(RegressionEstimator):
    r"""Regress within fixed effects with a coefficient of its own for each group.

    .. math:: y_{it} = \sum_g 1[g(i,t) = g]\, x_{it}'\beta_g + z_{it}'\gamma + \alpha_i + \lambda_t
              + \dots + u_{it}

    Parameters
    ----------
    by : column of the groups, such as a region, sector or period
    variables : regressors whose coefficient differs; the treatment if None, or, without one, all
        covariates. Other covariates have one coefficient
    effects : fixed effects, as in FixedEffects; groups get an intercept too where they change
        within units. Name "by^time" for each group's own periods

    Notes
    -----
    The first estimate of each variable is the average of its groups' coefficients, weighted by
    their rows (or weights); groups follow as "by::group:variable". ``extra["equality"]`` tests,
    by variable, that all groups share one coefficient: a Wald test with the design's clusters, or
    with covariance="CR2" Hotelling's approximation (HTZ). A group in which the variable does not
    vary has no coefficient, with the reason, and no part in average and test. Where errors are
    summed by cluster, a group within one cluster sums to zero by least squares: its standard error,
    the average's and the test are NaN, with the reason.

    Raises
    ------
    DesignError : an unknown variable, one group, more than 500, a group missing
    EstimationError : a variable has a coefficient in no group

    Source
    ------
    Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data, section 6.3.1, for the
    interacted regression; Pustejovsky and Tipton (2018) for the small-sample test.
    """

    by: str
    variables: str | Sequence[str] | None = None
    effects: str | Sequence[str] = ("unit", "time")

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients by group"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("variables", "effects"):
            value = getattr(self, name)
            if value is not None:
                names = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, name, names)

    def _estimate(self, design: Design) -> Result:
        plain = design_variables(design)
        chosen = self._chosen(design, plain.names)
        codes, labels = self._groups(design)
        slots = np.array([plain.names.index(name) for name in chosen])
        common = [j for j in range(len(plain.names)) if j not in slots]
        inside = codes == np.arange(len(labels))[:, None]
        own = [plain.regressors[slot] * inside for slot in slots]
        names = [f"{self.by}::{label}:{name}" for name in chosen for label in labels]
        variables = replace(
            plain,
            regressors=np.concatenate((*own, plain.regressors[common])),
            names=(*names, *(plain.names[j] for j in common)),
        )
        effects = effect_groups(design, plain.rows, self._effects(design, codes))
        fit = regress(
            design,
            variables,
            effects=effects,
            covariance=self.covariance,
            convention=self.convention,
        )
        weights = plain.rows.weights
        sizes = np.bincount(codes, weights, len(labels)).astype(np.float64)
        treated = np.full((len(chosen), len(labels)), np.inf)
        if design.treatment_column is not None and 0 in slots:
            clusters = plain.rows.cluster_codes[:, 0]
            treated[slots == 0] = _treated(plain.regressors[0], codes, clusters, len(labels))
        lone = _lone(fit, codes, len(labels))
        return self._result(design, fit, chosen, labels, sizes, lone, treated)

    def _result(
        self,
        design: Design,
        fit: Regression,
        chosen: Sequence[str],
        labels: Sequence[str],
        sizes: Floats,
        lone: Booleans,
        treated: Floats,
    ) -> Result:
        """Put each variable's average before its groups.

        ``lone`` marks groups in one cluster; ``treated`` counts treated clusters by variable and
        group.
        """
        n_groups, n_terms = len(labels), len(fit.variables.names)
        estimates = fit.coefficients
        known = ~np.isnan(estimates)
        reasons = {r.column: why_redundant(r, fit.variables.names) for r in fit.fit.redundant}
        terms: list[str] = []
        picked: list[Floats] = []
        notes: list[str] = []
        tests: dict[str, JointTest] = {}
        errors: list[bool] = []
        rests: list[float] = []
        for v, name in enumerate(chosen):
            at = np.arange(v * n_groups, (v + 1) * n_groups)
            live = at[known[at]]
            if not len(live):
                raise EstimationError(
                    f'"{name}" varies within the fixed effects in none of the '
                    f'{n_groups} groups of "{self.by}". Absorb fewer effects.'
                )
            average = np.zeros(n_terms)
            average[live] = sizes[live - v * n_groups] / sizes[live - v * n_groups].sum()
            missing = n_groups - len(live)
            terms += [name, *(fit.variables.names[j] for j in at)]
            picked += [average, *np.eye(n_terms)[at]]
            own = np.maximum(treated[v], 1.0)
            rests += [float(effective_treated(average[at][None], own)[0]), *own]
            notes += [
                f"average over {plural(len(live), 'group')}"
                + (f"; {missing} have no coefficient" if missing else ""),
                *(reasons.get(int(j), "") for j in at),
            ]
            question = f"{name} has one coefficient in all groups"
            inside = lone[live - v * n_groups]
            tests[name] = _equality(fit, live, inside, question)
            errors += [not inside.any(), *~lone]
            if inside.any():
                notes[-n_groups - 1] += f"; {plural(int(inside.sum()), 'group')} in one cluster"
            for j in live[inside]:
                notes[j - at[0] - n_groups] = IN_ONE_CLUSTER
        rest = range(len(chosen) * n_groups, n_terms)
        terms += [fit.variables.names[j] for j in rest]
        picked += list(np.eye(n_terms)[list(rest)])
        notes += [reasons.get(j, "") for j in rest]
        errors += [True for _ in rest]
        rests += [np.inf for _ in rest]
        weights = np.stack(picked)
        values = weights @ np.nan_to_num(estimates)
        lost = (weights[:, ~known] != 0).any(axis=1)
        return Result(
            estimator=self.name,
            design=design,
            cells=coefficient_cells(terms, np.where(lost, np.nan, values), notes),
            uncertainty=fit.uncertainty.combine(weights * np.array(errors)[:, None]),
            estimand=f"{self.estimand} of {self.by}",
            settings=self.settings(),
            notes=(*map(_sentence, tests.values()), *fit.notes()),
            extra={**fit.facts(), "equality": tests, "regression": fit},
            treated_clusters=np.array(rests),
        )

    def _chosen(self, design: Design, names: Sequence[str]) -> tuple[str, ...]:
        if self.variables is None:
            return tuple(names[:1] if design.treatment_column is not None else names)
        for name in self.variables:
            if name not in names:
                raise DesignError(
                    f'SlopesByGroup: variable "{name}" is not among the design\'s regressors. '
                    f"{near(name, names)}They are {listing(names, 8)}."
                )
        return tuple(self.variables)

    def _groups(self, design: Design) -> tuple[Integers, list[str]]:
        """Code the group of each row, and name the groups."""
        sample = design.sample
        column = sample.column(self.by)
        missing = int(column.isna().sum())
        if missing:
            raise DesignError(
                f'SlopesByGroup: "{self.by}" is missing in {plural(missing, "row")}, which have no '
                "group. Fill it, or drop those rows."
            )
        codes, labels = pd.factorize(
            column if sample.order is None else column.iloc[sample.order], sort=True
        )
        if not 1 < len(labels) <= MOST_GROUPS:
            raise DesignError(
                f'SlopesByGroup: "{self.by}" has {plural(len(labels), "group")}; from 2 to '
                f"{MOST_GROUPS} can be compared. Use FixedEffects for one, MeanGroup for a slope "
                "of each unit, or classes of a continuous characteristic (pd.qcut)."
            )
        return codes.astype(np.int64), [str(label) for label in labels]

    def _effects(self, design: Design, codes: Integers) -> list[str]:
        """Add the groups' own intercepts where no effect holds them."""
        units = design.sample.unit_codes
        fixed = bool(((np.diff(codes) == 0) | (np.diff(units) > 0)).all())
        named = list(self.effects)
        return named if self.by in named or (fixed and "unit" in named) else [*named, self.by]


def _treated(treatment: Floats, codes: Integers, clusters: Integers, n_groups: int) -> Floats:
    """Count the clusters with a treated row in each group, shape (n_groups,)."""
    on = treatment != 0
    pairs = np.unique(clusters[on] * n_groups + codes[on])
    return np.bincount(pairs % n_groups, minlength=n_groups).astype(np.float64)


def _lone(fit: Regression, codes: Integers, n_groups: int) -> Booleans:
    """Mark the groups whose rows lie in one cluster, where errors are summed by cluster."""
    kind = fit.uncertainty.kind
    lone = np.zeros(n_groups, dtype=bool)
    if not isinstance(kind, str) or kind not in CLUSTERED:
        return lone
    for clusters in fit.uncertainty.clusters:
        first = np.full(n_groups, clusters.size)
        np.minimum.at(first, codes, clusters.codes)
        last = np.zeros(n_groups, dtype=np.int64)
        np.maximum.at(last, codes, clusters.codes)
        lone |= first == last
    return lone


def _sentence(test: JointTest) -> str:
    """Write a test, or why there is none."""
    return f"{test.question}: not tested, {test.note}." if np.isnan(test.p_value) else str(test)


def _equality(fit: Regression, live: Integers, lone: Booleans, question: str) -> JointTest:
    """Test that the coefficients at these positions are all the same."""
    clusters = fit.uncertainty.n_clusters
    if len(live) < 2:
        return JointTest(question, np.nan, 0, np.nan, note="one group has a coefficient")
    if lone.any():
        why = f"{plural(int(lone.sum()), 'group')} of {len(live)} in one cluster"
        return JointTest(question, np.nan, 0, np.nan, note=why)
    if fit.uncertainty.kind in CLUSTERED and len(live) > clusters:
        why = f"{plural(clusters, 'cluster')} cannot measure {len(live) - 1} differences"
        return JointTest(question, np.nan, 0, np.nan, note=why)
    contrast = np.zeros((len(live) - 1, len(fit.variables.names)))
    contrast[:, live[0]] = -1.0
    contrast[np.arange(len(live) - 1), live[1:]] = 1.0
    values = contrast @ np.nan_to_num(fit.coefficients)
    uncertainty = fit.uncertainty.combine(contrast)
    if uncertainty.kind == "CR2":
        test = uncertainty.hotelling_test(values)
        return JointTest(
            question, test.statistic, test.restrictions, test.p_value, test.df, "HTZ, F form"
        )
    df = uncertainty.df
    statistic, rank, p_value = joint_wald(values, uncertainty.covariance(), df=df)
    return JointTest(question, statistic, rank, p_value, df)
