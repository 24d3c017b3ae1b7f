"""Outcomes as statistics offices export them, turned into tidy rows with their status."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from impact.errors import PanelError, check_choice, listing, plural
from impact.places import Vintage, codes, fold, lookup

__all__ = ["from_json_stat", "from_yearbook", "parse_period"]

Status = Literal["final", "preliminary", "estimate"]
Decimal = Literal[",", "."]

PRELIMINARY = ("sobo", "prel", "preliminary")
ESTIMATE = ("uoctinh", "uoc", "est", "estimate", "estimated")
MISSING = {"", "..", "...", "…", "-", "–", ":", "x"}
YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
# Quarters, months, halves and sums of some months; "1 tháng" is a monthly mean, "12 tháng" a year.
PART_OF_YEAR = re.compile(
    r"quý|quarter|nửa năm|half|(?<!\d)([2-9]|1[01])\s*(tháng|month)|(tháng|month)\s*\d{1,2}(?!\d)"
    r"|(?<!\w)[qmht]\s?\d{1,2}(?!\d)|(?<=\d{4})\s?[qmht]\s?\d{1,2}(?!\d)"
    r"|(?<!\d)\d{1,2}\s?[qmht](?![^\W\d])|^\s*(i|ii|iii|iv|\d{1,2})\s*[/-]\s*\d{4}"
    r"|^\s*\d{4}\s*[/-]\s*(i|ii|iii|iv|\d{1,2})\s*$",
    re.IGNORECASE,
)
TOTALS = {
    "canuoc", "wholecountry", "canuocwholecountry", "toanquoc", "tongso", "total",
    "dongbangsonghong", "redriverdelta", "trungduvamiennuiphiabac",
    "northernmidlandsandmountains", "northernmidlandsandmountainareas",
    "bactrungbovaduyenhaimientrung", "northcentralandcentralcoast",
    "northcentralandcentralcoastalareas", "taynguyen", "centralhighlands", "dongnambo",
    "southeast", "dongbangsongcuulong", "mekongriverdelta",
}  # fmt: skip


def parse_period(label: object) -> tuple[int, Status] | None:
    """Return year and status of a label such as ``2019``, ``Sơ bộ 2020`` or ``2021 (Prel.)``.

    None if the label holds no year, or more than one, or is of a quarter, month or half of it.
    """
    text = str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
    years = {int(year) for year in YEAR.findall(text)}
    if len(years) != 1 or _is_part(text):
        return None
    words = [fold(word) for word in re.split(r"[\d()\-–/*.,]+", text)]
    if any(word.startswith(PRELIMINARY) for word in words if word):
        return years.pop(), "preliminary"
    if any(word in ESTIMATE for word in words):
        return years.pop(), "estimate"
    return years.pop(), "final"


def _is_part(label: object) -> bool:
    """Tell whether a label is of part of a year."""
    return bool(PART_OF_YEAR.search(unicodedata.normalize("NFC", str(label))))


def from_yearbook(
    table: pd.DataFrame,
    *,
    indicator: str,
    unit: str,
    vintage: Vintage,
    place: str | None = None,
    decimal: Decimal = ".",
) -> pd.DataFrame:
    """Turn a yearbook table, places down and years across, into tidy rows.

    Parameters
    ----------
    table : as read from the file, headers in its columns; columns without a year are ignored
    indicator, unit : what the values are and their unit, since tables say it in titles only
    vintage : of the province names
    place : column of places; the first if None
    decimal : decimal sign of values that were read as text; the other sign groups thousands

    Returns
    -------
    DataFrame : province_code, province_vintage, year, indicator, unit, value, status ("final",
        "preliminary" or "estimate"); missing signs such as ".." become NaN. Rows of regions and of
        the whole country are left out.

    Raises
    ------
    PlaceError : a row that is neither province, region nor country
    PanelError : no column names a year, two columns name the same year, a column is of a quarter,
        month or half, a place comes twice, or a value is no number
    """
    if not len(table.columns):
        raise PanelError("the table has no columns; read the sheet that holds the figures.")
    check_choice("decimal", decimal, (",", "."), PanelError)
    table = table.reset_index(drop=True)
    column = table.columns[0] if place is None else place
    if column not in table.columns:
        raise PanelError(
            f'the table has no column "{column}" of places; the columns are '
            f"{listing(table.columns, 8)}."
        )
    periods = {
        header: parsed
        for header in table.columns
        if header != column and (parsed := parse_period(header)) is not None
    }
    partial = [h for h in table.columns if h != column and YEAR.search(str(h)) and _is_part(h)]
    if partial:
        raise PanelError(
            f"{plural(len(partial), 'column')} of part of a year, first {listing(partial)}: beside "
            "whole years it would look like a fall. Drop it, or add up the parts of a year first."
        )
    _check_periods(table, periods)
    kept = table.dropna(subset=[column])
    names = kept[column].astype(str).map(_main_name)
    totals = names.map(fold).isin(TOTALS)
    known, _ = lookup(names, vintage)
    provinces = kept[~totals | names.isin(known)]
    codes_of = codes(names.loc[provinces.index], vintage)
    if codes_of.duplicated().any():
        twice = names.loc[codes_of.index[codes_of.duplicated()]]
        raise PanelError(
            f"{plural(len(twice), 'place')} {'comes' if len(twice) == 1 else 'come'} twice, first "
            f"{listing(twice)}; which row holds cannot be told. Two tables may stand below each "
            "other: pass them one at a time."
        )
    parts = [
        pd.DataFrame(
            {
                "province_code": codes_of,
                "province_vintage": vintage,
                "year": year,
                "indicator": indicator,
                "unit": unit,
                "value": _numbers(provinces[header], str(header), decimal),
                "status": status,
            }
        )
        for header, (year, status) in periods.items()
    ]
    tidy = pd.concat(parts)
    return tidy.sort_values(["province_code", "year"], kind="stable", ignore_index=True)


def from_json_stat(source: str | Path | Mapping[str, Any]) -> pd.DataFrame:
    """Turn a JSON-stat dataset, the export of PX-Web tables, into tidy rows.

    Parameters
    ----------
    source : path of the file, or the parsed object; version 2.0, or 1.x with one dataset

    Returns
    -------
    DataFrame : one row a cell: a column for each dimension, named by its id, with the labels of
        its categories; value; status; and year (a number) where a dimension holds the periods. A
        period labelled preliminary or estimated gives its cells that status; so do status marks.
        Where the codes of a dimension's categories are not their labels, they stand in a column
        of their own at the end, named by its id and "_code".

    Raises
    ------
    PanelError : the object is no JSON-stat dataset, or its values do not fill its dimensions

    Source
    ------
    JSON-stat 2.0 format, json-stat.org/full
    """
    loaded = source if isinstance(source, Mapping) else _load(Path(source))
    dataset = _dataset(loaded)
    names = [str(name) for name in dataset["id"]]
    without = [n for n in names if "category" not in dataset["dimension"].get(n, {})]
    if without:
        raise PanelError(
            f"the dataset has no categories for its dimension {listing(without)}, so its cells "
            "cannot be named. Export it again."
        )
    coded = [list(_categories(dataset["dimension"][name])) for name in names]
    categories = [[label for _, label in pairs] for pairs in coded]
    size = [len(labels) for labels in categories]
    cells = 1
    for count in size:
        cells *= count
    if list(dataset["size"]) != size:
        raise PanelError(
            f"the dataset says its dimensions have sizes {list(dataset['size'])}, but their "
            f"categories number {size}; cells would be given to the wrong place. Export it again."
        )
    values = _spread(dataset["value"], cells, "value")
    marks = _spread(dataset.get("status", {}), cells, "status")
    frame = pd.DataFrame(list(product(*categories)), columns=names)
    frame["value"] = _cell_values(values)
    frame["status"] = [_mark_status(mark) for mark in marks]
    period = next((name for name in names if all(map(parse_period, frame[name].unique()))), None)
    if period is not None:
        parsed = [parse_period(label) or (0, "final") for label in frame[period]]
        of_period = pd.Series([status for _, status in parsed])
        frame["status"] = frame["status"].where(frame["status"] != "final", of_period)
        frame["year"] = [year for year, _ in parsed]
    codes_of = pd.DataFrame(list(product(*([code for code, _ in pairs] for pairs in coded))))
    for position, (name, pairs) in enumerate(zip(names, coded, strict=True)):
        if f"{name}_code" not in frame and any(code != label for code, label in pairs):
            frame[f"{name}_code"] = codes_of[position]
    return frame


def _cell_values(values: Sequence[Any]) -> pd.Series:
    """Return cell values as numbers; texts that mean missing become NaN."""
    given = pd.Series(values, dtype=object)
    numbers = pd.to_numeric(given, errors="coerce").astype(float)
    wrong = numbers.isna() & given.notna() & ~given.map(lambda v: str(v).strip() in MISSING)
    if wrong.any():
        raise PanelError(
            f"the dataset has {plural(int(wrong.sum()), 'value')} that {_are(wrong)} no number, "
            f"first {listing(repr(v) for v in given[wrong])}. Export the table again."
        )
    return numbers


def _are(which: pd.Series) -> str:
    return "is" if which.sum() == 1 else "are"


def _main_name(name: str) -> str:
    """Return the Vietnamese half of a bilingual label such as ``Cả nước - Whole country``."""
    text = " ".join(name.split())
    return text.split(" / ")[0]


def _check_periods(table: pd.DataFrame, periods: Mapping[Any, tuple[int, Status]]) -> None:
    if not periods:
        raise PanelError(
            f"no column names a year; the columns are {listing(table.columns, 8)}. Put the row of "
            "years into the headers first."
        )
    years = [year for year, _ in periods.values()]
    twice = sorted({year for year in years if years.count(year) > 1})
    if twice:
        raise PanelError(
            f"two columns name the year {listing(twice)}; one may be preliminary and the other "
            "final, or they are two indicators. Keep one of them."
        )


def _numbers(column: pd.Series, header: str, decimal: Decimal) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    group = "." if decimal == "," else ","
    text = column.map(lambda v: "" if pd.isna(v) else str(v).strip().replace("\xa0", ""))
    spaced = text.str.replace(" ", "")
    regular = spaced.str.fullmatch(rf"-?(\d+|\d{{1,3}}(\{group}\d{{3}})+)(\{decimal}\d+)?")
    plain = spaced.str.replace(group, "").str.replace(decimal, ".").where(regular)
    native = column.map(lambda v: isinstance(v, (int, float)))
    plain = plain.where(~native, text)
    numbers = pd.to_numeric(plain, errors="coerce")
    wrong = numbers.isna() & ~text.isin(MISSING)
    if wrong.any():
        raise PanelError(
            f'column "{header}" has {plural(int(wrong.sum()), "value")} that '
            f"{_are(wrong)} no number, first "
            f'{listing(repr(v) for v in column[wrong])}, with "{decimal}" as the decimal sign; a '
            "footnote mark may have stuck to it, or the sign be the other one. Mend the cells, or "
            "state decimal=."
        )
    return numbers.astype(float)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PanelError(
            f"{path.name} cannot be read as JSON: {error}. Export the table again as JSON-stat."
        ) from error
    if not isinstance(loaded, Mapping):
        raise PanelError(f"{path.name} holds a JSON {type(loaded).__name__}, not a dataset.")
    return loaded


def _dataset(loaded: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the dataset with id and size at its top, as version 2.0 has them."""
    dataset = dict(loaded.get("dataset", loaded))
    dimension = dataset.get("dimension", {})
    dataset.setdefault("id", dimension.get("id"))
    dataset.setdefault("size", dimension.get("size"))
    absent = [name for name in ("id", "size", "dimension", "value") if not dataset.get(name)]
    if absent:
        raise PanelError(
            f"this is no JSON-stat dataset: it has no {listing(absent)}. PX-Web offers the format "
            "under the name JSON-stat."
        )
    return dataset


def _categories(dimension: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield code and label of a dimension's categories in the order of their index."""
    category = dimension["category"]
    labels = category.get("label", {})
    index = category.get("index", list(labels))
    order: Sequence[str] = (
        sorted(index, key=lambda key: index[key]) if isinstance(index, Mapping) else index
    )
    for key in order:
        yield str(key), str(labels.get(key, key))


def _spread(given: Any, cells: int, what: str) -> list[Any]:
    """Return one entry a cell from a list, a sparse object or a single mark for all."""
    if isinstance(given, str):
        return [given] * cells
    if isinstance(given, Mapping):
        spread: list[Any] = [None] * cells
        for position, entry in given.items():
            if not (str(position).isdigit() and int(position) < cells):
                raise PanelError(
                    f"{what} {position} lies outside the {cells} cells of the dataset; the file "
                    "is damaged. Export it again."
                )
            spread[int(position)] = entry
        return spread
    if len(given) != cells:
        raise PanelError(
            f"the dataset has {len(given)} entries of {what} for {cells} cells; they cannot be "
            "matched. Export it again."
        )
    return list(given)


def _mark_status(mark: Any) -> Status:
    folded = fold(mark or "")
    if folded.startswith(PRELIMINARY) or folded == "p":
        return "preliminary"
    return "estimate" if folded in (*ESTIMATE, "e") else "final"
