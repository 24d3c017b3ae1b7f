"""The decision table: each rule fires where it should, and says why."""

import re
from dataclasses import replace

import numpy as np
import pytest

from impact.errors import InferenceError
from impact.inference.auto import Facts, choose

COMMON = Facts(
    n_clusters=63,
    n_treated=20,
    effective_arm=18.0,
    smallest_cohort=5,
    assignments=1e15,
    max_leverage=0.05,
    sole_identifier=False,
    size_imprecision=0.3,
    size_gap=0.5,
)

WITHIN = {
    "n_clusters": 3000,
    "n_treated": 2900,
    "effective_arm": 2950.0,
    "effective_contributions": 900.0,
    "assignments": 0.0,
    "max_leverage": 0.001,
    "correctable": False,
}


@pytest.mark.parametrize(
    ("changes", "method", "words"),
    [
        (
            {"n_clusters": 900, "n_treated": 300, "max_leverage": 0.01},
            "cr1",
            "900 clusters, 300 treated: clustered standard errors need no correction",
        ),
        ({"n_clusters": 900, "n_treated": 300}, "cr2", "none dominant"),
        ({}, "cr2", "63 clusters, 20 treated, none dominant"),
        ({"smallest_cohort": 1}, "permutation", "studentised by arms"),
        ({"max_leverage": 0.2}, "permutation", "studentised by arms"),
        ({"n_clusters": 34}, "permutation", "34 clusters, 20 treated"),
        ({"n_treated": 5, "effective_arm": 4.0}, "permutation", "5 treated"),
        ({"n_treated": 58, "effective_arm": 4.0}, "permutation", "58 treated"),
        (
            {"n_treated": 2, "effective_arm": 1.2, "sole_identifier": False},
            "permutation_by_size",
            "one of which makes up the smaller arm: randomisation inference scaled by size",
        ),
        (
            {"n_treated": 1, "effective_arm": 1.0, "size_imprecision": 0.7, "assignments": 63.0},
            "none",
            "unlike the others in size",
        ),
        (
            {
                "n_treated": 2,
                "effective_arm": 2.0,
                "size_gap": 6.0,
            },
            "none",
            "6.0 times smaller than any other",
        ),
        (
            {"n_clusters": 11, "n_treated": 1, "effective_arm": 1.0, "assignments": 11.0},
            "none",
            "only 11 reassignments .* no p-value could be below 0.091",
        ),
        ({"assignments": 0.0}, "cr2", "none dominant"),
        ({"assignments": 0.0, "n_clusters": 34}, "wild", "varying within them"),
        ({"assignments": 0.0, "correctable": False}, "wild", "varying within them"),
        (WITHIN, "cr1", "3,000 clusters, 2900 treated: clustered standard errors need no"),
        (WITHIN | {"effective_contributions": 199.0}, "wild", "varying within them"),
        (WITHIN | {"effective_arm": 199.0}, "wild", "varying within them"),
        (WITHIN | {"max_leverage": 0.02}, "wild", "varying within them"),
        (WITHIN | {"unmeasured": True}, "wild", "varying within them"),
        (
            {"assignments": 0.0, "correctable": False, "unmeasured": True, "n_treated": 14},
            "none",
            "neither a regression nor mean paths tell what share",
        ),
        ({"assignments": 0.0, "correctable": False, "unmeasured": True}, "wild", "varying"),
        ({"assignments": 0.0, "effective_arm": 14.0}, "wild", "varying within them"),
        (
            {"assignments": 0.0, "effective_arm": 3.0, "max_leverage": 0.4},
            "none",
            "rests on 3.0 effective clusters, too few",
        ),
        ({"assignments": 0.0, "max_leverage": 0.5}, "none", "one cluster holds 50% of the"),
        (
            {"assignments": 0.0, "sole_identifier": True},
            "none",
            "one cluster identifies the estimate alone",
        ),
        ({"assignments": 0.0, "n_clusters": 5}, "none", "fewer than 6 clusters"),
    ],
)
def test_rules(changes, method, words):
    choice = choose(replace(COMMON, **changes))
    assert choice.method == method
    assert re.search(words, choice.reason)


def test_large_unlike_treated_clusters_keep_the_studentised_test():
    facts = replace(COMMON, n_clusters=34, n_treated=2, effective_arm=2.0, size_imprecision=9.0)
    assert choose(replace(facts, size_gap=6.0, effective_arm=2.6)).method == "permutation"
    assert choose(facts).method == "permutation"


def test_clusters_below_the_level_of_assignment_are_refused():
    with pytest.raises(
        InferenceError, match=r"finer than the level at which .*: 3 provinces are split\. Errors"
    ):
        choose(replace(COMMON, split="3 provinces are split"))


def test_two_way_designs_need_what_tells_the_effect_to_be_spread_over_both_dimensions():
    many = replace(COMMON, n_clusters=80, n_treated=30, smallest_cohort=30, assignments=np.inf)
    many = replace(many, effective_arm=30.0, max_leverage=0.02, sole_identifier=False)
    many = replace(many, other_dimension=8, even_others=0.8, dimensions=2)
    whole, within = many, replace(many, assignments=0.0)
    for facts in (whole, within):
        assert choose(facts).method == "cr1"
        assert "and 8 of the other dimension, none dominant" in choose(facts).reason
        assert choose(replace(facts, effective_arm=10.0, other_dimension=19)).method == "cr1"
        few = replace(facts, effective_arm=19.0, other_dimension=20)
        assert choose(few).method == "wild_two_way"
        assert choose(few).reason.endswith("restricted wild bootstrap with two-way variances")
        assert choose(replace(facts, max_leverage=0.2, other_dimension=20)) == choose(few)
    unknown = (
        {"other_dimension": 7},
        {"n_clusters": 29},
        {"even_others": 0.7},
        {"effective_arm": 9.0, "other_dimension": 19},
        {"effective_arm": 19.0, "other_dimension": 2000},
        {"effective_arm": 19.0, "other_dimension": 20, "dimensions": 3},
    )
    for changes in unknown:
        reassigned, silent = choose(replace(whole, **changes)), choose(replace(within, **changes))
        assert reassigned.method == "permutation"
        assert reassigned.reason.endswith("treated clusters alone share would count as effects")
        assert silent.method == "none"
        assert "rests on too few of the one or the other for two-way variances" in silent.reason


def test_two_way_bootstrap_of_few_treated_places():
    few = replace(COMMON, n_clusters=34, n_treated=4, effective_arm=4.0, max_leverage=0.1)
    few = replace(few, other_dimension=20, even_others=0.9, dimensions=2)
    assert choose(replace(few, assignments=9e3)).method == "permutation"
    assert choose(replace(few, assignments=0.0)).method == "wild_two_way"
    assert choose(replace(few, assignments=0.0, effective_arm=2.0)).method == "none"
