"""Goodman-Bacon decomposition against bacondecomp, by hand, and against the regression."""

import numpy as np
import pandas as pd
import pytest

from impact.design import Design
from impact.errors import DesignError
from impact.estimators import CallawaySantAnna
from impact.panel import Panel
from impact.sensitivity import bacon
from impact.sensitivity.bacon import ALWAYS, CLEAN, EARLY, LATE, decompose, decompose_adjusted
from impact.simulate import staggered_panel

CLOSED_FORM = 1e-10
R_NAMES = {
    "Earlier vs Later Treated": EARLY,
    "Later vs Earlier Treated": LATE,
    "Treated vs Untreated": CLEAN,
}


def check_case(found, reference):
    given = {(row["treated"], row["untreated"]): row for row in reference["components"]}
    assert len(given) == len(found.weight)
    for treated, control, kind, estimate, weight in zip(
        found.treated, found.control, found.kind, found.estimate, found.weight, strict=True
    ):
        row = given[int(treated), 99999 if np.isnan(control) else int(control)]
        np.testing.assert_allclose(estimate, row["estimate"], rtol=CLOSED_FORM)
        np.testing.assert_allclose(weight, row["weight"], rtol=CLOSED_FORM)
        assert kind == R_NAMES[row["type"]]
    np.testing.assert_allclose(found.total, reference["twfe"], rtol=CLOSED_FORM)


def test_castle_doctrine_equals_bacondecomp(reference_case):
    case, frame = reference_case("bacon_castle")
    design = Design(
        Panel(frame, unit="sid", time="year"),
        outcome="l_homicide",
        cohort="effyear",
        never_treated=0,
    )
    check_case(decompose(design.outcomes, design.cohorts, design.periods), case["reference"])
    finding = bacon(CallawaySantAnna().fit(design))
    late = case["reference"]["by_type"]["Later vs Earlier Treated"]["weight"]
    assert finding.statistic == pytest.approx(late)
    assert "3.2% of the weight" in finding.sentence


def test_mathematics_reform_equals_bacondecomp(reference_case):
    case, frame = reference_case("bacon_math_reform")
    design = Design(
        Panel(frame, unit="state", time="class"), outcome="incearn_ln", treated="reform_math"
    )
    check_case(decompose(design.outcomes, design.cohorts, design.periods), case["reference"])


def test_two_cohorts_by_hand():
    """Two units, three periods, adoption at 1 and 2: each comparison is one difference."""
    outcomes = np.array([[0.0, 2.0, 5.0], [0.0, 0.0, 1.0]])
    found = decompose(outcomes, np.array([1.0, 2.0]), np.arange(3))
    by_kind = dict(zip(found.kind, found.estimate, strict=True))
    assert by_kind[EARLY] == pytest.approx(2.0)
    assert by_kind[LATE] == pytest.approx(1.0 - 3.0)
    np.testing.assert_allclose(found.weight, 0.5)


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_sum_to_one_and_the_sum_is_the_regression(always, weighted):
    rng = np.random.default_rng(1)
    outcomes = rng.normal(size=(30, 7))
    cohorts = rng.choice([2.0, 4.0, 6.0, np.nan], 30)
    if always:
        cohorts[:4] = 0.0
    weights = rng.uniform(0.5, 2.0, 30) if weighted else None
    found = decompose(outcomes, cohorts, np.arange(7), weights)
    root = np.sqrt(np.ones(30) if weights is None else weights)[:, None]
    treatment = (np.arange(7) >= cohorts[:, None]).astype(float)
    unit, time = np.meshgrid(np.arange(30), np.arange(7), indexing="ij")
    dummies = np.column_stack([np.eye(30)[unit.ravel()], np.eye(7)[time.ravel()][:, 1:]])
    scale = np.repeat(root, 7)
    columns = np.column_stack([treatment.ravel(), dummies]) * scale[:, None]
    regression = np.linalg.lstsq(columns, outcomes.ravel() * scale, rcond=None)[0][0]
    np.testing.assert_allclose(found.total, regression, rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.weight.sum(), 1.0)
    assert (ALWAYS in found.kind) == always


def test_figure_has_a_point_a_comparison(fitted):
    finding = bacon(fitted)
    drawn = sum(len(c.get_offsets()) for c in finding.figure().collections)
    assert drawn == len(finding.table)


def test_gaps_and_reversals_are_refused(make_frame, design_of):
    frame = make_frame()
    gaps = CallawaySantAnna().fit(design_of(frame.drop(index=3)))
    with pytest.raises(DesignError, match="this panel has gaps"):
        bacon(gaps)


def with_covariate(weights=None, **settings):
    frame = staggered_panel(3, n_units=60, periods=6, cohorts=(3, 5)).frame
    rng = np.random.default_rng(2)
    frame = frame.assign(
        x=rng.normal(size=len(frame)) + 0.3 * frame["treated"] * frame["time"],
        shared=frame["cohort"].fillna(0.0) * np.sin(frame["time"]),
        w=0.5 + frame["unit"] % 4,
    )
    settings = {"covariates": "x", **settings}
    panel = Panel(frame, unit="unit", time="time")
    return frame, Design(panel, outcome="outcome", cohort="cohort", weights=weights, **settings)


def parts_of(design):
    return decompose_adjusted(
        design.outcomes, design.cohorts, design.periods, design.covariate_array(),
        design.unit_weights,
    )  # fmt: skip


def slope(y, X, d, w):
    """Coefficient of d beside the columns X, by weighted least squares."""
    root = np.sqrt(w)
    columns = np.column_stack((d, X)) * root[:, None]
    return np.linalg.lstsq(columns, y * root, rcond=None)[0][0]


@pytest.mark.parametrize("weights", [None, "w"])
def test_parts_with_covariates_are_regressions_and_add_up(weights):
    frame, design = with_covariate(weights)
    found = parts_of(design)
    w = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    effects = pd.get_dummies(frame[["unit", "time"]].astype(str)).to_numpy(dtype=float)
    d, x = frame["treated"].to_numpy(dtype=float), frame["x"].to_numpy()
    y, root = frame["outcome"].to_numpy(), np.sqrt(w)
    whole = slope(y, np.column_stack((x, effects)), d, w)
    assert found.total == pytest.approx(whole, rel=1e-9)
    nuisance = np.column_stack((x, effects))
    fitted = np.linalg.lstsq(nuisance * root[:, None], d * root, rcond=None)[0]
    left = frame.assign(left=d - nuisance @ fitted, w=w, cohort=frame["cohort"].fillna(0.0))
    left["own"] = left["left"] * left["w"]
    sums = left.groupby(["cohort", "time"])[["own", "w"]].transform("sum")
    left["mean"] = sums["own"] / sums["w"]
    inside = (left["left"] - left["mean"]).to_numpy()
    share = w @ inside**2 / (w @ left["left"].to_numpy() ** 2)
    assert found.within_weight == pytest.approx(share, rel=1e-9)
    assert found.within == pytest.approx(slope(y, effects, inside, w), rel=1e-9)
    assert found.between.weight.sum() == pytest.approx(1.0)
    kinds = dict(zip(zip(found.between.treated, found.between.control, strict=True),
                     found.between.kind, strict=True))  # fmt: skip
    assert kinds[3.0, 5.0] == "both treated"
    for k, c, estimate in zip(
        found.between.treated, found.between.control, found.between.estimate, strict=True
    ):
        pair = left["cohort"].isin(np.nan_to_num([k, c])).to_numpy()
        alone = slope(y[pair], effects[pair], left["mean"].to_numpy()[pair], w[pair])
        assert estimate == pytest.approx(alone, rel=1e-9)
    finding = bacon(CallawaySantAnna().fit(design))
    assert finding.values["adjusted_twfe"] == pytest.approx(whole, rel=1e-9)
    assert f"of which {share:.1%} of the weight is on differences of covariates" in str(finding)


def test_covariates_alike_within_cohorts_leave_nothing_within():
    _, design = with_covariate(covariates="shared")
    found = parts_of(design)
    assert found.within_weight == 0.0
    assert np.isnan(found.within)
    assert found.total == pytest.approx(found.between.total)


def test_without_use_covariates_change_nothing():
    """A covariate that unit and period effects explain leaves the plain pairs."""
    frame, _ = with_covariate()
    frame = frame.assign(idle=0.1 * frame["unit"] + frame["time"] / 3)
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", covariates="idle")
    found, plain = parts_of(design), decompose(design.outcomes, design.cohorts, design.periods)
    assert found.total == pytest.approx(plain.total, rel=1e-9)
    clean = {t: w for t, k, w in zip(plain.treated, plain.kind, plain.weight, strict=True)
             if k == CLEAN}  # fmt: skip
    for treated, kind, weight in zip(
        found.between.treated, found.between.kind, found.between.weight, strict=True
    ):
        if kind == CLEAN:
            assert weight == pytest.approx(clean[treated], rel=1e-9)
