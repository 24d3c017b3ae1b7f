"""Whether treated and comparison units were alike before treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.design import Design
from impact.errors import DesignError, plural
from impact.inference.bands import joint_wald, two_sided_p_values
from impact.result import Result
from impact.sensitivity.base import Check, Finding, assignment_groups, counts, figure_axes
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BALANCE", "balance"]

Floats = NDArray[np.float64]

PLENTY = 50
"""Clusters in either arm from which variances clustered by them are trusted."""

LARGE = 0.25
"""Normalised difference beyond which linear adjustment depends on the model."""


def balance(
    result: Result, *, columns: Sequence[str] | None = None, draws: int = 4999, seed: int = 0
) -> Finding:
    """Ask whether ever treated and never treated units were alike at the start.

    Parameters
    ----------
    result : only its design is used
    columns : numeric columns to compare in each unit's first period, of units first seen before
        any treatment began; the outcome and the covariates if None
    draws, seed : of random reassignments, used where either arm has few clusters

    Returns
    -------
    Finding : statistic = p-value of the joint test; one row a column with both means, the
        normalised difference, the ratio of variances and the p-value of the difference

    Raises
    ------
    DesignError : nobody, or everybody, is treated, a unit is treated from the first period on, or
        fewer than two of either are seen before treatment
    PanelError : a column is not there or not numeric

    Notes
    -----
    The normalised difference divides by the root of the mean of both variances: unlike a t
    statistic it does not grow with the sample. With fifty clusters in either arm, tests are of
    differences in means with variances clustered as in the design, times G / (G - 1), and the
    joint test is a Wald test. With fewer, treatment is reassigned at random over clusters (units
    where clusters are mixed), and the joint statistic is the Mahalanobis distance between the
    means. Weights are used where the design has them.

    Source
    ------
    Imbens & Rubin (2015), Causal Inference, section 14.2; Imbens & Wooldridge (2009), Journal
    of Economic Literature 47(1), section 5.1, for the rule of thumb of 0.25.
    """
    BALANCE.require(result)
    draws = counts("draws", [draws])[0]
    design = result.design
    names = (design.outcome, *design.covariates) if columns is None else tuple(columns)
    treated = ~np.isnan(design.cohorts)
    first = np.argmax(~np.isnan(design.outcomes), axis=1)
    units = np.arange(design.n_units)
    values = np.stack([design.sample.matrix(name)[units, first] for name in names], axis=1)
    weights = np.ones(design.n_units) if design.unit_weights is None else design.unit_weights
    early = _seen_before_treatment(design)
    filled = ~np.isnan(values).any(axis=1)
    known = filled & early
    values, treated, weights = values[known], treated[known], weights[known]
    if min(treated.sum(), (~treated).sum()) < 2:
        raise DesignError(
            f"{plural(int(treated.sum()), 'treated unit')} and {int((~treated).sum())} of the "
            "never treated have a value before any treatment began; two of each are needed. Name "
            "columns= that are known at the start."
        )
    compared = _compare(values, treated, weights, design.cluster_codes[known])
    groups = assignment_groups(design)[known]
    smaller = min(len(np.unique(groups[treated])), len(np.unique(groups[~treated])))
    if smaller >= PLENTY:
        df = compared.n_clusters - 1.0
        t = compared.difference / np.sqrt(np.diag(compared.covariance))
        p_values = two_sided_p_values(t, df)
        p_joint = joint_wald(compared.difference, compared.covariance, df=df)[2]
        test = "Wald test with clustered variances"
    else:
        p_values, p_joint = _reassigned(values, treated, weights, groups, draws, seed)
        test = f"{draws:,} random reassignments of treatment"
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = compared.variances[0] / compared.variances[1]
        normalised = compared.difference / np.sqrt(compared.variances.mean(axis=0))
    table = pd.DataFrame(
        {
            "column": names,
            "mean_treated": compared.means[0],
            "mean_comparison": compared.means[1],
            "normalised_difference": normalised,
            "variance_ratio": ratio,
            "p_value": p_values,
        }
    )
    large = table[table["normalised_difference"].abs() > LARGE]
    worst = table.iloc[int(np.nanargmax(table["normalised_difference"].abs()))]
    return Finding(
        name="balance",
        asked=Sentence.of("balance.question"),
        statistic=p_joint,
        table=table,
        said=Sentence.of(
            "balance.one" if len(large) == 1 else "balance.many",
            "balance.answer",
            n=len(large),
            all=len(table),
            limit=LARGE,
            largest=worst["normalised_difference"],
            worst=worst["column"],
            p=p_joint,
        ),
        values={
            "p_value": p_joint,
            "largest": float(worst["normalised_difference"]),
        },
        draw=lambda ax: _draw(table, ax),
        notes=(
            f"{int(known.sum()):,} units, each in its first period; {test}.",
            *_left_out(int((~early).sum()), "are first seen after treatment began somewhere"),
            *_left_out(int((early & ~filled).sum()), "have a value missing"),
        ),
    )


def _seen_before_treatment(design: Design) -> NDArray[np.bool_]:
    """Mark units first seen before the first date of treatment, shape (N,)."""
    first = design.periods[np.argmax(~np.isnan(design.outcomes), axis=1)]
    return np.asarray(first < np.nanmin(design.cohorts) - design.anticipation)


def _left_out(count: int, why: str) -> tuple[str, ...]:
    return (f"{plural(count, 'unit')} left out that {why}.",) if count else ()


@dataclass(frozen=True, eq=False)
class _Compared:
    """Means and variances, shape (2, k), treated first; covariance of the differences (k, k)."""

    means: Floats
    variances: Floats
    covariance: Floats
    n_clusters: int

    @property
    def difference(self) -> Floats:
        return np.asarray(self.means[0] - self.means[1])


def _compare(
    values: Floats, treated: NDArray[np.bool_], weights: Floats, clusters: NDArray[np.int64]
) -> _Compared:
    """Compare weighted means with the clustered covariance of their differences."""
    codes = np.unique(clusters, return_inverse=True)[1]
    means, variances = [], []
    influence = np.zeros_like(values)
    for group, sign in ((treated, 1.0), (~treated, -1.0)):
        share = weights[group] / weights[group].sum()
        mean = share @ values[group]
        deviation = values[group] - mean
        means.append(mean)
        variances.append(share @ deviation**2 * group.sum() / max(group.sum() - 1, 1))
        influence[group] = sign * share[:, None] * deviation
    n_clusters = int(codes.max()) + 1
    sums = np.stack([np.bincount(codes, column, n_clusters) for column in influence.T], axis=1)
    covariance = sums.T @ sums * n_clusters / (n_clusters - 1)
    return _Compared(np.array(means), np.array(variances), covariance, n_clusters)


def _reassigned(
    values: Floats,
    treated: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.int64],
    draws: int,
    seed: int,
) -> tuple[Floats, float]:
    """Return p-values of each difference and of all, by reassigning treatment over groups."""
    codes, first = np.unique(groups, return_index=True)
    inverse = np.searchsorted(codes, groups)
    centred = values - weights @ values / weights.sum()
    mass = np.bincount(inverse, weights)
    sums = np.stack([np.bincount(inverse, weights * column) for column in centred.T], axis=1)
    rng = np.random.default_rng(seed)
    assigned = np.stack([treated[first], *(rng.permutation(treated[first]) for _ in range(draws))])
    own, rest = assigned @ mass, (~assigned) @ mass
    gaps = (assigned @ sums) / own[:, None] - (~assigned) @ sums / rest[:, None]
    spread = np.linalg.pinv(np.cov(centred.T, aweights=weights).reshape(values.shape[1], -1))
    distance = np.einsum("bk,kl,bl->b", gaps, spread, gaps)
    slack = 1.0 - 1e-12
    return (
        (np.abs(gaps) >= slack * np.abs(gaps[0])).mean(axis=0),
        float((distance >= slack * distance[0]).mean()),
    )


def _draw(table: pd.DataFrame, ax: Axes | None) -> Axes:
    ax = figure_axes(ax, 7.0, 0.9 + 0.3 * len(table))
    y = np.arange(len(table))[::-1]
    ax.plot(table["normalised_difference"], y, "o", color=plots.BLUE)
    for limit in (-LARGE, LARGE):
        ax.axvline(limit, color=plots.QUIET, lw=0.8, ls=(0, (4, 3)))
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.set_yticks(y, list(table["column"]))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("Normalised difference, treated less comparison")
    return ax


def _fault(result: Result) -> str | None:
    design = result.design
    if design.treatment_column is None or np.isnan(design.cohorts).all():
        return "this design has no treated unit."
    never = np.isnan(design.cohorts)
    if never.sum() < 2 or (~never).sum() < 2:
        return "fewer than two units were treated, or fewer than two never, so no variance exists."
    if len(design.always_treated_units):
        return (
            f"{plural(len(design.always_treated_units), 'unit')} "
            "are treated in their first period, so there is no value before treatment."
        )
    return None


BALANCE = Check("balance", "designs with units treated and never treated", _fault, balance)
