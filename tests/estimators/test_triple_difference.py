"""Triple differences: by hand, against regression, exact truth, coverage, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel
from impact.errors import DesignError, EstimationError, PanelError
from impact.estimators.triple_difference import TripleDifference

EXACT = 1e-10


def fit(frame, *, design=None, **settings):
    names = {"outcome": "outcome", "cohort": "cohort"} | (design or {})
    estimator = TripleDifference(eligible="small", **settings)
    return estimator.fit(Design(Panel(frame, unit="unit", time="time"), **names))


def places(seed=0, n=400, periods=5, cohorts=(3, 4, np.nan), noise=1.0, tau=2.0, x_trend=0.0):
    """Places open in 3, 4 or never; trends differ by place and by kind, but not by both."""
    rng = np.random.default_rng(seed)
    cohort = np.asarray(cohorts)[rng.integers(0, len(cohorts), n)]
    small = rng.random(n) < 0.5
    x = rng.normal(size=n) + 0.6 * small * (cohort == 3)
    time = np.arange(1, periods + 1)
    place_trend = np.nan_to_num(cohort, nan=0.0)[:, None] * 0.3 * time
    kind_trend = small[:, None] * np.sin(time)
    effect = tau * small[:, None] * (time >= cohort[:, None])
    own = x_trend * x[:, None] * time * small[:, None]
    y = rng.normal(size=(n, 1)) + place_trend + kind_trend + effect + own
    y = y + noise * rng.normal(size=y.shape)
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), periods),
            "time": np.tile(time, n),
            "cohort": np.repeat(cohort, periods),
            "small": np.repeat(small.astype(int), periods),
            "x": np.repeat(x, periods),
            "cluster": np.repeat(np.arange(n) // 5, periods),
            "outcome": y.ravel(),
        }
    )


def test_by_hand():
    changes = {(1, 1): [9, 11], (1, 0): [4, 6], (0, 1): [2, 4, 6], (0, 0): [1, 3]}
    rows, unit = [], 0
    for (opens, small), values in changes.items():
        for change in values:
            unit += 1
            for t in (0, 1):
                rows.append((unit, t, 1.0 if opens else np.nan, small, float(change * t)))
    frame = pd.DataFrame(rows, columns=["unit", "time", "cohort", "small", "outcome"])
    result = fit(frame).att()
    # (10 - 5) - (4 - 2); variances of four means 1/2, 1/2, (8/3)/3, 1/2.
    assert result.estimates[0] == pytest.approx(3.0, abs=EXACT)
    assert result.std_errors[0] == pytest.approx(np.sqrt(1.5 + 8 / 9), rel=EXACT)


def waves():
    """Simulate without random numbers, so that another program gets the same data."""
    i = np.arange(240)
    opens, small, x = np.choose((i // 3) % 4, [0, 0, 3, 4]), (i % 5 < 3) * 1, np.sin(i * 1.7)
    parts = []
    for t in range(1, 6):
        effect = ((opens > 0) & (t >= opens) & (small == 1)) * (1 + 0.5 * (t - opens))
        y = np.cos(0.9 * i) + 0.3 * t * (opens > 0) + 0.2 * t * small + 0.1 * t * x * (1 + small)
        y += effect + np.sin(3.1 * i + 5.3 * t) * 0.8
        parts.append({"unit": i, "time": t, "cohort": opens, "small": small, "x": x, "outcome": y})
    return pd.concat([pd.DataFrame(part) for part in parts])


# diff-diff 3.13.0, TripleDifference(base_period="universal"): effect and error of (g, t).
DIFF_DIFF = {
    ("never_treated", (), "doubly_robust"): {
        (3, 1): (-0.03515979183192208, 0.1706896257230766),
        (3, 5): (1.9854682860673876, 0.3818689889066695),
        (4, 4): (1.068560134085817, 0.1754673603350171),
    },
    ("never_treated", ("x",), "doubly_robust"): {
        (3, 1): (-0.036785013577045, 0.16960335035328),
        (3, 5): (2.0035160404196293, 0.3653266150942963),
        (4, 4): (1.0698424474699888, 0.1752168675806035),
    },
    ("never_treated", ("x",), "regression"): {
        (3, 3): (1.0346772196452179, 0.17517808382333985),
        (4, 5): (1.5532854362750976, 0.30077335653685927),
    },
    ("never_treated", ("x",), "inverse_probability"): {
        (3, 3): (1.0347266479518118, 0.1751302491721814),
        (4, 5): (1.5532995445479933, 0.30066573953766607),
    },
    ("not_yet_treated", (), "doubly_robust"): {
        (3, 1): (-0.024603153358161038, 0.16120514388103357),
        (3, 3): (1.0003008621816436, 0.16878467862865187),
        (4, 5): (1.5501868680299995, 0.30435446219882856),
    },
    ("not_yet_treated", ("x",), "doubly_robust"): {
        (3, 3): (1.0028772037291749, 0.16486844920014726),
        (3, 4): (1.5363482320217448, 0.3095949162146312),
    },
}


@pytest.mark.parametrize("settings", DIFF_DIFF, ids=str)
def test_several_dates_equal_diff_diff(settings):
    comparison, covariates, method = settings
    design = {"never_treated": 0, "covariates": covariates}
    result = fit(waves(), design=design, comparison=comparison, method=method)
    cells = result.cells.set_index(["cohort", "time"])
    cells["std_error"] = result.std_errors
    for (cohort, period), (effect, error) in DIFF_DIFF[settings].items():
        # Where comparisons are combined, theirs carries n / (n - 1).
        several = comparison == "not_yet_treated" and cohort == 3 and period <= 3
        error *= np.sqrt(239 / 240) if several else 1.0
        row = cells.loc[(cohort, period)]
        assert row["estimate"] == pytest.approx(effect, rel=1e-8)
        assert row["std_error"] == pytest.approx(error, rel=1e-8)


def test_without_covariates_a_cell_is_a_regression_with_eight_means():
    frame = waves().query("cohort in (0, 3) and time in (2, 3)")
    design = {"never_treated": 0}
    ours = fit(frame, design=design).att()
    change = frame.pivot(index="unit", columns="time", values="outcome")
    units = frame.drop_duplicates("unit").set_index("unit").loc[change.index]
    opens, small = units["cohort"] > 0, units["small"]
    X = np.stack((np.ones(len(units)), opens, small, opens * small), axis=1)
    y = (change[3] - change[2]).to_numpy()
    inverse = np.linalg.inv(X.T @ X)
    beta = inverse @ X.T @ y
    meat = (X * (y - X @ beta)[:, None]).T @ (X * (y - X @ beta)[:, None])
    assert ours.estimates[0] == pytest.approx(beta[3], rel=EXACT)
    assert ours.std_errors[0] == pytest.approx(np.sqrt((inverse @ meat @ inverse)[3, 3]), rel=EXACT)


@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_effects_are_recovered_exactly_where_double_differences_miss(comparison):
    frame = places(noise=0.0)
    result = fit(frame, comparison=comparison)
    after = (result.cells["event_time"] >= 0) & ~np.isnan(result.estimates)
    np.testing.assert_allclose(result.estimates[after], 2.0, rtol=1e-9)
    before = (result.cells["event_time"] < 0) & ~np.isnan(result.estimates)
    np.testing.assert_allclose(result.estimates[before], 0.0, atol=1e-9)
    eligible = frame[frame["small"] == 1]
    design = Design(Panel(eligible, unit="unit", time="time"), outcome="outcome", cohort="cohort")
    naive = CallawaySantAnna(comparison="never_treated").fit(design).att()
    assert abs(naive.estimates[0] - 2.0) > 0.5


def test_it_is_the_difference_of_two_group_time_estimates():
    frame = places()
    ours = fit(frame)

    def effects(small):
        part = frame[frame["small"] == small]
        design = Design(Panel(part, unit="unit", time="time"), outcome="outcome", cohort="cohort")
        return CallawaySantAnna(comparison="never_treated").fit(design)

    one, other = effects(1), effects(0)
    np.testing.assert_allclose(ours.estimates, one.estimates - other.estimates, atol=1e-9)
    together = np.sqrt(one.std_errors**2 + other.std_errors**2)
    np.testing.assert_allclose(ours.std_errors, together, rtol=1e-9)


def test_covariates_mend_what_gaps_by_place_break():
    frame = places(n=4000, noise=0.1, x_trend=0.5)
    adjusted = fit(frame, design={"covariates": "x"}).att().estimates[0]
    plain = fit(frame).att().estimates[0]
    assert abs(plain - 2.0) > 0.2
    assert abs(adjusted - 2.0) < 0.05


def test_places_yet_to_open_are_combined_not_pooled():
    frame = places(n=3000)
    combined = fit(frame, comparison="not_yet_treated")
    alone = fit(frame)
    cell = (combined.cells["cohort"] == 3) & (combined.cells["time"] == 3)
    assert combined.std_errors[cell][0] < alone.std_errors[cell][0]
    no_never = frame[frame["cohort"].notna()]
    result = fit(no_never, comparison="not_yet_treated")
    assert np.isfinite(result.estimates[cell]).all()
    assert "no unit left to compare with" in set(result.cells["note"])


def test_gaps_use_pairs():
    frame = places()
    kept = frame[np.random.default_rng(1).random(len(frame)) > 0.05]
    assert abs(fit(kept).att().estimates[0] - 2.0) < 1.0


def test_refusals():
    frame = places()
    with pytest.raises(DesignError, match=r'eligibility column "small" is neither 0 nor 1 in'):
        fit(frame.assign(small=frame["small"] + frame["unit"].eq(3)))
    with pytest.raises(PanelError, match="changes within"):
        fit(frame.assign(small=frame["time"] % 2))
    with pytest.raises(EstimationError, match="no ineligible unit where the programme opens"):
        fit(frame[(frame["small"] == 1) | frame["cohort"].isna()])
    with pytest.raises(EstimationError, match="needs places that never open"):
        fit(frame[frame["cohort"].notna()])
    with pytest.raises(DesignError, match="TripleDifference needs eligible"):
        TripleDifference()


@pytest.mark.slow
@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_intervals_cover_neither_too_seldom_nor_too_often(comparison):
    draws, covered, errors, estimates = 300, 0, [], []
    for seed in range(draws):
        att = fit(places(seed=seed, n=300, periods=4), comparison=comparison).att()
        covered += abs(att.estimates[0] - 2.0) <= 1.96 * att.std_errors[0]
        errors.append(att.std_errors[0])
        estimates.append(att.estimates[0])
    # 0.95 +- 3 Monte Carlo standard errors of 300 draws.
    assert 0.912 <= covered / draws <= 0.988
    assert 0.88 <= np.mean(errors) / np.std(estimates) <= 1.12
