"""Subcluster and two-way wild bootstraps of results, against refits draw by draw."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Panel, TwoWayFixedEffects
from impact.errors import InferenceError
from impact.inference.wild_draws import WildDraws

DRAWS = 199
EXACT = 1e-9
"""Refits by least squares on dummies against closed forms."""


def make_frame(n_places=9, n_units=3, n_years=7, n_treated=4, seed=0):
    """Units with gaps, in places; treatment starts in 2003 in the first places."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(n_places * n_units), n_years)
    year = np.tile(2000 + np.arange(n_years), n_places * n_units)
    place = unit // n_units
    frame = pd.DataFrame({"unit": unit, "year": year, "place": place})
    frame["cohort"] = np.where(place < n_treated, 2003.0, np.nan)
    frame["y"] = rng.normal(size=(n_places, n_years))[place, year - 2000] + rng.normal(
        size=len(unit)
    )
    return frame[rng.random(len(frame)) > 0.1].reset_index(drop=True)


def design_of(frame, clusters="place", **more):
    panel = Panel(frame, unit="unit", time="year")
    return Design(panel, outcome="y", cohort="cohort", clusters=clusters, **more)


def refitted_p_value(frame, draw_by, variance_by, n_draws=DRAWS, seed=0):
    """Restricted bootstrap with every draw refitted on unit and year dummies, row by row."""
    on = (frame["year"] >= frame["cohort"]).to_numpy(dtype=float)
    dummies = pd.get_dummies(frame[["unit", "year"]].astype(str), dtype=float).to_numpy()
    y = frame["y"].to_numpy()
    project = dummies @ np.linalg.pinv(dummies)
    x = on - project @ on
    restricted = y - project @ y
    groups = [
        pd.factorize(frame[name].astype(str).agg("-".join, axis=1))[0] for name in variance_by
    ]
    signs = [1, 1, -1] if len(groups) == 3 else [1]

    def statistic(outcome):
        swept = outcome - project @ outcome
        slope = x @ swept / (x @ x)
        scores = x * (swept - slope * x)
        parts = zip(groups, signs, strict=True)
        variance = sum(s * np.sum(np.bincount(g, scores) ** 2) for g, s in parts)
        return slope, variance

    slope, variance = statistic(y)
    codes = pd.factorize(frame[draw_by], sort=True)[0]
    v = np.concatenate(list(WildDraws(codes.max() + 1, "auto", n_draws, seed).blocks()), axis=1)
    more = 0
    for column in v.T:
        drawn, own = statistic(column[codes] * restricted)
        more += drawn**2 * variance >= slope**2 * own * (1 - 1e-9)
    enumerated = WildDraws(codes.max() + 1, "auto", n_draws, seed).enumerated
    return more / v.shape[1] if enumerated else (1 + more) / (1 + v.shape[1])


def test_subclusters_draw_by_unit_with_variances_by_cluster():
    frame = make_frame()
    result = TwoWayFixedEffects().fit(design_of(frame))
    shown = result.infer("wild_subcluster", draws=DRAWS).tidy().iloc[0]
    assert shown["p_value"] == refitted_p_value(frame, "unit", [["place"]])
    assert shown["inference"] == "wild_subcluster"
    assert shown["std_error"] == pytest.approx(result.std_errors[0], rel=EXACT)
    assert shown["conf_low"] < shown["estimate"] < shown["conf_high"]
    wild = result.infer("wild", draws=DRAWS).tidy().iloc[0]
    assert wild["p_value"] == refitted_p_value(frame, "place", [["place"]])


def test_two_way_bootstrap_draws_by_the_first_column():
    frame = make_frame(n_years=9)
    design = design_of(frame, clusters=["place", "year"])
    result = TwoWayFixedEffects().fit(design)
    shown = result.infer("wild_two_way", draws=DRAWS).tidy().iloc[0]
    assert shown["p_value"] == refitted_p_value(
        frame, "place", [["place"], ["year"], ["place", "year"]]
    )
    assert shown["conf_low"] < shown["estimate"] < shown["conf_high"]


def test_two_way_designs_with_few_clusters_do_not_keep_their_normal_intervals():
    frame = make_frame()
    study = TwoWayFixedEffects().fit(design_of(frame, clusters=["place", "year"]))
    assert "9 clusters, 4 treated, and 7 of the other dimension" in study.summary()
    assert study.tidy()["inference"].tolist() == ["permutation"]
    even = frame[frame["unit"] % 3 == 0]
    mixed = even.assign(
        cohort=np.where(even["unit"] % 2 == 0, 2003.0, np.nan), place=even["unit"] // 9
    )
    lone = TwoWayFixedEffects().fit(design_of(mixed, clusters=["place", "year"]))
    assert lone.tidy()["inference"].tolist() == ["none"]
    assert "too few of the one or the other for two-way variances" in lone.summary()
    assert lone.tidy()["p_value"].isna().all()


def test_two_way_designs_with_many_clusters_keep_their_standard_errors():
    rng = np.random.default_rng(0)
    unit, year = np.divmod(np.arange(60 * 55), 55)
    frame = pd.DataFrame({"unit": unit, "year": year, "y": rng.normal(size=len(unit))})
    frame["cohort"] = np.where(unit < 30, 25.0, np.nan)
    result = TwoWayFixedEffects().fit(design_of(frame, clusters=["unit", "year"]))
    assert "inference" in result.infer("auto").tidy()
    shown = result.tidy().iloc[0]
    assert shown["std_error"] == pytest.approx(result.std_errors[0], rel=EXACT)
    assert "none dominant: two-way clustered standard errors" in result.infer().summary()


def test_finer_bootstraps_without_their_blocks_are_refused():
    frame = make_frame(n_years=9)
    regression = TwoWayFixedEffects().fit(design_of(frame))
    with pytest.raises(InferenceError, match=r"two cluster dimensions; this design has 1"):
        regression.infer("wild_two_way")
    contributions = CallawaySantAnna().fit(design_of(frame)).att()
    for method in ("wild_subcluster", "wild_two_way"):
        with pytest.raises(InferenceError, match=rf'"{method}" needs the rows of a regression'):
            contributions.infer(method)
    moved = frame.assign(place=np.where(frame["year"] > 2004, 0, frame["place"]))
    crossing = TwoWayFixedEffects().fit(design_of(moved))
    with pytest.raises(InferenceError, match="units move between clusters"):
        crossing.infer("wild_subcluster")


def test_effects_of_single_years_have_no_two_way_inference():
    """Sixty units by unit and year: a year's effect rests on it and the base period alone."""
    rng = np.random.default_rng(4)
    unit, year = np.divmod(np.arange(120 * 10), 10)
    frame = pd.DataFrame({"unit": unit, "year": 2000 + year, "y": rng.normal(size=len(unit))})
    frame["cohort"] = np.where(unit < 60, 2005.0, np.nan)
    design = design_of(frame, clusters=["unit", "year"])
    overall = TwoWayFixedEffects().fit(design)
    assert overall.inferences() == [None]
    assert overall.uncertainty.df == 9
    effects = TwoWayFixedEffects(effect="event_study").fit(design)
    dated = effects.cells["event_time"].ne(-1).to_numpy()
    found = [effects.inferences()[row] for row in np.flatnonzero(dated)]
    assert {inference.method for inference in found} == {"permutation"}
    assert "treated clusters alone share would count as effects" in found[0].reason
    joint = effects.joint_test(dated)
    assert np.isnan(joint.p_value)
    assert "two-way covariances do not hold" in joint.note
    assert effects.infer("cr1").joint_test(dated).p_value >= 0
