"""A plan whose data stay in their table: checked, estimated and reported from where they lie."""

import json
import os
import sqlite3
from pathlib import Path

import did
import numpy as np
import pytest

from impact import CallawaySantAnna, Design, Panel
from impact.errors import SpecError
from impact.evaluation import Evaluation, file_sha256
from impact.report.build import build_report, check_plan, check_report, is_current
from impact.report.derive import derived_plans, varied_values
from impact.report.effects import estimate_outcomes
from impact.report.population import count_lost, population_of

pytest.importorskip("ibis")

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "evaluation.ipynb"

PLAN = """
[evaluation]
id = "national"
title = {{ en = "National", vi = "Toàn quốc" }}
notebook = "{notebook}"
data_kind = "simulated"
date = 2024-01-31

[question]
text = {{ en = "What?", vi = "Gì?" }}

[data]
{data}

[design]
unit = "firm"
time = "year"
cohort = "first_support"
never_treated = 0
clusters = "province"

[[outcomes]]
name = "jobs"
label = {{ en = "jobs", vi = "việc làm" }}
unit = "jobs"
transform = "{transform}"
primary = true

[estimation]
estimator = "CallawaySantAnna"
{more}
"""


def firms():
    frame = did.staggered(n_units=400, periods=7, cohorts=(4, 6), n_clusters=60)
    names = {"unit": "firm", "time": "year", "cohort": "first_support", "cluster": "province"}
    frame = frame.rename(columns=names).assign(
        jobs=lambda f: np.exp(3 + 0.1 * f["outcome"]),
        first_support=lambda f: f["first_support"].fillna(0).astype(int),
        region=lambda f: np.where(f["province"] % 2, "north", "south"),
    )
    return frame[["firm", "year", "first_support", "province", "jobs", "region"]]


def plan_file(folder, data, *, transform="log", more="", frame=None):
    folder = folder / "national"
    (folder / "firms").mkdir(parents=True)
    frame = firms() if frame is None else frame
    for part, rows in frame.groupby(frame["firm"] % 3):
        rows.to_parquet(folder / "firms" / f"part_{part}.parquet")
    notebook = os.path.relpath(NOTEBOOK, folder)
    text = PLAN.format(notebook=notebook, data=data, transform=transform, more=more)
    (folder / "evaluation.toml").write_text(text, encoding="utf-8")
    return folder


SCAN = 'scan = "firms/*.parquet"\nmemory_limit = "1GB"'


@pytest.fixture
def folder(tmp_path):
    return plan_file(tmp_path, SCAN)


def estimates_in_memory(frame):
    frame = frame.assign(log_jobs=np.log(frame["jobs"]))
    design = Design(
        Panel(frame, unit="firm", time="year"), outcome="log_jobs", cohort="first_support",
        never_treated=0, clusters="province",
    )  # fmt: skip
    return CallawaySantAnna().fit(design)


@pytest.mark.slow
def test_a_report_is_made_from_the_table(folder):
    plan = Evaluation.read(folder)
    assert check_plan(plan) == {"evaluation": os.path.relpath(plan.path, NOTEBOOK.parent)}
    build_report(plan, progress=False)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    wanted = 100 * np.expm1(estimates_in_memory(firms()).att().estimates[0])
    assert results["values"]["jobs.average"]["value"] == pytest.approx(wanted, rel=1e-8)
    assert results["values"]["design.units"]["value"] == 400
    assert results["queries"] == manifest["queries"]
    asked = [query["purpose"] for query in results["queries"]]
    assert {"units of the data", "second moments by cohort"} <= set(asked)
    assert list(manifest["key"]["data"]) == ["firms/*.parquet"]
    for page in ("report.html", "report.vi.html"):
        written = (folder / page).read_text(encoding="utf-8")
        assert "-- second moments by cohort: 3\nSELECT" in written
        assert str(folder) not in written
    assert is_current(plan)
    assert check_report(plan, progress=False).verdict == "identical"
    part = folder / "firms" / "part_1.parquet"
    firms().query("firm % 3 == 1 and year < 7").to_parquet(part)
    assert not is_current(plan)


def test_counts_of_units_are_those_in_memory(tmp_path):
    frame = firms()
    rng = np.random.default_rng(2)
    frame = frame[rng.random(len(frame)) < 0.7].reset_index(drop=True)
    frame["jobs"] = frame["jobs"].mask(rng.random(len(frame)) < 0.3)
    frame.loc[frame["firm"].isin([3, 4, 5, 300]), "jobs"] = np.nan
    frame["province"] = frame["province"].astype(float).mask(frame["firm"] == 50)
    there = plan_file(tmp_path / "a", SCAN, frame=frame)
    here = plan_file(tmp_path / "b", "", frame=frame)
    frame.to_csv(here / "firms.csv", index=False)
    digest = file_sha256(here / "firms.csv")
    for place, old, new in (
        (here, "CallawaySantAnna", "Imputation"),
        (there, "CallawaySantAnna", "Imputation"),
        (here, "[data]\n", f'[data]\nfiles = [{{ path = "firms.csv", sha256 = "{digest}" }}]\n'),
        (here, "never_treated = 0", 'never_treated = 0\nalways_treated = "drop"'),
        (there, "never_treated = 0", 'never_treated = 0\nalways_treated = "drop"'),
    ):
        text = (place / "evaluation.toml").read_text(encoding="utf-8")
        (place / "evaluation.toml").write_text(text.replace(old, new), encoding="utf-8")
    found = []
    for place in (there, here):
        plan = Evaluation.read(place)
        people = population_of(plan, plan.data())
        effect = estimate_outcomes(plan, plan.data())["jobs"]
        counts = (people.n_units, people.n_treated, people.waves, list(people.periods))
        found.append((counts, count_lost(effect.design), effect.main))
    assert found[0][:2] == found[1][:2]
    assert min(found[0][1].only_after, found[0][1].once, found[0][1].other) > 0
    assert found[0][2].estimate == pytest.approx(found[1][2].estimate, rel=1e-9)


def test_lines_of_the_figure_stand_for_units_in_proportion(folder):
    plan = Evaluation.read(folder)
    people = population_of(plan, plan.data())
    assert people.treatment.shape == (400, 7)
    treated = (people.treatment[:, -1] == 1).sum()
    assert treated == pytest.approx(400 * people.n_treated / people.n_units, abs=1)


@pytest.mark.parametrize("where", ["file", "duckdb", "sqlite"])
def test_rows_of_interest_and_databases(tmp_path, where):
    folder = plan_file(tmp_path, SCAN, transform="none")
    if where == "sqlite":
        with sqlite3.connect(folder / "firms.db") as connection:
            firms().to_sql("firms", connection, index=False)
        connection.close()
    if where == "duckdb":
        import duckdb

        connection = duckdb.connect(str(folder / "firms.db"))
        connection.register("given", firms())
        connection.execute("create table firms as select * from given")
        connection.close()
    text = (folder / "evaluation.toml").read_text(encoding="utf-8")
    if where != "file":
        text = text.replace(SCAN, f'scan = "{where}://firms.db"\ntable = "firms"')
        (folder / "evaluation.toml").write_text(text, encoding="utf-8")
    plan = Evaluation.read(folder)
    counted = varied_values(plan, "region")
    assert counted == firms().groupby("region")["firm"].nunique().to_dict()
    files = derived_plans(plan, "region", ["north"])
    part = Evaluation.read(files["north"])
    design = Design.from_table(
        part.table(), unit="firm", time="year", outcome="jobs", cohort="first_support",
        never_treated=0,
    )  # fmt: skip
    assert design.n_units == counted["north"]
    assert part.scanned.keys() != {None}
    assert all(part.scanned.values())


FAULTS = {
    "no file": ('scan = "nothing/*.parquet"', "matches no file"),
    "absolute": ('scan = "/data/*.parquet"', "must be relative to the plan"),
    "two sources": (f'{SCAN}\ndataset = "job_training"', "data.scan and data.dataset both name"),
    "no table": ('scan = "duckdb://firms.db"', "data.table is missing: which table"),
    "table of files": (f'{SCAN}\ntable = "firms"', "data.table goes with a database"),
    "table alone": ('table = "firms"', "data.table goes with data.scan, which is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_plans_that_cannot_be(name, tmp_path):
    data, said = FAULTS[name]
    with pytest.raises(SpecError, match=said):
        Evaluation.read(plan_file(tmp_path, data))


def changed(folder, old, new):
    text = (folder / "evaluation.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "evaluation.toml").write_text(text.replace(old, new), encoding="utf-8")
    return Evaluation.read(folder)


WRONG = {
    "outcome": ('name = "jobs"', 'name = "job"', 'outcome "job" is no column.*mean "jobs"'),
    "cluster": ('"province"', '"provinc"', 'no column "provinc"'),
    "where": (
        SCAN,
        f'{SCAN}\nwhere = {{ regio = "north" }}',
        'data.where names "regio".*mean "region"',
    ),
    "subgroups": (
        "[estimation]",
        '[[subgroups]]\nby = "region"\nlabel = { en = "area", vi = "vùng" }\n\n[estimation]',
        "subgroups need the rows of units",
    ),
    "estimator": ('"CallawaySantAnna"', '"PanelMatching"', "PanelMatching cannot .*collect"),
}


@pytest.mark.parametrize("name", WRONG)
def test_checks_find_what_is_wrong_with_the_table(name, folder):
    old, new, said = WRONG[name]
    plan = changed(folder, old, new)
    with pytest.raises(SpecError, match=said):
        check_plan(plan)


def test_rows_that_stay_are_not_loaded(folder):
    plan = changed(folder, SCAN, f'{SCAN}\nwhere = {{ region = "north" }}')
    assert check_plan(plan)
    with pytest.raises(SpecError, match="the data stay where data.scan says"):
        plan.load()


def test_outcomes_without_logarithm(tmp_path):
    frame = firms()
    frame.loc[3, "jobs"] = 0.0
    folder = plan_file(tmp_path, SCAN, frame=frame)
    with pytest.raises(SpecError, match='"jobs" has 1 value.* zero or less, which have no log'):
        check_plan(Evaluation.read(folder))
    assert check_plan(changed(folder, 'transform = "log"', 'transform = "none"'))


def test_databases_that_cannot_be_read(folder):
    plan = changed(folder, SCAN, 'scan = "duckdb://firms.db"\ntable = "firms"')
    with pytest.raises(SpecError, match="names firms.db, which is not there"):
        plan.table()
    plan = changed(folder, "duckdb://firms.db", "postgresql://me:secret@server/census")
    with pytest.raises(SpecError, match="holds a password") as told:
        plan.table()
    assert "secret" not in str(told.value)
    with sqlite3.connect(folder / "other.db") as connection:
        firms().to_sql("firms", connection, index=False)
    connection.close()
    changed(folder, "postgresql://me:secret@server/census", "sqlite://other.db")
    plan = changed(folder, 'table = "firms"', 'table = "firm"')
    with pytest.raises(SpecError, match='has no table "firm". Did you mean "firms"'):
        plan.table()
    plan = changed(folder, "sqlite://other.db", "nowhere://server/census")
    with pytest.raises(SpecError, match="does not answer"):
        plan.table()
