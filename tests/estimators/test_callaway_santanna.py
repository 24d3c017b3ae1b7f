"""Group-time effects: by hand, against R did, in simulation, and refused."""

import numpy as np
import pandas as pd
import pytest
from reference import read_case

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError

# R did 2.1.2 with a fully converged logit; closed forms otherwise (case cs_mpdta).
ESTIMATE = 1e-8
STD_ERROR = 1e-6
EXACT = 1e-10


def fit(frame, *, outcome="outcome", cohort="cohort", unit="unit", time="time", **settings):
    method = {k: settings.pop(k) for k in ("comparison", "method", "base_period") if k in settings}
    design = Design(Panel(frame, unit=unit, time=time), outcome=outcome, cohort=cohort, **settings)
    return CallawaySantAnna(**method).fit(design)


def two_by_two() -> pd.DataFrame:
    """Two treated units whose outcome rises by 5 and 7, three others by 1, 2 and 3."""
    rows = [(1, 10, 15, 1), (2, 20, 27, 1), (3, 5, 6, np.nan), (4, 5, 7, np.nan), (5, 5, 8, np.nan)]
    return pd.DataFrame(
        [
            {"unit": u, "time": t, "outcome": y, "cohort": g}
            for u, before, after, g in rows
            for t, y in ((0, before), (1, after))
        ]
    )


def test_two_periods_by_hand():
    result = fit(two_by_two()).att()
    # Mean changes 6 and 2; variances of the means 1/2 and (2/3)/3.
    assert result.estimates[0] == pytest.approx(4.0, abs=EXACT)
    assert result.std_errors[0] == pytest.approx(np.sqrt(1 / 2 + 2 / 9), rel=EXACT)


def test_two_periods_by_hand_with_weights():
    frame = two_by_two().assign(w=lambda f: f["unit"].map({1: 3.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 2.0}))
    result = fit(frame, weights="w").att()
    # Treated mean (3*5 + 7)/4 = 5.5, others (1 + 2 + 2*3)/4 = 2.25.
    assert result.estimates[0] == pytest.approx(3.25, abs=EXACT)
    treated = (3 * (5 - 5.5)) ** 2 + (7 - 5.5) ** 2
    others = (1 - 2.25) ** 2 + (2 - 2.25) ** 2 + (2 * (3 - 2.25)) ** 2
    assert result.std_errors[0] == pytest.approx(np.sqrt((treated + others) / 16), rel=EXACT)


def test_noise_free_effects_are_recovered_exactly():
    truth = simulate.staggered_panel(
        3,
        n_units=80,
        periods=8,
        cohorts=(4, 5, 7),
        noise=0,
        effect=lambda e, g: 1 + 0.5 * e - 0.1 * g,
    )
    for settings in ({}, {"comparison": "never_treated"}, {"base_period": "varying"}):
        result = fit(truth.frame, **settings)
        after = result.cells[result.cells["event_time"] >= 0]
        cells = truth.cells.set_index(["cohort", "time"])["effect"]
        expected = [cells[g, t] for g, t in zip(after["cohort"], after["time"], strict=True)]
        np.testing.assert_allclose(after["estimate"], expected, atol=EXACT)
        before = result.cells[result.cells["event_time"] < 0]
        np.testing.assert_allclose(before["estimate"], 0.0, atol=EXACT)
        for weighting in ("cohort", "cell", "event_time", "time"):
            assert result.att(weighting).estimates[0] == pytest.approx(
                truth.att(weighting), abs=EXACT
            )


@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base_period", ["universal", "varying"])
@pytest.mark.parametrize("settings", [{}, {"clusters": "cluster"}, {"weights": "w"}])
def test_cohort_moments_equal_the_route_unit_by_unit(comparison, base_period, settings):
    frame = simulate.staggered_panel(
        1,
        n_units=120,
        periods=6,
        cohorts=(3, 5),
        n_clusters=24,
        cluster_noise=0.5,
        assignment="random",
    ).frame.assign(one=1.0, w=lambda f: 1.0 + f["unit"] % 5)
    quick = fit(frame, comparison=comparison, base_period=base_period, **settings)
    # One extra unit seen in the first period only takes no part in any pair, but forces pairs.
    lone = frame.iloc[[0]].assign(unit=9999, cohort=np.nan)
    slow = fit(pd.concat([frame, lone]), comparison=comparison, base_period=base_period, **settings)
    np.testing.assert_allclose(slow.estimates, quick.estimates, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slow.std_errors, quick.std_errors, rtol=1e-9)


def test_one_cluster_a_unit_equals_no_clusters():
    frame = simulate.staggered_panel(1, n_units=60, periods=6, cohorts=(3, 5)).frame
    frame["own"] = frame["unit"] + 5
    np.testing.assert_allclose(
        fit(frame, clusters="own").std_errors, fit(frame).std_errors, rtol=1e-10
    )


def test_an_irrelevant_covariate_scale_changes_nothing():
    frame = simulate.staggered_panel(2, n_units=150, periods=5, cohorts=(3, 4)).frame
    frame["big"] = 1e7 + 1e4 * frame["x"]
    one, other = fit(frame, covariates="x"), fit(frame, covariates="big")
    np.testing.assert_allclose(one.estimates, other.estimates, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(one.std_errors, other.std_errors, rtol=1e-8)


def test_covariates_mend_trends_that_differ_with_them():
    # Three cohorts of 4,000 units: the standard error of the average is about 0.02.
    truth = simulate.staggered_panel(
        5, n_units=12_000, periods=4, cohorts=(3, 4), covariate_trend=0.5, covariate_shift=1.0
    )
    assert abs(fit(truth.frame).att().estimates[0] - truth.att()) > 0.3
    for method in ("regression", "inverse_probability", "doubly_robust"):
        mended = fit(truth.frame, covariates="x", method=method).att()
        assert abs(mended.estimates[0] - truth.att()) < 4 * mended.std_errors[0]
        assert mended.std_errors[0] < 0.06


def test_anticipation_moves_the_base_period():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=8, cohorts=(5, 7), noise=0, effect=2.0, anticipation=1
    )
    naive, allowed = fit(truth.frame), fit(truth.frame, anticipation=1)
    assert abs(naive.att().estimates[0] - 2.0) > 0.5
    assert allowed.att().estimates[0] == pytest.approx(2.0, abs=EXACT)
    base = allowed.cells[allowed.cells["note"].str.startswith("base period")]
    assert set(base["event_time"]) == {-2.0}


def test_without_never_treated_the_last_cohort_has_no_effect_to_show():
    truth = simulate.staggered_panel(
        3, n_units=60, periods=6, cohorts={3: 0.5, 5: 0.5}, noise=0, effect=1.0
    )
    result = fit(truth.frame)
    lost = result.cells[np.isnan(result.estimates)]
    assert set(lost["note"]) == {"no unit left to compare with"}
    assert set(lost.loc[lost["cohort"] == 3, "time"]) == {5, 6}
    assert len(lost[lost["cohort"] == 5]) == 6
    known = result.cells[~np.isnan(result.estimates) & (result.cells["event_time"] >= 0)]
    np.testing.assert_allclose(known["estimate"], 1.0, atol=EXACT)
    with pytest.raises(EstimationError, match="comparison='not_yet_treated'"):
        fit(truth.frame, comparison="never_treated")


def test_already_treated_units_never_serve_as_comparison():
    """did 2.5.0 mended effects of other cohorts moving with units already treated."""
    frame = simulate.staggered_panel(3, n_units=60, periods=6, cohorts={3: 0.5, 5: 0.5}).frame
    jolt = frame["cohort"].eq(3) & frame["time"].ge(3)
    jolted = frame.assign(outcome=frame["outcome"] + 50.0 * jolt)
    one, other = fit(frame).cells, fit(jolted).cells
    later = one["cohort"] == 5
    np.testing.assert_allclose(one.loc[later, "estimate"], other.loc[later, "estimate"], atol=1e-9)


def test_gaps_in_time_use_the_last_period_there_is():
    truth = simulate.staggered_panel(3, n_units=60, periods=8, cohorts=(5, 7), noise=0, effect=1.0)
    result = fit(truth.frame[truth.frame["time"] != 4])
    assert result.att().estimates[0] == pytest.approx(1.0, abs=EXACT)
    base = result.cells[result.cells["note"].str.startswith("base period")]
    assert sorted(base["time"]) == [3, 6]


def test_all_refuse_or_explain_what_cannot_be_had():
    frame = simulate.staggered_panel(3, n_units=40, periods=5, cohorts=(3,)).frame
    with pytest.raises(DesignError, match='no unit is ever treated in "cohort"'):
        fit(frame.assign(cohort=np.nan))
    everyone = frame.assign(cohort=3.0)
    with pytest.raises(DesignError, match=r"all 40 units are first treated in 3, so nobody"):
        fit(everyone)
    perfect = frame.assign(x=frame["cohort"].eq(3) * 1.0 + 0.001 * frame["unit"])
    with pytest.raises(EstimationError, match=r"covariates separate \d+ treated from \d+ compar"):
        fit(perfect, covariates="x")
    own = np.random.default_rng(0).normal(size=len(frame)) * frame["cohort"].eq(3)
    twins = frame.assign(z=2 * frame["x"] + own.groupby(frame["unit"]).transform("first"))
    with pytest.raises(EstimationError, match="collinear among comparison units"):
        fit(twins, covariates=["x", "z"], method="regression")
    with pytest.raises(DesignError, match=r"comparison may be 'not_yet_treated', 'never_treated'"):
        CallawaySantAnna(comparison="never")
    with pytest.raises(DesignError, match="takes a Design; this is a DataFrame"):
        CallawaySantAnna().fit(frame)


def test_trimmed_comparison_units_are_counted():
    rng = np.random.default_rng(0)
    frame = simulate.staggered_panel(3, n_units=400, periods=2, cohorts=(2,)).frame
    shift = np.repeat(rng.normal(size=400), 2) + 2.5 * frame["cohort"].eq(2)
    result = fit(frame.assign(x=shift), covariates="x", method="inverse_probability")
    strict = CallawaySantAnna(method="inverse_probability", trim=0.7).fit(result.design.__class__(
        Panel(frame.assign(x=shift), unit="unit", time="time"), outcome="outcome", cohort="cohort",
        covariates="x"))  # fmt: skip
    assert "comparison units trimmed" in strict.cells["note"].iloc[-1]
    assert strict.estimates[-1] != result.estimates[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({}, {}),
        ({"comparison": "never_treated", "always_treated": "drop"}, {"missing": 0.1}),
        ({"covariates": "x"}, {"covariate_trend": 0.2, "covariate_shift": 0.5}),
        (
            {"clusters": "cluster"},
            {"n_clusters": 60, "cluster_noise": 0.7, "assigned_by": "cluster"},
        ),
    ],
)
def test_intervals_cover_neither_too_seldom_nor_too_often(settings, data):
    draws, covered, errors, estimates = 400, 0, [], []
    for seed in range(draws):
        truth = simulate.staggered_panel(
            seed, n_units=240, periods=6, cohorts=(3, 5), serial_correlation=0.5,
            assignment="random", effect=lambda e, g: 1 + 0.4 * e, **data,
        )  # fmt: skip
        att = fit(truth.frame, **settings).att()
        covered += abs(att.estimates[0] - truth.att()) <= 1.96 * att.std_errors[0]
        errors.append(att.std_errors[0])
        estimates.append(att.estimates[0])
    # 0.95 +- 3 Monte Carlo standard errors of 400 draws.
    assert 0.917 <= covered / draws <= 0.983
    assert 0.88 <= np.mean(errors) / np.std(estimates) <= 1.12


def _case() -> dict:
    description, frame = read_case("cs_mpdta")
    return {**description, "frame": frame}


VARIANTS = {
    "nevertreated_nocov": ("never_treated", "doubly_robust", "varying", ()),
    "nevertreated_cov_dr": ("never_treated", "doubly_robust", "varying", "lpop"),
    "nevertreated_cov_ipw": ("never_treated", "inverse_probability", "varying", "lpop"),
    "nevertreated_cov_reg": ("never_treated", "regression", "varying", "lpop"),
    "notyettreated_nocov": ("not_yet_treated", "doubly_robust", "varying", ()),
    "notyettreated_cov_dr": ("not_yet_treated", "doubly_robust", "varying", "lpop"),
    "universal_base": ("never_treated", "doubly_robust", "universal", ()),
}
WEIGHTINGS = {"simple": "cell", "group": "cohort", "dynamic": "event_time", "calendar": "time"}


def _minimum_wage(case, variant):
    comparison, method, base_period, covariates = VARIANTS[variant]
    return fit(
        case["frame"], unit="countyreal", time="year", outcome="lemp", cohort="first.treat",
        never_treated=0, covariates=covariates, comparison=comparison, method=method,
        base_period=base_period,
    )  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_minimum_wage_equals_r_did(variant):
    case = _case()
    result, reference = _minimum_wage(case, variant), case["reference"][variant]
    cells = result.tidy().set_index(["cohort", "time"])
    for row in reference["attgt"]:
        got = cells.loc[(row["g"], row["t"])]
        assert got["estimate"] == pytest.approx(row["att"], abs=ESTIMATE)
        if row["se"] is None:
            assert np.isnan(got["std_error"])
        else:
            assert got["std_error"] == pytest.approx(row["se"], abs=STD_ERROR)
    for name, weighting in WEIGHTINGS.items():
        wanted = reference["aggregations"][name]
        overall = result.att(weighting)
        assert overall.estimates[0] == pytest.approx(wanted["overall"]["estimate"], abs=ESTIMATE)
        if name != "group":  # see the test below
            assert overall.std_errors[0] == pytest.approx(wanted["overall"]["se"], abs=STD_ERROR)
        if name == "simple":
            continue
        view = result.by(weighting).tidy().set_index(weighting)
        for key, value in wanted["by"].items():
            assert view.loc[float(key), "estimate"] == pytest.approx(
                value["estimate"], abs=ESTIMATE
            )
            if value["se"] is not None:
                assert view.loc[float(key), "std_error"] == pytest.approx(
                    value["se"], abs=STD_ERROR
                )
    test = result.pre_trends_test()
    assert test.statistic == pytest.approx(reference["pretest"]["W"], rel=1e-6)
    assert test.p_value == pytest.approx(reference["pretest"]["p"], abs=1e-4)


def test_group_overall_error_differs_from_did_212_by_its_mistake_only():
    """did 2.1.2 takes the first cells' cohort for every cohort's indicator (did issue 223).

    Its influence function then does not have mean zero. Making the same mistake gives its
    number to the last digit; ours uses each cohort's own indicator.
    """
    case = _case()
    view = _minimum_wage(case, "nevertreated_nocov").by("cohort")
    wanted = case["reference"]["nevertreated_nocov"]["aggregations"]["group"]["overall"]["se"]
    psi = view.uncertainty.contributions()[:, :3]
    shares, cohorts, n = view.shares.to_numpy(), view.design.cohorts, view.design.n_units

    def overall(indicators):
        centred = np.stack(
            [(cohorts == g) - p for g, p in zip(indicators, shares, strict=True)], axis=1
        )
        slope = (
            centred / shares.sum() - centred.sum(axis=1, keepdims=True) * shares / shares.sum() ** 2
        )
        return psi @ (shares / shares.sum()) + slope @ view.estimates / n

    mistaken, right = overall([2004, 2004, 2004]), overall([2004, 2006, 2007])
    assert np.sqrt((mistaken**2).sum()) == pytest.approx(wanted, rel=1e-10)
    assert abs(mistaken.mean()) > 1e-6
    assert abs(right.mean()) < 1e-15
    ours = _minimum_wage(case, "nevertreated_nocov").att("cohort").std_errors[0]
    assert ours == pytest.approx(np.sqrt((right**2).sum()), rel=1e-10)


def test_rademacher_bands_equal_r_dids_bootstrap():
    """25,000 draws each: critical values within 0.05, standard errors within 3 %."""
    from impact.inference.bands import multiplier_draws

    case = _case()
    result = _minimum_wage(case, "nevertreated_cov_dr")
    reference = case["reference"]["uniform_band_cov_dr"]
    for view, name in ((result, "attgt"), (result.event_study(), "dynamic")):
        psi = view.uncertainty.contributions()[:, : len(view)]
        draws = multiplier_draws(psi, 25_000, kind="rademacher", seed=1)
        low, high = np.quantile(draws, [0.25, 0.75], axis=0)
        errors = (high - low) / 1.3489795003921634
        critical = np.quantile(np.abs(draws / errors).max(axis=1), 0.95)
        assert critical == pytest.approx(reference[f"crit_{name}"], abs=0.05)
        np.testing.assert_allclose(errors, reference[f"boot_se_{name}"], rtol=0.03)
