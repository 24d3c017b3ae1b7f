"""The figure of a report on a province's programme: effects by year, and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impact.evaluation.province import TRUE_NAMES, ProvinceStudy
from impact.report.charts import TITLE_LETTERS
from impact.report.figures import Drawing, report_style, wrapped
from impact.report.results import Block, Record
from impact.report.text import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from impact.evaluation import Outcome

__all__ = ["draw_event_studies", "event_study_block"]

SHOWN = (-6, 8)
"""Years since acceptance that are drawn."""

_SINCE = text("years since acceptance", "số năm từ khi nghiệm thu")
_UP = text("effect on the logarithm", "tác động lên logarit")
_ESTIMATE = text("estimate, 95%", "ước lượng, 95%")
_TRUTH = text("truth", "giá trị thật")


def draw_event_studies(study: ProvinceStudy) -> Drawing:
    """Draw every outcome's effects by year since acceptance, and the truth."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(report_style()):
        figure = Figure(figsize=(9.5, 3.2), layout="constrained")
        axes = figure.subplots(1, 3)
        words = [(axes[0].set_ylabel("", fontsize=8), _UP)]
        for ax, outcome in zip(axes, study.plan.outcomes, strict=True):
            shown = _draw_outcome(ax, study, outcome)
            if ax is axes[0]:
                legend = ax.legend(shown, ("", ""), loc="lower left", fontsize=8, frameon=False)
                words += zip(legend.get_texts(), (_ESTIMATE, _TRUTH), strict=True)
            title = wrapped(outcome.label, TITLE_LETTERS)
            words += [
                (ax.set_title("", fontsize=9), title),
                (ax.set_xlabel("", fontsize=8), _SINCE),
            ]
            ax.tick_params(labelsize=8)
            ax.set_xticks(range(SHOWN[0], SHOWN[1] + 1, 2))
    return Drawing(figure, words, list(axes))


def _draw_outcome(ax: Axes, study: ProvinceStudy, outcome: Outcome) -> list[Any]:
    """Draw one outcome's estimates with their intervals, and the truth; return the two."""
    points = study.results[outcome.name].event_study().tidy(study.level)
    points = points[points["event_time"].between(*SHOWN)]
    reach = points["estimate"] - points["conf_low"]
    drawn = ax.errorbar(
        points["event_time"], points["estimate"], reach, fmt="o", ms=4, lw=1.5, color="#2f5d8a"
    )
    true = study.truth.groupby("event_time")[TRUE_NAMES[outcome.name]].mean().loc[0 : SHOWN[1]]
    (line,) = ax.plot(true.index, true, color="#b5532a", lw=2, zorder=3)
    ax.axhline(0, color="black", lw=0.8)
    ax.axvline(-0.5, color="grey", lw=0.8, ls="--")
    return [drawn, line]


def event_study_block(record: Record, drawing: Drawing) -> Block:
    """Keep the drawing of event studies."""
    return record.figure(
        "event-studies",
        drawing,
        text("Effects by years since acceptance", "Tác động theo số năm từ khi nghiệm thu"),
        text(
            "Three panels, for workers, output and income. Estimates before acceptance scatter "
            "around zero; after it those of output and income rise with the line of the truth, "
            "those "
            "of workers have wide intervals around it.",
            "Ba hình cho lao động, giá trị sản xuất và thu nhập. Trước nghiệm thu các ước lượng "
            "dao "
            "động quanh số không; sau đó sản xuất và thu nhập tăng theo đường giá trị thật, còn "
            "lao "
            "động có khoảng tin cậy rộng quanh đường này.",
        ),
    )
