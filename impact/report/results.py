"""The record a notebook fills and the renderer reads: ``results.json``, schema impact.results/1.

A notebook computes; whatever a reader shall see goes into one `Record`: values with their units
and intervals, tables, figures, and sections whose sentences name those values. Nothing else
reaches the report, so each printed number can be traced to its value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from impact.errors import ReportError, check_choice, listing, near
from impact.evaluation import DATA_KINDS, Evaluation
from impact.report.figures import Drawing, save_figure
from impact.report.machine_tables import write_csv
from impact.report.numbers import check_unit, stored
from impact.report.sentences import check_sentences
from impact.report.suppression import SMALLEST_CELL, check_sums, hidden_counts, is_small
from impact.report.text import (
    LANGUAGES,
    Text,
    check_text,
    text,
)
from impact.report.values import Bound, Value, format_value

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "OUTPUT_VARIABLE",
    "SCHEMA",
    "Block",
    "Column",
    "Record",
    "bullets",
    "callout",
    "write_json",
]

SCHEMA = "impact.results/1"
OUTPUT_VARIABLE = "IMPACT_OUTPUT"

Tone: TypeAlias = Literal["note", "caution"]
Block: TypeAlias = dict[str, Any]

HIDDEN = text(
    "hidden: it rests on few units, or would give away a number that does",
    "không công bố: dựa trên quá ít đơn vị, hoặc làm lộ một số như vậy",
)
HIDDEN_WARNING = text(
    "Some numbers are hidden, as they would disclose single units.",
    "Một số số liệu không được công bố vì sẽ làm lộ thông tin của từng đơn vị.",
)

_ID = re.compile(r"[a-z][a-z0-9_]*([.-][a-z0-9_]+)*")


@dataclass(frozen=True)
class Column:
    """A table's column: its heading in each language, and its numbers' unit and decimals."""

    label: Text
    unit: str | Text | None = None
    decimals: int | None = None


def bullets(*items: Text) -> Block:
    """Put texts together as a list."""
    return {"kind": "list", "items": [check_text(item, "an item of a list") for item in items]}


def callout(content: Text, tone: Tone = "note") -> Block:
    """Set a text apart: a note, or a caution that must not be missed."""
    check_choice("tone", tone, get_args(Tone), ReportError)
    return {"kind": "callout", "tone": tone, "text": check_text(content, "a callout")}


@dataclass
class Record:
    """What a report says: filled by a notebook, written once, read by the renderers.

    Parameters
    ----------
    id : the evaluation's id, as in its folder's name
    title : the report's title in each language
    data_kind : "microdata" (real observations), "published" (printed figures) or "simulated";
        shown wherever the report is
    question : the question asked, in each language
    smallest_cell : fewest units a number may rest on; numbers that rest on fewer are hidden as they
        enter, and counts that would give them away before anything is written
    withheld : counts of units that are hidden because reports beside this one would else give small
        cells away, see `impact.report.nested`
    png : whether figures are written as PNG too, which Word needs

    Raises
    ------
    ReportError : an id used twice or unknown, a text without one of the languages, a figure
        without alternative text, a sentence with a number that names no value

    Notes
    -----
    Numbers are rounded to nine significant digits as they enter; integers are kept exactly.

    Example
    -------
    >>> record = Record("example", text("Example", "Ví dụ"), "simulated",
    ...                 text("What changed?", "Điều gì đã thay đổi?"))
    >>> jobs = record.value("jobs", 39, "jobs", text("Jobs", "Việc làm"), bound="at_least")
    >>> record.section("result", text("Result", "Kết quả"),
    ...                text("The projects kept {jobs}.", "Các đề án giữ được {jobs}."))
    """

    id: str
    title: Text
    data_kind: str
    question: Text
    smallest_cell: int = SMALLEST_CELL
    png: bool = True
    withheld: tuple[str, ...] = ()
    values: dict[str, Value] = field(default_factory=dict, init=False)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    sections: list[dict[str, Any]] = field(default_factory=list, init=False)
    warnings: list[Text] = field(default_factory=list, init=False)
    front: dict[str, Any] = field(default_factory=dict, init=False)
    _drawn: dict[str, Figure | Mapping[str, Figure] | Drawing] = field(
        default_factory=dict, init=False, repr=False
    )
    _counts: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _sums: list[tuple[str, tuple[str, ...]]] = field(default_factory=list, init=False, repr=False)
    _hidden: set[str] = field(default_factory=set, init=False, repr=False)

    @classmethod
    def of(cls, plan: Evaluation) -> Record:
        """Start the record of an evaluation plan."""
        return cls(
            plan.id,
            plan.title,
            plan.data_kind,
            plan.question,
            plan.smallest_cell,
            png="docx" in plan.formats,
            withheld=plan.withheld,
        )

    def __post_init__(self) -> None:
        check_choice("data_kind", self.data_kind, DATA_KINDS, ReportError)
        self.title = check_text(self.title, "the title")
        self.question = check_text(self.question, "the question")

    def value(
        self,
        id: str,
        value: float | None,
        unit: str | Text,
        label: Text,
        *,
        low: float | None = None,
        high: float | None = None,
        level: float | None = None,
        bound: Bound = "exact",
        decimals: int | None = None,
        note: Text | None = None,
        source: str | None = None,
        units: float | None = None,
        withheld: bool = False,
    ) -> Value:
        """Keep a number under a name; see `Value` for the parameters.

        ``units`` says on how many units the number rests, or which it counts; it is hidden where
        they are too few. ``withheld`` hides it because it would give away one that is.
        """
        where = f'value "{id}"'
        self._new_id(id, self.values, "value")
        check_choice("bound", bound, get_args(Bound), ReportError)
        check_unit(unit, where)
        kept = stored(value, where)
        if kept is None and note is None:
            raise ReportError(
                f"{where} has no number and no note. Say in note= why it cannot be had, so that "
                "the report can."
            )
        self.values[id] = Value(
            id,
            kept,
            unit,
            check_text(label, f"{where}, label"),
            stored(low, f"{where}, low"),
            stored(high, f"{where}, high"),
            level,
            bound,
            decimals,
            None if note is None else check_text(note, f"{where}, note"),
            source,
        )
        if units is not None and units == value:
            self._counts[id] = float(units)
        if withheld or (units is not None and is_small(units, self.smallest_cell)):
            self._hide(id)
        return self.values[id]

    def sums(self, whole: str, parts: Sequence[str]) -> None:
        """State that a count of units is the sum of others, all recorded, as a reader can tell.

        Raises
        ------
        ReportError : the parts do not add up, or are no counts of units
        """
        check_sums(self._counts, whole, parts)
        self._sums.append((whole, tuple(parts)))

    @property
    def hides_counts(self) -> bool:
        """Whether a count of units recorded so far is hidden; then no other text may tell it."""
        return bool(self._hidden_counts())

    def _hidden_counts(self) -> set[str]:
        """Name the counts of units to hide."""
        withheld = set(self.withheld) & set(self._counts)
        return hidden_counts(self._counts, self._sums, self.smallest_cell, withheld=withheld)

    def _hide(self, id: str) -> None:
        """Take a number out of the record; its name and meaning stay."""
        self._hidden.add(id)
        self.values[id] = replace(self.values[id], value=None, low=None, high=None, note=HIDDEN)

    def table(
        self,
        id: str,
        frame: pd.DataFrame,
        title: Text,
        columns: Mapping[str, Column],
        *,
        note: Text | None = None,
        source: str | None = None,
        units: str | None = None,
    ) -> Block:
        """Keep the named columns of a frame as a table; return the block that shows it.

        A cell may be a number (written in its column's unit), a text in each language, or a string;
        ``{name}`` in either is filled with that value. ``units`` names the column of the frame that
        says on how many units each row rests; the numbers of rows with too few are hidden.
        """
        self._new_id(id, self.tables, "table")
        needed = [*columns, *([units] if units else [])]
        absent = [name for name in needed if name not in frame.columns]
        if absent:
            raise ReportError(
                f'table "{id}" has no column {listing(absent)}. '
                f"{near(absent[0], frame.columns)}Known: {listing(frame.columns, 12)}."
            )
        shown = frame[list(columns)].astype(object)
        shown = shown.where(shown.notna(), None)
        small = is_small(frame[units], self.smallest_cell) if units else np.zeros(len(frame), bool)
        if small.any():
            self._hidden.add(f"table {id}")
            shown[small] = shown[small].map(
                lambda cell: cell if isinstance(cell, str | dict) else None
            )
        for name, column in columns.items():
            if column.unit is not None:
                check_unit(column.unit, f'table "{id}", column "{name}"')
        self.tables[id] = {
            "title": check_text(title, f'table "{id}", title'),
            "columns": [
                {
                    "name": name,
                    "label": check_text(column.label, f'table "{id}", column "{name}"'),
                    "unit": column.unit,
                    "decimals": column.decimals,
                }
                for name, column in columns.items()
            ],
            "rows": [
                [_cell(value, f'table "{id}", row {row}') for value in values]
                for row, values in enumerate(shown.itertuples(index=False, name=None), start=1)
            ],
            "note": None if note is None else check_text(note, f'table "{id}", note'),
            "source": source,
        }
        return {"kind": "table", "id": id}

    def figure(
        self,
        id: str,
        figure: Figure | Mapping[str, Figure] | Drawing,
        title: Text,
        alt: Text,
        *,
        caption: Text | None = None,
    ) -> Block:
        """Keep a figure, one for all languages or one for each; return the block that shows it.

        ``alt`` says in words what the figure shows, for a reader who cannot see it.
        """
        self._new_id(id, self.figures, "figure")
        if not alt:
            raise ReportError(
                f'figure "{id}" has no alternative text, so a blind reader would learn nothing '
                'from it. Give alt=text("what it shows", "hình cho thấy gì").'
            )
        files = {code: f"figures/{id}.{code}.svg" for code in LANGUAGES}
        if isinstance(figure, Mapping):
            if set(figure) != set(LANGUAGES):
                raise ReportError(
                    f'figure "{id}" must be drawn once for all languages or once for each of '
                    f"{', '.join(LANGUAGES)}; it was drawn for {listing(sorted(figure))}."
                )
        elif not isinstance(figure, Drawing):
            files = dict.fromkeys(LANGUAGES, f"figures/{id}.svg")
        self._drawn[id] = figure
        self.figures[id] = {
            "title": check_text(title, f'figure "{id}", title'),
            "alt": check_text(alt, f'figure "{id}", alternative text'),
            "caption": None if caption is None else check_text(caption, f'figure "{id}", caption'),
            "files": files,
        }
        return {"kind": "figure", "id": id}

    def section(self, id: str, title: Text, *blocks: Text | Block) -> None:
        """Add a section of paragraphs (texts), tables, figures, lists and callouts, in order."""
        self._new_id(id, {section["id"]: 0 for section in self.sections}, "section")
        self.sections.append(
            {
                "id": id,
                "title": check_text(title, f'section "{id}", title'),
                "blocks": [_block(block, f'section "{id}"') for block in blocks],
            }
        )

    def summary(
        self,
        *,
        answer: Text,
        caveats: Sequence[Text],
        unknown: Sequence[Text],
        credibility: Text | None = None,
        finding: Text | None = None,
        cost: Text | None = None,
        reasons: Sequence[Text] = (),
    ) -> None:
        """Fill the page that decides: the answer, how credible, what it cost, what is not known.

        ``credibility`` (how good the evidence is, ``reasons`` listed) and ``finding`` (what was
        found) are two statements and never one grade.
        """
        given = {"answer": answer, "credibility": credibility, "finding": finding, "cost": cost}
        lists = {"caveats": caveats, "unknown": unknown, "reasons": reasons}
        self.front = {
            **{k: None if v is None else check_text(v, f"summary, {k}") for k, v in given.items()},
            **{k: [check_text(item, f"summary, {k}") for item in v] for k, v in lists.items()},
        }

    def warn(self, message: Text) -> None:
        """Add a warning that the report prints on top of its limits."""
        self.warnings.append(check_text(message, "a warning"))

    def as_dict(self) -> dict[str, Any]:
        """Return the record as it is stored, once every number of its sentences is named.

        Raises
        ------
        ReportError : a number in a sentence that names no value, or a name without value
        """
        for name in self._hidden_counts() - self._hidden:
            self._hide(name)
        if self._hidden and HIDDEN_WARNING not in self.warnings:
            self.warn(HIDDEN_WARNING)
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "evaluation": {
                "id": self.id,
                "title": self.title,
                "question": self.question,
                "data_kind": self.data_kind,
            },
            "summary": self.front or None,
            "values": {name: _plain(value) for name, value in self.values.items()},
            "tables": self.tables,
            "figures": self.figures,
            "sections": self.sections,
            "warnings": self.warnings,
            "hidden": sorted(self._hidden),
        }
        check_sentences(content, self.values)
        return content

    def write(self, folder: str | Path | None = None) -> Record:
        """Write results.json, tables and figures; return the record.

        Without ``folder`` the builder's folder is used; in JupyterLab, where there is none, the
        record is only checked.
        """
        content = self.as_dict()
        target = folder or os.environ.get(OUTPUT_VARIABLE)
        if target:
            path = Path(target)
            for name in self._drawn:
                self._save_figure(name, path)
            for name in self.tables:
                write_csv(self.tables[name], self.values, path / "tables" / f"{name}.csv")
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / "results.json", content)
        return self

    def _save_figure(self, id: str, folder: Path) -> None:
        """Write a figure's files."""
        figure, files = self._drawn[id], self.figures[id]["files"]
        if isinstance(figure, Drawing):
            for code, name in files.items():
                figure.save(folder / name, code, png=self.png)
        elif isinstance(figure, Mapping):
            for code, name in files.items():
                save_figure(figure[code], folder / name, png=self.png)
        else:
            save_figure(figure, folder / files["en"], png=self.png)

    def _repr_html_(self) -> str:
        """Show the values as a table."""
        from html import escape

        rows = "".join(
            f"<tr><td><code>{escape(v.id)}</code></td><td>{escape(v.label['en'])}</td>"
            f"<td>{escape(format_value(v, 'en'))}</td><td>{escape(format_value(v, 'vi'))}</td></tr>"
            for v in self.values.values()
        )
        return f"<table><tr><th>id</th><th>value</th><th>en</th><th>vi</th></tr>{rows}</table>"

    def _new_id(self, id: str, known: Mapping[str, object], kind: str) -> None:
        if not _ID.fullmatch(id):
            raise ReportError(
                f'{kind} "{id}" has no usable name: small letters, digits, "_" and "." only, a '
                "letter first, since the name becomes an anchor and a file name."
            )
        if id in known:
            raise ReportError(f'{kind} "{id}" was recorded twice. Give the second another name.')


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whose bytes depend on the content only."""
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Value) -> dict[str, Any]:
    return {key: item for key, item in vars(value).items() if key != "id"}


def _cell(value: object, where: str) -> int | float | str | Text | None:
    """Return a table's cell as it is stored."""
    if isinstance(value, Mapping):
        return check_text(value, where)
    if value is None or isinstance(value, str):
        return value
    return stored(value, where)


def _block(block: Text | Block, where: str) -> Block:
    if isinstance(block, Mapping) and "kind" in block:
        return dict(block)
    return {"kind": "paragraph", "text": check_text(block, f"{where}, a paragraph")}
