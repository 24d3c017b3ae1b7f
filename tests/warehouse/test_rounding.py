"""Outcomes without variation are told in a table as they are in memory."""

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design, Imputation, Panel, TwoWayFixedEffects, scan
from impact.errors import EstimationError

QUESTION = {"outcome": "y", "cohort": "cohort"}
ESTIMATORS = [
    CallawaySantAnna(unbalanced="complete_units"),
    Imputation(),
    TwoWayFixedEffects(accept_forbidden_comparisons=True),
]


def frame_of(n_units=60, n_periods=6):
    rng = np.random.default_rng(3)
    unit = np.repeat(np.arange(n_units), n_periods)
    frame = pd.DataFrame({"unit": unit, "time": np.tile(np.arange(n_periods), n_units)})
    return frame.assign(cohort=rng.choice([3.0, np.nan], n_units)[unit])


def designs(frame, folder):
    path = folder / "rows.parquet"
    frame.to_parquet(path)
    yield Design(Panel(frame, unit="unit", time="time"), **QUESTION)
    yield Design.from_table(scan(path, threads=1), unit="unit", time="time", **QUESTION)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_constant_outcomes_are_refused(estimator, tmp_path):
    for design in designs(frame_of().assign(y=0.1), tmp_path):
        with pytest.raises(EstimationError, match='"y" is 0.1 in all 360 rows: it does not vary'):
            estimator.fit(design)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_rounding_is_no_effect(estimator, gaps, tmp_path):
    frame = frame_of()
    frame["y"] = 0.1 * frame["time"] + 0.1 * frame["unit"]
    if gaps:
        frame = frame[(frame["unit"] % 5 > 0) | (frame["time"] != 1)]
    memory, table = (estimator.fit(design).tidy() for design in designs(frame, tmp_path))
    for found in (memory, table):
        assert (found["estimate"].dropna() == 0).all()
        assert found["p_value"].isna().all()


def test_a_small_effect_is_kept(tmp_path):
    frame = frame_of()
    noise = 1e-8 * np.random.default_rng(0).normal(size=len(frame))
    frame["y"] = 100 + 0.1 * frame["time"] + noise
    memory, table = (CallawaySantAnna().fit(d).tidy() for d in designs(frame, tmp_path))
    assert (table["std_error"].dropna() > 0).all()
    np.testing.assert_allclose(table["estimate"], memory["estimate"], rtol=1e-4, atol=1e-13)
