"""Credibility: every rule and level, and that what was found has no part in it."""

from dataclasses import replace
from itertools import product

import pytest

from impact.errors import ReportError
from impact.report import Record, text
from impact.report.credibility import (
    Credibility,
    Evidence,
    Reason,
    credibility_reasons,
    grade,
    record_credibility,
)
from impact.report.values import render_template

SOUND = Evidence(
    assignment="observational",
    has_comparison=True,
    has_before=True,
    has_covariates=False,
    pre_trend_p=0.4,
    level=0.95,
    has_p_value=True,
    smaller_arm=40,
    lost_treated=0.05,
    lost_untreated=0.02,
)


def found(evidence):
    return {reason.rule: reason.outcome for reason in grade(evidence).reasons}


@pytest.mark.parametrize(
    ("changes", "rule", "level"),
    [
        ({"assignment": "randomised"}, "randomised", 5),
        ({"assignment": "discontinuity"}, "discontinuity", 4),
        ({"assignment": "instrument"}, "instrument", 4),
        ({}, "before_and_comparison", 3),
        ({"has_before": False, "has_covariates": True}, "comparison_only_adjusted", 2),
        ({"has_comparison": False, "has_covariates": True}, "before_only_adjusted", 2),
        ({"has_before": False}, "comparison_only", 1),
        ({"has_comparison": False}, "before_only", 1),
        ({"has_comparison": False, "has_before": False, "has_covariates": True}, "neither", 1),
    ],
)
def test_the_design_sets_where_the_scale_starts(changes, rule, level):
    graded = grade(replace(SOUND, **changes))
    assert (graded.reasons[0].rule, graded.design_level, graded.level) == (rule, level, level)


@pytest.mark.parametrize(
    ("changes", "rule", "outcome", "level"),
    [
        ({"pre_trend_p": 0.04}, "before", "fails", 2),
        ({"pre_trend_p": 0.05}, "before", "holds", 3),
        ({"pre_trend_p": 0.08, "level": 0.9}, "before", "fails", 2),
        ({"pre_trend_p": None}, "before", "unknown", 2),
        ({"pre_trend_p": None, "assignment": "randomised"}, "before", "note", 5),
        ({"pre_trend_p": 0.01, "assignment": "randomised"}, "before", "fails", 4),
        ({"lost_treated": 0.2}, "attrition", "fails", 2),
        ({"lost_untreated": 0.2}, "attrition", "fails", 2),
        ({"lost_treated": 0.5, "lost_untreated": 0.45}, "attrition", "holds", 3),
        ({"has_p_value": False}, "inference", "fails", 2),
        ({"smaller_arm": 19}, "clusters", "note", 3),
        ({"smaller_arm": 20}, "clusters", "holds", 3),
    ],
)
def test_each_check_that_fails_lowers_by_one_and_notes_do_not(changes, rule, outcome, level):
    evidence = replace(SOUND, **changes)
    assert found(evidence)[rule] == outcome
    assert grade(evidence).level == level


def test_nothing_falls_below_one():
    worst = replace(SOUND, pre_trend_p=0.0, has_p_value=False, lost_treated=0.9, has_before=False)
    assert grade(worst).level == 1


def test_an_unknown_assignment_is_refused():
    with pytest.raises(ReportError, match=r"assignment may be .*it was 'lottery'"):
        grade(replace(SOUND, assignment="lottery"))


EVERY = [
    replace(SOUND, assignment=a, has_comparison=c, has_before=b, has_covariates=x,
            pre_trend_p=p, has_p_value=v, smaller_arm=n, lost_treated=lost)
    for a, c, b, x, p, v, n, lost in product(
        ("observational", "randomised", "discontinuity", "instrument"), (True, False),
        (True, False), (True, False), (None, 0.01, 0.5), (True, False), (5, 50), (0.0, 0.4),
    )
]  # fmt: skip


def test_every_finding_has_its_sentence_in_both_languages():
    labels = {"y": text("jobs", "việc làm")}
    for graded in dict.fromkeys(map(grade, EVERY)):
        record = Record("r", text("T", "T"), "simulated", text("Q?", "H?"))
        sentence = record_credibility(record, {"y": graded}, labels)
        reasons = credibility_reasons({"y": graded}, labels)
        assert len(reasons) == len(graded.reasons)
        record.summary(
            answer=sentence, credibility=sentence, reasons=reasons, caveats=[], unknown=[]
        )
        record.as_dict()
        for code, scale in (("en", "Maryland scale"), ("vi", "thang Maryland")):
            written = render_template(sentence[code], record.values, code)
            assert scale in written
            assert f"{graded.level}" in written
        lowering = [r for r in reasons if r["en"].startswith("A level lower")]
        assert len(lowering) == sum(r.outcome in ("fails", "unknown") for r in graded.reasons)
        assert graded.level == max(1, graded.design_level - len(lowering))


def test_each_outcome_has_its_grade_and_is_named_in_the_reasons():
    labels = {"a": text("jobs", "việc làm"), "b": text("pay", "tiền lương")}
    graded = {"a": grade(SOUND), "b": grade(replace(SOUND, pre_trend_p=0.01))}
    record = Record("r", text("T", "T"), "simulated", text("Q?", "H?"))
    sentence = record_credibility(record, graded, labels)
    reasons = credibility_reasons(graded, labels)
    assert credibility_reasons(graded, labels, lowering_only=True) == [reasons[1]]
    assert [record.values[f"{name}.credibility"].value for name in "ab"] == [3, 2]
    assert "**Jobs**: moderate, level {a.credibility} of" in sentence["en"]
    assert "**Tiền lương**: thấp, mức {b.credibility}" in sentence["vi"]
    assert reasons[1]["en"] == "A level lower: pay moved differently before treatment already."
    assert any(reason["en"].endswith("for jobs, pay.") for reason in reasons)


def test_a_grade_knows_nothing_of_the_estimate():
    names = set(Evidence.__dataclass_fields__)
    assert not names & {"estimate", "p_value", "conf_low", "conf_high", "std_error", "verdict"}
    assert grade(SOUND) == Credibility(
        3,
        3,
        (
            Reason("before_and_comparison", "note"),
            Reason("before", "holds"),
            Reason("attrition", "holds"),
            Reason("inference", "holds"),
            Reason("clusters", "holds"),
        ),
    )
