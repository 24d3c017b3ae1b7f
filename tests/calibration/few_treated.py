"""Size and power of inference with few treated clusters, by simulation.

    python tests/calibration/few_treated.py [replications] > tests/calibration/few_treated.csv

Places of firms are observed for eight periods, treatment starts in the fifth; a few cells have
20 periods, treatment starting in the sixth. Outcomes carry a place-by-period shock (standard
deviation 0.5, first-order autocorrelation rho; a random walk with steps of 0.5 if rho is 1) and a
firm's own noise (standard deviation 1). Sizes are 8 firms, or log-normal (standard deviation 0.9
of the logarithm, at least 2). The estimate is the difference in mean changes, weighted by firms.
Columns:

clusters, treated, rho  the cell of the grid
sizes       equal; random (unequal, treated places drawn at random); or unequal with the smallest or
            the largest places treated
periods     8 or 20
given       share of samples in which "auto" gives a p-value
size        share of those that reject no effect at 5 % when there is none
power       the same at an effect of 1.2 times the standard deviation of a place's change, from
            the first third of the samples
cr1         rejections of no effect by clustered standard errors and the normal law, same samples
methods     methods chosen, most frequent first
"""

import sys
from collections import Counter
from itertools import product

import numpy as np

from impact.inference.dispatch import infer
from impact.inference.gather import gather
from impact.inference.sample import Label, Sample
from impact.inference.scores import Scores

PERIODS, ONSET = 8, 5
ONSETS = {PERIODS: ONSET, 20: 6}
SHOCK, NOISE = 0.5, 1.0
EFFECT = 1.2
CLUSTERS, TREATED, RHO = (11, 34, 63), (1, 2, 3, 5, 10, "half"), (0.0, 0.5, 0.9)
SIZES = ("equal", "random", "smallest", "largest")
LONG = tuple(product(((11, 1, "equal"), (11, 2, "random"), (34, 1, "equal")), (0.9, 1.0)))
COLUMNS = (
    "clusters", "treated", "rho", "sizes", "periods", "given", "size", "power", "cr1", "methods",
)  # fmt: skip


def draw_sizes(rng, n_clusters, kind):
    if kind == "equal":
        return np.full(n_clusters, 8.0)
    return np.maximum(2.0, np.round(np.exp(rng.normal(np.log(8), 0.9, n_clusters))))


def draw_treated(rng, sizes, n_treated, kind):
    if kind in ("equal", "random"):
        chosen = rng.permutation(len(sizes))[:n_treated]
    else:
        order = np.argsort(sizes, kind="stable")
        chosen = order[:n_treated] if kind == "smallest" else order[-n_treated:]
    treated = np.zeros(len(sizes), dtype=bool)
    treated[chosen] = True
    return treated


def draw_outcomes(rng, sizes, rho, periods=PERIODS):
    shape = (len(sizes), periods)
    innovations = rng.standard_normal(shape)
    shocks = innovations.copy()
    step = np.sqrt(1 - rho**2) if rho < 1 else 1.0
    for t in range(1, periods):
        shocks[:, t] = rho * shocks[:, t - 1] + step * innovations[:, t]
    return SHOCK * shocks + NOISE * rng.standard_normal(shape) / np.sqrt(sizes)[:, None]


def mean_changes(outcomes):
    """Return each place's mean from the onset on less its mean before."""
    before = ONSETS[outcomes.shape[1]] - 1
    return outcomes[:, before:].mean(axis=1) - outcomes[:, :before].mean(axis=1)


def infer_effect(outcomes, treated, sizes, *, draws):
    """Estimate by difference in mean changes; return the inference and CR1's t statistic."""
    periods = outcomes.shape[1]
    change = mean_changes(outcomes)
    psi = np.empty(len(sizes))
    means = []
    for arm, sign in ((treated, 1.0), (~treated, -1.0)):
        weight = sizes[arm] / sizes[arm].sum()
        means.append(weight @ change[arm])
        psi[arm] = sign * weight * (change[arm] - means[-1])
    estimate = float(means[0] - means[1])
    error = float(np.sqrt(np.sum(psi**2)))
    sample = Sample(
        outcomes,
        np.where(treated, float(ONSETS[periods]), np.nan),
        np.arange(len(sizes)),
        sizes,
        np.arange(1, periods + 1),
    )
    evidence = gather(
        sample, Scores(psi[:, None]), 0, estimate=estimate, std_error=error, label=Label()
    )
    return infer(evidence, draws=draws, level=None), abs(estimate) / error


def run_cell(n_clusters, n_treated, rho, kind, periods=PERIODS, *, replications, draws=499):
    """Return the row of one cell of the grid."""
    cell = [n_clusters, n_treated, int(100 * rho), SIZES.index(kind)]
    rng = np.random.default_rng(cell if periods == PERIODS else [*cell, periods])
    methods, given, rejected, tried, found, naive = Counter(), 0, 0, 0, 0, 0
    for replication in range(replications):
        sizes = draw_sizes(rng, n_clusters, kind)
        treated = draw_treated(rng, sizes, n_treated, kind)
        outcomes = draw_outcomes(rng, sizes, rho, periods)
        result, statistic = infer_effect(outcomes, treated, sizes, draws=draws)
        methods[result.method] += 1
        naive += statistic > 1.96
        if result.method == "none":
            continue
        given += 1
        rejected += result.p_value <= 0.05
        if replication < replications / 3:
            outcomes[treated, ONSETS[periods] - 1 :] += EFFECT * mean_changes(outcomes).std()
            tried += 1
            found += infer_effect(outcomes, treated, sizes, draws=draws)[0].p_value <= 0.05
    names = " ".join(name for name, _ in methods.most_common())
    return (
        n_clusters, n_treated, rho, kind, periods, _share(given, replications),
        _share(rejected, given), _share(found, tried), _share(naive, replications), names,
    )  # fmt: skip


def _share(count, total):
    return f"{count / total:.3f}" if total else ""


def grid():
    for n_clusters, n_treated, rho, kind in product(CLUSTERS, TREATED, RHO, SIZES):
        count = n_clusters // 2 if n_treated == "half" else n_treated
        if n_treated == "half" or count != n_clusters // 2:
            yield n_clusters, count, rho, kind, PERIODS
    for (n_clusters, count, kind), rho in LONG:
        yield n_clusters, count, rho, kind, 20


def main(replications):
    print(",".join(COLUMNS))
    for cell in grid():
        print(",".join(map(str, run_cell(*cell, replications=replications))), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
