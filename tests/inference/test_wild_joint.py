"""Joint wild cluster bootstrap: brute force, the single-restriction case, refusals, size."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.wild import wild_cluster_test
from impact.inference.wild_draws import WildDraws
from impact.inference.wild_joint import wild_joint_test


def make_rows(seed=0, n_clusters=9, size=6, k=4):
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n_clusters), size)
    x = rng.normal(size=(len(clusters), k)) + rng.normal(size=(n_clusters, k))[clusters]
    x[:, -1] = 1.0
    y = rng.normal(size=len(clusters)) + rng.normal(size=n_clusters)[clusters]
    return x, y, clusters


def make_blocks(x, y, clusters):
    groups = [clusters == g for g in np.unique(clusters)]
    return np.stack([x[g].T @ x[g] for g in groups]), np.stack([x[g].T @ y[g] for g in groups])


def test_closed_form_equals_reestimation_on_rows():
    x, y, clusters = make_rows()
    gram, cross = make_blocks(x, y, clusters)
    contrasts, null = np.array([[1.0, 0, 0, 0], [0, 1.0, -1, 0]]), np.array([0.1, -0.2])

    def wald(outcome):
        inverse = np.linalg.inv(x.T @ x)
        beta = inverse @ x.T @ outcome
        u = outcome - x @ beta
        scores = np.stack([x[clusters == g].T @ u[clusters == g] for g in range(9)])
        gap = contrasts @ beta - null
        covariance = contrasts @ inverse @ scores.T @ scores @ inverse @ contrasts.T
        return gap @ np.linalg.solve(covariance, gap)

    free = np.column_stack((x[:, 1] + x[:, 2], x[:, 3]))
    offset = 0.1 * x[:, 0] - 0.2 * x[:, 1]
    mean = offset + free @ np.linalg.lstsq(free, y - offset, rcond=None)[0]
    v = np.concatenate(list(WildDraws(9, "webb", 60, 1).blocks()), axis=1)
    drawn = np.array([wald(mean + column[clusters] * (y - mean)) for column in v.T])
    test = wild_joint_test(gram, cross, contrasts, values=null, weights="webb", draws=60, seed=1)
    assert test.statistic == pytest.approx(wald(y), rel=1e-10)
    assert test.p_value == (1 + np.sum(drawn >= wald(y))) / 61


def test_one_restriction_is_the_symmetric_test():
    gram, cross = make_blocks(*make_rows())
    contrast = np.array([0.0, 1, 0, 0])
    single = wild_cluster_test(gram, cross, contrast, null=0.2)
    joint = wild_joint_test(gram, cross, contrast[None], values=np.array([0.2]))
    assert joint.p_value == single.p_value
    assert joint.statistic == pytest.approx(single.statistic**2)
    assert (joint.draws, joint.enumerated, joint.lattice) == (512, True, single.lattice)


def test_basis_of_the_restrictions_does_not_matter():
    gram, cross = make_blocks(*make_rows(n_clusters=12))
    contrasts = np.eye(4)[:2]
    mixed = np.array([[2.0, 1], [1, -1]]) @ contrasts
    plain, other = (wild_joint_test(gram, cross, c) for c in (contrasts, mixed))
    assert plain.p_value == other.p_value
    assert plain.statistic == pytest.approx(other.statistic)


def test_size_with_few_clusters():
    rejected = 0
    for seed in range(300):
        gram, cross = make_blocks(*make_rows(seed, n_clusters=14, size=4, k=3))
        rejected += wild_joint_test(gram, cross, np.eye(3)[:2], draws=199).p_value <= 0.05
    assert 0.02 < rejected / 300 < 0.09


def test_refusals():
    gram, cross = make_blocks(*make_rows())
    with pytest.raises(InferenceError, match=r"2 restrictions are linearly dependent"):
        wild_joint_test(gram, cross, np.array([[1.0, 0, 0, 0], [2, 0, 0, 0]]))
    with pytest.raises(InferenceError, match=r"4 restrictions cannot be tested with 3 clusters"):
        wild_joint_test(gram[:3], cross[:3], np.eye(4))
    x, y, clusters = make_rows()
    x[:, 1] = clusters == 4
    with pytest.raises(InferenceError, match=r"Restriction 2 cannot .* without cluster 5 "):
        wild_joint_test(*make_blocks(x, y, clusters), np.eye(4)[:2])
