"""How estimators make results: what each takes from its estimator, and cells without cohorts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from impact.design import Design
from impact.estimators.base import Estimator
from impact.inference.scores import Uncertainty
from impact.result import Result

__all__ = ["cells_without_cohorts", "result_of"]

Floats = NDArray[np.float64]


def result_of(
    estimator: Estimator,
    design: Design,
    cells: pd.DataFrame,
    uncertainty: Uncertainty,
    *,
    estimand: str | None = None,
    shares: pd.Series | None = None,
    notes: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
    of_rows: Callable[[Floats], Uncertainty] | None = None,
) -> Result:
    """Return a result under the estimator's name and settings, of its estimand unless another's."""
    return Result(
        estimator=estimator.name,
        design=design,
        cells=cells,
        uncertainty=uncertainty,
        estimand=estimator.estimand if estimand is None else estimand,
        shares=pd.Series(dtype=np.float64) if shares is None else shares,
        settings=estimator.settings(),
        notes=tuple(notes),
        extra={} if extra is None else extra,
        of_rows=of_rows,
    )


def cells_without_cohorts(
    terms: Sequence[str],
    estimates: ArrayLike,
    notes: Sequence[str] | str = "",
    *,
    event_time: ArrayLike = np.nan,
    weight: ArrayLike = 1.0,
    **counts: ArrayLike,
) -> pd.DataFrame:
    """Return the cells of a result whose estimates are of all cohorts and periods together.

    ``counts`` are columns such as n_treated and n_comparison.
    """
    columns = {
        "term": list(terms),
        "cohort": np.nan,
        "time": np.nan,
        "event_time": event_time,
        "estimate": estimates,
        "weight": weight,
        "note": notes if isinstance(notes, str) else list(notes),
        **counts,
    }
    return pd.DataFrame(columns)
