"""Instrumental variables on panel data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from impact.design import Design
from impact.errors import DesignError, EstimationError, InferenceError, listing, near, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.regression import (
    Regression,
    RegressionEstimator,
    coefficient_result,
    regress,
)
from impact.estimators.parts.settings import column_names, whole_number
from impact.estimators.parts.variables import Variables, design_variables, difference, take_rows
from impact.inference.bands import joint_wald
from impact.inference.clusters import projected_regression
from impact.kernels.absorb import absorb
from impact.kernels.groups import Groups, compact
from impact.kernels.instruments import efficient_minimum, k_class, quadratic_set
from impact.kernels.least_squares import LeastSquares, find_redundant
from impact.result import JointTest, Result

__all__ = ["AcceptedValues", "PanelIV"]

Floats = NDArray[np.float64]

UNCORRECTED = (
    "CR2, CR3 and the jackknife have no definition with instruments. Use CR1, or the "
    "Anderson-Rubin set with clustered covariance."
)

EXACT = 1e-25
"""Share of the outcome's sum of squares that rounding leaves in residuals."""

WEAK = 10.0
"""Effective F below which a note warns of weak instruments (Stock and Yogo's rule of thumb)."""


@dataclass(frozen=True)
class AcceptedValues:
    """Values of a coefficient a test does not reject: intervals, perhaps unbounded or none."""

    level: float
    intervals: tuple[tuple[float, float], ...]

    @property
    def is_bounded(self) -> bool:
        """Whether the set has finite ends."""
        return all(np.isfinite(end) for interval in self.intervals for end in interval)


@dataclass(frozen=True, kw_only=True)
class PanelIV(RegressionEstimator):
    r"""Estimate with instruments for regressors that correlate with the error.

    .. math:: y_{it} = w_{it}'\delta + x_{it}'\beta + \alpha_i + \lambda_t + u_{it},
              \quad E[z_{it}u_{it}] = 0

    Parameters
    ----------
    endogenous : columns of the design (its treatment or covariates) that need instruments
    instruments : columns of the panel that move them and are excluded from the outcome equation
    method : "2sls" or "liml"
    effects : fixed effects, as in FixedEffects; () for an intercept instead
    span : differences this many periods apart instead of fixed effects; None for none
    constant : include the intercept where no effects are absorbed

    Notes
    -----
    ``extra`` holds what a reader needs to trust the numbers: "first_stage" (one row an endogenous
    regressor: F under equal variances, the same with effects nested in clusters not counted as
    fixest prints it, Wald with the chosen covariance, effective F),
    "overidentification" (Sargan), "hansen" (J, valid under the chosen covariance; None where that
    is classical or clusters on several columns), "exogeneity" (Wu and Hausman's F), and, with one
    endogenous regressor, "anderson_rubin" (its test of zero) and "anderson_rubin_set", valid
    however weak the instruments. HC2, HC3, CR2, CR3 and the jackknife have no definition here and
    are refused. Rows with a missing instrument are left out and counted.

    Raises
    ------
    DesignError : an endogenous name that is no regressor, no instrument, an instrument that is a
        regressor, fewer instruments than endogenous regressors
    EstimationError : instruments that are constant or collinear within the effects

    Source
    ------
    Wooldridge (2010), chapters 5 and 11; Montiel Olea and Pflueger (2013), Journal of Business
    and Economic Statistics 31(3), eq. (6), for the effective F; Anderson and Rubin (1949).
    """

    endogenous: str | Sequence[str] = ()
    instruments: str | Sequence[str] = ()
    method: Literal["2sls", "liml"] = "2sls"
    effects: str | Sequence[str] = ("unit", "time")
    span: int | None = None
    constant: bool = True

    requires: ClassVar[tuple[Requirement, ...]] = (TREATMENT_OR_COVARIATES, NO_ANTICIPATION)
    estimand: ClassVar[str] = "coefficients by instrumental variables"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("endogenous", "instruments", "effects"):
            object.__setattr__(self, name, column_names(self.name, name, getattr(self, name)))
        if self.span is not None:
            whole_number(self.name, "span", self.span, 1)
        if self.covariance in ("HC2", "HC3", "CR2", "CR3", "jackknife"):
            raise InferenceError(
                f"PanelIV: covariance {self.covariance!r} has no definition with instruments. Use "
                '"CR1", "HC1", "classical" or a kernel such as DriscollKraay().'
            )

    def _estimate(self, design: Design) -> Result:
        variables, z, n_missing = self._variables(design)
        effects = self._effects(design, variables)
        if not effects and self.constant:
            variables = variables.with_constant()
        parts = _Parts(self, design, variables, z, effects)
        regression = parts.structural()
        notes = [f"{plural(n_missing, 'row')} with a missing instrument left out."] * bool(
            n_missing
        )
        extra = parts.diagnostics(regression)
        weakest = extra["first_stage"]["effective_f"].min()
        if weakest < WEAK:
            notes.append(
                f"Instruments are weak: effective F {weakest:.3g}. The usual intervals mislead; "
                "report the Anderson-Rubin set."
            )
        return coefficient_result(self, design, regression, self.estimand, notes, extra)

    def _variables(self, design: Design) -> tuple[Variables, Floats, int]:
        """Take regressors and instruments on the rows where both are known."""
        variables = design_variables(design)
        self._check_names(design, variables.names)
        z = np.stack([design.sample.numeric(name) for name in self.instruments])
        keep = np.flatnonzero(~np.isnan(z).any(axis=0))
        n_missing = variables.n - len(keep)
        if not len(keep):
            raise EstimationError(
                f"no row has all instruments ({listing(self.instruments)}); each is missing "
                "somewhere. Check those columns, or leave one out."
            )
        stacked = replace(
            variables,
            regressors=np.concatenate((variables.regressors, z)),
            names=(*variables.names, *self.instruments),
        )
        if n_missing:
            rows = take_rows(stacked.rows, keep)
            rows = replace(rows, unit_codes=compact(rows.unit_codes).codes)
            stacked = replace(
                stacked,
                rows=rows,
                outcome=stacked.outcome[keep],
                regressors=stacked.regressors[:, keep],
            )
        if self.span is not None:
            stacked = difference(design, stacked, self.span)
        k = len(variables.names)
        kept = replace(stacked, regressors=stacked.regressors[:k], names=variables.names)
        return kept, stacked.regressors[k:], n_missing

    def _check_names(self, design: Design, names: Sequence[str]) -> None:
        if not self.endogenous or len(self.instruments) < len(self.endogenous):
            raise DesignError(
                f"PanelIV needs endogenous regressors and at least as many instruments; it has "
                f"{plural(len(self.endogenous), 'endogenous regressor')} and "
                f"{plural(len(self.instruments), 'instrument')}. Name them with endogenous= and "
                "instruments=."
            )
        for name in self.endogenous:
            if name not in names:
                raise DesignError(
                    f'endogenous regressor "{name}" is not in the design. {near(name, names)}'
                    f"Its regressors are {listing(names, 8)}; add it with covariates=."
                )
        both = [name for name in self.instruments if name in (*names, design.outcome)]
        if both:
            raise DesignError(
                f'instrument "{both[0]}" is also the outcome or a regressor; an instrument is '
                "excluded from the outcome equation. Exogenous regressors instrument themselves."
            )

    def _effects(self, design: Design, variables: Variables) -> list[Groups]:
        if self.span is not None:
            return []
        groups = effect_groups(design, variables.rows, list(self.effects))
        return [compact(group.codes) for group in groups]


@dataclass(frozen=True, eq=False)
class _Parts:
    """Swept outcome, regressors and instruments of one instrumental-variables problem."""

    settings: PanelIV
    design: Design
    variables: Variables
    instruments: Floats
    effects: list[Groups]

    @property
    def weights(self) -> Floats | None:
        return self.variables.rows.weights

    @property
    def endogenous(self) -> NDArray[np.int64]:
        names = self.variables.names
        return np.array([names.index(name) for name in self.settings.endogenous])

    @property
    def exogenous(self) -> NDArray[np.int64]:
        return np.setdiff1d(np.arange(len(self.variables.names)), self.endogenous)

    def structural(self) -> Regression:
        """Estimate the outcome equation."""
        first = self._regress(
            self.variables.outcome, self.variables.regressors, self.variables.names
        )
        kept = first.fit.kept
        lost = [
            n for n, c in zip(self.variables.names, first.coefficients, strict=True) if np.isnan(c)
        ]
        lost += [
            self.variables.names[j]
            for redundancy in first.fit.redundant
            for j in redundancy.partners
            if j in self.endogenous
        ]
        if set(lost) & set(self.settings.endogenous):
            raise EstimationError(
                f"{listing(lost)} cannot be told from the effects or the other regressors, so it "
                "has no coefficient. Absorb fewer effects or drop what explains it."
            )
        absorber = absorb(self.effects, self.weights) if self.effects else None
        z = self.instruments if absorber is None else absorber.sweep(self.instruments)
        y = self.variables.outcome if absorber is None else absorber.sweep(self.variables.outcome)
        order = [int(np.flatnonzero(kept == j)[0]) for j in self.endogenous]
        others = np.setdiff1d(np.arange(len(kept)), order)
        x = first.fit.regressors
        self._check_instruments(z, x[others])
        solved = k_class(
            y, x[order], x[others], z, self.weights,
            liml=self.settings.method == "liml", n_effects=first.fit.n_effects,
        )  # fmt: skip
        place = np.concatenate((kept[order], kept[others])).astype(np.int64)
        fit = replace(
            solved.fit,
            kept=place,
            redundant=first.fit.redundant,
            leverage_of_effects=first.fit.leverage_of_effects,
        )
        contrast = np.zeros((len(self.variables.names), len(place)))
        contrast[place, np.arange(len(place))] = 1.0
        kind = self.settings.covariance
        bound = (
            kind if isinstance(kind, str) else kind.kernel(self.design, self.variables.rows, fit)
        )
        uncertainty = replace(
            first.uncertainty,
            fit=fit,
            contrast=contrast,
            make_full=projected_regression(fit, self.effects, first.uncertainty.clusters[0]),
            kind=bound,
            uncorrected=UNCORRECTED,
        )
        return replace(first, fit=fit, uncertainty=uncertainty)

    def _check_instruments(self, z: Floats, exogenous: Floats) -> None:
        columns = np.concatenate((exogenous, z))
        weighted = columns if self.weights is None else columns * self.weights
        raw = np.concatenate((exogenous, self.instruments))
        scale = np.einsum("kn,kn->k", raw, raw if self.weights is None else raw * self.weights)
        redundant = find_redundant(weighted @ columns.T, scale)
        lost = [self.settings.instruments[r.column - len(exogenous)] for r in redundant]
        if lost:
            raise EstimationError(
                f"{plural(len(lost), 'instrument')} ({listing(lost)}) cannot be told from the "
                "effects, exogenous regressors or other instruments and move nothing. Drop them."
            )

    def _regress(
        self, outcome: Floats, regressors: Floats, names: Sequence[str], covariance: str = ""
    ) -> Regression:
        variables = Variables(self.variables.rows, outcome, regressors, tuple(names))
        chosen = self.settings.covariance if not covariance else "classical"
        return regress(
            self.design,
            variables,
            effects=self.effects,
            covariance=chosen,
            convention=self.settings.convention,
        )

    def _on_instruments(self, outcome: Floats, covariance: str = "") -> Regression:
        """Regress a column on the instruments and the exogenous regressors."""
        columns = np.concatenate((self.instruments, self.variables.regressors[self.exogenous]))
        names = [f"z{j}" for j in range(len(columns))]
        return self._regress(outcome, columns, names, covariance)

    def diagnostics(self, structural: Regression) -> dict[str, Any]:
        """Return first stage, overidentification, exogeneity and Anderson-Rubin."""
        result: dict[str, Any] = {
            "first_stage": self._first_stage(),
            "overidentification": self._sargan(structural),
            "hansen": self._hansen(structural),
            "exogeneity": self._wu_hausman(),
        }
        if len(self.endogenous) == 1 and not self._is_exact(structural.fit):
            result["anderson_rubin"] = self._anderson_rubin(0.0)
            result["anderson_rubin_set"] = self._anderson_rubin_set(structural)
        return result

    def _is_exact(self, fit: LeastSquares) -> bool:
        """Whether residuals are rounding beside the outcome."""
        outcome = self.variables.outcome
        return float(fit.residuals @ fit.residuals) <= EXACT * float(outcome @ outcome)

    def _first_stage(self) -> pd.DataFrame:
        q = len(self.instruments)
        table = {}
        for name, j in zip(self.settings.endogenous, self.endogenous, strict=True):
            column = self.variables.regressors[j]
            robust = self._on_instruments(column)
            classical = self._on_instruments(column, "classical")
            slopes = robust.coefficients[:q]
            spread = robust.uncertainty.covariance()[:q, :q]
            equal = classical.uncertainty.covariance()[:q, :q]
            information = np.linalg.inv(equal / classical.fit.sigma2)
            table[name] = {
                "f": (f := float(slopes @ np.linalg.solve(equal, slopes)) / q),
                "f_nested": f * self._rows_left(classical) / classical.fit.df_residual,
                "wald": float(slopes @ np.linalg.solve(spread, slopes)) / q,
                "effective_f": float(slopes @ information @ slopes)
                / float(np.trace(spread @ information)),
            }
        return pd.DataFrame(table).T.rename_axis("endogenous")

    def _rows_left(self, regression: Regression) -> int:
        """Count degrees of freedom with effects nested in clusters as one parameter."""
        fit = regression.fit
        return fit.n_rows - len(fit.kept) - regression.uncertainty.effects.fixest

    def _sargan(self, structural: Regression) -> JointTest | None:
        """Test the excess instruments: n times R-squared of the residuals on all instruments."""
        excess = len(self.instruments) - len(self.endogenous)
        if not excess or self._is_exact(structural.fit):
            return None
        auxiliary = self._on_instruments(structural.fit.residuals, "classical").fit
        statistic = structural.fit.n_rows * auxiliary.r_squared_within
        p_value = float(special.chdtrc(excess, statistic))
        return JointTest("All instruments are exogenous (Sargan)", statistic, excess, p_value)

    def _hansen(self, structural: Regression) -> JointTest | None:
        """Test the excess instruments by the moments' covariance under clusters or kernel."""
        excess = len(self.instruments) - len(self.endogenous)
        fit, own = structural.fit, structural.uncertainty
        undefined = self.settings.covariance == "classical" or len(own.clusters) > 1
        if not excess or undefined or self._is_exact(fit):
            return None
        exogenous = self.exogenous[np.isin(self.exogenous, fit.kept)]
        used = np.concatenate((self.endogenous, exogenous))
        columns = np.concatenate(
            (self.variables.outcome[None, :], self.variables.regressors[used], self.instruments)
        )
        if self.effects:
            columns = absorb(self.effects, self.weights).sweep(columns)
        y, x, z = np.split(columns, [1, 1 + len(used)])
        z = np.concatenate((z, x[len(self.endogenous) :]))
        z /= np.sqrt(np.einsum("kn,kn->k", z, z))[:, None]
        weighted = z if self.weights is None else z * self.weights
        scores = weighted * fit.residuals
        if not isinstance(own.kind, str):
            spread = own.kind.meat(scores)
        else:
            summed = own.clusters[0].total(scores) if own.kind.startswith("CR") else scores
            spread = summed @ summed.T
        question = "All instruments are exogenous (Hansen)"
        if np.linalg.matrix_rank(spread, hermitian=True) < len(z):
            why = "clusters are too few to measure all moments"
            return JointTest(question, np.nan, excess, np.nan, note=why)
        statistic = efficient_minimum(weighted @ x.T, weighted @ y[0], spread)
        return JointTest(question, statistic, excess, float(special.chdtrc(excess, statistic)))

    def _wu_hausman(self) -> JointTest:
        """Test by an F test whether first-stage residuals enter the outcome equation."""
        residuals = [
            self._on_instruments(self.variables.regressors[j], "classical").fit.residuals
            for j in self.endogenous
        ]
        names = [f"residual {j}" for j in range(len(residuals))]
        plain = self._regress(
            self.variables.outcome, self.variables.regressors, self.variables.names, "classical"
        ).fit
        wide = self._regress(
            self.variables.outcome,
            np.concatenate((self.variables.regressors, residuals)),
            (*self.variables.names, *names),
            "classical",
        ).fit
        m = len(residuals)
        question = "Regressors called endogenous are exogenous (Wu-Hausman F)"
        if wide.df_residual <= 0 or self._is_exact(wide):
            return JointTest(question, np.nan, m, np.nan, note="the regression leaves no error")
        statistic = (plain.rss - wide.rss) / m / wide.sigma2
        p_value = float(special.fdtrc(m, wide.df_residual, statistic))
        return JointTest(question, statistic, m, p_value, float(wide.df_residual))

    def _anderson_rubin(self, value: float) -> JointTest:
        q = len(self.instruments)
        column = self.variables.regressors[self.endogenous[0]]
        reduced = self._on_instruments(self.variables.outcome - value * column)
        statistic, rank, p_value = joint_wald(
            reduced.coefficients[:q],
            reduced.uncertainty.covariance()[:q, :q],
            df=reduced.uncertainty.df,
        )
        question = f"The coefficient is {value:g} (Anderson-Rubin)"
        return JointTest(question, statistic, rank, p_value, reduced.uncertainty.df)

    def _anderson_rubin_set(self, structural: Regression, level: float = 0.95) -> AcceptedValues:
        """Invert the Anderson-Rubin test: its covariance is quadratic in the tested value."""
        q = len(self.instruments)
        y = self.variables.outcome
        x = self.variables.regressors[self.endogenous[0]]
        estimate = float(structural.fit.coefficients[0])
        width = float(np.sqrt(structural.uncertainty.variances()[self.endogenous[0]])) or 1.0
        fits = [self._on_instruments(y - (estimate + s * width) * x) for s in (0.0, 1.0, -1.0)]
        slopes = [fit.coefficients[:q] for fit in fits]
        at, plus, minus = (fit.uncertainty.covariance()[:q, :q] for fit in fits)
        slope = slopes[1] - slopes[0]
        linear, curved = (plus - minus) / 2, (plus + minus) / 2 - at

        def spread(value: float) -> Floats:
            return np.asarray(at + value * linear + value**2 * curved)

        def statistic(value: float) -> float:
            apart = slopes[0] + value * slope
            return float(apart @ np.linalg.solve(spread(value), apart))

        df = fits[0].uncertainty.df
        critical = float(special.chdtri(q, 1 - level))
        if df is not None:
            critical = q * float(special.fdtri(q, df, level))
        found = quadratic_set(
            statistic, 2 * q, 0.0, 1.0, critical, lambda v: float(np.linalg.det(spread(v)))
        )
        ends = tuple((estimate + low * width, estimate + high * width) for low, high in found)
        return AcceptedValues(level, ends)
