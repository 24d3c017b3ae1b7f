"""Formulas as economists write them, read into a panel and the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from impact.errors import PanelError, listing, near, plural
from impact.panel import Panel

__all__ = ["Model", "read_formula"]


@dataclass(frozen=True, eq=False)
class Model:
    """What a formula says: a panel with its columns, and which is what.

    Parameters
    ----------
    panel : the frame's panel with the formula's columns added
    outcome : column
    covariates : columns, endogenous ones included
    effects : fixed effects, for FixedEffects; empty for an intercept
    endogenous, instruments : columns, for PanelIV
    """

    panel: Panel
    outcome: str
    covariates: tuple[str, ...]
    effects: tuple[str, ...] = ()
    endogenous: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()


def read_formula(formula: str, frame: pd.DataFrame, *, unit: str, time: str) -> Model:
    """Read ``outcome ~ regressors | effects | endogenous ~ instruments``.

    Parameters
    ----------
    formula : parts after the first may be left out; effects are "+"-separated columns, crossed as
        "a^b", "0" for none. Terms are formulaic's, such as ``log(x)``, ``x:z``, ``x**2`` in
        ``I()``, and besides ``i(x)`` or ``i(x, ref=v)`` for dummies named "x::level",
        ``lag(x, k)`` and ``lead(x, k)``, which look k periods back or ahead within the unit
    frame : one row a unit and period
    unit, time : columns

    Raises
    ------
    PanelError : the formula cannot be read, names an unknown column, or a lag that no unit has

    Notes
    -----
    Lags respect gaps: the value k steps away, missing if that period is not observed, where a
    step is the smallest distance between two of the panel's periods.

    Example
    -------
    >>> frame = pd.DataFrame({"firm": [1, 1], "year": [1, 2], "jobs": [3, 4], "x": [0, 1]})
    >>> read_formula("log(jobs) ~ x | firm", frame, unit="firm", time="year").outcome
    'log(jobs)'
    """
    parts = [part.strip() for part in formula.split("|")]
    if parts[0].count("~") != 1 or len(parts) > 3:
        raise PanelError(
            f"the formula {formula!r} is not outcome ~ regressors | effects | endogenous ~ "
            "instruments. Write one ~ in the first part and at most two |."
        )
    left, right = (side.strip() for side in parts[0].split("~"))
    effects = next((part for part in parts[1:] if "~" not in part), "0")
    excluded = next((part for part in parts[1:] if "~" in part), "")
    panel = Panel(frame, unit=unit, time=time)
    reader = _Reader(panel, formula)
    outcome = reader.columns(left)
    covariates = reader.columns(right)
    endogenous, instruments = (
        (reader.columns(side) for side in excluded.split("~")) if excluded else ({}, {})
    )
    if len(outcome) != 1:
        raise PanelError(
            f"the formula's outcome {left!r} makes {plural(len(outcome), 'column')}; it "
            "must be one."
        )
    added = {**outcome, **covariates, **endogenous, **instruments}
    fresh = {name: values for name, values in added.items() if name not in frame.columns}
    wide = pd.concat([frame, pd.DataFrame(fresh, index=frame.index)], axis=1)
    names = [name.strip() for name in effects.split("+") if name.strip() not in ("", "0")]
    return Model(
        Panel(wide, unit=unit, time=time),
        next(iter(outcome)),
        (*endogenous, *(name for name in covariates if name not in endogenous)),
        tuple(names),
        tuple(endogenous),
        tuple(instruments),
    )


@dataclass(frozen=True, eq=False)
class _Reader:
    """Evaluates the terms of one formula on a panel's frame."""

    panel: Panel
    formula: str

    def columns(self, terms: str) -> dict[str, pd.Series]:
        """Return the columns that terms make, by name, without the intercept."""
        from formulaic import model_matrix  # type: ignore[import-untyped]
        from formulaic.errors import FormulaicError  # type: ignore[import-untyped]

        if terms.strip() in ("1", "0"):
            return {}
        written = re.sub(r"\bi\(\s*([\w.]+)\s*\)", r"C(\1)", terms)
        written = re.sub(
            r"\bi\(\s*([\w.]+)\s*,\s*ref\s*=\s*([^)]+)\)",
            r"C(\1, contr.treatment(base=\2))",
            written,
        )
        context = {"lag": self._shift(1), "lead": self._shift(-1)}
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                matrix = model_matrix(
                    written, self.panel.frame, na_action="ignore", context=context
                )
        except PanelError:
            raise
        except (FormulaicError, SyntaxError, ValueError, TypeError) as fault:
            cause = fault.__cause__ or fault
            if isinstance(cause, PanelError):
                raise cause from None
            self._refuse(terms)
        made = pd.DataFrame(matrix).drop(columns="Intercept", errors="ignore")
        return {_plain(str(name)): made[name].astype(np.float64) for name in made.columns}

    def _refuse(self, terms: str) -> None:
        names = re.findall(r"[A-Za-z_][\w.]*(?!\s*\()\b", terms)
        known = [str(column) for column in self.panel.frame.columns]
        unknown = [name for name in names if name not in known and name not in ("ref", "C", "I")]
        hint = f'; "{unknown[0]}" is no column. {near(unknown[0], known)}' if unknown else ". "
        raise PanelError(
            f"the terms {terms!r} of the formula {self.formula!r} cannot be read{hint}"
            f"Columns are: {listing(known, 12)}."
        )

    def _shift(self, sign: int) -> Callable[..., pd.Series]:
        """Return the function that looks ``by`` periods back (1) or ahead (-1)."""
        panel = self.panel
        step = int(np.diff(panel.periods).min()) if panel.n_periods > 1 else 1
        keys = pd.MultiIndex.from_frame(panel.frame[[panel.unit, panel.time]])

        def shift(values: pd.Series, by: int = 1) -> pd.Series:
            away = pd.MultiIndex.from_arrays(
                [panel.frame[panel.unit], panel.frame[panel.time] - sign * by * step]
            )
            found = pd.Series(np.asarray(values, dtype=np.float64), index=keys).reindex(away)
            if found.isna().all():
                raise PanelError(
                    f"no unit is observed {plural(abs(by), 'period')} "
                    f"{'before' if sign * by > 0 else 'after'} another of its periods, so the "
                    f"{'lag' if sign > 0 else 'lead'} has no value. Use a shorter one."
                )
            return pd.Series(found.to_numpy(), index=panel.frame.index)

        return shift


def _plain(name: str) -> str:
    """Write a dummy's name as fixest does: ``x::level``."""
    return re.sub(
        r"C\(([\w.]+)(?:, contr\.treatment\(base=[^)]*\))?\)\[T?\.?([^\]]*)\]", r"\1::\2", name
    )
