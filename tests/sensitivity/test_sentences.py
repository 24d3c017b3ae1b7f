"""Sentences say the same numbers in every language."""

import re

import pytest

from impact import sensitivity
from impact.errors import DesignError
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
