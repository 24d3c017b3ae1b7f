"""Designs on tables give what the same rows in memory give, to rounding."""

import warnings

import did
import numpy as np
import pytest
from table_equality import RTOL, assert_equal_frames, assert_same, gaps, in_memory, scanned

from impact import (
    CallawaySantAnna,
    Design,
    ExtendedTWFE,
    Imputation,
    Panel,
    SunAbraham,
    TwoStage,
    TwoWayFixedEffects,
)
from impact.errors import TableError

ibis = pytest.importorskip("ibis")
scan = pytest.importorskip("impact.warehouse").scan

STATIC = TwoWayFixedEffects(accept_forbidden_comparisons=True)
EVENTS = TwoWayFixedEffects(effect="event_study", accept_forbidden_comparisons=True)
GROUP_TIME = [
    CallawaySantAnna(),
    CallawaySantAnna(comparison="never_treated", base_period="varying"),
    Imputation(),
    Imputation(leave_one_out=True),
    TwoStage(),
    SunAbraham(),
    ExtendedTWFE(),
    ExtendedTWFE(comparison="never_treated"),
    ExtendedTWFE(cohort_trends=True),
]


@pytest.mark.parametrize("estimator", GROUP_TIME, ids=repr)
@pytest.mark.parametrize(
    "settings",
    [{"anticipation": 1}, {"clusters": "cluster", "weights": "w"}],
    ids=["units", "clusters and weights"],
)
def test_group_time_effects_equal_those_in_memory(estimator, settings, tmp_path):
    if settings and isinstance(estimator, Imputation) and estimator.leave_one_out:
        settings = {"anticipation": 1}
    frame = did.staggered(n_units=300, periods=7, cohorts=(3, 5), n_clusters=24)
    here = in_memory(frame, cohort="cohort", **settings)
    there = scanned(frame, tmp_path, cohort="cohort", **settings)
    assert_same(estimator, here, there)


def test_few_clusters_get_the_same_inference(tmp_path):
    frame = did.staggered(n_units=200, periods=6, cohorts=(4,), n_clusters=12)
    frame = frame.assign(cohort=np.where(frame["cluster"] % 3 == 0, 4.0, np.nan))
    here = in_memory(frame, cohort="cohort", clusters="cluster")
    there = scanned(frame, tmp_path, cohort="cohort", clusters="cluster")
    for estimator in (CallawaySantAnna(), STATIC):
        ours, theirs = assert_same(estimator, here, there, views=("att",))
        assert ours.att().summary() == theirs.att().summary()
        for method in ("wild", "permutation"):
            assert_equal_frames(
                ours.att().infer(method, draws=199).tidy(),
                theirs.att().infer(method, draws=199).tidy(),
            )


@pytest.mark.parametrize(
    ("estimator", "treatment"),
    [
        (CallawaySantAnna(), {"dose": "dose"}),
        (ExtendedTWFE(), {"dose": "dose"}),
        (STATIC, {"treated": "off"}),
    ],
    ids=["group-time, dose", "regression, dose", "two-way, off"],
)
def test_few_units_whose_treatment_follows_no_path_get_the_same_inference(
    estimator, treatment, tmp_path
):
    frame = enrich(did.staggered(n_units=30, periods=6, cohorts=(3, 5)))
    here, there = in_memory(frame, **treatment), scanned(frame, tmp_path, **treatment)
    ours, theirs = assert_same(estimator, here, there, views=("att",))
    assert ours.att().inferences()[0].reason == theirs.att().inferences()[0].reason


@pytest.mark.parametrize("balanced", [True, False], ids=["balanced", "gaps"])
def test_methods_for_few_units_take_contributions_without_small_sample_factors(balanced, tmp_path):
    frame = did.staggered(n_units=60, periods=6, cohorts=(4,))
    frame = frame if balanced else gaps(frame)
    here, there = in_memory(frame, cohort="cohort"), scanned(frame, tmp_path, cohort="cohort")
    ours, theirs = (ExtendedTWFE().fit(design).att() for design in (here, there))
    for method in ("cr2", "cr3", "permutation", "wild"):
        found = (result.infer(method, draws=99).tidy() for result in (ours, theirs))
        assert_equal_frames(*found)


def test_all_treated_in_the_end(tmp_path):
    frame = did.staggered(n_units=120, periods=7, cohorts=(3, 5))
    frame = frame[frame["cohort"].notna()]
    here = in_memory(frame, cohort="cohort")
    there = scanned(frame, tmp_path, cohort="cohort")
    for estimator in (CallawaySantAnna(), Imputation(), SunAbraham()):
        assert_same(estimator, here, there, views=("att",))


def enrich(frame):
    """Add a dose, an indicator that switches off, and a trending covariate."""
    rng = np.random.default_rng(5)
    treated = (frame["time"] >= frame["cohort"]).astype(float)
    return frame.assign(
        treated=treated,
        dose=treated * rng.uniform(0.5, 2.0, len(frame)),
        off=treated * (rng.random(len(frame)) < 0.7),
        x=rng.normal(size=len(frame)) + frame["time"] + 40,
    )


TWO_WAY = {
    "cohort": (STATIC, {"cohort": "cohort"}),
    "clusters": (STATIC, {"cohort": "cohort", "clusters": "cluster"}),
    "weights": (STATIC, {"cohort": "cohort", "weights": "w"}),
    "weights and clusters": (STATIC, {"cohort": "cohort", "weights": "w", "clusters": "cluster"}),
    "covariates": (STATIC, {"treated": "treated", "covariates": ["x", "z"]}),
    "dose": (STATIC, {"dose": "dose", "clusters": "cluster"}),
    "switching off": (STATIC, {"treated": "off"}),
    "event study": (EVENTS, {"cohort": "cohort"}),
    "binned": (
        TwoWayFixedEffects(
            effect="event_study", first=-2, last=2, accept_forbidden_comparisons=True
        ),
        {"cohort": "cohort", "clusters": "cluster", "anticipation": 0},
    ),
    "CR2": (
        TwoWayFixedEffects(covariance="CR2", accept_forbidden_comparisons=True),
        {"cohort": "cohort", "clusters": "cluster"},
    ),
    "CR3": (
        TwoWayFixedEffects(covariance="CR3", accept_forbidden_comparisons=True),
        {"cohort": "cohort", "clusters": "cluster", "weights": "w"},
    ),
    "classical": (
        TwoWayFixedEffects(covariance="classical", accept_forbidden_comparisons=True),
        {"cohort": "cohort"},
    ),
    "stata": (
        TwoWayFixedEffects(convention="areg", accept_forbidden_comparisons=True),
        {"cohort": "cohort"},
    ),
}


@pytest.mark.parametrize("name", TWO_WAY)
@pytest.mark.parametrize("balanced", [True, False], ids=["balanced", "gaps"])
def test_two_way_fixed_effects_equal_those_in_memory(name, balanced, tmp_path):
    estimator, settings = TWO_WAY[name]
    frame = enrich(did.staggered(n_units=240, periods=8, cohorts=(4, 6), n_clusters=30))
    frame = frame if balanced else gaps(frame)
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    ours, theirs = assert_same(estimator, here, there, views=("att",))
    for fact in ("n_rows", "n_effects", "df_residual"):
        assert theirs.extra[fact] == ours.extra[fact]
    for fact in ("rss", "r_squared_within"):
        assert theirs.extra[fact] == pytest.approx(ours.extra[fact], rel=RTOL)
    assert_equal_frames(
        ours.extra["covariates"].to_frame("slope"), theirs.extra["covariates"].to_frame("slope")
    )


def test_a_covariate_that_effects_explain_has_no_coefficient(tmp_path):
    frame = enrich(did.staggered(n_units=300, periods=6)).assign(
        fixed=lambda f: 0.1 * f["unit"], again=lambda f: 2 * f["x"]
    )
    settings = {"cohort": "cohort", "covariates": ["fixed", "x", "again"]}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    ours, theirs = assert_same(STATIC, here, there, views=())
    assert theirs.extra["covariates"].isna().tolist() == [True, False, True]
    assert ours.extra["covariates"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize("covariates", [[], ["z"]], ids=["from moments", "from rows"])
def test_clusters_too_many_to_bring_into_memory(covariates, tmp_path, monkeypatch):
    frame = did.staggered(n_units=300, periods=6)
    settings = {"cohort": "cohort", "covariates": covariates}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    monkeypatch.setattr("impact.warehouse.twoway.MOST_CLUSTERS", 10)
    monkeypatch.setattr("impact.estimators.parts.cohort_sums.MOST_CLUSTERS", 10)
    assert_same(STATIC, here, there, views=("att",))
    assert max(query.rows for query in there.queries) <= 18


def test_queries_do_not_depend_on_the_number_of_rows(tmp_path):
    counts = []
    for n_units in (60, 600):
        frame = gaps(did.staggered(n_units=n_units, periods=6))
        design = scanned(frame, tmp_path, cohort="cohort", always_treated="drop")
        STATIC.fit(design)
        counts.append(len(design.queries))
    assert counts == [4, 4]


def test_complete_units_of_a_table_with_gaps(tmp_path):
    frame = gaps(did.staggered(n_units=400, periods=6))
    estimator = CallawaySantAnna(unbalanced="complete_units")
    settings = {"cohort": "cohort", "always_treated": "drop"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    assert_same(estimator, here, there, views=("att", "event_time"))


WITH_GAPS = [
    Imputation(),
    Imputation(leave_one_out=True),
    TwoStage(),
    SunAbraham(),
    ExtendedTWFE(),
    ExtendedTWFE(comparison="never_treated"),
    ExtendedTWFE(cohort_trends=True),
]


@pytest.mark.parametrize("estimator", WITH_GAPS, ids=repr)
@pytest.mark.parametrize(
    "settings",
    [{}, {"weights": "w"}, {"clusters": "cluster"}, {"clusters": "cluster", "weights": "w"}],
    ids=["units", "weights", "clusters", "clusters and weights"],
)
def test_group_time_effects_of_a_table_with_gaps(estimator, settings, tmp_path):
    if settings and isinstance(estimator, Imputation) and estimator.leave_one_out:
        settings = {"anticipation": 1}
    frame = gaps(did.staggered(n_units=300, periods=6, cohorts=(3, 5), n_clusters=24))
    settings = settings | {"cohort": "cohort", "always_treated": "drop"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    assert not here.is_balanced
    assert_same(estimator, here, there)


@pytest.mark.parametrize("balanced", [True, False])
def test_always_treated_units_are_named_or_dropped(balanced, tmp_path):
    frame = did.staggered(n_units=120, periods=6, cohorts=(1, 4))
    frame = frame.assign(cohort=frame["cohort"].where(frame["cohort"] != 1, frame["time"].min()))
    frame = frame if balanced else gaps(frame)
    here, there = in_memory(frame, cohort="cohort"), scanned(frame, tmp_path, cohort="cohort")
    assert list(there.always_treated_units) == list(here.always_treated_units)
    assert there.facts == here.facts
    here = in_memory(frame, cohort="cohort", always_treated="drop")
    there = scanned(frame, tmp_path, cohort="cohort", always_treated="drop")
    assert_same(STATIC, here, there, views=())


def test_names_periods_and_codes_of_other_types(tmp_path):
    frame = did.staggered(n_units=150, periods=6).assign(
        unit=lambda f: "xã " + f["unit"].astype(str),
        cluster=lambda f: "tỉnh " + f["cluster"].astype(str),
        cohort=lambda f: f["cohort"].fillna(0).astype("int64"),
        time=lambda f: f["time"].astype("float64"),
    )
    frame = frame.sample(frac=1.0, random_state=1, ignore_index=True)
    settings = {"cohort": "cohort", "never_treated": 0, "clusters": "cluster"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    assert_same(CallawaySantAnna(), here, there)


def test_more_periods_than_a_word_holds(tmp_path):
    frame = did.staggered(n_units=80, periods=45, cohorts=(20, 30))
    here, there = (
        in_memory(gaps(frame), cohort="cohort"),
        scanned(gaps(frame), tmp_path, cohort="cohort"),
    )
    assert there.table.presence.shape[1] == 45
    assert_same(STATIC, here, there, views=("att",))


def test_a_large_common_level_costs_no_digits(tmp_path):
    frame = did.staggered(n_units=200, periods=6)
    raised = frame.assign(outcome=frame["outcome"] + 1e6)
    for estimator in (CallawaySantAnna(), STATIC):
        low = estimator.fit(scanned(frame, tmp_path, cohort="cohort")).att()
        high = estimator.fit(scanned(raised, tmp_path, cohort="cohort")).att()
        # Adding 1e6 rounds outcomes of size 1 to 1e-10.
        np.testing.assert_allclose(high.estimates, low.estimates, rtol=0, atol=1e-9)
        np.testing.assert_allclose(high.std_errors, low.std_errors, rtol=0, atol=1e-9)


def test_another_engine_gives_the_same_or_says_what_it_lacks(tmp_path):
    frame = did.staggered(n_units=120, periods=6)
    engine = ibis.sqlite.connect(tmp_path / "panel.db")
    with engine.con:
        frame.to_sql("panel", engine.con, index=False)
    names = {"unit": "unit", "time": "time", "outcome": "outcome", "cohort": "cohort"}
    there = Design.from_table(engine.table("panel"), **names)
    here = in_memory(frame, cohort="cohort")
    assert_same(CallawaySantAnna(), here, there, views=("att",))
    ours, theirs = STATIC.fit(here), STATIC.fit(there)
    np.testing.assert_allclose(theirs.estimates, ours.estimates, rtol=RTOL)
    np.testing.assert_allclose(theirs.std_errors, ours.std_errors, rtol=RTOL)
    there = Design.from_table(engine.table("panel"), covariates=["z"], **names)
    with pytest.raises(TableError, match="sqlite has no form for .*'Covariance'.*impact.scan"):
        STATIC.fit(there)


def test_csv_and_tables_changed_by_the_user(tmp_path):
    frame = did.staggered(n_units=100, periods=6)
    frame.to_csv(tmp_path / "one.csv", index=False)
    table = scan(str(tmp_path / "*.csv")).mutate(double=lambda t: t.outcome * 2)
    table = table.filter(table.unit > 10)
    there = Design.from_table(table, unit="unit", time="time", outcome="double", cohort="cohort")
    here = in_memory(
        frame[frame["unit"] > 10].assign(double=frame["outcome"] * 2),
        outcome="double", cohort="cohort",
    )  # fmt: skip
    assert_same(CallawaySantAnna(), here, there)


def test_collect_draws_the_same_units_for_a_seed(tmp_path):
    frame = did.staggered(n_units=400, periods=6)
    there = scanned(frame, tmp_path, cohort="cohort", clusters="cluster", weights="w")
    here = there.collect()
    assert type(here.panel) is Panel
    assert set(here.panel.frame) == {"unit", "time", "outcome", "cohort", "cluster", "w"}
    assert here.facts == there.facts
    part, again, other = (there.collect(share=0.3, seed=s) for s in (1, 1, 2))
    assert list(part.panel.units) == list(again.panel.units)
    assert list(part.panel.units) != list(other.panel.units)
    assert 0.2 < part.n_units / 400 < 0.4
    assert part.is_balanced
    assert here.collect() is here


def test_statements_only_read(tmp_path):
    frame = did.staggered(n_units=100, periods=6)
    path = tmp_path / "national.db"
    engine = ibis.duckdb.connect(path)
    engine.con.register("given", frame)
    engine.raw_sql("create table panel as select * from given")
    engine.disconnect()
    before = path.read_bytes()
    engine = ibis.duckdb.connect(path, read_only=True)
    there = Design.from_table(
        engine.table("panel"), unit="unit", time="time", outcome="outcome", cohort="cohort",
        clusters="cluster",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for estimator in (CallawaySantAnna(), Imputation(), STATIC):
            here = in_memory(frame, cohort="cohort", clusters="cluster")
            assert_same(estimator, here, there, views=("att",))
    assert all(query.sql.lstrip().startswith("SELECT") for query in there.queries)
    assert str(there.queries[0]).startswith("-- rows by period and cohort: ")
    engine.disconnect()
    assert path.read_bytes() == before


def test_a_cell_of_one_cluster_in_a_table_with_gaps(tmp_path):
    frame = did.staggered(n_units=300, periods=6, cohorts=(3, 5), n_clusters=24)
    treated = (frame["cohort"] == 5) & (frame["time"] == 6)
    first = frame.loc[treated, "cluster"].min()
    frame = gaps(frame[~treated | (frame["cluster"] == first)])
    settings = {"cohort": "cohort", "always_treated": "drop", "clusters": "cluster"}
    here, there = in_memory(frame, **settings), scanned(frame, tmp_path, **settings)
    ours, _ = assert_same(Imputation(), here, there)
    assert (ours.cells["note"] == "one cluster: its own variation is not counted").sum() == 1


def test_a_large_common_level_costs_no_digits_with_gaps(tmp_path):
    frame = gaps(did.staggered(n_units=300, periods=6, cohorts=(3, 5)))
    settings = {"cohort": "cohort", "always_treated": "drop"}
    low = Imputation().fit(scanned(frame, tmp_path, **settings)).att()
    raised = frame.assign(outcome=frame["outcome"] + 1e6)
    high = Imputation().fit(scanned(raised, tmp_path, **settings)).att()
    # Adding 1e6 rounds outcomes of size 1 to 1e-10.
    np.testing.assert_allclose(high.estimates, low.estimates, rtol=0, atol=1e-9)
    np.testing.assert_allclose(high.std_errors, low.std_errors, rtol=0, atol=1e-9)


def test_presence_in_so_many_ways_that_moments_do_not_fit_is_refused(tmp_path, monkeypatch):
    frame = gaps(did.staggered(n_units=300, periods=6, cohorts=(3, 5), n_clusters=24))
    settings = {"cohort": "cohort", "always_treated": "drop", "clusters": "cluster"}
    monkeypatch.setattr("impact.warehouse.moments.MOST_NUMBERS", 60)
    with pytest.raises(TableError, match=r"mean paths of more than 10 groups .*share="):
        SunAbraham().fit(scanned(frame, tmp_path, **settings))
    monkeypatch.setattr("impact.warehouse.moments.MOST_PATTERNS", 10)
    with pytest.raises(TableError, match=r"different sets of periods by cohort, .*at most 10 are"):
        Imputation().fit(scanned(frame, tmp_path, **settings))
