"""Doses for everybody: by hand, exact truth, pre-tests' size, coverage, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError, EstimationError
from impact.estimators.heterogeneous_adoption import HeterogeneousAdoption
from impact.kernels.boundary import boundary_mean, reaches_zero_test
from impact.kernels.functional_form import stute_test, yatchew_test

EXACT = 1e-10


def frame_of(doses, changes, level=0.0, placebo=None):
    n = len(doses)
    before = np.zeros(n) if placebo is None else placebo
    level = np.broadcast_to(level, n)
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), 3),
            "time": np.tile([1, 2, 3], n),
            "dose": np.stack([np.zeros(n), np.zeros(n), doses], axis=1).ravel(),
            "outcome": np.stack([level + before, level, level + changes], axis=1).ravel(),
        }
    )


def fit(frame, **settings):
    design = {k: settings.pop(k) for k in ("weights", "clusters") if k in settings}
    panel = Panel(frame, unit="unit", time="time")
    return HeterogeneousAdoption(**settings).fit(
        Design(panel, outcome="outcome", dose="dose", **design)
    )


def draw(seed, n=600, curve=0.5, noise=1.0):
    rng = np.random.default_rng(seed)
    doses = rng.uniform(0, 1, n)
    slope = 1.0 + curve * doses + rng.normal(size=n) * 0.3
    changes = 0.7 + slope * doses + noise * rng.normal(size=n)
    # E[slope * d] / E[d] = 1 + curve * E[d^2] / E[d].
    return frame_of(doses, changes, rng.normal(size=n), rng.normal(size=n)), 1 + curve * 2 / 3


def test_stayers_by_hand():
    frame = frame_of(np.array([0.0, 0.0, 1.0, 3.0]), np.array([1.0, 3.0, 4.0, 8.0]))
    result = fit(frame, untreated="stayers")
    after = result.cells["event_time"] == 0
    # (mean 4 less 2) over mean dose 1.
    assert result.estimates[after][0] == pytest.approx(2.0, abs=EXACT)
    # Contributions: (y - 4)/4 - 2 (d - 1)/4, less (y - 2)/2 for stayers.
    psi = np.array([-3 / 4 + 2 / 4 + 1 / 2, -1 / 4 + 2 / 4 - 1 / 2, 0.0, 4 / 4 - 4 / 4])
    assert result.std_errors[after][0] == pytest.approx(np.sqrt(psi @ psi), rel=EXACT)
    assert result.estimates[~after][0] == pytest.approx(0.0, abs=EXACT)


def test_a_quadratic_is_recovered_exactly_at_the_edge():
    doses = (np.arange(300) + 0.5) / 300
    result = fit(frame_of(doses, 2.0 + 3.0 * doses + 1.5 * doses**2))
    expected = 3.0 + 1.5 * np.mean(doses**2) / np.mean(doses)
    assert result.att().estimates[0] == pytest.approx(expected, rel=1e-9)


def test_the_edges_error_is_that_of_weighted_least_squares():
    rng = np.random.default_rng(0)
    d = rng.uniform(0, 1, 400)
    y = np.sin(d) + rng.normal(size=400)
    edge = boundary_mean(y, d, bandwidth=0.5)
    import statsmodels.api as sm

    local = d < 0.5
    X = np.vander(d[local] / 0.5, 3, increasing=True)
    theirs = sm.WLS(y[local], X, weights=0.75 * (1 - (d[local] / 0.5) ** 2)).fit(cov_type="HC3")
    assert edge.value == pytest.approx(theirs.params[0], rel=1e-9)
    assert np.sqrt(edge.psi @ edge.psi) == pytest.approx(theirs.bse[0], rel=1e-9)
    assert edge.n_local == local.sum()


def published_data(n):
    """Doses and changes without random numbers, as given to the references."""
    i = np.arange(n)
    d = ((i * (37 if n == 80 else 73)) % n + 0.5) / n
    curve = 0.8 if n == 80 else 1.5
    return d, 1 + 2 * d + curve * d**2 + np.sin(7.0 * i) * (0.5 + d), np.cos(3.0 * i)


def test_the_edge_equals_nprobust():
    """nprobust 0.5.0 through did_had 0.2.1: lprobust at 0, h = b = 0.4, Epanechnikov, tau.bc."""
    d, y, _ = published_data(200)
    edge = boundary_mean(y, d, 0.4)
    assert edge.value == pytest.approx(0.9693760405498303, rel=EXACT)
    assert edge.n_local == 80


def test_tests_of_shape_equal_diff_diff():
    """diff-diff 3.13.0: stute_test, yatchew_hr_test, stute_joint_pretest (statistics)."""
    d, y, z = published_data(80)
    statistic, p_value = stute_test(y[:, None], d)
    assert statistic == pytest.approx(0.007579201017324385, rel=EXACT)
    # Theirs with 9,999 draws.
    assert p_value == pytest.approx(0.9946, abs=0.01)
    assert yatchew_test(y, d)[0] == pytest.approx(-6.261199288068016, rel=EXACT)
    both = np.stack((y, z), axis=1)
    assert stute_test(both, d)[0] == pytest.approx(0.026689292676638728, rel=EXACT)
    flat = stute_test(both, d, line=False)
    assert flat[0] == pytest.approx(5.243404216710919, rel=EXACT)
    assert flat[1] == 0.001


def test_stutes_statistic_by_hand_with_ties():
    """Doses 0, 1, 1, 2 and outcomes 1, 2, 4, 1: residuals from the mean -1, 0, 2, -1."""
    d, y = np.array([0.0, 1, 1, 2]), np.array([[1.0], [2], [4], [1]])
    statistic, _ = stute_test(y, d, line=False)
    # Partial sums -1 at 0, 1 at both units with 1, 0 at 2.
    assert statistic == pytest.approx((1 + 1 + 1 + 0) / 16, rel=EXACT)
    again, p_value = stute_test(y[::-1], d[::-1], line=False, seed=3)
    assert again == pytest.approx(statistic, rel=EXACT)
    assert 0 < p_value <= 1


def test_stutes_test_keeps_its_size_also_in_clusters_and_finds_curves():
    rng = np.random.default_rng(8)
    draws, rejected = 400, np.zeros(3)
    groups = np.repeat(np.arange(40), 4)
    for seed in range(draws):
        d = rng.uniform(0, 1, 160)
        noise = rng.normal(size=160) * (0.5 + d)
        shared = noise + rng.normal(size=40)[groups]
        bent = 4 * (d - 0.5) ** 2 + noise
        rejected[0] += stute_test((1 + d + noise)[:, None], d, draws=199, seed=seed)[1] <= 0.05
        found = stute_test((1 + d + shared)[:, None], d, clusters=groups, draws=199, seed=seed)
        rejected[1] += found[1] <= 0.05
        rejected[2] += stute_test(bent[:, None], d, draws=199, seed=seed)[1] <= 0.05
    # 0.05 +- 3 Monte Carlo standard errors of 400 draws.
    assert ((rejected[:2] / draws >= 0.017) & (rejected[:2] / draws <= 0.083)).all()
    assert rejected[2] / draws > 0.5


def test_units_at_the_smallest_dose_give_diff_diffs_mass_point_estimate():
    """diff-diff 3.13.0: HeterogeneousAdoptionDiD(design="mass_point", vcov_type="hc1")."""
    d, y, z = published_data(80)
    doses = np.where(np.arange(80) % 5 == 0, 0.3, 0.3 + d)
    result = fit(frame_of(doses, y, z), untreated="smallest")
    after = (result.cells["event_time"] == 0).to_numpy()
    assert result.estimates[after][0] == pytest.approx(0.27937639039838785, rel=EXACT)
    # Theirs carries n / (n - 2).
    assert result.std_errors[after][0] == pytest.approx(
        0.5648478515560275 * np.sqrt(78 / 80), rel=EXACT
    )
    assert "Per unit of dose above the smallest, 0.3, which 16 units received" in result.summary()


def test_the_smallest_dose_by_hand():
    """Two units at dose 1 move by 2 and 4, two at 3 by 6 and 8: (7 - 3) / (3 - 1)."""
    frame = frame_of(np.array([1.0, 1.0, 3.0, 3.0]), np.array([2.0, 4.0, 6.0, 8.0]))
    result = fit(frame, untreated="smallest")
    after = (result.cells["event_time"] == 0).to_numpy()
    assert result.estimates[after][0] == pytest.approx(2.0, abs=EXACT)
    # Each unit is 1 from its own mean: four times (1/2)^2, over 2 squared.
    assert result.std_errors[after][0] == pytest.approx(np.sqrt(4 * 0.25) / 2, rel=EXACT)


@pytest.mark.parametrize("untreated", ["limit", "stayers", "smallest"])
def test_whole_weights_are_repeated_units(untreated):
    frame, _ = draw(4, n=200)
    floor = {"limit": 0.0, "stayers": 0.0, "smallest": 0.2}[untreated]
    if untreated != "limit":
        frame["dose"] = np.where(frame["unit"] % 4 == 0, 0.0, frame["dose"])
        frame["dose"] = np.where(frame["time"] == 3, frame["dose"] + floor, 0.0)
    # Copies of the smallest doses would look like doses that stop short of zero.
    doses = frame[frame["time"] == 3].set_index("unit")["dose"]
    frame["w"] = np.where(frame["unit"].isin(doses.nsmallest(2).index), 1, 1 + frame["unit"] % 3)
    bandwidth = 0.5 if untreated == "limit" else None
    weighted = fit(frame, untreated=untreated, bandwidth=bandwidth, weights="w")
    again = frame.loc[frame.index.repeat(frame["w"])]
    copy = again.groupby(["unit", "time"]).cumcount()
    found = fit(again.assign(unit=again["unit"] * 10 + copy), untreated=untreated,
                bandwidth=bandwidth)  # fmt: skip
    np.testing.assert_allclose(weighted.estimates, found.estimates, rtol=1e-9)
    assert "linear_near" not in weighted.extra
    assert {"linear", "pre_trends"} <= set(weighted.extra)


def test_weights_are_the_derivative_the_errors_rest_on():
    frame, _ = draw(5, n=120)
    frame["dose"] = np.where(frame["unit"] % 3 == 0, 0.0, frame["dose"])
    frame["w"] = 1.0
    plain = fit(frame, untreated="stayers", weights="w")
    moved = frame.assign(w=np.where(frame["unit"] == 7, 1.0001, 1.0))
    slope = (fit(moved, untreated="stayers", weights="w").estimates - plain.estimates) / 1e-4
    np.testing.assert_allclose(plain.uncertainty.contributions()[7], slope, rtol=1e-3, atol=1e-7)


def test_doses_bounded_away_from_zero_are_refused():
    frame, _ = draw(1)
    bounded = frame.assign(dose=np.where(frame["dose"] > 0, frame["dose"] + 0.5, 0.0))
    with pytest.raises(EstimationError, match="bounded away from zero"):
        fit(bounded)
    stepped = frame.assign(dose=np.ceil(4 * frame["dose"]) / 4)
    with pytest.raises(EstimationError, match="bounded away from zero"):
        fit(stepped)


def test_refusals():
    frame, _ = draw(1)
    with pytest.raises(EstimationError, match='stayers need at least two.*untreated="limit"'):
        fit(frame, untreated="stayers")
    with pytest.raises(EstimationError, match="needs at least 40"):
        fit(frame[frame["unit"] < 30])
    with pytest.raises(EstimationError, match=r"1 unit of 600 received the smallest dose"):
        fit(frame, untreated="smallest")
    with pytest.raises(DesignError, match="draws is a whole number, 99 or more"):
        HeterogeneousAdoption(draws=10)
    later = frame[frame["time"] == 3]
    with pytest.raises(DesignError, match="doses are paid from the first period 3 on"):
        fit(pd.concat([later, later.assign(time=4)]))
    with pytest.raises(DesignError, match="some units are not observed in some periods"):
        fit(frame.iloc[1:])
    with pytest.raises(DesignError, match="bandwidth is a dose above zero"):
        HeterogeneousAdoption(bandwidth=0.0)
    with pytest.raises(DesignError, match=r"untreated may be 'limit', 'stayers', 'smallest'"):
        HeterogeneousAdoption(untreated="none")


def test_pre_tests_keep_their_size_and_find_what_they_should():
    rng = np.random.default_rng(5)
    draws = 1000
    zero = [reaches_zero_test(rng.uniform(0, 1, 200))[1] < 0.05 for _ in range(draws)]
    line, bent = [], []
    for _ in range(draws):
        d = rng.uniform(0, 1, 300)
        noise = rng.normal(size=300) * (0.5 + d)
        line.append(yatchew_test(1 + d + noise, d)[1] < 0.05)
        bent.append(yatchew_test(4 * d**2 * np.sin(6 * d) + noise, d)[1] < 0.05)
    # 0.05 +- 3 Monte Carlo standard errors of 1,000 draws.
    assert 0.029 <= np.mean(zero) <= 0.071
    assert 0.029 <= np.mean(line) <= 0.071
    assert np.mean(bent) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("curve", [0.0, 2.0])
def test_intervals_cover_neither_too_seldom_nor_too_often(curve):
    draws, covered, placebo, used = 500, 0, 0, 0
    for seed in range(draws):
        frame, truth = draw(seed, curve=curve)
        try:
            result = fit(frame, draws=99)
        except EstimationError:  # the test of zero rejects in one of twenty
            continue
        used += 1
        after = (result.cells["event_time"] >= 0).to_numpy()
        z = (result.estimates - np.where(after, truth, 0.0)) / result.std_errors
        covered += abs(z[after][0]) <= 1.96
        placebo += abs(z[~after][0]) <= 1.96
    # 0.95 +- 3 Monte Carlo standard errors of 500 draws.
    assert 0.921 <= covered / used <= 0.979
    assert 0.921 <= placebo / used <= 0.979


def test_covariates_and_anticipation_are_refused():
    frame, _ = draw(0)
    frame["x"] = frame["outcome"] ** 2
    for extra, words in (
        ({"covariates": "x"}, "names x, and this method adjusts for none"),
        ({"anticipation": 1}, "lets treatment act 1 period early"),
    ):
        design = Design(
            Panel(frame, unit="unit", time="time"), outcome="outcome", dose="dose", **extra
        )
        with pytest.raises(DesignError, match=words):
            HeterogeneousAdoption().fit(design)


def test_too_few_doses_are_named_by_their_period_whatever_the_labels():
    doses = np.where(np.arange(60) < 25, 0.0, np.linspace(0.01, 1.0, 60))
    frame = frame_of(doses, doses)
    frame["unit"] = [f"firm {u:02d}" for u in frame["unit"]]
    with pytest.raises(EstimationError, match="35 units have a dose in time 3; .* least 40"):
        fit(frame.sample(frac=1, random_state=1))


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_at_the_smallest_dose_cover(weighted):
    """Doses bunch at 0.3; the effect per unit above it averages 1 + half the mean square."""
    draws, covered, errors, misses = 400, 0, [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        n = 300
        above = np.where(rng.random(n) < 0.3, 0.0, rng.uniform(0, 1, n))
        changes = 2.0 + above * (1 + 0.5 * above) + rng.normal(size=n) * (0.5 + above)
        frame = frame_of(0.3 + above, changes, 0.0, rng.normal(size=n))
        # Units with weight 2 are half as likely to be drawn from the population.
        frame["w"] = 1.0
        if weighted:
            kept = (np.arange(n) % 2 == 0) | (rng.random(n) < 0.5)
            frame["w"] = np.where(frame["unit"] % 2 == 0, 1.0, 2.0)
            frame = frame[kept[frame["unit"]]]
        result = fit(frame, untreated="smallest", draws=99, weights="w")
        after = (result.cells["event_time"] == 0).to_numpy()
        errors.append(result.std_errors[after][0])
        misses.append(result.estimates[after][0] - (1 + 0.5 * 2 / 3))
        covered += abs(misses[-1]) <= 1.96 * errors[-1]
    # 0.95 +- 3 Monte Carlo standard errors of 400 draws.
    assert 0.917 <= covered / draws <= 0.983
    assert 0.89 <= np.mean(errors) / np.std(misses) <= 1.12
