"""The report on one treated province: its numbers, tables, drawings, sentences and chapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from impact.estimators.parts.misfit import EARLIER
from impact.estimators.synthetic_figures import (
    donor_map,
    donor_weights,
    leave_one_out_fan,
    paths_and_gap,
    placebo_fan,
)
from impact.evaluation import Evaluation
from impact.evaluation.one_province import TRUE_EFFECT, OneProvince, planned_case
from impact.report.effects import plan_design, plan_panel
from impact.report.figures import quantities, report_style
from impact.report.headings import EFFECT
from impact.report.numbers import significant_decimals
from impact.report.results import Block, Column, Record, bullets
from impact.report.text import LANGUAGES, Text, capital, text
from impact.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Findings", "add_chapters", "case_of", "record_numbers", "summarise"]

_SAME = 1e-6  # a solver's accuracy: no larger difference tells two fits apart
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

_GAP = text(
    "Compared with the weighted mean of other units that was closest before treatment, the treated "
    "unit differs by {effect:signed} on average since treatment began;",
    "So với bình quân gia quyền của các đơn vị khác gần nhất trước can thiệp, đơn vị được can "
    "thiệp chênh lệch bình quân {effect:signed} từ khi bắt đầu can thiệp;",
)
_INTERVAL = text(
    "in the last period, {last.period}, by {last:signed} ({level} prediction interval: "
    "{last:interval}).",
    "trong kỳ cuối, {last.period}, là {last:signed} (khoảng dự báo {level}: {last:interval}).",
)
_RANK = text(
    "Units among the {placebos} others that differ as much when taken as treated in its place: "
    "{placebos.beyond} (p {p.rank:equals}; the least possible is {p.least}).",
    "Trong {placebos} đơn vị khác, số đơn vị cũng chênh lệch như vậy khi được coi là đơn vị được "
    "can thiệp: {placebos.beyond} (p {p.rank:equals}; nhỏ nhất có thể là {p.least}).",
)
_ONLY_AVERAGE = text(
    "The two tests by rank disagree at {level} confidence: by its average gap the treated unit "
    "stands out from the others (p {p.rank:equals}), by the ratio of its gaps after and before "
    "treatment it does not (p {p.ratio:equals}).",
    "Hai kiểm định theo thứ hạng cho kết luận khác nhau ở độ tin cậy {level}: theo chênh lệch bình "
    "quân, đơn vị được can thiệp khác hẳn các đơn vị khác (p {p.rank:equals}); theo tỷ số chênh "
    "lệch sau và trước can thiệp thì không (p {p.ratio:equals}).",
)
_ONLY_RATIO = text(
    "The two tests by rank disagree at {level} confidence: by the ratio of its gaps after and "
    "before treatment the treated unit stands out from the others (p {p.ratio:equals}), by its "
    "average gap it does not (p {p.rank:equals}).",
    "Hai kiểm định theo thứ hạng cho kết luận khác nhau ở độ tin cậy {level}: theo tỷ số chênh "
    "lệch sau và trước can thiệp, đơn vị được can thiệp khác hẳn các đơn vị khác (p "
    "{p.ratio:equals}); theo chênh lệch bình quân thì không (p {p.rank:equals}).",
)
_PLANNED = text("Judged by the plan, before any result: “{}”", "Kế hoạch, trước khi có kết quả, "
                "đánh giá: “{}”")  # fmt: skip
_LOWERED = text(
    "The evidence is one step weaker than the design promised, because the two tests that set the "
    "treated unit beside all others disagree: by one its gap is unusual, by the other it is not.",
    "Bằng chứng yếu hơn một bậc so với thiết kế, vì hai kiểm định so đơn vị được can thiệp với mọi "
    "đơn vị khác cho kết luận khác nhau: theo kiểm định này thì chênh lệch là khác thường, theo "
    "kiểm định kia thì không.",
)
_MISSED = text(
    "No effect can be told: already before treatment the weighted mean of other units misses the "
    "treated unit by {before}, as much as would pass for an effect, so its gap of {effect:signed} "
    "since is not the effect of treatment.",
    "Không thể kết luận về tác động: ngay trước can thiệp, bình quân gia quyền của các đơn vị "
    "khác đã lệch so với đơn vị được can thiệp {before}, đủ lớn để bị nhầm là tác động, nên chênh "
    "lệch {effect:signed} từ đó đến nay không phải là tác động của can thiệp.",
)
_EARLY = text(
    "No effect can be told: fitted to earlier periods, the same comparison would have found an "
    "effect before there was any, as of a trend that other units lack, so the treated unit's gap "
    "of {effect:signed} since is not the effect of treatment.",
    "Không thể kết luận về tác động: nếu chỉ khớp với các kỳ sớm hơn, chính cách so sánh này đã "
    "thấy tác động khi chưa có can thiệp, như khi có xu hướng mà các đơn vị khác không có, nên "
    "chênh lệch {effect:signed} từ đó đến nay không phải là tác động của can thiệp.",
)
_LOWERED_MISSED = text(
    "The results put the evidence at the lowest step, because the units compared with missed the "
    "treated one before treatment too.",
    "Kết quả đưa bằng chứng xuống bậc thấp nhất, vì nhóm so sánh đã lệch so với đơn vị được can "
    "thiệp từ trước can thiệp.",
)
_NO_RANK = text(
    "not told: the comparison misses the treated unit before treatment",
    "không nêu: nhóm so sánh lệch so với đơn vị được can thiệp từ trước can thiệp",
)
_SYNTHETIC = text(
    "The synthetic unit is the weighted mean of {donors.used} of {donors} other units, called "
    "donors, that comes closest to the treated one before treatment.",
    "Đơn vị tổng hợp là bình quân gia quyền của {donors.used} trong {donors} đơn vị khác, gọi là "
    "đơn vị đối chứng, gần đơn vị được can thiệp nhất trước can thiệp.",
)
_CLOSEST = text(
    "What remains is {before} (root mean square); no weights come closer to its path.",
    "Phần còn lại là {before} (căn bình phương trung bình); không có trọng số nào đến gần hơn.",
)
_HULL = text(
    "What remains is {before} (root mean square), since other characteristics are matched too; no "
    "weights come closer to its path than {hull}.",
    "Phần còn lại là {before} (căn bình phương trung bình), vì các đặc điểm khác cũng được ghép; "
    "không có trọng số nào đến gần hơn {hull}.",
)
_PLACEBOS = text(
    "Every other unit is taken as treated in its turn, a placebo: nothing happened there, so its "
    "gap shows what chance makes. p is the share of all units, the treated one included, whose gap "
    "is as large.",
    "Lần lượt từng đơn vị khác được coi là đơn vị được can thiệp (đơn vị giả định): ở đó không có "
    "gì xảy ra nên chênh lệch của nó cho thấy mức ngẫu nhiên. p là tỷ lệ đơn vị, kể cả đơn vị được "
    "can thiệp, có chênh lệch lớn như vậy.",
)
_WITHHELD = text(
    "No rank where a method misses the treated unit already before treatment by as much as would "
    "pass for an effect, in level or in trend.",
    "Không xếp hạng khi phương pháp đã lệch so với đơn vị được can thiệp từ trước can thiệp, về "
    "mức hay về xu hướng, đủ lớn để bị nhầm là tác động.",
)
_FOUND = {
    "rise": text("A rise, by both tests.", "Mức tăng, theo cả hai kiểm định."),
    "fall": text("A fall, by both tests.", "Mức giảm, theo cả hai kiểm định."),
    "rise by one": text(
        "A rise by one test; by the other the data cannot tell.",
        "Mức tăng theo một kiểm định; theo kiểm định kia, số liệu chưa cho phép kết luận.",
    ),
    "fall by one": text(
        "A fall by one test; by the other the data cannot tell.",
        "Mức giảm theo một kiểm định; theo kiểm định kia, số liệu chưa cho phép kết luận.",
    ),
    "cannot tell": text(
        "The data cannot tell: gaps as large are not rare among other units.",
        "Số liệu chưa cho phép kết luận: chênh lệch như vậy không hiếm ở các đơn vị khác.",
    ),
    "missed": text("Nothing can be told.", "Không thể kết luận."),
}


@dataclass(frozen=True, eq=False)
class Findings:
    """What the notebook found.

    Parameters
    ----------
    case : the question
    result : of synthetic control, with placebos
    without : gaps without each donor that has weight
    intervals : prediction intervals by period
    methods : average effect, spread of placebos and rank by method
    known : the case beside what is published, or beside the truth
    """

    case: OneProvince
    result: Result
    without: pd.DataFrame
    intervals: pd.DataFrame
    methods: pd.DataFrame
    known: pd.DataFrame

    @property
    def fit(self) -> Any:
        """What lies behind the synthetic control."""
        return self.result.extra["fit"]

    @property
    def is_missed(self) -> bool:
        """Whether the synthetic unit misses the treated one too far for a rank."""
        draws: Any = self.result.uncertainty
        return bool(draws.doubt)

    @property
    def is_early(self) -> bool:
        """Whether it is missed because an effect is found before there was any."""
        draws: Any = self.result.uncertainty
        return EARLIER in draws.doubt

    @property
    def rank(self) -> float:
        """The p-value of the average gap by rank; NaN where the treated unit is missed."""
        att = self.result.att()
        draws: Any = att.uncertainty
        return float(draws.p_values(att.estimates)[0])

    @property
    def ratio_rank(self) -> float:
        """The p-value by rank of the ratio of gaps after and before treatment."""
        return float(self.fit.quality["ratio_p_value"].iloc[0])

    def finds(self, level: float) -> str:
        """Name what the two ranks say together at a level of confidence."""
        if self.is_missed:
            return "missed"
        clear = [p <= 1.0 - level for p in (self.rank, self.ratio_rank)]
        if not any(clear):
            return "cannot tell"
        sign = "rise" if self.result.att().estimates[0] > 0 else "fall"
        return sign if all(clear) else f"{sign} by one"

    @property
    def is_closest(self) -> bool:
        """Whether no weights would come closer to the treated path."""
        quality: Any = self.fit.quality.iloc[0]
        before, hull = float(quality["rmspe_before"]), float(quality["hull_distance"])
        return abs(before - hull) <= _SAME * before

    @property
    def decimals(self) -> int | None:
        """Decimals of gaps without a unit of their own: three digits of the average one."""
        effect = float(self.result.att().estimates[0])
        return significant_decimals(effect) if self.unit == "number" else None

    @property
    def unit(self) -> Text | str:
        """The outcome's unit in a report."""
        return self.case.unit


def case_of(plan: Evaluation, *, pretended: int = 0, neighbours: Sequence[str] = ()) -> OneProvince:
    """Return the case that a plan states: its data, design and first primary outcome.

    Raises
    ------
    SpecError : the plan names no outcome or design, or not exactly one unit is treated
    """
    panel = plan_panel(plan, plan.data())
    outcome = next((o for o in plan.outcomes if o.primary), plan.outcomes[0])
    design = plan_design(plan, panel, outcome)
    unit = "log_points" if outcome.is_relative else outcome.unit
    return planned_case(
        design, label=outcome.label, unit=unit, pretended=pretended, neighbours=neighbours
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


def summarise(record: Record, plan: Evaluation, found: Findings) -> None:
    """Fill the first page: the average gap, its rank, the last period's interval, the reading.

    Where the two ranks part at the plan's level, or the treated unit is missed before treatment,
    the answer says so and the plan's credibility is lowered.
    """
    finding = found.finds(float(plan.inference["level"]))
    parts = [{code: f"**{capital(said)}**." for code, said in found.case.label.items()}]
    lowered = None
    if found.is_missed:
        parts, lowered = [*parts, _EARLY if found.is_early else _MISSED], _LOWERED_MISSED
    else:
        parts += [_GAP, _INTERVAL, _RANK]
    if finding.endswith("by one"):
        parts.append(_ONLY_AVERAGE if found.rank < found.ratio_rank else _ONLY_RATIO)
        lowered = _LOWERED
    if found.case.name == "simulated":
        parts.append(text("The true effect is {truth}.", "Tác động thật là {truth}."))
    reading = dict(plan.reading)
    if lowered is not None:
        reading["credibility"] = _joined([*_planned(reading.get("credibility")), lowered])
    record.summary(answer=_joined(parts), finding=_FOUND[finding], **reading)


def _planned(words: Text | None) -> list[Text]:
    """Say what the plan thought of the evidence, if anything."""
    return [] if words is None else [{c: _PLANNED[c].format(words[c]) for c in LANGUAGES}]


def _joined(parts: Sequence[Mapping[str, str]]) -> Text:
    """Put sentences one after the other, in every language."""
    return {code: " ".join(part[code] for part in parts) for code in LANGUAGES}


def add_chapters(record: Record, found: Findings, blocks: dict[str, Block]) -> None:
    """Add the chapters; `record_numbers` has made what they show."""
    record.section(
        "gap",
        text("Treated and synthetic", "Thực tế và tổng hợp"),
        _SYNTHETIC,
        _CLOSEST if found.is_closest else _HULL,
        blocks["paths"],
        blocks["weights"],
        *([blocks["map"]] if "map" in blocks else []),
        blocks["intervals"],
    )
    record.section(
        "rank",
        text("How rare is such a gap?", "Chênh lệch như vậy có hiếm không?"),
        _PLACEBOS,
        bullets(
            text("Average gap: no rank.", "Chênh lệch bình quân: không xếp hạng.")
            if found.is_missed
            else text(
                "Average gap: p {p.rank:equals}.", "Chênh lệch bình quân: p {p.rank:equals}."
            ),
            text(
                "Ratio of gaps after and before treatment: p {p.ratio:equals}.",
                "Tỷ số chênh lệch sau và trước can thiệp: p {p.ratio:equals}.",
            ),
        ),
        blocks["placebos"],
        blocks["without"],
    )
    known = [blocks["known"]] if "known" in blocks else []
    record.section(
        "methods",
        text("Other ways to compare", "Các cách so sánh khác"),
        blocks["methods"],
        *known,
    )
