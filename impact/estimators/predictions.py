"""Fitted values, residuals and recovered fixed effects of regressions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact import tables
from impact.errors import DesignError, listing, near, plural
from impact.estimators.parts.absorbed import AbsorbedEffects, require
from impact.estimators.parts.regression import Regression
from impact.kernels.absorb import Absorber, absorb
from impact.kernels.poisson import PoissonFit
from impact.kernels.recovered import Recovered, linked_parts, recover
from impact.result import Result

__all__ = ["RecoveredEffects", "fixed_effects", "predict"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Texts = NDArray[np.object_]

FREE = 1e-6
"""Change of a sum of effects, in units of a random change that fits the rows, that is rounding."""


@dataclass(frozen=True, eq=False)
class RecoveredEffects:
    """Estimated fixed effects of a regression.

    Parameters
    ----------
    table : one row a level: effect, level, estimate, n_rows, and a column "slope of x" for each
        variable with slopes
    notes : the normalisation, and what the rows do not determine
    n_references : levels and slopes set to fix the others, as fixest's ``fixef`` counts them
    """

    table: pd.DataFrame
    notes: tuple[str, ...]
    n_references: int

    def __getitem__(self, effect: str) -> pd.Series:
        """Return one effect's estimates, indexed by level."""
        names = list(self.table["effect"].unique())
        if effect not in names:
            raise DesignError(
                f'there is no fixed effect "{effect}". {near(effect, names)}'
                f"The regression absorbs {listing(names)}."
            )
        own = self.table[self.table["effect"] == effect]
        return own.set_index("level")["estimate"].rename(effect)

    def __repr__(self) -> str:
        return "\n".join([tables.to_text(self.table), "", *self.notes])


def fixed_effects(result: Result) -> RecoveredEffects:
    r"""Recover the fixed effects that a regression absorbed.

    Returns
    -------
    RecoveredEffects : the exact solution of :math:`\hat\alpha_i + \hat\lambda_t + \dots =
        y_{it} - x_{it}'\hat\beta - \hat u_{it}`; for Poisson regressions in the logarithm of the
        mean

    Raises
    ------
    DesignError : the result is of no regression with absorbed effects, or several have slopes

    Notes
    -----
    Only sums and differences are determined. The first effect named holds the level; each other
    effect is zero at its first level, with two effects at the first level of each part of the
    panel that no unit links to the others. Where rows determine still less, the notes say how
    many values are set. An effect constant within the groups of another is zero throughout.

    Source
    ------
    Abowd, Creecy and Kramarz (2002), for what two effects determine.
    """
    fitted = _Fitted.of(result)
    absorbed = fitted.absorbed
    if not absorbed.names:
        raise DesignError(
            f"{result.estimator} absorbed no fixed effects, so none can be recovered. Name them "
            'with FixedEffects(effects=("unit", "time")).'
        )
    fitted.refuse_several_slopes()
    found, sentences = _normalised(fitted, fitted.recovered())
    pieces = []
    for j, name in enumerate(absorbed.names):
        levels = absorbed.levels(result.design, fitted.positions, j)
        piece = pd.DataFrame(
            {
                "effect": name,
                "level": pd.Series(list(levels), dtype=object),
                "estimate": found.intercepts[j],
                "n_rows": absorbed.groups[j].counts,
            }
        )
        if not j:
            for variable, slope in zip(absorbed.slope_names, found.slopes, strict=True):
                piece[f"slope of {variable}"] = slope
        pieces.append(piece)
    table = pd.concat(pieces, ignore_index=True)
    return RecoveredEffects(table, sentences, fitted.n_references)


def predict(result: Result, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    r"""Return fitted values, of the rows that were fitted or of others.

    Parameters
    ----------
    result : of PooledOLS, FixedEffects, PanelIV (without ``span``) or PoissonFixedEffects
    frame : rows with the columns of regressors and effects; None for the rows of the fit

    Returns
    -------
    DataFrame : for the rows of the fit the unit, the period, outcome, fitted and residual, in
        order of unit and period; for other rows, indexed as they are, fitted and note. Fitted is
        :math:`x'\hat\beta` plus the effects; its exponential for Poisson regressions

    Raises
    ------
    DesignError : an estimator without such fitted values, rows that lack a column, other rows where
        several effects have slopes

    Notes
    -----
    A row with a missing regressor, with a level of an effect that the fit does not have, or with
    levels whose sum the fit does not determine (of parts of the panel that nothing links) is NaN
    with the reason in ``note``.
    """
    fitted = _Fitted.of(result)
    if frame is None:
        return fitted.own_rows()
    if not isinstance(frame, pd.DataFrame):
        raise DesignError(
            f"predict takes the rows to predict as a pandas DataFrame; this is a "
            f"{type(frame).__name__}."
        )
    fitted.refuse_several_slopes()
    return fitted.other_rows(frame)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A regression with what is needed to rebuild its fitted values."""

    result: Result
    regression: Regression
    absorbed: AbsorbedEffects
    offset: str | None

    @classmethod
    def of(cls, result: Result) -> _Fitted:
        """Take them from a result, or refuse it."""
        absorbed = result.extra.get("absorbed") if isinstance(result, Result) else None
        regression = result.extra.get("regression") if absorbed is not None else None
        if not isinstance(absorbed, AbsorbedEffects) or not isinstance(regression, Regression):
            name = result.estimator if isinstance(result, Result) else type(result).__name__
            raise DesignError(
                f"{name} has no fitted values in levels. Results of PooledOLS, FixedEffects, "
                "PanelIV without span= and PoissonFixedEffects, fitted in memory, have."
            )
        exposure = result.settings.get("exposure")
        return cls(result, regression, absorbed, None if exposure is None else str(exposure))

    @property
    def positions(self) -> Integers | None:
        return self.regression.variables.rows.positions

    @property
    def is_poisson(self) -> bool:
        return isinstance(self.regression.fit, PoissonFit)

    @property
    def linear(self) -> Floats:
        """Linear part of the fit, effects and offset included, shape (n,)."""
        fit = self.regression.fit
        if isinstance(fit, PoissonFit):
            return fit.linear
        return self.regression.variables.outcome - fit.residuals

    @property
    def absorber(self) -> Absorber:
        own = self.absorbed
        if self.regression.absorber is not None:
            return self.regression.absorber
        return absorb(own.groups, self.regression.variables.rows.weights, own.slopes)

    @property
    def n_references(self) -> int:
        own = self.absorbed
        slopes = len(own.slope_names) * own.groups[0].size
        return sum(group.size for group in own.groups) + slopes - self.absorber.rank

    @property
    def coefficients(self) -> Floats:
        """Coefficients of all regressors, zero for those without."""
        return np.nan_to_num(self.regression.coefficients)

    def refuse_several_slopes(self) -> None:
        """Refuse effects that are not recovered."""
        if self.absorbed.several_slopes:
            raise DesignError(
                f"{self.result.estimator} absorbed slopes of several effects, whose values are not "
                "recovered: predict(result) gives the fitted values of its own rows only. Give "
                "slopes to one effect for more."
            )

    def recovered(self) -> Recovered:
        """Solve for the effects, free levels zero."""
        own, regressors = self.absorbed, self.regression.variables.regressors
        part = self.linear - self.coefficients[: len(regressors)] @ regressors
        if self.offset is not None:
            exposure = self.result.design.sample.numeric(self.offset)
            part = part - np.log(exposure if self.positions is None else exposure[self.positions])
        return recover(part, own.groups, self.absorber, own.slopes)

    def own_rows(self) -> pd.DataFrame:
        """Return outcome, fitted value and residual of the rows of the fit."""
        variables, design = self.regression.variables, self.result.design
        every = slice(None) if self.positions is None else self.positions
        sample = design.sample
        fitted = np.exp(self.linear) if self.is_poisson else self.linear
        return pd.DataFrame(
            {
                design.panel.unit: sample.units[sample.unit_codes[every]],
                design.panel.time: sample.periods[sample.time_codes[every]],
                "outcome": variables.outcome,
                "fitted": fitted,
                "residual": variables.outcome - fitted,
            }
        )

    def other_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict rows that need not have been fitted."""
        names = self.regression.variables.names
        total, notes = np.zeros(len(frame)), np.full(len(frame), "", dtype=object)
        for name, coefficient in zip(names, self.regression.coefficients, strict=True):
            if name == "constant" and name not in frame.columns:
                total += coefficient
            elif not np.isnan(coefficient):
                total += coefficient * self._column(frame, name, "a regressor", notes)
        if self.offset is not None:
            exposure = self._column(frame, self.offset, "the exposure", notes)
            _note(notes, ~(exposure > 0), f'"{self.offset}" is not positive')
            total += np.log(np.where(exposure > 0, exposure, 1.0))
        if self.absorbed.names:
            total += self._effects(frame, notes)
        fitted = np.where(notes == "", np.exp(total) if self.is_poisson else total, np.nan)
        self._tell_redundant(notes)
        return pd.DataFrame({"fitted": fitted, "note": notes}, index=frame.index)

    def _effects(self, frame: pd.DataFrame, notes: Texts) -> Floats:
        """Sum the effects of rows; note levels that are unknown or not determined."""
        own, design = self.absorbed, self.result.design
        codes = []
        for j, name in enumerate(own.names):
            levels = own.levels(design, self.positions, j)
            found = own.codes(design, frame, j, levels)
            _note(notes, found < 0, f'its level of "{name}" is not in the fit')
            codes.append(np.maximum(found, 0))
        variables = np.empty((len(own.slope_names), len(frame)))
        for row, name in zip(variables, own.slope_names, strict=True):
            row[:] = self._slope(frame, name, notes)
        free = self._free_change().at(codes, variables)
        _note(notes, ~(np.abs(free) < FREE), "the fit does not determine the sum of its effects")
        return self.recovered().at(codes, variables)

    def _free_change(self) -> Recovered:
        """Return a random change of the effects that no row of the fit notices."""
        own, rng = self.absorbed, np.random.default_rng(0)
        drawn = tuple(rng.normal(size=group.size) for group in own.groups)
        size = own.groups[0].size if own.slope_names else 0
        slopes = rng.normal(size=(len(own.slope_names), size))
        any_change = Recovered(drawn, slopes)
        rows = np.zeros((0, 0)) if own.slopes is None else own.slopes
        part = any_change.at([group.codes for group in own.groups], rows)
        solved = recover(part, own.groups, self.absorber, own.slopes)
        kept = zip(drawn, solved.intercepts, strict=True)
        return Recovered(tuple(a - b for a, b in kept), slopes - solved.slopes)

    def _slope(self, frame: pd.DataFrame, name: str, notes: Texts) -> Floats:
        design = self.result.design
        if name not in ("time", design.panel.time):
            return self._column(frame, name, "a variable with slopes", notes)
        periods = self._column(frame, design.panel.time, "the period", notes)
        return np.asarray(periods - float(design.periods[0]))

    def _column(self, frame: pd.DataFrame, name: str, role: str, notes: Texts) -> Floats:
        """Take a column as numbers, noting rows without one."""
        require(frame, name, role)
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise DesignError(
                f'"{name}" of the rows to predict holds {frame[name].dtype} values where numbers '
                "belong."
            )
        values: Floats = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        missing = ~np.isfinite(values)
        _note(notes, missing, f'"{name}" is missing or infinite')
        return np.where(missing, 0.0, values)

    def _tell_redundant(self, notes: Texts) -> None:
        names = self.regression.variables.names
        lost = [names[r.column] for r in self.regression.fit.redundant]
        if lost:
            _note(notes, notes == "", f"holds if {listing(lost)} is as other regressors imply")


def _note(notes: Texts, rows: NDArray[np.bool_], reason: str) -> None:
    """Give a reason to rows that have none."""
    notes[rows & (notes == "")] = reason


def _normalised(fitted: _Fitted, found: Recovered) -> tuple[Recovered, tuple[str, ...]]:
    """Set the first level of each effect but the first to zero, and say so."""
    own = fitted.absorbed
    intercepts = [values.copy() for values in found.intercepts]
    first = own.names[0]
    expected = len(own.names) - 1
    notes = [f'"{first}" holds the level.']
    if expected:
        rest = listing([f'"{name}"' for name in own.names[1:]])
        each = "is zero at its" if expected == 1 else "are zero at their"
        notes = [f'"{first}" holds the level; {rest} {each} first level.']
    if len(own.names) == 2 and own.slopes is None:
        parts = linked_parts(own.groups[0], own.groups[1])
        start = np.array([np.flatnonzero(parts == part)[0] for part in np.unique(parts)])
        shift = intercepts[1][start]
        intercepts[1] -= shift[parts]
        of_unit = np.empty(own.groups[0].size, dtype=np.int64)
        of_unit[own.groups[0].codes] = parts[own.groups[1].codes]
        intercepts[0] += shift[of_unit]
        expected = len(shift)
        if expected > 1:
            notes.append(
                f"The rows fall into {expected} parts that share no level: effects are measured "
                "from the first level of each, and those of different parts cannot be compared."
            )
    else:
        for values in intercepts[1:]:
            intercepts[0] += values[0]
            values -= values[0]
    beyond = fitted.n_references - expected
    if beyond > 0:
        notes.append(
            f"The rows leave another {plural(beyond, 'value')} open, set here: only sums over all "
            "effects can be read, and differences between levels that the rows compare."
        )
    return Recovered(tuple(intercepts), found.slopes), tuple(notes)
