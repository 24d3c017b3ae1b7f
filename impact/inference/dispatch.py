"""One estimate, any inference: from arrays to a p-value, a confidence set and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice, plural
from impact.inference.auto import SIZE_IMPRECISION, Choice, Method, choose
from impact.inference.bands import check_level, pointwise_critical_value, two_sided_p_values
from impact.inference.evidence import Evidence, Paths
from impact.inference.few_treated import few_treated_test, size_variance
from impact.inference.jackknife import arm_variance
from impact.inference.permutation import (
    Statistics,
    assignments,
    path_changes,
    path_statistics,
    permutation_test,
)
from impact.inference.sets import ConfidenceSet, interval
from impact.inference.wild import score_blocks, wild_cluster_test

__all__ = ["Inference", "infer"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_DIFFERENT = 0.01


@dataclass(frozen=True)
class Inference:
    """Report what was inferred of one estimate, how and why.

    Attributes
    ----------
    method : method used, "none" if no valid one exists
    reason : the rule that chose it, or that it was asked for
    p_value : of no effect; NaN under "none"
    confidence_set : effects not rejected; empty under "none"
    std_error, df : of the method, NaN where it has none
    lattice : smallest p-value the method can give
    notes : sentences a reader of the p-value must know
    """

    method: Method
    reason: str
    estimate: float
    std_error: float
    df: float | None
    p_value: float
    confidence_set: ConfidenceSet
    lattice: float = 0.0
    notes: tuple[str, ...] = ()


def infer(
    evidence: Evidence,
    method: Method | Literal["auto"] = "auto",
    *,
    draws: int = 9999,
    seed: int = 0,
    level: float | None = 0.95,
) -> Inference:
    """Infer one estimate by a named method, or by the one that holds in its design.

    Parameters
    ----------
    evidence : arrays on the estimate
    method : "auto" chooses by `impact.inference.auto.choose`; "cr1", "cr2", "cr3" take
        clustered standard errors; "wild" and "wild_unrestricted" the cluster bootstrap;
        "permutation" and "permutation_by_size" reassign treatment paths; "ferman_pinto" and
        "conley_taber" compare with untreated clusters' placebo effects
    draws, seed : of the methods that draw
    level : of the confidence set; None leaves it out, for simulations

    Raises
    ------
    InferenceError : the method does not exist for this estimate, with the remedy
    """
    if level is not None:
        check_level(level)
    check_choice("method", method, ("auto", *get_args(Method)), InferenceError)
    choice = choose(evidence.facts) if method == "auto" else Choice(method, "asked for")
    if choice.method == "none":
        return Inference("none", choice.reason, evidence.estimate, np.nan, None, np.nan,
                         ConfidenceSet((), np.nan if level is None else level))  # fmt: skip
    if choice.method in ("cr1", "cr2", "cr3"):
        return _clustered(evidence, choice, level)
    if choice.method.startswith("wild"):
        return _wild(evidence, choice, draws, seed, level)
    if choice.method.startswith("permutation"):
        return _permuted(evidence, choice, draws, seed, level)
    return _few_treated(evidence, choice, draws, seed, level)


def _clustered(evidence: Evidence, choice: Choice, level: float | None) -> Inference:
    error, df = _corrected(evidence, choice.method)
    p_value = float(two_sided_p_values(np.asarray(evidence.estimate / error), df))
    bounds = ConfidenceSet((), np.nan)
    if level is not None:
        reach = error * float(pointwise_critical_value(level, df))
        bounds = interval(evidence.estimate - reach, evidence.estimate + reach, level)
    return Inference(choice.method, choice.reason, evidence.estimate, error, df, p_value, bounds)


def _corrected(evidence: Evidence, method: Method) -> tuple[float, float | None]:
    if method == "cr1":
        return evidence.std_error, evidence.df
    if evidence.corrected is not None:
        return evidence.corrected("cr2" if method == "cr2" else "cr3")
    if evidence.contributions is None or evidence.paths is None:
        raise InferenceError(
            f'"{method}" needs the regression, or each cluster\'s contribution and treatment path; '
            "this estimator gives neither. Use the permutation test, or the placebo inference "
            "of the estimator."
        )
    found = arm_variance(
        evidence.contributions,
        evidence.paths.labels,
        evidence.sizes,
        evidence.paths.never,
        power=0.5 if method == "cr2" else 1.0,
    )
    return float(np.sqrt(found.variance)), found.df


def _wild(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    notes: tuple[str, ...] = ()
    if evidence.blocks is not None:
        gram, cross = evidence.blocks.gram, evidence.blocks.cross
        contrast = evidence.blocks.contrast
    elif evidence.contributions is not None:
        gram, cross = score_blocks(evidence.estimate, evidence.contributions, evidence.leverage)
        contrast = np.ones(1)
        notes = ("Score version: contributions are drawn, the estimator is not refitted.",)
    else:
        raise InferenceError(
            f'"{choice.method}" needs the regression or each cluster\'s contribution; this '
            "estimator gives replicates only. Use the permutation test."
        )
    test = wild_cluster_test(
        gram,
        cross,
        contrast,
        restricted=choice.method == "wild",
        draws=draws,
        seed=seed,
        level=level,
    )
    how = "all sign patterns" if test.enumerated else f"{test.weights} weights"
    return Inference(
        choice.method,
        choice.reason,
        evidence.estimate,
        evidence.std_error,
        None,
        test.p_value,
        test.confidence_set,
        test.lattice,
        (f"{plural(test.draws, 'draw')}, {how}.", *notes),
    )


def _permuted(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    paths = _need_paths(evidence, choice.method)
    by_size = choice.method == "permutation_by_size"
    variances = _size_variances(evidence) if by_size else None

    def statistics(labels: Integers) -> Statistics:
        return path_statistics(
            paths.outcomes,
            paths.treatment,
            evidence.sizes,
            labels,
            paths.cells,
            studentise="sizes" if by_size else "arms",
            size_variances=variances,
        )

    drawn = assignments(paths.labels, strata=evidence.strata, draws=draws, seed=seed)
    test = permutation_test(
        statistics(paths.labels[None]), statistics(drawn.labels), drawn, level=level
    )
    listed = "all" if drawn.exhaustive else "randomly drawn"
    notes = [f"{plural(test.draws, 'reassignment')} of treatment paths, {listed}."]
    if abs(test.estimate - evidence.estimate) > _DIFFERENT * evidence.std_error:
        notes.append(
            "P-value and set are those of the difference in mean paths, "
            f"{test.estimate:.4g}, which a reassignment gives without refitting."
        )
    return Inference(
        choice.method,
        choice.reason,
        evidence.estimate,
        evidence.std_error,
        None,
        test.p_value,
        test.confidence_set,
        test.lattice,
        tuple(notes),
    )


def _size_variances(evidence: Evidence) -> Floats:
    """Fit each cluster's error variance to its size on the larger arm, shape (G,)."""
    few, many = evidence.arms
    if many.sum() < 3:
        raise InferenceError(
            f"The larger arm has {plural(int(many.sum()), 'cluster')}; fitting how errors vary "
            'with size takes 3. Use method="permutation".'
        )
    fitted = size_variance(evidence.errors_of(many), evidence.sizes[many], evidence.sizes[few])
    return fitted.at(evidence.sizes)


def _few_treated(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    paths = _need_paths(evidence, choice.method)
    treated, untreated = paths.treated, paths.untreated
    changes = path_changes(paths.outcomes, paths.cells)
    placebos = changes[untreated][:, paths.labels[treated]]
    weights = evidence.sizes[treated] / evidence.sizes[treated].sum()
    scaled = choice.method == "ferman_pinto"
    test = few_treated_test(
        evidence.estimate,
        placebos,
        weights,
        sizes=evidence.sizes[untreated] if scaled else None,
        treated_sizes=evidence.sizes[treated] if scaled else None,
        draws=draws,
        seed=seed,
        level=level,
    )
    notes: tuple[str, ...] = ()
    if test.variance is not None and test.variance.imprecision > SIZE_IMPRECISION:
        notes = (
            "Sizes do not identify how errors scale: the variance at the treated clusters' sizes "
            f"has a relative standard error of {test.variance.imprecision:.1f}.",
        )
    return Inference(
        choice.method,
        choice.reason,
        evidence.estimate,
        evidence.std_error,
        None,
        test.p_value,
        test.confidence_set,
        test.lattice,
        notes,
    )


def _need_paths(evidence: Evidence, method: str) -> Paths:
    if evidence.paths is None:
        raise InferenceError(
            f'"{method}" compares whole treatment paths of clusters, and here '
            f"{evidence.without_paths or 'no paths are known'}. Cluster at the level of "
            'assignment, or use method="wild".'
        )
    return evidence.paths
