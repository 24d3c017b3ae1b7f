"""Size of the two-way wild bootstrap where treatment varies within places, by simulation.

    cd tests/calibration; python two_way.py [replications] > two_way.csv

Half of the firms of every place are treated from the middle year on. Treated firms share a shock of
their place from then on (standard deviation 0.5) and a shock of each year (0.3); firms of a place
share one of each year (0.5), beside their own noise (1). Places have 4 firms, or as many as a
log-normal number with that median and a standard deviation of 0.7 of the logarithm. Columns:

places, years, sizes  the cell
size                  share of samples in which "wild_two_way" rejects no effect at 5 %
cr1                   the same by two-way clustered standard errors and the normal law
"""

import sys

import numpy as np
import pandas as pd

from impact import Design, Panel, TwoWayFixedEffects
from impact.errors import ImpactError
from impact.inference.dispatch import infer

CELLS = ((34, 10, "equal"), (34, 20, "equal"))


def draw_frame(rng, n_places, n_years, kind):
    sizes = np.full(n_places, 4)
    if kind == "random":
        sizes = np.exp(rng.normal(np.log(4), 0.7, n_places))
        sizes = np.maximum(2, np.round(sizes)).astype(int)
    place = np.repeat(np.arange(n_places), sizes)
    n_firms = len(place)
    rank = np.arange(n_firms) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    treated = rank < np.maximum(1, sizes[place] // 2)
    after = np.arange(n_years) >= n_years // 2
    own, year = rng.normal(size=(n_places, n_years)), rng.normal(size=n_years)
    y = 0.5 * own[place]
    y += 0.5 * treated[:, None] * (rng.normal(size=n_places)[place][:, None] * after)
    y += 0.3 * treated[:, None] * year + rng.normal(size=(n_firms, n_years))
    return pd.DataFrame(
        {
            "firm": np.repeat(np.arange(n_firms), n_years),
            "year": np.tile(np.arange(n_years), n_firms),
            "place": np.repeat(place, n_years),
            "cohort": np.repeat(np.where(treated, float(n_years // 2), np.nan), n_years),
            "y": y.ravel(),
        }
    )


def run_cell(n_places, n_years, kind, *, replications, draws=299):
    """Return the row of one cell."""
    rng = np.random.default_rng([n_places, n_years])
    rejected, normal = [], []
    for _ in range(replications):
        frame = draw_frame(rng, n_places, n_years, kind)
        panel = Panel(frame, unit="firm", time="year")
        design = Design(panel, outcome="y", cohort="cohort", clusters=["place", "year"])
        try:
            result = TwoWayFixedEffects().fit(design)
            found = infer(result.evidence(), "wild_two_way", draws=draws, level=None)
        except ImpactError:
            continue
        rejected.append(found.p_value <= 0.05)
        normal.append(abs(result.estimates[0] / result.std_errors[0]) > 1.96)
    return n_places, n_years, kind, f"{np.mean(rejected):.3f}", f"{np.mean(normal):.3f}"


def main(replications):
    print("places,years,sizes,size,cr1")
    for cell in CELLS:
        print(",".join(map(str, run_cell(*cell, replications=replications))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
