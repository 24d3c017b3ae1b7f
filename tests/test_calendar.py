"""Which known breaks a design spans."""

import warnings

import numpy as np
import pandas as pd
import pytest

from impact.calendar import BREAKS, OUTCOMES, spanned_breaks
from impact.design import Design
from impact.errors import BreakWarning, DesignError, PlaceError, SpecError
from impact.evaluation import Evaluation, file_sha256
from impact.panel import Panel
from impact.report import Record, estimate_outcomes
from impact.report.effect_tables import record_effects
from impact.simulate import staggered_panel


def names(*args, **kwargs):
    return [known.name for known in spanned_breaks(*args, **kwargs)]


def test_the_labour_series_breaks_between_2020_and_2021():
    assert "labour_2021" in names([2020, 2021], outcome="employment")
    assert "labour_2021" not in names([2021, 2022], outcome="employment")
    assert "labour_2021" not in names([2015, 2020], outcome="employment")
    assert "labour_2021" not in names([2020, 2021], outcome="enterprise_jobs")


def test_temporary_shocks_count_as_soon_as_they_are_reached():
    assert names([2021, 2022], outcome="income") == ["covid"]
    assert names([2023, 2024], outcome="income") == []


def test_breaks_of_single_provinces():
    assert names([2007, 2008], province_codes=["01", "33"]) == ["hanoi_2008"]
    assert names([2007, 2008], province_codes=["33"]) == []
    assert names([], outcome="income") == []


def test_all_years_span_all_breaks_and_each_speaks_two_languages():
    assert names(range(2005, 2026)) == [known.name for known in BREAKS]
    for known in BREAKS:
        assert known.warning("en") != known.warning("vi")
        assert known.warning("en").startswith(str(known.first))
        assert set(known.outcomes) <= set(OUTCOMES)


def test_unknown_outcome():
    with pytest.raises(PlaceError, match=r"outcome may be .*; it was 'employmnt'. Did you mean"):
        spanned_breaks([2020, 2021], outcome="employmnt")


def provinces_of(years, codes=("01", "33"), vintage=63, **columns):
    frame = pd.DataFrame(
        [(code, year) for code in codes for year in years], columns=["province_code", "year"]
    )
    cohort = np.where(frame["province_code"] == "33", years[-1], np.nan)
    frame = frame.assign(province_vintage=vintage, cohort=cohort, workers=1.0, **columns)
    return Panel(frame, unit="province_code", time="year")


def design(panel, **settings):
    return Design(panel, outcome="workers", cohort="cohort", **settings)


def test_a_design_that_spans_a_break_of_its_series_warns_with_the_outcome():
    panel = provinces_of(range(2018, 2022))
    with pytest.warns(BreakWarning) as caught:
        made = design(panel, series="employment")
    (message,) = [str(entry.message) for entry in caught]
    assert message.startswith('outcome "workers" (employment) spans 2 known breaks. 2020-2022: C')
    assert "2021: counted employment fell by a tenth" in message
    assert caught[0].filename == __file__
    assert [known.name for known in made.breaks] == ["covid", "labour_2021"]
    assert "2021 (labour_2021: employment)" in made._repr_html_()


@pytest.mark.parametrize(
    ("years", "codes", "series", "expected"),
    [
        (range(2006, 2011), ("01", "33"), "population", ["hanoi_2008"]),
        (range(2006, 2011), ("30", "33"), "population", []),
        (range(2009, 2013), ("01", "33"), "income", []),
        (range(2009, 2013), ("01", "33"), "prices", ["gdp_deflator_2010"]),
        (range(2022, 2025), ("01", "33"), "employment", ["covid"]),
        (range(2023, 2026), ("01", "33"), "employment", ["provinces_2025"]),
    ],
)
def test_only_breaks_of_the_series_years_and_provinces_are_named(years, codes, series, expected):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = design(provinces_of(years, codes), series=series)
    assert [known.name for known in made.breaks] == expected
    assert len(caught) == bool(expected)


def test_figures_of_the_34_provinces_do_not_break_in_2025():
    assert design(provinces_of(range(2023, 2026), vintage=34), series="population").breaks == ()


def test_data_of_which_nothing_is_said_are_left_alone():
    panel = provinces_of(range(2018, 2022))
    keyed = design(panel)
    assert [known.name for known in keyed.breaks] == ["covid", "labour_2021"]
    unkeyed = Panel(panel.frame.drop(columns="province_vintage"), unit="province_code", time="year")
    assert design(unkeyed).breaks == ()
    assert "Known breaks" not in design(unkeyed)._repr_html_()


def test_rows_left_out_do_not_count():
    panel = provinces_of(range(2018, 2022))
    kept = panel.select((panel.periods < 2020)[panel.time_codes])
    frame = kept.frame.assign(cohort=np.where(kept.frame["province_code"] == "33", 2019, np.nan))
    before = Panel(frame, unit="province_code", time="year")
    assert design(before, series="employment").breaks == ()


def test_an_unknown_series_is_refused():
    with pytest.raises(DesignError, match=r"series may be .*; it was 'jobs'"):
        design(provinces_of(range(2018, 2022)), series="jobs")


PLAN = """
[evaluation]
id = "labour"
title = {{ en = "Labour", vi = "Lao động" }}
notebook = "labour.ipynb"
data_kind = "simulated"
date = 2024-01-31

[question]
text = {{ en = "What?", vi = "Gì?" }}

[[data.files]]
path = "d.csv"
sha256 = "{sha256}"

[design]
unit = "unit"
time = "time"
cohort = "cohort"

[[outcomes]]
name = "outcome"
label = {{ en = "workers", vi = "lao động" }}
unit = "workers"
series = "employment"

[estimation]
estimator = "CallawaySantAnna"
"""


def test_a_plan_that_names_the_series_has_its_report_warn(tmp_path):
    folder = tmp_path / "labour"
    folder.mkdir()
    sample = staggered_panel(1, n_units=120, periods=6, cohorts=(4,)).frame
    sample.assign(time=sample["time"] + 2016, cohort=sample["cohort"] + 2016).to_csv(
        folder / "d.csv", index=False
    )
    (folder / "labour.ipynb").write_text("{}")
    plan = PLAN.format(sha256=file_sha256(folder / "d.csv"))
    (folder / "evaluation.toml").write_text(plan, encoding="utf-8")
    evaluation = Evaluation.read(folder)
    record = Record.of(evaluation)
    with pytest.warns(BreakWarning, match='outcome "outcome"'):
        effects = estimate_outcomes(evaluation, evaluation.load())
    record_effects(record, effects)
    covid, labour = record.warnings
    assert covid["en"].startswith("[[workers, 2020-2022: COVID-19")
    assert labour["vi"].startswith("[[lao động, 2021: số lao động có việc làm")
    record.as_dict()
    (folder / "evaluation.toml").write_text(
        plan.replace('"employment"', '"employmant"'), encoding="utf-8"
    )
    with pytest.raises(SpecError, match=r'series may be employment.*Did you mean "employment"'):
        Evaluation.read(folder)
