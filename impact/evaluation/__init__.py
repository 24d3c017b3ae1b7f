"""The evaluation plan: ``evaluation.toml``, read, validated as a whole, and hashed."""

from impact.evaluation.plan import Evaluation, Outcome, class_name, file_sha256, is_evaluation_id
from impact.evaluation.schema import ASSIGNMENTS, CRITERIA, DATA_KINDS, LANGUAGES

__all__ = [
    "ASSIGNMENTS",
    "CRITERIA",
    "DATA_KINDS",
    "LANGUAGES",
    "Evaluation",
    "Outcome",
    "class_name",
    "file_sha256",
    "is_evaluation_id",
]
