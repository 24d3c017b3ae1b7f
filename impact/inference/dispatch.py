"""One estimate, any inference: from arrays to a p-value, a confidence set and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice, plural
from impact.inference.auto import SIZE_IMPRECISION, Choice, Method, choose, refuse_split
from impact.inference.bands import check_level, pointwise_critical_value, two_sided_p_values
from impact.inference.evidence import Blocks, Evidence
from impact.inference.few_treated import few_treated_test
from impact.inference.jackknife import arm_variance, pairs_cluster_bootstrap
from impact.inference.permutation import path_changes, permutation_test
from impact.inference.power import (
    minimum_detectable_effect,
    placebo_minimum_detectable_effect,
    placebo_power,
    power_curve,
)
from impact.inference.reassign import (
    need_paths,
    placebo_effects,
    reassign,
    reassign_jointly,
)
from impact.inference.sets import ConfidenceSet, interval
from impact.inference.wild import (
    score_blocks,
    wild_cluster_test,
    wild_statistics,
    wild_two_way_test,
)
from impact.inference.wild_draws import WildDraws

__all__ = ["Inference", "JointDraws", "infer", "joint_draws", "nothing", "power_at"]

Finer = TypeVar("Finer")
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

POWER = 0.8
"""Power of the minimum detectable effect reported with every inference."""

_FEWEST_PLACEBOS = 20


@dataclass(frozen=True)
class Inference:
    """Report what was inferred of one estimate, how and why.

    Attributes
    ----------
    method : method used, "none" if no valid one exists
    reason : the rule that chose it, or that it was asked for
    p_value : of no effect; NaN under "none"
    confidence_set : effects not rejected; empty under "none"
    std_error, df : of the method; std_error is NaN where ranks take its place, df None where the
        law is normal or simulated
    lattice : smallest p-value the method can give
    detectable : smallest effect found with a power of 80 % at the set's level: for
        reassignments from the spread of placebo estimates on this panel, else half the set's
        length plus q(0.8) standard errors; NaN where neither exists
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
    detectable: float = np.nan
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
        clustered standard errors; "wild" and "wild_unrestricted" the cluster bootstrap,
        "wild_subcluster" with draws by unit, "wild_two_way" with two-way variances;
        "permutation" and "permutation_by_size" reassign treatment paths; "ferman_pinto" and
        "conley_taber" compare with untreated clusters' placebo effects; "pairs" resamples whole
        clusters, and under-covers with few of them; "placebo" keeps to the
        estimator's own replicates, as "auto" does where it has them
    draws, seed : of the methods that draw
    level : of the confidence set; None leaves it out, for simulations

    Raises
    ------
    InferenceError : the method does not exist for this estimate, with the remedy
    """
    if level is not None:
        check_level(level)
    check_choice("method", method, ("auto", *get_args(Method)), InferenceError)
    choice = _choose(evidence) if method == "auto" else Choice(method, "asked for")
    if choice.method == "none":
        return nothing(choice.reason, evidence.estimate, level)
    if choice.method == "placebo":
        return _placebo(evidence, choice, level)
    if choice.method in ("cr1", "cr2", "cr3"):
        return _clustered(evidence, choice, level)
    if choice.method == "pairs":
        return _pairs(evidence, choice, draws, seed, level)
    if choice.method.startswith("wild"):
        return _wild(evidence, choice, draws, seed, level)
    if choice.method.startswith("permutation"):
        return _permuted(evidence, choice, draws, seed, level)
    return _few_treated(evidence, choice, draws, seed, level)


@dataclass(frozen=True, eq=False)
class JointDraws:
    """A t statistic with its draws under the null, for families of tests.

    Columns of ``drawn``, shape (B,), that come of one seed and one set of clusters share their
    draws and may be stacked for `impact.inference.multiplicity.romano_wolf`.
    """

    statistic: float
    drawn: Floats
    exhaustive: bool


def joint_draws(
    evidence: Evidence,
    method: Literal["wild", "permutation"],
    *,
    draws: int = 9999,
    seed: int = 0,
) -> JointDraws:
    """Return the t statistic of no effect and its draws, shared across outcomes by the seed.

    Raises
    ------
    InferenceError : the method does not exist for this estimate
    """
    check_choice("method", method, ("wild", "permutation"), InferenceError)
    if method == "permutation":
        drawn, actual, reassigned = reassign_jointly(evidence, draws, seed)
        signed = np.append(reassigned.signed_squares(0.0), actual.signed_squares(0.0))
        t = np.sign(signed) * np.sqrt(np.abs(signed))
        return JointDraws(float(t[-1]), t[:-1], drawn.exhaustive)
    gram, cross, contrast, _ = _regression(evidence, method)
    statistic, values = wild_statistics(gram, cross, contrast, draws=draws, seed=seed)
    exhaustive = WildDraws(len(gram), "auto", draws, seed).enumerated
    return JointDraws(statistic, values, exhaustive)


def _choose(evidence: Evidence) -> Choice:
    refuse_split(evidence.split)
    if evidence.placebos is not None:
        return Choice("placebo", f"the estimator's own inference: {evidence.placebos.method}")
    return choose(evidence.facts)


def _placebo(evidence: Evidence, choice: Choice, level: float | None) -> Inference:
    if evidence.placebos is None:
        raise InferenceError(
            '"placebo" keeps to the estimator\'s own replicates, and this estimator makes none. '
            'Use method="permutation", which reassigns treatment paths.'
        )
    if evidence.placebos.ranked is None:
        return _clustered(evidence, choice, level)
    p_value, low, high, lattice = evidence.placebos.ranked(0.95 if level is None else level)
    found = ConfidenceSet((), np.nan) if level is None else interval(low, high, level)
    return Inference(
        method="placebo",
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=evidence.std_error,
        df=None,
        p_value=p_value,
        confidence_set=found,
        lattice=lattice,
        detectable=_detectable(found, evidence.std_error),
    )


def nothing(reason: str, estimate: float, level: float | None) -> Inference:
    """Return the inference of an estimate that has no valid one, for a reason."""
    empty = ConfidenceSet((), np.nan if level is None else level)
    return Inference("none", reason, estimate, np.nan, None, np.nan, empty)


def _clustered(evidence: Evidence, choice: Choice, level: float | None) -> Inference:
    error, df = _corrected(evidence, choice.method)
    bounds, detectable = ConfidenceSet((), np.nan), np.nan
    if level is not None:
        reach = error * float(pointwise_critical_value(level, df))
        bounds = interval(evidence.estimate - reach, evidence.estimate + reach, level)
        detectable = float(minimum_detectable_effect(error, power=POWER, level=level, df=df))
    return Inference(
        method=choice.method,
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=error,
        df=df,
        p_value=float(two_sided_p_values(np.asarray(evidence.estimate / error), df)),
        confidence_set=bounds,
        detectable=detectable,
    )


def _corrected(evidence: Evidence, method: Method) -> tuple[float, float | None]:
    """Return the standard error of a clustered method with its degrees of freedom."""
    if method == "cr1" and evidence.placebos is not None and evidence.placebos.ranked is not None:
        raise InferenceError(
            '"cr1" is a standard error of clustered errors with its t law, and the spread of this '
            "estimator's placebos is neither: its intervals come from their ranks. "
            f"{evidence.remedy}"
        )
    if method in ("cr1", "placebo"):
        return evidence.std_error, evidence.df
    if method == "cr2":
        _refuse_lone_clusters(evidence, method)
    if evidence.corrected is not None:
        return evidence.corrected("cr2" if method == "cr2" else "cr3")
    if evidence.contributions is None or evidence.paths is None:
        raise InferenceError(
            f'"{method}" needs the regression, or each cluster\'s contribution and treatment path; '
            f"this estimator does not give both. {evidence.remedy}"
        )
    found = arm_variance(
        evidence.contributions(),
        evidence.paths.labels,
        evidence.sizes,
        evidence.paths.never,
        power=0.5 if method == "cr2" else 1.0,
    )
    return float(np.sqrt(found.variance)), found.df


def _refuse_lone_clusters(evidence: Evidence, method: str) -> None:
    """Refuse methods that learn each cluster's error from itself where an arm is one cluster."""
    if not evidence.facts.sole_identifier:
        return
    facts = evidence.facts
    raise InferenceError(
        f'"{method}" needs two clusters on either side of the comparison; of '
        f"{plural(facts.n_clusters, 'cluster')}, {facts.n_treated} treated, one alone identifies "
        "the estimate, so that its contribution tells nothing of its own error. Use "
        '"permutation_by_size" or "ferman_pinto", which learn the error from the other clusters.'
    )


def _regression(evidence: Evidence, method: str) -> tuple[Floats, Floats, Floats, tuple[str, ...]]:
    """Return gram, cross and contrast to bootstrap, with a note where they are scores."""
    if evidence.blocks is not None:
        return evidence.blocks.gram, evidence.blocks.cross, evidence.blocks.contrast, ()
    if evidence.contributions is None:
        raise InferenceError(
            f'"{method}" needs the regression or each cluster\'s contribution; this estimator '
            f"gives replicates only. {evidence.remedy}"
        )
    _refuse_lone_clusters(evidence, method)
    gram, cross = score_blocks(evidence.estimate, evidence.contributions(), evidence.leverage)
    note = "Score version: contributions are drawn, the estimator is not refitted."
    return gram, cross, np.ones(1), (note,)


def _finer(make: Callable[[], Finer] | None, method: str) -> Finer:
    """Return what the subcluster or the two-way bootstrap takes."""
    if make is None:
        raise InferenceError(
            f'"{method}" needs the rows of a regression, and this estimator gives each cluster\'s '
            'contribution at most. Use method="wild", its score version.'
        )
    return make()


def _wild(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    notes: tuple[str, ...] = ()
    if choice.method == "wild_two_way":
        rows = _finer(evidence.two_way, choice.method)
        test = wild_two_way_test(rows, draws=draws, seed=seed, level=level)
    else:
        if choice.method == "wild_subcluster":
            blocks = _finer(evidence.subclusters, choice.method)
        else:
            gram, cross, contrast, notes = _regression(evidence, choice.method)
            blocks = Blocks(gram, cross, contrast)
        test = wild_cluster_test(
            blocks.gram,
            blocks.cross,
            blocks.contrast,
            restricted=choice.method != "wild_unrestricted",
            draws=draws,
            seed=seed,
            level=level,
            variance_groups=blocks.variance_groups,
        )
    how = "all sign patterns" if test.enumerated else f"{test.weights} weights"
    return Inference(
        method=choice.method,
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=evidence.std_error,
        df=None,
        p_value=test.p_value,
        confidence_set=test.confidence_set,
        lattice=test.lattice,
        detectable=_detectable(test.confidence_set, evidence.std_error),
        notes=(f"{plural(test.draws, 'draw')}, {how}.", *notes),
    )


def _pairs(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    """Resample clusters: the regression is solved again, contributions are added up again."""
    notes: tuple[str, ...] = ()
    if evidence.blocks is not None:
        blocks = evidence.blocks
        found = pairs_cluster_bootstrap(
            blocks.gram, blocks.cross, blocks.contrast[None, :], draws=draws, seed=seed
        ).draws[:, 0]
    else:
        _, _, _, notes = _regression(evidence, choice.method)
        psi = evidence.contributions() if evidence.contributions else np.zeros(0)
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(len(psi), np.full(len(psi), 1 / len(psi)), size=draws)
        found = evidence.estimate + (counts - 1.0) @ psi
    found = found[~np.isnan(found)]
    error = float(np.std(found, ddof=1))
    tail = min(np.count_nonzero(found <= 0), np.count_nonzero(found >= 0))
    bounds = ConfidenceSet((), np.nan)
    if level is not None:
        low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
        bounds = interval(float(low), float(high), level)
    return Inference(
        method="pairs",
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=error,
        df=None,
        p_value=min(1.0, 2 * (1 + tail) / (1 + len(found))),
        confidence_set=bounds,
        lattice=2 / (1 + len(found)),
        detectable=_detectable(bounds, error) if level is not None else np.nan,
        notes=(f"{plural(len(found), 'resample')} of clusters, percentile interval.", *notes),
    )


def _detectable(found: ConfidenceSet, std_error: float) -> float:
    """Half the length of the set, and as far again as the power takes."""
    further = float(pointwise_critical_value(2 * POWER - 1, None))
    return (found.high - found.low) / 2 + further * std_error


def _permuted(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    drawn, actual, reassigned = reassign(evidence, choice.method, draws, seed)
    test = permutation_test(actual, reassigned, drawn, level=level)
    listed = "all" if drawn.exhaustive else "randomly drawn"
    alike = " whose smaller arm has about the actual size and evenness" if drawn.alike else ""
    if drawn.dates > 1:
        alike = f" to places and {drawn.dates} dates of treatment"
        listed = "all" if len(drawn.labels) + 1 >= drawn.possible else listed
    placebos = placebo_effects(drawn, actual, reassigned)
    known = level is not None and len(placebos) >= _FEWEST_PLACEBOS
    return Inference(
        method=choice.method,
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=np.nan,
        df=None,
        p_value=test.p_value,
        confidence_set=test.confidence_set,
        lattice=test.lattice,
        detectable=placebo_minimum_detectable_effect(placebos, power=POWER, level=level or 0.95)
        if known
        else np.nan,
        notes=(
            f"{plural(test.draws, 'reassignment')} of treatment paths{alike}, {listed}.",
            *_linear_note(evidence),
        ),
    )


def power_at(
    evidence: Evidence,
    inference: Inference,
    effects: Floats,
    *,
    draws: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> Floats:
    """Return the chance that an inference would find each true effect, shape of ``effects``.

    Placebo estimates of the panel where treatment is reassigned; the noncentral t law of the
    standard error elsewhere; NaN where the inference has neither.
    """
    if inference.method in ("permutation", "permutation_by_size"):
        placebos = placebo_effects(*reassign(evidence, inference.method, draws, seed))
        return placebo_power(placebos, effects, level=level)
    if not inference.std_error > 0:
        return np.full(len(effects), np.nan)
    df = len(evidence.sizes) - 1.0 if inference.method.startswith("wild") else inference.df
    return power_curve(effects, inference.std_error, level=level, df=df)


def _linear_note(evidence: Evidence) -> tuple[str, ...]:
    if evidence.paths is None or not evidence.paths.linear:
        return ()
    return ("Contributions of clusters are reassigned, the estimator is not refitted.",)


def _few_treated(
    evidence: Evidence, choice: Choice, draws: int, seed: int, level: float | None
) -> Inference:
    paths = need_paths(evidence, choice.method)
    if paths.pooled:
        raise InferenceError(
            f'"{choice.method}" draws errors of treated clusters from those of comparison ones, '
            "and this estimate averages cohorts that it compares with them in ways that differ: "
            "what a comparison cluster contributes is no error that a treated one could have. "
            f"{evidence.remedy}"
        )
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
    notes = (*notes, *_linear_note(evidence))
    return Inference(
        method=choice.method,
        reason=choice.reason,
        estimate=evidence.estimate,
        std_error=np.nan,
        df=None,
        p_value=test.p_value,
        confidence_set=test.confidence_set,
        lattice=test.lattice,
        detectable=_detectable(test.confidence_set, evidence.std_error),
        notes=notes,
    )
