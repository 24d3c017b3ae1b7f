"""Size of tests of dynamic panels' lag and regressor by GMM's robust errors, by simulation.

    cd tests/calibration; python dynamic_panel.py [replications] > dynamic_panel.csv

y_it = rho y_i,t-1 + a_i + v_t + e_it with standard normal a, v, e and y begun 50 periods before; x
is a first-order autoregression (0.5) without effect. Instruments are one a lag ("collapse"), or one
a lag and period where they are no more than units. Columns:

equations    "difference" (ArellanoBond) or "system" (BlundellBond)
units, periods, rho, collapsed  the cell
instruments  how many
lag_1, lag_2 share of samples in which a true value of rho is rejected at 5 %, one and two steps
             (Windmeijer), by the normal law
x_1, x_2     the same for the regressor
t_1, t_2     as lag_1 and lag_2, by t with one degree of freedom fewer than units and errors times
             the root of units over units less one
"""

import sys
from itertools import product

import numpy as np
from scipy import stats

from impact.estimators.parts.dynamic_moments import Grid, MomentChoices, stack_moments

UNITS, PERIODS, RHOS = (20, 34, 63, 100, 200), (6, 10), (0.5, 0.8)
BURN_IN = 50
COLUMNS = (
    "equations", "units", "periods", "rho", "collapsed", "instruments",
    "lag_1", "lag_2", "x_1", "x_2", "t_1", "t_2",
)  # fmt: skip


def draw_grid(rng, n_units, n_periods, rho):
    shape = (n_units, n_periods + BURN_IN)
    own, noise = rng.normal(size=(n_units, 1)), rng.normal(size=(2, *shape))
    errors, x = own + rng.normal(size=shape[1]) + noise[0], noise[1]
    y = np.zeros(shape)
    for t in range(1, shape[1]):
        y[:, t] = rho * y[:, t - 1] + errors[:, t]
        x[:, t] += 0.5 * x[:, t - 1]
    last = slice(-n_periods, None)
    return Grid(y[:, last], x[:, last, None], np.arange(n_units), "y", ("x",), 1)


def statistics(grid, rho, system, collapse):
    """Return t statistics of both coefficients at the truth, by steps, and the instruments."""
    moments = stack_moments(MomentChoices((), (), 2, None, collapse, True, system), grid)
    if moments.n_instruments > len(grid.outcome):
        return None, moments.n_instruments
    first = moments.solve(moments.first_weight)
    second = first.second_step()
    gaps = [fit.coefficients[:2] - (rho, 0.0) for fit in (first, second)]
    matrices = (first.robust_covariance(), second.windmeijer(first))
    errors = [np.sqrt(np.diagonal(matrix)[:2]) for matrix in matrices]
    return np.array(gaps) / np.array(errors), moments.n_instruments


def run_cell(system, n_units, n_periods, rho, collapse, *, replications):
    """Return the row of one cell; None if there are more instruments than units."""
    rng = np.random.default_rng([n_units, n_periods, int(10 * rho), system, collapse])
    found = []
    for _ in range(replications):
        values, count = statistics(draw_grid(rng, n_units, n_periods, rho), rho, system, collapse)
        if values is None:
            return None
        found.append(np.abs(values))
    t = np.array(found)
    normal = np.mean(t > stats.norm.ppf(0.975), axis=0)
    factor = np.sqrt(n_units / (n_units - 1))
    small = np.mean(t[:, :, 0] / factor > stats.t.ppf(0.975, n_units - 1), axis=0)
    shares = [f"{share:.3f}" for share in (*normal.T.ravel(), *small)]
    name = "system" if system else "difference"
    return name, n_units, n_periods, rho, int(collapse), count, *shares


def main(replications):
    print(",".join(COLUMNS))
    for collapse, system, periods, rho, units in product(
        (True, False), (False, True), PERIODS, RHOS, UNITS
    ):
        row = run_cell(system, units, periods, rho, collapse, replications=replications)
        if row is not None:
            print(",".join(map(str, row)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
