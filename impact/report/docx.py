"""Write a record as a Word file by pandoc, in the type of Vietnamese official documents."""

from __future__ import annotations

import datetime
import io
import os
import re
import subprocess
import tempfile
import zipfile
from calendar import timegm
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Any

from impact.errors import ReportError

__all__ = ["can_write_docx", "column_widths", "keep_together", "render_docx"]

TYPEFACE = "Times New Roman"
TEXT, TABLE_TEXT = 26, 20  # half points
LINE = 88
"""Letters of a table's text that fit on a line of the page."""
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def can_write_docx() -> bool:
    """Tell whether the extra "docx" is installed."""
    return util.find_spec("pypandoc") is not None


def render_docx(document: Mapping[str, Any], folder: Path, date: datetime.date) -> bytes:
    """Return a report in one language as a Word file, the same bytes for the same record.

    Parameters
    ----------
    document : the prepared record, of `impact.report.document.prepare_document`
    folder : where its figures lie, as PNG
    date : the plan's date, which the file carries as its own

    Raises
    ------
    ReportError : pandoc refuses the document

    Source
    ------
    Typeface and size: Decree 30/2020/NĐ-CP on clerical work, annex I.
    """
    import pypandoc
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("impact.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["widths"] = column_widths
    page = environment.get_template("report.docx.html.j2").render(d=document)
    pandoc = pypandoc.get_pandoc_path()
    with tempfile.TemporaryDirectory(prefix="impact-docx-") as name:
        root = Path(name)
        (root / "reference.docx").write_bytes(_reference(pandoc))
        run = subprocess.run(
            [
                *(pandoc, "--from=html", "--to=docx", f"--output={root / 'report.docx'}"),
                *(f"--reference-doc={root / 'reference.docx'}", f"--resource-path={folder}"),
                *("--metadata", f"title={document['title']}"),
                *("--metadata", f"lang={document['language']}"),
            ],
            input=page,
            capture_output=True,
            encoding="utf-8",
            env=os.environ
            | {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(timegm(date.timetuple()))},
            check=False,
        )
        if run.returncode:
            raise ReportError(f"pandoc could not write the Word file: {run.stderr.strip()}")
        return _rezipped((root / "report.docx").read_bytes(), {"word/document.xml": keep_together})


def _reference(pandoc: str) -> bytes:
    """Return pandoc's reference document in the typeface and sizes of official documents."""
    default = subprocess.run(
        [pandoc, "--print-default-data-file=reference.docx"], capture_output=True, check=True
    ).stdout
    return _rezipped(
        default,
        {
            "word/document.xml": _lay_out,
            "word/styles.xml": _restyle,
            "word/theme/theme1.xml": _retype,
        },
    )


def _retype(theme: str) -> str:
    """Set both typefaces of a theme."""
    return re.sub(r'(<a:latin typeface=")[^"]*(")', rf"\g<1>{TYPEFACE}\g<2>", theme)


def _restyle(styles: str) -> str:
    """Set running text in the decree's size, table text smaller, headings in black, all closer."""
    styles = styles.replace('w:before="180" w:after="180"', 'w:before="60" w:after="60"')
    styles = re.sub(r'w:before="(?:360|480)"( w:after="\d+")?', r'w:before="180"\1', styles)
    for size in ("sz", "szCs"):
        styles = re.sub(
            rf'(<w:rPrDefault>.*?<w:{size} w:val=")\d+',
            rf"\g<1>{TEXT}",
            styles,
            count=1,
            flags=re.S,
        )
    smaller = f'<w:rPr><w:sz w:val="{TABLE_TEXT}"/><w:szCs w:val="{TABLE_TEXT}"/></w:rPr>'
    styles = re.sub(
        r'(w:styleId="Compact">.*?)(</w:style>)',
        rf"\g<1>{smaller}\g<2>",
        styles,
        count=1,
        flags=re.S,
    )
    return re.sub(r'<w:color w:val="[0-9A-F]{6}"[^>]*/>', '<w:color w:val="000000"/>', styles)


def _lay_out(body: str) -> str:
    """Set the page to A4 with the decree's margins."""
    page = (
        '<w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1134" w:right="1134" '
        'w:bottom="1134" w:left="1701" w:header="567" w:footer="567" w:gutter="0"/>'
    )
    return body.replace("</w:sectPr>", page + "</w:sectPr>", 1)


def column_widths(table: Mapping[str, Any]) -> list[int]:
    """Share a table's width among its columns, in percent: their longest words, then their text."""
    heads = ["".join(run["text"] for run in column["runs"]) for column in table["columns"]]
    columns = zip(heads, *table["rows"], strict=True) if table["rows"] else ((h,) for h in heads)
    wanted, needed = [], []
    for column in columns:
        wanted.append(min(max(len(text) for text in column), 30) + 4)
        needed.append(max(len(word) for text in column for word in text.split(" ")) + 3)
    spare = [max(want - need, 0) for want, need in zip(wanted, needed, strict=True)]
    left = max(LINE - sum(needed), 0) / max(sum(spare), 1)
    lengths = [need + min(left, 1) * more for need, more in zip(needed, spare, strict=True)]
    return [round(100 * length / sum(lengths)) for length in lengths]


def keep_together(body: str) -> str:
    """Keep every row of a table on one page, and its caption with it."""
    body = re.sub(r"<w:tr>(\s*)(?!\s*<w:trPr>)", r"<w:tr><w:trPr><w:cantSplit/></w:trPr>\1", body)
    before, *tables = body.split("<w:tbl>")
    kept = before
    for table in tables:
        start = kept.rfind("<w:p>")
        caption = re.sub(r"(<w:pStyle [^>]*/>)", r"\1<w:keepNext/>", kept[start:], count=1)
        kept = f"{kept[:start]}{caption}<w:tbl>{table}"
    return kept


def _rezipped(archive: bytes, changes: Mapping[str, Any]) -> bytes:
    """Return an archive with fixed dates and order, some members rewritten."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name in changes:
                content = changes[name](content.decode("utf-8")).encode("utf-8")
            member = zipfile.ZipInfo(name, date_time=ZIP_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, content)
    return packed.getvalue()
