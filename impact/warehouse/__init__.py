"""Tables that stay where they are: the engine that holds them computes what estimators need."""

from impact.warehouse.engine import Query
from impact.warehouse.panel import TablePanel
from impact.warehouse.rows import Roles
from impact.warehouse.sample import TableSample, draw_sample
from impact.warehouse.scan import scan

__all__ = [
    "Query",
    "Roles",
    "TablePanel",
    "TableSample",
    "draw_sample",
    "scan",
]
