"""Fixed effects that a regression swept out, with the names and levels they go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, listing, near
from impact.kernels.groups import Groups

__all__ = ["AbsorbedEffects", "require"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AbsorbedEffects:
    """The effects of a regression.

    Parameters
    ----------
    names : of the effects, as estimators take them; the first carries the slopes
    groups : of the regression's rows, one partition an effect
    slope_names, slopes : variables with a slope a group of the first effect, shape (q, n)
    several_slopes : whether other effects have slopes too, which are not recovered
    """

    names: tuple[str, ...] = ()
    groups: tuple[Groups, ...] = ()
    slope_names: tuple[str, ...] = ()
    slopes: Floats | None = None
    several_slopes: bool = False

    def levels(self, design: Design, positions: Integers | None, effect: int) -> pd.Index:
        """Return the labels of an effect's levels, in the order of its codes."""
        groups = self.groups[effect]
        first = np.empty(groups.size, dtype=np.int64)
        first[groups.codes[::-1]] = np.arange(len(groups.codes))[::-1]
        rows = first if positions is None else positions[first]
        panel = design.sample
        rows = rows if panel.order is None else panel.order[rows]
        return _keys(panel.frame.iloc[rows], self.columns(design, effect))

    def codes(self, design: Design, frame: pd.DataFrame, effect: int, levels: pd.Index) -> Integers:
        """Code rows of another frame by an effect's levels, -1 for levels it does not have.

        Raises
        ------
        DesignError : the frame lacks a column of the effect
        """
        columns = self.columns(design, effect)
        for column in columns:
            require(frame, column, f'fixed effect "{self.names[effect]}"')
        found = levels.get_indexer(_keys(frame, columns))
        return np.asarray(found, dtype=np.int64)

    def columns(self, design: Design, effect: int) -> list[str]:
        """Return the columns that an effect crosses."""
        own = {"unit": design.panel.unit, "time": design.panel.time}
        parts = [part.strip() for part in self.names[effect].split("^")]
        return [own.get(part, part) for part in parts]


def require(frame: pd.DataFrame, column: str, role: str) -> None:
    """Refuse a frame without a column.

    Raises
    ------
    DesignError : the column is not there
    """
    if column not in frame.columns:
        raise DesignError(
            f'the rows to predict lack "{column}", {role} of the regression. '
            f"{near(column, map(str, frame.columns))}They have: {listing(frame.columns, 12)}."
        )


def _keys(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Index:
    keys: pd.Index = pd.MultiIndex.from_frame(frame[list(columns)])
    return keys if len(columns) > 1 else keys.get_level_values(0)
