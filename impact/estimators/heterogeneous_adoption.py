"""Doses that reach everybody: de Chaisemartin, Ciccia, D'Haultfoeuille and Knau (2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, plural
from impact.estimators.base import (
    NO_ANTICIPATION,
    NO_COVARIATES,
    TREATMENT,
    UNIT_CLUSTERS,
    Estimator,
    Requirement,
)
from impact.estimators.parts.contributions import clustered
from impact.kernels.boundary import boundary_mean, reaches_zero_test, yatchew_test
from impact.result import JointTest, Result

__all__ = ["HeterogeneousAdoption"]

Array = NDArray[Any]

# Fewer units than this cannot show the mean at the edge of the doses.
FEWEST = 40


def _fault(design: Design) -> str | None:
    if design.dose is None:
        return "this design states none. Give Design dose=."
    begins = np.flatnonzero((design.doses > 0).any(axis=0))[0]
    if begins == 0:
        return f"doses are paid from the first period {design.periods[0]} on. Add earlier periods."
    if not design.is_balanced:
        return "some units are not observed in some periods. Keep the units that are in all."
    return None


@dataclass(frozen=True)
class HeterogeneousAdoption(Estimator):
    """Estimate the effect per unit of dose when nobody, or next to nobody, is left untreated.

    WAS_t = (E[dY_t] - E[dY_t | D = 0]) / E[D], with dY_t the change since the last period in
    which all doses were zero and D the dose in t: an average of units' effects per unit of
    dose, weighted by dose. Without untreated units E[dY | D = 0] is the limit of
    E[dY | D = d] as d falls to zero.

    Parameters
    ----------
    untreated : "limit" estimates the change without a dose from the smallest doses, by a
        bias-corrected local line; "stayers" from units whose dose is zero throughout
    bandwidth : doses below it enter the local line; minimises mean squared error if None

    Raises
    ------
    DesignError : no dose, doses from the first period on, a panel with gaps, covariates, or
        anticipation
    EstimationError : fewer than 40 units with a dose, the smallest doses are bounded away from
        zero, no stayers, or weights were given

    Notes
    -----
    Assumes that units' untreated outcomes would have moved alike whatever their dose (parallel
    trends), and with "limit" that effects of very small doses vanish smoothly. Periods before
    the first dose are placebos: the change since the base period, compared in the same way by
    the dose paid in the first period with doses.

    ``result.extra`` holds the pre-tests of the first period with doses: "reaches_zero" (the
    smallest doses reach zero, without which "limit" has nothing to extrapolate from: p below
    0.05 is refused) and "linear" (the change is a line in the dose, in which case the two-way
    fixed effects coefficient estimates the same). Amounts paid in steps fail the first.

    Source
    ------
    de Chaisemartin, Ciccia, D'Haultfoeuille and Knau (2024), arXiv 2405.04465.
    Bandwidth and bias correction as in Calonico, Cattaneo and Farrell (2018) with one
    bandwidth, so that digits differ from software with two.
    """

    untreated: Literal["limit", "stayers"] = "limit"
    bandwidth: float | None = None

    requires: ClassVar[tuple[Requirement, ...]] = (
        TREATMENT,
        Requirement("doses that begin after the first period, in a balanced panel", _fault),
        UNIT_CLUSTERS,
        NO_COVARIATES,
        NO_ANTICIPATION,
    )
    estimand: ClassVar[str] = "effect per unit of dose, weighted by dose"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bandwidth is not None and not self.bandwidth > 0:
            raise DesignError(
                f"HeterogeneousAdoption: bandwidth is a dose above zero; it was {self.bandwidth!r}."
            )

    def _estimate(self, design: Design) -> Result:
        if design.weights is not None:
            raise EstimationError(
                "HeterogeneousAdoption does not take weights: how sampling weights enter the local "
                "line is not settled. Leave weights out of the design."
            )
        doses, outcomes = design.doses, design.outcomes
        begins = int(np.flatnonzero((doses > 0).any(axis=0))[0])
        base = begins - 1
        stayers = (doses == 0).all(axis=1)
        first = doses[:, begins]
        tests = self._check(design, begins, stayers, outcomes[:, begins] - outcomes[:, base])
        rows, columns, windows = [], [], []
        for t, period in enumerate(design.periods):
            if t == base:
                continue
            dose = doses[:, t] if t >= begins else first
            change = outcomes[:, t] - outcomes[:, base]
            effect, psi, window = self._slope(change, dose, stayers)
            rows.append((f"effect in {period}", period, float(t - begins), effect))
            columns.append(psi)
            windows.append(window)
        cells = pd.DataFrame(rows, columns=["term", "time", "event_time", "estimate"]).assign(
            cohort=np.nan,
            weight=1.0,
            note="",
            n_treated=int((~stayers).sum()),
            n_comparison=[count for _, count in windows],
        )
        return Result(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=clustered(design, np.stack(columns, axis=1)),
            estimand=self.estimand,
            settings=self.settings(),
            notes=(
                *(f"{test}." for test in tests.values()),
                "Change without a dose from "
                + (
                    f"{plural(int(stayers.sum()), 'stayer')}."
                    if self.untreated == "stayers"
                    else f"doses below {listing([f'{h:.3g}' for h, _ in windows])}."
                ),
            ),
            extra={**tests, "bandwidths": [h for h, _ in windows]},
        )

    def _slope(
        self, change: Array, dose: Array, stayers: Array
    ) -> tuple[float, Array, tuple[float, int]]:
        """Return the effect per dose, contributions (N,), and bandwidth with rows behind it."""
        n = len(change)
        if self.untreated == "stayers":
            level = float(change[stayers].mean())
            pull = np.where(stayers, (change - level) / stayers.sum(), 0.0)
            window = (0.0, int(stayers.sum()))
        else:
            paid = dose > 0
            edge = boundary_mean(change[paid], dose[paid], self.bandwidth)
            level, pull = edge.value, np.zeros(n)
            pull[paid] = edge.psi
            window = (edge.bandwidth, edge.n_local)
        effect = (change.mean() - level) / dose.mean()
        own = (change - change.mean()) / n - effect * (dose - dose.mean()) / n
        return float(effect), (own - pull) / dose.mean(), window

    def _check(
        self, design: Design, begins: int, stayers: Array, change: Array
    ) -> dict[str, JointTest]:
        """Run the pre-tests of the first period with doses and refuse what they rule out."""
        first = design.doses[:, begins]
        if self.untreated == "stayers":
            if stayers.sum() < 2:
                raise EstimationError(
                    f"{plural(int(stayers.sum()), 'unit')} of {design.n_units:,} never has a dose; "
                    'stayers need at least two. Use untreated="limit".'
                )
            return {
                "linear": _test("The change is a line in the dose", yatchew_test(change, first))
            }
        paid = first[first > 0]
        if len(paid) < FEWEST:
            raise EstimationError(
                f"{plural(len(paid), 'unit')} {'has' if len(paid) == 1 else 'have'} a dose in "
                f"{design.panel.time} {design.periods[begins]}; the edge of the doses needs at "
                f'least {FEWEST}. Use untreated="stayers" if some units have none.'
            )
        reaches = _test("The smallest doses reach zero", reaches_zero_test(paid))
        if reaches.p_value < 0.05:
            raise EstimationError(
                f"the smallest doses are {listing([f'{d:g}' for d in np.sort(paid)[:2]])}, bounded "
                f"away from zero (p = {reaches.p_value:.3g}), so what happens without a dose "
                'cannot be extrapolated. Use untreated="stayers" if some units have none, or '
                "SwitchersDiD."
            )
        linear = _test("The change is a line in the dose", yatchew_test(change, first))
        return {"reaches_zero": reaches, "linear": linear}


def _test(question: str, found: tuple[float, float]) -> JointTest:
    return JointTest(question, found[0], 1, found[1])
