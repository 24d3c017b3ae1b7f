"""Provinces of two vintages, and the traps between them."""

import datetime

import numpy as np
import pandas as pd
import pytest

from impact import places
from impact.errors import PlaceError


def test_counts_and_unique_codes():
    assert len(places.provinces(63)) == 63
    assert len(places.provinces(34)) == 34
    walk = places.crosswalk()
    assert walk["code_34"].nunique() == 34
    assert (~walk["merged"]).sum() == 11
    assert walk[walk["merged"]]["code_34"].nunique() == 23
    assert not places.provinces(63).duplicated(["tile_row", "tile_column"]).any()


def test_seven_codes_changed_hands_and_seven_names_changed_code():
    walk = places.crosswalk()
    assert walk.loc[walk["code_changed_hands"], "code_63"].to_list() == [
        "15", "24", "44", "52", "80", "82", "91",
    ]  # fmt: skip
    assert set(walk.loc[walk["name_changed_code"], "name_63"]) == {
        "Lào Cai", "Bắc Ninh", "Quảng Trị", "Gia Lai", "Tây Ninh", "Đồng Tháp", "An Giang",
    }  # fmt: skip


@pytest.mark.parametrize("vintage", [63, 34])
@pytest.mark.parametrize("column", ["name_vi", "name_en"])
def test_every_name_and_code_resolves_to_its_own_code(vintage, column):
    table = places.provinces(vintage)
    for spelling in (table[column], table[column].str.upper(), "Tỉnh " + table[column]):
        assert places.codes(spelling, vintage).to_list() == table.index.to_list()
    assert places.codes(table.index.astype(int), vintage).to_list() == table.index.to_list()
    assert places.codes(table.index.astype(float), vintage).to_list() == table.index.to_list()


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("TP. Hồ Chí Minh", "79"),
        ("TP.HCM", "79"),
        ("Thừa Thiên - Huế", "46"),
        ("Hoà Bình", "17"),
        ("Hòa Bình", "17"),
        ("BÀ RỊA – VŨNG TÀU", "77"),
        ("Đắc Lắc", "66"),
        ("Thành phố Hà Nội", "01"),
    ],
)
def test_common_spellings(spelling, code):
    assert places.codes([spelling], 63).to_list() == [code]


def test_same_text_means_different_places_across_vintages():
    assert places.codes(["Bắc Ninh"], 63).to_list() == ["27"]
    assert places.codes(["Bắc Ninh"], 34).to_list() == ["24"]
    assert places.provinces(63)["name_vi"]["24"] == "Bắc Giang"


def test_unknown_places_are_named_together_with_what_became_of_them():
    with pytest.raises(PlaceError, match="4 values cannot be placed among the 34") as caught:
        places.codes(["Hà Giang", "34", "Hưng Yen", "Atlantis", None], 34)
    message = str(caught.value)
    assert '"Hà Giang" (Hà Giang until June 2025, now part of 08 Tuyên Quang)' in message
    assert '"34" (Thái Bình until June 2025, now part of 33 Hưng Yên)' in message
    assert '"Atlantis"' in message
    assert "1 row without a province" in message
    with pytest.raises(PlaceError, match="perhaps Hưng Yên"):
        places.codes(["Hưng Yn"], 63)
    with pytest.raises(PlaceError, match="vintage may be 63, 34; it was 2024"):
        places.codes(["Huế"], 2024)
    with pytest.raises(PlaceError, match="it was the text '63'; write the number"):
        places.codes([33], "63")


def test_vintage_at_the_day_of_the_merger():
    assert places.vintage_at("2025-06-30") == 63
    assert places.vintage_at("2025-07-01") == 34
    assert places.vintage_at("01/07/2025") == 34
    assert places.vintage_at("30.6.2025") == places.vintage_at("07/01/2025") == 63
    assert places.vintage_at(pd.Timestamp("2025-07-01", tz="Asia/Ho_Chi_Minh")) == 34
    assert places.vintage_at(datetime.date(2025, 6, 30)) == 63
    assert places.vintage_at(np.datetime64("2025-07-01")) == 34


def test_vintage_of_a_year():
    assert (places.vintage_at(2024), places.vintage_at("2026")) == (63, 34)
    assert places.vintage_at(np.int64(2026)) == 34
    with pytest.raises(PlaceError, match="the year 2025 has both lists"):
        places.vintage_at(2025)


@pytest.mark.parametrize(
    "date", [None, pd.NaT, float("nan"), "x", "31/02/2025", 202507, "2025-13-1"]
)
def test_what_is_no_date_has_no_vintage(date):
    with pytest.raises(PlaceError, match="is no date, so it is not known which list"):
        places.vintage_at(date)


@pytest.mark.parametrize("count", [0, -1, 2.5, "5"])
def test_neighbours_are_counted_from_one(count):
    with pytest.raises(PlaceError, match="how many neighbours to name, 1 or more; it was"):
        places.neighbours("Hưng Yên", count=count)


def test_join_refuses_mixed_vintages_and_names_the_codes_that_changed_hands():
    old = places.keyed(
        pd.DataFrame({"p": ["Bắc Giang", "Bắc Ninh"], "money": [1, 2]}), province="p", vintage=63
    )
    new = places.keyed(pd.DataFrame({"p": ["Bắc Ninh"], "jobs": [3]}), province="p", vintage=34)
    with pytest.raises(PlaceError, match="24 was Bắc Giang and is Bắc Ninh"):
        places.join(old, new)
    with pytest.raises(PlaceError, match="1 name changed code"):
        places.join(old, new)
    same = places.keyed(pd.DataFrame({"p": [27, 24], "jobs": [5, 6]}), province="p", vintage=63)
    assert places.join(old, same)["jobs"].to_list() == [6, 5]
    unmoved = pd.DataFrame({"province": ["Hà Nội"]})
    ends = [places.keyed(unmoved, province="province", vintage=vintage) for vintage in (63, 34)]
    with pytest.raises(PlaceError, match=r"without a sign\. Bring the older table"):
        places.join(*ends)


def test_join_refuses_bare_codes_and_repeated_keys():
    keyed = places.keyed(pd.DataFrame({"p": [33, 33], "x": [1, 2]}), province="p", vintage=63)
    with pytest.raises(PlaceError, match="right table has no province_code"):
        places.join(keyed, pd.DataFrame({"province_code": ["33"]}))
    with pytest.raises(PlaceError, match="repeats 1 key"):
        places.join(keyed, keyed)


def test_keyed_refuses_codes_that_belong_to_another_name():
    frame = pd.DataFrame({"code": ["24", "33"], "name": ["Bắc Ninh", "Hưng Yên"]})
    with pytest.raises(PlaceError, match="disagree in 1 row under vintage 63, first 24 with Bắc"):
        places.keyed(frame, province="code", vintage=63, name="name")
    assert len(places.keyed(frame, province="code", vintage=34, name="name")) == 2


def test_aggregation_keeps_sums_and_weights_means():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "code": np.repeat(places.provinces(63).index, 2),
            "year": np.tile([2023, 2024], 63),
            "money": rng.integers(0, 10**12, 126),
            "workers": rng.integers(1, 10**6, 126),
            "wage": rng.uniform(5, 9, 126),
            "pay": 3.0,
        }
    )
    keyed = places.keyed(frame, province="code", vintage=63)
    merged = places.aggregate(
        keyed, by=["year"], sums=["money", "workers"], means={"wage": "workers", "pay": "wage"}
    )
    assert len(merged.frame) == 68
    assert (
        merged.frame.groupby("year")["money"].sum().to_list()
        == frame.groupby("year")["money"].sum().to_list()
    )
    hung_yen = frame[frame["code"].isin(["33", "34"]) & (frame["year"] == 2024)]
    row = merged.frame.query("province_code == '33' and year == 2024").iloc[0]
    assert row["province"] == "Hưng Yên"
    assert row["money"] == hung_yen["money"].sum()
    assert row["wage"] == pytest.approx(np.average(hung_yen["wage"], weights=hung_yen["workers"]))
    assert merged.frame["pay"].to_numpy() == pytest.approx(3.0)
    again = places.keyed(merged.frame, province="province_code", vintage=34, name="province")
    assert (again["province_code"] == merged.frame["province_code"]).all()


def test_aggregation_flags_mergers_of_treated_with_untreated():
    table = places.provinces(63)
    frame = pd.DataFrame({"code": table.index, "treated": table.index.isin(["33", "26", "17"])})
    keyed = places.keyed(frame.astype({"treated": int}), province="code", vintage=63)
    mixed = places.aggregate(keyed, sums=["treated"], treated="treated").mixed
    assert mixed["province_code"].to_list() == ["25", "33"]
    assert mixed["treated_parts"].to_list() == ["Hòa Bình, Vĩnh Phúc", "Hưng Yên"]
    assert mixed["untreated_parts"].to_list() == ["Phú Thọ", "Thái Bình"]


def test_aggregation_refuses_a_merger_with_a_part_missing_and_a_wrong_vintage():
    frame = pd.DataFrame({"code": ["33"], "year": [2024], "money": [1]})
    keyed = places.keyed(frame, province="code", vintage=63)
    with pytest.raises(PlaceError, match="without all of its parts, first Hưng Yên 2024"):
        places.aggregate(keyed, by=["year"], sums=["money"])
    undated = keyed.assign(year=keyed["year"].astype(float).where(keyed.index > 0))
    with pytest.raises(PlaceError, match='"year" is missing in 1 row; .* left out of the sums'):
        places.aggregate(undated, by=["year"], sums=["money"])
    with pytest.raises(PlaceError, match="money cannot be both added up and averaged"):
        places.aggregate(keyed, sums=["money"], means={"money": "year"})
    with pytest.raises(PlaceError, match="keyed in the 63 provinces; this one is not"):
        places.aggregate(frame, sums=["money"])


def test_distances():
    km = places.distances(63)
    assert (np.diag(km) == 0).all()
    assert np.allclose(km, km.T)
    # Hà Nội to Hồ Chí Minh is about 1,140 km by air
    assert km.loc["01", "79"] == pytest.approx(1140, rel=0.02)
    assert set(places.neighbours("Hưng Yên", count=3).index) <= {"01", "30", "34", "35", "27"}
    assert len(places.distances(34)) == 34


@pytest.mark.parametrize("vintage", [63, 34])
def test_tile_map_shows_every_province_of_either_vintage(vintage):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    table = places.provinces(vintage)
    values = pd.Series(np.arange(len(table), dtype=float), index=table["name_vi"])
    ax = places.tile_map(values.iloc[1:], vintage=vintage, label="jobs")
    texts = {text.get_text().replace("\n", " ") for text in ax.texts}
    assert len(ax.texts) == len(table)
    assert "Hưng Yên " + f"{values['Hưng Yên']:.0f}" in texts
    assert table["name_vi"].iloc[0] in texts
    assert len(ax.patches) == 63
    plt.close(ax.figure)
    with pytest.raises(PlaceError, match="Hưng Yên has two values"):
        places.tile_map(pd.Series([1.0, 2.0], index=["Hưng Yên", "33"]), vintage=vintage)


def test_a_missing_part_makes_the_merged_figure_missing():
    frame = pd.DataFrame(
        {"code": ["33", "34", "01"], "jobs": [1.0, np.nan, 5.0], "wage": [np.nan, 7.0, 8.0],
         "workers": [10.0, 30.0, 1.0]}
    )  # fmt: skip
    keyed = places.keyed(frame, province="code", vintage=63)
    merged = places.aggregate(keyed, sums=["jobs"], means={"wage": "workers"}).frame
    merged = merged.set_index("province_code")
    assert merged[["jobs", "wage"]].isna().loc["33"].all()
    assert merged.loc["01", ["jobs", "wage"]].to_list() == [5.0, 8.0]


def test_refusals_of_tables_that_cannot_be_keyed_or_added_up():
    frame = pd.DataFrame({"code": ["33", "34"], "jobs": [1, 2], "note": ["a", "b"]})
    with pytest.raises(PlaceError, match='no column cod. Did you mean "code"'):
        places.keyed(frame, province="cod", vintage=63)
    keyed = places.keyed(frame, province="code", vintage=63)
    with pytest.raises(PlaceError, match='no column job. Did you mean "jobs"'):
        places.aggregate(keyed, sums=["job"])
    with pytest.raises(PlaceError, match="note holds str values"):
        places.aggregate(keyed, sums=["note"])
    twice = pd.concat([keyed, keyed.iloc[:1]])
    with pytest.raises(PlaceError, match=r"1 row repeats a province, first \('33',\)"):
        places.aggregate(twice, sums=["jobs"])
    with pytest.raises(PlaceError, match="these are str values"):
        places.tile_map(pd.Series(["a"], index=["Hưng Yên"]), vintage=63)
