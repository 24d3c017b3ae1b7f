"""The notebook of one treated unit serves the data, unit and outcome that a plan names."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from report_project import write_data_project

from impact import simulate
from impact.errors import SpecError
from impact.estimators.parts.misfit import EARLIER
from impact.estimators.synthetic_control import SyntheticControl
from impact.evaluation.one_province import load_case
from impact.places import provinces
from impact.report.build import build_report
from impact.report.one_province import Findings, case_of, summarise
from impact.report.results import Record
from impact.report.text import text

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "one_province.ipynb"
PLAN = """
[evaluation]
id = "one"
title = { en = "One", vi = "Một" }
notebook = "one_province.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = { en = "What changed?", vi = "Điều gì đã thay đổi?" }

[[data.files]]
path = "one.csv"
sha256 = "SHA"

[design]
unit = "province"
time = "year"
cohort = "since"

[[outcomes]]
name = "output"
label = { en = "output of workshops", vi = "giá trị sản xuất của cơ sở" }
unit = "VND billion"
primary = true

[estimation]
estimator = "SyntheticControl"

[parameters]
case = "plan"
"""

READING = """
[inference]
level = {level}

[reading]
credibility = {{ en = "Moderate.", vi = "Trung bình." }}
"""
AXIS = {"en": "Output of workshops", "vi": "Giá trị sản xuất của cơ sở"}


@pytest.fixture
def make(tmp_path):
    def made(edit=lambda frame: frame, plan=lambda words: words):
        frame = simulate.staggered_panel(
            5, n_units=20, periods=12, cohorts={9: 1 / 20}, effect=3.0, noise=0.3
        ).frame
        names = provinces(63)["name_vi"].to_numpy()
        frame["province"] = names[pd.factorize(frame["unit"])[0]]
        frame = frame.rename(columns={"time": "year", "cohort": "since", "outcome": "output"})
        frame = edit(frame[["province", "year", "since", "output"]].assign(year=frame["year"]))
        return write_data_project(
            tmp_path / "one", plan(PLAN), frame, "one.csv", "one_province.ipynb"
        )

    return made


def test_a_plan_of_other_data_gets_its_report(make):
    plan = make()
    build_report(plan, progress=False)
    stored = json.loads((plan.folder / "results.json").read_text(encoding="utf-8"))
    assert abs(stored["values"]["effect"]["value"] - 3.0) < 1.0
    assert stored["values"]["effect"]["unit"] == "VND billion"
    assert stored["summary"]["answer"]["vi"].startswith("**Giá trị sản xuất của cơ sở**. ")
    for code, words in (("en", "({level} prediction interval"), ("vi", "(khoảng dự báo {level}")):
        assert words in stored["summary"]["answer"][code]
        drawn = (plan.folder / f"figures/paths.{code}.svg").read_text(encoding="utf-8")
        assert AXIS[code] in drawn
        assert "output<" not in drawn
    assert "map" in stored["figures"]
    assert "known" not in stored["tables"]
    assert "truth" not in stored["values"]


def test_the_case_is_that_of_the_plan(make):
    case = case_of(make(), neighbours=["Hà Nội"])
    assert (case.name, case.start, case.pretended, case.vintage) == ("plan", 9, 5, 63)
    assert case.neighbours == ("Hà Nội",)
    assert case_of(make(), pretended=7).pretended == 7
    renamed = make(lambda frame: frame.assign(province=frame["province"] + " B"))
    assert case_of(renamed).vintage is None


@pytest.fixture(scope="module")
def texas():
    pytest.importorskip("causaldata")
    case = load_case("texas", 7)
    return case, SyntheticControl().fit(case.design)


@pytest.mark.parametrize(
    ("level", "told"), [(0.9, True), (0.8, False), (0.99, False), (0.95, True)]
)
def test_ranks_that_part_at_the_level_are_told_and_lower_the_credibility(texas, make, level, told):
    case, result = texas
    plan = make(plan=lambda words: words + READING.format(level=level))
    record = Record.of(plan)
    nothing = pd.DataFrame()
    found = Findings(case, result, nothing, nothing, nothing, nothing)
    assert (found.rank, found.ratio_rank) == (pytest.approx(1 / 51), pytest.approx(9 / 51))
    summarise(record, plan, found)
    front = record.front
    words = {
        "en": ("two tests by rank disagree", "one step weaker than the design promised"),
        "vi": ("kết luận khác nhau", "yếu hơn một bậc so với thiết kế"),
    }
    for code, (answer, credibility) in words.items():
        assert (answer in front["answer"][code]) == told
        assert (credibility in front["credibility"][code]) == told
        assert ("{p.ratio:equals}" in front["answer"][code]) == told
    planned = "Judged by the plan, before any result: “Moderate.”" if told else "Moderate."
    assert front["credibility"]["en"].startswith(planned)
    found = {0.99: "The data cannot tell", 0.8: "A rise, by both tests."}
    assert front["finding"]["en"].startswith(found.get(level, "A rise by one test"))


def far_away(frame):
    treated = frame["since"].notna()
    return frame.assign(output=frame["output"] + 500.0 * treated)


def test_a_province_that_donors_miss_is_told_no_effect(make):
    plan = make(far_away)
    build_report(plan, progress=False)
    stored = json.loads((plan.folder / "results.json").read_text(encoding="utf-8"))
    assert stored["values"]["p.rank"]["value"] is None
    assert stored["values"]["last"]["low"] is None
    assert stored["values"]["effect"]["label"]["en"] == "Average gap"
    columns = stored["tables"]["intervals"]["columns"]
    assert [column["label"]["en"] for column in columns] == ["Period", "Gap"]
    front = stored["summary"]
    assert "No effect can be told" in front["answer"]["en"]
    assert "Không thể kết luận" in front["answer"]["vi"]
    assert "interval" not in front["answer"]["en"]
    assert front["finding"]["en"] == "Nothing can be told."
    assert front["credibility"]["en"].startswith("The results put the evidence at the lowest step")


def test_a_province_with_a_trend_of_its_own_is_told_no_effect(texas):
    case, result = texas
    doubt = f"{EARLIER} the comparison misses it"
    missed = replace(result, uncertainty=replace(result.uncertainty, doubt=doubt))
    record = Record("one", text("One", "Một"), "microdata", text("What?", "Gì?"))
    plan = SimpleNamespace(inference={"level": 0.9}, reading={"caveats": [], "unknown": []})
    nothing = pd.DataFrame()
    summarise(record, plan, Findings(case, missed, nothing, nothing, nothing, nothing))
    assert "an effect before there was any" in record.front["answer"]["en"]
    assert "khi chưa có can thiệp" in record.front["answer"]["vi"]
    assert "{before}" not in record.front["answer"]["en"]


def second_treated(frame):
    other = frame["province"] == frame.loc[frame["since"].isna(), "province"].iloc[0]
    return frame.assign(since=np.where(other, 9.0, frame["since"]))


@pytest.mark.parametrize(
    ("edit", "settings", "said"),
    [
        (second_treated, {}, r"for one treated unit; the plan's design has 2 \("),
        (lambda f: f[f["year"] > 6], {}, "from 9 on, after 2 periods; a synthetic control needs"),
        (lambda f: f, {"pretended": 11}, r"pretended must be a period before 9 .*2, 3.*was 11"),
        (lambda f: f, {"neighbours": ["Hà Nộ"]}, "names Hà Nộ, which .* Did you mean .Hà Nội"),
    ],
)
def test_what_is_no_case_of_one_unit_is_refused(make, edit, settings, said):
    with pytest.raises(SpecError, match=said):
        case_of(make(edit), **settings)
