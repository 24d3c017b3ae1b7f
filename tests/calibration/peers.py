"""How often peers reject a true null on the draws of few_treated.py (equal sizes).

    python tests/calibration/peers.py [replications] > tests/calibration/peers.csv

Needs diff-diff (the bench extra). Both estimate group-time effects from the last period before
treatment, with places as units and clusters, average them over the treated, and test no effect at
5 %: diff-diff as it comes, ours with infer("auto") of the same estimate.
"""

import sys
import warnings

import numpy as np
import pandas as pd
from few_treated import ONSET, PERIODS, SIZES, draw_outcomes, draw_sizes, draw_treated

import impact

CELLS = ((11, 2), (11, 5), (34, 1), (34, 2), (34, 5), (34, 10), (63, 2), (63, 5), (63, 10))
RHO = 0.5


def make_frame(outcomes, treated):
    places, periods = np.indices(outcomes.shape)
    onset = np.where(treated, ONSET, 0)
    return pd.DataFrame(
        {
            "place": places.ravel(),
            "period": periods.ravel() + 1,
            "onset": np.repeat(onset, PERIODS),
            "y": outcomes.ravel(),
        }
    )


def rejects_theirs(frame):
    from diff_diff import CallawaySantAnna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = CallawaySantAnna(cluster="place").fit(frame, "y", "place", "period", "onset")
    return fit.overall_p_value <= 0.05


def rejects_ours(frame):
    panel = impact.Panel(frame, unit="place", time="period")
    design = impact.Design(panel, outcome="y", cohort="onset", never_treated=0)
    result = impact.CallawaySantAnna().fit(design).att().infer("auto", draws=499)
    return result.tidy()["p_value"][0] <= 0.05


def main(replications):
    print("clusters,treated,rho,impact,diff_diff")
    for n_clusters, n_treated in CELLS:
        rng = np.random.default_rng([n_clusters, n_treated, int(100 * RHO), SIZES.index("equal")])
        found = np.zeros(2)
        for _ in range(replications):
            sizes = draw_sizes(rng, n_clusters, "equal")
            treated = draw_treated(rng, sizes, n_treated, "equal")
            frame = make_frame(draw_outcomes(rng, sizes, RHO), treated)
            found += rejects_ours(frame), rejects_theirs(frame)
        ours, theirs = found / replications
        print(f"{n_clusters},{n_treated},{RHO},{ours:.3f},{theirs:.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
