"""Effects of a plan: verdicts from intervals, sentences from verdicts, the Michigan numbers."""

from pathlib import Path

import numpy as np
import pytest

from impact.errors import SpecError
from impact.evaluation import Evaluation, Outcome
from impact.report import LANGUAGES, Record, effect_tables, estimate_outcomes, narrative, text
from impact.report.effects import EffectNumber, OutcomeEffect
from impact.report.values import render_template

MICHIGAN = Path(__file__).parent.parent / "reports" / "michigan-grants" / "evaluation.toml"


class Fixed(OutcomeEffect):
    """An effect whose main number is given."""

    @property
    def main(self):
        return self.result


def effect(low, high, smallest=None, transform="none"):
    outcome = Outcome("y", text("jobs", "việc làm"), "jobs", transform, True, smallest)
    number = EffectNumber((low + high) / 2, low, high, 0.5, 1.0)
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
    for name in ("y.smallest", "y.detectable"):
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
        narrative.design_sentence(record, plan, effects["employ"].design),
        *narrative.findings(effects),
        *narrative.event_study_sentences(effects),
        *narrative.method_sentences(effects),
        *narrative.criteria_sentences(plan),
        narrative.timing_alt(plan),
        narrative.event_study_alt(effects),
    ]
    record.section("s", text("x", "x"), *sentences)
    effect_tables.effects_table(record, effects)
    effect_tables.comparison_table(record, effects)
    record.as_dict()
    answer = render_template(record.front["answer"]["en"], record.values, "en")
    assert "Hours of training per employee" in answer
    assert "32.5\xa0hours (95% interval: 25.6 to 39.4\xa0hours)" in answer
    assert all(set(sentence) == set(LANGUAGES) for sentence in sentences)


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
