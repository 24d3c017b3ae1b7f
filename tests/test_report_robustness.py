"""What an effect hangs on: sentences in both languages, every number named."""

import numpy as np
import pytest

from impact import CallawaySantAnna, Design, Panel, sensitivity, simulate
from impact.evaluation import Outcome
from impact.report import Record, bullets, text
from impact.report.effects import OutcomeEffect
from impact.report.robustness import robustness_sentences
from impact.report.values import render_template


def told(seed=3, effect=2.0, transform="none", **settings):
    world = simulate.staggered_panel(seed, periods=8, effect=effect, noise=0.5, **settings)
    panel = Panel(world.frame, unit="unit", time="time")
    result = CallawaySantAnna().fit(Design(panel, outcome="outcome", cohort="cohort"))
    outcome = Outcome("y", text("jobs", "việc làm"), "jobs", transform, primary=True)
    record = Record("r", text("T", "T"), "simulated", text("Q?", "H?"))
    found = {"y": OutcomeEffect(outcome, result.design, result, {}, "average", 0.95)}
    sentences = robustness_sentences(record, found)
    record.section("s", text("S", "S"), bullets(*sentences))
    record.as_dict()
    written = [render_template(sentences[0][code], record.values, code) for code in ("en", "vi")]
    return record, result, written


def test_the_numbers_are_those_of_the_analyses():
    record, result, (english, vietnamese) = told(n_units=40)
    values = {name.removeprefix("y."): value.value for name, value in record.values.items()}
    honest, alone = sensitivity.honest(result), sensitivity.leave_one_out(result)
    assert values["breakdown"] == pytest.approx(honest.values["breakdown"], rel=1e-8)
    assert values["least"] == pytest.approx(alone.values["lowest"], rel=1e-8)
    placebo = sensitivity.placebo_in_time(result)
    assert values["placebo"] == pytest.approx(placebo.values["p_value"], rel=1e-8)
    assert english.startswith("**Jobs**: the average effect differs from zero as long as")
    assert vietnamese.startswith("**Việc làm**: tác động trung bình còn khác không chừng nào")


def test_effects_on_logarithms_are_told_in_percent():
    record, result, _ = told(n_units=40, transform="log")
    lowest = sensitivity.leave_one_out(result).values["lowest"]
    assert record.values["y.least"].value == pytest.approx(100 * np.expm1(lowest), rel=1e-8)
    assert record.values["y.least"].unit == "percent"


def test_an_effect_that_is_none_needs_no_deviation():
    record, _, (english, vietnamese) = told(n_units=40, effect=0.0)
    assert "y.breakdown" not in record.values
    assert "cannot be told from zero even if trends are parallel" in english
    assert "vẫn chưa phân biệt được" in vietnamese


def test_many_clusters_are_not_left_out_one_by_one():
    record, _, (english, _) = told(n_units=80)
    assert "y.least" not in record.values
    assert "Without any one" not in english


def test_what_a_design_does_not_allow_is_named():
    _, _, (english, vietnamese) = told(n_units=40, cohorts={2: 0.5})
    assert "Not made, as the design does not allow: bounds on trends, pretended dates." in english
    assert "Không thực hiện được" in vietnamese
    assert english.startswith("**Jobs**: ")
