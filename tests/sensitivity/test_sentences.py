"""Sentences say the same numbers in every language."""

import re

import matplotlib.pyplot as plt
import pytest

from impact import sensitivity
from impact.errors import DesignError
from impact.estimators import CallawaySantAnna, FixedEffects
from impact.sensitivity import Specification
from impact.sensitivity.labels import LABELS, say_label
from impact.sensitivity.sentences import NOUNS, TEMPLATES, WORDS, Sentence

NUMBER = re.compile(r"[−+]?\d[\d.,]*\d|\d")
VIETNAMESE = re.compile(
    "[àáảãạăâđèéẻẽẹêìíỉĩịòóỏõọôơùúủũụưỳýỷỹỵấầẩẫậắằẳẵặếềểễệốồổỗộớờởỡợứừửữự]", re.I
)
SAME_IN_BOTH = {"stop", "bacon.count", "twfe_weights.where", "placebo_cancelled.one",
                "placebo_cancelled.many"}  # fmt: skip


def numbers(text):
    return sorted(NUMBER.findall(text))


def as_english(text):
    return [found.translate(str.maketrans(".,", ",.")) for found in numbers(text)]


@pytest.mark.parametrize("key", TEMPLATES)
def test_both_languages_name_the_same_values_in_the_same_forms(key):
    english, vietnamese = TEMPLATES[key]
    values = [sorted(re.findall(r"\{\w+:\w+\}", text)) for text in (english, vietnamese)]
    assert values[0] == values[1]
    assert not re.search(r"\d", re.sub(r"\{\w+:\w+\}", "", english + vietnamese))
    if key not in SAME_IN_BOTH:
        assert VIETNAMESE.search(vietnamese), "not Vietnamese"
        assert english[0] == english.lstrip()[0] or vietnamese[0] in " (;,"


def test_findings_say_the_same_numbers_in_both_languages(fitted):
    found = [
        sensitivity.honest(fitted),
        sensitivity.honest(fitted, restriction="smoothness"),
        sensitivity.pretrends(fitted),
        sensitivity.placebo_in_time(fitted),
        sensitivity.placebo_in_space(fitted, draws=3),
        sensitivity.leave_one_out(fitted, by="province"),
        sensitivity.anticipation(fitted),
        sensitivity.bacon(fitted),
        sensitivity.twfe_weights(fitted),
        sensitivity.balance(fitted),
    ]
    for finding in found:
        for sentence in (finding.asked, finding.said):
            assert sorted(as_english(sentence.say("vi"))) == numbers(sentence.say("en"))
            assert VIETNAMESE.search(sentence.say("vi"))
        assert finding.question == finding.asked.say("en")
        assert finding.sentence == finding.said.say("en")
        assert "nan" not in finding.said.say("vi")


def labels_of(ax):
    """Every label of a figure that is not a number."""
    legend = ax.get_legend()
    texts = [ax.xaxis.label, ax.yaxis.label, *(legend.get_texts() if legend else ())]
    said = [text.get_text() for text in (*texts, *ax.get_yticklabels())]
    plt.close(ax.figure)
    return [label for label in said if re.search("[A-Za-z]", label)]


def test_figures_have_their_labels_in_both_languages(make_frame, design_of):
    frame = make_frame().assign(z=lambda f: f["x"])
    frame["cancelled"] = frame["firm"].map(dict.fromkeys(range(2, 60, 3), 2014.0))
    frame["stops"] = frame["treated"] * (frame["year"] < 2016)
    result = CallawaySantAnna().fit(design_of(frame, covariates="z"))
    gone = frame[~((frame["year"] == 2017) & (frame["firm"] % 7 == 0))]
    stopping = design_of(frame, cohort=None, treated="stops")
    quick = [Specification(name, CallawaySantAnna(), result.design) for name in ("one", "two")]
    found = [
        sensitivity.honest(result, bounds=[0.0]),
        sensitivity.honest(result, restriction="smoothness", bounds=[0.0]),
        sensitivity.pretrends(result),
        sensitivity.placebo_in_time(result, leads=[1]),
        sensitivity.placebo_in_space(result, draws=3),
        sensitivity.placebo_cancelled(result, cohort="cancelled"),
        sensitivity.leave_one_out(result, by="province"),
        sensitivity.anticipation(result, periods=[0, 1]),
        sensitivity.specification_curve(result, variants=quick, draws=0),
        sensitivity.bacon(result),
        sensitivity.twfe_weights(result),
        sensitivity.balance(result),
        sensitivity.attrition(CallawaySantAnna().fit(design_of(gone))),
        sensitivity.carry_over(FixedEffects().fit(stopping)),
        sensitivity.spillover(result, exposure="cancelled"),
        sensitivity.oster(result),
        sensitivity.cinelli_hazlett(result),
    ]
    assert {finding.name for finding in found} == set(sensitivity.CHECKS)
    own = {"Mbar", "z", "y", "delta 1", "one", "two"}
    seen = set()
    for finding in found:
        english, vietnamese = (labels_of(finding.figure(language=code)) for code in ("en", "vi"))
        assert len(english) == len(vietnamese)
        for one, other in zip(english, vietnamese, strict=True):
            seen |= {one, *one.split(", ")}
            assert set(other.split(", ")) <= own or VIETNAMESE.search(other), one
        assert finding.said.say("vi") in finding.summary("vi")
    rare = {"later vs always treated", "negative", "not_yet_treated", "never_treated",
            "no covariates", "anticipation", "M, in outcome units"}  # fmt: skip
    assert set(LABELS) - seen <= rare
    with pytest.raises(DesignError, match=r"language may be .*it was 'fr'"):
        found[0].figure(language="fr")


def test_labels_are_said_part_by_part():
    said = say_label("CallawaySantAnna, never_treated, anticipation 2", "vi")
    assert said == "CallawaySantAnna, không bao giờ được hỗ trợ, tác động sớm 2"
    assert say_label("jobs", "vi") == "jobs"


def test_marks_nouns_and_words_follow_the_language():
    said = Sentence.of(
        "placebo_in_time.answer", n=1200, lead=1, estimate=-1234.5, answer="differs", p=0.0125
    )
    assert said.say() == (
        "The strongest of 1,200 placebos, 1 period early, gives −1,234 and differs from zero "
        "(p = 0.013 for all of them)."
    )
    assert said.say("vi") == (
        "Trong 1.200 phép thử giả dược, phép mạnh nhất, sớm 1 kỳ, cho −1.234 và khác không "
        "(p = 0,013 cho tất cả)."
    )
    cells = [(2013, 2016), (2013, 2017), (2014, 2016), (2014, 2017)]
    where = Sentence.of("twfe_weights.where", where=cells)
    assert where.say().endswith("cohort 2013 in 2017, cohort 2014 in 2016 and 1 more)")
    assert where.say("vi").endswith("đợt 2014 kỳ 2016 và 1 ô nữa)")


def test_every_noun_and_word_is_used():
    text = "".join("".join(pair) for pair in TEMPLATES.values())
    assert all(f":{noun}}}" in text for noun in NOUNS)
    assert all(VIETNAMESE.search(word) for word in WORDS.values())


def test_an_unknown_language_is_refused():
    with pytest.raises(DesignError, match=r"language may be .*it was 'fr'"):
        Sentence.of("stop").say("fr")
