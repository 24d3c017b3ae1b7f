"""Extremes over the region of weights: by hand, against another solver, and its edges."""

import numpy as np
import pytest
from scipy.optimize import minimize

from impact.kernels.weight_region import WeightRegion, region_extremes

# The other solver stops there; the ridge of the kernel adds less.
SOLVER = 2e-5


def make_region(seed, n, periods, intercept):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), size=n)
    columns = rng.normal(size=(periods, 3)).cumsum(axis=0) @ shares.T
    columns = columns + 0.3 * rng.normal(size=columns.shape) + 10.0
    slack = np.zeros(n)
    slack[:3] = 0.5, 0.3, 0.2
    noise, directions = 0.3 * rng.normal(size=(3, periods)), rng.normal(size=(2, n))
    return WeightRegion(columns, slack, intercept), noise, directions


def by_another_solver(region, noise, direction, sign):
    """Climb from several points inside; d holds the weights' changes and the constant."""
    n = len(region.slack)
    Z = np.column_stack([region.columns, np.full(len(noise), float(region.intercept))])
    goal = sign * np.append(direction, float(region.intercept))
    size = float(noise @ noise)
    limits = [(-s, None) for s in region.slack] + [(None, None) if region.intercept else (0, 0)]

    def left(d):
        return (2.0 * noise @ Z @ d - (Z @ d) @ (Z @ d)) / size

    def left_slope(d):
        return 2.0 * (noise - Z @ d) @ Z / size

    constraints = [
        {"type": "eq", "fun": lambda d: d[:n].sum(), "jac": lambda d: np.append(np.ones(n), 0.0)},
        {"type": "ineq", "fun": left, "jac": left_slope},
    ]
    found = minimize(
        lambda d: -goal @ d, np.zeros(n + 1), jac=lambda d: -goal, method="SLSQP",
        bounds=limits, constraints=constraints, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    return sign * goal @ found.x


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("n", "periods"), [(4, 12), (10, 8)])
def test_extremes_agree_with_another_solver(n, periods, intercept):
    region, noise, directions = make_region(3, n, periods, intercept)
    reached = region_extremes(region, noise, directions)
    for b in range(len(noise)):
        for k in range(len(directions)):
            for side, sign in enumerate((-1.0, 1.0)):
                other = by_another_solver(region, noise[b], directions[k], sign)
                assert reached[b, k, side] == pytest.approx(other, rel=SOLVER, abs=1e-7)


def test_two_donors_by_hand():
    """One free change d of columns 1 apart: d^2 T <= 2 d sum(xi), cut off where weights end."""
    columns = np.column_stack([np.ones(4), np.zeros(4)])
    region = WeightRegion(columns, np.array([0.6, 0.4]))
    noise = np.array([[0.1, 0.0, 0.1, 0.0], [-0.1, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    reached = region_extremes(region, noise, np.array([[1.0, 0.0]]))[:, 0]
    np.testing.assert_allclose(reached, [[0.0, 0.1], [-0.05, 0.0], [0.0, 0.4]], atol=1e-7)


def test_a_constant_alone_by_hand():
    """Equal donors leave the constant: r^2 T <= 2 r sum(xi)."""
    columns = np.column_stack([np.arange(4.0), np.arange(4.0)])
    region = WeightRegion(columns, np.array([1.0, 0.0]), intercept=True)
    reached = region_extremes(region, np.full((1, 4), 0.25), np.array([[2.0, 2.0]]))
    np.testing.assert_allclose(reached[0, 0], [0.0, 0.5], atol=1e-7)


def test_a_path_common_to_donors_and_its_units_change_nothing():
    region, noise, directions = make_region(5, 10, 8, intercept=False)
    moved = WeightRegion(1e4 * (region.columns + np.arange(8.0)[:, None]), region.slack)
    plain = region_extremes(region, noise, directions)
    np.testing.assert_allclose(
        region_extremes(moved, 1e4 * noise, directions + 7.0), plain, rtol=1e-5, atol=1e-7
    )
