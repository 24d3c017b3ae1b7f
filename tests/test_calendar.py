"""Which known breaks a design spans."""

import pytest

from impact.calendar import BREAKS, OUTCOMES, spanned_breaks
from impact.errors import PlaceError


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
