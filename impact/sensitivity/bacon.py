"""Goodman-Bacon decomposition of the two-way fixed effects estimate."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations
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

__all__ = [
    "BACON",
    "AdjustedComparisons",
    "Comparisons",
    "bacon",
    "decompose",
    "decompose_adjusted",
]

Floats = NDArray[np.float64]

CLEAN = "treated vs never treated"
EARLY = "earlier vs later treated"
LATE = "later vs earlier treated"
ALWAYS = "later vs always treated"
BOTH = "both treated"
NEITHER = "treatment changes in neither"

NO_SPREAD = 1e-12
"""Share of a covariate, or of what covariates leave of treatment, that is rounding."""


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


@dataclass(frozen=True, eq=False)
class AdjustedComparisons:
    """Parts of a two-way fixed effects estimate with covariates that vary in time.

    Attributes
    ----------
    between : comparisons of pairs of cohorts, earlier and later treated together; weights sum to
        one
    within_weight : weight of what covariates differ by among units of one cohort
    within : the estimate from that; NaN where it has no weight
    """

    between: Comparisons
    within_weight: float
    within: float

    @property
    def total(self) -> float:
        """The two-way fixed effects estimate."""
        share = self.within_weight
        inside = share * self.within if share > 0 else 0.0
        return inside + (1 - share) * self.between.total


def decompose_adjusted(
    outcomes: Floats,
    cohorts: Floats,
    periods: NDArray[np.int64],
    covariates: Floats,
    weights: Floats | None = None,
) -> AdjustedComparisons:
    r"""Decompose the coefficient of treatment on unit and period effects and covariates.

    With d what covariates leave of treatment, both less unit and period effects, and d_k its mean
    by cohort and period,

    .. math:: \hat\beta = \Omega \hat\beta_w + (1 - \Omega) \sum_{k<l} s_{kl} \hat\beta_{kl},
              \quad \Omega = V(d - d_k) / V(d)

    where beta_w comes from d - d_k, and the pair's from d_k and d_l over all periods: covariates
    leave treatment to vary in each of them, so that early and late comparisons of a pair do not
    come apart.

    Parameters
    ----------
    outcomes, cohorts, periods, weights : as in `decompose`
    covariates : array, shape (N, T, k), without gaps

    Source
    ------
    Goodman-Bacon (2021), Journal of Econometrics 225(2), section 5.2.
    """
    size = np.ones(len(cohorts)) if weights is None else weights
    first = np.where(cohorts <= periods[0], -np.inf, cohorts)
    labels = np.unique(first)
    member = np.where(np.isnan(labels[:, None]), np.isnan(first), first == labels[:, None]) * size
    mass = member.sum(axis=1)
    on = (periods >= np.where(np.isnan(first), np.inf, first)[:, None]).astype(np.float64)
    root = np.sqrt(np.repeat(size, len(periods)))
    swept = _two_way(covariates, size)
    varies = np.abs(swept).max(axis=(0, 1)) > NO_SPREAD * np.abs(covariates).max(axis=(0, 1))
    X = swept[:, :, varies].reshape(len(root), -1) * root[:, None]
    raw = _two_way(on[:, :, None], size).ravel() * root
    left = (raw - X @ np.linalg.lstsq(X, raw, rcond=None)[0]) / root
    left = left.reshape(on.shape)
    means, paths = (member @ left) / mass[:, None], (member @ outcomes) / mass[:, None]
    inside = left - means[np.argmax(member > 0, axis=0)]
    spread = float(size @ (inside**2).sum(axis=1))
    covered = float(size @ (inside * outcomes).sum(axis=1))

    exposure = (periods >= np.where(np.isnan(labels), np.inf, labels)[:, None]).mean(axis=1)
    rows = []
    for k, c in combinations(np.argsort(-exposure, kind="stable"), 2):
        gap, change = means[k] - means[c], paths[k] - paths[c]
        if (variance := float(gap @ gap)) > 0:
            estimate = float(gap @ change) / variance
            weight = mass[k] * mass[c] / mass.sum() * variance
            kind = _kind_of_pair(exposure[k], exposure[c])
            treated, control = (c, k) if kind == ALWAYS else (k, c)
            rows.append((labels[treated], labels[control], kind, estimate, weight))
    columns = (np.array(column) for column in zip(*rows, strict=True))
    treated_cohort, control_cohort, kinds, estimates, pair_weights = columns
    total = float(pair_weights.sum())
    within_weight = spread / (spread + total)
    if within_weight < NO_SPREAD:
        within_weight, covered, spread = 0.0, np.nan, 1.0
    between = Comparisons(treated_cohort, control_cohort, kinds, estimates, pair_weights / total)
    return AdjustedComparisons(between, within_weight, covered / spread)


def _kind_of_pair(more: float, less: float) -> str:
    """Name a pair by the shares of periods treated, of the one treated longer and the other."""
    if less == 0.0:
        return NEITHER if more == 1.0 else CLEAN
    return ALWAYS if more == 1.0 else BOTH


def _two_way(values: Floats, weights: Floats) -> Floats:
    """Take unit and period means, periods' weighted, off values (N, T, m)."""
    values = values - values.mean(axis=1, keepdims=True)
    return np.asarray(values - np.average(values, axis=0, weights=weights))


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
    result : of any estimator; only its design is used. Comparisons are without covariates; with
        some, ``values`` and a note also say what they make of the estimate and how much of it
        comes from their differences within cohorts (`decompose_adjusted` has the pairs)

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
    notes: tuple[str, ...] = ()
    if design.covariates:
        adjusted = decompose_adjusted(
            design.outcomes,
            design.cohorts,
            design.periods,
            design.covariate_array(),
            design.unit_weights,
        )
        values |= {
            "adjusted_twfe": adjusted.total,
            "within_weight": adjusted.within_weight,
            "within_estimate": adjusted.within,
        }
        notes = (_say_adjusted(adjusted),)
    keys = ["bacon.answer", *(["bacon.clean"] if clean.any() else []), "bacon.count"]
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


def _say_adjusted(found: AdjustedComparisons) -> str:
    told = (
        f"Comparisons are without the covariates. With them the estimate is {found.total:.4g}, of "
        f"which {found.within_weight:.1%} of the weight is on differences of covariates within "
        "cohorts"
    )
    return f"{told} ({found.within:.4g})." if found.within_weight > 0 else f"{told}."


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
