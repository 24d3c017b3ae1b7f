"""Inference for one treated unit from its own past: conformal, cross-fitted, predicted."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import InferenceError, plural
from impact.estimators.parts.matching import Matching, MatchingProblem
from impact.inference.bands import check_level
from impact.inference.placebo import (
    CrossFit,
    conformal_interval,
    conformal_p_value,
    cross_fit_t,
)
from impact.inference.prediction import Dependence, Errors, Moments, prediction_bounds

__all__ = ["conformal_frame", "debiased", "predicted_frame"]

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]


def conformal_frame(
    matching: Matching, problem: MatchingProblem, times: NDArray[np.int64], level: float
) -> pd.DataFrame:
    """Test and bound the effect of each period after treatment by permuting residuals."""
    check_level(level)
    before = np.flatnonzero(problem.block.pre)
    if (len(before) + 1) * (1.0 - level) < 1.0:
        raise InferenceError(
            f"{plural(len(before), 'period')} before treatment give p-values no smaller than "
            f"{1 / (len(before) + 1):.3f}, too coarse for {level:.0%} intervals. Ask for a lower "
            "level."
        )
    treated, donors = problem.treated, problem.donors
    estimates = matching.solve(problem).path
    spread = 4.0 * float(np.std(treated[before] - donors[:, before].mean(axis=0)))
    rows = []
    for t in np.flatnonzero(problem.block.post):
        used = np.append(before, t)

        def p_value(effect: float, used: Indices = used) -> float:
            path = treated[used].copy()
            path[-1] -= effect
            residuals = matching.gaps(path, donors[:, used], np.arange(len(used)))
            return conformal_p_value(residuals, 1)

        low, high = conformal_interval(p_value, float(estimates[t]), spread, level)
        rows.append((times[t], estimates[t], p_value(0.0), low, high))
    return pd.DataFrame(rows, columns=["time", "estimate", "p_value", "conf_low", "conf_high"])


def debiased(matching: Matching, problem: MatchingProblem, folds: int) -> CrossFit:
    """Estimate the average effect less the bias that blocks of held-out pre-periods show."""
    block = problem.block
    order = np.concatenate([np.flatnonzero(block.pre), np.flatnonzero(block.post)])
    treated, donors = problem.treated[order], problem.donors[:, order]

    def fitted(kept: Indices) -> Floats:
        return np.asarray(treated - matching.gaps(treated, donors, kept))

    return cross_fit_t(treated, fitted, int(block.pre.sum()), folds=folds)


def predicted_frame(
    matching: Matching,
    problem: MatchingProblem,
    times: NDArray[np.int64],
    level: float,
    *,
    dependence: Dependence,
    errors: Errors,
    moments: Moments,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Bound each effect after treatment by what weights and errors leave open."""
    block, fit = problem.block, matching.solve(problem)
    bounds = prediction_bounds(
        problem.treated[block.pre],
        problem.donors[:, block.pre],
        problem.donors[:, block.post],
        fit.omega,
        level=level,
        intercept=matching.demean,
        dependence=dependence,
        errors=errors,
        moments=moments,
        draws=draws,
        seed=seed,
    )
    estimate = fit.path[block.post]
    return pd.DataFrame(
        {
            "time": times[block.post],
            "estimate": estimate,
            "conf_low": estimate + bounds.total[:, 0],
            "conf_high": estimate + bounds.total[:, 1],
            "weights_low": bounds.weights[:, 0],
            "weights_high": bounds.weights[:, 1],
        }
    )
