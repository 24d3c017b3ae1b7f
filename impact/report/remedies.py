"""What would give inference to an effect that has none: told before a run and on the first page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from impact.design import Design
from impact.errors import ImpactError
from impact.evaluation import Evaluation
from impact.inference.auto import MANY_TREATED
from impact.report.effects import OutcomeEffect, estimate_outcomes
from impact.report.text import Text, text

__all__ = ["foresee_no_inference", "remedy_sentence"]

_WITHIN = text(
    "No interval holds because treatment lies within few of the clusters [[{clusters}]]: aggregate "
    "to one row a cluster and period, treated from its first supported unit on, or, where support "
    "was assigned unit by unit, cluster by [[{unit}]].",
    "Không có khoảng tin cậy nào đáng tin vì hỗ trợ nằm bên trong một số ít cụm [[{clusters}]]: "
    "hãy gộp số liệu thành mỗi cụm một dòng cho mỗi kỳ, coi là được hỗ trợ từ khi có đơn vị đầu "
    "tiên được hỗ trợ; hoặc, nếu hỗ trợ được phân bổ cho từng đơn vị, tính cụm theo [[{unit}]].",
)
_WHOLE = text(
    "No interval holds because too few of the clusters [[{clusters}]] are treated or untreated: "
    "bring in more of them, or cluster by the level at which support was assigned if it is finer.",
    "Không có khoảng tin cậy nào đáng tin vì quá ít cụm [[{clusters}]] được hoặc không được hỗ "
    "trợ: hãy bổ sung cụm, hoặc tính cụm theo cấp phân bổ hỗ trợ nếu cấp đó nhỏ hơn.",
)


def foresee_no_inference(plan: Evaluation) -> list[str]:
    """Say which outcomes of a checked plan will get no p-value, why, and what would give one.

    The main estimator is fitted, which tells no effect here. That is left out where rows stay in
    their table or dozens of clusters in either arm leave no doubt.
    """
    if plan.scan is not None:
        return []
    try:
        effects = estimate_outcomes(plan, plan.data())
    except ImpactError:
        return []
    return [
        f"{name}: no p-value or interval will be given ({reason}). {_bare(_remedy(effect.design))}"
        for name, effect in effects.items()
        for reason in _reasons(effect)
    ]


def remedy_sentence(effects: Mapping[str, OutcomeEffect]) -> Text | None:
    """Return what would give inference to primary outcomes that have none; None if all have it."""
    primary = [e for e in effects.values() if e.outcome.primary] or list(effects.values())
    silent = [effect for effect in primary if any(_reasons(effect))]
    return _remedy(silent[0].design) if silent else None


def _reasons(effect: OutcomeEffect) -> Iterator[str]:
    """Yield why few clusters leave the average effect without inference, if they do."""
    facts = effect.design.facts
    smaller = min(facts.n_treated_clusters, facts.n_clusters - facts.n_treated_clusters)
    if smaller >= MANY_TREATED:
        return
    for inference in effect.result.att().inferences(effect.level):
        if inference is not None and inference.method == "none":
            yield inference.reason


def _remedy(design: Design) -> Text:
    """Choose what to do by whether clusters hold treated and untreated units."""
    names = {"clusters": " × ".join(design.cluster_columns), "unit": design.panel.unit}
    template = _WITHIN if _is_mixed(design) else _WHOLE
    return {code: words.format(**names) for code, words in template.items()}


def _is_mixed(design: Design) -> bool:
    """Whether some cluster holds units that are treated and units that never are."""
    if design.table is not None:
        return False
    codes = design.cluster_codes
    treated = np.bincount(codes, np.isfinite(design.cohorts))
    return bool(((treated > 0) & (treated < np.bincount(codes))).any())


def _bare(sentence: Text) -> str:
    """Return the English words without the brackets of names."""
    return sentence["en"].replace("[[", "").replace("]]", "")
