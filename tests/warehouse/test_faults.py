"""What is wrong with a table is found where it lies and said with examples and the query."""

import did
import numpy as np
import pandas as pd
import pytest

from impact import (
    CallawaySantAnna,
    Design,
    LocalProjectionDiD,
    Panel,
    PoissonFixedEffects,
    TwoWayFixedEffects,
)
from impact.errors import DesignError, InferenceError, PanelError, TableError

ibis = pytest.importorskip("ibis")
scan = pytest.importorskip("impact.warehouse").scan

NAMES = {"unit": "unit", "time": "time", "outcome": "outcome", "cohort": "cohort"}


@pytest.fixture
def frame():
    return did.staggered(n_units=40, periods=6)


@pytest.fixture
def make(tmp_path):
    def make(frame, **settings):
        frame.to_parquet(tmp_path / "panel.parquet")
        return Design.from_table(scan(tmp_path / "panel.parquet"), **NAMES | settings)

    return make


def setting(frame, row, column, value):
    changed = frame.copy()
    if changed[column].dtype.kind in "iu" and not isinstance(value, int):
        changed[column] = changed[column].astype(float)
    changed.loc[row, column] = value
    return changed


def test_columns_that_are_not_there(frame, make):
    with pytest.raises(TableError, match='no column "outcom".*Did you mean "outcome"'):
        make(frame, outcome="outcom")
    with pytest.raises(TableError, match='no column "firm"'):
        make(frame, unit="firm")
    with pytest.raises(TableError, match='no column "province"'):
        make(frame, clusters="province")
    with pytest.raises(TableError, match="they must be two columns"):
        make(frame, unit="time")


def test_a_notebook_shows_a_table_without_a_query(frame, make):
    panel = make(frame).panel
    asked = len(panel.log)
    assert panel._repr_html_() == "<code>TablePanel(duckdb table by unit and time)</code>"
    assert len(panel.log) == asked


def test_what_is_not_a_table(frame):
    with pytest.raises(TableError, match="starts from an Ibis table; this is a DataFrame"):
        Design.from_table(frame, **NAMES)


def test_types_that_do_not_aggregate(frame, make):
    texts = frame.assign(outcome=frame["outcome"].astype(str))
    with pytest.raises(TableError, match='outcome "outcome" holds string values.*no sum or mean'):
        make(texts)
    dates = frame.assign(time=pd.to_datetime((frame["time"] + 2000).astype(str), format="%Y"))
    with pytest.raises(TableError, match='time column "time" holds timestamp.*year'):
        make(dates)
    with pytest.raises(TableError, match='time column "time" holds string.*int64'):
        make(frame.assign(time=frame["time"].astype(str)))
    with pytest.raises(TableError, match='cohort "cohort" holds string'):
        make(frame.assign(cohort=frame["cohort"].astype(str)))


def test_periods_that_are_not_whole(frame, make):
    with pytest.raises(PanelError, match="1 value not whole, first 3.5"):
        make(setting(frame, 7, "time", 3.5))
    with pytest.raises(PanelError, match="1 value not whole, first inf"):
        make(setting(frame, 7, "time", np.inf))


def test_missing_keys(frame, make):
    with pytest.raises(PanelError, match='unit column "unit" is missing in 1 row'):
        make(setting(frame, 7, "unit", np.nan))
    with pytest.raises(PanelError, match='time column "time" is missing in 1 row, first at unit'):
        make(setting(frame, 7, "time", np.nan))


def with_nan(frame, name, condition):
    """Put rows into a DuckDB table whose column holds NaN, not NULL, where a condition holds."""
    engine = ibis.duckdb.connect()
    engine.con.register("rows", frame)
    value = f"case when {condition} then 'nan'::double else {name}::double end as {name}"
    engine.con.execute(f"create table panel as select * replace ({value}) from rows")
    return engine.table("panel")


def test_nan_is_a_missing_name(frame):
    with pytest.raises(PanelError, match='unit column "unit" is missing in 6 rows, first at time'):
        Design.from_table(with_nan(frame, "unit", "unit = 3"), **NAMES)
    there = Design.from_table(
        with_nan(frame, "cluster", "unit < 5"), **NAMES | {"clusters": "cluster"}
    )
    lost = frame.assign(cluster=frame["cluster"].where(frame["unit"] >= 5))
    here = Design(
        Panel(lost, unit="unit", time="time"),
        outcome="outcome", cohort="cohort", clusters="cluster",
    )  # fmt: skip
    assert there.facts == here.facts
    assert there.dropped == here.dropped == {'"cluster" missing': 30}
    ours, theirs = (CallawaySantAnna().fit(design).att() for design in (here, there))
    assert theirs.estimates == pytest.approx(ours.estimates, rel=1e-10)


@pytest.mark.parametrize("lost", [False, True], ids=["complete", "outcome missing"])
def test_duplicates_are_counted_and_named(frame, make, lost):
    twice = pd.concat([frame, frame.iloc[[3, 3, 8]]])
    twice = setting(twice.reset_index(drop=True), 20, "outcome", np.nan) if lost else twice
    unit, time = frame.loc[3, ["unit", "time"]].astype(int)
    with pytest.raises(
        PanelError, match=rf"2 pairs appear more than once, first \(unit {unit}, time {time}\), "
    ):
        make(twice)


def test_duplicates_that_carry_into_another_period_are_seen(frame, make):
    moved = frame.copy()
    moved.loc[1, "time"] = moved.loc[0, "time"]
    with pytest.raises(PanelError, match="1 pair appears more than once"):
        make(moved)


def test_cohorts(frame, make):
    late = frame.assign(cohort=frame["cohort"].fillna(2100))
    with pytest.raises(DesignError, match=r"2100, outside the table's periods.*never_treated=2100"):
        make(late)
    assert make(late, never_treated=2100).has_never_treated
    treated = np.flatnonzero(frame["cohort"].notna())[0]
    with pytest.raises(DesignError, match="missing in some rows of 1 unit"):
        make(setting(frame, treated, "cohort", np.nan))
    with pytest.raises(PanelError, match='"cohort" changes within 1 unit'):
        make(setting(frame, treated, "cohort", 2.0))
    with pytest.raises(DesignError, match="holds 3.5; a cohort is the first"):
        make(frame.assign(cohort=frame["cohort"].where(frame["cohort"] != 3, 3.5)))


def test_values(frame, make):
    with pytest.raises(PanelError, match=r'"outcome" is infinite, first \(unit '):
        make(setting(frame, 7, "outcome", np.inf))
    with pytest.raises(DesignError, match="missing in all 240 rows"):
        make(frame.assign(outcome=np.nan))
    with pytest.raises(DesignError, match="no row is left of 240"):
        make(frame.assign(w=np.nan), weights="w")
    with pytest.raises(DesignError, match='weight column "w" is zero or negative in 1 row'):
        make(setting(frame, 7, "w", -1.0), weights="w")
    shown = frame.assign(d=(frame["time"] >= frame["cohort"]).astype(float))
    with pytest.raises(DesignError, match=r"neither 0 nor 1 in 1 row, first \(unit .*dose='d'"):
        make(setting(shown, 7, "d", 0.5), cohort=None, treated="d")
    with pytest.raises(DesignError, match='dose column "d" is negative in 1 row'):
        make(setting(shown, 7, "d", -0.5), cohort=None, dose="d")
    with pytest.raises(TableError, match="no rows"):
        make(frame.iloc[:0])


def test_clusters_and_weights_that_change_within_units(frame, make):
    with pytest.raises(TableError, match='"cluster" changes within 1 unit'):
        CallawaySantAnna().fit(make(setting(frame, 7, "cluster", 999), clusters="cluster"))
    uneven = make(setting(frame, 7, "w", 99.0), weights="w")
    with pytest.raises(TableError, match='"w" changes within 1 unit'):
        TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(uneven)
    with pytest.raises(DesignError, match="clusters by one column; this one names cluster, time"):
        make(frame, clusters=["cluster", "time"])


def test_too_many_groups(frame, make, monkeypatch):
    monkeypatch.setattr("impact.warehouse.sample.MOST_GROUPS", 10)
    monkeypatch.setattr("impact.warehouse.checks.MOST_GROUPS", 10)
    with pytest.raises(TableError, match="together take more than 10 values"):
        make(frame)


def test_too_many_sets_of_periods(frame, make, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr("impact.warehouse.sample.MOST_GROUPS", 24)
    monkeypatch.setattr("impact.warehouse.checks.MOST_GROUPS", 24)
    with pytest.raises(TableError, match="more than 24 different sets of periods"):
        make(frame[rng.random(len(frame)) < 0.6])


def test_a_connection_that_drops(frame, tmp_path):
    frame.to_parquet(tmp_path / "panel.parquet")
    table = scan(tmp_path / "panel.parquet")
    design = Design.from_table(table, **NAMES)
    table.get_backend().disconnect()
    with pytest.raises(TableError, match="duckdb could not find second moments by cohort:") as told:
        CallawaySantAnna().fit(design)
    assert "Connection" in str(told.value)
    assert "The query was:\nSELECT" in str(told.value)


def test_an_engine_without_a_function(frame, tmp_path):
    frame.assign(name="a").to_parquet(tmp_path / "panel.parquet")
    table = scan(tmp_path / "panel.parquet")
    lacking = table.mutate(outcome=table.name.convert_base(16, 10).cast("float64"))
    with pytest.raises(TableError, match="duckdb has no form for the query.*BaseConvert") as told:
        Design.from_table(lacking, **NAMES)
    assert "The query was" in str(told.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(TableError, match="DuckDB cannot read .*nothing.*parquet"):
        scan(tmp_path / "nothing*.parquet")
    with pytest.raises(TableError, match="Parquet or CSV files of one kind"):
        scan([tmp_path / "a.parquet", tmp_path / "b.csv"])
    with pytest.raises(TableError, match="Parquet or CSV"):
        scan(tmp_path / "a.dta")


def test_estimators_that_need_rows_say_so(frame, make):
    design = make(frame)
    with pytest.raises(TableError, match="LocalProjectionDiD cannot be fitted where"):
        LocalProjectionDiD().fit(design)
    with pytest.raises(TableError, match="PoissonFixedEffects cannot be fitted"):
        PoissonFixedEffects().fit(design)
    gaps = make(frame.drop(index=[3, 40]))
    with pytest.raises(DesignError, match="unbalanced='complete_units'"):
        CallawaySantAnna().fit(gaps)
    two_way = {"accept_forbidden_comparisons": True}
    with pytest.raises(DesignError, match="trends=True fits a slope to each unit"):
        TwoWayFixedEffects(trends=True, **two_way).fit(design)
    with pytest.raises(DesignError, match="covariance may be classical.*'HC1', which needs rows"):
        TwoWayFixedEffects(covariance="HC1", **two_way).fit(design)
    with pytest.raises(TableError, match="above 0 up to 1"):
        design.collect(share=0)


def test_inference_that_needs_rows_says_so(frame, make):
    settings = {"clusters": "cluster", "weights": "w"}
    two_way = {"accept_forbidden_comparisons": True}
    result = TwoWayFixedEffects(**two_way).fit(make(frame, **settings))
    with pytest.raises(InferenceError, match="covariances by row"):
        result.uncertainty.with_kind("HC1").covariance()
    with pytest.raises(InferenceError, match="CR2 of a weighted regression"):
        result.uncertainty.with_kind("CR2").covariance()


def test_covariates_of_a_table_leave_the_bootstrap_of_few_clusters(frame, make):
    settings = {"covariates": ["z"], "clusters": "cluster"}
    estimator = TwoWayFixedEffects(accept_forbidden_comparisons=True)
    table = make(frame, **settings)
    found = estimator.fit(table)
    assert found.evidence(0).without_paths == "covariates stay in their table"
    alike = estimator.fit(table.collect())
    wanted = alike.infer("wild", draws=199).tidy().iloc[0]
    shown = found.infer("wild", draws=199).tidy().iloc[0]
    numbers = ["estimate", "p_value", "conf_low", "conf_high"]
    assert shown[numbers].tolist() == pytest.approx(wanted[numbers].tolist(), rel=1e-6)
    assert found.tidy()["estimate"].notna().all()


def test_limits_on_what_is_brought_into_memory(frame, make, monkeypatch):
    monkeypatch.setattr("impact.warehouse.twoway.MOST_CLUSTERS", 10)
    monkeypatch.setattr("impact.estimators.parts.cohort_sums.MOST_CLUSTERS", 10)
    monkeypatch.setattr("impact.warehouse.moments.MOST_NUMBERS", 10)
    result = TwoWayFixedEffects(accept_forbidden_comparisons=True).fit(make(frame))
    with pytest.raises(InferenceError, match="what each of 40 clusters contributes"):
        result.uncertainty.contributions()
    with pytest.raises(TableError, match="sums of each of 40 clusters"):
        _ = result.uncertainty.blocks
    with pytest.raises(TableError, match="mean path of each of 40 clusters"):
        CallawaySantAnna().fit(make(frame)).tidy()


def test_a_level_of_assignment_asks_for_clusters_instead(frame, make):
    with pytest.raises(DesignError, match=r'assigned_by="unit" .*clusters="unit" instead'):
        make(frame, assigned_by="unit")
