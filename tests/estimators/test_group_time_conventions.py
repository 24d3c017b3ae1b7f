"""Group-time effects where did has a rule of its own: no never-treated units, units in a gap."""

import numpy as np
import pytest
from did import design, waves

from impact import CallawaySantAnna
from impact.errors import DesignError

# csdid 0.4.3's numbers are stored with nine digits.
STORED = 1e-8


def all_treated():
    """Cohorts 3, 4 and 5, and nobody who is never treated."""
    frame = waves().query("cohort > 0").copy()
    frame.loc[frame["unit"] % 8 == 3, "cohort"] = 5
    return frame


@pytest.mark.parametrize("base_period", ["varying", "universal"])
def test_without_never_treated_the_last_cohort_is_only_compared_with(base_period):
    result = CallawaySantAnna(base_period=base_period).fit(design(all_treated()))
    last = result.cells["cohort"] == 5
    unknown = last & (result.cells["note"] != "base period")
    assert result.cells.loc[unknown, "estimate"].isna().all()
    others = result.cells[~last & (result.cells["time"] < 5)]
    assert others["estimate"].notna().all()


def test_leads_without_never_treated_equal_did():
    """csdid 0.4.3, control_group="notyettreated", base_period="varying", aggte("dynamic")."""
    view = CallawaySantAnna(base_period="varying").fit(design(all_treated())).event_study()
    known = view.cells["estimate"].notna().to_numpy()
    np.testing.assert_array_equal(view.cells.loc[known, "event_time"], [-2, -1, 0, 1])
    np.testing.assert_allclose(
        view.estimates[known],
        [-0.04454079044026486, -0.15825005340967616, 0.585676286985127, 0.061658549942967336],
        rtol=STORED,
    )
    np.testing.assert_allclose(
        view.std_errors[known], [0.09659959, 0.10896661, 0.09333800, 0.25892073], rtol=1e-6
    )


def test_leads_without_never_treated_repeat_no_contrast():
    """Two mean changes among three cohorts leave two contrasts a period, so that all are tested."""
    result = CallawaySantAnna(base_period="varying").fit(design(all_treated()))
    assert result.pre_trends_test().restrictions == 3


def gaps_before():
    """A panel with gaps in which some units are only seen once treated."""
    frame = waves(gaps=True)
    unseen = frame["unit"].mod(12).isin((6, 8)) & frame["cohort"].eq(3) & frame["time"].lt(3)
    return frame[~unseen]


def test_units_seen_only_when_treated_are_rows_like_others():
    """csdid 0.4.3, control_group="notyettreated", allow_unbalanced_panel=True, aggte("simple")."""
    question = design(gaps_before(), never_treated=0)
    assert len(question.always_treated_units) == 40
    average = CallawaySantAnna(unbalanced="observations").fit(question).att("cell")
    assert average.estimates[0] == pytest.approx(2.2099885757443367, rel=STORED)
    assert average.std_errors[0] == pytest.approx(0.13627670496298125, rel=STORED)
    complete = CallawaySantAnna(unbalanced="complete_units").fit(question)
    assert not len(complete.design.always_treated_units)


def test_units_seen_only_when_treated_have_no_pair():
    with pytest.raises(DesignError, match="40 units are treated whenever observed"):
        CallawaySantAnna().fit(design(gaps_before(), never_treated=0))


@pytest.mark.parametrize("unbalanced", ["observations", "complete_units"])
def test_a_cohort_without_an_untreated_period_is_refused_whatever_the_rows(unbalanced):
    frame = gaps_before().query("time >= 3")
    with pytest.raises(DesignError, match="treated whenever observed"):
        CallawaySantAnna(unbalanced=unbalanced).fit(design(frame, never_treated=0))
