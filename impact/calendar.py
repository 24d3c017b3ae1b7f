"""Known breaks of Vietnamese statistics, and which designs span them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from impact.errors import BreakWarning, PlaceError, check_choice, plural

__all__ = ["BREAKS", "OUTCOMES", "Break", "Outcome", "spanned_breaks", "warn_of_breaks"]

Outcome = Literal[
    "employment", "enterprise_jobs", "income", "output", "prices", "population", "places"
]
OUTCOMES = (
    "employment", "enterprise_jobs", "income", "output", "prices", "population", "places",
)  # fmt: skip


class Text(NamedTuple):
    """The same words in English and Vietnamese."""

    en: str
    vi: str


@dataclass(frozen=True)
class Break:
    """Describe a year in which a series changed for reasons that are not the programme's.

    Attributes
    ----------
    name : short name
    first, last : first and last year that cannot be compared with the year before ``first``; a
        lasting change has ``last`` None
    outcomes : kinds of outcome concerned
    province_codes : provinces concerned, as codes of the 63; empty for all
    text : what happened and what to do
    source : where it is documented
    """

    name: str
    first: int
    last: int | None
    outcomes: tuple[Outcome, ...]
    province_codes: tuple[str, ...]
    text: Text
    source: str

    @property
    def years(self) -> str:
        """The year of a lasting change, or the first and last of a passing one."""
        return f"{self.first}" if self.last is None else f"{self.first}-{self.last}"

    @property
    def label(self) -> str:
        """Years and the kinds of outcome concerned, in a few words."""
        return f"{self.years} ({self.name}: {', '.join(self.outcomes)})"

    def warning(self, lang: Literal["en", "vi"] = "en") -> str:
        """Say the break with its years."""
        return f"{self.years}: {self.text.en if lang == 'en' else self.text.vi}"


BREAKS = (
    Break(
        "hanoi_2008", 2008, None, ("employment", "income", "output", "population", "places"),
        ("01",),
        Text("Hà Nội took in Hà Tây on 1 August 2008 and doubled its population; start in 2009, or "
             "add the two up before.",
             "Hà Nội sáp nhập Hà Tây ngày 01/8/2008, dân số tăng gấp đôi; hãy bắt đầu từ 2009 hoặc "
             "cộng hai tỉnh trước đó."),
        "population by province, statistical yearbooks 2007 and 2008",
    ),
    Break(
        "gdp_deflator_2010", 2010, None, ("prices",), (),
        Text("the deflator of gross domestic product jumps by 42 per cent in a revision of the "
             "national accounts; do not chain across it, use consumer prices.",
             "chỉ số giảm phát tổng sản phẩm nhảy 42 phần trăm do rà soát tài khoản quốc gia; "
             "không nối chuỗi qua năm này, hãy dùng chỉ số giá tiêu dùng."),
        "World Bank, World Development Indicators",
    ),
    Break(
        "covid", 2020, 2022, ("employment", "enterprise_jobs", "income", "output"), (),
        Text("COVID-19 hit trades and provinces unevenly; let years differ by trade, leave 2020 "
             "and 2021 out as a check, and take no baseline from them.",
             "COVID-19 tác động không đều giữa các ngành và các tỉnh; cho phép hiệu ứng năm khác "
             "nhau theo ngành, thử bỏ 2020 và 2021, không lấy hai năm này làm năm gốc."),
        "statistical yearbooks 2020-2022",
    ),
    Break(
        "labour_2021", 2021, None, ("employment",), (),
        Text("counted employment fell by a tenth, by more than half in some poor farming "
             "provinces, very likely through a new definition, in the year the 2021-2025 "
             "programmes began: a comparison across it finds a large effect that is none. Use "
             "jobs in enterprises, or wages.",
             "số lao động có việc làm giảm một phần mười, có tỉnh nông nghiệp nghèo giảm hơn một "
             "nửa, rất có thể do đổi định nghĩa, đúng năm bắt đầu các chương trình 2021-2025: so "
             "sánh qua năm này cho tác động lớn nhưng không có thật. Hãy dùng lao động doanh "
             "nghiệp hoặc tiền lương."),
        "labour force by province 2020 and 2021",
    ),
    Break(
        "provinces_2025", 2025, None, ("employment", "income", "output", "population", "places"),
        (),
        Text("63 provinces became 34 on 1 July 2025 and districts ended; keep the 63 until 2024, "
             "or add them up to the 34 for all years.",
             "63 tỉnh còn 34 từ 01/7/2025 và bỏ cấp huyện; giữ 63 tỉnh đến 2024 hoặc cộng lên 34 "
             "tỉnh cho mọi năm."),
        "Resolution 202/2025/QH15",
    ),
)  # fmt: skip


def spanned_breaks(
    periods: Iterable[int],
    *,
    outcome: Outcome | None = None,
    province_codes: Iterable[str] | None = None,
    vintage: Literal[63, 34] = 63,
) -> tuple[Break, ...]:
    """Return the known breaks that lie within a design's years.

    Parameters
    ----------
    periods : years of the design, such as ``design.periods``
    outcome : kind of outcome; None returns the breaks of all kinds
    province_codes : codes of the provinces in the design; None for all
    vintage : of the provinces; figures brought to the 34 for all years do not break in 2025

    Returns
    -------
    tuple of Break : those whose ``first`` year the design has together with an earlier one, or
        whose temporary years it reaches at all

    Example
    -------
    >>> [b.name for b in spanned_breaks(range(2018, 2024), outcome="employment")]
    ['covid', 'labour_2021']
    """
    if outcome is not None:
        check_choice("outcome", outcome, OUTCOMES, PlaceError)
    years = sorted(set(periods))
    places = None if province_codes is None else set(province_codes)
    return tuple(
        known
        for known in BREAKS
        if (outcome is None or outcome in known.outcomes)
        and (places is None or not known.province_codes or places & set(known.province_codes))
        and not (vintage == 34 and known.name == "provinces_2025")
        and _spans(years, known)
    )


def warn_of_breaks(
    breaks: Sequence[Break], column: str, outcome: Outcome, *, stacklevel: int = 2
) -> None:
    """Warn that an outcome's years hold known breaks of its kind; silent if there are none."""
    if breaks:
        said = " ".join(known.warning() for known in breaks)
        message = (
            f'outcome "{column}" ({outcome.replace("_", " ")}) spans '
            f"{plural(len(breaks), 'known break')}. {said}"
        )
        warnings.warn(message, BreakWarning, stacklevel=stacklevel)


def _spans(years: list[int], known: Break) -> bool:
    if not years:
        return False
    if known.last is None:
        return years[0] < known.first <= years[-1]
    return any(known.first <= year <= known.last for year in years)
