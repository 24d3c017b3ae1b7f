"""Families of outcomes and subgroups: p-values that hold for all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import InferenceError, check_choice, listing, plural
from impact.inference.dispatch import JointDraws, joint_draws
from impact.inference.multiplicity import (
    adjust,
    romano_wolf,
    sharpened_q_values,
    westfall_young,
)
from impact.result import Result

__all__ = ["family"]

Adjustment = Literal["romano_wolf", "westfall_young", "holm", "q_values"]
METHODS = ("romano_wolf", "westfall_young", "holm", "q_values")


def family(
    results: Mapping[str, Result],
    method: Adjustment = "romano_wolf",
    *,
    draws: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Adjust the p-values of several overall effects for their number.

    Parameters
    ----------
    results : by name, one an outcome or a subgroup; of each, ``att()`` is tested
    method : "romano_wolf" and "westfall_young" share draws across the family, so that dependence
        between outcomes is kept: reassignments of treatment where every effect has them, else the
        wild cluster bootstrap. "holm" needs p-values alone, and "q_values" are Anderson's sharpened
        two-stage ones, for the share of false findings
    draws, seed : of the methods that draw

    Returns
    -------
    DataFrame : name, estimate, p_value (each alone), adjusted, one row a member

    Raises
    ------
    InferenceError : fewer than two results, a member without a p-value, or members on clusters
        that are the same in part, or of different assignments, whose draws cannot be shared

    Notes
    -----
    Subgroups on other clusters altogether, such as regions, are independent: each is drawn by
    itself.

    Source
    ------
    Romano and Wolf (2005), Econometrica 73(4); Westfall and Young (1993), algorithm 2.8; Holm
    (1979), Scandinavian Journal of Statistics 6(2); Anderson (2008), Journal of the American
    Statistical Association 103(484).
    """
    if str(method) == "bonferroni":
        raise InferenceError(
            'method "bonferroni" is not offered, since method="holm" dominates it: under the same '
            "assumptions (none on dependence) no adjusted p-value of Holm's is larger. Use "
            'method="holm".'
        )
    check_choice("method", method, METHODS, InferenceError)
    if len(results) < 2:
        raise InferenceError(
            f"a family has two members or more; this has {len(results)}. Pass results by name, "
            'such as {"jobs": ..., "wages": ...}.'
        )
    effects = {name: result.att() for name, result in results.items()}
    p_values = np.array([e.tidy()["p_value"].iloc[0] for e in effects.values()])
    lost = [name for name, p in zip(effects, p_values, strict=True) if np.isnan(p)]
    if lost:
        raise InferenceError(
            f"no valid p-value exists for {plural(len(lost), 'member')} of the family "
            f"({listing(lost)}), and leaving them out unsaid would make the others look better. "
            "Take them out of the family, and say so."
        )
    if method == "holm":
        adjusted = adjust(p_values, "holm")
    elif method == "q_values":
        adjusted = sharpened_q_values(p_values)
    else:
        joint = _shared_draws(effects, draws, seed)
        step_down = romano_wolf if method == "romano_wolf" else westfall_young
        adjusted = step_down(
            np.array([j.statistic for j in joint]),
            np.stack([j.drawn for j in joint], axis=1),
            exhaustive=joint[0].exhaustive,
        )
    return pd.DataFrame(
        {
            "name": list(effects),
            "estimate": [float(e.estimates[0]) for e in effects.values()],
            "p_value": p_values,
            "adjusted": adjusted,
        }
    )


def _shared_draws(effects: Mapping[str, Result], draws: int, seed: int) -> list[JointDraws]:
    """Draw each effect's statistic under its null, rows shared by the whole family.

    Members on the same clusters share draws; those on others are independent of them.
    """
    found: dict[str, JointDraws] = {}
    parts = _by_clusters(effects)
    for number, part in enumerate(parts):
        found |= _draws_of_part({name: effects[name] for name in part}, draws, seed + number)
    rng = np.random.default_rng(seed)
    for part in parts if len(parts) > 1 else ():
        rows = rng.integers(0, len(found[part[0]].drawn), draws)
        for name in part:
            found[name] = JointDraws(found[name].statistic, found[name].drawn[rows], False)
    return [found[name] for name in effects]


def _by_clusters(effects: Mapping[str, Result]) -> list[list[str]]:
    """Group members that rest on the same clusters; refuse clusters shared in part."""
    parts: list[tuple[frozenset[object], list[str]]] = []
    for name, effect in effects.items():
        own = frozenset(_clusters(effect))
        same = [names for clusters, names in parts if clusters == own]
        if same:
            same[0].append(name)
            continue
        crossed = [names[0] for clusters, names in parts if clusters & own]
        if crossed:
            raise InferenceError(
                f'"{name}" rests on other clusters than "{crossed[0]}", and on some of the same, '
                "so their draws cannot be shared. Fit both to the same places, or use "
                'method="holm".'
            )
        parts.append((own, [name]))
    return [names for _, names in parts]


def _draws_of_part(effects: Mapping[str, Result], draws: int, seed: int) -> dict[str, JointDraws]:
    """Draw the statistics of members on the same clusters, rows shared."""
    evidence = {name: effect.evidence() for name, effect in effects.items()}
    paths = [e.paths for e in evidence.values()]
    method: Literal["wild", "permutation"] = "wild"
    if all(path is not None for path in paths):
        assigned = [path.labels for path in paths if path is not None]
        if not all(np.array_equal(labels, assigned[0]) for labels in assigned):
            raise InferenceError(
                "members of the family have different treatment dates, so one reassignment does "
                'not hold for all. Use method="holm".'
            )
        method = "permutation"
    return {name: joint_draws(e, method, draws=draws, seed=seed) for name, e in evidence.items()}


def _clusters(effect: Result) -> pd.Series:
    """Names of the clusters in order."""
    design = effect.design
    return pd.Series(np.unique(design.sample.column(design.cluster_columns[0])))
