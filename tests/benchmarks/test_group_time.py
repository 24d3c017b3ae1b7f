"""Group-time effects beside diff-diff, the fastest peer: cells, event study, cohorts, average.

The peer's tests run where diff-diff is installed. Both get the same frame, are warmed up and timed
in turn, in processor seconds of one thread, so that other work on the machine tells less; estimates
are compared first, the least of several taken. Memory is what a fit adds to the outcome matrix.
"""

import gc
import time
import tracemalloc

import numpy as np
import pytest

from impact import CallawaySantAnna, Design, Panel, set_threads, simulate
from impact.kernels.parallel import get_threads

ROUNDS = 3
# (units, covariates) and how many times faster than the peer at the least.
GOALS = {(1_000_000, 0): 30.0, (100_000, 3): 5.0}
# Arrays a fit without covariates may hold beside the outcome matrix, in its own size.
MEMORY = 3.0


def make_frame(n_units, n_covariates):
    frame = simulate.staggered_panel(
        0, n_units=n_units, periods=10, cohorts=(4, 6, 8), effect=lambda e, g: 1 + 0.25 * e
    ).frame
    rng = np.random.default_rng(1)
    for j in range(n_covariates):
        frame[f"x{j}"] = np.repeat(rng.normal(size=n_units), 10)
    frame["first"] = frame["cohort"].fillna(0).astype(int)
    return frame


def ours(frame, n_covariates):
    panel = Panel(frame, unit="unit", time="time")
    design = Design(
        panel, outcome="outcome", cohort="cohort", covariates=[f"x{j}" for j in range(n_covariates)]
    )
    result = CallawaySantAnna(comparison="never_treated", base_period="varying").fit(design)
    for view in (result.event_study(), result.by("cohort"), result.att()):
        view.tidy()
    return result.tidy()


def seconds_of(call):
    gc.collect()
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.fixture
def one_thread():
    before = get_threads()
    set_threads(1)
    yield
    set_threads(before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("n_units", "n_covariates"), GOALS)
def test_many_times_faster_than_the_fastest_peer(n_units, n_covariates):
    diff_diff = pytest.importorskip("diff_diff", reason="diff-diff is not installed")
    frame = make_frame(n_units, n_covariates)

    def theirs():
        return diff_diff.CallawaySantAnna(control_group="never_treated").fit(
            frame, "outcome", "unit", "time", "first", aggregate="all",
            covariates=[f"x{j}" for j in range(n_covariates)] or None,
        )  # fmt: skip

    found = ours(frame, n_covariates).set_index(["cohort", "time"])
    for (cohort, period), cell in theirs().group_time_effects.items():
        # Their logit stops early.
        assert found.loc[(cohort, period), "estimate"] == pytest.approx(cell["effect"], abs=1e-5)
    seconds = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        seconds["ours"] += [seconds_of(lambda: ours(frame, n_covariates)) for _ in range(3)]
        seconds["theirs"].append(seconds_of(theirs))
    least = {name: min(values) for name, values in seconds.items()}
    ratio = least["theirs"] / least["ours"]
    print(
        f"{n_units:,} units x 10, {n_covariates} covariates: {1000 * least['ours']:.0f} ms, "
        f"diff-diff {1000 * least['theirs']:.0f} ms, {ratio:.1f} times"
    )
    assert ratio >= GOALS[n_units, n_covariates]


@pytest.mark.slow
def test_memory_is_a_small_multiple_of_the_outcome_matrix():
    frame = make_frame(200_000, 0)
    ours(frame, 0)
    tracemalloc.start()
    ours(frame, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ratio = peak / (200_000 * 10 * 8)
    print(f"peak memory {ratio:.2f} times the outcome matrix")
    assert ratio < MEMORY
