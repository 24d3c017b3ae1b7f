"""What the instruments move: first stages, their rank, and how strong they must be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from impact.estimators.parts.instrumented import Instrumented, OnInstruments
from impact.inference.clusters import BlockScores
from impact.inference.stock_yogo import stock_yogo
from impact.inference.weak_instruments import critical_effective_f, effective_f, full_rank_wald
from impact.kernels.instruments import k_class
from impact.kernels.reduced_rank import FirstStages, first_stages
from impact.result import JointTest

__all__ = ["Identification", "first_stage_table", "identification"]

Floats = NDArray[np.float64]

TOO_FEW = "clusters are too few to measure all instruments"

RANK_LM = "The instruments move fewer regressors than are endogenous (Kleibergen-Paap rk LM)"


@dataclass(frozen=True)
class Identification:
    """Tests of the rank of the first stages.

    Parameters
    ----------
    underidentification : Kleibergen and Paap's rk LM test; Anderson's where the covariance is
        classical
    cragg_donald : F of the weakest first stage under equal variances
    kleibergen_paap : the same under the covariance chosen
    critical_values : Stock and Yogo's for ``cragg_donald``; empty where they are not valid
    """

    underidentification: JointTest
    cragg_donald: float
    kleibergen_paap: float
    critical_values: dict[str, float]


def first_stage_table(problem: Instrumented) -> pd.DataFrame:
    """Return the strength of the instruments for each endogenous regressor, one row each."""
    stages = _stages(problem)
    table = {}
    for name, column in zip(problem.endogenous_names, problem.swept_endogenous, strict=True):
        table[name] = _one_stage(problem.on_instruments(column))
    frame = pd.DataFrame(table).T.rename_axis("endogenous")
    frame["partial_r_squared"] = stages.partial_r_squared()
    frame["shea_r_squared"] = stages.shea_r_squared()
    if len(frame) > 1:
        frame["conditional_f"] = [_conditional_f(problem, a) for a in range(len(frame))]
    return frame


def identification(problem: Instrumented) -> Identification:
    r"""Test whether the instruments move all endogenous regressors, and how much.

    Notes
    -----
    With :math:`\psi` the combination of endogenous regressors that the instruments move least,
    the rk statistic for rank m - 1 is the Wald statistic that the q - m + 1 restrictions of
    `FirstStages.weakest_direction` hold for its slopes. The LM form takes the covariance with the
    combination itself for its residual, as it is under the null, without small-sample factor but
    for n less the rank of the effects where rows are independent. The F forms are divided by q
    and carry the small-sample factors of the fit.

    Source
    ------
    Kleibergen and Paap (2006), Journal of Econometrics 133(1), theorem 1; Cragg and Donald
    (1993), Econometric Theory 9(2); Anderson (1951), Annals of Mathematical Statistics 22(3).
    Factors as in Stata's ivreg2.
    """
    q, m = len(problem.instruments), len(problem.endogenous)
    direction = _stages(problem).weakest_direction()
    weakest = problem.on_instruments(direction.combination @ problem.swept_endogenous)

    def rank_statistic(covariance: Floats) -> float:
        restrict = direction.restrictions
        return full_rank_wald(restrict @ weakest.slopes, restrict @ covariance @ restrict.T)

    strength = rank_statistic(weakest.covariance) / q
    # With no more clusters than restrictions the LM statistic is their number whatever the data.
    measured = not np.isnan(strength)
    statistic = rank_statistic(_covariance_under_null(weakest)) if measured else np.nan
    is_classical = problem.covariance == "classical"
    return Identification(
        JointTest(
            RANK_LM.replace("Kleibergen-Paap rk", "Anderson") if is_classical else RANK_LM,
            statistic,
            q - m + 1,
            float(special.chdtrc(q - m + 1, statistic)),
            note="" if measured else TOO_FEW,
        ),
        rank_statistic(weakest.classical_covariance) / q,
        strength,
        stock_yogo(m, q, problem.method) if is_classical else {},
    )


def _stages(problem: Instrumented) -> FirstStages:
    """Sweep exogenous regressors out of endogenous ones and instruments."""
    return first_stages(
        problem.swept_endogenous,
        problem.swept_exogenous,
        problem.swept_instruments,
        problem.weights,
    )


def _one_stage(stage: OnInstruments) -> dict[str, float]:
    slopes, spread, information = stage.slopes, stage.covariance, stage.information
    f = full_rank_wald(slopes, stage.classical_covariance) / len(slopes)
    return {
        "f": f,
        "f_nested": f * _rows_left(stage) / stage.fit.df_residual,
        "wald": full_rank_wald(slopes, spread) / len(slopes),
        "effective_f": effective_f(slopes, spread, information),
        "critical_effective_f": critical_effective_f(spread, information),
    }


def _rows_left(stage: OnInstruments) -> int:
    """Count degrees of freedom with effects nested in clusters as one parameter."""
    return stage.fit.n_rows - len(stage.fit.kept) - stage.uncertainty.effects.fixest


def _conditional_f(problem: Instrumented, own: int) -> float:
    """Return the F of one first stage given that the other endogenous regressors are fitted.

    Source
    ------
    Sanderson and Windmeijer (2016), Journal of Econometrics 190(2), section 3.
    """
    endogenous = problem.swept_endogenous
    others = np.delete(np.arange(len(endogenous)), own)
    solved = k_class(
        endogenous[own], endogenous[others], problem.swept_exogenous, problem.swept_instruments,
        problem.weights, liml=False, n_effects=0,
    )  # fmt: skip
    left = problem.on_instruments(solved.fit.residuals)
    freedom = len(problem.instruments) - len(endogenous) + 1
    return full_rank_wald(left.slopes, left.covariance) / freedom


def _covariance_under_null(stage: OnInstruments) -> Floats:
    """Return the covariance of slopes that are all zero, large-sample factors only."""
    fit, own, problem = stage.fit, stage.uncertainty, stage.problem
    q = len(problem.instruments)
    column = fit.residuals + fit.coefficients @ fit.regressors
    if len(fit.regressors) > q:
        column = problem.regress(column, fit.regressors[q:]).residuals
    null = replace(fit, residuals=column)
    effective = fit.n_rows - fit.n_effects
    if problem.covariance == "classical":
        return (null.rss / effective * null.bread)[:q, :q]
    if problem.covariance in ("HC0", "HC1"):
        robust = replace(own, fit=null, kind="HC0").coefficient_covariance[:q, :q]
        return np.asarray(fit.n_rows / effective * robust)
    if isinstance(problem.covariance, str):
        return replace(own, fit=null, kind="CR0").coefficient_covariance[:q, :q]
    bound = problem.bind(own, null)
    return np.asarray(bound.coefficient_covariance[:q, :q] / _kernel_factor(bound))


def _kernel_factor(own: BlockScores) -> float:
    """Return the small-sample factor that a kernel's covariance carries."""
    fit = own.fit
    if isinstance(own.kind, str):
        return 1.0
    return own.kind.factor(fit.n_rows, len(fit.kept) + fit.n_effects)
