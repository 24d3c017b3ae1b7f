"""Panel: sorting, matrices, and every refusal."""

import numpy as np
import pandas as pd
import pytest

from impact import Panel
from impact.errors import PanelError


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "firm": ["b", "a", "b", "a", "c"],
            "year": [2001, 2001, 2000, 2000, 2001],
            "jobs": [4.0, 2.0, 3.0, 1.0, 5.0],
            "sector": ["wood", "silk", "wood", "silk", None],
        }
    )


def test_rows_are_used_in_unit_and_time_order_whatever_order_they_come_in():
    panel = Panel(frame(), unit="firm", time="year")
    assert list(panel.units) == ["a", "b", "c"]
    assert list(panel.periods) == [2000, 2001]
    np.testing.assert_array_equal(panel.matrix("jobs"), [[1, 2], [3, 4], [np.nan, 5]])
    np.testing.assert_array_equal(panel.unit_codes, [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(panel.time_codes, [0, 1, 0, 1, 1])
    assert not panel.is_balanced


@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "str", "category"])
def test_units_of_any_type_give_the_same_matrix(kind):
    rng = np.random.default_rng(0)
    long = pd.DataFrame({"id": np.repeat([7, 30, 1_000_000_007], 4), "t": np.tile(range(4), 3)})
    long["y"] = rng.normal(size=12)
    expected = long["y"].to_numpy().reshape(3, 4)
    shuffled = long.sample(frac=1, random_state=1)
    shuffled["id"] = shuffled["id"].astype(kind)
    got = Panel(shuffled, unit="id", time="t")
    order = np.argsort(got.units.astype(float))
    np.testing.assert_array_equal(got.matrix("y")[order], expected)


def test_the_sorted_full_grid_and_the_general_route_agree():
    long = pd.DataFrame({"id": np.repeat(np.arange(5), 3), "t": np.tile([1, 2, 5], 5)})
    long["y"] = np.arange(15.0)
    quick = Panel(long, unit="id", time="t")
    general = Panel(long.iloc[::-1], unit="id", time="t")
    np.testing.assert_array_equal(quick.matrix("y"), general.matrix("y"))
    np.testing.assert_array_equal(quick.unit_codes, general.unit_codes)
    np.testing.assert_array_equal(quick.time_codes, general.time_codes)
    np.testing.assert_array_equal(quick.periods, general.periods)


def test_rows_sorted_by_time_within_uneven_units_are_not_taken_for_a_grid():
    long = pd.DataFrame({"id": [1, 1, 2, 3, 3, 3], "t": [1, 2, 1, 1, 2, 3], "y": range(6)})
    panel = Panel(long, unit="id", time="t")
    assert panel.n_units == 3
    assert panel.n_periods == 3
    assert not panel.is_balanced
    np.testing.assert_array_equal(
        panel.matrix("y"), [[0, 1, np.nan], [2, np.nan, np.nan], [3, 4, 5]]
    )


@pytest.mark.parametrize("units", [[1, 1, 2, 2, 2, 2, 3, 3, 3], [1, 1, 1, 2, 2, 3, 3, 3, 3]])
def test_rounds_of_years_that_units_do_not_follow_are_no_grid(units):
    long = pd.DataFrame({"id": units, "t": np.tile([1, 2, 3], 3)})
    with pytest.raises(PanelError, match="1 pair appears more than once, first .id [23], t 3."):
        Panel(long, unit="id", time="t")


def test_rounds_of_years_of_unsorted_units_are_sorted():
    long = pd.DataFrame({"id": np.repeat([1, 3, 2], 3), "t": np.tile([1, 2, 3], 3)})
    long["y"] = np.arange(9.0)
    matrix = Panel(long, unit="id", time="t").matrix("y")
    np.testing.assert_array_equal(matrix, [[0, 1, 2], [6, 7, 8], [3, 4, 5]])


def test_one_unit_longer_than_a_glance_is_sorted_and_its_copies_refused():
    times = np.arange(70_000)
    times[-2:] = times[-1], times[-2]
    long = pd.DataFrame({"id": 1, "t": times, "y": times.astype(float)})
    panel = Panel(long, unit="id", time="t")
    np.testing.assert_array_equal(panel.periods, np.arange(70_000))
    np.testing.assert_array_equal(panel.numeric("y"), np.arange(70_000.0))
    long.loc[69_999, "t"] = 5
    with pytest.raises(PanelError, match="1 pair appears more than once, first .id 1, t 5."):
        Panel(long, unit="id", time="t")


@pytest.mark.parametrize("share", [1.0, 0.7, 0.05])
def test_shuffled_rows_are_laid_out_by_unit_and_period_however_sparse(share):
    rng = np.random.default_rng(0)
    grid = pd.DataFrame({"id": np.repeat(np.arange(60), 30), "t": np.tile(np.arange(30), 60)})
    grid["y"] = rng.normal(size=len(grid))
    shuffled = grid.sample(frac=share, random_state=1)
    panel = Panel(shuffled, unit="id", time="t")
    ordered = shuffled.sort_values(["id", "t"])
    np.testing.assert_array_equal(panel.numeric("y"), ordered["y"])
    np.testing.assert_array_equal(panel.units[panel.unit_codes], ordered["id"])
    np.testing.assert_array_equal(panel.periods[panel.time_codes], ordered["t"])
    expected = shuffled.pivot(index="id", columns="t", values="y").to_numpy()
    np.testing.assert_array_equal(panel.matrix("y"), expected)
    copied = pd.concat([shuffled, shuffled.iloc[[4, 9]]])
    with pytest.raises(PanelError, match="2 pairs appear more than once"):
        Panel(copied, unit="id", time="t")


def test_a_copy_in_the_place_of_a_missing_row_is_no_full_grid():
    long = pd.DataFrame({"id": [1, 1, 2, 2], "t": [1, 2, 2, 2], "y": 1.0})
    with pytest.raises(PanelError, match="1 pair appears more than once, first .id 2, t 2."):
        Panel(long.iloc[::-1], unit="id", time="t")


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_values_repeated_within_units_are_found_and_others_are_not(balanced, is_sorted):
    long = pd.DataFrame({"id": np.repeat([3, 5, 9], 4), "t": np.tile(range(4), 3)})
    long["first"] = np.repeat([4.0, np.nan, 4.0], 4)
    long["late"] = np.where((long["id"] == 9) & (long["t"] == 3), 1.0, long["first"])
    long["partly"] = np.where((long["id"] == 5) & (long["t"] == 2), 4.0, long["first"])
    long["number"] = long["id"] * 2
    long["text"] = "same"
    if not balanced:
        long = long.drop(index=4)
    if not is_sorted:
        long = long.sample(frac=1, random_state=3)
    panel = Panel(long, unit="id", time="t")
    np.testing.assert_array_equal(panel.repeated("first"), [4, np.nan, 4])
    np.testing.assert_array_equal(panel.repeated("number"), [6, 10, 18])
    for name in ("late", "partly", "t", "text"):
        assert panel.repeated(name) is None


def test_extremes_tell_whether_a_column_is_complete():
    long = pd.DataFrame({"id": [1, 1, 2, 2], "t": [1, 2, 1, 2], "y": [3.0, -1, 2, 0]})
    long["gap"] = [1.0, np.nan, 2, 3]
    panel = Panel(long, unit="id", time="t")
    np.testing.assert_array_equal(panel.extremes_of("y"), [-1, 3])
    assert panel.is_complete("y")
    assert not panel.is_complete("gap")
    long["gap"] = [1.0, np.nan, -np.inf, 3]
    with pytest.raises(PanelError, match='"gap" is infinite in 1 row'):
        Panel(long, unit="id", time="t").is_complete("gap")


def test_later_changes_to_the_users_frame_do_not_reach_the_panel():
    data = frame()
    panel = Panel(data, unit="firm", time="year")
    data.loc[:, "jobs"] = 0.0
    assert panel.matrix("jobs")[0, 0] == 1.0
    assert list(data.columns) == ["firm", "year", "jobs", "sector"]


def test_unit_values_fill_missing_entries_and_refuse_variation():
    panel = Panel(frame(), unit="firm", time="year")
    values = panel.unit_values("sector")
    assert values["a"] == "silk"
    assert pd.isna(values["c"])
    with pytest.raises(PanelError, match=r'"jobs" changes within 2 units, first firm a, b'):
        panel.unit_values("jobs")


def test_select_keeps_rows_in_sorted_order():
    panel = Panel(frame(), unit="firm", time="year")
    kept = panel.select(np.array([True, True, False, False, True]))
    assert list(kept.units) == ["a", "c"]
    np.testing.assert_array_equal(kept.matrix("jobs"), [[1, 2], [np.nan, 5]])


def test_duplicates_are_named_with_their_number():
    doubled = pd.concat([frame(), frame().iloc[[0, 3]]])
    with pytest.raises(PanelError, match=r"2 pairs appear more than once.*\(firm a, year 2000\)"):
        Panel(doubled, unit="firm", time="year")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(firm=["b", None, "b", "a", "c"]), r'"firm" is missing in 1 row'),
        (lambda f: f.assign(year=[1, 2, None, 4, 5]), r'"year" is missing in 1 row, first row 2'),
        (lambda f: f.assign(year=[1.5, 2, 3, 4, 5]), r"1 value that is not whole, first 1.5"),
        (lambda f: f.assign(year=[np.inf, 2, 3, 4, 5]), r"1 value that is not whole, first inf"),
        (lambda f: f.assign(year=pd.to_datetime("2020-01-01")), r"holds dates.*dt\.year"),
        (lambda f: f.assign(year=["x"] * 5), r"periods must be whole numbers"),
        (lambda f: f.iloc[:0], "no rows"),
    ],
)
def test_bad_keys_are_refused_with_place_and_remedy(change, message):
    with pytest.raises(PanelError, match=message):
        Panel(change(frame()), unit="firm", time="year")


def test_an_absent_column_names_a_near_one():
    with pytest.raises(PanelError, match=r'no column "frim". Did you mean "firm"\?'):
        Panel(frame(), unit="frim", time="year")
    with pytest.raises(PanelError, match=r'no column "job". Did you mean "jobs"\?'):
        Panel(frame(), unit="firm", time="year").matrix("job")


def test_keys_in_the_index_are_pointed_out():
    with pytest.raises(PanelError, match=r'"firm" is a level of the frame.s index.*reset_index'):
        Panel(frame().set_index(["firm", "year"]), unit="firm", time="year")


def test_a_column_given_twice_and_one_name_for_both_keys_are_refused():
    twice = pd.concat([frame(), frame()[["jobs"]]], axis=1)
    with pytest.raises(PanelError, match='2 columns named "jobs"'):
        Panel(twice, unit="firm", time="year").matrix("jobs")
    with pytest.raises(PanelError, match="must be two columns"):
        Panel(frame(), unit="year", time="year")
    with pytest.raises(PanelError, match="pandas DataFrame; this is a list"):
        Panel([1, 2], unit="a", time="b")


def test_numbers_written_with_commas_and_dots_are_refused_with_how_to_read_them():
    written = frame().astype({"jobs": object}).assign(jobs="1.785,9")
    with pytest.raises(PanelError, match=r"'1\.785,9'.*decimal=',', thousands='\.'\."):
        Panel(written, unit="firm", time="year").matrix("jobs")


def test_a_notebook_shows_a_panel_as_a_table():
    table = Panel(frame().rename(columns={"firm": "<firm>"}), unit="<firm>", time="year")
    shown = table._repr_html_()
    assert "<caption>Panel</caption>" in shown
    assert f"<td>{table.n_units} by &lt;firm&gt;</td>" in shown
    assert f"<td>{table.n_rows} (" in shown
    assert "<firm>" not in shown


def test_text_and_infinity_where_numbers_belong():
    panel = Panel(frame(), unit="firm", time="year")
    with pytest.raises(PanelError, match=r"values where numbers belong, first 'wood'"):
        panel.matrix("sector")
    infinite = frame().assign(jobs=[np.inf, 1, 2, 3, -np.inf])
    with pytest.raises(PanelError, match=r"infinite in 2 rows, first \(firm b, year 2001\)"):
        Panel(infinite, unit="firm", time="year").matrix("jobs")
