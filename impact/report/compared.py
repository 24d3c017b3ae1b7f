"""Estimators side by side on a plan's data and design: numbers, figure, tests and chapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from impact import plots
from impact.comparison import Comparison, compare
from impact.errors import DesignError, SpecError
from impact.estimators import estimator_class
from impact.estimators.base import Estimator
from impact.evaluation import Evaluation, Outcome
from impact.report.compared_numbers import (
    differing,
    in_words,
    joint_p_values,
    label_in_words,
    read_effect,
    record_comparisons,
    slug,
)
from impact.report.effects import plan_design, plan_panel
from impact.report.figures import report_style
from impact.report.headings import ESTIMATOR, INTERVAL, OUTCOME, P_HOLM, capitalised, of_outcome
from impact.report.results import Block, Column, Record, bullets
from impact.report.text import LANGUAGES, Text, capital, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "add_differences",
    "add_estimands",
    "add_side_by_side",
    "compare_outcomes",
    "differing",
    "draw_averages",
    "in_words",
    "label_in_words",
    "record_comparisons",
    "summarise",
]

Comparisons = Mapping[str, Comparison]


def compare_outcomes(plan: Evaluation, frame: pd.DataFrame) -> dict[str, Comparison]:
    """Fit the plan's estimators to every outcome, by the outcome's name.

    Those of ``[estimation]`` and ``[[estimation.beside]]``, the first as the one that others are
    compared with; the usual ones for staggered adoption where the plan names none.

    Raises
    ------
    SpecError : an estimator has no such setting
    ImpactError : what the panel, the design or all estimators refuse
    """
    panel = plan_panel(plan, frame)
    return {o.name: compare(plan_design(plan, panel, o), _estimators(plan)) for o in plan.outcomes}


def _estimators(plan: Evaluation) -> list[Estimator | str] | None:
    """Return the plan's estimators: by name those without settings, which are then aligned."""
    stated = [plan.estimation] if "estimator" in plan.estimation else []
    try:
        return [
            estimator_class(e["estimator"])(**e["settings"]) if e["settings"] else e["estimator"]
            for e in [*stated, *plan.estimation["beside"]]
        ] or None
    except DesignError as error:
        raise SpecError(f"{plan.path}: {error}") from None


def summarise(record: Record, plan: Evaluation, comparisons: Comparisons) -> None:
    """Fill the first page: how far the estimators are apart, and what each finds."""
    outcomes = [o for o in plan.outcomes if o.primary] or list(plan.outcomes)
    record.summary(
        answer=_together([_answer(o, comparisons[o.name]) for o in outcomes]),
        finding=_together([_finding(o, comparisons[o.name]) for o in outcomes]),
        **plan.reading,
    )


def _answer(outcome: Outcome, comparison: Comparison) -> Text:
    """Say between which numbers the estimators' averages lie, and whether they differ."""
    y = outcome.name
    label = capitalised(outcome.label)
    spread = text(
        f"**{label['en']}**: {{{y}.estimators}} estimators put the average effect between "
        f"{{{y}.lowest:signed}} and {{{y}.highest:signed}}.",
        f"**{label['vi']}**: {{{y}.estimators}} phương pháp cho tác động trung bình từ "
        f"{{{y}.lowest:signed}} đến {{{y}.highest:signed}}.",
    )
    by_period = _by_period(y, comparison)
    return _together([spread, _verdict(y, comparison), *([by_period] if by_period else [])])


def _verdict(y: str, comparison: Comparison) -> Text:
    """Say which estimators differ from the first by more than chance."""
    apart = differing(comparison)
    first = label_in_words(comparison.labels[0])
    if apart is None:
        return text(
            f"Whether they differ from [[{first['en']}]] cannot be tested.",
            f"Chưa thể kiểm định khác biệt so với [[{first['vi']}]].",
        )
    if not apart:
        return text(
            f"On average none differs from [[{first['en']}]] by more than chance.",
            f"Tính bình quân, không phương pháp nào khác [[{first['vi']}]] quá mức ngẫu nhiên.",
        )
    told = {
        c: "; ".join(
            f"[[{label_in_words(label)[c]}]] (p {{{y}.{slug(label)}.difference_holm:equals}})"
            for label in apart
        )
        for c in LANGUAGES
    }
    return text(
        f"On average, more than chance apart from [[{first['en']}]]: {told['en']}.",
        f"Tính bình quân, khác [[{first['vi']}]] quá mức ngẫu nhiên: {told['vi']}.",
    )


def _by_period(y: str, comparison: Comparison, size: float = 0.05) -> Text | None:
    """Say which estimators differ from the first in some period; None if none does."""
    apart = [label for label, p in joint_p_values(comparison).items() if p < size]
    if not apart:
        return None
    told = {
        c: "; ".join(
            f"[[{label_in_words(name)[c]}]] (p {{{y}.{slug(name)}.difference_joint_holm:equals}})"
            for name in apart
        )
        for c in LANGUAGES
    }
    return text(
        f"Period by period these do differ: {told['en']}.",
        f"Xét từng kỳ thì có khác: {told['vi']}.",
    )


def _finding(outcome: Outcome, comparison: Comparison) -> Text:
    y = outcome.name
    return text(
        f"{capital(outcome.label['en'])}: {{{y}.clear}} of {{{y}.estimators}} intervals exclude "
        "zero.",
        f"{capital(outcome.label['vi'])}: {{{y}.clear}} trong {{{y}.estimators}} khoảng tin cậy "
        "không chứa số không.",
    )


def draw_averages(plan: Evaluation, comparisons: Comparisons) -> dict[str, Figure]:
    """Draw each estimator's average effect with its interval, one panel an outcome."""
    return {code: _draw(plan, comparisons, code) for code in LANGUAGES}


def _draw(plan: Evaluation, comparisons: Comparisons, code: str) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure

    most = max(len(comparison.results) for comparison in comparisons.values())
    with matplotlib.rc_context(report_style()):
        height = (0.8 + 0.36 * most) * len(comparisons)
        figure = Figure(figsize=(7.5, height), layout="constrained")
        axes = figure.subplots(len(comparisons), 1, squeeze=False)[:, 0]
        for ax, outcome in zip(axes, plan.outcomes, strict=True):
            comparison = comparisons[outcome.name]
            rows = range(len(comparison.results), 0, -1)
            for row, result in zip(rows, comparison.averages, strict=True):
                line = result.tidy(plan.inference["level"]).iloc[0]
                ends = [read_effect(outcome, line[c]) for c in ("conf_low", "conf_high")]
                ax.plot(ends, [row, row], color=plots.BLUE, lw=2.0, solid_capstyle="butt")
                ax.plot(read_effect(outcome, line["estimate"]), row, "o", color=plots.BLUE, ms=5)
            ax.axvline(0.0, color=plots.INK, lw=0.8)
            ax.set_yticks(list(rows), [capital(label_in_words(n)[code]) for n in comparison.labels])
            ax.set_title(capital(outcome.label[code]), fontsize=10, loc="left", color=plots.INK)
            ax.set_xlabel("%" if outcome.is_relative else outcome.unit, fontsize=9)
            ax.tick_params(labelsize=8.5)
    return figure


def add_side_by_side(record: Record, plan: Evaluation, comparisons: Comparisons) -> None:
    """Add every estimator's effects: figure, averages with intervals, and period by period."""
    first = plan.outcomes[0]
    shown = [_event_table(record, o, comparisons[o.name]) for o in plan.outcomes]
    record.section(
        "side-by-side",
        text("Side by side", "Đối chiếu"),
        *(_answer(outcome, comparisons[outcome.name]) for outcome in plan.outcomes),
        record.figure(
            "averages",
            draw_averages(plan, comparisons),
            text("Average effect by estimator", "Tác động trung bình theo phương pháp"),
            text(
                f"A point and an interval for each estimator. {capital(first.label['en'])}: from "
                f"{{{first.name}.lowest:signed}} to {{{first.name}.highest:signed}}.",
                "Mỗi phương pháp một điểm và một khoảng tin cậy. "
                f"{capital(first.label['vi'])}: từ {{{first.name}.lowest:signed}} đến "
                f"{{{first.name}.highest:signed}}.",
            ),
        ),
        _average_table(record, plan, comparisons),
        *(table for table in shown if table is not None),
    )


def _average_table(record: Record, plan: Evaluation, comparisons: Comparisons) -> Block:
    rows = [
        {
            "outcome": capitalised(outcome.label),
            "estimator": _named(label),
            "average": f"{{{outcome.name}.{slug(label)}:signed}}",
            "interval": f"{{{outcome.name}.{slug(label)}:interval}}",
        }
        for outcome in plan.outcomes
        for label in comparisons[outcome.name].labels
    ]
    return record.table(
        "averages",
        pd.DataFrame(rows),
        _of_the_only(plan, text("Average effects", "Tác động trung bình")),
        {
            **_outcome_column(plan),
            "estimator": ESTIMATOR,
            "average": Column(text("Average", "Bình quân"), "count"),
            "interval": INTERVAL,
        },
        note=text(
            "The mean over the periods since treatment began that all estimators have, each with "
            "the same weight, so that all average the same periods.",
            "Bình quân các kỳ kể từ khi được hỗ trợ mà mọi phương pháp đều có, trọng số như nhau, "
            "để mọi phương pháp lấy bình quân cùng các kỳ.",
        ),
    )


def _outcome_column(plan: Evaluation) -> dict[str, Column]:
    """Return the column that names outcomes, which a table of the only one does without."""
    return {"outcome": OUTCOME} if len(plan.outcomes) > 1 else {}


def _of_the_only(plan: Evaluation, title: Text) -> Text:
    """Name the only outcome in a title; several are named row by row."""
    if len(plan.outcomes) > 1:
        return title
    lower = {code: title[code][:1].lower() + title[code][1:] for code in LANGUAGES}
    return of_outcome(plan.outcomes[0], lower)


def _event_table(record: Record, outcome: Outcome, comparison: Comparison) -> Block | None:
    """Keep the effects period by period, a column each; None where no estimator has them."""
    shared = comparison.common_event_times
    pairs = zip(comparison.labels, comparison.studies, strict=True)
    labels = [label for label, study in pairs if study is not None]
    if not shared:
        return None
    rows = [
        {"estimator": _named(label)}
        | {f"k{e:g}": f"{{{outcome.name}.{slug(label)}.event_{e:g}:signed}}" for e in shared}
        for label in labels
    ]
    periods = {f"k{e:g}": Column(text(f"[[{e:g}]]", f"[[{e:g}]]"), "count") for e in shared}
    label = outcome.label
    return record.table(
        f"events.{outcome.name.lower()}",
        pd.DataFrame(rows),
        text(
            f"{capital(label['en'])}: effects by periods since treatment began",
            f"{capital(label['vi'])}: tác động theo số kỳ kể từ khi được hỗ trợ",
        ),
        {"estimator": ESTIMATOR, **periods},
    )


def add_differences(record: Record, plan: Evaluation, comparisons: Comparisons) -> None:
    """Add the estimators' differences from the first one, with tests."""
    rows = [
        {
            "outcome": capitalised(outcome.label),
            "estimator": _named(label),
            "difference": f"{{{outcome.name}.{slug(label)}.difference:signed}}",
            "error": f"{{{outcome.name}.{slug(label)}.difference_error}}",
            "p": f"{{{outcome.name}.{slug(label)}.difference_p}}",
            "holm": f"{{{outcome.name}.{slug(label)}.difference_holm}}",
            "joint": f"{{{outcome.name}.{slug(label)}.difference_joint}}",
        }
        for outcome in plan.outcomes
        for label in comparisons[outcome.name].labels[1:]
    ]
    if not rows:
        return
    first = label_in_words(next(iter(comparisons.values())).labels[0])
    record.section(
        "differences",
        text("Do they differ?", "Có khác nhau không?"),
        text(
            "Estimators on the same data err together. The test therefore takes the difference "
            "cluster by cluster, so that what they share cancels: it is sharper than looking "
            "whether intervals overlap.",
            "Các phương pháp trên cùng số liệu có sai số chung. Vì vậy kiểm định lấy hiệu theo "
            "từng cụm để phần chung triệt tiêu: nhạy hơn việc xem các khoảng tin cậy chồng nhau.",
        ),
        record.table(
            "differences",
            pd.DataFrame(rows),
            _of_the_only(
                plan, text(f"Averages less [[{first['en']}]]", f"Bình quân trừ [[{first['vi']}]]")
            ),
            {
                **_outcome_column(plan),
                "estimator": ESTIMATOR,
                "difference": Column(text("Difference", "Khác biệt"), "count"),
                "error": Column(text("Standard error", "Sai số chuẩn"), "count"),
                "p": Column(text("p", "p"), "count"),
                "holm": P_HOLM,
                "joint": Column(text("p, every period", "p, mọi kỳ"), "count"),
            },
            note=text(
                "Holm: adjusted for all differences of an outcome. Every period: that both agree "
                "in each period after treatment. Effects on logarithms differ by log points, "
                "hundredths of a logarithm. Where two are the same number nothing can be tested.",
                "Holm: điều chỉnh theo số khác biệt của một kết quả. Mọi kỳ: hai phương pháp thống "
                "nhất ở từng kỳ sau hỗ trợ. Tác động trên logarit khác nhau theo điểm logarit, "
                "phần trăm của logarit. Khi hai phương pháp là cùng một số thì không có gì để kiểm "
                "định.",
            ),
        ),
    )


def add_estimands(record: Record, plan: Evaluation, comparisons: Comparisons) -> None:
    """Add what each estimator compares with what, and which were left out and why."""
    comparison = next(iter(comparisons.values()))
    rows = [
        {
            "estimator": _named(line["estimator"]),
            "measured": in_words(line["measured_from"]),
            "compared": in_words(line["compared_with"]),
            "weighted": in_words(line["cohorts_weighted_by"]),
        }
        for line in comparison.alignment().to_dict("records")
    ]
    left = [
        text(f"[[{name}]]: [[{why}]]", f"[[{name}]] (lý do bằng tiếng Anh): [[{why}]]")
        for name, why in comparison.skipped.items()
    ]
    record.section(
        "estimands",
        text("What each one estimates", "Mỗi phương pháp ước lượng điều gì"),
        text(
            "All estimate the average effect of treatment on the treated, from changes of theirs "
            "beyond changes of units not treated. They differ in the period from which changes "
            "are measured, in the units compared with, and in the weights of waves. Where trends "
            "are parallel throughout and effects the same in every wave, all estimate one number.",
            "Tất cả ước lượng tác động trung bình lên đơn vị được hỗ trợ, từ phần thay đổi vượt "
            "quá thay đổi của đơn vị không được hỗ trợ. Các phương pháp khác nhau ở kỳ gốc, ở đơn "
            "vị được so sánh và ở trọng số của các đợt. Khi xu hướng song song ở mọi kỳ và tác "
            "động như nhau ở mọi đợt, tất cả ước lượng cùng một số.",
        ),
        record.table(
            "estimands",
            pd.DataFrame(rows),
            text("From what each measures", "Cơ sở so sánh của từng phương pháp"),
            {
                "estimator": ESTIMATOR,
                "measured": Column(text("Changes measured from", "Kỳ gốc")),
                "compared": Column(text("Compared with units", "So sánh với đơn vị")),
                "weighted": Column(text("Waves weighted by", "Trọng số của các đợt")),
            },
        ),
        *([text("Left out:", "Không thực hiện được:"), bullets(*left)] if left else []),
    )


def _named(label: str) -> Text:
    name = label_in_words(label)
    return {code: f"[[{capital(name[code])}]]" for code in LANGUAGES}


def _together(sentences: list[Text]) -> Text:
    return {c: " ".join(sentence[c] for sentence in sentences) for c in LANGUAGES}
