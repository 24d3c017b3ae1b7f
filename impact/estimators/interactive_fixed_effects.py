"""Interactive fixed effects as a counterfactual: Bai (2009), Xu (2017), Liu, Wang and Xu (2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

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
    factor_limit,
    projected,
    table_of,
)
from impact.estimators.parts.donors import needs_of_placebos
from impact.estimators.parts.refits import completed_result
from impact.kernels.lowrank import complete, hard
from impact.result import Result

__all__ = ["InteractiveFixedEffects", "InteractiveFixedEffectsFit"]

Floats: TypeAlias = NDArray[np.float64]

LARGEST_RANK = 5


@dataclass(frozen=True, eq=False)
class InteractiveFixedEffectsFit:
    """What lies behind the completed outcomes.

    Attributes
    ----------
    rank : number of factors
    slopes : coefficients of the covariates
    factors : indexed by period, one column a factor, sum of squares equal to the periods
    fitted : untreated outcome by unit and period
    errors : mean squared prediction error by number of factors; empty if the rank was given
    """

    rank: int
    slopes: pd.Series
    factors: pd.DataFrame
    fitted: pd.DataFrame
    errors: pd.Series


@dataclass(frozen=True)
class InteractiveFixedEffects(Estimator):
    """Complete untreated outcomes by common factors that each unit loads on in its own way.

    Y_it(0) = a_i + b_t + x_it'beta + lambda_i'f_t + e_it; effects are observed minus completed.

    Parameters
    ----------
    rank : number of factors; None chooses among 0 to 5 by cross-validation
    factors_from : "all" untreated observations, or "never_treated" units alone (generalised
        synthetic control), treated units then being projected on the factors
    inference : "jackknife" leaves out a cluster at a time, "bootstrap" redraws clusters,
        "placebo" takes units never treated as treated; all estimate anew. "auto" is the
        jackknife, or placebo where a cohort is treated in one cluster only; "none"
    draws, seed : bootstrap samples or placebo assignments

    Raises
    ------
    DesignError : sampling weights, placebos with clusters of several units, a treatment that
        reverses, a rank that is no whole number
    EstimationError : a period or a unit with too few untreated observations, a
        covariate that does not vary within, a fit that does not settle
    InferenceError : see ``inference``

    Notes
    -----
    Gaps are allowed. The factors' objective is not convex; the search starts from the two-way
    fit. Cells before treatment are in-sample residuals, closer to zero than placebos would be.
    With rank 0 this is the imputation of two-way effects. Refits keep the rank.

    With placebos, where an effect is found although treatment is pretended to begin earlier, there
    is no standard error, interval or rank, and the table says why.

    Source
    ------
    Bai (2009), Econometrica 77(4); Xu (2017), Political Analysis 25(1), eqs. (4)-(9); Liu, Wang
    and Xu (2024), American Journal of Political Science 68(1), section 2.

    Example
    -------
    >>> InteractiveFixedEffects(rank=2).fit(design).event_study()     # doctest: +SKIP
    """

    rank: int | None = None
    factors_from: Literal["all", "never_treated"] = "all"
    inference: Inference = "auto"
    draws: int = 200
    seed: int = 0

    requires: ClassVar[tuple[Requirement, ...]] = COMPLETION
    estimand: ClassVar[str] = "average effects on the treated by cohort and period"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank is not None and (not isinstance(self.rank, int) or self.rank < 0):
            raise DesignError(
                f"rank is a number of factors, 0 or more, or None to choose; it was {self.rank!r}."
            )

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What these settings need of a design."""
        return (*self.requires, *needs_of_placebos(self.inference))

    def _refuse_design(self, design: Design) -> None:
        check_known(design, table_of(design), self.rank or 0)

    def _estimate(self, design: Design) -> Result:
        table = table_of(design)
        rank, errors = self.rank, pd.Series(dtype=np.float64)
        if rank is None:
            ranks = range(factor_limit(table, LARGEST_RANK) + 1)
            errors = cross_validated(
                design, table, list(ranks), lambda t, r: self._completed(t, int(r))
            )
            rank = int(np.argmin(errors))
        chosen = rank
        fit = self._described(design, table, chosen, errors)
        return completed_result(
            self,
            design,
            table,
            fit.fitted.to_numpy(),
            lambda t: self._completed(t, chosen),
            _note(chosen, errors, self.factors_from),
            fit,
        )

    def _completed(self, table: Table, rank: int) -> Floats:
        """Return untreated outcomes in every cell, shape (N, T)."""
        return self._fit(table, rank)[0]

    def _fit(self, table: Table, rank: int) -> tuple[Floats, Floats, Floats]:
        """Return completed outcomes, slopes and factors."""
        if self.factors_from == "all":
            fit = complete(table.outcomes, table.known, table.covariates, hard(rank))
            return fit.fitted, fit.slopes, fit.factors
        never = np.flatnonzero(table.onset == table.known.shape[1])
        base = table.units(never)
        fit = complete(base.outcomes, base.known, base.covariates, hard(rank))
        return (
            projected(table, fit.factors, fit.slopes, fit.time_effects),
            fit.slopes,
            fit.factors,
        )

    def _described(
        self, design: Design, table: Table, rank: int, errors: pd.Series
    ) -> InteractiveFixedEffectsFit:
        fitted, slopes, factors = self._fit(table, rank)
        return InteractiveFixedEffectsFit(
            rank=rank,
            slopes=pd.Series(slopes, index=list(design.covariates), dtype=np.float64),
            factors=pd.DataFrame(factors, index=design.periods),
            fitted=pd.DataFrame(fitted, index=design.sample.units, columns=design.periods),
            errors=errors,
        )


def _note(rank: int, errors: pd.Series, factors_from: str) -> str:
    how = "given" if errors.empty else f"chosen by cross-validation among 0 to {len(errors) - 1}"
    return f"Factors: {rank}, {how}, from {factors_from.replace('_', ' ')} units."
