"""Reports: the record a notebook fills, the builder that runs it, the renderers that write it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from impact.report.figures import report_style
from impact.report.results import Block, Column, Record, bullets, callout
from impact.report.text import LANGUAGES, Text, text
from impact.report.values import Value

if TYPE_CHECKING:
    from impact.report import (
        chapters,
        charts,
        compared,
        effect_tables,
        narrative,
        province,
        three_provinces,
    )
    from impact.report.effects import estimate_outcomes
    from impact.report.population import population_of
    from impact.report.queries import record_queries

__all__ = [
    "LANGUAGES",
    "Block",
    "Column",
    "Record",
    "Text",
    "Value",
    "bullets",
    "callout",
    "chapters",
    "charts",
    "compared",
    "effect_tables",
    "estimate_outcomes",
    "narrative",
    "population_of",
    "province",
    "record_queries",
    "report_style",
    "text",
    "three_provinces",
]

_MODULES = (
    "chapters",
    "charts",
    "compared",
    "effect_tables",
    "narrative",
    "province",
    "three_provinces",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"impact.report.{name}")
    if name == "estimate_outcomes":
        return importlib.import_module("impact.report.effects").estimate_outcomes
    if name == "record_queries":
        return importlib.import_module("impact.report.queries").record_queries
    if name == "population_of":
        return importlib.import_module("impact.report.population").population_of
    raise AttributeError(f"module 'impact.report' has no attribute {name!r}")
