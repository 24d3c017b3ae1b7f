"""The record: what it keeps, what it refuses, what it writes."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from impact.errors import ReportError
from impact.report import Column, Record, bullets, callout, text

HELLO = text("Hello", "Xin chào")


@pytest.fixture
def record():
    record = Record("example", HELLO, "published", text("What?", "Gì?"))
    record.value("support", 4_700_000_000, "VND", HELLO, bound="at_least", source="a newspaper")
    record.value("effect", 1 / 3, "percent", HELLO, low=-0.1, high=2 / 3, level=0.95)
    return record


def drawing():
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([1, 2], [3, 4], label="ặ")
    return figure


def test_record_is_written_rounded_and_sorted(record, tmp_path):
    table = pd.DataFrame({"a": [1 / 3, np.nan], "b": ["{support}", "none"], "c": [HELLO, HELLO]})
    block = record.table(
        "numbers", table, HELLO, {k: Column(HELLO, "ratio" if k == "a" else None) for k in table}
    )
    record.section("all", HELLO, text("{support}", "{support}"), block, bullets(HELLO))
    record.write(tmp_path)
    written = (tmp_path / "results.json").read_text(encoding="utf-8")
    content = json.loads(written)
    assert content["schema"] == "impact.results/1"
    assert content["values"]["effect"]["value"] == 0.333333333
    assert content["values"]["effect"]["high"] == 0.666666667
    assert content["values"]["support"]["value"] == 4_700_000_000
    assert content["tables"]["numbers"]["rows"][1] == [None, "none", HELLO]
    assert list(content) == sorted(content)
    assert "Xin chào" in written
    with (tmp_path / "tables" / "numbers.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["a", "b", "b_unit", "b_bound", "b_note", "c"],
        ["0.333333333", "4700000000", "VND", "at_least", "", "Hello"],
        ["", "", "", "", "none", "Hello"],
    ]


def test_figures_are_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        record = Record("example", HELLO, "simulated", HELLO)
        block = record.figure("f", {"en": drawing(), "vi": drawing()}, HELLO, alt=HELLO)
        record.section("s", HELLO, block)
        record.write(tmp_path / name)
    first, second = (tmp_path / name / "figures" / "f.en.svg" for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert b"<dc:date>" not in first.read_bytes()


def test_a_sentence_with_an_unnamed_number_is_refused(record):
    record.section("s", HELLO, text("Of 39 projects", "Trong 39 đề án"))
    with pytest.raises(ReportError, match=r'section "s" \(en\) prints 39 without naming a value'):
        record.as_dict()


def test_a_sentence_with_an_unknown_value_names_a_near_one(record):
    record.section("s", HELLO, text("{suport}", "{suport}"))
    with pytest.raises(ReportError, match='"suport", which was not recorded. Did you mean "supp'):
        record.as_dict()


def test_a_table_heading_and_cell_are_sentences_too(record):
    record.table("t", pd.DataFrame({"a": ["{nowhere}"]}), HELLO, {"a": Column(HELLO)})
    with pytest.raises(ReportError, match='"nowhere", which was not recorded'):
        record.as_dict()


def test_an_unknown_form_is_refused(record):
    record.section("s", HELLO, text("{effect:intervall}", "{effect}"))
    with pytest.raises(ReportError, match="intervall"):
        record.as_dict()


def test_a_figure_without_alternative_text_is_refused(record):
    with pytest.raises(ReportError, match="no alternative text"):
        record.figure("f", drawing(), HELLO, alt={})


def test_a_figure_drawn_for_one_language_is_refused(record):
    with pytest.raises(ReportError, match="it was drawn for en"):
        record.figure("f", {"en": drawing()}, HELLO, alt=HELLO)


def test_a_missing_number_needs_a_reason(record):
    with pytest.raises(ReportError, match="no number and no note"):
        record.value("gone", np.nan, "count", HELLO)
    assert record.value("known", np.nan, "count", HELLO, note=HELLO).value is None


def test_names_are_used_once_and_can_be_anchors(record):
    with pytest.raises(ReportError, match='"support" was recorded twice'):
        record.value("support", 1, "count", HELLO)
    with pytest.raises(ReportError, match="no usable name"):
        record.value("Hưng Yên", 1, "count", HELLO)


def test_a_table_without_the_column_names_a_near_one(record):
    with pytest.raises(ReportError, match='no column "?suport"?. Did you mean "support"'):
        record.table("t", pd.DataFrame({"support": [1]}), HELLO, {"suport": Column(HELLO)})


def test_a_section_shows_only_what_was_recorded(record):
    record.section("s", HELLO, {"kind": "table", "id": "nowhere"})
    with pytest.raises(ReportError, match="shows no table known"):
        record.as_dict()


def test_unknown_tone_kind_and_bound_are_refused(record):
    with pytest.raises(ReportError, match="tone may be"):
        callout(HELLO, tone="loud")
    with pytest.raises(ReportError, match="data_kind may be"):
        Record("x", HELLO, "invented", HELLO)
    with pytest.raises(ReportError, match="bound may be"):
        record.value("y", 1, "count", HELLO, bound="more")


def test_record_shows_its_values_in_a_notebook(record):
    assert "ít nhất 4,7" in record._repr_html_()


def test_tables_for_machines_hold_numbers_units_bounds_and_limits(record, tmp_path):
    record.value("gain", 32.5, "hours", text("Gain", "Tăng"), low=25.5, high=39.25)
    record.value("share", 4.75, "percent", text("Share", "Tỷ lệ"), bound="at_least")
    frame = pd.DataFrame(
        {
            "what": [text("gain", "tăng"), text("share", "tỷ lệ"), text("none", "không")],
            "effect": ["{gain:signed}", "{share}", text("not printed", "không công bố")],
            "interval": ["{gain:interval}", "{share:interval}", None],
            "both": ["{gain} and {share}", "{share}", "x"],
        }
    )
    columns = {name: Column(text(name, name)) for name in frame}
    record.section("m", text("M", "M"), record.table("m", frame, text("M", "M"), columns))
    record.write(tmp_path)
    made = pd.read_csv(tmp_path / "tables" / "m.csv")
    assert list(made) == [
        "what", "effect", "effect_unit", "effect_bound", "effect_note", "interval_low",
        "interval_high", "both",
    ]  # fmt: skip
    assert made["effect"].tolist()[:2] == [32.5, 4.75]
    assert made["effect_unit"].tolist()[:2] == ["hours", "percent"]
    assert made["effect_bound"].tolist()[:2] == ["exact", "at_least"]
    assert made["effect_note"].tolist()[2] == "not printed"
    assert made[["interval_low", "interval_high"]].iloc[0].tolist() == [25.5, 39.25]
    assert made["both"].tolist()[0] == "32.5\xa0hours and at least 4.75%"
