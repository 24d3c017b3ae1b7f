"""Instrumental variables on panel data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, EstimationError, InferenceError, listing, near, plural
from impact.estimators.base import NO_ANTICIPATION, TREATMENT_OR_COVARIATES, Requirement
from impact.estimators.parts.absorbed import AbsorbedEffects
from impact.estimators.parts.effects import effect_groups
from impact.estimators.parts.first_stage import Identification, first_stage_table, identification
from impact.estimators.parts.instrument_tests import (
    AcceptedValues,
    anderson_rubin_set,
    anderson_rubin_test,
    hansen_test,
    is_exact,
    sargan_test,
    wu_hausman_test,
)
from impact.estimators.parts.instrumented import Instrumented
from impact.estimators.parts.regression import Regression, RegressionEstimator, coefficient_result
from impact.estimators.parts.settings import column_names, whole_number
from impact.estimators.parts.variables import Variables, design_variables, difference, take_rows
from impact.kernels.groups import Groups, compact
from impact.result import Result

__all__ = ["AcceptedValues", "PanelIV"]

Floats = NDArray[np.float64]

WEAK = 10.0
"""F below which a note warns where no critical value exists (Staiger and Stock's rule of thumb)."""


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
    ``extra`` holds what a reader needs to trust the numbers. "first_stage" has one row an
    endogenous regressor: F under equal variances, the same with effects nested in clusters not
    counted as fixest prints it, Wald F with the chosen covariance, effective F with the value that
    keeps the bias of two-stage least squares below a tenth of its worst case, partial and Shea's
    R-squared, and with several endogenous regressors the conditional F of each. "identification"
    tests their rank: Kleibergen and Paap's LM test, their F and Cragg and Donald's, with Stock and
    Yogo's critical values where the covariance is classical, which alone makes them valid.
    "overidentification" is Sargan's test, "hansen" J (valid under the chosen covariance; None where
    that is classical or clusters on several columns), "exogeneity" Wu and Hausman's F.
    "anderson_rubin" tests that the coefficients of endogenous regressors are zero and, with one of
    them, "anderson_rubin_set" holds the values not rejected, both valid however weak the
    instruments. HC2, HC3, CR2, CR3 and the jackknife have no definition here and
    are refused. Rows with a missing instrument are left out and counted.

    Raises
    ------
    DesignError : an endogenous name that is no regressor, no instrument, an instrument that is a
        regressor, fewer instruments than endogenous regressors
    EstimationError : instruments that are constant or collinear within the effects

    Source
    ------
    Wooldridge (2010), chapters 5 and 11; Montiel Olea and Pflueger (2013), Journal of Business
    and Economic Statistics 31(3), for the effective F; Kleibergen and Paap (2006), Journal of
    Econometrics 133(1); Sanderson and Windmeijer (2016), Journal of Econometrics 190(2), for the
    conditional F; Anderson and Rubin (1949), Annals of Mathematical Statistics 20(1).
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
        problem = Instrumented(
            design, variables, z, effects, tuple(self.endogenous), tuple(self.instruments),
            self.method, self.covariance, self.convention,
        )  # fmt: skip
        regression = problem.structural()
        notes = [f"{plural(n_missing, 'row')} with a missing instrument left out."] * bool(
            n_missing
        )
        extra = _diagnostics(problem, regression)
        notes += _weakness(extra["first_stage"], extra["identification"])
        if self.span is None:
            extra["absorbed"] = AbsorbedEffects(tuple(self.effects), tuple(effects))
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


def _diagnostics(problem: Instrumented, structural: Regression) -> dict[str, Any]:
    """Return first stage, rank, overidentification, exogeneity and Anderson-Rubin."""
    result: dict[str, Any] = {
        "first_stage": first_stage_table(problem),
        "identification": identification(problem),
        "overidentification": sargan_test(problem, structural),
        "hansen": hansen_test(problem, structural),
        "exogeneity": wu_hausman_test(problem),
    }
    if is_exact(problem, structural.fit):
        return result
    result["anderson_rubin"] = anderson_rubin_test(problem)
    if len(problem.endogenous) == 1 and not result["anderson_rubin"].note:
        result["anderson_rubin_set"] = anderson_rubin_set(problem, structural)
    return result


def _weakness(first_stage: pd.DataFrame, found: Identification) -> list[str]:
    """Warn of instruments that are not known to be strong."""
    if len(first_stage) > 1:
        if not found.kleibergen_paap < WEAK:
            return []
        return [
            f"Instruments are weak: Kleibergen-Paap F {found.kleibergen_paap:.3g} for all "
            "endogenous regressors together. The usual intervals mislead."
        ]
    own = first_stage.iloc[0]
    if not own["effective_f"] < own["critical_effective_f"]:
        return []
    return [
        f"Instruments are weak: effective F {own['effective_f']:.3g}, where "
        f"{own['critical_effective_f']:.3g} would keep the bias of two-stage least squares below "
        "a tenth of its worst case. The usual intervals mislead; report the Anderson-Rubin set."
    ]
