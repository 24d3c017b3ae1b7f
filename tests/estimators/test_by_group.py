"""Effects by class of units: identities, the joint test's size and power, refusals."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Imputation, Panel, simulate
from impact.errors import DesignError, EstimationError, InferenceError, PanelError
from impact.estimators.by_group import EffectsByGroup

EXACT = 1e-10


def panel(seed=1, gap=0.0, n_units=240, **settings) -> pd.DataFrame:
    frame = simulate.staggered_panel(
        seed, n_units=n_units, periods=5, cohorts=(3, 4), n_clusters=60, assignment="random",
        **settings,
    ).frame  # fmt: skip
    frame["size"] = np.where(frame["unit"] % 3 == 0, "large", "small")
    large = (frame["size"] == "large") & (frame["treated"] == 1)
    return frame.assign(outcome=frame["outcome"] + gap * large)


def fit(frame, estimator=None, by="size", **settings):
    inner = estimator or CallawaySantAnna()
    design = Design(
        Panel(frame, unit="unit", time="time"), outcome="outcome", cohort="cohort", **settings
    )
    return EffectsByGroup(estimator=inner, by=by).fit(design)


@pytest.mark.parametrize("estimator", [CallawaySantAnna(), Imputation()])
@pytest.mark.parametrize("settings", [{}, {"clusters": "cluster"}])
def test_rows_are_the_estimator_on_each_class(estimator, settings):
    frame = panel()
    result = fit(frame, estimator, **settings)
    for row, part in (
        (0, frame),
        (1, frame[frame["size"] == "large"]),
        (2, frame[frame["size"] == "small"]),
    ):
        design = Design(
            Panel(part, unit="unit", time="time"), outcome="outcome", cohort="cohort", **settings
        )
        alone = estimator.fit(design).att()
        assert result.estimates[row] == pytest.approx(alone.estimates[0], rel=EXACT)
        assert result.std_errors[row] == pytest.approx(alone.std_errors[0], rel=1e-9)
    assert list(result.cells["term"]) == ["all units", "size = large", "size = small"]


def test_classes_of_other_units_are_independent_and_their_test_is_a_z_test():
    result = fit(panel())
    V = result.covariance().to_numpy()
    assert abs(V[1, 2]) < 1e-15
    z = (result.estimates[1] - result.estimates[2]) / np.sqrt(V[1, 1] + V[2, 2])
    assert result.extra["equality"].statistic == pytest.approx(z**2, rel=1e-9)
    shared = fit(panel(cluster_noise=1.0), clusters="cluster").covariance().to_numpy()
    assert abs(shared[1, 2]) > 0


def test_a_class_without_treated_units_is_nan_with_its_reason():
    frame = panel()
    frame["sector"] = frame["unit"] % 3
    frame = frame[~((frame["sector"] == 2) & frame["cohort"].notna())]
    result = fit(frame, by="sector")
    assert np.isnan(result.estimates[3])
    assert "no unit is ever treated" in result.cells["note"].iloc[3]
    assert result.extra["equality"].restrictions == 1


def test_refusals():
    frame = panel()
    with pytest.raises(DesignError, match='"unit_number" takes 240 values'):
        fit(frame.assign(unit_number=frame["unit"]), by="unit_number")
    with pytest.raises(DesignError, match='"one" takes 1 value'):
        fit(frame.assign(one=1), by="one")
    with pytest.raises(PanelError, match="changes within"):
        fit(frame.assign(now=frame["time"] % 2), by="now")
    with pytest.raises(DesignError, match="estimator is an estimator such as"):
        EffectsByGroup(estimator="CallawaySantAnna", by="size")
    only = frame[(frame["size"] == "large") | frame["cohort"].isna()]
    with pytest.raises(EstimationError, match="fewer than two classes"):
        fit(only)
    some = frame.assign(size=frame["size"].where(frame["unit"] > 10))
    assert "11 units without size" in fit(some).summary()


@pytest.mark.slow
def test_the_equality_test_keeps_its_size_and_finds_differences():
    draws = 300
    rejected = [fit(panel(s)).extra["equality"].p_value < 0.05 for s in range(draws)]
    # 0.05 +- 3 Monte Carlo standard errors of 300 draws.
    assert 0.012 <= np.mean(rejected) <= 0.088
    found = [fit(panel(s, gap=1.5)).extra["equality"].p_value < 0.05 for s in range(60)]
    assert np.mean(found) > 0.9


def test_a_class_of_few_is_inferred_from_its_own_clusters():
    frame = panel()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()
    never = frame.loc[frame["cohort"].isna(), "unit"].unique()
    rare = [*treated[:2], *never[:10]]
    frame["size"] = np.where(frame["unit"].isin(rare), "rare", "usual")
    result = fit(frame)
    shown = result.tidy().set_index("term")
    assert shown.loc["size = rare", "inference"] == "permutation"
    alone = Design(
        Panel(frame[frame["size"] == "rare"], unit="unit", time="time"),
        outcome="outcome",
        cohort="cohort",
    )
    own = CallawaySantAnna().fit(alone).att().tidy().iloc[0]
    for column in ("estimate", "p_value", "conf_low", "conf_high", "inference"):
        assert shown.loc["size = rare", column] == own[column]
    test = result.extra["equality"]
    assert np.isnan(test.p_value)
    assert "fewer than 15 treated or untreated clusters in size = rare" in str(test)
    assert shown.loc["all units", "inference"] == "own"
    assert "inference" not in result.att().tidy()
    assert result.infer("cr1").std_errors == pytest.approx(result.std_errors)


def test_classes_can_be_combined():
    result = fit(panel(gap=1.0))
    gap = result.contrasts([[0, 1, -1]], ["large less small"])
    shown = gap.tidy().iloc[0]
    matrix = result.covariance().to_numpy()
    error = np.sqrt(matrix[1, 1] + matrix[2, 2] - 2 * matrix[1, 2])
    assert shown["estimate"] == pytest.approx(result.estimates[1] - result.estimates[2], rel=EXACT)
    assert shown["std_error"] == pytest.approx(error, rel=EXACT)
    assert shown["p_value"] < 0.05
    with pytest.raises(InferenceError, match='"wild" exists for each class of units alone'):
        gap.infer("wild")
    with pytest.raises(InferenceError, match='"large less small" combines classes of units'):
        gap.evidence()
    named_alike = result.contrasts([[0, 1, -1]], ["size = large"])
    assert named_alike.tidy()["p_value"].iloc[0] == shown["p_value"]
    # A combination is one whatever its name and value, here those of a class.
    alike = result.contrasts([[0, 1, 0]], ["size = large"])
    assert alike.estimates[0] == result.estimates[1]
    with pytest.raises(InferenceError, match='"size = large" combines classes of units'):
        alike.evidence()


def test_a_combination_with_a_class_of_few_has_no_p_value_unasked():
    frame = panel()
    treated = frame.loc[frame["cohort"].notna(), "unit"].unique()
    never = frame.loc[frame["cohort"].isna(), "unit"].unique()
    rare = [*treated[:2], *never[:10]]
    frame["size"] = np.where(frame["unit"].isin(rare), "rare", "usual")
    gap = fit(frame).contrasts([[0, 1, -1]], ["rare less usual"])
    assert np.isnan(gap.tidy()["p_value"].iloc[0])
    assert "treated or untreated clusters in size = rare; infer" in gap.summary()
    assert gap.infer("cr1").tidy()["p_value"].iloc[0] >= 0
