"""Printed totals of promotion programmes: consistent in themselves, and a measure of others."""

from pathlib import Path

import pandas as pd
import pytest

from impact import places
from impact.simulate import simulate_programme, simulate_provinces

FILE = Path(__file__).parent.parent / "data" / "ledger_totals.csv"
NOT_PROVINCES = {"Vietnam", "15 central provinces"}
ROUNDED = 5e6
"""Half of the last digit printed, hundredths of a billion VND."""


@pytest.fixture(scope="module")
def totals():
    return pd.read_csv(FILE)


def test_places_belong_to_their_vintage_and_windows_run_forward(totals):
    named = totals[~totals["place"].isin(NOT_PROVINCES)]
    for vintage, rows in named.groupby("vintage"):
        assert places.codes(rows["place"], vintage).notna().all()
    assert (totals["start"] <= totals["end"]).all()
    assert set(totals["window"]) == {"exact", "about"}
    assert not totals.duplicated(["place", "projects_of", "start", "end"]).any()


def test_national_and_local_make_the_whole_where_all_are_printed(totals):
    counts = totals[["national_projects", "local_projects", "projects"]].dropna()
    assert (counts.iloc[:, 0] + counts.iloc[:, 1] == counts["projects"]).all()
    money = totals.set_index("place")[["national_support", "local_support", "support"]].dropna()
    off = (money.iloc[:, 0] + money.iloc[:, 1] - money["support"]).abs()
    assert off[off > ROUNDED].index.to_list() == ["Khánh Hòa"]


def test_reported_costs_of_a_job(totals):
    jobs = totals.dropna(subset=["jobs_reported"]).set_index("place")
    cost = (jobs["support"] / jobs["jobs_reported"]).round(-4)
    assert cost.to_dict() == {"Hà Tĩnh": 9.04e6, "Quảng Bình": 14e6}


def test_the_simulations_lie_within_what_is_printed(totals):
    provinces = totals[(totals["vintage"] == 63) & (totals["place"] != "Vietnam")]
    each = (provinces["support"] / provinces["projects"]).dropna()
    paid = simulate_programme(1).projects.query("disbursed_support > 0")
    assert each.min() < paid["disbursed_support"].mean() < each.max()
    leverage = (provinces["counterpart"] / provinces["support"]).dropna()
    assert leverage.min() < paid["counterpart"].sum() / paid["disbursed_support"].sum()
    assert paid["counterpart"].sum() / paid["disbursed_support"].sum() < leverage.max()
    country = totals.query("place == 'Vietnam' and start == 2021").iloc[0]
    frame = simulate_provinces(1, last_year=2025).frame
    own = frame[~(frame["year"] >= frame["cohort"])].query("year >= 2021")
    yearly = own.groupby("year")["support"].mean().mean()
    assert yearly * 1e9 * 63 * 5 == pytest.approx(country["support"], rel=0.5)
