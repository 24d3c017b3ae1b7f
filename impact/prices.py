"""Price indices: nominal amounts into amounts at the prices of one year, kept apart by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from impact.errors import PriceError, listing, near, plural

__all__ = ["PriceIndex", "consumer_prices", "gdp_deflator"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PriceIndex:
    """Hold yearly price levels and turn nominal amounts into real ones.

    real = nominal x level(base) / level(year)

    Parameters
    ----------
    name : of the index, as it is printed
    levels : price level by year; any base
    source : where the levels come from
    breaks : years whose level cannot be compared with the year before
    """

    name: str
    levels: pd.Series
    source: str
    breaks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        levels = pd.Series(self.levels)
        values = pd.to_numeric(levels, errors="coerce").to_numpy(dtype=float)
        years = _numbers(levels.index)
        whole = np.isfinite(years) & (years == np.floor(years))
        if not len(levels) or not whole.all() or levels.index.has_duplicates:
            raise PriceError(
                f"{self.name}: levels are indexed by year, each whole and once; the index holds "
                f"{listing(levels.index) or 'nothing'}. Make it pd.Series({{2020: 100.0, ...}})."
            )
        wrong = levels.index[~(np.isfinite(values) & (values > 0))]
        if len(wrong):
            raise PriceError(
                f"{self.name}: the level of {listing(wrong)} is not a number above zero, so "
                "amounts of that year have no price. Mend it, or leave the year out."
            )
        index = pd.Index(years.astype(int), name=levels.index.name)
        object.__setattr__(self, "levels", pd.Series(values, index=index))

    def factors(self, years: ArrayLike, base: int) -> Floats:
        """Return what an amount of each year is multiplied by to be at prices of ``base``.

        Raises
        ------
        PriceError : a year the index does not cover, or a break between a year and the base
        """
        base_year = _numbers(base)
        asked = _numbers(years)
        self._check_covered(np.append(asked.ravel(), base_year))
        base = int(base_year)
        for year in self.breaks:
            across = (asked < year) != (base < year)
            if across.any():
                raise PriceError(
                    f"{self.name} breaks in {year}: {plural(int(across.sum()), 'amount')} of "
                    f"{listing(sorted({int(y) for y in asked[across]}))} cannot be brought to "
                    f"prices of {base}, since the change in {year} is a revision of the accounts "
                    "and not inflation. Use prices.consumer_prices(), or a base on the same side."
                )
        levels = self.levels.reindex(asked.ravel().astype(int)).to_numpy(dtype=float)
        return float(self.levels[base]) / levels.reshape(asked.shape)

    def real(self, amounts: ArrayLike, years: ArrayLike, base: int) -> Floats:
        """Return nominal amounts at prices of ``base``; same shape as the amounts.

        Raises
        ------
        PriceError : amounts and years differ in number, or what ``factors`` refuses
        """
        nominal, asked = _numbers(amounts), _numbers(years)
        written = np.asarray(amounts)
        lost = np.isnan(nominal) & ~np.asarray(pd.isna(written))
        if lost.any():
            raise PriceError(
                f"{plural(int(lost.sum()), 'amount')} {'is' if lost.sum() == 1 else 'are'} no "
                f"number, first {listing(written[lost])}. Convert them; where a comma stands for "
                "the decimal point, read the file with decimal=','."
            )
        if asked.ndim and nominal.shape != asked.shape:
            raise PriceError(
                f"{plural(nominal.size, 'amount')} and {plural(asked.size, 'year')} do not match; "
                "each amount needs the year of its prices. Give one year for all, or one for each."
            )
        return nominal * self.factors(asked, base)

    def add_real(self, frame: pd.DataFrame, column: str, *, year: str, base: int) -> pd.DataFrame:
        """Add ``<column>_real_<base>`` beside a nominal column.

        Raises
        ------
        PriceError : the column is named real already, a year is missing or not covered
        """
        if "_real_" in column:
            raise PriceError(
                f'"{column}" is real by its name; deflating it again would be wrong. '
                "Start from the nominal column."
            )
        missing = [name for name in (column, year) if name not in frame.columns]
        if missing:
            raise PriceError(
                f"the table has no column {listing(missing)}. {near(missing[0], frame.columns)}It "
                f"has: {listing(frame.columns, 12)}."
            )
        if frame[year].isna().any():
            raise PriceError(
                f'"{year}" is missing in {plural(int(frame[year].isna().sum()), "row")}, so their '
                f'"{column}" has no price level. Fill the year or drop the rows.'
            )
        return frame.assign(
            **{f"{column}_real_{base}": self.real(frame[column], frame[year], base)}
        )

    def _check_covered(self, years: ArrayLike) -> None:
        asked = np.unique(np.asarray(years, dtype=float))
        missing = [f"{year:g}" for year in asked if year not in self.levels.index]
        if missing:
            first, last = self.levels.index.min(), self.levels.index.max()
            raise PriceError(
                f'the price index "{self.name}" covers {first} to {last}; {listing(missing)} '
                f"{'is' if len(missing) == 1 else 'are'} outside, and prices are not extrapolated. "
                "Give an index that covers them: PriceIndex(name, levels, source)."
            )


def _numbers(values: ArrayLike) -> Floats:
    """Return values as numbers in their shape, NaN where they are none."""
    given = np.asarray(values)
    flat = pd.to_numeric(pd.Series(given.ravel().astype(object)), errors="coerce")
    return flat.to_numpy(dtype=float).reshape(given.shape)


def consumer_prices() -> PriceIndex:
    """Return consumer prices of Vietnam, 2005-2024, 2020 = 100 (World Bank)."""
    return PriceIndex("consumer prices", _levels()["consumer_prices"].dropna(), WORLD_BANK)


def gdp_deflator() -> PriceIndex:
    """Return the deflator of gross domestic product, 2005-2023, which breaks in 2010."""
    levels = _levels()["gdp_deflator"].dropna()
    return PriceIndex("the deflator of gross domestic product", levels, WORLD_BANK, breaks=(2010,))


WORLD_BANK = "World Bank, World Development Indicators, via github.com/datasets/inflation"


@cache
def _levels() -> pd.DataFrame:
    with files("impact").joinpath("share/prices.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle, index_col="year")
