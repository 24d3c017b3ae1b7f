"""The provinces of Vietnam in their two vintages: 63 until June 2025, 34 since."""

from impact.places.joins import Aggregation, aggregate, join, keyed
from impact.places.map import distances, neighbours, tile_map
from impact.places.registry import (
    Vintage,
    codes,
    crosswalk,
    fold,
    lookup,
    provinces,
    vintage_at,
)

__all__ = [
    "Aggregation",
    "Vintage",
    "aggregate",
    "codes",
    "crosswalk",
    "distances",
    "fold",
    "join",
    "keyed",
    "lookup",
    "neighbours",
    "provinces",
    "tile_map",
    "vintage_at",
]
