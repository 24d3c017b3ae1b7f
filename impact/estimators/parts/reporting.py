"""How estimators make results: what each takes from its estimator, and cells without cohorts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from impact.design import Design
from impact.errors import listing, plural
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
    by_cohort: bool = True,
) -> Result:
    """Return a result under the estimator's name and settings, of its estimand unless another's.

    ``by_cohort`` says that units' first treated periods date the effects, so that those which are
    not known for sure are told.
    """
    return Result(
        estimator=estimator.name,
        design=design,
        cells=cells,
        uncertainty=uncertainty,
        estimand=estimator.estimand if estimand is None else estimand,
        shares=pd.Series(dtype=np.float64) if shares is None else shares,
        settings=estimator.settings(),
        notes=(*notes, *(_unclear_onsets(design) if by_cohort else ())),
        extra={} if extra is None else extra,
        of_rows=of_rows,
    )


def _unclear_onsets(design: Design) -> list[str]:
    """Tell of units that may have been treated before they are first seen treated."""
    column = design.treated or design.dose
    if design.table is not None or column is None or design.panel.is_balanced:
        return []
    panel = design.panel
    amounts = panel.matrix(column)[panel.units.get_indexer(design.sample.units)]
    treated = np.nan_to_num(amounts) > 0
    first = np.argmax(treated, axis=1)
    known = ~np.isnan(amounts)
    seen = known[np.arange(len(first)), np.maximum(first - 1, 0)]
    before = np.argmax(known, axis=1) < first
    units = design.sample.units[treated.any(axis=1) & before & ~seen]
    if not len(units):
        return []
    return [
        f'"{column}" is not known just before it is first above zero in '
        f"{plural(len(units), 'unit')}, first {panel.unit} {listing(units)}: they may have been "
        "treated earlier than they are dated. State the first treated period with cohort= where it "
        "is known."
    ]


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
