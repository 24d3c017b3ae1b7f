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
from impact.estimators.parts.cells import cluster_codes
from impact.estimators.parts.contributions import clustered, unit_weights
from impact.estimators.parts.reporting import result_of
from impact.kernels.boundary import boundary_mean, reaches_zero_test
from impact.kernels.functional_form import stute_test, yatchew_test
from impact.result import JointTest, Result

__all__ = ["HeterogeneousAdoption"]

Array = NDArray[Any]

# Fewer units than this cannot show the mean at the edge of the doses.
FEWEST = 40

# A smallest dose held by fewer than this share of units is no mass point.
MASS_POINT = 0.02


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
        bias-corrected local line; "stayers" from units whose dose is zero throughout;
        "smallest" from the units that bunch at the smallest dose paid in the first period with
        doses, and counts doses from there: (E[dY] - E[dY | S]) / (E[D] - E[D | S]), S those units
    bandwidth : doses below it enter the local line; minimises mean squared error if None
    draws, seed : of the bootstrap of the tests of shape

    Raises
    ------
    DesignError : no dose, doses from the first period on, a panel with gaps, covariates, or
        anticipation
    EstimationError : fewer than 40 units with a dose, the smallest doses are bounded away from
        zero, no stayers, or no bunch at the smallest dose

    Notes
    -----
    Assumes that units' untreated outcomes would have moved alike whatever their dose (parallel
    trends), and with "limit" that effects of very small doses vanish smoothly. With "smallest"
    it is outcomes at the smallest dose that would have moved alike; what that dose itself does
    is not known. Periods before the first dose are placebos: the change since the base period,
    compared in the same way by the dose paid in the first period with doses.

    ``result.extra`` holds the pre-tests: "reaches_zero" (the smallest doses reach zero, without
    which "limit" has nothing to extrapolate from: p below 0.05 is refused; amounts paid in steps
    fail it), "linear" (Stute's, jointly in all periods with doses: the change is a line in the
    dose, in which case the two-way fixed effects coefficient estimates the same), "linear_near"
    (Yatchew's, of the first period with doses; not with weights) and "pre_trends" (Stute's,
    jointly in all periods before: the change does not depend on the dose to come).

    Weights are sampling weights: means, the local line and Stute's tests are weighted.

    Source
    ------
    de Chaisemartin, Ciccia, D'Haultfoeuille and Knau (2024), arXiv 2405.04465; section 3.2.4
    for "smallest".
    Bandwidth and bias correction as in Calonico, Cattaneo and Farrell (2018) with one
    bandwidth, so that digits differ from software with two.
    """

    untreated: Literal["limit", "stayers", "smallest"] = "limit"
    bandwidth: float | None = None
    draws: int = 999
    seed: int = 0

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
        if not isinstance(self.draws, int) or self.draws < 99:
            raise DesignError(
                f"HeterogeneousAdoption: draws is a whole number, 99 or more, so that p-values are "
                f"fine enough; it was {self.draws!r}."
            )

    def _estimate(self, design: Design) -> Result:
        doses, outcomes = design.doses, design.outcomes
        begins = int(np.flatnonzero((doses > 0).any(axis=0))[0])
        base = begins - 1
        first = doses[:, begins]
        still = self._compared(design, begins)
        changes = np.delete(outcomes - outcomes[:, [base]], base, axis=1)
        periods = np.delete(np.arange(len(design.periods)), base)
        tests = self._tests(design, first, changes, periods >= begins)
        weights = unit_weights(design)
        rows, columns, windows = [], [], []
        for t, change in zip(periods, changes.T, strict=True):
            dose = doses[:, t] if t >= begins else first
            effect, psi, window = self._slope(change, dose, still, weights)
            period = design.periods[t]
            rows.append((f"effect in {period}", period, float(t - begins), effect))
            columns.append(psi)
            windows.append(window)
        cells = pd.DataFrame(rows, columns=["term", "time", "event_time", "estimate"]).assign(
            cohort=np.nan,
            weight=1.0,
            note="",
            n_treated=int((~still).sum()),
            n_comparison=[count for _, count in windows],
        )
        return result_of(
            self,
            design,
            cells,
            clustered(design, np.stack(columns, axis=1)),
            notes=(*(f"{test}." for test in tests.values()), self._says(first, still, windows)),
            extra={**tests, "bandwidths": [h for h, _ in windows]},
        )

    def _says(self, first: Array, still: Array, windows: list[tuple[float, int]]) -> str:
        """Say what the change without a dose comes from."""
        if self.untreated == "limit":
            edges = listing([f"{h:.3g}" for h, _ in windows])
            return f"Change without a dose from doses below {edges}."
        who = plural(int(still.sum()), "unit" if self.untreated == "smallest" else "stayer")
        if self.untreated == "stayers":
            return f"Change without a dose from {who}."
        return (
            f"Per unit of dose above the smallest, {first.min():g}, which {who} received; what "
            "that dose itself does is not known."
        )

    def _compared(self, design: Design, begins: int) -> Array:
        """Mark the units whose mean change is compared with, shape (N,); refuse too few.

        With "limit" they are those without a dose, and enter nowhere.
        """
        first = design.doses[:, begins]
        if self.untreated == "limit":
            paid = int((first > 0).sum())
            if paid < FEWEST:
                raise EstimationError(
                    f"{plural(paid, 'unit')} {'has' if paid == 1 else 'have'} a dose in "
                    f"{design.panel.time} {design.periods[begins]}; the edge of the doses needs at "
                    f'least {FEWEST}. Use untreated="stayers" if some units have none.'
                )
            return np.asarray((design.doses == 0).all(axis=1))
        if self.untreated == "stayers":
            stayers = (design.doses == 0).all(axis=1)
            if stayers.sum() < 2:
                raise EstimationError(
                    f"{plural(int(stayers.sum()), 'unit')} of {design.n_units:,} never has a dose; "
                    'stayers need at least two. Use untreated="limit".'
                )
            return np.asarray(stayers)
        smallest = first == first.min()
        share = float(smallest.mean())
        if smallest.sum() < 2 or share < MASS_POINT or share == 1:
            raise EstimationError(
                f"{plural(int(smallest.sum()), 'unit')} of {design.n_units:,} received the "
                f"smallest dose, {first.min():g}, in {design.panel.time} "
                f"{design.periods[begins]}; a comparison at that dose needs at least "
                f"{MASS_POINT:.0%} of the units there and others above it. Use "
                'untreated="limit" if doses come close to zero.'
            )
        return np.asarray(smallest)

    def _slope(
        self, change: Array, dose: Array, still: Array, weights: Array
    ) -> tuple[float, Array, tuple[float, int]]:
        """Return the effect per dose, contributions (N,), and bandwidth with rows behind it."""
        n, share = len(change), weights / weights.sum()
        least, pull = 0.0, np.zeros(n)
        if self.untreated == "limit":
            paid = dose > 0
            own = weights[paid] / weights[paid].mean()
            edge = boundary_mean(change[paid], dose[paid], self.bandwidth, own)
            level = edge.value
            pull[paid] = edge.psi
            window = (edge.bandwidth, edge.n_local)
        else:
            among = np.where(still, weights, 0.0) / weights[still].sum()
            level, least = float(among @ change), float(among @ dose)
            window = (0.0, int(still.sum()))
        above = float(share @ dose) - least
        effect = (float(share @ change) - level) / above
        if self.untreated != "limit":
            pull = among * (change - level - effect * (dose - least))
        own_pull = share * (change - share @ change - effect * (dose - share @ dose))
        return float(effect), (own_pull - pull) / above, window

    def _tests(
        self, design: Design, first: Array, changes: Array, after: Array
    ) -> dict[str, JointTest]:
        """Run the pre-tests, and refuse doses that end above zero where zero is the limit."""
        tests: dict[str, JointTest] = {}
        if self.untreated == "limit":
            paid = first[first > 0]
            tests["reaches_zero"] = reaches = _test(
                "The smallest doses reach zero", reaches_zero_test(paid)
            )
            if reaches.p_value < 0.05:
                raise EstimationError(
                    f"the smallest doses are {listing([f'{d:g}' for d in np.sort(paid)[:2]])}, "
                    f"bounded away from zero (p = {reaches.p_value:.3g}), so what happens without "
                    'a dose cannot be extrapolated. Use untreated="stayers" if some units have '
                    'none, untreated="smallest" if many share the smallest dose, or SwitchersDiD.'
                )

        def shape(outcomes: Array, line: bool) -> tuple[float, float]:
            return stute_test(
                outcomes, first, line=line, weights=design.unit_weights,
                clusters=cluster_codes(design), draws=self.draws, seed=self.seed,
            )  # fmt: skip

        tests["linear"] = _test("The change is a line in the dose", shape(changes[:, after], True))
        if design.weights is None:
            near = yatchew_test(changes[:, after][:, 0], first)
            tests["linear_near"] = _test("The first change is a line in the dose", near)
        if not after.all():
            flat = shape(changes[:, ~after], False)
            tests["pre_trends"] = _test("The change before does not depend on the dose", flat)
        return tests


def _test(question: str, found: tuple[float, float]) -> JointTest:
    return JointTest(question, found[0], 1, found[1])
