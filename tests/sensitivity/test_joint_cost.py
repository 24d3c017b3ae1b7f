"""The joint test of the specification curve needs estimates, not estimators' own placebos."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from impact.estimators import (
    ESTIMATORS,
    CallawaySantAnna,
    SyntheticControl,
    SyntheticDiD,
    estimator_class,
)
from impact.estimators.base import Estimator
from impact.sensitivity import Specification, specification_curve, specifications
from impact.sensitivity.specification_curve import MOST_SEARCHES

DRAWS = 9
CLOSED_FORM = 1e-12


def small_frame(n_units=12, n_treated=2, effect=0.0):
    """Units over seven years, the first ones treated from the fifth."""
    rng = np.random.default_rng(4)
    unit, year = np.meshgrid(np.arange(n_units), np.arange(2010, 2017), indexing="ij")
    cohort = np.where(unit < n_treated, 2014.0, np.nan)
    y = rng.normal(size=n_units)[:, None] + effect * (year >= cohort) + rng.normal(size=unit.shape)
    columns = {"firm": unit, "year": year, "cohort": cohort, "y": y}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


@pytest.fixture
def fits(monkeypatch):
    """Settings of every fit made."""
    made, fit = [], Estimator.fit

    def record(self, design):
        made.append((type(self).__name__, self.settings().get("inference")))
        return fit(self, design)

    monkeypatch.setattr(Estimator, "fit", record)
    return made


@pytest.fixture(scope="module")
def few(design_of):
    """Callaway-Sant'Anna where two of twelve are treated."""
    return CallawaySantAnna().fit(design_of(small_frame()))


def test_default_specifications_are_refitted_without_placebos_of_their_own(few, fits):
    listed = [
        replace(s, estimator=type(s.estimator)(**{**s.estimator.settings(), "draws": 3}))
        if "draws" in s.estimator.settings()
        else s
        for s in specifications(few)
    ]
    finding = specification_curve(few, variants=listed, draws=2)
    table, joint = fits[: len(listed)], fits[len(listed) :]
    own = [(name, how) for name, how in table if how is not None]
    assert {name for name, _ in own} >= {"SyntheticControl", "SyntheticDiD"}
    assert all(how in ("auto", "placebo") for _, how in own)
    known = int(finding.table["estimate"].notna().sum())
    assert len(joint) == 3 * known
    assert {how for _, how in joint} == {None, "none"}
    assert 0 < finding.values["p_share"] <= 1


def test_joint_p_value_equals_a_loop_over_fits_with_placebos(design_of):
    frame = small_frame(n_units=8, n_treated=3)
    design = design_of(frame)
    estimators = (
        CallawaySantAnna(),
        SyntheticControl(draws=3),
        SyntheticDiD(inference="placebo", draws=3),
    )
    variants = [Specification(type(e).__name__, e, design) for e in estimators]
    result = CallawaySantAnna().fit(design)
    finding = specification_curve(result, variants=variants, draws=DRAWS, seed=3)
    paths, rng = frame.groupby("firm")["cohort"].first().to_numpy(), np.random.default_rng(3)

    def median(own):
        moved = design_of(frame.assign(cohort=np.repeat(own, 7)))
        return np.median([e.fit(moved).att().estimates[0] for e in estimators])

    actual, placebos = median(paths), [median(rng.permutation(paths)) for _ in range(DRAWS)]
    further = sum(abs(placebo) >= abs(actual) for placebo in placebos)
    assert finding.values["median"] == pytest.approx(actual, rel=CLOSED_FORM)
    assert finding.statistic == (1 + further) / (1 + DRAWS)
    assert 0 < further < DRAWS


def test_shares_cannot_be_compared_where_only_placebos_judge(few):
    variants = [
        Specification("once", SyntheticControl(draws=3), few.design),
        Specification("demeaned", SyntheticControl(draws=3, demean=True), few.design),
    ]
    finding = specification_curve(few, variants=variants, draws=2)
    assert np.isnan(finding.values["p_share"])
    assert finding.statistic >= 1 / 3


def test_what_is_too_slow_for_every_draw_is_left_out_and_told(design_of):
    def curve(n_treated):
        frame = small_frame(n_units=30, n_treated=n_treated)
        result = CallawaySantAnna().fit(design_of(frame))
        return specification_curve(result, draws=0)

    within, beyond = curve(MOST_SEARCHES // 2), curve(MOST_SEARCHES // 2 + 1)
    assert "SyntheticControl" in set(within.table["specification"])
    assert "SyntheticControl" not in set(beyond.table["specification"])
    assert "SyntheticDiD" in set(beyond.table["specification"])
    said = " ".join(beyond.notes)
    assert (
        "SyntheticControl is not in the curve, since it searches donors' weights 12 times" in said
    )
    # Four periods before treatment: each of six units is weighed once and without each period.
    assert (
        "AugmentedSyntheticControl is not in the curve, since it searches donors' weights 30"
        in said
    )
    assert "MatrixCompletion is not in the curve, since it searches for a number of" in said
    assert not any(note.startswith("SyntheticControl") for note in within.notes)


def test_variants_given_are_run_whatever_they_cost(few):
    variants = [Specification(s.label, s.estimator, s.design) for s in specifications(few)[:2]]
    notes = specification_curve(few, variants=variants, draws=0).notes
    assert notes == ("No joint test was run; ask for it with draws=.",)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_with_an_inference_setting_can_do_without(name):
    estimator = estimator_class(name)
    if "inference" in inspect.signature(estimator).parameters:
        assert estimator(inference="none").settings()["inference"] == "none"
