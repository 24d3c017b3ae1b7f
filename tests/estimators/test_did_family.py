"""Identities that hold across the family, and the coverage of its intervals."""

import numpy as np
import pytest
from did import design, staggered, two_by_two, waves

from impact import (
    CallawaySantAnna,
    EfficientStaggered,
    ExtendedTWFE,
    Imputation,
    LocalProjectionDiD,
    StackedDiD,
    SunAbraham,
    TwoStage,
    TwoWayFixedEffects,
    simulate,
)
from impact.errors import DesignError, EstimationError

EXACT = 1e-10

FAMILY = {
    "group-time": CallawaySantAnna(),
    "imputation": Imputation(),
    "leave one out": Imputation(leave_one_out=True),
    "two stage": TwoStage(),
    "interaction-weighted": SunAbraham(),
    "extended": ExtendedTWFE(),
    "stacked": StackedDiD(pre=2, post=1, effects="stack"),
    "local projection": LocalProjectionDiD(),
    "local projection, equal": LocalProjectionDiD(weighting="equal"),
}


@pytest.mark.parametrize("weights", [None, "w"])
def test_two_periods_and_one_cohort_make_them_all_equal(weights):
    frame = two_by_two().assign(w=lambda f: 1.0 + f["unit"] % 3)
    sample = design(frame, weights=weights)
    plain = {name: e for name, e in FAMILY.items() if name not in ("stacked", "leave one out")}
    plain["stacked"] = StackedDiD(pre=1, post=0)
    estimates = {name: e.fit(sample).att().estimates[0] for name, e in plain.items()}
    np.testing.assert_allclose(list(estimates.values()), estimates["group-time"], atol=EXACT)
    errors = {name: e.fit(sample) for name, e in plain.items()}
    raw = [r.att().std_errors[0] / np.sqrt(_factor(r)) for r in errors.values()]
    if weights is None:
        np.testing.assert_allclose(raw, raw[0], rtol=EXACT)


def _factor(result):
    """Return the small-sample factor of five units in two periods."""
    rows, parameters = {
        "SunAbraham": (10, 3), "ExtendedTWFE": (10, 3), "LocalProjectionDiD": (5, 2),
        "StackedDiD": (10, 4),
    }.get(result.estimator, (10, 1))  # fmt: skip
    corrected = result.uncertainty.df is not None
    return 5 / 4 * (rows - 1) / (rows - parameters) if corrected else 1.0


def test_one_cohort_makes_effects_after_treatment_equal_where_bases_are():
    frame = staggered(3, cohorts=(4,))
    sample = design(frame)
    one = CallawaySantAnna().fit(sample).cells.set_index("event_time")["estimate"]
    for estimator in (SunAbraham(), ExtendedTWFE(comparison="never_treated"), LocalProjectionDiD()):
        other = estimator.fit(sample).cells.set_index("event_time")["estimate"]
        np.testing.assert_allclose(other[one.index], one, atol=EXACT)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_effects_in_noise_free_panels_are_exact(missing):
    truth = simulate.staggered_panel(
        3, n_units=90, periods=8, cohorts=(4, 6), noise=0, missing=missing,
        effect=lambda e, g: 1 + 0.5 * e,
    )  # fmt: skip
    sample = design(truth.frame, always_treated="drop")
    for name, estimator in FAMILY.items():
        study = estimator.fit(sample).event_study()
        known = ~np.isnan(study.estimates)
        e = study.cells["event_time"].to_numpy()
        expected = np.where(e >= 0, 1 + 0.5 * e, 0.0)
        np.testing.assert_allclose(study.estimates[known], expected[known], atol=1e-9, err_msg=name)
        assert (e[known] >= 0).sum() >= 2


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_the_units_of_a_covariate_change_nothing(missing):
    """Amounts around ten million, a thousand times their spread, beside their z-score."""
    frame = staggered(5, n_units=90, missing=missing)
    big = frame.assign(z=1e7 + 1e4 * frame["z"])
    for name, estimator in FAMILY.items():
        one, other = (
            estimator.fit(design(f, covariates="z", always_treated="drop")) for f in (frame, big)
        )
        np.testing.assert_allclose(other.estimates, one.estimates, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(other.std_errors, one.std_errors, rtol=1e-6, err_msg=name)


# diff-diff 3.13.0 on waves(gaps=True): by event time, then the average of all treated rows.
BY_ROWS = {
    "imputation": (
        [1.5879122301021602, 2.457267083806757, 2.9807119878607913],
        [0.0894601880208732, 0.1280074254687079, 0.17484051199679898],
        (2.209608962157537, 0.10885942508953339),
    ),
    "interaction-weighted": (
        [1.4197792135106357, 2.2374152805544334, 2.8418228390177567],
        [0.0715347832159253, 0.12060248327210579, 0.18422063235445918],
        (2.0267463128419396, 0.10291617681955219),
    ),
}


@pytest.mark.parametrize("name", BY_ROWS)
def test_averages_by_rows_equal_diff_diff_in_a_panel_with_gaps(name):
    estimator = {"imputation": Imputation(), "interaction-weighted": SunAbraham()}[name]
    estimates, errors, (average, error) = BY_ROWS[name]
    result = estimator.fit(design(waves(gaps=True), never_treated=0))
    study = result.event_study(by_rows=True)
    after = (study.cells["event_time"] >= 0).to_numpy()
    np.testing.assert_allclose(study.estimates[after], estimates, rtol=1e-9)
    np.testing.assert_allclose(study.std_errors[after], errors, rtol=1e-9)
    overall = result.att("row")
    assert overall.estimates[0] == pytest.approx(average, rel=1e-9)
    assert overall.std_errors[0] == pytest.approx(error, rel=1e-9)
    assert np.abs(result.event_study().estimates[after] - estimates).max() > 1e-4


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_averages_by_rows_are_means_over_treated_rows(missing):
    frame = staggered(8, n_units=120, missing=missing)
    for estimator in (Imputation(), TwoStage(), SunAbraham(), ExtendedTWFE()):
        result = estimator.fit(design(frame, weights="w", always_treated="drop"))
        rows = frame[frame["unit"].isin(result.design.sample.units)]
        on = rows[rows["time"] >= rows["cohort"]]
        mass = on.groupby(["cohort", "time"])["w"].sum()
        cells = result.cells.set_index(["cohort", "time"])["estimate"].reindex(mass.index)
        wanted = np.average(cells, weights=mass)
        assert result.att("row").estimates[0] == pytest.approx(wanted, rel=1e-9)
        for grouping in ("event_time", "cohort", "time"):
            view = result.by(grouping, by_rows=True).cells
            labels = mass.index.to_frame()
            labels["event_time"] = labels["time"] - labels["cohort"]
            for value, estimate in zip(view[grouping], view["estimate"], strict=True):
                if grouping == "event_time" and value < 0:
                    continue
                own = (labels[grouping] == value).to_numpy()
                mean = np.average(cells[own], weights=mass[own])
                assert estimate == pytest.approx(mean, rel=1e-9)
    balanced = missing == 0.0
    one, other = result.att("cell"), result.att("row")
    assert (one.estimates[0] == pytest.approx(other.estimates[0], rel=1e-12)) == balanced


def moved_by_treatment():
    """A covariate that takes up the effect, and the same one as it was before treatment."""
    frame = staggered(8, n_units=120, periods=8, cohorts=(4, 6))
    after = frame["time"] >= frame["cohort"]
    before = frame["x"] + 0.1 * frame["time"] * frame["unit"] % 3
    return frame.assign(before=before, moved=before.where(~after, before + frame["outcome"]))


@pytest.mark.parametrize("name", ["group-time", "local projection", "local projection, equal"])
def test_values_measured_after_treatment_do_not_enter(name):
    frame = moved_by_treatment()
    one, other = (
        FAMILY[name].fit(design(frame, covariates=c)).event_study() for c in ("before", "moved")
    )
    after = (one.cells["event_time"] >= 0).to_numpy()
    np.testing.assert_allclose(other.estimates[after], one.estimates[after], rtol=1e-9)
    assert "measured after treatment" not in " ".join(other.notes)


@pytest.mark.parametrize(
    "name", ["imputation", "two stage", "interaction-weighted", "extended", "stacked"]
)
def test_values_measured_after_treatment_that_enter_are_warned_about(name):
    frame = moved_by_treatment()
    result = FAMILY[name].fit(design(frame, covariates="moved"))
    assert "moved varies in time, and values measured after treatment began" in result.summary()
    fixed = FAMILY[name].fit(design(frame, covariates="x"))
    assert "measured after treatment" not in fixed.summary()


def test_a_covariate_known_after_treatment_only_leaves_no_period_before():
    frame = staggered(8)
    late = frame["x"].where((frame["time"] >= frame["cohort"]) | frame["cohort"].isna())
    for estimator in FAMILY.values():
        with pytest.raises(DesignError, match="treated whenever observed"):
            estimator.fit(design(frame.assign(late=late), covariates="late"))


def test_balanced_views_need_cohorts_and_event_times():
    frame = staggered(8, cohorts=(4, 5))
    study = LocalProjectionDiD().fit(design(frame))
    with pytest.raises(EstimationError, match="LocalProjectionDiD carry no cohorts"):
        study.event_study(balanced=1)
    with pytest.raises(EstimationError, match='the grouping was "cohort"'):
        CallawaySantAnna().fit(design(frame)).by("cohort", balanced=1)


def test_averages_by_rows_need_cells_that_count_them():
    result = CallawaySantAnna().fit(design(staggered(8)))
    with pytest.raises(EstimationError, match="do not count the rows behind them"):
        result.event_study(by_rows=True)
    with pytest.raises(EstimationError, match="do not count the rows behind them"):
        result.att("row")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        {},
        {"n_clusters": 60, "cluster_noise": 0.7, "assigned_by": "cluster"},
        {"missing": 0.1},
    ],
    ids=["units", "clusters", "gaps"],
)
def test_intervals_cover_neither_too_seldom_nor_too_often(data):
    """0.95 +- 3 Monte Carlo standard errors of 300 draws; naive TWFE shown to miss."""
    draws = 300
    clusters = "cluster" if "n_clusters" in data else None
    family = {**FAMILY, "naive": TwoWayFixedEffects(accept_forbidden_comparisons=True)}
    if not data:
        family["efficient"] = EfficientStaggered(target="event_time")
        family["efficient, vector"] = EfficientStaggered(target="event_time", adjustment="vector")
    hits = dict.fromkeys(family, 0)
    errors = {name: [] for name in family}
    misses = {name: [] for name in family}
    for seed in range(draws):
        truth = simulate.staggered_panel(
            seed, n_units=240, periods=6, cohorts=(3, 5), serial_correlation=0.5,
            assignment="random", effect=lambda e, g: 1 + 0.4 * e, **data,
        )  # fmt: skip
        sample = design(truth.frame, clusters=clusters, always_treated="drop")
        for name, estimator in family.items():
            result = estimator.fit(sample)
            att = result.att() if name == "naive" else result.att("event_time")
            true = 1.2 if name == "stacked" else 1.6
            errors[name].append(att.std_errors[0])
            misses[name].append(att.estimates[0] - true)
            width = att.critical_value(simultaneous=False) * errors[name][-1]
            hits[name] += abs(misses[name][-1]) <= width
    naive = hits.pop("naive") / draws
    assert naive < 0.5
    assert abs(np.mean(misses["naive"])) > 2 * np.std(misses["naive"])
    shares = {name: count / draws for name, count in hits.items()}
    assert {n: s for n, s in shares.items() if not 0.912 <= s <= 0.988} == {}
    for name in hits:
        assert abs(np.mean(misses[name])) < 3.5 * np.std(misses[name]) / np.sqrt(draws), name
        assert 0.87 <= np.mean(errors[name]) / np.std(misses[name]) <= 1.15, name


@pytest.mark.slow
def test_poisson_intervals_cover():
    """Effects of 30 percent on means that differ by cohort; 300 draws."""
    draws, hits = 300, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        frame = simulate.staggered_panel(0, n_units=240, periods=5, cohorts=(3, 4)).frame
        level = 2.0 + frame["cohort"].fillna(2.0) / 4 + 0.1 * frame["time"]
        mean = np.exp(level - 1) * np.where(frame["treated"] == 1, 1.3, 1.0)
        shock = np.repeat(rng.gamma(4.0, 0.25, 240), 5)
        counts = frame.assign(outcome=rng.poisson(mean * shock).astype(float))
        att = ExtendedTWFE(family="poisson").fit(design(counts)).att("cell")
        true = (mean - mean / 1.3)[frame["treated"] == 1].mean()
        width = att.critical_value(simultaneous=False) * att.std_errors[0]
        hits += abs(att.estimates[0] - true) <= width
    assert 0.912 <= hits / draws <= 0.988


@pytest.mark.slow
def test_poisson_intervals_with_covariates_cover():
    """Effects of 30 percent; trends differ with a covariate that treated units have more of."""
    draws, hits, errors, misses = 200, 0, [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        frame = simulate.staggered_panel(0, n_units=240, periods=5, cohorts=(3, 4)).frame
        x = (rng.normal(size=240) + 0.5)[frame["unit"]] + 0.4 * frame["cohort"].eq(3)
        level = 1.5 + 0.1 * frame["time"] + 0.1 * x * frame["time"]
        mean = np.exp(level) * np.where(frame["treated"] == 1, 1.3, 1.0)
        shock = np.repeat(rng.gamma(4.0, 0.25, 240), 5)
        counts = frame.assign(x=x, outcome=rng.poisson(mean * shock).astype(float))
        sample = design(counts, covariates="x")
        att = ExtendedTWFE(family="poisson").fit(sample).att("cell")
        true = (mean - mean / 1.3)[frame["treated"] == 1].mean()
        errors.append(att.std_errors[0])
        misses.append(att.estimates[0] - true)
        hits += abs(misses[-1]) <= att.critical_value(simultaneous=False) * errors[-1]
    # 0.95 +- 3 Monte Carlo standard errors of 200 draws.
    assert 0.904 <= hits / draws <= 0.996
    assert abs(np.mean(misses)) < 3.5 * np.std(misses) / np.sqrt(draws)


@pytest.mark.parametrize("name", ["group-time", "imputation", "interaction-weighted", "stacked"])
def test_units_whose_first_treated_period_is_not_seen_are_told(name):
    frame = staggered(8, n_units=120, periods=8, cohorts=(4, 6))
    frame = frame.assign(on=(frame["time"] >= frame["cohort"]).astype(int))
    unseen = (frame["unit"] % 4 == 0) & (frame["time"] == frame["cohort"])
    count = frame.loc[unseen, "unit"].nunique()
    said = FAMILY[name].fit(design(frame[~unseen], cohort=None, treated="on")).notes[-1]
    assert f'"on" is not known just before it is first above zero in {count} units' in said
    assert "may have been treated earlier than they are dated" in said
    # Where the dates are stated, or all periods are seen, there is nothing to tell.
    for other in (design(frame[~unseen]), design(frame, cohort=None, treated="on")):
        assert "may have been treated earlier" not in FAMILY[name].fit(other).summary()
