"""The regressions a textbook prints on the plan's data, run here and set beside the report's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from impact.design import Design
from impact.errors import ImpactError, SpecError, near
from impact.estimators import estimator_class
from impact.evaluation import Evaluation, Outcome
from impact.panel import Panel
from impact.report.headings import OUTCOME, capitalised
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, Text, text
from impact.result import Result

__all__ = ["TextbookFit", "check_textbook", "fit_textbook", "textbook_table"]

_TERMS: tuple[tuple[str, int, Text], ...] = (
    ("now", 0, text("the year of treatment", "năm được hỗ trợ")),
    ("later", 1, text("the year after", "năm sau đó")),
)


@dataclass(frozen=True, eq=False)
class TextbookFit:
    """One regression: coefficients of the treatment and of its lag, in the outcome's scale.

    Parameters
    ----------
    printed : result with the textbook's own standard errors
    clustered : the same coefficients, standard errors clustered by unit
    """

    outcome: Outcome
    printed: Result
    clustered: Result


def fit_textbook(plan: Evaluation, frame: pd.DataFrame) -> dict[str, TextbookFit]:
    r"""Run the regressions of the plan's ``[textbook]``, by the outcome's name; none without it.

    .. math:: y_{it} = \beta_0 d_{it} + \beta_1 d_{i,t-1} + x_{it}'\gamma + \lambda_t
        + \alpha_i + u_{it}

    Raises
    ------
    SpecError : the plan's treatment, outcome, covariate or settings are not there
    """
    stated, fits = plan.textbook, {}
    outcomes = {outcome.name: outcome for outcome in plan.outcomes}
    for name, design in _designs(plan, frame).items():
        printed, clustered = (
            _estimator(plan, stated[kind]).fit(design) for kind in ("settings", "clustered")
        )
        fits[name] = TextbookFit(outcomes[name], printed, clustered)
    return fits


def check_textbook(plan: Evaluation, frame: pd.DataFrame) -> list[str]:
    """Name what keeps the plan's textbook regressions from being run, without running them."""
    if plan.textbook and plan.scan is not None:
        return ["textbook: its regressions need rows in memory; data.scan leaves them in place."]
    try:
        estimators = [
            _estimator(plan, plan.textbook[name])
            for name in ("settings", "clustered")
            if plan.textbook
        ]
        designs = _designs(plan, frame)
    except ImpactError as error:
        return [f"textbook: {error}"]
    faults = [f for d in designs.values() for e in estimators for f in e.unmet(d)]
    return [f"textbook: {fault}" for fault in dict.fromkeys(faults)]


def textbook_table(
    record: Record, fits: Mapping[str, TextbookFit], results: Mapping[str, Result]
) -> Block:
    """Keep the table of textbook coefficients beside the report's estimates, in their scale.

    Outcome ``y`` has ``textbook.y.now`` and ``textbook.y.later``; each of them ``.se``,
    ``.clustered`` and ``.report``; and ``textbook.y.units`` and ``textbook.y.rows``.
    """
    rows = []
    for name, fit in fits.items():
        _record_counts(record, name, fit)
        report = results[name].event_study().cells.set_index("event_time")["estimate"]
        for position, (term, since, words) in enumerate(_TERMS):
            id = f"textbook.{name}.{term}"
            numbers = {
                "": (fit.printed.estimates[position], text("coefficient", "hệ số")),
                ".se": (fit.printed.std_errors[position], text("standard error", "sai số chuẩn")),
                ".clustered": (
                    fit.clustered.std_errors[position],
                    text("standard error, clustered", "sai số chuẩn theo cụm"),
                ),
                ".report": (
                    report.get(float(since), np.nan),
                    text("this report's estimate", "ước lượng của báo cáo"),
                ),
            }
            for end, (number, what) in numbers.items():
                _record_number(record, fit.outcome, f"{id}{end}", number, words, what)
            rows.append(
                {"outcome": _scale(fit.outcome), "term": words}
                | {"coefficient": f"{{{id}}}", "std_error": f"{{{id}.se}}"}
                | {"clustered": f"{{{id}.clustered}}", "report": f"{{{id}.report}}"}
                | {"units": f"{{textbook.{name}.units}}", "rows": f"{{textbook.{name}.rows}}"}
            )
    return record.table(
        "textbook",
        pd.DataFrame(rows),
        text("The textbook's regressions, and this report", "Hồi quy của giáo trình và báo cáo"),
        {
            "outcome": OUTCOME,
            "term": Column(text("Effect in", "Tác động trong")),
            "coefficient": Column(text("Textbook", "Giáo trình"), "count"),
            "std_error": Column(text("Std. error", "Sai số chuẩn"), "count"),
            "clustered": Column(text("Clustered", "Theo cụm"), "count"),
            "report": Column(text("This report", "Báo cáo này"), "count"),
            "units": Column(text("Units", "Đơn vị"), "count"),
            "rows": Column(text("Rows", "Quan sát"), "count"),
        },
        note=text(
            "Coefficients as a regression prints them: differences of logarithms where the outcome "
            "is one, not percent. Clustered: standard errors that let the years of a unit move "
            "together.",
            "Hệ số như hồi quy cho ra: chênh lệch logarit nếu kết quả lấy logarit, không phải phần "
            "trăm. Theo cụm: sai số chuẩn cho phép các năm của một đơn vị biến động cùng nhau.",
        ),
    )


def _designs(plan: Evaluation, frame: pd.DataFrame) -> dict[str, Design]:
    """Make the design of every regression: the treatment, its lag, covariates, period dummies."""
    stated: dict[str, Any] = plan.textbook
    found: dict[str, Design] = {}
    if not stated:
        return {}
    unit, time, treatment = plan.design["unit"], plan.design["time"], stated["treatment"]
    if treatment not in frame.columns:
        raise SpecError(
            f'textbook.treatment names "{treatment}", which is no column of the data. '
            f"{near(treatment, frame.columns)}".rstrip()
        )
    periods = pd.get_dummies(frame[time], prefix=time, dtype=float).iloc[:, 1:]
    widened = frame.assign(**{f"{treatment}_1": _lag(frame, unit, time, treatment)}).join(periods)
    panel = Panel(widened, unit=unit, time=time)
    outcomes = {outcome.name: outcome for outcome in plan.outcomes}
    for regression in stated["regressions"]:
        if regression["outcome"] not in outcomes:
            raise SpecError(
                f'textbook.regressions names "{regression["outcome"]}", which is no outcome of the '
                f"plan. {near(regression['outcome'], outcomes)}Outcomes: {', '.join(outcomes)}."
            )
        outcome = outcomes[regression["outcome"]]
        columns = [treatment, f"{treatment}_1", *regression["covariates"], *periods.columns]
        found[outcome.name] = Design(panel, outcome=outcome.column, covariates=columns)
    return found


def _lag(frame: pd.DataFrame, unit: str, time: str, column: str) -> pd.Series:
    """Return a column one period before: zero in the first period of all, NaN where unobserved."""
    before = frame[[unit, time, column]].assign(**{time: frame[time] + 1})
    lagged = frame[[unit, time]].merge(before, on=[unit, time], how="left")[column]
    lagged.index = frame.index
    return lagged.mask(frame[time] == frame[time].min(), 0.0)


def _estimator(plan: Evaluation, settings: Mapping[str, Any]) -> Any:
    """Make the textbook's estimator."""
    return estimator_class(plan.textbook["estimator"])(**settings)


def _record_counts(record: Record, name: str, fit: TextbookFit) -> None:
    design = fit.printed.design
    for id, count, what in (
        ("units", design.n_units, text("units in the regression", "số đơn vị trong hồi quy")),
        ("rows", design.n_rows, text("rows in the regression", "số quan sát trong hồi quy")),
    ):
        label = {code: f"{_scale(fit.outcome)[code]}: {what[code]}" for code in LANGUAGES}
        record.value(f"textbook.{name}.{id}", count, "count", label, units=design.n_units)


def _record_number(
    record: Record, outcome: Outcome, id: str, number: float, when: Text, what: Text
) -> None:
    """Record one number of a regression: four decimals of logarithms, else two."""
    scale = _scale(outcome)
    label = {code: f"{scale[code]}, {when[code]}: {what[code]}" for code in LANGUAGES}
    missing = text("not estimated there", "không được ước lượng")
    record.value(
        id,
        number,
        "number",
        label,
        decimals=4 if outcome.is_relative else 2,
        note=missing if np.isnan(number) else None,
    )


def _scale(outcome: Outcome) -> Text:
    """Name an outcome and the scale in which its coefficients are."""
    label = capitalised(outcome.label)
    if not outcome.is_relative:
        return label
    return text(f"{label['en']}, logarithm", f"{label['vi']}, logarit")
