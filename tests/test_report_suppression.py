"""Small cells: what is hidden, and that nobody can work it out from what is shown."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_project import COMPUTE, WRITE, make_project

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import ReportError
from impact.evaluation import Evaluation, Outcome
from impact.report import Column, Record, text
from impact.report.build import build_report
from impact.report.effects import OutcomeEffect
from impact.report.population import Population
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


def test_three_cells_of_one_each_would_be_known_exactly():
    # Their sum is 3, and zeros are shown: a reader knows that each holds one. A fourth must go.
    counts = np.array([1.0, 1.0, 1.0, 9.0, 8.0, 20.0])
    sums = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, -1.0]])
    np.testing.assert_array_equal(
        hidden_cells(counts, sums), [True, True, True, False, True, False]
    )
    three = np.array([True, True, True, False, False, False])
    assert attack(counts, sums, three, 0, np.ones(6)) == pytest.approx((1.0, 1.0))


def test_cells_withheld_for_other_reasons_may_be_zero():
    counts = np.array([2.0, 0.0, 1.0, 9.0, 12.0])
    sums = np.array([[1.0, 1.0, 1.0, 1.0, -1.0]])
    other = np.array([False, True, False, False, False])
    np.testing.assert_array_equal(
        hidden_cells(counts, sums, withheld=other), [True, True, True, True, False]
    )


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
    """Every table of whole numbers that agrees with what is shown; zeros are never hidden."""
    places = np.argwhere(hidden)
    sums = table_sums(table.shape[0] - 1, table.shape[1] - 1)
    for numbers in itertools.product(range(1, most + 1), repeat=len(places)):
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
@given(st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=2), min_size=2, max_size=2))
def test_an_attack_finds_the_range_of_all_fillings(cells):
    table = with_totals(cells)
    hidden = np.zeros(table.shape, dtype=bool)
    hidden[:-1, :-1] = True
    possible = np.array(list(fillings(table, hidden, 9)))
    sums = table_sums(2, 2)
    for cell in np.flatnonzero(hidden.ravel()):
        low, high = attack(table.ravel(), sums, hidden.ravel(), int(cell), np.ones(9))
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


def record_with(smallest=3):
    record = Record("r", text("T", "T"), "microdata", text("Q?", "H?"), smallest)
    for id, count in {"all": 30, "treated": 12, "never": 18, "early": 2, "late": 10}.items():
        record.value(id, count, "count", text(id, id), units=count)
    record.sums("all", ("treated", "never"))
    record.sums("treated", ("early", "late"))
    return record


def test_a_record_hides_small_numbers_and_those_that_would_give_them_away(tmp_path):
    record = record_with()
    record.value("pay", 7.25, "ratio", text("pay", "lương"), low=7.0, high=7.5, units=2)
    record.value("jobs", 5.5, "ratio", text("jobs", "việc làm"), units=12)
    frame = pd.DataFrame({"wave": ["a", "b"], "mean": [123.456, 9.0], "firms": [2, 10]})
    wave = text("Wave", "Đợt")
    columns = {"wave": Column(wave), "mean": Column(wave, "ratio"), "firms": Column(wave, "count")}
    table = record.table("means", frame, wave, columns, units="firms")
    record.section(
        "s", wave, text("{early} early, {late} late: {pay}.", "{early}, {late}: {pay}."), table
    )
    record.write(tmp_path)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert written["hidden"] == ["early", "late", "pay", "table means"]
    assert {id: value["value"] for id, value in written["values"].items()} == {
        "all": 30, "treated": 12, "never": 18, "early": None, "late": None, "pay": None,
        "jobs": 5.5,
    }  # fmt: skip
    assert written["values"]["pay"]["low"] is None
    assert "few units" in written["values"]["late"]["note"]["en"]
    assert written["tables"]["means"]["rows"] == [["a", None, None], ["b", 9.0, 10]]
    assert "disclose" in written["warnings"][0]["en"]
    everything = "".join(p.read_text(encoding="utf-8") for p in tmp_path.rglob("*.*"))
    assert "123.456" not in everything
    assert "7.25" not in everything
    assert "123.456" not in record._repr_html_()
    assert "7.25" not in record._repr_html_()


def test_a_threshold_of_one_hides_nothing():
    assert record_with(1).as_dict()["hidden"] == []


def test_sums_of_a_record_must_be_sums_of_its_counts():
    record = record_with()
    with pytest.raises(ReportError, match=r'"all" is 30, but its parts \(treated, early\)'):
        record.sums("all", ("treated", "early"))
    record.value("pay", 1.0, "ratio", text("pay", "lương"), units=9)
    with pytest.raises(ReportError, match=r"name pay, which no count"):
        record.sums("all", ("treated", "pay"))


def test_small_waves_are_not_drawn():
    cohorts = np.array([2.0] * 2 + [3.0] * 5 + [np.nan] * 4)
    population = Population(np.arange(1, 5), cohorts, np.ones((11, 4), bool))
    assert population.without_small(3).waves == {3: 5}
    assert population.without_small(5).n_units == 5
    assert population.without_small(1).n_units == 11


def test_estimates_on_too_few_treated_are_neither_drawn_nor_tabled():
    world = simulate.staggered_panel(3, n_units=40, periods=6, cohorts={3: 0.05, 5: 0.5})
    design = Design(
        Panel(world.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort"
    )
    result = CallawaySantAnna().fit(design)
    outcome = Outcome("outcome", text("jobs", "việc làm"), "jobs")
    effect = OutcomeEffect(outcome, design, result, {}, "average", 0.95)
    cells = effect.cells()
    assert (
        cells.loc[cells["cohort"] == 3, ["estimate", "conf_low", "p_value"]].isna().all(axis=None)
    )
    large = cells[cells["cohort"] == 5].set_index("event_time")["estimate"]
    assert large[[-4.0, -3.0]].notna().all()
    assert large[[-2.0, 0.0, 1.0]].isna().all()  # the average of both waves would tell the other
    study = effect.event_study().set_index("event_time")["estimate"]
    assert study[[2.0, 3.0]].isna().all()  # the wave of two firms alone
    assert study[[-2.0, 0.0]].notna().all()
    assert np.isnan(study[1.0])  # else the average over all periods would tell how it differs
    assert not effect.hides_average


def test_the_annex_of_a_report_that_hides_shows_no_outputs(tmp_path):
    hiding = COMPUTE.replace(
        'record.value("jobs", count, "jobs", text("Jobs", "Việc làm"))',
        'record.value("jobs", 2, "jobs", text("Jobs", "Việc làm"), units=2)\nprint(98765)',
    )
    folder = make_project(tmp_path, hiding, "98765", WRITE)
    build_report(Evaluation.read(folder), progress=False)
    for name in ("notebook.ipynb", "report.html", "report.vi.html"):
        page = (folder / name).read_text(encoding="utf-8")
        assert '"text": "98765' not in page
    cells = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    assert "không công bố" in (folder / "report.vi.html").read_text(encoding="utf-8")
