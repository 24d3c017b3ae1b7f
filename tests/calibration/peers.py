"""How often peers reject a true null on the draws of few_treated.py (equal sizes).

    python tests/calibration/peers.py [replications] [names] > table.csv

The stored table has 2,000 samples where two of 11 or 34 places are treated, else 400.
``names`` are of `JUDGES`, all if none; each needs its package (the bench extra). Places are units
and clusters. impact, diff_diff and statspai estimate group-time effects from the last period before
treatment, averaged over the treated; pyfixest the coefficient of two-way fixed effects, which is
another estimate of the same effect. All test no effect at 5 % as they come, impact with
infer("auto").
"""

import sys
import warnings

import numpy as np
import pandas as pd
from few_treated import ONSET, PERIODS, SIZES, draw_outcomes, draw_sizes, draw_treated

CELLS = ((11, 2), (11, 5), (34, 1), (34, 2), (34, 5), (34, 10), (63, 2), (63, 5), (63, 10))
RHO = 0.5


def make_frame(outcomes, treated):
    places, periods = np.indices(outcomes.shape)
    onset = np.where(treated, ONSET, 0)
    frame = pd.DataFrame(
        {
            "place": places.ravel(),
            "period": periods.ravel() + 1,
            "onset": np.repeat(onset, PERIODS),
            "y": outcomes.ravel(),
        }
    )
    on = (frame["onset"] > 0) & (frame["period"] >= frame["onset"])
    return frame.assign(on=on.astype(float))


def p_value_of_impact(frame):
    import impact

    panel = impact.Panel(frame, unit="place", time="period")
    design = impact.Design(panel, outcome="y", cohort="onset", never_treated=0)
    result = impact.CallawaySantAnna().fit(design).att().infer("auto", draws=499)
    return result.tidy()["p_value"][0]


def p_value_of_diff_diff(frame):
    from diff_diff import CallawaySantAnna

    fit = CallawaySantAnna(cluster="place").fit(frame, "y", "place", "period", "onset")
    return fit.overall_p_value


def p_value_of_statspai(frame):
    import statspai

    fit = statspai.callaway_santanna(
        frame, y="y", g="onset", t="period", i="place", clustervars="place"
    )
    return fit.pvalue


def p_value_of_pyfixest(frame):
    import pyfixest

    fit = pyfixest.feols("y ~ on | place + period", frame, vcov={"CRV1": "place"})
    return fit.pvalue()["on"]


JUDGES = {
    "impact": p_value_of_impact,
    "diff_diff": p_value_of_diff_diff,
    "statspai": p_value_of_statspai,
    "pyfixest": p_value_of_pyfixest,
}


def main(replications, names):
    print("clusters,treated,rho,samples," + ",".join(names))
    for n_clusters, n_treated in CELLS:
        rng = np.random.default_rng([n_clusters, n_treated, int(100 * RHO), SIZES.index("equal")])
        found = np.zeros(len(names))
        for _ in range(replications):
            sizes = draw_sizes(rng, n_clusters, "equal")
            treated = draw_treated(rng, sizes, n_treated, "equal")
            frame = make_frame(draw_outcomes(rng, sizes, RHO), treated)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found += [JUDGES[name](frame) <= 0.05 for name in names]
        shares = ",".join(f"{share:.3f}" for share in found / replications)
        print(f"{n_clusters},{n_treated},{RHO},{replications},{shares}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400, sys.argv[2:] or list(JUDGES))
