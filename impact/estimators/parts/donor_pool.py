"""Which units may be donors: by name, by trade or region, by distance from the treated."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import ClassVar, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from impact.design import Design
from impact.errors import DesignError, listing, near, plural
from impact.estimators.parts.settings import NamedSettings
from impact.places import Vintage, codes, distances

__all__ = ["DonorPool"]

Booleans: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class DonorPool(metaclass=NamedSettings):
    """Say which of the units never treated may be donors.

    Parameters
    ----------
    only : labels of the units allowed; empty allows all
    exclude : labels of units left out, such as neighbours the treatment may spill over to
    same : column, constant within units, whose value donors share with the treated unit
        (the same trade)
    different : column whose value donors do not share with the treated unit (another region)
    farther_than : km between centroids of provinces that a donor is at least away from each
        treated unit, so that the treatment does not spill over; units are provinces
    vintage : list of provinces the units are named in, 63 or 34; needed with ``farther_than``, and
        never guessed, since seven codes and seven names mean other places across the two
    """

    also_called: ClassVar[Mapping[str, str]] = MappingProxyType({"include": "only"})

    only: tuple[Hashable, ...] = ()
    exclude: tuple[Hashable, ...] = ()
    same: str | None = None
    different: str | None = None
    farther_than: float | None = None
    vintage: Vintage | None = None

    def __post_init__(self) -> None:
        for name in ("only", "exclude"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise DesignError(
                    f"DonorPool: {name} is a tuple of unit labels; it was {value!r}. "
                    f"Write ({value!r},) for one unit."
                )
            object.__setattr__(self, name, tuple(value))
        if self.farther_than is None:
            return
        if not _is_distance(self.farther_than):
            raise DesignError(
                f"DonorPool: farther_than is a distance in km, above 0; it was "
                f"{self.farther_than!r}."
            )
        if self.vintage is None:
            raise DesignError(
                "DonorPool: farther_than measures distances between provinces, and seven codes "
                "and seven names mean other places in the list since July 2025. Say which list "
                "the units are named in: vintage=63 or vintage=34."
            )

    def members(self, design: Design, treated: Indices) -> Indices:
        """Return the positions of the donors for these treated units.

        Raises
        ------
        DesignError : a label is unknown, a listed donor is treated, or no donor is left
        PlaceError : distances are asked for and a unit is no province
        """
        units, cohorts = design.sample.units, design.cohorts
        self._check_labels(units)
        allowed = np.isnan(cohorts)
        if self.only:
            listed = units.isin(self.only)
            wrong = listed & ~allowed
            if wrong.any():
                raise DesignError(
                    f"the donor pool contains {plural(int(wrong.sum()), 'treated unit')}, "
                    f"{listing(units[wrong])}: their outcomes hold the effect that is to be "
                    "measured. Take them out of only=."
                )
            allowed &= listed
        allowed &= ~units.isin(self.exclude)
        for column, wanted in ((self.same, True), (self.different, False)):
            if column is not None:
                values = design.sample.unit_values(column)
                allowed &= values.isin(values.iloc[treated]).to_numpy() == wanted
        if self.farther_than is not None and self.vintage is not None:
            allowed &= _far(units, treated, self.farther_than, self.vintage)
        if not allowed.any():
            raise DesignError(
                f"no donor is left for {design.panel.unit} {listing(units[treated])}: of "
                f"{plural(int(np.isnan(cohorts).sum()), 'unit')} never treated none meets {self}. "
                "Widen the donor pool."
            )
        return np.flatnonzero(allowed)

    def _check_labels(self, units: pd.Index) -> None:
        for label in (*self.only, *self.exclude):
            if label not in units:
                raise DesignError(
                    f"the donor pool names {label!r}, which is no unit of the sample. "
                    f"{near(str(label), units)}Units are {listing(units, 6)}."
                )


def _is_distance(km: object) -> bool:
    return isinstance(km, Real) and float(km) > 0.0


def _far(units: pd.Index, treated: Indices, km: float, vintage: Vintage) -> Booleans:
    """Mark units that lie farther than so many km from every treated one."""
    place = codes(units, vintage).to_numpy()
    apart = distances(vintage).loc[place, place[treated]]
    return np.asarray(apart.min(axis=1).to_numpy() > km)
