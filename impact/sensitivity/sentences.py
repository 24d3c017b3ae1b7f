"""Questions and answers of the analyses in every language, from numbers given once.

A template names its values with a form: ``{effect:number}``, ``{share:percent1}``, ``{p:p}``,
``{n:unit}`` (a count with its noun), ``{exact:word}`` (one of `WORDS`), ``{names:as_is}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from impact.errors import check_choice, plural
from impact.tables import format_number, state_p_value

__all__ = ["LANGUAGES", "TEMPLATES", "Language", "Sentence"]

Language = Literal["en", "vi"]
LANGUAGES = ("en", "vi")

_VALUE = re.compile(r"\{(\w+):(\w+)\}")

NOUNS = {
    "cell": "ô",
    "column": "biến",
    "comparison": "phép so sánh",
    "period": "kỳ",
    "placebo": "phép thử giả dược",
    "specification": "cách ước lượng",
    "time": "lần",
    "unit": "đơn vị",
}

WORDS = {
    "parallel trends": "xu hướng song song",
    "linear trends": "xu hướng tuyến tính",
    "deviation": "mức lệch",
    "bend": "mức đổi hướng",
    "cohort": "đợt bắt đầu",
    "cluster": "cụm",
    "too often": "quá thường xuyên",
    "no more than chance allows": "không hơn mức ngẫu nhiên cho phép",
    "differs": "khác",
    "does not differ": "không khác",
}

TEMPLATES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "honest.question": (
            "How wrong may parallel trends be before the effect is lost ({level:percent0})?",
            "Giả định xu hướng song song có thể sai đến mức nào trước khi không còn thấy tác động "
            "({level:percent0})?",
        ),
        "honest.none": (
            "The effect of {effect:number} cannot be told from zero even under {exact:word}.",
            "Không phân biệt được tác động {effect:number} với số không, ngay cả khi có "
            "{exact:word}.",
        ),
        "honest.always": (
            "The effect of {effect:number} differs from zero however far trends deviate within the "
            "range tried.",
            "Tác động {effect:number} khác không dù xu hướng lệch bao nhiêu trong phạm vi đã thử.",
        ),
        "honest.hardly": (
            "The effect of {effect:number} differs from zero under {exact:word}, and under hardly "
            "any deviation.",
            "Tác động {effect:number} khác không khi có {exact:word}, nhưng không chịu được mức "
            "lệch nào.",
        ),
        "honest.slope": (
            "The effect of {effect:number} differs from zero as long as trends deviate by less "
            "than a slope that changes by {size:number3} a period.",
            "Tác động {effect:number} khác không chừng nào độ dốc của xu hướng thay đổi ít hơn "
            "{size:number3} mỗi kỳ.",
        ),
        "honest.relative": (
            "The effect of {effect:number} differs from zero as long as trends deviate by less "
            "than {size:number3} times the largest {what:word} seen before treatment.",
            "Tác động {effect:number} khác không chừng nào xu hướng lệch ít hơn {size:number3} lần "
            "{what:word} lớn nhất thấy được trước khi hỗ trợ.",
        ),
        "pretrends.question": (
            "Which trends would the test of pre-trends have missed?",
            "Kiểm định xu hướng trước hỗ trợ có thể bỏ sót những xu hướng nào?",
        ),
        "pretrends.answer": (
            "A linear trend of {slope:number} a period would be noticed with probability "
            "{power:two}; unnoticed, it would put {bias:number} into the effect of "
            "{effect:number}.",
            "Một xu hướng tuyến tính {slope:number} mỗi kỳ sẽ bị phát hiện với xác suất "
            "{power:two}; nếu không bị phát hiện, nó đưa {bias:number} vào tác động "
            "{effect:number}.",
        ),
        "placebo_in_time.question": (
            "Does an effect appear before treatment began?",
            "Có tác động nào xuất hiện trước khi bắt đầu hỗ trợ không?",
        ),
        "placebo_in_time.no_p": (
            "Placebo effects lie between {low:number} and {high:number}; no valid p-value exists "
            "for them.",
            "Các tác động giả nằm giữa {low:number} và {high:number}; không có giá trị p hợp lệ "
            "cho chúng.",
        ),
        "placebo_in_time.answer": (
            "The strongest of {n:placebo}, {lead:period} early, gives {estimate:number} and "
            "{answer:word} from zero (p {p:p} for all of them).",
            "Trong {n:placebo}, phép mạnh nhất, sớm {lead:period}, cho {estimate:number} và "
            "{answer:word} không (p {p:p} cho tất cả).",
        ),
        "placebo_in_space.question": (
            "How often does the method find an effect where nobody was treated?",
            "Phương pháp này tìm thấy tác động ở nơi không ai được hỗ trợ thường đến mức nào?",
        ),
        "placebo_in_space.answer": (
            "Among units never treated, {share:percent1} of {n:placebo} are significant at "
            "{size:percent0} ({verdict:word}, standard deviation {error:percent1}); "
            "{beyond:percent1} are as far from zero as the estimate of {estimate:number}.",
            "Trong các đơn vị không bao giờ được hỗ trợ, {share:percent1} của {n:placebo} có ý "
            "nghĩa ở mức {size:percent0} ({verdict:word}, độ lệch chuẩn {error:percent1}); "
            "{beyond:percent1} cách số không ít nhất bằng ước lượng {estimate:number}.",
        ),
        "placebo_cancelled.question": (
            "Do cancelled projects show an effect?",
            "Các đề án bị hủy có cho thấy tác động không?",
        ),
        "placebo_cancelled.one": ("{n:unit} with a cancelled project shows", "{n:unit}"),
        "placebo_cancelled.many": ("{n:unit} with a cancelled project show", "{n:unit}"),
        "placebo_cancelled.effect": (
            " an effect of {estimate:number}, ",
            " có đề án bị hủy cho thấy tác động {estimate:number}, ",
        ),
        "placebo_cancelled.no_p": (
            "for which no valid p-value exists",
            "mà không có giá trị p hợp lệ",
        ),
        "placebo_cancelled.p": (
            "which {answer:word} from zero (p {p:p})",
            "{answer:word} không (p {p:p})",
        ),
        "placebo_cancelled.true": (
            "; projects carried out, {carried_out:number}.",
            "; các đề án được thực hiện: {carried_out:number}.",
        ),
        "leave_one_out.question": (
            "Does the effect hang on one {what:word}?",
            "Tác động có phụ thuộc vào một {what:word} duy nhất không?",
        ),
        "leave_one_out.answer": (
            "Without any one {what:word} the effect lies between {low:number} and {high:number} "
            "(all: {effect:number}); {worst:as_is} moves it most, by {change:number}",
            "Khi bỏ lần lượt từng {what:word}, tác động nằm giữa {low:number} và {high:number} "
            "(tất cả: {effect:number}); {worst:as_is} làm nó thay đổi nhiều nhất, {change:number}",
        ),
        "leave_one_out.flips": (
            ", and the sign changes {flips:time}.",
            ", và dấu đổi {flips:time}.",
        ),
        "stop": (".", "."),
        "battery.skipped": ("skipped: {why:as_is}", "không thực hiện: {why:as_is}"),
        "anticipation.question": (
            "Does the effect change if treatment may have acted early?",
            "Tác động có thay đổi không nếu hỗ trợ có thể đã tác động sớm?",
        ),
        "anticipation.answer": (
            "Allowing {first:count} to {last:count} periods of anticipation, the effect lies "
            "between {low:number} and {high:number} (printed: {effect:number}).",
            "Khi cho phép tác động sớm từ {first:count} đến {last:count} kỳ, tác động nằm giữa "
            "{low:number} và {high:number} (đã in: {effect:number}).",
        ),
        "specification_curve.question": (
            "Does the effect depend on how it is estimated?",
            "Tác động có phụ thuộc vào cách ước lượng không?",
        ),
        "specification_curve.answer": (
            "Over {n:specification} the effect lies between {low:number} and {high:number} with a "
            "median of {median:number}; {share:percent0} are significant with the median's sign",
            "Qua {n:specification}, tác động nằm giữa {low:number} và {high:number}, trung vị "
            "{median:number}; {share:percent0} có ý nghĩa và cùng dấu với trung vị",
        ),
        "specification_curve.joint": (
            " (joint randomisation p {p:p}).",
            " (giá trị p ngẫu nhiên hóa chung {p:p}).",
        ),
        "bacon.question": (
            "How much of two-way fixed effects compares with units already treated?",
            "Bao nhiêu phần của mô hình tác động cố định hai chiều so sánh với các đơn vị đã được "
            "hỗ trợ?",
        ),
        "bacon.answer": (
            "Two-way fixed effects give {twfe:number}, of which {forbidden:percent1} of the weight "
            "compares with units already treated",
            "Tác động cố định hai chiều cho {twfe:number}, trong đó {forbidden:percent1} trọng số "
            "là so sánh với các đơn vị đã được hỗ trợ",
        ),
        "bacon.clean": (
            "; comparisons with units never treated average {clean:number}",
            "; các so sánh với đơn vị không bao giờ được hỗ trợ có trung bình {clean:number}",
        ),
        "bacon.count": (" ({n:comparison}).", " ({n:comparison})."),
        "twfe_weights.question": (
            "Do some effects enter the two-way fixed effects estimate with a negative sign?",
            "Có tác động nào đi vào ước lượng tác động cố định hai chiều với dấu âm không?",
        ),
        "twfe_weights.one": (
            "{n:cell} of {treated:count} treated ones has a negative weight, together {sum:number}",
            "{n:cell} trong {treated:count} ô được hỗ trợ có trọng số âm, tổng cộng {sum:number}",
        ),
        "twfe_weights.many": (
            "{n:cell} of {treated:count} treated ones have negative weight, together {sum:number}",
            "{n:cell} trong {treated:count} ô được hỗ trợ có trọng số âm, tổng cộng {sum:number}",
        ),
        "twfe_weights.where": (" ({where:cells})", " ({where:cells})"),
        "twfe_weights.sigma": (
            "; effects with a standard deviation of {sigma:number} across cells could turn an "
            "average of zero into this estimate.",
            "; nếu tác động giữa các ô có độ lệch chuẩn {sigma:number}, trung bình bằng không có "
            "thể thành ước lượng này.",
        ),
        "twfe_weights.equal": (
            "; all weights are equal, so the estimate is the average of their effects.",
            "; mọi trọng số bằng nhau, nên ước lượng là trung bình của các tác động.",
        ),
        "balance.question": (
            "Were treated and comparison units alike before treatment?",
            "Trước khi hỗ trợ, các đơn vị được hỗ trợ và đơn vị so sánh có giống nhau không?",
        ),
        "balance.one": (
            "{n:column} of {all:count} differs",
            "{n:column} trong {all:count} khác nhau",
        ),
        "balance.many": (
            "{n:column} of {all:count} differ",
            "{n:column} trong {all:count} khác nhau",
        ),
        "balance.answer": (
            " by more than {limit:plain} standard deviations at the start; the largest normalised "
            "difference is {largest:number3} ({worst:as_is}). Joint test of equal means: "
            "p {p:p}.",
            " hơn {limit:plain} độ lệch chuẩn lúc đầu; chênh lệch chuẩn hóa lớn nhất là "
            "{largest:number3} ({worst:as_is}). Kiểm định chung các trung bình bằng nhau: "
            "p {p:p}.",
        ),
        "attrition.question": (
            "Do units leave because of treatment, and what may that do to the effect?",
            "Các đơn vị có rời mẫu vì hỗ trợ không, và điều đó có thể ảnh hưởng thế nào đến tác "
            "động?",
        ),
        "attrition.answer": (
            "{treated:percent1} of treated and {comparison:percent1} of comparison units are still "
            "seen in {period:as_is} (difference {gap:signed1}",
            "{treated:percent1} đơn vị được hỗ trợ và {comparison:percent1} đơn vị so sánh còn "
            "thấy ở kỳ {period:as_is} (chênh lệch {gap:signed1}",
        ),
        "attrition.judged": (
            ", p {p:p}); allowing for that, the effect by then lies between {low:number} and "
            "{high:number} ({level:percent0} interval {conf_low:number} to {conf_high:number}).",
            ", p {p:p}); tính đến điều đó, tác động đến lúc ấy nằm giữa {low:number} và "
            "{high:number} (khoảng {level:percent0}: {conf_low:number} đến {conf_high:number}).",
        ),
        "attrition.bounds": (
            "); allowing for that, the effect in this sample by then lies between {low:number} and "
            "{high:number}, and nothing shows how far chance may move these bounds.",
            "); tính đến điều đó, tác động trong mẫu này đến lúc ấy nằm giữa {low:number} và "
            "{high:number}, và không có gì cho biết ngẫu nhiên có thể làm xê dịch các giới hạn này "
            "đến đâu.",
        ),
        "carry_over.question": (
            "Does an effect last after treatment stopped?",
            "Tác động có kéo dài sau khi ngừng hỗ trợ không?",
        ),
        "carry_over.yes": ("Something is carried over", "Có tác động kéo dài"),
        "carry_over.no": (
            "Nothing is seen to be carried over",
            "Không thấy tác động kéo dài",
        ),
        "carry_over.unknown": (
            "It cannot be told whether something is carried over",
            "Không biết được có tác động kéo dài hay không",
        ),
        "carry_over.answer": (
            ": one period after treatment stopped the outcome differs by {estimate:number} from "
            "what unit and period explain (smallest p over {n:period}, all together: p {p:p}).",
            ": một kỳ sau khi ngừng hỗ trợ, kết quả chênh {estimate:number} so với phần mà đơn vị "
            "và kỳ giải thích (p nhỏ nhất qua {n:period}, tính chung: p {p:p}).",
        ),
        "spillover.question": (
            "Does treatment reach the neighbours, and what does it do in total?",
            "Hỗ trợ có lan đến các đơn vị lân cận không, và tổng tác động là bao nhiêu?",
        ),
        "spillover.direct": (
            "The direct effect against units out of reach is {direct:number} a unit; ",
            "Tác động trực tiếp so với các đơn vị ngoài tầm là {direct:number} mỗi đơn vị; ",
        ),
        "spillover.yes": (
            "neighbours show an effect (smallest p {p:p}, all rings together)",
            "các đơn vị lân cận có tác động (p nhỏ nhất {p:p}, tính chung mọi vành)",
        ),
        "spillover.no": (
            "no ring shows one (smallest p {p:p}, all rings together)",
            "không vành nào có tác động (p nhỏ nhất {p:p}, tính chung mọi vành)",
        ),
        "spillover.unknown": (
            "whether neighbours show one cannot be told (no valid p-value exists)",
            "không biết được các đơn vị lân cận có tác động hay không (không có giá trị p hợp lệ)",
        ),
        "spillover.total": (
            ". Direct effects and spillovers sum to {total:number}, direct ones alone to "
            "{direct_total:number}.",
            ". Tổng tác động trực tiếp và lan tỏa là {total:number}, riêng tác động trực tiếp là "
            "{direct_total:number}.",
        ),
        "oster.question": (
            "How much selection on unobservables would explain the estimate away?",
            "Cần bao nhiêu chọn lọc theo yếu tố không quan sát được để giải thích hết ước lượng?",
        ),
        "oster.same": (
            "Unobservables would have to matter {times:number3} times as much as {names:as_is}",
            "Các yếu tố không quan sát được phải quan trọng gấp {times:number3} lần {names:as_is}",
        ),
        "oster.other": (
            "Unobservables would have to pull the other way than {names:as_is}, and "
            "{times:number3} times as much as they,",
            "Các yếu tố không quan sát được phải kéo ngược chiều với {names:as_is}, và mạnh gấp "
            "{times:number3} lần,",
        ),
        "oster.answer": (
            " to bring the estimate of {long:number} to {null:plain}; with a proportion of "
            "{proportion:plain} it would be {corrected:number}.",
            " để đưa ước lượng {long:number} về {null:plain}; với tỷ lệ {proportion:plain}, ước "
            "lượng sẽ là {corrected:number}.",
        ),
        "cinelli_hazlett.question": (
            "How strong must a confounder be to overturn the estimate?",
            "Một yếu tố gây nhiễu phải mạnh đến mức nào để lật ngược ước lượng?",
        ),
        "cinelli_hazlett.answer": (
            "A confounder that explains {value:percent1} of the residual variance of both "
            "treatment and outcome would explain away {q:percent0} of the estimate of "
            "{estimate:number}; {value_level:percent1} would make it insignificant at "
            "{size:percent0}.",
            "Một yếu tố gây nhiễu giải thích {value:percent1} phương sai còn lại của cả hỗ trợ lẫn "
            "kết quả sẽ giải thích hết {q:percent0} của ước lượng {estimate:number}; "
            "{value_level:percent1} sẽ làm nó mất ý nghĩa ở mức {size:percent0}.",
        ),
    }
)
"""English and Vietnamese by key; a sentence may join several."""


@dataclass(frozen=True)
class Sentence:
    """One sentence for every language: keys of templates joined in order, and their values."""

    keys: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, *keys: str, **values: object) -> Sentence:
        """Make a sentence of templates and the values that they name."""
        return cls(keys, values)

    def say(self, language: Language = "en") -> str:
        """Return the sentence in a language."""
        check_choice("language", language, LANGUAGES)
        at = LANGUAGES.index(language)
        template = "".join(TEMPLATES[key][at] for key in self.keys)
        return _VALUE.sub(lambda m: _written(self.values[m[1]], m[2], language), template)


def _written(value: object, form: str, language: Language) -> str:
    """Write one value in the form that a template names."""
    if form == "as_is":
        return str(value)
    if form == "word":
        return str(value) if language == "en" else WORDS.get(str(value), str(value))
    if form == "cells":
        return _cells(value, language)
    if form in NOUNS:
        count = int(float(str(value)))
        written = plural(count, form) if language == "en" else f"{count:,} {NOUNS[form]}"
        return _local(written, language)
    return _local(_FORMS[form](float(str(value))), language)


_FORMS: Mapping[str, Callable[[float], str]] = {
    "number": format_number,
    "number3": lambda value: format_number(value, 3),
    "percent0": lambda value: f"{value:.0%}",
    "percent1": lambda value: f"{value:.1%}",
    "signed1": lambda value: f"{value:+.1%}",
    "p": state_p_value,
    "two": lambda value: f"{value:.2f}",
    "plain": lambda value: f"{value:g}",
    "count": lambda value: f"{value:,.0f}",
}


def _cells(value: object, language: Language) -> str:
    """Name cells given as (cohort, period), the first three and how many more."""
    cells = list(value)  # type: ignore[call-overload]
    cell = "cohort {c:g} in {t}" if language == "en" else "đợt {c:g} kỳ {t}"
    shown = ", ".join(cell.format(c=c, t=t) for c, t in cells[:3])
    if len(cells) <= 3:
        return shown
    more = len(cells) - 3
    return f"{shown} and {more} more" if language == "en" else f"{shown} và {more} ô nữa"


def _local(number: str, language: Language) -> str:
    """Write a number's marks as the language does: 1,234.5 or 1.234,5."""
    return number if language == "en" else number.translate(str.maketrans(",.", ".,"))
