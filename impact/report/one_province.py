"""The report on one treated unit: its first page and its chapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from impact.evaluation import Evaluation
from impact.report.one_province_findings import Findings, case_of
from impact.report.one_province_tables import record_numbers
from impact.report.results import Block, Record, bullets
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = ["Findings", "add_chapters", "case_of", "record_numbers", "summarise"]

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
