"""The evaluation of a province: what its report says stands against the simulated truth."""

from pathlib import Path

import numpy as np
import pytest

from impact.errors import BreakWarning, LedgerError
from impact.evaluation import Evaluation
from impact.evaluation.province import ProvinceStudy, province_totals, write_workbook
from impact.ledger import read_ledger
from impact.report import Record, province
from impact.report.text import capital
from impact.simulate import simulate_programme

PLAN = Path(__file__).parent.parent / "reports" / "hung-yen" / "evaluation.toml"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    plan = Evaluation.read(PLAN)
    made = simulate_programme(plan.inference["seed"], errors=True)
    path = tmp_path_factory.mktemp("filed") / "filed.xlsx"
    return read_ledger(write_workbook(path, made.projects, made.reports))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    plan = Evaluation.read(PLAN)
    programme = simulate_programme(plan.inference["seed"])
    path = tmp_path_factory.mktemp("corrected") / "corrected.xlsx"
    ledger = read_ledger(write_workbook(path, programme.projects))
    made = ProvinceStudy(plan, programme, ledger)
    with pytest.warns(BreakWarning, match=r'outcome "log_\w+" \(.*\) spans 1') as caught:
        made.comparison()
    assert [str(entry.message).split(")")[0] for entry in caught] == [
        'outcome "log_workers" (enterprise jobs',
        'outcome "log_revenue" (output',
        'outcome "log_monthly_income" (income',
    ]
    return made


def test_the_workbook_as_filed_is_refused_and_the_corrected_one_is_sound(filed, study):
    with pytest.raises(LedgerError, match="the ledger has"):
        filed.require_sound()
    study.ledger.require_sound()


def test_intervals_hold_the_truth_and_before_and_after_overstates_it(study):
    table = study.comparison()
    assert (table["low"] <= table["truth"]).all()
    assert (table["truth"] <= table["high"]).all()
    assert (table["counted"] > 3 * table["truth"]).all()
    assert study.counted_jobs > 3 * study.true_jobs


def test_the_set_of_a_net_jobs_cost_holds_the_true_cost_and_no_printed_one(study):
    costs = study.job_cost.confidence_set
    assert costs.contains(study.spent / study.true_jobs)
    assert not costs.contains(study.spent / study.counted_jobs)
    assert study.printed["cost"].round(-4).to_list() == [9.04e6, 14e6]
    assert costs.intervals[-1][0] > 10 * study.printed["cost"].max()


def test_totals_of_provinces_cannot_tell(study):
    totals = province_totals(study.plan)
    assert totals.detectable > 100 * totals.truth > 0
    assert np.isfinite(totals.p_value)


def test_the_record_prints_rules_waterfall_and_breaks_by_outcome(study, filed):
    record = Record.of(study.plan)
    province.record_numbers(record, study, filed, province_totals(study.plan))
    blocks = province.record_tables(record, study, filed, province.draw_event_studies(study))
    province.summarise(record, study)
    province.add_chapters(record, study, blocks)
    content = record.as_dict()
    assert {"findings", "rules", "waterfall", "leverage", "effects", "cost"} <= set(
        content["tables"]
    )
    assert study.plan.data_kind == "simulated"
    breaks = next(section for section in content["sections"] if section["id"] == "breaks")
    for outcome in study.plan.outcomes:
        assert f"{capital(outcome.label['en'])}: [[2020-2022" in str(breaks)
        assert [known.name for known in study.results[outcome.name].design.breaks] == ["covid"]


def test_the_legend_names_what_is_drawn(study):
    drawing = province.draw_event_studies(study)
    assert drawing.svg("vi") != drawing.svg("en")
    legend = drawing.figure.axes[0].get_legend()
    named = {
        t.get_text(): h for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert named["truth"].get_color() == "#b5532a"
    assert type(named["estimate, 95%"]).__name__ != "Line2D"


def test_the_first_page_names_what_rose_beyond_the_interval(study):
    record = Record.of(study.plan)
    province.summarise(record, study)
    found = study.comparison()
    rose = [o.label for o in study.plan.outcomes if found.loc[o.name, "low"] > 0]
    assert rose
    assert all(label[code] in record.front["finding"][code] for label in rose for code in label)
    assert record.front["finding"]["en"].startswith("A rise is found in ")
