"""Settings of the simulated programme."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import DesignError, check_choice

__all__ = ["ProgrammeSettings", "Selection", "changed"]

Selection = Literal["none", "levels", "growth", "dip"]


@dataclass(frozen=True)
class ProgrammeSettings:
    """State how establishments grow, who is selected and what a project does.

    Parameters
    ----------
    n_establishments : establishments at any time; those that close are replaced
    first_year, last_year : the panel's years
    approvals : projects approved a year, from the third year to the last but one
    applicants : applications for one approval; the rejected stay in the ledger
    selection : what applicants and winners differ in: "none"; "levels" (permanent size, which
        differences remove); "growth" (their own trend, which they do not); "dip" (a bad year
        just before)
    growth : yearly growth of log workers that has nothing to do with the programme
    effect_scale : factor of all true effects; 0 for a programme without any
    anticipation : effect on log workers in the year before acceptance, if approved by then
    deadweight : mean share of a supported machine's cost that would have been invested anyway;
        rejected applicants invest just that
    displacement : share of gross jobs lost by others of the same trade and village
    spillover : share of the revenue effect of a demonstration model that reaches others of the
        same trade and district a year later
    closures : whether establishments close and open
    errors : whether the ledger and the reports carry the errors that filed ones do
    """

    n_establishments: int = 17_000
    first_year: int = 2012
    last_year: int = 2024
    approvals: int = 45
    applicants: float = 2.5
    selection: Selection = "levels"
    growth: float = 0.04
    effect_scale: float = 1.0
    anticipation: float = -0.01
    deadweight: float = 0.45
    displacement: float = 0.15
    spillover: float = 0.10
    closures: bool = True
    errors: bool = False

    def __post_init__(self) -> None:
        check_choice("selection", self.selection, ("none", "levels", "growth", "dip"))
        for name in ("n_establishments", "first_year", "last_year", "approvals"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise DesignError(f"{name} must be a whole number above zero; it was {value!r}.")
        for name in ("deadweight", "displacement"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise DesignError(f"{name} is a share of at least 0 and below 1; it was {share:g}.")
        if self.applicants < 1:
            raise DesignError(
                f"applicants counts applications for one approval, 1 or more; it was "
                f"{self.applicants:g}."
            )

    @property
    def years(self) -> NDArray[np.int64]:
        """Years of the panel, shape (T,)."""
        return np.arange(self.first_year, self.last_year + 1)


def changed(settings: ProgrammeSettings | None, changes: dict[str, object]) -> ProgrammeSettings:
    """Return settings with single ones changed by name, refusing names that are none."""
    known = [field.name for field in fields(ProgrammeSettings)]
    for name in changes:
        check_choice("a setting", name, known)
    return replace(settings or ProgrammeSettings(), **changes)  # type: ignore[arg-type]
