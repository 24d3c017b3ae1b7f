"""Confidence sets by inversion: where they end, when they are open, split or empty."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.sets import ConfidenceSet, interval, invert, invert_together


def test_interval_ends_where_the_p_value_crosses():
    found = invert(lambda value: float(np.exp(-abs(value - 2.0))), scale=0.5, level=0.9, centre=2.0)
    assert found.intervals[0] == pytest.approx((2 + np.log(0.1), 2 - np.log(0.1)), rel=1e-12)
    assert found.contains(2.0)
    assert not found.contains(4.5)


def test_a_p_value_equal_to_alpha_rejects():
    found = invert(lambda value: 1.0 if abs(value) <= 1 else 0.1, scale=1.0, level=0.9)
    assert found.intervals[0] == pytest.approx((-1, 1))


def test_disjoint_unbounded_and_empty_sets():
    split = invert(lambda value: float(1 < abs(value) < 3), scale=1.0, level=0.95)
    assert np.ravel(split.intervals) == pytest.approx([-3, -1, 1, 3])
    assert not split.is_connected
    assert not split.contains(0.0)
    half = invert(lambda value: float(value > -2), scale=1.0, level=0.95)
    assert half.low == pytest.approx(-2)
    assert half.high == np.inf
    assert not half.is_bounded
    empty = invert(lambda value: 0.0, scale=1.0, level=0.95)
    assert empty.intervals == ()
    assert np.isnan(empty.low)
    assert np.isnan(empty.high)
    assert (str(split), str(half), str(empty)) == ("[-3, -1] and [1, 3]", "[-2, inf)", "empty")


def test_values_together_give_the_set_of_values_one_by_one():
    def p_value(value):
        return float(np.abs(np.sin(value)) + np.exp(-abs(value)))

    calls = []

    def p_values(values):
        calls.append(len(values))
        return np.array([p_value(value) for value in values])

    one = invert(p_value, scale=0.4, level=0.7, centre=0.3)
    assert len(one.intervals) > 2
    assert invert_together(p_values, scale=0.4, level=0.7, centre=0.3) == one
    assert len(calls) < 70


def test_shift_and_mirror():
    both = ConfidenceSet(((-np.inf, -1.0), (2.0, 3.0)), 0.95)
    assert both.shifted(1.0).intervals == ((-np.inf, 0.0), (3.0, 4.0))
    assert both.shifted(1.0, -1).intervals == ((-2.0, -1.0), (2.0, np.inf))
    assert interval(0.0, 1.0, 0.95).is_connected


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf, -1.0])
def test_a_grid_that_cannot_bracket_is_refused(scale):
    with pytest.raises(InferenceError, match=r"scale .* must be a positive number.*bracketed"):
        invert(lambda value: 1.0, scale=scale, level=0.95)
