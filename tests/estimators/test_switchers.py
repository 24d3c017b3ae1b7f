"""Changes of treatment: R DIDmultiplegtDYN's numbers, by hand, identities, coverage, refusals."""

import numpy as np
import pandas as pd
import pytest
from did import by_hand, switching
from reference import read_case

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError
from impact.estimators.switchers import SwitchersDiD

# R prints five decimals.
PRINTED = 6e-6
STD_ERROR = 2e-3
EXACT = 1e-10


def fit(frame, *, unit="unit", time="time", clusters=None, treatment="dose", **settings):
    names = {"outcome": "outcome"} | {
        k: settings.pop(k) for k in ("outcome", "weights") if k in settings
    }
    panel = Panel(frame, unit=unit, time=time)
    stated = {treatment: settings.pop("column", treatment)}
    return SwitchersDiD(**settings).fit(Design(panel, clusters=clusters, **stated, **names))


def case() -> dict:
    description, frame = read_case("dcdh_favara_imbs")
    return {**description, "frame": frame}


BANKS = {
    "unit": "county",
    "time": "year",
    "outcome": "Dl_vloans_b",
    "column": "inter_bra",
    "clusters": "state_n",
    "effects": 8,
    "placebos": 3,
    "lone_switchers": "own",
}

# R 2.1.2 stops cumulating a placebo's dose at the panel's first period: placebo l of a unit
# first changed in the F-th period is divided by min(l, F - l) doses where the paper, and we,
# divide by l. Here 18 units have F = 4 and 7 have F = 3, all with a dose of one.
CUT_DOSES = {("b", "Placebo_2"): 2 * 25 / (18 * 2 + 7 * 1), ("b", "Placebo_3"): 3 / 1}


@pytest.mark.parametrize(
    ("variant", "settings"),
    [("a", {}), ("b", {"target": "normalised", "same_switchers": True})],
)
def test_bank_deregulation_equals_r(variant, settings):
    given = case()
    result = fit(given["frame"], **BANKS, **settings)
    assert set(result.tidy().loc[result.std_errors > 0, "inference"]) == {"none"}
    found = result.infer("cr1").tidy().set_index("term")
    wanted = given["reference"][variant]
    for kind, name in (("effects", "Effect"), ("placebos", "Placebo")):
        for key, row in wanted[kind].items():
            got = found.loc[f"{name.lower()} {key.split('_')[1]}"]
            scale = CUT_DOSES.get((variant, key), 1.0)
            assert scale * got["estimate"] == pytest.approx(row["Estimate"], abs=PRINTED)
            assert scale * got["std_error"] == pytest.approx(row["SE"], rel=STD_ERROR, abs=PRINTED)
            assert got["n_treated"] == row["Switchers"]
    total = fit(given["frame"], **BANKS, target="total").infer("cr1").tidy().iloc[0]
    row = wanted["avg_total_effect"]
    assert total["estimate"] == pytest.approx(row["Estimate"], abs=PRINTED)
    assert total["std_error"] == pytest.approx(row["SE"], rel=STD_ERROR)


def test_by_hand():
    found = fit(by_hand()).cells.set_index("term")["estimate"]
    # Rise: 9 - 2 less the mean of 1 and 3 is 5; fall: -((5 - 8) - (8 - 7)) = 4.
    assert found["effect 1"] == pytest.approx(4.5, abs=EXACT)
    # Rise: 10 less the mean of 3 and 3 is 7; fall: -((5 - 8) - 1) = 4.
    assert found["effect 2"] == pytest.approx(5.5, abs=EXACT)
    assert found["effect 3"] == pytest.approx(-((5 - 8) - (9 - 7)), abs=EXACT)
    # Period 1 less period 2: -1 for the riser, the mean of 0 and -1 for its comparison.
    assert found["placebo 1"] == pytest.approx(-1 + 0.5, abs=EXACT)
    normalised = fit(by_hand(), target="normalised").cells.set_index("term")["estimate"]
    assert normalised["effect 2"] == pytest.approx((7 + 4) / (4 + 2), abs=EXACT)
    total = fit(by_hand(), target="total").estimates[0]
    assert total == pytest.approx((9 + 11 + 5) / (3 + 3 + 1), abs=EXACT)


@pytest.mark.parametrize("weights", [None, "w"])
def test_with_a_lasting_binary_treatment_it_is_callaway_and_santanna(weights):
    frame = simulate.staggered_panel(
        6, n_units=90, periods=7, cohorts=(3, 5), effect=lambda e, g: 1 + e + 0.1 * g
    ).frame.assign(w=lambda f: 1.0 + f["unit"] % 3)
    ours = fit(frame, treatment="treated", weights=weights).cells
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="outcome", cohort="cohort", weights=weights
    )
    theirs = CallawaySantAnna().fit(design).event_study().cells.set_index("event_time")["estimate"]
    for row in ours.itertuples():
        if row.event_time >= 0:
            assert row.estimate == pytest.approx(theirs[row.event_time], rel=1e-9)


def test_doses_are_recovered_exactly_when_the_effect_is_linear_in_the_cumulated_dose():
    rng = np.random.default_rng(3)
    n, periods = 120, 6
    first = rng.integers(2, 9, n)
    size = rng.integers(1, 4, n)
    time = np.arange(1, periods + 1)
    dose = np.where(time >= first[:, None], size[:, None], 0.0)
    dose[::7, -1] = 0.0
    y = rng.normal(size=(n, 1)) + np.sin(time) + 0.5 * dose.cumsum(axis=1)
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(time, n),
            "dose": dose.ravel(),
            "outcome": y.ravel(),
        }
    )
    result = fit(frame, target="normalised")
    after = result.cells["event_time"] >= 0
    np.testing.assert_allclose(result.estimates[after], 0.5, rtol=1e-9)
    np.testing.assert_allclose(result.estimates[~after], 0.0, atol=1e-9)


def test_rows_after_crossing_the_baseline_are_not_used():
    frame = by_hand()
    frame = frame.assign(dose=frame["dose"] + 1.0)
    frame.loc[(frame["unit"] == 1) & (frame["time"] == 4), "dose"] = 0.0
    result = fit(frame)
    assert "1 unit went above and below the baseline" in result.summary()
    found = result.cells.set_index("term")["estimate"]
    assert found["effect 2"] == pytest.approx(4.0, abs=EXACT)


def test_units_that_change_in_a_gap_are_left_out_and_counted():
    frame = by_hand()
    late = frame[~((frame["unit"] == 1) & (frame["time"] == 2))]
    result = fit(late)
    assert "1 switcher left out: the treatment is unknown just before" in result.summary()
    effect = result.cells.set_index("term").loc["effect 1"]
    assert effect["n_treated"] == 1
    assert effect["estimate"] == pytest.approx(4.0, abs=EXACT)


def test_units_that_change_in_a_gap_are_compared_with_while_their_treatment_is_known():
    columns = ["unit", "time", "dose", "outcome"]
    more = [(6, 1, 1, 3.0), (6, 2, 1, 5.0), (6, 4, 0, 1.0)]
    frame = pd.concat([by_hand(), pd.DataFrame(more, columns=columns)])
    found = fit(frame).cells.set_index("term")
    # The fall of unit 4 is compared with units 5 and 6 in period 2, with unit 5 alone in period 3.
    assert found.loc["effect 1", "estimate"] == pytest.approx((5 + 3 + 1.5) / 2, abs=EXACT)
    assert found.loc["effect 2", "estimate"] == pytest.approx(5.5, abs=EXACT)


# py-did-multiplegt-dyn 0.1.9, DidMultiplegtDyn(effects=3, placebo=2): estimates of effects and
# placebos, their standard errors by unit and by place, and of the average total effect.
SWITCHING = {
    None: (
        [0.90713734, 0.8759854337, 0.69796984, 0.1020728963, 0.2451365935],
        [0.1252559019, 0.2027787584, 0.2765263613, 0.1455479346, 0.3294969855],
        [0.1164721437, 0.2058464956, 0.3129926691, 0.1333305224, 0.3536027595],
        (0.816606650892408, 0.15529550452443927, 0.16648850631663742),
    ),
    "w": (
        [0.8545205543, 0.8181937209, 0.5894402317, 0.0905083262, 0.2846182268],
        [0.1477299814, 0.234645923, 0.3388015631, 0.1531681855, 0.3944519981],
        [0.14771966, 0.2498801656, 0.3575265374, 0.1668164844, 0.4837084769],
        (0.8219463331814066, 0.20528585707545868, 0.2144380848593211),
    ),
}
TERMS = ["effect 1", "effect 2", "effect 3", "placebo 1", "placebo 2"]
# Ten decimals are stored.
STORED = 2e-9


@pytest.mark.parametrize("weights", [None, "w"])
def test_gaps_weights_and_clusters_equal_the_authors_package(weights):
    estimates, by_unit, by_place, (total, *total_errors) = SWITCHING[weights]
    for clusters, errors, error in zip(
        (None, "place"), (by_unit, by_place), total_errors, strict=True
    ):
        settings = {"clusters": clusters, "weights": weights, "effects": 3}
        found = fit(switching(), placebos=2, **settings)
        cells = found.cells.assign(std_error=found.std_errors).set_index("term").loc[TERMS]
        np.testing.assert_allclose(cells["estimate"], estimates, rtol=STORED)
        np.testing.assert_allclose(cells["std_error"], errors, rtol=STORED)
        average = fit(switching(), target="total", **settings)
        assert average.estimates[0] == pytest.approx(total, rel=STORED)
        assert average.std_errors[0] == pytest.approx(error, rel=STORED)


def test_same_switchers_are_those_of_the_placebos_too():
    found = fit(switching(), effects=3, placebos=2, same_switchers=True, clusters="place")
    cells = found.cells.assign(std_error=found.std_errors).set_index("term").loc[TERMS]
    np.testing.assert_allclose(
        cells["estimate"],
        [0.8967257609, 0.9137155429, 0.687641288, 0.0970616615, 0.1303873324],
        rtol=STORED,
    )
    np.testing.assert_allclose(
        cells["std_error"],
        [0.096756439, 0.1862811186, 0.3057594658, 0.1511722753, 0.3304386889],
        rtol=STORED,
    )


def test_a_cohort_in_one_cluster_has_an_error():
    frame = switching().assign(place=lambda f: (f["unit"] // 2) % 6)
    frame["place"] = frame["place"] + 6 * (frame["unit"] % 2)
    counted = fit(frame, effects=1, placebos=0, clusters="place")
    by_units = fit(frame, effects=1, placebos=0, clusters="place", lone_switchers="own")
    assert counted.std_errors[0] > 1.2 * by_units.std_errors[0]
    assert "of one cluster" in counted.summary()


def test_event_times_are_in_units_of_time():
    yearly, biennial = fit(switching()), fit(switching(step=2))
    np.testing.assert_array_equal(biennial.estimates, yearly.estimates)
    np.testing.assert_array_equal(biennial.cells["event_time"], 2 * yearly.cells["event_time"])
    frame = switching().assign(time=lambda f: f["time"].replace({7: 9}))
    assert "Periods are not evenly spaced" in fit(frame).summary()


def test_a_lone_switcher_adds_variance_unless_told_otherwise():
    pooled, own = fit(by_hand()), fit(by_hand(), lone_switchers="own")
    np.testing.assert_array_equal(pooled.estimates, own.estimates)
    assert (
        pooled.std_errors[pooled.cells["term"] == "effect 1"]
        > own.std_errors[own.cells["term"] == "effect 1"]
    )
    assert "of one unit" in pooled.summary()


def test_refusals():
    frame = by_hand()
    with pytest.raises(DesignError, match='"dose" never changes within a unit'):
        fit(frame.assign(dose=1.0 * frame["unit"]))
    with pytest.raises(DesignError, match="no unit is observed twice"):
        fit(frame.assign(unit=np.arange(len(frame))))
    with pytest.raises(EstimationError, match="no unit with the same baseline treatment"):
        fit(frame.assign(dose=frame["dose"] + frame["unit"]))
    with pytest.raises(DesignError, match="effects counts periods, 1 or more"):
        SwitchersDiD(effects=0)
    with pytest.raises(DesignError, match=r"target may be .* it was 'sum'"):
        SwitchersDiD(target="sum")
    with pytest.raises(EstimationError, match="same_switchers=True leaves nobody"):
        fit(_no_common_switcher(), same_switchers=True)


def _no_common_switcher() -> pd.DataFrame:
    """Unit 1's first period after its change is missing; unit 2's last."""
    doses = {1: [0, 1, 1], 2: [0, 1, 1], 3: [0, 0, 0], 4: [0, 0, 0]}
    frame = pd.DataFrame(
        [
            {"unit": u, "time": t, "dose": float(d[t]), "outcome": float(u * t + t**2)}
            for u, d in doses.items()
            for t in range(3)
        ]
    )
    frame.loc[(frame["unit"] == 1) & (frame["time"] == 1), "outcome"] = np.nan
    frame.loc[(frame["unit"] == 2) & (frame["time"] == 2), "outcome"] = np.nan
    return frame


def test_baselines_that_nobody_shares_cost_no_time():
    n = 20_000
    rng = np.random.default_rng(0)
    dose = rng.random((n, 3))
    dose[: n // 2] = np.array([0.0, 0.0, 1.0])
    dose[: n // 4, 2] = 0.0
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), 3),
            "time": np.tile([1, 2, 3], n),
            "dose": dose.ravel(),
            "outcome": (np.arange(n)[:, None] + 2.0 * (dose == 1)).ravel(),
        }
    )
    result = fit(frame)
    assert result.estimates[-1] == pytest.approx(2.0, abs=1e-9)
    assert result.cells["n_treated"].iloc[-1] == n // 4


@pytest.mark.slow
def test_intervals_cover_neither_too_seldom_nor_too_often():
    draws, covered, errors, estimates = 400, 0, [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        n, periods = 200, 5
        first = rng.integers(2, 8, n)
        size = rng.integers(1, 3, n)
        time = np.arange(1, periods + 1)
        dose = np.where(time >= first[:, None], size[:, None], 0.0)
        shock = rng.normal(size=(n, periods)).cumsum(axis=1)
        y = rng.normal(size=(n, 1)) + 0.3 * time + 0.7 * dose + shock
        frame = pd.DataFrame(
            {
                "unit": np.repeat(np.arange(n), periods),
                "time": np.tile(time, n),
                "dose": dose.ravel(),
                "outcome": y.ravel(),
            }
        )
        result = fit(frame, target="total")
        covered += abs(result.estimates[0] - 0.7) <= 1.96 * result.std_errors[0]
        errors.append(result.std_errors[0])
        estimates.append(result.estimates[0])
    # 0.95 +- 3 Monte Carlo standard errors of 400 draws.
    assert 0.917 <= covered / draws <= 0.983
    assert 0.88 <= np.mean(errors) / np.std(estimates) <= 1.12


def test_cohorts_are_known_where_the_outcome_is_missing():
    """A unit first treated in a period without an outcome still switches then."""
    frame = simulate.staggered_panel(4, n_units=90, periods=7, cohorts=(4, 6)).frame
    absent = (frame["time"] == frame["cohort"]) & (frame["unit"] % 3 == 0)
    frame["outcome"] = frame["outcome"].mask(absent)
    by_cohort = fit(frame, treatment="cohort")
    by_treated = fit(frame, treatment="treated")
    pd.testing.assert_frame_equal(by_cohort.tidy(), by_treated.tidy())
    switchers = frame.loc[frame["cohort"].notna(), "unit"].nunique()
    second = by_cohort.cells.set_index("event_time").loc[1.0]
    assert second["n_treated"] == switchers
    assert not any("left out" in note for note in by_cohort.notes)


def test_anticipation_is_refused():
    frame = simulate.staggered_panel(4, n_units=60, periods=6, cohorts=(4,)).frame
    panel = Panel(frame, unit="unit", time="time")
    for extra, words in (({"anticipation": 2}, "lets treatment act 2 periods early"),):
        design = Design(panel, outcome="outcome", cohort="cohort", **extra)
        with pytest.raises(DesignError, match=words):
            SwitchersDiD().fit(design)
