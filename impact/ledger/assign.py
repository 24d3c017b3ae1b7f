"""From projects to who was treated, when and with how much, under rules that are stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import LedgerError, check_choice, listing, plural
from impact.ledger.book import Ledger
from impact.ledger.dose import add_dose
from impact.panel import Panel
from impact.prices import PriceIndex, consumer_prices

__all__ = ["Assignment", "AssignmentRules", "assign"]

ONSETS = {
    "approval": "approval_date",
    "contract": "contract_date",
    "first_disbursement": "disbursement_date",
    "acceptance": "acceptance_date",
}
LEFT_OUT = {
    "other": "other content",
    "rejected": "rejected",
    "placebo": "cancelled before any money",
    "pending": "not begun",
    "returned": "returned",
    "undated": "no date of onset",
}
ROLES = (*LEFT_OUT, "treated")
ADDED = ("cohort", "arm", "placebo_cohort", "support", "support_stock")
COVERED_BY_ANTICIPATION = 0.95


@dataclass(frozen=True)
class AssignmentRules:
    """State how projects become treatment; every rule is printed with the report.

    Parameters
    ----------
    onset : the date whose year is the first treated period
    unit : the column of the ledger that names the unit; several projects of a village, district
        or province add up
    contents : contents that count as the treatment, all if empty; units with any project of
        another content are left out, since they were treated otherwise
    cancelled : projects stopped before any money: "placebo" keeps their units as an arm of its
        own, "drop" leaves the units out; they are never comparison units
    returned : projects that paid money back: "treated" keeps them (intention to treat), "drop"
        leaves the units out
    repeated : units with several projects: "first" dates them by the first, "drop" leaves them out
    rejected : units whose applications were all turned down: "comparison" or "drop"
    missing_onset : paid or accepted projects without the onset's date: "refuse" or "drop" (units)
    after_panel : onset after the last period: "refuse", "drop" (units), or "comparison", which
        uses the units as not yet treated
    anticipation : periods before onset in which the programme may already act; units need a
        period before those
    price_base : year at whose consumer prices the dose is also given; none if None
    per : column of the outcome table, such as workers, by whose value in the unit's first period
        the doses are also divided, so that the denominator does not move with the outcome
    """

    onset: Literal["approval", "contract", "first_disbursement", "acceptance"] = (
        "first_disbursement"
    )
    unit: Literal["beneficiary_id", "commune", "village", "district", "province_code"] = (
        "beneficiary_id"
    )
    contents: tuple[str, ...] = ()
    cancelled: Literal["placebo", "drop"] = "placebo"
    returned: Literal["treated", "drop"] = "treated"
    repeated: Literal["first", "drop"] = "first"
    rejected: Literal["comparison", "drop"] = "comparison"
    missing_onset: Literal["refuse", "drop"] = "refuse"
    after_panel: Literal["refuse", "drop", "comparison"] = "refuse"
    anticipation: int = 0
    price_base: int | None = None
    per: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("onset", ONSETS),
            ("unit", ("beneficiary_id", "commune", "village", "district", "province_code")),
            ("cancelled", ("placebo", "drop")),
            ("returned", ("treated", "drop")),
            ("repeated", ("first", "drop")),
            ("rejected", ("comparison", "drop")),
            ("missing_onset", ("refuse", "drop")),
            ("after_panel", ("refuse", "drop", "comparison")),
        ):
            check_choice(name, getattr(self, name), allowed, LedgerError)

    def table(self) -> dict[str, str]:
        """Return the rules as they are printed."""
        return {name: str(value or "none") for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Assignment:
    """Hold an outcome table with its treatment, and how the projects led to it.

    Attributes
    ----------
    frame : the outcome rows of treated and comparison units, with cohort (first treated period,
        NaN if never), arm ("treated", "rejected", "eligible"), support and support_stock (dong
        of the year, net of refunds; flow in the year of each project's onset, and its sum to
        date), given a price base their real counterparts, and ``<dose>_per_<column>``
    placebo : the same for units of cancelled projects beside the comparison units; their
        ``placebo_cohort`` is the year in which treatment would have begun
    waterfall : what each step left out: step, projects, units, support
    years_ahead : treated units by whole years from approval to onset
    anticipation : years that cover the approval of 95 per cent of treated units
    rules : the rules
    """

    frame: pd.DataFrame
    placebo: pd.DataFrame
    waterfall: pd.DataFrame
    years_ahead: pd.Series
    anticipation: int
    rules: AssignmentRules
    unit: str
    time: str

    def panel(self) -> Panel:
        """Return the panel of treated and comparison units."""
        return Panel(self.frame, unit=self.unit, time=self.time)


def assign(
    ledger: Ledger,
    outcomes: pd.DataFrame,
    *,
    unit: str,
    time: str,
    eligible: str,
    rules: AssignmentRules | None = None,
    accept: Iterable[str] = (),
    same_unit: Mapping[str, str] | None = None,
    index: PriceIndex | None = None,
) -> Assignment:
    """Give every unit of an outcome table its cohort, arm and dose from the ledger.

    Parameters
    ----------
    ledger : a ledger without errors, or with errors accepted by rule
    outcomes : one row a unit and year
    unit, time : its key columns; ``unit`` holds what ``rules.unit`` holds in the ledger
    eligible : column of true and false: whether a unit could have been supported. Only units
        eligible throughout are compared with; not being in the ledger makes nobody a comparison
    rules : see ``AssignmentRules``
    accept : rules of findings that may stand
    same_unit : codes of units that were merged or renamed, old to new
    index : price index of the real dose; consumer prices if None

    Raises
    ------
    LedgerError : unaccepted errors, no code in common, a paid project without the onset's date, an
        onset after the panel, an added column that exists already, places whose names or codes
        are not distinct

    Notes
    -----
    Units without a period before treatment, or before its anticipation, have nothing to be
    compared from; they are left out and counted. Under returned="treated" a unit stays treated
    though it paid back: what was offered is evaluated, not what was kept.
    """
    ledger.require_sound(accept)
    rules = rules or AssignmentRules()
    _check_outcomes(outcomes, unit, time, eligible)
    if rules.unit != "beneficiary_id":
        ledger.require_distinct_places(rules.unit)
    projects = _projects_by_unit(ledger, rules, same_unit or {})
    outcomes = outcomes.reset_index(drop=True)
    codes = outcomes[unit].map(_code)
    _require_overlap(projects, codes, unit, rules)
    flow = _Waterfall(projects)
    chosen = _choose_projects(projects, rules, flow)
    units = _unit_table(chosen, rules)
    units = _fit_to_panel(units, outcomes, codes, time, rules, flow, chosen)
    in_treatment = chosen["unit"].isin(units.index[units["arm"] == "treated"])
    flow.remain(chosen[in_treatment & (chosen["role"] == "treated")])
    frame = _lay_out(outcomes, codes, unit, time, eligible, units, projects)
    dosed = add_dose(
        frame, codes, time, chosen, rules.price_base, rules.per, index or consumer_prices()
    )
    dropped = dosed["arm"].isna()
    placebo = dosed["arm"] == "placebo"
    comparison = dosed["arm"].isin(["eligible", "rejected"])
    ahead = units.loc[units["arm"] == "treated", "years_ahead"].dropna()
    return Assignment(
        frame=dosed[~dropped & ~placebo].drop(columns="placebo_cohort").reset_index(drop=True),
        placebo=dosed[placebo | comparison].reset_index(drop=True),
        waterfall=flow.table(),
        years_ahead=ahead.value_counts().sort_index().rename("units"),
        anticipation=int(np.ceil(ahead.quantile(COVERED_BY_ANTICIPATION))) if len(ahead) else 0,
        rules=rules,
        unit=unit,
        time=time,
    )


@dataclass
class _Waterfall:
    """Record, step by step, which projects led no further."""

    projects: pd.DataFrame
    steps: list[tuple[str, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._add("in the ledger", self.projects)

    def leave(self, step: str, projects: pd.DataFrame) -> None:
        """Record projects left out in a step; a step that leaves none is not shown."""
        if len(projects):
            self._add(step, projects, sign=-1)

    def remain(self, projects: pd.DataFrame) -> None:
        """Record the projects that make the treatment."""
        self._add("treatment", projects)

    def _add(self, step: str, projects: pd.DataFrame, sign: int = 1) -> None:
        units, money = projects["unit"].nunique(), int(projects["money"].sum())
        self.steps.append((step, sign * len(projects), sign * units, sign * money))

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.steps, columns=["step", "projects", "units", "support"])


def _check_outcomes(outcomes: pd.DataFrame, unit: str, time: str, eligible: str) -> None:
    missing = [name for name in (unit, time, eligible) if name not in outcomes.columns]
    if missing:
        raise LedgerError(
            f"the outcome table has no column {listing(missing)}; it has "
            f"{listing(outcomes.columns, 12)}. Name its key columns, and a column of true and "
            "false that says which units could have been supported."
        )
    taken = [name for name in ADDED if name in outcomes.columns]
    if taken:
        raise LedgerError(
            f"the outcome table already has {listing(taken)}, which the ledger adds; two versions "
            "of a treatment would stand side by side. Drop or rename them."
        )
    if not pd.api.types.is_bool_dtype(outcomes[eligible]):
        raise LedgerError(
            f'"{eligible}" holds {outcomes[eligible].dtype} values; eligibility is true or false. '
            f'Convert it with outcomes["{eligible}"].astype(bool) once no value is missing.'
        )


def _code(value: object) -> str:
    """Write a unit's code as the ledger does: whole numbers without decimals."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()


def _projects_by_unit(
    ledger: Ledger, rules: AssignmentRules, same_unit: Mapping[str, str]
) -> pd.DataFrame:
    """Return what the rules need of each project that names a unit."""
    frame = ledger.projects
    onset = frame[ONSETS[rules.onset]].dt.year
    refund = frame["returned_amount"].fillna(0)
    return pd.DataFrame(
        {
            "unit": frame[rules.unit].replace(dict(same_unit)),
            "status": frame["status"],
            "content": frame["content"],
            "onset": onset,
            "approval": frame["approval_date"].dt.year,
            "money": (frame["disbursed_support"].fillna(0) - refund).astype("int64"),
        }
    )


def _require_overlap(
    projects: pd.DataFrame, codes: pd.Series, unit: str, rules: AssignmentRules
) -> None:
    known = projects["unit"].dropna()
    if not known.isin(codes.unique()).any():
        raise LedgerError(
            f'no "{rules.unit}" of the ledger ({listing(known.unique())}) is found in the outcome '
            f'table\'s "{unit}" ({listing(codes.unique())}); nobody would be treated. Use the '
            "same codes in both."
        )


def _choose_projects(
    projects: pd.DataFrame, rules: AssignmentRules, flow: _Waterfall
) -> pd.DataFrame:
    """Give each project its role, and record those that are no treatment."""
    flow.leave("no unit named", projects[projects["unit"].isna()])
    work = projects.dropna(subset=["unit"]).copy()
    status, dated = work["status"], work["onset"].notna()
    turned_down = status == "rejected"
    other = ~work["content"].isin(rules.contents or work["content"].unique()) & ~turned_down
    cancelled = (status == "cancelled") & (work["money"] == 0)
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


def _unit_table(chosen: pd.DataFrame, rules: AssignmentRules) -> pd.DataFrame:
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


def _fit_to_panel(
    units: pd.DataFrame,
    outcomes: pd.DataFrame,
    codes: pd.Series,
    time: str,
    rules: AssignmentRules,
    flow: _Waterfall,
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


def _lay_out(
    outcomes: pd.DataFrame,
    codes: pd.Series,
    unit: str,
    time: str,
    eligible: str,
    units: pd.DataFrame,
    projects: pd.DataFrame,
) -> pd.DataFrame:
    """Add cohort, arm and placebo cohort; the arm is missing where a unit is left out."""
    arm = codes.map(units["arm"])
    in_ledger = codes.isin(projects["unit"].dropna())
    fit = outcomes.groupby(codes)[eligible].transform("all")
    arm = arm.where(in_ledger, pd.Series(np.where(fit, "eligible", "excluded"), index=arm.index))
    arm = arm.where((arm != "rejected") | fit, "excluded")
    return outcomes.assign(
        cohort=codes.map(units["cohort"]).astype(float).where(arm == "treated"),
        arm=arm.where(arm != "excluded"),
        placebo_cohort=codes.map(units["placebo_cohort"]).astype(float).where(arm == "placebo"),
    )
