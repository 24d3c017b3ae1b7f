"""Units that leave the panel, and bounds on the effect that allow for it (Lee)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import plots
from impact.design import Design
from impact.errors import EstimationError, plural
from impact.inference.bands import check_level, two_sided_p_values
from impact.result import Result
from impact.sensitivity.base import FEW, Check, Finding, cohort_fault, figure_axes, smaller_arm
from impact.sensitivity.sentences import Sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ATTRITION", "LeeBounds", "attrition", "lee_bounds"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LeeBounds:
    """Bounds on the effect on units observed whether or not they are treated.

    Attributes
    ----------
    low, high : the bounds
    trimmed : share of the group with more observed units that was trimmed
    trims_treated : whether that group is the treated one
    observed_treated, observed_comparison : shares observed
    psi : array, shape (N, 2), contributions of units to both bounds less the truth
    """

    low: float
    high: float
    trimmed: float
    trims_treated: bool
    observed_treated: float
    observed_comparison: float
    psi: Floats


def lee_bounds(outcome: Floats, observed: Booleans, treated: Booleans) -> LeeBounds:
    """Bound a difference in means when treatment changes who is observed.

    The group with the larger share observed is trimmed by the excess, from below for one bound
    and from above for the other.

    Parameters
    ----------
    outcome : array, shape (N,); read where observed
    observed, treated : arrays of bool, shape (N,)

    Raises
    ------
    EstimationError : a group has fewer than two units observed

    Notes
    -----
    Assumes that treatment moves observation in one direction only. The trimmed mean is
    ``y_q + E[(Y - y_q)^+] / q`` with q the share kept, which gives the contributions; they allow
    for the estimated share and the estimated quantile.

    Source
    ------
    Lee (2009), Review of Economic Studies 76(3), propositions 1a and 3.
    """
    seen = {group: observed & (treated == group) for group in (True, False)}
    for group, name in ((True, "treated"), (False, "comparison")):
        if seen[group].sum() < 2:
            raise EstimationError(
                f"{plural(int(seen[group].sum()), f'{name} unit')} "
                f"{'is' if seen[group].sum() == 1 else 'are'} observed at the end; bounds need two "
                "in each group. Choose an earlier period."
            )
    share = {group: float(observed[treated == group].mean()) for group in (True, False)}
    more = share[True] >= share[False]
    kept = share[not more] / share[more]
    values = outcome[seen[more]]
    ends, contributions = [], []
    for sign in (-1.0, 1.0):
        flipped = sign * values
        position = min(int(np.ceil(kept * len(values))), len(values))
        cut = np.sort(flipped)[::-1][position - 1] if kept < 1.0 else flipped.min()
        above = np.maximum(flipped - cut, 0.0)
        mean = cut + above.mean() / kept
        psi = np.zeros(len(outcome))
        psi[seen[more]] = (above - above.mean()) / kept / len(values)
        kept_psi = np.zeros(len(outcome))
        for group, way in ((more, -1.0), (not more, 1.0)):
            inside = treated == group
            kept_psi[inside] = way * kept * (observed[inside] / share[group] - 1.0) / inside.sum()
        psi += (cut - mean) / kept * kept_psi
        ends.append(sign * mean)
        contributions.append(sign * psi)
    rest = outcome[seen[not more]]
    rest_psi = np.zeros(len(outcome))
    rest_psi[seen[not more]] = (rest - rest.mean()) / len(rest)
    direction = 1.0 if more else -1.0
    bounds = [direction * (end - rest.mean()) for end in ends]
    psi = np.stack([direction * (own - rest_psi) for own in contributions], axis=1)
    order = [0, 1] if bounds[0] <= bounds[1] else [1, 0]
    return LeeBounds(
        bounds[order[0]], bounds[order[1]], 1.0 - kept, more, share[True], share[False],
        psi[:, order],
    )  # fmt: skip


def attrition(result: Result, *, level: float = 0.95) -> Finding:
    """Ask whether units leave the panel because of treatment, and bound what that may do.

    Each cohort is compared with the never treated over the change from its last untreated period
    to the panel's last one, among units observed in the former.

    Parameters
    ----------
    result : only its design is used
    level : confidence level

    Returns
    -------
    Finding : statistic = p-value of equal attrition; one row a cohort, and all of them weighted
        by their sizes: shares observed, share trimmed, both bounds, and an interval that covers
        each value between them with the level's probability

    Raises
    ------
    DesignError : no first treated periods, nobody never treated, or nobody leaves
    EstimationError : too few units are left to bound the effect

    Notes
    -----
    Assumes that treatment makes every unit more likely to be observed, or every unit less.
    Covariates and weights are not used. The interval is that of Imbens and Manski, clustered as
    in the design. Where an arm has n < 20 clusters, variances are times n / (n - 1) and read by
    the t law with n - 1 degrees of freedom; one cluster gives no p-value and no interval.

    Source
    ------
    Lee (2009), Review of Economic Studies 76(3), 1071-1102; Imbens & Manski (2004),
    Econometrica 72(6), section 4.
    """
    ATTRITION.require(result)
    check_level(level)
    design = result.design
    outcomes, never = design.outcomes, np.isnan(design.cohorts)
    last = outcomes.shape[1] - 1
    rows, parts, gaps, sizes = [], [], [], []
    for cohort in design.cohort_values:
        base = _base(result, cohort)
        if base is None:
            continue
        among = (never | (design.cohorts == cohort)) & ~np.isnan(outcomes[:, base])
        change = outcomes[among, last] - outcomes[among, base]
        treated = ~never[among]
        found = lee_bounds(change, ~np.isnan(change), treated)
        own = np.zeros((design.n_units, 3))
        own[among, :2] = found.psi
        own[among, 2] = _gap_psi(~np.isnan(change), treated)
        rows.append({"cohort": f"{cohort:g}", "n_units": int(treated.sum()), **_row(found)})
        parts.append(own)
        gaps.append(found.observed_treated - found.observed_comparison)
        sizes.append(float(treated.sum()))
    if not rows:
        raise EstimationError(
            "no cohort has a unit observed in its last untreated period; attrition cannot be told."
        )
    share = np.array(sizes) / sum(sizes)
    psi = np.tensordot(share, np.array(parts), axes=1)
    codes = np.unique(design.cluster_codes, return_inverse=True)[1]
    sums = np.stack([np.bincount(codes, column) for column in psi.T], axis=1)
    errors, df, notes = _small_sample(design, np.sqrt(np.square(sums).sum(axis=0)))
    table = pd.DataFrame(rows)
    numbers = table.drop(columns=["cohort", "n_units"])
    pooled = dict(zip(numbers.columns, share @ numbers.to_numpy(), strict=True))
    table.loc[len(table)] = {"cohort": "all", "n_units": int(sum(sizes)), **pooled}
    gap = float(share @ gaps)
    p_value = float(two_sided_p_values(np.array([gap / errors[2]]), df)[0]) if errors[2] else 1.0
    low, high = pooled["bound_low"], pooled["bound_high"]
    critical = _imbens_manski((high - low) / max(errors[0], errors[1]), level, df)
    interval = (low - critical * errors[0], high + critical * errors[1])
    return Finding(
        name="attrition",
        asked=Sentence.of("attrition.question"),
        statistic=p_value,
        table=table,
        said=Sentence.of(
            "attrition.answer",
            "attrition.bounds" if np.isnan(p_value) else "attrition.judged",
            treated=pooled["observed_treated"],
            comparison=pooled["observed_comparison"],
            period=design.periods[last],
            gap=gap,
            p=p_value,
            low=low,
            high=high,
            level=level,
            conf_low=interval[0],
            conf_high=interval[1],
        ),
        values={
            "gap": gap,
            "p_value": p_value,
            "bound_low": low,
            "bound_high": high,
            "std_error_low": float(errors[0]),
            "std_error_high": float(errors[1]),
            "conf_low": float(interval[0]),
            "conf_high": float(interval[1]),
        },
        draw=lambda ax: _draw(table, ax),
        notes=(
            *(("Covariates are not used.",) if design.covariates else ()),
            *notes,
        ),
    )


def _base(result: Result, cohort: float) -> int | None:
    """Position of the cohort's last untreated period."""
    design = result.design
    before = np.flatnonzero(design.periods < cohort - design.anticipation)
    if not len(before) or np.isnan(design.outcomes[design.cohorts == cohort, before[-1]]).all():
        return None
    return int(before[-1])


def _gap_psi(observed: Booleans, treated: Booleans) -> Floats:
    """Contributions of units to the difference in the shares observed."""
    psi = np.zeros(len(observed))
    for group, sign in ((treated, 1.0), (~treated, -1.0)):
        psi[group] = sign * (observed[group] - observed[group].mean()) / group.sum()
    return psi


def _row(found: LeeBounds) -> dict[str, float]:
    return {
        "observed_treated": found.observed_treated,
        "observed_comparison": found.observed_comparison,
        "trimmed": found.trimmed,
        "bound_low": found.low,
        "bound_high": found.high,
    }


def _small_sample(design: Design, errors: Floats) -> tuple[Floats, float | None, tuple[str, ...]]:
    """Return errors, shape (3,), with the degrees of freedom to read them by, and a note."""
    n = smaller_arm(design)
    if n >= FEW:
        return errors, None, ()
    if n < 2:
        note = "One cluster in an arm: nothing shows how far chance may move these numbers."
        return np.full(3, np.nan), 1.0, (note,)
    note = f"{plural(n, 'cluster')} in the smaller arm: t distribution with {n - 1} of freedom."
    return errors * np.sqrt(n / (n - 1)), n - 1.0, (note,)


def _imbens_manski(width: float, level: float, df: float | None = None) -> float:
    """Solve P(-c <= t <= c + width) = level for c, width in standard errors."""
    from scipy.special import ndtr, stdtr

    def below(value: float) -> float:
        return float(ndtr(value) if df is None else stdtr(df, value))

    if np.isnan(width):
        return np.nan
    low, high = 0.0, 10.0
    while below(high + width) - below(-high) < level:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if below(middle + width) - below(-middle) > level else (middle, high)
        )
    return (low + high) / 2


def _draw(table: pd.DataFrame, ax: Axes | None) -> Axes:
    ax = figure_axes(ax, 7.0, 0.9 + 0.3 * len(table))
    y = np.arange(len(table))[::-1]
    ax.hlines(y, table["bound_low"], table["bound_high"], color=plots.BLUE, lw=5.0, alpha=0.6)
    ax.axvline(0.0, color=plots.INK, lw=0.8)
    ax.set_yticks(y, list(table["cohort"]))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel("Bounds on the effect by the last period")
    ax.set_ylabel("First treated")
    return ax


def _fault(result: Result) -> str | None:
    reason = cohort_fault(result)
    if reason:
        return reason
    design = result.design
    never = np.isnan(design.cohorts)
    if not never.any():
        return "nobody was never treated, so there is nobody whose attrition to compare with."
    if (np.isfinite(design.outcomes).sum(axis=1) <= 1).all():
        return "no unit is observed twice, so nobody can be seen to leave."
    if not np.isnan(design.outcomes[:, -1]).any():
        return "every unit is seen in the last period, so nobody has left."
    return None


ATTRITION = Check(
    "attrition", "panels that units leave, with units never treated", _fault, attrition
)
