"""Fixed effects by name: columns, crossed columns, and groups with slopes of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import DesignError, near, plural
from impact.estimators.parts.variables import unit_trend
from impact.kernels.groups import Groups, compact

__all__ = ["effect_groups", "slope_columns", "split_slopes"]

Floats = NDArray[np.float64]


def effect_groups(design: Design, rows: DesignRows, effects: Sequence[str]) -> list[Groups]:
    """Code fixed effects by name: "unit", "time", a column, or columns crossed as "a^b".

    Raises
    ------
    DesignError : an unknown or missing effect, or one with slopes
    """
    for effect in effects:
        if "[" in effect:
            raise DesignError(
                f'fixed effect "{effect}" asks for slopes by group, which FixedEffects takes and '
                "this estimator does not. Name the effect alone."
            )
    return [_effect(design, rows, effect) for effect in effects]


def split_slopes(effects: Sequence[str]) -> dict[str, list[str]]:
    """Read "group[x, z]" among effects: each effect's variables with slopes, none for most.

    Raises
    ------
    DesignError : brackets that cannot be read
    """
    found: dict[str, list[str]] = {}
    for effect in effects:
        read = re.fullmatch(r"([^\[\]]+)(?:\[([^\[\]]+)\])?", effect.strip())
        if read is None:
            raise DesignError(
                f'fixed effects with slopes are written "group[x]" or "group[x, z]"; this was '
                f'"{effect}". Groups with slopes have a level each, so that fixest\'s "group[[x]]" '
                "has no counterpart."
            )
        names = [name.strip() for name in read[2].split(",")] if read[2] else []
        own = found.setdefault(read[1].strip(), [])
        own += [name for name in names if name not in own]
    return found


def slope_columns(design: Design, names: Sequence[str]) -> Floats:
    """Return the variables whose slopes differ by group, shape (q, n).

    Raises
    ------
    DesignError : one is missing in some row
    """
    columns = [
        unit_trend(design)[0]
        if name in ("time", design.panel.time)
        else design.sample.numeric(name)
        for name in names
    ]
    for name, column in zip(names, columns, strict=True):
        missing = int(np.isnan(column).sum())
        if missing:
            raise DesignError(
                f'"{name}", whose slope differs by group, is missing in {plural(missing, "row")}. '
                "Name it as a covariate to leave those rows out, or fill it."
            )
    return np.array(columns)


def _effect(design: Design, rows: DesignRows, effect: str) -> Groups:
    first, *others = [_effect_part(design, rows, p.strip(), effect) for p in effect.split("^")]
    for other in others:
        first = compact(first.codes * other.size + other.codes)
    return first


def _effect_part(design: Design, rows: DesignRows, name: str, effect: str) -> Groups:
    panel = design.sample
    if name in ("unit", panel.unit):
        return Groups(rows.unit_codes, panel.n_units)
    if name in ("time", panel.time):
        return Groups(rows.time_codes, panel.n_periods)
    if name not in panel.frame.columns:
        known = ["unit", "time", *map(str, panel.frame.columns)]
        raise DesignError(
            f'fixed effect "{effect}" names "{name}", which is no column of the panel. '
            f'{near(name, known)}Use "unit", "time", a column, or columns crossed as "a^b".'
        )
    column = panel.column(name)
    missing = int(column.isna().sum())
    if missing:
        raise DesignError(
            f'fixed effect "{effect}": column "{name}" is missing in {plural(missing, "row")}; a '
            "row without its group cannot be compared within it. Fill it, or drop those rows."
        )
    values = column if panel.order is None else column.iloc[panel.order]
    return compact(pd.factorize(values, sort=True)[0])
