"""Headings that several tables share, and names of outcomes as tables and labels write them."""

from __future__ import annotations

from impact.evaluation import Outcome
from impact.report.results import Column
from impact.report.text import LANGUAGES, Text, capital, text

__all__ = [
    "AVERAGE_EFFECT",
    "EFFECT",
    "ESTIMATOR",
    "INTERVAL",
    "OUTCOME",
    "P_ADJUSTED",
    "P_HOLM",
    "capitalised",
    "of_outcome",
]

OUTCOME = Column(text("Outcome", "Kết quả"))
ESTIMATOR = Column(text("Estimator", "Phương pháp"))
EFFECT = Column(text("Effect", "Tác động"), "count")
AVERAGE_EFFECT = Column(text("Average effect", "Tác động trung bình"), "count")
INTERVAL = Column(text("{level} interval", "Khoảng tin cậy {level}"), "count")
P_ADJUSTED = Column(text("p adjusted", "p điều chỉnh"), "count")
P_HOLM = Column(text("p by Holm", "p theo Holm"), "count")


def capitalised(words: Text) -> Text:
    """Begin a text with a capital in each language."""
    return {code: capital(words[code]) for code in LANGUAGES}


def of_outcome(outcome: Outcome, what: Text) -> Text:
    """Name a number of an outcome: "Jobs: average effect"."""
    label = capitalised(outcome.label)
    return {code: f"{label[code]}: {what[code]}" for code in LANGUAGES}
