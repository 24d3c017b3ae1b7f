"""Size of "auto" where treatment varies within clusters, by simulation.

    cd tests/calibration; python within_clusters.py [replications] > within_clusters.csv

In ``treated`` of the places half of the firms are treated, everywhere else none. Firms share a
place shock, treated firms of a place another, each with standard deviation 0.7, beside their own
noise; the estimate is the difference in means. Sizes as in few_treated.py. Columns:

given    share of samples in which "auto" gives a p-value
size     share of those that reject no effect at 5 % when there is none, from the regression
score    the same from cluster contributions alone (the score bootstrap)
cr1      rejections by clustered standard errors and the normal law, same samples
methods  methods chosen, most frequent first

Cells in which some but fewer than 95 % of samples are given a p-value are run with four times as
many samples.
"""

import sys
from collections import Counter
from dataclasses import replace

import numpy as np
from few_treated import CLUSTERS, draw_sizes

from impact.inference.dispatch import infer
from impact.inference.evidence import Blocks, Evidence

TREATED = (2, 3, 5, 10, "half", "all")
ENOUGH_GIVEN = 0.95
COLUMNS = ("clusters", "treated", "sizes", "given", "size", "score", "cr1", "methods")


def draw_evidence(rng, n_clusters, n_treated, kind):
    """Return what is known of one sample's difference in means, with its CR1 t statistic."""
    sizes = draw_sizes(rng, n_clusters, kind).astype(int)
    cluster = np.repeat(np.arange(n_clusters), sizes)
    rank = np.arange(len(cluster)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.isin(cluster, rng.permutation(n_clusters)[:n_treated])
    treated = (chosen & (rank < np.maximum(1, sizes[cluster] // 2))).astype(float)
    shocks = 0.7 * rng.standard_normal((2, n_clusters))
    y = shocks[0, cluster] + shocks[1, cluster] * treated + rng.standard_normal(len(cluster))
    x = np.column_stack((treated, np.ones(len(cluster))))
    starts = np.cumsum(sizes) - sizes
    gram = np.add.reduceat(x[:, :, None] * x[:, None, :], starts)
    cross = np.add.reduceat(x * y[:, None], starts)
    inverse = np.linalg.inv(gram.sum(axis=0))
    beta = inverse @ cross.sum(axis=0)
    psi = (cross - gram @ beta) @ inverse[0]
    error = float(np.sqrt(np.sum(psi**2)))
    evidence = Evidence(
        estimate=float(beta[0]),
        std_error=error,
        df=None,
        sizes=sizes.astype(float),
        treated_sizes=np.add.reduceat(treated, starts),
        contributions=lambda: psi,
        blocks=Blocks(gram, cross, np.array([1.0, 0.0])),
    )
    return evidence, abs(beta[0]) / error


def run_cell(n_clusters, n_treated, kind, *, replications, draws=499):
    """Return the row of one cell of the grid."""
    rng = np.random.default_rng([n_clusters, n_treated, kind == "random"])
    methods, counts = Counter(), np.zeros(4)
    for _ in range(replications):
        evidence, statistic = draw_evidence(rng, n_clusters, n_treated, kind)
        regression = infer(evidence, draws=draws, level=None)
        methods[regression.method] += 1
        counts[3] += statistic > 1.96
        if regression.method == "none":
            continue
        score = infer(replace(evidence, blocks=None), "wild", draws=draws, level=None)
        counts[:3] += 1, regression.p_value <= 0.05, score.p_value <= 0.05
    given = counts[0]
    shares = [f"{count / given:.3f}" if given else "" for count in counts[1:3]]
    names = " ".join(name for name, _ in methods.most_common())
    return (
        n_clusters, n_treated, kind, f"{given / replications:.3f}", *shares,
        f"{counts[3] / replications:.3f}", names,
    )  # fmt: skip


def grid():
    for n_clusters in CLUSTERS:
        counts = {"half": n_clusters // 2, "all": n_clusters}
        for n_treated in sorted({counts.get(t, t) for t in TREATED}):
            for kind in ("equal", "random"):
                yield n_clusters, n_treated, kind


def main(replications):
    print(",".join(COLUMNS))
    for cell in grid():
        row = run_cell(*cell, replications=replications)
        if 0 < float(row[3]) < ENOUGH_GIVEN:
            row = run_cell(*cell, replications=4 * replications)
        print(",".join(map(str, row)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
