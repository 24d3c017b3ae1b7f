"""Statistics of arms of one or two clusters: loops, hand computation, exactness, other dates."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import nnls

from impact.inference.dispatch import infer, joint_draws, power_at
from impact.inference.gather import gather
from impact.inference.sample import Label, Sample
from impact.inference.scaled_ranks import ArmStatistics, fit_sizes, normal_equivalent
from impact.inference.scores import Scores

CLOSED_FORM = 1e-10
SAME = 1e-12


def make_sample(changes, sizes, n_treated, *, periods=6, onset=4, flip=False, seed=0):
    """Clusters of one unit with noise about a change at the onset, the first ones treated."""
    rng = np.random.default_rng(seed)
    outcomes = rng.normal(size=(len(sizes), periods))
    outcomes[:, onset - 1 :] += np.asarray(changes)[:, None]
    treated = np.arange(len(sizes)) < n_treated
    treated = ~treated if flip else treated
    return Sample(
        outcomes,
        np.where(treated, float(onset), np.nan),
        np.arange(len(sizes)),
        np.asarray(sizes, dtype=np.float64),
        np.arange(1, periods + 1),
    )


def evidence_of(sample, label=None, **options):
    """Evidence of the difference in mean changes from the mean of all periods before."""
    label = Label() if label is None else label
    treated = ~np.isnan(sample.cohorts)
    onset = int(np.nanmin(sample.cohorts))
    after = sample.periods >= onset
    if not np.isnan(label.event_time):
        after = sample.periods == onset + label.event_time
    change = sample.outcomes[:, after].mean(axis=1)
    change = change - sample.outcomes[:, sample.periods < onset].mean(axis=1)
    means = [np.average(change[g], weights=sample.weights[g]) for g in (treated, ~treated)]
    psi = np.zeros((len(treated), 1))
    return gather(
        sample, Scores(psi), 0, estimate=means[0] - means[1], std_error=1.0, label=label, **options
    )


def fitted_by_hand(squares, sizes, weights):
    """Non-negative weighted least squares on one and one over size."""
    x = np.column_stack([np.ones(len(sizes)), 1 / np.asarray(sizes)])
    root = np.sqrt(weights)
    return nnls(x * root[:, None], squares * root)[0], x


def normal_by_hand(t, freedom):
    return (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log(1 + t**2 / freedom))


def statistic_by_hand(y, sizes, arm):
    """The signed square of one arm's statistic, following the definition."""
    y, n = np.asarray(y), np.asarray(sizes, dtype=np.float64)
    centred = (y - np.average(y, weights=n)) ** 2
    weights = np.ones(len(y))
    for _ in range(2):
        pooled, x = fitted_by_hand(centred, n, weights)
        weights = 1 / (x @ pooled) ** 2
    rest = [g for g in range(len(y)) if g not in arm]
    w_arm, w_rest = n[list(arm)] / n[list(arm)].sum(), n[rest] / n[rest].sum()
    mean = w_rest @ y[rest]
    effect = w_arm @ y[list(arm)] - mean
    squares = (y[rest] - mean) ** 2 * len(rest) / (len(rest) - 1)
    own, x_rest = fitted_by_hand(squares, n[rest], weights[rest])
    counts = np.array([w_arm @ w_arm + w_rest @ w_rest, 1 / n[list(arm)].sum() + 1 / n[rest].sum()])
    bread = np.linalg.inv(x_rest.T @ (x_rest * weights[rest][:, None]))
    relative = 2 * counts @ bread @ counts / (counts @ pooled) ** 2
    z = normal_by_hand(effect / np.sqrt(counts @ own), 4 / (relative + 2 / len(rest)))
    if len(arm) == 2:
        variance, trace, total = 0.0, 0.0, 0.0
        for w, members in ((w_arm, list(arm)), (w_rest, rest)):
            deviations = np.eye(len(w)) - np.outer(np.ones(len(w)), w)
            form = np.diag(w**2) @ deviations @ deviations.T
            ratio = w @ w / np.trace(form)
            variance += ratio * sum(w**2 * (y[members] - w @ y[members]) ** 2)
            trace += np.trace(form @ form) * ratio**2
            total += w @ w
        z += normal_by_hand(effect / np.sqrt(variance), total**2 / trace)
    return np.sign(effect) * z**2


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_statistics_equal_a_loop_over_arms(width, seed):
    rng = np.random.default_rng(seed)
    sizes = np.round(np.exp(rng.normal(2, 0.9, 10))) + 1
    y = rng.normal(size=10) * np.sqrt(0.3 + 2 / sizes)
    arms = list(combinations(range(10), width))
    found = ArmStatistics(y, np.zeros(10), sizes, np.array(arms)).signed_squares(0.0)
    expected = [statistic_by_hand(y, sizes, arm) for arm in arms]
    np.testing.assert_allclose(found, expected, rtol=CLOSED_FORM)


@pytest.mark.parametrize("width", [1, 2])
def test_dates_and_effects_at_once_are_those_one_by_one(width):
    rng = np.random.default_rng(8)
    sizes, treatment = rng.integers(2, 40, 9).astype(float), np.zeros((3, 9))
    outcomes = rng.normal(size=(3, 9))
    treatment[:, :width] = rng.random((3, 1))
    arms, effects = np.array(list(combinations(range(9), width))), np.array([-1.0, 0.0, 0.7, 1e5])
    together = ArmStatistics(outcomes, treatment, sizes, arms)
    alone = [ArmStatistics(y, d, sizes, arms) for y, d in zip(outcomes, treatment, strict=True)]
    np.testing.assert_allclose(together.effect, np.hstack([one.effect for one in alone]), rtol=SAME)
    expected = [np.hstack([one.signed_squares(effect) for one in alone]) for effect in effects]
    np.testing.assert_allclose(together.signed_squares(effects), expected, rtol=CLOSED_FORM)


def test_one_of_five_equal_clusters_by_hand():
    """Changes 4, 0, 1, 2, 3: the others' mean is 1.5 and their variance 5/3."""
    y, ones = np.array([4.0, 0.0, 1.0, 2.0, 3.0]), np.ones(5)
    statistics = ArmStatistics(y, np.eye(5)[0], ones, np.arange(5)[:, None])
    t = 2.5 / np.sqrt(5 / 3 * (1 + 1 / 4))
    z = 33 / 35 * np.sqrt(4 * np.log(1 + t**2 / 4))
    assert statistics.effect[:, 0].tolist() == [2.5, 1.0]
    assert statistics.signed_squares(0.0)[0] == pytest.approx(z**2, rel=SAME)
    assert statistics.signed_squares(2.5)[0] == 0.0
    assert statistics.effect[1, 1] == -0.25


def test_fit_to_sizes_recovers_both_parts():
    sizes = np.tile([1.0, 2.0, 4.0, 8.0], 2)
    signs = np.repeat([1.0, -1.0], 4)
    fit = fit_sizes(signs * np.sqrt(0.5 + 2 / sizes), sizes)
    assert (fit.common, fit.individual) == pytest.approx((0.5, 2.0), rel=CLOSED_FORM)
    flat = fit_sizes(np.array([1.0, -1.0, 1.0, -1.0]), np.full(4, 3.0))
    assert (flat.common, flat.individual) == (1.0, 0.0)
    rising = fit_sizes(np.array([0.1, -0.1, 3.0, -3.0]), np.array([1.0, 1.0, 9.0, 9.0]))
    assert rising.individual == 0.0


def test_normal_equivalents_keep_the_place_in_the_tail():
    """Wallace's transformation beside the exact one, for t up to 5."""
    t = np.linspace(0.1, 5, 40)
    for freedom in (2.0, 4.0, 8.0, 30.0):
        found = normal_equivalent(t, np.ones(40), np.full(40, freedom))
        exact = -stats.norm.ppf(stats.t.sf(t, freedom))
        np.testing.assert_allclose(found, exact, atol=0.09 / freedom)


def test_every_arm_is_as_often_rejected_as_the_level_allows():
    """Each pair of eight clusters of unlike size treated in turn: p-values are 1/28, 2/28, ..."""
    rng = np.random.default_rng(3)
    sizes = np.round(np.exp(rng.normal(2, 0.9, 8))) + 1
    y = rng.standard_t(4, size=8)
    arms = np.array(list(combinations(range(8), 2)))
    squares = ArmStatistics(y, np.zeros(8), sizes, arms).signed_squares(0.0)
    p_values = [(np.abs(squares) >= abs(own)).mean() for own in squares]
    np.testing.assert_allclose(np.sort(p_values), np.arange(1, 29) / 28, rtol=SAME)


def test_units_of_measurement_and_order_do_not_matter():
    rng = np.random.default_rng(4)
    sizes, y = rng.integers(2, 40, 12).astype(float), rng.normal(size=12)
    arms = np.array(list(combinations(range(12), 2)))
    plain = ArmStatistics(y, np.zeros(12), sizes, arms).signed_squares(0.0)
    other = ArmStatistics(7 + 1e6 * y, np.zeros(12), 3 * sizes, arms).signed_squares(0.0)
    np.testing.assert_allclose(other, plain, rtol=1e-7)
    order = rng.permutation(12)
    place = np.argsort(order)
    moved = ArmStatistics(y[order], np.zeros(12), sizes[order], place[arms]).signed_squares(0.0)
    np.testing.assert_allclose(moved, plain, rtol=CLOSED_FORM)


@pytest.mark.parametrize(("n_clusters", "n_treated"), [(20, 1), (12, 2)])
def test_other_dates_join_where_reassignments_are_few(n_clusters, n_treated):
    """Places and dates by a loop: others' statistics at five dates, each on its own scale."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(4, 20, n_clusters)
    sample = make_sample(np.where(np.arange(n_clusters) < n_treated, 2.5, 0.0), sizes, n_treated)
    evidence = evidence_of(sample)
    found = infer(evidence)
    arms = list(combinations(range(n_clusters), n_treated))
    y = sample.outcomes
    ranked = []
    for start in range(1, 6):
        change = y[:, start:].mean(axis=1) - y[:, :start].mean(axis=1)
        ranked += [abs(statistic_by_hand(change, sizes, arm)) for arm in arms[1:]]
    change = y[:, 3:].mean(axis=1) - y[:, :3].mean(axis=1)
    observed = abs(statistic_by_hand(change, sizes, arms[0]))
    expected = (1 + np.sum(np.array(ranked) >= observed)) / (1 + len(ranked))
    assert found.p_value == pytest.approx(expected, rel=SAME)
    assert found.lattice == pytest.approx(1 / (1 + len(ranked)))
    assert found.method == ("permutation_by_size" if n_treated == 1 else "permutation")
    assert f"{len(ranked)} reassignments of treatment paths to places and 5" in found.notes[0]
    assert found.notes[0].endswith("all.")
    joint = joint_draws(evidence, "permutation")
    again = 1 + np.sum(np.abs(joint.drawn) >= joint.statistic * (1 - 1e-9))
    assert again / (1 + len(joint.drawn)) == pytest.approx(expected, rel=SAME)


def test_every_place_and_date_is_as_often_rejected_as_the_level_allows():
    """Each of 12 places treated from each of periods 3 to 6: ranks among the same 60, none twice.

    Errors are a random walk, so that a place far astray is so at all dates.
    """
    rng = np.random.default_rng(9)
    outcomes, ranks = np.cumsum(rng.normal(size=(12, 6)), axis=1), []
    for onset, place in product(range(3, 7), range(12)):
        sample = Sample(
            outcomes,
            np.where(np.arange(12) == place, float(onset), np.nan),
            np.arange(12),
            np.full(12, 5.0),
            np.arange(1, 7),
        )
        ranks.append(60 * infer(evidence_of(sample), level=None).p_value)
    np.testing.assert_allclose(ranks, np.round(ranks), rtol=SAME)
    assert len(np.unique(np.round(ranks))) == 48


def test_dates_of_one_event_time_stay_in_the_panel():
    """The effect two periods on can be had for treatment from periods 2, 3 and 4 of 6."""
    sample = make_sample(np.zeros(20), np.full(20, 5.0), 1)
    evidence = evidence_of(sample, Label(event_time=2.0))
    assert evidence.paths is not None
    assert [int(np.argmax(weights)) + 1 for weights in evidence.paths.shifted] == [4, 5]
    of_cohort = evidence_of(sample, Label(cohort=4.0, event_time=2.0))
    assert len(of_cohort.paths.shifted) == 2
    assert of_cohort.facts.assignments == 1 + 19 * 3


def test_dates_of_an_estimate_from_before_treatment_are_before_it():
    """Two periods before treatment from period 6 of 8, less one before: earlier dates alone."""
    sample = make_sample(np.zeros(19), np.full(19, 5.0), 1, periods=8, onset=6)
    change = sample.outcomes[:, 3] - sample.outcomes[:, 4]
    evidence = gather(
        sample,
        Scores(np.zeros((19, 1))),
        0,
        estimate=change[0] - change[1:].mean(),
        std_error=1.0,
        label=Label(event_time=-2.0),
    )
    shifted = [np.flatnonzero(weights).tolist() for weights in evidence.paths.shifted]
    assert shifted == [[0, 1], [1, 2], [2, 3]]
    grown = replace(sample, outcomes=sample.outcomes.copy())
    grown.outcomes[0, 5:] += 50.0
    found = infer(evidence, level=None)
    again = infer(replace(evidence, paths=replace(evidence.paths, outcomes=grown.cluster_means)))
    assert again.p_value == found.p_value


@pytest.mark.parametrize(
    ("n_clusters", "n_treated", "count"), [(6, 1, 6), (10, 1, 10), (5, 3, 10), (4, 2, 6)]
)
def test_other_dates_do_not_stand_in_for_places(n_clusters, n_treated, count):
    """Of fewer than eleven places no calibration tells how often the test would reject."""
    sample = make_sample(np.zeros(n_clusters), np.full(n_clusters, 5.0), n_treated, periods=10)
    evidence = evidence_of(sample)
    found = infer(evidence)
    assert evidence.paths.shifted == ()
    assert found.method == "none"
    assert f"only {count} reassignments of treatment exist" in found.reason


def test_many_reassignments_need_no_other_dates():
    sample = make_sample(np.zeros(34), np.full(34, 5.0), 2)
    evidence = evidence_of(sample)
    found = infer(evidence)
    assert evidence.paths.shifted == ()
    assert found.lattice == pytest.approx(1 / 561)
    assert found.notes[0].startswith("561 reassignments of treatment paths, all")


def test_the_arm_of_one_may_be_the_untreated_one():
    rng = np.random.default_rng(6)
    sizes = rng.integers(4, 20, 30)
    lone = make_sample(np.where(np.arange(30) < 1, 2.0, 0.0), sizes, 1)
    flipped = replace(lone, cohorts=np.where(np.isnan(lone.cohorts), 4.0, np.nan))
    found, mirrored = infer(evidence_of(lone)), infer(evidence_of(flipped))
    assert mirrored.p_value == found.p_value
    assert mirrored.estimate == pytest.approx(-found.estimate, rel=SAME)
    np.testing.assert_allclose(
        (mirrored.confidence_set.low, mirrored.confidence_set.high),
        (-found.confidence_set.high, -found.confidence_set.low),
        rtol=1e-6,
    )


@pytest.mark.parametrize("n_treated", [1, 2])
def test_set_holds_the_effects_that_are_kept(n_treated):
    rng = np.random.default_rng(7)
    sizes = rng.integers(4, 20, 24)
    changes = np.where(np.arange(24) < n_treated, 2.0, 0.0)
    found = infer(evidence_of(make_sample(changes, sizes, n_treated)))
    assert found.confidence_set.is_bounded
    for end, way in ((found.confidence_set.low, 1), (found.confidence_set.high, -1)):
        for step, kept in ((1e-6, True), (-1e-4, False)):
            null = changes - (end + way * step) * (np.arange(24) < n_treated)
            other = infer(evidence_of(make_sample(null, sizes, n_treated)), level=None)
            assert (other.p_value > 0.05) == kept


def test_power_and_detectable_effect_are_of_the_actual_date():
    sample = make_sample(np.zeros(34), np.full(34, 5.0), 1)
    evidence = evidence_of(sample)
    found = infer(evidence)
    assert found.detectable > 0
    power = power_at(evidence, found, np.array([0.0, found.detectable, 50.0]))
    assert power[0] < 0.2 < power[1] <= power[2] == 1.0


def test_one_of_unlike_size_among_few_has_no_p_value():
    sizes = np.append(1.0, np.full(19, 60.0))
    found = infer(evidence_of(make_sample(np.zeros(20), sizes, 1)))
    assert found.method == "none"
    assert "unlike the others in size" in found.reason
