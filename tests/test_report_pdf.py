"""The PDF: same bytes each time, tagged, fonts from packages only, every number in it."""

import re
import zlib

import pytest
from report_project import make_project

from impact.errors import ReportError
from impact.evaluation import Evaluation
from impact.report import Record, bullets, callout, text
from impact.report.build import build_report
from impact.report.document import prepare_document

pytest.importorskip("typst", reason="the PDF needs the extra pdf")
from impact.report.pdf import render_pdf

PRINTS = {"plan": "0" * 64, "notebook": "1" * 64, "data": {"../../data/d.csv": "2" * 64}}
X = text("A title", "Một tiêu đề")


@pytest.fixture
def results():
    record = Record("example", X, "simulated", text("What?", "Gì?"))
    record.value("jobs", 39, "jobs", text("Jobs", "Việc làm"), bound="at_least", low=1, high=50)
    record.summary(
        answer=text("**Kept**: {jobs} *_#<$@ [[3]].", "**Giữ**: {jobs} *_#<$@ [[3]]."),
        caveats=[X],
        unknown=[X],
        credibility=X,
        reasons=[X],
    )
    record.warn(X)
    record.section("s", X, bullets(X), callout(X, "caution"))
    return record.as_dict() | {"deviations": [{"key": "a.b", "registered": "1", "run": ""}]}


def test_a_document_is_filled_and_split_into_runs(results):
    document = prepare_document(results, "en", PRINTS)
    assert document["front"]["answer"] == [
        {"text": "Kept", "strong": True},
        {"text": ": at least 39\xa0jobs *_#<$@ 3.", "strong": False},
    ]
    assert document["values"][0]["interval"] == "1 to 50\xa0jobs"
    assert document["fingerprints"][2] == ["Data: d.csv", "2" * 64]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_pdf_is_the_same_bytes_tagged_and_undated(results, tmp_path, language):
    document = prepare_document(results, language, PRINTS)
    content = render_pdf(document, tmp_path)
    assert content == render_pdf(document, tmp_path)
    assert content.startswith(b"%PDF-")
    plain = content + b"".join(
        zlib.decompress(stream)
        for stream in re.findall(
            rb"stream\r?\n(x[\x01\x5e\x9c\xda].*?)\r?\nendstream", content, re.S
        )
    )
    assert b"/StructTreeRoot" in plain
    assert b"pdfuaid" in plain
    assert b"/CreationDate" not in plain
    fonts = set(re.findall(rb"/BaseFont\s*/\w{6}\+([A-Za-z]+)", plain))
    assert fonts
    assert fonts <= {b"BeVietnamPro", b"DejaVuSans", b"DejaVuSansMono"}


def test_a_report_with_a_pdf_links_it(tmp_path):
    folder = make_project(tmp_path)
    plan = folder / "evaluation.toml"
    plan.write_text(plan.read_text() + '\n[report]\nformats = ["html", "pdf"]\n')
    page = build_report(Evaluation.read(folder), progress=False)
    assert '<a href="report.pdf">PDF</a>' in page.read_text(encoding="utf-8")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert '<a href="report.vi.pdf">' in (folder / "report.vi.html").read_text(encoding="utf-8")


def test_a_missing_extra_is_named_before_anything_runs(tmp_path, monkeypatch):
    folder = make_project(tmp_path)
    plan = folder / "evaluation.toml"
    plan.write_text(plan.read_text() + '\n[report]\nformats = ["pdf"]\n')
    monkeypatch.setattr("impact.report.pdf.can_write_pdf", lambda: False)
    monkeypatch.setattr("impact.report.build.run_notebook", lambda *a, **k: pytest.fail("ran"))
    with pytest.raises(ReportError, match=r"impact-panel\[pdf\]"):
        build_report(Evaluation.read(folder), progress=False)
