"""What words of a formula make of a panel: columns of levels, lags, leads and differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from impact.errors import PanelError, listing, near, plural
from impact.panel import Panel

__all__ = ["Words"]


@dataclass(frozen=True, eq=False)
class Words:
    """The functions that terms may call, on the rows of a panel."""

    panel: Panel

    def context(self) -> Mapping[str, object]:
        """Return them by name."""
        lag, lead = self._shift(1), self._shift(-1)

        def change(values: pd.Series, by: int = 1) -> pd.Series:
            return pd.Series(np.asarray(values, dtype=np.float64) - lag(values, by).to_numpy(),
                             index=self.panel.frame.index)  # fmt: skip

        return {
            "lag": lag,
            "l": lag,
            "lead": lead,
            "f": lead,
            "d": change,
            "indicators": self.indicators,
            "scale": _scale,
            "center": lambda values: values - np.nanmean(values),
            "sqrt": np.sqrt,
            "log1p": np.log1p,
        }

    def indicators(
        self,
        name: str,
        by: str | None = None,
        ref: tuple[object, ...] = (),
        keep: tuple[object, ...] | None = None,
    ) -> pd.DataFrame:
        """Return a column's levels as ones and zeros, or times a number, without some of them."""
        frame = self.panel.frame
        self._check_columns(name, by)
        column = frame[name]
        levels = sorted(column.dropna().unique())
        for role, asked in (("ref", ref), ("keep", keep or ())):
            unknown = [level for level in asked if level not in levels]
            if unknown:
                raise PanelError(
                    f'i({name}, {role}={unknown[0]!r}): "{name}" never is {unknown[0]!r}. Its '
                    f"levels are {listing(levels, 8)}."
                )
        known = column.notna()
        number = known.astype(np.float64) if by is None else frame[by].astype(np.float64)
        number = number.where(known)
        kept = [v for v in levels if v not in ref and (keep is None or v in keep)]
        end = "" if by is None else f":{by}"
        return pd.DataFrame({f"{name}::{v}{end}": number * (column == v) for v in kept})

    def _check_columns(self, name: str, by: str | None) -> None:
        frame = self.panel.frame
        call = f"i({name})" if by is None else f"i({name}, {by})"
        unknown = [c for c in (name, by) if c is not None and c not in frame.columns]
        if unknown:
            crossed = f" Write C({name}):C({unknown[0][2:]}) to cross two factors."
            raise PanelError(
                f'"{unknown[0]}" in {call} is no column. '
                f"{near(unknown[0], map(str, frame.columns))}".rstrip()
                + (crossed if unknown[0].startswith("i.") else "")
            )
        if by is not None and not pd.api.types.is_numeric_dtype(frame[by]):
            raise PanelError(
                f'{call} takes slopes of a number; "{by}" holds {frame[by].dtype}. Write '
                f"C({name}):C({by}) to cross two factors."
            )

    @cached_property
    def _keys(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(self.panel.frame[[self.panel.unit, self.panel.time]])

    def _shift(self, sign: int) -> Callable[..., pd.Series]:
        """Return the function that looks ``by`` periods back (1) or ahead (-1)."""
        panel = self.panel
        step = int(np.diff(panel.periods).min()) if panel.n_periods > 1 else 1
        what = "lag" if sign > 0 else "lead"

        def shift(values: pd.Series, by: int = 1) -> pd.Series:
            if isinstance(by, bool) or not isinstance(by, (int, np.integer)):
                raise PanelError(f"a {what} counts whole periods; it was {by!r}.")
            if not pd.api.types.is_numeric_dtype(np.asarray(values).dtype):
                raise PanelError(
                    f"a {what} is taken of numbers; these values are {values.dtype}. Convert the "
                    "column, or shift its indicators."
                )
            away = pd.MultiIndex.from_arrays(
                [panel.frame[panel.unit], panel.frame[panel.time] - sign * by * step]
            )
            found = pd.Series(np.asarray(values, dtype=np.float64), index=self._keys).reindex(away)
            if found.isna().all():
                raise PanelError(
                    f"no unit is observed {plural(abs(by), 'period')} "
                    f"{'before' if sign * by > 0 else 'after'} another of its periods, so the "
                    f"{what} has no value. Use a shorter one."
                )
            return pd.Series(found.to_numpy(), index=panel.frame.index)

        return shift


def _scale(values: pd.Series) -> pd.Series:
    """Return values less their mean over their standard deviation, as R's ``scale``."""
    number = np.asarray(values, dtype=np.float64)
    scaled = (number - np.nanmean(number)) / np.nanstd(number, ddof=1)
    return pd.Series(scaled, index=getattr(values, "index", None))
