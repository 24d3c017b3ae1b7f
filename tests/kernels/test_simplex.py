"""Simplex weights: against enumeration of supports, against each other, and in awkward cases."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

from impact.errors import EstimationError
from impact.kernels.simplex import simplex_least_squares, simplex_ridge

CERTIFICATE = 1e-10
# Two exact solvers agree up to the conditioning of the support's normal equations.
AGREEMENT = 1e-9


def objective(columns, target, weights, ridge=0.0, penalty=0.0):
    gap = columns @ weights - target
    return gap @ gap + ridge * weights @ weights + np.sum(penalty * weights)


def by_enumeration(columns, target, ridge=0.0, penalty=None):
    """Solve on every support by the bordered system and keep the best feasible point."""
    n = columns.shape[1]
    penalty = np.zeros(n) if penalty is None else penalty
    best, value = None, np.inf
    for size in range(1, n + 1):
        for support in map(list, combinations(range(n), size)):
            block = columns[:, support]
            system = np.ones((size + 1, size + 1))
            system[:size, :size] = block.T @ block + ridge * np.eye(size)
            system[-1, -1] = 0.0
            right = np.append(block.T @ target - 0.5 * penalty[support], 1.0)
            inside = np.linalg.lstsq(system, right)[0][:size]
            if inside.min() < -1e-12 or abs(inside.sum() - 1.0) > 1e-9:
                continue
            weights = np.zeros(n)
            weights[support] = inside
            found = objective(columns, target, weights, ridge, penalty)
            if found < value - 1e-13:
                best, value = weights, found
    return best, value


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(3, 7), (9, 6)])
def test_equals_the_best_of_all_supports(seed, ridge, shape):
    rng = np.random.default_rng(seed)
    columns, target = rng.normal(size=shape), rng.normal(size=shape[0])
    fit = simplex_least_squares(columns, target, ridge=ridge)
    _, value = by_enumeration(columns, target, ridge)
    assert fit.residual <= CERTIFICATE
    assert objective(columns, target, fit.weights, ridge) == pytest.approx(value, abs=1e-11)


@pytest.mark.parametrize("seed", range(6))
def test_penalised_weights_equal_the_best_of_all_supports(seed):
    rng = np.random.default_rng(seed)
    columns, target, penalty = rng.normal(size=(4, 7)), rng.normal(size=4), rng.random(7)
    fit = simplex_least_squares(columns, target, penalty=penalty)
    weights, _ = by_enumeration(columns, target, penalty=penalty)
    np.testing.assert_allclose(fit.weights, weights, atol=AGREEMENT)


def test_penalty_moves_between_perfect_fits_to_the_cheapest():
    """The target is the middle of two pairs; the penalty decides which pair carries it."""
    columns = np.array([[-1.0, 1.0, -2.0, 2.0]])
    fit = simplex_least_squares(columns, np.zeros(1), penalty=np.array([0.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(fit.weights, [0.5, 0.5, 0.0, 0.0], atol=1e-12)


def test_hand_computed_projection_on_an_edge():
    """(0, 1) onto the triangle (0,0), (1,0), (1,1): the foot on the edge (0,0)-(1,1) is (.5,.5)."""
    columns = np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    fit = simplex_least_squares(columns, np.array([0.0, 1.0]))
    np.testing.assert_allclose(fit.weights, [0.5, 0.0, 0.5], atol=1e-14)
    assert fit.loss == pytest.approx(0.5, rel=1e-12)
    assert fit.unique


def test_target_equal_to_a_donor_gets_all_weight():
    columns = np.random.default_rng(3).normal(size=(6, 4))
    fit = simplex_least_squares(columns, columns[:, 2])
    np.testing.assert_allclose(fit.weights, [0, 0, 1, 0], atol=1e-12)
    assert fit.loss == pytest.approx(0.0, abs=1e-24)


def test_many_perfect_fits_are_said_to_be_not_unique():
    columns = np.random.default_rng(0).normal(size=(3, 40))
    fit = simplex_least_squares(columns, columns.mean(axis=1))
    assert not fit.unique
    assert fit.loss < 1e-20
    assert simplex_least_squares(columns, columns.mean(axis=1), ridge=1e-3).unique


def test_equal_donors_share_the_optimum_and_are_said_so():
    columns = np.array([[1.0, 1.0, 5.0], [2.0, 2.0, 0.0]])
    fit = simplex_least_squares(columns, np.array([0.0, 2.0]))
    assert fit.weights[:2].sum() == pytest.approx(1.0)
    assert not fit.unique


@pytest.mark.parametrize("shape", [(30, 12), (12, 80), (25, 400)])
@pytest.mark.parametrize("ridge", [0.05, 5.0])
def test_dual_and_primal_agree(shape, ridge):
    rng = np.random.default_rng(5)
    columns, target = rng.normal(size=shape), rng.normal(size=shape[0])
    vertex = np.eye(shape[1])[0]
    primal = simplex_least_squares(columns, target, ridge=ridge, start=vertex)
    dual = simplex_ridge(columns, target[None], ridge=ridge)
    assert dual.residuals.max() <= CERTIFICATE
    np.testing.assert_allclose(dual.weights[0], primal.weights, atol=AGREEMENT)


def test_batch_equals_one_by_one_with_barred_donors():
    rng = np.random.default_rng(8)
    columns, targets = rng.normal(size=(15, 50)), rng.normal(size=(20, 15))
    allowed = rng.random((20, 50)) < 0.7
    batch = simplex_ridge(columns, targets, ridge=0.8, allowed=allowed)
    for b in range(20):
        alone = simplex_least_squares(columns[:, allowed[b]], targets[b], ridge=0.8)
        np.testing.assert_allclose(batch.weights[b, allowed[b]], alone.weights, atol=AGREEMENT)
        assert not batch.weights[b, ~allowed[b]].any()


def test_batch_with_a_ridge_too_small_for_the_dual_is_still_certified():
    rng = np.random.default_rng(2)
    columns, targets = rng.normal(size=(15, 50)), rng.normal(size=(4, 15))
    batch = simplex_ridge(columns, targets, ridge=1e-9)
    assert batch.residuals.max() <= CERTIFICATE
    alone = simplex_least_squares(columns, targets[0], ridge=1e-9)
    np.testing.assert_allclose(batch.weights[0], alone.weights, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_scale_and_level_change_no_weight(scale):
    rng = np.random.default_rng(1)
    columns, target = rng.normal(size=(20, 9)), rng.normal(size=20)
    plain = simplex_least_squares(columns, target)
    moved = simplex_least_squares(scale * (columns + 100.0), scale * (target + 100.0))
    np.testing.assert_allclose(moved.weights, plain.weights, atol=AGREEMENT)
    assert moved.residual <= CERTIFICATE


def test_order_of_donors_changes_nothing():
    rng = np.random.default_rng(4)
    columns, target = rng.normal(size=(20, 9)), rng.normal(size=20)
    order = rng.permutation(9)
    plain, mixed = (simplex_least_squares(c, target) for c in (columns, columns[:, order]))
    np.testing.assert_allclose(mixed.weights, plain.weights[order], atol=AGREEMENT)


@pytest.mark.parametrize("seed", range(40))
def test_awkward_problems_are_certified(seed):
    """Ties, copies, binary entries and columns of very different size, with and without extras."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 12), rng.integers(2, 25)
    columns = [
        np.round(rng.normal(size=(m, n))),
        rng.integers(0, 2, size=(m, n)).astype(float),
        rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-3, 3, size=(1, n)),
        np.repeat(rng.normal(size=(m, n)), 3, axis=1),
    ][seed % 4]
    target = columns.mean(axis=1) if seed % 3 else rng.normal(size=m)
    penalty = rng.random(columns.shape[1]) if seed % 2 else None
    fit = simplex_least_squares(columns, target, ridge=[0.0, 1e-6, 1.0][seed % 3], penalty=penalty)
    assert fit.residual <= CERTIFICATE
    assert fit.weights.min() >= 0.0
    assert fit.weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_useless_start_changes_nothing():
    rng = np.random.default_rng(6)
    columns, target = rng.normal(size=(20, 9)), rng.normal(size=20)
    plain = simplex_least_squares(columns, target)
    for start in (np.zeros(9), np.eye(9)[4], np.ones(9)):
        again = simplex_least_squares(columns, target, start=start)
        np.testing.assert_allclose(again.weights, plain.weights, atol=AGREEMENT)


def test_all_donors_equal_to_the_target():
    fit = simplex_least_squares(np.ones((3, 4)), np.ones(3))
    np.testing.assert_array_equal(fit.weights, np.full(4, 0.25))
    assert not fit.unique


def test_one_donor():
    fit = simplex_least_squares(np.array([[2.0], [1.0]]), np.zeros(2))
    assert fit.weights.tolist() == [1.0]
    assert fit.loss == 5.0


def test_no_allowed_donor_is_refused():
    allowed = np.array([[True, True], [False, False]])
    with pytest.raises(EstimationError, match="1 of 2 targets have no allowed donor"):
        simplex_ridge(np.eye(2), np.zeros((2, 2)), ridge=1.0, allowed=allowed)


def test_an_uncertified_solution_is_refused(monkeypatch):
    monkeypatch.setattr("impact.kernels.simplex.CERTIFIED", -1.0)
    with pytest.raises(EstimationError, match="miss the optimum"):
        simplex_least_squares(np.eye(3), np.zeros(3))


def test_a_faint_ridge_chooses_the_least_norm_among_perfect_fits():
    """Long pre-periods and few donors: many weights fit, the ridge alone tells them apart.

    The least norm over equal fits is solved by bounded least squares on its own.
    """
    for seed in range(20):
        rng = np.random.default_rng(seed)
        columns = rng.normal(size=(4, 15))
        target = columns @ rng.dirichlet(np.ones(15))
        fit = simplex_least_squares(columns, target, ridge=1e-12)
        assert fit.unique
        assert fit.loss < 1e-20
        system = np.vstack((columns, np.ones(15)))
        heavy = np.vstack((1e5 * system, np.eye(15)))
        goal = np.concatenate((1e5 * np.append(target, 1.0), np.zeros(15)))
        least = nnls(heavy, goal)[0]
        np.testing.assert_allclose(fit.weights @ fit.weights, least @ least, rtol=1e-7)
        np.testing.assert_allclose(fit.weights, least, atol=1e-6)
