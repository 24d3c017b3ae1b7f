"""What could have been found: detectable effects, power, equivalence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import InferenceError
from impact.inference import bands
from impact.inference.dispatch import POWER, Inference, power_at
from impact.inference.equivalence import two_one_sided_tests, verdict
from impact.inference.evidence import Evidence
from impact.inference.power import clusters_needed, power_curve
from impact.inference.sets import ConfidenceSet, interval
from impact.result.estimates import Estimates
from impact.result.judgement import CLUSTERED, freedoms

__all__ = ["detectable_effects", "equivalence_table", "planned_clusters", "power_table"]

Floats = NDArray[np.float64]
Found = Sequence[Inference | None]


def detectable_effects(of: Estimates, found: Found, power: float, level: float) -> Floats:
    """Return the smallest effects found with the given power, shape (K,)."""
    df = freedoms(of)
    upper = bands.pointwise_critical_value(level, df)
    more = bands.pointwise_critical_value(2 * power - 1, df)
    detectable = np.asarray((upper + more) * of.std_errors)
    for row, inference in enumerate(found):
        if inference is not None:
            detectable[row] = inference.detectable if power == POWER else np.nan
    return detectable


def equivalence_table(shown: pd.DataFrame, low: float, high: float, level: float) -> pd.DataFrame:
    """Judge estimates, ``shown`` with sets of level 1 - 2 (1 - level), against the bounds."""
    rows = []
    for term, estimate, error, df, one, other in shown[
        ["term", "estimate", "std_error", "df", "conf_low", "conf_high"]
    ].itertuples(index=False):
        p_value = np.nan
        if error > 0 and not np.isnan(df):
            freedom = None if np.isinf(df) else df
            p_value = two_one_sided_tests(
                estimate, error, low=low, high=high, df=freedom, level=level
            ).p_value
        known = not np.isnan(one)
        found = interval(one, other, 2 * level - 1) if known else ConfidenceSet((), level)
        said = verdict(found, low=low, high=high)
        rows.append((term, estimate, p_value, one, other, said))
    columns = ["term", "estimate", "p_value", "conf_low", "conf_high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def power_table(
    of: Estimates,
    found: Found,
    evidence: Callable[[int], Evidence],
    effects: Sequence[float],
    level: float,
) -> pd.DataFrame:
    """Return the chance that each true effect would be found, one row an effect and estimate."""
    values, df, request = np.asarray(effects, dtype=np.float64), freedoms(of), of.request
    parts = []
    for row, inference in enumerate(found):
        error = float(of.std_errors[row])
        if np.isnan(error):
            power = np.full(len(values), np.nan)
        elif inference is None:
            freedom = None if np.isinf(df[row]) else float(df[row])
            power = power_curve(values, error, level=level, df=freedom)
        else:
            power = power_at(
                evidence(row),
                inference,
                values,
                draws=request.draws,
                seed=request.seed,
                level=level,
            )
        term = of.cells["term"].iloc[row]
        parts.append(pd.DataFrame({"term": term, "effect": values, "power": power}))
    return pd.concat(parts, ignore_index=True)


def planned_clusters(of: Estimates, found: Found, effect: float, power: float, level: float) -> int:
    """Return how many clusters would find an effect, these estimates being the pilot's.

    The pilot's error is the one that its detectable effect tells, whatever method judges it.
    """
    error, count = float(of.std_errors[0]), of.design.n_clusters
    if found[0] is not None and found[0].method in CLUSTERED:
        error = found[0].std_error
    elif found[0] is not None:
        both = bands.pointwise_critical_value(level, None) + bands.pointwise_critical_value(
            2 * POWER - 1, None
        )
        error = float(found[0].detectable / both)
    if not np.isfinite(error):
        why = of.cells["note"].iloc[0] or (found[0].reason if found[0] else "")
        raise InferenceError(
            "the pilot's estimate has no standard error and no detectable effect, so nothing tells "
            f"how they shrink with more clusters: {why or 'its variance is unknown'}."
        )
    return clusters_needed(effect, error, count, power=power, level=level)
