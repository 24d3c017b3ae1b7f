"""Numbers and sentences in both languages."""

import math
import unicodedata

import numpy as np
import pytest

from impact.errors import ReportError
from impact.report import LANGUAGES, Value, text
from impact.report.numbers import UNITS, check_unit, format_interval, format_number, stored
from impact.report.text import fill, named_values, stray_digits
from impact.report.values import format_value, render_template

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"


def value(number, unit="count", **more):
    return Value("x", number, unit, text("x", "x"), **more)


@pytest.mark.parametrize(
    ("number", "decimals", "english", "vietnamese"),
    [
        (1234567, None, "1,234,567", "1.234.567"),
        (-0.2523148738, None, f"{MINUS}0.252", f"{MINUS}0,252"),
        (0.0123456, None, "0.0123", "0,0123"),
        (12.0, None, "12", "12"),
        (2.5, 0, "2", "2"),
        (3.5, 0, "4", "4"),
        (0.125, 2, "0.12", "0,12"),
        (-0.0004, 3, "0.000", "0,000"),
        (0, None, "0", "0"),
        (1e-7, None, "0.000000100", "0,000000100"),
    ],
)
def test_numbers_are_written_in_each_language(number, decimals, english, vietnamese):
    assert format_number(number, "en", decimals) == english
    assert format_number(number, "vi", decimals) == vietnamese


@pytest.mark.parametrize(
    ("number", "unit", "english", "vietnamese"),
    [
        (13_250_000_000, "VND", "VND~13.25~billion", "13,25~tỷ~đồng"),
        (310_000_000, "VND", "VND~310~million", "310~triệu~đồng"),
        (999_999, "VND", "VND~999,999", "999.999~đồng"),
        (162_000_000, "VND/worker", "VND~162~million per worker", "162~triệu~đồng/lao~động"),
        (8.5, "percent", "8.50%", "8,50%"),
        (1, "jobs", "1~job", "1~việc~làm"),
        (39, "projects", "39~projects", "39~đề~án"),
        (2021, "year", "2021", "2021"),
        (2.0, "ratio", "2.00", "2,00"),
    ],
)
def test_units_are_written_in_each_language(number, unit, english, vietnamese):
    given = value(number, unit)
    assert format_value(given, "en").replace(NBSP, "~").replace("~", " ") == english.replace(
        "~", " "
    )
    assert format_value(given, "vi").replace(NBSP, " ") == vietnamese.replace("~", " ")
    assert NBSP in format_value(given, "vi") or " " not in vietnamese.replace("~", " ")


def test_bounds_stay_bounds():
    given = value(4_700_000_000, "VND", bound="at_least")
    assert format_value(given, "en") == f"at least VND{NBSP}4.7{NBSP}billion"
    assert format_value(given, "vi").startswith("ít nhất 4,7")
    assert format_value(value(39, bound="about"), "vi") == "khoảng 39"


def test_intervals_share_scale_decimals_and_unit():
    given = value(-0.2, "log_points", low=-0.5, high=0.0123)
    assert format_value(given, "en", "interval") == f"{MINUS}0.500 to 0.012{NBSP}log points"
    money = format_interval(3_100_000_000, 900_000_000, "VND", "en")
    assert money == f"VND{NBSP}3.1 to 0.9{NBSP}billion"
    apart = (179_000_000, 8_880_000_000, "VND/job")
    english = f"VND{NBSP}179{NBSP}million to VND{NBSP}8.88{NBSP}billion per job"
    assert format_interval(*apart, "en").replace(NBSP, " ") == english.replace(NBSP, " ")
    vietnamese = "179 triệu đồng đến 8,88 tỷ đồng/việc làm"
    assert format_interval(*apart, "vi").replace(NBSP, " ") == vietnamese
    zero = format_interval(0, 8_880_000_000, "VND", "en")
    assert zero.replace(NBSP, " ") == "VND 0.00 to 8.88 billion"
    assert format_interval(-1.9, 11.9, "percent", "vi", 1) == f"{MINUS}1,9% đến 11,9%"


def test_forms_of_a_value():
    given = value(-20.43, "percent", decimals=1)
    assert format_value(given, "en", "magnitude") == "20.4%"
    assert format_value(given, "en", "signed") == f"{MINUS}20.4%"
    assert format_value(value(4.8, "percent", decimals=1), "en", "signed") == "+4.8%"
    assert format_value(given, "vi", "number") == f"{MINUS}20,4"


@pytest.mark.parametrize(
    ("p", "english", "statement"),
    [
        (0.0124, "0.012", "= 0.012"),
        (0.001, "0.001", "= 0.001"),
        (0.00099, "<0.001", "< 0.001"),
        (3e-17, "<0.001", "< 0.001"),
        (0.0, "<0.001", "< 0.001"),
        (1.0, "1.000", "= 1.000"),
    ],
)
def test_a_p_value_is_small_and_never_zero(p, english, statement):
    given = value(p, "p_value")
    for form, written in (("", english), ("number", english), ("equals", statement)):
        assert format_value(given, "en", form).replace(NBSP, " ") == written
        assert format_value(given, "vi", form).replace(NBSP, " ") == written.replace(".", ",")


def test_missing_values_say_so_in_words():
    given = value(None, note=text("not printed", "không in"))
    assert format_value(given, "en") == "not available"
    assert format_value(given, "vi", "interval") == "không nêu"


def test_both_languages_print_the_same_digits():
    rng = np.random.default_rng(7)
    swap = str.maketrans(",.", ".,")
    for number in rng.normal(scale=10.0 ** rng.integers(-6, 9, size=300)):
        number = stored(number, "x")
        assert format_number(number, "vi") == format_number(number, "en").translate(swap)


def test_stored_numbers_have_nine_digits():
    assert stored(0.123456789012, "x") == 0.123456789
    assert stored(np.float64(1 / 3), "x") == 0.333333333
    assert stored(np.int64(4_123_456_789_012), "x") == 4_123_456_789_012
    assert stored(math.nan, "x") is None
    assert math.copysign(1.0, stored(-0.0, "x")) == 1.0


@pytest.mark.parametrize("bad", [math.inf, "39", True, 1j])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ReportError, match="must be a finite number or NaN"):
        stored(bad, 'value "x"')


def test_unknown_unit_names_a_near_one():
    with pytest.raises(ReportError, match='"VND/wroker".*Did you mean "VND/worker"'):
        check_unit("VND/wroker", 'value "x"')


def test_every_unit_can_be_written_in_both_languages():
    for unit in UNITS:
        for language in LANGUAGES:
            assert "{n}" not in format_value(value(3, unit), language)


def test_text_needs_both_languages_and_composes_letters():
    decomposed = unicodedata.normalize("NFD", "Đề án khuyến công")
    assert text("Projects", decomposed)["vi"] == "Đề án khuyến công"
    with pytest.raises(ReportError, match="missing or empty: vi"):
        text("Projects", " ")


def test_templates_name_values_and_show_stray_digits():
    template = "In {year} {n:interval} of 39 [[Wooldridge (2021)]] and 3.1 more"
    assert named_values(template) == [("year", ""), ("n", "interval")]
    assert stray_digits(template) == ["39", "3.1"]
    assert fill("{a} [[2x2]]", lambda name, form: name + form) == "a 2x2"


def test_rendered_sentence():
    values = {"jobs": value(39, "jobs", bound="at_least")}
    assert render_template("Kept {jobs}.", values, "en") == f"Kept at least 39{NBSP}jobs."
