"""Reports: the record a notebook fills, the builder that runs it, the renderers that write it."""

from impact.report.figures import report_style
from impact.report.results import Block, Column, Record, bullets, callout
from impact.report.text import LANGUAGES, Text, text
from impact.report.values import Value

__all__ = [
    "LANGUAGES",
    "Block",
    "Column",
    "Record",
    "Text",
    "Value",
    "bullets",
    "callout",
    "report_style",
    "text",
]
