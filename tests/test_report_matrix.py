"""Reports by province: derived plans, side by side, the same bytes however they are built."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from report_project import make_project, stating_more, write_data_project

from impact import simulate
from impact.cli import main
from impact.errors import ReportError, SpecError
from impact.evaluation import Evaluation
from impact.report.build import build_report
from impact.report.cells import Cell, Matrix
from impact.report.derive import derived_plans, slug, to_toml, varied_values
from impact.report.index import write_index
from impact.report.manifest import changed_outputs, read_manifest
from impact.report.matrix import build_matrix
from impact.report.preloaded import Preloaded

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "evaluation.ipynb"
PLAN = """
[evaluation]
id = "firms"
title = { en = "Firms", vi = "Doanh nghiệp" }
notebook = "evaluation.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = { en = "What changed?", vi = "Điều gì đã thay đổi?" }

[[data.files]]
path = "firms.csv"
sha256 = "SHA"

[design]
unit = "firm"
time = "year"
cohort = "since"

[[outcomes]]
name = "jobs"
label = { en = "jobs", vi = "việc làm" }
unit = "jobs"
primary = true

[estimation]
estimator = "CallawaySantAnna"
"""


def firms_of(province, seed, **settings):
    world = simulate.staggered_panel(seed, n_units=60, periods=5, **settings)
    frame = world.frame.rename(columns={"unit": "firm", "time": "year", "cohort": "since"})
    frame["firm"] = province + frame["firm"].astype(str)
    return frame.assign(province=province, jobs=frame["outcome"].round(4))[
        ["province", "firm", "year", "since", "jobs"]
    ]


COST = """
[cost]
outcome = "jobs"
spent = 1000000000
unit = "job"
"""


def write_project(folder, frame):
    return write_data_project(folder, PLAN, frame, "firms.csv")


@pytest.fixture(scope="module")
def frame():
    waves = {3: 0.5}
    untreated = firms_of("Lai Châu", 3, cohorts=waves).assign(since=np.nan)
    two = firms_of("Cao Bằng", 4, cohorts=waves)
    two = two[two["firm"].isin(two["firm"].unique()[:2])]
    return pd.concat(
        [firms_of("Hưng Yên", 1, cohorts=waves), firms_of("Huế", 2, cohorts=waves), untreated, two]
    )


@pytest.fixture(scope="module")
def matrix(tmp_path_factory, frame):
    plan = write_project(tmp_path_factory.mktemp("matrix") / "firms", frame)
    return build_matrix(plan, "province", jobs=2, progress=False)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_each_value_has_a_report_what_fails_is_listed_and_stops_nothing(matrix):
    status = {cell.value: cell.status for cell in matrix.cells}
    assert status == {
        "Cao Bằng": "hidden", "Hưng Yên": "built", "Huế": "built", "Lai Châu": "failed",
    }  # fmt: skip
    failed = matrix.having("failed")[0]
    assert failed.error.startswith("lai-chau/evaluation.toml cannot run")
    assert "CallawaySantAnna" in failed.error
    assert not (failed.folder / "manifest.json").exists()
    for cell in matrix.having("built"):
        assert not changed_outputs(read_manifest(cell.folder), cell.folder)
    assert not (matrix.folder / "cao-bang").exists()


def test_the_index_leads_to_the_reports_and_says_what_is_not_there(matrix):
    for name, words in (("index.html", "too few units"), ("index.vi.html", "quá ít đơn vị")):
        page = (matrix.folder / name).read_text(encoding="utf-8")
        assert 'href="hung-yen/report' in page
        assert "cao-bang" not in page
        assert words in page
        assert "Lai Châu" in page
        assert 'alt="' in page
        assert "http" not in page.replace("http://www.w3.org", "")
    listed = json.loads((matrix.folder / "index.json").read_text(encoding="utf-8"))
    by_value = {entry["value"]: entry for entry in listed["reports"]}
    stored = json.loads((matrix.folder / "hue/results.json").read_text(encoding="utf-8"))
    assert by_value["Huế"]["found"]["jobs"]["estimate"] == stored["values"]["jobs"]["value"]
    assert by_value["Cao Bằng"] == {
        "value": "Cao Bằng", "folder": None, "status": "hidden", "error": None, "found": None,
    }  # fmt: skip
    assert (matrix.folder / "figures/map.vi.svg").exists()


def test_nothing_changed_nothing_built(matrix):
    before = contents(matrix.folder)
    again = build_matrix(matrix.plan, "province", jobs=2, progress=False)
    assert {cell.status for cell in again.cells} == {"current", "failed", "hidden"}
    assert contents(matrix.folder) == before


@pytest.mark.slow
def test_the_same_bytes_for_any_number_of_workers_and_any_backend(matrix, frame, tmp_path):
    before = contents(matrix.folder)
    alone = build_matrix(write_project(tmp_path / "1/firms", frame), "province", progress=False)
    assert contents(alone.folder) == before
    with joblib.parallel_config(backend="loky", n_jobs=2):
        plan = write_project(tmp_path / "2/firms", frame)
        elsewhere = build_matrix(plan, "province", progress=False)
    assert contents(elsewhere.folder) == before


@pytest.mark.slow
def test_a_report_of_a_matrix_is_the_one_a_kernel_makes(matrix):
    folder = matrix.folder / "hue"
    before = contents(folder)
    build_report(Evaluation.read(folder), progress=False)
    assert contents(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_nothing_half_made(frame, tmp_path, ending):
    plan = write_project(tmp_path / "firms", frame)
    command = [sys.executable, "-m", "impact", "matrix", str(plan.folder), "--over", "province"]
    running = subprocess.Popen([*command, "--quiet"], start_new_session=True)
    by_province = plan.folder / "by-province"
    deadline = time.monotonic() + 120
    while not list(by_province.glob("*/.building-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(by_province.glob("*/.building-*"))
    if ending is signal.SIGKILL:
        os.killpg(running.pid, ending)
    else:
        running.send_signal(ending)
    running.wait(120)
    for folder in by_province.glob("*/"):
        manifest = read_manifest(folder)
        assert (manifest is None) == (not (folder / "report.html").exists())
        assert manifest is None or not changed_outputs(manifest, folder)
    done = build_matrix(plan, "province", jobs=2, progress=False)
    assert len(done.having("built", "current")) == 2
    assert not list(by_province.rglob(".building-*"))


def test_the_command_ends_with_1_when_a_report_fails_and_lists_it(matrix, capsys):
    assert main(["matrix", str(matrix.plan.folder), "--over", "province", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert "Lai Châu: " in printed.err
    assert "2 up to date" in printed.out
    assert "1 hidden" in printed.out
    given = ["--over", "province", "--values", "Huế", "--quiet"]
    assert main(["matrix", str(matrix.plan.folder), *given]) == 0


def test_an_unknown_column_or_value_is_refused_with_its_likeness(matrix):
    with pytest.raises(SpecError, match=r'"provinse" is neither .*Did you mean "province"'):
        varied_values(matrix.plan, "provinse")
    with pytest.raises(SpecError, match=r'never Hue in the data. Did you mean "Huế"'):
        varied_values(matrix.plan, "province", ["Hue"])
    assert varied_values(matrix.plan, "province", ["Huế"]) == {"Huế": 60}


def test_a_parameter_is_varied_over_the_values_named(tmp_path):
    plan = Evaluation.read(make_project(tmp_path))
    with pytest.raises(SpecError, match=r"count is a parameter of small.ipynb.*--values"):
        varied_values(plan, "count")
    files = derived_plans(plan, "count", [3, 4])
    assert Evaluation.read(files[4]).parameters["count"] == 4
    done = build_matrix(plan, "count", [3, 4], progress=False)
    assert [cell.status for cell in done.cells] == ["built", "built"]
    found = json.loads((done.folder / "4/results.json").read_text(encoding="utf-8"))
    assert found["values"]["jobs"]["value"] == 4
    assert not (done.folder / "figures/map.en.svg").exists()


def test_classes_are_called_what_the_plan_calls_them(matrix, tmp_path):
    labels = """
[[subgroups]]
by = "province"
label = {en = "province", vi = "tỉnh"}
classes."Huế" = {en = "Hue", vi = "TP. Huế"}
"""
    plan = stating_more(matrix.plan, tmp_path, labels)
    file = derived_plans(plan, "province", ["Huế"])["Huế"]
    title = Evaluation.read(file).title
    assert (title["en"][-5:], title["vi"][-9:]) == (": Hue", ": TP. Huế")
    cells = (Cell("Huế", "failed", file.parent, "why"), Cell("Lai Châu", "hidden", None))
    named = Matrix(plan, "province", cells)
    write_index(named)
    for page, words in (
        ("index.html", ("Hue", "Province")),
        ("index.vi.html", ("TP. Huế", "Tỉnh")),
    ):
        written = (named.folder / page).read_text(encoding="utf-8")
        assert all(word in written for word in (*words, "Lai Châu"))


def test_what_a_textbook_prints_of_the_whole_is_not_asked_of_a_part(matrix, tmp_path):
    stated = """
[textbook]
source = {en = "A book", vi = "Một cuốn sách"}
treatment = "treated"
estimator = "FixedEffects"
differs = {en = "Why.", vi = "Vì sao."}
regressions = [{outcome = "jobs"}]
"""
    plan = stating_more(matrix.plan, tmp_path, stated)
    assert plan.textbook["source"]["en"] == "A book"
    parts = derived_plans(plan, "province", ["Huế", "Hưng Yên"])
    assert all(Evaluation.read(file).textbook == {} for file in parts.values())


def test_derived_plans_say_what_the_plan_says_for_some_rows(matrix):
    derived = Evaluation.read(matrix.folder / "hue")
    assert derived.title["vi"] == "Doanh nghiệp: Huế"
    assert set(derived.load()["province"]) == {"Huế"}
    assert derived.design == matrix.plan.design
    assert derived.date == matrix.plan.date


def test_rows_of_interest_are_refused_where_there_are_none(matrix, tmp_path):
    source = (matrix.folder / "hue/evaluation.toml").read_text(encoding="utf-8")
    for said, words in (
        ('"province" = "Huếx"', r'no row .*Did you mean "Huế"'),
        ('"provinc" = "Huế"', r'no column of the data. Did you mean "province"'),
    ):
        content = tomllib.loads(source)
        content["data"]["where"] = tomllib.loads(said)
        plan = Evaluation(matrix.folder / "hue/evaluation.toml", content)
        with pytest.raises(SpecError, match=words):
            plan.load()


def test_names_that_would_share_a_folder_are_refused(matrix):
    assert slug("Hưng Yên") == "hung-yen"
    assert slug("TP. Hồ Chí Minh") == "tp-ho-chi-minh"
    assert slug("Đắk Lắk") == "dak-lak"
    with pytest.raises(SpecError, match=r"Huế, Hué would share the folder hue"):
        derived_plans(matrix.plan, "province", ["Huế", "Hué"])


def test_toml_written_is_read_back():
    content = {
        "a": {
            "text": 'a "b"\\ \n ế',
            "n": 3,
            "x": 0.05,
            "on": True,
            "day": datetime.date(2024, 1, 2),
        },
        "rows": [{"list": ["x", 1.5], "deep": {"en": "1", "khoá": {}}}, {"list": []}],
        "empty": {},
    }
    assert tomllib.loads(to_toml(content)) == content


def test_cells_of_a_report_cannot_change_what_was_shown(tmp_path):
    changing = "from IPython.display import display\nh = display(1, display_id=True)\nh.update(2)"
    folder = make_project(tmp_path, changing)
    with Preloaded(Evaluation.read(folder)) as worker:
        built = worker.build(folder / "evaluation.toml")
    assert "update_display_data" in built.error
    assert "impact report PLAN" in built.error


def test_a_process_that_ends_is_named_with_its_last_words(tmp_path):
    folder = make_project(tmp_path)
    with Preloaded(Evaluation.read(folder)) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(ReportError, match=r"ended while building .*last words were: none"):
            worker.build(folder / "evaluation.toml")


def test_a_build_ended_by_a_signal_says_which(tmp_path):
    folder = make_project(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with Preloaded(Evaluation.read(folder)) as worker:
        built = worker.build(folder / "evaluation.toml")
    assert "ended by signal 9" in built.error


def test_the_money_of_the_whole_is_not_that_of_a_part(tmp_path):
    frame = pd.concat([firms_of(p, n, cohorts={3: 0.3}) for p, n in (("Huế", 1), ("Hưng Yên", 2))])
    whole = write_project(tmp_path / "firms", frame)
    text = whole.path.read_text(encoding="utf-8")
    whole.path.write_text(text + COST, encoding="utf-8")
    plan = Evaluation.read(whole.folder)
    assert plan.cost["spent"] == 1_000_000_000
    for file in derived_plans(plan, "province", ["Huế", "Hưng Yên"]).values():
        assert Evaluation.read(file).cost == {}
