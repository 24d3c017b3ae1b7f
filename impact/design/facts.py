"""The counts that decide which estimators and which inference fit."""

from __future__ import annotations

from dataclasses import dataclass

from impact.errors import plural

__all__ = ["DesignFacts", "adoption_of"]


@dataclass(frozen=True)
class DesignFacts:
    """What a design holds; ``adoption`` is "none", "single date", "staggered" or "reversing"."""

    n_rows: int
    n_units: int
    n_periods: int
    first_period: int
    last_period: int
    is_balanced: bool
    adoption: str
    n_treated_units: int
    n_never_treated: int
    n_always_treated: int
    n_cohorts: int
    smallest_cohort: int
    n_reversing: int
    n_clusters: int
    n_treated_clusters: int
    n_dropped_rows: int

    def sentence(self) -> str:
        """Say the design in a line."""
        text = (
            f"{plural(self.n_units, 'unit')}, {plural(self.n_periods, 'period')} "
            f"({self.first_period}-{self.last_period})"
        )
        if self.adoption == "none":
            return text + ", no treatment stated"
        return (
            f"{text}, {self.adoption} adoption by {plural(self.n_treated_units, 'unit')} in "
            f"{plural(self.n_cohorts, 'cohort')}, {self.n_never_treated:,} never treated, "
            f"{plural(self.n_clusters, 'cluster')} ({self.n_treated_clusters:,} treated)"
        )

    def table(self) -> dict[str, str]:
        """Return the facts as labelled text, in the order a reader wants them."""
        return {
            "Units": f"{self.n_units:,}",
            "Periods": f"{self.n_periods} ({self.first_period}-{self.last_period})",
            "Rows": f"{self.n_rows:,} ({'balanced' if self.is_balanced else 'unbalanced'})",
            "Rows left out": f"{self.n_dropped_rows:,}",
            "Adoption": self.adoption,
            "Treated units": f"{self.n_treated_units:,} in {plural(self.n_cohorts, 'cohort')}",
            "Never treated": f"{self.n_never_treated:,}",
            "Clusters": f"{self.n_clusters:,} ({self.n_treated_clusters:,} treated)",
        }


def adoption_of(n_cohorts: int, n_reversing: int) -> str:
    """Say how treatment spreads, from the cohorts and the units whose treatment stops."""
    if n_reversing:
        return "reversing"
    return {0: "none", 1: "single date"}.get(n_cohorts, "staggered")
