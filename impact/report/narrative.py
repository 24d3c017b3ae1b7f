"""Sentences from numbers: fixed templates for each verdict and language, every number a value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from impact.evaluation import CRITERIA, Evaluation
from impact.report.effects import OutcomeEffect, Verdict
from impact.report.html import locale_words
from impact.report.population import Population, design_counts, sample_counts
from impact.report.results import Record
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = [
    "answer",
    "cells_alt",
    "criteria_sentences",
    "design_sentence",
    "effect_sentence",
    "estimator_name",
    "event_study_alt",
    "event_study_caption",
    "event_study_sentences",
    "findings",
    "inference_sentences",
    "method_sentences",
    "sample_sentences",
    "summarise_verdicts",
    "tell_verdicts",
    "timing_alt",
    "unit_name",
]

_SENTENCES: dict[Verdict, Text] = {
    "rise": text(
        "**{label}** rose by {{{id}:magnitude}} ({{level}} interval: {{{id}:interval}}).",
        "**{label}** tăng {{{id}:magnitude}} (khoảng tin cậy {{level}}: {{{id}:interval}}).",
    ),
    "fall": text(
        "**{label}** fell by {{{id}:magnitude}} ({{level}} interval: {{{id}:interval}}).",
        "**{label}** giảm {{{id}:magnitude}} (khoảng tin cậy {{level}}: {{{id}:interval}}).",
    ),
    "no_effect": text(
        "**{label}**: no effect larger than {{{id}.smallest}} in either direction; the estimate is "
        "{{{id}:signed}} ({{level}} interval: {{{id}:interval}}).",
        "**{label}**: không có tác động nào lớn hơn {{{id}.smallest}} theo cả hai chiều; ước lượng "
        "là {{{id}:signed}} (khoảng tin cậy {{level}}: {{{id}:interval}}).",
    ),
    "cannot_tell": text(
        "**{label}**: the data cannot tell. The estimate is {{{id}:signed}} and everything in "
        "{{{id}:interval}} is compatible with the data ({{level}}); a true rise smaller than "
        "{{{id}.detectable}}, or a true fall smaller than {{{id}.detectable_fall}}, would be "
        "missed more often than once in five times.",
        "**{label}**: số liệu chưa cho phép kết luận. Ước lượng là {{{id}:signed}}, và mọi giá trị "
        "trong khoảng {{{id}:interval}} đều phù hợp với số liệu ({{level}}); mức tăng thật nhỏ hơn "
        "{{{id}.detectable}}, hoặc mức giảm thật nhỏ hơn {{{id}.detectable_fall}}, sẽ bị bỏ sót "
        "với tần suất cao hơn một trong năm lần.",
    ),
}
_WITHOUT_INTERVAL = text(
    "**{label}**: the data cannot tell. The estimate is {{{id}:signed}}; with so few units in one "
    "of the groups compared no interval is valid, so that how far off it may be is not known.",
    "**{label}**: số liệu chưa cho phép kết luận. Ước lượng là {{{id}:signed}}; do quá ít đơn vị "
    "được hoặc không được hỗ trợ nên không có khoảng tin cậy nào đáng tin, và không biết con số "
    "này có thể lệch đến đâu.",
)
_GROUPS: dict[Verdict, Text] = {
    "rise": text("A rise is found in {names}.", "Có bằng chứng về mức tăng của {names}."),
    "fall": text("A fall is found in {names}.", "Có bằng chứng về mức giảm của {names}."),
    "no_effect": text(
        "No effect of a size that matters on {names}.",
        "Không có tác động đủ lớn để đáng kể đến {names}.",
    ),
    "cannot_tell": text(
        "For {names} the data cannot tell.", "Với {names}, số liệu chưa cho phép kết luận."
    ),
}
_UNITS = text("units", "đơn vị")
_TREATMENT = text("treatment", "hỗ trợ")
_CRITERIA = {
    "relevance": text("relevance", "tính phù hợp"),
    "coherence": text("coherence", "tính nhất quán"),
    "effectiveness": text("effectiveness", "tính hiệu lực"),
    "efficiency": text("efficiency", "tính hiệu quả"),
    "impact": text("impact", "tác động"),
    "sustainability": text("sustainability", "tính bền vững"),
}
_LOSSES = {
    "unreported": text("units that never reported it", "số đơn vị không báo cáo"),
    "unreported_treated": text(
        "units that never reported it, treated", "số đơn vị không báo cáo, được hỗ trợ"
    ),
    "unreported_untreated": text(
        "units that never reported it, never treated", "số đơn vị không báo cáo, không được hỗ trợ"
    ),
    "only_after": text("units seen only after treatment", "số đơn vị chỉ quan sát được sau hỗ trợ"),
    "left_out": text("units left out for other columns", "số đơn vị bị loại do thiếu cột khác"),
    "once": text("units seen in one period only", "số đơn vị chỉ quan sát được trong một kỳ"),
}
_LOSS_SENTENCES = {
    "unreported": text(
        "Never reported: {{{id}.unreported}} ({{{id}.unreported_treated}} treated, "
        "{{{id}.unreported_untreated}} never treated).",
        "Không báo cáo: {{{id}.unreported}} ({{{id}.unreported_treated}} được hỗ trợ, "
        "{{{id}.unreported_untreated}} không được hỗ trợ).",
    ),
    "only_after": text(
        "Reported only once treated, hence with nothing before to compare, and left out: "
        "{{{id}.only_after}}.",
        "Chỉ báo cáo khi đã được hỗ trợ nên không có số liệu trước để so sánh, bị loại: "
        "{{{id}.only_after}}.",
    ),
    "left_out": text(
        "Left out because a covariate, weight or cluster is missing: {{{id}.left_out}}.",
        "Bị loại do thiếu biến kiểm soát, trọng số hoặc cụm: {{{id}.left_out}}.",
    ),
    "once": text(
        "Reported in one period only, so that no change of theirs is known: {{{id}.once}} of those "
        "used.",
        "Chỉ báo cáo trong một kỳ nên không biết mức thay đổi: {{{id}.once}} trong số được dùng.",
    ),
}
_AND = {"en": " and ", "vi": " và "}


def effect_sentence(effect: OutcomeEffect) -> Text:
    """Say what was found for one outcome, as its verdict asks."""
    unbounded = math.isnan(effect.main.low) and math.isnan(effect.main.high)
    template = _WITHOUT_INTERVAL if unbounded else _SENTENCES[effect.verdict]
    label = effect.outcome.label
    return {
        code: template[code].format(label=capital(label[code]), id=effect.outcome.name)
        for code in LANGUAGES
    }


def findings(effects: Mapping[str, OutcomeEffect]) -> list[Text]:
    """Say what was found for every outcome, primary ones first."""
    ordered = sorted(effects.values(), key=lambda effect: not effect.outcome.primary)
    return [effect_sentence(effect) for effect in ordered]


def answer(effects: Mapping[str, OutcomeEffect]) -> Text:
    """Answer the question: the effects on primary outcomes, and where nothing can be told."""
    primary = {name: e for name, e in effects.items() if e.outcome.primary} or dict(effects)
    told = [effect_sentence(e) for e in primary.values() if e.verdict != "cannot_tell"]
    untold = {name: e for name, e in primary.items() if e.verdict == "cannot_tell"}
    sentences = told + ([summarise_verdicts(untold)] if untold else [])
    return {code: " ".join(sentence[code] for sentence in sentences) for code in LANGUAGES}


def summarise_verdicts(effects: Mapping[str, OutcomeEffect]) -> Text:
    """Name the outcomes that rose, fell, show no effect of interest, or cannot be told."""
    return tell_verdicts((e.outcome.label, e.verdict) for e in effects.values())


def tell_verdicts(verdicts: Iterable[tuple[Text, Verdict]]) -> Text:
    """Name labels by their verdicts: what rose, fell, shows no effect, or cannot be told."""
    told = list(verdicts)
    found: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for verdict, sentence in _GROUPS.items():
        labels = [label for label, own in told if own == verdict]
        for code in LANGUAGES if labels else ():
            names = _enumerated([label[code] for label in labels], code)
            found[code].append(sentence[code].format(names=names))
    return {code: " ".join(found[code]) for code in LANGUAGES}


def design_sentence(record: Record, plan: Evaluation, population: Population) -> Text:
    """Say who is in the data and who was treated, and record the counts as ``design.*``."""
    counts, sums = design_counts(population)
    labels = {
        "units": text("units in the data", "số đơn vị trong số liệu"),
        "treated": text("units treated", "số đơn vị được hỗ trợ"),
        "never": text("units never treated", "số đơn vị không hỗ trợ"),
    } | {
        f"wave_{cohort}": text(
            f"units first treated in {cohort}", f"số đơn vị được hỗ trợ từ {cohort}"
        )
        for cohort in population.waves
    }
    for id, count in counts.items():
        record.value(id, count, "count", labels[id.removeprefix("design.")], units=count)
    for whole, parts in sums:
        record.sums(whole, parts)
    for name, year, label in (
        ("first", population.periods[0], text("first period", "kỳ đầu")),
        ("last", population.periods[-1], text("last period", "kỳ cuối")),
    ):
        record.value(f"design.{name}", int(year), "year", label)
    waves: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for cohort in population.waves:
        wave = f"design.wave_{cohort}"
        begins = text(f"wave of {cohort}: first treated", f"đợt {cohort}: kỳ bắt đầu")
        record.value(f"{wave}.from", cohort, "year", begins)
        waves["en"].append(f"{{{wave}}} first in {{{wave}.from}}")
        waves["vi"].append(f"{{{wave}}} bắt đầu từ {{{wave}.from}}")
    units, treatment = unit_name(plan), plan.design.get("treatment", _TREATMENT)
    return text(
        f"The data hold {{design.units}} {units['en']} from {{design.first}} to {{design.last}}. "
        f"{{design.treated}} of them received {treatment['en']}: "
        f"{_enumerated(waves['en'], 'en')}. The other {{design.never}} never did; they, and those "
        "who received it later, say how the others would have changed without it.",
        f"Số liệu gồm {{design.units}} {units['vi']}, từ {{design.first}} đến {{design.last}}. "
        f"Trong đó {{design.treated}} {units['vi']} nhận {treatment['vi']}: "
        f"{_enumerated(waves['vi'], 'vi')}. {{design.never}} {units['vi']} còn lại không nhận; "
        "nhóm này, cùng với nhóm nhận muộn hơn, cho biết điều gì đã xảy ra nếu không có hỗ trợ.",
    )


def sample_sentences(
    record: Record, plan: Evaluation, effects: Mapping[str, OutcomeEffect]
) -> list[Text]:
    """Say which units each outcome rests on and which it loses, and record the counts.

    `design_sentence` and `effect_tables.record_effects` have recorded the counts in the data and
    in use; here ``y.unreported``, ``y.only_after``, ``y.left_out`` and ``y.once`` join them.
    """
    return [_sample_sentence(record, plan, name, effect) for name, effect in effects.items()]


def _sample_sentence(record: Record, plan: Evaluation, name: str, effect: OutcomeEffect) -> Text:
    found, sums = sample_counts(name, effect.design)
    units = unit_name(plan)
    label = {code: capital(effect.outcome.label[code]) for code in LANGUAGES}
    counts = {id.removeprefix(f"{name}."): count for id, count in found.items()}
    parts: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for cause in [cause for cause in _LOSSES if cause in counts]:
        count = counts[cause]
        what = _LOSSES[cause]
        words = {c: f"{label[c]}: {what[c]}" for c in LANGUAGES}
        record.value(f"{name}.{cause}", count, "count", words, units=count)
        for code in LANGUAGES if cause in _LOSS_SENTENCES else ():
            parts[code].append(_LOSS_SENTENCES[cause][code].format(id=name))
    for whole, added in sums:
        record.sums(whole, added)
    return text(
        f"**{label['en']}**: {{{name}.units}} of {{design.units}} {units['en']} are used, "
        f"{{{name}.treated}} of them treated. {' '.join(parts['en'])}".strip(),
        f"**{label['vi']}**: sử dụng {{{name}.units}} trong số {{design.units}} {units['vi']}, "
        f"trong đó {{{name}.treated}} được hỗ trợ. {' '.join(parts['vi'])}".strip(),
    )


def unit_name(plan: Evaluation) -> Text:
    """Return what a unit of the plan is called, in the plural."""
    name: Text = plan.design.get("unit_name", _UNITS)
    return name


def timing_alt(plan: Evaluation) -> Text:
    """Describe the figure of treatment timing; `design_sentence` has recorded its numbers."""
    units = unit_name(plan)
    return text(
        f"One line for each of {{design.units}} {units['en']} from {{design.first}} to "
        "{design.last}, sorted by first treatment: {design.treated} change colour when treatment "
        "begins, {design.never} never do.",
        f"Mỗi dòng là một trong {{design.units}} {units['vi']}, từ {{design.first}} đến "
        "{design.last}, xếp theo thời điểm bắt đầu: {design.treated} dòng đổi màu khi được hỗ trợ, "
        "{design.never} dòng không đổi.",
    )


def event_study_sentences(effects: Mapping[str, OutcomeEffect]) -> list[Text]:
    """Say for which outcomes something moved before treatment, and for which nothing is seen."""
    tested = {name: e.pre_trends for name, e in effects.items() if e.pre_trends is not None}
    untested = [n for n, test in tested.items() if math.isnan(test.p_value)]
    moved = [n for n, test in tested.items() if test.p_value < 1 - effects[n].level]
    still = [n for n in tested if n not in moved and n not in untested]
    sentences = []
    for name in moved:
        label = effects[name].outcome.label
        sentences.append(
            text(
                f"**{capital(label['en'])}** already differed before treatment "
                f"(p {{{name}.pretrend:equals}}): part of what is called effect may be that "
                "movement.",
                f"**{capital(label['vi'])}** đã khác biệt từ trước khi được hỗ trợ "
                f"(p {{{name}.pretrend:equals}}): một phần của tác động có thể là biến động đó.",
            )
        )
    if still:
        names = _labels_of(effects, still)
        sentences.append(
            text(
                f"No difference before treatment is seen in {names['en']}. With so few periods "
                "before treatment such a test finds only large differences.",
                f"Không thấy khác biệt trước khi được hỗ trợ ở {names['vi']}. Với ít kỳ quan sát "
                "trước hỗ trợ, kiểm định này chỉ phát hiện được khác biệt lớn.",
            )
        )
    if untested:
        names = _labels_of(effects, untested)
        sentences.append(
            text(
                f"Whether {names['en']} already differed before treatment the data cannot tell: "
                "with so few treated or untreated units no test is valid.",
                "Chưa thể kết luận có khác biệt trước khi được hỗ trợ hay không ở "
                f"{names['vi']}: quá ít đơn vị được hoặc không được hỗ trợ nên không có kiểm định "
                "nào đáng tin.",
            )
        )
    return sentences


def _labels_of(effects: Mapping[str, OutcomeEffect], outcomes: Iterable[str]) -> Text:
    """Enumerate the labels of some outcomes."""
    chosen = [effects[name].outcome.label for name in outcomes]
    return {code: _enumerated([label[code] for label in chosen], code) for code in LANGUAGES}


def event_study_alt(effects: Mapping[str, OutcomeEffect]) -> Text:
    """Describe the figure of event studies by the verdict of each outcome."""
    parts: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for name, effect in effects.items():
        for code in LANGUAGES:
            parts[code].append(f"{effect.outcome.label[code]} {{{name}.first:signed}}")
    return text(
        "One panel an outcome, effects by periods since treatment began, with intervals. In the "
        f"first treated period: {'; '.join(parts['en'])}.",
        "Mỗi khung một kết quả, tác động theo số kỳ kể từ khi được hỗ trợ, kèm khoảng tin cậy. "
        f"Trong kỳ đầu được hỗ trợ: {'; '.join(parts['vi'])}.",
    )


def event_study_caption(effects: Mapping[str, OutcomeEffect]) -> Text:
    """Say what thick and thin lines are, and why an outcome has no thin ones."""
    studies = {name: effect.event_study() for name, effect in effects.items()}
    bare = [name for name, study in studies.items() if study["conf_low"].isna().all()]
    without = [
        name
        for name, study in studies.items()
        if study["band_low"].isna().all() and name not in bare
    ]
    caption = text(
        "Thick line: interval of one period by itself ({level}). Thin line: band that holds for "
        "all periods of the panel at once ({level}).",
        "Nét đậm: khoảng tin cậy của riêng từng kỳ ({level}). Nét mảnh: dải tin cậy có hiệu lực "
        "đồng thời cho mọi kỳ trong khung ({level}).",
    )
    if bare:
        names = _labels_of(effects, bare)
        caption = text(
            f"{caption['en']} There is neither for {names['en']}: no inference is valid with so "
            "few treated or untreated units.",
            f"{caption['vi']} Không có cả hai cho {names['vi']}: quá ít đơn vị được hoặc không "
            "được hỗ trợ nên không có suy luận nào đáng tin.",
        )
    if not without:
        return caption
    names = _labels_of(effects, without)
    return text(
        f"{caption['en']} There is no band for {names['en']}: few treated units report it, and the "
        "methods used then give an interval for one period at a time only.",
        f"{caption['vi']} Không có dải tin cậy cho {names['vi']}: ít đơn vị được hỗ trợ có báo "
        "cáo, và các phương pháp dùng khi đó chỉ cho khoảng tin cậy của từng kỳ.",
    )


def method_sentences(plan: Evaluation, effects: Mapping[str, OutcomeEffect]) -> list[Text]:
    """Name the estimators, the clusters of the standard errors, and the intervals' level."""
    effect = next(iter(effects.values()))
    main = estimator_name(effect.result.estimator)
    clusters = _cluster_words(plan, effect)
    sentences = [
        text(
            f"Estimator: [[{main['en']}]]. Standard errors are clustered by {clusters['en']}; "
            "intervals have level {level}. Effects on logarithms are given in percent, their "
            "limits with them.",
            f"Phương pháp ước lượng: [[{main['vi']}]]. Sai số chuẩn tính theo cụm "
            f"{clusters['vi']}; khoảng tin cậy ở mức {{level}}. Tác động trên logarit được đổi ra "
            "phần trăm, cùng với hai đầu khoảng tin cậy.",
        )
    ]
    if effect.beside:
        names = {
            code: _enumerated([estimator_name(name)[code] for name in effect.beside], code)
            for code in LANGUAGES
        }
        sentences.append(
            text(
                f"Beside it, for comparison: [[{names['en']}]]. Where it compares newly treated "
                "with already treated units, its number need not be an average of effects.",
                f"Để đối chiếu: [[{names['vi']}]]. Khi phương pháp này so sánh đơn vị mới được hỗ "
                "trợ với đơn vị đã được hỗ trợ, con số không nhất thiết là bình quân các tác động.",
            )
        )
    return sentences


def inference_sentences(effects: Mapping[str, OutcomeEffect]) -> list[Text]:
    """Say for which outcomes few treated units call for another method, and which was taken."""
    found: dict[str, list[Text]] = {}
    for effect in effects.values():
        for inference in effect.result.att().inferences(effect.level):
            if inference is not None:
                found.setdefault(inference.method, []).append(effect.outcome.label)
    sentences = []
    for method, labels in found.items():
        words = {
            code: str(locale_words(code)["inference"].get(method, method)) for code in LANGUAGES
        }
        names = {code: _enumerated([label[code] for label in labels], code) for code in LANGUAGES}
        sentences.append(
            text(
                f"Few treated units report {names['en']}; there intervals and p-values come from "
                f"[[{words['en']}]].",
                f"Ít đơn vị được hỗ trợ có báo cáo {names['vi']}; ở đó khoảng tin cậy và giá trị p "
                f"được tính theo [[{words['vi']}]].",
            )
        )
    return sentences


def estimator_name(name: str) -> Text:
    """Return what a reader calls an estimator; the words of its class where it has no other."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return {code: str(locale_words(code)["estimators"].get(name, plain)) for code in LANGUAGES}


def _cluster_words(plan: Evaluation, effect: OutcomeEffect) -> Text:
    """Name the clusters: the units themselves with their column, or the columns."""
    columns = effect.design.cluster_columns
    if columns != (effect.design.panel.unit,):
        listed = " × ".join(columns)
        return text(f"[[{listed}]]", f"[[{listed}]]")
    unit = plan.design.get("unit_singular", unit_name(plan))
    return {code: f"{unit[code]} ([[{columns[0]}]])" for code in LANGUAGES}


def cells_alt(effects: Mapping[str, OutcomeEffect]) -> Text:
    """Describe the figure of effects by cohort and period."""
    parts: dict[str, list[str]] = {code: [] for code in LANGUAGES}
    for name, effect in effects.items():
        for code in LANGUAGES:
            parts[code].append(f"{effect.outcome.label[code]} {{{name}.average:signed}}")
    return text(
        "One panel an outcome, one colour a wave of treatment, effects by year with intervals. "
        f"Their averages after treatment: {'; '.join(parts['en'])}.",
        "Mỗi khung một kết quả, mỗi màu một đợt hỗ trợ, tác động theo năm kèm khoảng tin cậy. "
        f"Bình quân sau khi được hỗ trợ: {'; '.join(parts['vi'])}.",
    )


def _enumerated(words: Iterable[str], language: str) -> str:
    """Join words with commas and a last "and"."""
    *first, last = [*words] or [""]
    return f"{', '.join(first)}{_AND[language]}{last}" if first else last


def criteria_sentences(plan: Evaluation) -> list[Text]:
    """Say which criteria of evaluation the report answers, and which it does not.

    Source
    ------
    OECD-DAC Network on Development Evaluation (2019), Better Criteria for Better Evaluation.
    """

    def named(criteria: Iterable[str], code: str) -> str:
        return _enumerated([_CRITERIA[name][code] for name in criteria], code)

    rest = [name for name in CRITERIA if name not in plan.criteria]
    sentences = []
    if plan.criteria:
        sentences.append(
            text(
                "Of the six criteria of the OECD-DAC this report speaks to "
                f"{named(plan.criteria, 'en')}.",
                "Trong sáu tiêu chí của OECD-DAC, báo cáo này trả lời về "
                f"{named(plan.criteria, 'vi')}.",
            )
        )
    if rest:
        sentences.append(
            text(
                f"It says nothing of {named(rest, 'en')}; that needs other evidence.",
                f"Báo cáo không nói về {named(rest, 'vi')}; các tiêu chí đó cần bằng chứng khác.",
            )
        )
    return sentences
