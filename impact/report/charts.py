"""The figures of an evaluation report, drawn in the report's languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from impact import plots
from impact.design import Design
from impact.report.figures import report_style
from impact.report.numbers import UNITS
from impact.report.text import Text, capital, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from impact.report.effects import OutcomeEffect

__all__ = ["event_studies", "treatment_timing"]

_SINCE = text("periods since treatment began", "số kỳ kể từ khi được hỗ trợ")
_UNTREATED = text("not yet, or never", "chưa hoặc không được hỗ trợ")
_TREATED = text("supported", "đã được hỗ trợ")


def treatment_timing(design: Design, language: str, unit_name: Text, time_name: Text) -> Figure:
    """Draw who is treated when, one line a unit."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(7.5, 3.6), layout="constrained")
        ax = plots.treatment_timing(
            design.treatment,
            design.periods,
            ax=figure.subplots(),
            unit=unit_name[language],
            time=time_name[language],
        )
        legend = ax.get_legend()
        if legend is not None:
            for entry, words in zip(legend.get_texts(), (_UNTREATED, _TREATED), strict=True):
                entry.set_text(words[language])
    return figure


def event_studies(effects: Mapping[str, OutcomeEffect], language: str) -> Figure:
    """Draw the event study of every outcome, each in its own unit."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        columns = min(len(effects), 3)
        rows = -(-len(effects) // columns)
        figure = Figure(figsize=(3.1 * columns, 2.9 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.flat[len(effects) :]:
            ax.set_visible(False)
        for ax, effect in zip(axes.flat, effects.values(), strict=False):
            plots.event_study(effect.event_study(), ax=ax, level=effect.level)
            label = effect.outcome.label[language]
            ax.set_title(capital(label), fontsize=10, loc="left", color=plots.INK)
            ax.set_ylabel(_unit_words(effect, language), fontsize=9)
            ax.set_xlabel("")
        figure.supxlabel(_SINCE[language], fontsize=9)
    return figure


def _unit_words(effect: OutcomeEffect, language: str) -> str:
    """Name the unit on an axis."""
    if effect.outcome.is_relative:
        return "%"
    unit = UNITS.get(effect.outcome.unit.partition("/")[0])
    pattern = "" if unit is None else unit.vi if language == "vi" else unit.en
    return pattern.replace("{n}", "").strip()
