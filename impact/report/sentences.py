"""The sentences of a record: every number they print names a value that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from impact.errors import ReportError, check_choice, listing, near
from impact.report.text import named_values, stray_digits
from impact.report.values import FORMS, Value

__all__ = ["check_sentences"]


def check_sentences(content: Mapping[str, Any], values: Mapping[str, Value]) -> None:
    """Refuse a record that shows what it does not hold, or prints a number that has no name.

    Raises
    ------
    ReportError : an unknown table, figure or value, or digits in a sentence that name no value
    """
    for section in content["sections"]:
        for block in section["blocks"]:
            if (
                block["kind"] in ("table", "figure")
                and block["id"] not in (content[block["kind"] + "s"])
            ):
                raise ReportError(f'section "{section["id"]}" shows no {block["kind"]} known.')
    for where, template in [*_sentences(content), *_labels(content)]:
        for name, form in named_values(template):
            if name not in values:
                raise ReportError(
                    f'{where} names the value "{name}", which was not recorded. '
                    f"{near(name, values)}The sentence was: {template}"
                )
            check_choice(f"the form of {{{name}}} in {where}", form, FORMS, ReportError)
    for where, template in _sentences(content):
        stray = stray_digits(template)
        if stray:
            raise ReportError(
                f"{where} prints {listing(stray)} without naming a value, so nobody could "
                f"trace it. Record it with record.value(...) and write {{name}}; where it is "
                f"no result (a citation, a name), write [[{stray[0]}]]. The sentence was: "
                f"{template}"
            )


def _labels(content: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Walk through what may print numbers that are no results: headings and cells of tables."""
    for id, table in content["tables"].items():
        for column in table["columns"]:
            yield from _languages(f'table "{id}", a heading', column["label"])
        for number, row in enumerate(table["rows"], start=1):
            for cell in row:
                words = {"text": cell} if isinstance(cell, str) else cell
                if isinstance(words, Mapping):
                    yield from _languages(f'table "{id}", row {number}', words)


def _sentences(content: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Walk through every sentence of a record: where it stands, and the sentence."""
    front = content["summary"] or {}
    for key, item in front.items():
        for words in item if isinstance(item, list) else [item]:
            yield from _languages(f"summary, {key}", words)
    for message in content["warnings"]:
        yield from _languages("a warning", message)
    for id, figure in content["figures"].items():
        for key in ("title", "alt", "caption"):
            yield from _languages(f'figure "{id}", {key}', figure[key])
    for id, table in content["tables"].items():
        for key in ("title", "note"):
            yield from _languages(f'table "{id}", {key}', table[key])
    for section in content["sections"]:
        where = f'section "{section["id"]}"'
        yield from _languages(where, section["title"])
        for block in section["blocks"]:
            for words in block.get("items", [block.get("text")]):
                yield from _languages(where, words)


def _languages(where: str, text: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
    for code, template in (text or {}).items():
        yield f"{where} ({code})", template
