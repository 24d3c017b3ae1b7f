"""Power of the test of pre-trends, and the bias that trends it misses would leave (Roth)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import plots
from impact.inference.bands import pointwise_critical_value
from impact.inference.pretest import box_probability, detectable_slope
from impact.result import Result, Weighting
from impact.sensitivity.base import Check, Finding, figure_axes, numbers
from impact.sensitivity.event_path import EventPath, judged_path, path_fault
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PRETRENDS", "pretrends"]


def pretrends(
    result: Result,
    *,
    power: Sequence[float] = (0.5, 0.8),
    slopes: Sequence[float] = (),
    weighting: Weighting | None = None,
    level: float = 0.95,
) -> Finding:
    """Ask which linear trends the test of pre-trends would miss, and what they would do.

    The test passes when no estimate before treatment differs from zero at the level.

    Parameters
    ----------
    result : with an event study around one reference period
    power : probabilities with which a trend is to be found; the trends have the effect's sign
    slopes : further slopes to examine, in outcome units a period
    weighting : which overall effect is biased, as in ``Result.att``
    level : confidence level of each test

    Returns
    -------
    Finding : statistic = bias of the printed effect from the trend found with the first of the
        powers; one row a slope with its power, the bias it leaves in the effect, the same bias
        among samples that pass the test, how much less likely passing is than without a trend
        (``pass_ratio``), and the likelihood of the estimates relative to no trend

    Raises
    ------
    DesignError : no event study around one reference period
    InferenceError : a power at or below the test's size, or a printed effect without an interval
        that an event study could be judged by

    Notes
    -----
    Estimates are taken as normal with the covariance at hand, scaled as the printed effect is
    judged (see :func:`honest`). Passing the test can make the bias
    larger, because the samples that pass are those in which noise hides the trend.

    Source
    ------
    Roth (2022), American Economic Review: Insights 4(3), 305-322, sections I and II.
    """
    PRETRENDS.require(result)
    power, slopes = numbers("power", power), [float(slope) for slope in slopes]
    path, judged = judged_path(result, weighting, level)
    n_pre = path.n_pre
    before = path.covariance[:n_pre, :n_pre]
    limits = float(pointwise_critical_value(level, path.df)) * np.sqrt(np.diag(before))
    distance = (path.times - path.reference).astype(np.float64)
    sign = 1.0 if path.effect >= 0 else -1.0
    found = [sign * detectable_slope(before, distance[:n_pre], limits, chance) for chance in power]
    rows = [_row(path, slope, limits, distance) for slope in (*found, *slopes)]
    table = pd.DataFrame(rows)
    bias = float(table["bias"].iloc[0])
    values = {
        "effect": path.effect,
        "slope": float(table["slope"].iloc[0]),
        "power": float(table["power"].iloc[0]),
        "bias": bias,
        "bias_if_passed": float(table["bias_if_passed"].iloc[0]),
    }
    return Finding(
        name="pretrends",
        asked=Sentence.of("pretrends.question"),
        statistic=bias,
        table=table,
        said=Sentence.of(
            "pretrends.answer",
            slope=values["slope"],
            power=values["power"],
            bias=values["bias_if_passed"],
            effect=path.effect,
        ),
        values=values,
        draw=lambda ax: _draw(path, values["slope"], ax),
        notes=(
            f"Test: any of {n_pre} estimates before treatment differs from zero at {level:.0%}.",
            *judged,
        ),
    )


def _row(
    path: EventPath, slope: float, limits: np.ndarray, distance: np.ndarray
) -> dict[str, float]:
    """Describe a linear trend of that slope: power of the test, bias with and without passing."""
    n_pre = path.n_pre
    before = path.covariance[:n_pre, :n_pre]
    trend = slope * distance
    passed = box_probability(trend[:n_pre], before, limits)
    chance = box_probability(np.zeros(n_pre), before, limits).probability
    shift = path.covariance[n_pre:, :n_pre] @ np.linalg.solve(before, passed.mean - trend[:n_pre])
    estimate = path.estimate[:n_pre]
    precise = np.linalg.solve(before, np.column_stack([estimate, estimate - trend[:n_pre]]))
    log_ratio = 0.5 * (estimate @ precise[:, 0] - (estimate - trend[:n_pre]) @ precise[:, 1])
    return {
        "slope": slope,
        "power": 1.0 - passed.probability,
        "bias": float(path.target @ trend[n_pre:]),
        "bias_if_passed": float(path.target @ (trend[n_pre:] + shift)),
        "pass_ratio": passed.probability / chance,
        "likelihood_ratio": float(np.exp(log_ratio)),
    }


def _draw(path: EventPath, slope: float, ax: Axes | None) -> Axes:
    ax = figure_axes(ax)
    half = 1.96 * np.sqrt(np.diag(path.covariance))
    ax.vlines(path.times, path.estimate - half, path.estimate + half, color=plots.BLUE, lw=2.0)
    ax.plot(path.times, path.estimate, "o", color=plots.BLUE, ms=5.5, label="estimate")
    line = np.array([path.times[0], path.times[-1]])
    ax.plot(line, slope * (line - path.reference), color=plots.ORANGE, label="trend it would miss")
    ax.axhline(0.0, color=plots.INK, lw=0.8)
    ax.set_xlabel("Periods since treatment began")
    ax.set_ylabel("Effect")
    ax.legend(frameon=False, fontsize=9)
    return ax


PRETRENDS = Check(
    "pretrends",
    "estimates with an event study around one reference period",
    path_fault,
    pretrends,
    needs_rows=False,
)
