"""Formulas read: the panel with their columns, and which is what."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import PanelError, listing, near, plural
from impact.formula.columns import Words
from impact.formula.text import plain_text, replace_calls, split, split_effects
from impact.formula.words import SHIFTS, refuse_calls, refuse_words, rewrite, shift_calls
from impact.panel import Panel

__all__ = ["Model", "composed", "read_formula"]

Booleans = NDArray[np.bool_]

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
HIDDEN = (*SHIFTS, "i", "C", "I", "log", "exp", "poly", "bs", "scale", "center", "sqrt")
"""Functions that a column of the same name hides."""


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
    formula : the outcome is a column or an expression such as ``f(y, 2) - l(y)``; parts after
        the first may be left out; effects are "+"-separated columns, crossed as
        "a^b", with slopes as "a[x]", "0" for none. Terms are formulaic's, such as ``log(x)``,
        ``x:z``, ``I(x**2)``, ``poly(x, 2)``, ``bs(x, df=4)``, names with blanks in backticks, and
        besides ``i(x)`` for dummies named "x::level", ``i(x, z)`` for the slope of a number z at
        each level, "x::level:z", either with ``ref=`` for levels left out and ``keep=`` for
        levels kept, ``lag(x, k)`` and ``lead(x, k)``, short ``l`` and ``f``, which look k periods
        back or ahead within the unit, and ``d(x, k)``, the change since then; ``l(x, 1:3)`` has a
        column each
    frame : one row a unit and period
    unit, time : columns

    Raises
    ------
    PanelError : the formula cannot be read, names an unknown column, or a lag that no unit has

    Notes
    -----
    Lags respect gaps: the value k steps away, missing if that period is not observed, where a
    step is the smallest distance between two of the panel's periods. A row that lacks a column of
    the formula lacks all its terms, dummies and comparisons included. Names are compared with
    accents composed (Unicode NFC), and the panel's columns are named so.

    Example
    -------
    >>> frame = pd.DataFrame({"firm": [1, 1], "year": [1, 2], "jobs": [3, 4], "x": [0, 1]})
    >>> read_formula("log(jobs) ~ x | firm", frame, unit="firm", time="year").outcome
    'log(jobs)'
    """
    left, right, effects, excluded = _split(composed(formula))
    if not isinstance(frame, pd.DataFrame):
        raise PanelError(f"a formula is read on a DataFrame; this is a {type(frame).__name__}.")
    frame = _numbers(frame.rename(columns=composed))
    keys = {"unit": composed(unit), "time": composed(time)}
    reader = _Reader(Panel(frame, **keys), formula)
    _check_outcome(left, frame)
    refuse_calls(effects, formula)
    outcome, covariates = reader.read(_as_arithmetic(left)), reader.read(right)
    endogenous, instruments = (reader.read(side) for side in split(excluded, "~"))
    if len(outcome.columns) != 1:
        raise PanelError(
            f"the formula's outcome {left!r} makes {plural(len(outcome.columns), 'column')}; it "
            "must be one."
        )
    twice = [name for name in endogenous.columns if name in covariates.columns]
    if twice:
        raise PanelError(
            f'"{twice[0]}" stands among the regressors of {formula!r} and, as endogenous, before '
            "its instruments. Name it in the last part only."
        )
    parts = (outcome, endogenous, covariates, instruments)
    added = {name: values for part in parts for name, values in part.columns.items()}
    fresh = {name: values for name, values in added.items() if _is_new(name, values, frame)}
    wide = pd.concat([frame, pd.DataFrame(fresh, index=frame.index)], axis=1)
    return Model(
        Panel(wide, **keys),
        next(iter(outcome.columns)),
        (*endogenous.columns, *covariates.columns),
        tuple(split_effects(effects)),
        tuple(endogenous.columns),
        tuple(instruments.columns),
        covariates.has_constant,
    )


def composed(name: str) -> str:
    """Write accents as one letter each (NFC), so that names typed and names in files agree."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Take columns of dtype object that hold numbers only as numbers, not as levels."""
    changed = {}
    for name in frame.columns[[dtype is np.dtype(object) for dtype in frame.dtypes]]:
        values = frame[name].dropna()
        if len(values) and values.map(lambda v: isinstance(v, (int, float, np.number))).all():
            changed[name] = frame[name].astype(np.float64)
    return frame.assign(**changed) if changed else frame


def _check_outcome(left: str, frame: pd.DataFrame) -> None:
    if re.match(r"c\s*\(", left):
        raise PanelError(
            f"the outcome {left!r} names several columns. Fit a formula for each and put the "
            "results side by side with compare."
        )
    if left in frame.columns and not pd.api.types.is_numeric_dtype(frame[left]):
        raise PanelError(
            f'the outcome "{left}" holds {frame[left].dtype} values where numbers belong. Convert '
            f'it, for instance frame["{left}"] = pd.to_numeric(frame["{left}"]).'
        )


def _as_arithmetic(left: str) -> str:
    """Write an outcome such as ``f(y, 2) - l(y)`` so that its signs are arithmetic, as in R."""
    return f"I({left})" if re.search(r"[-+*/^]", plain_text(left)) else left


def _is_new(name: str, values: pd.Series, frame: pd.DataFrame) -> bool:
    """Tell whether the frame lacks a column; refuse one that says something else."""
    if name not in frame.columns:
        return True
    known = frame[name]
    number = pd.api.types.is_numeric_dtype(known) or known.dtype == object
    own = pd.to_numeric(known, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    stated = values.to_numpy()
    same = ~np.isnan(stated) & ~np.isnan(own)
    if not number or not np.array_equal(own[same], stated[same]):
        raise PanelError(
            f"the formula's term {name!r} has the name of a column of the frame that holds other "
            "values. Rename that column, or write its name in backticks if it is meant."
        )
    return False


def _split(formula: str) -> tuple[str, str, str, str]:
    """Return outcome, regressors, effects ("0" for none), and "endogenous ~ instruments" or ""."""
    if not isinstance(formula, str):
        raise PanelError(f"a formula is a text, such as 'y ~ x | unit'; it was {formula!r}.")
    first, *others = split(formula, "|")
    effects = [part for part in others if len(split(part, "~")) == 1]
    excluded = [part for part in others if len(split(part, "~")) > 1]
    fits = len(split(first, "~")) == 2 and len(effects) < 2 and len(excluded) < 2 and all(others)
    if not fits or any(len(split(part, "~")) > 2 for part in excluded):
        raise PanelError(
            f"the formula {formula!r} is not outcome ~ regressors | effects | endogenous ~ "
            'instruments. Write one ~ in the first part and in the last, effects with "+" in one '
            "part, and leave out parts that are empty."
        )
    left, right = split(first, "~")
    return left, right, "".join(effects) or "0", "".join(excluded) or "0 ~ 0"


@dataclass(frozen=True)
class _Terms:
    """The columns that terms make, by name, without the intercept, and whether they have one."""

    columns: dict[str, pd.Series]
    has_constant: bool


@dataclass(frozen=True, eq=False)
class _Reader:
    """Evaluates the terms of one formula on a panel's frame."""

    panel: Panel
    formula: str

    def read(self, terms: str) -> _Terms:
        """Evaluate terms; rows that lack one of their columns are missing in all."""
        if terms in ("", "1", "0", "-1"):
            return _Terms({}, terms in ("", "1"))
        refuse_words(terms, self.formula)
        matrix, missing = self._matrix(terms)
        columns = {
            _plain(str(name)): matrix[name].astype(np.float64).mask(missing[name])
            for name in matrix.columns.drop("Intercept", errors="ignore")
        }
        return _Terms(columns, "Intercept" in matrix.columns)

    def _matrix(self, terms: str) -> tuple[pd.DataFrame, dict[str, Booleans]]:
        """Return the terms evaluated, intercept included, and the rows that each column lacks."""
        matrix = self._evaluate(rewrite(terms), terms)
        spec = matrix.model_spec
        missing: dict[str, Booleans] = {}
        lacking = {str(f): self._lacking(str(f), v) for f, v in spec.factor_variables.items()}
        for term, places in spec.term_indices.items():
            masks = [lacking[str(factor)] for factor in spec.term_factors[term]]
            mask = np.logical_or.reduce([np.zeros(len(matrix), dtype=np.bool_), *masks])
            missing |= {matrix.columns[place]: mask for place in places}
        return pd.DataFrame(matrix), missing

    def _lacking(self, factor: str, variables: Iterable[object]) -> Booleans:
        """Mark rows for which a factor lacks a column, or the lag of one, whatever it makes of it.

        A dummy or a comparison of what is missing would else be zero.
        """
        frame, shifts = self.panel.frame, shift_calls(factor)
        mask = np.zeros(len(frame), dtype=np.bool_)
        for column in _columns_used(factor, variables, frame):
            mask |= frame[column].isna().to_numpy()
        for call in shifts:
            mask |= self._evaluate(f"0 + {call}", call).isna().any(axis=1).to_numpy()
        return mask

    def _evaluate(self, written: str, terms: str) -> Any:
        """Return formulaic's matrix of rewritten terms."""
        from formulaic import model_matrix  # type: ignore[import-untyped]
        from formulaic.errors import FormulaicError  # type: ignore[import-untyped]

        words = Words(self.panel)
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                return model_matrix(
                    written, self.panel.frame, na_action="ignore", context=words.context()
                )
        except PanelError:
            raise
        except (FormulaicError, SyntaxError, ValueError, TypeError) as fault:
            cause = fault.__cause__ or fault
            if isinstance(cause, PanelError):
                raise cause from None
            self._refuse(terms)

    def _refuse(self, terms: str) -> NoReturn:
        known = [str(column) for column in self.panel.frame.columns]
        named = re.findall(r"`([^`]*)`|([^\W\d][\w.]*)(?!\s*[\w.(=])", re.sub(QUOTED, "", terms))
        names = [quoted or name for quoted, name in named]
        unknown = [name for name in names if name not in known and name not in ("True", "False")]
        hint = f'; "{unknown[0]}" is no column. {near(unknown[0], known)}' if unknown else ". "
        hidden = [name for name in HIDDEN if name in known and re.search(rf"\b{name}\s*\(", terms)]
        if hidden:
            hint = f'; the column "{hidden[0]}" hides the function {hidden[0]}(). Rename it. '
        raise PanelError(
            f"the terms {terms!r} of the formula {self.formula!r} cannot be read{hint}"
            f"Columns are: {listing(known, 12)}."
        )


def _columns_used(factor: str, variables: Iterable[object], frame: pd.DataFrame) -> set[str]:
    """Name the columns that a factor uses at the row itself, not only in other periods."""
    columns = {str(variable) for variable in variables} & set(map(str, frame.columns))
    left = replace_calls(factor, dict.fromkeys(SHIFTS, lambda arguments: "0"))
    return columns if left == factor else {name for name in columns if _names(name, left)}


def _names(column: str, text: str) -> bool:
    """Tell whether a text names a column."""
    return f"`{column}`" in text or bool(
        re.search(rf"(?<![\w.]){re.escape(column)}(?![\w.])", text)
    )


def _plain(name: str) -> str:
    """Write names as fixest does: ``x::level``, ``x::level:z``."""
    name = re.sub(r"indicators\(.*?\)\[([^\]]*)\]", r"\1", name)
    return re.sub(r"C\(`?([^`(),\[\]]+)`?\)\[T?\.?([^\]]*)\]", r"\1::\2", name)
