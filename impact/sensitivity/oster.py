"""How much selection on unobservables would explain the estimate away (Oster)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.errors import DesignError, listing
from impact.result import Result
from impact.sensitivity.base import Check, Finding, figure_axes
from impact.sensitivity.sentences import Sentence
from impact.sensitivity.within import COVARIATES_VARY, within, within_fault

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["OSTER", "ProportionalSelection", "oster", "proportional_selection"]

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
    sample = within(result)
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
    return Finding(
        name="oster",
        asked=Sentence.of("oster.question"),
        statistic=found.break_even,
        table=table,
        said=Sentence.of(
            "oster.other" if found.break_even < 0 else "oster.same",
            "oster.answer",
            times=abs(found.break_even),
            names=listing(sample.names),
            long=found.long,
            null=null,
            proportion=proportion,
            corrected=found.corrected,
        ),
        values={"break_even": found.break_even, "corrected": found.corrected, "long": found.long},
        draw=lambda ax: _draw(table, ax),
        notes=(f"Two-way fixed effects; R squared within, at most {found.most_r2:.4f}.",),
    )


def _draw(table: pd.DataFrame, ax: Axes | None) -> Axes:
    ax = figure_axes(ax, 7.0, 2.4)
    y = np.arange(len(table))[::-1]
    ax.plot(table["estimate"], y, "o", color=plots.BLUE)
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.set_yticks(y, list(table["term"]))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("Estimate")
    return ax


OSTER = Check("oster", COVARIATES_VARY, within_fault, oster)
