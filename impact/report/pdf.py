"""Write a record as a tagged PDF by Typst: fonts from packages only, no clock, no network."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources, util
from pathlib import Path
from typing import Any

from impact.errors import ReportError

__all__ = ["can_write_pdf", "render_pdf"]


def can_write_pdf() -> bool:
    """Tell whether the extra "pdf" is installed."""
    return util.find_spec("typst") is not None


def render_pdf(document: Mapping[str, Any], folder: Path) -> bytes:
    """Return a report in one language as PDF/UA-1.

    Parameters
    ----------
    document : the prepared record, of `impact.report.document.prepare_document`
    folder : where its figures lie

    Raises
    ------
    ReportError : Typst refuses the document
    """
    import typst

    with tempfile.TemporaryDirectory(prefix="impact-pdf-") as name:
        root = Path(name)
        if (folder / "figures").is_dir():
            shutil.copytree(folder / "figures", root / "figures")
        (root / "document.json").write_text(
            json.dumps(document, ensure_ascii=False), encoding="utf-8"
        )
        template = resources.files("impact.report") / "templates" / "report.typ"
        (root / "report.typ").write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
        try:
            content: bytes = typst.compile(
                root / "report.typ",
                root=root,
                font_paths=_font_folders(),
                ignore_system_fonts=True,
                format="pdf",
                pdf_standards=["ua-1"],
                timestamp=0,
            )
        except (typst.TypstError, ValueError) as error:
            raise ReportError(f"Typst could not set the PDF: {error}") from None
    return content


def _font_folders() -> list[Path]:
    """Return the folders of the packages' fonts: Be Vietnam Pro, and DejaVu for what it lacks."""
    import matplotlib

    family = resources.files("fontpkg_be_vietnam_pro") / "files"
    return [Path(str(family)), Path(matplotlib.get_data_path()) / "fonts" / "ttf"]
