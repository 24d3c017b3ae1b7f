"""Tables keyed by place and vintage: joined within one vintage, brought from 63 to 34."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from impact.errors import PlaceError, listing, near, plural
from impact.places.registry import Vintage, codes, crosswalk, provinces

__all__ = ["Aggregation", "aggregate", "join", "keyed"]


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
    _require_columns(frame, [province, *([name] if name is not None else [])])
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

    Notes
    -----
    A figure missing for one part is missing for the whole; it is not taken for zero.

    Raises
    ------
    PlaceError : the table is not of vintage 63, lacks a column or repeats a province, a column is
        not numeric, one of ``by`` is missing in a row, or a group lacks one of the parts of a
        merger, so that its sum would be a smaller place under the same name
    """
    means = dict(means or {})
    if set(sums) & set(means):
        raise PlaceError(
            f"{listing(sorted(set(sums) & set(means)))} cannot be both added up and averaged under "
            "one name. Name each column once."
        )
    if set(frame.get("province_vintage", pd.Series(dtype=int)).unique()) != {63}:
        raise PlaceError(
            "aggregate takes a table keyed in the 63 provinces; this one is not. "
            "Use places.keyed(frame, province=..., vintage=63) first."
        )
    _require_columns(frame, [*by, *sums, *means, *means.values(), *([treated] if treated else [])])
    _require_numbers(frame, [*sums, *means, *means.values()])
    unknown = [column for column in by if frame[column].isna().any()]
    if unknown:
        raise PlaceError(
            f'"{unknown[0]}" is missing in {plural(int(frame[unknown[0]].isna().sum()), "row")}; '
            "those rows belong to no group and would be left out of the sums. Fill it or drop them."
        )
    repeated = frame.duplicated(["province_code", *by])
    if repeated.any():
        cases = frame.loc[repeated, ["province_code", *by]].itertuples(index=False, name=None)
        raise PlaceError(
            f"{plural(int(repeated.sum()), 'row repeats', 'rows repeat')} a province"
            f"{' and ' + listing(by) if by else ''}, first {listing(cases)}; they would be "
            "added up as if they were parts. Name what tells them apart in by=, or drop the copies."
        )
    successor = crosswalk().set_index("code_63")["code_34"].to_dict()
    work = frame.assign(_successor=frame["province_code"].map(successor))
    _require_all_parts(work, by, successor)
    groups = [work["_successor"], *(work[column] for column in by)]
    total = work[list(sums)].groupby(groups, sort=True).sum(skipna=False)
    for column, weight in means.items():
        weighted = (work[column] * work[weight]).groupby(groups, sort=True).sum(skipna=False)
        total[column] = weighted / work[weight].groupby(groups, sort=True).sum(skipna=False)
    result = total.reset_index().rename(columns={"_successor": "province_code"})
    result.insert(1, "province_vintage", 34)
    result.insert(2, "province", result["province_code"].map(provinces(34)["name_vi"]))
    kept = ["province_code", "province_vintage", "province", *by, *dict.fromkeys([*sums, *means])]
    return Aggregation(result[kept], _mixed_mergers(work, treated))


def _require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise PlaceError(
            f"the table has no column {listing(missing)}. {near(missing[0], frame.columns)}It has: "
            f"{listing(frame.columns, 12)}."
        )


def _require_numbers(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    texts = [c for c in dict.fromkeys(columns) if not pd.api.types.is_numeric_dtype(frame[c])]
    if texts:
        raise PlaceError(
            f"{listing(texts)} {'holds' if len(texts) == 1 else 'hold'} "
            f"{frame[texts[0]].dtype} values, which cannot be added up or averaged. Convert them "
            "to numbers first."
        )


def _mixed_vintages(left: pd.DataFrame, right: pd.DataFrame) -> str:
    walk = crosswalk()
    present = {*left["province_code"], *right["province_code"]}
    codes_moved = walk[walk["code_changed_hands"] & walk["code_63"].isin(present)]
    names_moved = walk[walk["name_changed_code"] & walk["code_63"].isin(present)]
    hands = [f"{r.code_63} was {r.name_63} and is {r.name_34}" for r in codes_moved.itertuples()]
    changes = []
    if hands:
        changes.append(f"{plural(len(hands), 'code')} changed hands ({listing(hands, 7)})")
    if len(names_moved):
        names = listing(names_moved["name_63"], 7)
        changes.append(f"{plural(len(names_moved), 'name')} changed code ({names})")
    here = f"Here {', '.join(changes)}. " if changes else ""
    return (
        "the tables are keyed in different vintages (63 provinces until June 2025, 34 since): a "
        f"join on the code would be wrong without a sign. {here}Bring the older table to the 34 "
        "with places.aggregate first."
    )


def _require_all_parts(
    work: pd.DataFrame, by: Sequence[str], successor: Mapping[Hashable, str]
) -> None:
    needed = pd.Series(successor).groupby(pd.Series(successor)).size()
    found = work.groupby(["_successor", *by])["province_code"].nunique()
    short = found[found.to_numpy() < needed[found.index.get_level_values(0)].to_numpy()]
    if len(short):
        names = provinces(34)["name_vi"]
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
    old, new = provinces(63)["name_vi"], provinces(34)["name_vi"]
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
