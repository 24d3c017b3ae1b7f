"""Instrumental variables against linearmodels, by identity, and weak-instrument sets."""

import numpy as np
import pandas as pd
import pytest
from linearmodels.iv import IV2SLS, IVGMM, IVLIML

from impact import Design, FirstDifference, Panel, PanelIV
from impact.errors import DesignError, EstimationError, InferenceError
from impact.inference.wild import wild_cluster_test

CLOSED_FORM = 1e-8


def sample(seed=0, n_units=80, periods=5, strength=1.0):
    """x correlates with the error; z and z2 move it and are excluded; true effect 1."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"unit": np.repeat(range(n_units), periods), "time": np.tile(range(periods), n_units)}
    )
    n = len(frame)
    unit = rng.normal(size=n_units)[frame["unit"]]
    error = rng.normal(size=n)
    frame["z"], frame["z2"], frame["w"] = rng.normal(size=(3, n))
    frame["x"] = strength * (frame["z"] + 0.5 * frame["z2"]) + error + unit + rng.normal(size=n)
    frame["y"] = frame["x"] + 0.5 * frame["w"] + unit + error + rng.normal(size=n)
    frame["share"] = rng.uniform(0.5, 2, n)
    return frame


def design_of(frame, **settings):
    settings = {"covariates": ["x", "w"], **settings}
    return Design(Panel(frame, unit="unit", time="time"), outcome="y", **settings)


@pytest.mark.parametrize("method", ["2sls", "liml"])
@pytest.mark.parametrize("weights", [None, "share"])
def test_pooled_equals_linearmodels(method, weights):
    frame = sample()
    model = IV2SLS if method == "2sls" else IVLIML
    theirs = model(
        frame["y"], frame[["w"]].assign(constant=1.0), frame[["x"]], frame[["z", "z2"]],
        weights=None if weights is None else frame[weights],
    ).fit(cov_type="robust", debiased=True)  # fmt: skip
    ours = PanelIV(
        endogenous="x", instruments=["z", "z2"], method=method, effects=(), covariance="HC1"
    ).fit(design_of(frame, weights=weights))
    order = ours.cells["term"].tolist()
    np.testing.assert_allclose(ours.estimates, theirs.params[order], rtol=CLOSED_FORM)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors[order], rtol=CLOSED_FORM)


def test_liml_with_two_endogenous_regressors_whatever_their_size():
    """linearmodels 7.1 agrees on columns of one size; it loses digits of kappa on others."""
    frame = sample()
    frame["w"] += frame["x"]
    frame["z3"] = frame["w"] + np.random.default_rng(9).normal(size=len(frame))
    settings = {"endogenous": ["x", "w"], "instruments": ["z", "z2", "z3"], "method": "liml"}
    ours = PanelIV(**settings, effects=(), covariance="classical").fit(design_of(frame))
    instruments = frame[["z", "z2", "z3"]]
    constant = frame[[]].assign(constant=1.0)
    theirs = IVLIML(frame["y"], constant, frame[["x", "w"]], instruments).fit(
        cov_type="unadjusted", debiased=True
    )
    order = ours.cells["term"].tolist()
    np.testing.assert_allclose(ours.estimates, theirs.params[order], rtol=CLOSED_FORM)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors[order], rtol=CLOSED_FORM)
    large = frame.assign(y=frame["y"] * 1e9, w=frame["w"] * 1e-4)
    again = PanelIV(**settings, effects=(), covariance="classical").fit(design_of(large))
    np.testing.assert_allclose(again.estimates / ours.estimates, [1e9, 1e13, 1e9], rtol=1e-9)


def test_absorbed_effects_equal_dummies():
    frame = sample(n_units=30)
    frame = frame[np.random.default_rng(1).random(len(frame)) > 0.1].reset_index(drop=True)
    dummies = pd.get_dummies(frame[["unit", "time"]].astype(str), dtype=float).iloc[:, 1:]
    exogenous = pd.concat([frame[["w"]], dummies], axis=1)
    theirs = IV2SLS(frame["y"], exogenous, frame[["x"]], frame[["z", "z2"]]).fit(
        cov_type="unadjusted", debiased=True
    )
    ours = PanelIV(endogenous="x", instruments=["z", "z2"], covariance="classical").fit(
        design_of(frame)
    )
    np.testing.assert_allclose(ours.estimates, theirs.params[["x", "w"]], rtol=CLOSED_FORM)
    np.testing.assert_allclose(ours.std_errors, theirs.std_errors[["x", "w"]], rtol=CLOSED_FORM)
    np.testing.assert_allclose(
        ours.extra["overidentification"].statistic, theirs.sargan.stat, rtol=CLOSED_FORM
    )


@pytest.mark.parametrize("weights", [None, "share"])
@pytest.mark.parametrize("kind", ["HC1", "CR1"])
def test_hansen_equals_efficient_gmm_of_linearmodels(kind, weights):
    """Two steps from two-stage least squares, moments not centred (Stata's ivreg2)."""
    frame = sample()
    weighting = (
        {"weight_type": "robust", "center": False}
        if kind == "HC1"
        else {"weight_type": "clustered", "clusters": frame["unit"], "center": False}
    )
    theirs = IVGMM(
        frame["y"], frame[["w"]].assign(constant=1.0), frame[["x"]], frame[["z", "z2"]],
        weights=None if weights is None else frame[weights], **weighting,
    ).fit(iter_limit=2)  # fmt: skip
    estimator = PanelIV(endogenous="x", instruments=["z", "z2"], effects=(), covariance=kind)
    ours = estimator.fit(design_of(frame, weights=weights)).extra["hansen"]
    np.testing.assert_allclose(ours.statistic, theirs.j_stat.stat, rtol=1e-6)
    assert ours.restrictions == 1
    few = estimator.fit(design_of(frame[frame["unit"] < 3])).extra["hansen"]
    assert kind == "HC1" or few.note == "clusters are too few to measure all moments"


def test_wu_hausman_equals_linearmodels():
    frame = sample()
    theirs = IV2SLS(
        frame["y"], frame[["w"]].assign(constant=1.0), frame[["x"]], frame[["z", "z2"]]
    ).fit()
    ours = PanelIV(endogenous="x", instruments=["z", "z2"], effects=()).fit(design_of(frame))
    np.testing.assert_allclose(
        ours.extra["exogeneity"].statistic, theirs.wu_hausman().stat, rtol=CLOSED_FORM
    )


def test_a_regressor_that_instruments_itself_gives_least_squares():
    frame = sample()
    frame["same"] = frame["x"] * 1.0
    iv = PanelIV(endogenous="x", instruments="same", span=1).fit(design_of(frame))
    plain = FirstDifference().fit(design_of(frame))
    np.testing.assert_allclose(iv.estimates, plain.estimates, rtol=CLOSED_FORM)
    np.testing.assert_allclose(iv.std_errors, plain.std_errors, rtol=CLOSED_FORM)


def test_just_identified_liml_is_two_stage_least_squares():
    fits = [
        PanelIV(endogenous="x", instruments="z", method=method).fit(design_of(sample()))
        for method in ("2sls", "liml")
    ]
    np.testing.assert_allclose(fits[1].estimates, fits[0].estimates, rtol=CLOSED_FORM)
    assert fits[0].extra["overidentification"] is None


def test_anderson_rubin_set_is_where_its_test_does_not_reject():
    frame = sample(3)
    result = PanelIV(endogenous="x", instruments=["z", "z2"]).fit(design_of(frame))
    accepted = result.extra["anderson_rubin_set"]
    assert accepted.is_bounded
    ((low, high),) = accepted.intervals
    assert low < result.estimates[0] < high
    for value in (low, high):
        moved = frame.assign(y=frame["y"] - value * frame["x"])
        test = PanelIV(endogenous="x", instruments=["z", "z2"]).fit(design_of(moved))
        np.testing.assert_allclose(test.extra["anderson_rubin"].p_value, 0.05, rtol=1e-4)


def test_weak_instruments_are_flagged_and_their_set_may_be_unbounded():
    result = PanelIV(endogenous="x", instruments="z").fit(design_of(sample(2, strength=0.01)))
    assert any("Instruments are weak" in note for note in result.notes)
    assert not result.extra["anderson_rubin_set"].is_bounded


def test_effective_f_is_the_robust_f_with_one_instrument():
    table = PanelIV(endogenous="x", instruments="z").fit(design_of(sample())).extra["first_stage"]
    np.testing.assert_allclose(table["effective_f"], table["wald"], rtol=1e-10)


def test_missing_instruments_are_left_out_and_counted():
    frame = sample()
    frame.loc[:9, "z"] = np.nan
    result = PanelIV(endogenous="x", instruments="z").fit(design_of(frame))
    assert result.extra["n_rows"] == 390
    assert result.notes[0] == "10 rows with a missing instrument left out."
    kept = PanelIV(endogenous="x", instruments="z").fit(design_of(frame.iloc[10:]))
    np.testing.assert_allclose(result.estimates, kept.estimates, rtol=1e-10)
    np.testing.assert_allclose(result.std_errors, kept.std_errors, rtol=1e-10)


def test_refusals():
    frame = sample()
    frame["twice"] = 2 * frame["z"]
    frame["fixed"] = frame["unit"] * 1.0
    design = design_of(frame)
    with pytest.raises(DesignError, match="0 endogenous regressors and 0 instruments"):
        PanelIV().fit(design)
    with pytest.raises(DesignError, match="at least as many instruments"):
        PanelIV(endogenous=["x", "w"], instruments="z").fit(design)
    with pytest.raises(DesignError, match='endogenous regressor "v" is not in the design'):
        PanelIV(endogenous="v", instruments="z").fit(design)
    with pytest.raises(DesignError, match='instrument "w" is also the outcome or a regressor'):
        PanelIV(endogenous="x", instruments="w").fit(design)
    with pytest.raises(EstimationError, match=r"1 instrument \(twice\) cannot be told"):
        PanelIV(endogenous="x", instruments=["z", "twice"]).fit(design)
    with pytest.raises(EstimationError, match=r"1 instrument \(fixed\) cannot be told"):
        PanelIV(endogenous="x", instruments=["z", "fixed"]).fit(design)
    repeated = design_of(frame.assign(again=2 * frame["x"]), covariates=["x", "again"])
    with pytest.raises(EstimationError, match="again, x cannot be told from the effects"):
        PanelIV(endogenous="x", instruments="z").fit(repeated)
    absorbed = design_of(frame.assign(x=frame["unit"] * 1.0))
    with pytest.raises(EstimationError, match="x cannot be told from the effects"):
        PanelIV(endogenous="x", instruments="z").fit(absorbed)
    with pytest.raises(InferenceError, match="covariance 'CR2' has no definition"):
        PanelIV(endogenous="x", instruments="z", covariance="CR2")
    result = PanelIV(endogenous="x", instruments="z").fit(design)
    with pytest.raises(InferenceError, match="no definition with instruments"):
        result.uncertainty.with_kind("CR3").covariance()


def brute_force_blocks(result, frame, weights):
    """Sum products of projected regressors and period dummies, free of units, by unit."""
    fit = result.extra["regression"].fit
    times = pd.get_dummies(frame["time"], dtype=float).to_numpy().T[1:]
    columns = np.concatenate(((fit.coefficients @ fit.regressors + fit.residuals)[None],
                              fit.regressors, times))  # fmt: skip
    blocks = []
    for unit in frame["unit"].unique():
        own = (frame["unit"] == unit).to_numpy()
        x, w = columns[:, own], weights[own]
        x = x - (x @ w / w.sum())[:, None]
        blocks.append((x * w) @ x.T)
    blocks = np.array(blocks)
    return blocks[:, 1:, 1:], blocks[:, 1:, 0]


@pytest.mark.parametrize("method", ["2sls", "liml"])
@pytest.mark.parametrize("weights", [None, "share"])
def test_bootstrap_is_that_of_projected_regressors_and_structural_residuals(method, weights):
    frame = sample(n_units=14)
    estimator = PanelIV(endogenous="x", instruments=["z", "z2"], method=method)
    result = estimator.fit(design_of(frame, weights=weights))
    rows = result.design.rows()
    share = np.ones(len(frame)) if weights is None else rows.weights
    gram, cross = brute_force_blocks(result, frame, share)
    contrast = np.zeros(gram.shape[1])
    contrast[0] = 1.0
    wanted = wild_cluster_test(gram, cross, contrast, draws=999, seed=1)
    assert wanted.estimate == pytest.approx(result.estimates[0], rel=CLOSED_FORM)
    own = result.evidence(0)
    direction = np.linalg.solve(gram.sum(axis=0), contrast)
    leverage = np.einsum("k,gkl,l->g", direction, gram, direction) / direction[0]
    np.testing.assert_allclose(own.leverage, leverage, rtol=CLOSED_FORM)
    scores = (own.blocks.cross - own.blocks.gram @ _coefficients(own.blocks))[:, :2]
    fit = result.extra["regression"].fit
    by_row = fit.regressors * fit.weighted_residuals
    summed = pd.DataFrame(by_row.T).groupby(frame["unit"].to_numpy()).sum()
    np.testing.assert_allclose(scores, summed, atol=1e-9)
    found = result.infer("wild", draws=999, seed=1).inferences()[0]
    assert found.p_value == pytest.approx(wanted.p_value, abs=1e-12)
    ends = [wanted.confidence_set.low, wanted.confidence_set.high]
    np.testing.assert_allclose([found.confidence_set.low, found.confidence_set.high], ends, 1e-6)


def _coefficients(blocks):
    return np.linalg.solve(blocks.gram.sum(axis=0), blocks.cross.sum(axis=0))


def test_few_clusters_get_no_correction_without_definition():
    result = PanelIV(endogenous="x", instruments="z").fit(design_of(sample(n_units=60)))
    assert set(result.infer("auto", draws=199).tidy()["inference"]) == {"wild"}
    with pytest.raises(InferenceError, match="cr2"):
        result.infer("cr2")
