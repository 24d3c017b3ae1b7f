"""The figures of an evaluation report, drawn in the report's languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING

from impact import plots
from impact.report.figures import Drawing, report_style, wrapped
from impact.report.numbers import UNITS, format_number
from impact.report.text import LANGUAGES, Text, capital, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text as Words

    from impact.report.effects import OutcomeEffect
    from impact.report.population import Population

__all__ = ["event_studies", "group_time", "treatment_timing"]

TITLE_LETTERS = 34
"""Letters that fit above a panel."""

_SINCE = text("periods since treatment began", "số kỳ kể từ khi được hỗ trợ")
_UNTREATED = text("not yet, or never, treated", "chưa hoặc không được hỗ trợ")
_TIME = text("year", "năm")
_WAVE = text("first treated", "hỗ trợ từ")
_COLOURS = ("#2f5d8a", "#b5532a", "#4d7c4a", "#7a5195")
_TREATED = text("treated", "đã được hỗ trợ")


def treatment_timing(population: Population, unit_name: Text) -> Drawing:
    """Draw who is treated when, one line a unit."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(5.4, 3.8), layout="constrained")
        ax = plots.treatment_timing(population.treatment, population.periods, ax=figure.subplots())
    units = {
        code: f"{format_number(population.n_units, code)} {unit_name[code]}" for code in LANGUAGES
    }
    words = [(ax.xaxis.label, _TIME), (ax.yaxis.label, units)]
    legend = ax.get_legend()
    if legend is not None:
        words += zip(legend.get_texts(), (_UNTREATED, _TREATED), strict=True)
    return Drawing(figure, words, (ax,))


def event_studies(effects: Mapping[str, OutcomeEffect]) -> Drawing:
    """Draw the event study of every outcome, each in its own unit."""

    def draw(ax: Axes, effect: OutcomeEffect) -> None:
        plots.event_study(effect.event_study(), ax=ax, level=effect.level)

    return Drawing(*_panels(effects, draw, _SINCE))


def group_time(effects: Mapping[str, OutcomeEffect]) -> Drawing:
    """Draw the effects of every wave of treatment by period, one panel an outcome."""
    import matplotlib
    from matplotlib.lines import Line2D

    waves = sorted({wave for effect in effects.values() for wave in effect.cells()["cohort"]})
    colours = dict(zip(waves, cycle(_COLOURS), strict=False))

    def draw(ax: Axes, effect: OutcomeEffect) -> None:
        _draw_waves(ax, effect, colours)

    figure, words, measured = _panels(effects, draw, _TIME)
    points = [
        Line2D([], [], ls="", marker="o", ms=5, color=colour, label=f"{wave:g}")
        for wave, colour in colours.items()
    ]
    with matplotlib.rc_context(report_style()):
        legend = figure.legend(
            handles=points, loc="outside upper left", ncols=len(points), fontsize=9, frameon=False
        )
    entries = [
        (entry, {code: f"{_WAVE[code]} {wave:g}" for code in LANGUAGES})
        for entry, wave in zip(legend.get_texts(), waves, strict=True)
    ]
    return Drawing(figure, words + entries, measured)


def _panels(
    effects: Mapping[str, OutcomeEffect], draw: Callable[[Axes, OutcomeEffect], None], across: Text
) -> tuple[Figure, list[tuple[Words, Text]], list[Axes]]:
    """Lay out one panel an outcome, three in a row; return its words and the panels too."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        columns = min(len(effects), 3)
        rows = -(-len(effects) // columns)
        figure = Figure(figsize=(3.1 * columns, 2.9 * rows), layout="constrained")
        panels = [figure.add_subplot(rows, columns, n + 1) for n in range(len(effects))]
        words = [(figure.supxlabel("", fontsize=9), across)]
        for ax, effect in zip(panels, effects.values(), strict=True):
            draw(ax, effect)
            label = effect.outcome.label
            title = wrapped({code: capital(label[code]) for code in LANGUAGES}, TITLE_LETTERS)
            units = {code: _unit_words(effect, code) for code in LANGUAGES}
            words += [
                (ax.set_title("", fontsize=10, loc="left", color=plots.INK), title),
                (ax.set_ylabel("", fontsize=9), units),
            ]
            ax.set_xlabel("")
    return figure, words, panels


def _draw_waves(ax: Axes, effect: OutcomeEffect, colours: Mapping[float, str]) -> None:
    """Draw one outcome's effects, waves side by side, hollow before treatment."""
    cells = effect.cells()
    for number, (wave, colour) in enumerate(colours.items()):
        part = cells[cells["cohort"] == wave]
        across = part["time"] + 0.12 * (number - (len(colours) - 1) / 2)
        ax.vlines(across, part["conf_low"], part["conf_high"], color=colour, lw=1.4)
        faces = ["white" if since < 0 else colour for since in part["event_time"]]
        ax.scatter(across, part["estimate"], c=faces, edgecolors=colour, s=26, zorder=3)
    ax.axhline(0.0, color=plots.INK, lw=0.8)
    ax.set_xticks(sorted(cells["time"].unique()))


def _unit_words(effect: OutcomeEffect, language: str) -> str:
    """Name the unit on an axis."""
    if effect.outcome.is_relative:
        return "%"
    unit = UNITS.get(effect.outcome.unit.partition("/")[0])
    pattern = "" if unit is None else unit.vi if language == "vi" else unit.en
    return pattern.replace("{n}", "").strip()
