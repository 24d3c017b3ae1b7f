"""Printed figures: exact arithmetic, honest bounds, windows never counted twice."""

import unicodedata
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impact.errors import LedgerError
from impact.published import (
    INDICATORS,
    MEASURES,
    Figure,
    PublishedFigures,
    Quantity,
    Window,
    account,
    account_table,
    accounts,
    check_figures,
    draw_money_per_project,
    draw_windows,
    findings_table,
    read_published_figures,
    shown,
)

DATA = Path(__file__).parents[1] / "data" / "published_figures.csv"
LAI_CHAU = Window(2021, 2025)
CAO_BANG = Window(2012, 2022)
HUNG_YEN = Window(2021, 2021)
BILLION, MILLION = 10**9, 10**6


@pytest.fixture(scope="module")
def published() -> PublishedFigures:
    return read_published_figures(DATA)


def figure(
    fact_id: str,
    value: int,
    *,
    start: int | None = 2021,
    end: int | None = 2025,
    bound: str = "exact",
    province: str = "Lai Châu",
    indicator: str = "projects_implemented",
    funding: str = "all",
    unit: str = "projects",
    last_digit: int = 1,
    **links: str,
) -> Figure:
    amount = Quantity.printed(value, unit, bound, last_digit)
    return Figure(fact_id, province, Window(start, end), indicator, funding, amount, **links)


def of(value: int, bound: str = "exact", unit: str = "VND") -> Quantity:
    return Quantity.printed(value, unit, bound)


@pytest.mark.parametrize(
    ("first", "second", "added", "subtracted", "divided"),
    [
        ("exact", "exact", "exact", "exact", "exact"),
        ("at_least", "exact", "at_least", "at_least", "at_least"),
        ("exact", "at_least", "at_least", "at_most", "at_most"),
        ("at_least", "at_least", "at_least", "indicative", "indicative"),
        ("at_most", "exact", "at_most", "at_most", "at_most"),
        ("exact", "at_most", "at_most", "at_least", "at_least"),
        ("at_most", "at_least", "indicative", "at_most", "at_most"),
        ("at_least", "at_most", "indicative", "at_least", "at_least"),
        ("at_most", "at_most", "at_most", "indicative", "indicative"),
        ("about", "exact", "about", "about", "about"),
        ("exact", "about", "about", "about", "about"),
        ("about", "about", "about", "about", "about"),
        ("about", "at_least", "indicative", "indicative", "indicative"),
        ("at_most", "about", "indicative", "indicative", "indicative"),
    ],
)
def test_each_operation_keeps_only_the_bound_it_can(first, second, added, subtracted, divided):
    a, b = of(9, first), of(4, second)
    assert (a + b).bound == added
    assert (a - b).bound == subtracted
    assert (a / b).bound == divided


SURE = st.sampled_from(["exact", "at_least", "at_most"])


@given(
    printed=st.lists(st.integers(1, 10**13), min_size=2, max_size=2),
    bounds=st.lists(SURE, min_size=2, max_size=2),
    shares=st.lists(st.fractions(0, 1), min_size=2, max_size=2),
)
def test_no_truth_behind_the_operands_escapes_the_bound_and_span_of_the_result(
    printed, bounds, shares
):
    larger, smaller = sorted(printed, reverse=True)
    operands, truths = [], []
    for value, bound, share in zip((larger, smaller), bounds, shares, strict=True):
        operand = Quantity.printed(value, "VND", bound, last_digit=1)
        low, high = operand.span
        operands.append(operand)
        truths.append(low + share * (high - low))
    (a, b), (x, y) = operands, truths
    results = [(a + b, x + y), (a - b, x - y)]
    if y > 0:
        results.append((a / b, x / y))
    for result, truth in results:
        assert result.bound != "at_least" or truth >= result.value
        assert result.bound != "at_most" or truth <= result.value
        assert result.bound != "exact" or truth == result.value
        if result.span:
            assert result.span[0] <= max(truth, 0) <= result.span[1]


def test_arithmetic_is_exact_where_floats_are_not():
    third = Quantity.printed(1, "VND") / Quantity.printed(3, "projects")
    assert third.value == Fraction(1, 3)
    assert third.unit == "VND/project"
    assert (third + third + third).value == 1
    large = Quantity.printed(10**17 + 1, "VND") - Quantity.printed(10**17, "VND")
    assert large.value == 1


def test_a_ratio_of_one_unit_is_a_plain_ratio_and_can_be_written_in_percent():
    share = of(3) / of(4)
    assert share.unit == "ratio"
    assert share.in_percent() == Quantity(75, "percent", "exact", (75, 75))


@pytest.mark.parametrize(
    ("bound", "expected"),
    [("at_least", 969), ("at_most", 970), ("exact", 970), ("indicative", 970), ("about", 970)],
)
def test_rounding_never_claims_more_than_is_known(bound, expected):
    span = (Fraction(9690), Fraction(9799))
    rounded = Quantity(Fraction(96_970, 10), "VND", bound, span).rounded(10)
    assert rounded == Quantity(10 * expected, "VND", bound, (9690, 9800))


def test_what_a_report_prints_claims_no_more_than_the_bound(published):
    entry = account(published, "Cao Bằng", CAO_BANG, "counterpart_per_project")
    assert shown(entry.quantity) == {
        "value": 969_600_000,
        "unit": "VND/project",
        "bound": "at_least",
        "low": 969.6 * MILLION,
        "high": 979.8 * MILLION,
        "decimals": 1,
    }
    share = shown(account(published, "Lai Châu", LAI_CHAU, "national_share_of_support").quantity)
    assert (share["value"], share["bound"]) == (66, "at_most")
    assert (share["low"], share["high"]) == (63.5, 67.1)
    leverage = shown(account(published, "Lai Châu", LAI_CHAU, "leverage").quantity)
    assert (leverage["value"], leverage["bound"]) == (41 / 47, "about")
    assert (leverage["low"], leverage["high"]) == (0.85, 0.9)


def test_a_count_has_no_range_and_units_without_a_word_get_one(published):
    projects = shown(published["F002"].quantity)
    assert (projects["value"], projects["low"], projects["high"]) == (30, None, None)
    assert shown(published["F036"].quantity)["unit"]["vi"] == "lượt sản phẩm"
    assert shown(published["F043"].quantity)["low"] is None


def test_the_last_printed_digit_gives_a_span():
    assert Quantity.printed(47 * 10**8, "VND", "at_least", 10**8).span == (47 * 10**8, 48 * 10**8)
    assert Quantity.printed(31 * 10**8, "VND", "exact", 10**8).span == (305 * 10**7, 315 * 10**7)
    assert Quantity.printed(30, "projects").span == (30, 30)
    assert Quantity.printed(17_000, "establishments", "about").span is None


def test_quantities_print_their_qualifier():
    assert str(of(4_700_000_000, "at_least")) == ">4,700,000,000 VND"
    assert str(of(17_000, "about", "establishments")) == "~17,000 establishments"
    assert str(of(1, "at_least") / of(3, "at_least")) == "?0.333333 ratio"
    assert str(of(4_700_000_000, "at_least") / of(30)) == ">156,666,000 ratio"
    assert str(of(31) / of(47, "at_least")) == "<0.659575 ratio"


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: Quantity(4.7e9, "VND"), "exact number; it was 4700000000.0 of type float"),
        (lambda: Quantity(True, "VND"), "type bool"),
        (lambda: Quantity(-1, "VND"), "zero or more; it was -1"),
        (lambda: of(1) - of(2), "zero or more; it was -1"),
        (lambda: Quantity(1, "VND", "at_leest"), 'Did you mean "at_least"'),
        (lambda: Quantity(5, "VND", "exact", (1, 4)), "5 VND is outside 1 to 4"),
        (lambda: of(1) + of(1, unit="projects"), "the units differ"),
        (lambda: of(1) - of(1, unit="projects"), "cannot be compared with"),
        (lambda: of(1).rounded(0), "place is above zero; it was 0"),
        (lambda: of(1) / of(0), "a ratio to nothing"),
    ],
)
def test_quantities_refuse(attempt, words):
    with pytest.raises(LedgerError, match=words):
        attempt()


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        (Window(2012, 2022), Window(2023, 2023), False),
        (Window(2015, 2020), Window(2020, 2025), True),
        (Window(2021, None), Window(2021, 2025), True),
        (Window(2021, None), Window(2012, 2020), False),
        (Window(2012, 2022), Window(2021, None), True),
        (Window(2021, None), Window(2030, 2030), True),
        (Window(None, None), Window(1990, 1990), True),
    ],
)
def test_windows_overlap_when_a_year_may_count_in_both(first, second, overlap):
    assert first.overlaps(second) is overlap
    assert second.overlaps(first) is overlap


def test_windows_print_as_years():
    assert [str(w) for w in (LAI_CHAU, HUNG_YEN, Window(2021, None), Window(None, None))] == [
        "2021–2025",
        "2021",
        "2021–",
        "undated",
    ]


def test_parts_of_one_window_and_disjoint_windows_are_added(published):
    national, local = published["F006"], published["F008"]
    support = published.add([national, local])
    assert (support.value, support.bound) == (4_700_000_000, "at_least")
    assert published.add([published["F056"], published["F057"]]).value == 99
    later = PublishedFigures((figure("A", 5, start=2012, end=2020), figure("B", 6)))
    assert later.add(later.figures) == Quantity.printed(11, "projects")


def test_provinces_are_added_only_over_the_same_years():
    same = PublishedFigures((figure("A", 5), figure("B", 6, province="Cao Bằng")))
    assert same.add(same.figures).value == 11


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("F002", "F030"), "the window of one is nested"),
        (("F003", "F031"), "the window of one is nested"),
        (("F002", "F019"), "one figure, printed twice"),
        (("F002", "F005"), "one is a part of the other"),
        (("F019", "F005"), "one is a part of the other"),
        (("F019", "F030"), "the window of one is nested"),
        (("F003", "F004"), "they measure different things"),
        (("F002", "F054"), "different provinces in different years"),
        (("F002", "F002"), "one figure, printed twice"),
    ],
)
def test_figures_that_share_what_they_count_are_never_added(published, ids, words):
    with pytest.raises(LedgerError, match=f"{ids[0]} .* and {ids[1]} .*{words}"):
        published.add([published[name] for name in ids])


def test_overlapping_windows_are_never_added_even_when_unmarked():
    pair = PublishedFigures((figure("A", 5, start=2015, end=2020), figure("B", 6, start=2020)))
    with pytest.raises(LedgerError, match="their windows overlap"):
        pair.add(pair.figures)
    sources = PublishedFigures(
        (figure("A", 5, funding="national"), figure("B", 6, funding="local", end=2024))
    )
    with pytest.raises(LedgerError, match="they cover different years"):
        sources.add(sources.figures)
    with pytest.raises(LedgerError, match="at least one figure"):
        pair.add([])


def test_the_increment_between_nested_windows_keeps_the_bound_it_can(published):
    projects = published.increment(published["F002"], published["F030"])
    support = published.increment(published["F003"], published["F031"])
    assert projects == Quantity.printed(9, "projects")
    assert (support.value, support.bound) == (1_200_000_000, "indicative")
    assert support.span == (1_100_000_000, 1_300_000_000)
    with pytest.raises(LedgerError, match="not marked as nested"):
        published.increment(published["F002"], published["F005"])


def test_ratios_stay_within_a_province_and_window(published):
    with pytest.raises(LedgerError, match="different provinces or years"):
        published.ratio(published["F003"], published["F030"])
    with pytest.raises(LedgerError, match="different provinces or years"):
        published.ratio(published["F055"], published["F002"])


PRINTED_ACCOUNTS = {
    ("Lai Châu", LAI_CHAU, "projects"): (30, "exact"),
    ("Lai Châu", LAI_CHAU, "national_share_of_projects"): (Fraction(100, 3), "exact"),
    ("Lai Châu", LAI_CHAU, "support"): (4_700_000_000, "at_least"),
    ("Lai Châu", LAI_CHAU, "national_share_of_support"): (Fraction(3100, 47), "at_most"),
    ("Lai Châu", LAI_CHAU, "support_and_counterpart"): (8_800_000_000, "at_least"),
    ("Lai Châu", LAI_CHAU, "leverage"): (Fraction(41, 47), "indicative"),
    ("Lai Châu", LAI_CHAU, "support_per_project"): (Fraction(470_000_000, 3), "at_least"),
    ("Lai Châu", LAI_CHAU, "national_support_per_project"): (310_000_000, "exact"),
    ("Lai Châu", LAI_CHAU, "local_support_per_project"): (80_000_000, "at_least"),
    ("Lai Châu", LAI_CHAU, "counterpart_per_project"): (Fraction(410_000_000, 3), "at_least"),
    ("Cao Bằng", CAO_BANG, "projects"): (99, "exact"),
    ("Cao Bằng", CAO_BANG, "counterpart"): (96 * BILLION, "at_least"),
    ("Cao Bằng", CAO_BANG, "counterpart_per_project"): (Fraction(32 * BILLION, 33), "at_least"),
    ("Hưng Yên", HUNG_YEN, "output_per_worker"): (Fraction(7300 * BILLION, 45_000), "at_least"),
}


@pytest.mark.parametrize(("place", "expected"), PRINTED_ACCOUNTS.items())
def test_the_accounts_of_the_three_provinces(published, place, expected):
    quantity = account(published, *place).quantity
    assert (quantity.value, quantity.bound) == expected


def test_output_per_worker_is_162_million_dong(published):
    quantity = account(published, "Hưng Yên", HUNG_YEN, "output_per_worker").quantity
    assert quantity.unit == "VND/worker"
    assert round(float(quantity) / MILLION) == 162


def test_leverage_of_two_lower_bounds_says_so_and_gives_the_range_of_the_digits(published):
    leverage = account(published, "Lai Châu", LAI_CHAU, "leverage")
    assert "indicative" in leverage.note["en"]
    assert "tham khảo" in leverage.note["vi"]
    assert leverage.quantity.span == (Fraction(41, 48), Fraction(42, 47))


def test_what_cannot_be_computed_has_a_reason_and_no_number(published):
    leverage = account(published, "Cao Bằng", CAO_BANG, "leverage")
    assert leverage.quantity is None
    assert leverage.note["en"] == "Not printed for Cao Bằng, 2012–2022: Support."
    assert leverage.note["vi"] == "Không công bố cho Cao Bằng, 2012–2022: Kinh phí hỗ trợ."
    with pytest.raises(LedgerError, match="support_amount is not printed for Cao Bằng, 2012–2022"):
        published.one("Cao Bằng", "support_amount", window=CAO_BANG)


def test_the_account_table_has_every_measure_of_every_window_once(published):
    table = account_table(accounts(published))
    assert len(table) == 3 * len(MEASURES)
    assert not table.duplicated(["province", "start", "end", "measure"]).any()
    empty = table["value"].isna()
    assert (table.loc[empty, "note"].str.startswith("Not printed")).all()
    assert (table.loc[~empty, "facts"] != "").all()
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"]))[~empty].all()


def test_identities_hold_and_the_contradicting_translation_is_resolved(published):
    findings = check_figures(published)
    identities = {f.facts[0]: f for f in findings if f.check == "identity"}
    assert identities["F002"].equation == "10 + 20 = 30 projects"
    assert identities["F054"].equation == "39 + 60 = 99 projects"
    assert identities["F003"].equation == "3,100,000,000 + >1,600,000,000 = >4,700,000,000 VND"
    assert [identities[name].holds for name in ("F002", "F003", "F054")] == [True, True, True]
    assert identities["F020"].holds is False
    assert [f.facts for f in findings if f.check == "copy" and not f.holds] == [("F004", "F021")]
    (reading,) = [f for f in findings if f.check == "reading"]
    assert reading.holds is False
    assert reading.strict is False
    assert "F004 stands beside it" in reading.note
    assert {f.facts: f.holds for f in findings if f.check == "nesting"} == {
        ("F002", "F030"): True,
        ("F003", "F031"): True,
        ("F009", "F037"): True,
    }
    table = findings_table(findings)
    assert len(table) == len(findings)
    assert table.loc[table["check"] == "reading", "facts"].item() == "F003, F006, F008, F021"


def test_identities_fail_when_a_figure_is_changed():
    wrong = PublishedFigures(
        (
            figure("T", 31),
            figure("N", 10, funding="national", part_of="T"),
            figure("L", 20, funding="local", part_of="T"),
        )
    )
    (finding,) = check_figures(wrong)
    assert finding.holds is False
    assert finding.equation == "10 + 20 ≠ 31 projects"


def test_parts_rounded_to_the_last_digit_need_not_add_up():
    money = {"unit": "VND", "indicator": "support_amount", "last_digit": 10**8}
    rounded = PublishedFigures(
        (
            figure("T", 26 * 10**8, **money),
            figure("N", 13 * 10**8, funding="national", part_of="T", **money),
            figure("L", 12 * 10**8, funding="local", part_of="T", **money),
        )
    )
    (finding,) = check_figures(rounded)
    assert finding.holds is True
    assert "≠" in finding.equation


def test_a_figure_that_is_only_about_right_proves_nothing():
    vague = PublishedFigures(
        (
            figure("T", 30, bound="about"),
            figure("N", 10, funding="national", part_of="T"),
            figure("L", 25, funding="local", part_of="T"),
        )
    )
    assert [finding.holds for finding in check_figures(vague)] == [None]


def test_copies_that_differ_and_inner_windows_that_are_too_large_are_found():
    odd = PublishedFigures(
        (
            figure("A", 30),
            figure("B", 31, duplicate_of="A"),
            figure("C", 40, end=2023, nested_in="A"),
        )
    )
    assert [(f.check, f.holds) for f in check_figures(odd)] == [
        ("copy", False),
        ("nesting", False),
    ]


@pytest.mark.parametrize(
    ("total", "holds", "words"),
    [
        (30, True, "without X the parts of T fall short: it is one of them"),
        (10, False, "the other parts use up T already: X stands beside it"),
        (17, None, "do not tell whether X is a part of T"),
    ],
)
def test_the_sums_decide_between_two_readings_where_they_can(total, holds, words):
    figures = PublishedFigures(
        (
            figure("T", total),
            figure("N", 10, funding="national", part_of="T"),
            figure("X", 20, funding="local"),
            figure("Y", 20, funding="local", part_of="T", duplicate_of="X"),
        )
    )
    (reading,) = [finding for finding in check_figures(figures) if finding.check == "reading"]
    assert reading.holds is holds
    assert words in reading.note


def test_a_part_that_is_repeated_is_summed_once():
    figures = PublishedFigures(
        (
            figure("T", 30),
            figure("N", 10, funding="national", part_of="T"),
            figure("L", 20, funding="local", part_of="T"),
            figure("M", 20, funding="local", part_of="T", duplicate_of="L"),
        )
    )
    assert [part.fact_id for part in figures.parts(figures["T"])] == ["N", "L"]


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((figure("A", 1), figure("A", 2)), "1 appear more than once: A"),
        ((figure("A", 1, part_of="F2"),), 'part_of of A is "F2", which is no other figure'),
        ((figure("A", 1, duplicate_of="A"),), "no other figure"),
        (
            (figure("A", 1), figure("B", 1, start=2019, end=2020, nested_in="A")),
            "names A .* which it cannot be",
        ),
        ((figure("A", 1), figure("B", 1, end=2023, part_of="A")), "which it cannot be"),
        (
            (figure("A", 1), figure("B", 1, duplicate_of="A"), figure("C", 1, duplicate_of="B")),
            "duplicate_of of C .* which it cannot be",
        ),
        (
            (figure("A", 1, unit="VND"), figure("B", 1, duplicate_of="A")),
            "province, unit, indicator",
        ),
    ],
)
def test_tables_that_contradict_themselves_are_refused(figures, words):
    with pytest.raises(LedgerError, match=words):
        PublishedFigures(figures)


def test_figures_are_asked_for_by_name(published):
    with pytest.raises(LedgerError, match='no figure "F02"'):
        published["F02"]
    with pytest.raises(LedgerError, match='Did you mean "Lai Châu"'):
        published.one("Lai Chau", "projects_implemented", window=LAI_CHAU)
    with pytest.raises(LedgerError, match='Did you mean "support_amount"'):
        published.one("Lai Châu", "suport_amount", window=LAI_CHAU)
    with pytest.raises(LedgerError, match=r"support_amount \(local funding\) is not printed"):
        published.one("Cao Bằng", "support_amount", window=CAO_BANG, funding="local")
    with pytest.raises(LedgerError, match="measure may be"):
        account(published, "Lai Châu", LAI_CHAU, "jobs")
    twice = PublishedFigures((figure("A", 1), figure("B", 1)))
    with pytest.raises(LedgerError, match=r"printed 2 times .* A, B"):
        account(twice, "Lai Châu", LAI_CHAU, "projects")


def test_decomposed_letters_find_the_same_province(published):
    decomposed = unicodedata.normalize("NFD", "Cao Bằng")
    assert published.one(decomposed, "projects_implemented", window=CAO_BANG).fact_id == "F054"


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_money_figure_marks_bounds_and_what_is_not_printed(published, language):
    places = [("Lai Châu", LAI_CHAU), ("Cao Bằng", CAO_BANG)]
    drawing = draw_money_per_project(published, places, language)
    (axes,) = drawing.axes
    words = [text.get_text().strip() for text in axes.texts]
    missing = {"en": "not printed", "vi": "không công bố"}[language]
    assert words == [missing, "103", ">53", ">136", ">969"]
    assert sorted(round(bar.get_width()) for bar in axes.patches if bar.get_width()) == [
        -103,
        -53,
        136,
        969,
    ]


def test_the_window_figure_shows_every_window_and_what_is_nested(published):
    (axes,) = draw_windows(published, "en").axes
    assert [text.get_text() for text in axes.texts] == [
        "30 projects",
        "21 projects, inside the 30",
        "Output of craft villages",
        "99 projects",
        "Local funding approved: 0",
    ]
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert edges == [(2021, 2026), (2021, 2022), (2021, 2022), (2012, 2023), (2023, 2024)]


def test_figures_refuse(published):
    for draw in (
        lambda: draw_money_per_project(published, [("Lai Châu", LAI_CHAU)], "vn"),
        lambda: draw_windows(published, "vn"),
    ):
        with pytest.raises(LedgerError, match="language may be 'en', 'vi'; it was 'vn'"):
            draw()
    with pytest.raises(LedgerError, match="no bar to draw"):
        draw_money_per_project(published, [])
    with pytest.raises(LedgerError, match="projects_implemented is not printed for Hưng Yên"):
        draw_money_per_project(published, [("Hưng Yên", HUNG_YEN)])
    with pytest.raises(LedgerError, match="no window to draw"):
        draw_windows(PublishedFigures((published["F043"],)))


def altered(tmp_path: Path, column: str, value: str, row: int = 1) -> Path:
    table = pd.read_csv(DATA, dtype=str, keep_default_na=False)
    table.loc[row, column] = value
    path = tmp_path / "figures.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("value", "4.7 billion", 'value of F002 is "4.7 billion", not a whole number'),
        ("value", "-30", "not a whole number"),
        ("value", "30.0", "not a whole number"),
        ("value", "³", "not a whole number"),
        ("printed_to", "", 'printed_to of F002 is ""'),
        ("start", "202l", "start of F002"),
        ("end", "2019", "window of F002 runs from 2021 to 2019"),
        ("start", "", "window of F002 runs from None to 2025"),
        ("qualifier", "more_then", 'qualifier of F002 .* Did you mean "more_than"'),
        ("funding", "nation", 'funding of F002 .* Did you mean "national"'),
        ("part_of", "F05", 'part_of of F002 is "F05"'),
    ],
)
def test_cells_that_cannot_be_read_are_refused_with_their_row(tmp_path, column, value, words):
    with pytest.raises(LedgerError, match=words):
        read_published_figures(altered(tmp_path, column, value))


def test_less_than_is_an_upper_bound(tmp_path):
    figures = read_published_figures(altered(tmp_path, "qualifier", "less_than", row=2))
    quantity = figures["F003"].quantity
    assert (quantity.bound, quantity.span) == ("at_most", (4_600_000_000, 4_700_000_000))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(LedgerError, match="there is no file"):
        read_published_figures(tmp_path / "none.csv")
    pd.DataFrame({"fact_id": ["F1"], "Province": ["Lai Châu"]}).to_csv(
        tmp_path / "short.csv", index=False
    )
    with pytest.raises(LedgerError, match=r'lacks 17 of its columns: province.*"Province"'):
        read_published_figures(tmp_path / "short.csv")


def test_the_shipped_table_is_composed_sourced_and_free_of_quotes(published):
    text = DATA.read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert len(published.figures) == 34
    assert all(figure.publisher and figure.address for figure in published.figures)
    documented = (DATA.parent / "published_figures.md").read_text(encoding="utf-8")
    for figure in published.figures:
        assert figure.indicator in INDICATORS
        assert f"`{figure.indicator}`" in documented, figure.fact_id
        assert f"`{figure.quantity.unit}`" in documented, figure.fact_id
