"""Families of tests: closed forms, step-down tests on shared draws, refusals."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.multiplicity import adjust, romano_wolf, sharpened_q_values, westfall_young
from impact.inference.wild import wild_statistics

CLOSED_FORM = 1e-12


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("bonferroni", "bonferroni"),
        ("holm", "holm"),
        ("hochberg", "hochberg"),
        ("hommel", "hommel"),
        ("benjamini_hochberg", "bh"),
        ("benjamini_yekutieli", "by"),
    ],
)
def test_closed_forms_equal_p_adjust(reference_case, method, name):
    reference = reference_case("multiple_testing_pvalues")[0]["reference"]
    p_values = np.array(reference["pvalues"])
    np.testing.assert_allclose(adjust(p_values, method), reference[name], atol=CLOSED_FORM)
    shuffled = np.append(p_values[::-1], np.nan)
    expected = [*reference[name][::-1], np.nan]
    np.testing.assert_allclose(adjust(shuffled, method), expected, atol=CLOSED_FORM)


def test_holm_by_hand():
    np.testing.assert_allclose(adjust(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    assert np.isnan(adjust(np.array([np.nan]))).all()


def sharpened_by_descent(p_values):
    """Walk the rate down from one, as Anderson's programme does."""
    n, q = len(p_values), np.ones(len(p_values))
    order = np.argsort(p_values)
    rank = np.empty(n)
    rank[order] = np.arange(1, n + 1)

    def largest(rate):
        passed = p_values <= rate * rank / n * (1 + 1e-9)
        return rank[passed].max() if passed.any() else 0

    for step in range(1000, 0, -1):
        first = step / 1000 / (1 + step / 1000)
        found = largest(first)
        kept = n if found == n else largest(first * n / (n - found))
        q[rank <= kept] = step / 1000
    return q


def test_sharpened_q_values_walk_down_to_the_smallest_rate():
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        p_values = rng.beta(0.4, 2, size)
        np.testing.assert_allclose(sharpened_q_values(p_values), sharpened_by_descent(p_values))
    with_gap = sharpened_q_values(np.array([0.01, np.nan, 0.02]))
    np.testing.assert_allclose(with_gap[[0, 2]], sharpened_q_values(np.array([0.01, 0.02])))
    assert np.isnan(with_gap[1])
    assert sharpened_q_values(np.array([0.99, 1.0])).tolist() == [1.0, 1.0]


def test_romano_wolf_castle_exact(reference_case):
    case, frame = reference_case("romano_wolf_castle_exact")
    reference = case["reference"]
    periods = (frame["year"].to_numpy()[:, None] == np.unique(frame["year"])[1:]).astype(float)
    states, codes = np.unique(frame["sid"], return_inverse=True)
    outcomes = list(reference["romano_wolf_p"])
    columns = np.column_stack([frame["post"], periods, frame[outcomes]])
    within = columns - np.stack([columns[codes == g].mean(axis=0) for g in range(10)])[codes]
    x, y = within[:, : -len(outcomes)], within[:, -len(outcomes) :]
    gram = np.stack([x[codes == g].T @ x[codes == g] for g in range(len(states))])
    contrast = np.eye(x.shape[1])[0]
    pairs = []
    for s in range(len(outcomes)):
        cross = np.stack([x[codes == g].T @ y[codes == g, s] for g in range(len(states))])
        pairs.append(wild_statistics(gram, cross, contrast))
    statistics = np.array([pair[0] for pair in pairs])
    drawn = np.stack([pair[1] for pair in pairs], axis=1)
    np.testing.assert_allclose(statistics, list(reference["t_no_ssc"].values()), rtol=1e-6)
    adjusted = romano_wolf(statistics, drawn, exhaustive=True)
    np.testing.assert_allclose(adjusted, list(reference["romano_wolf_p"].values()), atol=1e-9)
    alone = [romano_wolf(statistics[[s]], drawn[:, [s]], exhaustive=True)[0] for s in range(4)]
    np.testing.assert_allclose(alone, list(reference["unadjusted_p"].values()), atol=1e-9)


@pytest.mark.parametrize("step_down", [romano_wolf, westfall_young])
def test_step_down_by_definition(step_down):
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(60, 4)) @ np.array(
        [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 0, 2]]
    )
    statistics = np.array([0.5, -2.5, 1.4, 3.0])
    found = step_down(statistics, drawn)
    if step_down is romano_wolf:
        strength, draws = np.abs(statistics), np.abs(drawn)
    else:
        share = lambda size, s: np.mean(np.abs(drawn[:, s]) >= size)  # noqa: E731
        strength = -np.array([(1 + 60 * share(abs(t), s)) / 61 for s, t in enumerate(statistics)])
        draws = -np.array(
            [[60 * share(abs(d), s) / 61 for s, d in enumerate(row)] for row in drawn]
        )
    order, previous = np.argsort(-strength, kind="stable"), 0.0
    for position, s in enumerate(order):
        rest = order[position:]
        own = (1 + np.sum(draws[:, rest].max(axis=1) >= strength[s] - 1e-12)) / 61
        previous = max(previous, own)
        assert found[s] == pytest.approx(previous)


def test_min_p_ignores_the_scale_of_each_statistic():
    rng = np.random.default_rng(2)
    drawn, statistics = rng.normal(size=(199, 3)), np.array([1.5, 2.0, 2.5])
    scale = np.array([1, 100.0, 0.01])
    plain = westfall_young(statistics, drawn)
    np.testing.assert_array_equal(westfall_young(scale * statistics, scale * drawn), plain)
    assert (romano_wolf(scale * statistics, scale * drawn) != romano_wolf(statistics, drawn)).any()


@pytest.mark.parametrize("step_down", [romano_wolf, westfall_young])
def test_family_wise_error_under_the_global_null(step_down):
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(999, 5)) + rng.normal(size=(999, 1))
    rejected = [
        step_down(rng.normal(size=5) + rng.normal(), drawn).min() <= 0.05 for _ in range(800)
    ]
    assert 0.03 < np.mean(rejected) < 0.075


def test_refusals():
    with pytest.raises(InferenceError, match=r"method may be .*it was 'holms'.*\"holm\""):
        adjust(np.array([0.1]), "holms")
    with pytest.raises(InferenceError, match=r"between 0 and 1; 2 do not, first 1\.2, -0\.1"):
        adjust(np.array([1.2, 0.5, -0.1]))
    with pytest.raises(InferenceError, match=r"shape \(5, 2\).* each of the 3 statistics"):
        romano_wolf(np.ones(3), np.ones((5, 2)))
    with pytest.raises(InferenceError, match=r"position 1 are missing"):
        westfall_young(np.array([1.0, np.nan]), np.ones((5, 2)))
