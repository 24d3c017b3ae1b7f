"""Poisson pseudo maximum likelihood with fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from impact.design import Design
from impact.errors import DesignError, EstimationError, InferenceError, listing, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.absorbed import AbsorbedEffects
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.regression import (
    Regression,
    RegressionEstimator,
    cluster_groups,
    coefficient_result,
)
from impact.estimators.parts.settings import column_names
from impact.estimators.parts.variables import Variables, design_variables, take_rows
from impact.inference.clusters import BlockScores, count_effects, projected_regression
from impact.kernels.groups import Groups, compact
from impact.kernels.poisson import (
    PoissonFit,
    fit_poisson,
    separated_rows,
    sum_of,
    zero_groups,
)
from impact.result import Result

__all__ = ["PoissonFixedEffects"]

Floats = NDArray[np.float64]

UNCORRECTED = (
    "CR2, CR3 and the jackknife are exact only for linear regressions. Use CR1 for a Poisson "
    "regression."
)


@dataclass(frozen=True, kw_only=True)
class PoissonFixedEffects(RegressionEstimator):
    r"""Regress a non-negative outcome, such as a count of jobs, by Poisson pseudo likelihood.

    .. math:: E[y_{it}] = \exp(x_{it}'\beta + \alpha_i + \lambda_t + \dots)

    A coefficient b is the proportional effect exp(b) - 1 on the mean.

    Parameters
    ----------
    effects : fixed effects, as in FixedEffects; () for an intercept
    exposure : column of positive amounts the mean is proportional to

    Notes
    -----
    Needs only the mean to be right: the outcome may be continuous, overdispersed and zero. Rows
    whose fitted mean would be zero are separated: groups whose outcomes are all zero, and zeros
    that regressors predict perfectly. They tell nothing about the coefficients and are left
    out, with their number in the notes. Standard errors cluster by the design's clusters;
    "classical" assumes variance equal to the mean. HC2, HC3, CR2, CR3 and the jackknife are
    refused.

    Raises
    ------
    EstimationError : a negative outcome, nothing left after separation, no convergence

    Source
    ------
    Gourieroux, Monfort and Trognon (1984), Econometrica 52(3); Correia, Guimaraes and Zylkin
    (2020), Stata Journal 20(1).
    """

    effects: str | Sequence[str] = ("unit", "time")
    exposure: str | None = None

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients of a Poisson regression within fixed effects"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = column_names(self.name, "effects", self.effects)
        object.__setattr__(self, "effects", names)
        if self.covariance in ("HC2", "HC3", "CR2", "CR3", "jackknife"):
            raise InferenceError(
                f"PoissonFixedEffects: covariance {self.covariance!r} is exact only for linear "
                'regressions. Use "CR1", "HC1", "classical" or a kernel such as DriscollKraay().'
            )

    def _estimate(self, design: Design) -> Result:
        variables = design_variables(design)
        groups = effect_groups(design, variables.rows, list(self.effects))
        rows = _Rows(variables, groups, self._offset(design))
        self._check_outcome(design, variables)
        informative = rows.keep(~zero_groups(variables.outcome, groups))
        n_zero_groups = variables.n - informative.variables.n
        fit, rows = _fit(informative)
        n_separated = informative.variables.n - rows.variables.n
        regression = self._regression(design, rows, fit)
        notes = []
        if n_zero_groups:
            notes.append(
                f"{plural(n_zero_groups, 'row')} in groups whose outcomes are all zero left out."
            )
        if n_separated:
            notes.append(
                f"{plural(n_separated, 'row')} with outcome zero that the regressors predict "
                "perfectly left out."
            )
        extra = {
            **_likelihood(rows.variables.outcome, fit, rows.variables.rows.weights),
            "n_steps": fit.n_steps,
            "n_left_out": n_zero_groups + n_separated,
            "absorbed": AbsorbedEffects(tuple(self.effects), tuple(rows.groups)),
        }
        return coefficient_result(self, design, regression, self.estimand, notes, extra)

    def _offset(self, design: Design) -> Floats | None:
        if self.exposure is None:
            return None
        amounts = design.sample.numeric(self.exposure)
        wrong = ~(amounts > 0)
        if wrong.any():
            raise DesignError(
                f'exposure "{self.exposure}" is missing, zero or negative in '
                f"{plural(int(wrong.sum()), 'row')}; the mean is proportional to it and must be "
                "positive. Drop those rows or leave exposure out."
            )
        return np.log(amounts)

    def _check_outcome(self, design: Design, variables: Variables) -> None:
        negative = np.flatnonzero(variables.outcome < 0)
        if len(negative):
            units = design.sample.units[np.unique(variables.rows.unit_codes[negative])]
            raise EstimationError(
                f'outcome "{design.outcome}" is negative in {plural(len(negative), "row")}, first '
                f"{design.panel.unit} {listing(units)}; a Poisson mean is positive. Use "
                "FixedEffects, or an outcome that counts."
            )

    def _regression(self, design: Design, rows: _Rows, fit: PoissonFit) -> Regression:
        variables, groups = rows.variables, rows.groups
        names = variables.names if groups else (*variables.names, "constant")
        if not len(fit.kept):
            raise EstimationError(
                f"no regressor varies within the fixed effects: {listing(names)}. Absorb fewer "
                "effects, or use regressors that change within units."
            )
        clusters = cluster_groups(design, variables.rows, groups)
        contrast = np.zeros((len(names), len(fit.kept)))
        contrast[fit.kept, np.arange(len(fit.kept))] = 1.0
        chosen = self.covariance
        uncertainty = BlockScores(
            fit,
            clusters,
            contrast,
            count_effects(groups, clusters, fit.n_effects),
            projected_regression(fit, groups, clusters[0]),
            chosen if isinstance(chosen, str) else chosen.kernel(design, variables.rows, fit),
            self.convention,
            UNCORRECTED,
        )
        return Regression(replace(variables, names=names), fit, uncertainty, None, 0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows with their effects and the known part of the logarithm of their mean."""

    variables: Variables
    groups: list[Groups]
    offset: Floats | None

    def keep(self, wanted: NDArray[np.bool_]) -> _Rows:
        """Return the rows wanted; the same object if that is all."""
        if wanted.all():
            return self
        kept = np.flatnonzero(wanted)
        v = self.variables
        rows = take_rows(v.rows, kept)
        groups = [compact(group.codes[kept]) for group in self.groups]
        return _Rows(
            Variables(rows, v.outcome[kept], v.regressors[:, kept], v.names),
            groups,
            None if self.offset is None else self.offset[kept],
        )

    def fit(self) -> PoissonFit:
        """Fit the Poisson regression."""
        v = self.variables
        regressors = _with_constant(v.regressors, self.groups)
        return fit_poisson(v.outcome, regressors, self.groups, v.rows.weights, self.offset)


def _fit(rows: _Rows) -> tuple[PoissonFit, _Rows]:
    """Fit, and fit again without separated rows if some fitted means vanish."""
    outcome = rows.variables.outcome
    failure: EstimationError | None = None
    try:
        fit = rows.fit()
        if not fit.has_vanishing_means(outcome):
            return fit, rows
    except EstimationError as error:
        failure = error
    regressors = _with_constant(rows.variables.regressors, rows.groups)
    separated = separated_rows(outcome, regressors, rows.groups)
    if not separated.any():
        if failure is not None:
            raise failure
        return fit, rows
    rest = rows.keep(~separated)
    if not rest.variables.n:
        raise EstimationError(
            "regressors and fixed effects predict every zero outcome perfectly and nothing is "
            "left (separation). Use fewer regressors or effects."
        )
    return rest.fit(), rest


def _with_constant(regressors: Floats, groups: list[Groups]) -> Floats:
    if groups:
        return regressors
    return np.concatenate((regressors, np.ones((1, regressors.shape[1]))))


def _likelihood(outcome: Floats, fit: PoissonFit, weights: Floats | None) -> dict[str, float]:
    """Return deviance, log-likelihood and McFadden's pseudo R-squared."""
    y, w = outcome, weights
    constant = sum_of(lambda counts: special.gammaln(counts + 1), y, w)
    null = float(np.average(y, weights=w))
    total = null * (len(y) if w is None else float(w.sum()))
    fitted, means = (
        (y @ fit.linear, fit.means.sum())
        if w is None
        else (np.einsum("n,n,n->", w, y, fit.linear), w @ fit.means)
    )
    own = float(fitted - means) - constant
    alone = total * np.log(null) - total - constant
    return {"deviance": fit.deviance, "log_likelihood": own, "pseudo_r_squared": 1 - own / alone}
