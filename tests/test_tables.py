"""Tables: how numbers are written, and in which markup."""

import numpy as np
import pandas as pd
import pytest

from impact import tables


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.031018, "0.03102"),
        (-0.031018, "−0.03102"),
        (1234.5678, "1,235"),
        (np.float64(0), "0"),
        (3e-7, "3.000e-07"),
        (7.3e12, "7.300e+12"),
        (np.nan, ""),
        (None, ""),
        (pd.NA, ""),
        (np.inf, "∞"),
        ("text", "text"),
        (True, "True"),
    ],
)
def test_numbers_keep_four_significant_digits(value, text):
    assert tables.format_number(value) == text


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"term": ["a|b", "c_d"], "n": [1, 20], "estimate": [0.5, np.nan], "p_value": [0.0004, 0.25]}
    )


def test_text_aligns_and_counts_stay_whole():
    lines = tables.to_text(frame()).splitlines()
    assert lines[0].split() == ["term", "n", "estimate", "p"]
    assert lines[2].split() == ["a|b", "1", "0.5000", "<0.001"]
    assert lines[3].split() == ["c_d", "20", "0.250"]
    assert len({len(line) for line in lines}) == 1


def test_markup_is_escaped():
    assert "| a\\|b |" in tables.to_markdown(frame())
    assert "c\\_d & 20 &  & 0.250" in tables.to_latex(frame())
    html = tables.to_html(frame().assign(term="<b>"), caption="x & y", notes=("n < 1",))
    assert "&lt;b&gt;" in html
    assert "<caption>x &amp; y</caption>" in html
    assert "n &lt; 1" in html


def test_p_values_are_never_zero():
    assert [tables.format_p_value(p) for p in (0.0, 0.0009999, 0.001, 0.0314, 1.0)] == [
        "<0.001", "<0.001", "0.001", "0.031", "1.000",
    ]  # fmt: skip
    assert tables.format_p_value(np.nan) == ""
    assert (tables.state_p_value(0.0), tables.state_p_value(0.5)) == ("< 0.001", "= 0.500")
