"""The waterfall: which projects led no further at which step, and how much money that was."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Waterfall"]


@dataclass
class Waterfall:
    """Record, step by step, which projects led no further; money is net of what was returned."""

    projects: pd.DataFrame
    steps: list[tuple[str, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._add("in the ledger, net of refunds", self.projects)

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
        """Return the steps: step, projects, units, support."""
        return pd.DataFrame(self.steps, columns=["step", "projects", "units", "support"])
