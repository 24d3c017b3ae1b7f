"""A table whose units' sums do not fit into memory is read in parts, which add up to the same."""

import did
import numpy as np
import pytest
from table_equality import assert_same, gaps, in_memory, scanned

from impact import CallawaySantAnna, Imputation, TwoWayFixedEffects
from impact.warehouse.parts import divide

STATIC = TwoWayFixedEffects(accept_forbidden_comparisons=True)
CASES = {
    "group-time": (CallawaySantAnna(), {}),
    "imputation": (Imputation(), {}),
    "two-way": (STATIC, {}),
    "clusters": (STATIC, {"clusters": "cluster"}),
    "covariates": (STATIC, {"covariates": ["z"], "weights": "w"}),
}


@pytest.fixture
def small_memory(monkeypatch):
    monkeypatch.setattr("impact.warehouse.parts._memory", lambda panel: 40_000)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("names", ["dense", "sparse", "text"])
def test_parts_add_up(name, names, small_memory, tmp_path):
    estimator, settings = CASES[name]
    frame = did.staggered(n_units=200, periods=6, n_clusters=24)
    if name != "group-time":
        frame, settings = gaps(frame), settings | {"always_treated": "drop"}
    change = {
        "dense": lambda u: u,
        "sparse": lambda u: u**3 * 7919,
        "text": lambda u: "cơ sở " + u.astype(str),
    }
    frame["unit"] = change[names](frame["unit"])
    here = in_memory(frame, cohort="cohort", **settings)
    there = scanned(frame, tmp_path, cohort="cohort", **settings)
    assert_same(estimator, here, there, views=("att",))
    assert any("part 3 of" in query.purpose for query in there.queries)
    assert ("HASH(" in there.queries[1].sql) == (names != "dense")


def test_each_unit_is_in_one_part(small_memory, tmp_path):
    frame = did.staggered(n_units=300, periods=6)
    for change in (1, 10**9):
        table = scanned(frame.assign(unit=frame["unit"] * change), tmp_path, cohort="cohort")
        units = [
            set(part.frame.select("unit").distinct().to_pyarrow()["unit"].to_pylist())
            for part in divide(table.panel, 300, 10, table.table.ends)
        ]
        assert len(units) > 2
        assert sum(map(len, units)) == len(set.union(*units)) == 300
        assert np.ptp([len(part) for part in units]) < 60


def test_what_fits_is_read_once(tmp_path):
    design = scanned(did.staggered(n_units=100, periods=6), tmp_path, cohort="cohort")
    assert len(divide(design.panel, 100, 10, (1, 100))) == 1
    assert len(divide(design.panel, 10**9, 10, (1, 100))) > 5
