"""Synthetic control: published cases, R's digits, exact truth, inference and refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError, InferenceError, PlaceError
from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
from impact.estimators.parts.donor_pool import DonorPool
from impact.estimators.synthetic_control import Predictor, SyntheticControl
from impact.inference.prediction import prediction_bounds
from impact.places import codes, distances, provinces

# Abadie, Diamond and Hainmueller (2010), table 2.
CALIFORNIA = {
    "Utah": 0.334,
    "Nevada": 0.234,
    "Montana": 0.199,
    "Colorado": 0.164,
    "Connecticut": 0.069,
}
# Cunningham (2021), Causal Inference: The Mixtape, chapter 10, synthetic Texas.
TEXAS = {"California": 0.408, "Florida": 0.109, "Illinois": 0.360, "Louisiana": 0.122}
# Nested searches stop at different local optima; published weights have three digits.
NESTED = 0.02


def design_of(outcomes, first_treated, **settings):
    n, periods = outcomes.shape
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(np.arange(1, periods + 1), n),
            "y": outcomes.ravel(),
            "g": np.repeat(np.asarray(first_treated, dtype=float), periods),
        }
    )
    for name, values in settings.items():
        frame[name] = np.asarray(values).ravel()
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")


def factor_panel(seed, n=25, periods=20, start=15, noise=0.3, effect=0.0):
    rng = np.random.default_rng(seed)
    loadings = rng.dirichlet(np.ones(3), size=n)
    y = loadings @ rng.normal(size=(3, periods)).cumsum(axis=1)
    y = y + noise * rng.normal(size=(n, periods))
    y[0, start - 1 :] += effect
    cohorts = np.where(np.arange(n) < 1, float(start), np.nan)
    return y, cohorts


@pytest.fixture
def california(reference_case):
    case, frame = reference_case("sc_prop99")
    frame["treated"] = ((frame["state"] == "California") & (frame["year"] >= 1989)).astype(int)
    panel = Panel(frame, unit="state", time="year")
    return case["reference"], Design(panel, outcome="cigsale", treated="treated")


@pytest.fixture(scope="module")
def texas():
    data = pytest.importorskip("causaldata").texas.load_pandas().data
    data["treated"] = ((data["state"] == "Texas") & (data["year"] >= 1993)).astype(int)
    return Design(Panel(data, unit="state", time="year"), outcome="bmprison", treated="treated")


PROPOSITION_99 = (
    Predictor("lnincome", 1980, 1988),
    Predictor("retprice", 1980, 1988),
    Predictor("age15to24", 1980, 1988),
    Predictor("beer", 1984, 1988),
    Predictor("cigsale", 1975, 1975),
    Predictor("cigsale", 1980, 1980),
    Predictor("cigsale", 1988, 1988),
)


@pytest.mark.validation
def test_california_as_published_and_fitting_better_than_r(california):
    """R Synth 1.1.8 and the published table; the search must fit at least as well."""
    reference, design = california
    result = SyntheticControl(predictors=PROPOSITION_99, inference="none").fit(design)
    fit = result.extra["fit"]
    weights = fit.unit_weights["California"]
    for state, weight in CALIFORNIA.items():
        assert weights[state] == pytest.approx(weight, abs=NESTED)
    for state, weight in reference["weights"].items():
        assert weights[state] == pytest.approx(weight, abs=NESTED)
    assert fit.quality["rmspe_before"].item() ** 2 <= reference["mspe_pre"]
    assert result.att().estimates[0] == pytest.approx(reference["mean_gap_1989_2000"], rel=0.03)


@pytest.mark.validation
def test_sc_estimate_of_r_synthdid_to_every_digit(reference_case):
    case, frame = reference_case("sdid_prop99")
    design = Design(
        Panel(frame, unit="State", time="Year"), outcome="PacksPerCapita", treated="treated"
    )
    stopped = SyntheticControl(solver="frank_wolfe", inference="none").fit(design)
    assert stopped.att().estimates[0] == pytest.approx(case["reference"]["sc"], rel=1e-10)
    exact = SyntheticControl(inference="none").fit(design)
    losses = [r.extra["fit"].quality["rmspe_before"].item() for r in (exact, stopped)]
    assert losses[0] < losses[1]


@pytest.mark.validation
def test_placebo_standard_error_of_proposition_99(reference_case):
    """All 38 placebos against 500 draws of them, each stopped early, in R: 12 %."""
    case, frame = reference_case("sdid_prop99")
    design = Design(
        Panel(frame, unit="State", time="Year"), outcome="PacksPerCapita", treated="treated"
    )
    error = SyntheticControl().fit(design).att().std_errors[0]
    assert error == pytest.approx(case["reference"]["placebo_se"]["sc"], rel=0.12)


def test_texas_fits_better_than_the_published_weights(texas):
    """The published weights are one local optimum of the search; ours must fit no worse."""
    predictors = (
        Predictor("poverty"),
        Predictor("income"),
        *(Predictor("bmprison", y, y) for y in (1988, 1990, 1991, 1992)),
        Predictor("alcohol", 1990, 1990),
        *(Predictor("aidscapita", y, y) for y in (1990, 1991)),
        *(Predictor("black", y, y) for y in (1990, 1991, 1992)),
        Predictor("perc1519", 1990, 1990),
    )
    result = SyntheticControl(predictors=predictors, inference="none").fit(texas)
    paths = texas.panel.frame.pivot(index="year", columns="state", values="bmprison")
    published = paths["Texas"] - sum(w * paths[s] for s, w in TEXAS.items())
    rmspe = np.sqrt(np.mean(published.loc[:1992] ** 2))
    assert result.extra["fit"].quality["rmspe_before"].item() < rmspe
    # Prisoners in 2000 above the synthetic state: about twenty thousand and more in the book.
    gap = result.extra["fit"].paths.set_index("time")["gap"]
    assert 20_000 < gap.loc[2000] < 30_000


def test_texas_placebos_rank_the_effect_first(texas):
    result = SyntheticControl().fit(texas)
    att = result.att()
    assert len(att.uncertainty.draws) == 50
    assert att.uncertainty.p_values(att.estimates)[0] == pytest.approx(1 / 51)
    assert any("p = 0.020" in note for note in result.notes)
    placebos = result.extra["fit"].placebos
    assert placebos["state"].nunique() == 50
    assert "Texas" not in set(placebos["state"])


def test_exact_truth_inside_the_hull():
    """The treated path is a mixture of donors: the effects put in come back to rounding."""
    rng = np.random.default_rng(0)
    donors = rng.normal(size=(5, 14))
    path = np.array([0.5, 0.3, 0.2, 0, 0]) @ donors
    path[10:] += [1.0, 2.0, 3.0, 4.0]
    y = np.vstack([path, donors])
    result = SyntheticControl(inference="none").fit(design_of(y, [11] + [np.nan] * 5))
    np.testing.assert_allclose(result.cells["estimate"], [0] * 10 + [1, 2, 3, 4], atol=1e-12)
    weights = result.extra["fit"].unit_weights[0]
    np.testing.assert_allclose(weights, [0.5, 0.3, 0.2, 0, 0], atol=1e-12)
    assert not any("outside the donors' hull" in note for note in result.notes)


def test_hand_computed_two_donors():
    """Treated at 1 between donors at 0 and 4: weights 3/4 and 1/4, effect 6 - 4/4 - 3/4 * 2."""
    y = np.array([[1.0, 1.0, 6.0], [0.0, 0.0, 2.0], [4.0, 4.0, 4.0]])
    result = SyntheticControl(inference="none").fit(design_of(y, [3, np.nan, np.nan]))
    assert result.att().estimates[0] == pytest.approx(6 - 0.75 * 2 - 0.25 * 4, rel=1e-12)


def test_a_treated_unit_outside_the_hull_is_said_with_its_distance():
    y, cohorts = factor_panel(1)
    y[0] += 30.0
    result = SyntheticControl(inference="none").fit(design_of(y, cohorts))
    distance = result.extra["fit"].quality["hull_distance"].item()
    note = next(note for note in result.notes if "outside the donors' hull" in note)
    assert f"{distance:.4g}" in note
    assert distance > 20
    demeaned = SyntheticControl(inference="none", demean=True).fit(design_of(y, cohorts))
    assert demeaned.extra["fit"].quality["rmspe_before"].item() < 2.0


def test_several_perfect_fits_are_said_and_proximity_picks_one():
    y = np.array([[0.0, 0.0, 9.0], [1, 1, 0], [-1, -1, 0], [2, 2, 5], [-2, -2, 5]])
    design = design_of(y, [3] + [np.nan] * 4)
    plain = SyntheticControl(inference="none").fit(design)
    assert any("Other weights fit 0 as well" in note for note in plain.notes)
    near = SyntheticControl(inference="none", proximity=1e-6).fit(design)
    np.testing.assert_allclose(near.extra["fit"].unit_weights[0], [0.5, 0.5, 0.0, 0.0], atol=1e-9)
    assert near.att().estimates[0] == pytest.approx(9.0)


def test_demeaning_ignores_constants_of_units():
    y, cohorts = factor_panel(2)
    level = np.random.default_rng(3).normal(size=(25, 1)) * 10
    plain, moved = (
        SyntheticControl(demean=True).fit(design_of(values, cohorts)) for values in (y, y + level)
    )
    np.testing.assert_allclose(moved.estimates, plain.estimates, atol=1e-9)
    np.testing.assert_allclose(moved.std_errors, plain.std_errors, atol=1e-9)


def test_several_treated_units_separate_and_pooled():
    y, _ = factor_panel(4)
    cohorts = np.full(25, np.nan)
    cohorts[:2], cohorts[2] = 15.0, 17.0
    separate = SyntheticControl(inference="none").fit(design_of(y, cohorts))
    assert list(separate.extra["fit"].unit_weights.columns) == [0, 1, 2]
    gaps = separate.extra["fit"].paths.pivot(index="time", columns="treated", values="gap")
    cells = separate.cells[separate.cells["cohort"] == 15.0]["estimate"]
    np.testing.assert_allclose(cells, gaps[[0, 1]].mean(axis=1), atol=1e-12)
    pooled = SyntheticControl(inference="none", pooled=True).fit(design_of(y, cohorts))
    assert list(pooled.extra["fit"].unit_weights.columns) == ["cohort 15", 2]
    placebo = SyntheticControl(draws=20).fit(design_of(y, cohorts))
    assert placebo.uncertainty.draws.shape == (20, 2 * 20 + 2)
    assert placebo.att().std_errors[0] > 0


def test_placebo_of_each_donor_equals_fitting_it():
    y, cohorts = factor_panel(5, n=8)
    result = SyntheticControl().fit(design_of(y, cohorts))
    placebos = result.extra["fit"].placebos.pivot(index="time", columns="unit", values="gap")
    for unit in (1, 4, 7):
        others = np.append(unit, [j for j in range(1, 8) if j != unit])
        alone = SyntheticControl(inference="none").fit(design_of(y[others], cohorts[:7]))
        np.testing.assert_allclose(placebos[unit], alone.cells["estimate"], atol=1e-10)


def test_predictors_alone_by_hand():
    """One predictor, at 1 for the treated and 0 and 4 for donors: weights 3/4 and 1/4."""
    y = np.random.default_rng(0).normal(size=(3, 6))
    x = np.repeat([1.0, 0.0, 4.0], 6)
    design = design_of(y, [5, np.nan, np.nan], x=x)
    for how in ("equal", "nested", "cross_validation"):
        settings = SyntheticControl(
            predictors=(Predictor("x"),), predictor_weights=how, inference="none"
        )
        fit = settings.fit(design).extra["fit"]
        np.testing.assert_allclose(fit.unit_weights[0], [0.75, 0.25], atol=1e-9)
        assert fit.balance.loc[(0, "x"), "synthetic"] == pytest.approx(1.0)


def test_placebos_with_predictors_and_a_demeaned_path():
    y, cohorts = factor_panel(6, n=7)
    x = np.repeat(np.random.default_rng(1).normal(size=7), 20)
    settings = SyntheticControl(predictors=(Predictor("x"), Predictor("y", 5, 10)), demean=True)
    result = settings.fit(design_of(y, cohorts, x=x))
    assert result.uncertainty.draws.shape[0] == 6
    gap = result.cells.loc[result.cells["event_time"] < 0, "estimate"]
    assert gap.mean() == pytest.approx(0.0, abs=1e-12)


def test_leave_one_out_drops_each_donor_with_weight():
    y, cohorts = factor_panel(7)
    settings, design = SyntheticControl(inference="none"), design_of(*factor_panel(7))
    weights = settings.fit(design).extra["fit"].unit_weights[0]
    fan = settings.leave_one_out(design)
    assert set(fan["left_out"]) == set(weights.index[weights > 0])
    dropped = int(fan["left_out"].iloc[0])
    kept = [i for i in range(25) if i != dropped]
    alone = settings.fit(design_of(y[kept], cohorts[kept]))
    path = fan[fan["left_out"] == dropped]["gap"]
    np.testing.assert_allclose(path, alone.cells["estimate"], atol=1e-10)


def test_placebo_in_time_uses_no_treated_period():
    y, cohorts = factor_panel(8)
    settings = SyntheticControl(inference="none")
    early = settings.placebo_in_time(design_of(y, cohorts), 10)
    y[0, 14:] += 100.0
    later = settings.placebo_in_time(design_of(y, cohorts), 10)
    pd.testing.assert_frame_equal(early, later)
    assert early["time"].max() == 14
    alone = settings.fit(design_of(y[:, :14], np.where(np.isnan(cohorts), np.nan, 10.0)))
    np.testing.assert_allclose(early["gap"], alone.cells["estimate"], atol=1e-10)


@pytest.mark.slow
def test_conformal_test_has_its_size_and_the_interval_covers():
    """Effect 1, independent noise: the 90 % interval of one period covers at 0.9 both ways."""
    n_reps, hits = 150, 0
    for seed in range(n_reps):
        y, cohorts = factor_panel(seed, n=12, periods=20, start=20, effect=1.0)
        row = SyntheticControl().conformal(design_of(y, cohorts), 0.9).iloc[0]
        hits += row["conf_low"] <= 1.0 <= row["conf_high"]
    assert abs(hits / n_reps - 0.9) < 3 * np.sqrt(0.9 * 0.1 / n_reps)


def test_conformal_p_value_is_small_for_a_large_effect_only():
    y, cohorts = factor_panel(9, start=20, effect=25.0)
    large = SyntheticControl().conformal(design_of(y, cohorts)).iloc[0]
    assert large["p_value"] == pytest.approx(1 / 20)
    assert large["conf_low"] <= 25.0 <= large["conf_high"]
    assert large["conf_low"] > 20.0


def test_debiased_average_removes_a_constant_gap():
    y, cohorts = factor_panel(10, periods=24, start=19, effect=2.0)
    y[0] += 40.0
    fit = SyntheticControl().debiased_average(design_of(y, cohorts))
    assert abs(fit.estimate - 2.0) < 6 * fit.std_error + 0.5
    assert SyntheticControl().fit(design_of(y, cohorts)).att().estimates[0] > 30


def test_prediction_intervals_are_those_of_the_arrays():
    y, cohorts = factor_panel(11, n=8, periods=30, start=28, effect=2.0)
    design = design_of(y, cohorts)
    for settings in (SyntheticControl(inference="none"), SyntheticControl(demean=True)):
        intervals = settings.prediction_intervals(design, 0.8, draws=50, seed=3)
        fit = settings.fit(design)
        omega = fit.extra["fit"].unit_weights[0].to_numpy()
        bounds = prediction_bounds(
            y[0, :27], y[1:, :27], y[1:, 27:], omega,
            level=0.8, intercept=settings.demean, draws=50, seed=3,
        )  # fmt: skip
        estimate = fit.cells["estimate"].to_numpy()[27:]
        np.testing.assert_allclose(intervals["estimate"], estimate, atol=1e-12)
        np.testing.assert_allclose(
            intervals[["conf_low", "conf_high"]], estimate[:, None] + bounds.total, rtol=1e-6
        )
        assert list(intervals["time"]) == [28, 29, 30]


def test_prediction_intervals_refuse_what_they_cannot_bound():
    y, cohorts = factor_panel(12)
    design = design_of(y, cohorts)
    with pytest.raises(InferenceError, match="proximity trades fit for nearness"):
        SyntheticControl(proximity=0.1).prediction_intervals(design)
    with pytest.raises(DesignError, match="errors may be 'location_scale', 'subgaussian'"):
        SyntheticControl().prediction_intervals(design, errors="gaussian")
    with pytest.raises(InferenceError, match="level is a share between 0 and 1"):
        SyntheticControl().prediction_intervals(design, 95)
    with pytest.raises(InferenceError, match="level is a share between 0 and 1"):
        SyntheticControl().conformal(design, 95)
    with pytest.raises(InferenceError, match="draws is a number of simulations, 20 or more"):
        SyntheticControl().prediction_intervals(design, draws=5)
    two = design_of(y, np.where(np.arange(25) < 2, 15.0, np.nan))
    with pytest.raises(InferenceError, match="prediction intervals are for one treated unit"):
        SyntheticControl().prediction_intervals(two)
    pooled = SyntheticControl(pooled=True).prediction_intervals(two, draws=20)
    assert len(pooled) == 6


@pytest.mark.slow
def test_rank_p_value_has_its_size_under_the_null():
    """Exchangeable units, no effect: P(p <= 0.1) is the lattice's own 2/20."""
    n_reps, rejected = 300, 0
    for seed in range(n_reps):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(20, 15))
        cohorts = np.where(np.arange(20) < 1, 12.0, np.nan)
        fit = SyntheticControl().fit(design_of(y, cohorts)).extra["fit"]
        rejected += fit.quality["ratio_p_value"].item() <= 0.1
    assert abs(rejected / n_reps - 0.1) < 3 * np.sqrt(0.1 * 0.9 / n_reps)


def test_missing_predictor_is_refused_with_the_units():
    y, cohorts = factor_panel(0)
    x = np.ones(y.shape)
    x[3] = np.nan
    with pytest.raises(DesignError, match="predictor x is missing from 1 to 14 for 1 unit, first"):
        SyntheticControl(predictors=(Predictor("x"),)).fit(design_of(y, cohorts, x=x))


def test_predictor_measured_after_treatment_is_refused():
    with pytest.raises(DesignError, match=r"measured up to 16, after the last period before"):
        SyntheticControl(predictors=(Predictor("y", 12, 16),)).fit(design_of(*factor_panel(0)))


def test_predictor_without_variation_is_refused():
    y, cohorts = factor_panel(0)
    with pytest.raises(DesignError, match="x has one value for treated and donors alike"):
        SyntheticControl(predictors=(Predictor("x"),)).fit(
            design_of(y, cohorts, x=np.ones(y.shape))
        )


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(DesignError, match="proximity is a cost, 0 or more; it was -1"):
        SyntheticControl(proximity=-1)
    with pytest.raises(DesignError, match="does not go with predictors"):
        SyntheticControl(proximity=1.0, predictors=(Predictor("x"),))
    with pytest.raises(DesignError, match="must come without first and last"):
        SyntheticControl(predictors=(Predictor("x", 1),), predictor_weights="cross_validation")
    with pytest.raises(DesignError, match="knows neither proximity nor predictors"):
        SyntheticControl(solver="frank_wolfe", proximity=1.0)


@pytest.mark.parametrize("estimator", [SyntheticControl, AugmentedSyntheticControl])
def test_a_bootstrap_with_one_treated_unit_is_refused_with_the_reason(estimator):
    for inference in ("bootstrap", "jackknife"):
        with pytest.raises(DesignError, match="say nothing of how another would vary"):
            estimator(inference=inference)
    with pytest.raises(DesignError, match="inference may be 'placebo', 'none'"):
        estimator(inference="placebos")


def test_donors_far_from_the_treated_province_only():
    y, cohorts = factor_panel(13)
    names = provinces(63)["name_vi"].iloc[:25].to_numpy()
    frame = design_of(y, cohorts).panel.frame
    frame = frame.assign(unit=np.repeat(names, 20))
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")
    km = distances(63)
    away = km.loc[:, codes([names[0]], 63).iloc[0]]
    far = {n for n, c in zip(names, codes(names, 63), strict=True) if away[c] > 150.0}
    assert 2 < len(far) < 24
    fit = SyntheticControl(pool=DonorPool(farther_than=150.0, vintage=63)).fit(design).extra["fit"]
    assert set(fit.unit_weights.index) == far
    with pytest.raises(DesignError, match="no donor is left"):
        SyntheticControl(pool=DonorPool(farther_than=5000.0, vintage=63)).fit(design)
    with pytest.raises(PlaceError):
        SyntheticControl(pool=DonorPool(farther_than=150.0, vintage=63)).fit(design_of(y, cohorts))
    with pytest.raises(DesignError, match="farther_than is a distance in km, above 0; it was 0"):
        DonorPool(farther_than=0)
    with pytest.raises(DesignError, match="farther_than is a distance in km, above 0; it was 'x'"):
        DonorPool(farther_than="x")
    with pytest.raises(DesignError, match="Say which list .* vintage=63 or vintage=34"):
        DonorPool(farther_than=100.0)


def test_a_price_of_proximity_that_is_no_number_is_refused():
    for wrong in ("a", -1.0, float("nan"), None):
        with pytest.raises(DesignError, match="proximity is a cost, 0 or more; it was"):
            SyntheticControl(proximity=wrong)


def test_covariates_in_the_design_are_refused():
    y, cohorts = factor_panel(0)
    frame = design_of(y, cohorts, x=y).panel.frame
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g", covariates="x")
    with pytest.raises(DesignError, match="adjusts for none.* predictors="):
        SyntheticControl().fit(design)


def test_inference_over_time_is_refused_where_it_does_not_apply():
    y, cohorts = factor_panel(0)
    two = np.where(np.arange(25) < 2, 15.0, np.nan)
    with pytest.raises(InferenceError, match="here are 2 treated units and 0 predictors"):
        SyntheticControl().conformal(design_of(y, two))
    with pytest.raises(InferenceError, match="14 periods before treatment give p-values"):
        SyntheticControl().conformal(design_of(y, cohorts), 0.95)
    with pytest.raises(DesignError, match="leaves 1 period before and 13 periods after"):
        SyntheticControl().placebo_in_time(design_of(y, cohorts), 2)


def test_leaving_out_the_only_donor_is_refused():
    y, cohorts = factor_panel(0)
    settings = SyntheticControl(inference="none", pool=DonorPool(only=(3,)))
    with pytest.raises(InferenceError, match="one donor carries all weight"):
        settings.leave_one_out(design_of(y, cohorts))


def test_one_donor_alone_is_compared_with_and_no_draws_are_refused():
    y, cohorts = factor_panel(0, n=2)
    result = SyntheticControl(inference="none").fit(design_of(y, cohorts))
    assert any("and the donors have one path" in note for note in result.notes)
    with pytest.raises(DesignError, match="draws counts from 1 up; it was 0"):
        SyntheticControl(draws=0)


@pytest.mark.parametrize(
    "settings", [{"predictors": ("y",)}, {"predictors": Predictor("y")}, {"pool": ("a",)}]
)
def test_settings_of_another_kind_are_refused_by_name(settings):
    with pytest.raises(DesignError, match=f"{next(iter(settings))} is a .*; it was"):
        SyntheticControl(**settings)
