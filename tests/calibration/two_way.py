"""Size of "auto" where places and years are clustered on, by simulation.

    cd tests/calibration; python two_way.py [replications] > two_way.csv

Errors of a firm are a shock of its place (standard deviation 0.5) and, for treated firms, another
(0.5), both with serial correlation 0.5; what all places share in a year (``shared``), times a
loading of the place (mean 1, standard deviation 0.5), which treated firms carry twice; and noise of
standard deviation 1. Places have 4 firms, or as many as a log-normal number with that median and a
standard deviation of 0.7 of the logarithm; all firms of treated places are treated, or half of them
("within"). The estimate is the coefficient of two-way fixed effects. Columns:

places, years, sizes, treatment, treated  the cell; ``treated`` places have treated firms
begins    the same year for all ("middle"), any of the middle half by place ("staggered"), or so
          many years before the last
serial    serial correlation of what places share, which two-way variances take for zero
given     share of samples in which "auto" gives a p-value
size      share of those that reject no effect at 5 % when there is none
power     the same at an effect of three standard deviations of the estimate, every fourth sample
cr1       rejections by two-way clustered standard errors and t of the smaller dimension
one_way   the same clustered by place alone
methods   methods chosen, most frequent first
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from impact import Design, Panel, TwoWayFixedEffects
from impact.inference.dispatch import infer

COLUMNS = (
    "places", "years", "sizes", "treatment", "treated", "begins", "shared", "serial",
    "given", "size", "power", "cr1", "one_way", "methods",
)  # fmt: skip
CELLS = (
    (34, 8, "equal", "within", 34, "middle", 0.3, 0.0),
    (34, 10, "equal", "within", 34, "staggered", 1.0, 0.0),
    (34, 10, "random", "whole", 15, "staggered", 0.3, 0.0),
    (34, 8, "random", "whole", 8, "middle", 0.3, 0.0),
    (34, 20, "equal", "within", 34, "middle", 1.0, 0.0),
    (34, 20, "equal", "within", 34, "staggered", 0.3, 0.0),
    (34, 20, "random", "within", 34, "staggered", 0.3, 0.0),
    (34, 20, "equal", "within", 10, "staggered", 1.0, 0.0),
    (34, 20, "random", "within", 10, "staggered", 0.3, 0.0),
    (34, 20, "equal", "whole", 17, "middle", 0.3, 0.0),
    (34, 20, "random", "whole", 17, "staggered", 0.3, 0.0),
    (34, 20, "equal", "whole", 8, "middle", 0.3, 0.0),
    (34, 20, "equal", "within", 34, "2", 0.3, 0.0),
    (50, 50, "equal", "within", 50, "staggered", 0.3, 0.0),
    (50, 50, "random", "within", 50, "staggered", 0.3, 0.0),
    (50, 50, "random", "within", 20, "middle", 0.3, 0.0),
    (50, 50, "equal", "whole", 25, "staggered", 0.3, 0.0),
    (50, 50, "random", "whole", 25, "staggered", 0.0, 0.0),
    (55, 52, "equal", "whole", 15, "staggered", 0.3, 0.0),
    (55, 52, "random", "whole", 15, "middle", 0.3, 0.0),
    (63, 10, "equal", "whole", 31, "middle", 0.3, 0.0),
    (63, 10, "equal", "whole", 10, "middle", 0.0, 0.0),
    (63, 10, "equal", "whole", 10, "middle", 0.3, 0.0),
    (100, 60, "equal", "whole", 15, "middle", 0.3, 0.0),
    (100, 60, "random", "within", 100, "staggered", 0.3, 0.0),
    (200, 8, "equal", "whole", 100, "staggered", 0.3, 0.0),
    (200, 50, "random", "whole", 100, "staggered", 0.3, 0.0),
    (50, 50, "equal", "within", 50, "staggered", 0.3, 0.5),
)  # fmt: skip
PILOTS = 40


def autoregress(rng, shape, rho):
    """Return standard normal rows with first-order serial correlation."""
    shocks = rng.normal(size=shape)
    for t in range(1, shape[1]):
        shocks[:, t] = rho * shocks[:, t - 1] + np.sqrt(1 - rho**2) * shocks[:, t]
    return shocks


def draw_onsets(rng, n_places, n_years, begins):
    if begins == "staggered":
        return rng.choice(np.linspace(n_years // 4, 3 * n_years // 4, 5).astype(int), n_places)
    return np.full(n_places, n_years // 2 if begins == "middle" else n_years - int(begins))


def draw_sample(rng, cell):
    """Return the place of each firm, and treatment and outcome by firm and year."""
    n_places, n_years, kind, treatment, n_treated, begins, shared, serial = cell
    sizes = np.full(n_places, 4)
    if kind == "random":
        sizes = np.maximum(2, np.round(np.exp(rng.normal(np.log(4), 0.7, n_places)))).astype(int)
    place = np.repeat(np.arange(n_places), sizes)
    rank = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    firm = np.isin(place, rng.permutation(n_places)[:n_treated])
    if treatment == "within":
        firm &= rank < np.maximum(1, sizes[place] // 2)
    onset = draw_onsets(rng, n_places, n_years, begins)[place]
    years = autoregress(rng, (1, n_years), serial)
    loading = (1 + 0.5 * rng.normal(size=n_places))[place] * (1 + firm)
    y = 0.5 * autoregress(rng, (n_places, n_years), 0.5)[place]
    y += 0.5 * firm[:, None] * autoregress(rng, (n_places, n_years), 0.5)[place]
    y += shared * loading[:, None] * years + rng.normal(size=(len(place), n_years))
    return place, firm[:, None] & (np.arange(n_years) >= onset[:, None]), y


def fit(place, treated, y):
    n_firms, n_years = y.shape
    frame = pd.DataFrame(
        {
            "firm": np.repeat(np.arange(n_firms), n_years),
            "year": np.tile(np.arange(n_years), n_firms),
            "place": np.repeat(place, n_years),
            "treated": treated.ravel().astype(int),
            "y": y.ravel(),
        }
    )
    panel = Panel(frame, unit="firm", time="year")
    design = Design(panel, outcome="y", treated="treated", clusters=["place", "year"])
    return TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design)


def p_value_by_t(estimate, uncertainty):
    ratio = estimate / np.sqrt(uncertainty.variances()[0])
    return 2 * stats.t.sf(abs(ratio), uncertainty.df)


def run_cell(cell, *, replications, draws=299):
    """Return the row of one cell."""
    rng = np.random.default_rng([cell[0], cell[1], cell[4], int(10 * cell[6])])
    pilots = [fit(*draw_sample(rng, cell)).estimates[0] for _ in range(PILOTS)]
    effect = 3 * np.std(pilots)
    methods, sizes, powers, simple = Counter(), [], [], []
    for sample in range(replications):
        place, treated, y = draw_sample(rng, cell)
        result = fit(place, treated, y)
        found = infer(result.evidence(), draws=draws, level=None)
        methods[found.method] += 1
        sizes.append(found.p_value)
        own, estimate = result.uncertainty, result.estimates[0]
        by_place = replace(own, clusters=own.clusters[:1])
        simple.append([p_value_by_t(estimate, own), p_value_by_t(estimate, by_place)])
        if sample % 4 == 0 and found.method != "none":
            with_effect = fit(place, treated, y + effect * treated).evidence()
            powers.append(infer(with_effect, draws=draws, level=None).p_value)
    known = np.array(sizes)[~np.isnan(sizes)]
    shares = [f"{np.mean(p <= 0.05):.3f}" if len(p) else "" for p in (known, np.array(powers))]
    rejected = [f"{share:.3f}" for share in np.mean(np.array(simple) <= 0.05, axis=0)]
    names = " ".join(name for name, _ in methods.most_common())
    return *cell, f"{len(known) / replications:.3f}", *shares, *rejected, names


def main(replications):
    print(",".join(COLUMNS))
    for cell in CELLS:
        print(",".join(map(str, run_cell(cell, replications=replications))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
