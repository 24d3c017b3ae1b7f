"""The one result type: cells of effects with their joint uncertainty, and views of them."""

from impact.result.estimates import CELL_COLUMNS, COMBINED, InferenceRequest
from impact.result.joint import JointTest
from impact.result.judgement import CLUSTERED
from impact.result.result import Result
from impact.result.views import Grouping, Weighting

__all__ = [
    "CELL_COLUMNS",
    "CLUSTERED",
    "COMBINED",
    "Grouping",
    "InferenceRequest",
    "JointTest",
    "Result",
    "Weighting",
]
