"""Randomisation inference: exact lists, ties, closed forms, inversion, refusals, size."""

from itertools import permutations
from math import comb, factorial

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.assignments import assignments, comparable_assignments
from impact.inference.permutation import (
    PathCells,
    path_contributions,
    path_statistics,
    permutation_test,
    two_group_cells,
)


def two_groups(values, treated, sizes=None, *, studentise="none", draws=9999, seed=0, **options):
    values, treated = np.asarray(values, float), np.asarray(treated)
    paths = np.column_stack([0 * values, values])
    treatment = np.column_stack([0 * values, treated])
    weight = np.ones(len(values)) if sizes is None else sizes
    labels = 1 - treated

    def statistics(rows):
        return path_statistics(
            paths, treatment, weight, rows, two_group_cells(), studentise=studentise
        )

    drawn = assignments(labels, draws=draws, seed=seed)
    return permutation_test(statistics(labels[None]), statistics(drawn.labels), drawn, **options)


def staggered_cells(first, n_periods, compare_not_yet=True):
    rows = []
    for c, start in enumerate(first):
        for t in range(start, n_periods):
            contrast = np.zeros(n_periods)
            contrast[t] += 1
            contrast[start - 1] -= 1
            later = [compare_not_yet and k > c and other > t for k, other in enumerate(first)]
            rows.append((c, [*later, True], contrast, 1 / (n_periods - start)))
    return PathCells(*(np.array(column) for column in zip(*rows, strict=True)))


def staggered_panel(seed=0, n_clusters=9):
    rng = np.random.default_rng(seed)
    labels = np.array([0, 0, 1, 1] + [2] * (n_clusters - 4))
    treatment = np.zeros((n_clusters, 6))
    treatment[:2, 2:] = treatment[2:4, 4:] = 1
    paths = rng.normal(size=(n_clusters, 6)) + 0.5 * treatment
    return paths, treatment, rng.integers(1, 9, n_clusters).astype(float), labels


@pytest.mark.parametrize("compare_not_yet", [True, False])
def test_contributions_are_derivatives_in_the_weight_of_a_cluster(compare_not_yet):
    paths, treatment, sizes, labels = staggered_panel()
    cells = staggered_cells((2, 4), 6, compare_not_yet)

    def effect(weights):
        found = path_statistics(paths, treatment, weights, labels[None], cells, studentise="none")
        return found.effect[0, 0]

    moved = sizes * (1 + np.array([[1e-5], [-1e-5]])[..., None] * np.eye(len(sizes)))
    numeric = [(effect(up) - effect(down)) / 2e-5 for up, down in zip(*moved, strict=True)]
    found = path_contributions(paths, sizes, labels, cells)
    np.testing.assert_allclose(found, numeric, rtol=1e-7, atol=1e-9)
    assert abs(found.sum()) < 1e-12


def test_mixtape_exact(reference_case):
    case, frame = reference_case("ri_mixtape_exact")
    reference = case["reference"]
    y, d = frame["y"].to_numpy(), frame["d"].to_numpy()
    test = two_groups(y, d)
    assert test.estimate == pytest.approx(reference["ate"], abs=1e-12)
    assert test.draws == reference["n_assignments"]
    assert test.exhaustive
    assert test.p_value == pytest.approx(reference["p_two_sided_ge"], abs=1e-12)
    assert test.p_strict == pytest.approx(reference["p_strict_gt"], abs=1e-12)
    greater = two_groups(y, d, alternative="greater")
    assert greater.p_value == pytest.approx(reference["p_one_sided_ge"], abs=1e-12)
    ranks = two_groups(frame["y"].rank().to_numpy(), d)
    assert ranks.estimate == pytest.approx(reference["rank_stat"], abs=1e-12)
    assert ranks.p_value == pytest.approx(reference["rank_p_ge"], abs=1e-12)


def test_four_clusters_by_hand():
    """One of 1, 2, 4, 8 against the mean of the rest: -11/3, -7/3, 1/3, 17/3."""
    test = two_groups([1, 2, 4, 8], [0, 0, 0, 1])
    assert test.estimate == pytest.approx(8 - 7 / 3)
    assert (test.p_value, test.lattice, test.draws) == (0.25, 0.25, 4)
    less = two_groups([1, 2, 4, 8], [0, 0, 0, 1], alternative="less")
    assert less.p_value == 1.0
    assert not test.confidence_set.is_bounded


def test_assignments_are_all_distinct_orders():
    labels = np.array([0, 0, 1, 2, 2])
    drawn = assignments(labels)
    assert drawn.exhaustive
    assert drawn.possible == factorial(5) / (2 * 2)
    assert {tuple(row) for row in drawn.labels} == set(permutations(labels))
    strata = np.array([0, 1, 0, 1, 1])
    within = assignments(labels, strata=strata)
    assert len(within.labels) == 2 * 3 == len({tuple(row) for row in within.labels})
    for row in within.labels:
        assert sorted(row[strata == 0]) == [0, 1]
        assert sorted(row[strata == 1]) == [0, 2, 2]


def test_random_assignments_keep_counts_and_seed():
    labels = np.repeat([0, 1, 2], [3, 10, 20])
    drawn = assignments(labels, draws=50, seed=3)
    assert not drawn.exhaustive
    assert drawn.lattice == 1 / 51
    assert drawn.possible == pytest.approx(comb(33, 3) * comb(30, 10), rel=1e-9)
    np.testing.assert_array_equal(
        np.sort(drawn.labels, axis=1), np.sort(labels)[None].repeat(50, 0)
    )
    np.testing.assert_array_equal(drawn.labels, assignments(labels, draws=50, seed=3).labels)
    assert (drawn.labels != assignments(labels, draws=50, seed=4).labels).any()


def test_draws_of_very_many_clusters_fit_in_memory():
    labels = np.append([0, 0], np.full(200_000, 1))
    drawn = assignments(labels, draws=9999, seed=1)
    assert drawn.labels.nbytes < 2**28
    assert len(drawn.labels) == 671
    assert (np.sum(drawn.labels == 0, axis=1) == 2).all()
    assert drawn.lattice == 1 / 672


@pytest.mark.parametrize("compare_not_yet", [True, False])
def test_path_effect_equals_group_time_effects_by_loop(compare_not_yet):
    paths, treatment, sizes, labels = staggered_panel()
    cells = staggered_cells([2, 4], 6, compare_not_yet)
    rows = assignments(labels, draws=20, seed=1).labels
    found = path_statistics(paths, treatment, sizes, rows, cells).effect[0]

    def mean(clusters, change):
        return np.average(change[clusters], weights=sizes[clusters])

    for row, value in zip(rows, found, strict=True):
        effects = []
        for c, start in ((0, 2), (1, 4)):
            post = []
            for t in range(start, 6):
                change = paths[:, t] - paths[:, start - 1]
                pool = (row == 2) | (compare_not_yet & (c == 0) & (row == 1) & (t < 4))
                post.append(mean(row == c, change) - mean(pool, change))
            effects.append(np.mean(post))
        mass = [sizes[row == c].sum() for c in (0, 1)]
        assert value == pytest.approx(np.average(effects, weights=mass), rel=1e-12)


def test_exposure_and_variance_follow_the_null_exactly():
    paths, treatment, sizes, labels = staggered_panel()
    cells = staggered_cells([2, 4], 6)
    rows = assignments(labels, draws=30, seed=2).labels
    found = path_statistics(paths, treatment, sizes, rows, cells)
    shifted = path_statistics(paths - 0.7 * treatment, treatment, sizes, rows, cells)
    np.testing.assert_allclose(found.signed_squares(0.7), shifted.signed_squares(0.0), rtol=1e-9)
    actual = path_statistics(paths, treatment, sizes, labels[None], cells)
    assert actual.effect[1, 0] == pytest.approx(1.0, rel=1e-12)


def test_variance_by_arms_is_welchs_without_degrees_of_freedom():
    values = np.array([1.0, 4.0, 2.0, 7.0, 5.0, 3.0])
    sizes = np.array([1.0, 2.0, 5.0, 1.0, 1.0, 3.0])
    labels = np.array([[0, 0, 0, 1, 1, 1]])
    paths = np.column_stack([0 * values, values])
    statistics = path_statistics(paths, 0 * paths, sizes, labels, two_group_cells())
    expected = 0.0
    for arm in (slice(0, 3), slice(3, 6)):
        w = sizes[arm] / sizes[arm].sum()
        expected += np.sum(w**2 * (values[arm] - w @ values[arm]) ** 2)
    assert statistics.variance[0, 0] == pytest.approx(expected, rel=1e-12)


def test_scale_by_size():
    sizes, variances = np.array([1.0, 3.0, 4.0]), np.array([2.0, 1.0, 0.5])
    paths = np.array([[0, 1.0], [0, 2], [0, 5]])
    statistics = path_statistics(
        paths, 0 * paths, sizes, np.array([[0, 1, 1]]), two_group_cells(),
        studentise="sizes", size_variances=variances,
    )  # fmt: skip
    assert statistics.variance[0, 0] == pytest.approx(2 + (9 * 1 + 16 * 0.5) / 49)


@pytest.mark.parametrize("studentise", ["none", "arms"])
def test_set_is_where_the_test_keeps_the_effect(studentise):
    rng = np.random.default_rng(5)
    values, treated = rng.normal(size=20), np.repeat([1, 0], [4, 16])
    test = two_groups(values, treated, studentise=studentise, draws=999)
    for end, inward in ((test.confidence_set.low, 1), (test.confidence_set.high, -1)):
        inside = two_groups(
            values, treated, studentise=studentise, draws=999, null=end + inward * 1e-5
        )
        outside = two_groups(
            values, treated, studentise=studentise, draws=999, null=end - inward * 1e-5
        )
        assert inside.p_value > 0.05 >= outside.p_value
    moved = two_groups(values + 3 * treated, treated, studentise=studentise, draws=999)
    assert moved.confidence_set.low == pytest.approx(test.confidence_set.low + 3, abs=1e-6)


@pytest.mark.parametrize("studentise", ["none", "arms"])
def test_invariance_to_scale_level_and_order(studentise):
    rng = np.random.default_rng(6)
    values, treated = rng.normal(size=9), np.repeat([1, 0], [3, 6])
    plain = two_groups(values, treated, studentise=studentise)
    assert two_groups(1e-6 * values, treated, studentise=studentise).p_value == plain.p_value
    assert two_groups(values + 100, treated, studentise=studentise).p_value == plain.p_value
    order = rng.permutation(9)
    again = two_groups(values[order], treated[order], studentise=studentise)
    assert again.p_value == plain.p_value
    swapped = two_groups(-values, 1 - treated, studentise=studentise)
    assert swapped.p_value == plain.p_value


@pytest.mark.parametrize("level", [0.0, 1e6, 1e9])
def test_the_actual_assignment_is_counted_at_any_level_of_the_outcome(level):
    """Rounding of 1e-7 in paths of 1e9 must not break the tie of the assignment with itself."""
    cells = staggered_cells([2], 5)
    labels = np.repeat([0, 1], [3, 6])
    drawn = assignments(labels)
    for seed in range(20):
        paths = level + np.random.default_rng(seed).normal(size=(9, 5))
        treatment = (labels == 0)[:, None] * (np.arange(5) >= 2.0)
        paths += 50 * treatment
        actual, reassigned = (
            path_statistics(paths, treatment, np.ones(9), rows, cells)
            for rows in (labels[None], drawn.labels)
        )
        assert permutation_test(actual, reassigned, drawn).p_value == 1 / comb(9, 3)


def test_exact_size_under_exchangeability():
    """Over all assignments of one outcome, the p-value is uniform on its lattice."""
    values = np.random.default_rng(7).normal(size=7) ** 3
    rows = assignments(np.array([0, 0, 0, 1, 1, 1, 1])).labels
    for studentise in ("none", "arms"):
        p = [two_groups(values, 1 - row, studentise=studentise).p_value for row in rows]
        for alpha in (0.05, 0.1, 0.3):
            assert np.mean(np.array(p) <= alpha + 1e-12) <= alpha
        assert np.mean(np.array(p) <= 0.2) == pytest.approx(7 / 35)


def test_refusals():
    with pytest.raises(InferenceError, match=r"All 4 clusters follow one treatment path, so no"):
        assignments(np.zeros(4, dtype=int))
    with pytest.raises(InferenceError, match=r"one treatment path within stratum 1, 2, so no"):
        assignments(np.array([0, 0, 1, 1]), strata=np.array([1, 1, 2, 2]))
    with pytest.raises(InferenceError, match=r"same statistic.*does not vary"):
        two_groups(np.ones(6), np.repeat([1, 0], 3))
    with pytest.raises(InferenceError, match=r"alternative may be .* it was 'grater'.*\"greater\""):
        two_groups(np.arange(6.0), np.repeat([1, 0], 3), alternative="grater")
    with pytest.raises(InferenceError, match=r"give size_variances"):
        two_groups(np.arange(6.0), np.repeat([1, 0], 3), studentise="sizes")


SIZES = np.array([2.0, 30.0, 4.0, 9.0, 3.0, 14.0, 6.0, 5.0, 8.0, 21.0, 7.0, 11.0])


def test_comparable_assignments_keep_the_arms_size_and_evenness():
    labels = np.array([0, 0, 0] + [1] * 9)
    every = assignments(labels)
    kept = comparable_assignments(labels, SIZES, np.array([0]))
    arm = (every.labels == 0) @ SIZES
    totals = (kept.labels == 0) @ SIZES
    assert kept.alike
    assert kept.exhaustive
    # Sixths would hold 36 or 37 of the 220, too few: thirds of total size alone are taken.
    own = (arm >= totals.min()) & (arm <= totals.max())
    np.testing.assert_array_equal(kept.labels, every.labels[own])
    assert totals.min() <= SIZES[:3].sum() <= totals.max()
    assert 220 / 3 - 20 <= len(kept.labels) <= 220 / 3 + 20
    assert kept.possible == pytest.approx(own.sum())
    assert kept.lattice == pytest.approx(1 / own.sum())


def test_classes_hold_full_twenties():
    """Of 165 arms of three, equal thirds of 55 would each allow 2 rejections at 5 %: 3.6 %."""
    sizes = np.exp(np.random.default_rng(1).normal(2, 0.9, 11))
    every = assignments(np.array([0, 0, 0] + [1] * 8)).labels
    counts = [len(comparable_assignments(row, sizes, np.array([0])).labels) for row in every]
    found, times = np.unique(counts, return_counts=True)
    assert sum(times // found * (found // 20)) == 165 // 20
    assert found.min() >= 40


def test_sizes_of_two_kinds_form_no_classes_that_are_empty():
    sizes = np.array([4.0] * 10 + [40.0])
    kept = comparable_assignments(np.array([0, 0, 0] + [1] * 8), sizes, np.array([0]))
    assert (kept.alike, len(kept.labels)) == (False, 165)


def test_comparable_assignments_draw_more_and_keep_about_as_many():
    sizes = np.exp(np.random.default_rng(0).normal(2, 0.9, 63))
    labels = np.repeat([0, 1, 2], [6, 4, 53])
    kept = comparable_assignments(labels, sizes, np.array([0, 1]), draws=999, seed=1)
    again = comparable_assignments(labels, sizes, np.array([0, 1]), draws=999, seed=1)
    np.testing.assert_array_equal(kept.labels, again.labels)
    assert 900 < len(kept.labels) < 1100
    assert kept.lattice == 1 / (len(kept.labels) + 1)
    counts = np.stack([(kept.labels == code).sum(axis=1) for code in range(3)])
    assert (counts == np.array([[6], [4], [53]])).all()
    arm = kept.labels != 2
    evenness = (arm @ sizes) ** 2 / (arm @ sizes**2)
    own = sizes[:10].sum() ** 2 / np.sum(sizes[:10] ** 2)
    assert evenness.min() < own < evenness.max()
    # Among all assignments effective clusters lie further apart than within the actual class.
    every = assignments(labels, draws=999, seed=1).labels != 2
    assert np.ptp(evenness) < 0.8 * np.ptp((every @ sizes) ** 2 / (every @ sizes**2))


def test_equal_sizes_leave_all_assignments():
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    kept = comparable_assignments(labels, np.full(8, 5.0), np.array([0]))
    assert not kept.alike
    np.testing.assert_array_equal(kept.labels, assignments(labels).labels)


def test_few_assignments_are_not_divided():
    labels = np.array([0, 0] + [1] * 9)
    kept = comparable_assignments(labels, SIZES[:11], np.array([0]))
    assert (kept.alike, len(kept.labels)) == (False, 55)


def test_a_test_within_classes_is_exact_over_all_assignments():
    """Whichever assignment is the actual one, 5 % of p-values at most are 5 % or less."""
    rng = np.random.default_rng(3)
    outcomes = np.stack((np.zeros(12), rng.normal(size=12) / np.sqrt(SIZES)), axis=1)
    rows = assignments(np.array([0, 0, 0] + [1] * 9)).labels
    found = []
    for labels in rows:
        treatment = np.stack((np.zeros(12), labels == 0), axis=1).astype(float)
        drawn = comparable_assignments(labels, SIZES, np.array([0]))
        actual, others = (
            path_statistics(outcomes, treatment, SIZES, which, two_group_cells())
            for which in (labels[None], drawn.labels)
        )
        found.append(permutation_test(actual, others, drawn, level=None).p_value)
    for share in (0.05, 0.1, 0.5):
        assert np.mean(np.array(found) <= share) <= share + 1e-12
    assert np.mean(np.array(found) <= 0.05) > 0.03
