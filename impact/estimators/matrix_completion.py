"""Matrix completion with a nuclear-norm penalty: Athey, Bayati, Doudchenko, Imbens, Khosravi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError
from impact.estimators.base import Estimator, Requirement
from impact.estimators.parts.completion import (
    COMPLETION,
    Inference,
    Table,
    check_known,
    cross_validated,
    table_of,
)
from impact.estimators.parts.donors import needs_of_placebos
from impact.estimators.parts.refits import completed_result
from impact.kernels.lowrank import complete, hard, soft
from impact.result import Result

__all__ = ["MatrixCompletion", "MatrixCompletionFit"]

Floats: TypeAlias = NDArray[np.float64]

# Penalties tried: shares of the largest singular value that two-way effects leave.
SHARES = tuple(10.0 ** (-k / 4) for k in range(11))


@dataclass(frozen=True, eq=False)
class MatrixCompletionFit:
    """What lies behind the completed outcomes.

    Attributes
    ----------
    penalty : price of a unit of singular value, divided by units times periods
    rank : rank of the completed low-rank part
    slopes : coefficients of the covariates
    fitted : untreated outcome by unit and period
    errors : mean squared prediction error by penalty; empty if the penalty was given
    """

    penalty: float
    rank: int
    slopes: pd.Series
    fitted: pd.DataFrame
    errors: pd.Series


@dataclass(frozen=True)
class MatrixCompletion(Estimator):
    """Complete untreated outcomes by a matrix of small nuclear norm beside two-way effects.

    Minimises sum over untreated cells of (Y_it - a_i - b_t - x_it'beta - L_it)^2 / 2 +
    penalty N T ||L||_*; effects are observed minus completed outcomes.

    Parameters
    ----------
    penalty : price of singular values in units of N T (as in R fect), None to choose it by
        cross-validation
    inference : "jackknife" leaves out a cluster at a time, "bootstrap" redraws clusters,
        "placebo" takes units never treated as treated; all estimate anew. "auto" is the
        jackknife, or placebo where a cohort is treated in one cluster only; "none"
    draws, seed : bootstrap samples or placebo assignments

    Raises
    ------
    DesignError : sampling weights, placebos with clusters of several units, a treatment that
        reverses, a negative penalty
    EstimationError : a period or unit without untreated observations, a covariate that does not
        vary within, a fit that does not settle
    InferenceError : see ``inference``

    Notes
    -----
    Gaps are allowed. The objective is convex, so the fit is the only one. A penalty above the
    largest singular value that two-way effects leave gives those effects alone. Refits keep the
    price of singular values, penalty N T of the whole sample.

    With placebos, where an effect is found although treatment is pretended to begin earlier, there
    is no standard error, interval or rank, and the table says why.

    Source
    ------
    Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), Journal of the American Statistical
    Association 116(536), eqs. (6)-(11); R fect 2.4.5 for the scale of the penalty.

    Example
    -------
    >>> MatrixCompletion().fit(design).event_study()                  # doctest: +SKIP
    """

    penalty: float | None = None
    inference: Inference = "auto"
    draws: int = 200
    seed: int = 0

    requires: ClassVar[tuple[Requirement, ...]] = COMPLETION
    estimand: ClassVar[str] = "average effects on the treated by cohort and period"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty is not None and not self.penalty > 0.0:
            raise DesignError(
                f"penalty is a positive price, or None to choose one; it was {self.penalty!r}."
            )

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, *needs_of_placebos(self.inference))

    def _refuse_design(self, design: Design) -> None:
        check_known(design, table_of(design), 0)

    def _estimate(self, design: Design) -> Result:
        table = table_of(design)
        size = design.n_units * len(design.periods)
        errors = pd.Series(dtype=np.float64)
        penalty = self.penalty
        if penalty is None:
            grid = _grid(table) / size
            errors = cross_validated(
                design, table, list(grid), lambda t, p: _completed(t, p * size)
            )
            penalty = float(grid[np.argmin(errors)])
        price = penalty * size
        fit = complete(table.outcomes, table.known, table.covariates, soft(price))
        description = MatrixCompletionFit(
            penalty=penalty,
            rank=fit.factors.shape[1],
            slopes=pd.Series(fit.slopes, index=list(design.covariates), dtype=np.float64),
            fitted=pd.DataFrame(fit.fitted, index=design.sample.units, columns=design.periods),
            errors=errors,
        )
        how = "given" if errors.empty else "chosen by cross-validation"
        return completed_result(
            self,
            design,
            table,
            fit.fitted,
            lambda t: _completed(t, price),
            f"Penalty {penalty:.4g}, {how}; low-rank part of rank {description.rank}.",
            description,
        )


def _completed(table: Table, price: float) -> Floats:
    """Return untreated outcomes in every cell, shape (N, T)."""
    return complete(table.outcomes, table.known, table.covariates, soft(price)).fitted


def _grid(table: Table) -> Floats:
    """Return prices from the one that leaves two-way effects alone downwards."""
    flat = complete(table.outcomes, table.known, table.covariates, hard(0)).fitted
    residual = np.where(table.known, table.outcomes - flat, 0.0)
    return np.asarray(np.linalg.norm(residual, 2) * np.array(SHARES))
