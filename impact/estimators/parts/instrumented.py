"""One instrumental-variables problem: the outcome equation and regressions on the instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing, plural
from impact.estimators.parts.covariances import Covariance
from impact.estimators.parts.regression import Regression, regress
from impact.estimators.parts.variables import Variables
from impact.inference.clusters import BlockScores, Convention, projected_regression
from impact.kernels.groups import Groups
from impact.kernels.instruments import k_class
from impact.kernels.least_squares import LeastSquares, find_redundant, least_squares

__all__ = ["Instrumented", "OnInstruments"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNCORRECTED = (
    "CR2, CR3 and the jackknife have no definition with instruments. Use CR1, or the "
    "Anderson-Rubin set with clustered covariance."
)


@dataclass(frozen=True, eq=False)
class Instrumented:
    """Outcome, regressors and instruments with the effects to be swept out of them.

    Parameters
    ----------
    design : whose clusters and weights count
    variables : outcome and all regressors, those that need instruments included
    instruments : shape (q, n)
    effects : absorbed effects
    endogenous_names, instrument_names : of the regressors that need instruments, and of those
    method : "2sls" or "liml"
    covariance, convention : of every regression
    """

    design: Design
    variables: Variables
    instruments: Floats
    effects: list[Groups]
    endogenous_names: Sequence[str]
    instrument_names: Sequence[str]
    method: Literal["2sls", "liml"]
    covariance: Covariance
    convention: Convention

    @property
    def weights(self) -> Floats | None:
        """Weights of the rows, shape (n,), or None."""
        return self.variables.rows.weights

    @property
    def endogenous(self) -> Integers:
        """Positions of the endogenous regressors, shape (m,)."""
        names = self.variables.names
        return np.array([names.index(name) for name in self.endogenous_names])

    @cached_property
    def plain(self) -> Regression:
        """The outcome equation by least squares, which sweeps the effects out once for all."""
        return regress(
            self.design,
            self.variables,
            effects=self.effects,
            covariance=self.covariance,
            convention=self.convention,
        )

    @cached_property
    def swept_instruments(self) -> Floats:
        """Instruments with effects swept out, shape (q, n)."""
        absorber = self.plain.absorber
        return self.instruments if absorber is None else absorber.sweep(self.instruments)

    @cached_property
    def swept_outcome(self) -> Floats:
        """Outcome with effects swept out, shape (n,)."""
        fit = self.plain.fit
        return fit.residuals + fit.coefficients @ fit.regressors

    @cached_property
    def swept_endogenous(self) -> Floats:
        """Endogenous regressors with effects swept out, shape (m, n)."""
        fit = self.plain.fit
        return fit.regressors[np.searchsorted(fit.kept, self.endogenous)]

    @cached_property
    def swept_exogenous(self) -> Floats:
        """Exogenous regressors that are not redundant with effects swept out, shape (p, n)."""
        fit = self.plain.fit
        return fit.regressors[~np.isin(fit.kept, self.endogenous)]

    def structural(self) -> Regression:
        """Estimate the outcome equation.

        Raises
        ------
        EstimationError : an endogenous regressor or an instrument that others explain
        """
        first = self.plain
        self._check_endogenous(first)
        kept = first.fit.kept
        self._check_instruments()
        solved = k_class(
            self.swept_outcome, self.swept_endogenous, self.swept_exogenous,
            self.swept_instruments, self.weights,
            liml=self.method == "liml", n_effects=first.fit.n_effects,
        )  # fmt: skip
        others = kept[~np.isin(kept, self.endogenous)]
        place = np.concatenate((self.endogenous, others)).astype(np.int64)
        fit = replace(
            solved.fit,
            kept=place,
            redundant=first.fit.redundant,
            leverage_of_effects=first.fit.leverage_of_effects,
        )
        contrast = np.zeros((len(self.variables.names), len(place)))
        contrast[place, np.arange(len(place))] = 1.0
        own = first.uncertainty
        uncertainty = replace(
            self.bind(own, fit),
            contrast=contrast,
            make_full=projected_regression(fit, self.effects, own.clusters[0]),
            uncorrected=UNCORRECTED,
        )
        return replace(first, fit=fit, uncertainty=uncertainty)

    def bind(self, uncertainty: BlockScores, fit: LeastSquares) -> BlockScores:
        """Return the uncertainty of another fit on the same rows, by the same covariance."""
        kind = self.covariance
        if not isinstance(kind, str):
            return replace(
                uncertainty, fit=fit, kind=kind.kernel(self.design, self.variables.rows, fit)
            )
        return replace(uncertainty, fit=fit, kind=kind)

    def on_instruments(self, column: Floats) -> OnInstruments:
        """Regress a swept column, shape (n,), on the q instruments and the exogenous regressors."""
        columns = np.concatenate((self.swept_instruments, self.swept_exogenous))
        return OnInstruments(self, self.regress(column, columns))

    def regress(self, column: Floats, regressors: Floats) -> LeastSquares:
        """Regress a swept column, shape (n,), on swept columns, shape (k, n)."""
        n_effects = self.plain.fit.n_effects
        return least_squares(column, regressors, self.weights, n_effects=n_effects)

    def _check_endogenous(self, first: Regression) -> None:
        names = self.variables.names
        lost = [n for n, c in zip(names, first.coefficients, strict=True) if np.isnan(c)]
        lost += [
            names[j]
            for redundancy in first.fit.redundant
            for j in redundancy.partners
            if j in self.endogenous
        ]
        if set(lost) & set(self.endogenous_names):
            raise EstimationError(
                f"{listing(lost)} cannot be told from the effects or the other regressors, so it "
                "has no coefficient. Absorb fewer effects or drop what explains it."
            )

    def _check_instruments(self) -> None:
        exogenous, weights = self.swept_exogenous, self.weights
        columns = np.concatenate((exogenous, self.swept_instruments))
        weighted = columns if weights is None else columns * weights
        raw = np.concatenate((exogenous, self.instruments))
        scale = np.einsum("kn,kn->k", raw, raw if weights is None else raw * weights)
        redundant = find_redundant(weighted @ columns.T, scale)
        lost = [self.instrument_names[r.column - len(exogenous)] for r in redundant]
        if lost:
            raise EstimationError(
                f"{plural(len(lost), 'instrument')} ({listing(lost)}) cannot be told from the "
                "effects, exogenous regressors or other instruments and move nothing. Drop them."
            )


@dataclass(frozen=True, eq=False)
class OnInstruments:
    """A regression on the instruments and the exogenous regressors."""

    problem: Instrumented
    fit: LeastSquares

    @property
    def slopes(self) -> Floats:
        """Slopes of the instruments, shape (q,)."""
        return self.fit.coefficients[: len(self.problem.instruments)]

    @cached_property
    def uncertainty(self) -> BlockScores:
        """Uncertainty of all slopes by the covariance chosen."""
        own = replace(self.problem.plain.uncertainty, contrast=np.eye(len(self.fit.kept)))
        return self.problem.bind(own, self.fit)

    @cached_property
    def covariance(self) -> Floats:
        """Covariance of the slopes of the instruments, shape (q, q)."""
        q = len(self.problem.instruments)
        return self.uncertainty.coefficient_covariance[:q, :q]

    @property
    def classical_covariance(self) -> Floats:
        """The same under equal variances."""
        q = len(self.problem.instruments)
        return self.fit.sigma2 * self.fit.bread[:q, :q]

    @property
    def information(self) -> Floats:
        """Cross-products of the instruments, exogenous regressors and effects swept out, (q, q)."""
        q = len(self.problem.instruments)
        return np.asarray(np.linalg.inv(self.fit.bread[:q, :q]), dtype=np.float64)
