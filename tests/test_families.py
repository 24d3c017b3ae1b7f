"""Families of outcomes: shared draws, agreement with the parts, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import (
    CallawaySantAnna,
    Design,
    Panel,
    PooledOLS,
    TwoWayFixedEffects,
    family,
    simulate,
)
from impact.errors import InferenceError
from impact.inference.dispatch import joint_draws
from impact.inference.multiplicity import adjust, sharpened_q_values


@pytest.fixture(scope="module")
def frame():
    truth = simulate.staggered_panel(
        3, n_units=34 * 4, periods=6, cohorts={4: 5 / 34}, n_clusters=34, effect=0.0,
        assigned_by="cluster", cluster_noise=0.3,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    y = truth.frame["outcome"]
    return truth.frame.assign(
        twin=y + 1e-3 * rng.normal(size=len(y)),
        strong=y + 3.0 * truth.frame["treated"],
        noise=rng.normal(size=len(y)),
    )


def fit(frame, outcome, estimator=None):
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome=outcome, cohort="cohort", clusters="cluster"
    )
    return (estimator or CallawaySantAnna()).fit(design)


@pytest.mark.parametrize("method", ["romano_wolf", "westfall_young"])
@pytest.mark.parametrize("estimator", [CallawaySantAnna(), TwoWayFixedEffects()])
def test_shared_draws_keep_dependence(frame, method, estimator):
    members = {name: fit(frame, name, estimator) for name in ("outcome", "twin", "strong", "noise")}
    table = family(members, method, draws=999).set_index("name")
    assert (table["adjusted"] >= table["p_value"] - 0.02).all()
    assert table.loc["strong", "adjusted"] < 0.05
    # Two copies of one outcome count as one: far below Bonferroni's doubling.
    twins = family({k: members[k] for k in ("outcome", "twin")}, method, draws=999)
    assert twins["adjusted"].max() == pytest.approx(twins["p_value"].max(), abs=0.03)
    again = family(members, method, draws=999).set_index("name")
    pd.testing.assert_frame_equal(table, again, check_exact=True)


def test_p_values_alone(frame):
    members = {name: fit(frame, name) for name in ("outcome", "strong", "noise")}
    alone = np.array([m.att().tidy()["p_value"][0] for m in members.values()])
    np.testing.assert_array_equal(family(members, "holm")["adjusted"], adjust(alone, "holm"))
    np.testing.assert_array_equal(
        family(members, "q_values")["adjusted"], sharpened_q_values(alone)
    )


@pytest.mark.parametrize("estimator", [CallawaySantAnna(), PooledOLS()])
def test_subgroups_on_other_clusters_are_independent(frame, estimator):
    """Two regions, two outcomes: the largest of independent maxima, by counting in each region."""
    frame = frame.assign(outcome=frame["outcome"] + 0.5 * frame["treated"])
    method = "permutation" if isinstance(estimator, CallawaySantAnna) else "wild"
    treated = np.sort(frame.loc[frame["cohort"].notna(), "cluster"].unique())
    north = np.where(frame["cohort"].isna(), frame["cluster"] % 2 == 0,
                     frame["cluster"].isin(treated[:2]))  # fmt: skip
    regions = {"north": north, "south": ~north}
    members = {
        f"{name} {outcome}": fit(frame[own], outcome, estimator).infer(method)
        for name, own in regions.items()
        for outcome in ("outcome", "noise")
    }
    adjusted = family(members, draws=5_000, seed=3).set_index("name")["adjusted"]
    drawn = {
        name: joint_draws(m.att().evidence(), method, draws=5_000, seed=5)
        for name, m in members.items()
    }
    largest = max(drawn, key=lambda name: abs(drawn[name].statistic))
    below = 1.0
    for region in regions:
        size = np.max([np.abs(d.drawn) for n, d in drawn.items() if n.startswith(region)], axis=0)
        below *= np.mean(size < abs(drawn[largest].statistic))
    error = 4 * np.sqrt(2 * below * (1 - below) / 5_000)
    assert adjusted[largest] == pytest.approx(1 - below, abs=error + 1e-4)
    again = family(members, draws=5_000, seed=3).set_index("name")["adjusted"]
    pd.testing.assert_series_equal(adjusted, again, check_exact=True)


def test_refusals(frame):
    one = fit(frame, "outcome")
    with pytest.raises(InferenceError, match="a family has two members or more; this has 1"):
        family({"one": one})
    with pytest.raises(InferenceError, match="method may be .* it was 'bonferoni'"):
        family({"one": one, "two": one}, "bonferoni")
    with pytest.raises(InferenceError, match=r'"bonferroni" is not offered.*"holm" dominates it'):
        family({"one": one, "two": one}, "bonferroni")
    fewer = fit(frame[frame["cluster"] != 3], "noise")
    with pytest.raises(InferenceError, match='"b" rests on other clusters than "a"'):
        family({"a": one, "b": fewer})
    cluster = np.sort(frame.loc[frame["cohort"].notna(), "cluster"].unique())
    moved = frame.assign(cohort=frame["cohort"].where(frame["cluster"] != cluster[0], 5.0))
    with pytest.raises(InferenceError, match="members of the family have different treatment"):
        family({"a": one, "b": fit(moved, "noise")})
    alone = frame[
        (frame["cohort"].isna() & (frame["cluster"] < 12)) | (frame["cluster"] == cluster[0])
    ]
    alone = alone[alone["time"].isin([3, 4])]
    lone = fit(alone, "outcome")
    with pytest.raises(InferenceError, match=r"exists for 2 members of the family \(a, b\)"):
        family({"a": lone, "b": lone})
