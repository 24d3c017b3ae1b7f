"""Formulas as economists write them, read into a panel and the names of its columns."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    constant : whether there is an intercept where there are no effects; "0 +" or "- 1" leave it out
    """

    panel: Panel
    outcome: str
    covariates: tuple[str, ...]
    effects: tuple[str, ...] = ()
    endogenous: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    constant: bool = True


def read_formula(formula: str, frame: pd.DataFrame, *, unit: str, time: str) -> Model:
    """Read ``outcome ~ regressors | effects | endogenous ~ instruments``.

    Parameters
    ----------
    formula : parts after the first may be left out; effects are "+"-separated columns, crossed as
        "a^b", "0" for none. Terms are formulaic's, such as ``log(x)``, ``x:z``, ``x**2`` in
        ``I()``, and besides ``i(x)`` or ``i(x, ref=v)`` for dummies named "x::level",
        ``i(x, z)`` or ``i(x, z, ref=v)`` for the slope of a number z at each level, "x::level:z",
        ``lag(x, k)`` and ``lead(x, k)``, short ``l`` and ``f``, which look k periods back or ahead
        within the unit
    frame : one row a unit and period
    unit, time : columns

    Raises
    ------
    PanelError : the formula cannot be read, names an unknown column, or a lag that no unit has

    Notes
    -----
    A row without a level (a missing region) has no dummies and is left out, as one without a number.

    Lags respect gaps: the value k steps away, missing if that period is not observed, where a
    step is the smallest distance between two of the panel's periods.

    Example
    -------
    >>> frame = pd.DataFrame({"firm": [1, 1], "year": [1, 2], "jobs": [3, 4], "x": [0, 1]})
    >>> read_formula("log(jobs) ~ x | firm", frame, unit="firm", time="year").outcome
    'log(jobs)'
    """
    left, right, effects, excluded = _split(formula)
    panel = Panel(frame, unit=unit, time=time)
    reader = _Reader(panel, formula)
    outcome = reader.columns(left)
    covariates = reader.columns(right)
    endogenous, instruments = (
        (reader.columns(side) for side in excluded.split("~")) if excluded else ({}, {})
    )
    if left in frame.columns and not pd.api.types.is_numeric_dtype(frame[left]):
        raise PanelError(
            f'the outcome "{left}" holds {frame[left].dtype} values where numbers belong. Convert '
            f'it, for instance frame["{left}"] = pd.to_numeric(frame["{left}"]).'
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
        reader.has_constant(right),
    )


def _split(formula: str) -> tuple[str, str, str, str]:
    """Return outcome, regressors, effects ("0" for none), and "endogenous ~ instruments" or ""."""
    if not isinstance(formula, str):
        raise PanelError(f"a formula is a text, such as 'y ~ x | unit'; it was {formula!r}.")
    first, *others = [part.strip() for part in formula.split("|")]
    effects = [part for part in others if "~" not in part]
    excluded = [part for part in others if "~" in part]
    fits = first.count("~") == 1 and len(effects) < 2 and len(excluded) < 2 and all(others)
    if not fits or any(part.count("~") > 1 for part in excluded):
        raise PanelError(
            f"the formula {formula!r} is not outcome ~ regressors | effects | endogenous ~ "
            'instruments. Write one ~ in the first part and in the last, effects with "+" in one '
            "part, and leave out parts that are empty."
        )
    left, right = (side.strip() for side in first.split("~"))
    return left, right, "".join(effects) or "0", "".join(excluded)


@dataclass(frozen=True, eq=False)
class _Reader:
    """Evaluates the terms of one formula on a panel's frame."""

    panel: Panel
    formula: str

    def columns(self, terms: str) -> dict[str, pd.Series]:
        """Return the columns that terms make, by name, without the intercept."""
        if terms.strip() in ("1", "0", "-1"):
            return {}
        made = self._matrix(terms).drop(columns="Intercept", errors="ignore")
        return {_plain(str(name)): made[name].astype(np.float64) for name in made.columns}

    def has_constant(self, terms: str) -> bool:
        """Whether terms hold an intercept."""
        if terms.strip() in ("0", "-1"):
            return False
        return terms.strip() == "1" or "Intercept" in self._matrix(terms).columns

    def _matrix(self, terms: str) -> pd.DataFrame:
        """Evaluate terms, the intercept included."""
        from formulaic import model_matrix  # type: ignore[import-untyped]
        from formulaic.errors import FormulaicError  # type: ignore[import-untyped]

        power = re.search(r"[\w.]+\s*(\^|\*\*)\s*\d", _outside_parentheses(terms))
        if power:
            raise PanelError(
                f"{power[0]!r} in the formula {self.formula!r} is no power: outside I() it crosses "
                "terms with themselves. Write I(x**2)."
            )
        written = re.sub(
            r"\bi\(\s*([\w.]+)\s*,\s*(?!ref\s*=)([\w.]+)\s*(?=[,)])",
            r"level_slopes('\1', '\2'",
            terms,
        )
        written = re.sub(r"\bi\(\s*([\w.]+)\s*\)", r"C(\1)", written)
        written = re.sub(
            r"\bi\(\s*([\w.]+)\s*,\s*ref\s*=\s*([^)]+)\)",
            r"C(\1, contr.treatment(base=\2))",
            written,
        )
        lag, lead = self._shift(1), self._shift(-1)
        context = {"lag": lag, "l": lag, "lead": lead, "f": lead, "level_slopes": self._slopes}
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
        return self._without_levels_unknown(pd.DataFrame(matrix), matrix.model_spec)

    def _without_levels_unknown(self, made: pd.DataFrame, spec: Any) -> pd.DataFrame:
        """Set dummies to missing where their column is: such a row is not of the first level."""
        missing = {str(factor): self._is_missing(str(factor)) for factor in spec.factor_contrasts}
        for term, places in spec.term_indices.items():
            for factor in map(str, term.factors):
                if factor in missing and missing[factor].any():
                    made = made.astype({made.columns[place]: np.float64 for place in places})
                    made.iloc[np.flatnonzero(missing[factor]), places] = np.nan
        return made

    def _is_missing(self, factor: str) -> NDArray[np.bool_]:
        """Tell in which rows a factor, such as ``region`` or ``C(lag(size))``, has no value."""
        frame, inside = self.panel.frame, factor
        if quoted := re.match(r"C\(`([^`]+)`[,)]", factor):
            inside = quoted[1]
        elif factor.startswith("C("):
            call = ast.parse(factor, mode="eval").body
            inside = ast.unparse(call.args[0]) if isinstance(call, ast.Call) else factor
        if inside in frame.columns:
            return np.asarray(frame[inside].isna())
        (values,) = self.columns(f"I({inside})").values()
        return np.asarray(values.isna())

    def _refuse(self, terms: str) -> None:
        names = re.findall(r"[A-Za-z_][\w.]*(?!\s*\()\b", terms)
        known = [str(column) for column in self.panel.frame.columns]
        unknown = [name for name in names if name not in known and name not in ("ref", "C", "I")]
        hint = f'; "{unknown[0]}" is no column. {near(unknown[0], known)}' if unknown else ". "
        raise PanelError(
            f"the terms {terms!r} of the formula {self.formula!r} cannot be read{hint}"
            f"Columns are: {listing(known, 12)}."
        )

    def _slopes(self, name: str, by: str, ref: object = None) -> pd.DataFrame:
        """Return a number's columns by level of another column, one level left out if named."""
        frame = self.panel.frame
        unknown = [column for column in (name, by) if column not in frame.columns]
        if unknown:
            raise PanelError(
                f'"{unknown[0]}" in i({name}, {by}) is no column. '
                f"{near(unknown[0], map(str, frame.columns))}"
            )
        if not pd.api.types.is_numeric_dtype(frame[by]):
            raise PanelError(
                f'i({name}, {by}) takes slopes of a number; "{by}" holds {frame[by].dtype}. Write '
                f"C({name}):C({by}) to cross two factors."
            )
        levels = sorted(frame[name].dropna().unique())
        if ref is not None and ref not in levels:
            raise PanelError(
                f'i({name}, {by}, ref={ref!r}): "{name}" never is {ref!r}. Its levels are '
                f"{listing(levels, 8)}."
            )
        known = frame[by].astype(np.float64).where(frame[name].notna())
        return pd.DataFrame(
            {f"{name}::{v}:{by}": known * (frame[name] == v) for v in levels if v != ref}
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


def _outside_parentheses(terms: str) -> str:
    """Return terms without what stands in parentheses, nested ones too."""
    shorter = re.sub(r"\([^()]*\)", "", terms)
    return terms if shorter == terms else _outside_parentheses(shorter)


def _plain(name: str) -> str:
    """Write names as fixest does: ``x::level``, ``x::level:z``."""
    name = re.sub(r"level_slopes\([^)]*\)\[([^\]]*)\]", r"\1", name)
    return re.sub(
        r"C\(([\w.]+)(?:, contr\.treatment\(base=[^)]*\))?\)\[T?\.?([^\]]*)\]", r"\1::\2", name
    )
