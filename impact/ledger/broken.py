"""Cells of a workbook that hold an error or a formula never computed; both read as empty."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree.ElementTree import ParseError, iterparse
from zipfile import BadZipFile, ZipFile

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["BrokenCell", "broken_cells"]

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
ADDRESS = re.compile(r"([A-Z]+)([0-9]+)")


class BrokenCell(NamedTuple):
    """A cell's row and column letters, and the error or formula found in it."""

    row: int
    letters: str
    holds: str


def broken_cells(file: Path, sheets: Iterable[str]) -> dict[str, tuple[BrokenCell, ...]]:
    """Return by sheet the cells of a workbook that hold an error or no result of their formula."""
    wanted = set(sheets)
    try:
        with ZipFile(file) as book:
            return {
                name: tuple(_broken(book, part))
                for name, part in _parts(book)
                if part is not None and name in wanted
            }
    except (BadZipFile, KeyError, ParseError):
        return {}


def _parts(book: ZipFile) -> Iterator[tuple[str, str | None]]:
    """Yield each sheet's name and the part of the archive that holds it."""
    targets = {}
    with book.open("xl/_rels/workbook.xml.rels") as stream:
        for _, element in iterparse(stream):
            if element.tag.endswith("}Relationship"):
                target = element.get("Target", "").removeprefix("/xl/")
                targets[element.get("Id")] = f"xl/{target}" if target else None
    with book.open("xl/workbook.xml") as stream:
        for _, element in iterparse(stream):
            if element.tag == f"{MAIN}sheet":
                yield element.get("name", ""), targets.get(element.get(RELATION))


def _broken(book: ZipFile, part: str) -> Iterator[BrokenCell]:
    with book.open(part) as stream:
        for _, element in iterparse(stream):
            if element.tag == f"{MAIN}c":
                holds = _holds(element)
                address = ADDRESS.fullmatch(element.get("r", ""))
                if holds and address:
                    yield BrokenCell(int(address[2]), address[1], holds)
            elif element.tag == f"{MAIN}row":
                element.clear()


def _holds(cell: Element) -> str:
    value, formula = cell.findtext(f"{MAIN}v"), cell.find(f"{MAIN}f")
    if cell.get("t") == "e":
        return value or "an error"
    if formula is not None and not value and cell.get("t") != "str":
        return f"={formula.text or '...'}"
    return ""
