"""Figures as bytes that do not depend on the day, the machine or its fonts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impact.report.numbers import format_number
from impact.report.text import LANGUAGES, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text as Words

__all__ = ["FONT_FAMILY", "Drawing", "quantities", "report_style", "save_figure", "wrapped"]

FONT_FAMILY = "Be Vietnam Pro"
PNG_DPI = 160

_UNDATED: dict[str, dict[str, None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}


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


class Drawing:
    """A figure drawn once and shown in every language: only its words and numbers change.

    Parameters
    ----------
    figure : the figure, with a layout engine, which makes room for the longest of each text
    words : the texts of the figure, each with what it says in each language
    measured : axes whose vertical scale shows quantities, written as the language writes them

    Notes
    -----
    In JupyterLab it shows itself in English.
    """

    def __init__(
        self,
        figure: Figure,
        words: Sequence[tuple[Words, Text]],
        measured: Sequence[Axes] = (),
    ) -> None:
        self.figure, self._words = figure, tuple(words)
        self._scales = [quantities(ax.yaxis) for ax in measured]
        self._svg: dict[str, bytes] = {}
        self._is_laid_out = False

    def svg(self, language: str) -> bytes:
        """Return the figure as an SVG in a language."""
        from io import BytesIO

        if language not in self._svg:
            stream = BytesIO()
            self._speak(language)
            _write(self.figure, stream, ".svg", None)
            self._svg[language] = stream.getvalue()
        return self._svg[language]

    def save(self, path: Path, language: str, *, png: bool = True) -> None:
        """Write the figure in a language as SVG and, if asked, PNG beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.svg(language))
        if png:
            self._speak(language)
            _write(self.figure, path.with_suffix(".png"), ".png", None)

    def __repr__(self) -> str:
        return f"a drawing in {' and '.join(LANGUAGES)}"

    def _repr_svg_(self) -> str:
        return self.svg("en").decode("utf-8").replace("\n", " ")

    def _speak(self, language: str) -> None:
        """Put the figure into a language, after room was made for all."""
        if not self._is_laid_out:
            for words, said in self._words:
                words.set_text(max((said[code] for code in LANGUAGES), key=_size))
            _lay_out(self.figure)
            self._is_laid_out = True
        for words, said in self._words:
            words.set_text(said[language])
        for scale in self._scales:
            scale.language = language


def wrapped(words: Text, width: int) -> Text:
    """Break a text into lines of at most ``width`` letters, in each language."""
    return {code: "\n".join(textwrap.wrap(said, width)) for code, said in words.items()}


def save_figure(figure: Figure, path: Path, *, png: bool = True) -> None:
    """Write a figure as SVG and, if asked, PNG beside it: undated, the same bytes each time.

    The layout is worked out once and kept, so that both show the same and neither pays for it.
    """
    import matplotlib
    from matplotlib.transforms import Bbox

    path.parent.mkdir(parents=True, exist_ok=True)
    _lay_out(figure)
    tight = figure.get_tightbbox().padded(matplotlib.rcParams["savefig.pad_inches"])
    box = Bbox(tight.get_points().round(3))
    for suffix in (".svg", ".png") if png else (".svg",):
        _write(figure, path.with_suffix(suffix), suffix, box)


def _lay_out(figure: Figure) -> None:
    """Place everything, and keep it there.

    Names inside an SVG are hashes of unrounded places, so places are rounded here: the last digit
    differs between processors.
    """
    import matplotlib
    from matplotlib.transforms import Bbox

    engine = figure.get_layout_engine()
    with matplotlib.rc_context(report_style()):
        if engine is None:
            figure.draw_without_rendering()
        else:
            engine.execute(figure)
            figure.set_layout_engine(None)
    for ax in figure.axes:
        place = ax.get_position(original=True)
        ax.set_position(Bbox(place.get_points().round(4)))
        ax.set_in_layout(True)


def _write(figure: Figure, target: Any, suffix: str, box: Any) -> None:
    """Write what lies in the box, or all of a figure whose layout has made room for everything."""
    import matplotlib

    with matplotlib.rc_context(report_style() | {"savefig.bbox": None}):
        figure.savefig(
            target,
            format=suffix.removeprefix("."),
            metadata=_UNDATED[suffix],
            bbox_inches=box,
            dpi=PNG_DPI,
        )


def _size(words: str) -> tuple[int, int]:
    """Return how much room words need: lines, then letters."""
    return words.count("\n"), max(map(len, words.split("\n")))


def quantities(axis: Axis, language: str = "en") -> Any:
    """Let a scale write quantities in a language, and return what does it."""
    from matplotlib.ticker import ScalarFormatter

    class Quantities(ScalarFormatter):
        language: str

        def __call__(self, x: float, pos: int | None = None) -> str:
            plain = super().__call__(x, pos)
            if not plain:
                return plain
            decimals = len(plain.partition(".")[2])
            return format_number(float(f"{x:.9g}"), self.language, decimals)

    scale = Quantities(useOffset=False, useMathText=False, useLocale=False)
    scale.set_scientific(False)
    scale.language = language
    axis.set_major_formatter(scale)
    return scale
