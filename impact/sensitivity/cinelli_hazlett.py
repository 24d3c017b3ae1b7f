"""How strong a confounder must be to overturn the estimate (Cinelli and Hazlett)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.errors import DesignError, listing, near
from impact.inference.bands import pointwise_critical_value
from impact.result import Result
from impact.sensitivity.base import Check, Finding, figure_axes, numbers
from impact.sensitivity.sentences import Sentence
from impact.sensitivity.within import COVARIATES_VARY, within, within_fault

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CINELLI_HAZLETT", "Confounding", "cinelli_hazlett", "confounding"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confounding:
    """What a confounder must explain to overturn a coefficient, with benchmarks.

    Attributes
    ----------
    estimate, std_error, df : of the regression, classical
    partial_r2 : of treatment with the outcome
    robustness_value : share of residual variance of both treatment and outcome that brings the
        estimate down by the share ``q``
    robustness_value_level : the same, to make it insignificant
    benchmarks : one row a benchmark and multiple: r2_treatment, r2_outcome, adjusted estimate,
        std_error, statistic, conf_low, conf_high, and note where the multiple is impossible
    """

    estimate: float
    std_error: float
    df: int
    partial_r2: float
    robustness_value: float
    robustness_value_level: float
    benchmarks: pd.DataFrame


def confounding(
    outcome: Floats,
    treatment: Floats,
    covariates: Floats,
    df: int,
    *,
    names: Sequence[str] = (),
    multiples: Sequence[float] = (1.0, 2.0, 3.0),
    q: float = 1.0,
    level: float = 0.95,
) -> Confounding:
    """Bound the bias from an omitted variable by what it explains of treatment and outcome.

    Parameters
    ----------
    outcome, treatment : arrays, shape (n,), nuisances swept out
    covariates : array, shape (n, k)
    df : residual degrees of freedom of the regression on treatment and covariates
    names : of the covariates; each is a benchmark
    multiples : how many times as strong as the benchmark the confounder is, for both partial R2
    q : share of the estimate to be explained away
    level : confidence level

    Notes
    -----
    Adjusted intervals take the t distribution with ``df`` degrees of freedom, as R sensemakr does.

    Source
    ------
    Cinelli & Hazlett (2020), Journal of the Royal Statistical Society B 82(1), equations 14, 18
    and 20 for the robustness values and bias, section 4.4 for the benchmarks.
    """
    full = np.column_stack([treatment, covariates])
    gram = np.linalg.inv(full.T @ full)
    coefficients = gram @ (full.T @ outcome)
    rss = float(np.square(outcome - full @ coefficients).sum())
    estimate = float(coefficients[0])
    std_error = float(np.sqrt(rss / df * gram[0, 0]))
    cohen = abs(estimate / std_error) / np.sqrt(df)
    critical = float(pointwise_critical_value(level, float(df - 1))) / np.sqrt(df - 1)
    given = _partial_r2(coefficients[1:], np.diag(gram)[1:], rss, df)
    on_covariates = np.linalg.inv(covariates.T @ covariates)
    slopes = on_covariates @ (covariates.T @ treatment)
    left = float(np.square(treatment - covariates @ slopes).sum())
    of_treatment = _partial_r2(slopes, np.diag(on_covariates), left, df + 1)
    rows = [
        _benchmark(name, multiple, r2_d, r2_y, estimate, std_error, df, level)
        for name, r2_d, r2_y in zip(names, of_treatment, given, strict=False)
        for multiple in multiples
    ]
    return Confounding(
        estimate,
        std_error,
        df,
        partial_r2=float(cohen**2 / (1.0 + cohen**2)),
        robustness_value=_robustness(q * cohen, 0.0),
        robustness_value_level=_robustness(q * cohen, critical),
        benchmarks=pd.DataFrame(rows),
    )


def _partial_r2(coefficients: Floats, scale: Floats, rss: float, df: int) -> Floats:
    """Partial R2 of each regressor, from its coefficient and the residual sum of squares."""
    squared = coefficients**2 / (scale * rss / df)
    return np.asarray(squared / (squared + df))


def _robustness(cohen: float, critical: float) -> float:
    """Robustness value of an f statistic against a critical one."""
    excess = cohen - critical
    if excess <= 0:
        return 0.0
    if critical > 0 and cohen >= 1.0 / critical:
        return float((cohen**2 - critical**2) / (1.0 + cohen**2))
    return float(0.5 * (np.sqrt(excess**4 + 4.0 * excess**2) - excess**2))


def _benchmark(
    name: str,
    multiple: float,
    r2_d: float,
    r2_y: float,
    estimate: float,
    std_error: float,
    df: int,
    level: float,
) -> dict[str, object]:
    """Adjust the estimate for a confounder so many times as strong as a covariate."""
    row: dict[str, object] = {"benchmark": name, "multiple": multiple}
    r2_treatment = multiple * r2_d / (1.0 - r2_d)
    linked = multiple * r2_d**2 / ((1.0 - multiple * r2_d) * (1.0 - r2_d))
    possible = multiple * r2_d < 1.0 and linked < 1.0 and r2_treatment < 1.0
    r2_outcome = np.nan
    if possible:
        strength = (np.sqrt(multiple) + np.sqrt(linked)) / np.sqrt(1.0 - linked)
        r2_outcome = strength**2 * r2_y / (1.0 - r2_y)
    if not possible or r2_outcome > 1.0:
        nothing = dict.fromkeys(
            ("estimate", "std_error", "statistic", "conf_low", "conf_high"), np.nan
        )
        note = "a confounder this strong would explain more than everything"
        return row | {"r2_treatment": np.nan, "r2_outcome": np.nan} | nothing | {"note": note}
    bias = std_error * np.sqrt(df * r2_outcome * r2_treatment / (1.0 - r2_treatment))
    adjusted = float(np.sign(estimate) * (abs(estimate) - bias))
    error = std_error * np.sqrt((1.0 - r2_outcome) / (1.0 - r2_treatment) * df / (df - 1))
    half = float(pointwise_critical_value(level, float(df))) * error
    return row | {
        "r2_treatment": r2_treatment,
        "r2_outcome": r2_outcome,
        "estimate": adjusted,
        "std_error": error,
        "statistic": adjusted / error if error else np.nan,
        "conf_low": adjusted - half,
        "conf_high": adjusted + half,
        "note": "",
    }


def cinelli_hazlett(
    result: Result,
    *,
    benchmarks: Sequence[str] | None = None,
    multiples: Sequence[float] = (1.0, 2.0, 3.0),
    q: float = 1.0,
    level: float = 0.95,
) -> Finding:
    """Ask how strong a confounder must be to overturn the estimate (Cinelli and Hazlett).

    Parameters
    ----------
    result : only its design is used: the regression of the outcome on treatment and covariates
        with unit and period effects
    benchmarks : covariates to compare a confounder with; all if None
    multiples, q, level : see :func:`confounding`

    Returns
    -------
    Finding : statistic = robustness value; one row a benchmark and multiple

    Raises
    ------
    DesignError : no covariate varies within units and periods, or an unknown benchmark

    Notes
    -----
    Partial R squared and its bounds use the classical standard error, as in the paper: they
    describe the sample, and clustering does not change them. The interval and the robustness
    value at a level therefore ignore clustering.

    Source
    ------
    Cinelli & Hazlett (2020), Journal of the Royal Statistical Society B 82(1), 39-67.
    """
    CINELLI_HAZLETT.require(result)
    multiples, q = numbers("multiples", multiples, above=0.0), numbers("q", [q], above=0.0)[0]
    sample = within(result)
    chosen = sample.names if benchmarks is None else tuple(benchmarks)
    unknown = [name for name in chosen if name not in sample.names]
    if unknown:
        raise DesignError(
            f"benchmarks may be {listing(sample.names, 12)}, the covariates that vary within units "
            f"and periods; {unknown[0]!r} is not. {near(unknown[0], sample.names)}".rstrip()
        )
    found = confounding(
        sample.outcome,
        sample.treatment,
        sample.covariates,
        sample.df,
        names=sample.names,
        multiples=multiples,
        q=q,
        level=level,
    )
    table = found.benchmarks[found.benchmarks["benchmark"].isin(chosen)].reset_index(drop=True)
    return Finding(
        name="cinelli_hazlett",
        asked=Sentence.of("cinelli_hazlett.question"),
        statistic=found.robustness_value,
        table=table,
        said=Sentence.of(
            "cinelli_hazlett.answer",
            value=found.robustness_value,
            q=q,
            estimate=found.estimate,
            value_level=found.robustness_value_level,
            size=1 - level,
        ),
        values={
            "estimate": found.estimate,
            "std_error": found.std_error,
            "partial_r2": found.partial_r2,
            "robustness_value": found.robustness_value,
            "robustness_value_level": found.robustness_value_level,
        },
        draw=lambda ax: _draw_contours(found, table, ax),
        notes=("Two-way fixed effects with classical standard errors.",),
    )


def _draw_contours(found: Confounding, table: pd.DataFrame, ax: Axes | None) -> Axes:
    """Draw the adjusted estimate over both partial R2, with the benchmarks."""
    ax = figure_axes(ax, 6.0, 4.5)
    reach = float(np.nanmax([0.1, *table["r2_treatment"], *table["r2_outcome"]])) * 1.3
    axis = np.linspace(0.0, min(reach, 0.95), 100)
    bias = found.std_error * np.sqrt(found.df * axis[:, None] * axis / (1.0 - axis))
    adjusted = np.sign(found.estimate) * (abs(found.estimate) - bias)
    lines = ax.contour(axis, axis, adjusted, levels=8, colors=plots.QUIET, linewidths=0.8)
    ax.clabel(lines, fontsize=8)
    ax.contour(axis, axis, adjusted, levels=[0.0], colors=plots.ORANGE, linewidths=1.6)
    ax.plot(table["r2_treatment"], table["r2_outcome"], "D", color=plots.BLUE, ms=5)
    ax.set_xlabel("Partial R² of the confounder with treatment")
    ax.set_ylabel("Partial R² with the outcome")
    return ax


CINELLI_HAZLETT = Check("cinelli_hazlett", COVARIATES_VARY, within_fault, cinelli_hazlett)
