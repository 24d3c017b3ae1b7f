"""From projects to who was treated, when and with how much, under rules that are stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from impact.errors import LedgerError, listing, plural
from impact.ledger.book import Ledger
from impact.ledger.dose import add_dose
from impact.ledger.rules import AssignmentRules
from impact.ledger.units import choose_projects, fit_to_panel, projects_by_unit, unit_table
from impact.ledger.waterfall import Waterfall
from impact.panel import Panel
from impact.prices import PriceIndex, consumer_prices

__all__ = ["Assignment", "assign"]

ADDED = ("cohort", "arm", "placebo_cohort", "support", "support_stock")
COMPARED = ("rejected", "eligible")
COVERED_BY_ANTICIPATION = 0.95


@dataclass(frozen=True, eq=False, repr=False)
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
    waterfall : what each step left out: step, projects, units, support net of refunds
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

    def __repr__(self) -> str:
        arms = self.frame.groupby("arm")[self.unit].nunique()
        counts = ", ".join(f"{arms.get(arm, 0):,} {arm}" for arm in ("treated", *COMPARED))
        money = self.waterfall["support"]
        return (
            f"Assignment({counts}; onset {self.rules.onset}, {money.iloc[-1]:,} of "
            f"{money.iloc[0]:,} dong in treatment)"
        )

    def _repr_html_(self) -> str:
        return self.waterfall.to_html(index=False, border=0)

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
    LedgerError : unaccepted errors, no code in common, an old code of ``same_unit`` among the
        outcome rows, a paid project without the onset's date or without place, an onset after
        the panel, an added column that exists already, unknown eligibility, places whose names
        or codes are not distinct
    PanelError : outcome rows that repeat unit and period, or periods that are not whole numbers

    Notes
    -----
    Units without a period before treatment, or before its anticipation, have nothing to be
    compared from; they are left out and counted. Under returned="treated" a unit stays treated
    though it paid back: what was offered is evaluated, not what was kept.
    """
    ledger.require_sound(accept)
    rules = rules or AssignmentRules()
    _check_outcomes(outcomes, unit, time, eligible)
    projects = projects_by_unit(ledger, rules, same_unit or {})
    outcomes = outcomes.reset_index(drop=True)
    codes = outcomes[unit].map(_code)
    _require_overlap(projects, codes, unit, rules)
    replaced = sorted(set(codes) & {_code(old) for old in same_unit or {}})
    if replaced:
        raise LedgerError(
            f'the outcome table\'s "{unit}" still holds {listing(replaced)}, which same_unit maps '
            "to other codes; their rows would pass as never treated. Give the rows the new code, "
            "adding up merged units, or drop them."
        )
    flow = Waterfall(projects)
    chosen = choose_projects(projects, rules, flow)
    units = unit_table(chosen, rules)
    units = fit_to_panel(units, outcomes, codes, time, rules, flow, chosen)
    in_treatment = chosen["unit"].isin(units.index[units["arm"] == "treated"])
    flow.remain(chosen[in_treatment & (chosen["role"] == "treated")])
    frame = _lay_out(outcomes, codes, unit, time, eligible, units, projects)
    dosed = add_dose(
        frame, codes, time, chosen, rules.price_base, rules.per, index or consumer_prices()
    )
    dropped = dosed["arm"].isna()
    placebo = dosed["arm"] == "placebo"
    comparison = dosed["arm"].isin(COMPARED)
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
    unknown = outcomes[eligible].isna()
    if unknown.any():
        raise LedgerError(
            f'"{eligible}" is missing in {plural(int(unknown.sum()), "row")} of units '
            f"{listing(outcomes.loc[unknown, unit].unique())}; whoever is not known to be eligible "
            "is nobody to compare with. Fill it with true or false."
        )
    Panel(outcomes, unit=unit, time=time)


def _code(value: object) -> str:
    """Write a unit's code as the ledger does: whole numbers without decimals."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()


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
    _refuse_lost_zeros(set(known), set(codes), unit)


def _refuse_lost_zeros(known: set[str], codes: set[str], unit: str) -> None:
    """Refuse codes that were read as numbers: their units would pass as never treated."""
    without = {code.lstrip("0"): code for code in codes - known}
    lost = {
        code: without[code.lstrip("0")] for code in known - codes if code.lstrip("0") in without
    }
    if lost:
        cases = [f"{code} and {lost[code]}" for code in sorted(lost)]
        raise LedgerError(
            f'{plural(len(lost), "code")} of the ledger and of the outcome table\'s "{unit}" '
            f"differ by leading zeros alone, first {listing(cases)}; a code read as a number loses "
            "its zeros, and supported units would pass as never treated. Read the column as text, "
            f'for instance pd.read_csv(..., dtype={{"{unit}": str}}).'
        )


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
