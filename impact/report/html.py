"""Write a record as one HTML file per language: self-contained, offline, sortable, printable."""

from __future__ import annotations

import base64
import html
import io
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impact.errors import ReportError
from impact.report.tables import prepare_table
from impact.report.text import fill
from impact.report.values import Value, format_value

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.runtime import Context

__all__ = [
    "html_name",
    "locale_words",
    "page_fonts",
    "render_html",
    "report_template",
    "template_environment",
]

_WEIGHTS = {400: "Regular", 600: "SemiBold"}
_VIETNAMESE = "àáảãạăằắẳẵặâầấẩẫậèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵđ₫"
_LETTERS = frozenset(
    {*range(0x20, 0x7F), *map(ord, _VIETNAMESE + _VIETNAMESE.upper() + "–—−×±≤≥≠’“”…•·\n\xa0")}
)
_STRONG = re.compile(r"\*\*(.+?)\*\*")


def html_name(language: str) -> str:
    """Name the report's file in a language."""
    return "report.html" if language == "en" else f"report.{language}.html"


def render_html(
    results: Mapping[str, Any],
    folder: Path,
    language: str,
    fingerprints: Mapping[str, Any],
    others: Mapping[str, str],
) -> str:
    """Return the report in a language as one HTML document.

    Parameters
    ----------
    results : the content of results.json
    folder : where its figures lie
    language : "en" or "vi"
    fingerprints : hashes of what the report was made from, as in the manifest's key
    others : the files in other formats beside the page, linked at its top, by name of the format

    Raises
    ------
    ReportError : a figure's file is missing
    """
    values = {name: Value(id=name, **entry) for name, entry in results["values"].items()}
    words = locale_words(language)
    template = report_template()
    other = "vi" if language == "en" else "en"
    page = template.render(
        language=language,
        by_name=values,
        words=words,
        other=other,
        other_file=html_name(other),
        results=results,
        sections=results["sections"],
        tables={name: _table(table, values, language) for name, table in results["tables"].items()},
        images={
            name: _image(folder / figure["files"][language])
            for name, figure in results["figures"].items()
        },
        widths={
            name: _width(folder / figure["files"][language])
            for name, figure in results["figures"].items()
        },
        values=[
            {
                "id": value.id,
                "label": value.label[language],
                "written": format_value(value, language),
                "interval": format_value(value, language, "interval")
                if value.low is not None
                else "",
                "note": value.note,
                "source": value.source,
            }
            for value in sorted(values.values(), key=lambda value: value.id)
        ],
        fingerprints=fingerprints,
        others=others,
    )
    return page.replace("/*fonts*/", page_fonts(page))


def template_environment() -> Environment:
    """Return how templates of pages are read: escaped, strict about names, without blank lines."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("impact.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


@cache
def report_template() -> Template:
    """Return the page's template, compiled once; its filters fill sentences from ``by_name``."""
    from jinja2 import pass_context
    from markupsafe import Markup

    @pass_context
    def words(context: Context, text: Mapping[str, str]) -> str:
        language = context["language"]
        return Markup(_prose(text[language], context["by_name"], language))

    @pass_context
    def bare(context: Context, text: Mapping[str, str]) -> str:
        language = context["language"]
        return _bare(text[language], context["by_name"], language)

    environment = template_environment()
    environment.filters |= {"words": words, "bare": bare}
    return environment.get_template("report.html.j2")


@cache
def locale_words(language: str) -> dict[str, Any]:
    """Return the report's own words in a language."""
    file = resources.files("impact.report") / "locale" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _prose(template: str, values: Mapping[str, Value], language: str) -> str:
    """Fill a sentence; each number carries the name of its value."""

    def number(name: str, form: str) -> str:
        value = values[name]
        raw = "" if value.value is None else f' value="{value.value!r}"'
        title = html.escape(value.label[language])
        written = html.escape(format_value(value, language, form))
        return f'<data data-id="{name}"{raw} title="{title}">{written}</data>'

    return _STRONG.sub(r"<strong>\1</strong>", fill(html.escape(template, quote=False), number))


def _bare(template: str, values: Mapping[str, Value], language: str) -> str:
    """Fill a sentence without markup, for attributes."""
    plain = fill(template, lambda name, form: format_value(values[name], language, form))
    return _STRONG.sub(r"\1", plain)


def _table(table: Mapping[str, Any], values: Mapping[str, Value], language: str) -> dict[str, Any]:
    """Prepare a table and mark up its cells."""
    from markupsafe import Markup

    prepared = prepare_table(table, values, language)
    for cell in (cell for row in prepared["rows"] for cell in row):
        if cell["template"] is not None:
            cell["html"] = Markup(_prose(cell["template"], values, language))
        elif cell["missing"]:
            cell["html"] = Markup('<span title="{}">–</span>').format(cell["missing"])
        else:
            cell["html"] = cell["text"]
    return prepared


def _image(path: Path) -> str:
    """Return a figure's file as a data address."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"the figure {path.name} cannot be read: {error}") from None
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")


def _width(path: Path) -> int:
    """Return the width at which a figure was drawn, in pixels of a page."""
    stated = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', path.read_bytes()[:4096])
    return round(float(stated[1]) * 4 / 3) if stated else 704


def page_fonts(page: str) -> str:
    """Return the style rules of the fonts, each cut down to the letters of reports and the page."""
    letters = frozenset(map(ord, page)) | _LETTERS
    return "\n".join(_font_rule(weight, letters) for weight in _WEIGHTS)


@cache
def _font_rule(weight: int, letters: frozenset[int]) -> str:
    """Return the style rule of a font that has these letters."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    files = resources.files("fontpkg_be_vietnam_pro") / "files"
    options = subset.Options(
        flavor="woff2", layout_features=["kern", "mark", "mkmk", "ccmp", "tnum"]
    )
    with (files / f"BeVietnamPro-{_WEIGHTS[weight]}.ttf").open("rb") as stream:
        font = TTFont(stream, recalcTimestamp=False)
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=sorted(letters))
        cutter.subset(font)
        font.flavor = "woff2"
        packed = io.BytesIO()
        font.save(packed)
    data = base64.b64encode(packed.getvalue()).decode("ascii")
    return (
        f'@font-face{{font-family:"Be Vietnam Pro";font-weight:{weight};font-display:swap;'
        f'src:url(data:font/woff2;base64,{data}) format("woff2")}}'
    )
