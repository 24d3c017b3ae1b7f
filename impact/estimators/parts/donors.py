"""Who is treated and who may stand in for them: the blocks synthetic methods work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, listing, plural
from impact.estimators.base import ABSORBING, PRE_PERIODS, TREATMENT, Requirement
from impact.estimators.parts.donor_pool import DonorPool
from impact.inference.placebo import (
    Assignment,
    PlaceboDraws,
    canonical_order,
    misfit_rank,
    no_uncertainty,
    placebo_assignments,
)
from impact.inference.scores import Uncertainty
from impact.result import Result
from impact.tables import state_p_value

__all__ = [
    "BALANCED",
    "DONORS",
    "EQUAL_WEIGHTS",
    "SYNTHETIC",
    "Block",
    "block_label",
    "cell_frame",
    "cohort_paths",
    "cohort_shares",
    "donor_assignments",
    "donor_blocks",
    "donor_counts",
    "needs_of_placebos",
    "placebo_uncertainty",
    "refuse_resampling",
    "unit_label",
    "units_are_clusters",
    "weight_frame",
    "with_rank_note",
]

Floats: TypeAlias = NDArray[np.float64]
Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

MISFIT = 0.05
"""P-value (divided by the number of cohorts; the least possible if that is larger) at which a gap
before treatment, ranked among the placebos' gaps after it, leaves effects unread."""
ROUNDING = 1e-10
"""Share of the largest outcome below which a gap before treatment is a perfect fit."""
LEVELS = "demean=True or SyntheticDiD let levels differ"


@dataclass(frozen=True, eq=False)
class Block:
    """Treated units that begin together, their donors, and the periods before and after.

    Attributes
    ----------
    cohort : first treated period
    treated, donors : positions of units, shapes (n1,) and (n0,), donors in canonical order
    pre, post : shape (T,), before any effect, and from the first treated period on; periods of
        anticipation are in neither
    """

    cohort: float
    treated: Indices
    donors: Indices
    pre: Booleans
    post: Booleans


def donor_blocks(design: Design, pool: DonorPool, *, separate: bool = False) -> tuple[Block, ...]:
    """Split a design into blocks, one a cohort, or one a treated unit if ``separate``.

    Raises
    ------
    DesignError : fewer than two periods before treatment, or no donor
    """
    blocks = []
    for cohort in design.cohort_values:
        pre = design.periods < cohort - design.anticipation
        members = np.flatnonzero(design.cohorts == cohort)
        if pre.sum() < 2:
            raise DesignError(
                f"{plural(int(pre.sum()), 'period')} before {cohort - design.anticipation:g} for "
                f"{design.panel.unit} {listing(design.sample.units[members])}: weights are chosen "
                "on the path before treatment, which takes two periods or more. Add earlier "
                "periods."
            )
        for treated in members[:, None] if separate else [members]:
            donors = pool.members(design, treated)
            donors = donors[canonical_order(design.outcomes[donors])]
            blocks.append(Block(cohort, treated, donors, pre, design.periods >= cohort))
    return tuple(blocks)


def donor_assignments(
    design: Design, blocks: Sequence[Block], draws: int, seed: int
) -> list[Assignment]:
    """Choose placebos for each block, in an order that no label decides.

    Raises
    ------
    InferenceError : no more donors than treated units
    """
    paths = np.stack([design.outcomes[block.treated].mean(axis=0) for block in blocks])
    order = canonical_order(paths)
    order = order[np.argsort([blocks[k].cohort for k in order], kind="stable")]
    chosen = placebo_assignments(
        [blocks[k].donors for k in order], [len(blocks[k].treated) for k in order], draws, seed
    )
    return [chosen[k] for k in np.argsort(order)]


def cohort_shares(design: Design) -> pd.Series:
    """Return each cohort's share of all units, indexed by cohort."""
    counts = np.bincount(design.cohort_codes, minlength=len(design.cohort_values) + 1)
    index = pd.Index(design.cohort_values, name="cohort")
    return pd.Series(counts[:-1] / design.n_units, index=index)


def cell_frame(design: Design, paths: Floats, n_donors: Sequence[int]) -> pd.DataFrame:
    """Lay effect paths, shape (C, T), out as cells, one a cohort and period."""
    cohorts, periods = design.cohort_values, design.periods
    cohort, time = np.repeat(cohorts, len(periods)), np.tile(periods, len(cohorts))
    sizes = np.bincount(design.cohort_codes, minlength=len(cohorts) + 1)[:-1]
    return pd.DataFrame(
        {
            "term": [f"att({g:g}, {t})" for g, t in zip(cohort, time, strict=True)],
            "cohort": cohort,
            "time": time,
            "event_time": time - cohort,
            "estimate": paths.ravel(),
            "weight": np.repeat(sizes / design.n_units, len(periods)),
            "note": "",
            "n_treated": np.repeat(sizes, len(periods)),
            "n_comparison": np.repeat(np.asarray(n_donors), len(periods)),
        }
    )


def cohort_paths(design: Design, blocks: Sequence[Block], paths: Floats) -> Floats:
    """Average paths of blocks, shape (B, blocks, T), into cohorts, shape (B, C, T)."""
    cohorts = np.array([block.cohort for block in blocks])
    return np.stack(
        [paths[:, cohorts == cohort].mean(axis=1) for cohort in design.cohort_values], axis=1
    )


def placebo_uncertainty(
    design: Design,
    blocks: Sequence[Block],
    own: Floats,
    paths: Sequence[Floats],
    *,
    demeaned: bool,
) -> Uncertainty:
    """Join placebo paths of blocks, each (B, T), into draws of all cells; without any, missing.

    Cohort shares, which end the joint vector, do not vary over placebos. Where a cohort's own
    path, of ``own`` (C, T), misses the treated before treatment, the draws say so.
    """
    n_cohorts = len(design.cohort_values)
    if not len(paths):
        return no_uncertainty(n_cohorts * (len(design.periods) + 1), design.n_units)
    joint = cohort_paths(design, blocks, np.stack(paths, axis=1))
    draws = joint.reshape(len(joint), -1)
    draws = np.concatenate((draws, np.zeros((len(draws), n_cohorts))), axis=1)
    doubt = _misfit(design, blocks, own, joint, demeaned=demeaned)
    return PlaceboDraws(draws, design.n_units, doubt=doubt)


def _misfit(
    design: Design, blocks: Sequence[Block], own: Floats, placebos: Floats, *, demeaned: bool
) -> str:
    """Say which cohorts' paths, (C, T), are missed before treatment; empty if none is.

    A path is missed whose gap before treatment would itself rank as an effect among the gaps
    that placebos, (B, C, T), have after it.
    """
    least = max(MISFIT / len(design.cohort_values), 1.0 / (len(placebos) + 1))
    perfect = ROUNDING * float(np.abs(design.outcomes).max())
    missed = []
    for k, cohort in enumerate(design.cohort_values):
        members = [block for block in blocks if block.cohort == cohort]
        pre, post = members[0].pre, members[0].post
        before = float(np.sqrt(np.mean(own[k, pre] ** 2)))
        rank = misfit_rank(own[k], placebos[:, k], pre, post)
        if before > perfect and rank <= least * (1.0 + ROUNDING):
            alone = len(members) == 1
            who = block_label(design, members[0]) if alone else f"the cohort of {cohort:g}"
            missed.append(f"{who} by {before:.4g}")
    if not missed:
        return ""
    instead = "SyntheticDiD weighs periods too" if demeaned else LEVELS
    return (
        f"before treatment the synthetic unit misses {listing(missed)} (root mean square), which "
        f"among {plural(len(placebos), 'placebo')} would itself rank as an effect, so the gap "
        f"after is not the effect and its rank says nothing; {instead}"
    )


def donor_counts(design: Design, blocks: Sequence[Block]) -> list[int]:
    """Count the units that may be donors to some treated unit of each cohort."""
    return [
        len(np.unique(np.concatenate([b.donors for b in blocks if b.cohort == cohort])))
        for cohort in design.cohort_values
    ]


def block_label(design: Design, block: Block) -> object:
    """Name a block by its treated unit, or by its cohort if there are several."""
    if len(block.treated) == 1:
        return unit_label(design.sample.units[block.treated[0]])
    return f"cohort {block.cohort:g}"


def unit_label(unit: object) -> object:
    """Name a unit, by its parts where several columns name it."""
    return ", ".join(map(str, unit)) if isinstance(unit, tuple) else unit


def weight_frame(
    design: Design, blocks: Sequence[Block], weights: Sequence[Floats], labels: pd.Index
) -> pd.DataFrame:
    """Tabulate donors' weights, one column a block, in the sample's order of units."""
    units = design.sample.units
    columns = [pd.Series(w, units[b.donors]) for w, b in zip(weights, blocks, strict=True)]
    frame = pd.concat(columns, axis=1, keys=labels)
    return frame.loc[units[units.isin(frame.index)]].rename_axis(design.panel.unit)


def with_rank_note(result: Result) -> Result:
    """Add where the average effect ranks among its placebos, if there are any."""
    att = result.att()
    if not isinstance(att.uncertainty, PlaceboDraws) or att.uncertainty.doubt:
        return result
    draws = att.uncertainty
    rank = state_p_value(draws.p_values(att.estimates)[0])
    note = (
        f"Rank of the average effect among {plural(len(draws.draws), 'placebo')}: two-sided p "
        f"{rank}; no smaller p than {draws.p_lattice:.3f} is possible."
    )
    return replace(result, notes=(*result.notes, note))


def refuse_resampling(inference: str) -> None:
    """Refuse to resample units where each treated unit is matched by itself, and say why."""
    if inference in ("bootstrap", "jackknife"):
        raise DesignError(
            f'inference="{inference}" redraws or leaves out units to see how estimates vary, and '
            "the donors chosen for one treated unit say nothing of how another would vary. Use "
            'inference="placebo"; or prediction_intervals or conformal of SyntheticControl, which '
            "read the treated unit's own past."
        )


def units_are_clusters(design: Design) -> bool:
    """Tell whether each unit is a cluster by itself, by the only cluster column."""
    if len(design.cluster_columns) > 1:
        return False
    return bool(design.cluster_codes.max() + 1 == design.n_units)


def needs_of_placebos(inference: str) -> tuple[Requirement, ...]:
    """Return what this choice of inference needs of the design's clusters.

    Placebos re-assign single units. "auto" turns to the jackknife where clusters hold several
    units, which takes two treated clusters in each cohort.
    """
    needs = {"placebo": (PLACEBO_UNITS,), "auto": (PLACEBO_UNITS_OR_CLUSTERS,)}
    return needs.get(inference, ())


def _clustered_placebos(design: Design) -> str | None:
    if units_are_clusters(design):
        return None
    return (
        f"this design clusters by {listing(design.cluster_columns)}, and placebos re-assign one "
        f"{design.panel.unit} at a time as if each were alone, so standard errors are too small "
        "where a cluster moves together. Leave clusters= out to cluster at the unit, or use "
        'inference="jackknife" or "bootstrap" of SyntheticDiD, MatrixCompletion or '
        "InteractiveFixedEffects, which leave out or redraw whole clusters."
    )


def _lone_treated_clusters(design: Design) -> str | None:
    if units_are_clusters(design) or len(design.cluster_columns) > 1:
        return None
    for cohort in design.cohort_values:
        if len(np.unique(design.cluster_codes[design.cohorts == cohort])) < 2:
            return (
                f"the cohort of {cohort:g} is treated in one cluster of {design.cluster_columns[0]}"
                ", so nothing shows how treated clusters vary, and placebos re-assign one "
                f"{design.panel.unit} at a time, not clusters. Leave clusters= out to cluster at "
                'the unit, or ask for inference="none".'
            )
    return None


def _gaps(design: Design) -> str | None:
    if design.is_balanced:
        return None
    missing = np.isnan(design.outcomes)
    rows, columns = np.nonzero(missing)
    cases = [
        f"({design.panel.unit} {design.sample.units[i]}, {design.panel.time} {design.periods[t]})"
        for i, t in zip(rows[:3], columns[:3], strict=True)
    ]
    return (
        f"{plural(int(missing.any(axis=1).sum()), 'unit')} of {design.n_units:,} "
        f"{'has' if missing.any(axis=1).sum() == 1 else 'have'} gaps, {len(rows):,} in all, first "
        f"{listing(cases)}. Drop those units or those periods; MatrixCompletion and "
        "InteractiveFixedEffects allow gaps."
    )


def _no_donor(design: Design) -> str | None:
    if np.isnan(design.cohorts).any():
        return None
    return (
        f"all {plural(design.n_units, 'unit')} are treated in the end. Drop the periods in which "
        "the last cohort is treated and count it as never treated, or use an estimator that "
        "compares with units not yet treated, such as CallawaySantAnna."
    )


def _weighted(design: Design) -> str | None:
    if design.weights is None:
        return None
    return (
        f'the design weighs units by "{design.weights}", and these methods choose the weights '
        "themselves. Leave weights out, and make the outcome a rate or a mean if units differ in "
        "size."
    )


BALANCED = Requirement("every unit observed in every period", _gaps)
DONORS = Requirement("units that are never treated", _no_donor)
EQUAL_WEIGHTS = Requirement("units of equal weight", _weighted)
PLACEBO_UNITS = Requirement("units as clusters, for placebos", _clustered_placebos)
PLACEBO_UNITS_OR_CLUSTERS = Requirement(
    "units as clusters, or two treated clusters a cohort", _lone_treated_clusters
)
SYNTHETIC = (TREATMENT, ABSORBING, DONORS, PRE_PERIODS, BALANCED, EQUAL_WEIGHTS)
