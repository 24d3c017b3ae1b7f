"""The report on published figures: what it derives, and what it refuses to derive."""

from dataclasses import replace
from pathlib import Path

import pytest

from impact.errors import ReportError
from impact.evaluation import Evaluation
from impact.published import read_published_figures
from impact.report import Record, three_provinces
from impact.report.values import format_value

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def published():
    return read_published_figures(ROOT / "data" / "published_figures.csv")


def test_what_two_articles_say_together(published):
    found = three_provinces.amounts_between(published)
    assert found["later_projects"].value == 9
    assert found["later_support"].bound == "indicative"
    assert float(found["counterpart_ratio"].value) == pytest.approx((96_000 / 99) / (4_100 / 30))


def test_every_number_of_the_report_is_recorded(published):
    plan = Evaluation.read(ROOT / "reports" / "promotion-programmes")
    record = Record.of(plan)
    blocks = three_provinces.record_numbers(record, published)
    three_provinces.summarise(record, plan.reading)
    three_provinces.add_chapters(record, published, blocks)
    record.as_dict()
    shown = {name: format_value(value, "en") for name, value in record.values.items()}
    assert shown["lai_chau.projects"] == "30\xa0projects"
    assert shown["cao_bang.leverage"] == "not available"
    assert record.values["lai_chau.leverage"].bound == "about"


def test_a_figure_that_is_gone_is_named(published):
    kept = tuple(f for f in published.figures if f.indicator != "counterpart_amount")
    assert len(kept) < len(published.figures)
    with pytest.raises(ReportError, match=r"counterpart per project of Lai Châu cannot be had"):
        three_provinces.amounts_between(replace(published, figures=kept))
