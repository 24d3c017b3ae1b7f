"""Covariances for errors that correlate across units: over time, over space, or both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice
from impact.kernels.groups import compact

__all__ = [
    "BeckKatzKernel",
    "ConleyKernel",
    "DriscollKraayKernel",
    "NeweyWestKernel",
    "great_circle",
    "plane_distance",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

EARTH_RADIUS = 6_371.0
"""Mean radius of the earth in km."""

BLOCK = 2_000
"""Locations whose distances to all others are held at a time."""


@dataclass(frozen=True, eq=False)
class DriscollKraayKernel:
    """Sum scores over units in each period, then Newey-West over periods.

    Parameters
    ----------
    time : shape (n,), period of each row, consecutive integers
    lags : Bartlett lags; floor(4 (T/100)^(2/9)) if None

    Source
    ------
    Driscoll and Kraay (1998), Review of Economics and Statistics 80(4), eq. (7).
    """

    time: Integers
    lags: int | None = None

    @cached_property
    def n_periods(self) -> int:
        """Number of distinct periods."""
        return len(np.unique(self.time))

    @property
    def used_lags(self) -> int:
        """Lags asked for, or Newey and West's rule of thumb."""
        return _lags(self.lags, self.n_periods)

    @property
    def method(self) -> str:
        """The method in words."""
        return f"Driscoll-Kraay with {self.used_lags} lags"

    def meat(self, row_scores: Floats) -> Floats:
        """Return the sum of products of period totals, Bartlett weighted, shape (k, k)."""
        position = self.time - self.time.min()
        columns = [np.bincount(position, weights=row) for row in row_scores]
        totals = np.stack(columns, axis=1).astype(np.float64, copy=False)
        return _bartlett(totals, self.used_lags)

    def factor(self, n_rows: int, n_parameters: int) -> float:
        """Return T/(T - 1) (n - 1)/(n - K), as fixest does."""
        periods = self.n_periods
        return periods / (periods - 1) * (n_rows - 1) / (n_rows - n_parameters)

    def df(self, n_rows: int, n_parameters: int) -> float:
        """Return T - 1."""
        return self.n_periods - 1


@dataclass(frozen=True, eq=False)
class NeweyWestKernel:
    """Newey-West within units: errors correlate over time, not across units.

    Parameters
    ----------
    unit, time : shape (n,); lags respect gaps in time
    lags : Bartlett lags; floor(4 (T/100)^(2/9)) if None

    Source
    ------
    Newey and West (1987), Econometrica 55(3).
    """

    unit: Integers
    time: Integers
    lags: int | None = None

    @property
    def used_lags(self) -> int:
        """Lags asked for, or Newey and West's rule of thumb."""
        return _lags(self.lags, len(np.unique(self.time)))

    @property
    def method(self) -> str:
        """The method in words."""
        return f"Newey-West within units with {self.used_lags} lags"

    def meat(self, row_scores: Floats) -> Floats:
        """Return the sum of products of a unit's scores up to the lag, shape (k, k)."""
        return _within_units(row_scores, self.unit, self.time, self.used_lags)

    def factor(self, n_rows: int, n_parameters: int) -> float:
        """Return T/(T - 1) (n - 1)/(n - K), as fixest does."""
        periods = len(np.unique(self.time))
        return periods / (periods - 1) * (n_rows - 1) / (n_rows - n_parameters)

    def df(self, n_rows: int, n_parameters: int) -> float:
        """Return T - 1."""
        return len(np.unique(self.time)) - 1


@dataclass(frozen=True, eq=False)
class BeckKatzKernel:
    """Panel-corrected errors: correlated across units within a period, constant over time.

    Parameters
    ----------
    unit, time : shape (n,), of a balanced panel
    regressors : shape (k, n)
    residuals : shape (n,)

    Source
    ------
    Beck and Katz (1995), American Political Science Review 89(3), eq. (9)-(10).
    """

    unit: Integers
    time: Integers
    regressors: Floats
    residuals: Floats

    @property
    def method(self) -> str:
        """The method in words."""
        return "Beck-Katz panel-corrected"

    def meat(self, row_scores: Floats) -> Floats:
        """Return X'(Sigma x I_T)X with Sigma the units' residual covariance, shape (k, k)."""
        units, times = compact(self.unit), compact(self.time)
        if units.size * times.size != len(self.residuals):
            raise InferenceError(
                f"Beck-Katz standard errors need each of {units.size} units in each of "
                f"{times.size} periods once; there are {len(self.residuals)} rows. Use "
                "Driscoll-Kraay, which allows gaps."
            )
        order = np.lexsort((times.codes, units.codes))
        errors = self.residuals[order].reshape(units.size, times.size)
        sigma = errors @ errors.T / times.size
        x = self.regressors[:, order].reshape(-1, units.size, times.size)
        return np.asarray(np.einsum("kit,ij,ljt->kl", x, sigma, x, optimize=True))

    def factor(self, n_rows: int, n_parameters: int) -> float:
        """Return one."""
        return 1.0

    def df(self, n_rows: int, n_parameters: int) -> float:
        """Return n - K."""
        return n_rows - n_parameters


@dataclass(frozen=True, eq=False)
class ConleyKernel:
    """Errors correlate between places up to a cutoff distance, and within places over time.

    Parameters
    ----------
    latitude, longitude : shape (n,), degrees
    cutoff : km
    time : shape (n,), or None for a cross-section, in which all pairs of rows count
    unit : shape (n,), needed when ``lags`` is positive
    lags : Bartlett lags of a unit's own errors
    shape : "uniform" counts neighbours fully up to the cutoff, "bartlett" ever less
    distance : "spherical" (great circle) or "plane" (degrees, longitude shrunk by the
        cosine of the mean latitude), as fixest's triangular distance

    Notes
    -----
    Pairs within a place and period always count. The uniform kernel need not give a positive
    semi-definite matrix; a variance it makes negative is NaN.

    Source
    ------
    Conley (1999), Journal of Econometrics 92(1), eq. (3.10); Hsiang (2010) for the panel form.
    """

    latitude: Floats
    longitude: Floats
    cutoff: float
    time: Integers | None = None
    unit: Integers | None = None
    lags: int = 0
    shape: Literal["uniform", "bartlett"] = "uniform"
    distance: Literal["spherical", "plane"] = "spherical"

    def __post_init__(self) -> None:
        check_choice("shape", self.shape, ("uniform", "bartlett"), InferenceError)
        check_choice("distance", self.distance, ("spherical", "plane"), InferenceError)
        if not self.cutoff > 0:
            raise InferenceError(
                f"cutoff is the distance in km within which errors correlate, above 0; it was "
                f"{self.cutoff!r}."
            )
        outside = (np.abs(self.latitude) > 90) | (np.abs(self.longitude) > 360)
        if not np.isfinite(self.latitude + self.longitude).all() or outside.any():
            raise InferenceError(
                "latitude must lie within -90 to 90 and longitude within -360 to 360 degrees in "
                f"every row; {int((~np.isfinite(self.latitude + self.longitude) | outside).sum())} "
                "rows are missing or outside. Mend the coordinates, or swap the two columns if "
                "they are exchanged."
            )

    @property
    def method(self) -> str:
        """The method in words."""
        over = f", {self.lags} lags within units" if self.lags else ""
        return f"Conley, {self.shape} kernel up to {self.cutoff:g} km{over}"

    def meat(self, row_scores: Floats) -> Floats:
        """Return the sum of score products weighted by the kernel, shape (k, k)."""
        k = len(row_scores)
        places, where = np.unique(
            np.stack((self.latitude, self.longitude)), axis=1, return_inverse=True
        )
        when = (
            np.zeros(len(where), dtype=np.int64) if self.time is None else compact(self.time).codes
        )
        n_places, n_times = places.shape[1], int(when.max()) + 1
        cell = where.ravel() * n_times + when
        size = n_places * n_times
        totals = np.stack(
            [np.bincount(cell, weights=r, minlength=size) for r in row_scores], axis=1
        )
        by_place = totals.reshape(n_places, n_times * k)
        measure = great_circle if self.distance == "spherical" else plane_distance
        meat = np.zeros((k, k))
        for start in range(0, n_places, BLOCK):
            part = slice(start, start + BLOCK)
            apart = measure(places[:, part], places)
            weight = (apart <= self.cutoff).astype(np.float64)
            if self.shape == "bartlett":
                weight *= 1 - apart / self.cutoff
            near = (weight @ by_place).reshape(-1, k)
            meat += by_place[part].reshape(-1, k).T @ near
        if self.lags:
            if self.unit is None or self.time is None:
                raise InferenceError("lags within units need the unit and the period of each row.")
            own = _within_units(row_scores, self.unit, self.time, self.lags)
            meat += own - row_scores @ row_scores.T
        return (meat + meat.T) / 2

    def factor(self, n_rows: int, n_parameters: int) -> float:
        """Return n/(n - K), as fixest does."""
        return n_rows / (n_rows - n_parameters)

    def df(self, n_rows: int, n_parameters: int) -> float:
        """Return n - K."""
        return n_rows - n_parameters


def great_circle(here: Floats, there: Floats) -> Floats:
    """Return distances in km on a sphere by the haversine formula: (2, a), (2, b) to (a, b)."""
    lat, lon = np.deg2rad(here)
    lat2, lon2 = np.deg2rad(there)
    half = (
        np.sin((lat[:, None] - lat2) / 2) ** 2
        + np.cos(lat)[:, None] * np.cos(lat2) * np.sin((lon[:, None] - lon2) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(half, 1.0))))


def plane_distance(here: Floats, there: Floats) -> Floats:
    """Return distances in km on a plane of 111 km a degree: (2, a), (2, b) to (a, b)."""
    north = here[0][:, None] - there[0]
    middle = np.deg2rad((here[0][:, None] + there[0]) / 2)
    east = np.abs(here[1][:, None] - there[1])
    east = np.minimum(east, 360 - east) * np.cos(middle)
    return np.asarray(111.0 * np.hypot(north, east))


def _lags(lags: int | None, n_periods: int) -> int:
    used = int(4 * (n_periods / 100) ** (2 / 9)) if lags is None else lags
    if not 0 <= used < n_periods:
        raise InferenceError(
            f"lags must be 0 or more and fewer than the {n_periods} periods; it was {used}."
        )
    return used


def _bartlett(totals: Floats, lags: int) -> Floats:
    """Sum products of rows of (T, k) up to the lag with weights falling linearly."""
    meat = totals.T @ totals
    for lag in range(1, lags + 1):
        cross = totals[lag:].T @ totals[:-lag]
        meat += (1 - lag / (lags + 1)) * (cross + cross.T)
    return np.asarray(meat)


def _within_units(row_scores: Floats, unit: Integers, time: Integers, lags: int) -> Floats:
    """Sum products of a unit's own scores up to the lag, gaps in time respected."""
    order = np.lexsort((time, unit))
    scores, unit, time = row_scores[:, order], unit[order], time[order]
    meat = scores @ scores.T
    for step in range(1, lags + 1):
        same = unit[step:] == unit[:-step]
        gap = time[step:] - time[:-step]
        weight = np.where(same & (gap <= lags), 1 - gap / (lags + 1), 0.0)
        cross = (scores[:, step:] * weight) @ scores[:, :-step].T
        meat += cross + cross.T
    return np.asarray(meat)
