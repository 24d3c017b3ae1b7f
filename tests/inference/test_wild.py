"""Wild cluster bootstrap: brute force on rows, reference cases, invariances and refusals."""

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.leverage import sole_identifiers
from impact.inference.wild import (
    TwoWayRows,
    score_blocks,
    wild_cluster_test,
    wild_statistics,
    wild_two_way_test,
)
from impact.inference.wild_draws import WildDraws

BRUTE_FORCE = 1e-12  # closed form against row-level re-estimation, both in float64
MONTE_CARLO_P = 0.005  # stated by the reference case: both sides draw at random
MONTE_CARLO_END = 0.006


def make_rows(seed=0, n_clusters=9, size=6, k=3):
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n_clusters), size)
    x = rng.normal(size=(len(clusters), k)) + rng.normal(size=(n_clusters, k))[clusters]
    x[:, -1] = 1.0
    y = x @ np.arange(k) + rng.normal(size=len(clusters)) + rng.normal(size=n_clusters)[clusters]
    return x, y, clusters


def make_blocks(x, y, clusters):
    groups = [clusters == g for g in np.unique(clusters)]
    gram = np.stack([x[g].T @ x[g] for g in groups])
    cross = np.stack([x[g].T @ y[g] for g in groups])
    return gram, cross


def brute_force(x, y, clusters, v, *, null, restricted, cr3=False, jackknife=False):
    """Re-estimate on rows for one draw of weights; return t and t*."""
    n_clusters = len(v)

    def ols(rows, columns, outcome):
        beta = np.zeros(x.shape[1])
        beta[columns] = np.linalg.lstsq(x[rows][:, columns], outcome[rows], rcond=None)[0]
        return beta

    every, free = np.ones(len(y), bool), np.arange(x.shape[1]) != 0
    anything = np.ones(x.shape[1], bool)
    imposed = np.r_[null, np.zeros(x.shape[1] - 1)]

    def fitted(rows):
        if restricted:
            return x @ (imposed + ols(rows, free, y - x[:, 0] * null))
        return x @ ols(rows, anything, y)

    def t_statistic(outcome, centre):
        beta, inverse = ols(every, anything, outcome), np.linalg.inv(x.T @ x)
        if cr3:
            left_out = [ols(clusters != g, anything, outcome) for g in range(n_clusters)]
            meat = np.sum([np.outer(b - beta, b - beta) for b in left_out], axis=0)
            return (beta[0] - centre) / np.sqrt(meat[0, 0])
        u = outcome - x @ beta
        scores = np.stack([x[clusters == g].T @ u[clusters == g] for g in range(n_clusters)])
        return (beta[0] - centre) / np.sqrt((inverse @ scores.T @ scores @ inverse)[0, 0])

    mean = fitted(every)
    residual = y - mean
    if jackknife:
        for g in range(n_clusters):
            own = clusters == g
            residual[own] = (y - fitted(~own))[own]
    centre = null if restricted else ols(every, anything, y)[0]
    return t_statistic(y, null), t_statistic(mean + v[clusters] * residual, centre)


@pytest.mark.parametrize(
    ("restricted", "cr3", "jackknife"),
    [
        (True, False, False),
        (False, False, False),
        (True, True, False),
        (True, False, True),
        (True, True, True),
    ],
)
def test_closed_form_equals_reestimation_on_rows(restricted, cr3, jackknife):
    x, y, clusters = make_rows()
    gram, cross = make_blocks(x, y, clusters)
    null = 0.3
    v = np.concatenate(list(WildDraws(9, "webb", 40, 3).blocks()), axis=1)
    pairs = [
        brute_force(
            x, y, clusters, v[:, b], null=null, restricted=restricted, cr3=cr3, jackknife=jackknife
        )
        for b in range(40)
    ]
    t, drawn = pairs[0][0], np.array([pair[1] for pair in pairs])
    test = wild_cluster_test(
        gram,
        cross,
        np.array([1.0, 0, 0]),
        null=null,
        restricted=restricted,
        weights="webb",
        draws=40,
        seed=3,
        variance="cr3" if cr3 else "cr1",
        residuals="jackknife" if jackknife else "plain",
    )
    assert test.statistic == pytest.approx(t, rel=BRUTE_FORCE)
    assert test.p_strict == np.mean(np.abs(drawn) > np.abs(t))
    assert test.p_value == (1 + np.sum(np.abs(drawn) >= np.abs(t))) / 41


@pytest.mark.parametrize("restricted", [True, False])
def test_statistics_equal_reestimation_draw_by_draw(restricted):
    x, y, clusters = make_rows(n_clusters=30)
    gram, cross = make_blocks(x, y, clusters)
    v = np.concatenate(list(WildDraws(30, "rademacher", 25, 5).blocks()), axis=1)
    drawn = [
        brute_force(x, y, clusters, v[:, b], null=0.0, restricted=restricted)[1] for b in range(25)
    ]
    t, closed = wild_statistics(
        gram,
        cross,
        np.array([1.0, 0, 0]),
        restricted=restricted,
        weights="rademacher",
        draws=25,
        seed=5,
    )
    np.testing.assert_allclose(closed, drawn, rtol=BRUTE_FORCE)
    assert t == pytest.approx(brute_force(x, y, clusters, v[:, 0], null=0.0, restricted=True)[0])


def test_low_rank_and_dense_maps_agree():
    x, y, clusters = make_rows(n_clusters=12)
    gram, cross = make_blocks(x, y, clusters)
    contrast = np.array([1.0, 0, 0])
    padded = np.zeros((12, 8, 8))
    padded[:, :3, :3] = gram
    padded[:, range(3, 8), range(3, 8)] = 1.0
    wide = np.concatenate((cross, np.zeros((12, 5))), axis=1)
    low_rank = wild_statistics(gram, cross, contrast, draws=2048)[1]
    dense = wild_statistics(padded, wide, np.r_[contrast, np.zeros(5)], draws=2048)[1]
    np.testing.assert_allclose(dense, low_rank, rtol=BRUTE_FORCE)


def test_two_by_two_by_hand():
    """One mean, three clusters of one row: t* of the four sign patterns is known by hand."""
    y = np.array([1.0, 2.0, 6.0])
    gram, cross = np.ones((3, 1, 1)), y[:, None]
    t, drawn = wild_statistics(gram, cross, np.ones(1), weights="rademacher", draws=4)
    assert t == pytest.approx(3 / (np.sqrt(4 + 1 + 9) / 3))
    patterns = [y, y * [1, 1, -1], y * [1, -1, 1], y * [1, -1, -1]]
    by_hand = [p.sum() / np.sqrt(np.sum((p - p.mean()) ** 2)) for p in patterns]
    np.testing.assert_allclose(np.sort(drawn[:4]), np.sort(by_hand), rtol=1e-12)
    np.testing.assert_allclose(drawn[4:], -drawn[:4])
    test = wild_cluster_test(gram, cross, np.ones(1), weights="rademacher", draws=4)
    assert (test.p_value, test.p_strict, test.draws, test.lattice) == (0.25, 0.0, 8, 0.25)


def test_castle_ten_states(reference_case):
    case, frame = reference_case("wcb_castle_10states_exact")
    periods = (frame["year"].to_numpy()[:, None] == np.unique(frame["year"])[1:]).astype(float)
    columns = np.column_stack([frame["post"], periods, frame["l_homicide"]])
    codes = np.unique(frame["sid"], return_inverse=True)[1]
    means = np.stack([columns[codes == g].mean(axis=0) for g in range(10)])
    within = columns - means[codes]
    gram, cross = make_blocks(within[:, :-1], within[:, -1], codes)
    contrast = np.eye(gram.shape[1])[0]
    rows, fixed = len(frame), 10 + 10 + 1
    factor = (rows - 1) / (rows - fixed) * 10 / 9
    for name, restricted in (("WCR", True), ("WCU", False)):
        reference = case["reference"][name]
        test = wild_cluster_test(gram, cross, contrast, restricted=restricted, factor=factor)
        assert test.draws == reference["ndraws"]
        assert test.estimate == pytest.approx(reference["est"], rel=1e-6)
        assert test.std_error == pytest.approx(reference["se"], rel=1e-6)
        assert test.statistic == pytest.approx(reference["t"], rel=1e-6)
        assert test.p_value == pytest.approx(reference["p"], abs=1e-9)
        assert test.p_strict == pytest.approx(reference["p_strict"], abs=1e-9)
        equal = wild_cluster_test(gram, cross, contrast, restricted=restricted, tails="equal")
        assert equal.p_value == pytest.approx(reference["p_equal_tail"], abs=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wcr_rademacher", {}),
        ("wcr_webb", {"weights": "webb"}),
        ("wcu_rademacher", {"restricted": False}),
    ],
)
def test_voters_against_boottest(reference_case, name, options):
    case, frame = reference_case("wcb_voters_boottest")
    columns = ["treatment", "log_income", "Q1"]
    x = np.column_stack([frame[columns].to_numpy(float), np.ones(len(frame))])
    gram, cross = make_blocks(
        x, frame["proposition_vote"].to_numpy(float), frame["group_id1"].to_numpy()
    )
    reference = case["reference"]
    factor = (len(frame) - 1) / (len(frame) - 4) * 40 / 39
    test = wild_cluster_test(gram, cross, np.eye(4)[0], draws=99_999, factor=factor, **options)
    assert test.estimate == pytest.approx(reference["estimate"], rel=1e-6)
    assert test.statistic == pytest.approx(reference["t"], rel=1e-6)
    assert test.p_value == pytest.approx(reference[name]["p"], abs=MONTE_CARLO_P)
    ends = (test.confidence_set.low, test.confidence_set.high)
    assert ends == pytest.approx(reference[name]["ci"], abs=MONTE_CARLO_END)


@pytest.mark.parametrize(
    "options", [{}, {"restricted": False}, {"tails": "equal"}, {"weights": "mammen"}]
)
def test_confidence_set_is_where_the_test_keeps_the_null(options):
    gram, cross = make_blocks(*make_rows(n_clusters=16))
    contrast = np.array([1.0, 0, 0])
    found = wild_cluster_test(gram, cross, contrast, draws=999, **options)
    assert found.confidence_set.is_bounded
    assert found.confidence_set.is_connected
    step = 1e-6 * found.std_error
    for end, inward in ((found.confidence_set.low, 1), (found.confidence_set.high, -1)):
        inside = wild_cluster_test(
            gram, cross, contrast, null=end + inward * step, draws=999, **options
        )
        outside = wild_cluster_test(
            gram, cross, contrast, null=end - inward * step, draws=999, **options
        )
        assert inside.p_value > 0.05 >= outside.p_value


def test_four_clusters_cannot_bound_the_effect_with_signs():
    gram, cross = make_blocks(*make_rows(n_clusters=4))
    test = wild_cluster_test(gram, cross, np.array([1.0, 0, 0]), weights="rademacher")
    assert test.lattice == 0.125
    assert not test.confidence_set.is_bounded
    assert str(test.confidence_set) == "(-inf, inf)"


def test_few_clusters_get_six_point_weights():
    gram, cross = make_blocks(*make_rows(n_clusters=6))
    few = wild_cluster_test(gram, cross, np.array([1.0, 0, 0]))
    assert (few.weights, few.enumerated) == ("webb", False)
    gram, cross = make_blocks(*make_rows(n_clusters=9))
    many = wild_cluster_test(gram, cross, np.array([1.0, 0, 0]))
    assert (many.weights, many.enumerated, many.draws) == ("rademacher", True, 512)


def test_invariance_to_scale_order_and_basis():
    x, y, clusters = make_rows(n_clusters=10)
    gram, cross = make_blocks(x, y, clusters)
    contrast = np.array([1.0, 0, 0])
    plain = wild_cluster_test(gram, cross, contrast)
    scaled = wild_cluster_test(gram, 1e6 * cross, contrast)
    assert scaled.p_value == plain.p_value
    assert scaled.confidence_set.high == pytest.approx(1e6 * plain.confidence_set.high)
    order = np.random.default_rng(1).permutation(10)
    shuffled = wild_cluster_test(gram[order], cross[order], contrast)
    assert shuffled.p_value == plain.p_value
    mix = np.array([[2.0, 1, 0], [0, 1, 3], [1, 0, 1]])
    mixed = wild_cluster_test(mix.T @ gram @ mix, cross @ mix, contrast @ mix)
    assert mixed.p_value == plain.p_value
    assert mixed.estimate == pytest.approx(plain.estimate)
    assert wild_cluster_test(gram, cross, contrast, seed=1) == plain


@pytest.mark.parametrize("options", [{}, {"variance": "cr3", "residuals": "jackknife"}])
def test_units_of_measure_of_regressors_do_not_matter(options):
    gram, cross = make_blocks(*make_rows(n_clusters=10))
    contrast = np.array([1.0, 0, 0])
    plain = wild_cluster_test(gram, cross, contrast, **options)
    for units in ([1, 1e8, 1], [1e-8, 1, 1], [1e6, 1e-6, 1e9]):
        scale = np.diag(units)
        other = wild_cluster_test(scale @ gram @ scale, cross @ scale, scale @ contrast, **options)
        assert other.p_value == plain.p_value
        assert other.confidence_set.low == pytest.approx(plain.confidence_set.low)


def test_random_draws_follow_the_seed():
    gram, cross = make_blocks(*make_rows(n_clusters=20))
    contrast = np.array([1.0, 0, 0])
    first = wild_cluster_test(gram, cross, contrast, draws=499, seed=4)
    assert first == wild_cluster_test(gram, cross, contrast, draws=499, seed=4)
    other = wild_cluster_test(gram, cross, contrast, draws=499, seed=5)
    assert first.confidence_set != other.confidence_set


def test_subclusters_draw_for_themselves_and_vary_by_cluster():
    x, y, units = make_rows(n_clusters=24, size=4)
    clusters = np.arange(24) // 3
    gram, cross = make_blocks(x, y, units)
    contrast = np.array([1.0, 0, 0])
    own = wild_cluster_test(gram, cross, contrast, variance_groups=(np.arange(24),), draws=999)
    assert own.p_value == wild_cluster_test(gram, cross, contrast, draws=999).p_value
    both = wild_cluster_test(
        gram, cross, contrast, draw_groups=clusters, variance_groups=(clusters,), draws=999
    )
    coarse = make_blocks(x, y, clusters[units])
    assert both.p_value == wild_cluster_test(*coarse, contrast, draws=999).p_value
    sub = wild_cluster_test(gram, cross, contrast, variance_groups=(clusters,), draws=999)
    assert sub.std_error == pytest.approx(both.std_error)
    v = np.concatenate(list(WildDraws(24, "rademacher", 999, 0).blocks()), axis=1)
    assert sub.p_strict == subcluster_share(x, y, units, clusters[units], v)


def subcluster_share(x, y, units, clusters, v):
    """Share of |t*| > |t| from rows: signs by unit, variance by cluster, null imposed."""
    inverse = np.linalg.inv(x.T @ x)

    def t_statistic(outcome):
        beta = inverse @ x.T @ outcome
        u = (x @ inverse)[:, 0] * (outcome - x @ beta)
        return beta[0] / np.sqrt(np.sum(np.bincount(clusters, u) ** 2))

    mean = x[:, 1:] @ np.linalg.lstsq(x[:, 1:], y, rcond=None)[0]
    drawn = [t_statistic(mean + column[units] * (y - mean)) for column in v.T]
    return np.mean(np.abs(drawn) > abs(t_statistic(y)))


def two_way_rows(seed):
    x, y, rows = make_rows(seed, n_clusters=60, size=1)
    firm, year = np.arange(60) // 5, np.arange(60) % 5
    shocks = np.random.default_rng(9).normal(size=(2, 12))
    x[:, 0] += shocks[0, firm]
    return x, y + 2 * shocks[1, firm], rows, firm, year


def test_two_way_variance_by_inclusion_and_exclusion():
    x, y, rows, firm, year = two_way_rows(1)
    gram, cross = make_blocks(x, y, rows)
    test = wild_cluster_test(
        gram, cross, np.eye(3)[0], draw_groups=firm, variance_groups=(firm, year), draws=199,
        weights="webb",
    )  # fmt: skip
    inverse = np.linalg.inv(x.T @ x)
    mean = x[:, 1:] @ np.linalg.lstsq(x[:, 1:], y, rcond=None)[0]

    def squared_t(outcome):
        u = (x @ inverse)[:, 0] * (outcome - x @ inverse @ x.T @ outcome)
        squares = [np.sum(np.bincount(codes, u) ** 2) for codes in (firm, year, rows)]
        variance = squares[0] + squares[1] - squares[2]
        return (inverse @ x.T @ outcome)[0] ** 2 / variance if variance > 0 else np.inf

    v = np.concatenate(list(WildDraws(12, "webb", 199, 0).blocks()), axis=1)
    drawn = np.array([squared_t(mean + column[firm] * (y - mean)) for column in v.T])
    assert test.statistic**2 == pytest.approx(squared_t(y))
    assert test.p_strict == np.mean(drawn > squared_t(y))


@pytest.mark.parametrize("weighted", [False, True])
def test_two_way_rows_give_what_blocks_of_cells_give(weighted):
    x, y, _ = make_rows(3, n_clusters=90, size=2)
    firm, year = np.arange(180) // 15, np.arange(180) % 6
    x[:, 0] += np.random.default_rng(2).normal(size=12)[firm]
    w = np.random.default_rng(1).uniform(0.5, 2, 180) if weighted else np.ones(180)
    cells = 6 * firm + year
    gram = np.stack([(x[cells == c].T * w[cells == c]) @ x[cells == c] for c in range(72)])
    cross = np.stack([x[cells == c].T @ (w * y)[cells == c] for c in range(72)])
    beta = np.linalg.solve(gram.sum(axis=0), cross.sum(axis=0))
    contrast = np.array([1.0, 0.5, 0.0])
    groups = np.arange(72) // 6, np.arange(72) % 6
    options = {"draws": 499, "null": 0.2}
    blocks = wild_cluster_test(
        gram, cross, contrast, draw_groups=groups[0], variance_groups=groups, **options
    )
    rows = TwoWayRows(
        estimate=float(contrast @ beta),
        regressors=x.T,
        residuals=y - x @ beta,
        weights=w if weighted else None,
        contrast=contrast,
        first=firm,
        second=year,
    )
    test = wild_two_way_test(rows, **options)
    assert (test.p_value, test.p_strict) == (blocks.p_value, blocks.p_strict)
    assert test.std_error == pytest.approx(blocks.std_error, rel=BRUTE_FORCE)
    assert test.confidence_set.low == pytest.approx(blocks.confidence_set.low, rel=1e-8)
    assert test.confidence_set.high == pytest.approx(blocks.confidence_set.high, rel=1e-8)


def test_two_way_rows_that_one_cluster_identifies_are_refused():
    x, y, _ = make_rows(n_clusters=60, size=1)
    x[:, 0] = np.arange(60) // 5 == 3
    rows = TwoWayRows(0.0, x.T, y, None, np.eye(3)[0], np.arange(60) // 5, np.arange(60) % 5)
    with pytest.raises(InferenceError, match=r"without cluster 4 .* to 12"):
        wild_two_way_test(rows)


def test_two_way_variance_that_is_not_positive_is_refused():
    x, y, rows = make_rows(n_clusters=60, size=1)
    firm, year = np.arange(60) // 5, np.arange(60) % 5
    with pytest.raises(InferenceError, match=r"two-way clustered variance is not positive"):
        wild_cluster_test(*make_blocks(x, y, rows), np.eye(3)[0], variance_groups=(firm, year))


def test_score_blocks_of_a_mean_are_its_wild_bootstrap():
    y = np.random.default_rng(2).normal(0.4, 1, 15)
    exact = wild_cluster_test(np.ones((15, 1, 1)), y[:, None], np.ones(1), draws=999)
    contributions = (y - y.mean()) / 15
    gram, cross = score_blocks(float(y.mean()), contributions, np.ones(15))
    score = wild_cluster_test(gram, cross, np.ones(1), draws=999)
    assert score.p_value == exact.p_value
    assert score.std_error == pytest.approx(exact.std_error)
    assert score.confidence_set.low == pytest.approx(exact.confidence_set.low)


def one_treated_cluster():
    x, y, clusters = make_rows(n_clusters=8)
    x[:, 0] = clusters == 5
    return make_blocks(x, y, clusters)


def test_sole_identifiers_are_found():
    gram, cross = one_treated_cluster()
    contrast = np.array([1.0, 0, 0])
    np.testing.assert_array_equal(np.flatnonzero(sole_identifiers(gram, contrast)), [5])
    assert not sole_identifiers(gram, np.array([0, 1.0, 0])).any()
    with pytest.raises(InferenceError, match=r"without cluster 6 .* to 8.*Ferman-Pinto"):
        wild_cluster_test(gram, cross, contrast)


def test_refusals():
    gram, cross = make_blocks(*make_rows())
    contrast = np.array([1.0, 0, 0])
    with pytest.raises(
        InferenceError, match=r'weights may be .* it was \'rademaker\'. .*"rademacher"'
    ):
        wild_cluster_test(gram, cross, contrast, weights="rademaker")
    with pytest.raises(InferenceError, match=r"draws.*at least 1; it was 0"):
        wild_cluster_test(gram, cross, contrast, draws=0)
    with pytest.raises(InferenceError, match=r"level is a share"):
        wild_cluster_test(gram, cross, contrast, level=95)
    with pytest.raises(InferenceError, match=r"at least 2 clusters; there is 1"):
        wild_cluster_test(gram[:1], cross[:1], contrast)
    with pytest.raises(InferenceError, match=r"contrast has shape \(2,\).* 3 coefficients"):
        wild_cluster_test(gram, cross, contrast[:2])
    with pytest.raises(InferenceError, match=r"cr3.* no form for grouped"):
        wild_cluster_test(gram, cross, contrast, variance="cr3", variance_groups=(np.arange(9),))
    with pytest.raises(InferenceError, match=r"3 dimensions; one or two"):
        wild_cluster_test(gram, cross, contrast, variance_groups=(np.arange(9),) * 3)
    twice = np.concatenate((gram, gram), axis=2)
    collinear = np.concatenate((twice, twice), axis=1)
    with pytest.raises(InferenceError, match=r"6 columns of the blocks are collinear"):
        wild_cluster_test(collinear, np.tile(cross, 2), np.eye(6)[0])


def test_exact_fit_is_refused():
    gram, cross = np.ones((5, 1, 1)), np.ones((5, 1))
    with pytest.raises(InferenceError, match=r"standard error is zero.*fitted without error"):
        wild_cluster_test(gram, cross, np.ones(1))


@pytest.mark.parametrize("options", [{}, {"variance": "cr3", "residuals": "jackknife"}])
def test_sets_cover_the_truth_neither_too_rarely_nor_too_often(options):
    """400 samples of 16 clusters with shared errors and a true effect of 0.7."""
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        size = rng.integers(4, 12, 16)
        clusters = np.repeat(np.arange(16), size)
        x = np.column_stack([rng.normal(size=16)[clusters], np.ones(size.sum())])
        y = 0.7 * x[:, 0] + rng.normal(size=16)[clusters] + rng.normal(size=size.sum())
        gram, cross = make_blocks(x, y, clusters)
        test = wild_cluster_test(
            gram, cross, np.array([1.0, 0.0]), null=0.7, draws=399, level=None, **options
        )
        covered += test.p_value > 0.05
    assert 0.95 - 3 * 0.0109 < covered / 400 < 0.95 + 3 * 0.0109
