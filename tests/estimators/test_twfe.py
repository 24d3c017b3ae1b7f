"""Two-way fixed effects: published numbers, hand-computable cases, refusals."""

import causaldata
import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel, TwoWayFixedEffects, simulate
from impact.errors import DesignError, EstimationError

REFERENCE = 1e-8  # printed with 15 digits by fixest 0.14.2 (R 4.2.2)


@pytest.fixture(scope="module")
def castle():
    """Cheng and Hoekstra (2013); ``post`` here starts the year after a law takes effect."""
    frame = causaldata.castle.load_pandas().data
    first = frame[frame["post"] == 1].groupby("sid")["year"].min() - 1
    return frame.assign(cohort=frame["sid"].map(first))


@pytest.mark.parametrize(
    ("weights", "trends", "expected"),
    [
        ("popwt", False, (0.0594441496432807, 0.0275695574484701)),
        (None, False, (0.0818116169306474, 0.0588742180792229)),
        ("popwt", True, (0.0612001375314825, 0.0324018645887728)),
    ],
)
def test_castle_doctrine_equals_fixest(castle, weights, trends, expected):
    """feols(l_homicide ~ post | sid + year, cluster = ~sid), weighted, and with sid[year]."""
    panel = Panel(castle, unit="sid", time="year")
    design = Design(panel, outcome="l_homicide", cohort="cohort", weights=weights)
    result = TwoWayFixedEffects(accept_forbidden_comparisons=True, trends=trends).fit(design)
    np.testing.assert_allclose(result.estimates, expected[0], rtol=REFERENCE)
    np.testing.assert_allclose(result.std_errors, expected[1], rtol=REFERENCE)


def test_castle_event_study_equals_fixest(castle):
    """i(rel, ref = -1) with states that never adopt in the reference."""
    design = Design(Panel(castle, unit="sid", time="year"), outcome="l_homicide", cohort="cohort")
    study = TwoWayFixedEffects(effect="event_study", accept_forbidden_comparisons=True).fit(design)
    by_time = pd.DataFrame(
        {"estimate": study.estimates, "se": study.std_errors}, index=study.cells["event_time"]
    )
    expected = {
        -9: (-0.248405733158906, 0.0570123168955862),
        -2: (0.0585764989866521, 0.0502590037827147),
        0: (0.0918613567248468, 0.0431759440086877),
        5: (0.127244421698945, 0.0500375504814039),
    }
    for event_time, numbers in expected.items():
        np.testing.assert_allclose(by_time.loc[event_time], numbers, rtol=REFERENCE)
    assert by_time.loc[-1, "estimate"] == 0
    assert np.isnan(by_time.loc[-1, "se"])
    assert study.cells.set_index("event_time").loc[-1, "note"] == "reference"
    assert any("units already treated" in note for note in study.notes)


def test_one_treated_state_is_estimated_and_warned_about():
    """Kessler and Roth (2014): -0.0225 (0.0061), feols(Rate ~ Treated | State + Quarter)."""
    frame = causaldata.organ_donations.load_pandas().data
    frame["treated"] = ((frame["State"] == "California") & (frame["Quarter_Num"] > 3)).astype(int)
    design = Design(
        Panel(frame, unit="State", time="Quarter_Num"), outcome="Rate", treated="treated"
    )
    result = TwoWayFixedEffects().fit(design)
    np.testing.assert_allclose(result.estimates, -0.0224589743589744, rtol=REFERENCE)
    np.testing.assert_allclose(result.std_errors, 0.00613123200564086, rtol=REFERENCE)
    assert any(note.startswith("Only 1 cluster of 27 is treated") for note in result.notes)


def eight_units(**extra):
    """Four units treated from period 2 on; outcome steps up by 3, never otherwise."""
    frame = pd.DataFrame({"unit": np.repeat(range(8), 2), "time": [1, 2] * 8})
    treated = (frame["unit"] < 4) & (frame["time"] == 2)
    y = frame["unit"] * 10.0 + frame["time"] * 2.0 + 3.0 * treated
    return frame.assign(
        treated=treated.astype(int), cohort=np.where(frame["unit"] < 4, 2.0, np.nan), y=y, **extra
    )


def test_two_periods_by_hand():
    noise = np.array([0, 1, 0, -1, 0, 1, 0, -1, 0, 2, 0, -2, 0, 0, 0, 0.0])
    frame = eight_units()
    frame["y"] += noise
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", treated="treated")
    result = TwoWayFixedEffects(convention="plm").fit(design)
    np.testing.assert_allclose(result.estimates, 3.0, rtol=1e-12)
    # Changes: treated +-1 around 5, others (2, -2, 0, 0) around 2; variance sum d^2 / 16 each.
    np.testing.assert_allclose(result.std_errors**2, 4 / 16 + 8 / 16, rtol=1e-12)


def test_event_study_of_two_periods_is_the_static_estimate():
    design = Design(Panel(eight_units(), unit="unit", time="time"), outcome="y", cohort="cohort")
    study = TwoWayFixedEffects(effect="event_study").fit(design)
    assert study.cells["event_time"].tolist() == [-1, 0]
    np.testing.assert_allclose(study.estimates, [0, 3], atol=1e-12)


def test_covariates_are_partialled_out_and_reported():
    rng = np.random.default_rng(0)
    frame = eight_units(x=rng.normal(size=16), w=rng.normal(size=16))
    frame["y"] += 2 * frame["x"]
    design = Design(
        Panel(frame, unit="unit", time="time"),
        outcome="y",
        treated="treated",
        covariates=["x", "w"],
    )
    result = TwoWayFixedEffects().fit(design)
    assert len(result) == 1
    np.testing.assert_allclose(result.estimates, 3.0, atol=1e-10)
    np.testing.assert_allclose(result.extra["covariates"][["x", "w"]], [2, 0], atol=1e-10)


def test_anticipation_moves_the_reference():
    truth = simulate.staggered_panel(
        3, n_units=40, periods=6, cohorts=(4,), effect=lambda e, c: 1.0, noise=0.0
    )
    design = Design(
        Panel(truth.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort",
        anticipation=1,
    )  # fmt: skip
    study = TwoWayFixedEffects(effect="event_study").fit(design)
    reference = study.cells.loc[study.cells["note"] == "reference", "event_time"]
    assert reference.tolist() == [-2]


def test_exact_effects_are_recovered():
    truth = simulate.staggered_panel(
        3, n_units=40, periods=6, cohorts=(4,), effect=lambda e, c: 1.0 + e, noise=0.0
    )
    design = Design(
        Panel(truth.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort"
    )
    study = TwoWayFixedEffects(effect="event_study").fit(design)
    events = study.cells["event_time"].to_numpy()
    np.testing.assert_allclose(study.estimates, np.where(events < 0, 0, 1 + events), atol=1e-9)


def test_binned_ends_average_far_event_times():
    truth = simulate.staggered_panel(
        3, n_units=40, periods=8, cohorts=(4,), effect=lambda e, c: np.minimum(e, 2.0), noise=0.0
    )
    design = Design(
        Panel(truth.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort"
    )
    study = TwoWayFixedEffects(effect="event_study", first=-2, last=2).fit(design)
    assert study.cells["event_time"].tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(study.estimates, [0, 0, 0, 1, 2], atol=1e-9)


@pytest.fixture(scope="module")
def staggered():
    frame = simulate.staggered_panel(5, n_units=30, periods=6, cohorts=(3, 5)).frame
    return Panel(frame, unit="unit", time="time")


def test_staggered_adoption_is_refused_unless_accepted(staggered):
    design = Design(staggered, outcome="outcome", cohort="cohort")
    with pytest.raises(DesignError, match=r"adopt at 2 dates \(first 3, 5\).*CallawaySantAnna"):
        TwoWayFixedEffects().fit(design)
    assert TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design).std_errors[0] > 0


def test_reversing_treatment_is_refused(staggered):
    frame = staggered.frame.assign(
        switching=((staggered.frame["time"] == 3) & (staggered.frame["unit"] < 9)).astype(int)
    )
    design = Design(Panel(frame, unit="unit", time="time"), outcome="outcome", treated="switching")
    with pytest.raises(DesignError, match="treatment stops again in 9 units"):
        TwoWayFixedEffects().fit(design)
    with pytest.raises(DesignError, match="an event study needs treatment that lasts"):
        TwoWayFixedEffects(effect="event_study", accept_forbidden_comparisons=True).fit(design)


def test_questions_without_an_answer_are_refused(staggered):
    everyone = staggered.frame.assign(on=(staggered.frame["time"] >= 4).astype(int))
    design = Design(Panel(everyone, unit="unit", time="time"), outcome="outcome", treated="on")
    with pytest.raises(EstimationError, match='effects explain the treatment "on" exactly'):
        TwoWayFixedEffects().fit(design)
    treated = staggered.frame[staggered.frame["cohort"].notna()]
    design = Design(Panel(treated, unit="unit", time="time"), outcome="outcome", cohort="cohort")
    study = TwoWayFixedEffects(effect="event_study", accept_forbidden_comparisons=True)
    with pytest.raises(EstimationError, match="known only up to a line"):
        study.fit(design)
    design = Design(staggered, outcome="outcome", cohort="cohort")
    with pytest.raises(DesignError, match="reference is the event time set to zero.*it was 40"):
        TwoWayFixedEffects(
            effect="event_study", reference=40, accept_forbidden_comparisons=True
        ).fit(design)
    with pytest.raises(DesignError, match="covariance may be .*CR1"):
        TwoWayFixedEffects(covariance="CR9")
    with pytest.raises(DesignError, match="TwoWayFixedEffects needs a treatment"):
        TwoWayFixedEffects().fit(Design(staggered, outcome="outcome", covariates="x"))


@pytest.mark.slow
def test_coverage_with_one_date_and_correlated_clusters():
    """95 % intervals cover between 92 and 98 % in 400 draws (3 Monte Carlo standard errors)."""
    hits, spread, errors = [], [], []
    for seed in range(400):
        drawn = simulate.staggered_panel(
            seed, n_units=120, periods=5, cohorts=(3,), effect=lambda e, c: 1.0,
            n_clusters=60, cluster_noise=0.5,
        )  # fmt: skip
        design = Design(
            Panel(drawn.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort",
            clusters="cluster",
        )  # fmt: skip
        result = TwoWayFixedEffects().fit(design)
        low, high = (
            result.estimates - 2.0 * result.std_errors,
            result.estimates + 2.0 * result.std_errors,
        )
        hits.append(low[0] <= 1.0 <= high[0])
        spread.append(result.estimates[0])
        errors.append(result.std_errors[0])
    assert 0.917 <= np.mean(hits) <= 0.983
    assert 0.9 <= np.mean(errors) / np.std(spread) <= 1.1


def test_anticipation_is_refused_by_one_effect_and_by_a_reference_within_it():
    truth = simulate.staggered_panel(3, n_units=40, periods=8, cohorts=(5,), noise=0.1)
    panel = Panel(truth.frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", anticipation=2)
    with pytest.raises(DesignError, match="TwoWayFixedEffects needs .* 2 periods early"):
        TwoWayFixedEffects().fit(design)
    assert TwoWayFixedEffects(effect="event_study").unmet(design) == []
    with pytest.raises(DesignError, match=r"it was -1, when treatment may .* Give -3 or earlier"):
        TwoWayFixedEffects(effect="event_study", reference=-1).fit(design)


def test_event_study_with_anticipation_recovers_the_effects_before_and_after():
    truth = simulate.staggered_panel(
        3, n_units=40, periods=8, cohorts=(5,), effect=2.0, noise=0.0, anticipation=1
    )
    panel = Panel(truth.frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", anticipation=1)
    study = TwoWayFixedEffects(effect="event_study").fit(design)
    events = study.cells["event_time"].to_numpy()
    np.testing.assert_allclose(study.estimates, np.where(events < -1, 0.0, 2.0), atol=1e-9)
