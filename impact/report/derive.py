"""Plans derived from a plan: the same evaluation for one province, or one value of anything."""

from __future__ import annotations

import copy
import datetime
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impact.errors import SpecError, listing, near
from impact.evaluation import Evaluation
from impact.report.notebook import notebook_parameters
from impact.warehouse import address_files, units_by_value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["derived_plans", "slug", "to_toml", "varied_values"]


def varied_values(
    plan: Evaluation, over: str, given: Iterable[object] | None = None
) -> dict[object, int | None]:
    """Return the values that ``over`` takes, with the number of units of each where it is a column.

    Parameters
    ----------
    plan : the plan to vary
    over : a parameter of its notebook, or a column of its data
    given : the values; all those of the column if None

    Raises
    ------
    SpecError : there is no such parameter or column, a parameter's values are not given, or a
        value is not in the column
    """
    if over in notebook_parameters(plan.notebook):
        if given is None:
            raise SpecError(
                f"{over} is a parameter of {plan.notebook.name}, which may be anything. Name its "
                f"values: --values VALUE VALUE ..."
            )
        return dict.fromkeys(given)
    frame = plan.data()
    if over not in frame.columns:
        raise SpecError(
            f'"{over}" is neither a parameter of {plan.notebook.name} nor a column of the data. '
            f"{near(over, frame.columns)}Columns: {listing(frame.columns, 12)}."
        )
    units = _units_by_value(plan, frame, over)
    known = {_plain(value): int(count) for value, count in units.items()}
    if given is None:
        return dict(known)
    names = {str(value): value for value in known}
    absent = [value for value in given if str(value) not in names]
    if absent:
        raise SpecError(
            f"{over} is never {listing(absent)} in the data. {near(str(absent[0]), names)}"
            f"It is: {listing(names, 12)}."
        )
    return {names[str(value)]: known[names[str(value)]] for value in given}


def _units_by_value(plan: Evaluation, frame: Any, over: str) -> pd.Series:
    """Count the units of each value of a column, or its rows where no unit is named."""
    unit = plan.design.get("unit")
    if plan.scan is not None:
        return units_by_value(frame, over, unit)
    rows = frame.groupby(over)
    counts: pd.Series = rows[unit].nunique() if unit else rows.size()
    return counts


def derived_plans(
    plan: Evaluation,
    over: str,
    values: Iterable[object],
    withheld: Mapping[object, Sequence[str]] | None = None,
) -> dict[object, Path]:
    """Write a plan for each value, in a folder of its own beside the plan; return the files.

    ``withheld`` names the counts that a report hides for the others' sake.

    Each is a plan as any other: built, checked and verified by itself too. A file that says the
    same already stays as it is. Plans for some rows are without ``[textbook]``: what is printed of
    all rows is not found in a part, and its counts of units would be subtracted from those of the
    whole.

    Raises
    ------
    SpecError : two values would have one folder
    """
    varied = list(values)
    folders = {value: slug(value) for value in varied}
    twice = [v for v in varied if list(folders.values()).count(folders[v]) > 1]
    if twice:
        raise SpecError(
            f"{listing(twice)} would share the folder {folders[twice[0]]}, since names differ only "
            "in marks and case there. Rename one."
        )
    is_parameter = over in notebook_parameters(plan.notebook)
    files = {}
    for value, name in folders.items():
        file = plan.folder / f"by-{slug(over)}" / name / "evaluation.toml"
        content = _derived(plan, over, value, name, file.parent, is_parameter)
        if withheld and withheld.get(value):
            content["report"]["withheld"] = list(withheld[value])
        _write_if_other(file, to_toml(content))
        files[value] = file
    return files


def slug(value: object) -> str:
    """Return small letters, digits and hyphens for a name: "Hưng Yên" gives "hung-yen"."""
    bare = unicodedata.normalize("NFD", str(value).lower().replace("đ", "d"))
    ascii_only = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-") or "value"


def to_toml(content: Mapping[str, Any]) -> str:
    """Write a plan's content as TOML: one section a table, its keys in their order."""
    lines: list[str] = []
    for section, table in content.items():
        entries = table if isinstance(table, list) else [table]
        for entry in entries:
            lines.append(f"[[{section}]]" if isinstance(table, list) else f"[{section}]")
            lines += [f"{_key(key)} = {_toml(value)}" for key, value in entry.items()]
            lines.append("")
    return "\n".join(lines)


def _derived(
    plan: Evaluation, over: str, value: object, name: str, folder: Path, is_parameter: bool
) -> dict[str, Any]:
    """Return the content of the plan for one value, its paths seen from its own folder."""
    content: dict[str, Any] = copy.deepcopy(plan.content)
    head = content["evaluation"]
    head["id"] = name
    label = plan.class_label(over, value)
    head["title"] = {code: f"{title}: {label[code]}" for code, title in head["title"].items()}
    head["notebook"] = _seen_from(folder, plan.notebook)
    for entry in content["data"]["files"]:
        entry["path"] = _seen_from(folder, plan.folder / entry["path"])
    if plan.scan is not None:
        content["data"]["scan"] = _scan_seen_from(folder, plan)
    if is_parameter:
        content["parameters"][over] = value
    else:
        content["data"]["where"] = content["data"].get("where", {}) | {over: value}
        content.pop("textbook", None)
        if "spent" in content.get("cost", {}):
            # What was spent on all was not spent on a part, and what was is not known.
            del content["cost"]
    return content


def _scan_seen_from(folder: Path, plan: Evaluation) -> str:
    """Return the plan's pattern, or its database in a file, as seen from another folder."""
    kind, mark, place = str(plan.scan).rpartition("://")
    if mark and not address_files(str(plan.scan), plan.folder):
        return str(plan.scan)
    return f"{kind}{mark}{_seen_from(folder, plan.folder / place)}"


def _seen_from(folder: Path, file: Path) -> str:
    return os.path.relpath(file, folder).replace(os.sep, "/")


def _write_if_other(file: Path, text: str) -> None:
    """Write a file whole, unless it says the same already."""
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _plain(value: Any) -> object:
    """Return a number of numpy as one of Python."""
    return value.item() if hasattr(value, "item") else value


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _toml(value: Any) -> str:
    """Write one value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, datetime.date)):
        return value.isoformat() if isinstance(value, datetime.date) else repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_toml(entry)}" for key, entry in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
