"""Blocks with crossing effects written out, against dummies laid out row by row."""

import numpy as np
import pandas as pd
import pytest

from impact import Design, Panel, TwoWayFixedEffects
from impact.inference.clusters import full_regression
from impact.inference.crossed_blocks import crossed_blocks
from impact.inference.wild import wild_cluster_test
from impact.kernels.absorb import absorb
from impact.kernels.blocks import cluster_blocks
from impact.kernels.groups import compact
from impact.kernels.least_squares import find_redundant, least_squares

EXACT = 1e-10
"""Closed forms from the same numbers in another order."""


def make_case(kind, n_regressors=2, seed=0):
    """Return outcome, regressors, effects nested in clusters, effects crossing them, clusters."""
    rng = np.random.default_rng(seed)
    n_units, n_periods = 40, 7
    unit = np.repeat(np.arange(n_units), n_periods)
    time = np.tile(np.arange(n_periods), n_units)
    if kind in ("gaps", "two crossing", "units as clusters"):
        keep = rng.random(len(unit)) > 0.3
        unit, time = unit[keep], time[keep]
    cluster = unit if kind == "units as clusters" else unit % 6
    if kind == "periods of one cluster":
        time = np.where(unit % 6 == 0, time, time + n_periods)
    x = rng.normal(size=(n_regressors, len(unit))) + rng.normal(size=40)[unit]
    y = x.sum(axis=0) + rng.normal(size=(40, 20))[unit, time] * (1 + unit % 3)
    crossing = [] if kind == "none crossing" else [compact(time)]
    if kind == "two crossing":
        crossing.append(compact((unit % 4) * 10 + time % 2))
    nested = [] if kind == "pooled" else [compact(unit)]
    return y, x, nested, crossing, compact(cluster)


def fit_of(y, x, effects):
    absorber = absorb(effects)
    return least_squares(y, x, sweep=absorber.sweep, n_effects=absorber.rank)


def dense_blocks(fit, nested, crossing, clusters):
    """Write dummies out row by row, less unit means; the fit's own columns are swept of all."""
    dummies = np.zeros((0, len(fit.residuals)))
    for effect in crossing:
        dummies = np.concatenate((dummies, np.eye(effect.size)[:, effect.codes]))
    for effect in nested:
        dummies = dummies - effect.spread(effect.total(dummies) / effect.counts)
    columns = np.concatenate((fit.regressors, dummies))
    outcome = fit.residuals + fit.coefficients @ fit.regressors
    return cluster_blocks(outcome, columns, clusters.codes, clusters.size)


KINDS = [
    "balanced",
    "gaps",
    "two crossing",
    "units as clusters",
    "pooled",
    "periods of one cluster",
    "none crossing",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_regressors", [1, 5])
def test_blocks_equal_dummies_written_out(kind, n_regressors):
    y, x, nested, crossing, clusters = make_case(kind, n_regressors)
    fit = fit_of(y, x, [*nested, *crossing])
    found = crossed_blocks(fit, nested[0] if nested else None, crossing, clusters)
    dense = dense_blocks(fit, nested, crossing, clusters)
    k, kept = n_regressors, found.gram.shape[1]
    assert kept == np.linalg.matrix_rank(dense.gram.sum(axis=0), tol=1e-8)
    scale = np.abs(dense.gram).max()
    before = np.concatenate((np.zeros(k), *(effect.counts for effect in crossing)))
    dropped = {r.column for r in find_redundant(dense.gram.sum(axis=0), before)}
    left = np.array([j for j in range(dense.gram.shape[1]) if j not in dropped])
    np.testing.assert_allclose(found.gram, dense.gram[:, left[:, None], left], atol=EXACT * scale)
    np.testing.assert_allclose(found.cross, dense.cross[:, left], atol=EXACT * scale)
    np.testing.assert_allclose(found.total, dense.total, rtol=EXACT)
    np.testing.assert_allclose(found.coefficients[:k], fit.coefficients, rtol=EXACT)
    np.testing.assert_allclose(found.coefficients[k:], 0.0, atol=EXACT * np.abs(y).max())


@pytest.mark.parametrize("kind", ["balanced", "gaps", "two crossing", "pooled", "none crossing"])
def test_inference_is_that_of_dummies_written_out(kind):
    """CR2, CR3, degrees of freedom and the wild bootstrap, from weights of one (the dense way)."""
    y, x, nested, crossing, clusters = make_case(kind)
    effects = [*nested, *crossing]
    fit = fit_of(y, x, effects)
    cheap = full_regression(fit, y, x, None, effects, None, clusters).blocks
    dense = full_regression(fit, y, x, np.ones(len(y)), effects, None, clusters).blocks
    contrasts = [np.eye(blocks.gram.shape[1])[:2] for blocks in (cheap, dense)]
    for power in (-0.5, -1.0):
        errors = [
            contrast @ blocks.bread @ blocks.adjusted_scores(power).T
            for blocks, contrast in zip((cheap, dense), contrasts, strict=True)
        ]
        np.testing.assert_allclose(*errors, rtol=1e-8, atol=1e-10)
    freedoms = [
        b.satterthwaite(contrast) for b, contrast in zip((cheap, dense), contrasts, strict=True)
    ]
    np.testing.assert_allclose(*freedoms, rtol=1e-9)
    tests = [
        wild_cluster_test(b.gram, b.cross, contrast[0], draws=499, variance=variance, null=0.8)
        for b, contrast in zip((cheap, dense), contrasts, strict=True)
        for variance in ("cr1", "cr3")
    ]
    for one, other in zip(tests[:2], tests[2:], strict=True):
        assert one.p_value == other.p_value
        assert one.estimate == pytest.approx(other.estimate, rel=EXACT)
        assert one.confidence_set.low == pytest.approx(other.confidence_set.low, rel=1e-8)


def test_views_of_one_fit_share_their_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    unit, time = np.divmod(np.arange(600), 6)
    frame = pd.DataFrame({"unit": unit, "time": time, "y": rng.normal(size=600)})
    frame = frame.assign(place=unit % 12, cohort=np.where(unit % 12 < 5, 3.0, np.nan))
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="y", cohort="cohort", clusters="place")
    result = TwoWayFixedEffects().fit(design)
    first = result.uncertainty.blocks
    assert result.uncertainty.with_kind("CR2").blocks is first
    assert result.att().uncertainty.combine(np.ones((1, 1))).blocks is first


def test_a_cluster_without_rows_at_a_level_has_zeros_there():
    y, x, nested, crossing, clusters = make_case("periods of one cluster", 1)
    fit = fit_of(y, x, [*nested, *crossing])
    found = crossed_blocks(fit, nested[0], crossing, clusters)
    own = np.abs(found.gram).sum(axis=1) > 0
    assert own[0, 1:].sum() < own.shape[1] - 1


WEIGHTED = [kind for kind in KINDS if kind != "none crossing"]


@pytest.mark.parametrize("kind", WEIGHTED)
@pytest.mark.parametrize("n_regressors", [1, 5])
@pytest.mark.parametrize("fixed", [True, False])
def test_weighted_blocks_give_what_dummies_by_row_give(kind, n_regressors, fixed):
    """Wild draws and leverages agree whichever columns span the regression."""
    y, x, nested, crossing, clusters = make_case(kind, n_regressors)
    rng = np.random.default_rng(5)
    weights = rng.uniform(0.5, 3, 40)[nested[0].codes] if fixed and nested else None
    weights = rng.uniform(0.5, 3, len(y)) if weights is None else weights
    effects = [*nested, *crossing]
    absorber = absorb(effects, weights)
    fit = least_squares(y, x, weights, sweep=absorber.sweep, n_effects=absorber.rank)
    found = crossed_blocks(fit, nested[0] if nested else None, crossing, clusters)
    rows = full_regression(fit, y, x, weights, effects, None, clusters, with_rows=True).blocks
    assert found.gram.shape == rows.gram.shape
    for j in range(n_regressors):
        contrast = np.eye(found.gram.shape[1])[j]
        ours = wild_cluster_test(found.gram, found.cross, contrast, draws=199)
        theirs = wild_cluster_test(rows.gram, rows.cross, contrast, draws=199)
        assert ours.estimate == pytest.approx(fit.coefficients[j], rel=EXACT)
        assert ours.p_value == theirs.p_value
        assert ours.std_error == pytest.approx(theirs.std_error, rel=1e-9)
    swept = absorber.sweep(y[None, :].copy())[0]
    np.testing.assert_allclose(found.total.sum(), swept**2 @ weights, rtol=1e-9)
