"""The simulations say the truth about themselves."""

import numpy as np
import pandas as pd
import pytest

from impact.errors import DesignError
from impact.simulate import (
    simulate_programme,
    simulate_provinces,
    simulate_villages,
    staggered_panel,
)
from impact.value import additionality

EXACT = 1e-12


def test_noise_free_difference_in_differences_is_the_true_effect():
    panel = staggered_panel(
        1, n_units=30, periods=6, cohorts=(3, 5), noise=0, effect=lambda e, g: 1 + 0.5 * e + g
    )
    wide = panel.frame.pivot(index="unit", columns="time", values="outcome")
    cohort = panel.frame.groupby("unit")["cohort"].first()
    means = wide.groupby(cohort.fillna(0)).mean()
    for cell in panel.cells.itertuples():
        before = cell.cohort - 1
        gain = means.loc[cell.cohort, cell.time] - means.loc[cell.cohort, before]
        trend = means.loc[0, cell.time] - means.loc[0, before]
        assert gain - trend == pytest.approx(cell.effect, abs=EXACT)


def test_aggregates_by_hand():
    panel = staggered_panel(
        1, n_units=12, periods=4, cohorts={2: 0.5, 4: 0.25}, effect=lambda e, g: 10 * e + g
    )
    # cohort 2 (share 1/2): 2, 12, 22 in periods 2, 3, 4; cohort 4 (share 1/4): 4 in period 4
    assert panel.by("cohort").to_dict() == {2.0: 12.0, 4.0: 4.0}
    assert panel.att("cohort") == pytest.approx((0.5 * 12 + 0.25 * 4) / 0.75)
    assert panel.att("cell") == pytest.approx((0.5 * (2 + 12 + 22) + 0.25 * 4) / 1.75)
    assert panel.by("time").to_list() == pytest.approx([2, 12, (0.5 * 22 + 0.25 * 4) / 0.75])
    assert panel.att("event_time") == pytest.approx(np.mean([(0.5 * 2 + 0.25 * 4) / 0.75, 12, 22]))


def test_effect_is_the_only_difference_from_the_untreated_outcome():
    panel = staggered_panel(3, effect=2.0, anticipation=1, effect_sd=0.0)
    gain = (panel.frame["outcome"] - panel.frame["untreated"]).to_numpy()
    event_time = (panel.frame["time"] - panel.frame["cohort"]).to_numpy()
    np.testing.assert_allclose(gain, np.where(event_time >= -1, 2.0, 0.0), atol=EXACT)
    assert panel.cells["event_time"].min() == -1
    assert panel.att() == 2.0


def test_shocks_have_the_stated_variance_and_correlation():
    panel = staggered_panel(
        5,
        n_units=20_000,
        periods=6,
        cohorts=(4,),
        unit_sd=0,
        time_sd=0,
        noise=2.0,
        serial_correlation=0.6,
    )
    shocks = panel.frame.pivot(index="unit", columns="time", values="untreated")
    assert shocks.std().to_numpy() == pytest.approx(2.0, rel=0.03)
    assert shocks.corr().loc[1, 2] == pytest.approx(0.6, abs=0.02)
    assert shocks.corr().loc[1, 4] == pytest.approx(0.6**3, abs=0.02)


def test_clusters_share_shocks_and_cohorts():
    panel = staggered_panel(
        7, n_units=60, n_clusters=12, assigned_by="cluster", noise=0, cluster_noise=1, unit_sd=0
    )
    cohort = panel.frame["cohort"].fillna(0)
    assert (cohort.groupby(panel.frame["cluster"]).nunique() == 1).all()
    spread = panel.frame.groupby(["cluster", "time"])["untreated"].std()
    assert spread.max() == pytest.approx(0, abs=EXACT)


def test_same_seed_same_bytes_and_missing_rows():
    full = staggered_panel(11, n_units=500)
    again = staggered_panel(11, n_units=500)
    pd.testing.assert_frame_equal(full.frame, again.frame, check_exact=True)
    thinned = staggered_panel(11, n_units=500, missing=0.2)
    assert len(thinned.frame) == pytest.approx(0.8 * len(full.frame), rel=0.03)
    kept = full.frame.set_index(["unit", "time"]).loc[
        pd.MultiIndex.from_frame(thinned.frame[["unit", "time"]])
    ]
    assert (kept["outcome"].to_numpy() == thinned.frame["outcome"].to_numpy()).all()


def test_random_assignment_keeps_population_shares_in_the_truth():
    panel = staggered_panel(2, cohorts={5: 0.3, 7: 0.3}, assignment="random")
    assert panel.cells.groupby("cohort")["share"].first().to_list() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cohorts": (5, 99)}, "cohorts 99 lie outside the periods 1 to 10"),
        ({"cohorts": {5: 0.8, 7: 0.4}}, "sum to 1.2"),
        ({"missing": 1.0}, "missing must be at least 0 and below 1; it was 1"),
        ({"n_clusters": 500}, "between 1 and n_units"),
        ({"assignment": "fxed"}, "assignment may be 'fixed', 'random'; it was 'fxed'"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(DesignError, match=words):
        staggered_panel(1, **settings)


def programme(seed=1, **settings):
    return simulate_programme(seed, **({"n_establishments": 6_000, "approvals": 20} | settings))


def test_the_programme_is_scaled_to_the_published_totals():
    full = simulate_programme(1)
    villages = full.establishments.query("village >= 0 and year == 2021")
    assert villages["workers"].sum() == pytest.approx(45_000, rel=0.01)
    assert villages["revenue"].sum() == pytest.approx(7.3e6, rel=0.01)
    assert full.establishments.groupby("year").size().unique().tolist() == [17_000]


def test_effects_and_displacement_are_all_that_the_programme_changes():
    with_it, without = programme(), programme(effect_scale=0.0)
    keys = ["establishment", "year"]
    gain = with_it.establishments.set_index(keys)["workers"].sub(
        without.establishments.set_index(keys)["workers"]
    )
    jobs = with_it.effects.set_index(keys)["jobs"]
    rounding = 0.011
    assert (gain.loc[jobs.index] - jobs).abs().max() <= rounding
    others = gain.drop(jobs.index)
    assert others.max() <= rounding
    assert -others.sum() == pytest.approx(with_it.displaced.sum(), rel=0.05)
    assert with_it.displaced.sum() == pytest.approx(0.15 * jobs.clip(lower=0).sum(), rel=0.05)
    assert with_it.net_job_years < with_it.gross_job_years
    assert without.effects["jobs"].abs().sum() == 0


def test_support_keeps_to_rates_and_ceilings_and_bunches_there():
    projects = simulate_programme(2).projects.query("item == 'machinery' and status == 'settled'")
    old = projects["approval_date"] < "2018-03-28"
    ceiling = np.where(old, 200e6, 300e6)
    support = projects["disbursed_support"].astype(float)
    assert (support <= ceiling).all()
    assert (support <= 0.5 * projects["eligible_cost"]).all()
    assert 0.3 < (support == ceiling).mean() < 0.9


@pytest.mark.parametrize("selection", ["none", "levels", "growth", "dip"])
def test_selection_differs_in_what_it_says(selection):
    seen = programme(3, selection=selection, approvals=40, effect_scale=0.0)
    frame = seen.establishments.assign(log=np.log(seen.establishments["workers"]))
    wide = frame.pivot(index="establishment", columns="year", values="log")
    awarded = seen.projects.query("status == 'settled'")
    start = awarded.set_index(awarded["beneficiary_id"].astype(int))["project_id"].str[3:7]
    gaps, slopes, dips = [], [], []
    for unit, year in start.astype(int).items():
        own, others = wide.loc[unit], wide
        gaps.append(own[year - 1] - others[year - 1].mean())
        slopes.append(
            (own[year + 1] - own[year - 2]) - (others[year + 1] - others[year - 2]).mean()
        )
        dips.append((own[year - 1] - own[year - 2]) - (others[year - 1] - others[year - 2]).mean())
    assert (np.mean(gaps) > 0.2) == (selection != "none")
    assert (np.nanmean(slopes) > 0.03) == (selection == "growth") or selection == "dip"
    assert (np.nanmean(dips) < -0.03) == (selection == "dip")


def test_before_and_after_overstates_the_effect_several_times():
    seen = simulate_programme(1)
    frame = seen.establishments.set_index(["establishment", "year"])["workers"]
    first = seen.effects.query("event_time == 0")
    last = seen.effects.sort_values("year").groupby("establishment").tail(1)
    before = frame.reindex(
        pd.MultiIndex.from_arrays([first["establishment"], first["cohort"] - 1])
    ).to_numpy()
    after = frame.reindex(
        pd.MultiIndex.from_arrays([last["establishment"], last["year"]])
    ).to_numpy()
    gross = np.nansum(after) - np.nansum(before)
    assert gross > 3 * last["jobs"].sum() > 0


def test_deadweight_and_additionality_are_those_of_the_projects():
    seen = simulate_programme(1)
    projects = seen.projects.query("status == 'settled' and item != 'other'")
    in_panel = projects[pd.to_datetime(projects["acceptance_date"]).dt.year <= 2024]
    truth = seen.investments
    assert len(truth) == len(in_panel)
    assert truth["invested"].sum() == in_panel["total_cost"].sum()
    assert truth["support"].sum() == in_panel["disbursed_support"].sum()
    assert (truth["anyway"] < truth["invested"]).all()
    sums = truth[["invested", "anyway", "support"]].sum()
    assert additionality(*sums) == {
        "additionality": pytest.approx(seen.additionality, rel=EXACT),
        "deadweight": pytest.approx(seen.deadweight, rel=EXACT),
    }
    assert seen.deadweight == pytest.approx(0.45, abs=0.05)
    full = programme(deadweight=0.0)
    assert full.deadweight == 0.0
    with pytest.raises(DesignError, match="deadweight is a share .* it was 1"):
        programme(deadweight=1.0)


def test_rejected_applicants_show_the_deadweight_that_others_do_not():
    seen = simulate_programme(2, approvals=150, closures=False)
    machines = seen.projects[seen.projects["item"] != "other"]
    wide = seen.establishments.pivot(index="establishment", columns="year", values="investment")
    unit = wide.index.get_indexer(machines["beneficiary_id"].astype(int))
    plan = machines["project_id"].str[3:7].astype(int).to_numpy() - 2012
    values = wide.to_numpy()
    after = values[unit, plan] + values[unit, plan + 1]
    gains = pd.Series(after - values[unit, plan - 1] - values[unit, plan - 2])
    status = machines["status"].reset_index(drop=True)
    won, lost = gains[status == "settled"], gains[status == "rejected"]
    cost = machines.loc[machines["status"] == "settled", "total_cost"].astype(float) / 1e6
    error = np.hypot(won.sem(), lost.sem()) / cost.mean()
    deadweight = 1 - (won.mean() - lost.mean()) / cost.mean()
    assert abs(deadweight - seen.deadweight) < 3 * error < 0.3
    never = np.setdiff1d(np.arange(len(values)), unit)
    trend = np.array([(values[never, t : t + 2] - values[never, t - 2 : t]).sum(axis=1).mean()
                      for t in plan[status == "settled"]])  # fmt: skip
    assert 1 - (won.mean() - trend.mean()) / cost.mean() < seen.deadweight - 3 * error


def villages(seed=1, **settings):
    return simulate_villages(seed, **({"n_establishments": 4_000, "approvals": 15} | settings))


def test_villages_are_scaled_to_the_published_totals_and_say_that_they_are_simulated():
    seen = simulate_villages(1)
    assert len(seen.frame) == 60 * 13
    totals = seen.frame.query("year == 2021")[["workers", "revenue"]].sum()
    assert totals.to_list() == pytest.approx([45_000, 7.3e6], rel=1e-9)
    for made in (seen, simulate_provinces(1), programme()):
        assert "simulated, not observed" in repr(made)
    pd.testing.assert_frame_equal(villages().frame, villages().frame)


def test_effects_of_recognition_by_hand():
    study = villages().event_study()
    assert study.loc[[0, 1, 2, 3, 4]].to_list() == pytest.approx([0.02, 0.05, 0.07, 0.07, 0.063])
    assert villages().event_study("revenue").loc[2] == pytest.approx(1.6 * 0.07)
    none = villages(effect_scale=0.0).frame
    np.testing.assert_allclose(none["workers"], none["untreated_workers"], rtol=EXACT)
    frame = villages().frame
    before = ~(frame["year"] >= frame["cohort"])
    np.testing.assert_allclose(
        frame.loc[before, "workers"], frame.loc[before, "untreated_workers"], rtol=EXACT
    )


def test_large_villages_are_recognised_rather_and_reports_are_rough():
    def gap(selection):
        frame = villages(4, selection=selection).frame.query("year == 2012")
        size = np.log(frame["untreated_workers"])
        return size[frame["cohort"].notna()].mean() - size[frame["cohort"].isna()].mean()

    assert gap("levels") > 0.3 > gap("none")
    frame = villages().frame
    off = np.log(frame["reported_revenue"] / frame["revenue"])
    assert 0.13 < off.std() < 0.3
    repeated = frame.groupby("village")["reported_revenue"].diff() == 0
    assert 0.15 < repeated.mean() < 0.3
    with pytest.raises(DesignError, match="recognised counts villages of 60"):
        villages(recognised=60)
    with pytest.raises(DesignError, match="selection may be 'none', 'levels'; it was 'growth'"):
        villages(selection="growth")


@pytest.mark.slow
def test_recognition_is_recovered_under_selection_on_levels():
    """Too wide fails as too narrow: coverage of the 80 per cent interval lies on both sides."""
    from impact.design import Design
    from impact.estimators.callaway_santanna import CallawaySantAnna
    from impact.panel import Panel

    draws, covered, errors = 60, 0, []
    for seed in range(draws):
        seen = villages(seed)
        frame = seen.frame.assign(log_workers=np.log(seen.frame["workers"]))
        panel = Panel(frame, unit="village", time="year")
        effect = CallawaySantAnna().fit(Design(panel, outcome="log_workers", cohort="cohort"))
        row = effect.att("cell").tidy(0.8).iloc[0]
        covered += row["conf_low"] <= seen.att() <= row["conf_high"]
        errors.append(row["estimate"] - seen.att())
    assert abs(covered / draws - 0.8) <= 3 * np.sqrt(0.8 * 0.2 / draws)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(draws)


def test_programme_repeats_itself_and_refuses_impossible_settings():
    pd.testing.assert_frame_equal(programme().establishments, programme().establishments)
    pd.testing.assert_frame_equal(programme().projects, programme().projects)
    with pytest.raises(DesignError, match="selection may be"):
        programme(selection="luck")
    with pytest.raises(DesignError, match="at least six years"):
        programme(first_year=2020)
    with pytest.raises(DesignError, match="nobody would be left"):
        programme(approvals=500)


@pytest.mark.parametrize(
    ("simulate", "settings", "words"),
    [
        (simulate_programme, {"n_establishment": 5}, 'Did you mean "n_establishments"'),
        (simulate_programme, {"approvals": 0}, "approvals must be a whole number above zero"),
        (simulate_programme, {"first_year": 2012.5}, "first_year must be a whole number"),
        (simulate_programme, {"displacement": 2.0}, "displacement is a share .* it was 2"),
        (simulate_programme, {"applicants": 0.5}, "applicants counts applications .* it was 0.5"),
        (simulate_provinces, {"first_year": 2019}, "2019 to 2020 leaves none"),
        (simulate_villages, {"last_year": 2018}, "7 years leave none"),
        (simulate_villages, {"n_establishments": 300, "approvals": 1}, "without any in some years"),
    ],
)
def test_settings_that_cannot_be_simulated(simulate, settings, words):
    with pytest.raises(DesignError, match=words):
        simulate(1, **settings)


@pytest.mark.slow
def test_the_simulated_truth_is_recovered_and_covered():
    """Coverage of the effect on log workers under selection on levels, without displacement.

    At 80 per cent an interval that is too wide fails too.
    """
    from impact.design import Design
    from impact.estimators.callaway_santanna import CallawaySantAnna
    from impact.panel import Panel

    draws, errors, levels = 100, [], (0.95, 0.8)
    covered = dict.fromkeys(levels, 0)
    for seed in range(draws):
        seen = programme(
            seed, n_establishments=4_000, approvals=50, displacement=0.0, closures=False,
            anticipation=0.0,
        )  # fmt: skip
        cohorts = seen.effects.groupby("establishment")["cohort"].first().astype(float)
        frame = seen.establishments.assign(
            cohort=lambda f, cohorts=cohorts: f["establishment"].map(cohorts),
            log_workers=lambda f: np.log(f["workers"]),
        )
        panel = Panel(frame, unit="establishment", time="year")
        effect = CallawaySantAnna().fit(Design(panel, outcome="log_workers", cohort="cohort"))
        for level in levels:
            row = effect.att("cell").tidy(level).iloc[0]
            covered[level] += row["conf_low"] <= seen.att() <= row["conf_high"]
        errors.append((row["estimate"] - seen.att()) / row["std_error"])
    for level in levels:
        assert abs(covered[level] / draws - level) <= 3 * np.sqrt(level * (1 - level) / draws)
    assert abs(np.mean(errors)) < 3 / np.sqrt(draws)
    assert 0.8 < np.std(errors) < 1.2


def test_provinces_have_known_jobs_too_few_to_be_seen():
    seen = simulate_provinces(1)
    assert len(seen.frame) == 63 * 11
    assert seen.frame["province_code"].nunique() == 63
    gain = 1000 * (seen.frame["employment"] - seen.frame["untreated"])
    treated = seen.frame["year"] >= seen.frame["cohort"]
    np.testing.assert_allclose(gain[treated], seen.jobs, rtol=1e-9, atol=1e-6)
    assert gain[~treated].abs().max() < 1e-6
    assert 0 < seen.att() < 0.001
    pd.testing.assert_frame_equal(seen.frame, simulate_provinces(1).frame)


def test_jobs_of_provinces_by_hand():
    once = simulate_provinces(2, jobs_per_billion=1.0)
    twice = simulate_provinces(2, jobs_per_billion=2.0)
    np.testing.assert_allclose(2 * once.jobs, twice.jobs, rtol=1e-12)
    row = once.frame.dropna(subset=["cohort"]).query("year == cohort").iloc[0]
    gained = 1000 * (row["employment"] - row["untreated"])
    assert gained == pytest.approx(0.3 * row["support"] / 2, rel=1e-6)


def test_the_labour_break_is_a_fall_that_is_no_effect():
    plain = simulate_provinces(3, last_year=2023)
    broken = simulate_provinces(3, last_year=2023, labour_break=True)
    fall = np.log(broken.frame["untreated"] / plain.frame["untreated"])
    assert (fall[plain.frame["year"] < 2021] == 0).all()
    assert fall[plain.frame["year"] >= 2021].mean() == pytest.approx(-0.111, rel=1e-6)


@pytest.mark.slow
def test_province_totals_cannot_tell():
    """Coverage is right, power is next to the size, and the detectable effect is far away."""
    from impact.design import Design
    from impact.estimators.callaway_santanna import CallawaySantAnna
    from impact.panel import Panel

    draws, covered, found, detectable = 200, 0, 0, []
    for seed in range(draws):
        seen = simulate_provinces(seed)
        frame = seen.frame.assign(log_employment=np.log(seen.frame["employment"]))
        panel = Panel(frame, unit="province_code", time="year")
        design = Design(panel, outcome="log_employment", cohort="cohort")
        effect = CallawaySantAnna().fit(design).att("cell")
        row = effect.tidy().iloc[0]
        covered += row["conf_low"] <= seen.att() <= row["conf_high"]
        found += row["p_value"] < 0.05
        detectable.append(effect.minimum_detectable_effect()[0] / seen.att())
    noise = 3 * np.sqrt(0.95 * 0.05 / draws)
    few_units = 0.03  # 40 treated provinces: normal intervals are a little short
    assert 0.95 - noise - few_units <= covered / draws <= 0.95 + noise
    assert found / draws <= 0.05 + noise + few_units
    assert np.median(detectable) > 50


@pytest.mark.slow
def test_selection_on_growth_biases_the_estimate_and_the_sensitivity_set_covers_the_truth():
    from impact.design import Design
    from impact.estimators.callaway_santanna import CallawaySantAnna
    from impact.panel import Panel
    from impact.sensitivity import honest

    curvature = 0.005  # own trends are linear; cohorts enter and leave the event study
    draws, plain, sensitive, errors = 40, 0, 0, []
    for seed in range(draws):
        seen = programme(
            seed, selection="growth", approvals=40, displacement=0.0, closures=False,
            anticipation=0.0, last_year=2020,
        )  # fmt: skip
        cohorts = seen.effects.groupby("establishment")["cohort"].first().astype(float)
        frame = seen.establishments.assign(
            cohort=lambda f, cohorts=cohorts: f["establishment"].map(cohorts),
            log_workers=lambda f: np.log(f["workers"]),
        )
        panel = Panel(frame, unit="establishment", time="year")
        effect = CallawaySantAnna().fit(Design(panel, outcome="log_workers", cohort="cohort"))
        truth = seen.event_study().loc[0:].mean()
        row = effect.att("event_time").tidy().iloc[0]
        plain += row["conf_low"] <= truth <= row["conf_high"]
        errors.append(row["estimate"] - truth)
        bounded = honest(
            effect, restriction="smoothness", weighting="event_time", bounds=[curvature]
        ).table.iloc[0]
        sensitive += bounded["conf_low"] <= truth <= bounded["conf_high"]
    assert np.mean(errors) > 3 * np.std(errors) / np.sqrt(draws)
    assert plain / draws < 0.85
    assert sensitive / draws >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / draws)
