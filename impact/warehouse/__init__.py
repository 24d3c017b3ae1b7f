"""Tables that stay where they are: the engine that holds them computes what estimators need."""

from impact.warehouse.address import address_files, open_table
from impact.warehouse.engine import Query
from impact.warehouse.panel import TablePanel
from impact.warehouse.population import TableUnits, lost_units, units_by_value, units_of
from impact.warehouse.rows import Roles
from impact.warehouse.sample import TableSample, draw_sample
from impact.warehouse.scan import scan

__all__ = [
    "Query",
    "Roles",
    "TablePanel",
    "TableSample",
    "TableUnits",
    "address_files",
    "draw_sample",
    "lost_units",
    "open_table",
    "scan",
    "units_by_value",
    "units_of",
]
