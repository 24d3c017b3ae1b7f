"""From projects to units: what each project counts as, and when each unit is first treated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from impact.errors import LedgerError, listing, plural
from impact.ledger.book import Ledger
from impact.ledger.rules import ONSETS, AssignmentRules
from impact.ledger.waterfall import Waterfall

__all__ = ["choose_projects", "fit_to_panel", "projects_by_unit", "unit_table"]

LEFT_OUT = {
    "other": "other content",
    "rejected": "rejected",
    "placebo": "cancelled before any money",
    "pending": "not begun",
    "returned": "returned",
    "undated": "no date of onset",
}
ROLES = (*LEFT_OUT, "treated")


def projects_by_unit(
    ledger: Ledger, rules: AssignmentRules, same_unit: Mapping[str, str]
) -> pd.DataFrame:
    """Return what the rules need of each project that names a unit."""
    frame = ledger.projects
    if rules.unit != "beneficiary_id":
        ledger.require_distinct_places(rules.unit)
        ledger.require_placed(rules.unit)
    onset = frame[ONSETS[rules.onset]].dt.year
    disbursed = frame["disbursed_support"].fillna(0)
    return pd.DataFrame(
        {
            "unit": frame[rules.unit].replace(_latest(same_unit)),
            "status": frame["status"],
            "content": frame["content"],
            "onset": onset,
            "approval": frame["approval_date"].dt.year,
            "unpaid": (disbursed == 0).astype(bool),
            "money": (disbursed - frame["returned_amount"].fillna(0)).astype("int64"),
        }
    )


def _latest(same_unit: Mapping[str, str]) -> dict[str, str]:
    """Follow codes that were changed more than once to the last one."""
    latest = {}
    for old, new in same_unit.items():
        passed = [old]
        while new in same_unit:
            if new in passed:
                raise LedgerError(
                    f"same_unit leads {' to '.join([*passed, new])}, round in a circle; which code "
                    "holds now cannot be told. Map every old code to the one in the outcomes."
                )
            passed.append(new)
            new = same_unit[new]
        latest[old] = new
    return latest


def choose_projects(
    projects: pd.DataFrame, rules: AssignmentRules, flow: Waterfall
) -> pd.DataFrame:
    """Give each project its role, and record those that are no treatment."""
    flow.leave("no unit named", projects[projects["unit"].isna()])
    work = projects.dropna(subset=["unit"]).copy()
    status, dated = work["status"], work["onset"].notna()
    turned_down = status == "rejected"
    other = ~work["content"].isin(rules.contents or work["content"].unique()) & ~turned_down
    cancelled = (status == "cancelled") & work["unpaid"]
    pending = status.isin(["registered", "approved", "in_progress"]) & ~dated
    returned = (status == "returned") & (rules.returned == "drop")
    roles = ["other", "rejected", "placebo", "pending", "returned", "treated"]
    conditions = [other, turned_down, cancelled, pending, returned, dated]
    work["role"] = np.select(conditions, roles, "undated")
    undated = work.index[work["role"] == "undated"]
    if len(undated) and rules.missing_onset == "refuse":
        raise LedgerError(
            f"{plural(len(undated), 'project')} ran without a date of "
            f"{rules.onset.replace('_', ' ')}, first in rows {listing(undated)}; the year of "
            "treatment cannot be told. Fill the dates, choose another onset, or "
            'missing_onset="drop".'
        )
    for role, step in LEFT_OUT.items():
        flow.leave(step, work[work["role"] == role])
    return work


def unit_table(chosen: pd.DataFrame, rules: AssignmentRules) -> pd.DataFrame:
    """Return one row a unit of the ledger: arm, cohort, placebo_cohort, years_ahead, n_projects."""
    treated = chosen[chosen["role"] == "treated"].sort_values(["onset", "approval"], kind="stable")
    first = treated.drop_duplicates("unit").set_index("unit")
    has = pd.crosstab(chosen["unit"], chosen["role"]).reindex(columns=ROLES, fill_value=0) > 0
    placebo = chosen[chosen["role"] == "placebo"]
    arm = np.select(
        [
            has["undated"] | has["returned"] | has["other"],
            has["treated"],
            has["pending"],
            has["placebo"],
            has["rejected"],
        ],
        [
            "excluded",
            "treated",
            "excluded",
            "placebo" if rules.cancelled == "placebo" else "excluded",
            "rejected" if rules.rejected == "comparison" else "excluded",
        ],
        "excluded",
    )
    units = pd.DataFrame({"arm": arm}, index=has.index)
    units["cohort"] = first["onset"]
    units["years_ahead"] = first["onset"] - first["approval"]
    units["n_projects"] = treated.groupby("unit").size()
    units["placebo_cohort"] = placebo.groupby("unit")["approval"].min()
    return units


def fit_to_panel(
    units: pd.DataFrame,
    outcomes: pd.DataFrame,
    codes: pd.Series,
    time: str,
    rules: AssignmentRules,
    flow: Waterfall,
    chosen: pd.DataFrame,
) -> pd.DataFrame:
    """Leave out units that cannot be dated within the panel, and record them."""
    work = units.copy()
    first_seen = outcomes.groupby(codes)[time].min().reindex(work.index)
    last = outcomes[time].max()

    def leave(where: pd.Series, step: str, arm: str = "excluded") -> None:
        gone = work.index[where & (work["arm"] == "treated")]
        counted = chosen["unit"].isin(gone) & (chosen["role"] == "treated")
        flow.leave(step, chosen[counted])
        work.loc[gone, "arm"] = arm
        work.loc[gone, "cohort"] = np.nan

    excluded = work.index[work["arm"] == "excluded"]
    mixed = chosen["unit"].isin(excluded) & (chosen["role"] == "treated")
    flow.leave("unit left out for another of its projects", chosen[mixed])
    leave(first_seen.isna(), "not in the outcome table")
    if rules.repeated == "drop":
        leave(work["n_projects"] > 1, "several projects")
    leave(work["cohort"] - rules.anticipation <= first_seen, "no period before treatment")
    late = (work["cohort"] > last) & (work["arm"] == "treated")
    if late.any() and rules.after_panel == "refuse":
        raise LedgerError(
            f"{plural(int(late.sum()), 'unit')} {'begins' if late.sum() == 1 else 'begin'} after "
            f"the last period ({last:g}), first {listing(work.index[late])}; they must not pass as "
            'never treated in silence. Choose after_panel="drop", or "comparison" to use them as '
            "not yet treated."
        )
    leave(
        late,
        "begins after the panel",
        "eligible" if rules.after_panel == "comparison" else "excluded",
    )
    return work
