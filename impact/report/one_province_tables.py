"""Numbers, tables and drawings of the report on one treated unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from impact.estimators.synthetic_figures import (
    donor_map,
    donor_weights,
    leave_one_out_fan,
    paths_and_gap,
    placebo_fan,
)
from impact.evaluation.one_province import TRUE_EFFECT
from impact.report.figures import quantities, report_style
from impact.report.headings import EFFECT
from impact.report.one_province_findings import Findings
from impact.report.results import Block, Column, Record
from impact.report.text import LANGUAGES, capital, text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["record_numbers"]

_METHODS = {
    "synthetic control": text("synthetic control", "đối chứng tổng hợp"),
    "demeaned": text(
        "demeaned synthetic control", "đối chứng tổng hợp trên độ lệch khỏi trung bình"
    ),
    "augmented": text("augmented synthetic control", "đối chứng tổng hợp có hiệu chỉnh"),
    "synthetic DiD": text("synthetic difference-in-differences", "khác biệt kép tổng hợp"),
}
_KNOWN = {
    "published weights": text("published weights", "trọng số đã công bố"),
    "this search": text("this search", "tìm kiếm ở đây"),
}
_NO_RANK = text(
    "not told: the comparison misses the treated unit before treatment",
    "không nêu: nhóm so sánh lệch so với đơn vị được can thiệp từ trước can thiệp",
)
_WITHHELD = text(
    "No rank where a method misses the treated unit already before treatment by as much as would "
    "pass for an effect, in level or in trend.",
    "Không xếp hạng khi phương pháp đã lệch so với đơn vị được can thiệp từ trước can thiệp, về "
    "mức hay về xu hướng, đủ lớn để bị nhầm là tác động.",
)


def record_numbers(record: Record, found: Findings, level: float) -> dict[str, Block]:
    """Record every number of the report; return its tables and drawings by name."""
    _record_effect(record, found, level)
    _record_quality(record, found)
    if found.case.name == "simulated":
        record.value("truth", TRUE_EFFECT, found.unit, text("True effect", "Tác động thật"))
    return {
        "intervals": _intervals_table(record, found, level),
        "methods": _methods_table(record, found),
        **({"known": _known_table(record, found)} if found.case.name == "texas" else {}),
        **_drawings(record, found),
    }


def _record_effect(record: Record, found: Findings, level: float) -> None:
    att = found.result.att()
    draws: Any = att.uncertainty
    effect = float(att.estimates[0])
    last: Any = found.intervals.iloc[-1]
    told = not found.is_missed
    average = text("Average effect", "Tác động bình quân")
    gap = text("Average gap", "Chênh lệch bình quân")
    decimals = found.decimals
    record.value("effect", effect, found.unit, average if told else gap, decimals=decimals)
    record.value(
        "last",
        last["estimate"],
        found.unit,
        text("Effect in the last period", "Tác động trong kỳ cuối")
        if told
        else text("Gap in the last period", "Chênh lệch trong kỳ cuối"),
        low=last["conf_low"] if told else None,
        high=last["conf_high"] if told else None,
        level=level if told else None,
        decimals=decimals,
    )
    record.value("last.period", int(last["time"]), "year", text("Last period", "Kỳ cuối"))
    rank = text("Rank p-value, average gap", "Giá trị p theo thứ hạng, chênh lệch bình quân")
    record.value("p.rank", found.rank, "p_value", rank, note=None if told else _NO_RANK)
    least = text("Smallest p-value possible", "Giá trị p nhỏ nhất có thể")
    record.value("p.least", draws.p_lattice, "p_value", least)
    record.value("placebos", len(draws.draws), "count", text("Placebos", "Số đơn vị giả định"))
    beyond = int((abs(draws.draws[:, 0]) >= abs(effect)).sum())
    larger = text("Placebos with as large a gap", "Số đơn vị giả định có chênh lệch lớn như vậy")
    record.value("placebos.beyond", beyond, "count", larger)
    record.value("level", round(100 * level, 6), "percent", text("Level", "Mức tin cậy"))


def _record_quality(record: Record, found: Findings) -> None:
    quality = found.fit.quality.iloc[0]
    for name, column, unit, label in (
        ("p.ratio", "ratio_p_value", "p_value", text("Rank p-value, ratio of gaps",
         "Giá trị p theo thứ hạng, tỷ số chênh lệch")),
        ("before", "rmspe_before", found.unit, text("Gap before (root mean square)",
         "Chênh lệch trước (căn bình phương trung bình)")),
        ("hull", "hull_distance", found.unit, text("Distance to the donors' hull",
         "Khoảng cách tới bao lồi của đơn vị đối chứng")),
    ):  # fmt: skip
        decimals = None if unit == "p_value" else found.decimals
        record.value(name, float(quality[column]), unit, label, decimals=decimals)
    used = text("Donors with weight", "Số đơn vị đối chứng có trọng số")
    record.value("donors.used", int(quality["donors_used"]), "count", used)
    record.value("donors", int(quality["donors"]), "count", text("Donors", "Số đơn vị đối chứng"))


def _intervals_table(record: Record, found: Findings, level: float) -> Block:
    """Tabulate the effect of each period with its prediction interval."""
    if found.is_missed:
        return _gaps_table(record, found)
    rows = []
    row: Any
    for row in found.intervals.itertuples(index=False):
        name = f"effect.{row.time}"
        record.value(
            name,
            row.estimate,
            found.unit,
            text(f"Effect in {row.time}", f"Tác động kỳ {row.time}"),
            low=row.conf_low,
            high=row.conf_high,
            level=level,
            decimals=found.decimals,
        )
        rows.append({"time": row.time, "effect": f"{{{name}}}", "interval": f"{{{name}:interval}}"})
    return record.table(
        "intervals",
        pd.DataFrame(rows),
        text("Effect by period, with prediction intervals", "Tác động theo kỳ và khoảng dự báo"),
        {
            "time": Column(text("Period", "Kỳ"), "year"),
            "effect": EFFECT,
            "interval": Column(
                text("{level} prediction interval", "Khoảng dự báo {level}"), "count"
            ),
        },
        note=text(
            "Each interval holds for its own period, for errors uncorrelated over time.",
            "Mỗi khoảng đúng cho từng kỳ, với sai số không tương quan theo thời gian.",
        ),
    )


def _gaps_table(record: Record, found: Findings) -> Block:
    """Tabulate the gap of each period, where it cannot be taken for an effect."""
    return record.table(
        "intervals",
        found.intervals[["time", "estimate"]],
        text("Gap by period", "Chênh lệch theo kỳ"),
        {
            "time": Column(text("Period", "Kỳ"), "year"),
            "estimate": Column(text("Gap", "Chênh lệch"), found.unit),
        },
    )


def _methods_table(record: Record, found: Findings) -> Block:
    """Tabulate the average effect by method."""
    words: Any = [_METHODS[name] for name in found.methods.index]
    return record.table(
        "methods",
        found.methods.assign(method=words),
        text("Average effect by method", "Tác động bình quân theo phương pháp"),
        {
            "method": Column(text("Method", "Phương pháp")),
            "effect": Column(text("Effect", "Tác động"), found.unit),
            "placebo spread": Column(
                text("Standard deviation of placebos", "Độ lệch chuẩn giữa các đơn vị giả định"),
                found.unit,
            ),
            "rank p-value": Column(text("Rank p-value", "Giá trị p theo thứ hạng"), "p_value"),
        },
        note=_WITHHELD if found.methods["rank p-value"].isna().any() else None,
    )


def _known_table(record: Record, found: Findings) -> Block:
    """Tabulate the published synthetic Texas beside the one found here."""
    words: Any = [_KNOWN[name] for name in found.known.index]
    return record.table(
        "known",
        found.known.assign(weights=words),
        text("Beside the published numbers", "Đối chiếu với số đã công bố"),
        {
            "weights": Column(text("Weights", "Trọng số")),
            "fit before (root mean square)": Column(
                text("Gap before (root mean square)", "Chênh lệch trước (căn bình phương TB)"),
                found.unit,
            ),
            "gap in 2000": Column(text("Gap in [[2000]]", "Chênh lệch năm [[2000]]"), found.unit),
        },
    )


def _drawings(record: Record, found: Findings) -> dict[str, Block]:
    """Keep the drawings, each in every language."""
    fit, start, label = found.fit, found.case.start, found.case.label
    drawn = {
        "paths": record.figure(
            "paths",
            _in_languages(
                lambda code: paths_and_gap(fit, start, outcome=capital(label[code]), language=code)[
                    0
                ]
            ),
            text("Treated and synthetic, and the gap", "Thực tế, tổng hợp và chênh lệch"),
            text(
                "The path of the treated unit and that of the synthetic one, {before} apart before "
                "treatment (root mean square); the gap is drawn below and is {last} in "
                "{last.period}.",
                "Đường của đơn vị được can thiệp và của đơn vị tổng hợp, trước can thiệp cách nhau "
                "{before} (căn bình phương trung bình); phần chênh lệch vẽ phía dưới là {last} vào "
                "{last.period}.",
            ),
        ),
        "weights": record.figure(
            "weights",
            _in_languages(lambda code: donor_weights(fit, language=code), weights=True),
            text("Donors' weights", "Trọng số của đơn vị đối chứng"),
            text(
                "Bars of the weights of {donors.used} donors, which sum to one.",
                "Các thanh là trọng số của {donors.used} đơn vị đối chứng, tổng bằng một.",
            ),
        ),
        "placebos": record.figure(
            "placebos",
            _in_languages(lambda code: placebo_fan(fit, start, language=code)),
            text("The gap among placebos", "Chênh lệch so với các đơn vị giả định"),
            text(
                "The treated unit's gap over thin lines of the gaps of donors taken as treated.",
                "Chênh lệch của đơn vị được can thiệp trên nền các đường mảnh của đơn vị giả định.",
            ),
        ),
        "without": record.figure(
            "without",
            _in_languages(lambda code: leave_one_out_fan(fit, found.without, start, language=code)),
            text("Without each donor in turn", "Lần lượt bỏ từng đơn vị đối chứng"),
            text(
                "The gap over thin lines, each without one of the donors with weight.",
                "Chênh lệch trên nền các đường mảnh, mỗi đường bỏ một đơn vị có trọng số.",
            ),
        ),
    }
    vintage = found.case.vintage
    if vintage is not None:
        drawn["map"] = record.figure(
            "map",
            _in_languages(lambda code: donor_map(fit, vintage=vintage, language=code)),
            text("Donors on the map", "Đơn vị đối chứng trên bản đồ"),
            text(
                "A tile a province: the treated one is outlined, donors with weight are coloured.",
                "Mỗi ô một tỉnh: tỉnh được can thiệp có viền, tỉnh có trọng số được tô màu.",
            ),
        )
    return drawn


def _in_languages(
    draw: Callable[[Literal["en", "vi"]], Axes], *, weights: bool = False
) -> dict[str, Figure]:
    """Draw once for each language, in the style of reports; weights lie along the page."""
    import matplotlib
    from matplotlib import pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    drawn: dict[str, Figure] = {}
    with matplotlib.rc_context(report_style()):
        for code in LANGUAGES:
            figure = drawn[code] = cast("Figure", draw("vi" if code == "vi" else "en").figure)
            for ax in figure.axes:
                for axis in (ax.yaxis, *([ax.xaxis] if weights else [])):
                    if isinstance(axis.get_major_formatter(), ScalarFormatter):
                        quantities(axis, code)
            plt.close(figure)
    return drawn
