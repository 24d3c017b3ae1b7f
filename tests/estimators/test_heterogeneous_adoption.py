"""Doses for everybody: by hand, exact truth, pre-tests' size, coverage, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import DesignError, EstimationError
from impact.estimators.heterogeneous_adoption import HeterogeneousAdoption
from impact.kernels.boundary import boundary_mean, reaches_zero_test, yatchew_test

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
    with pytest.raises(EstimationError, match="does not take weights"):
        fit(frame.assign(w=1.0 + frame["unit"] % 2), weights="w")
    later = frame[frame["time"] == 3]
    with pytest.raises(DesignError, match="doses are paid from the first period 3 on"):
        fit(pd.concat([later, later.assign(time=4)]))
    with pytest.raises(DesignError, match="some units are not observed in some periods"):
        fit(frame.iloc[1:])
    with pytest.raises(DesignError, match="bandwidth is a dose above zero"):
        HeterogeneousAdoption(bandwidth=0.0)
    with pytest.raises(DesignError, match=r"untreated may be 'limit', 'stayers'"):
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
            result = fit(frame)
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
