"""The effect over all the ways it might have been estimated, tested as one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.design import Design
from impact.errors import DesignError, plural
from impact.estimators import ESTIMATORS, estimator_class
from impact.estimators.base import ABSORBING, Estimator
from impact.kernels.parallel import run_jobs
from impact.result import Result
from impact.sensitivity.base import (
    Check,
    Finding,
    assignment_groups,
    counts,
    figure_axes,
    printed,
    quick,
    refit_fault,
    with_cohorts,
)
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SPECIFICATION_CURVE", "Specification", "specification_curve", "specifications"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Specification:
    """One way to estimate the effect: its label, estimator and design."""

    label: str
    estimator: Estimator
    design: Design


def specifications(result: Result) -> tuple[Specification, ...]:
    """List defensible variants of a result: estimator, comparison, anticipation, covariates.

    Estimators are those that need a lasting treatment and nothing the design lacks, with their
    default settings; the result's own also with each of its comparisons. Others than its own are
    left out where a joint test of them would take minutes: those that search for a number of
    factors by refits, and those whose fit searches donors' weights more than 10 times: twice a
    treated unit (synthetic control), or once and without each period before its treatment
    (augmented).
    """
    own = estimator_class(result.estimator)(**result.settings)
    slow = _slow(result)
    estimators = [(result.estimator, own)]
    for setting, values in _COMPARISONS.items():
        if setting in result.settings:
            for value in values:
                estimators.append(
                    (f"{result.estimator}, {value}", _replace_setting(own, setting, value))
                )
    for name in ESTIMATORS:
        other = estimator_class(name)
        if name == result.estimator or name in slow:
            continue
        if ABSORBING in other.requires and _has_defaults(other):
            estimators.append((name, other()))
    designs = [("", result.design)]
    if result.design.covariates:
        designs.append((", no covariates", replace(result.design, covariates=())))
    shifted = replace(
        result.design, anticipation=result.design.anticipation + 1, always_treated="drop"
    )
    designs.append((f", anticipation {shifted.anticipation}", shifted))
    found: list[Specification] = []
    for name, estimator in estimators:
        for change, design in designs:
            fresh = all(s.estimator != estimator or s.design is not design for s in found)
            if fresh and not estimator.unmet(design):
                found.append(Specification(name + change, estimator, design))
    return tuple(found)


MOST_ROWS = 200_000
"""Rows times specifications beyond which permutations are run only when asked for."""

MOST_SEARCHES = 10
"""Searches for donors' weights in a fit beyond which an estimator other than the result's own is
not listed; one takes about 1 ms, and is repeated in each draw of the joint test."""

_SEARCHING = ("InteractiveFixedEffects", "MatrixCompletion")
_COMPARISONS = {"comparison": ("not_yet_treated", "never_treated")}


def _slow(result: Result) -> dict[str, str]:
    """Return why estimators other than the result's own take too long for a joint test, by name."""
    design = result.design
    treated = design.cohorts[np.isfinite(design.cohorts)]
    searches = {
        "AugmentedSyntheticControl": int((1 + np.searchsorted(design.periods, treated)).sum()),
        "SyntheticControl": 2 * len(treated),
    }
    reasons = dict.fromkeys(_SEARCHING, "searches for a number of factors by refits")
    for name, count in searches.items():
        if count > MOST_SEARCHES:
            reasons[name] = (
                f"searches donors' weights {count:,} times in a fit, more than {MOST_SEARCHES}"
            )
    return {name: why for name, why in reasons.items() if name != result.estimator}


def _left_out(result: Result) -> tuple[str, ...]:
    """Say which estimators could be fitted to the design but take too long to be listed."""
    return tuple(
        f"{name} is not in the curve, since it {why}. It can be given with variants=."
        for name, why in _slow(result).items()
        if not estimator_class(name)().unmet(result.design)
    )


def _has_defaults(estimator: type[Estimator]) -> bool:
    """Tell whether an estimator can be made without settings."""
    settings = inspect.signature(estimator).parameters.values()
    return all(setting.default is not inspect.Parameter.empty for setting in settings)


def _replace_setting(estimator: Estimator, setting: str, value: object) -> Estimator:
    """Return the estimator with one setting changed."""
    return type(estimator)(**{**estimator.settings(), setting: value})


def specification_curve(
    result: Result,
    *,
    variants: Sequence[Specification] | None = None,
    draws: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Finding:
    """Ask whether the effect depends on how it is estimated, over all variants at once.

    Parameters
    ----------
    result : of a design with first treated periods
    variants : specifications to run; those of :func:`specifications` if None
    draws : random assignments of the treatment paths for the joint test; 0 for none; None for
        99, or none where rows times specifications exceed 200,000 or the result's own estimator
        searches for a number of factors
    level : confidence level
    seed : of the draws

    Returns
    -------
    Finding : statistic = joint randomisation p-value of the median estimate; NaN without draws;
        one row a specification in order of the estimate

    Raises
    ------
    DesignError : fewer than two variants can be estimated

    Notes
    -----
    The joint test permutes first treated periods over clusters (units where clusters are mixed)
    and runs every variant on each permutation, under the hypothesis of no effect on anyone. The
    p-values are the shares of permutations, the true assignment among them, with a median at
    least as far from zero, and with at least as large a share of estimates that have its sign and
    are significant by the estimators' own standard errors. Placebos, jackknife and bootstrap that
    estimators run themselves are not run in the joint test: where the treatment is as it was and
    where it is permuted their estimates count as they are, and as significant nowhere. The second
    p-value is NaN where no variant has a standard error of another kind.

    Source
    ------
    Simonsohn, Simmons & Nelson (2020), Nature Human Behaviour 4, 1208-1214.
    """
    SPECIFICATION_CURVE.require(result)
    left_out = _left_out(result) if variants is None else ()
    draws = None if draws is None else counts("draws", [draws], least=0)[0]
    chosen = specifications(result) if variants is None else tuple(variants)
    rows = [printed(partial(_fit, specification), level) for specification in chosen]
    table = pd.DataFrame(rows)
    table.insert(0, "specification", [specification.label for specification in chosen])
    table = table.sort_values("estimate", ignore_index=True)
    usable = [s for s, row in zip(chosen, rows, strict=True) if not np.isnan(row["estimate"])]
    if len(usable) < 2:
        raise DesignError(
            f"{plural(len(usable), 'specification')} of {len(chosen)} can be estimated; a curve "
            "needs two. Give others with variants=."
        )
    median, significant = _curve(table, 1 - level)
    p_values = {"p_median": np.nan, "p_share": np.nan}
    if draws is None:
        large = result.design.n_rows * len(usable) > MOST_ROWS
        draws = 0 if large or result.estimator in _SEARCHING else 99
    if draws:
        p_values = _joint_test(usable, draws, level, seed)
    low, high = table["estimate"].min(), table["estimate"].max()
    return Finding(
        name="specification_curve",
        asked=Sentence.of("specification_curve.question"),
        statistic=p_values["p_median"],
        table=table,
        said=Sentence.of(
            "specification_curve.answer",
            "specification_curve.joint" if draws else "stop",
            n=len(usable),
            low=low,
            high=high,
            median=median,
            share=significant,
            p=p_values["p_median"],
        ),
        values={"median": median, "lowest": low, "highest": high, "share": significant, **p_values},
        draw=lambda ax: _draw(table, ax),
        notes=(*(() if draws else ("No joint test was run; ask for it with draws=.",)), *left_out),
    )


def _fit(specification: Specification) -> Result:
    return specification.estimator.fit(specification.design)


def _curve(table: pd.DataFrame, size: float) -> tuple[float, float]:
    """Return the median estimate and the share significant with its sign."""
    known = table.dropna(subset=["estimate"])
    median = float(known["estimate"].median())
    agrees = (known["p_value"] < size) & (np.sign(known["estimate"]) == np.sign(median))
    return median, float(agrees.mean())


def _joint_test(
    usable: Sequence[Specification], draws: int, level: float, seed: int
) -> dict[str, float]:
    """Compare the curve, by the estimators' own standard errors, with those of permuted paths."""
    rng = np.random.default_rng(seed)
    base = usable[0].design
    groups = assignment_groups(base)
    paths = base.cohorts[np.unique(groups, return_index=True)[1]]
    labels = pd.Series(base.sample.units)
    drawn = [pd.Series(rng.permutation(paths)[groups], index=labels) for _ in range(draws)]
    bare = [replace(s, estimator=_without_refits(s.estimator)) for s in usable]
    (median, significant), *others = run_jobs(partial(_curve_of, bare, level), [None, *drawn])
    further = 1 + sum(abs(placebo) >= abs(median) for placebo, _ in others)
    more = 1 + sum(share >= significant for _, share in others)
    judged = any("inference" not in s.estimator.settings() for s in usable)
    return {
        "p_median": further / (draws + 1),
        "p_share": more / (draws + 1) if judged else np.nan,
    }


def _without_refits(estimator: Estimator) -> Estimator:
    """Return the estimator without the placebos, jackknife or bootstrap it would run itself."""
    if "inference" in estimator.settings():
        return _replace_setting(estimator, "inference", "none")
    return estimator


def _curve_of(
    usable: Sequence[Specification], level: float, cohorts: pd.Series | None
) -> tuple[float, float]:
    """Return the curve of the specifications as they are, or with cohorts permuted."""
    designs = {id(variant.design): variant.design for variant in usable}
    if cohorts is not None:
        designs = {key: _permuted(design, cohorts) for key, design in designs.items()}
    rows = [
        quick(partial(variant.estimator.fit, designs[id(variant.design)]), level)
        for variant in usable
    ]
    return _curve(pd.DataFrame(rows), 1 - level)


def _permuted(design: Design, cohorts: pd.Series) -> Design:
    """Give the design's units other first treated periods."""
    own = cohorts.reindex(design.sample.units).to_numpy(dtype=np.float64)
    return with_cohorts(design, own, np.ones(design.n_rows, dtype=bool))


def _draw(table: pd.DataFrame, ax: Axes | None) -> Axes:
    ax = figure_axes(ax, 7.0, 0.9 + 0.26 * len(table))
    known = table.dropna(subset=["estimate"])
    y = np.arange(len(known))
    colours = np.where(known["p_value"] < 0.05, plots.BLUE, plots.QUIET)
    ax.hlines(y, known["conf_low"], known["conf_high"], colors=list(colours), lw=1.6)
    ax.scatter(known["estimate"], y, c=list(colours), s=22, zorder=3)
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.set_yticks(y, list(known["specification"]), fontsize=8)
    ax.set_xlabel("Effect (dark: significant at 5 %)")
    return ax


SPECIFICATION_CURVE = Check(
    "specification_curve", "designs with first treated periods", refit_fault, specification_curve
)
