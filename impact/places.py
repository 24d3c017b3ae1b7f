"""The provinces of Vietnam in their two vintages: 63 until June 2025, 34 since."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import PlaceError, check_choice, listing, plural

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
    "vintage_at",
]

Vintage = Literal[63, 34]

MERGER = pd.Timestamp("2025-07-01")
EARTH_RADIUS_KM = 6371.0088
ALIASES = {
    "thuathienhue": "46",
    "tphcm": "79",
    "hcm": "79",
    "hochiminhcity": "79",
    "saigon": "79",
    "daclac": "66",
    "dacnong": "67",
    "brvt": "77",
}


def fold(text: object) -> str:
    """Reduce a text to unaccented lower-case letters and digits, so that spellings compare."""
    plain = unicodedata.normalize("NFD", str(text).casefold().replace("đ", "d"))
    return "".join(c for c in plain if c.isalnum() and c.isascii())


def vintage_at(date: object) -> Vintage:
    """Return the vintage of province codes in force on a date."""
    return 34 if pd.Timestamp(date) >= MERGER else 63  # type: ignore[arg-type]


def provinces(vintage: Vintage = 63) -> pd.DataFrame:
    """Return the provinces of a vintage, indexed by two-digit code.

    Returns
    -------
    DataFrame : name_vi, name_en, region_vi, region_en, latitude, longitude; for vintage 63 also
        tile_row and tile_column of the tile map

    Notes
    -----
    The centroid of a merged province is the mean of its parts' centroids; its region is missing
    where its parts come from different regions.
    """
    _check_vintage(vintage)
    return (_provinces_63() if vintage == 63 else _provinces_34()).copy()


def crosswalk() -> pd.DataFrame:
    """Return the 63 provinces beside the province that holds each since 1 July 2025.

    Returns
    -------
    DataFrame : code_63, name_63, code_34, name_34, merged, and for codes that live on under
        another name ``code_changed_hands``, for names that live on under another code
        ``name_changed_code``

    Source
    ------
    Resolution 202/2025/QH15 of 12 June 2025
    """
    table = _table()
    walk = pd.DataFrame(
        {
            "code_63": table["gso_code"],
            "name_63": table["name_vi"],
            "code_34": table["successor_code_2025"],
            "name_34": table["successor_name_vi_2025"],
            "merged": table["merged_2025"] == "1",
        }
    )
    new_names = dict(zip(walk["code_34"], walk["name_34"], strict=True))
    walk["code_changed_hands"] = [
        new_names.get(code, name) != name
        for code, name in zip(walk["code_63"], walk["name_63"], strict=True)
    ]
    new_codes = {name: code for code, name in new_names.items()}
    walk["name_changed_code"] = [
        new_codes.get(name, code) != code
        for code, name in zip(walk["code_63"], walk["name_63"], strict=True)
    ]
    return walk


def codes(values: Iterable[object], vintage: Vintage) -> pd.Series:
    """Resolve province names or codes to two-digit codes of the stated vintage.

    Parameters
    ----------
    values : names (Vietnamese or English, with or without accents) or codes (text or whole numbers)
    vintage : 63 or 34; never guessed, since seven codes and seven names mean other places across
        the two

    Raises
    ------
    PlaceError : a value is no province of that vintage; all such values are named, with what
        became of the place
    """
    column = values if isinstance(values, pd.Series) else pd.Series(list(values), dtype=object)
    known, unknown = lookup(column.dropna(), vintage)
    missing = int(column.isna().sum())
    if unknown or missing:
        cases = [
            *unknown.values(),
            *([f"{plural(missing, 'row')} without a province"] * (missing > 0)),
        ]
        raise PlaceError(
            f"{plural(len(cases), 'value')} cannot be placed among the {vintage} provinces: "
            f"{listing(cases, 5)}. A row in the wrong province would move its money and its "
            "outcome there. Mend the values, or state the vintage they were written in."
        )
    return column.map(known).astype("str")


def lookup(
    values: Iterable[object], vintage: Vintage
) -> tuple[dict[object, str], dict[object, str]]:
    """Return the code of every known value, and for every other one a word on what it is."""
    _check_vintage(vintage)
    resolved = {value: _resolve(value, vintage) for value in pd.unique(pd.Series(list(values)))}
    known = {value: code for value, code in resolved.items() if code is not None}
    return known, {value: _explain(value, vintage) for value in resolved if value not in known}


def keyed(
    frame: pd.DataFrame, *, province: str, vintage: Vintage, name: str | None = None
) -> pd.DataFrame:
    """Add ``province_code`` and ``province_vintage``, the two columns that together name a place.

    Parameters
    ----------
    frame : table with a column of province names or codes
    province : that column
    vintage : in which its values were written
    name : a second column of names, checked against the codes

    Raises
    ------
    PlaceError : values unknown in the vintage, or a name that belongs to another code
    """
    keyed_frame = frame.copy(deep=False)
    keyed_frame["province_code"] = codes(frame[province], vintage)
    keyed_frame["province_vintage"] = vintage
    if name is not None:
        by_name = codes(frame[name], vintage)
        wrong = by_name != keyed_frame["province_code"]
        if wrong.any():
            cases = frame.loc[wrong, [province, name]].drop_duplicates().itertuples(index=False)
            raise PlaceError(
                f"codes and names disagree in {plural(int(wrong.sum()), 'row')} under vintage "
                f"{vintage}, first {listing(f'{a} with {b}' for a, b in cases)}. Seven codes "
                "changed hands on 1 July 2025, so the rows may mix vintages. State the vintage "
                "of each row's source and key the two parts apart."
            )
    return keyed_frame


def join(
    left: pd.DataFrame,
    right: pd.DataFrame,
    *,
    on: Sequence[str] = (),
    how: Literal["left", "inner"] = "left",
) -> pd.DataFrame:
    """Join two tables made by ``keyed`` on place and further columns, refusing mixed vintages.

    Raises
    ------
    PlaceError : a table is not keyed, the vintages differ, or rows of ``right`` repeat a key
    """
    for side, frame in (("left", left), ("right", right)):
        if not {"province_code", "province_vintage"} <= set(frame.columns):
            raise PlaceError(
                f"the {side} table has no province_code and province_vintage; a bare code does "
                "not say which province it means. Make them with places.keyed(...)."
            )
    vintages = sorted({*left["province_vintage"].unique(), *right["province_vintage"].unique()})
    if len(vintages) > 1:
        raise PlaceError(_mixed_vintages(left, right))
    keys = ["province_code", "province_vintage", *on]
    repeated = right.duplicated(keys)
    if repeated.any():
        cases = right.loc[repeated, keys].itertuples(index=False)
        raise PlaceError(
            f"the right table repeats {plural(int(repeated.sum()), 'key')}, first "
            f"{listing(tuple(case) for case in cases)}; the join would copy rows of the left. "
            "Aggregate the right table first."
        )
    return left.merge(right, on=keys, how=how, validate="many_to_one")


@dataclass(frozen=True)
class Aggregation:
    """Hold a table brought from the 63 provinces to the 34.

    Attributes
    ----------
    frame : one row a province of 2025 and group
    mixed : the mergers that put treated and untreated provinces together, one row each:
        province_code, name, treated_parts, untreated_parts; empty if ``treated`` was not given
    """

    frame: pd.DataFrame
    mixed: pd.DataFrame


def aggregate(
    frame: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    sums: Sequence[str] = (),
    means: Mapping[str, str] | None = None,
    treated: str | None = None,
) -> Aggregation:
    """Bring a table keyed in the 63 provinces to the 34 of July 2025.

    Parameters
    ----------
    frame : table made by ``keyed`` with vintage 63
    by : columns that tell rows of one province apart, such as the year
    sums : columns to add up
    means : columns to average, each with the column of its weights (population, workers)
    treated : column that is positive where the province was treated

    Raises
    ------
    PlaceError : the table is not of vintage 63, or a group lacks one of the parts of a merger, so
        that its sum would be a smaller place under the same name
    """
    means = dict(means or {})
    if set(frame.get("province_vintage", pd.Series(dtype=int)).unique()) != {63}:
        raise PlaceError(
            "aggregate takes a table keyed in the 63 provinces; this one is not. "
            "Use places.keyed(frame, province=..., vintage=63) first."
        )
    successor = crosswalk().set_index("code_63")["code_34"].to_dict()
    work = frame.assign(_successor=frame["province_code"].map(successor))
    _require_all_parts(work, by, successor)
    keys = ["_successor", *by]
    for column, weight in means.items():
        work[column] = work[column] * work[weight]
    columns = [*dict.fromkeys([*sums, *means, *means.values()])]
    total = work.groupby(keys, sort=True)[columns].sum(min_count=1)
    for column, weight in means.items():
        total[column] = total[column] / total[weight]
    result = total.reset_index().rename(columns={"_successor": "province_code"})
    result.insert(1, "province_vintage", 34)
    result.insert(2, "province", result["province_code"].map(_provinces_34()["name_vi"]))
    kept = ["province_code", "province_vintage", "province", *by, *dict.fromkeys([*sums, *means])]
    return Aggregation(result[kept], _mixed_mergers(work, treated))


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
    """Return the distances in km of the nearest provinces by centroid, nearest first."""
    code = codes([province], vintage).iloc[0]
    nearest: pd.Series = distances(vintage)[code].drop(code).sort_values(kind="stable")
    return nearest.head(count)


@cache
def _table() -> pd.DataFrame:
    with files("impact").joinpath("share/provinces.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle, dtype=str)


@cache
def _provinces_63() -> pd.DataFrame:
    table = _table()
    return pd.DataFrame(
        {
            "name_vi": table["name_vi"],
            "name_en": table["name_en"],
            "region_vi": table["region_vi"],
            "region_en": table["region_en"],
            "latitude": table["lat"].astype(float),
            "longitude": table["lon"].astype(float),
            "tile_row": table["tile_row"].astype(int),
            "tile_column": table["tile_col"].astype(int),
        }
    ).set_index(pd.Index(table["gso_code"], name="code"))


@cache
def _provinces_34() -> pd.DataFrame:
    table = _table()
    groups = table.assign(lat=table["lat"].astype(float), lon=table["lon"].astype(float)).groupby(
        "successor_code_2025"
    )
    one_region = groups["region_vi"].nunique() == 1
    return pd.DataFrame(
        {
            "name_vi": groups["successor_name_vi_2025"].first(),
            "name_en": groups["successor_name_en_2025"].first(),
            "region_vi": groups["region_vi"].first().where(one_region),
            "region_en": groups["region_en"].first().where(one_region),
            "latitude": groups["lat"].mean(),
            "longitude": groups["lon"].mean(),
        }
    ).rename_axis("code")


@cache
def _spellings(vintage: Vintage) -> dict[str, str]:
    """Map every folded spelling of a vintage to its code."""
    table = _provinces_63() if vintage == 63 else _provinces_34()
    spelled = {alias: code for alias, code in ALIASES.items() if code in table.index}
    for column in ("name_en", "name_vi"):
        spelled |= {fold(name): str(code) for code, name in table[column].items()}
    return spelled


def _resolve(value: object, vintage: Vintage) -> str | None:
    """Return the code that a name or code stands for, or None."""
    folded = fold(f"{value:g}" if isinstance(value, float) else value)
    if folded.isdigit():
        code = folded.zfill(2)
        return code if code in provinces(vintage).index else None
    spelled = _spellings(vintage)
    if folded in spelled:
        return spelled[folded]
    for prefix in ("tinh", "thanhpho", "tp"):
        if folded.startswith(prefix) and folded[len(prefix) :] in spelled:
            return spelled[folded[len(prefix) :]]
    return None


def _explain(value: object, vintage: Vintage) -> str:
    """Say what an unknown value is in the other vintage, or what it resembles."""
    other: Vintage = 34 if vintage == 63 else 63
    code = _resolve(value, other)
    if code is None:
        spelled = _spellings(vintage)
        likely = get_close_matches(fold(value), spelled, n=1)
        name = provinces(vintage)["name_vi"][spelled[likely[0]]] if likely else ""
        return f'"{value}" (perhaps {name})' if likely else f'"{value}"'
    if other == 34:
        return f'"{value}" (a code or name of the 34 provinces)'
    row = crosswalk().set_index("code_63").loc[code]
    fate = f"{row['name_63']} until June 2025, now part of {row['code_34']} {row['name_34']}"
    return f'"{value}" ({fate})'


def _mixed_vintages(left: pd.DataFrame, right: pd.DataFrame) -> str:
    walk = crosswalk()
    present = {*left["province_code"], *right["province_code"]}
    codes_moved = walk[walk["code_changed_hands"] & walk["code_63"].isin(present)]
    names_moved = walk[walk["name_changed_code"] & walk["code_63"].isin(present)]
    hands = [f"{r.code_63} was {r.name_63} and is {r.name_34}" for r in codes_moved.itertuples()]
    return (
        "the tables are keyed in different vintages (63 provinces until June 2025, 34 since): a "
        f"join on the code would be wrong without a sign. Here {plural(len(hands), 'code')} "
        f"changed hands ({listing(hands, 7)}), {plural(len(names_moved), 'name')} changed code "
        f"({listing(names_moved['name_63'], 7)}). Bring the older table to the 34 with "
        "places.aggregate first."
    )


def _require_all_parts(
    work: pd.DataFrame, by: Sequence[str], successor: Mapping[Hashable, str]
) -> None:
    needed = pd.Series(successor).groupby(pd.Series(successor)).size()
    found = work.groupby(["_successor", *by])["province_code"].nunique()
    short = found[found.to_numpy() < needed[found.index.get_level_values(0)].to_numpy()]
    if len(short):
        names = _provinces_34()["name_vi"]
        cases = []
        for key in short.index:
            code, *group = key if isinstance(key, tuple) else (key,)
            cases.append(" ".join([names[code], *map(str, group)]))
        raise PlaceError(
            f"{plural(len(short), 'province')} of 2025 would be summed without all of its parts, "
            f"first {listing(cases)}; the sum would be a smaller place under the same name. Add "
            "the missing provinces (with zero where nothing happened), or leave the merger out."
        )


def _mixed_mergers(work: pd.DataFrame, treated: str | None) -> pd.DataFrame:
    columns = ["province_code", "name", "treated_parts", "untreated_parts"]
    if treated is None:
        return pd.DataFrame(columns=columns)
    ever = (work[treated] > 0).groupby([work["_successor"], work["province_code"]]).any()
    old, new = _provinces_63()["name_vi"], _provinces_34()["name_vi"]
    rows = []
    for code, parts in ever.groupby(level=0):
        flags = parts.droplevel(0)
        if flags.any() and not flags.all():
            rows.append(
                {
                    "province_code": code,
                    "name": new[code],
                    "treated_parts": ", ".join(old[flags.index[flags]]),
                    "untreated_parts": ", ".join(old[flags.index[~flags]]),
                }
            )
    return pd.DataFrame(rows, columns=columns)


def _check_vintage(vintage: object) -> None:
    if vintage not in (63, 34):
        check_choice("vintage", str(vintage), ("63", "34"), PlaceError)
