"""Covariances that a regression is asked for by more than a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impact.design import Design, DesignRows
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
class DriscollKraay:
    """Ask for Driscoll and Kraay's covariance: errors correlate across units and over time.

    Parameters
    ----------
    lags : Bartlett lags over periods; floor(4 (T/100)^(2/9)) if None
    """

    lags: int | None = None

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return DriscollKraayKernel(design.periods[rows.time_codes], self.lags)


@dataclass(frozen=True)
class NeweyWest:
    """Ask for Newey and West's covariance within units: errors correlate over time only.

    Parameters
    ----------
    lags : Bartlett lags over periods; floor(4 (T/100)^(2/9)) if None
    """

    lags: int | None = None

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return NeweyWestKernel(rows.unit_codes, design.periods[rows.time_codes], self.lags)


@dataclass(frozen=True)
class BeckKatz:
    """Ask for Beck and Katz's panel-corrected covariance; the panel must be balanced."""

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return BeckKatzKernel(rows.unit_codes, rows.time_codes, fit.regressors, fit.residuals)


@dataclass(frozen=True)
class Conley:
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

    def kernel(self, design: Design, rows: DesignRows, fit: LeastSquares) -> Kernel:
        """Bind the choice to a design's rows."""
        return ConleyKernel(
            design.sample.numeric(self.latitude),
            design.sample.numeric(self.longitude),
            self.cutoff,
            None if self.across_periods else design.periods[rows.time_codes],
            rows.unit_codes,
            self.lags,
            self.shape,
            self.distance,
        )


Covariance = Kind | DriscollKraay | NeweyWest | BeckKatz | Conley
