"""Text in every language of a report, and templates whose numbers are named values.

A sentence is written once per language: ``text("Support: {support}.", "Kinh phí: {support}.")``.
``{support}`` names a value of the record; ``{support:interval}`` asks for another form of it.
Digits that are no result (a citation, a model's name) stand between double brackets:
``[[Wooldridge (2021)]]``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeAlias

from impact.errors import ReportError
from impact.evaluation import LANGUAGES

__all__ = [
    "LANGUAGES",
    "Text",
    "capital",
    "check_text",
    "fill",
    "named_values",
    "stray_digits",
    "text",
]

Text: TypeAlias = dict[str, str]

_VALUE = re.compile(r"\{([A-Za-z][A-Za-z0-9_.]*)(?::([a-z]+))?\}")
_STATEMENT = re.compile(r"\bp \{(?=[^{}]*:equals\})")
_LITERAL = re.compile(r"\[\[(.*?)\]\]")


def text(en: str, vi: str) -> Text:
    """Put one text's languages together, letters composed (NFC)."""
    return check_text({"en": en, "vi": vi}, "a text")


def check_text(value: Mapping[str, str], where: str) -> Text:
    """Return the text with composed letters; refuse a missing or unknown language.

    Raises
    ------
    ReportError : a language is missing, empty or unknown
    """
    if not isinstance(value, Mapping):
        raise ReportError(
            f"{where} must be given in each language, {{'en': ..., 'vi': ...}}; it was {value!r}. "
            'Write text("English", "tiếng Việt").'
        )
    missing = [code for code in LANGUAGES if not str(value.get(code, "")).strip()]
    unknown = sorted(set(value) - set(LANGUAGES))
    if missing or unknown:
        raise ReportError(
            f"{where} must be given in {' and '.join(LANGUAGES)}; "
            + (f"missing or empty: {', '.join(missing)}. " if missing else "")
            + (f"unknown: {', '.join(unknown)}. " if unknown else "")
            + 'Write text("English", "tiếng Việt").'
        )
    return {code: unicodedata.normalize("NFC", str(value[code])) for code in LANGUAGES}


def named_values(template: str) -> list[tuple[str, str]]:
    """List the (value id, form) pairs a template names, in order; the plain form is empty."""
    return [(match[1], match[2] or "") for match in _VALUE.finditer(template)]


def stray_digits(template: str) -> list[str]:
    """List the numbers of a template that neither name a value nor stand between brackets."""
    bare = _LITERAL.sub(" ", _VALUE.sub(" ", template))
    return re.findall(r"\d[\d.,]*", bare)


def fill(template: str, formatted: Callable[[str, str], str]) -> str:
    """Replace each named value by its formatted number and drop the brackets of literals.

    A letter p stays on the line of what is said of it.
    """
    together = _STATEMENT.sub("p\N{NO-BREAK SPACE}{", template)
    filled = _VALUE.sub(lambda match: formatted(match[1], match[2] or ""), together)
    return _LITERAL.sub(r"\1", filled)


def capital(words: str) -> str:
    """Begin words with a capital, the rest as it is."""
    return words[:1].upper() + words[1:]
