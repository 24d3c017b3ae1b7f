"""The efficient estimator under random timing: by hand, against R staggered, and refused."""

import numpy as np
import pytest
from did import design, staggered

from impact import CallawaySantAnna, EfficientStaggered, simulate
from impact.errors import DesignError, EstimationError

EXACT = 1e-10
# R staggered 1.2.2 on the same closed form.
REFERENCE = 1e-9


def two_cohorts():
    """Return outcomes before and after, (n, 2), of treated and untreated units."""
    rng = np.random.default_rng(3)
    treated, others = rng.normal(size=(6, 2)), rng.normal(size=(9, 2))
    return treated @ [[1, 0.8], [0, 0.6]] + [0, 1.0], others @ [[1, 0.8], [0, 0.6]]


def as_frame(treated, others):
    import pandas as pd

    rows = np.concatenate((treated, others))
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(len(rows)), 2),
            "time": np.tile([0, 1], len(rows)),
            "outcome": rows.ravel(),
            "cohort": np.repeat(np.where(np.arange(len(rows)) < len(treated), 1.0, np.nan), 2),
        }
    )


def test_two_periods_by_hand():
    treated, others = two_cohorts()
    sample = design(as_frame(treated, others))
    S, R = np.cov(treated.T), np.cov(others.T)
    n, m = len(treated), len(others)
    variance, shared = S[0, 0] / n + R[0, 0] / m, S[0, 1] / n + R[0, 1] / m
    beta = shared / variance
    difference = treated.mean(axis=0) - others.mean(axis=0)
    for adjustment in ("scalar", "vector"):
        result = EfficientStaggered(adjustment=adjustment, variance="neyman").fit(sample)
        assert result.estimates[0] == pytest.approx(difference[1] - beta * difference[0], abs=EXACT)
        neyman = S[1, 1] / n + R[1, 1] / m - beta * shared
        assert result.std_errors[0] == pytest.approx(np.sqrt(neyman), rel=EXACT)
    slope = S[0, 1] / S[0, 0] - R[0, 1] / R[0, 0]
    adjusted = neyman - slope**2 * (S[0, 0] + R[0, 0]) / 2 / (n + m)
    result = EfficientStaggered().fit(sample)
    assert result.std_errors[0] == pytest.approx(np.sqrt(adjusted), rel=EXACT)
    psi = EfficientStaggered(variance="neyman").fit(sample).uncertainty.contributions()
    assert float((psi**2).sum()) == pytest.approx(neyman, rel=EXACT)


def test_staggered(reference_case):
    case, frame = reference_case("staggered_rothsantanna_mpdta")
    reference = case["reference"]
    sample = design(frame, outcome="lemp", unit="countyreal", time="year", cohort="first.treat",
                    never_treated=0)  # fmt: skip
    wanted = {
        "cell": reference["simple"], "cohort": reference["cohort"], "time": reference["calendar"],
    }  # fmt: skip
    for weighting, rows in wanted.items():
        for variance, key in (("adjusted", "se"), ("neyman", "se_neyman")):
            result = EfficientStaggered(weighting=weighting, variance=variance).fit(sample)
            assert result.estimates[0] == pytest.approx(rows[0]["estimate"], rel=REFERENCE)
            assert result.std_errors[0] == pytest.approx(rows[0][key], rel=REFERENCE)
    for variance, key in (("adjusted", "se"), ("neyman", "se_neyman")):
        result = EfficientStaggered(target="event_time", variance=variance).fit(sample)
        for k, row in enumerate(reference["eventstudy_0_2"]):
            assert result.estimates[k] == pytest.approx(row["estimate"], rel=REFERENCE)
            assert result.std_errors[k] == pytest.approx(row[key], rel=REFERENCE)
    simple = CallawaySantAnna().fit(sample).att("cell")
    assert simple.estimates[0] == pytest.approx(reference["cs_simple"]["estimate"], rel=REFERENCE)


def test_each_cell_is_adjusted_on_its_own_and_in_each_view():
    frame = staggered(3, n_units=120)
    cells = EfficientStaggered(target="group_time", adjustment="vector").fit(design(frame))
    study = EfficientStaggered(target="event_time", adjustment="vector").fit(design(frame))
    # With the vector adjustment coefficients are linear in the target, so averages agree.
    view = cells.event_study()
    np.testing.assert_allclose(view.estimates, study.estimates, atol=EXACT)
    np.testing.assert_allclose(view.std_errors, study.std_errors, rtol=1e-9)


def test_under_random_timing_it_beats_difference_in_differences():
    truth = simulate.staggered_panel(
        1, n_units=600, periods=6, cohorts=(3, 5), unit_sd=0.3, noise=1.0, assignment="random"
    )
    efficient = EfficientStaggered(target="event_time").fit(design(truth.frame)).att()
    plain = CallawaySantAnna().fit(design(truth.frame)).att("event_time")
    assert efficient.std_errors[0] < 0.85 * plain.std_errors[0]
    assert abs(efficient.estimates[0] - 1.0) < 4 * efficient.std_errors[0]


def test_imbalance_before_treatment_is_found():
    frame = staggered(4, n_units=120)
    balance = EfficientStaggered().fit(design(frame)).extra["balance"]
    assert balance.p_value > 0.01
    moved = frame.assign(outcome=frame["outcome"] + 2.0 * (frame["cohort"] == 5))
    result = EfficientStaggered().fit(design(moved))
    assert result.extra["balance"].p_value < 1e-6
    assert "Cohorts do not differ before treatment" in result.notes[-1]


def test_refusals():
    frame = staggered(1)
    gaps = frame[~((frame["unit"] == 4) & (frame["time"] == 2))]
    with pytest.raises(DesignError, match="1 unit of 60 miss a period"):
        EfficientStaggered().fit(design(gaps))
    for settings in ({"covariates": "z"}, {"weights": "w"}, {"clusters": "cluster"}):
        with pytest.raises(DesignError, match=f"states {next(iter(settings))}"):
            EfficientStaggered().fit(design(frame, **settings))
    alone = frame.assign(cohort=frame["cohort"].where(frame["unit"] != 0, 4.0))
    with pytest.raises(DesignError, match="cohort 4 has one unit"):
        EfficientStaggered().fit(design(alone))
    tiny = staggered(2, n_units=9, periods=8, cohorts=(5, 7), n_clusters=9)
    with pytest.raises(EstimationError, match="no variance is left .* Use variance='neyman'"):
        EfficientStaggered(adjustment="vector").fit(design(tiny))


def test_without_never_treated_the_last_cohort_has_no_effect_to_show():
    frame = staggered(5, n_units=60, cohorts={3: 0.5, 5: 0.5})
    result = EfficientStaggered(target="group_time").fit(design(frame))
    lost = result.cells[np.isnan(result.estimates)]
    assert set(lost["note"]) == {"no unit left to compare with"}
    assert set(lost["time"]) == {5, 6}
