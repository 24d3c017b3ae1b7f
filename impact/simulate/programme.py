"""A promotion programme in a province like Hưng Yên, simulated, with known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from impact.errors import DesignError
from impact.simulate.applications import draw_projects
from impact.simulate.consequences import displace, observe, true_effects
from impact.simulate.filing import file_projects, file_reports, plant_errors
from impact.simulate.investment import invest
from impact.simulate.population import draw_log_workers, draw_population
from impact.simulate.settings import ProgrammeSettings, changed

__all__ = ["SimulatedProgramme", "simulate_programme"]


@dataclass(frozen=True, repr=False)
class SimulatedProgramme:
    """Hold simulated establishments, the ledger and reports as filed, and the truth.

    Attributes
    ----------
    establishments : one row an establishment and year: establishment, year, district, village,
        trade, size_class, certified, km_to_centre, workers, revenue (million VND of the year),
        monthly_income (million VND of the year, per worker), investment (million VND of the
        year), eligible (true: every establishment may apply)
    projects : the ledger, with the columns of the template
    reports : figures that craft villages file: workers and output by year
    effects : the truth, one row a treated establishment and year: establishment, year, cohort
        (year of acceptance), event_time, log_workers, log_revenue, log_income (effects), jobs
        (workers gained), support (VND), content
    displaced : jobs lost elsewhere, by year
    investments : the truth of supported machinery, one row a project: establishment, year,
        invested, anyway (what would have been without support), support (all VND)
    planted : the errors put into the ledger and reports: rule and row of the file
    """

    establishments: pd.DataFrame
    projects: pd.DataFrame
    reports: pd.DataFrame
    effects: pd.DataFrame
    displaced: pd.Series
    investments: pd.DataFrame
    planted: pd.DataFrame
    settings: ProgrammeSettings

    def __repr__(self) -> str:
        supported = self.effects["establishment"].nunique()
        return (
            f"SimulatedProgramme(simulated, not observed: {len(self.projects):,} projects, "
            f"{self.settings.n_establishments:,} establishments in {self.settings.first_year}-"
            f"{self.settings.last_year}, {supported:,} of them supported)"
        )

    def att(self, effect: str = "log_workers") -> float:
        """Return the true mean effect on treated establishments in treated years."""
        treated = self.effects[self.effects["event_time"] >= 0]
        return float(treated[effect].mean())

    def event_study(self, effect: str = "log_workers") -> pd.Series:
        """Return the true mean effect by event time."""
        return self.effects.groupby("event_time")[effect].mean()

    @property
    def gross_job_years(self) -> float:
        """Worker-years gained at treated establishments within the panel."""
        return float(self.effects["jobs"].sum())

    @property
    def net_job_years(self) -> float:
        """Worker-years gained, less those lost by others of the trade and village."""
        return self.gross_job_years - float(self.displaced.sum())

    @property
    def deadweight(self) -> float:
        """Share of supported investment that would have been made anyway."""
        return float(self.investments["anyway"].sum() / self.investments["invested"].sum())

    @property
    def additionality(self) -> float:
        """Investment that support brought about, per dong of support."""
        brought = self.investments["invested"] - self.investments["anyway"]
        return float(brought.sum() / self.investments["support"].sum())


def simulate_programme(
    seed: int, settings: ProgrammeSettings | None = None, **changes: object
) -> SimulatedProgramme:
    """Simulate the establishments of a province and its promotion programme.

    ln workers_it = size_i + trend + sector-year + u_it + tau_i(t - g_i), with u a first-order
    autoregression (0.7; SD 0.25); revenue and income follow with their own shocks.

    Parameters
    ----------
    seed : of numpy's default generator; the same seed gives the same bytes
    settings : see ``ProgrammeSettings``; the defaults resemble Hưng Yên, scaled so that craft
        villages had 45,000 workers and 7.3 trillion VND of output in 2021
    changes : single settings by name

    Returns
    -------
    SimulatedProgramme : every number in it is simulated and must be labelled so

    Notes
    -----
    Rates, ceilings, sizes and the published totals have sources; the effects, deadweight,
    displacement, cancellations and variances are chosen.
    """
    chosen = changed(settings, changes)
    _check(chosen)
    rng = np.random.default_rng(seed)
    people = draw_population(rng, chosen)
    log_workers, shocks = draw_log_workers(rng, chosen, people)
    projects = draw_projects(rng, chosen, people, shocks)
    effects = true_effects(chosen, people, projects, log_workers)
    lost = displace(chosen, people, effects, log_workers)
    investment, investments = invest(
        np.random.default_rng([seed, 1]), chosen, people, projects, log_workers
    )
    frame = observe(rng, chosen, people, projects, effects, log_workers + lost, investment)
    ledger = file_projects(rng, projects)
    reports = file_reports(frame)
    planted = pd.DataFrame(columns=["table", "rule", "row"])
    if chosen.errors:
        ledger, reports, planted = plant_errors(rng, ledger, reports)
    jobs_lost = -(np.exp(log_workers) * np.expm1(lost)).sum(axis=0)
    return SimulatedProgramme(
        establishments=frame,
        projects=ledger,
        reports=reports,
        effects=effects.drop(columns=["slot", "period"]),
        displaced=pd.Series(jobs_lost, index=pd.Index(chosen.years, name="year")),
        investments=investments,
        planted=planted,
        settings=chosen,
    )


def _check(settings: ProgrammeSettings) -> None:
    if settings.last_year - settings.first_year < 5:
        raise DesignError(
            "the programme needs at least six years, two before the first approval and two after "
            f"the last; {settings.first_year} to {settings.last_year} has fewer."
        )
    needed = settings.approvals * settings.applicants * len(settings.years)
    if needed > 0.5 * settings.n_establishments:
        raise DesignError(
            f"{settings.approvals} approvals a year with {settings.applicants:g} applicants each "
            f"would use up {settings.n_establishments} establishments; nobody would be left to "
            "compare with. Raise n_establishments or lower approvals."
        )
