"""Figures of a synthetic control show what the fit holds."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel
from impact.errors import EstimationError, PlaceError
from impact.estimators.augmented_synthetic_control import AugmentedSyntheticControl
from impact.estimators.synthetic_control import SyntheticControl
from impact.estimators.synthetic_did import SyntheticDiD
from impact.estimators.synthetic_figures import (
    donor_map,
    donor_weights,
    leave_one_out_fan,
    paths_and_gap,
    placebo_fan,
)
from impact.places import codes, crosswalk, provinces


def design_of(n_treated=1):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 12)).cumsum(axis=1)
    y += 0.2 * rng.normal(size=(9, 12))
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(9), 12),
            "time": np.tile(np.arange(1, 13), 9),
            "y": y.ravel(),
            "g": np.repeat(np.where(np.arange(9) < n_treated, 9.0, np.nan), 12),
        }
    )
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")


@pytest.fixture
def fit():
    yield SyntheticControl().fit(design_of()).extra["fit"]
    plt.close("all")


def test_paths_are_drawn_above_their_gap(fit):
    above, below = paths_and_gap(fit, 9, outcome="jobs")
    observed, synthetic = (line.get_ydata() for line in above.lines[:2])
    np.testing.assert_allclose(observed - synthetic, below.lines[0].get_ydata(), atol=1e-12)
    assert above.get_ylabel() == "jobs"


def test_weights_drawn_sum_to_one(fit):
    ax = donor_weights(fit)
    widths = [bar.get_width() for bar in ax.patches]
    assert sum(widths) == pytest.approx(1.0)
    assert widths == sorted(widths)


def test_placebo_fan_draws_every_donor_or_says_which_not(fit):
    every = placebo_fan(fit, 9, within=None)
    # Eight donors, the treated unit, the zero line and the mark of the start.
    assert len(every.lines) == 8 + 3
    some = placebo_fan(fit, 9, within=1.0)
    assert len(some.lines) < 8 + 3
    assert "are not drawn" in some.get_title(loc="left")


def test_leave_one_out_fan_has_a_line_for_each_donor_used(fit):
    without = SyntheticControl().leave_one_out(design_of())
    ax = leave_one_out_fan(fit, without, 9)
    assert len(ax.lines) == without["left_out"].nunique() + 3


def provinces_fit(vintage):
    """Nine provinces, the first of them treated from 9 on."""
    frame = design_of().panel.frame
    names = provinces(vintage)["name_vi"].iloc[:9].to_numpy()
    frame = frame.assign(unit=np.repeat(names, 12))
    design = Design(Panel(frame, unit="unit", time="time"), outcome="y", cohort="g")
    return SyntheticControl().fit(design).extra["fit"], names


@pytest.mark.parametrize("vintage", [63, 34])
def test_donors_are_drawn_on_the_map_of_provinces(vintage):
    fit, names = provinces_fit(vintage)
    ax = donor_map(fit, vintage=vintage)
    weights = fit.unit_weights[names[0]].dropna()
    written = {text.get_text().split("\n")[-1] for text in ax.texts}
    assert {f"{w:.2f}" for w in weights[weights > 0]} <= written
    outlined = [patch for patch in ax.patches if patch.get_linewidth() == 2.4]
    merged = crosswalk()["code_34"].eq(codes([names[0]], vintage).iloc[0]).sum()
    assert len(outlined) == (1 if vintage == 63 else merged)
    gaps = donor_map(fit, show="gaps", start=9, vintage=vintage)
    own = fit.paths.loc[fit.paths["time"] >= 9, "gap"].mean()
    assert f"{own:,.3g}" in {text.get_text().split("\n")[-1] for text in gaps.texts}
    plt.close("all")


def test_a_map_refuses_units_that_are_no_provinces_and_gaps_without_a_start(fit):
    with pytest.raises(PlaceError):
        donor_map(fit, vintage=63)
    provincial, _ = provinces_fit(63)
    with pytest.raises(EstimationError, match=r"say from which on, start="):
        donor_map(provincial, vintage=63, show="gaps")
    with pytest.raises(EstimationError, match="show may be 'weights', 'gaps'; it was 'map'"):
        donor_map(provincial, vintage=63, show="map")
    plt.close("all")


@pytest.mark.parametrize("method", [SyntheticDiD, AugmentedSyntheticControl])
def test_fits_without_paths_are_refused_in_words(method):
    other = method(inference="none").fit(design_of()).extra["fit"]
    for draw in (paths_and_gap, placebo_fan):
        with pytest.raises(EstimationError, match=r"Fit keeps no path .* of SyntheticControl"):
            draw(other, 9)
    assert donor_weights(other).patches
    plt.close("all")


def test_refusals():
    two = SyntheticControl(draws=5).fit(design_of(2)).extra["fit"]
    with pytest.raises(EstimationError, match="holds no placebos of a single treated unit"):
        placebo_fan(two, 9)
    with pytest.raises(EstimationError, match="names one of the 2 treated units, 0, 1"):
        donor_weights(two)
    assert donor_weights(two, treated=1).get_xlabel().endswith("1")
    plt.close("all")
