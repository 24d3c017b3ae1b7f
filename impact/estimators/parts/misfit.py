"""Units that a comparison misses before treatment: when placebos cannot tell effects from that.

Two questions are asked, and no outcome of the treated after treatment has a part in either. Is the
gap before treatment so large that it would rank as an effect, as of a level that donors miss? Were
treatment to begin earlier, would an effect be found before there was any, as of a trend? Where the
answer is yes, estimates come without standard error, interval and rank, and say why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import ImpactError, listing, plural
from impact.estimators.parts.donors import Block, block_label, cohort_paths
from impact.inference.placebo import PlaceboDraws, misfit_rank, no_uncertainty, rank_p_value
from impact.inference.scores import Uncertainty

__all__ = [
    "EARLIER",
    "TRENDS",
    "Pretended",
    "Refit",
    "average_gaps",
    "held_out",
    "level_doubt",
    "placebo_uncertainty",
    "pretend_earlier",
    "trend_doubt",
]

Floats: TypeAlias = NDArray[np.float64]
Blocks: TypeAlias = Sequence[Block]

MISFIT = 0.05
"""P-value (divided by the number of cohorts; the least possible if that is larger) at which what
is found before treatment leaves effects unread."""
ROUNDING = 1e-10
"""Share of the largest outcome below which a gap before treatment is a perfect fit."""
LEVELS = "demean=True or SyntheticDiD let levels differ"
PERIODS = "SyntheticDiD weighs periods too"
EARLIER = "fitted to earlier periods"
TRENDS = "compare with units of the same trend"


@dataclass(frozen=True)
class Refit:
    """How paths are estimated again for other periods of treatment.

    Attributes
    ----------
    own : from blocks to the paths of their cohorts, (C, T)
    placebos : from blocks to the paths of the placebos, (B, C, T)
    """

    own: Callable[[Blocks], Floats]
    placebos: Callable[[Blocks], Floats]


@dataclass(frozen=True)
class Pretended:
    """Average gaps over the last periods before treatment, fitted to those before them.

    Attributes
    ----------
    names : what the cohorts are called
    gaps : shape (C,), NaN of a cohort with too few periods before treatment
    held : shape (C,), how many periods are averaged
    placebos : returns the same of placebos, (B, C)
    """

    names: Sequence[object]
    gaps: Floats
    held: NDArray[np.int64]
    placebos: Callable[[], Floats]


def placebo_uncertainty(
    design: Design,
    blocks: Blocks,
    own: Floats,
    paths: Sequence[Floats],
    refit: Refit | None,
    *,
    demeaned: bool,
) -> Uncertainty:
    """Join placebo paths of blocks, each (B, T), into draws of all cells; without any, missing.

    Cohort shares, which end the joint vector, do not vary over placebos. Where the cohorts' own
    paths, (C, T), miss the treated before treatment, the draws say so. ``refit`` is None where
    treatment cannot be pretended to begin earlier.
    """
    n_cohorts = len(design.cohort_values)
    if not len(paths):
        return no_uncertainty(n_cohorts * (len(design.periods) + 1), design.n_units)
    joint = cohort_paths(design, blocks, np.stack(paths, axis=1))
    draws = joint.reshape(len(joint), -1)
    draws = np.concatenate((draws, np.zeros((len(draws), n_cohorts))), axis=1)
    doubt = level_doubt(design, blocks, own, joint, PERIODS if demeaned else LEVELS)
    if refit and not doubt:
        doubt = pretend_earlier(design, blocks, joint, refit)
    return PlaceboDraws(draws, design.n_units, doubt=doubt)


def level_doubt(design: Design, blocks: Blocks, own: Floats, placebos: Floats, instead: str) -> str:
    """Say which cohorts' paths, (C, T), are missed before treatment; empty if none is.

    A path is missed whose gap before treatment would itself rank as an effect among the gaps
    that placebos, (B, C, T), have after it.
    """
    least = _least(len(design.cohort_values), len(placebos))
    perfect = ROUNDING * float(np.abs(design.outcomes).max())
    missed = []
    for k, members in enumerate(_by_cohort(design, blocks)):
        pre, post = members[0].pre, members[0].post
        before = float(np.sqrt(np.mean(own[k, pre] ** 2)))
        if before > perfect and misfit_rank(own[k], placebos[:, k], pre, post) <= least:
            missed.append(f"{_name(design, members)} by {before:.4g} (root mean square)")
    if not missed:
        return ""
    return f"before treatment the synthetic unit misses {_reading(missed, placebos)}; {instead}"


def pretend_earlier(design: Design, blocks: Blocks, placebos: Floats, refit: Refit) -> str:
    """Say which cohorts show an effect before there was any; empty if none does.

    ``placebos`` are paths, (B, C, T). Where the earlier fit cannot be had nothing is found.
    """
    cohorts = _by_cohort(design, blocks)
    held = [held_out(members[0].pre, int(members[0].post.sum())) for members in cohorts]
    periods = {m[0].cohort: h for m, h in zip(cohorts, held, strict=True) if h.any()}
    moved = [
        replace(b, pre=b.pre & ~periods[b.cohort], post=periods[b.cohort])
        if b.cohort in periods
        else b
        for b in blocks
    ]

    try:
        pretended = Pretended(
            [_name(design, members) for members in cohorts],
            average_gaps(refit.own(moved), held),
            np.array([int(p.sum()) for p in held]),
            lambda: average_gaps(refit.placebos(moved), held),
        )
        after = [members[0].post for members in cohorts]
        return trend_doubt(pretended, average_gaps(placebos, after))
    except ImpactError:
        return ""


def average_gaps(paths: Floats, periods: Sequence[NDArray[np.bool_]]) -> Floats:
    """Average paths, (..., C, T), over what is seen of each cohort's periods, shape (..., C)."""
    means = []
    for k, chosen in enumerate(periods):
        part = paths[..., k, chosen]
        count = np.sum(~np.isnan(part), axis=-1)
        total = np.nansum(part, axis=-1)
        means.append(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
    return np.stack(means, axis=-1)


def trend_doubt(pretended: Pretended, after: Floats) -> str:
    """Say which cohorts show an effect where treatment is pretended to begin earlier.

    That takes a small rank among the placebos' average gaps ``after`` treatment, (B, C), and
    among their gaps over the periods held out. The latter are had only where the former is small.

    Notes
    -----
    The second rank alone has size 5 % where units are exchangeable; with the first, about 2 %.
    """
    least = _least(len(pretended.gaps), len(after))

    def rank(k: int, placebos: Floats) -> float:
        return rank_p_value(abs(pretended.gaps[k]), np.abs(placebos[:, k]))

    found = [
        k for k, gap in enumerate(pretended.gaps) if not np.isnan(gap) and rank(k, after) <= least
    ]
    if not found:
        return ""
    redrawn = pretended.placebos()
    missed = [
        f"{pretended.names[k]} by {pretended.gaps[k]:.4g} on average in the last "
        f"{plural(int(pretended.held[k]), 'period')} before treatment"
        for k in found
        if rank(k, redrawn) <= least
    ]
    if not missed:
        return ""
    return f"{EARLIER} the comparison misses {_reading(missed, after)}; {TRENDS}"


def _reading(missed: Sequence[str], placebos: Floats) -> str:
    """Say who is missed, and what follows from it."""
    return (
        f"{listing(missed)}, which among {plural(len(placebos), 'placebo')} would itself rank as "
        "an effect, so the gap after is not the effect and its rank says nothing"
    )


def _least(n_cohorts: int, n_placebos: int) -> float:
    """Return the p-value at which what is found before treatment is too large."""
    return max(MISFIT / n_cohorts, 1.0 / (n_placebos + 1)) * (1.0 + ROUNDING)


def held_out(pre: NDArray[np.bool_], n_after: int) -> NDArray[np.bool_]:
    """Mark the periods before treatment, (T,), that come last: as many as are treated at the most.

    Two periods before them are left, and no fewer than they are; where there are too few none is
    marked.
    """
    before = np.flatnonzero(pre)
    n_held = min(n_after, len(before) // 2)
    held = np.zeros(len(pre), dtype=bool)
    if n_held and len(before) - n_held >= 2:
        held[before[-n_held:]] = True
    return held


def _by_cohort(design: Design, blocks: Blocks) -> list[list[Block]]:
    return [[b for b in blocks if b.cohort == cohort] for cohort in design.cohort_values]


def _name(design: Design, members: Sequence[Block]) -> object:
    """Name a cohort, by its unit where it is one."""
    alone = sum(len(block.treated) for block in members) == 1
    return block_label(design, members[0]) if alone else f"the cohort of {members[0].cohort:g}"
