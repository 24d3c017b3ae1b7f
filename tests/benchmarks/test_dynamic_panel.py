"""Difference and system GMM beside statspai, from data frame to table: 5,000 units in 10 periods.

The peer's test runs where statspai is installed; numbers are compared first, calls timed in turn.
"""

import statistics
import time

import numpy as np
import pandas as pd
import pytest

from impact import ArellanoBond, BlundellBond, Design, Panel

ROUNDS = 7
RATIO = 3.0
CASES = {"difference": ArellanoBond, "system": BlundellBond}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n_units, before, periods = 5_000, 5, 10
    effect, x = rng.normal(size=n_units), rng.normal(size=(n_units, before + periods))
    y = np.zeros_like(x)
    for t in range(1, before + periods):
        y[:, t] = 0.5 * y[:, t - 1] + 0.4 * x[:, t] + effect + rng.normal(size=n_units)
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(n_units), periods),
            "time": np.tile(np.arange(periods), n_units),
            "y": y[:, before:].ravel(),
            "x": x[:, before:].ravel(),
        }
    )


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_several_times_faster_than_statspai(frame, name):
    statspai = pytest.importorskip("statspai")

    def ours():
        design = Design(Panel(frame, unit="unit", time="time"), outcome="y", covariates="x")
        return CASES[name](steps=2, time_effects=False).fit(design).tidy()

    def theirs():
        return statspai.xtabond(
            frame, y="y", x=["x"], id="unit", time="time", method=name, twostep=True
        )

    table, peer = ours(), theirs()
    np.testing.assert_allclose(table["estimate"].iloc[0], peer.estimate, rtol=1e-6)
    np.testing.assert_allclose(table["std_error"].iloc[0], peer.se, rtol=1e-5)
    pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(ROUNDS)]
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name}: {own:.3f} s, statspai {other:.3f} s, {other / own:.1f} times")
    assert other > RATIO * own
