"""Estimators side by side in a report: the numbers of compare, told in both languages."""

from pathlib import Path

import numpy as np
import pytest

from impact import CallawaySantAnna, Design, Panel, StackedDiD, TwoWayFixedEffects, simulate
from impact.comparison import AVERAGE, USUAL, compare
from impact.errors import SpecError
from impact.evaluation import Evaluation
from impact.inference.multiplicity import adjust
from impact.report import Record, compared
from impact.report.values import render_template

PLAN = Path(__file__).parent.parent / "reports" / "estimators-compared" / "evaluation.toml"


@pytest.fixture(scope="module")
def told():
    plan = Evaluation.read(PLAN)
    comparisons = compared.compare_outcomes(plan, plan.load())
    record = Record.of(plan)
    compared.record_comparisons(record, plan, comparisons)
    compared.summarise(record, plan, comparisons)
    compared.add_side_by_side(record, plan, comparisons)
    compared.add_differences(record, plan, comparisons)
    compared.add_estimands(record, plan, comparisons)
    return plan, comparisons["homicide"], record, record.as_dict()


def test_averages_and_differences_are_those_of_compare(told):
    _, comparison, record, _ = told
    values = record.values
    for label, result in zip(comparison.labels, comparison.averages, strict=True):
        line, value = result.tidy().iloc[0], values[f"homicide.{label.lower()}"]
        assert value.value == pytest.approx(100 * np.expm1(line["estimate"]), rel=1e-8)
        assert value.low == pytest.approx(100 * np.expm1(line["conf_low"]), rel=1e-8)
    table = comparison.differences()
    table = table[table["term"] == AVERAGE]
    holm = adjust(table["p_value"].to_numpy())
    for line, adjusted in zip(table.to_dict("records"), holm, strict=True):
        id = f"homicide.{line['estimator'].lower()}.difference"
        assert values[id].value == pytest.approx(100 * line["difference"], rel=1e-7, abs=1e-12)
        if np.isnan(line["p_value"]):
            assert values[f"{id}_p"].value is None
            assert "làm tròn" in values[f"{id}_p"].note["vi"]
        else:
            assert values[f"{id}_holm"].value == pytest.approx(adjusted, rel=1e-8)
    joint = comparison.joint_tests()["Imputation"]
    assert "alone in its arm" in joint.note
    assert values["homicide.imputation.difference_joint"].value is None
    assert "kiểm định" in values["homicide.imputation.difference_joint"].note["vi"]


def test_the_answer_spans_the_estimators(told):
    _, comparison, record, content = told
    estimates = [100 * np.expm1(result.estimates[0]) for result in comparison.averages]
    assert record.values["homicide.lowest"].value == pytest.approx(min(estimates), rel=1e-8)
    assert record.values["homicide.highest"].value == pytest.approx(max(estimates), rel=1e-8)
    english = render_template(content["summary"]["answer"]["en"], record.values, "en")
    vietnamese = render_template(content["summary"]["answer"]["vi"], record.values, "vi")
    assert "7 estimators put the average effect between +1.9% and +7.5%" in english
    assert "7 phương pháp cho tác động trung bình từ +1,9% đến +7,5%" in vietnamese
    assert "On average none differs from Callaway" in english
    assert np.isnan(list(compared.joint_p_values(comparison).values())).all()
    assert "Period by period these do differ" not in english
    assert "Xét từng kỳ thì có khác" not in vietnamese
    assert record.values["homicide.imputation.difference_joint_holm"].value is None


def test_event_times_are_those_that_all_have(told):
    _, comparison, record, _ = told
    table = record.tables["events.homicide"]
    shared = [f"k{e:g}" for e in comparison.common_event_times]
    assert [column["name"] for column in table["columns"]] == ["estimator", *shared]
    study = comparison.studies[0]
    first = study.estimates[list(study.cells["event_time"]).index(0)]
    stored = record.values["homicide.callawaysantanna.event_0"].value
    assert stored == pytest.approx(100 * np.expm1(first), rel=1e-8)


def test_what_each_estimates_has_words_in_vietnamese(told):
    world = simulate.staggered_panel(3, periods=8)
    design = Design(Panel(world.frame, unit="unit", time="time"), outcome="outcome",
                    cohort="cohort")  # fmt: skip
    twfe = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    both = [compare(design, [*USUAL, twfe], comparison=c) for c in ("not_yet_treated",
                                                                      "never_treated")]  # fmt: skip
    for comparison in both:
        for column in ("measured_from", "compared_with", "cohorts_weighted_by"):
            for said in comparison.alignment()[column]:
                assert compared.in_words(said)["vi"] != f"[[{said}]]", said


def test_an_estimator_that_differs_is_named_with_its_p_value():
    world = simulate.staggered_panel(
        1, n_units=400, periods=10, noise=0.1, effect=lambda since, cohort: 1 + 0.5 * since
    )
    panel = Panel(world.frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort")
    static = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    comparison = compare(design, [CallawaySantAnna(), static])
    assert compared.differing(comparison) == ["TwoWayFixedEffects"]


def test_one_estimator_alone_cannot_be_tested():
    world = simulate.staggered_panel(1, n_units=60, periods=8)
    panel = Panel(world.frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort")
    alone = compare(design, [CallawaySantAnna()])
    assert compared.differing(alone) is None
    assert compared.joint_p_values(alone) == {}


def test_a_setting_that_is_none_is_refused_with_the_plan(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "n.ipynb").write_text("{}")
    words = PLAN.read_text(encoding="utf-8").replace('id = "estimators-compared"', 'id = "p"')
    words = words.replace("../../notebooks/comparison.ipynb", "n.ipynb")
    words = words.replace(
        'estimator = "StackedDiD"', 'estimator = "StackedDiD"\nsettings = {no = 1}'
    )
    (tmp_path / "p" / "evaluation.toml").write_text(words, encoding="utf-8")
    plan = Evaluation.read(tmp_path / "p")
    with pytest.raises(SpecError, match=r"StackedDiD.*no"):
        compared.compare_outcomes(plan, plan.load())


def test_namesakes_are_told_apart_by_their_settings():
    world = simulate.staggered_panel(1, n_units=80, periods=8)
    panel = Panel(world.frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort")
    comparison = compare(design, [StackedDiD(), CallawaySantAnna(),
                                  CallawaySantAnna(comparison="never_treated")])  # fmt: skip
    names = [compared.label_in_words(label)["en"] for label in comparison.labels]
    assert len(set(names)) == 3
    assert names[2].endswith("(comparison='never_treated')")
