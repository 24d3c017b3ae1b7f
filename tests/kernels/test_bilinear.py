"""The bilinear core: special cases by hand, placebos and leave-one-out against refitting."""

import numpy as np
import pytest

from impact.kernels.bilinear import (
    BilinearChoice,
    bilinear_fit,
    leave_one_out_paths,
    noise_level,
    placebo_paths,
)
from impact.kernels.frank_wolfe import frank_wolfe_weights
from impact.kernels.simplex import optimality_residual, simplex_least_squares

PRE = np.arange(12) < 8
POST = ~PRE
DID = BilinearChoice(units="uniform", times="uniform")
SC = BilinearChoice()
SDID = BilinearChoice(times="fitted", unit_ridge=4.0, time_ridge=1e-8, intercept=True)
DEMEANED = BilinearChoice(times="uniform", intercept=True)
NEAREST = BilinearChoice(proximity=0.3)
STOPPED = BilinearChoice(times="fitted", unit_ridge=4.0, intercept=True, early_stop=1e-3)
CHOICES = {"did": DID, "sc": SC, "sdid": SDID, "demeaned": DEMEANED, "nearest": NEAREST}


@pytest.fixture
def outcomes():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 2)) @ rng.normal(size=(2, 12)) + rng.normal(size=(20, 12))


def test_uniform_weights_are_difference_in_differences(outcomes):
    fit = bilinear_fit(outcomes[0], outcomes[1:], PRE, POST, DID)
    gap = outcomes[0] - outcomes[1:].mean(axis=0)
    assert fit.path[POST].mean() == pytest.approx(gap[POST].mean() - gap[PRE].mean(), rel=1e-12)


def test_no_time_weights_are_synthetic_control(outcomes):
    fit = bilinear_fit(outcomes[0], outcomes[1:], PRE, POST, SC)
    weights = simplex_least_squares(outcomes[1:, PRE].T, outcomes[0, PRE]).weights
    np.testing.assert_allclose(fit.path, outcomes[0] - weights @ outcomes[1:], atol=1e-12)
    assert not fit.lambda_.any()


def test_a_large_proximity_cost_picks_the_nearest_donor(outcomes):
    choice = BilinearChoice(proximity=1e6)
    fit = bilinear_fit(outcomes[0], outcomes[1:], PRE, POST, choice)
    nearest = np.argmin(((outcomes[1:, PRE] - outcomes[0, PRE]) ** 2).sum(axis=1))
    assert fit.omega[nearest] == pytest.approx(1.0)


def test_level_of_the_treated_path_changes_nothing_with_an_intercept(outcomes):
    for choice in (SDID, DEMEANED):
        plain = bilinear_fit(outcomes[0], outcomes[1:], PRE, POST, choice)
        raised = bilinear_fit(outcomes[0] + 50.0, outcomes[1:], PRE, POST, choice)
        np.testing.assert_allclose(raised.path, plain.path, atol=1e-9)


@pytest.mark.parametrize("name", [*CHOICES, "stopped"])
def test_placebos_equal_fitting_each_by_itself(outcomes, name):
    choice = {**CHOICES, "stopped": STOPPED}[name]
    groups = np.array([[0, 5], [3, 4], [19, 2]])
    barred = np.zeros((3, 20), dtype=bool)
    np.put_along_axis(barred, groups, True, axis=1)
    start = np.full(8, 1 / 8)
    paths = placebo_paths(outcomes, PRE, POST, groups, barred, choice, start)
    for path, group, out in zip(paths, groups, barred, strict=True):
        alone = bilinear_fit(outcomes[group].mean(axis=0), outcomes[~out], PRE, POST, choice)
        np.testing.assert_allclose(path, alone.path, atol=1e-9)


def test_leave_one_out_equals_dropping_each_group():
    rng = np.random.default_rng(1)
    treated, donors = rng.normal(size=(4, 12)), rng.normal(size=(9, 12))
    omega, lambda_ = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(8))
    own, others = np.array([0, 0, 1, 2]), np.array([2, 3, 3, 4, 4, 4, 5, 1, 5])
    paths = leave_one_out_paths(treated, donors, omega, lambda_, PRE, own, others, 6)
    for g in range(6):
        weights = omega[others != g] / omega[others != g].sum()
        gap = treated[own != g].mean(axis=0) - weights @ donors[others != g]
        np.testing.assert_allclose(paths[g], gap - lambda_ @ gap[PRE], atol=1e-12)


def test_leave_one_out_is_missing_where_nothing_is_left():
    donors, omega = np.ones((2, 12)), np.array([1.0, 0.0])
    groups = np.array([0]), np.array([1, 2])
    paths = leave_one_out_paths(np.ones((1, 12)), donors, omega, np.zeros(8), PRE, *groups, 3)
    assert np.isnan(paths).all(axis=1).tolist() == [True, True, False]


def test_noise_level_is_the_spread_of_all_first_differences():
    assert noise_level(np.array([[0.0, 1.0, 5.0]])) == pytest.approx(np.std([1, 4], ddof=1))
    assert noise_level(np.array([[0.0, 1.0]])) == 0.0


def test_frank_wolfe_approaches_the_optimum_it_stops_short_of():
    rng = np.random.default_rng(3)
    columns, target = rng.normal(size=(15, 9)), rng.normal(size=15)
    exact = simplex_least_squares(columns, target, ridge=1.0)
    rough, fine = (
        frank_wolfe_weights(columns, target, ridge=1.0, tolerance=t) for t in (1e-2, 1e-7)
    )
    assert optimality_residual(columns, target, exact.weights, ridge=1.0) <= 1e-12
    residuals = [optimality_residual(columns, target, w, ridge=1.0) for w in (rough, fine)]
    assert residuals[0] > residuals[1] > 1e-12
    assert np.abs(fine - exact.weights).max() < 1e-2
