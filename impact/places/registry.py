"""The provinces of Vietnam: their codes, names and what became of them in July 2025."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

import numpy as np
import pandas as pd

from impact.errors import PlaceError, listing, plural

__all__ = ["Vintage", "codes", "crosswalk", "fold", "lookup", "provinces", "vintage_at"]

Vintage = Literal[63, 34]

MERGER = pd.Timestamp("2025-07-01")
_YEAR = re.compile(r"(19|20)\d\d")
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y")
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
_WORDS = {
    "en": {
        "likely": " (perhaps {})",
        "of_34": " (a code or name of the 34 provinces)",
        "fate": " ({name_63} until June 2025, now part of {code_34} {name_34})",
    },
    "vi": {
        "likely": " (có thể là {})",
        "of_34": " (mã hoặc tên thuộc danh mục 34 tỉnh)",
        "fate": " ({name_63} đến tháng 6/2025, nay thuộc {code_34} {name_34})",
    },
}


def fold(text: object) -> str:
    """Reduce a text to unaccented lower-case letters and digits, so that spellings compare."""
    return _fold(str(text))


@lru_cache(maxsize=1 << 16)
def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(c for c in plain if c.isalnum() and c.isascii())


def vintage_at(date: object) -> Vintage:
    """Return the vintage of province codes in force on a date.

    Parameters
    ----------
    date : date or timestamp; text as 2025-07-01 or, the day first, 01/07/2025; or a year other than
        2025, which has both vintages

    Raises
    ------
    PlaceError : no such date, or the year 2025 alone
    """
    written = str(date).strip()
    if _YEAR.fullmatch(written):
        if int(written) == MERGER.year:
            raise PlaceError(
                f"the year {written} has both lists: 63 provinces until 30 June, 34 since 1 July. "
                "Give the day."
            )
        return 34 if int(written) > MERGER.year else 63
    day = _day(date)
    if day is None:
        raise PlaceError(
            f"{date!r} is no date, so it is not known which list of provinces was in force. Give a "
            "date, or text such as 2025-07-01 or 01/07/2025 (day first)."
        )
    return 34 if day.tz_localize(None) >= MERGER else 63


def _day(date: object) -> pd.Timestamp | None:
    """Read a date, or text in one of the forms known; None if it is neither."""
    found: list[object] = []
    if isinstance(date, str):
        read = (pd.to_datetime(date.strip(), format=form, errors="coerce") for form in _DATES)
        found = [day for day in read if not pd.isna(day)]
    elif isinstance(date, (datetime.date, np.datetime64)):
        found = [pd.Timestamp(date)]
    day = found[0] if found else None
    return day if isinstance(day, pd.Timestamp) else None


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
    values: Iterable[object], vintage: Vintage, language: Literal["en", "vi"] = "en"
) -> tuple[dict[object, str], dict[object, str]]:
    """Return the code of every known value, and for every other one a word on what it is."""
    _check_vintage(vintage)
    resolved = {value: _resolve(value, vintage) for value in pd.unique(pd.Series(list(values)))}
    known = {value: code for value, code in resolved.items() if code is not None}
    words = _WORDS[language]
    return known, {v: _explain(v, vintage, words) for v in resolved if v not in known}


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


def _explain(value: object, vintage: Vintage, words: Mapping[str, str]) -> str:
    """Say what an unknown value is in the other vintage, or what it resembles."""
    other: Vintage = 34 if vintage == 63 else 63
    code = _resolve(value, other)
    if code is None:
        spelled = _spellings(vintage)
        likely = get_close_matches(fold(value), spelled, n=1)
        name = provinces(vintage)["name_vi"][spelled[likely[0]]] if likely else ""
        return f'"{value}"' + (words["likely"].format(name) if likely else "")
    if other == 34:
        return f'"{value}"' + words["of_34"]
    row = crosswalk().set_index("code_63").loc[code]
    return f'"{value}"' + words["fate"].format(**row)


def _check_vintage(vintage: object) -> None:
    if isinstance(vintage, str):
        raise PlaceError(f"vintage may be 63, 34; it was the text {vintage!r}; write the number.")
    if vintage not in (63, 34):
        raise PlaceError(f"vintage may be 63, 34; it was {vintage!r}. Name one of the two lists.")
