"""Yearbook tables and JSON-stat datasets become tidy rows."""

import json

import numpy as np
import pandas as pd
import pytest

from impact import outcomes, places
from impact.errors import PanelError, PlaceError


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("2019", (2019, "final")),
        (2019, (2019, "final")),
        (2019.0, (2019, "final")),
        ("Sơ bộ 2020", (2020, "preliminary")),
        ("2020 (Sơ bộ)", (2020, "preliminary")),
        ("Sơ bộ - Prel. 2020", (2020, "preliminary")),
        ("Ước tính 2021", (2021, "estimate")),
        ("Năm 2018", (2018, "final")),
        ("2015-2016", None),
        ("Tỉnh", None),
        ("31/12/2020", (2020, "final")),
        ("2019 (1)", (2019, "final")),
        ("12 tháng 2020", (2020, "final")),
        ("Thu nhập bình quân 1 tháng 2020", (2020, "final")),
        ("Tổng số 2020", (2020, "final")),
        *(
            (part, None)
            for part in (
                "Quý I/2020",
                "I/2020",
                "2020 Q2",
                "2020Q1",
                "Q1/2020",
                "2020M06",
                "2020-06",
                "12/2020",
                "Tháng 12/2020",
                "6 tháng 2020",
                "6 tháng đầu năm 2020",
                "9T2020",
                "H1 2020",
                "6T/2025",
                "Nửa năm 2020",
                "11 months 2020",
                "first half of 2020",
                "2020/IV",
            )
        ),
    ],
)
def test_periods(label, expected):
    assert outcomes.parse_period(label) == expected


def test_parts_of_a_year_are_no_years():
    table = pd.DataFrame(
        {"Tỉnh": ["Hưng Yên"], "2023": [10.0], "2024": [11.0], "6 tháng đầu năm 2025": [5.0]}
    )
    with pytest.raises(PanelError, match="1 column of part of a year, first 6 tháng đầu năm 2025"):
        outcomes.from_yearbook(table, indicator="iip", unit="%", vintage=63)
    quarterly = {
        "version": "2.0", "class": "dataset", "id": ["time"], "size": [2],
        "dimension": {"time": {"category": {"index": ["2020Q1", "2020Q2"]}}}, "value": [1, 2],
    }  # fmt: skip
    assert "year" not in outcomes.from_json_stat(quarterly)


def yearbook():
    return pd.DataFrame(
        {
            "Địa phương": ["CẢ NƯỚC", "Đồng bằng sông Hồng", "Hà Nội", "Hưng Yên", "Lai Châu"],
            "2018": ["1.000,5", "300", "120,5", "1.690,4", ".."],
            "Sơ bộ 2019": [1010, 305, 121, 700.5, 268],
            "Ghi chú": ["", "", "", "*", ""],
        }
    )


def test_a_yearbook_table_by_hand():
    tidy = outcomes.from_yearbook(
        yearbook(), indicator="workers", unit="thousand", vintage=63, decimal=","
    )
    assert tidy[["province_code", "year", "value", "status"]].to_numpy().tolist()[:4] == [
        ["01", 2018, 120.5, "final"],
        ["01", 2019, 121.0, "preliminary"],
        ["12", 2018, pytest.approx(np.nan, nan_ok=True), "final"],
        ["12", 2019, 268.0, "preliminary"],
    ]
    assert tidy["value"].iloc[-2:].to_list() == [1690.4, 700.5]
    assert set(tidy["province_vintage"]) == {63}


def test_all_63_provinces_round_trip():
    table = places.provinces(63)
    wide = pd.DataFrame({"Tỉnh": table["name_vi"], 2015: range(63), 2016: range(63, 126)})
    wide.index = pd.Index([0] * 63)
    tidy = outcomes.from_yearbook(wide, indicator="x", unit="y", vintage=63)
    back = tidy.pivot(index="province_code", columns="year", values="value")
    np.testing.assert_array_equal(back.to_numpy(), wide[[2015, 2016]].to_numpy(dtype=float))


def test_refusals_of_yearbooks():
    table = yearbook()
    read = {"indicator": "x", "unit": "y", "vintage": 63, "decimal": ","}
    with pytest.raises(PlaceError, match='"Hà Tây"'):
        outcomes.from_yearbook(table.replace("Hà Nội", "Hà Tây"), **read)
    with pytest.raises(PanelError, match="1 place comes twice, first Hưng Yên"):
        outcomes.from_yearbook(table.replace("Hà Nội", "Hưng Yên"), **read)
    with pytest.raises(PanelError, match="no column names a year; the columns are Địa phương"):
        outcomes.from_yearbook(table[["Địa phương", "Ghi chú"]], **read)
    with pytest.raises(PanelError, match='no column "Tỉnh" of places'):
        outcomes.from_yearbook(table, place="Tỉnh", **read)
    with pytest.raises(PanelError, match="two columns name the year 2019"):
        outcomes.from_yearbook(table.assign(**{"2019": 1.0}), **read)
    with pytest.raises(PanelError, match=r'"2018" has 1 value that is no number, first \'120a\''):
        outcomes.from_yearbook(table.replace("120,5", "120a"), **read)


NAMES = {"HY": "Hưng Yên", "HN": "Hà Nội"}


def dataset(**changes):
    return {
        "version": "2.0",
        "class": "dataset",
        "id": ["province", "Năm"],
        "size": [2, 2],
        "dimension": {
            "province": {
                "category": {"index": {"HY": 1, "HN": 0}, "label": NAMES}
            },
            "Năm": {
                "category": {"index": ["0", "1"], "label": {"0": "2021", "1": "Sơ bộ 2022"}}
            },
        },
        "value": [1.5, 2.5, None, 4.5],
    } | changes  # fmt: skip


def test_json_stat_by_hand(tmp_path):
    expected = [
        ["Hà Nội", "2021", 1.5, "final", 2021, "HN", "0"],
        ["Hà Nội", "Sơ bộ 2022", 2.5, "preliminary", 2022, "HN", "1"],
        ["Hưng Yên", "2021", pytest.approx(np.nan, nan_ok=True), "final", 2021, "HY", "0"],
        ["Hưng Yên", "Sơ bộ 2022", 4.5, "preliminary", 2022, "HY", "1"],
    ]
    assert outcomes.from_json_stat(dataset()).to_numpy().tolist() == expected
    file = tmp_path / "table.json"
    file.write_text(json.dumps(dataset()), encoding="utf-8")
    assert outcomes.from_json_stat(file).to_numpy().tolist() == expected
    renamed = json.loads(json.dumps(dataset()).replace("N\\u0103m", "year"))
    assert outcomes.from_json_stat(renamed)["year"].to_list() == [2021, 2022, 2021, 2022]
    tidy = outcomes.from_json_stat(dataset())
    assert list(tidy.columns[-2:]) == ["province_code", "Năm_code"]
    unlabelled = json.loads(json.dumps(dataset()))
    unlabelled["dimension"]["province"]["category"].pop("label")
    bare = outcomes.from_json_stat(unlabelled)
    assert "province_code" not in bare
    assert bare["province"].to_list() == ["HN", "HN", "HY", "HY"]
    sparse = dataset(value={"0": 1.5, "1": 2.5, "3": 4.5})
    assert outcomes.from_json_stat(sparse).to_numpy().tolist() == expected


def test_json_stat_1_and_status_marks():
    old = dataset(status={"0": "p", "3": "e"})
    dimension = old["dimension"] | {"id": old.pop("id"), "size": old.pop("size")}
    tidy = outcomes.from_json_stat({"dataset": old | {"dimension": dimension}})
    assert tidy["status"].to_list() == ["preliminary", "preliminary", "final", "estimate"]


def test_refusals_of_json_stat(tmp_path):
    with pytest.raises(PanelError, match="no JSON-stat dataset: it has no value"):
        outcomes.from_json_stat(dataset(value=[]))
    with pytest.raises(PanelError, match="3 entries of value for 4 cells"):
        outcomes.from_json_stat(dataset(value=[1, 2, 3]))
    with pytest.raises(PanelError, match=r"sizes \[2, 3\], but their categories number \[2, 2\]"):
        outcomes.from_json_stat(dataset(size=[2, 3]))
    with pytest.raises(PanelError, match="value 9 lies outside the 4 cells"):
        outcomes.from_json_stat(dataset(value={"9": 1.0}))
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(PanelError, match="cannot be read as JSON"):
        outcomes.from_json_stat(broken)
    broken.write_text("[1]", encoding="utf-8")
    with pytest.raises(PanelError, match="holds a JSON list, not a dataset"):
        outcomes.from_json_stat(broken)


def test_the_other_decimal_sign_is_refused_and_not_read_as_thousands():
    table = pd.DataFrame({"place": ["Hưng Yên", "Hà Nội"], "2019": ["12,3", "1,234.5"]})
    known = {"indicator": "x", "unit": "u", "vintage": 63}
    with pytest.raises(PanelError, match=r"""first '12,3', with "." as the decimal sign"""):
        outcomes.from_yearbook(table, **known)
    with pytest.raises(PanelError, match="first '1,234.5', with \",\""):
        outcomes.from_yearbook(table, decimal=",", **known)
    with pytest.raises(PanelError, match=r"decimal may be ',', '\.'; it was ';'"):
        outcomes.from_yearbook(table, decimal=";", **known)
    with pytest.raises(PanelError, match="the table has no columns"):
        outcomes.from_yearbook(pd.DataFrame(), **known)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dimension": {"p": {}}}, "no categories for its dimension p"),
        ({"id": ["p", "q"], "size": [1, 1]}, "no categories for its dimension q"),
        ({"value": ["abc"]}, "1 value that is no number, first 'abc'"),
        ({"value": {"x": 1}}, "value x lies outside the 1 cells"),
        ({"value": {"7": 1}}, "value 7 lies outside the 1 cells"),
    ],
)
def test_damaged_json_stat_is_refused(change, words):
    dataset = {"id": ["p"], "size": [1], "dimension": {"p": {"category": {"index": ["a"]}}},
               "value": [1]}  # fmt: skip
    assert outcomes.from_json_stat(dataset)["value"].to_list() == [1.0]
    assert outcomes.from_json_stat(dataset | {"value": [".."]})["value"].isna().all()
    with pytest.raises(PanelError, match=words):
        outcomes.from_json_stat(dataset | change)
