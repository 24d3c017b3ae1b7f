"""Relative-magnitudes sets beside StatsPAI's, the fastest peer whose interval is valid.

Runs where statspai is installed (the bench extra); both are given the same numbers, warmed up,
and timed in turn.
"""

import statistics
import time

import numpy as np
import pytest

from impact.inference.honest import HonestProblem

BOUNDS = (0.0, 0.5, 1.0, 1.5, 2.0)
ROUNDS = 3
AT_LEAST = 5.0


@pytest.mark.slow
@pytest.mark.parametrize("n_post", [5, 8])
def test_relative_magnitudes_are_several_times_faster(n_post):
    peer = pytest.importorskip("statspai.did._arp_sets", reason="statspai is not installed")
    rng = np.random.default_rng(0)
    size = 5 + n_post
    covariance = 0.01 * (0.5 * np.eye(size) + 0.5)
    estimate = np.r_[rng.normal(0, 0.03, 5), np.full(n_post, 0.3)]

    def ours():
        return HonestProblem(estimate, covariance, 5).intervals(BOUNDS)

    def theirs():
        return [
            peer.rm_confidence_set(estimate, covariance, 5, n_post, bound, method="C-LF")
            for bound in BOUNDS
        ]

    ours(), theirs()
    seconds = {ours: [], theirs: []}
    for _ in range(ROUNDS):
        for call in seconds:
            start = time.perf_counter()
            call()
            seconds[call].append(time.perf_counter() - start)
    ratio = statistics.median(seconds[theirs]) / statistics.median(seconds[ours])
    print(f"relative magnitudes, 5 x {n_post}: {ratio:.1f} times faster than StatsPAI")
    assert ratio >= AT_LEAST
