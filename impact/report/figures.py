"""Figures as bytes that do not depend on the day, the machine or its fonts."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FONT_FAMILY", "report_style", "save_figure"]

FONT_FAMILY = "Be Vietnam Pro"
PNG_DPI = 160
_HASHED_ID = re.compile(r'(?<=["#])\w*[0-9a-f]{10}(?=[")])')


def report_style() -> dict[Any, Any]:
    """Return matplotlib settings of a report: a font with every Vietnamese letter, fixed ids.

    Use as ``with matplotlib.rc_context(report_style()): ...`` or ``plt.rcParams.update(...)``.
    """
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    if FONT_FAMILY not in known:
        fonts = resources.files("fontpkg_be_vietnam_pro") / "files"
        for weight in ("Regular", "SemiBold", "Bold", "Italic"):
            with resources.as_file(fonts / f"BeVietnamPro-{weight}.ttf") as path:
                font_manager.fontManager.addfont(path)
    return {
        "font.family": [FONT_FAMILY, "DejaVu Sans"],
        "svg.fonttype": "path",
        "svg.hashsalt": "impact",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": 100,
        "savefig.bbox": "tight",
    }


def save_figure(figure: Figure, path: Path, *, png: bool = True) -> None:
    """Write a figure as SVG and, if asked, PNG beside it: undated, the same bytes each time.

    The layout is worked out once and kept, so that both show the same and neither pays for it.
    """
    import matplotlib

    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "impact"}):
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
        box = figure.get_tightbbox().padded(matplotlib.rcParams["savefig.pad_inches"])
        files: dict[Path, dict[str, None]] = {path: {"Date": None, "Creator": None}}
        if png:
            files[path.with_suffix(".png")] = {"Software": None}
        for file, metadata in files.items():
            figure.savefig(file, metadata=metadata, bbox_inches=box, dpi=PNG_DPI)
    path.write_text(_numbered(path.read_text(encoding="utf-8")), encoding="utf-8")


def _numbered(svg: str) -> str:
    """Number the ids that matplotlib makes from hashes of unrounded coordinates.

    Coordinates are written to six decimals, where processors agree; their hashes are not.
    """
    numbers = {id: f"p{k}" for k, id in enumerate(dict.fromkeys(_HASHED_ID.findall(svg)))}
    return _HASHED_ID.sub(lambda found: numbers[found[0]], svg)
