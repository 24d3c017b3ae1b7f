"""Every sensitivity analysis that applies to a result, in one call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from impact import tables
from impact.errors import DesignError, ImpactError, listing, near
from impact.result import Result
from impact.sensitivity.anticipation import ANTICIPATION
from impact.sensitivity.attrition import ATTRITION
from impact.sensitivity.bacon import BACON
from impact.sensitivity.balance import BALANCE
from impact.sensitivity.base import Check, Finding
from impact.sensitivity.carry_over import CARRY_OVER
from impact.sensitivity.cinelli_hazlett import CINELLI_HAZLETT
from impact.sensitivity.honest import HONEST
from impact.sensitivity.leave_one_out import LEAVE_ONE_OUT
from impact.sensitivity.oster import OSTER
from impact.sensitivity.placebo import PLACEBO_CANCELLED, PLACEBO_IN_SPACE, PLACEBO_IN_TIME
from impact.sensitivity.pretrends import PRETRENDS
from impact.sensitivity.sentences import Language, Sentence
from impact.sensitivity.specification_curve import SPECIFICATION_CURVE
from impact.sensitivity.spillover import SPILLOVER
from impact.sensitivity.twfe_weights import TWFE_WEIGHTS

__all__ = ["CHECKS", "Battery", "battery"]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.name: check
        for check in (
            HONEST,
            PRETRENDS,
            PLACEBO_IN_TIME,
            PLACEBO_IN_SPACE,
            PLACEBO_CANCELLED,
            LEAVE_ONE_OUT,
            ANTICIPATION,
            SPECIFICATION_CURVE,
            BACON,
            TWFE_WEIGHTS,
            BALANCE,
            ATTRITION,
            CARRY_OVER,
            SPILLOVER,
            OSTER,
            CINELLI_HAZLETT,
        )
    }
)
"""The analyses by name, in the order in which a battery runs them."""


@dataclass(frozen=True, eq=False, repr=False)
class Battery:
    """Findings of the analyses that apply, by name, and why the others do not."""

    findings: Mapping[str, Finding]
    skipped: Mapping[str, str]

    def __getitem__(self, name: str) -> Finding:
        return self.findings[name]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings.values())

    def __len__(self) -> int:
        return len(self.findings)

    def table(self, language: Language = "en") -> pd.DataFrame:
        """Return one row an analysis: its statistic and its sentence, or why it was skipped.

        Sentences are in the language asked for, "en" or "vi"; reasons are in English.
        """
        rows = [(f.name, f.statistic, f.said.say(language)) for f in self.findings.values()]
        for name, why in self.skipped.items():
            said = Sentence.of("battery.skipped", why=why).say(language)
            rows.append((name, float("nan"), said))
        return pd.DataFrame(rows, columns=["analysis", "statistic", "answer"])

    def __repr__(self) -> str:
        lines = [f"{finding.name}: {finding.sentence}" for finding in self.findings.values()]
        return "\n".join([*lines, *(f"{k}: skipped: {v}" for k, v in self.skipped.items())])

    def _repr_html_(self) -> str:
        return tables.to_html(self.table(), caption="Sensitivity of the effect")


def battery(result: Result, **settings: Mapping[str, object]) -> Battery:
    """Run every analysis that applies to a result.

    Parameters
    ----------
    result : of any estimator
    settings : settings of single analyses by name, such as
        ``placebo_cancelled={"cohort": "cancelled_in"}``

    Returns
    -------
    Battery : findings by name, and the reason for each analysis left out

    Raises
    ------
    DesignError : what is given is no result, or settings that do not exist
    """
    unknown = [name for name in settings if name not in CHECKS]
    if unknown:
        raise DesignError(
            f"there is no analysis {unknown[0]!r}. {near(unknown[0], CHECKS)}"
            f"There are: {listing(CHECKS, len(CHECKS))}."
        )
    for name, own in settings.items():
        known = list(inspect.signature(CHECKS[name].run).parameters)[1:]
        for setting in own:
            if setting not in known:
                raise DesignError(
                    f"{name} has no setting {setting!r}. {near(setting, known)}It takes "
                    f"{listing(known, len(known))}."
                )
    findings: dict[str, Finding] = {}
    skipped: dict[str, str] = {}
    for name, check in CHECKS.items():
        own = settings.get(name, {})
        reason = check.reason(result)
        if reason is None and check.needs and not own:
            reason = f"needs {listing(check.needs)}."
        if reason is None:
            try:
                findings[name] = check.run(result, **own)
            except ImpactError as error:
                reason = str(error)
        if reason is not None:
            skipped[name] = reason
    return Battery(MappingProxyType(findings), MappingProxyType(skipped))
