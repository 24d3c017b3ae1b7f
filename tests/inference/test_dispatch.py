"""One entry for every method: evidence from arrays, agreement with the methods, refusals."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from impact.errors import InferenceError
from impact.inference.dispatch import infer, joint_draws
from impact.inference.evidence import Blocks, Evidence
from impact.inference.few_treated import few_treated_test
from impact.inference.gather import gather
from impact.inference.permutation import path_contributions
from impact.inference.placebo import PlaceboDraws
from impact.inference.sample import Label, Sample
from impact.inference.scores import Replicates, Scores
from impact.inference.wild import wild_cluster_test


def make_panel(seed=0, n_clusters=20, treated=(4, 4, 5), units=3, **changes):
    rng = np.random.default_rng(seed)
    cohorts = np.full(n_clusters, np.nan)
    cohorts[: len(treated)] = treated
    clusters = np.repeat(np.arange(n_clusters), units)
    outcomes = rng.normal(size=(n_clusters * units, 7)) + rng.normal(size=(n_clusters, 7))[clusters]
    given = {
        "outcomes": outcomes,
        "cohorts": cohorts[clusters],
        "clusters": clusters,
        "weights": None,
        "periods": np.arange(1, 8),
    }
    return Sample(**(given | changes))


def average_effect(sample, base=None, not_yet=True):
    """Effect on the treated from unit means, within cohorts and then over them."""
    effects, mass = [], []
    for cohort in np.unique(sample.cohorts[~np.isnan(sample.cohorts)]):
        own = sample.cohorts == cohort
        before = sample.periods < cohort if base == "all" else sample.periods == cohort - 1
        cells = []
        for t in np.flatnonzero(sample.periods >= cohort):
            later = np.isnan(sample.cohorts) | (not_yet & (sample.cohorts > sample.periods[t]))
            change = sample.outcomes[:, t] - sample.outcomes[:, before].mean(axis=1)
            cells.append(change[own].mean() - change[later & ~own].mean())
        effects.append(np.mean(cells))
        mass.append(own.sum())
    return float(np.average(effects, weights=mass))


def evidence_of(sample, estimate=None, psi=None, label=None, std_error=None, **options):
    """Gather evidence; an estimate of the test's own making is given a wide standard error.

    A difference in mean paths stands for an estimate only within a hundredth of it.
    """
    wide = 0.3 if estimate is None else 1e4
    estimate = average_effect(sample) if estimate is None else estimate
    contributions = np.zeros((len(sample.sizes), 1)) if psi is None else psi[:, None]
    return gather(
        sample,
        Scores(contributions),
        0,
        estimate=estimate,
        std_error=wide if std_error is None else std_error,
        label=Label() if label is None else label,
        **options,
    )


@pytest.mark.parametrize(("base", "not_yet"), [(None, True), (None, False), ("all", True)])
def test_paths_take_the_form_that_gives_the_estimate(base, not_yet):
    sample = make_panel()
    estimate = average_effect(sample, base, not_yet)
    evidence = evidence_of(sample, estimate, std_error=0.3)
    assert infer(evidence, draws=199).method == "permutation"
    other = evidence_of(sample, estimate + 0.5, std_error=0.3)
    assert other.paths is None
    assert other.without_paths == "no difference of mean paths gives this estimate"


def test_of_two_forms_that_agree_the_first_is_taken_whatever_rounding_says():
    """With one period before treatment its value is the mean of all before."""
    sample = make_panel(treated=(2,))
    estimate = average_effect(sample)
    for slip in (-1e-15, 0.0, 1e-15):
        evidence = evidence_of(sample, estimate + slip, std_error=0.3)
        lengths = [np.count_nonzero(weights < 0) for weights in evidence.paths.shifted]
        assert lengths == [1] * 5


def test_a_difference_of_paths_near_the_estimate_by_chance_does_not_stand_for_it():
    """Half a hundredth of a standard error away, it must be moved by the same clusters."""
    sample = make_panel()
    alone = evidence_of(sample).paths
    own = path_contributions(alone.outcomes, sample.sizes, alone.labels, alone.cells)
    noise = np.random.default_rng(0).normal(size=len(own))
    near = average_effect(sample) + 0.005
    for psi, stands in ((own, True), (own + 0.1 * own.std() * noise, True), (noise, False)):
        evidence = evidence_of(sample, near, psi, std_error=1.0, of_arms=False)
        assert (evidence.paths is not None) == stands
    other = np.zeros(3)
    assert evidence_of(sample, near, other, std_error=1.0, of_arms=False).paths is None


def test_labels_pick_their_cells():
    sample = make_panel()
    y = sample.outcomes
    never, early, late = np.isnan(sample.cohorts), sample.cohorts == 4, sample.cohorts == 5

    def effect(own, pool, t, b):
        change = y[:, t - 1] - y[:, b - 1]
        return change[own].mean() - change[pool].mean()

    expected = {
        Label(cohort=4, time=6, event_time=2): effect(early, never, 6, 3),
        Label(cohort=4, time=4, event_time=0): effect(early, never | late, 4, 3),
        Label(event_time=0): np.average(
            [effect(early, never | late, 4, 3), effect(late, never, 5, 4)], weights=[6, 3]
        ),
        Label(event_time=-3): np.average(
            [effect(early, never | late, 1, 3), effect(late, never, 2, 4)], weights=[6, 3]
        ),
        Label(time=4): effect(early, never | late, 4, 3),
        Label(cohort=5): np.mean([effect(late, never, t, 4) for t in (5, 6, 7)]),
    }
    for label, estimate in expected.items():
        evidence = evidence_of(sample, estimate, label=label, std_error=0.3)
        result = infer(evidence, "permutation", draws=99)
        assert result.confidence_set.contains(estimate)


def test_facts_count_the_clusters_of_the_cells_in_question():
    sample = make_panel()
    facts = evidence_of(sample).facts
    assert (facts.n_clusters, facts.n_treated, facts.smallest_cohort) == (20, 3, 1)
    assert facts.effective_arm == pytest.approx(3.0)
    assert facts.assignments == 20 * 19 * 18 / 2
    assert facts.max_leverage == pytest.approx(9 * 0.85**2 / (9 * 0.85**2 + 51 * 0.15**2) / 3)
    alone = evidence_of(sample, 0.0, label=Label(cohort=5.0)).facts
    assert (alone.n_treated, alone.assignments, alone.sole_identifier) == (1, 20.0, True)
    strata = np.repeat([0, 1], 10)
    assert evidence_of(sample, strata=strata).facts.assignments == 10 * 9 * 8 / 2


def test_one_treated_cluster_is_ranked_by_size():
    sample = make_panel(treated=(4,), n_clusters=30)
    result = infer(evidence_of(sample))
    assert result.method == "permutation_by_size"
    assert result.lattice == pytest.approx(1 / (1 + 29 * 6))
    two_periods = make_panel(treated=(4,), n_clusters=11)
    two_periods = replace(
        two_periods, outcomes=two_periods.outcomes[:, 2:4], periods=np.array([3, 4])
    )
    few = infer(evidence_of(two_periods))
    assert few.method == "none"
    assert np.isnan(few.p_value)
    assert few.confidence_set.intervals == ()
    assert "only 11 reassignments" in few.reason


def test_clustered_methods():
    sample = make_panel(treated=(4, 4, 4, 5, 5))
    psi = np.random.default_rng(1).normal(size=20) / 20
    evidence = replace(evidence_of(sample, 0.4, psi), std_error=0.3)
    plain = infer(evidence, "cr1")
    assert plain.p_value == pytest.approx(2 * stats.norm.sf(0.4 / 0.3))
    assert plain.confidence_set.low == pytest.approx(0.4 - 0.3 * stats.norm.ppf(0.975))
    for method in ("cr2", "cr3"):
        result = infer(evidence, method)
        assert result.std_error > np.sqrt(np.sum(psi**2))
        expected = 2 * stats.t.sf(0.4 / result.std_error, result.df)
        assert result.p_value == pytest.approx(expected)
    own = replace(evidence, corrected=lambda kind: (0.5, 7.0))
    assert infer(own, "cr2").p_value == pytest.approx(2 * stats.t.sf(0.8, 7))


def test_the_spread_of_placebos_is_no_clustered_standard_error():
    sample = make_panel(treated=(4,))
    draws = np.random.default_rng(1).normal(size=(19, 1))
    ranks = gather(
        sample,
        PlaceboDraws(draws, 20),
        0,
        estimate=0.4,
        std_error=1.0,
        label=Label(),
    )
    with pytest.raises(InferenceError, match=r'placebos is neither.*ranks\. Use method="placebo"'):
        infer(ranks, "cr1")
    assert infer(ranks, "placebo").method == "placebo"


def test_wild_on_blocks_and_on_contributions():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(25, 4)), rng.normal(size=(25, 4))
    gram, cross = np.sum(x**2, axis=1)[:, None, None], np.sum(x * y, axis=1)[:, None]
    beta = float(cross.sum() / gram.sum())
    blocks = Blocks(gram, cross, np.ones(1))
    evidence = Evidence(beta, 0.2, None, np.ones(25), np.ones(25), blocks=blocks)
    result = infer(evidence, draws=499)
    assert result.method == "wild"
    expected = wild_cluster_test(gram, cross, np.ones(1), draws=499)
    assert (result.p_value, result.confidence_set) == (expected.p_value, expected.confidence_set)
    free = infer(evidence, "wild_unrestricted", draws=499)
    assert (
        free.p_value
        == wild_cluster_test(gram, cross, np.ones(1), draws=499, restricted=False).p_value
    )
    psi = (cross - gram[:, :, 0] * beta)[:, 0] / gram.sum()
    scored = infer(replace(evidence, blocks=None, contributions=lambda: psi), draws=499)
    assert any("Score version" in note for note in scored.notes)
    assert abs(scored.p_value - result.p_value) < 0.1


def test_pairs_resample_clusters():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 4))
    gram, cross = np.sum(x**2, axis=1)[:, None, None], np.sum(x * y, axis=1)[:, None]
    beta = float(cross.sum() / gram.sum())
    psi = (cross - gram[:, :, 0] * beta)[:, 0] / gram.sum()
    evidence = Evidence(
        beta, 0.1, None, np.ones(40), np.ones(40), contributions=lambda: psi,
        blocks=Blocks(gram, cross, np.ones(1)),
    )  # fmt: skip
    again = infer(evidence, "pairs", draws=3999)
    drawn = [np.random.default_rng(i).integers(0, 40, 40) for i in range(1500)]
    by_hand = np.array([cross[d].sum() / gram[d].sum() for d in drawn])
    assert again.std_error == pytest.approx(by_hand.std(), rel=0.08)
    assert again.confidence_set.low == pytest.approx(np.quantile(by_hand, 0.025), abs=0.03)
    scored = infer(replace(evidence, blocks=None), "pairs", draws=3999)
    assert scored.std_error == pytest.approx(float(np.sqrt(np.sum(psi**2))), rel=0.06)
    assert "Score version" in scored.notes[1]
    with pytest.raises(InferenceError, match=r'"pairs" needs the regression or each cluster'):
        infer(replace(evidence, blocks=None, contributions=None), "pairs")


def test_conley_taber_and_ferman_pinto():
    sample = make_panel(treated=(4, 4))
    evidence = evidence_of(sample, 0.7)
    found = infer(evidence, "conley_taber", draws=499)
    means = sample.cluster_means
    change = means[:, 3:].mean(axis=1) - means[:, 2]
    changed = means[:, 3:].mean(axis=1) - means[:, :3].mean(axis=1)
    form = min((change, changed), key=lambda c: abs(c[:2].mean() - c[2:].mean() - 0.7))
    expected = few_treated_test(
        0.7, np.repeat(form[2:, None], 2, axis=1), np.ones(2) / 2, draws=499
    )
    assert found.p_value == expected.p_value
    assert infer(evidence, "ferman_pinto", draws=499).p_value == expected.p_value
    unlike = make_panel(treated=(4, 4), weights=np.where(np.arange(60) < 6, 9.0, 1.0))
    noted = infer(evidence_of(unlike, 0.7), "ferman_pinto", draws=499)
    assert any("do not identify" in note for note in noted.notes)


def test_detectable_effect_of_reassignments_is_their_spread():
    sample = make_panel(n_clusters=40, treated=(4, 4, 4))
    result = infer(evidence_of(sample), draws=1999)
    drawn = []
    rng = np.random.default_rng(0)
    effect = average_effect(sample)
    clean = sample.outcomes - effect * (sample.periods >= sample.cohorts[:, None])
    for _ in range(400):
        order = rng.permutation(40)[sample.clusters]
        cohorts = np.where(order < 3, 4.0, np.nan)
        drawn.append(average_effect(make_panel(outcomes=clean, cohorts=cohorts, n_clusters=40)))
    expected = np.quantile(np.abs(drawn), 0.95) + np.quantile(drawn, 0.8)
    assert result.detectable == pytest.approx(expected, rel=0.15)
    wild = infer(evidence_of(sample, psi=np.random.default_rng(1).normal(size=40) / 40), "wild")
    half = (wild.confidence_set.high - wild.confidence_set.low) / 2
    assert wild.detectable == pytest.approx(half + 0.3 * stats.norm.ppf(0.8))


@pytest.mark.parametrize("method", ["wild", "permutation"])
def test_joint_draws_are_those_of_the_test(method):
    sample = make_panel(n_clusters=25)
    psi = np.random.default_rng(1).normal(size=25) / 25
    evidence = evidence_of(sample, 0.4, psi)
    joint = joint_draws(evidence, method, draws=499, seed=2)
    alone = infer(evidence, method, draws=499, seed=2)
    share = (1 + np.sum(np.abs(joint.drawn) >= abs(joint.statistic) * (1 - 1e-9))) / 500
    assert (joint.exhaustive, share) == (False, pytest.approx(alone.p_value))
    few = joint_draws(evidence_of(make_panel(n_clusters=10), 0.4, psi[:10]), method)
    assert few.exhaustive


def test_hundreds_of_clusters_need_no_reassignment():
    sample = make_panel(n_clusters=600, treated=(4,) * 250, units=1)
    result = infer(evidence_of(sample, 0.1, std_error=0.3))
    assert (result.method, result.std_error) == ("cr1", 0.3)
    with pytest.raises(
        InferenceError, match=r"200 clusters or more, where reassigning adds nothing"
    ):
        infer(evidence_of(sample, 0.1), "permutation")


def test_covariates_are_taken_off_before_reassigning():
    """Trends that a covariate explains, and treated units have more of, are no effect."""
    sample = make_panel(n_clusters=60, treated=(4, 4, 4), units=4)
    rng = np.random.default_rng(5)
    x = rng.normal(size=240) + 1.5 * ~np.isnan(sample.cohorts)
    trending = sample.outcomes + np.outer(x, np.arange(7.0))
    covariates = np.repeat(x[:, None, None], 7, axis=1)
    given = {"outcomes": trending, "n_clusters": 60, "treated": (4, 4, 4), "units": 4}
    plain = infer(evidence_of(make_panel(**given), 0.0), draws=499)
    adjusted = infer(evidence_of(make_panel(**given, covariates=covariates), 0.0), draws=499)
    reference = infer(evidence_of(sample, 0.0), draws=499)
    assert plain.p_value < 0.02
    assert adjusted.p_value == pytest.approx(reference.p_value, abs=0.1)
    assert adjusted.confidence_set.low == pytest.approx(reference.confidence_set.low, abs=0.4)


def test_an_estimators_own_placebos_are_kept_to():
    sample = make_panel()
    draws = np.random.default_rng(4).normal(size=(99, 2))
    placebos = PlaceboDraws(draws, 20)
    own = gather(sample, placebos, 1, estimate=2.5, std_error=1.0, label=Label())
    result = infer(own)
    assert (result.method, result.lattice) == ("placebo", 0.01)
    assert result.p_value == (1 + np.sum(np.abs(draws[:, 1]) >= 2.5)) / 100
    low, high = placebos.intervals(np.array([0.0, 2.5]))[1]
    assert result.confidence_set.intervals == ((low, high),)
    resampled = Replicates(draws, 20, "jackknife")
    normal = infer(gather(sample, resampled, 0, estimate=1.0, std_error=0.5, label=Label()))
    assert normal.p_value == pytest.approx(2 * stats.norm.sf(2.0))
    assert "jackknife" in normal.reason
    with pytest.raises(InferenceError, match=r'"placebo" keeps to .* this estimator makes none'):
        infer(evidence_of(sample), "placebo")


def test_same_seed_same_inference():
    evidence = evidence_of(make_panel(n_clusters=40, treated=(4, 4, 5, 5, 5, 6)))
    first = infer(evidence, draws=199, seed=3)
    assert first == infer(evidence, draws=199, seed=3)
    assert first.confidence_set != infer(evidence, draws=199, seed=4).confidence_set


def test_large_designs_get_cr2():
    sample = make_panel(n_clusters=60, treated=(4,) * 10 + (5,) * 10)
    psi = np.random.default_rng(3).normal(size=60) / 60
    result = infer(evidence_of(sample, 0.1, psi))
    assert result.method == "cr2"
    assert "60 clusters, 20 treated" in result.reason


def test_treatment_within_many_clusters_without_a_regression_gets_the_score_bootstrap():
    sample = make_panel(n_clusters=60, clusters=np.arange(180) % 60)
    cohorts = np.where(np.arange(180) < 60, 4.0, np.nan)
    within = make_panel(n_clusters=60, clusters=sample.clusters, cohorts=cohorts)
    psi = np.random.default_rng(3).normal(size=60) / 60
    result = infer(evidence_of(within, 0.1, psi), draws=199)
    assert result.method == "wild"
    assert "Score version" in result.notes[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cohorts": None}, "switches off again or is an amount"),
        ({"clusters": np.repeat(np.arange(10), 6)}, "different times for units of one cluster"),
        ({"outcomes": np.full((60, 7), np.nan)}, "not observed in some periods"),
    ],
)
def test_paths_that_do_not_exist_are_explained(changes, words):
    sample = make_panel(**changes)
    evidence = evidence_of(sample, 0.1)
    for method in ("permutation", "permutation_by_size", "ferman_pinto", "conley_taber"):
        with pytest.raises(InferenceError, match=rf'"{method}" compares .*{words}.*method="wild"'):
            infer(evidence, method)


def test_refusals():
    sample = make_panel()
    with pytest.raises(InferenceError, match=r"method may be .* it was 'wilde'.*\"wild\""):
        infer(evidence_of(sample), "wilde")
    with pytest.raises(InferenceError, match=r"level is a share"):
        infer(evidence_of(sample), level=95)
    replicates = Replicates(np.zeros((5, 1)), 20, "placebo")
    bare = gather(sample, replicates, 0, estimate=1.0, std_error=1.0, label=Label())
    with pytest.raises(
        InferenceError, match=r'"wild" needs the regression or each cluster.*"placebo"'
    ):
        infer(bare, "wild")
    with pytest.raises(InferenceError, match=r'"cr2" needs the regression, or each'):
        infer(bare, "cr2")
    with pytest.raises(InferenceError, match=r"finer than the level.*2 provinces.*clusters="):
        infer(evidence_of(sample, split="2 provinces lie in several clusters"))
    named = infer(evidence_of(sample, split="2 provinces lie in several clusters"), "cr1")
    assert named.reason == "asked for"
    few = make_panel(n_clusters=4, treated=(4, 4))
    with pytest.raises(InferenceError, match=r"larger arm has 2 clusters.*takes 3"):
        infer(evidence_of(few, 0.1), "permutation_by_size")


def test_contributions_stand_for_paths_that_gaps_leave_without_a_difference():
    """One cluster unseen in one period: each arm's errors are its contributions over its shares."""
    sample = make_panel(treated=(4, 4, 4))
    outcomes = sample.outcomes.copy()
    outcomes[30:33, 2] = np.nan
    gaps = replace(sample, outcomes=outcomes)
    rng = np.random.default_rng(2)
    psi = rng.normal(size=20)
    evidence = evidence_of(gaps, 0.4, psi, std_error=0.3)
    assert evidence.paths.linear
    errors = np.where(np.arange(20) < 3, psi * 3, -psi * 17)
    errors[:3] -= errors[:3].mean()
    errors[3:] -= errors[3:].mean()
    expected = errors + 0.4 * (np.arange(20) < 3)
    np.testing.assert_allclose(evidence.paths.outcomes[:, 1], expected, rtol=1e-12)
    found = infer(evidence, draws=9999)
    assert found.method == "permutation"
    assert found.notes[-1].startswith("Contributions of clusters are reassigned")
    t = []
    for arm in combinations(range(20), 3):
        inside = np.isin(np.arange(20), arm)
        gap = expected[inside].mean() - expected[~inside].mean()
        t.append(gap / np.sqrt(expected[inside].var() / 3 + expected[~inside].var() / 17))
    assert found.p_value == pytest.approx(np.mean(np.abs(t) >= abs(t[0]) * (1 - 1e-9)), rel=1e-12)
    taber = infer(evidence, "conley_taber", draws=99)
    assert any("Contributions" in note for note in taber.notes)


def test_contributions_do_not_stand_for_paths_of_other_questions():
    """Not for coefficients beside others, nor where cohorts not in question are compared."""
    sample = make_panel()
    outcomes = sample.outcomes.copy()
    outcomes[30:33, 2] = np.nan
    gaps = replace(sample, outcomes=outcomes)
    psi = np.random.default_rng(2).normal(size=20)
    assert evidence_of(gaps, 0.4, psi, std_error=0.3).paths.linear
    for options in ({"label": Label(cohort=5.0)}, {"of_arms": False}):
        evidence = evidence_of(gaps, 0.4, psi, std_error=0.3, **options)
        assert evidence.paths is None
        assert infer(evidence).method == "none"
        assert "what share of the estimate each cluster holds" in infer(evidence).reason
