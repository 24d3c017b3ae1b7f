"""Views of estimates: averages by event time, cohort or period, and combinations of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import EstimationError, check_choice, listing, plural
from impact.inference.aggregation import share_average
from impact.inference.treated import effective_treated
from impact.result.estimates import CELL_COLUMNS, COMBINED, Estimates

__all__ = ["Grouping", "Weighting", "average_after_treatment", "average_by", "combine"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Weighting = Literal["cohort", "cell", "row", "event_time", "time"]
Grouping = Literal["event_time", "cohort", "time"]
View = TypeVar("View", bound=Estimates)


def average_after_treatment(of: View, weighting: Weighting | None) -> View:
    """Average the effects after treatment began into one number, as ``Result.att`` describes."""
    choices = ("cohort", "cell", "row", "event_time", "time")
    check_choice("weighting", weighting or "cohort", choices)
    if not len(of.shares):
        return _average_without_cohorts(of, weighting)
    if weighting in ("event_time", "time"):
        return _mean_after(average_by(of, weighting))
    after = _after(of)
    if weighting in ("cell", "row"):
        incidence = after.astype(np.float64)
    else:
        cohorts = of.cells["cohort"].to_numpy(dtype=np.float64)
        known = after & ~np.isnan(of.estimates)
        count = pd.Series(known).groupby(cohorts).transform("sum").to_numpy()
        incidence = np.divide(known, count, out=np.zeros(len(of)), where=count > 0)
    head = pd.DataFrame({"term": ["att"]})
    how = weighting or "cohort"
    return _average(of, incidence[None, :], head, how, by_rows=weighting == "row")


def average_by(
    of: View, grouping: Grouping, *, balanced: int | None = None, by_rows: bool = False
) -> View:
    """Average the cells by event time, cohort or period, as ``Result.by`` describes."""
    check_choice("grouping", grouping, ("event_time", "cohort", "time"))
    if balanced is not None:
        _check_balanced(of, grouping)
    if not len(of.shares):
        return _as_labelled(of, grouping)
    keep = np.ones(len(of), dtype=bool) if grouping == "event_time" else _after(of)
    if grouping == "event_time" and balanced is not None:
        keep = _balanced_cells(of, balanced)
    labels = of.cells[grouping].to_numpy(dtype=np.float64)
    values = np.unique(labels[keep & ~np.isnan(labels)])
    if not len(values):
        raise EstimationError(
            f"no cell is left to average by {grouping}; the design may hold no period after "
            f"treatment{'' if balanced is None else f', or none with balanced={balanced}'}."
        )
    incidence = (labels == values[:, None]) & keep
    head = pd.DataFrame({"term": [f"{grouping} {v:g}" for v in values], grouping: values})
    if grouping == "cohort":
        known = incidence & ~np.isnan(of.estimates)
        incidence = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return _average(of, incidence.astype(np.float64), head, grouping, by_rows=by_rows)


def combine(of: View, weights: Floats, terms: Sequence[str]) -> View:
    """Combine the estimates with weights of the caller, as ``Result.contrasts`` describes."""
    rows = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    if rows.shape != (len(terms), len(of)) or not np.isfinite(rows).all():
        raise EstimationError(
            f"weights of {plural(len(terms), 'combination')} of {plural(len(of), 'estimate')}"
            f" are a table of {len(terms)} by {len(of)} numbers; these are "
            f"{' by '.join(str(n) for n in rows.shape)}, all to be finite. Give one row a "
            "term and one column a row of .cells."
        )
    used = np.isnan(of.estimates) & (rows != 0).any(axis=0)
    if used.any():
        raise EstimationError(
            f"{plural(int(used.sum()), 'estimate')} with a weight does not exist, first "
            f"{listing(of.cells['term'][used])}: {of.cells['note'][used].iloc[0]}. "
            "Give it weight zero."
        )
    return _linear(of, rows, pd.DataFrame({"term": list(terms)}), COMBINED)


def _average(of: View, incidence: Floats, head: pd.DataFrame, how: str, *, by_rows: bool) -> View:
    """Average cells with weights of incidence (A, K) times the shares of their cohorts.

    ``by_rows`` multiplies them by the share of the cohort that is observed in the period.
    """
    index = np.searchsorted(
        of.shares.index.to_numpy(dtype=np.float64), of.cells["cohort"].to_numpy(dtype=np.float64)
    )
    shares = of.shares.to_numpy(dtype=np.float64)
    observed = _presence(of) if by_rows else np.ones(len(of))
    average = share_average(of.estimates, incidence * observed, index, shares)
    head = head.reindex(columns=[*CELL_COLUMNS, *head.columns.difference(list(CELL_COLUMNS))])
    head["estimate"] = average.estimates
    head["weight"] = incidence @ (observed * shares[index])
    head["note"] = np.where(np.isnan(average.estimates), "no cell of this kind has an estimate", "")
    keeps_cohorts = bool(head["cohort"].notna().all())
    jacobian = average.jacobian() if keeps_cohorts else average.jacobian()[: len(head)]
    if by_rows and of.of_rows is not None:
        moves = _by_cells_and_rows(of, incidence, observed * shares[index], keeps_cohorts)
        uncertainty = of.of_rows(moves)
    else:
        uncertainty = of.uncertainty.combine(jacobian)
    return replace(
        of,
        cells=head,
        uncertainty=uncertainty,
        of_rows=None,
        cohort_weights=_combined_weights(of, np.nan_to_num(average.weights)),
        shares=of.shares if keeps_cohorts else pd.Series(dtype=np.float64),
        estimand=f"{of.estimand}, averaged by {how.replace('_', ' ')}",
    )


def _by_cells_and_rows(
    of: Estimates, incidence: Floats, rows: Floats, keeps_cohorts: bool
) -> Floats:
    """Return derivatives of averages (and shares) by cells, shares and rows, (J, K + C + K)."""
    n_cells, n_shares = len(of), len(of.shares)
    average = share_average(of.estimates, incidence, np.arange(n_cells), rows)
    moves = average.jacobian()[: len(incidence)]
    moves = np.insert(moves, [n_cells] * n_shares, 0.0, axis=1)
    kept = np.eye(n_shares, n_cells + n_shares + n_cells, n_cells)
    return np.concatenate((moves, kept)) if keeps_cohorts else moves


def _linear(of: View, weights: Floats, head: pd.DataFrame, how: str) -> View:
    """Combine the estimates with fixed weights, shape (A, K), into a view without shares."""
    known = np.where(np.isnan(of.estimates), 0.0, of.estimates)
    head = head.reindex(columns=[*CELL_COLUMNS])
    head["estimate"] = weights @ known
    head["weight"] = 1.0
    head["note"] = ""
    from_arms = of.support.has_cohorts and not len(of.shares)
    return replace(
        of,
        cells=head,
        uncertainty=of.uncertainty.combine(np.pad(weights, ((0, 0), (0, len(of.shares))))),
        of_rows=None,
        shares=pd.Series(dtype=np.float64),
        cohort_weights=_combined_weights(of, np.abs(weights)),
        treated_clusters=effective_treated(weights, of.support.smaller_arms) if from_arms else None,
        estimand=f"{of.estimand}{how}",
    )


def _combined_weights(of: Estimates, weights: Floats) -> Floats | None:
    """Return the weight of each cohort in ``weights @ estimates``, shape (A, C)."""
    return weights @ of.support.weights_of_cohorts if of.support.has_cohorts else None


def _mean_after(of: View) -> View:
    """Average views by event time or period with equal weights."""
    keep = ~np.isnan(of.estimates)
    keep &= _after(of)
    weights = (keep / keep.sum())[None, :]
    return _linear(of, weights, pd.DataFrame({"term": ["att"]}), ", then with equal weights")


def _average_without_cohorts(of: View, weighting: Weighting | None) -> View:
    """Average estimates without cohorts: over event times, over periods, or the treatment's term.

    That is the first one where none is named after the treatment.
    """
    for grouping in ("event_time", "time"):
        if of.cells[grouping].notna().any() and weighting in (None, grouping):
            return _mean_after(of)
    if weighting is not None:
        raise EstimationError(
            f"these estimates of {of.estimator} cannot be averaged with "
            f'weighting="{weighting}"; they do not carry what it needs. Leave weighting out, '
            "or start from group-time effects."
        )
    if len(of) == 1:
        return of
    named = of.cells["term"].isin([of.design.treated or of.design.dose, "treated"]).to_numpy()
    chosen = [int(named.argmax())]
    weights = np.eye(len(of))[chosen]
    return _linear(of, weights, pd.DataFrame({"term": of.cells["term"].iloc[chosen]}), "")


def _as_labelled(of: View, grouping: str) -> View:
    """Return estimates without cohorts if they are of this kind already."""
    if of.cells[grouping].notna().all():
        return of
    raise EstimationError(
        f"these estimates of {of.estimator} cannot be averaged by {grouping}: they carry no "
        f"{grouping}. Fit an estimator of group-time effects, such as CallawaySantAnna."
    )


def _after(of: Estimates) -> Booleans:
    """Mark the estimates from the start of treatment on, all where none is dated, shape (K,)."""
    if of.cells["event_time"].isna().all():
        return np.ones(len(of), dtype=bool)
    after = (of.cells["event_time"] >= 0).to_numpy()
    if not after.any():
        raise EstimationError(
            "no cell lies after treatment began, so there is no effect to average. Check the "
            "cohort column against the panel's periods."
        )
    return np.asarray(after)


def _check_balanced(of: Estimates, grouping: Grouping) -> None:
    """Refuse to balance what no cohort tells, or what is not averaged by event time."""
    if grouping != "event_time":
        raise EstimationError(
            f'balanced= keeps the cohorts seen at all event times, so it goes with "event_time"; '
            f'the grouping was "{grouping}". Leave it out.'
        )
    if not len(of.shares):
        raise EstimationError(
            f"these estimates of {of.estimator} carry no cohorts, so those seen at all event times "
            "cannot be told apart. Start from group-time effects; StackedDiD holds its cohorts by "
            'itself, and LocalProjectionDiD with composition="fixed".'
        )


def _balanced_cells(of: Estimates, balanced: int) -> Booleans:
    """Keep cohorts estimated from 0 to ``balanced``, and event times that all of them have."""
    known = of.cells.assign(known=~np.isnan(of.estimates)).pivot_table(
        index="cohort", columns="event_time", values="known", aggfunc="max", fill_value=False
    )
    times = known.columns.to_numpy(dtype=np.float64)
    early = times <= balanced
    if times.max() < balanced:
        return np.zeros(len(of), dtype=bool)
    known = known[known.loc[:, early & (times >= 0)].all(axis=1)]
    shared = known.columns[known.all(axis=0).to_numpy() & early]
    kept = of.cells["cohort"].isin(known.index) & of.cells["event_time"].isin(shared)
    return np.asarray(kept)


def _presence(of: Estimates) -> Floats:
    """Return the share of each cell's cohort that is observed in its period, shape (K,)."""
    if "presence" not in of.cells:
        raise EstimationError(
            f"these estimates of {of.estimator} do not count the rows behind them, so they "
            "cannot be averaged by rows. Average by cohort size, or start from the cells of an "
            "estimator of regressions, such as Imputation or SunAbraham."
        )
    return of.cells["presence"].to_numpy(dtype=np.float64)
