"""Hausman and Taylor's instrumental variables for effects of what is constant over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, InferenceError, listing, near, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.regression import RegressionEstimator, coefficient_result, regress
from impact.estimators.parts.settings import column_names
from impact.estimators.parts.variables import design_variables
from impact.inference.clusters import projected_regression
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups
from impact.kernels.instruments import k_class
from impact.kernels.least_squares import least_squares
from impact.kernels.quasi_demean import quasi_demean
from impact.kernels.variance_components import Components
from impact.result import Result

__all__ = ["HausmanTaylor"]

Floats = NDArray[np.float64]

UNCORRECTED = "CR2, CR3 and the jackknife have no definition with instruments. Use CR1."

CONSTANT = 1e-12
"""Variation within units, relative to size, below which a regressor counts as constant."""


@dataclass(frozen=True, kw_only=True)
class HausmanTaylor(RegressionEstimator):
    r"""Estimate effects of time-constant variables although some correlate with the unit.

    .. math:: y_{it} = x_{1it}'\beta_1 + x_{2it}'\beta_2 + z_{1i}'\gamma_1 + z_{2i}'\gamma_2
              + \alpha + \mu_i + \nu_{it}

    Parameters
    ----------
    endogenous : regressors (x2 and z2) that correlate with the unit effect

    Notes
    -----
    Which regressors are constant over time is read off the data. Instruments are the
    regressors' deviations from unit means and the unit means of exogenous ones, which therefore
    need at least as many time-varying exogenous regressors as constant endogenous ones. Rows are
    quasi-demeaned by each unit's own number of rows. Weights, HC2, HC3, CR2 and CR3 are refused.

    Raises
    ------
    DesignError : weights, an unknown name, too few instruments
    EstimationError : no regressor varies within units, no error within units

    Source
    ------
    Hausman and Taylor (1981), Econometrica 49(6), section 3; Baltagi (2021), section 7.4.
    """

    endogenous: str | Sequence[str] = ()

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients by Hausman and Taylor's instruments"

    def __post_init__(self) -> None:
        super().__post_init__()
        names = column_names(self.name, "endogenous", self.endogenous)
        object.__setattr__(self, "endogenous", names)
        if self.covariance in ("HC2", "HC3", "CR2", "CR3", "jackknife"):
            raise InferenceError(
                f"HausmanTaylor: covariance {self.covariance!r} has no definition with "
                'instruments. Use "CR1", "HC1" or "classical".'
            )

    def _estimate(self, design: Design) -> Result:
        variables = design_variables(design)
        names = variables.names
        self._check(design, names)
        units = Groups(variables.rows.unit_codes, design.sample.n_units)
        x, y = variables.regressors, variables.outcome
        means = units.spread(units.total(x) / units.counts)
        varies = np.abs(x - means).max(axis=1) > CONSTANT * np.abs(x).max(axis=1)
        endogenous = np.array([name in self.endogenous for name in names])
        self._check_order(varies, endogenous)
        full = variables.with_constant()
        first = regress(
            design,
            full,
            covariance="classical",
            convention=self.convention,
        )
        if first.fit.redundant:
            lost = [full.names[r.column] for r in first.fit.redundant]
            raise EstimationError(
                f"{listing(lost)} cannot be told from the other regressors. Drop what repeats them."
            )
        parts = _components(
            y,
            x[varies],
            full.regressors[~np.append(varies, False)],
            means[varies & ~endogenous],
            x[~varies & ~endogenous],
            units,
        )
        moved = quasi_demean(np.concatenate((y[None, :], full.regressors)), parts, units)
        instruments = np.concatenate(
            (x[varies] - means[varies], means[varies & ~endogenous], x[~varies & ~endogenous])
        )
        constant = np.ones((1, len(y)))
        none = np.zeros((0, len(y)))
        solved = k_class(
            moved[0], moved[1:], none, np.concatenate((instruments, constant)), None,
            liml=False, n_effects=0,
        ).fit  # fmt: skip
        kind = self.covariance
        rows = variables.rows
        bound = kind if isinstance(kind, str) else kind.kernel(design, rows, solved)
        uncertainty = replace(
            first.uncertainty,
            fit=solved,
            make_full=projected_regression(solved, (), first.uncertainty.clusters[0]),
            kind=bound,
            uncorrected=UNCORRECTED,
        )
        ready = replace(full, outcome=moved[0], regressors=moved[1:])
        fit = replace(first, variables=ready, fit=solved, uncertainty=uncertainty)
        return coefficient_result(self, design, fit, self.estimand, extra={"components": parts})

    def _check(self, design: Design, names: Sequence[str]) -> None:
        if design.weights is not None:
            raise DesignError(
                "HausmanTaylor takes no weights: its variance components are defined for rows of "
                "equal weight. Use a design without weights."
            )
        for name in self.endogenous:
            if name not in names:
                raise DesignError(
                    f'endogenous regressor "{name}" is not in the design. {near(name, names)}'
                    f"Its regressors are {listing(names, 8)}; add it with covariates=."
                )

    def _check_order(self, varies: NDArray[np.bool_], endogenous: NDArray[np.bool_]) -> None:
        if not varies.any():
            raise EstimationError(
                "no regressor varies within units, so there is no instrument from deviations. Use "
                "Between or PanelIV with instruments of their own."
            )
        needed, have = int((endogenous & ~varies).sum()), int((~endogenous & varies).sum())
        if have < needed:
            raise DesignError(
                f"{plural(needed, 'time-constant endogenous regressor')} need as many "
                f"exogenous ones that vary over time; there {'is' if have == 1 else 'are'} {have}. "
                "Call fewer regressors endogenous or add exogenous ones."
            )


def _components(
    y: Floats, x: Floats, z: Floats, means: Floats, constant: Floats, units: Groups
) -> Components:
    """Estimate error and unit variance from within residuals and a regression of unit means."""
    absorber = absorb([units])
    within = least_squares(y, x, sweep=absorber.sweep, n_effects=absorber.rank)
    if within.df_residual <= 0 or within.rss <= CONSTANT**2 * float(y @ y):
        raise EstimationError(
            "the regression within units leaves no error, so the variances that rows are weighed "
            "by are unknown. More rows, or an outcome that changes within units, are needed."
        )
    left = y - within.coefficients @ x[within.kept]
    averages = units.spread(units.total(left) / units.counts)
    ones = np.ones((1, len(y)))
    none = np.zeros((0, len(y)))
    solved = k_class(
        averages, z, none, np.concatenate((means, constant, ones)), None, liml=False, n_effects=0
    ).fit
    spread = float(np.mean(solved.residuals**2))
    size = len(y) / units.size
    return Components(within.sigma2, max(spread - within.sigma2 / size, 0.0))
