"""Weights that a two-way fixed effects coefficient puts on the effect of each treated cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.kernels.absorb import Absorber, absorb
from impact.result import Result
from impact.sensitivity.base import Check, Finding, figure_axes
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TWFE_WEIGHTS", "CellWeights", "cell_weights", "twfe_weights"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Residuals and spreads below this share of the treatment are rounding of what is zero.
ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class CellWeights:
    """A two-way fixed effects coefficient as a weighted sum of cells' effects.

    Attributes
    ----------
    coefficient : the coefficient of treatment
    weight : array, shape (n,), of each row's effect; zero where untreated, summing to one
    sigma : smallest standard deviation of effects across treated cells at which the average
        effect could be zero; the more, the more robust to effects that differ
    """

    coefficient: float
    weight: Floats
    sigma: float


def cell_weights(
    outcome: Floats,
    treatment: Floats,
    unit_codes: Integers,
    time_codes: Integers,
    weights: Floats | None = None,
    covariates: Floats | None = None,
) -> CellWeights:
    """Return the weights of the regression of the outcome on treatment, unit and period effects.

    w_it = D_it e_it / sum D_it e_it, with e the residual of D on unit and period effects and
    covariates. What is zero but for rounding is zero.

    Parameters
    ----------
    outcome, treatment : arrays, shape (n,); treatment 0 or 1, or a dose
    unit_codes, time_codes : arrays, shape (n,)
    weights : array, shape (n,), positive; equal if None
    covariates : array, shape (n, k), whose effects are taken to be linear; none if None

    Source
    ------
    de Chaisemartin & D'Haultfoeuille (2020), American Economic Review 110(9), theorem 1 and
    corollary 1 (sigma); theorem S4 of their web appendix for covariates.
    """
    mass = np.ones(len(outcome)) if weights is None else weights
    effects = absorb([unit_codes, time_codes], weights)
    residual = _residual(treatment, effects, mass, covariates)
    share = mass * residual * treatment
    coefficient = float((mass * residual) @ outcome / share.sum())
    weight = share / share.sum()
    treated = treatment != 0
    size = mass[treated] / mass[treated].sum()
    spread = np.sqrt(size @ (weight[treated] / size - 1.0) ** 2)
    sigma = float(abs(coefficient) / spread) if spread > ROUNDING else np.inf
    return CellWeights(coefficient, weight, sigma)


def _residual(
    treatment: Floats, effects: Absorber, mass: Floats, covariates: Floats | None
) -> Floats:
    """Return the treatment less effects and covariates, zero where that is rounding."""
    regressors = np.empty((len(treatment), 0)) if covariates is None else covariates
    swept = effects.sweep(np.concatenate((treatment[None, :], regressors.T)))
    root = np.sqrt(mass)
    slopes = np.linalg.lstsq((root * swept[1:]).T, root * swept[0], rcond=None)[0]
    residual = swept[0] - slopes @ swept[1:]
    return np.where(np.abs(residual) > ROUNDING * np.abs(treatment).max(), residual, 0.0)


def twfe_weights(result: Result) -> Finding:
    """Ask which cells' effects enter a two-way fixed effects estimate with a negative sign.

    Parameters
    ----------
    result : of any estimator; only its design is used

    Returns
    -------
    Finding : statistic = sum of the negative weights; one row a cohort and period

    Raises
    ------
    DesignError : no treated cell, or treatment without variation beside units and periods

    Notes
    -----
    A negative weight means that a larger effect in that cell lowers the estimate. Units with a
    treatment that stops are grouped by their first treated period. Gaps and weights are allowed.
    The effects of covariates are taken to be linear.

    Source
    ------
    de Chaisemartin & D'Haultfoeuille (2020), American Economic Review 110(9), theorem 1.
    """
    TWFE_WEIGHTS.require(result)
    design = result.design
    rows = design.rows()
    treatment = _treatment(result)
    found = cell_weights(
        rows.outcome, treatment, rows.unit_codes, rows.time_codes, rows.weights,
        rows.regressors[:, 1:],
    )  # fmt: skip
    treated = treatment != 0
    frame = pd.DataFrame(
        {
            "cohort": design.cohorts[rows.unit_codes[treated]],
            "time": design.periods[rows.time_codes[treated]],
            "weight": found.weight[treated],
        }
    )
    cells = frame.groupby(["cohort", "time"], as_index=False).agg(
        n_cells=("weight", "size"),
        n_negative=("weight", lambda w: int((w < 0).sum())),
        weight=("weight", "sum"),
    )
    negative = found.weight[found.weight < 0]
    values = {
        "twfe": found.coefficient,
        "n_treated_cells": float(treated.sum()),
        "n_negative": float(len(negative)),
        "sum_negative": float(negative.sum()),
        "sum_positive": float(found.weight[found.weight > 0].sum()),
        "sigma": found.sigma,
    }
    named = cells[cells["weight"] < 0].sort_values("weight")
    where = list(zip(named["cohort"], named["time"], strict=True))
    return Finding(
        name="twfe_weights",
        asked=Sentence.of("twfe_weights.question"),
        statistic=values["sum_negative"],
        table=cells,
        said=Sentence.of(
            "twfe_weights.one" if len(negative) == 1 else "twfe_weights.many",
            *(["twfe_weights.where"] if where else []),
            "twfe_weights.sigma" if np.isfinite(found.sigma) else "twfe_weights.equal",
            n=len(negative),
            treated=treated.sum(),
            sum=values["sum_negative"],
            where=where,
            sigma=found.sigma,
        ),
        values=values,
        draw=lambda ax: _draw(cells, ax),
    )


def _treatment(result: Result) -> Floats:
    design = result.design
    table = design.doses if design.dose is not None else design.treatment
    return np.asarray(table[~np.isnan(design.outcomes)])


def _draw(cells: pd.DataFrame, ax: Axes | None) -> Axes:
    from matplotlib.ticker import MaxNLocator

    ax = figure_axes(ax)
    for sign, colour in ((1, plots.BLUE), (-1, plots.ORANGE)):
        part = cells[np.sign(cells["weight"]) == sign]
        ax.scatter(
            part["time"], part["cohort"], s=900 * part["weight"].abs() ** 0.5, color=colour,
            alpha=0.7, label="positive" if sign > 0 else "negative",
        )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(0.12)
    ax.set_xlabel("Period")
    ax.set_ylabel("First treated")
    ax.legend(frameon=False, fontsize=9)
    return ax


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated cell."
    treatment, rows = _treatment(result), design.rows()
    residual = absorb([rows.unit_codes, rows.time_codes], rows.weights).sweep(treatment[None, :])
    if np.square(residual).sum() <= 1e-12 * np.square(treatment).sum():
        return "treatment does not vary beside units and periods, so the estimate does not exist."
    return None


TWFE_WEIGHTS = Check("twfe_weights", "designs with a treatment or a dose", _fault, twfe_weights)
