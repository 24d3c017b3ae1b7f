"""The textbook's regressions beside the report: the printed numbers, and what may go wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from impact import Design, FixedEffects, Panel
from impact.errors import SpecError
from impact.evaluation import Evaluation
from impact.report import Record, chapters, effect_tables, estimate_outcomes
from impact.report.textbook import check_textbook, fit_textbook

MICHIGAN = Path(__file__).parent.parent / "reports" / "michigan-grants" / "evaluation.toml"
AS_PRINTED = 5e-5
"""Half of the last of four printed decimals."""


@pytest.fixture(scope="module")
def plan():
    return Evaluation.read(MICHIGAN)


@pytest.fixture(scope="module")
def record(plan):
    frame = plan.load()
    record, effects = Record.of(plan), estimate_outcomes(plan, frame)
    effect_tables.record_effects(record, effects)
    chapters.add_textbook(record, plan, effects, fit_textbook(plan, frame))
    record.as_dict()
    return record


def changed(plan, **keys):
    return replace(plan, content=plan.content | {"textbook": plan.textbook | keys})


def test_the_textbook_is_reproduced(record):
    """Wooldridge, Introductory Econometrics, example 14.1: 54 firms, 162 rows."""
    printed = {
        "scrap.now": -0.2523,
        "scrap.now.se": 0.1506,
        "scrap.now.clustered": 0.1421,
        "scrap.later": -0.4216,
        "scrap.later.se": 0.2102,
        "scrap.later.clustered": 0.2798,
        "employ.now": 0.0333,
        "employ.now.se": 0.0400,
    }
    found = {name: record.values[f"textbook.{name}"].value for name in printed}
    assert found == pytest.approx(printed, abs=AS_PRINTED)
    assert record.values["textbook.hrsemp.now"].value == pytest.approx(34.23, abs=5e-3)
    assert record.values["textbook.scrap.units"].value == 54
    assert record.values["textbook.scrap.rows"].value == 162


def test_only_the_later_scrap_coefficient_and_only_unclustered_is_beyond_chance(record):
    """What the plan says of the two readings holds for the numbers."""
    ratio = {
        name: abs(record.values[f"textbook.scrap.{term}"].value)
        / record.values[f"textbook.scrap.{name}"].value
        for term, end in (
            ("now", "se"),
            ("later", "se"),
            ("now", "clustered"),
            ("later", "clustered"),
        )
        for name in [f"{term}.{end}"]
    }
    assert ratio["later.se"] > 1.99
    assert max(ratio["now.se"], ratio["now.clustered"], ratio["later.clustered"]) < 1.97


def test_the_textbook_measures_from_all_years_before(plan):
    """With an effect for each wave it is the change from the mean of the years before."""
    frame = plan.load()
    first, year = frame["first_grant"], frame["year"]
    frame["wave88"] = ((first == 1988) & (year == 1988)).astype(float)
    frame["wave89"] = ((first == 1989) & (year == 1989)).astype(float)
    frame["after"] = ((first == 1988) & (year == 1989)).astype(float)
    panel = Panel(frame, unit="fcode", time="year")
    design = Design(panel, outcome="log_scrap", covariates=["wave88", "wave89", "after"])
    found = FixedEffects().fit(design).estimates
    wide = frame.dropna(subset="scrap").pivot(index="fcode", columns="year", values="log_scrap")
    wave = frame.groupby("fcode")["first_grant"].first().reindex(wide.index)
    second, never = wave == 1989, wave.isna()
    change = wide[1989] - (wide[1987] + wide[1988]) / 2
    assert found[1] == pytest.approx(change[second].mean() - change[never].mean(), rel=1e-10)
    report = estimate_outcomes(plan, plan.load())["scrap"].result.cells
    cell = report[(report["cohort"] == 1989) & (report["time"] == 1989)]["estimate"].item()
    change = wide[1989] - wide[1988]
    assert cell == pytest.approx(change[second].mean() - change[never].mean(), rel=1e-10)


def test_the_report_stands_beside_in_the_same_scale(plan, record):
    effect = estimate_outcomes(plan, plan.load())["scrap"]
    beside = record.values["textbook.scrap.now.report"].value
    assert 100 * np.expm1(beside) == pytest.approx(effect.first.estimate, rel=1e-7)
    assert len(record.tables["textbook"]["rows"]) == 6


def test_a_plan_without_textbook_has_no_such_chapter(plan):
    content = {key: value for key, value in plan.content.items() if key != "textbook"}
    plain = replace(plan, content=content)
    assert fit_textbook(plain, pd.DataFrame()) == {}
    record = Record.of(plain)
    chapters.add_textbook(record, plain, {}, {})
    assert record.sections == []
    assert check_textbook(plain, pd.DataFrame()) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"treatment": "grnt"}, 'no column of the data. Did you mean "grant"?'),
        ({"regressions": [{"outcome": "scarp", "covariates": []}]}, "is no outcome of the plan"),
        ({"settings": {"efects": "unit"}}, 'no setting "efects"'),
        ({"regressions": [{"outcome": "scrap", "covariates": ["size"]}]}, '"size"'),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(plan, keys, words):
    (finding,) = check_textbook(changed(plan, **keys), plan.load())
    assert finding.startswith("textbook: ")
    assert words in finding


def test_an_unknown_treatment_is_refused(plan):
    with pytest.raises(SpecError, match=r'textbook.treatment names "grnt"'):
        fit_textbook(changed(plan, treatment="grnt"), plan.load())
