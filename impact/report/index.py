"""The page that leads to the reports of a matrix: a map, a table, and what is not there."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from impact.errors import PlaceError
from impact.evaluation import LANGUAGES, Outcome
from impact.report.cells import Cell, Matrix
from impact.report.effects import Verdict, verdict_of
from impact.report.figures import Drawing, report_style
from impact.report.html import html_name, locale_words, page_fonts, template_environment
from impact.report.numbers import format_number, format_quantity
from impact.report.results import write_json
from impact.report.text import Text, capital, text
from impact.report.values import Value, format_value

if TYPE_CHECKING:
    from impact.places import Vintage

__all__ = ["write_index"]

SCHEMA = "impact.matrix/1"
_FIGURE = "figures/map"
_WORDS: dict[str, Text] = {
    "reports": text("Reports", "Các báo cáo"),
    "summary": text("Summary", "Tóm tắt"),
    "not_there": text("Not there", "Không có báo cáo"),
    "failed": text("failed", "không lập được"),
    "hidden": text(
        "has too few units: a report would disclose them",
        "có quá ít đơn vị: báo cáo sẽ làm lộ thông tin của đơn vị",
    ),
    "units": text("Units", "Đơn vị"),
    "effect": text("Effect", "Tác động"),
    "reading": text("Reading", "Kết luận"),
    "rise": text("rise", "tăng"),
    "fall": text("fall", "giảm"),
    "no_effect": text("no effect of interest", "không có tác động đáng kể"),
    "cannot_tell": text("cannot tell", "chưa thể kết luận"),
    "grey": text("Grey: no report.", "Màu xám: không có báo cáo."),
    "vintage_63": text("The 63 provinces until June 2025.", "63 tỉnh, thành đến tháng 6/2025."),
    "vintage_34": text("The 34 provinces since July 2025.", "34 tỉnh, thành từ tháng 7/2025."),
}

_THERE = text("{there} of {cells} reports are there.", "Có {there} trên {cells} báo cáo.")
_CHANCE = text(
    "Each interval holds by itself at {level}. If nothing had changed anywhere, about {chance} of "
    "{there} would still leave out zero: read the pattern, not the single one, and do not rank.",
    "Mỗi khoảng tin cậy có hiệu lực riêng ở mức {level}. Nếu không nơi nào có thay đổi, vẫn có "
    "khoảng {chance} trong {there} khoảng không chứa số không: hãy đọc bức tranh chung, không đọc "
    "riêng từng trường hợp và không xếp hạng.",
)
_ALT = text(
    "One tile a province, coloured by the effect on {label}: from {least} to {most}. The table "
    "below gives every number.",
    "Mỗi ô một tỉnh, màu theo tác động đến {label}: từ {least} đến {most}. Bảng dưới đây ghi từng "
    "con số.",
)


@dataclass(frozen=True)
class Line:
    """What the index says of one report: its name, and its values by id."""

    name: str
    label: Text
    address: str
    values: dict[str, Value]


def write_index(matrix: Matrix) -> Path:
    """Write the index of a matrix beside its reports, each file whole; return the page to open."""
    lines = [_line(matrix, cell, cell.folder) for cell in matrix.having("built", "current")
             if cell.folder is not None]  # fmt: skip
    outcomes = [o for o in matrix.plan.outcomes if any(o.name in line.values for line in lines)]
    shown = [outcome for outcome in outcomes if outcome.primary] or outcomes[:1]
    staging = matrix.folder / f".building-{os.getpid()}"
    (staging / "figures").mkdir(parents=True)
    try:
        figures = _draw(lines, shown[0], staging) if shown else None
        for language in LANGUAGES:
            page = _page(matrix, lines, shown, language, figures)
            (staging / html_name(language).replace("report", "index")).write_text(
                page, encoding="utf-8"
            )
        write_json(staging / "index.json", _content(matrix, lines, shown))
        for path in sorted(staging.rglob("*")):
            if path.is_file():
                target = matrix.folder / path.relative_to(staging)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return matrix.folder / "index.html"


def _line(matrix: Matrix, cell: Cell, folder: Path) -> Line:
    """Read what a report found."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    values = {id: Value(id=id, **entry) for id, entry in results["values"].items()}
    return Line(str(cell.value), matrix.label_of(cell), folder.name, values)


def _reading(line: Line, outcome: Outcome) -> Verdict:
    value, smallest = line.values[outcome.name], line.values.get(f"{outcome.name}.smallest")
    low = np.nan if value.low is None else value.low
    high = np.nan if value.high is None else value.high
    return verdict_of(low, high, None if smallest is None else smallest.value)


def _content(matrix: Matrix, lines: Iterable[Line], shown: list[Outcome]) -> dict[str, Any]:
    """Return the index for machines."""
    found = {
        line.name: {
            outcome.name: {
                "estimate": line.values[outcome.name].value,
                "low": line.values[outcome.name].low,
                "high": line.values[outcome.name].high,
                "reading": _reading(line, outcome),
            }
            for outcome in shown
            if outcome.name in line.values
        }
        for line in lines
    }
    return {
        "schema": SCHEMA,
        "evaluation": matrix.plan.id,
        "over": matrix.over,
        "reports": [
            {
                "value": cell.value,
                "folder": None if cell.folder is None else cell.folder.name,
                "status": "there" if cell.status in ("built", "current") else cell.status,
                "error": cell.error,
                "found": found.get(str(cell.value)),
            }
            for cell in matrix.cells
        ],
    }


def _draw(lines: list[Line], outcome: Outcome, folder: Path) -> dict[str, str] | None:
    """Draw the map in each language, if the values are provinces; return it as data addresses."""
    vintage = _vintage([line.name for line in lines])
    if vintage is None:
        return None
    addresses = {}
    drawing = _map(lines, outcome, vintage)
    for language in LANGUAGES:
        path = folder / f"{_FIGURE}.{language}.svg"
        drawing.save(path, language, png=False)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        addresses[language] = f"data:image/svg+xml;base64,{data}"
    return addresses | {"vintage": f"vintage_{vintage}"}


def _vintage(names: list[str]) -> Vintage | None:
    """Return the vintage of the provinces named; None if they are no provinces.

    All 34 names of today were names before, so those 34 and no others are taken as today's.
    """
    from impact import places

    for vintage in (34, 63):
        try:
            found = places.codes(names, vintage)
        except PlaceError:
            continue
        if vintage == 63 or len(set(found)) == 34:
            return vintage
    return None


def _map(lines: list[Line], outcome: Outcome, vintage: Vintage) -> Drawing:
    """Draw the effect on an outcome by province."""
    import matplotlib
    import pandas as pd
    from matplotlib.figure import Figure

    from impact import places

    estimates = {
        line.name: line.values[outcome.name].value for line in lines if outcome.name in line.values
    }
    unit = "%" if outcome.is_relative else ""
    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(6.4, 11.0), layout="constrained")
        values = pd.Series(estimates, dtype=float)
        ax = figure.subplots()
        places.tile_map(values, vintage=vintage, ax=ax, label=" ", form="{:.1f}")
    words = [
        (tile, {"en": tile.get_text(), "vi": tile.get_text().replace(".", ",")})
        for tile in ax.texts
    ]
    bars = [other for other in figure.axes if other is not ax]
    label = {
        code: f"{capital(outcome.label[code])}{f' ({unit})' if unit else ''}" for code in LANGUAGES
    }
    return Drawing(figure, words + [(bar.yaxis.label, label) for bar in bars], bars)


def _page(
    matrix: Matrix, lines: list[Line], shown: list[Outcome], language: str,
    figures: dict[str, str] | None,
) -> str:  # fmt: skip
    """Return the index in one language as one HTML document."""
    environment = template_environment()
    own = {name: words[language] for name, words in _WORDS.items()}
    other = "vi" if language == "en" else "en"
    page = environment.get_template("matrix.html.j2").render(
        language=language,
        words=locale_words(language) | own,
        other=other,
        other_file=html_name(other).replace("report", "index"),
        page_name=html_name(language),
        title=matrix.plan.title[language],
        data_kind=matrix.plan.data_kind,
        over=capital(matrix.heading[language]),
        question=matrix.plan.question[language],
        sentences=_sentences(matrix, lines, shown, language),
        outcomes=[capital(outcome.label[language]) for outcome in shown],
        rows=[_row(line, shown, language) for line in lines],
        missing=[
            (matrix.label_of(cell)[language], own[cell.status], cell.error)
            for cell in matrix.having("failed", "hidden")
        ],
        figure=None if figures is None else figures[language],
        figure_alt=_alt(lines, shown, language),
        figure_note="" if figures is None else own[figures["vintage"]] + " " + own["grey"],
    )
    return page.replace("/*fonts*/", page_fonts(page))


def _row(line: Line, shown: list[Outcome], language: str) -> dict[str, Any]:
    """Write a report's row of the table."""
    cells = []
    for outcome in shown:
        value = line.values.get(outcome.name)
        if value is None:
            cells.append({"key": "", "effect": "–", "interval": "–", "reading": "–"})
            continue
        cells.append(
            {
                "key": "" if value.value is None else repr(value.value),
                "effect": format_value(value, language, "signed"),
                "interval": format_value(value, language, "interval"),
                "reading": _WORDS[_reading(line, outcome)][language],
            }
        )
    units = line.values.get("design.units")
    return {
        "name": line.label[language],
        "address": line.address,
        "units": "–" if units is None else format_value(units, language),
        "units_key": "" if units is None or units.value is None else repr(units.value),
        "cells": cells,
    }


def _sentences(matrix: Matrix, lines: list[Line], shown: list[Outcome], language: str) -> list[str]:
    """Count the readings, and say how many would come by chance."""
    level = matrix.plan.inference["level"]
    numbers = {
        "there": format_number(len(lines), language),
        "cells": format_number(len(matrix.cells), language),
        "chance": format_number((1 - level) * len(lines), language, 1),
        "level": format_quantity(round(100 * level, 6), "percent", language),
    }
    told = [_THERE[language].format(**numbers)]
    for outcome in shown:
        readings = [_reading(line, outcome) for line in lines if outcome.name in line.values]
        counts = [
            f"{_WORDS[verdict][language]} {readings.count(verdict)}"
            for verdict in get_args(Verdict)
            if verdict in readings
        ]
        told.append(f"{capital(outcome.label[language])}: {', '.join(counts)}.")
    return told + ([_CHANCE[language].format(**numbers)] if shown else [])


def _alt(lines: list[Line], shown: list[Outcome], language: str) -> str:
    """Say what the map shows."""
    values = [line.values[o.name] for o in shown[:1] for line in lines if o.name in line.values]
    known = sorted((v for v in values if v.value is not None), key=lambda v: float(v.value or 0))
    if not known:
        return ""
    least, most = (format_value(known[end], language, "signed") for end in (0, -1))
    return _ALT[language].format(label=shown[0].label[language], least=least, most=most)
