"""Effects of a plan: verdicts from intervals, sentences from verdicts, the Michigan numbers."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from impact.errors import SpecError
from impact.estimators import ESTIMATORS
from impact.evaluation import Evaluation, Outcome
from impact.inference.auto import Method
from impact.report import (
    LANGUAGES,
    Record,
    effect_tables,
    estimate_outcomes,
    narrative,
    population_of,
    text,
)
from impact.report.effects import EffectNumber, OutcomeEffect
from impact.report.html import locale_words
from impact.report.population import LostUnits, count_lost
from impact.report.values import render_template

MICHIGAN = Path(__file__).parent.parent / "reports" / "michigan-grants" / "evaluation.toml"


class Fixed(OutcomeEffect):
    """An effect whose main number is given."""

    @property
    def main(self):
        return self.result


def effect(low, high, smallest=None, transform="none"):
    outcome = Outcome("y", text("jobs", "việc làm"), "jobs", transform, True, smallest)
    number = EffectNumber((low + high) / 2, low, high, 0.5, 1.0, 1.0)
    return Fixed(outcome, None, number, {}, "average", 0.95)


@pytest.mark.parametrize(
    ("low", "high", "smallest", "verdict"),
    [
        (0.1, 2.0, None, "rise"),
        (-2.0, -0.1, 5.0, "fall"),
        (-1.0, 1.0, None, "cannot_tell"),
        (-1.0, 1.0, 0.5, "cannot_tell"),
        (-1.0, 1.0, 1.5, "no_effect"),
        (-1.0, 1.5, 1.5, "cannot_tell"),
        (0.0, 1.0, None, "cannot_tell"),
    ],
)
def test_verdict_follows_from_interval_and_smallest_effect(low, high, smallest, verdict):
    assert effect(low, high, smallest).verdict == verdict


def test_a_share_of_interest_is_compared_in_percent():
    assert effect(-4.0, 4.0, 0.05, "log").verdict == "no_effect"
    assert effect(-4.0, 4.0, 0.03, "log").verdict == "cannot_tell"


@pytest.mark.parametrize(
    ("low", "high", "english", "vietnamese"),
    [
        (1.0, 3.0, "rose by 2.0", "tăng 2,0"),
        (-3.0, -1.0, "fell by 2.0", "giảm 2,0"),
        (-1.0, 1.0, "the data cannot tell", "chưa cho phép kết luận"),
        (-0.1, 0.1, "no effect larger than", "không có tác động nào lớn hơn"),
    ],
)
def test_sentences_say_the_verdict_in_both_languages(low, high, english, vietnamese):
    found = effect(low, high, 0.5)
    record = Record("x", text("x", "x"), "simulated", text("x", "x"))
    record.value("level", 95, "percent", text("x", "x"))
    number = found.main
    record.value(
        "y", number.estimate, "jobs", text("x", "x"), low=low, high=high, level=0.95, decimals=1
    )
    for name in ("y.smallest", "y.detectable", "y.detectable_fall"):
        record.value(name, 0.5, "jobs", text("x", "x"))
    sentence = narrative.effect_sentence(found)
    record.section("s", text("x", "x"), sentence)
    record.as_dict()
    assert english in render_template(sentence["en"], record.values, "en").replace("\xa0", " ")
    assert vietnamese in render_template(sentence["vi"], record.values, "vi").replace("\xa0", " ")


@pytest.fixture(scope="module")
def michigan():
    plan = Evaluation.read(MICHIGAN)
    return plan, estimate_outcomes(plan, plan.load())


def test_michigan_grants_raise_training_and_nothing_is_claimed_for_jobs(michigan):
    _, effects = michigan
    assert {name: found.verdict for name, found in effects.items()} == {
        "hrsemp": "rise",
        "scrap": "cannot_tell",
        "employ": "cannot_tell",
        "avgsal": "no_effect",
        "sales": "cannot_tell",
    }


def test_the_first_period_of_training_is_a_difference_of_mean_changes(michigan):
    """Cohort 1988 against firms first granted later or never, cohort 1989 against never."""
    plan, effects = michigan
    frame = plan.load().set_index(["fcode", "year"])["hrsemp"].unstack()
    first = plan.load().groupby("fcode")["first_grant"].first()
    changes = {1988: frame[1988] - frame[1987], 1989: frame[1989] - frame[1988]}
    cells, sizes = [], []
    used = effects["hrsemp"].design.sample.units
    for cohort, change in changes.items():
        cells.append(
            change[first == cohort].mean() - change[(first > cohort) | first.isna()].mean()
        )
        sizes.append((first[used] == cohort).sum())
    expected = np.average(cells, weights=sizes)
    assert effects["hrsemp"].first.estimate == pytest.approx(expected, rel=1e-10)


def test_effects_on_logarithms_are_read_in_percent(michigan):
    _, effects = michigan
    found = effects["employ"]
    line = found.result.event_study().tidy().set_index("event_time").loc[0]
    assert found.first.estimate == pytest.approx(100 * np.expm1(line["estimate"]), rel=1e-12)
    assert found.first.low == pytest.approx(100 * np.expm1(line["conf_low"]), rel=1e-12)


def test_detectable_effects_do_not_depend_on_the_sign_of_the_estimate(michigan):
    """In percent a rise is exp(d) - 1 and a fall 1 - exp(-d), d in logarithms."""
    _, effects = michigan
    scrap, hours = effects["scrap"], effects["hrsemp"]
    study = scrap.result.event_study()
    row = int(np.flatnonzero(study.cells["event_time"] == 0)[0])
    step = study.minimum_detectable_effect()[row]
    assert scrap.first.estimate < 0
    assert scrap.first.detectable == pytest.approx(100 * np.expm1(step), rel=1e-12)
    assert scrap.first.detectable_fall == pytest.approx(-100 * np.expm1(-step), rel=1e-12)
    assert scrap.first.detectable_fall < scrap.first.detectable
    assert hours.first.detectable == hours.first.detectable_fall


def test_periods_before_treatment_are_named_as_such(michigan):
    plan, effects = michigan
    record = Record.of(plan)
    effect_tables.event_study_table(record, effects)
    labels = {id: value.label for id, value in record.values.items() if id.startswith("hrsemp.")}
    assert labels["hrsemp.event_m2"]["en"].endswith(": difference 2 periods before treatment began")
    assert labels["hrsemp.event_m2"]["vi"].endswith(": khác biệt 2 kỳ trước khi được hỗ trợ")
    assert labels["hrsemp.event_0"]["en"].endswith(": effect in the first treated period")
    assert labels["hrsemp.event_1"]["en"].endswith(": effect 1 period after the first treated one")


def test_every_sentence_of_the_report_names_its_numbers(michigan):
    plan, effects = michigan
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    record.summary(
        answer=narrative.answer(effects),
        finding=narrative.summarise_verdicts(effects),
        **plan.reading,
    )
    sentences = [
        narrative.design_sentence(record, plan, population_of(plan, plan.load())),
        *narrative.sample_sentences(record, plan, effects),
        *narrative.findings(effects),
        *narrative.event_study_sentences(effects),
        *narrative.method_sentences(plan, effects),
        *narrative.criteria_sentences(plan),
        narrative.timing_alt(plan),
        narrative.event_study_alt(effects),
        narrative.cells_alt(effects),
    ]
    record.section("s", text("x", "x"), *sentences)
    effect_tables.effects_table(record, plan, effects)
    effect_tables.group_time_table(record, effects)
    effect_tables.event_study_table(record, effects)
    effect_tables.comparison_table(record, effects)
    record.as_dict()
    answer = render_template(record.front["answer"]["en"], record.values, "en")
    assert "Hours of training per employee" in answer
    assert "32.5\xa0hours (95% interval: 25.6 to 39.4\xa0hours)" in answer
    assert all(set(sentence) == set(LANGUAGES) for sentence in sentences)


def test_every_outcome_says_which_firms_it_loses(michigan):
    """Counted by hand in the data: 157 firms, 66 with a grant."""
    plan, effects = michigan
    frame = plan.load()
    population = population_of(plan, frame)
    assert (population.n_units, population.n_treated) == (157, 66)
    assert population.waves == {1988: 36, 1989: 30}
    assert {name: count_lost(effect.design) for name, effect in effects.items()} == {
        "hrsemp": LostUnits(3, 19, 0, 0, 4),
        "scrap": LostUnits(37, 66, 0, 0, 0),
        "employ": LostUnits(3, 4, 0, 0, 4),
        "avgsal": LostUnits(8, 10, 1, 0, 2),
        "sales": LostUnits(17, 12, 0, 0, 2),
    }
    for effect in effects.values():
        lost, facts = count_lost(effect.design), effect.design.facts
        assert facts.n_units + lost.unreported + lost.only_after + lost.other == 157
        left = lost.unreported_treated + lost.only_after
        assert facts.n_treated_units + left == 66


def test_the_losses_are_told_in_both_languages(michigan):
    plan, effects = michigan
    record = Record.of(plan)
    effect_tables.record_effects(record, effects)
    narrative.design_sentence(record, plan, population_of(plan, plan.load()))
    jobs, pay = narrative.sample_sentences(record, plan, effects)[2:4]
    assert render_template(jobs["en"], record.values, "en").startswith(
        "**Jobs (employees)**: 150 of 157 firms are used, 63 of them treated. "
        "Never reported: 7 (3 treated, 4 never treated)."
    )
    assert "nothing before to compare, and left out: 1." in render_template(
        pay["en"], record.values, "en"
    )
    assert "Không báo cáo: 7 (3 được hỗ trợ, 4 không được hỗ trợ)" in render_template(
        jobs["vi"], record.values, "vi"
    )


def test_a_unit_without_a_covariate_is_counted_apart(michigan, tmp_path):
    plan, effects = michigan
    frame = plan.load()
    firm = frame["fcode"].iloc[0]
    frame["size"] = frame["employ"].where(frame["fcode"] != firm).fillna(1.0)
    frame.loc[frame["fcode"] == firm, "size"] = np.nan
    panel = effects["hrsemp"].design.panel
    design = type(effects["hrsemp"].design)(
        type(panel)(frame, unit="fcode", time="year"),
        outcome="hrsemp",
        cohort="first_grant",
        covariates="size",
    )
    found = count_lost(design)
    assert found == LostUnits(3, 19, 0, 1, 4)


def test_group_time_effects_are_those_of_the_estimator(michigan):
    """The wave of 1988 in 1988: mean change of the granted less that of the not yet granted."""
    plan, effects = michigan
    record = Record.of(plan)
    effect_tables.group_time_table(record, effects)
    frame = plan.load()
    wide = frame.set_index(["fcode", "year"])["log_employ"].unstack()
    first = frame.groupby("fcode")["first_grant"].first()
    change = wide[1988] - wide[1987]
    later = (first > 1988) | first.isna()
    expected = 100 * np.expm1(change[first == 1988].mean() - change[later].mean())
    assert record.values["employ.att_1988_1988"].value == pytest.approx(expected, rel=1e-8)
    rows = record.tables["group_time"]["rows"]
    assert len(rows) == 20
    jobs = next(row for row in rows if row[3] == "{employ.att_1988_1988:signed}")
    known = change.notna()
    assert jobs[5:] == [(known & (first == 1988)).sum(), (known & later).sum()]


def test_an_estimator_without_waves_has_no_such_table(michigan):
    plan, effects = michigan
    effect = effects["employ"]
    static = effect.beside["TwoWayFixedEffects"]
    alone = OutcomeEffect(effect.outcome, effect.design, static, {}, "average", 0.95)
    assert effect_tables.group_time_table(Record.of(plan), {"employ": alone}) is None


def test_words_stand_for_classes_and_columns(michigan):
    plan, effects = michigan
    method, beside = narrative.method_sentences(plan, effects)
    assert "clustered by firm ([[fcode]])" in method["en"]
    assert "theo cụm doanh nghiệp ([[fcode]])" in method["vi"]
    assert "two-way fixed effects" in beside["en"]
    assert "TwoWayFixedEffects" not in beside["en"]


def test_another_inference_is_named_in_words(michigan):
    _, effects = michigan
    found = {
        name: inference.method
        for name, effect in effects.items()
        for inference in effect.result.att().inferences()
        if inference is not None
    }
    assert found["scrap"] == "cr2"
    sentences = narrative.inference_sentences(effects)
    assert len(sentences) == len(set(found.values()))
    scrap = next(s for s in sentences if "the scrap rate" in s["en"])
    assert "Bell and McCaffrey" in scrap["en"]
    assert "Bell và McCaffrey" in scrap["vi"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_method_of_inference_has_words(language):
    assert set(locale_words(language)["inference"]) == set(get_args(Method))


def test_names_of_estimators_are_those_of_estimators_in_both_languages():
    english, vietnamese = (locale_words(code)["estimators"] for code in LANGUAGES)
    assert set(english) == set(vietnamese)
    assert set(english) <= set(ESTIMATORS)
    assert narrative.estimator_name("NewKind") == text("New Kind", "New Kind")


def test_criteria_answered_and_not_answered_are_told_apart(michigan):
    plan, _ = michigan
    answered, rest = narrative.criteria_sentences(plan)
    assert "effectiveness and impact" in answered["en"]
    assert "tính hiệu lực và tác động" in answered["vi"]
    assert "relevance, coherence, efficiency and sustainability" in rest["en"]


def test_a_plan_that_cannot_be_estimated_says_what_is_missing(michigan, tmp_path):
    plan, _ = michigan
    folder = tmp_path / "michigan-grants"
    folder.mkdir()
    notebook = (MICHIGAN.parent / plan.content["evaluation"]["notebook"]).resolve()
    short = MICHIGAN.read_text(encoding="utf-8").partition("[design]")[0]
    (folder / "evaluation.toml").write_text(
        short.replace("../../notebooks/evaluation.ipynb", str(notebook)), encoding="utf-8"
    )
    plan = Evaluation.read(folder)
    with pytest.raises(
        SpecError, match=r"must also say design.unit, design.time, design.cohort, out"
    ):
        estimate_outcomes(plan, plan.load())


def test_a_plan_may_state_the_level_of_assignment(michigan):
    plan, _ = michigan
    content = dict(plan.content, design=plan.design | {"assigned_by": plan.design["unit"]})
    stated = estimate_outcomes(replace(plan, content=content), plan.load())
    designs = [effect.design for effect in stated.values()]
    assert {design.assigned_by for design in designs} == {plan.design["unit"]}
