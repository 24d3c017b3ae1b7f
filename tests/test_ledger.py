"""The ledger: what is read, what is found, what becomes treatment."""

import hashlib
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impact.errors import LedgerError, PanelError, PriceError
from impact.ledger import (
    RULES,
    AssignmentRules,
    Ledger,
    assign,
    exposure,
    read_ledger,
    write_template,
)
from impact.ledger.parse import (
    Problem,
    parse_amount,
    parse_choice,
    parse_date,
    parse_number,
)
from impact.ledger.schema import CHOICES, PROJECTS
from impact.prices import consumer_prices
from impact.simulate import simulate_programme

MILLION = 1_000_000

CLEAN = {
    "project_id": "A1",
    "beneficiary_id": "100",
    "beneficiary_name": "Hợp tác xã Bình Minh",
    "district": "Ân Thi",
    "province": "Hưng Yên",
    "province_vintage": 63,
    "content_code": "3",
    "code_list": "nd45_2012",
    "item": "machinery",
    "source": "national",
    "approval_date": "15/01/2019",
    "contract_date": "01/02/2019",
    "disbursement_date": "01/03/2019",
    "acceptance_date": "01/08/2019",
    "settlement_date": "01/10/2019",
    "planned_support": 300 * MILLION,
    "disbursed_support": 300 * MILLION,
    "national_support": 300 * MILLION,
    "local_support": 0,
    "counterpart": 400 * MILLION,
    "eligible_cost": 700 * MILLION,
    "total_cost": 700 * MILLION,
    "ceiling": 300 * MILLION,
    "returned_amount": 0,
    "status": "settled",
}


def ledger_of(*changes, reports=None):
    rows = [CLEAN | change for change in changes or ({},)]
    return Ledger.from_frames(pd.DataFrame(rows), reports)


@pytest.mark.parametrize(
    ("written", "scale", "dong"),
    [
        ("1.250.000.000", 1, 1_250_000_000),
        ("1,250,000,000", 1, 1_250_000_000),
        ("1 250 000", 1, 1_250_000),
        ("1,5 tỷ", 1, 1_500_000_000),
        ("1.5 tỷ đồng", 1, 1_500_000_000),
        ("350 triệu đồng", 1, 350_000_000),
        ("350tr", 1, 350_000_000),
        ("0,350 tỷ", 1, 350_000_000),
        ("350,5", MILLION, 350_500_000),
        ("1,250.5", MILLION, 1_250_500_000),
        (300, MILLION, 300_000_000),
        (0.3, 10**9, 300_000_000),
        ("350000.0", 1, 350_000),
        ("350.000", 1, 350_000),
        ("(50.000.000)", 1, -50_000_000),
        ("−50 triệu", 1, -50_000_000),
        ("2 tỷ", MILLION, 2_000_000_000),
    ],
)
def test_amounts_as_departments_write_them(written, scale, dong):
    assert parse_amount(written, scale) == dong


@pytest.mark.parametrize(
    ("written", "scale", "rule"),
    [
        ("1.250", MILLION, "amount_ambiguous"),
        ("1,250 tỷ", 1, "amount_ambiguous"),
        ("1.25", 1, "amount_unreadable"),
        ("12.34.567", 1, "amount_unreadable"),
        ("khoảng 300", MILLION, "amount_unreadable"),
        ("300 USD", 1, "amount_unreadable"),
        (float("inf"), 1, "amount_unreadable"),
        ("99999999999999999999", 1, "amount_unreadable"),
        ("300 5", 1, "amount_unreadable"),
        ("1250.000", 1, "amount_unreadable"),
        (0.3, 1, "amount_unreadable"),
        (350.5, 1, "amount_unreadable"),
    ],
)
def test_amounts_that_are_not_guessed(written, scale, rule):
    assert parse_amount(written, scale) == Problem(rule)


@given(st.integers(0, 10**13), st.sampled_from([".", ",", " ", ""]))
def test_whole_dong_survive_every_grouping(dong, separator):
    assert parse_amount(f"{dong:,}".replace(",", separator)) == dong
    assert parse_amount(f"{dong:,} đồng".replace(",", separator)) == dong


@given(
    st.integers(0, 999_999),
    st.sampled_from(["", " "]),
    st.sampled_from(["triệu", "tr", "triệu đồng"]),
)
def test_millions_with_a_decimal_comma_survive(tenths, gap, unit):
    written = f"{tenths // 10},{tenths % 10}{gap}{unit}"
    assert parse_amount(written) == tenths * 100_000


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("12,5", 12.5), ("12.5", 12.5), ("1.250.000", 1_250_000.0), ("7,3 tỷ", 7.3e9),
        ("45 000", 45_000.0), (0.3, 0.3), (17, 17.0), ("12.500", Problem("amount_ambiguous")),
        ("nhiều", Problem("amount_unreadable")), (float("inf"), Problem("amount_unreadable")),
    ],
)  # fmt: skip
def test_reported_figures_may_have_decimals(written, number):
    assert parse_number(written) == number


def test_dates():
    day = pd.Timestamp(2020, 12, 3)
    for written in (
        "03/12/2020", "3-12-2020", "3.12.2020", "2020-12-03", day.to_pydatetime(),
        "03/12/2020 00:00:00", "2020-12-03T00:00",
    ):  # fmt: skip
        assert parse_date(written) == day
    assert parse_date("04/25/2020") == Problem("date_month_first")
    for written in (
        "2020",
        "31/02/2020",
        "12/2020",
        "hôm qua",
        "01/01/0219",
        pd.Timestamp(1900, 1, 1),
    ):
        assert parse_date(written) == Problem("date_unreadable")


@pytest.mark.parametrize("name", list(CHOICES))
def test_every_label_of_every_choice_is_understood(name):
    for choice, labels in CHOICES[name].items():
        for label in labels:
            assert parse_choice(label.upper(), CHOICES[name]) == choice
    assert parse_choice("nonsense", CHOICES[name]) == Problem("choice_unknown")


def test_headers_are_unambiguous():
    owner = {}
    for column in PROJECTS:
        for header in column.headers:
            assert owner.setdefault(header, column.name) == column.name


def test_a_clean_row_has_no_findings_and_full_types():
    ledger = ledger_of()
    assert len(ledger.findings) == 0, ledger.findings.table().to_string()
    row = ledger.projects.iloc[0]
    assert row["disbursed_support"] == 300 * MILLION
    assert ledger.projects["disbursed_support"].dtype == "Int64"
    assert row["acceptance_date"] == pd.Timestamp(2019, 8, 1)
    assert row["content"] == "technology"
    assert row["province_code"] == "33"


def test_decomposed_letters_are_read_as_composed_ones():
    def decomposed(value):
        return unicodedata.normalize("NFD", value) if isinstance(value, str) else value

    written = {"status": "đã quyết toán", "source": "quốc gia", "item": "máy móc"}
    one = ledger_of(written)
    other = ledger_of({key: decomposed(value) for key, value in (CLEAN | written).items()})
    assert not len(other.findings)
    pd.testing.assert_frame_equal(one.projects, other.projects)
    assert other.projects["beneficiary_name"].iloc[0] == CLEAN["beneficiary_name"]


PLANTED = {
    "duplicate_row": [{}, {}],
    "near_duplicate_name": [
        {},
        {"project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Hợp tác xã Bình Mnh"},
    ],
    "id_two_names": [{}, {"project_id": "A2", "beneficiary_name": "Công ty Sao Mai"}],
    "sources_sum": [{"local_support": 20 * MILLION}],
    "cost_sum": [{"counterpart": 410 * MILLION}],
    "decimal_lost": [{"total_cost": 70_000 * MILLION}],
    "unit_thousandfold": [{"planned_support": 300_000, "disbursed_support": 300 * MILLION}],
    "amount_negative": [{"ceiling": None, "counterpart": -5 * MILLION, "total_cost": None}],
    "support_above_ceiling": [{"ceiling": 250 * MILLION}],
    "rate_above_norm": [{"eligible_cost": 500 * MILLION}],
    "counterpart_below_norm": [{"counterpart": 200 * MILLION, "total_cost": 500 * MILLION}],
    "dates_out_of_order": [{"contract_date": "01/02/2018"}],
    "end_equals_start": [{"acceptance_date": "01/02/2019"}],
    "province_list_date": [{"province_vintage": 34}],
    "code_list_date": [{"code_list": "qd1881_2020", "content_code": "1"}],
    "returned_above_support": [{"status": "returned", "returned_amount": 400 * MILLION}],
    "status_contradiction": [{"status": "rejected"}],
    "total_row": [{"project_id": "Tổng cộng:"}],
    "value_missing": [{"status": None}],
    "choice_unknown": [{"status": "đang chờ"}],
    "content_unknown": [{"content_code": "12"}],
    "place_unknown": [{"province": "Hà Bắc Tây"}],
    "amount_ambiguous": [{"ceiling": "1.250 triệu"}],
    "amount_unreadable": [{"ceiling": "theo quy định"}],
    "date_unreadable": [{"settlement_date": "2019"}],
    "date_month_first": [{"settlement_date": "10/25/2019"}],
}


@pytest.mark.parametrize("rule", list(PLANTED))
def test_each_rule_finds_its_planted_error_and_says_it_in_two_languages(rule):
    findings = ledger_of(*PLANTED[rule]).findings
    assert rule in findings.rules
    finding = findings.of_rule(rule).items[0]
    assert finding.row == len(PLANTED[rule]) + 1
    assert finding.where.startswith("projects!")
    for lang in ("en", "vi"):
        assert "{" not in finding.text(lang)
    assert finding.text("en") != finding.text("vi")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("HTX Minh Khai", "Hợp tác xã Minh Khai"),
        ("Cty TNHH Minh Khai", "Công ty trách nhiệm hữu hạn Minh Khai"),
        ("C.ty CP Minh Khai", "Công ty Cổ phần Minh Khai"),
        ("DNTN Minh Khai", "Doanh nghiệp tư nhân Minh Khai"),
        ("CSSX Minh Khai", "Cơ sở sản xuất Minh Khai"),
    ],
)
def test_abbreviated_legal_forms_are_the_same_name(short, long):
    other = {"project_id": "A2", "beneficiary_id": "200", "beneficiary_name": short}
    findings = ledger_of({"beneficiary_name": long}, other).findings
    assert [(f.rule, f.row) for f in findings] == [("near_duplicate_name", 3)]
    again = other | {"beneficiary_id": "100"}
    assert not len(ledger_of({"beneficiary_name": long}, again).findings)
    another = other | {"beneficiary_name": "HTX Quang Trung"}
    assert not len(ledger_of({"beneficiary_name": long}, another).findings)


def test_the_planted_decimal_is_named_with_its_factor_and_not_as_a_sum():
    findings = ledger_of(
        {"disbursed_support": 7_970 * MILLION, "counterpart": 1_355_000 * MILLION,
         "total_cost": 21_520 * MILLION, "national_support": 7_970 * MILLION,
         "planned_support": None, "ceiling": None, "eligible_cost": None, "item": "other"}
    ).findings  # fmt: skip
    assert findings.rules == {"decimal_lost"}
    assert "100 times what the rest of the row implies (13,550,000,000)" in findings.items[0].text()
    assert "1.355.000.000.000 gấp 100 lần" in findings.items[0].text("vi")


def year_rows(values, indicator="facilities", first=2018):
    return pd.DataFrame(
        {
            "place": "Hưng Yên",
            "indicator": indicator,
            "period_start": [f"01/01/{first + i}" for i in range(len(values))],
            "period_end": [f"31/12/{first + i}" for i in range(len(values))],
            "value": values,
            "unit": "x",
        }
    )


def half_year(value, year):
    row = year_rows([value], first=year)
    return row.assign(period_end=f"30/06/{year}")


REPORTED = {
    "windows_overlap": pd.concat(
        [year_rows([30.0]).assign(period_end="31/12/2025"), year_rows([21.0])]
    ),
    "half_year_as_annual": pd.concat([half_year(7500.0, 2018), year_rows([7200.0])]),
    "half_year_suspected": year_rows([1001.0, 512.0, 1043.0]),
    "figure_scale": year_rows([12.1, 12.6, 12_700.0, 13.4, 13.9, 14.2]),
    "figure_negative": year_rows([7.0, -5.0, 8.0], indicator="workers"),
    "carried_forward": year_rows([17_000.0, 17_000.0]),
    "heaping": year_rows([float(5 * k) for k in range(10, 50)], first=1980),
}


@pytest.mark.parametrize("rule", list(REPORTED))
def test_rules_for_reported_figures(rule):
    findings = ledger_of(reports=REPORTED[rule]).findings
    assert rule in findings.rules
    for lang in ("en", "vi"):
        assert "{" not in findings.of_rule(rule).items[0].text(lang)


def test_findings_in_vietnamese_hold_no_english():
    unknown = ledger_of({"province": "Hà Bắc Tây"}, {"province": "Hưng Yen1"}).findings
    text = " ".join(finding.text("vi") for finding in unknown.of_rule("place_unknown"))
    assert "(có thể là Hưng Yên)" in text
    assert "perhaps" not in text
    merged = ledger_of({"province": "Hải Dương", "province_vintage": 34}).findings
    (finding,) = merged.of_rule("place_unknown")
    assert '"Hải Dương" (Hải Dương đến tháng 6/2025, nay thuộc 31 Hải Phòng)' in finding.text("vi")
    assert '"Hải Dương" (Hải Dương until June 2025, now part of 31 Hải' in finding.text("en")
    rate = {"disbursed_support": 400 * MILLION}
    (ceiling, *_) = ledger_of(rate).findings.of_rule("support_above_ceiling").items[::-1]
    assert "(ứng dụng máy móc tiên tiến, Thông tư 28/2018/TT-BTC)" in ceiling.text("vi")
    assert "(advanced machinery, Circular 28/2018/TT-BTC)" in ceiling.text("en")
    tenth = {"planned_support": 3_000 * MILLION}
    (slip,) = ledger_of(tenth).findings.of_rule("decimal_lost")
    assert "gấp 0,1 lần" in slip.text("vi")


def test_every_rule_has_a_name_of_its_own_in_both_languages():
    for names in zip(*(rule.name for rule in RULES.values()), strict=True):
        assert len(set(names)) == len(RULES)
        assert not any("_" in name or not name for name in names)


def test_every_rule_has_a_planted_error():
    structural = {
        "column_unknown", "column_missing", "column_twice", "merged_cells", "unit_unknown",
        "cell_broken", "sheet_unused", "row_too_long",
    }  # fmt: skip
    assert set(RULES) == set(PLANTED) | set(REPORTED) | structural


def test_a_window_of_one_day_is_found():
    one_day = year_rows([30.0]).assign(period_end="01/01/2018")
    found = ledger_of(reports=one_day).findings.of_rule("end_equals_start").items[0]
    assert (found.sheet, found.row) == ("reports", 2)
    assert "01/01/2018" in found.text("vi")


def test_growing_figures_and_small_repeats_are_left_alone():
    assert not len(ledger_of(reports=year_rows([12_101.0, 12_617.0, 13_154.0])).findings)
    assert not len(ledger_of(reports=year_rows([3.0, 3.0, 4.0])).findings)
    assert not len(ledger_of(reports=year_rows([0.0, 0.0, 0.0])).findings)


def scale_findings(values, **columns):
    rows = year_rows(values).assign(**columns)
    return ledger_of(reports=rows).findings.of_rule("figure_scale")


def test_figures_out_of_scale_with_the_years_beside_them():
    series = [12.1, 12.6, 12_700.0, 13.4, 139.0, 14.2]
    found = scale_findings(series)
    assert [finding.row for finding in found] == [4, 6]
    assert found.items[0].where == "reports!E4"
    assert found.items[0].text() == (
        "12,700 for 01/01/2020-31/12/2020 is about 1,000 times the figures beside it (12.6, "
        "13.4): a decimal or a zero may be lost, or the unit be another"
    )
    assert "gấp khoảng 1.000 lần các số liền kề (12,6; 13,4)" in found.items[0].text("vi")
    assert "gấp khoảng 0,01 lần" in scale_findings([120.0, 1.3, 130.0]).items[0].text("vi")


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ([1210.0, 12.6, 12.9], [2]),
        ([12.1, 12.6, 129.0], [4]),
        ([12.1, 12.6, 24.0, 13.0], []),
        ([12.1, 40.0, 13.0], []),
        ([0.0, 10.0, 0.0], []),
        ([1.0, 10.0, 100.0], []),
        ([12.1, 12_600.0], []),
    ],
)
def test_ends_of_series_are_held_against_two_neighbours_and_growth_is_left_alone(values, rows):
    assert [finding.row for finding in scale_findings(values)] == rows


def test_units_of_money_are_read_before_figures_are_compared():
    units = ["tỷ đồng", "triệu đồng", "tỷ đồng"]
    assert not len(scale_findings([12.1, 12_600.0, 13.4], unit=units))
    assert len(scale_findings([12.1, 12.6, 13.4], unit=units)) == 1


def test_changes_and_balances_may_be_negative():
    for indicator in ("tăng trưởng giá trị sản xuất", "profit of facilities"):
        assert not len(ledger_of(reports=year_rows([7.0, -5.0], indicator=indicator)).findings)
    (found,) = ledger_of(reports=year_rows([7.0, -5.0], indicator="số lao động")).findings
    assert (found.rule, found.where) == ("figure_negative", "reports!E3")
    assert found.text("vi") == '-5 là số âm, trong khi "số lao động" không thể âm'


def test_repeats_that_chance_explains_are_left_alone():
    alone = year_rows([350.0, 350.0, 351.0])
    assert "carried_forward" in ledger_of(reports=alone).findings.rules
    crowd = [year_rows([float(300 + k), float(340 + k)]).assign(place=f"Làng {k}")
             for k in range(50)]  # fmt: skip
    among = ledger_of(reports=pd.concat([alone, *crowd])).findings
    assert "carried_forward" not in among.rules
    thrice = year_rows([350.0] * 4)
    found = ledger_of(reports=pd.concat([thrice, *crowd])).findings.of_rule("carried_forward")
    assert [finding.row for finding in found] == [4, 5]


def test_windows_that_end_before_they_begin():
    rows = year_rows([5.0]).assign(period_end="31/12/2017")
    (finding,) = ledger_of(reports=rows).findings
    assert (finding.rule, finding.where) == ("dates_out_of_order", "reports!D2")
    assert finding.text() == "to 31/12/2017 lies before from 01/01/2018"


def test_clean_simulated_ledger_is_silent_and_planted_errors_are_found():
    clean = simulate_programme(1, n_establishments=5_000, approvals=20)
    assert not len(Ledger.from_frames(clean.projects, clean.reports).findings)
    dirty = simulate_programme(1, n_establishments=5_000, approvals=20, errors=True)
    found = Ledger.from_frames(dirty.projects, dirty.reports).findings
    marks = {(finding.rule, finding.row or 0) for finding in found}
    planted = set(zip(dirty.planted["rule"], dirty.planted["row"], strict=True))
    assert planted <= marks
    assert {rule for rule, _ in marks} - {rule for rule, _ in planted} <= {"half_year_suspected"}


def test_errors_stop_and_can_be_accepted_by_name():
    ledger = ledger_of({"local_support": 20 * MILLION})
    with pytest.raises(LedgerError, match=r"1 error \(sources_sum 1\): projects![A-Z]+2: national"):
        ledger.require_sound()
    ledger.require_sound(accept=["sources_sum"])
    ledger_of({"acceptance_date": "01/02/2019"}).require_sound()


# Files


@pytest.mark.parametrize("lang", ["en", "vi"])
def test_template_is_read_back_without_findings(tmp_path, lang):
    file = write_template(tmp_path / "ledger.xlsx", lang)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    ledger = read_ledger(file)
    assert not len(ledger.findings), ledger.findings.table().to_string()
    assert ledger.projects["disbursed_support"].to_list() == [300 * MILLION]
    assert ledger.projects["status"].to_list() == ["settled"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    with pytest.raises(LedgerError, match="exists and is not overwritten"):
        write_template(file, lang)
    with pytest.raises(LedgerError, match=r"does not end in \.xlsx"):
        write_template(tmp_path / "ledger.csv", lang)


def messy_workbook(path):
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Đề án"
    sheet.append(["SỔ THEO DÕI ĐỀ ÁN KHUYẾN CÔNG"])
    sheet.append([])
    sheet.append(
        ["Mã đề án", "Mã đơn vị thụ hưởng", "Tỉnh", "Danh mục tỉnh", "Mã nội dung",
         "Danh mục nội dung", "Nguồn kinh phí", "Ngày phê duyệt", "Ngày nghiệm thu",
         "Kinh phí hỗ trợ (triệu đồng)", "Trạng thái", "Ngày nghiệm thuu", "Trạng thái"]
    )  # fmt: skip
    sheet.append(["1", 900, "Hưng Yên", 63, 3, "nd45_2012", "quốc gia", "15/01/2019",
                  "01/08/2019", 300, "Đã quyết toán"])  # fmt: skip
    sheet.append(["2", 901, "Hưng Yên", 34, 3, "nd45_2012", "quốc gia", "04/25/2019",
                  "2019-08-01", "1.250", "xong"])  # fmt: skip
    sheet.append(["3", 902, "Hà Bắc Tây", 63, 3, "nd45_2012", "địa phương", "năm 2019",
                  "01/08/2019", 300_000_000, "đã nghiệm thu"])  # fmt: skip
    sheet.merge_cells("A1:M1")
    sheet.merge_cells("C5:C6")
    sheet["C5"] = "Hưng Yên"
    book.save(path)


def test_a_messy_workbook_gives_all_findings_together_with_cells(tmp_path):
    file = tmp_path / "messy.xlsx"
    messy_workbook(file)
    ledger = read_ledger(file)
    marks = {(finding.rule, finding.where) for finding in ledger.findings}
    merged = ledger.findings.of_rule("merged_cells")
    assert [finding.details["value"] for finding in merged] == ["C5:C6"]
    assert {
        ("merged_cells", "Đề án"),
        ("column_unknown", "Đề án!L3"),
        ("column_twice", "Đề án!M3"),
        ("date_month_first", "Đề án!H5"),
        ("amount_ambiguous", "Đề án!J5"),
        ("choice_unknown", "Đề án!K5"),
        ("value_missing", "Đề án!C6"),
        ("date_unreadable", "Đề án!H6"),
        ("unit_thousandfold", "Đề án!J6"),
    } <= marks
    assert ledger.projects["disbursed_support"].iloc[0] == 300 * MILLION
    unknown = ledger.findings.of_rule("column_unknown").items[0]
    assert 'perhaps "accepted on"' in unknown.text("en")
    assert '"ngày nghiệm thu"' in unknown.text("vi")
    table = ledger.findings.table("vi")
    assert list(table.columns) == ["severity", "rule", "where", "row", "finding"]
    with pytest.raises(LedgerError, match="the ledger has"):
        ledger.require_sound()


TWO_ROWS = {
    "mã đề án": "A1", "mã đơn vị thụ hưởng": "100", "tỉnh": "Hưng Yên", "danh mục tỉnh": 63,
    "nội dung": "3", "danh mục nội dung": "Nghị định 45/2012",
    "nguồn kinh phí": "quốc gia và địa phương",
    "trạng thái": "đăng ký",
}  # fmt: skip


@pytest.mark.parametrize("merged", [True, False])
def test_two_rows_of_headers_are_joined(tmp_path, merged):
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Đề án"
    sheet.append([*TWO_ROWS, "Kinh phí hỗ trợ (triệu đồng)", None, None, "Ngày", None])
    parts = ["Tổng số", "Trung ương", "Địa phương", "phê duyệt", "nghiệm thu"]
    sheet.append([*[None] * len(TWO_ROWS), *parts])
    sheet.append([*TWO_ROWS.values(), 300, 200, 100, "15/01/2019", None])
    if merged:
        for column in range(1, len(TWO_ROWS) + 1):
            sheet.merge_cells(start_row=1, end_row=2, start_column=column, end_column=column)
        sheet.merge_cells("I1:K1")
        sheet.merge_cells("L1:M1")
    book.save(tmp_path / "ledger.xlsx")
    ledger = read_ledger(tmp_path / "ledger.xlsx")
    assert ledger.findings.rules <= {"status_contradiction"}
    (project,) = ledger.projects.to_dict("records")
    assert project["disbursed_support"] == 300 * MILLION
    assert (project["national_support"], project["local_support"]) == (200 * MILLION, 100 * MILLION)
    assert project["approval_date"] == pd.Timestamp("2019-01-15")


def test_parts_of_a_header_that_name_no_column_are_found_where_they_stand():
    frame = pd.DataFrame(
        [
            dict.fromkeys(TWO_ROWS) | {"Kinh phí": "Trung ương", "x": "Tỉnh ủy"},
            TWO_ROWS | {"Kinh phí": 200 * MILLION, "x": 1},
        ]
    ).rename(columns={"x": ""})
    findings = Ledger.from_frames(frame).findings
    (unknown,) = findings.of_rule("column_unknown")
    assert unknown.where == "projects!J2"
    assert "Kinh phí Tỉnh ủy" in unknown.text("vi")
    assert "value_missing" not in findings.rules


@pytest.mark.parametrize("suffix", [".csv", ".dta", ".parquet"])
def test_other_files_give_the_same_ledger(tmp_path, suffix):
    frame = simulate_programme(2, n_establishments=4_000, approvals=5).projects
    expected = Ledger.from_frames(frame).projects
    file = tmp_path / f"ledger{suffix}"
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(file)
    else:
        frame.astype({c: float for c in frame if str(frame[c].dtype) == "Int64"}).to_stata(
            file, write_index=False, version=118
        )
    ledger = read_ledger(file)
    assert not len(ledger.findings), ledger.findings.table().to_string()
    pd.testing.assert_frame_equal(ledger.projects, expected)


def test_files_that_cannot_be_ledgers(tmp_path):
    from openpyxl import Workbook

    with pytest.raises(LedgerError, match="there is no file") as caught:
        read_ledger(tmp_path / "none.xlsx")
    assert caught.value.vi.startswith("không có tệp")
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(b"not a workbook")
    with pytest.raises(LedgerError, match="cannot be opened as an Excel workbook"):
        read_ledger(damaged)
    (tmp_path / "ledger.pdf").write_bytes(b"")
    with pytest.raises(LedgerError, match="of no kind a ledger is read from"):
        read_ledger(tmp_path / "ledger.pdf")
    (tmp_path / "latin.csv").write_bytes("mã đề án".encode("utf-16"))
    with pytest.raises(LedgerError, match="is not UTF-8"):
        read_ledger(tmp_path / "latin.csv")
    book = Workbook()
    book.create_sheet("khác")
    book.save(tmp_path / "sheets.xlsx")
    with pytest.raises(LedgerError, match='no sheet "projects" or "đề án"; it has') as caught:
        read_ledger(tmp_path / "sheets.xlsx")
    assert 'không có trang tính "đề án" hoặc "projects"; chỉ có Sheet, khác.' in caught.value.vi
    pd.DataFrame({"a": [1], "b": [2]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(LedgerError, match="no row of headers among its first 15 rows") as caught:
        read_ledger(tmp_path / "other.csv")
    assert "không có dòng tiêu đề trong 15 dòng đầu" in caught.value.vi
    incomplete = pd.DataFrame([CLEAN]).drop(columns="status")
    assert "column_missing" in Ledger.from_frames(incomplete).findings.rules


def workbook_of(path, *rows, sheets=("projects",)):
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for title in sheets:
        sheet = book.create_sheet(title)
        sheet.append(list(CLEAN))
        for row in rows:
            sheet.append(list((CLEAN | row).values()))
    book.save(path)
    return path


def test_errors_and_formulas_without_result_do_not_pass_as_empty_cells(tmp_path):
    rows = ({"ceiling": "#REF!"}, {"project_id": "A2", "ceiling": "=300000000*1"})
    findings = read_ledger(workbook_of(tmp_path / "broken.xlsx", *rows)).findings
    assert findings.rules == {"cell_broken"}
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[list(CLEAN).index("ceiling")]
    assert [f.where for f in findings] == [f"projects!{letter}2", f"projects!{letter}3"]
    assert "holds #REF! and reads as empty" in findings.items[0].text("en")
    assert "=300000000*1" in findings.items[1].text("vi")


def test_an_unquoted_decimal_comma_does_not_move_cells_in_silence(tmp_path):
    names = ["project_id", "beneficiary_id", "province", "province_vintage", "content_code",
             "code_list", "source", "status", "approval_date", "disbursement_date",
             "acceptance_date", "disbursed_support"]  # fmt: skip
    head = ",".join([*names[:-1], "disbursed support (million VND)"])
    row = ",".join(str(CLEAN[name]) for name in names[:-1])
    file = tmp_path / "ledger.csv"
    file.write_text(f"{head}\n{row},300,5\n", encoding="utf-8")
    (finding,) = read_ledger(file).findings
    assert (finding.rule, finding.where) == ("row_too_long", "ledger.csv 2")
    assert "13 cells and the headers 12" in finding.text()
    file.write_text(f'{head}\n{row},"300,5"\n', encoding="utf-8")
    quoted = read_ledger(file)
    assert not len(quoted.findings)
    assert quoted.projects["disbursed_support"].to_list() == [300_500_000]
    file.write_text(f"{head}\n{row},300,5\n".replace(",", ";").replace("300;5", "300,5"), "utf-8")
    assert read_ledger(file).projects["disbursed_support"].to_list() == [300_500_000]


def test_sheets_that_are_not_read_are_named_and_two_of_one_kind_refused(tmp_path):
    ledger = read_ledger(workbook_of(tmp_path / "a.xlsx", {}, sheets=("Đề án", "2022")))
    assert [(f.rule, f.where) for f in ledger.findings] == [("sheet_unused", "2022")]
    with pytest.raises(LedgerError, match='two sheets of projects, "projects" and "Đề án"'):
        read_ledger(workbook_of(tmp_path / "b.xlsx", {}, sheets=("projects", "Đề án")))
    with pytest.raises(LedgerError, match='"projects" has headers and no projects below them'):
        read_ledger(workbook_of(tmp_path / "c.xlsx"))


@pytest.mark.parametrize(
    ("name", "written", "words"),
    [
        ("a.dta", b"abc", "cannot be read as a Stata file"),
        ("a.parquet", b"abc", "cannot be read as a Parquet file"),
        ("a.csv", b"project_id,status\r\na\rb\x00,c\n", "cannot be read as CSV|no row of headers"),
        ("a.xlsx", b"", "cannot be opened as an Excel workbook"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, name, written, words):
    (tmp_path / name).write_bytes(written)
    with pytest.raises(LedgerError, match=words):
        read_ledger(tmp_path / name)


def test_mixed_units_in_one_column_are_found_where_they_stand(tmp_path):
    rows = [
        {"planned_support": None, "ceiling": None, "project_id": f"A{k}", "beneficiary_id": str(k),
         "beneficiary_name": f"Cơ sở số {k}", "disbursed_support": amount,
         "national_support": None, "counterpart": None, "total_cost": None, "eligible_cost": None,
         "item": "other"}
        for k, amount in enumerate(["300 triệu", 300, 900_000, 0.3, "0,3 tỷ", 300 * MILLION])
    ]  # fmt: skip
    ledger = read_ledger(workbook_of(tmp_path / "units.xlsx", *rows))
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[list(CLEAN).index("disbursed_support")]
    about = [(f.rule, f.where) for f in ledger.findings if f.rule != "status_contradiction"]
    assert about == [
        ("unit_thousandfold", f"projects!{letter}3"),
        ("unit_thousandfold", f"projects!{letter}4"),
        ("amount_unreadable", f"projects!{letter}5"),
    ]
    read = ledger.projects["disbursed_support"]
    assert (read.iloc[[0, 4, 5]] == 300 * MILLION).all()


# From projects to treatment


def outcomes(units=("100", "101", "102", "103"), years=range(2015, 2023), **columns):
    frame = pd.DataFrame([(unit, year) for unit in units for year in years], columns=["id", "year"])
    return frame.assign(eligible=True, **columns)


def assigned(*changes, frame=None, **rules):
    return assign(
        ledger_of(*changes),
        outcomes() if frame is None else frame,
        unit="id",
        time="year",
        eligible="eligible",
        rules=AssignmentRules(**rules),
        accept=["status_contradiction"],
    )


def test_onset_follows_the_date_chosen():
    late = {"approval_date": "20/11/2018", "contract_date": "10/01/2019",
            "disbursement_date": "05/12/2019", "acceptance_date": "03/02/2020",
            "settlement_date": None}  # fmt: skip
    years = {
        onset: assigned(late, onset=onset).frame["cohort"].dropna().unique().tolist()
        for onset in ("approval", "contract", "first_disbursement", "acceptance")
    }
    assert years == {
        "approval": [2018.0],
        "contract": [2019.0],
        "first_disbursement": [2019.0],
        "acceptance": [2020.0],
    }
    assert assigned(late, onset="acceptance").anticipation == 2
    assert assigned({}).anticipation == 0


def test_dose_flows_stocks_refunds_and_real_values():
    second = {"project_id": "A2", "approval_date": "10/01/2021", "contract_date": "10/02/2021",
              "disbursement_date": "10/03/2021", "acceptance_date": "10/08/2021",
              "settlement_date": None, "code_list": "qd1881_2020", "content_code": "1",
              "status": "returned", "returned_amount": 100 * MILLION}  # fmt: skip
    result = assigned({}, second, price_base=2020)
    unit = result.frame[result.frame["id"] == "100"].set_index("year")
    assert unit["support"].to_dict() == {
        **dict.fromkeys(range(2015, 2023), 0.0), 2019: 300e6, 2021: 200e6,
    }  # fmt: skip
    assert unit["support_stock"].loc[[2018, 2019, 2020, 2021]].to_list() == [0, 300e6, 300e6, 500e6]
    assert unit["support_real_2020"][2019] == pytest.approx(300e6 * 100 / 96.8796)
    assert unit["support_stock_real_2020"][2022] == pytest.approx(
        300e6 * 100 / 96.8796 + 200e6 * 100 / 101.8347
    )
    assert (unit["cohort"] == 2019).all()
    assert assigned({}, second, repeated="drop").frame["cohort"].isna().all()


AFTER_THE_INDEX = {
    "project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Cơ sở Hoa Sen",
    "approval_date": "10/01/2025", "contract_date": "10/02/2025", "disbursement_date": "10/03/2025",
    "acceptance_date": "10/05/2025", "settlement_date": None, "code_list": "qd1881_2020",
    "content_code": "1",
}  # fmt: skip


def test_projects_after_the_panel_need_no_prices():
    with pytest.raises(PriceError, match="2025 is outside"):
        consumer_prices().factors([2025], 2020)
    result = assigned({}, AFTER_THE_INDEX, price_base=2020, after_panel="comparison")
    later = result.frame[result.frame["id"] == "101"]
    assert (later["arm"] == "eligible").all()
    assert (later["support_stock_real_2020"] == 0).all()
    again = AFTER_THE_INDEX | {
        "beneficiary_id": "100",
        "beneficiary_name": CLEAN["beneficiary_name"],
    }
    stock = assigned({}, again, price_base=2020).frame.query("id == '100'")["support_stock"]
    assert stock.max() == 300e6
    table = exposure(
        ledger_of({}, AFTER_THE_INDEX), by="district", places=["Ân Thi"], years=[2019, 2022],
        price_base=2020,
    )  # fmt: skip
    assert table["support_stock_real_2020"].to_list() == [pytest.approx(300e6 * 100 / 96.8796)] * 2


def test_codes_that_lost_their_zeros_are_refused():
    zeros = {"beneficiary_id": "0100"}
    numbers = outcomes(units=(100, 101, 102, 103))
    second = AFTER_THE_INDEX | {"project_id": "A3"}
    with pytest.raises(LedgerError, match="1 code .* leading zeros alone, first 0100 and 100; "):
        assigned(zeros, second, frame=numbers, after_panel="drop")
    both = outcomes(units=("0100", "100", "101"))
    assert set(assigned(zeros, frame=both).frame.query("arm == 'treated'")["id"]) == {"0100"}


def test_stock_counts_projects_of_years_without_a_row():
    frame = outcomes().query("not (id == '100' and year == 2019)")
    unit = assigned({}, frame=frame).frame.query("id == '100'").set_index("year")
    assert unit["support_stock"][2020] == 300e6
    assert unit["support"].sum() == 0


def never_ran(number, status):
    unpaid = dict.fromkeys(
        ("contract_date", "disbursement_date", "acceptance_date", "settlement_date")
    )
    zero = dict.fromkeys(("disbursed_support", "national_support", "returned_amount"), 0)
    return {"project_id": f"N{number}", "beneficiary_id": str(number), "status": status,
            "beneficiary_name": f"Cơ sở số {number}", "counterpart": None, "total_cost": None,
            **unpaid, **zero}  # fmt: skip


def test_arms_of_rejected_cancelled_and_unknown_units():
    changes = ({}, never_ran(101, "rejected"), never_ran(102, "cancelled"))
    result = assigned(*changes)
    arms = result.frame.groupby("id")["arm"].first().to_dict()
    assert arms == {"100": "treated", "101": "rejected", "103": "eligible"}
    placebo = result.placebo.groupby("id")["arm"].first().to_dict()
    assert placebo == {"101": "rejected", "102": "placebo", "103": "eligible"}
    assert result.placebo.query("id == '102'")["placebo_cohort"].unique() == [2019]
    assert set(assigned(*changes, rejected="drop").frame["id"]) == {"100", "103"}
    assert "placebo" not in set(assigned(*changes, cancelled="drop").placebo["arm"])


def test_comparison_units_are_eligible_by_statement_only():
    frame = outcomes().assign(eligible=lambda f: f["id"] != "103")
    assert set(assigned({}, frame=frame).frame["id"]) == {"100", "101", "102"}


def test_other_contents_are_not_comparison_units():
    training = {"project_id": "A2", "beneficiary_id": "101", "content_code": "1", "item": "other",
                "beneficiary_name": "Cơ sở may Hoa Sen"}  # fmt: skip
    result = assigned({}, training, contents=("technology",))
    assert set(result.frame["id"]) == {"100", "102", "103"}
    assert result.waterfall.set_index("step").loc["other content", "projects"] == -1


def test_units_that_cannot_be_dated_within_the_panel():
    early = outcomes(years=range(2019, 2023))
    result = assigned({}, frame=early)
    assert set(result.frame["id"]) == {"101", "102", "103"}
    assert result.waterfall["step"].to_list() == [
        "in the ledger, net of refunds", "no period before treatment", "treatment",
    ]  # fmt: skip
    one_before = outcomes(years=range(2018, 2023))
    assert "100" in set(assigned({}, frame=one_before).frame["id"])
    assert "100" not in set(assigned({}, frame=one_before, anticipation=1).frame["id"])
    short = outcomes(years=range(2015, 2019))
    with pytest.raises(
        LedgerError, match=r"1 unit begins after the last period \(2018\), first 10"
    ):
        assigned({}, frame=short)
    assert "100" not in set(assigned({}, frame=short, after_panel="drop").frame["id"])
    kept = assigned({}, frame=short, after_panel="comparison").frame.query("id == '100'")
    assert kept["cohort"].isna().all()
    assert (kept["arm"] == "eligible").all()


def test_missing_onset_is_refused_or_dropped():
    with pytest.raises(LedgerError, match="1 project ran without a date of first disbursement"):
        assigned({"disbursement_date": None})
    dropped = assigned({"disbursement_date": None}, missing_onset="drop")
    assert "100" not in set(dropped.frame["id"])


def test_waterfall_accounts_for_every_project_and_every_dong():
    programme = simulate_programme(3, n_establishments=5_000, approvals=20)
    ledger = Ledger.from_frames(programme.projects)
    table = programme.establishments.assign(eligible=True)
    rules = AssignmentRules(contents=("technology",), after_panel="drop", price_base=2020)
    result = assign(
        ledger, table, unit="establishment", time="year", eligible="eligible", rules=rules
    )
    for column in ("projects", "support"):
        flow = result.waterfall[column]
        assert flow.iloc[0] + flow.iloc[1:-1].sum() == flow.iloc[-1]
    treated = result.frame[result.frame["arm"] == "treated"]
    assert treated["support"].sum() == result.waterfall["support"].iloc[-1]
    assert treated["establishment"].nunique() == result.waterfall["units"].iloc[-1]


def test_assignment_recovers_the_simulated_cohorts():
    programme = simulate_programme(4, n_establishments=5_000, approvals=20)
    result = assign(
        Ledger.from_frames(programme.projects),
        programme.establishments.assign(eligible=True),
        unit="establishment",
        time="year",
        eligible="eligible",
        rules=AssignmentRules(onset="acceptance", returned="drop", after_panel="drop"),
    )
    found = result.frame.dropna(subset=["cohort"]).groupby("establishment")["cohort"].first()
    true = programme.effects.groupby("establishment")["cohort"].first()
    assert found.astype(int).to_dict() == true[true <= 2024].to_dict()
    assert result.panel().n_periods == 13


def test_renamed_units_follow_the_map():
    renamed = assign(
        ledger_of({"beneficiary_id": "7"}), outcomes(), unit="id", time="year",
        eligible="eligible", same_unit={"7": "102"},
    )  # fmt: skip
    assert renamed.frame.dropna(subset=["cohort"])["id"].unique().tolist() == ["102"]
    with pytest.raises(LedgerError, match='"id" still holds 101, which same_unit maps to other'):
        assign(ledger_of({"beneficiary_id": "101"}), outcomes(), unit="id", time="year",
               eligible="eligible", same_unit={"101": "102"})  # fmt: skip


def test_refusals_of_assignment():
    with pytest.raises(LedgerError, match=r'no "beneficiary_id" of the ledger \(555\) is found'):
        assigned({"beneficiary_id": "555"})
    with pytest.raises(LedgerError, match="has no column eligible"):
        assigned({}, frame=outcomes().drop(columns="eligible"))
    with pytest.raises(LedgerError, match="already has cohort"):
        assigned({}, frame=outcomes(cohort=np.nan))
    with pytest.raises(LedgerError, match="eligibility is true or false"):
        assigned({}, frame=outcomes().assign(eligible=1))
    with pytest.raises(LedgerError, match=r"onset may be 'approval'.*'aproval'.*Did you mean"):
        AssignmentRules(onset="aproval")
    with pytest.raises(LedgerError, match="amount_negative 1"):
        assigned({"counterpart": -5 * MILLION, "total_cost": None})


def test_refusals_of_outcome_tables():
    with pytest.raises(PanelError, match="unit and time do not identify rows"):
        assigned({}, frame=pd.concat([outcomes(), outcomes()]))
    with pytest.raises(PanelError, match='time column "year" holds dates'):
        assigned({}, frame=outcomes().assign(year=pd.Timestamp(2019, 1, 1)))
    unknown = outcomes().astype({"eligible": "boolean"})
    unknown.loc[unknown["id"] == "103", "eligible"] = pd.NA
    with pytest.raises(LedgerError, match='"eligible" is missing in 8 rows of units 103'):
        assigned({}, frame=unknown)
    known = assigned({}, frame=outcomes().astype({"eligible": "boolean"}))
    assert set(known.frame["id"]) == {"100", "101", "102", "103"}


def test_refusals_of_rules():
    with pytest.raises(LedgerError, match='contents may be .*Did you mean "technology"'):
        AssignmentRules(contents=("technolgy",))
    with pytest.raises(LedgerError, match=r"anticipation counts whole periods.*it was -1"):
        AssignmentRules(anticipation=-1)
    assert AssignmentRules(contents="training") == AssignmentRules(contents=("training",))
    printed = AssignmentRules(contents=["training", "technology"], price_base=2020).table()
    assert printed["contents"] == "training, technology"
    assert printed["anticipation"] == "0"
    assert printed["price_base"] == "2020"
    assert AssignmentRules().table()["contents"] == "all"


def test_every_rule_and_setting_is_printed_in_two_languages():
    from impact.ledger.rules import RULE_LABELS, SETTING_LABELS

    assert set(RULE_LABELS) == set(AssignmentRules().table())
    spelled = AssignmentRules(onset="acceptance", returned="drop", price_base=2021).spelled()
    assert spelled[0] == (RULE_LABELS["onset"], SETTING_LABELS["acceptance"])
    assert {rule.en: setting.vi for rule, setting in spelled}["money paid back"] == "loại ra"
    assert ("prices of", "2021") in {(rule.en, setting.en) for rule, setting in spelled}
    assert all(text.en and text.vi for pair in spelled for text in pair)


def test_an_advance_makes_a_cancelled_project_no_placebo():
    advanced = {"status": "cancelled", "returned_amount": 300 * MILLION}
    assert assigned(advanced).frame.query("id == '100'")["cohort"].unique() == [2019]
    kept = never_ran(100, "cancelled")
    assert "100" not in set(assigned({"beneficiary_id": "101"}, kept).frame["id"])


def test_codes_changed_twice_are_followed_and_circles_refused():
    def cohorts(same_unit):
        frame = assign(
            ledger_of({"beneficiary_id": "7"}, {"project_id": "A2", "beneficiary_id": "101",
                      "beneficiary_name": "Cơ sở Hoa Sen"}), outcomes(),
            unit="id", time="year", eligible="eligible", same_unit=same_unit,
        ).frame  # fmt: skip
        return set(frame.dropna(subset=["cohort"])["id"])

    assert cohorts({"7": "8", "8": "102"}) == {"101", "102"}
    with pytest.raises(LedgerError, match="same_unit leads 7 to 8 to 7, round in a circle"):
        cohorts({"7": "8", "8": "7"})


def test_projects_since_july_2025_have_no_district_and_are_refused_with_a_remedy():
    later = {"project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Cơ sở Hoa Sen",
             "district": None, "commune": "Ân Thi", "province_vintage": 34,
             "approval_date": "01/08/2025", "contract_date": None,
             "disbursement_date": "01/09/2025", "acceptance_date": None, "settlement_date": None,
             "status": "in_progress", "code_list": "qd1881_2020", "content_code": "1"}  # fmt: skip
    words = r"1 paid project without district, first in rows 3.*Districts ended on 30 June 2025"
    with pytest.raises(LedgerError, match=words):
        assign(
            ledger_of({}, later), outcomes(units=("Ân Thi",)), unit="id", time="year",
            eligible="eligible", rules=AssignmentRules(unit="district", after_panel="drop"),
        )  # fmt: skip
    with pytest.raises(LedgerError, match='fill the column "former district"'):
        exposure(
            ledger_of({}, later), by="district", places=["Ân Thi"], years=[2019], price_base=2020
        )


def test_projects_outside_craft_villages_count_in_none():
    outside = {"project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Cơ sở Hoa Sen"}
    ledger = ledger_of({"village": "Làng nghề Nôm"}, outside)
    table = exposure(ledger, by="village", places=["Làng nghề Nôm"], years=[2019], price_base=2019)
    assert table["support"].to_list() == [300e6]
    result = assign(
        ledger, outcomes(units=("Làng nghề Nôm", "Làng nghề Chạm")), unit="id", time="year",
        eligible="eligible", rules=AssignmentRules(unit="village"),
    )  # fmt: skip
    assert result.frame.groupby("id")["arm"].first().to_dict() == {
        "Làng nghề Nôm": "treated", "Làng nghề Chạm": "eligible",
    }  # fmt: skip
    assert "no unit named" in set(result.waterfall["step"])
    assert repr(result) == (
        "Assignment(1 treated, 0 rejected, 1 eligible; onset first_disbursement, 300,000,000 of "
        "600,000,000 dong in treatment)"
    )


def test_exposure_sums_projects_of_a_place_by_hand():
    second = {"project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Cơ sở Hoa Sen",
              "approval_date": "10/01/2020", "contract_date": "10/02/2020",
              "disbursement_date": "10/03/2020", "acceptance_date": "10/08/2020",
              "settlement_date": None}  # fmt: skip
    table = exposure(
        ledger_of({}, second), by="district", places=["Ân Thi", "Văn Lâm"], years=range(2020, 2022),
        price_base=2020, per={"Ân Thi": 1000.0, "Văn Lâm": 500.0},
    )  # fmt: skip
    first = 300e6 * 100 / 96.8796
    assert table["district"].to_list() == ["Ân Thi", "Ân Thi", "Văn Lâm", "Văn Lâm"]
    assert table["projects"].to_list() == [1, 0, 0, 0]
    assert table["support"].to_list() == [300e6, 0, 0, 0]
    np.testing.assert_allclose(
        table["support_stock_real_2020"], [first + 300e6, first + 300e6, 0, 0], rtol=1e-12
    )
    np.testing.assert_allclose(
        table["support_stock_real_2020_per"], [(first + 300e6) / 1000] * 2 + [0, 0], rtol=1e-12
    )


def test_refusals_of_exposure():
    known = {"by": "district", "years": [2019], "price_base": 2020}
    with pytest.raises(LedgerError, match=r'1 place of the ledger\'s "district" is not among'):
        exposure(ledger_of(), places=["Văn Lâm"], **known)
    with pytest.raises(LedgerError, match="1 paid project without district, first in rows 2"):
        exposure(ledger_of({"district": None}), places=["Ân Thi"], **known)
    with pytest.raises(LedgerError, match="1 paid project without disbursement_date"):
        exposure(ledger_of({"disbursement_date": None}), places=["Ân Thi"], **known)
    with pytest.raises(LedgerError, match="by may be 'commune', .*Did you mean \"district\""):
        exposure(ledger_of(), places=["Ân Thi"], **(known | {"by": "distric"}))
    with pytest.raises(LedgerError, match="places names Ân Thi more than once"):
        exposure(ledger_of(), places=["Ân Thi", "Ân Thi"], **known)
    with pytest.raises(LedgerError, match="years is empty"):
        exposure(ledger_of(), places=["Ân Thi"], **(known | {"years": []}))
    with pytest.raises(LedgerError, match="Văn Lâm has no positive denominator"):
        exposure(ledger_of(), places=["Ân Thi", "Văn Lâm"], per={"Ân Thi": 5.0}, **known)


def test_units_stated_in_headers_and_above_the_table(tmp_path):
    from openpyxl import Workbook

    def workbook(title, header, amount):
        book = Workbook()
        sheet = book.active
        sheet.append([title])
        names = [name for name in CLEAN if name != "disbursed_support"]
        wanted = [name for name in names if not name.endswith(("support", "cost"))]
        wanted = [name for name in wanted if name not in ("counterpart", "ceiling")]
        sheet.append([*wanted, header])
        sheet.append([*(CLEAN[name] for name in wanted), amount])
        book.save(tmp_path / "units.xlsx")
        return read_ledger(tmp_path / "units.xlsx")

    for title, header, amount in [
        ("Đơn vị tính: triệu đồng", "Kinh phí hỗ trợ", 300),
        ("(ĐVT: triệu đồng)", "Kinh phí hỗ trợ", 300),
        ("Sổ theo dõi", "Kinh phí hỗ trợ (triệu đồng)", 300),
        ("Unit: million VND", "Kinh phí hỗ trợ (tỷ đồng)", 0.3),
        ("Sổ theo dõi", "Kinh phí hỗ trợ", 300 * MILLION),
    ]:
        ledger = workbook(title, header, amount)
        assert not len(ledger.findings), ledger.findings.table().to_string()
        assert ledger.projects["disbursed_support"].to_list() == [300 * MILLION]
    foreign = workbook("Sổ theo dõi", "Kinh phí hỗ trợ (nghìn USD)", 300 * MILLION)
    assert foreign.findings.rules == {"unit_unknown"}
    assert "unit_thousandfold" in workbook("Sổ", "Kinh phí hỗ trợ", 300).findings.rules


def test_places_that_are_not_distinct_are_never_added_up():
    known = {"years": [2019], "price_base": 2020}
    elsewhere = {"project_id": "A2", "beneficiary_id": "101", "beneficiary_name": "Cơ sở Hoa Sen",
                 "province": "Thái Bình"}  # fmt: skip
    with pytest.raises(LedgerError, match="1 name of a district stands in several provinces"):
        exposure(ledger_of({}, elsewhere), by="district", places=["Ân Thi"], **known)
    with pytest.raises(LedgerError, match="several provinces, first Ân Thi"):
        assign(
            ledger_of({}, elsewhere), outcomes(units=("Ân Thi",)), unit="id", time="year",
            eligible="eligible", rules=AssignmentRules(unit="district"),
        )  # fmt: skip
    later = {"project_id": "A2", "province_vintage": 34, "approval_date": "01/08/2025",
             "contract_date": None, "disbursement_date": "01/09/2025", "acceptance_date": None,
             "settlement_date": None, "status": "in_progress", "code_list": "qd1881_2020",
             "content_code": "1"}  # fmt: skip
    with pytest.raises(LedgerError, match=r"both vintages \(63 and 34\)"):
        exposure(ledger_of({}, later), by="province_code", places=["33"], **known)


def test_dose_per_worker_of_the_first_period_by_hand():
    frame = outcomes().assign(workers=lambda f: 10.0 + f["year"] - 2015)
    shuffled = frame.sample(frac=1, random_state=1)
    result = assigned({}, frame=shuffled, per="workers")
    unit = result.frame.query("id == '100'").set_index("year").sort_index()
    assert unit["support_stock_per_workers"].to_dict() == {
        year: 300e6 / 10 if year >= 2019 else 0.0 for year in range(2015, 2023)
    }
    with pytest.raises(LedgerError, match='no column "worker" to divide the dose by. Did you mean'):
        assigned({}, frame=frame, per="worker")
    with pytest.raises(LedgerError, match="not positive in the first period of 4 units"):
        assigned({}, frame=frame.assign(workers=0.0), per="workers")


def test_the_order_of_rows_changes_nothing():
    programme = simulate_programme(5, n_establishments=4_000, approvals=15)
    table = programme.establishments.assign(eligible=True)
    settings = {"unit": "establishment", "time": "year", "eligible": "eligible",
                "rules": AssignmentRules(price_base=2020, per="workers")}  # fmt: skip
    one = assign(Ledger.from_frames(programme.projects), table, **settings)
    other = assign(
        Ledger.from_frames(programme.projects.sample(frac=1, random_state=2)),
        table.sample(frac=1, random_state=3),
        **settings,
    )
    keys = ["establishment", "year"]
    pd.testing.assert_frame_equal(
        one.frame.sort_values(keys, ignore_index=True),
        other.frame.sort_values(keys, ignore_index=True),
    )
    pd.testing.assert_frame_equal(one.waterfall, other.waterfall)
