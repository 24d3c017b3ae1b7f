"""Covariances that a regression is asked for by more than a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.design import Design, DesignRows
from impact.errors import InferenceError
from impact.estimators.parts.settings import NamedSettings
from impact.inference.clusters import Kernel, Kind
from impact.inference.spatial import (
    BeckKatzKernel,
    ConleyKernel,
    DriscollKraayKernel,
    NeweyWestKernel,
)
from impact.kernels.least_squares import LeastSquares

__all__ = ["BeckKatz", "Conley", "Covariance", "DriscollKraay", "NeweyWest"]


@dataclass(frozen=True)
class DriscollKraay(metaclass=NamedSettings):
    """Ask for Driscoll and Kraay's covariance: errors correlate across units and over time.

    Parameters
    ----------
    lags : Bartlett lags over the panel's steps (the longest of which the distances between its
        periods are multiples); floor(4 (T/100)^(2/9)) if None, as Stata's xtscc and linearmodels
        (fixest and plm take floor(T^(1/4)))
    """

    lags: int | None = None

    def __post_init__(self) -> None:
        _check_lags(self.lags)

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return DriscollKraayKernel(_several_periods(_steps(design, rows)), self.lags)


@dataclass(frozen=True)
class NeweyWest(metaclass=NamedSettings):
    """Ask for Newey and West's covariance within units: errors correlate over time only.

    Parameters
    ----------
    lags : Bartlett lags over the panel's steps; floor(4 (T/100)^(2/9)) if None
    """

    lags: int | None = None

    def __post_init__(self) -> None:
        _check_lags(self.lags)

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return NeweyWestKernel(rows.unit_codes, _several_periods(_steps(design, rows)), self.lags)


@dataclass(frozen=True)
class BeckKatz(metaclass=NamedSettings):
    """Ask for Beck and Katz's panel-corrected covariance; the panel must be balanced."""

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return BeckKatzKernel(rows.unit_codes, rows.time_codes, fit.regressors, fit.residuals)


@dataclass(frozen=True)
class Conley(metaclass=NamedSettings):
    """Ask for Conley's covariance: errors correlate up to a distance, within periods.

    Parameters
    ----------
    cutoff : km
    latitude, longitude : columns in degrees
    lags : Bartlett lags over which a unit's own errors correlate
    shape : "uniform" or "bartlett" fall of the correlation with distance
    distance : "spherical", or "plane" as fixest's triangular distance
    across_periods : count pairs of rows whatever their periods (a cross-section)
    """

    cutoff: float
    latitude: str = "lat"
    longitude: str = "lon"
    lags: int = 0
    shape: Literal["uniform", "bartlett"] = "uniform"
    distance: Literal["spherical", "plane"] = "spherical"
    across_periods: bool = False

    def __post_init__(self) -> None:
        _check_lags(self.lags)

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        every = slice(None) if rows.positions is None else rows.positions
        return ConleyKernel(
            design.sample.numeric(self.latitude)[every],
            design.sample.numeric(self.longitude)[every],
            self.cutoff,
            None if self.across_periods else _steps(design, rows),
            rows.unit_codes,
            self.lags,
            self.shape,
            self.distance,
        )


def _check_lags(lags: int | None) -> None:
    if lags is not None and (not isinstance(lags, (int, np.integer)) or lags < 0):
        raise InferenceError(f"lags counts whole periods, 0 or more; it was {lags!r}.")


def _several_periods(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Refuse rows of one period, between which no error can correlate."""
    if not np.ptp(steps):
        raise InferenceError(
            "all rows of this regression belong to one period, so errors cannot be followed over "
            'time. Use "CR1" or Conley(cutoff=...).'
        )
    return steps


def _steps(design: Design, rows: DesignRows) -> NDArray[np.int64]:
    """Return each row's period in steps, the longest of which all the panel's distances are made.

    The smallest distance where periods are evenly spaced, but for gaps; so does fixest.
    """
    since = design.periods - design.periods[0]
    taken: NDArray[np.int64] = (since // max(int(np.gcd.reduce(since)), 1))[rows.time_codes]
    return taken


Covariance = Kind | DriscollKraay | NeweyWest | BeckKatz | Conley
