"""Size of "auto" in panels whose treatment varies within clusters, by simulation.

    cd tests/calibration; python within_panels.py [replications] > within_panels.csv

Firms of ``treated`` places are treated from years of their own on ("staggered", half of the firms),
or get an amount in each year of the second half that begins anew each year ("dose", all of them).
Eight years; a firm's error is noise of standard deviation 1, a shock of its place (0.7) and, times
its treatment or amount or a half if it is treated elsewhen, another shock of its place (0.7), both
with serial correlation 0.9. The estimate is the coefficient of two-way fixed effects, places are
clustered on. Sizes as in two_way.py. Columns:

given    share of samples in which "auto" gives a p-value
size     share of those that reject no effect at 5 % when there is none
cr1      rejections by clustered standard errors and t of the clusters, same samples
methods  methods chosen, most frequent first
"""

import sys
from collections import Counter

import numpy as np
import pandas as pd
from scipy import stats
from two_way import autoregress

from impact import Design, Panel, TwoWayFixedEffects
from impact.inference.dispatch import infer

YEARS, RHO = 8, 0.9
COLUMNS = ("clusters", "treated", "sizes", "treatment", "given", "size", "cr1", "methods")
CELLS = tuple(
    (n, treated, sizes, treatment)
    for treatment in ("staggered", "dose")
    for n, treated, sizes in (
        (11, 5, "equal"), (11, 11, "random"), (34, 5, "equal"), (34, 10, "random"),
        (34, 34, "random"), (63, 63, "random"),
    )
)  # fmt: skip


def draw_frame(rng, n_places, n_treated, kind, treatment):
    sizes = np.full(n_places, 4)
    if kind == "random":
        sizes = np.maximum(2, np.round(np.exp(rng.normal(np.log(4), 0.7, n_places)))).astype(int)
    place = np.repeat(np.arange(n_places), sizes)
    rank = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    firm = np.isin(place, rng.permutation(n_places)[:n_treated])
    late = np.arange(YEARS) >= YEARS // 2
    if treatment == "staggered":
        firm &= rank < np.maximum(1, sizes[place] // 2)
        onset = rng.integers(2, YEARS, len(place))
        amount = (firm[:, None] & (np.arange(YEARS) >= onset[:, None])).astype(float)
    else:
        amount = firm[:, None] * late * rng.exponential(size=(len(place), YEARS))
    own = amount + 0.5 * firm[:, None] * (amount == 0)
    y = 0.7 * autoregress(rng, (n_places, YEARS), RHO)[place]
    y += 0.7 * own * autoregress(rng, (n_places, YEARS), RHO)[place]
    y += rng.normal(size=y.shape)
    return pd.DataFrame(
        {
            "firm": np.repeat(np.arange(len(place)), YEARS),
            "year": np.tile(np.arange(YEARS), len(place)),
            "place": np.repeat(place, YEARS),
            "amount": amount.ravel(),
            "y": y.ravel(),
        }
    )


def run_cell(cell, *, replications, draws=299):
    """Return the row of one cell."""
    n_places, n_treated, _, treatment = cell
    rng = np.random.default_rng([n_places, n_treated, len(treatment)])
    methods, found = Counter(), []
    role = "treated" if treatment == "staggered" else "dose"
    for _ in range(replications):
        frame = draw_frame(rng, *cell)
        panel = Panel(frame, unit="firm", time="year")
        design = Design(panel, outcome="y", clusters="place", **{role: "amount"})
        result = TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(design)
        inference = infer(result.evidence(), draws=draws, level=None)
        methods[inference.method] += 1
        t = abs(result.estimates[0] / result.std_errors[0])
        found.append((inference.p_value, 2 * stats.t.sf(t, n_places - 1)))
    p_values = np.array(found)
    known = p_values[~np.isnan(p_values[:, 0]), 0]
    size = f"{np.mean(known <= 0.05):.3f}" if len(known) else ""
    names = " ".join(name for name, _ in methods.most_common())
    shares = f"{len(known) / replications:.3f}", size, f"{np.mean(p_values[:, 1] <= 0.05):.3f}"
    return *cell, *shares, names


def main(replications):
    print(",".join(COLUMNS))
    for cell in CELLS:
        print(",".join(map(str, run_cell(cell, replications=replications))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
