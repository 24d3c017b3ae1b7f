"""The battery runs what applies and says why the rest does not."""

import pytest

from impact.design import Design
from impact.errors import DesignError
from impact.estimators import CallawaySantAnna, Imputation, TwoWayFixedEffects
from impact.sensitivity import CHECKS, Specification, bacon, battery


def quick_curve(design, draws):
    """Settings of a curve of three estimators; test_refits.py has the list of all of them."""
    estimators = CallawaySantAnna(), Imputation(), TwoWayFixedEffects()
    variants = [Specification(type(e).__name__, e, design) for e in estimators]
    return {"draws": draws, "variants": variants}


@pytest.fixture(scope="module")
def ran(make_frame, design_of):
    frame = make_frame()
    frame["cancelled"] = frame["firm"].map(dict.fromkeys(range(2, 60, 3), 2014.0))
    result = CallawaySantAnna().fit(design_of(frame))
    return battery(
        result,
        placebo_cancelled={"cohort": "cancelled"},
        placebo_in_space={"draws": 5},
        specification_curve=quick_curve(result.design, 3),
    )


def test_every_analysis_is_run_or_explained(ran):
    assert set(ran.findings) | set(ran.skipped) == set(CHECKS)
    assert not set(ran.findings) & set(ran.skipped)
    assert set(ran.skipped) == {"attrition", "carry_over", "spillover", "oster", "cinelli_hazlett"}
    assert ran.skipped["attrition"].endswith("nobody has left.")
    assert ran.skipped["spillover"].startswith("needs rings")


def test_findings_have_all_their_parts(ran):
    for finding in ran:
        assert finding.question.endswith("?")
        assert finding.sentence.endswith(".")
        assert len(finding.table)
        assert finding.sentence in repr(finding)
        assert "<table" in finding._repr_html_()
        assert finding.figure().get_figure() is not None
    assert len(ran.table()) == len(CHECKS)
    vietnamese = ran.table("vi").set_index("analysis")["answer"]
    assert vietnamese["honest"] == ran["honest"].said.say("vi")
    assert vietnamese["carry_over"].startswith("không thực hiện: ")
    assert "skipped: " in repr(ran)
    assert ran["honest"].name == "honest"


def test_battery_is_the_same_twice(fitted):
    curve = quick_curve(fitted.design, 2)
    few = {"placebo_in_space": {"draws": 3}, "specification_curve": curve}
    first, second = battery(fitted, **few), battery(fitted, **few)
    for name in first.findings:
        assert first[name].sentence == second[name].sentence
        assert first[name].table.equals(second[name].table)


def test_unknown_analyses_are_refused(fitted):
    with pytest.raises(DesignError, match='Did you mean "honest"'):
        battery(fitted, honset={})


def test_long_tables_are_cut_in_print_only(fitted):
    from impact.sensitivity import placebo_in_space

    finding = placebo_in_space(fitted, draws=30)
    assert len(finding.table) == 30
    assert "5 more rows in .table." in repr(finding)


def test_rows_in_a_table_are_the_reason_where_they_are_needed(make_frame, design_of, tmp_path):
    warehouse = pytest.importorskip("impact.warehouse")
    path = tmp_path / "firms.parquet"
    make_frame(by_province=True, n_provinces=24, n_firms=2).to_parquet(path)
    panel = warehouse.TablePanel(warehouse.scan(str(path)), unit="firm", time="year")
    design = Design(panel, outcome="y", cohort="cohort", clusters="province")
    ran = battery(CallawaySantAnna().fit(design))
    assert set(ran.findings) == {"honest", "pretrends"}
    for why in ran.skipped.values():
        assert why.startswith("it needs the rows of units, and those of this design stay in")
    with pytest.raises(DesignError, match=r"bacon applies to .* stay in their table"):
        bacon(CallawaySantAnna().fit(design))
