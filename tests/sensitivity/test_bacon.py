"""Goodman-Bacon decomposition against bacondecomp, by hand, and against the regression."""

import numpy as np
import pytest

from impact.design import Design
from impact.errors import DesignError
from impact.estimators import CallawaySantAnna
from impact.panel import Panel
from impact.sensitivity import bacon
from impact.sensitivity.bacon import ALWAYS, CLEAN, EARLY, LATE, decompose

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
