"""Group-time effects where units are not followed, panels have gaps, and old bugs of did."""

import numpy as np
import pandas as pd
import pytest
from reference import read_case
from scipy import stats

from impact import CallawaySantAnna, Design, Panel, SunAbraham, simulate
from impact.errors import DesignError, EstimationError, PanelError
from impact.kernels.doubly_robust import conditional_did, conditional_did_sections
from impact.kernels.propensity import comparison_regression, propensity

# R did 2.1.2 and DRDID 1.2.3; closed forms given a fully converged logit.
ESTIMATE = 1e-8
STD_ERROR = 1e-6
EXACT = 1e-10
# DRDID's sign in cross-sections with covariates; the test after the first says which.
OTHER_SIGN = 2e-3


def fit(frame, *, estimator=None, **settings):
    names = {"unit": "unit", "time": "time", "outcome": "outcome", "cohort": "cohort"} | settings
    panel = Panel(frame, unit=names.pop("unit"), time=names.pop("time"))
    return (estimator or CallawaySantAnna()).fit(Design(panel, **names))


def sections(frame: pd.DataFrame) -> pd.DataFrame:
    """Forget which rows belong to the same unit."""
    return frame.assign(unit=np.arange(len(frame)))


def case(name: str) -> dict:
    description, frame = read_case(name)
    return {**description, "frame": frame}


@pytest.mark.parametrize("variant", ["rcs_nocov", "rcs_cov"])
def test_repeated_cross_sections_equal_r_did(variant):
    given = case("cs_mpdta_repeated_cross_sections")
    frame = given["frame"].assign(row=lambda f: np.arange(len(f)))
    result = fit(
        frame,
        estimator=CallawaySantAnna(comparison="never_treated", base_period="varying"),
        unit="row", time="year", outcome="lemp", cohort="first.treat", never_treated=0,
        covariates=() if variant == "rcs_nocov" else "lpop",
    )  # fmt: skip
    wanted = given["reference"][variant]
    std_error = {"abs": STD_ERROR} if variant == "rcs_nocov" else {"rel": OTHER_SIGN}
    cells = result.tidy().set_index(["cohort", "time"])
    for row in wanted["attgt"]:
        got = cells.loc[(row["g"], row["t"])]
        assert got["estimate"] == pytest.approx(row["att"], abs=ESTIMATE)
        assert got["std_error"] == pytest.approx(row["se"], **std_error)
    for name, weighting in {"simple": "cell", "dynamic": "event_time", "calendar": "time"}.items():
        overall = result.att(weighting)
        reference = wanted["aggregations"][name]["overall"]
        assert overall.estimates[0] == pytest.approx(reference["estimate"], abs=ESTIMATE)
        assert overall.std_errors[0] == pytest.approx(reference["se"], **std_error)
    view = result.event_study().tidy().set_index("event_time")
    for key, value in wanted["aggregations"]["dynamic"]["by"].items():
        assert view.loc[float(key), "estimate"] == pytest.approx(value["estimate"], abs=ESTIMATE)
        assert view.loc[float(key), "std_error"] == pytest.approx(value["se"], **std_error)
    # did 2.1.2's joint test inverts the covariance of the cells before treatment.
    found = result.pre_trends_test().statistic
    assert found == pytest.approx(
        wanted["pretest"]["W"], rel=1e-6 if not std_error.get("rel") else 5e-3
    )


def test_errors_in_cross_sections_differ_from_drdid_123_by_one_sign_only():
    """DRDID takes the comparison regression's pull before treatment with the wrong sign.

    The derivative by its coefficients is the treated's mean covariates less those of the
    weighted comparison rows; DRDID enters minus the part that weighs treated rows of that
    section. Doing the same gives its number to ten digits.
    """
    given = case("cs_mpdta_repeated_cross_sections")
    frame = given["frame"]
    for row in given["reference"]["rcs_cov"]["attgt"]:
        g, t = row["g"], row["t"]
        base = g - 1 if t >= g else t - 1
        used = frame[frame["first.treat"].isin([0, g]) & frame["year"].isin([t, base])]
        X = np.column_stack((np.ones(len(used)), used["lpop"]))
        treated = (used["first.treat"] == g).to_numpy()
        after, y = (used["year"] == t).to_numpy(), used["lemp"].to_numpy()
        ones = np.ones(len(used))
        fitted = conditional_did_sections(y, treated, after, X, ones, "doubly_robust")
        odds = propensity(X, treated, ones, 0.995).odds * ~after
        before = comparison_regression(y[:, None], X, 1.0 * (~treated & ~after))
        gap = odds @ X / odds.sum() - X[treated & ~after].mean(axis=0)
        pull = before.pull(X, gap) * (y - X @ before.coefficients[:, 0])
        theirs = fitted.psi[:, 0] + 2 * pull
        assert np.sqrt(theirs @ theirs) == pytest.approx(row["se"], rel=1e-9)
        assert fitted.estimates[0] == pytest.approx(row["att"], abs=ESTIMATE)


@pytest.mark.parametrize("method", ["doubly_robust", "regression", "inverse_probability"])
@pytest.mark.parametrize("followed", [True, False])
def test_contributions_are_the_derivative_by_a_rows_weight(method, followed):
    rng = np.random.default_rng(2)
    n = 400
    X = np.column_stack((np.ones(n), rng.normal(size=n), rng.normal(size=n) ** 2))
    treated = rng.random(n) < 1 / (1 + np.exp(-0.5 * X[:, 1] + 0.2 * X[:, 2]))
    after, w = rng.random(n) < 0.4, rng.uniform(0.5, 2, n)
    # Neither model is right, so that every term of the contributions matters.
    y = X[:, 1] ** 3 + after * X[:, 1] ** 2 * (1 + treated) + rng.normal(size=n)

    def estimate(weights):
        if followed:
            return conditional_did(y[:, None], treated, X, weights, method)
        return conditional_did_sections(y, treated, after, X, weights, method)

    whole = estimate(w)
    for i in range(0, n, 29):
        more, less = w.copy(), w.copy()
        more[i] *= 1 + 1e-4
        less[i] *= 1 - 1e-4
        slope = (estimate(more).estimates[0] - estimate(less).estimates[0]) / 2e-4
        assert slope == pytest.approx(whole.psi[i, 0], rel=1e-5, abs=1e-9)


def test_two_cross_sections_by_hand():
    frame = pd.DataFrame(
        {
            "unit": range(9),
            "time": [0, 0, 1, 1, 0, 0, 1, 1, 1],
            "cohort": [1, 1, 1, 1, *[np.nan] * 5],
            "outcome": [1, 3, 8, 10, 4, 6, 5, 7, 9],
        }
    )
    result = fit(frame).att()
    # (9 - 2) - (7 - 5); variances of the four means 1/2, 1/2, 1/2 and (8/3)/3.
    assert result.estimates[0] == pytest.approx(5.0, abs=EXACT)
    assert result.std_errors[0] == pytest.approx(np.sqrt(1.5 + 8 / 9), rel=EXACT)


@pytest.mark.parametrize("method", ["doubly_robust", "regression", "inverse_probability"])
def test_rows_of_a_panel_taken_as_sections_give_the_panels_estimate(method):
    """With followed units and constant covariates the two differ in errors only."""
    frame = simulate.staggered_panel(
        5, n_units=200, periods=2, cohorts=(2,), covariate_shift=0.4, covariate_trend=0.3
    ).frame
    estimator = CallawaySantAnna(method=method)
    followed = fit(frame, estimator=estimator, covariates="x")
    apart = fit(sections(frame), estimator=estimator, covariates="x")
    np.testing.assert_allclose(apart.att().estimates, followed.att().estimates, rtol=1e-7)
    clustered = fit(
        sections(frame).assign(firm=frame["unit"]),
        estimator=estimator, covariates="x", clusters="firm",
    )  # fmt: skip
    np.testing.assert_allclose(clustered.att().std_errors, followed.att().std_errors, rtol=0.02)
    assert apart.att().std_errors[0] > 1.1 * followed.att().std_errors[0]


def test_estimators_that_follow_units_refuse_cross_sections():
    frame = sections(simulate.staggered_panel(5, n_units=30, periods=4, cohorts=(3,)).frame)
    with pytest.raises(DesignError, match="no unit is observed twice.*CallawaySantAnna"):
        fit(frame, estimator=SunAbraham())
    design = Design(Panel(frame, unit="unit", time="time"), outcome="outcome", treated="treated")
    with pytest.raises(DesignError, match=r"State the first treated period .* with cohort="):
        CallawaySantAnna().fit(design)
    with pytest.raises(EstimationError, match="'complete_units' leaves nobody"):
        fit(frame, estimator=CallawaySantAnna(unbalanced="complete_units"))


def test_a_cell_without_rows_in_one_of_its_sections_says_so():
    frame = sections(simulate.staggered_panel(5, n_units=30, periods=4, cohorts=(3,)).frame)
    frame = frame[~(frame["cohort"].isna() & (frame["time"] == 2))]
    frame = frame[~(frame["cohort"].eq(3) & (frame["time"] == 4))]
    with pytest.raises(EstimationError, match="no comparison unit is observed in the base period"):
        fit(frame)
    frame = pd.concat([frame, frame[frame["cohort"].isna()].assign(unit=lambda f: f.unit + 999)])
    longer = pd.concat(
        [frame, frame[frame["time"] == 1].assign(unit=lambda f: f.unit + 5000, time=0)]
    )
    cells = fit(longer, estimator=CallawaySantAnna(base_period="varying")).cells.set_index("time")
    assert np.isfinite(cells.loc[1, "estimate"])
    assert cells.loc[2, "note"] == "no comparison unit is observed in this period"
    assert cells.loc[4, "note"] == "no treated unit is observed in this period"


GAPS = simulate.staggered_panel(
    8, n_units=150, periods=6, cohorts=(3, 5), missing=0.1, n_clusters=30
).frame


def test_three_ways_through_a_panel_with_gaps():
    pairs = fit(GAPS)
    complete = fit(GAPS, estimator=CallawaySantAnna(unbalanced="complete_units"))
    rows = fit(GAPS, estimator=CallawaySantAnna(unbalanced="observations"))
    whole = GAPS.groupby("unit")["time"].transform("size") == 6
    by_hand = fit(GAPS[whole])
    np.testing.assert_allclose(complete.estimates, by_hand.estimates, rtol=1e-10)
    np.testing.assert_allclose(complete.std_errors, by_hand.std_errors, rtol=1e-10)
    assert complete.design.n_units == GAPS[whole]["unit"].nunique()
    cell = (pairs.cells["cohort"] == 5) & (pairs.cells["time"] == 6)
    wide = GAPS.pivot(index="unit", columns="time", values="outcome")
    own = GAPS.groupby("unit")["cohort"].first().reindex(wide.index)
    change = wide[6] - wide[4]
    direct = change[own == 5].mean() - change[own.isna()].mean()
    assert pairs.estimates[cell][0] == pytest.approx(direct, rel=EXACT)
    means = wide[6], wide[4]
    apart = sum(
        sign * (level[own == 5].mean() - level[own.isna()].mean())
        for sign, level in zip((1, -1), means, strict=True)
    )
    assert rows.estimates[cell][0] == pytest.approx(apart, rel=EXACT)
    assert "all rows of its two periods" in rows.summary()


def test_rows_equal_pairs_where_nothing_is_missing_but_one_lone_row():
    frame = simulate.staggered_panel(1, n_units=60, periods=5, cohorts=(3, 4)).frame
    balanced = fit(frame)
    lone = frame.iloc[[0]].assign(unit=9999, cohort=np.nan, time=1)
    pairs = fit(pd.concat([frame, lone]))
    np.testing.assert_allclose(pairs.estimates, balanced.estimates, rtol=1e-9, atol=1e-12)
    base = pairs.cells["cohort"].eq(4) & pairs.cells["time"].ge(4)
    rows = fit(pd.concat([frame, lone]), estimator=CallawaySantAnna(unbalanced="observations"))
    np.testing.assert_allclose(rows.estimates[base], balanced.estimates[base], rtol=1e-9)
    np.testing.assert_allclose(rows.std_errors[base], balanced.std_errors[base], rtol=1e-9)


def test_covariates_that_vary_enter_as_observed_before_the_change():
    """Values after the earlier of the two periods, a treatment might have moved, do not enter."""
    frame = simulate.staggered_panel(4, n_units=120, periods=4, cohorts=(3,)).frame
    rng = np.random.default_rng(0)
    frame["z"] = frame["x"] + rng.normal(size=len(frame))
    moved = frame.assign(z=frame["z"] + 100.0 * (frame["time"] >= 3) * rng.random(len(frame)))
    one, other = fit(frame, covariates="z"), fit(moved, covariates="z")
    np.testing.assert_allclose(other.estimates, one.estimates, rtol=1e-9, atol=1e-12)
    by_hand = frame.merge(
        frame[frame["time"] == 2][["unit", "z"]].rename(columns={"z": "z2"}), on="unit"
    )
    fixed = fit(by_hand, covariates="z2")
    after = one.cells["time"] >= 3
    np.testing.assert_allclose(one.estimates[after], fixed.estimates[after], rtol=1e-9)


def test_thin_cohorts_are_estimated_and_say_their_size():
    frame = simulate.staggered_panel(4, n_units=40, periods=5, cohorts=(3,)).frame
    lone = frame[frame["unit"] == 0].assign(unit=999, cohort=4.0)
    result = fit(pd.concat([frame, lone]))
    thin = result.cells[result.cells["cohort"] == 4]
    assert (thin["n_treated"] == 1).all()
    regression = fit(pd.concat([frame, lone]), covariates="x")
    thin = regression.cells[regression.cells["cohort"] == 4]
    assert np.isfinite(thin["estimate"]).all() or (thin["note"] != "").any()


def test_balanced_event_study_averages_the_same_cohorts():
    truth = simulate.staggered_panel(
        3, n_units=80, periods=7, cohorts=(3, 5, 7), noise=0, effect=lambda e, g: 0.0 * e + g
    )
    view = fit(truth.frame).event_study(balanced=2).cells.set_index("event_time")["estimate"]
    np.testing.assert_allclose(view.loc[0:2], 4.0, atol=EXACT)


def test_units_left_out_for_their_gaps_are_counted():
    result = fit(GAPS, estimator=CallawaySantAnna(unbalanced="complete_units"))
    n_complete = (GAPS.groupby("unit").size() == GAPS["time"].nunique()).sum()
    assert 0 < n_complete < GAPS["unit"].nunique()
    told = f"Units observed in every period: {n_complete} of {GAPS['unit'].nunique()}."
    assert told in result.summary()
    assert result.settings["unbalanced"] == "complete_units"


class TestBugsOfDid:
    """What did's NEWS 2.5.0 and 2.5.1 mend, and other packages had too."""

    def test_equal_weights_by_row_change_no_error(self):
        """Errors with weights that vary by row were twice what they should be."""
        frame = GAPS.assign(w=3.7)
        for unbalanced in ("pairs", "observations"):
            estimator = CallawaySantAnna(unbalanced=unbalanced)
            one, other = (
                fit(frame, estimator=estimator),
                fit(frame, estimator=estimator, weights="w"),
            )
            np.testing.assert_allclose(other.std_errors, one.std_errors, rtol=1e-10)

    @pytest.mark.parametrize("unbalanced", ["pairs", "observations"])
    def test_clustered_errors_of_unbalanced_panels_are_clustered(self, unbalanced):
        estimator = CallawaySantAnna(unbalanced=unbalanced)
        own = fit(GAPS, estimator=estimator)
        clustered = fit(GAPS, estimator=estimator, clusters="cluster")
        assert clustered.uncertainty.n_clusters == 30
        psi = own.uncertainty.contributions()
        cluster = GAPS.groupby("unit")["cluster"].first().to_numpy()
        sums = np.stack([np.bincount(cluster, column) for column in psi.T], axis=1)
        errors = np.sqrt((sums**2).sum(axis=0))[: len(own)]
        known = ~np.isnan(own.std_errors)
        np.testing.assert_allclose(clustered.std_errors[known], errors[known], rtol=1e-9)

    def test_unequal_clusters_in_the_multiplier_bootstrap(self):
        """Draws were of cluster means, which is right for clusters of one size only."""
        from impact.inference.bands import multiplier_draws

        frame = GAPS.assign(cluster=lambda f: np.where(f["unit"] < 60, 0, f["unit"]))
        result = fit(frame, clusters="cluster").att()
        draws = multiplier_draws(result.uncertainty.contributions()[:, :1], 20_000, seed=1)
        # 20,000 draws: the standard deviation is known to half a per cent.
        assert draws.std() == pytest.approx(result.std_errors[0], rel=0.03)

    def test_never_treated_units_do_not_vanish_unseen_on_balancing(self):
        frame = GAPS[~(GAPS["cohort"].isna() & (GAPS["time"] == 6))]
        estimator = CallawaySantAnna(unbalanced="complete_units", comparison="never_treated")
        with pytest.raises(EstimationError, match="needs units that are never treated"):
            fit(frame, estimator=estimator)
        rest = fit(frame, estimator=CallawaySantAnna(unbalanced="complete_units"))
        treated = frame[frame["cohort"].notna()].groupby("unit").size()
        assert (
            f"every period: {(treated == 6).sum()} of {frame['unit'].nunique()}" in rest.summary()
        )
        assert rest.design.facts.n_never_treated == 0

    def test_every_views_contributions_have_mean_zero(self):
        """did issue 223: the group average's influence function had not."""
        for settings in ({}, {"covariates": "x"}):
            result = fit(GAPS[GAPS["unit"] > 5], **settings)
            scale = np.abs(result.uncertainty.contributions()).max()
            for view in (result, result.att(), result.by("cohort"), result.by("time")):
                sums = view.uncertainty.contributions().sum(axis=0)
                np.testing.assert_allclose(sums, 0.0, atol=1e-9 * scale * 150)

    def test_duplicate_rows_are_refused(self):
        """They were accepted, and counted twice."""
        with pytest.raises(PanelError, match="unit and time do not identify rows: 1 pair"):
            fit(pd.concat([GAPS, GAPS.iloc[[3]]]))

    @pytest.mark.parametrize("covariates", [(), "x"])
    def test_the_pre_trend_test_is_the_wald_test_of_its_cells(self, covariates):
        """The test with covariates had not worked for years."""
        estimator = CallawaySantAnna(base_period="varying")
        frame = simulate.staggered_panel(7, n_units=400, periods=6, cohorts=(3, 5), missing=0.1)
        sample = {"covariates": covariates, "always_treated": "drop"}
        result = fit(frame.frame, estimator=estimator, **sample)
        test = result.pre_trends_test()
        before = (result.cells["event_time"] < 0).to_numpy() & ~np.isnan(result.std_errors)
        values = result.estimates[before]
        matrix = result.covariance().to_numpy()[np.ix_(before, before)]
        wald = values @ np.linalg.solve(matrix, values)
        assert test.restrictions == before.sum()
        assert test.statistic == pytest.approx(wald, rel=1e-8)
        assert test.p_value == pytest.approx(stats.chi2.sf(wald, before.sum()), rel=1e-8)

    def test_weights_that_change_within_a_unit_are_refused(self):
        """Which period's weight enters was not said."""
        with pytest.raises(PanelError, match='column "w" changes within'):
            fit(GAPS.assign(w=1.0 + GAPS["time"]), weights="w")

    def test_a_misspelled_method_is_refused(self):
        with pytest.raises(DesignError, match=r"method may be .* it was 'drr'"):
            CallawaySantAnna(method="drr")

    def test_the_same_seed_gives_the_same_band(self):
        one, other = fit(GAPS).tidy(seed=4), fit(GAPS).tidy(seed=4)
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"covariates": "x"}])
def test_intervals_cover_in_repeated_cross_sections(settings):
    draws, covered, errors, estimates = 300, 0, [], []
    for seed in range(draws):
        truth = simulate.staggered_panel(
            seed, n_units=900, periods=4, cohorts=(3, 4), assignment="random",
            effect=lambda e, g: 1 + 0.4 * e, covariate_trend=0.3, covariate_shift=0.0,
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        # One period of each unit is sampled.
        seen = rng.integers(1, 5, 900)
        frame = truth.frame[truth.frame["time"].to_numpy() == np.repeat(seen, 4)]
        att = fit(frame, **settings).att()
        covered += abs(att.estimates[0] - truth.att()) <= 1.96 * att.std_errors[0]
        errors.append(att.std_errors[0])
        estimates.append(att.estimates[0])
    # 0.95 +- 3 Monte Carlo standard errors of 300 draws.
    assert 0.912 <= covered / draws <= 0.988
    assert 0.88 <= np.mean(errors) / np.std(estimates) <= 1.12


@pytest.mark.parametrize("method", ["doubly_robust", "inverse_probability", "regression"])
@pytest.mark.parametrize("sectional", [False, True], ids=["panel", "sections"])
def test_covariates_that_repeat_others_change_nothing_and_are_counted(method, sectional):
    """did issues 64, 154, 163, 173: singular covariates."""
    truth = simulate.staggered_panel(4, n_units=200, periods=5, cohorts=(3, 4))
    frame = truth.frame.assign(twice=lambda f: 2 * f["x"] + 1, one=1.0)
    frame = sections(frame) if sectional else frame
    estimator = CallawaySantAnna(method=method)
    alone = fit(frame, estimator=estimator, covariates="x")
    more = fit(frame, estimator=estimator, covariates=["twice", "one", "x"])
    np.testing.assert_allclose(more.estimates, alone.estimates, rtol=1e-8)
    np.testing.assert_allclose(more.std_errors, alone.std_errors, rtol=1e-7)
    assert "2 covariates left out, set by the others" in set(more.cells["note"])
    constant = fit(frame, estimator=estimator, covariates="one")
    np.testing.assert_allclose(
        constant.att().estimates, fit(frame, estimator=estimator).att().estimates, rtol=1e-9
    )


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_covariate_of_any_numeric_type_is_the_same_covariate(missing):
    frame = simulate.staggered_panel(4, n_units=120, periods=6, cohorts=(3, 5)).frame
    rng = np.random.default_rng(0)
    frame["kind"] = np.repeat(rng.integers(0, 2, 120), 6).astype(float)
    frame = frame[(frame["time"] == 1) | (rng.uniform(size=len(frame)) >= missing)]
    expected = fit(frame, covariates="kind")
    for dtype in ("int64", "int8", "bool", "float32", "Int64"):
        found = fit(frame.astype({"kind": dtype}), covariates="kind")
        np.testing.assert_allclose(found.estimates, expected.estimates, rtol=EXACT)
        np.testing.assert_allclose(found.std_errors, expected.std_errors, rtol=EXACT)
