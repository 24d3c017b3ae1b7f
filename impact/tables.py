"""Tables of estimates as text, HTML, Markdown, LaTeX and Word; takes frames."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from impact.errors import ReportError

__all__ = [
    "SMALLEST_P",
    "format_number",
    "format_p_value",
    "state_p_value",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_text",
    "to_word",
]

SMALLEST_P = 0.001
"""p-values below this are said to be so: none is ever printed as zero."""

_HEADINGS = {
    "std_error": "std. error",
    "p_value": "p",
    "conf_low": "conf. low",
    "conf_high": "conf. high",
    "band_low": "band low",
    "band_high": "band high",
    "event_time": "event time",
    "n_treated": "treated",
    "n_comparison": "comparison",
}
_COUNTS = ("cohort", "time", "event_time", "n_treated", "n_comparison")


def format_number(value: Any, digits: int = 4) -> str:
    """Write a number with ``digits`` significant digits, plain where that is short.

    Missing values become an empty string; whole numbers are written whole.
    """
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return ""
    if isinstance(value, (bool, np.bool_, str)):
        return str(value)
    number = float(value)
    if np.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0:
        return "0"
    magnitude = int(np.floor(np.log10(abs(number))))
    if magnitude < -5 or magnitude >= 9:
        text = f"{number:.{digits - 1}e}"
    else:
        text = f"{number:,.{max(digits - 1 - magnitude, 0)}f}"
    return text.replace("-", "−", 1) if number < 0 else text


def format_p_value(value: float) -> str:
    """Write a p-value with three decimals, "<0.001" below a thousandth; nothing if missing."""
    if np.isnan(value):
        return ""
    return f"{value:.3f}" if value >= SMALLEST_P else f"<{SMALLEST_P}"


def state_p_value(value: float) -> str:
    """Say what a p-value is, to follow the letter: "= 0.012", or "< 0.001"."""
    return f"= {value:.3f}" if value >= SMALLEST_P else f"< {SMALLEST_P}"


def _cells(frame: pd.DataFrame, digits: int) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return headings, formatted rows, and which columns are numeric."""
    numeric = [pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns]
    writers: list[Callable[[Any], str]] = []
    for column, is_number in zip(frame.columns, numeric, strict=True):
        if column in _COUNTS or not is_number or pd.api.types.is_integer_dtype(frame[column]):
            writers.append(_write_plain)
        elif column == "p_value":
            writers.append(format_p_value)
        else:
            writers.append(lambda v: format_number(v, digits))
    rows = [
        [write(value) for write, value in zip(writers, row, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    return [_HEADINGS.get(str(c), str(c)) for c in frame.columns], rows, numeric


def _write_plain(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return (
        f"{value:g}".replace("-", "−", 1) if isinstance(value, (float, np.floating)) else str(value)
    )


def to_text(frame: pd.DataFrame, digits: int = 4) -> str:
    """Align a frame as plain text."""
    headings, rows, numeric = _cells(frame, digits)
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in [headings, *rows]:
        fields = [
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(fields).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def to_html(
    frame: pd.DataFrame, *, caption: str = "", notes: tuple[str, ...] = (), digits: int = 4
) -> str:
    """Write a frame as one HTML table without styles or ids of chance."""
    headings, rows, numeric = _cells(frame, digits)
    head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in headings)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{"right" if is_number else "left"}">{html.escape(text)}</td>'
            for text, is_number in zip(row, numeric, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    foot = "".join(f"<tr><td colspan='{len(headings)}'>{html.escape(n)}</td></tr>" for n in notes)
    return (
        '<table class="impact">'
        + (f"<caption>{html.escape(caption)}</caption>" if caption else "")
        + f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        + (f'<tfoot style="text-align:left">{foot}</tfoot>' if foot else "")
        + "</table>"
    )


def to_markdown(frame: pd.DataFrame, digits: int = 4) -> str:
    """Write a frame as a Markdown table."""
    headings, rows, numeric = _cells(frame, digits)
    rule = ["---:" if is_number else "---" for is_number in numeric]
    escaped = [[text.replace("|", "\\|") for text in row] for row in [headings, rule, *rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped)


def to_latex(frame: pd.DataFrame, digits: int = 4) -> str:
    """Write a frame as a LaTeX tabular with booktabs rules."""
    headings, rows, numeric = _cells(frame, digits)
    lines = [" & ".join(_latex(text) for text in row) + r" \\" for row in [headings, *rows]]
    columns = "".join("r" if is_number else "l" for is_number in numeric)
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"


def to_word(
    frame: pd.DataFrame,
    path: str | Path,
    *,
    caption: str = "",
    notes: tuple[str, ...] = (),
    digits: int = 4,
) -> None:
    """Write a frame as a Word file with one table, notes below it.

    Raises
    ------
    ReportError : the extra "docx" is not installed, or the file is not named .docx
    """
    target = Path(path)
    if target.suffix != ".docx":
        raise ReportError(f'a Word file is named ".docx"; this is "{target.name}".')
    try:
        import pypandoc
    except ImportError:
        raise ReportError(
            'Word files are written by pandoc, which the extra "docx" installs: '
            'pip install "impact[docx]".'
        ) from None
    below = "".join(f"<p>{html.escape(note)}</p>" for note in notes)
    page = to_html(frame, caption=caption, digits=digits) + below
    pypandoc.convert_text(page, "docx", format="html", outputfile=str(target))


def _latex(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, "\\" + sign)
    return text.replace("−", "$-$").replace("∞", r"$\infty$")
