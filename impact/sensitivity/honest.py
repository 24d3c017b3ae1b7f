"""Honest bounds on the printed effect when parallel trends may fail (Rambachan and Roth)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import plots
from impact.inference.honest import Bias, HonestProblem, Method, Monotone, Restriction
from impact.result import Result, Weighting
from impact.sensitivity.base import Check, Finding, figure_axes, numbers
from impact.sensitivity.event_path import judged_path, path_fault
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HONEST", "honest"]

RELATIVE_BOUNDS = (0.0, 0.5, 1.0, 1.5, 2.0)
SMOOTHNESS_STEPS = (0.0, 0.25, 0.5, 1.0)
"""Default bounds on bends of the trend, in standard errors of the effect."""


def honest(
    result: Result,
    *,
    restriction: Restriction = "relative_magnitudes",
    bounds: Sequence[float] | None = None,
    weighting: Weighting | None = None,
    bias: Bias | None = None,
    monotone: Monotone | None = None,
    method: Method | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Finding:
    """Ask how wrong parallel trends may be before the printed effect is lost.

    Parameters
    ----------
    result : with an event study around one reference period
    restriction : ``relative_magnitudes``, ``smoothness`` or ``relative_smoothness``; see
        :class:`impact.inference.honest.HonestProblem`
    bounds : Mbar of the relative restrictions, M in outcome units of smoothness; by default 0 to
        2, and 0 to one standard error of the effect
    weighting : which overall effect is the target, as in ``Result.att``
    bias, monotone : sign and direction of the deviation from parallel trends, if known
    method : way of inference; the restriction's own if None
    level : confidence level
    seed : of the draws behind the least favourable critical value

    Returns
    -------
    Finding : statistic = the largest bound at which zero is still rejected (the breakdown value);
        NaN if zero is not rejected under parallel trends; one row a bound

    Raises
    ------
    DesignError : no event study around one reference period
    InferenceError : the covariance is singular, an option does not apply, or the printed effect has
        no interval that an event study could be judged by

    Notes
    -----
    The covariance is scaled so that an interval under parallel trends is as long as the printed
    one: the t interval, or that of the method which few clusters call for. Restrictions run along
    event time, although later event times may average fewer cohorts.

    Source
    ------
    Rambachan & Roth (2023), Review of Economic Studies 90(5), 2555-2591.
    """
    HONEST.require(result)
    if bounds is not None:
        bounds = numbers("bounds", bounds)
    path, judged = judged_path(result, weighting, level)
    problem = HonestProblem(
        path.estimate,
        path.widened(level),
        path.n_pre,
        target=path.target,
        restriction=restriction,
        bias=bias,
        monotone=monotone,
        method=method,
        size=1.0 - level,
        seed=seed,
    )
    if bounds is None:
        smooth = np.array(SMOOTHNESS_STEPS) * path.std_error
        bounds = smooth.tolist() if restriction == "smoothness" else RELATIVE_BOUNDS
    sets = problem.intervals(bounds)
    breakdown = problem.breakdown()
    table = pd.DataFrame(
        {
            "bound": sets.bounds,
            "conf_low": sets.low,
            "conf_high": sets.high,
            "set_low": sets.set_low,
            "set_high": sets.set_high,
        }
    )
    return Finding(
        name="honest",
        asked=Sentence.of("honest.question", level=level),
        statistic=breakdown,
        table=table,
        said=_say(path.effect, breakdown, restriction),
        values={"effect": path.effect, "std_error": path.std_error, "breakdown": breakdown},
        draw=lambda ax: _draw(table, path.effect, restriction, ax),
        notes=(
            f"Restriction: {restriction.replace('_', ' ')}"
            + (f", bias {bias}" if bias else "")
            + (f", {monotone}" if monotone else "")
            + f"; inference: {problem.method_used}; {path.n_pre} event times before and "
            f"{len(path.target)} after the reference {path.reference}.",
            *judged,
        ),
    )


def _say(effect: float, breakdown: float, restriction: Restriction) -> Sentence:
    relative = restriction == "relative_magnitudes"
    exact = "parallel trends" if relative else "linear trends"
    if np.isnan(breakdown):
        return Sentence.of("honest.none", effect=effect, exact=exact)
    if np.isinf(breakdown):
        return Sentence.of("honest.always", effect=effect)
    if breakdown == 0:
        return Sentence.of("honest.hardly", effect=effect, exact=exact)
    if restriction == "smoothness":
        return Sentence.of("honest.slope", effect=effect, size=breakdown)
    what = "deviation" if relative else "bend"
    return Sentence.of("honest.relative", effect=effect, size=breakdown, what=what)


def _draw(table: pd.DataFrame, effect: float, restriction: Restriction, ax: Axes | None) -> Axes:
    ax = figure_axes(ax)
    ax.vlines(table["bound"], table["conf_low"], table["conf_high"], color=plots.BLUE, lw=2.0)
    ax.vlines(
        table["bound"], table["set_low"], table["set_high"], color=plots.ORANGE, lw=6.0, alpha=0.5
    )
    ax.axhline(0.0, color=plots.INK, lw=0.8)
    ax.axhline(effect, color=plots.QUIET, lw=0.8, ls=(0, (4, 3)))
    ax.set_xlabel("M, in outcome units" if restriction == "smoothness" else "Mbar")
    ax.set_ylabel("Effect (thin: confidence set; thick: identified set)")
    return ax


HONEST = Check(
    "honest",
    "estimates with an event study around one reference period",
    path_fault,
    honest,
    needs_rows=False,
)
