"""The simulations say the truth about themselves."""

import numpy as np
import pandas as pd
import pytest

from impact.errors import DesignError
from impact.simulate import staggered_panel

EXACT = 1e-12


def test_noise_free_difference_in_differences_is_the_true_effect():
    panel = staggered_panel(
        1, n_units=30, periods=6, cohorts=(3, 5), noise=0, effect=lambda e, g: 1 + 0.5 * e + g
    )
    wide = panel.frame.pivot(index="unit", columns="time", values="outcome")
    cohort = panel.frame.groupby("unit")["cohort"].first()
    means = wide.groupby(cohort.fillna(0)).mean()
    for cell in panel.cells.itertuples():
        before = cell.cohort - 1
        gain = means.loc[cell.cohort, cell.time] - means.loc[cell.cohort, before]
        trend = means.loc[0, cell.time] - means.loc[0, before]
        assert gain - trend == pytest.approx(cell.effect, abs=EXACT)


def test_aggregates_by_hand():
    panel = staggered_panel(
        1, n_units=12, periods=4, cohorts={2: 0.5, 4: 0.25}, effect=lambda e, g: 10 * e + g
    )
    # cohort 2 (share 1/2): 2, 12, 22 in periods 2, 3, 4; cohort 4 (share 1/4): 4 in period 4
    assert panel.by("cohort").to_dict() == {2.0: 12.0, 4.0: 4.0}
    assert panel.att("cohort") == pytest.approx((0.5 * 12 + 0.25 * 4) / 0.75)
    assert panel.att("cell") == pytest.approx((0.5 * (2 + 12 + 22) + 0.25 * 4) / 1.75)
    assert panel.by("time").to_list() == pytest.approx([2, 12, (0.5 * 22 + 0.25 * 4) / 0.75])
    assert panel.att("event_time") == pytest.approx(np.mean([(0.5 * 2 + 0.25 * 4) / 0.75, 12, 22]))


def test_effect_is_the_only_difference_from_the_untreated_outcome():
    panel = staggered_panel(3, effect=2.0, anticipation=1, effect_sd=0.0)
    gain = (panel.frame["outcome"] - panel.frame["untreated"]).to_numpy()
    event_time = (panel.frame["time"] - panel.frame["cohort"]).to_numpy()
    np.testing.assert_allclose(gain, np.where(event_time >= -1, 2.0, 0.0), atol=EXACT)
    assert panel.cells["event_time"].min() == -1
    assert panel.att() == 2.0


def test_shocks_have_the_stated_variance_and_correlation():
    panel = staggered_panel(
        5,
        n_units=20_000,
        periods=6,
        cohorts=(4,),
        unit_sd=0,
        time_sd=0,
        noise=2.0,
        serial_correlation=0.6,
    )
    shocks = panel.frame.pivot(index="unit", columns="time", values="untreated")
    assert shocks.std().to_numpy() == pytest.approx(2.0, rel=0.03)
    assert shocks.corr().loc[1, 2] == pytest.approx(0.6, abs=0.02)
    assert shocks.corr().loc[1, 4] == pytest.approx(0.6**3, abs=0.02)


def test_clusters_share_shocks_and_cohorts():
    panel = staggered_panel(
        7, n_units=60, n_clusters=12, assigned_by="cluster", noise=0, cluster_noise=1, unit_sd=0
    )
    cohort = panel.frame["cohort"].fillna(0)
    assert (cohort.groupby(panel.frame["cluster"]).nunique() == 1).all()
    spread = panel.frame.groupby(["cluster", "time"])["untreated"].std()
    assert spread.max() == pytest.approx(0, abs=EXACT)


def test_same_seed_same_bytes_and_missing_rows():
    full = staggered_panel(11, n_units=500)
    again = staggered_panel(11, n_units=500)
    pd.testing.assert_frame_equal(full.frame, again.frame, check_exact=True)
    thinned = staggered_panel(11, n_units=500, missing=0.2)
    assert len(thinned.frame) == pytest.approx(0.8 * len(full.frame), rel=0.03)
    kept = full.frame.set_index(["unit", "time"]).loc[
        pd.MultiIndex.from_frame(thinned.frame[["unit", "time"]])
    ]
    assert (kept["outcome"].to_numpy() == thinned.frame["outcome"].to_numpy()).all()


def test_random_assignment_keeps_population_shares_in_the_truth():
    panel = staggered_panel(2, cohorts={5: 0.3, 7: 0.3}, assignment="random")
    assert panel.cells.groupby("cohort")["share"].first().to_list() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cohorts": (5, 99)}, "cohorts 99 lie outside the periods 1 to 10"),
        ({"cohorts": {5: 0.8, 7: 0.4}}, "sum to 1.2"),
        ({"missing": 1.0}, "missing must be at least 0 and below 1; it was 1"),
        ({"n_clusters": 500}, "between 1 and n_units"),
        ({"assignment": "fxed"}, "assignment may be 'fixed', 'random'; it was 'fxed'"),
    ],
)
def test_refusals(settings, words):
    with pytest.raises(DesignError, match=words):
        staggered_panel(1, **settings)
