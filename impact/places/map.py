"""Distances between provinces, and the tile map that shows a figure of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from impact.errors import PlaceError, listing
from impact.places.registry import Vintage, codes, crosswalk, provinces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["distances", "neighbours", "tile_map"]

EARTH_RADIUS_KM = 6371.0088


def distances(vintage: Vintage = 63) -> pd.DataFrame:
    """Return great-circle distances between province centroids in km, shape (N, N)."""
    table = provinces(vintage)
    latitude, longitude = np.radians(table[["latitude", "longitude"]].to_numpy()).T
    chord = (
        np.sin((latitude[:, None] - latitude) / 2) ** 2
        + np.cos(latitude)[:, None]
        * np.cos(latitude)
        * np.sin((longitude[:, None] - longitude) / 2) ** 2
    )
    km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord))
    return pd.DataFrame(km, index=table.index, columns=table.index)


def neighbours(province: object, vintage: Vintage = 63, count: int = 5) -> pd.Series:
    """Return the distances in km of the nearest provinces by centroid, nearest first.

    Raises
    ------
    PlaceError : no such province, or a ``count`` that is no number from 1 up
    """
    if not isinstance(count, (int, np.integer)) or count < 1:
        raise PlaceError(f"count says how many neighbours to name, 1 or more; it was {count!r}.")
    code = codes([province], vintage).iloc[0]
    nearest: pd.Series = distances(vintage)[code].drop(code).sort_values(kind="stable")
    return nearest.head(count)


def tile_map(
    values: pd.Series,
    *,
    vintage: Vintage = 63,
    ax: Axes | None = None,
    label: str = "",
    form: str = "{:,.0f}",
    colours: str = "viridis",
) -> Any:
    """Draw one tile a province, coloured by its value.

    Parameters
    ----------
    values : indexed by province name or code of the vintage; provinces without a value are grey
    vintage : 63, or 34, which gives all tiles of a merged province one colour and one outline,
        and writes its name on the tile of its seat
    ax : axes to draw on; new ones if None
    label : what the values are, with their unit, beside the colour bar
    form : how a value is written on its tile
    colours : colour map of matplotlib, which should read in grey and for the colour-blind

    Returns
    -------
    Axes : of matplotlib

    Raises
    ------
    PlaceError : a province is unknown in the vintage, or has two values
    """
    import matplotlib.pyplot as plt
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    by_code = _values_by_code(values, vintage)
    tiles = _tiles(vintage)
    if ax is None:
        _, ax = plt.subplots(figsize=(6.0, 12.0), layout="constrained")
    known = by_code.dropna()
    norm = Normalize(known.min(), known.max()) if len(known) else Normalize(0, 1)
    mapper = ScalarMappable(norm, plt.get_cmap(colours))
    for tile in tiles.to_dict("records"):
        value = by_code.get(tile["code"], np.nan)
        colour = mapper.to_rgba(value) if np.isfinite(value) else (0.9, 0.9, 0.9, 1.0)
        corner = (tile["column"], tile["row"])
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=0.4))
        if not tile["name"]:
            continue
        ink = "black" if np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"
        text = tile["name"] + (f"\n{form.format(value)}" if np.isfinite(value) else "")
        where = (tile["column"] + 0.5, tile["row"] + 0.5)
        ax.annotate(text, where, ha="center", va="center", fontsize=6, color=ink)
    for start, end in _outlines(tiles):
        ax.plot((start[0], end[0]), (start[1], end[1]), color="black", linewidth=0.8)
    ax.set_xlim(tiles["column"].min() - 0.1, tiles["column"].max() + 1.1)
    ax.set_ylim(tiles["row"].max() + 1.1, tiles["row"].min() - 0.1)
    ax.set_aspect("equal")
    ax.set_axis_off()
    if len(known):
        ax.figure.colorbar(mapper, ax=ax, label=label, shrink=0.4)
    return ax


def _values_by_code(values: pd.Series, vintage: Vintage) -> pd.Series:
    resolved = codes(pd.Series(values.index), vintage)
    if resolved.duplicated().any():
        twice = provinces(vintage)["name_vi"][resolved[resolved.duplicated()]]
        raise PlaceError(
            f"{listing(twice)} {'has' if len(twice) == 1 else 'have'} two values; a tile shows "
            "one. Aggregate the values first."
        )
    if not pd.api.types.is_numeric_dtype(values):
        raise PlaceError(
            f"the map shows numbers; these are {values.dtype} values. Convert them to numbers."
        )
    return pd.Series(values.to_numpy(dtype=float), index=resolved.to_numpy())


def _tiles(vintage: Vintage) -> pd.DataFrame:
    """Return the 63 tiles with the code of the vintage and the name to write on each."""
    old = provinces(63)
    walk = crosswalk().set_index("code_63")
    code, name = pd.Series(old.index, old.index), old["name_vi"]
    if vintage == 34:
        code = walk["code_34"]
        name = walk["name_34"].where(walk["code_34"] == walk.index, "")
    lines = name.str.replace(" - ", "-\n").str.replace(" ", "\n", n=1)
    return pd.DataFrame(
        {"code": code, "name": lines, "row": old["tile_row"], "column": old["tile_column"]}
    )


def _outlines(tiles: pd.DataFrame) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the edges between tiles of different provinces."""
    at = {(row, column): code for code, row, column in tiles[["code", "row", "column"]].to_numpy()}
    edges = []
    for (row, column), code in at.items():
        sides = {
            (row - 1, column): ((column, row), (column + 1, row)),
            (row + 1, column): ((column, row + 1), (column + 1, row + 1)),
            (row, column - 1): ((column, row), (column, row + 1)),
            (row, column + 1): ((column + 1, row), (column + 1, row + 1)),
        }
        edges += [edge for beside, edge in sides.items() if at.get(beside) != code]
    return sorted(set(edges))
