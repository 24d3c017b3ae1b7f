"""How strong an omitted variable would have to be to explain the estimate away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots, tables
from impact.errors import DesignError, listing, near
from impact.inference.bands import pointwise_critical_value
from impact.kernels.absorb import absorb
from impact.result import Result
from impact.sensitivity.base import Check, Finding, figure_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "CINELLI_HAZLETT",
    "OSTER",
    "Confounding",
    "ProportionalSelection",
    "cinelli_hazlett",
    "confounding",
    "oster",
    "proportional_selection",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProportionalSelection:
    """Estimate corrected for selection on unobservables in proportion to that on covariates.

    Attributes
    ----------
    short, long : coefficient of treatment without and with the covariates
    short_r2, long_r2, most_r2 : R squared without, with, and with everything that matters
    corrected : coefficient if unobservables matter ``proportion`` times as much as covariates
    proportion : as asked
    other_roots : further solutions of the same equation
    break_even : proportion at which the coefficient would be the null
    """

    short: float
    long: float
    short_r2: float
    long_r2: float
    most_r2: float
    corrected: float
    proportion: float
    other_roots: tuple[float, ...]
    break_even: float


def proportional_selection(
    outcome: Floats,
    treatment: Floats,
    covariates: Floats,
    *,
    most_r2: float | None = None,
    proportion: float = 1.0,
    null: float = 0.0,
) -> ProportionalSelection:
    """Correct a coefficient for proportional selection on unobservables.

    Parameters
    ----------
    outcome, treatment : arrays, shape (n,), centred (nuisances swept out)
    covariates : array, shape (n, k), centred
    most_r2 : R squared with all that matters; 1.3 times the long one, at most 1, if None
    proportion : delta, selection on unobservables relative to that on covariates
    null : coefficient whose break-even proportion is wanted

    Raises
    ------
    DesignError : ``most_r2`` is not above the long regression's, or above one

    Notes
    -----
    The corrected coefficient solves a cubic (a quadratic for a proportion of one); of several
    real solutions the closest to the long coefficient is reported and the others listed.

    Source
    ------
    Oster (2019), Journal of Business & Economic Statistics 37(2), proposition 2 and
    corollary 1; 1.3 is her proposal from randomised studies (section 4).
    """
    variance_y, variance_x = outcome @ outcome / len(outcome), treatment @ treatment / len(outcome)
    short = float(treatment @ outcome / (treatment @ treatment))
    full = np.column_stack([treatment, covariates])
    coefficients = np.linalg.lstsq(full, outcome, rcond=None)[0]
    long = float(coefficients[0])
    total = outcome @ outcome
    short_r2 = float(1.0 - np.square(outcome - short * treatment).sum() / total)
    long_r2 = float(1.0 - np.square(outcome - full @ coefficients).sum() / total)
    most = min(1.3 * long_r2, 1.0) if most_r2 is None else most_r2
    if not long_r2 < most <= 1.0:
        raise DesignError(
            f"most_r2 must lie above the R squared with covariates, {long_r2:.4f}, and at most at "
            f"1; it was {most:g}. It stands for a regression with everything that matters."
        )
    rest = treatment - covariates @ np.linalg.lstsq(covariates, treatment, rcond=None)[0]
    tau = float(rest @ rest / len(outcome))
    shift, unexplained = short - long, (most - long_r2) * variance_y
    cubic = tau * variance_x - tau**2
    numerator = np.array(
        [
            cubic,
            2.0 * tau * shift * variance_x,
            (long_r2 - short_r2) * variance_y * tau + variance_x * tau * shift**2,
            0.0,
        ]
    )
    denominator = np.array(
        [
            cubic,
            tau * shift * variance_x,
            unexplained * (variance_x - tau),
            unexplained * shift * variance_x,
        ]
    )
    bias = np.roots(numerator - proportion * denominator)
    real = np.sort_complex(bias[np.abs(bias.imag) <= 1e-8 * np.abs(bias).max(initial=1e-300)]).real
    order = np.argsort(np.abs(real), kind="stable")
    gap = long - null
    below = np.polyval(denominator, gap)
    return ProportionalSelection(
        short,
        long,
        short_r2,
        long_r2,
        most,
        corrected=float(long - real[order[0]]) if len(real) else np.nan,
        proportion=proportion,
        other_roots=tuple(float(long - real[i]) for i in order[1:]),
        break_even=float(np.polyval(numerator, gap) / below) if below else np.inf,
    )


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


def oster(
    result: Result, *, most_r2: float | None = None, proportion: float = 1.0, null: float = 0.0
) -> Finding:
    """Ask how much selection on unobservables would explain the estimate away (Oster).

    Parameters
    ----------
    result : only its design is used: the regression of the outcome on treatment and covariates
        with unit and period effects
    most_r2, proportion, null : see :func:`proportional_selection`; R squared is that within units
        and periods

    Returns
    -------
    Finding : statistic = break-even proportion; above one is commonly called robust, and a
        negative one says that the covariates moved the estimate away from the null

    Raises
    ------
    DesignError : no covariate varies within units and periods, or ``most_r2`` is out of range

    Source
    ------
    Oster (2019), Journal of Business & Economic Statistics 37(2), 187-204.
    """
    OSTER.require(result)
    sample = _within(result)
    found = proportional_selection(
        sample.outcome,
        sample.treatment,
        sample.covariates,
        most_r2=most_r2,
        proportion=proportion,
        null=null,
    )
    table = pd.DataFrame(
        {
            "term": ["without covariates", "with covariates", f"corrected, delta {proportion:g}"],
            "estimate": [found.short, found.long, found.corrected],
            "r2": [found.short_r2, found.long_r2, found.most_r2],
        }
    )
    times = f"{tables.format_number(abs(found.break_even), 3)} times as much as"
    needed = f"matter {times} {listing(sample.names)}"
    if found.break_even < 0:
        needed = f"pull the other way than {listing(sample.names)}, and {times} they,"
    sentence = (
        f"Unobservables would have to {needed} to bring the estimate of "
        f"{tables.format_number(found.long)} to {null:g}; with a proportion of {proportion:g} it "
        f"would be {tables.format_number(found.corrected)}."
    )
    return Finding(
        name="oster",
        question="How much selection on unobservables would explain the estimate away?",
        statistic=found.break_even,
        table=table,
        sentence=sentence,
        values={"break_even": found.break_even, "corrected": found.corrected, "long": found.long},
        draw=lambda ax: _draw_estimates(table, "term", ax),
        notes=(f"Two-way fixed effects; R squared within, at most {found.most_r2:.4f}.",),
    )


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
    sample = _within(result)
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
    sentence = (
        f"A confounder that explains {found.robustness_value:.1%} of the residual variance of both "
        f"treatment and outcome would explain away {q:.0%} of the estimate of "
        f"{tables.format_number(found.estimate)}; {found.robustness_value_level:.1%} would make it "
        f"insignificant at {1 - level:.0%}."
    )
    return Finding(
        name="cinelli_hazlett",
        question="How strong must a confounder be to overturn the estimate?",
        statistic=found.robustness_value,
        table=table,
        sentence=sentence,
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


@dataclass(frozen=True, eq=False)
class _Within:
    """Outcome (n,), treatment (n,), covariates (n, k) free of unit and period effects."""

    outcome: Floats
    treatment: Floats
    covariates: Floats
    names: tuple[str, ...]
    df: int


def _within(result: Result) -> _Within:
    """Sweep unit and period effects out; leave out covariates that then no longer vary."""
    rows = result.design.rows()
    absorber = absorb([rows.unit_codes, rows.time_codes], rows.weights)
    before = np.vstack([rows.outcome, rows.regressors.T])
    swept = absorber.sweep(before)
    if rows.weights is not None:
        swept, before = swept * np.sqrt(rows.weights), before * np.sqrt(rows.weights)
    varies = np.square(swept).sum(1) > 1e-10 * np.square(before - before.mean(1)[:, None]).sum(1)
    kept = np.flatnonzero(varies[2:])
    return _Within(
        swept[0],
        swept[1],
        swept[2 + kept].T,
        tuple(rows.names[1 + k] for k in kept),
        df=len(rows.outcome) - absorber.rank - 1 - len(kept),
    )


def _draw_estimates(table: pd.DataFrame, label: str, ax: Axes | None) -> Axes:
    ax = figure_axes(ax, 7.0, 2.4)
    y = np.arange(len(table))[::-1]
    ax.plot(table["estimate"], y, "o", color=plots.BLUE)
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.set_yticks(y, list(table[label]))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("Estimate")
    return ax


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


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated cell."
    if not design.covariates:
        return "this design has none, so there is nothing to measure a confounder by."
    sample = _within(result)
    if not sample.names:
        return (
            f"{listing(design.covariates)} do not vary within units and periods, whose effects "
            "have already taken them up."
        )
    if sample.treatment @ sample.treatment <= 1e-10 * len(sample.treatment):
        return "treatment does not vary beside units and periods."
    if sample.df < 2:
        return "too few rows are left for the regression."
    return None


_WHERE = "designs with covariates that vary within units"
OSTER = Check("oster", _WHERE, _fault, oster)
CINELLI_HAZLETT = Check("cinelli_hazlett", _WHERE, _fault, cinelli_hazlett)
