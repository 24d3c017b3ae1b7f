"""Dynamic panels: difference and system GMM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from impact.design import Design
from impact.errors import DesignError, EstimationError, listing, near, plural
from impact.estimators.base import NO_ANTICIPATION, Estimator, Requirement
from impact.estimators.parts.dynamic_moments import Grid, MomentChoices, stack_moments
from impact.estimators.parts.regression import coefficient_cells
from impact.estimators.parts.settings import column_names, whole_number
from impact.inference.scores import CovarianceScores
from impact.kernels.gmm import LinearMoments, MomentFit
from impact.kernels.least_squares import find_redundant
from impact.kernels.products import cross_gram
from impact.result import JointTest, Result

__all__ = ["ArellanoBond", "BlundellBond"]

Floats = NDArray[np.float64]

FEWEST_CLUSTERS = 30
"""Clusters from which tests of regressors by robust errors keep their size; see
tests/calibration/dynamic_panel.py."""
MANY_CLUSTERS = 200
"""The same for lags of the outcome with one instrument a lag, persistence up to 0.8."""
CLUSTERS_AN_INSTRUMENT = 100
"""Clusters an instrument from which lags with one instrument a lag and period may be tested."""


def _lacks_periods(design: Design) -> str | None:
    if len(design.periods) >= 3:
        return None
    return (
        f"this design has {plural(len(design.periods), 'period')}; a difference, its lag and an "
        "earlier level need three. Add periods, or use FirstDifference."
    )


THREE_PERIODS = Requirement("at least three periods", _lacks_periods)


@dataclass(frozen=True, kw_only=True)
class ArellanoBond(Estimator):
    r"""Estimate a dynamic panel in first differences, lagged levels as instruments.

    .. math:: \Delta y_{it} = \sum_{l \le p} \rho_l \Delta y_{i,t-l} + \Delta x_{it}'\beta
              + \Delta\lambda_t + \Delta u_{it}, \quad E[y_{i,t-s}\Delta u_{it}] = 0, \; s \ge 2

    Parameters
    ----------
    lags : lags p of the outcome among the regressors
    predetermined : regressors that past errors may move: levels from lag 1 on are instruments
    endogenous : regressors that present errors may move: levels from lag 2 on are instruments
    first_instrument_lag, last_instrument_lag : lags of the outcome's levels used; None for all;
        the last also limits predetermined and endogenous regressors
    collapse : one instrument a lag instead of one a lag and period
    time_effects : include an effect of each period
    steps : 1 with the weight for uncorrelated errors of equal variance, 2 with the efficient one
    covariance : "robust" (sandwich in one step, Windmeijer's correction in two), "conventional", or
        "plm", what R plm prints without robust=TRUE: in one step it leaves out the errors' variance
    accept_many_instruments : estimate although there are more instruments than units

    Notes
    -----
    All other regressors are strictly exogenous and instrument themselves in differences. The
    outcome's levels come from all rows of the panel, those left out of the design for a
    missing regressor included. Equations are used where all their differences exist; periods
    are taken on a grid of the smallest step between two of them, so gaps are respected.
    ``extra`` holds "ar_tests", "sargan" (one step), "hansen" (two steps), "difference_in_hansen" by
    group of instruments, "n_instruments".
    Standard errors have no small-sample factor and statistics are standard normal. By default there
    is no p-value where that law is known not to hold: of lags with fewer than 200 clusters, or 100
    an instrument without ``collapse``, and of other coefficients with fewer than 30 (a lag's true
    value of 0.8 is rejected at 5 % in 9 % of samples of 100 units with few instruments, in 15 % and
    more with all). ``infer("cr1")`` prints them. Weights are refused.

    Raises
    ------
    DesignError : weights, an unknown name, instruments more than units
    EstimationError : no unit has enough consecutive periods, periods at distances that are no
        multiples of the smallest, fewer instruments than regressors

    Source
    ------
    Arellano and Bond (1991), Review of Economic Studies 58(2); Windmeijer (2005), Journal of
    Econometrics 126(1); Roodman (2009), Stata Journal 9(1), for the conventions.
    """

    lags: int = 1
    predetermined: str | Sequence[str] = ()
    endogenous: str | Sequence[str] = ()
    first_instrument_lag: int = 2
    last_instrument_lag: int | None = None
    collapse: bool = False
    time_effects: bool = True
    steps: Literal[1, 2] = 1
    covariance: Literal["robust", "conventional", "plm"] = "robust"
    accept_many_instruments: bool = False

    requires: ClassVar[tuple[Requirement, ...]] = (THREE_PERIODS, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients of a dynamic panel in differences"
    system: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("predetermined", "endogenous"):
            object.__setattr__(self, name, column_names(self.name, name, getattr(self, name)))
        whole_number(self.name, "lags", self.lags, 1)
        whole_number(self.name, "first_instrument_lag", self.first_instrument_lag, 0)
        if self.last_instrument_lag is not None:
            whole_number(self.name, "last_instrument_lag", self.last_instrument_lag, 2)
        last = self.last_instrument_lag
        if self.first_instrument_lag < 2 or (last is not None and last < self.first_instrument_lag):
            raise DesignError(
                f"{self.name}: instruments are the outcome's lags from 2 on; first_instrument_lag "
                f"was {self.first_instrument_lag} and last_instrument_lag {last}."
            )

    def _estimate(self, design: Design) -> Result:
        grid = Grid.of(design, self.lags)
        if grid.n_periods < self.lags + 2:
            raise EstimationError(
                f"{plural(self.lags, 'lag')} of the outcome in differences need {self.lags + 2} "
                f"periods; the panel has {grid.n_periods}. Use fewer lags."
            )
        self._check(design, grid)
        moments = stack_moments(self._choices(), grid)
        self._check_counts(moments, grid)
        self._check_rank(moments, grid)
        first = moments.solve(moments.first_weight)
        fit = first.second_step() if self.steps == 2 else first
        robust = fit.windmeijer(first) if self.steps == 2 else first.robust_covariance()
        difference = slice(0, grid.n_periods)
        if self.covariance == "robust":
            matrix = robust
        elif self.steps == 2:
            matrix = fit.bread
        elif self.covariance == "plm":
            matrix = fit.bread / moments.used.any(axis=1).sum()
        else:
            matrix = fit.error_variance(difference, len(fit.coefficients)) * fit.bread
        names = grid.names
        cells = coefficient_cells(names, fit.coefficients[: len(names)], [""] * len(names))
        kept = np.eye(len(fit.coefficients))[: len(names)]
        n_clusters = len(np.unique(grid.clusters[moments.used.any(axis=1)]))
        uncertainty = CovarianceScores(
            matrix,
            fit.contributions,
            int(moments.clusters.max()) + 1,
            None,
            self._method(),
        ).combine(kept)
        reasons = self._without_law(n_clusters, moments.n_instruments, len(names))
        uncertainty = replace(uncertainty, without_law=reasons)
        return Result(
            estimator=self.name,
            design=design,
            cells=cells,
            uncertainty=uncertainty,
            estimand=self.estimand,
            settings=self.settings(),
            extra=self._diagnostics(moments, first, fit, matrix, difference),
        )

    def _choices(self) -> MomentChoices:
        return MomentChoices(
            predetermined=tuple(self.predetermined),
            endogenous=tuple(self.endogenous),
            first_instrument_lag=self.first_instrument_lag,
            last_instrument_lag=self.last_instrument_lag,
            collapse=self.collapse,
            time_effects=self.time_effects,
            system=self.system,
        )

    def _method(self) -> str:
        step = f"{'one' if self.steps == 1 else 'two'}-step GMM"
        if self.covariance != "robust":
            return f"{step}, {self.covariance}"
        return f"{step}, {'robust' if self.steps == 1 else 'Windmeijer-corrected'}"

    def _without_law(self, n_clusters: int, n_instruments: int, width: int) -> tuple[str, ...]:
        """Say of each coefficient why its robust errors follow no known law."""
        if self.covariance != "robust":
            return ()
        instruments = plural(n_instruments, "instrument")
        clusters = f"{plural(n_clusters, 'cluster')} and {instruments}"
        wanted = MANY_CLUSTERS if self.collapse else CLUSTERS_AN_INSTRUMENT * n_instruments
        few = n_clusters < FEWEST_CLUSTERS
        lag = (
            f"{clusters}: tests of the outcome's lags hold from about {MANY_CLUSTERS} clusters "
            f"with collapse=True, from {CLUSTERS_AN_INSTRUMENT} an instrument without"
        )
        other = (
            f"{clusters}: tests by moments' robust standard errors hold from about "
            f"{FEWEST_CLUSTERS} clusters"
        )
        return (
            *((lag if n_clusters < wanted else ""),) * self.lags,
            *((other if few else ""),) * (width - self.lags),
        )

    def _check(self, design: Design, grid: Grid) -> None:
        if design.weights is not None:
            raise DesignError(
                f"{self.name} takes no weights: its instruments and tests are defined for units of "
                "equal weight. Use a design without weights."
            )
        for role in ("predetermined", "endogenous"):
            for name in getattr(self, role):
                if name not in grid.regressor_names:
                    raise DesignError(
                        f'{role} regressor "{name}" is not in the design. '
                        f"{near(name, grid.regressor_names)}Its regressors are "
                        f"{listing(grid.regressor_names, 8) or 'none'}; add it with covariates=."
                    )
        both = set(self.predetermined) & set(self.endogenous)
        if both:
            raise DesignError(
                f'regressor "{min(both)}" is called both predetermined and endogenous; the second '
                "leaves out its first lag as instrument. Name it once."
            )

    def _check_counts(self, moments: LinearMoments, grid: Grid) -> None:
        n_units = int(moments.used.any(axis=1).sum())
        k, n_instruments = moments.regressors.shape[2], moments.n_instruments
        if not n_units:
            raise EstimationError(
                f"no unit is observed in {self.lags + 2} consecutive periods with all regressors, "
                "so no differenced equation exists. Use fewer lags."
            )
        if len(np.unique(grid.clusters[moments.used.any(axis=1)])) < 2:
            raise EstimationError(
                "all units used belong to one cluster, so nothing tells how far their sum of "
                "errors may stray. Cluster at a finer level at which treatment was assigned."
            )
        if n_instruments < k:
            raise EstimationError(
                f"{plural(n_instruments, 'instrument')} cannot identify "
                f"{plural(k, 'coefficient')}. Allow more lags as instruments, or use fewer "
                "regressors."
            )
        if n_instruments > n_units and not self.accept_many_instruments:
            raise DesignError(
                f"{self.name} would use {n_instruments} instruments for {n_units} units; they "
                "overfit the endogenous regressors and the Hansen test loses its meaning. Use "
                "collapse=True or last_instrument_lag=, or pass accept_many_instruments=True."
            )

    def _check_rank(self, moments: LinearMoments, grid: Grid) -> None:
        """Refuse regressors of which others and the time effects leave nothing."""
        columns = moments.regressors.reshape(-1, moments.regressors.shape[2])
        gram = cross_gram(columns, columns)
        # Differences of what is constant within units are rounding beside its levels.
        before = np.diagonal(gram).copy()
        levels = np.nan_to_num(grid.regressors)
        own = slice(self.lags, len(grid.names))
        before[own] = np.maximum(before[own], np.einsum("nek,nek->k", levels, levels))
        order = np.roll(np.arange(len(gram)), -len(grid.names))
        found = find_redundant(gram[np.ix_(order, order)], before[order])
        lost = [order[r.column] for r in found if order[r.column] < len(grid.names)]
        if lost:
            raise EstimationError(
                f"{listing(grid.names[j] for j in lost)} cannot be told from the other regressors "
                "and the time effects in these equations: constant within units, the same path in "
                "all of them, or a repetition of another. Drop it, or use time_effects=False."
            )

    def _diagnostics(
        self,
        moments: LinearMoments,
        first: MomentFit,
        fit: MomentFit,
        matrix: Floats,
        difference: slice,
    ) -> dict[str, Any]:
        excess = moments.n_instruments - moments.regressors.shape[2]
        variance = first.error_variance(difference)
        hansen = first.hansen()
        orders = [m for m in (1, 2) if m < moments.used.shape[1]]
        tests = [fit.serial_test(m, difference, matrix) for m in orders]
        return {
            "n_rows": moments.n_rows,
            "n_units": int(moments.used.any(axis=1).sum()),
            "n_instruments": moments.n_instruments,
            "ar_tests": pd.DataFrame(
                {t.order: {"statistic": t.statistic, "p_value": t.p_value} for t in tests}
            ).T.rename_axis("order"),
            "sargan": _overidentification("Sargan", first.minimum() / variance, excess),
            "hansen": _overidentification("Hansen", hansen, excess),
            "difference_in_hansen": _without_each_group(first, hansen),
        }


@dataclass(frozen=True, kw_only=True)
class BlundellBond(ArellanoBond):
    r"""Estimate a dynamic panel in differences and levels together (system GMM).

    Adds to ArellanoBond's equations those in levels,
    :math:`y_{it} = \sum_l \rho_l y_{i,t-l} + x_{it}'\beta + \lambda_t + \alpha_i + u_{it}`, with
    lagged differences as instruments, :math:`E[\Delta y_{i,t-1}(\alpha_i + u_{it})] = 0`.

    Notes
    -----
    Needs initial conditions in mean stationarity. Strictly exogenous regressors instrument both
    equations in one column each, their differences and their levels; predetermined ones use
    their present difference in levels, endogenous ones the lagged difference. A constant is
    included. The first-step weight takes uncorrelated errors and no unit effect (xtabond2's h(3)).
    Otherwise as ArellanoBond.

    Source
    ------
    Blundell and Bond (1998), Journal of Econometrics 87(1); Roodman (2009), Stata Journal 9(1).
    """

    estimand: ClassVar[str] = "coefficients of a dynamic panel in differences and levels"
    system: ClassVar[bool] = True


def _without_each_group(first: MomentFit, hansen: float) -> pd.DataFrame:
    """Test each group of instruments given the others; NaN where the others do not identify."""
    labels = first.moments.labels
    table = {}
    for label in dict.fromkeys(labels):
        rest, kept = first.hansen_without(label)
        excess = kept - len(first.coefficients)
        size = len(labels) - kept
        row = dict.fromkeys(
            ("excluding", "excluding_df", "excluding_p", "difference", "difference_df", "p_value"),
            np.nan,
        )
        if excess >= 0:
            row = {
                "excluding": rest,
                "excluding_df": excess,
                "excluding_p": float(special.chdtrc(excess, rest)) if excess else np.nan,
                "difference": hansen - rest,
                "difference_df": size,
                "p_value": float(special.chdtrc(size, hansen - rest)),
            }
        table[label] = row
    return pd.DataFrame(table).T.rename_axis("instruments")


def _overidentification(name: str, statistic: float, excess: int) -> JointTest | None:
    if excess <= 0:
        return None
    p_value = float(special.chdtrc(excess, statistic))
    return JointTest(f"All instruments are exogenous ({name})", statistic, excess, p_value)
