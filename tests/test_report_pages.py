"""PDF and Word: same bytes each time, tagged, fonts from packages, every number in them."""

import datetime
import io
import re
import zipfile
import zlib

import pytest
from report_project import make_project

from impact.errors import ReportError
from impact.evaluation import Evaluation
from impact.report import Record, bullets, callout, text
from impact.report.build import build_report
from impact.report.document import prepare_document
from impact.report.docx import render_docx

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


def test_a_word_file_is_the_same_bytes_dated_by_the_plan(results, tmp_path, monkeypatch):
    pytest.importorskip("pypandoc", reason="the Word file needs the extra docx")
    document = prepare_document(results, "vi", PRINTS)
    content = render_docx(document, tmp_path, datetime.date(2024, 1, 31))
    monkeypatch.setenv("LC_ALL", "C")
    assert content == render_docx(document, tmp_path, datetime.date(2024, 1, 31))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
        assert b"2024-01-31" in archive.read("docProps/core.xml")
        body = archive.read("word/document.xml").decode("utf-8")
        theme = archive.read("word/theme/theme1.xml").decode("utf-8")
    assert "ít nhất 39\xa0việc làm *_#&lt;$@ 3." in body
    assert body.index("Kế hoạch đã được thay đổi") < body.index("Cảnh báo") < body.index("a.b")
    assert '<a:latin typeface="Times New Roman"' in theme


def test_a_report_in_other_formats_links_them(tmp_path):
    pytest.importorskip("pypandoc", reason="the Word file needs the extra docx")
    folder = make_project(tmp_path)
    plan = folder / "evaluation.toml"
    plan.write_text(plan.read_text() + '\n[report]\nformats = ["html", "pdf", "docx"]\n')
    page = build_report(Evaluation.read(folder), progress=False).read_text(encoding="utf-8")
    assert '<a href="report.pdf">PDF</a> <a href="report.docx">Word</a>' in page
    assert (folder / "report.vi.pdf").read_bytes().startswith(b"%PDF-")
    with zipfile.ZipFile(folder / "report.vi.docx") as archive:
        assert [name for name in archive.namelist() if name.endswith(".png")]
        assert 'descr="Một đường"' in archive.read("word/document.xml").decode("utf-8")


@pytest.mark.parametrize("extra", ["pdf", "docx"])
def test_a_missing_extra_is_named_before_anything_runs(tmp_path, monkeypatch, extra):
    folder = make_project(tmp_path)
    plan = folder / "evaluation.toml"
    plan.write_text(plan.read_text() + f'\n[report]\nformats = ["{extra}"]\n')
    monkeypatch.setattr(f"impact.report.{extra}.can_write_{extra}", lambda: False)
    monkeypatch.setattr("impact.report.build.run_notebook", lambda *a, **k: pytest.fail("ran"))
    with pytest.raises(ReportError, match=rf"impact-panel\[{extra}\]"):
        build_report(Evaluation.read(folder), progress=False)


def test_long_names_and_numbers_leave_room_for_their_meaning(tmp_path):
    record = Record("example", X, "published", text("What?", "Gì?"))
    meaning = text("Mean support of a project of the province", "Hỗ trợ bình quân một đề án")
    unit = text("million dong a project", "triệu đồng/đề án khuyến công địa phương")
    for row in range(30):
        record.value(f"cao_bang.national_support_per_project_{row}", 969.6, unit, meaning,
                     low=969.6, high=979.8)  # fmt: skip
    document = prepare_document(record.as_dict() | {"deviations": None}, "vi", PRINTS)
    content = render_pdf(document, tmp_path)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", content)) <= 3


def test_words_tables_keep_their_captions_rows_and_numbers_whole():
    from impact.report.docx import column_widths, keep_together

    body = (
        '<w:p><w:pPr><w:pStyle w:val="BodyText"/></w:pPr>caption</w:p><w:tbl>'
        "<w:tr><w:trPr><w:tblHeader/></w:trPr>head</w:tr><w:tr>row</w:tr></w:tbl><w:p>after</w:p>"
    )
    kept = keep_together(body)
    assert '<w:pStyle w:val="BodyText"/><w:keepNext/>' in kept
    assert kept.count("<w:cantSplit/>") == 1
    assert kept.endswith("<w:p>after</w:p>")
    heads = ["A column with a rather long heading", *["Interval of the estimate"] * 5, "p"]
    row = ["words " * 20, *["\N{MINUS SIGN}12,345.6 to 23,456.7"] * 5, "<0.001"]
    table = {"columns": [{"runs": [{"text": head}]} for head in heads], "rows": [row]}
    widths = column_widths(table)
    assert abs(sum(widths) - 100) <= 4
    assert widths[-1] >= 8  # room for "<0.001" and the cell's margins


def test_numbers_of_words_tables_stand_to_the_right_under_their_headings(results, tmp_path):
    import pandas as pd

    from impact.report import Column

    record = Record("example", X, "simulated", text("What?", "Gì?"))
    frame = pd.DataFrame({"year": [2020, 2021], "name": ["a", "b"], "jobs": [5, 7]})
    columns = {
        "year": Column(text("Year", "Năm"), "year"),
        "name": Column(text("Name", "Tên")),
        "jobs": Column(text("Jobs", "Việc làm"), "count"),
    }
    record.section("s", X, record.table("t", frame, X, columns))
    document = prepare_document(record.as_dict(), "en", PRINTS)
    packed = render_docx(document, tmp_path, datetime.date(2020, 1, 1))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        body = archive.read("word/document.xml").decode("utf-8")
    table = body.split("<w:tbl>")[1].split("</w:tbl>")[0]
    sides = [re.findall(r'<w:jc w:val="(\w+)"', cell)[-1] for cell in table.split("<w:tc>")[1:]]
    assert sides == ["left", "left", "right"] * 3
