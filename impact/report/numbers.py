"""Numbers as they are stored (nine significant digits) and as they are printed (en, vi)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from numbers import Integral, Real

from impact.errors import ReportError, near
from impact.report.text import Text

__all__ = [
    "MISSING",
    "NO_BREAK",
    "UNITS",
    "Unit",
    "check_unit",
    "format_interval",
    "format_number",
    "format_quantity",
    "significant_decimals",
    "stored",
]

SIGNIFICANT_DIGITS = 9
SMALLEST_P = 0.001
MISSING = {"en": "not available", "vi": "không nêu"}
MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Unit:
    """How a quantity is written in each language; ``{n}`` is the number.

    ``one`` is the English form for exactly one. ``scales`` lists (factor, unit) from large to
    small: the first factor that the number reaches is used.
    """

    en: str
    vi: str
    one: str = ""
    decimals: int | None = None
    grouped: bool = True
    scales: tuple[tuple[int, str], ...] = ()


def _noun(one: str, many: str, vi: str) -> Unit:
    return Unit(f"{{n}} {many}", f"{{n}} {vi}", one=f"{{n}} {one}")


UNITS: dict[str, Unit] = {
    "count": Unit("{n}", "{n}"),
    "number": Unit("{n}", "{n}"),
    "ratio": Unit("{n}", "{n}", decimals=2),
    "p_value": Unit("{n}", "{n}", decimals=3),
    "year": Unit("{n}", "{n}", decimals=0, grouped=False),
    "percent": Unit("{n}%", "{n}%"),
    "percentage_points": _noun("percentage point", "percentage points", "điểm phần trăm"),
    "log_points": _noun("log point", "log points", "điểm logarit"),
    "VND": Unit(
        "VND {n}",
        "{n} đồng",
        decimals=0,
        scales=((10**9, "VND billion"), (10**6, "VND million")),
    ),
    "VND billion": Unit("VND {n} billion", "{n} tỷ đồng"),
    "VND million": Unit("VND {n} million", "{n} triệu đồng"),
    "USD": Unit("USD {n}", "{n} đô la Mỹ", decimals=0),
    "jobs": _noun("job", "jobs", "việc làm"),
    "workers": _noun("worker", "workers", "lao động"),
    "firms": _noun("firm", "firms", "doanh nghiệp"),
    "establishments": _noun("establishment", "establishments", "cơ sở"),
    "households": _noun("household", "households", "hộ"),
    "villages": _noun("village", "villages", "làng nghề"),
    "projects": _noun("project", "projects", "đề án"),
    "provinces": _noun("province", "provinces", "tỉnh"),
    "communes": _noun("commune", "communes", "xã"),
    "courses": _noun("course", "courses", "lớp"),
    "products": _noun("product", "products", "sản phẩm"),
    "years": _noun("year", "years", "năm"),
    "periods": _noun("period", "periods", "kỳ"),
    "observations": _noun("observation", "observations", "quan sát"),
    "units": _noun("unit", "units", "đơn vị"),
    "clusters": _noun("cluster", "clusters", "cụm"),
    "hours": _noun("hour", "hours", "giờ"),
    "items": _noun("item", "items", "sản phẩm"),
    "per_100_items": Unit("{n} per 100 items", "{n} trên 100 sản phẩm"),
    "times": _noun("time", "times", "lần"),
    "tonnes": _noun("tonne", "tonnes", "tấn"),
}

_PER = {
    "worker": ("worker", "lao động"),
    "project": ("project", "đề án"),
    "firm": ("firm", "doanh nghiệp"),
    "establishment": ("establishment", "cơ sở"),
    "household": ("household", "hộ"),
    "village": ("village", "làng nghề"),
    "province": ("province", "tỉnh"),
    "commune": ("commune", "xã"),
    "job": ("job", "việc làm"),
    "year": ("year", "năm"),
    "month": ("month", "tháng"),
    "VND": ("VND", "đồng"),
    "person": ("person", "người"),
}


def stored(value: object, where: str) -> int | float | None:
    """Return a number as it is stored: nine significant digits, NaN as None, integers exact.

    Raises
    ------
    ReportError : the value is no finite number
    """
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or math.isinf(value):
        raise ReportError(
            f"{where} must be a finite number or NaN; it was {value!r}. A number that cannot be "
            "had is stored as NaN with a note that says why."
        )
    if isinstance(value, Integral):
        return int(value)
    rounded = float(f"{float(value):.{SIGNIFICANT_DIGITS}g}")
    return rounded + 0.0


def check_unit(unit: str | Text, where: str) -> None:
    """Refuse a unit that no language knows how to write.

    Raises
    ------
    ReportError : the unit is unknown, naming a near one
    """
    if isinstance(unit, str):
        base, _, per = unit.partition("/")
        if base in UNITS and (not per or per in _PER):
            return
        known = [*UNITS, *(f"{base}/{noun}" for noun in _PER if base in UNITS)]
        raise ReportError(
            f'{where} has the unit "{unit}", which the languages of the report cannot write. '
            f"{near(unit, known)}Known: {', '.join(UNITS)}; and each of them /"
            f"{', /'.join(_PER)}. Or give the words: text('tonnes of tea', 'tấn chè')."
        )


def significant_decimals(*values: int | float) -> int:
    """Return the decimals that give the largest of the values three significant digits.

    Integers need none.
    """
    exact = [Decimal(repr(value)) for value in values]
    if all(number == number.to_integral_value() for number in exact):
        return 0
    return max(0, 2 - max(abs(number) for number in exact).adjusted())


def format_number(
    value: int | float, language: str, decimals: int | None = None, *, grouped: bool = True
) -> str:
    """Write a number: decimal comma and dotted thousands in Vietnamese, a true minus sign.

    Without ``decimals``, integers are written in full and other numbers with three significant
    digits, trailing zeros kept. Halves are rounded to even.
    """
    places = significant_decimals(value) if decimals is None else decimals
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    digits = f"{abs(rounded):,f}" if grouped else f"{abs(rounded):f}"
    if language == "vi":
        digits = digits.translate(str.maketrans(",.", ".,"))
    return (MINUS if rounded < 0 else "") + digits


def format_quantity(
    value: int | float, unit: str | Text, language: str, decimals: int | None = None
) -> str:
    """Write a number with its unit; money is scaled to million or billion (triệu, tỷ).

    A p-value below a thousandth is "<0.001": it is small, and never zero.
    """
    if unit == "p_value" and 0 <= value < SMALLEST_P:
        return "<" + format_number(SMALLEST_P, language, decimals=3)
    (scaled,), words, places = _scaled((value,), unit, language, decimals)
    number = format_number(scaled, language, places, grouped=words.grouped)
    return _fill(words, number, language)


def format_interval(
    low: int | float,
    high: int | float,
    unit: str | Text,
    language: str,
    decimals: int | None = None,
) -> str:
    """Write an interval with its unit once, both limits in the same scale and decimals.

    Amounts of money too far apart for one scale have each their own: 179 million to 8.88 billion.
    """
    joint = " đến " if language == "vi" else " to "
    if isinstance(unit, str) and _are_far_apart(low, high, UNITS[unit.partition("/")[0]]):
        first = format_quantity(low, unit.partition("/")[0], language, decimals)
        return first + joint + format_quantity(high, unit, language, decimals)
    limits, words, places = _scaled((low, high), unit, language, decimals)
    numbers = [format_number(limit, language, places, grouped=words.grouped) for limit in limits]
    pattern = words.vi if language == "vi" else words.en
    if " " not in pattern:
        return joint.join(_fill(words, number, language) for number in numbers)
    return _fill(words, joint.join(numbers), language)


def _are_far_apart(low: float, high: float, unit: Unit) -> bool:
    """Tell whether the smaller of two amounts is hard to read in the scale of the larger."""
    small, large = sorted((abs(low), abs(high)))
    factor = next((factor for factor, _ in unit.scales if large >= factor), 0)
    return 0 < small < factor / 2


def _scaled(
    values: tuple[int | float, ...], unit: str | Text, language: str, decimals: int | None
) -> tuple[tuple[int | float, ...], Unit, int]:
    """Return the numbers in the unit's readable scale, the unit's words, and the decimals."""
    if not isinstance(unit, str):
        words = Unit(f"{{n}} {unit['en']}", f"{{n}} {unit['vi']}")
        return values, words, significant_decimals(*values) if decimals is None else decimals
    base, _, per = unit.partition("/")
    words, places = UNITS[base], decimals
    for factor, larger in words.scales:
        if max(abs(value) for value in values) >= factor:
            exact = [(Decimal(repr(v)) / factor).quantize(Decimal("0.001")) for v in values]
            values = tuple(float(number) for number in exact)
            words = UNITS[larger]
            if places is None:
                places = max(max(0, -int(n.normalize().as_tuple().exponent)) for n in exact)
            break
    if places is None:
        places = words.decimals if words.decimals is not None else significant_decimals(*values)
    if per:
        noun_en, noun_vi = _PER[per]
        words = replace(
            words,
            en=f"{words.en} per {noun_en}",
            vi=f"{words.vi}/{noun_vi}",
            one=f"{words.one} per {noun_en}" if words.one else "",
        )
    return values, words, places


def _fill(unit: Unit, number: str, language: str) -> str:
    """Write the number into the unit's words, a no-break space beside it."""
    pattern = unit.vi if language == "vi" else unit.one if number == "1" and unit.one else unit.en
    words = pattern.replace(" {n}", NO_BREAK + "{n}").replace("{n} ", "{n}" + NO_BREAK)
    return words.replace("{n}", number)
