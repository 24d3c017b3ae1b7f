"""One instrumental-variables problem: the outcome equation and regressions on the instruments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import EstimationError, listing, plural
from impact.estimators.parts.covariances import Covariance
from impact.estimators.parts.regression import Regression, regress
from impact.estimators.parts.variables import Variables
from impact.inference.clusters import BlockScores, Convention, projected_regression
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups
from impact.kernels.instruments import k_class
from impact.kernels.least_squares import LeastSquares, find_redundant

__all__ = ["Instrumented"]

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

    @property
    def exogenous(self) -> Integers:
        """Positions of the other regressors."""
        return np.setdiff1d(np.arange(len(self.variables.names)), self.endogenous)

    def sweep(self, columns: Floats) -> Floats:
        """Take the effects out of columns, shape (k, n) or (n,)."""
        return absorb(self.effects, self.weights).sweep(columns) if self.effects else columns

    def structural(self) -> Regression:
        """Estimate the outcome equation.

        Raises
        ------
        EstimationError : an endogenous regressor or an instrument that others explain
        """
        first = self.regress(
            self.variables.outcome, self.variables.regressors, self.variables.names
        )
        self._check_endogenous(first)
        kept = first.fit.kept
        z, y = self.sweep(self.instruments), self.sweep(self.variables.outcome)
        order = [int(np.flatnonzero(kept == j)[0]) for j in self.endogenous]
        others = np.setdiff1d(np.arange(len(kept)), order)
        x = first.fit.regressors
        self._check_instruments(z, x[others])
        solved = k_class(
            y, x[order], x[others], z, self.weights,
            liml=self.method == "liml", n_effects=first.fit.n_effects,
        )  # fmt: skip
        place = np.concatenate((kept[order], kept[others])).astype(np.int64)
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

    def regress(
        self,
        outcome: Floats,
        regressors: Floats,
        names: Sequence[str],
        covariance: Covariance | None = None,
    ) -> Regression:
        """Regress a column, shape (n,), on others, shape (k, n), by least squares."""
        variables = Variables(self.variables.rows, outcome, regressors, tuple(names))
        return regress(
            self.design,
            variables,
            effects=self.effects,
            covariance=self.covariance if covariance is None else covariance,
            convention=self.convention,
        )

    def on_instruments(self, outcome: Floats, covariance: Covariance | None = None) -> Regression:
        """Regress a column, shape (n,), on the q instruments and then the exogenous regressors."""
        columns = np.concatenate((self.instruments, self.variables.regressors[self.exogenous]))
        names = [f"z{j}" for j in range(len(columns))]
        return self.regress(outcome, columns, names, covariance)

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

    def _check_instruments(self, z: Floats, exogenous: Floats) -> None:
        columns = np.concatenate((exogenous, z))
        weighted = columns if self.weights is None else columns * self.weights
        raw = np.concatenate((exogenous, self.instruments))
        scale = np.einsum("kn,kn->k", raw, raw if self.weights is None else raw * self.weights)
        redundant = find_redundant(weighted @ columns.T, scale)
        lost = [self.instrument_names[r.column - len(exogenous)] for r in redundant]
        if lost:
            raise EstimationError(
                f"{plural(len(lost), 'instrument')} ({listing(lost)}) cannot be told from the "
                "effects, exogenous regressors or other instruments and move nothing. Drop them."
            )
