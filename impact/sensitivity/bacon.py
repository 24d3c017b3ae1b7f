"""Goodman-Bacon decomposition of the two-way fixed effects estimate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.errors import plural
from impact.result import Result
from impact.sensitivity.base import Check, Finding, figure_axes
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BACON", "Comparisons", "bacon", "decompose"]

Floats = NDArray[np.float64]

CLEAN = "treated vs never treated"
EARLY = "earlier vs later treated"
LATE = "later vs earlier treated"
ALWAYS = "later vs always treated"


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Two-by-two comparisons that make up a two-way fixed effects estimate.

    Attributes
    ----------
    treated, control : arrays, shape (P,), cohorts; NaN for the never treated, minus infinity
        for units treated throughout
    kind : array, shape (P,), of names
    estimate, weight : arrays, shape (P,); the weights sum to one
    """

    treated: Floats
    control: Floats
    kind: NDArray[np.str_]
    estimate: Floats
    weight: Floats

    @property
    def total(self) -> float:
        """The two-way fixed effects estimate."""
        return float(self.weight @ self.estimate)


def decompose(
    outcomes: Floats, cohorts: Floats, periods: NDArray[np.int64], weights: Floats | None = None
) -> Comparisons:
    """Decompose the coefficient of treatment on unit and period effects.

    beta = sum over pairs of cohorts of weight x (change of one minus change of the other), with
    weights that grow with the sizes of the two cohorts and the variance of treatment between
    them over the periods compared.

    Parameters
    ----------
    outcomes : array, shape (N, T), without gaps
    cohorts : array, shape (N,), first treated period; NaN if never treated
    periods : array, shape (T,)
    weights : array, shape (N,), positive; equal if None

    Source
    ------
    Goodman-Bacon (2021), Journal of Econometrics 225(2), equations 10a-10g.
    """
    unit_weights = np.ones(len(cohorts)) if weights is None else weights
    first = np.where(cohorts <= periods[0], -np.inf, cohorts)
    labels = np.unique(first)
    member = np.where(np.isnan(labels[:, None]), np.isnan(first), first == labels[:, None])
    mass = member @ unit_weights
    paths = (member * unit_weights) @ outcomes / mass[:, None]
    share = mass / mass.sum()
    on = periods >= np.where(np.isnan(labels), np.inf, labels)[:, None]
    exposure = on.mean(axis=1)

    rows = []
    for k, c in permutations(range(len(labels)), 2):
        if exposure[k] in (0.0, 1.0) or not on[k].any():
            continue
        window = ~on[c] if exposure[c] < exposure[k] else on[c] | (exposure[c] == 0.0)
        treated = on[k] & window
        before = ~on[k] & window
        change = paths[:, treated].mean(axis=1) - paths[:, before].mean(axis=1)
        spell, among = window.mean(), treated.sum() / window.sum()
        pair = share[k] + share[c]
        mix = share[k] / pair
        weight = (pair * spell) ** 2 * mix * (1 - mix) * among * (1 - among)
        rows.append(
            (labels[k], labels[c], _kind(exposure[k], exposure[c]), change[k] - change[c], weight)
        )
    treated_cohort, control, kind, estimate, weight = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Comparisons(treated_cohort, control, kind, estimate, weight / weight.sum())


def _kind(treated: float, control: float) -> str:
    """Name the comparison by the shares of periods in which the two cohorts are treated."""
    if control == 0.0:
        return CLEAN
    if control == 1.0:
        return ALWAYS
    return EARLY if treated > control else LATE


def bacon(result: Result) -> Finding:
    """Ask how much of a two-way fixed effects estimate rests on forbidden comparisons.

    Parameters
    ----------
    result : of any estimator; only its design is used, without covariates

    Returns
    -------
    Finding : statistic = weight on comparisons with units already treated; one row a comparison

    Raises
    ------
    DesignError : the design is not a balanced panel with a treatment that lasts once begun

    Notes
    -----
    Weights of comparisons that use already treated units as controls are the reason to leave
    two-way fixed effects where effects grow or fade. Treatment that a unit has throughout the
    panel serves as a control only.

    Source
    ------
    Goodman-Bacon (2021), Journal of Econometrics 225(2), theorem 1.
    """
    BACON.require(result)
    design = result.design
    found = decompose(design.outcomes, design.cohorts, design.periods, design.unit_weights)
    table = pd.DataFrame(
        {
            "comparison": found.kind,
            "treated": found.treated,
            "control": [_name(value) for value in found.control],
            "estimate": found.estimate,
            "weight": found.weight,
        }
    ).sort_values(["comparison", "weight"], ascending=[True, False], ignore_index=True)
    forbidden = float(found.weight[np.isin(found.kind, (LATE, ALWAYS))].sum())
    clean = found.kind == CLEAN
    values = {
        "twfe": found.total,
        "forbidden_weight": forbidden,
        "clean_estimate": _mean(found.estimate[clean], found.weight[clean]),
        "n_comparisons": float(len(table)),
    }
    keys = ["bacon.answer", *(["bacon.clean"] if clean.any() else []), "bacon.count"]
    notes = ("Computed without the covariates.",) if design.covariates else ()
    return Finding(
        name="bacon",
        asked=Sentence.of("bacon.question"),
        statistic=forbidden,
        table=table,
        said=Sentence.of(
            *keys,
            twfe=found.total,
            forbidden=forbidden,
            clean=values["clean_estimate"],
            n=len(table),
        ),
        values=values,
        draw=lambda ax: _draw(table, found.total, ax),
        notes=notes,
    )


def _name(control: float) -> str:
    if np.isnan(control):
        return "never treated"
    return "always treated" if np.isinf(control) else f"{control:g}"


def _mean(values: Floats, weights: Floats) -> float:
    return float(weights @ values / weights.sum()) if len(values) else np.nan


def _draw(table: pd.DataFrame, total: float, ax: Axes | None) -> Axes:
    ax = figure_axes(ax)
    kinds = (
        (CLEAN, "o", plots.BLUE),
        (EARLY, "^", plots.QUIET),
        (LATE, "v", plots.ORANGE),
        (ALWAYS, "s", plots.ORANGE),
    )
    for kind, marker, colour in kinds:
        part = table[table["comparison"] == kind]
        if len(part):
            ax.scatter(
                part["weight"], part["estimate"], marker=marker, color=colour, s=36, label=kind
            )
    ax.axhline(total, color=plots.INK, lw=0.8, ls=(0, (4, 3)))
    ax.set_xlabel("Weight")
    ax.set_ylabel("Estimate of the comparison")
    ax.legend(frameon=False, fontsize=9)
    return ax


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated unit."
    if len(design.reversing_units):
        return (
            f"treatment stops again in {plural(len(design.reversing_units), 'unit')}. "
            "Use twfe_weights, which allows for that."
        )
    if not design.is_balanced:
        return "this panel has gaps. Use twfe_weights, or keep units seen in every period."
    if not (design.cohort_values > design.periods[0]).any():
        return "no unit starts treatment within the panel."
    if len(np.unique(design.cohort_codes)) < 2:
        return "all units are treated at once, so there is nothing to compare."
    return None


BACON = Check("bacon", "balanced panels with a treatment that lasts once begun", _fault, bacon)
