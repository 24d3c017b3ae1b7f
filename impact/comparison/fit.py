"""Fit the estimators to be compared, with one base period, comparison and weighting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Literal, get_args, get_type_hints

import numpy as np

from impact.comparison.comparison import Comparison
from impact.comparison.effects import event_study_of, one_effect
from impact.design import Design
from impact.errors import DesignError, EstimationError, check_choice, listing, plural
from impact.estimators import estimator_class
from impact.estimators.base import Estimator
from impact.result import Result

__all__ = ["USUAL", "compare"]

USUAL = (
    "CallawaySantAnna",
    "Imputation",
    "TwoStage",
    "SunAbraham",
    "ExtendedTWFE",
    "StackedDiD",
    "LocalProjectionDiD",
)
"""Estimators compared where none are named."""

Controls = Literal["not_yet_treated", "never_treated"]

ALIGNED = {"base_period": "universal", "weighting": "equal"}
"""Settings of estimators that are named, not made, where they have them: one base, one weight."""


def compare(
    source: Design | Sequence[Result],
    estimators: Sequence[Estimator | str | type[Estimator]] | None = None,
    *,
    comparison: Controls = "not_yet_treated",
    complete_units: bool = False,
) -> Comparison:
    """Compare estimators on one design, or results that already exist.

    Parameters
    ----------
    source : a design, to which the estimators are fitted, or results on the same outcome
    estimators : estimators, with a design: objects, classes or names; the usual ones for
        staggered adoption if None. Those whose requirements the design does not meet are left
        out, with the reason in ``skipped``. The first one fitted is what others are compared with
    comparison : who estimators given by class or name compare with, where they leave a choice;
        they also measure from the last period before treatment and weigh cohorts by size, where
        they leave a choice. Objects keep their own settings. ``alignment()`` shows what each did
    complete_units : keep the units observed in every period only, so that all estimators use the
        same rows; in a panel with gaps each has its own rule otherwise

    Raises
    ------
    DesignError : neither a design nor results; estimators named beside results; results of
        different outcomes
    EstimationError : no estimator can be fitted, or no unit is observed in every period

    Example
    -------
    >>> comparison = compare(design)                                  # doctest: +SKIP
    >>> comparison.plot()                                             # doctest: +SKIP
    """
    check_choice("comparison", comparison, get_args(Controls))
    if isinstance(source, Design):
        design = _complete(source) if complete_units else source
        return _fit_all(design, USUAL if estimators is None else estimators, comparison)
    results = list(source) if isinstance(source, Sequence) else []
    if not results or not all(isinstance(result, Result) for result in results):
        raise DesignError(
            f"compare takes a Design or a list of Results; this is {_kind(source)}. "
            "Write compare(design) or compare([one_result, another])."
        )
    if estimators is not None:
        raise DesignError("estimators are named only where a design is given to fit them to.")
    outcomes = sorted({result.design.outcome for result in results})
    if len(outcomes) > 1:
        raise DesignError(
            f"these results are about different outcomes ({listing(outcomes)}), whose effects do "
            "not compare. Compare results of one outcome."
        )
    return _checked(Comparison(tuple(results)))


def _kind(source: object) -> str:
    """Say what was given, for a message."""
    name = type(source).__name__
    if not isinstance(source, Sequence) or isinstance(source, str):
        return name
    wrong = [type(item).__name__ for item in source if not isinstance(item, Result)]
    return f"a {name} that holds {listing(wrong, 3)}" if wrong else f"an empty {name}"


def _checked(comparison: Comparison) -> Comparison:
    """Make sure that effects of treatment, if these are, have an average to compare."""
    if comparison.has_effects:
        _ = comparison.averages
    return comparison


def _complete(design: Design) -> Design:
    """Keep the units of a design that are observed in every period."""
    if design.is_balanced:
        return design
    complete = np.asarray(~np.isnan(design.outcomes).any(axis=1))
    if not complete.any():
        raise EstimationError(
            f"none of the {plural(design.n_units, 'unit')} is observed in all "
            f"{len(design.periods)} periods, so complete_units=True leaves nobody to compare on. "
            "Leave it out, or drop sparse periods."
        )
    return replace(design, panel=design.sample.select(complete[design.sample.unit_codes]))


def _aligned(kind: type[Estimator], comparison: Controls) -> Estimator:
    """Make an estimator with the shared settings that it has."""
    hints = get_type_hints(kind)
    shared = {**ALIGNED, "comparison": comparison}
    return kind(
        **{
            setting.name: shared[setting.name]
            for setting in fields(kind)  # type: ignore[arg-type]
            if shared.get(setting.name) in get_args(hints[setting.name])
        }
    )


def _fit_all(
    design: Design,
    estimators: Sequence[Estimator | str | type[Estimator]],
    comparison: Controls,
) -> Comparison:
    results: list[Result] = []
    skipped: dict[str, str] = {}
    for given in estimators:
        made = estimator_class(given) if isinstance(given, str) else given
        estimator = made if isinstance(made, Estimator) else _aligned(made, comparison)
        try:
            result = estimator.fit(design)
            if event_study_of(result) is None:
                _ = one_effect(result)
            results.append(result)
        except (DesignError, EstimationError) as error:
            skipped[repr(estimator)] = str(error)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise EstimationError(f"no estimator can be fitted to this design. {reasons}")
    return _checked(Comparison(tuple(results), skipped))
