"""The validated unit x time table; it knows nothing of treatment."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.errors import PanelError, listing, near, plural

__all__ = ["Panel"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GLANCE = 65_536
"""Rows looked at first, which mostly tell whether a column is sorted and what it holds."""
PLACES_PER_ROW = 2
"""Rows are sorted by laying them out over units and periods unless that takes so much more room."""


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """Validate a long table in which each unit is observed at most once a period.

    Parameters
    ----------
    frame : DataFrame, one row a unit and period, in any order
    unit : column that names the unit (any hashable type)
    time : column of periods: whole numbers, such as years or quarters counted through

    Raises
    ------
    PanelError : a column is not there, a key is missing, a period is not a whole number,
        or two rows share unit and period

    Notes
    -----
    The frame is taken as a copy-on-write view: later changes to the caller's frame do not
    reach the panel, and nothing in it is renamed or added to. Units need not be observed
    in every period. Rows are used in the order (unit, time), whatever order they come in.

    Example
    -------
    >>> frame = pd.DataFrame({"firm": [1, 1, 2, 2], "year": [1, 2, 1, 2], "jobs": [3, 4, 5, 5]})
    >>> Panel(frame, unit="firm", time="year").matrix("jobs")
    array([[3., 4.],
           [5., 5.]])
    """

    frame: pd.DataFrame
    unit: str = field(kw_only=True)
    time: str = field(kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.frame, pd.DataFrame):
            raise PanelError(
                f"a panel is made from a pandas DataFrame; this is a {type(self.frame).__name__}. "
                "Read the file into a DataFrame first."
            )
        object.__setattr__(self, "frame", self.frame.copy(deep=False))
        if not len(self.frame):
            raise PanelError("the frame has no rows; a panel needs at least one observation.")
        for column in (self.unit, self.time):
            self._require(column)
        if self.unit == self.time:
            raise PanelError(f'unit and time are both "{self.unit}"; they must be two columns.')
        _ = self._index

    def __repr__(self) -> str:
        balance = "balanced" if self.is_balanced else "unbalanced"
        return (
            f"Panel({plural(self.n_units, 'unit')} by {self.unit}, "
            f"{plural(self.n_periods, 'period')} by {self.time} "
            f"({self.periods[0]}-{self.periods[-1]}), {plural(self.n_rows, 'row')}, {balance})"
        )

    def _repr_html_(self) -> str:
        balance = "balanced" if self.is_balanced else "unbalanced"
        facts = {
            "Units": f"{self.n_units:,} by {self.unit}",
            "Periods": f"{self.n_periods:,} by {self.time} ({self.periods[0]}-{self.periods[-1]})",
            "Rows": f"{self.n_rows:,} ({balance})",
            "Columns": listing(self.frame.columns, 12),
        }
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{escape(fact)}</td></tr>"
            for name, fact in facts.items()
        )
        return f"<table><caption>Panel</caption><tbody>{rows}</tbody></table>"

    @cached_property
    def _index(self) -> _PanelIndex:
        return _index_rows(self.frame, self.unit, self.time)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return len(self._index.units)

    @property
    def n_periods(self) -> int:
        """Number of distinct periods T."""
        return len(self._index.periods)

    @property
    def units(self) -> pd.Index:
        """Unit labels in sorted order, shape (N,)."""
        return self._index.units

    @property
    def periods(self) -> Integers:
        """Distinct periods in order, shape (T,)."""
        return self._index.periods

    @property
    def unit_codes(self) -> Integers:
        """Position of each sorted row's unit in ``units``, shape (n,)."""
        return self._index.unit_codes

    @property
    def time_codes(self) -> Integers:
        """Position of each sorted row's period in ``periods``, shape (n,)."""
        return self._index.time_codes

    @property
    def order(self) -> Integers | None:
        """Permutation that sorts the frame's rows by (unit, time); None if they are sorted."""
        return self._index.order

    @property
    def is_balanced(self) -> bool:
        """Whether every unit has a row in every period."""
        return self.n_rows == self.n_units * self.n_periods

    def column(self, name: str) -> pd.Series:
        """Return a column in the frame's own row order, refusing an unknown name."""
        self._require(name)
        return self.frame[name]

    def numeric(self, name: str) -> Floats:
        """Return a column as floats in (unit, time) order, shape (n,); NaN where missing.

        Raises
        ------
        PanelError : the column is not there, is not numeric, or holds infinite values
        """
        values = self._checked(name)[0]
        return values if self.order is None else values[self.order]

    def extremes_of(self, name: str) -> Floats:
        """Return the lowest and the highest value of a column, shape (2,); NaN if one is missing.

        Raises
        ------
        PanelError : as `numeric`
        """
        return self._checked(name)[1]

    def is_complete(self, name: str) -> bool:
        """Whether a numeric column has a value in every row."""
        return not np.isnan(self.extremes_of(name)[0])

    def matrix(self, name: str) -> Floats:
        """Return a column as a unit x time matrix, shape (N, T); NaN where unobserved."""
        return self.to_matrix(self.numeric(name))

    def to_matrix(self, values: Floats) -> Floats:
        """Lay row values in (unit, time) order, shape (n,), out as a matrix of shape (N, T)."""
        shape = (self.n_units, self.n_periods)
        if self.is_balanced:
            return values.reshape(shape)
        matrix = np.full(shape, np.nan)
        matrix.ravel()[self.unit_codes * self.n_periods + self.time_codes] = values
        return matrix

    def unit_values(self, name: str) -> pd.Series:
        """Return one value a unit, indexed by unit, refusing a column that varies within units.

        Missing entries are filled from the unit's other rows; a unit that never has a value
        gets a missing one.

        Raises
        ------
        PanelError : the column takes two values within a unit
        """
        repeated = self.repeated(name)
        if repeated is not None:
            return repeated
        column = self.column(name)
        if self.order is not None:
            column = column.iloc[self.order]
        codes, labels = pd.factorize(column.to_numpy())
        highest = np.full(self.n_units, -1, dtype=np.int64)
        np.maximum.at(highest, self.unit_codes, codes)
        varies = (codes >= 0) & (codes != highest[self.unit_codes])
        if varies.any():
            units = self.units[np.flatnonzero(np.bincount(self.unit_codes[varies]))]
            raise PanelError(
                f'column "{name}" changes within {plural(len(units), "unit")}, first '
                f"{self.unit} {listing(units)}; it must say one thing a unit. Use its value in "
                f'a base period, for instance frame.groupby("{self.unit}")["{name}"]'
                '.transform("first").'
            )
        if not len(labels):
            return pd.Series(np.nan, index=self.units, name=name)
        values = pd.Series(pd.Index(labels).take(highest), index=self.units, name=name)
        return values.where(highest >= 0)

    def repeated(self, name: str) -> pd.Series | None:
        """Return what every row of a unit repeats bit for bit, missing values too.

        None where rows of one unit differ, which need not be a fault, or are not numbers.
        """
        column = self.column(name)
        if column.dtype.kind not in "biuf":
            return None
        values = column.to_numpy()
        if values.dtype == object:
            return None
        if self.order is not None:
            values = values[self.order]
        bits = values.view(np.int64) if values.dtype == np.float64 else values
        changes = np.not_equal(bits[1:], bits[:-1])
        if self.is_balanced:
            first = values[:: self.n_periods]
            between = changes[self.n_periods - 1 :: self.n_periods]
        else:
            starts = np.flatnonzero(np.diff(self.unit_codes, prepend=-1))
            between, first = changes[starts[1:] - 1], values[starts]
        if np.count_nonzero(changes) > np.count_nonzero(between):
            return None
        return pd.Series(first.copy(), index=self.units, name=name)

    def select(self, keep: NDArray[np.bool_]) -> Panel:
        """Return the panel of the rows kept; ``keep`` is in (unit, time) order, shape (n,)."""
        rows = np.flatnonzero(keep) if self.order is None else np.sort(self.order[keep])
        return Panel(self.frame.iloc[rows], unit=self.unit, time=self.time)

    def _require(self, name: Hashable) -> None:
        if name not in self.frame.columns:
            if name in self.frame.index.names:
                raise PanelError(
                    f'"{name}" is a level of the frame\'s index, not a column. Use '
                    "frame.reset_index() first."
                )
            raise PanelError(
                f'the frame has no column "{name}". {near(str(name), self.frame.columns)}'
                f"It has: {listing(self.frame.columns, 12)}."
            )
        if (self.frame.columns == name).sum() > 1:
            raise PanelError(
                f'the frame has {int((self.frame.columns == name).sum())} columns named "{name}", '
                "so which one is meant cannot be told. Rename or drop the copies."
            )

    @cached_property
    def _checks(self) -> dict[str, Floats]:
        """Extremes of the columns found to hold finite numbers, which are looked through once."""
        return {}

    def _checked(self, name: str) -> tuple[Floats, Floats]:
        """Return a column as floats in the frame's order, and its lowest and highest value."""
        values = _floats(self.column(name), name)
        if name not in self._checks:
            # Missing and infinite values are among the extremes, which copy nothing.
            found = np.array([values.min(), values.max()])
            if not np.isfinite(found).all():
                self._refuse_infinite(values, name)
            self._checks[name] = found
        return values, self._checks[name]

    def _refuse_infinite(self, values: Floats, name: str) -> None:
        rows = np.flatnonzero(np.isinf(values))
        if len(rows):
            cases = [self._place(row) for row in rows[:3]]
            raise PanelError(
                f'column "{name}" is infinite in {plural(len(rows), "row")}, first '
                f"{listing(cases)}; sums and means would be infinite too. A logarithm of zero "
                "is the usual cause: mend those rows or set them to NaN."
            )

    def _place(self, row: int) -> str:
        """Name a row of the frame by its unit and period."""
        unit, time = self.frame[self.unit].iloc[row], self.frame[self.time].iloc[row]
        return f"({self.unit} {unit}, {self.time} {time})"


@dataclass(frozen=True)
class _PanelIndex:
    """Sorted coding of the rows; ``codes`` is None where the sorted rows are a full grid."""

    units: pd.Index
    periods: Integers
    order: Integers | None
    codes: tuple[Integers, Integers] | None

    @cached_property
    def unit_codes(self) -> Integers:
        if self.codes is not None:
            return self.codes[0]
        return np.repeat(np.arange(len(self.units)), len(self.periods))

    @cached_property
    def time_codes(self) -> Integers:
        if self.codes is not None:
            return self.codes[1]
        return np.tile(np.arange(len(self.periods)), len(self.units))


def _floats(column: pd.Series, name: str) -> Floats:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        texts = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        raise PanelError(
            f'column "{name}" holds {column.dtype} values where numbers belong'
            + (f", first {listing([repr(t) for t in texts])}" if len(texts) else "")
            + f'. Convert it, for instance frame["{name}"] = pd.to_numeric(frame["{name}"]); '
            "where a comma stands for the decimal point and dots part thousands, read the file "
            "with decimal=',', thousands='.'."
        )
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _index_rows(frame: pd.DataFrame, unit: str, time: str) -> _PanelIndex:
    for column in (unit, time):
        if isinstance(frame[column].dtype, np.dtype) and frame[column].dtype.kind in "iu":
            continue
        missing = frame[column].isna().to_numpy()
        if missing.any():
            rows = np.flatnonzero(missing)
            raise PanelError(
                f'key column "{column}" is missing in {plural(len(rows), "row")}, first row '
                f"{listing(rows)} (counting from 0); a row without its {column} cannot be placed. "
                f'Fill it, or drop those rows with frame.dropna(subset=["{column}"]).'
            )
    times = _whole_periods(frame[time], time)
    grid = _full_grid(frame[unit], times)
    if grid is not None:
        return _PanelIndex(*grid, order=None, codes=None)
    unit_codes, units = _factorize(frame[unit])
    time_codes, periods = _code_integers(times)
    later = unit_codes[1:] > unit_codes[:-1]
    later |= (unit_codes[1:] == unit_codes[:-1]) & (time_codes[1:] > time_codes[:-1])
    if later.all():
        return _PanelIndex(units, periods, None, (unit_codes, time_codes))
    n_keys = len(units) * len(periods)
    order, keys = _sort_keys(unit_codes * len(periods) + time_codes, n_keys)
    if len(keys) == n_keys and keys[-1] == n_keys - 1 and (keys[1:] > keys[:-1]).all():
        return _PanelIndex(units, periods, order, codes=None)
    unit_codes, time_codes = unit_codes[order], time_codes[order]
    steps = np.diff(keys)
    if steps.min() == 0:
        _refuse_duplicates(units, periods, unit_codes, time_codes, steps, unit, time)
    return _PanelIndex(units, periods, order, (unit_codes, time_codes))


def _sort_keys(keys: Integers, n_keys: int) -> tuple[Integers, Integers]:
    """Return the stable order of keys in 0..n_keys - 1, and the keys in it."""
    if n_keys <= PLACES_PER_ROW * len(keys):
        places = np.full(n_keys, -1)
        places[keys] = np.arange(len(keys))
        found = np.flatnonzero(places >= 0)
        # As many places as rows: no key comes twice, and the places are the order.
        if len(found) == len(keys):
            return places if len(found) == n_keys else places[found], found
    order = np.argsort(keys, kind="stable")
    return order, keys[order]


def _full_grid(column: pd.Series, times: Integers) -> tuple[pd.Index, Integers] | None:
    """Recognise rows that are a balanced panel in order, where no codes need be made."""
    if not pd.api.types.is_integer_dtype(column):
        return None
    units = column.to_numpy(dtype=np.int64)
    drops = np.flatnonzero(np.diff(times[:GLANCE]) <= 0)
    n_periods = int(drops[0]) + 1 if len(drops) else 0
    if not n_periods or len(times) % n_periods:
        return None
    first, periods = units[::n_periods].copy(), times[:n_periods].copy()
    changes = units[1:] != units[:-1]
    regular = (
        (first[1:] > first[:-1]).all()
        and np.count_nonzero(changes) == np.count_nonzero(changes[n_periods - 1 :: n_periods])
        and (times[n_periods:] == times[:-n_periods]).all()
    )
    return (pd.Index(first), periods) if regular else None


def _refuse_duplicates(
    units: pd.Index,
    periods: Integers,
    unit_codes: Integers,
    time_codes: Integers,
    steps: Integers,
    unit: str,
    time: str,
) -> None:
    repeated = np.flatnonzero(steps == 0)
    pairs = pd.unique(unit_codes[repeated] * len(periods) + time_codes[repeated])
    names, times = units[pairs // len(periods)], periods[pairs % len(periods)]
    cases = [f"({unit} {u}, {time} {t})" for u, t in zip(names, times, strict=True)]
    raise PanelError(
        f"unit and time do not identify rows: {plural(len(cases), 'pair')} "
        f"{'appears' if len(cases) == 1 else 'appear'} more than once, first {listing(cases)}. "
        "Each unit may be observed once a period. Drop the copies, or aggregate with "
        f'frame.groupby(["{unit}", "{time}"], as_index=False).mean(numeric_only=True).'
    )


def _whole_periods(column: pd.Series, name: str) -> Integers:
    if pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype):
        raise PanelError(
            f'time column "{name}" holds dates; periods must be whole numbers, so that the '
            f'distance to treatment can be counted. Use frame["{name}"].dt.year, or number '
            "the quarters or months through."
        )
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise PanelError(
            f'time column "{name}" holds {column.dtype} values, first {column.iloc[0]!r}; '
            "periods must be whole numbers such as years. Convert it with pd.to_numeric."
        )
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(dtype=np.int64)
    values = column.to_numpy(dtype=np.float64)
    fractional = (values != np.round(values)) | np.isinf(values)
    if fractional.any():
        raise PanelError(
            f'time column "{name}" has {plural(int(fractional.sum()), "value")} that '
            f"{'is' if fractional.sum() == 1 else 'are'} not whole, first "
            f"{listing(pd.unique(values[fractional]))}; event time is counted in whole periods. "
            "Number the periods through, for instance quarters as 4 * year + quarter."
        )
    return values.astype(np.int64)


def _factorize(column: pd.Series) -> tuple[Integers, pd.Index]:
    """Code labels by their sorted order; integers already in order take one pass."""
    if pd.api.types.is_integer_dtype(column):
        codes, values = _code_integers(column.to_numpy(dtype=np.int64))
        return codes, pd.Index(values)
    try:
        codes, labels = pd.factorize(column, sort=True)
    except TypeError:
        codes, labels = pd.factorize(column.astype(str), sort=True)
    return codes.astype(np.int64, copy=False), pd.Index(labels)


def _code_integers(values: Integers) -> tuple[Integers, Integers]:
    """Code integers by their sorted distinct values, by run, by lookup table or by hashing."""
    if _is_sorted(values[:GLANCE]) and _is_sorted(values):
        starts = np.concatenate(([0], np.flatnonzero(values[1:] > values[:-1]) + 1))
        counts = np.diff(starts, append=len(values))
        return np.repeat(np.arange(len(starts)), counts), values[starts]
    low, high = int(values.min()), int(values.max())
    if high - low < max(4 * len(values), 1024):
        codes = values - low
        present = np.zeros(high - low + 1, dtype=bool)
        for part in (codes[:GLANCE], codes[GLANCE:]):
            if not present.all():
                present[part] = True
        if present.all():
            return codes, np.arange(low, high + 1)
        table = np.cumsum(present) - 1
        return table[codes], np.flatnonzero(present) + low
    codes, labels = pd.factorize(values, sort=True)
    return codes.astype(np.int64, copy=False), np.asarray(labels)


def _is_sorted(values: Integers) -> bool:
    return bool((values[1:] >= values[:-1]).all())
