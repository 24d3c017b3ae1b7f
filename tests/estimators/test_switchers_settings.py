"""Which switchers, compared with whom, and less what covariates do: numbers, by hand, refusals."""

import numpy as np
import pandas as pd
import pytest
from did import by_hand, switching

from impact import Design, Panel
from impact.errors import DesignError, PanelError
from impact.estimators.switchers import SwitchersDiD
from impact.kernels.switcher_trends import covariate_trends
from impact.kernels.switchers import horizon_effect, switch_paths

EXACT = 1e-10
# Half a unit of the tenth decimal stored.
STORED = 6e-11


def fit(frame, *, covariates=(), clusters=None, **settings):
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", dose="dose", covariates=covariates, clusters=clusters)
    return SwitchersDiD(**settings).fit(design)


# py-did-multiplegt-dyn 0.1.9: effects 1 and 2 and placebo 1 with effects=2, placebo=1, and their
# standard errors by unit and by place.
SETTINGS = {
    "rise": (  # switchers="in"
        {"direction": "rise"},
        [0.9714440654, 0.8455455548, 0.1216511746],
        [0.1554114562, 0.264782684, 0.1542595007],
        [0.1139709322, 0.2357791792, 0.1240935412],
    ),
    "fall": (  # switchers="out"
        {"direction": "fall"},
        [0.7340038486, 0.9520851311, 0.0172336907],
        [0.226402462, 0.3551723761, 0.3429120757],
        [0.2137821778, 0.3561475468, 0.3545616669],
    ),
    "within": (  # trends_nonparam=["k"]
        {"within": "k"},
        [1.0299153336, 0.9953812101, 0.1653974366],
        [0.1951247134, 0.3917752989, 0.2007874693],
        [0.2169330565, 0.4693022945, 0.1806313244],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_switchers_and_strata_equal_the_authors_package(name):
    settings, estimates, by_unit, by_place = SETTINGS[name]
    frame = switching().assign(k=lambda f: f["unit"] // 2 % 3)
    for clusters, errors in ((None, by_unit), ("place", by_place)):
        found = fit(frame, effects=2, placebos=1, clusters=clusters, **settings)
        cells = found.cells.assign(std_error=found.std_errors).set_index("term")
        cells = cells.loc[["effect 1", "effect 2", "placebo 1"]]
        np.testing.assert_allclose(cells["estimate"], estimates, rtol=0, atol=STORED)
        np.testing.assert_allclose(cells["std_error"], errors, rtol=0, atol=STORED)


def test_never_changed_compares_with_units_that_are_known_never_to_change():
    """Unit 6 changes later, and when it did is not known: it never changes for nobody."""
    frame = by_hand()
    late = pd.DataFrame(
        [(6, 1, 0, 9.0), (6, 2, 0, 1.0), (6, 3, 0, 7.0), (6, 4, 1, 2.0)], columns=list(frame)
    )
    known = fit(pd.concat([frame, late]), comparison="never_changed").cells
    alone = fit(frame, comparison="never_changed").cells
    rise = known["term"] == "effect 1"
    before = alone["term"] == "effect 1"
    # Unit 6 rises in period 4: 2 - 7 less the mean of 6 - 4 and 9 - 9 among units 2 and 3.
    by_unit = known.loc[rise, "estimate"].item() * 3 - alone.loc[before, "estimate"].item() * 2
    assert by_unit == pytest.approx(-5 - 1, abs=EXACT)
    hidden = late[late["time"] != 3]
    unclear = fit(pd.concat([frame, hidden]), comparison="never_changed").cells
    np.testing.assert_allclose(unclear["estimate"], alone["estimate"], atol=EXACT)


# py-did-multiplegt-dyn 0.1.9, effects=3, placebo=2, controls=["x"].
CONTROLLED = [0.8820433782, 0.8275813717, 0.6987830398, -0.0154366118, 0.13671005]
CONTROLLED_ERRORS = [0.0931530517, 0.1939649049, 0.2765058715]


def test_estimates_with_covariates_equal_the_authors_package():
    cells = fit(switching(), covariates="x", effects=3, placebos=2).cells.set_index("term")
    terms = ["effect 1", "effect 2", "effect 3", "placebo 1", "placebo 2"]
    np.testing.assert_allclose(cells.loc[terms, "estimate"], CONTROLLED, rtol=0, atol=STORED)


# py-did-multiplegt-dyn 0.1.9, effects=2, placebo=1, only_never_switchers=True, without and with
# controls=["x"], on switching() with the rows that are absent filled in.
NEVER = {
    (): [0.8923021275, 0.8001682065, 0.0209738971],
    ("x",): [0.8651005610, 0.7456376479, -0.0180498962],
}


@pytest.mark.parametrize("covariates", NEVER)
def test_slopes_come_from_all_yet_to_change_where_others_never_compare(covariates):
    """The package counts units with an unknown date of change as never changed; none is here."""
    found = fit(switching(gaps=False), covariates=covariates, comparison="never_changed",
                effects=2, placebos=1)  # fmt: skip
    cells = found.cells.set_index("term").loc[["effect 1", "effect 2", "placebo 1"]]
    np.testing.assert_allclose(cells["estimate"], NEVER[covariates], rtol=0, atol=STORED)


def test_errors_with_covariates_differ_from_the_authors_package_by_two_slips():
    """It scales a slope's error by the cells of all baselines over those of its own, and takes
    the slope off once more where residuals are centred already. Doing both gives its digits.
    """
    panel = Panel(switching(), unit="unit", time="time")
    y, x = panel.matrix("outcome"), panel.matrix("x")[None]
    paths, weights = switch_paths(panel.matrix("dose")), np.ones(panel.n_units)
    trends = covariate_trends(y, x, paths, weights)
    yet = (np.arange(1, 7) < paths.steady[:, None]) & ~np.isnan(np.diff(y))
    for horizon, theirs in enumerate(CONTROLLED_ERRORS, start=1):
        effect = horizon_effect(trends.adjusted, paths, weights, horizon)
        ours, slipped, shift = effect.psi.copy(), effect.psi.copy(), 0.0
        for baseline in (0.0, 1.0):
            own = paths.baseline == baseline
            moved = horizon_effect(trends.covariates[0], paths, weights, horizon, among=own).total
            carried = moved * trends.influence[own, 0]
            ours[own] -= carried
            slipped[own] -= carried * yet.sum() / yet[own].sum()
            taken = (y - trends.adjusted)[own] / trends.covariates[0][own]
            shift += moved * np.nanmedian(taken)
        slipped += shift / len(slipped)
        assert np.sqrt(slipped @ slipped) / effect.size == pytest.approx(theirs, abs=STORED)
        found = fit(switching(), covariates="x", effects=horizon, placebos=0)
        expected = np.sqrt(ours @ ours) / effect.size
        assert found.std_errors[horizon - 1] == pytest.approx(expected, rel=EXACT)


def test_what_covariates_do_is_taken_off_exactly():
    frame = switching().assign(z=lambda f: np.sin(f["unit"] * f["time"]))
    plain = fit(frame, covariates=["x", "z"], effects=2, placebos=1)
    moved = frame.assign(outcome=frame["outcome"] + 3 * frame["x"] - 2 * frame["z"])
    found = fit(moved, covariates=["x", "z"], effects=2, placebos=1)
    np.testing.assert_allclose(found.estimates, plain.estimates, rtol=1e-9)
    np.testing.assert_allclose(found.std_errors, plain.std_errors, rtol=1e-9)
    assert "Less what changes of x, z do before a change." in found.summary()


def test_a_covariate_that_shows_nothing_before_a_change_is_left_aside_and_named():
    flat = switching().assign(z=lambda f: 1.0 * f["unit"])
    found, plain = fit(flat, covariates="z"), fit(flat)
    np.testing.assert_allclose(found.estimates, plain.estimates, atol=EXACT)
    np.testing.assert_allclose(found.std_errors, plain.std_errors, atol=EXACT)
    assert "does not vary before a change where treatment begins at 0.0, 1.0" in found.summary()


def test_notes_say_who_is_compared():
    frame = switching().assign(k=lambda f: f["unit"] // 2 % 3)
    said = fit(frame, direction="fall", comparison="never_changed", within="k").summary()
    assert 'same baseline treatment and the same "k" that never change.' in said
    assert "Only switchers whose first change is a fall." in said


def test_refusals():
    frame = switching()
    with pytest.raises(PanelError, match=r'"dose" changes within'):
        fit(frame, within="dose")
    some = frame.assign(k=frame["unit"].where(frame["unit"] > 4))
    with pytest.raises(DesignError, match=r'within="k" is missing for 5 units, first unit 0, 1, 2'):
        fit(some, within="k")
    with pytest.raises(DesignError, match="direction may be .* it was 'up'"):
        SwitchersDiD(direction="up")


@pytest.mark.slow
def test_errors_with_covariates_are_as_large_as_the_estimates_scatter():
    """300 draws of outcomes and covariates on the same treatment paths; 4 % is their own error."""
    base = switching().sort_values(["unit", "time"])
    estimates, variances = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=len(base))
        y = 0.5 * base["dose"] + 1.5 * x + rng.normal(size=len(base))
        found = fit(base.assign(x=x, outcome=y), covariates="x", effects=2, placebos=1)
        estimates.append(found.estimates)
        variances.append(found.std_errors**2)
    ratio = np.sqrt(np.mean(variances, axis=0)) / np.std(estimates, axis=0)
    assert (ratio > 0.88).all()
    assert (ratio < 1.15).all()
