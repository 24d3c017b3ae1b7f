"""Ratios with confidence sets, their words, and the accounting beside them."""

import numpy as np
import pandas as pd
import pytest

from impact import value
from impact.design import Design
from impact.errors import EstimationError, InferenceError
from impact.estimators.callaway_santanna import CallawaySantAnna
from impact.inference.sets import ConfidenceSet, interval
from impact.ledger import Ledger
from impact.panel import Panel
from impact.simulate import simulate_programme, staggered_panel

Z95 = 1.959963984540054


def effects(seed=1, **settings):
    panel = staggered_panel(seed, **settings)
    design = Design(
        Panel(panel.frame, unit="unit", time="time"), outcome="outcome", cohort="cohort"
    )
    return panel, CallawaySantAnna().fit(design)


def simulate_effects_of_one():
    """One treated unit, for which nothing valid exists against three others."""
    return effects(n_units=4, periods=4, cohorts={3: 0.25})[1]


def ratio_panel(**settings):
    panel = staggered_panel(3, effect=2.0, noise=0.5, **settings)
    noise = np.random.default_rng(1).normal(size=len(panel.frame))
    frame = panel.frame.assign(subsidy=panel.frame["treated"] * 4.0 + 0.1 * noise)
    return Panel(frame, unit="unit", time="time")


def rejects(theta, n, d, v):
    spread = v[0][0] - 2 * theta * v[0][1] + theta**2 * v[1][1]
    return (n - theta * d) ** 2 > Z95**2 * spread


@pytest.mark.parametrize(
    ("n", "d", "v"),
    [
        (10.0, 5.0, [[1.0, 0.2], [0.2, 1.0]]),
        (10.0, -5.0, [[1.0, 0.2], [0.2, 1.0]]),
        (10.0, 1.0, [[1.0, 0.2], [0.2, 1.0]]),
        (0.5, 0.3, [[1.0, 0.2], [0.2, 1.0]]),
        (100.0, 2.0, [[0.0, 0.0], [0.0, 4.0]]),
        (0.0, 5.0, [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_fieller_is_the_inversion_of_its_test(n, d, v):
    chosen = value.fieller(n, d, v)
    for theta in np.concatenate([np.linspace(-300, 300, 4001), [n / d]]):
        assert chosen.contains(theta) != rejects(theta, n, d, v)


def test_fieller_by_hand():
    # n = 4 known, d = 2 with variance 1/4: 4 / (2 -+ 1.96 / 2)
    chosen = value.fieller(4.0, 2.0, [[0, 0], [0, 0.25]])
    assert chosen.intervals[0] == pytest.approx((4 / (2 + Z95 / 2), 4 / (2 - Z95 / 2)), rel=1e-12)
    unbounded = value.fieller(4.0, 0.5, [[0, 0], [0, 0.25]])
    low, high = unbounded.intervals
    assert low == (-np.inf, pytest.approx(4 / (0.5 - Z95 / 2)))
    assert high == (pytest.approx(4 / (0.5 + Z95 / 2)), np.inf)
    assert value.fieller(0.5, 0.3, [[1, 0.2], [0.2, 1]]).intervals == ((-np.inf, np.inf),)
    with pytest.raises(InferenceError, match="covariance that is not finite"):
        value.fieller(1.0, 1.0, [[np.nan, 0], [0, 1]])


@pytest.mark.slow
def test_fieller_covers_where_the_denominator_is_weak():
    rng = np.random.default_rng(5)
    draws = rng.multivariate_normal([3.0, 1.5], [[1, 0.3], [0.3, 1]], 4000)
    covered = [value.fieller(n, d, [[1, 0.3], [0.3, 1]]).contains(2.0) for n, d in draws]
    assert 0.95 - 3 * np.sqrt(0.95 * 0.05 / 4000) <= np.mean(covered)
    assert np.mean(covered) <= 0.95 + 3 * np.sqrt(0.95 * 0.05 / 4000)


def test_cost_per_unit_is_cost_over_effect_and_its_set_inverts_the_interval():
    _, result = effects(effect=2.0, noise=0.5)
    spent = value.cost_per_unit(result, cost=600e6, scale=100.0, displacement=0.1)
    row = result.att().tidy().iloc[0]
    assert spent.estimate == pytest.approx(600e6 / (90 * row["estimate"]), rel=1e-12)
    assert spent.confidence_set.intervals[0] == pytest.approx(
        (600e6 / (90 * row["conf_high"]), 600e6 / (90 * row["conf_low"])), rel=1e-12
    )
    matrix = [[0, 0], [0, (90 * row["std_error"]) ** 2]]
    fieller = value.fieller(600e6, 90 * row["estimate"], matrix)
    assert fieller.intervals[0] == pytest.approx(spent.confidence_set.intervals[0], rel=1e-9)
    assert spent.sentence().startswith("between 3.")
    other = value.cost_per_unit(
        result, cost=600e6, scale=100.0, effect_set=ConfidenceSet(((-1.0, 3.0),), 0.9)
    )
    assert other.confidence_set == ConfidenceSet(((-np.inf, -6e6), (2e6, np.inf)), 0.9)


def test_cost_per_job_year_counts_treated_years():
    panel, result = effects(effect=lambda e, g: 1.0 + e, noise=1e-6)
    treated = panel.frame["treated"].sum()
    gained = (panel.frame["outcome"] - panel.frame["untreated"]).sum()
    spent = value.cost_per_unit(result, cost=1e9, scale=treated, weighting="cell", unit="job-year")
    assert spent.estimate == pytest.approx(1e9 / gained, rel=1e-5)


def test_an_effect_that_may_be_zero_gives_no_upper_bound():
    spent = value.CostPerUnit(600e6, 2.0, interval(-1.0, 3.0, 0.95), "job")
    assert spent.confidence_set.intervals == ((-np.inf, -600e6), (200e6, np.inf))
    assert spent.sentence("en") == (
        "at least 200 million VND a job; no upper bound, since no gain at all is not ruled out"
    )
    assert spent.sentence("vi").startswith("ít nhất 200 triệu đồng một việc làm;")
    years = value.CostPerUnit(600e6, 2.0, interval(1.0, 3.0, 0.95), "job-year")
    assert years.sentence("vi").endswith("600 triệu đồng một việc làm trong một năm")
    zero = value.CostPerUnit(600e6, 2.0, interval(0.0, 3.0, 0.95), "job")
    assert zero.confidence_set.intervals == ((200e6, np.inf),)


def test_numbers_of_a_cost_and_of_benefits_are_plain_floats():
    _, result = effects(effect=lambda e, g: 1.0 + e, noise=1e-6)
    spent = value.cost_per_unit(result, cost=np.float64(1e9), scale=np.int64(4))
    worth = value.benefit_cost(result, cost=np.float64(1e8), units={0: 2}, value=1e6, rate=0.05)
    pooled = value.pooled_cost([spent, spent])
    for shown in map(repr, (spent, worth, pooled)):
        assert "np." not in shown


def test_losses_and_nothing_at_all_in_words():
    lost = value.CostPerUnit(600e6, -2.0, interval(-3.0, -1.0, 0.95), "job")
    assert np.isnan(lost.estimate)
    assert lost.sentence() == "no cost a job: the data rule out any gain"
    unbounded = ConfidenceSet(((-np.inf, np.inf),), 0.95)
    assert value.spell_set(unbounded, "job") == "the data do not bound the cost of a job"
    bounded = value.CostPerUnit(1e9, 5.0, interval(2.0, 8.0, 0.95), "việc làm")
    assert bounded.sentence("vi") == "từ 125 triệu đồng đến 500 triệu đồng một việc làm"


@pytest.mark.parametrize(
    ("amount", "en", "vi"),
    [
        (210e6, "210 million VND", "210 triệu đồng"),
        (1.436e12, "1.44 trillion VND", "1,44 nghìn tỷ đồng"),
        (9.04e6, "9.04 million VND", "9,04 triệu đồng"),
        (568_682, "569 thousand VND", "569 nghìn đồng"),
        (750, "750 VND", "750 đồng"),
    ],
)
def test_money_in_words(amount, en, vi):
    assert value.spell_money(amount, "en") == en
    assert value.spell_money(amount, "vi") == vi


def test_refusals_of_cost_per_unit():
    _, result = effects()
    with pytest.raises(EstimationError, match="cost and scale must be positive; they are 0 and 5"):
        value.cost_per_unit(result, cost=0, scale=5)
    with pytest.raises(EstimationError, match="displacement is a share of at least 0 and below 1"):
        value.cost_per_unit(result, cost=1, scale=5, displacement=1.0)
    alone = simulate_effects_of_one()
    assert np.isnan(alone.att().tidy()["std_error"].iloc[0])
    with pytest.raises(InferenceError, match="no standard error"):
        value.cost_per_unit(alone, cost=1, scale=5)


def test_ratio_of_effects_of_one_panel():
    whole = ratio_panel()
    frame = whole.frame
    fit = CallawaySantAnna().fit
    invested = fit(Design(whole, outcome="outcome", cohort="cohort"))
    received = fit(Design(whole, outcome="subsidy", cohort="cohort"))
    ratio, chosen = value.ratio_of_effects(invested, received)
    assert ratio == pytest.approx(invested.att().estimates[0] / received.att().estimates[0])
    assert chosen.contains(0.5)
    same, own = value.ratio_of_effects(invested, invested)
    assert same == 1.0
    assert own.intervals[0] == pytest.approx((1.0, 1.0), abs=1e-6)
    fewer = Panel(frame[frame["unit"] > 0], unit="unit", time="time")
    other = fit(Design(fewer, outcome="subsidy", cohort="cohort"))
    with pytest.raises(InferenceError, match="same units and clusters"):
        value.ratio_of_effects(invested, other)


def test_a_ratio_in_few_clusters_inverts_the_bootstrap_that_holds_there():
    whole = ratio_panel(n_units=30, periods=8, cohorts={4: 1 / 6, 6: 1 / 5})
    fit = CallawaySantAnna().fit
    invested = fit(Design(whole, outcome="outcome", cohort="cohort"))
    received = fit(Design(whole, outcome="subsidy", cohort="cohort"))
    ratio, chosen = value.ratio_of_effects(invested, received)
    assert chosen.is_connected
    assert chosen.low < ratio < chosen.high
    # The p-value jumps at the ends themselves, so rounding decides on which side they lie.
    inside = 1e-6
    ends = ((chosen.low + inside, True), (chosen.high - inside, True), (chosen.low - 1e-3, False))
    for at, kept in ends:
        frame = whole.frame.assign(gap=lambda f, at=at: f["outcome"] - at * f["subsidy"])
        gap = fit(Design(Panel(frame, unit="unit", time="time"), outcome="gap", cohort="cohort"))
        found = gap.att().infer("wild").inferences()[0]
        assert (found.p_value > 0.05) == kept
    with pytest.raises(InferenceError, match="the ratio has no confidence set"):
        value.ratio_of_effects(simulate_effects_of_one(), simulate_effects_of_one())


def test_benefits_in_few_clusters_rest_on_the_inference_that_holds_there():
    _, result = effects(n_units=30, periods=8, cohorts={4: 1 / 6, 6: 1 / 5}, noise=0.5)
    ruled = value.benefit_cost(result, cost=1.0, units={0: 1.0}, value=1.0, rate=0.0)
    study = result.event_study()
    row = (study.cells["event_time"] == 0).argmax()
    reported = study.inferences()[row].confidence_set
    width = reported.high - reported.low
    # One reassigns mean paths, the other what clusters contribute: alike, not the same.
    assert ruled.benefit_set.intervals[0] == pytest.approx(reported.intervals[0], abs=width / 20)
    assert ruled.benefit_set.high - ruled.benefit_set.low > 2 * Z95 * study.std_errors[row]


def test_benefits_of_either_sign_in_few_clusters_have_no_interval():
    _, result = effects(n_units=30, periods=8, cohorts={4: 1 / 6, 6: 1 / 5}, noise=0.5)
    mixed = value.benefit_cost(result, cost=1.0, units={0: 1.0, 1: -1.0}, value=1.0, rate=0.0)
    assert np.isnan(mixed.benefit_set.low)
    assert np.isnan(mixed.benefit_set.high)


def test_leverage_by_content_by_hand():
    projects = pd.DataFrame(
        {
            "content": ["technology", "technology", "training", "training"],
            "disbursed_support": [300, 100, 50, 0],
            "counterpart": [700, 100, 0, 10],
        }
    )
    table = value.leverage(projects)
    assert table["leverage"].to_dict() == {"technology": 2.0, "training": 0.0, "all": 800 / 450}
    assert table["projects"].to_dict() == {"technology": 2, "training": 1, "all": 3}
    assert table["share"]["technology"] == pytest.approx(400 / 450)
    with pytest.raises(EstimationError, match='no column contnt. Did you mean "content"'):
        value.leverage(projects, by=["contnt"])
    for pooled in ([], ["source"], "source"):
        with pytest.raises(EstimationError, match='pooled over contents.* Put "content" among by'):
            value.leverage(projects.assign(source="local"), by=pooled)
    assert value.leverage(projects, by="content").equals(table)
    ledger = Ledger.from_frames(simulate_programme(1, n_establishments=4000, approvals=5).projects)
    two_ways = value.leverage(ledger.projects, by=["content", "source"])
    assert two_ways.index[-1] == ("all", "all")
    assert two_ways["support"].iloc[:-1].sum() == two_ways["support"].iloc[-1]


def test_net_jobs_and_additionality_by_hand():
    assert value.net_jobs(100, deadweight=0.45, displacement=0.15) == pytest.approx(46.75)
    assert value.net_jobs(
        100, deadweight=0, displacement=0, leakage=0.1, multiplier=1.2
    ) == pytest.approx(108)
    with pytest.raises(EstimationError, match="deadweight is a share"):
        value.net_jobs(100, deadweight=1.2, displacement=0)
    assert value.additionality(700, 315, 300) == {
        "additionality": pytest.approx(385 / 300),
        "deadweight": 0.45,
    }
    with pytest.raises(EstimationError, match="must be positive"):
        value.additionality(700, 315, 0)


def test_present_value():
    flows, years = [110.0, 121.0], [2021, 2022]
    assert value.present_value(flows, years, rate=0.10, base=2020) == pytest.approx(200.0)
    with pytest.raises(EstimationError, match="must lie above -1"):
        value.present_value(flows, years, rate=-1.5, base=2020)
    with pytest.raises(EstimationError, match="2 flows and 1 year do not match"):
        value.present_value(flows, [2021], rate=0.1, base=2020)
    with pytest.raises(EstimationError, match=r"below 1, such as 0.05 for 5 % a year; it was 10"):
        value.present_value(flows, years, rate=10, base=2020)
    with pytest.raises(EstimationError, match=r"1 flow of 2 missing.* at position 1 .*sum is not"):
        value.present_value([110.0, np.nan], years, rate=0.1, base=2020)
    with pytest.raises(EstimationError, match="1 year of 2 missing, infinite or no number"):
        value.present_value(flows, [2021, "sau"], rate=0.1, base=2020)


@pytest.mark.parametrize("amount", [np.inf, np.nan, "1e9", pd.Series([1.0, 2.0]), None])
def test_amounts_are_single_finite_numbers(amount):
    _, result = effects(effect=lambda e, g: 1.0, noise=0.3)
    with pytest.raises(EstimationError, match="cost and scale must be positive"):
        value.cost_per_unit(result, cost=amount, scale=5)
    with pytest.raises(EstimationError, match="cost and scale must be positive"):
        value.cost_per_unit(result, cost=1e9, scale=amount)
    with pytest.raises(EstimationError, match="cost and funds_cost must be positive"):
        value.benefit_cost(result, cost=amount, units={0: 1.0}, value=1, rate=0)
    with pytest.raises(EstimationError, match="must be positive"):
        value.additionality(700, 315, amount)


def test_a_covariance_of_no_two_estimates_is_refused():
    """Standard errors 1 and 1 with a covariance of 2: the set would not hold the ratio itself."""
    with pytest.raises(InferenceError, match="covariance 2 is larger than variances of 1 and 1"):
        value.fieller(1.0, 2.0, [[1.0, 2.0], [2.0, 1.0]])
    whole = value.fieller(1.0, 10.0, [[4.0, 6.0], [6.0, 9.0]])
    assert whole.contains(0.1)


def test_projects_without_a_content_stay_in_the_leverage_table():
    projects = pd.DataFrame(
        {
            "content": ["training", None, "training"],
            "disbursed_support": [50, 40, 10],
            "counterpart": [5, 80, 1],
        }
    )
    table = value.leverage(projects)
    assert table["support"].iloc[:-1].sum() == table["support"].iloc[-1] == 100
    assert table["share"].iloc[:-1].sum() == pytest.approx(1.0)


def test_benefit_cost_discounts_each_year_since_treatment():
    _, result = effects(effect=lambda e, g: 1.0 + e, noise=0.3)
    units = {0: 100.0, 1: 80.0}
    ruled = value.benefit_cost(result, cost=150.0, units=units, value=2.0, rate=0.1, funds_cost=1.2)
    study = result.event_study().tidy().set_index("event_time")
    expected = 200 * study["estimate"][0] + 160 / 1.1 * study["estimate"][1]
    assert ruled.benefit == pytest.approx(expected, rel=1e-12)
    assert ruled.cost == 180.0
    assert ruled.ratio == pytest.approx(expected / 180)
    weights = np.array([200, 160 / 1.1])
    spread = (
        result.event_study()
        .covariance()
        .loc[["event_time 0", "event_time 1"], ["event_time 0", "event_time 1"]]
    )
    error = np.sqrt(weights @ spread.to_numpy() @ weights)
    assert ruled.ratio_set.high - ruled.ratio_set.low == pytest.approx(2 * Z95 * error / 180)
    assert ruled.net_set.contains(ruled.net)
    with pytest.raises(EstimationError, match="cost and funds_cost must be positive; they are 0"):
        value.benefit_cost(result, cost=0, units=units, value=1, rate=0)
    with pytest.raises(EstimationError, match="the discount rate must lie above -1"):
        value.benefit_cost(result, cost=1, units=units, value=1, rate=-1)
    with pytest.raises(EstimationError, match="no effect is estimated 40 years after"):
        value.benefit_cost(result, cost=1, units={40: 1.0}, value=1, rate=0)


def test_pooled_cost_of_parts_made_by_hand_is_a_bound_unless_they_are_independent():
    small = value.CostPerUnit(100e6, 10.0, interval(4.0, 16.0, 0.95), "job", 2020)
    large = value.CostPerUnit(200e6, 5.0, interval(-3.0, 13.0, 0.95), "job", 2020)
    both = value.pooled_cost([small, large], independent=True)
    assert (both.cost, both.gained) == (300e6, 15.0)
    assert both.gained_set.intervals[0] == pytest.approx((5.0, 25.0))
    assert both.confidence_set.intervals[0] == pytest.approx((12e6, 60e6))
    bound = value.pooled_cost([small, large])
    assert bound.gained_set.intervals[0] == pytest.approx((1.0, 29.0))
    with pytest.raises(EstimationError, match="only costs of one unit, price base and level"):
        value.pooled_cost([small, value.CostPerUnit(1.0, 1.0, interval(0, 2, 0.9), "job", 2020)])
    with pytest.raises(EstimationError, match="have no part"):
        value.pooled_cost([])
    halves = ConfidenceSet(((-np.inf, -1.0), (2.0, np.inf)), 0.95)
    with pytest.raises(EstimationError, match="no bounded interval cannot be added"):
        value.pooled_cost([value.CostPerUnit(1.0, 1.0, halves, "job")])


def spent_in(frame, clusters, scale):
    """Return the cost of a class with its interval of 1.96 clustered standard errors."""
    panel = Panel(frame, unit="unit", time="time")
    design = Design(panel, outcome="outcome", cohort="cohort", clusters=clusters)
    result = CallawaySantAnna().fit(design)
    average = result.att()
    reach = Z95 * average.std_errors[0]
    own = interval(average.estimates[0] - reach, average.estimates[0] + reach, 0.95)
    return value.cost_per_unit(result, cost=1e9, scale=scale, effect_set=own), average


SCALES = (10.0, 12.0)


def two_classes():
    """Halves of an establishment panel that lie in the same communes."""
    frame = staggered_panel(5, n_units=160, n_clusters=20, cluster_noise=1.0).frame
    return [frame[frame["unit"] % 2 == k] for k in (0, 1)]


def reach_of(spent):
    return spent.gained_set.high - spent.gained


def test_pooled_cost_counts_the_clusters_that_classes_share():
    halves = two_classes()
    found = [spent_in(half, "cluster", k) for half, k in zip(halves, SCALES, strict=True)]
    parts = [spent for spent, _ in found]
    together = sum(
        k * pd.Series(average.uncertainty.contributions()[:, 0], np.unique(half["cluster"]))
        for half, k, (_, average) in zip(halves, SCALES, found, strict=True)
    )
    pooled = value.pooled_cost(parts)
    assert reach_of(pooled) == pytest.approx(Z95 * np.sqrt(together @ together), rel=1e-12)
    assert reach_of(pooled) != pytest.approx(np.hypot(*map(reach_of, parts)), rel=0.01)
    # Costs that are sums themselves keep their clusters.
    nested = value.pooled_cost([pooled, parts[0]])
    twice = together + SCALES[0] * pd.Series(
        found[0][1].uncertainty.contributions()[:, 0], np.unique(halves[0]["cluster"])
    )
    assert reach_of(nested) == pytest.approx(Z95 * np.sqrt(twice @ twice), rel=1e-12)


def test_pooled_cost_of_classes_without_common_clusters_adds_squares():
    parts = [spent_in(half, None, k)[0] for half, k in zip(two_classes(), SCALES, strict=True)]
    assert reach_of(value.pooled_cost(parts)) == pytest.approx(
        np.hypot(*map(reach_of, parts)), rel=1e-12
    )


def test_pooled_cost_of_parts_clustered_by_different_columns_is_a_bound():
    one, other = two_classes()
    parts = [spent_in(one, "cluster", 10.0)[0], spent_in(other, None, 12.0)[0]]
    assert reach_of(value.pooled_cost(parts)) == pytest.approx(sum(map(reach_of, parts)), rel=1e-12)


def test_before_and_after_by_hand():
    frame = pd.DataFrame(
        {
            "unit": [1, 1, 1, 1, 2, 2, 3, 3, 3],
            "year": [1, 2, 3, 4, 3, 4, 1, 2, 3],
            "jobs": [5.0, 6.0, 9.0, 8.0, 1.0, 2.0, 7.0, 7.0, 7.0],
            "cohort": [3, 3, 3, 3, 3, 3, None, None, None],
        }
    )
    keys = {"unit": "unit", "time": "year", "cohort": "cohort"}
    table = value.before_after(frame, "jobs", **keys)
    assert table.to_dict("index") == {1: {"before": 6.0, "after": 8.0, "change": 2.0}}
    earlier = value.before_after(frame, "jobs", anticipation=1, **keys)
    assert earlier["change"].to_dict() == {1: 3.0}
    with pytest.raises(EstimationError, match='no column job. Did you mean "jobs"'):
        value.before_after(frame, "job", **keys)


def test_before_and_after_where_surveys_skip_years_or_values():
    frame = pd.DataFrame(
        {"firm": [1, 1, 1, 2, 2, 2], "year": [2010, 2012, 2014] * 2,
         "since": [2013] * 3 + [2011] * 3, "jobs": [5.0, 6, 9, 4, 7, np.nan]}
    )  # fmt: skip
    table = value.before_after(frame, "jobs", unit="firm", time="year", cohort="since")
    assert table.to_dict("list") == {
        "before": [6.0, 4.0],
        "after": [9.0, 7.0],
        "change": [3.0, 3.0],
    }
    first = frame.assign(since=2010)
    assert not len(value.before_after(first, "jobs", unit="firm", time="year", cohort="since"))


def test_reported_costs_are_gross_and_stand_beside_the_net_one():
    net = value.CostPerUnit(600e6, 2.0, interval(-1.0, 3.0, 0.95), "job")
    table = value.gross_and_net(net, {"Hà Tĩnh": (2.26e9, 250), "Quảng Bình": (0.7e9, 50)})
    assert table.index.to_list() == ["Hà Tĩnh", "Quảng Bình", "net"]
    assert table["per_unit"].to_list() == pytest.approx([9.04e6, 14e6, 300e6])
    assert table.loc["net", ["low", "high"]].to_list() == [200e6, np.inf]
    assert table["net_times"].to_list() == pytest.approx([300 / 9.04, 300 / 14, 1])
    with pytest.raises(EstimationError, match='"Huế" reports 1000000000.0 dong for 0 units'):
        value.gross_and_net(net, {"Huế": (1e9, 0)})
    lost = value.CostPerUnit(600e6, -2.0, interval(-3.0, -1.0, 0.95), "job")
    assert value.gross_and_net(lost, {"x": (1e9, 5)}).loc["net", "per_unit":].isna().all()
