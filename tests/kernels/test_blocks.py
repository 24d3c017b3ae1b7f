"""Cluster blocks against projections written out row by row."""

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

from impact.errors import InferenceError
from impact.kernels.blocks import ClusterBlocks, cluster_blocks, weighted_adjustment

N_CLUSTERS = 12


@pytest.fixture(params=["ragged", "even"])
def data(request):
    rng = np.random.default_rng(0)
    even = np.repeat(np.arange(N_CLUSTERS), 10)
    clusters = even if request.param == "even" else np.sort(rng.integers(0, N_CLUSTERS, 120))
    regressors = rng.normal(size=(3, 120))
    regressors[0] = 1
    return rng.normal(size=120), regressors, clusters, rng.uniform(0.2, 3, 120)


def projection(regressors, weights):
    bread = np.linalg.inv((regressors * weights) @ regressors.T)
    return bread, regressors.T @ bread @ (regressors * weights)


@pytest.mark.parametrize("power", [-0.5, -1.0])
def test_adjusted_scores_equal_the_row_level_definition(data, power):
    outcome, regressors, clusters, _ = data
    _, hat = projection(regressors, np.ones(120))
    residuals = outcome - hat @ outcome
    expected = [
        regressors[:, m]
        @ fractional_matrix_power(np.eye(m.sum()) - hat[np.ix_(m, m)], power).real
        @ residuals[m]
        for m in (clusters == g for g in range(N_CLUSTERS))
    ]
    blocks = cluster_blocks(outcome, regressors, clusters, N_CLUSTERS)
    np.testing.assert_allclose(blocks.adjusted_scores(power), expected, rtol=1e-10, atol=1e-12)


def test_rows_in_any_order(data):
    outcome, regressors, clusters, weights = data
    order = np.random.default_rng(1).permutation(120)
    one = cluster_blocks(outcome, regressors, clusters, N_CLUSTERS, weights)
    other = cluster_blocks(
        outcome[order], regressors[:, order], clusters[order], N_CLUSTERS, weights[order]
    )
    np.testing.assert_allclose(other.gram, one.gram, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(other.total, one.total, rtol=1e-10)


def test_leave_one_out_equals_refits(data):
    outcome, regressors, clusters, weights = data
    root = np.sqrt(weights)
    blocks = cluster_blocks(outcome, regressors, clusters, N_CLUSTERS, weights)
    for g, estimate in enumerate(blocks.leave_one_out()):
        m = clusters != g
        refit = np.linalg.lstsq((regressors * root)[:, m].T, (outcome * root)[m], rcond=None)[0]
        np.testing.assert_allclose(estimate, refit, rtol=1e-10)


def test_satterthwaite_equals_the_quadratic_form(data):
    outcome, regressors, clusters, _ = data
    bread, hat = projection(regressors, np.ones(120))
    contrast = np.array([0.0, 1.0, -2.0])
    columns = []
    for g in range(N_CLUSTERS):
        m = clusters == g
        root = fractional_matrix_power(np.eye(m.sum()) - hat[np.ix_(m, m)], -0.5).real
        columns.append((np.eye(120) - hat)[:, m] @ root @ regressors[:, m].T @ bread @ contrast)
    matrix = np.array(columns) @ np.array(columns).T
    expected = np.trace(matrix) ** 2 / np.sum(matrix**2)
    blocks = cluster_blocks(outcome, regressors, clusters, N_CLUSTERS)
    freedoms = blocks.satterthwaite(np.array([contrast, np.zeros(3)]))
    np.testing.assert_allclose(freedoms[0], expected, rtol=1e-10)
    assert np.isnan(freedoms[1])


def test_weighted_adjustment_is_unbiased_under_equal_variances(data):
    """E[CR2] = sandwich: with errors of variance one, the expected meat is X'W^2X by cluster."""
    _, regressors, clusters, weights = data
    bread, hat = projection(regressors, weights)
    contrasts = np.eye(3)
    none = np.zeros((0, 120))
    annihilator = np.eye(120) - hat
    expected = np.zeros((3, 3))
    for column in annihilator.T:
        scores, _ = weighted_adjustment(
            regressors, column, weights, clusters, bread, contrasts, none, clusters
        )
        expected += scores.T @ scores
    target = (regressors * weights**2) @ regressors.T
    np.testing.assert_allclose(expected, target, rtol=1e-9)


def test_equal_weights_need_no_other_adjustment(data):
    outcome, regressors, clusters, _ = data
    ones = np.ones(120)
    bread, hat = projection(regressors, ones)
    plain = cluster_blocks(outcome, regressors, clusters, N_CLUSTERS)
    scores, model = weighted_adjustment(
        regressors, outcome - hat @ outcome, ones, clusters, bread, np.eye(3),
        np.zeros((0, 120)), clusters,
    )  # fmt: skip
    np.testing.assert_allclose(scores, plain.adjusted_scores(-0.5), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.freedoms(), plain.satterthwaite(np.eye(3)), rtol=1e-9)


def test_leverages_add_up_and_equal_clusters_count_in_full():
    regressors = np.vstack((np.ones(40), np.tile([0.0, 1.0], 20)))
    blocks = cluster_blocks(np.arange(40.0), regressors, np.repeat(np.arange(10), 4), 10)
    np.testing.assert_allclose(blocks.leverages().sum(), 2)
    np.testing.assert_allclose(blocks.effective_clusters(np.array([0.0, 1.0])), 10)
    np.testing.assert_allclose(blocks.partial_leverages(np.array([1.0, 0.0])), 0.1)


def test_a_cluster_that_alone_identifies_a_coefficient_is_refused():
    treated = (np.arange(40) < 4).astype(float)
    regressors = np.vstack((np.ones(40), treated))
    blocks = cluster_blocks(np.arange(40.0), regressors, np.repeat(np.arange(10), 4), 10)
    with pytest.raises(InferenceError, match=r"1 cluster \(number 0.*alone.*Use CR2"):
        blocks.leave_one_out()
    assert np.isfinite(blocks.adjusted_scores(-0.5)).all()
    assert isinstance(blocks, ClusterBlocks)
