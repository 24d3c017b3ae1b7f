"""Treatment that varies within clusters: hundreds need no bootstrap, a few loud ones do."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Imputation, Panel


def result_of(estimator, n_clusters, *, loud=0):
    rng = np.random.default_rng(2)
    unit, time = (a.ravel() for a in np.indices((4 * n_clusters, 4)))
    begins = rng.random(4 * n_clusters) < 0.5
    frame = pd.DataFrame({"unit": unit, "year": 2000 + time, "commune": unit // 4})
    frame["treated"] = (begins[unit] & (time >= 2)).astype(int)
    scale = np.where(frame["commune"] < loud, 50.0, 1.0)
    frame["y"] = scale * rng.normal(size=len(frame))
    design = Design(
        Panel(frame, unit="unit", time="year"), outcome="y", treated="treated", clusters="commune"
    )
    return estimator.fit(design).att()


@pytest.mark.parametrize("estimator", [CallawaySantAnna(), Imputation()])
def test_hundreds_of_like_clusters_need_no_bootstrap(estimator):
    result = result_of(estimator, 600)
    assert result.inferences() == [None]
    own, wild = (r.tidy()["p_value"].iloc[0] for r in (result, result.infer("wild")))
    assert own == pytest.approx(wild, abs=0.02)


def test_a_few_clusters_that_make_up_the_error_do():
    result = result_of(CallawaySantAnna(), 600, loud=10)
    assert result.evidence().facts.effective_contributions < 30
    assert result.inferences()[0].method == "wild"
    assert result_of(CallawaySantAnna(), 60).inferences()[0].method == "wild"
