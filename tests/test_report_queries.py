"""The queries of designs on tables are kept in a report's results and its manifest."""

import json

import did
import pytest
from report_project import COMPUTE, WRITE, make_project

from impact import Design
from impact.evaluation import Evaluation
from impact.report import record_queries
from impact.report.build import build_report, check_report
from impact.report.queries import taken_queries

pytest.importorskip("ibis")
scan = pytest.importorskip("impact.warehouse").scan

ESTIMATE = """
from impact import CallawaySantAnna, Design, scan
from impact.report import record_queries

design = Design.from_table(
    scan(str(plan.folder / "firms.parquet"), threads=2),
    unit="unit", time="time", outcome="outcome", cohort="cohort",
)
effect = CallawaySantAnna().fit(design).att()
record.value("effect", float(effect.estimates[0]), "ratio", text("Effect", "Tác động"))
record_queries(design, design)
"""


@pytest.mark.slow
def test_a_report_keeps_the_queries_it_rests_on(tmp_path):
    folder = make_project(tmp_path, COMPUTE, ESTIMATE, WRITE)
    did.staggered(n_units=200, periods=6).to_parquet(folder / "firms.parquet")
    plan = Evaluation.read(folder)
    build_report(plan, progress=False)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["queries"] == results["queries"]
    assert [query["purpose"] for query in manifest["queries"]] == [
        "rows by period and cohort", "units by cohort and presence", "second moments by cohort",
    ]  # fmt: skip
    for query in manifest["queries"]:
        assert query["sql"].startswith("SELECT")
        assert set(query) == {"purpose", "rows", "sql"}
        assert str(tmp_path) not in query["sql"]
    assert not (folder / "queries.json").exists()
    assert check_report(plan, progress=False).verdict == "identical"


def test_numbers_in_queries_have_nine_digits_and_are_kept_back_where_numbers_are_hidden(tmp_path):
    frame = did.staggered(n_units=60, periods=6)
    frame.to_parquet(tmp_path / "t1.parquet")
    design = Design.from_table(
        scan(tmp_path / "t1.parquet"), unit="unit", time="time", outcome="outcome", cohort="cohort"
    )
    assert design.table.moments is not None
    long, short = repr(float(design.table.means[0])), f"{design.table.means[0]:.9g}"
    assert long.lstrip("-") in design.queries[-1].sql
    record_queries(design, folder=tmp_path)
    shown = taken_queries(tmp_path, hidden=False)
    assert short.lstrip("-") in shown[-1]["sql"]
    assert long.lstrip("-") not in shown[-1]["sql"]
    assert taken_queries(tmp_path, hidden=False) == []
    record_queries(design, folder=tmp_path)
    assert [query["sql"] for query in taken_queries(tmp_path, hidden=True)] == [None] * 3


def test_queries_are_kept_only_with_a_report(tmp_path, monkeypatch):
    did.staggered(n_units=60, periods=6).to_parquet(tmp_path / "t1.parquet")
    table = scan(tmp_path / "t1.parquet")
    design = Design.from_table(table, unit="unit", time="time", outcome="outcome", cohort="cohort")
    monkeypatch.delenv("IMPACT_OUTPUT", raising=False)
    record_queries(design)
    record_queries(folder=tmp_path)
    assert not (tmp_path / "queries.json").exists()
    monkeypatch.setenv("IMPACT_OUTPUT", str(tmp_path))
    record_queries(design)
    assert len(taken_queries(tmp_path, hidden=False)) == 2
