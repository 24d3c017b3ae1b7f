"""A province's programme evaluated from its ledger, beside the truth of a simulation.

The estimator sees what a department would have: the ledger and the establishments. The truth is
kept apart and only ever printed beside an estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from impact import value
from impact.design import Design
from impact.estimators import estimator_class
from impact.evaluation.plan import Evaluation
from impact.ledger import Assignment, AssignmentRules, Ledger, assign
from impact.panel import Panel
from impact.prices import consumer_prices
from impact.result import Result
from impact.simulate import SimulatedProgramme, simulate_provinces
from impact.value import CostPerUnit

if TYPE_CHECKING:
    from impact.calendar import Outcome as SeriesKind
    from impact.estimators.base import Estimator

__all__ = ["ProvinceStudy", "ProvinceTotals", "province_totals", "write_workbook"]

UNIT, TIME = "establishment", "year"
TRUE_NAMES = {"workers": "log_workers", "revenue": "log_revenue", "monthly_income": "log_income"}
SIZES = ("micro", "small")
PRINTED = "ledger_totals.csv"
MILLION = 10**6


def write_workbook(path: Path, projects: pd.DataFrame, reports: pd.DataFrame | None = None) -> Path:
    """Write a ledger as the workbook a department files; return its path."""
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        projects.to_excel(book, sheet_name="projects", index=False)
        if reports is not None:
            reports.to_excel(book, sheet_name="reports", index=False)
    return path


@dataclass(frozen=True, eq=False)
class ProvinceStudy:
    """Evaluate the projects of a ledger on simulated establishments.

    Parameters
    ----------
    plan : outcomes, anticipation, estimator and level; of the cost, the year of constant prices and
        the share of gained jobs that others lost, assumed
    programme : the simulated establishments, and the truth
    ledger : the ledger as corrected

    Notes
    -----
    Establishments of medium size are left out by plan: projects were meant for smaller ones.
    """

    plan: Evaluation
    programme: SimulatedProgramme
    ledger: Ledger

    @property
    def price_base(self) -> int:
        """Year of constant prices."""
        return int(self.plan.cost["price_base"])

    @property
    def displacement(self) -> float:
        """Share of gained jobs that others lost, assumed."""
        return float(self.plan.cost["displacement"])

    @property
    def level(self) -> float:
        """Confidence level."""
        return float(self.plan.inference["level"])

    @property
    def anticipation(self) -> int:
        """Periods before acceptance in which a project may already act."""
        return int(self.plan.design["anticipation"])

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """Establishments by year with the logarithms of outcomes, money at constant prices."""
        prices, seen = consumer_prices(), self.programme.establishments
        logs = {
            "log_workers": np.log(seen["workers"]),
            "log_revenue": np.log(prices.real(seen["revenue"], seen[TIME], self.price_base)),
            "log_monthly_income": np.log(
                prices.real(seen["monthly_income"], seen[TIME], self.price_base)
            ),
        }
        frame = seen.assign(**logs)
        return frame[frame["size_class"] != "medium"]

    @cached_property
    def assignment(self) -> Assignment:
        """What the ledger makes of every establishment, and what each rule left out."""
        rules = AssignmentRules(
            onset="acceptance",
            returned="drop",
            after_panel="drop",
            anticipation=self.anticipation,
            price_base=self.price_base,
        )
        return assign(
            self.ledger, self.outcomes, eligible="eligible", rules=rules, unit=UNIT, time=TIME
        )

    @cached_property
    def treated(self) -> pd.DataFrame:
        """Rows of supported establishments."""
        frame = self.assignment.frame
        return frame[frame["arm"] == "treated"]

    @cached_property
    def after(self) -> pd.DataFrame:
        """Rows of supported establishments from acceptance on."""
        return self.treated[self.treated[TIME] >= self.treated["cohort"]]

    @property
    def n_supported(self) -> int:
        """Number of supported establishments."""
        return int(self.treated[UNIT].nunique())

    @property
    def years(self) -> float:
        """Years after acceptance, per supported establishment."""
        return len(self.after) / self.n_supported

    @property
    def spent(self) -> float:
        """Support in dong at constant prices."""
        return float(self.assignment.frame[f"support_real_{self.price_base}"].sum())

    @cached_property
    def truth(self) -> pd.DataFrame:
        """True effects of the supported establishments, by year."""
        effects = self.programme.effects
        return effects[effects[UNIT].isin(self.treated[UNIT])]

    @cached_property
    def results(self) -> dict[str, Result]:
        """The plan's estimator on every outcome, by name."""
        panel = self.assignment.panel()
        return {o.name: self._fit(panel, o.column, o.series) for o in self.plan.outcomes}

    def comparison(self) -> pd.DataFrame:
        """Return, by outcome, the estimate with its interval, the truth, and before to after.

        All in percent, averaged over establishments and years after acceptance.
        """
        rows = []
        for outcome in self.plan.outcomes:
            average = self.results[outcome.name].att("cell").tidy(self.level).iloc[0]
            after = self.truth["event_time"] >= 0
            logs = {
                "estimate": average["estimate"],
                "low": average["conf_low"],
                "high": average["conf_high"],
                "truth": self.truth.loc[after, TRUE_NAMES[outcome.name]].mean(),
                "counted": self._before_after(outcome.column)["change"].mean(),
            }
            percents = {name: 100 * np.expm1(log) for name, log in logs.items()}
            rows.append({"outcome": outcome.name, **percents})
        return pd.DataFrame(rows).set_index("outcome")

    @cached_property
    def job_cost(self) -> CostPerUnit:
        """Support per net job and year, from effects estimated within size classes."""
        return value.pooled_cost(
            [
                self._cost(size, "log_workers", on["workers"].sum(), "job", self.displacement)
                for size, on in self._after_by_size()
            ]
        )

    @cached_property
    def output_cost(self) -> CostPerUnit:
        """Support per million dong of output a year, from effects within size classes."""
        return value.pooled_cost(
            [
                self._cost(size, "log_revenue", np.exp(on["log_revenue"]).sum(), "million VND", 0.0)
                for size, on in self._after_by_size()
            ]
        )

    @cached_property
    def counted_jobs(self) -> float:
        """Jobs of the supported after less before, as a report without comparison counts them."""
        return float(self._before_after("workers")["change"].sum())

    @cached_property
    def printed(self) -> pd.DataFrame:
        """Jobs and their costs as newspapers print them for other provinces, with their sources."""
        totals = pd.read_csv(self.plan.files[PRINTED]).dropna(subset=["jobs_reported"])
        return totals.assign(cost=totals["support"] / totals["jobs_reported"])

    @cached_property
    def true_jobs(self) -> float:
        """Jobs truly gained a year, less those truly lost elsewhere."""
        lost = float(self.programme.displaced.sum()) / self.programme.gross_job_years
        gained = float(self.truth.loc[self.truth["event_time"] >= 0, "jobs"].sum())
        return gained * (1 - lost) / self.years

    def jobs(self) -> pd.Series:
        """Return jobs and the cost of one: counted, estimated, true."""
        jobs = {
            "counted before and after": self.counted_jobs,
            "estimated net": self.job_cost.gained,
            "true net": self.true_jobs,
        }
        costs = {f"cost, {name}": self.spent / number for name, number in jobs.items()}
        return pd.Series(jobs | costs)

    def _fit(self, panel: Panel, outcome: str, series: SeriesKind | None = None) -> Result:
        """Fit the plan's estimator to an outcome."""
        stated = self.plan.estimation
        estimator: Estimator = estimator_class(stated["estimator"])(**stated["settings"])
        return estimator.fit(
            Design(
                panel,
                outcome=outcome,
                cohort="cohort",
                anticipation=self.anticipation,
                series=series,
            )
        )

    def _before_after(self, column: str) -> pd.DataFrame:
        """Return what accounting counts: each supported establishment's change."""
        return value.before_after(
            self.assignment.frame,
            column,
            cohort="cohort",
            anticipation=self.anticipation,
            unit=UNIT,
            time=TIME,
        )

    def _after_by_size(self) -> Sequence[tuple[str, pd.DataFrame]]:
        return [(size, self.after[self.after["size_class"] == size]) for size in SIZES]

    def _cost(
        self, size: str, outcome: str, total: float, unit: str, displacement: float
    ) -> CostPerUnit:
        """Divide the support of one size class by what its effect stands for a year."""
        frame = self.assignment.frame
        group = frame[frame["size_class"] == size]
        return value.cost_per_unit(
            self._fit(Panel(group, unit=UNIT, time=TIME), outcome),
            cost=float(group[f"support_real_{self.price_base}"].sum()),
            scale=total / self.years,
            unit=unit,
            weighting="cell",
            displacement=displacement,
            level=self.level,
            price_base=self.price_base,
        )


@dataclass(frozen=True)
class ProvinceTotals:
    """What totals of employment by province could show, in log points.

    Parameters
    ----------
    estimate, std_error, p_value : of the average effect on the provinces that double a programme
    detectable : smallest true effect found four times in five
    truth : the true effect
    """

    estimate: float
    std_error: float
    p_value: float
    detectable: float
    truth: float


def province_totals(plan: Evaluation) -> ProvinceTotals:
    """Estimate, from simulated totals of all provinces, the effect of doubling a programme."""
    provinces = simulate_provinces(plan.inference["seed"])
    totals = provinces.frame.assign(log_employment=np.log(provinces.frame["employment"]))
    panel = Panel(totals, unit="province_code", time="year")
    stated = plan.estimation
    estimator = estimator_class(stated["estimator"])(**stated["settings"])
    average = estimator.fit(Design(panel, outcome="log_employment", cohort="cohort")).att("cell")
    row = average.tidy(plan.inference["level"]).iloc[0]
    return ProvinceTotals(
        estimate=float(row["estimate"]),
        std_error=float(row["std_error"]),
        p_value=float(row["p_value"]),
        detectable=float(average.minimum_detectable_effect()[0]),
        truth=provinces.att(),
    )
