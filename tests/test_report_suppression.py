"""Small cells: what is hidden, and that nobody can work it out from what is shown."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impact.errors import ReportError
from impact.report.suppression import (
    attack,
    check_sums,
    hidden_cells,
    hidden_counts,
    is_small,
    table_sums,
)


def with_totals(cells):
    cells = np.asarray(cells, dtype=float)
    table = np.zeros(np.add(cells.shape, 1))
    table[:-1, :-1] = cells
    table[-1] = table.sum(axis=0)
    table[:, -1] = table.sum(axis=1)
    return table


def hidden_in(cells, smallest=3):
    table = with_totals(cells)
    marks = hidden_cells(table.ravel(), table_sums(*np.shape(cells)), smallest)
    return marks.reshape(table.shape)


def test_one_or_two_units_are_small_none_and_three_are_not():
    np.testing.assert_array_equal(is_small([0, 1, 2, 3, np.nan]), [False, True, True, False, False])


def test_nothing_small_hides_nothing():
    assert not hidden_in([[5, 6], [7, 8]]).any()
    assert not hidden_in([[0, 6], [7, 0]]).any()


def test_a_small_cell_alone_in_its_line_takes_the_next_smallest_with_it():
    counts = np.array([2.0, 5.0, 9.0, 16.0])
    hidden = hidden_cells(counts, np.array([[1.0, 1.0, 1.0, -1.0]]))
    np.testing.assert_array_equal(hidden, [True, True, False, False])


def test_without_totals_nothing_else_is_hidden():
    counts = np.array([2.0, 5.0, 9.0])
    np.testing.assert_array_equal(hidden_cells(counts, np.zeros((0, 3))), [True, False, False])


def test_two_small_cells_of_one_each_would_be_known_to_be_small():
    # Their sum is 2: a reader knows that neither holds three. A third cell must go.
    counts = np.array([1.0, 1.0, 9.0, 8.0, 19.0])
    hidden = hidden_cells(counts, np.array([[1.0, 1.0, 1.0, 1.0, -1.0]]))
    np.testing.assert_array_equal(hidden, [True, True, False, True, False])


def test_zeros_are_never_hidden_and_never_help():
    counts = np.array([2.0, 0.0, 9.0, 11.0])
    hidden = hidden_cells(counts, np.array([[1.0, 1.0, 1.0, -1.0]]))
    np.testing.assert_array_equal(hidden, [True, False, True, False])


def test_two_ways_need_a_rectangle():
    hidden = hidden_in([[1, 20, 30], [40, 5, 60], [70, 80, 90]])
    np.testing.assert_array_equal(
        hidden,
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    )


def test_a_small_total_is_hidden_too():
    hidden = hidden_in([[1, 1], [20, 30]])
    assert hidden[0, 2]
    assert hidden[0, :2].all()


def test_a_larger_threshold_hides_more():
    assert hidden_in([[4, 9], [9, 9]], 3).sum() == 0
    assert hidden_in([[4, 9], [9, 9]], 5)[0, 0]


def fillings(table, hidden, most):
    """Every table of whole numbers that agrees with what is shown."""
    places = np.argwhere(hidden)
    sums = table_sums(table.shape[0] - 1, table.shape[1] - 1)
    for numbers in itertools.product(range(most + 1), repeat=len(places)):
        filled = table.copy()
        filled[tuple(places.T)] = numbers
        if not (sums @ filled.ravel()).any():
            yield filled


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=2), min_size=2, max_size=2))
def test_no_reader_can_tell_that_a_hidden_cell_is_small(cells):
    table = with_totals(cells)
    hidden = hidden_in(cells)
    small = is_small(table)
    assert hidden[small].all()
    assert not hidden[table == 0].any()
    if hidden.sum() > 5:  # too many fillings to list; the linear program is checked below
        return
    possible = np.array(list(fillings(table, hidden, 9)))
    if small.any():
        assert (possible.max(axis=0)[small] >= 3).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=2), min_size=2, max_size=2))
def test_an_attack_finds_the_range_of_all_fillings(cells):
    table = with_totals(cells)
    hidden = np.zeros(table.shape, dtype=bool)
    hidden[:-1, :-1] = True
    possible = np.array(list(fillings(table, hidden, 9)))
    sums = table_sums(2, 2)
    for cell in np.flatnonzero(hidden.ravel()):
        low, high = attack(table.ravel(), sums, hidden.ravel(), int(cell))
        values = possible.reshape(len(possible), -1)[:, cell]
        assert (round(low), round(high)) == (values.min(), values.max())


def test_counts_by_name_follow_their_sums():
    counts = {"all": 135, "treated": 63, "never": 72, "wave_1": 61, "wave_2": 2}
    sums = [("all", ("treated", "never")), ("treated", ("wave_1", "wave_2"))]
    assert hidden_counts(counts, sums) == {"wave_1", "wave_2"}
    assert hidden_counts(counts | {"wave_1": 33, "wave_2": 30}, sums) == set()


def test_a_sum_whose_parts_are_not_all_recorded_is_not_known_to_a_reader():
    assert hidden_counts({"all": 20, "a": 2}, [("all", ("a", "b"))]) == {"a"}


def test_parts_must_add_up_and_be_recorded():
    check_sums({"all": 5, "a": 2, "b": 3}, "all", ("a", "b"))
    with pytest.raises(ReportError, match=r'"all" is 6, but its parts \(a, b\) add up to 5'):
        check_sums({"all": 6, "a": 2, "b": 3}, "all", ("a", "b"))
    with pytest.raises(ReportError, match=r"name b, which no count recorded has"):
        check_sums({"all": 6, "a": 2}, "all", ("a", "b"))
