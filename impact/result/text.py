"""Estimates in words: what was estimated from what, and by which inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from impact.errors import plural
from impact.inference.auto import MANY_TREATED
from impact.inference.dispatch import POWER, Inference
from impact.result.estimates import Estimates
from impact.result.judgement import least_freedom
from impact.result.power import detectable_effects
from impact.result.samples import unit_assignment_note

__all__ = ["footing", "heading", "shown_columns"]


def shown_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out of a tidy table what a reader of it does not need."""
    frame = table.drop(columns=["statistic", "df"])
    empty = [c for c in ("std_error", "band_low", "band_high") if frame[c].isna().all()]
    return frame.drop(columns=empty)


def heading(of: Estimates) -> list[str]:
    """Say what was estimated and from what."""
    sentence = of.design.facts.sentence()
    return [
        f"{of.estimator}: {of.estimand}, outcome {of.design.outcome}",
        f"{sentence[:1].upper()}{sentence[1:]}.",
    ]


def _manner(inference: Inference) -> str:
    return "No inference" if inference.method == "none" else f"Inference by {inference.method}"


def footing(of: Estimates, found: Sequence[Inference | None], level: float) -> list[str]:
    """Say how p-values and sets were had, and what a reader of the numbers must know."""
    others = [inference for inference in found if inference is not None]
    known = ~np.isnan(of.std_errors)
    lines = [f"{_manner(i)}: {i.reason}. {' '.join(i.notes)}" for i in others]
    sets = [
        f"The {level:.0%} set of {i.estimate:.4g} is {i.confidence_set}."
        for i in others
        if len(i.confidence_set.intervals) > 1
    ]
    if any(inference is None for inference in np.array(found, dtype=object)[known]):
        sets.append(_own_inference(of, level, only_rows=bool(others)))
    if any(i.method != "none" and np.isnan(i.std_error) for i in others):
        sets.append("Tests by ranks have no standard error; .std_errors has the estimator's.")
    said = dict.fromkeys(line.strip() for line in lines)
    sets += _detectable(of, found, level)
    return [*said, *sets, *unit_assignment_note(of.design), *of.notes]


def _detectable(of: Estimates, found: Sequence[Inference | None], level: float) -> list[str]:
    """Say what the clusters could have told, where these are places of several units."""
    if of.design.cluster_columns[0] == of.design.panel.unit:
        return []
    effects = detectable_effects(of, found, POWER, level)
    effects = effects[np.isfinite(effects) & (effects > 0)]
    if not len(effects):
        return []
    low, high = effects.min(), effects.max()
    size = f"{low:.3g}" if len(effects) == 1 else f"{low:.3g} to {high:.3g}, by row,"
    return [f"A true effect of {size} or more would be found with a power of {POWER:.0%}."]


def _own_inference(of: Estimates, level: float, *, only_rows: bool) -> str:
    """Say what the estimator's own standard errors are and which law they are read by."""
    own = of.uncertainty
    law = "normal" if own.df is None else f"t({own.df:g})"
    if least_freedom(of) != own.df:
        law = f"t (fewer than {MANY_TREATED} treated clusters, less one) or normal"
    text = (
        f"{'Rows marked own: standard' if only_rows else 'Standard'} errors: "
        f"{own.method}, {plural(own.n_clusters, 'cluster')} by "
        f"{' and '.join(of.design.cluster_columns)}; {level:.0%} intervals from the {law} "
        "distribution"
    )
    if only_rows:
        return text + (", bands hold for these rows at once." if of.support.is_large else ".")
    return text + ", bands hold for all rows at once."
