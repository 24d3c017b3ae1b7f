"""Stacked difference in differences: by hand, against R fixest, and refused."""

import numpy as np
import pandas as pd
import pytest
from did import dense_regression, design, dummies, staggered, two_by_two, waves

from impact import CallawaySantAnna, StackedDiD, simulate
from impact.errors import DesignError, EstimationError, TableError

EXACT = 1e-10
# R fixest 0.14.2 on the same closed form.
REFERENCE = 1e-9


def test_two_periods_by_hand():
    result = StackedDiD(pre=1, post=0).fit(design(two_by_two())).att()
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    # K = 1 effect + treated or not + 2 event times, less the one redundant.
    factor = 5 / 4 * 9 / 6
    assert result.std_errors[0] == pytest.approx(np.sqrt(factor * (2 / 4 + 2 / 9)), rel=EXACT)


def test_fixest_on_the_stack(reference_case):
    case, frame = reference_case("stacked_acs_medicaid")
    reference = case["reference"]
    sample = design(frame, outcome="unins", unit="st", time="year", cohort="adopt_year",
                    always_treated="drop")  # fmt: skip
    settings = {
        "weighted_event_study": {},
        "unweighted_stack_fe": {"weighting": "none", "effects": "stack"},
        "weighted_stack_fe": {"effects": "stack"},
    }
    for name, own in settings.items():
        result = StackedDiD(**own).fit(sample)
        rows = {int(e): k for k, e in enumerate(result.cells["event_time"])}
        for term, wanted in reference[name].items():
            k = rows[int(term.split("::")[1].split(":")[0])]
            assert result.estimates[k] == pytest.approx(wanted["estimate"], rel=REFERENCE)
            assert result.std_errors[k] == pytest.approx(wanted["se"], rel=REFERENCE)
    result = StackedDiD().fit(sample)
    average = result.att()
    assert average.estimates[0] == pytest.approx(
        reference["average_post"]["estimate"], rel=REFERENCE
    )
    assert average.std_errors[0] == pytest.approx(reference["average_post"]["se"], rel=REFERENCE)
    stack = result.extra["stack"].set_index("cohort")["comparison_weight"]
    for cohort, weight in reference["control_weights"].items():
        assert stack[float(cohort)] == pytest.approx(weight, rel=REFERENCE)
    assert "600 rows stacked" in result.notes[0]
    assert "cohort 2020 (the panel lacks periods of its window)" in result.notes[1]


def test_the_weights_make_it_the_average_of_the_cohorts_effects():
    """Each experiment's difference in differences, by hand, averaged by treated units."""
    frame = staggered(3, n_units=100, periods=8, cohorts={4: 0.2, 6: 0.4})
    result = StackedDiD(pre=2, post=1).fit(design(frame))
    Y = frame.pivot(index="unit", columns="time", values="outcome")
    cohort = frame.groupby("unit")["cohort"].first()
    for e, estimate in zip(result.cells["event_time"], result.estimates, strict=True):
        parts = []
        for g in (4, 6):
            change = Y[g + int(e)] - Y[g - 1]
            clean = cohort.isna() | (cohort > g + 1)
            parts.append(change[cohort == g].mean() - change[clean].mean())
        assert estimate == pytest.approx(np.average(parts, weights=[20, 40]), abs=EXACT)


def test_without_weights_it_is_no_average_effect_on_the_treated():
    truth = simulate.staggered_panel(
        3, n_units=400, periods=8, cohorts={3: 0.1, 6: 0.5}, noise=0,
        effect=lambda e, g: np.where(g == 3, 5.0, 1.0) + 0 * e,
    )  # fmt: skip
    weighted = StackedDiD(pre=2, post=1).fit(design(truth.frame)).att()
    naive = StackedDiD(pre=2, post=1, weighting="none", effects="stack").fit(design(truth.frame))
    assert weighted.estimates[0] == pytest.approx((40 * 5 + 200 * 1) / 240, abs=EXACT)
    assert abs(naive.att().estimates[0] - weighted.estimates[0]) > 0.05


def test_one_cohort_gives_its_group_time_effects():
    frame = staggered(4, cohorts=(4,))
    result = StackedDiD(pre=3, post=2, effects="stack").fit(design(frame))
    effects = CallawaySantAnna().fit(design(frame)).cells.set_index("event_time")["estimate"]
    np.testing.assert_allclose(
        result.estimates, effects[result.cells["event_time"]].to_numpy(), atol=EXACT
    )


def test_units_with_gaps_in_a_window_take_no_part_in_it():
    frame = staggered(4, n_units=60, periods=6, cohorts=(4,))
    gap = (frame["unit"] == 7) & (frame["time"] == 3)
    result = StackedDiD(pre=2, post=1).fit(design(frame[~gap]))
    whole = StackedDiD(pre=2, post=1).fit(design(frame[frame["unit"] != 7]))
    np.testing.assert_allclose(result.estimates, whole.estimates, atol=EXACT)
    stack = result.extra["stack"]
    assert stack[["n_treated", "n_comparison"]].to_numpy().sum() == 59
    assert stack["n_incomplete"].tolist() == [1]
    assert "1 of 60 parts that units take in experiments were left out" in result.summary()
    early = (frame["unit"] == 7) & (frame["time"] == 1)
    untouched = StackedDiD(pre=2, post=1).fit(design(frame[~early]))
    assert "Unbalanced" not in untouched.summary()


# diff-diff 3.13.0, StackedDiD(kappa_pre=2, kappa_post=1) on waves(gaps=True), by event time.
BY_ROWS = {
    -2: (-0.3200468012935258, 0.0797715281582864),
    0: (1.4056882229816756, 0.07633782472269174),
    1: (2.256798295839588, 0.12382556549441769),
}


def test_rows_equal_diff_diff_in_a_panel_with_gaps():
    sample = design(waves(gaps=True), never_treated=0)
    result = StackedDiD(pre=2, post=1, unbalanced="rows").fit(sample)
    cells = result.cells.set_index("event_time")
    for e, (estimate, error) in BY_ROWS.items():
        assert cells.loc[e, "estimate"] == pytest.approx(estimate, rel=EXACT)
        k = cells.index.get_loc(e)
        assert result.std_errors[k] == pytest.approx(error, rel=EXACT)
    assert cells.loc[[-2, 0, 1], "n_treated"].tolist() == [109, 110, 108]
    assert "levels of those who come and go enter" in result.summary()
    own = StackedDiD(pre=2, post=1, unbalanced="rows", effects="stack").fit(sample)
    assert "levels of those who come and go enter" not in own.summary()


@pytest.mark.parametrize("effects", ["pooled", "stack"])
@pytest.mark.parametrize("settings", [{}, {"weights": "w", "covariates": "z"}])
def test_rows_are_the_regression_on_the_stack_of_rows(effects, settings):
    frame = staggered(6, n_units=80, periods=7, cohorts=(3, 5), missing=0.15)
    sample = design(frame, clusters="cluster", always_treated="drop", **settings)
    frame = sample.sample.frame
    parts = []
    for g in (3.0, 5.0):
        clean = frame["cohort"].isna() | (frame["cohort"] > g + 1)
        event_time = frame["time"] - g
        part = frame[((frame["cohort"] == g) | clean) & event_time.between(-2, 1)]
        parts.append(part.assign(e=part["time"] - g, experiment=g, inside=part["cohort"] == g))
    stack = pd.concat(parts, ignore_index=True)
    own = stack["w"] if settings else pd.Series(1.0, stack.index)
    mass = own.groupby([stack["experiment"], stack["e"], stack["inside"]]).sum().unstack()
    shares = mass / mass.groupby("e").transform("sum")
    ratio = (shares[True] / shares[False]).to_dict()
    keys = list(zip(stack["experiment"], stack["e"], strict=True))
    weights = own * np.where(stack["inside"], 1.0, [ratio[key] for key in keys])
    leads = np.stack([stack["inside"] & (stack["e"] == e) for e in (-2, 0, 1)], axis=1)
    if effects == "pooled":
        effect = np.column_stack((stack["inside"], dummies(stack, "e")))
    else:
        effect = dummies(
            stack.assign(
                a=stack["unit"].astype(str) + "_" + stack["experiment"].astype(str),
                b=stack["e"].astype(str) + "_" + stack["experiment"].astype(str),
            ),
            "a",
            "b",
        )
    covariates = stack[["z"]] if settings else stack[[]]
    X = np.column_stack((leads, effect, covariates)).astype(float)
    # Unit effects are nested in the clusters; levels of period effects count in each experiment.
    other = 1 + 4 if effects == "pooled" else 2 * 4
    n_parameters = leads.shape[1] + covariates.shape[1] + other
    y = stack["outcome"].to_numpy()
    estimates, covariance = dense_regression(
        y, X, weights.to_numpy(), stack["cluster"].to_numpy(), [0, 1, 2], n_parameters
    )
    result = StackedDiD(pre=2, post=1, unbalanced="rows", effects=effects).fit(sample)
    found = result.cells["event_time"] != -1
    np.testing.assert_allclose(result.estimates[found], estimates, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(
        result.std_errors[found], np.sqrt(np.diagonal(covariance)), rtol=1e-7
    )
    shown = result.extra["comparison_weights"]
    assert shown.loc[3.0, 0.0] == pytest.approx(ratio[3.0, 0.0], rel=EXACT)


def test_rows_are_complete_units_without_gaps():
    sample = design(staggered(3, periods=8, cohorts=(4, 6)))
    whole, rows = (
        StackedDiD(pre=2, post=1, unbalanced=how).fit(sample) for how in ("complete_units", "rows")
    )
    np.testing.assert_array_equal(whole.estimates, rows.estimates)
    np.testing.assert_array_equal(whole.std_errors, rows.std_errors)


def test_an_experiment_without_comparison_rows_at_some_event_time_is_left_out():
    frame = staggered(3, n_units=80, periods=8, cohorts=(4, 6))
    lost = frame["cohort"].isna() & (frame["time"] == 7)
    result = StackedDiD(pre=2, post=1, unbalanced="rows").fit(design(frame[~lost]))
    assert "6 (no comparison unit is seen in some period of its window)" in " ".join(result.notes)
    assert result.extra["stack"]["cohort"].tolist() == [4.0]


def test_anticipation_moves_the_base_period():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=9, cohorts=(5, 7), noise=0, effect=2.0, anticipation=1
    )
    result = StackedDiD(pre=2, post=1).fit(design(truth.frame, anticipation=1))
    assert result.att().estimates[0] == pytest.approx(2.0, abs=EXACT)
    assert result.cells["note"].tolist()[0].startswith("base period")


def test_refusals():
    frame = staggered(1)
    with pytest.raises(DesignError, match="pre of at least 1 and post of at least 0"):
        StackedDiD(pre=0)
    with pytest.raises(EstimationError, match=r"no cohort can be stacked with pre=5 and post=2"):
        StackedDiD(pre=5).fit(design(frame))
    with pytest.raises(DesignError, match="leaves no period before anticipation=1 begins"):
        StackedDiD(pre=1).fit(design(frame, anticipation=1))
    everyone = frame.assign(cohort=frame["cohort"].fillna(5.0))
    result = StackedDiD(pre=2, post=1).fit(design(everyone))
    assert "5 (no comparison unit is seen throughout its window)" in " ".join(result.notes)


def test_a_table_with_gaps_counts_units_left_out_and_keeps_its_rows_to_itself(tmp_path):
    pytest.importorskip("ibis")
    from table_equality import gaps, in_memory, scanned

    frame = gaps(staggered(n_units=300, periods=6, cohorts=(3, 5), n_clusters=24))
    settings = {"cohort": "cohort", "always_treated": "drop"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    ours, theirs = (StackedDiD(pre=1, post=1).fit(sample) for sample in (here, there))
    pd.testing.assert_frame_equal(ours.extra["stack"], theirs.extra["stack"], check_dtype=False)
    assert (ours.extra["stack"]["n_incomplete"] > 0).all()
    assert ours.notes == theirs.notes
    with pytest.raises(TableError, match="'rows' weighs the rows of units period by period"):
        StackedDiD(pre=1, post=1, unbalanced="rows").fit(there)


@pytest.mark.parametrize("effects", ["pooled", "stack"])
def test_a_panel_of_every_other_year_is_stacked_by_its_own_steps(effects):
    frame = staggered(4, n_units=80, periods=8, cohorts=(4, 6))
    biennial = frame.assign(time=2000 + 2 * frame["time"], cohort=2000 + 2 * frame["cohort"])
    wanted = StackedDiD(pre=2, post=1, effects=effects).fit(design(frame))
    found = StackedDiD(pre=4, post=3, effects=effects).fit(design(biennial))
    np.testing.assert_allclose(found.estimates, wanted.estimates, atol=EXACT)
    np.testing.assert_allclose(found.std_errors[found.std_errors > 0],
                               wanted.std_errors[wanted.std_errors > 0], rtol=1e-9)  # fmt: skip
    np.testing.assert_array_equal(found.cells["event_time"], [-4, -2, 0, 2])
    with pytest.raises(DesignError, match="set pre to 4 or more"):
        StackedDiD(pre=3).fit(design(biennial, anticipation=2))
