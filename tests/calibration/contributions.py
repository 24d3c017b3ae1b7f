"""Size of "auto" where gaps or covariates leave no difference of mean paths, by simulation.

    cd tests/calibration; python contributions.py [replications] > contributions.csv

Whole places are treated from the fourth of five years on. A tenth of the rows is missing at random
("gaps"), or outcomes trend with a covariate of firms that is conditioned on, rows missing too
("covariate"). Shocks of places have standard deviation 0.5 and autocorrelation 0.5, firms' levels
and noise 1. Sizes as in few_treated.py, at most 60 firms. Columns:

estimator  twfe, or callaway (doubly robust where there is a covariate)
given      share of samples in which "auto" gives a p-value
size       share of those that reject no effect at 5 % when there is none
power      the same at an effect of 0.6, from every fourth sample
methods    methods chosen, most frequent first
"""

import sys
from collections import Counter

import numpy as np
import pandas as pd
from few_treated import draw_sizes, draw_treated

from impact import CallawaySantAnna, Design, Panel, TwoWayFixedEffects
from impact.errors import ImpactError
from impact.inference.dispatch import infer

PERIODS, ONSET, RHO, EFFECT = 5, 4, 0.5, 0.6
COLUMNS = (
    "clusters",
    "treated",
    "sizes",
    "panel",
    "estimator",
    "given",
    "size",
    "power",
    "methods",
)
CELLS = (
    (11, 3, "equal", "covariate", "callaway"),
    (11, 5, "random", "covariate", "callaway"),
    (34, 1, "equal", "covariate", "callaway"),
    (34, 2, "equal", "gaps", "twfe"),
    (34, 2, "random", "covariate", "callaway"),
    (34, 3, "random", "covariate", "callaway"),
    (34, 5, "random", "gaps", "twfe"),
    (34, 10, "random", "covariate", "callaway"),
    (34, 17, "random", "covariate", "callaway"),
)


def draw_frame(rng, n_clusters, n_treated, kind, panel, effect):
    sizes = np.minimum(draw_sizes(rng, n_clusters, kind).astype(int), 60)
    treated = draw_treated(rng, sizes.astype(float), n_treated, kind)
    place = np.repeat(np.arange(n_clusters), sizes)
    n_firms = len(place)
    innovations = rng.standard_normal((n_clusters, PERIODS))
    shocks = innovations.copy()
    for t in range(1, PERIODS):
        shocks[:, t] = RHO * shocks[:, t - 1] + np.sqrt(1 - RHO**2) * innovations[:, t]
    x = rng.standard_normal(n_firms) + 0.5 * rng.standard_normal(n_clusters)[place]
    y = rng.standard_normal(n_firms)[:, None] + 0.5 * shocks[place]
    y += rng.standard_normal((n_firms, PERIODS))
    if panel == "covariate":
        y += 0.2 * x[:, None] * np.arange(PERIODS)
    y[:, ONSET - 1 :] += effect * treated[place][:, None]
    frame = pd.DataFrame(
        {
            "firm": np.repeat(np.arange(n_firms), PERIODS),
            "year": np.tile(np.arange(1, PERIODS + 1), n_firms),
            "place": np.repeat(place, PERIODS),
            "x": np.repeat(x, PERIODS),
            "cohort": np.repeat(np.where(treated[place], float(ONSET), np.nan), PERIODS),
            "y": y.ravel(),
        }
    )
    return frame[rng.random(len(frame)) > 0.1]


def run_cell(n_clusters, n_treated, kind, panel, estimator, *, replications, draws=299):
    """Return the row of one cell."""
    rng = np.random.default_rng([n_clusters, n_treated, len(panel), len(estimator)])
    method = {"twfe": TwoWayFixedEffects, "callaway": CallawaySantAnna}[estimator]()
    methods, rejected = Counter(), {0.0: [], EFFECT: []}
    tried = 0
    for replication in range(replications):
        for effect in (0.0, EFFECT) if replication % 4 == 0 else (0.0,):
            frame = draw_frame(rng, n_clusters, n_treated, kind, panel, effect)
            design = Design(
                Panel(frame, unit="firm", time="year"), outcome="y", cohort="cohort",
                clusters="place", covariates="x" if panel == "covariate" else (),
            )  # fmt: skip
            try:
                evidence = method.fit(design).att().evidence()
            except ImpactError:
                continue
            found = infer(evidence, draws=draws, level=None)
            tried += effect == 0.0
            methods[found.method] += 1
            if not np.isnan(found.p_value):
                rejected[effect].append(found.p_value <= 0.05)
    given = len(rejected[0.0]) / tried
    names = " ".join(name for name, _ in methods.most_common())
    shares = [f"{np.mean(r):.3f}" if r else "" for r in rejected.values()]
    return n_clusters, n_treated, kind, panel, estimator, f"{given:.3f}", *shares, names


def main(replications):
    print(",".join(COLUMNS))
    for cell in CELLS:
        print(",".join(map(str, run_cell(*cell, replications=replications))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
