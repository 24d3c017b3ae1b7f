"""Checks against loops that follow the definitions, and cases small enough to do by hand."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtr

from impact.estimators import CallawaySantAnna
from impact.sensitivity import Specification, attrition, leave_one_out, specification_curve
from impact.sensitivity.attrition import lee_bounds

CLOSED_FORM = 1e-12


def best_mean(values, share):
    """Mean of the best share of values, the last of them counted in part."""
    left, total = share * len(values), 0.0
    for value in sorted(values, reverse=True):
        total += min(left, 1.0) * value
        left -= min(left, 1.0)
    return total / (share * len(values))


def trimmed_bounds(outcome, observed, treated):
    """Lee's bounds by sorting and trimming."""
    seen = [[y for y, o, d in zip(outcome, observed, treated, strict=True) if o and d == g]
            for g in (False, True)]  # fmt: skip
    shares = [sum(observed[treated == g]) / sum(treated == g) for g in (False, True)]
    more = int(shares[1] >= shares[0])
    kept = shares[1 - more] / shares[more]
    rest = sum(seen[1 - more]) / len(seen[1 - more])
    ends = [best_mean(seen[more], kept), -best_mean([-y for y in seen[more]], kept)]
    return sorted((end - rest) * (1 if more else -1) for end in ends)


@pytest.mark.parametrize("seed", range(12))
def test_lee_bounds_equal_sorting_and_trimming(seed):
    rng = np.random.default_rng(seed)
    treated = rng.random(40 + seed) < 0.4
    outcome = rng.normal(size=40 + seed) + treated
    observed = rng.random(40 + seed) < np.where(treated, 0.6 + seed / 30, 0.8)
    found = lee_bounds(outcome, observed, treated)
    expected = trimmed_bounds(outcome, observed, treated)
    np.testing.assert_allclose([found.low, found.high], expected, rtol=CLOSED_FORM)


def test_lee_bounds_that_trim_part_of_a_unit_by_hand():
    """All five treated seen, three of four others: 3.75 of five are kept."""
    outcome = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, np.nan])
    found = lee_bounds(outcome, ~np.isnan(outcome), np.arange(9) < 5)
    assert found.trimmed == 0.25
    assert found.low == pytest.approx((1 + 2 + 3 + 0.75 * 4) / 3.75, rel=CLOSED_FORM)
    assert found.high == pytest.approx((5 + 4 + 3 + 0.75 * 2) / 3.75, rel=CLOSED_FORM)


def test_lee_contributions_are_the_slopes_of_the_bounds():
    """Adding a copy of a unit moves the bounds as its contribution says, to first order."""
    rng = np.random.default_rng(3)
    n = 4000
    treated = rng.random(n) < 0.5
    outcome = rng.normal(size=n)
    observed = rng.random(n) < np.where(treated, 0.9, 0.7)
    found = lee_bounds(outcome, observed, treated)
    for i in (0, 1, 2, 3, int(np.argmin(observed))):
        twice = np.append(np.arange(n), i)
        again = lee_bounds(outcome[twice], observed[twice], treated[twice])
        moved = np.array([again.low - found.low, again.high - found.high])
        # A step of 1/n is a slope up to its square and the spacing of the order statistics.
        np.testing.assert_allclose(moved, found.psi[i], atol=20 / n**2 * (1 + abs(outcome[i])))


def test_attrition_adds_up_cohorts_and_clusters(make_frame, design_of):
    frame = make_frame(seed=4)
    rng = np.random.default_rng(4)
    gone = (frame["year"] == 2017) & (rng.random(len(frame)) < 0.1 + 0.1 * frame["treated"])
    wide = frame[~gone].pivot(index="firm", columns="year", values="y")
    cohort = frame.groupby("firm")["cohort"].first()
    province = frame.groupby("firm")["province"].first()
    design = design_of(frame[~gone], clusters="province")
    finding = attrition(CallawaySantAnna().fit(design))
    sizes, bounds = [], []
    by_cluster = np.zeros((12, 3))
    for first in (2013.0, 2015.0):
        among = (cohort.isna() | (cohort == first)).to_numpy()
        change = (wide[2017] - wide[first - 1]).to_numpy()[among]
        own, seen = (cohort == first).to_numpy()[among], ~np.isnan(change)
        bounds.append(trimmed_bounds(np.nan_to_num(change), seen, own))
        sizes.append(own.sum())
        psi = lee_bounds(change, seen, own).psi
        for i, place in enumerate(province.to_numpy()[among]):
            group = own == own[i]
            sign = 1 if own[i] else -1
            gap = sign * (seen[i] - seen[group].mean()) / group.sum()
            by_cluster[place] += own.sum() / 120 * np.append(psi[i], gap)
    assert sum(sizes) == 120
    # Twelve clusters hold treated and untreated firms: read by t with 11 degrees of freedom.
    errors = [(12 / 11 * sum(value**2 for value in column)) ** 0.5 for column in by_cluster.T]
    found = finding.values
    np.testing.assert_allclose(
        [found["bound_low"], found["bound_high"]],
        np.average(bounds, axis=0, weights=sizes),
        rtol=CLOSED_FORM,
    )
    np.testing.assert_allclose(
        [found["std_error_low"], found["std_error_high"]], errors[:2], rtol=CLOSED_FORM
    )
    assert found["p_value"] == pytest.approx(
        2 * stdtr(11, -abs(found["gap"]) / errors[2]), rel=1e-10
    )
    reach = (found["bound_low"] - found["conf_low"]) / errors[0]
    width = (found["bound_high"] - found["bound_low"]) / max(errors[:2])
    assert stdtr(11, reach + width) - stdtr(11, -reach) == pytest.approx(0.95, abs=1e-10)


def cohort_average(wide, cohort):
    """Average effect by cohort size, not-yet-treated units compared, by loops over cells."""
    effects, sizes = [], []
    for first in sorted(cohort.dropna().unique()):
        own, cells = cohort == first, []
        for year in (year for year in wide.columns if year >= first):
            change = wide[year] - wide[first - 1]
            later = cohort.isna() | (cohort > year)
            cells.append(change[own].mean() - change[later & ~own].mean())
        effects.append(np.mean(cells))
        sizes.append(own.sum())
    return float(np.average(effects, weights=sizes))


def never_average(wide, cohort):
    """The same against units never treated."""
    effects, sizes = [], []
    for first in sorted(cohort.dropna().unique()):
        own = cohort == first
        change = wide[[year for year in wide if year >= first]].mean(axis=1) - wide[first - 1]
        effects.append(change[own].mean() - change[cohort.isna()].mean())
        sizes.append(own.sum())
    return float(np.average(effects, weights=sizes))


def test_leaving_out_regions_equals_a_loop(make_frame, design_of):
    frame = make_frame(seed=5).assign(region=lambda f: "R" + (f["province"] // 3).astype(str))
    wide = frame.pivot(index="firm", columns="year", values="y")
    units = frame.groupby("firm")[["cohort", "region"]].first()
    result = CallawaySantAnna().fit(design_of(frame))
    finding = leave_one_out(result, by="region")
    full = cohort_average(wide, units["cohort"])
    rows = finding.table.set_index("left_out")
    assert list(rows.index) == ["R0", "R1", "R2", "R3"]
    for region in rows.index:
        rest = units["region"] != region
        expected = cohort_average(wide[rest], units["cohort"][rest])
        assert rows["estimate"][region] == pytest.approx(expected, rel=CLOSED_FORM)
        assert rows["change"][region] == pytest.approx(expected - full, abs=CLOSED_FORM)
        assert rows["n_units"][region] == (~rest).sum()
    changes = rows["change"].abs()
    assert finding.statistic == pytest.approx(changes.max() / result.att().std_errors[0])
    assert finding.values["lowest"] == rows["estimate"].min()


def two_period_frame(changes, treated):
    """Units with a level of their own and a change, treated in the second period or never."""
    n = len(changes)
    return pd.DataFrame(
        {
            "firm": np.repeat(np.arange(n), 2),
            "year": np.tile([2020, 2021], n),
            "cohort": np.repeat(np.where(treated, 2021.0, np.nan), 2),
            "region": np.repeat(np.arange(n) // 2, 2),
            "y": np.column_stack([np.arange(n), np.arange(n) + changes]).ravel(),
        }
    )


def test_leaving_out_regions_by_hand(design_of):
    """Changes 5, 1 | 3, 2 | 4, 0, the first of each pair treated: 4 - 1 without the rest."""
    frame = two_period_frame(np.array([5.0, 1.0, 3.0, 2.0, 4.0, 0.0]), np.arange(6) % 2 == 0)
    finding = leave_one_out(CallawaySantAnna().fit(design_of(frame)), by="region")
    assert finding.table["estimate"].tolist() == pytest.approx([2.5, 4.0, 2.5], rel=CLOSED_FORM)
    assert finding.table["change"].tolist() == pytest.approx([-0.5, 1.0, -0.5], rel=CLOSED_FORM)
    assert finding.values["sign_changes"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.12])
def test_joint_randomisation_p_value_equals_a_loop(make_frame, design_of, effect):
    """39 permutations of paths over provinces; the median of two curves by arithmetic."""
    frame = make_frame(effect=effect, seed=6, n_firms=4, by_province=True)
    design = design_of(frame, clusters="province")
    variants = [
        Specification("not yet", CallawaySantAnna(), design),
        Specification("never", CallawaySantAnna(comparison="never_treated"), design),
    ]
    result = variants[0].estimator.fit(design)
    finding = specification_curve(result, variants=variants, draws=39, seed=9)
    wide = frame.pivot(index="firm", columns="year", values="y")
    province = frame.groupby("firm")["province"].first()
    paths = frame.groupby("province")["cohort"].first().to_numpy()

    def curve(own):
        cohort = pd.Series(own, index=paths_index).reindex(province).set_axis(wide.index)
        return np.median([cohort_average(wide, cohort), never_average(wide, cohort)])

    paths_index = np.arange(12)
    actual, rng = curve(paths), np.random.default_rng(9)
    placebos = [curve(rng.permutation(paths)) for _ in range(39)]
    assert finding.values["median"] == pytest.approx(actual, rel=CLOSED_FORM)
    further = sum(abs(placebo) >= abs(actual) for placebo in placebos)
    assert finding.statistic == (1 + further) / 40
    assert 0 < further < 39 or effect


@pytest.mark.slow
def test_joint_randomisation_p_value_by_hand(design_of):
    """Of six firms with changes 0 to 5 the best two are treated: 4.5 - 1.5 = 3 is the largest gap.

    Any other pair gives less in size but the worst two, 0.5 - 3.5 = -3, which tie.
    """
    frame = two_period_frame(np.arange(6.0), np.arange(6) >= 4)
    design = design_of(frame)
    both = [
        Specification("not yet", CallawaySantAnna(), design),
        Specification("never", CallawaySantAnna(comparison="never_treated"), design),
    ]
    result = CallawaySantAnna().fit(design)
    finding = specification_curve(result, variants=both, draws=59, seed=1)
    rng = np.random.default_rng(1)
    cohorts = np.where(np.arange(6) >= 4, 2021.0, np.nan)
    drawn = [frozenset(np.flatnonzero(rng.permutation(cohorts) == 2021)) for _ in range(59)]
    ties = sum(pair in ({4, 5}, {0, 1}) for pair in drawn)
    assert finding.values["median"] == pytest.approx(3.0, rel=CLOSED_FORM)
    assert finding.statistic == (1 + ties) / 60
    assert 0 < ties < 20
    assert all(low <= high for low, high in pairwise(finding.table["estimate"]))
