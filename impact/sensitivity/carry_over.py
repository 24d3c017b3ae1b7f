"""Whether an effect lasts after a treatment that can stop has stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import plots, tables
from impact.errors import plural
from impact.inference.bands import joint_wald, pointwise_critical_value, two_sided_p_values
from impact.kernels.absorb import absorb
from impact.result import Result
from impact.sensitivity.base import Check, Finding, draw_estimates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CARRY_OVER", "carry_over"]


def carry_over(result: Result, *, periods: int = 2, level: float = 0.95) -> Finding:
    """Ask whether outcomes stay changed after treatment stopped.

    Untreated rows are regressed on unit and period effects and one indicator for each of the
    first periods after a treatment ended; treated rows are left out.

    Parameters
    ----------
    result : only its design is used; treatment must stop in some unit
    periods : how many periods after the end to look at
    level : confidence level

    Returns
    -------
    Finding : statistic = p-value of the joint test that nothing is carried over; one row a period

    Raises
    ------
    DesignError : treatment never stops, or nothing is left to compare with

    Notes
    -----
    Later periods count as untreated and free of carry-over. Standard errors are CR1 by cluster
    with the factor G / (G - 1) and t with G - 1 degrees of freedom. A treatment that carries
    over makes estimators that compare with its past users wrong.

    Source
    ------
    Liu, Wang & Xu (2024), American Journal of Political Science 68(1), section on diagnostics
    (test for carryover effects), here as a regression on untreated rows.
    """
    CARRY_OVER.require(result)
    design = result.design
    lag = _periods_since(result)
    rows = design.rows()
    observed = ~np.isnan(design.outcomes)
    untreated = (design.treatment == 0)[observed]
    since = lag[observed][untreated]
    columns = (since == np.arange(1, periods + 1)[:, None]).astype(np.float64)
    weights = None if rows.weights is None else rows.weights[untreated]
    effects = [rows.unit_codes[untreated], rows.time_codes[untreated]]
    swept = absorb(effects, weights).sweep(np.vstack([rows.outcome[untreated], columns]))
    outcome, regressors = swept[0], swept[1:]
    known = np.square(regressors).sum(1) > 1e-10 * np.maximum(columns.sum(1), 1.0)
    regressors = regressors[known]
    weighted = regressors if weights is None else regressors * weights
    bread = np.linalg.pinv(weighted @ regressors.T)
    estimate = bread @ (weighted @ outcome)
    clusters = np.unique(rows.cluster_codes[untreated, 0], return_inverse=True)[1]
    scores = weighted * (outcome - estimate @ regressors)
    sums = np.stack([np.bincount(clusters, score) for score in scores], axis=1)
    n_clusters = len(sums)
    covariance = bread @ sums.T @ sums @ bread * n_clusters / (n_clusters - 1)
    error = np.sqrt(np.diag(covariance))
    _, _, p_value = joint_wald(estimate, covariance, df=n_clusters - 1.0)
    half = float(pointwise_critical_value(level, n_clusters - 1.0)) * error
    table = pd.DataFrame(
        {
            "periods_after": np.arange(1, periods + 1)[known],
            "n_rows": columns.sum(1).astype(int)[known],
            "estimate": estimate,
            "std_error": error,
            "p_value": two_sided_p_values(estimate / error, n_clusters - 1.0),
            "conf_low": estimate - half,
            "conf_high": estimate + half,
        }
    )
    answer = "Something is" if p_value < 1 - level else "Nothing is seen to be"
    sentence = (
        f"{answer} carried over: one period after treatment stopped the outcome differs by "
        f"{tables.format_number(estimate[0])} from what unit and period explain (joint test over "
        f"{plural(len(table), 'period')}: p = {p_value:.3f})."
    )

    def draw(ax: Axes | None) -> Axes:
        ax = draw_estimates(table, "periods_after", ax, 0.0)
        ax.set_ylabel("Periods after the end")
        ax.set_xlabel(f"Change in {design.outcome}", color=plots.INK)
        return ax

    return Finding(
        name="carry_over",
        question="Does an effect last after treatment stopped?",
        statistic=p_value,
        table=table,
        sentence=sentence,
        values={"p_value": p_value, "estimate": float(estimate[0])},
        draw=draw,
    )


def _periods_since(result: Result) -> np.ndarray:
    """Observed periods since treatment last ended, shape (N, T); zero before and during it."""
    treatment = np.nan_to_num(result.design.treatment)
    lag = np.zeros(treatment.shape, dtype=np.int64)
    for t in range(1, treatment.shape[1]):
        ended = (treatment[:, t] == 0) & ((treatment[:, t - 1] > 0) | (lag[:, t - 1] > 0))
        lag[:, t] = np.where(ended, lag[:, t - 1] + 1, 0)
    return lag


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or not len(design.reversing_units):
        return "treatment never stops in this design."
    return None


CARRY_OVER = Check("carry_over", "designs in which treatment stops", _fault, carry_over)
