"""Effects by dose: R contdid's numbers, by hand, identities, coverage, refusals."""

import numpy as np
import pandas as pd
import pytest
from reference import read_case

from impact import CallawaySantAnna, Design, Panel, simulate
from impact.errors import DesignError, EstimationError
from impact.estimators.dose_response import DoseResponse
from impact.kernels.dose_curve import SplineBasis

EXACT = 1e-10
# contdid's errors are of a multiplier bootstrap with 2,000 draws.
BOOTSTRAP = 0.08


def fit(frame, *, unit="unit", time="time", outcome="outcome", dose="dose", **settings):
    design = {k: settings.pop(k) for k in ("clusters", "weights") if k in settings}
    panel = Panel(frame, unit=unit, time=time)
    return DoseResponse(**settings).fit(Design(panel, outcome=outcome, dose=dose, **design))


def simulated_case() -> tuple[dict, pd.DataFrame]:
    case, frame = read_case("contdid_simulated")
    on = (frame["G"] > 0) & (frame["time_period"] >= frame["G"])
    frame["dose"] = frame["D"].where(on, 0.0)
    return case["reference"], frame


OWN = {"unit": "id", "time": "time_period", "outcome": "Y"}


def test_averages_equal_r_contdid():
    reference, frame = simulated_case()
    wanted = reference["dose"]
    level = fit(frame, **OWN).att()
    assert level.estimates[0] == pytest.approx(wanted["overall_att"], abs=1e-9)
    assert level.std_errors[0] == pytest.approx(wanted["overall_att_se"], rel=BOOTSTRAP)
    slope = fit(frame, **OWN, target="slope").att()
    assert slope.estimates[0] == pytest.approx(wanted["overall_acrt"], abs=1e-9)
    # contdid's error of this average, 0.120, leaves out most of the curve's own estimation: the
    # standard deviation over 120 resamples of units is 0.30. The coverage test below decides.
    assert slope.std_errors[0] == pytest.approx(0.30, rel=0.2)


def test_the_curve_differs_from_contdid_010_by_its_end_knots_only():
    """contdid fits each cell with the cell's range as end knots and draws with the grid's.

    A coefficient then belongs to another spline. Doing the same gives its curve to the last
    digit; ours draws with the basis it fitted.
    """
    reference, frame = simulated_case()
    wanted = reference["dose"]
    grid = np.array(wanted["dose"])
    Y = frame.pivot(index="id", columns="time_period", values="Y").to_numpy()
    units = frame.drop_duplicates("id")
    G, D = units["G"].to_numpy(), units["D"].to_numpy()
    knots = np.array([np.median(D[G > 0])])
    drawn = SplineBasis(3, knots, grid.min(), grid.max())
    curves = {"mistaken": 0.0, "right": 0.0}
    sizes = {g: np.count_nonzero(g == G) for g in (2, 3, 4)}
    for g, size in sizes.items():
        for t in range(g, 5):
            change, own = Y[:, t - 1] - Y[:, g - 2], g == G
            level = change[(G == 0) | (t < G)].mean()
            basis = SplineBasis(3, knots, D[own].min(), D[own].max())
            X = np.column_stack((np.ones(own.sum()), basis.values(D[own])[:, 1:]))
            b = np.linalg.lstsq(X, change[own] - level, rcond=None)[0]
            weight = size / (5 - g) / sum(sizes.values())
            for kind, evaluated in (("mistaken", drawn), ("right", None)):
                if evaluated is None:
                    wide = SplineBasis(3, knots, D[G > 0].min(), D[G > 0].max())
                    c = np.linalg.lstsq(wide.values(D[own]), change[own] - level, rcond=None)[0]
                    curves[kind] += weight * (wide.values(grid) @ c)
                else:
                    at = np.column_stack((np.ones(len(grid)), evaluated.values(grid)[:, 1:]))
                    curves[kind] += weight * (at @ b)
    np.testing.assert_allclose(curves["mistaken"], wanted["att_d"], atol=1e-12)
    ours = fit(frame, **OWN, doses=grid).estimates[1:]
    np.testing.assert_allclose(ours, curves["right"], atol=1e-9)


def test_event_study_of_slopes_equals_r_contdid():
    reference, frame = simulated_case()
    wanted = reference["slope_event_study"]["event_study"]
    found = fit(frame, **OWN, target="slope", by="event_time", base_period="varying")
    study = found.event_study()
    assert list(study.cells["event_time"]) == wanted["e"]
    np.testing.assert_allclose(study.estimates, wanted["att"], rtol=1e-10)


def test_event_study_of_levels_differs_from_contdid_010_by_its_mistake_only():
    """contdid hands the dose to a routine for a 0/1 treatment.

    There a unit with dose D counts as D treated and 1 - D comparison units. Doing the same gives
    its numbers to the last digit; ours are the group-time effects of having received any dose.
    """
    reference, frame = simulated_case()
    wanted = reference["level_event_study"]["event_study"]
    settings = {"by": "event_time", "base_period": "varying"}
    result = fit(frame, **OWN, **settings)
    Y = frame.pivot(index="id", columns="time_period", values="Y").to_numpy()
    units = frame.drop_duplicates("id")
    G, D = units["G"].to_numpy(), units["D"].to_numpy()
    mistaken, right = [], []
    for cell in result.cells.itertuples():
        g, t = cell.cohort, cell.time
        change = Y[:, t - 1] - Y[:, int(min(g, t)) - 2]
        own, others = g == G, (G == 0) | (t < G) & (g != G)
        part = np.where(own, D, 0.0)
        rest = np.where(own | others, 1 - part, 0.0)
        mistaken.append(part @ change / part.sum() - rest @ change / rest.sum())
        right.append(change[own].mean() - change[others].mean())
    np.testing.assert_allclose(result.estimates, right, rtol=1e-9)
    sizes = result.cells["weight"].to_numpy()
    by_event = [
        np.average(np.array(mistaken)[now], weights=sizes[now])
        for now in (result.cells["event_time"] == e for e in wanted["e"])
    ]
    np.testing.assert_allclose(by_event, wanted["att"], rtol=1e-10)


def test_event_study_before_treatment_is_a_placebo_and_levels_are_group_time_effects():
    frame = simulate.staggered_panel(6, n_units=150, periods=6, cohorts=(3, 5), missing=0.05).frame
    amount = pd.Series(np.random.default_rng(2).uniform(1, 3, 150))
    frame["dose"] = frame["treated"] * amount[frame["unit"]].to_numpy()
    ours = fit(frame, by="event_time").event_study()
    design = Design(Panel(frame, unit="unit", time="time"), outcome="outcome", treated="treated")
    theirs = CallawaySantAnna().fit(design).event_study()
    np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-9)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors, rtol=1e-9)
    assert ours.pre_trends_test().p_value == pytest.approx(theirs.pre_trends_test().p_value)


def test_the_event_study_names_cells_it_cannot_have_and_refuses_points_of_the_curve():
    with pytest.raises(DesignError, match="Leave out one of the two"):
        DoseResponse(by="event_time", doses=[1.0])
    frame = line(n=60)
    later = frame.assign(time=frame["time"] + 1, dose=0.0)
    gone = pd.concat([later[later["time"] == 3].assign(unit=lambda f: f["unit"] + 100), frame])
    cells = fit(gone, by="event_time", degree=1, knots=0).cells
    assert "no treated or no comparison unit is observed in both periods" in set(cells["note"])


def line(slope=2.0, intercept=1.0, n=60, noise=0.0, seed=0) -> pd.DataFrame:
    """Two periods; a third of units untreated; the effect is a line in the dose."""
    rng = np.random.default_rng(seed)
    dose = np.where(np.arange(n) % 3 == 0, 0.0, rng.uniform(1, 5, n))
    effect = np.where(dose > 0, intercept + slope * dose, 0.0)
    change = 0.5 + effect + noise * rng.normal(size=n)
    level = rng.normal(size=n)
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n), 2),
            "time": np.tile([1, 2], n),
            "dose": np.stack([np.zeros(n), dose], axis=1).ravel(),
            "outcome": np.stack([level, level + change], axis=1).ravel(),
        }
    )


def test_a_line_is_recovered_exactly():
    grid = (1.5, 2.0, 4.5, 9.0)
    level = fit(line(), doses=grid)
    np.testing.assert_allclose(level.estimates[1:4], [4.0, 5.0, 10.0], rtol=1e-9)
    assert np.isnan(level.estimates[4])
    assert level.cells["note"].iloc[4] == "outside the doses observed"
    slope = fit(line(), doses=grid, target="slope")
    np.testing.assert_allclose(slope.estimates[:4], 2.0, rtol=1e-8)


def test_by_hand_with_a_straight_line():
    """Changes 3, 5, 9 at doses 1, 2, 3 and 1, 2 untreated: slope 3, mean 17/3 - 3/2."""
    rows = [(0, 1.0), (0, 2.0), (1, 3.0), (2, 5.0), (3, 9.0)]
    frame = pd.DataFrame(
        [
            {"unit": u, "time": t, "dose": float(d * t), "outcome": y * t}
            for u, (d, y) in enumerate(rows)
            for t in (0, 1)
        ]
    )
    slope = fit(frame, degree=1, knots=0, doses=[2.0], target="slope")
    np.testing.assert_allclose(slope.estimates, 3.0, rtol=EXACT)
    # Heteroskedastic error of the slope: residuals 1/3, -2/3, 1/3 times doses less 2, over 2.
    assert slope.std_errors[1] == pytest.approx(np.sqrt(2 * (1 / 3) ** 2) / 2, rel=1e-9)
    level = fit(frame, degree=1, knots=0, doses=[1.0])
    np.testing.assert_allclose(level.estimates, [17 / 3 - 1.5, 17 / 3 - 3 - 1.5], rtol=EXACT)


def test_the_average_is_callaway_and_santannas():
    rng = np.random.default_rng(2)
    frame = simulate.staggered_panel(6, n_units=150, periods=6, cohorts=(3, 5), missing=0.05).frame
    amount = pd.Series(rng.uniform(1, 3, 150))
    frame["dose"] = frame["treated"] * amount[frame["unit"]].to_numpy()
    ours = fit(frame).att()
    design = Design(Panel(frame, unit="unit", time="time"), outcome="outcome", treated="treated")
    theirs = CallawaySantAnna().fit(design).att("cohort")
    np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-9)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors, rtol=1e-9)


def test_bunching_at_ceilings_is_said():
    frame = line(n=120)
    bunched = frame.assign(dose=frame["dose"].clip(upper=4.0))
    result = fit(bunched)
    assert "Doses bunch" in result.summary()
    support = result.extra["support"]
    points = support[support["kind"] == "mass point"]
    assert list(points["from"]) == [4.0]
    assert support[support["kind"] == "class"]["units"].sum() == 80
    assert "Doses bunch" not in fit(frame).summary()


def test_refusals():
    frame = line()
    three = frame.assign(dose=np.ceil(frame["dose"] / 2) * 2)
    with pytest.raises(EstimationError, match=r"take 3 values over 40 units.*5 spline"):
        fit(three)
    design = Design(
        Panel(frame.assign(on=1.0 * (frame["dose"] > 0)), unit="unit", time="time"),
        outcome="outcome", treated="on",
    )  # fmt: skip
    with pytest.raises(DesignError, match="needs one dose a unit: this design states none"):
        DoseResponse().fit(design)
    rising = pd.concat(
        [frame, frame[frame["time"] == 2].assign(time=3, dose=lambda f: 2 * f["dose"])]
    )
    with pytest.raises(DesignError, match='"dose" changes after treatment began in 40 units'):
        fit(rising)
    everyone = frame[frame["unit"] % 3 > 0]
    with pytest.raises(DesignError, match="so nobody shows what would have happened"):
        fit(everyone)
    with pytest.raises(DesignError, match="degree is a whole number, 1 or more"):
        DoseResponse(degree=0)
    with pytest.raises(DesignError, match=r"target may be 'level', 'slope'"):
        DoseResponse(target="curve")


@pytest.mark.slow
def test_intervals_cover_neither_too_seldom_nor_too_often():
    draws, covered = 400, np.zeros(3)
    truth = np.array([1.0 + 2 * 3.0, 7.0, 2.0])
    for seed in range(draws):
        frame = line(n=240, noise=1.0, seed=seed)
        level = fit(frame, doses=[3.0], degree=2, knots=1)
        slope = fit(frame, doses=[3.0], degree=2, knots=1, target="slope")
        found = np.array([*level.estimates, slope.estimates[0]])
        errors = np.array([*level.std_errors, slope.std_errors[0]])
        covered += np.abs(found - truth) <= 1.96 * errors
    # 0.95 +- 3 Monte Carlo standard errors of 400 draws.
    assert ((covered / draws >= 0.917) & (covered / draws <= 0.983)).all()


def test_covariates_are_refused():
    frame = simulate.staggered_panel(4, n_units=60, periods=6, cohorts=(4,)).frame
    frame["dose"] = frame["treated"] * (1.0 + frame["unit"] % 7)
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="outcome", dose="dose", covariates="x"
    )
    with pytest.raises(DesignError, match="names x, and this method adjusts for none"):
        DoseResponse().fit(design)


@pytest.mark.slow
def test_intervals_of_event_studies_cover():
    """Two cohorts; slope 2 after treatment, none before; 200 draws."""
    draws, covered = 200, np.zeros(3)
    for seed in range(draws):
        rng = np.random.default_rng(10_000 + seed)
        frame = simulate.staggered_panel(
            seed, n_units=240, periods=5, cohorts=(3, 4), effect=0.0, assignment="random"
        ).frame
        amount = rng.uniform(1, 3, 240)[frame["unit"]]
        frame["dose"] = frame["treated"] * amount
        frame["outcome"] += 2 * frame["dose"]
        for target, truth in (("slope", 2.0), ("level", 4.0)):
            study = fit(frame, target=target, by="event_time", degree=1).event_study()
            rows = study.cells.set_index("event_time").assign(error=study.std_errors)
            cell = rows.loc[0.0]
            hit = abs(cell["estimate"] - truth) <= 1.96 * cell["error"]
            covered[int(target == "level")] += hit
            if target == "slope":
                before = rows.loc[-2.0]
                covered[2] += abs(before["estimate"]) <= 1.96 * before["error"]
    assert ((covered / draws >= 0.904) & (covered / draws <= 0.996)).all()
