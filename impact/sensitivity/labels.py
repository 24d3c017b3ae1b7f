"""Labels of figures in every language, by their English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from impact.errors import check_choice
from impact.sensitivity.sentences import LANGUAGES, Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LABELS", "say_label", "say_labels"]

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "Bounds on the effect by the last period": "Giới hạn của tác động đến kỳ cuối",
        "Change of the outcome": "Thay đổi của kết quả",
        "Draws": "Số lần rút",
        "Effect": "Tác động",
        "Effect (dark: significant at 5 %)": "Tác động (đậm: có ý nghĩa ở mức 5 %)",
        "Effect (thin: confidence set; thick: identified set)": (
            "Tác động (mảnh: tập tin cậy; dày: tập xác định được)"
        ),
        "Estimate": "Ước lượng",
        "Estimate of the comparison": "Ước lượng của phép so sánh",
        "First treated": "Bắt đầu hỗ trợ",
        "M, in outcome units": "M, theo đơn vị của kết quả",
        "Mbar": "Mbar",
        "Normalised difference, treated less comparison": (
            "Chênh lệch chuẩn hóa, nhóm được hỗ trợ trừ nhóm so sánh"
        ),
        "Partial R² of the confounder with treatment": (
            "R² riêng phần của yếu tố gây nhiễu với hỗ trợ"
        ),
        "Partial R² with the outcome": "R² riêng phần với kết quả",
        "Period": "Kỳ",
        "Periods after the end": "Số kỳ sau khi ngừng",
        "Periods since treatment began": "Số kỳ từ khi bắt đầu hỗ trợ",
        "Placebo effect (line: the estimate)": "Tác động giả (đường thẳng: ước lượng)",
        "Weight": "Trọng số",
        "all": "tất cả",
        "anticipation": "tác động sớm",
        "cancelled": "bị hủy",
        "carried out": "được thực hiện",
        "corrected": "đã hiệu chỉnh",
        "direct": "trực tiếp",
        "earlier vs later treated": "hỗ trợ sớm so với hỗ trợ muộn",
        "estimate": "ước lượng",
        "exposed": "bị ảnh hưởng lan tỏa",
        "later vs always treated": "hỗ trợ muộn so với luôn được hỗ trợ",
        "later vs earlier treated": "hỗ trợ muộn so với hỗ trợ sớm",
        "negative": "âm",
        "never_treated": "không bao giờ được hỗ trợ",
        "no covariates": "không có biến kiểm soát",
        "not_yet_treated": "chưa được hỗ trợ",
        "positive": "dương",
        "treated vs never treated": "được hỗ trợ so với không bao giờ được hỗ trợ",
        "trend it would miss": "xu hướng có thể bị bỏ sót",
        "with covariates": "có biến kiểm soát",
        "without covariates": "không có biến kiểm soát",
    }
)
"""Vietnamese by English."""

_NUMBERED = re.compile(r"(\D+) (\d+)")


def say_label(label: str, language: Language) -> str:
    """Return a label in a language, part by part; names of columns and estimators stay."""
    if language == "en" or label in LABELS:
        return label if language == "en" else LABELS[label]
    if ", " in label:
        return ", ".join(say_label(part, language) for part in label.split(", "))
    numbered = _NUMBERED.fullmatch(label)
    if numbered and numbered[1] in LABELS:
        return f"{LABELS[numbered[1]]} {numbered[2]}"
    return label


def say_labels(ax: Axes, language: Language) -> Axes:
    """Write the labels of a figure drawn in English in a language.

    Raises
    ------
    DesignError : an unknown language
    """
    check_choice("language", language, LANGUAGES)
    if language == "en":
        return ax
    legend = ax.get_legend()
    texts = [ax.xaxis.label, ax.yaxis.label, *(legend.get_texts() if legend else ())]
    for text in texts:
        text.set_text(say_label(text.get_text(), language))
    from matplotlib.ticker import FixedLocator

    if isinstance(ax.yaxis.get_major_locator(), FixedLocator):
        names = [say_label(name.get_text(), language) for name in ax.get_yticklabels()]
        sizes = [name.get_fontsize() for name in ax.get_yticklabels()]
        ax.set_yticks(ax.get_yticks(), names, fontsize=sizes[0] if sizes else None)
    return ax
