"""The ledger of projects, as departments keep it."""

from impact.ledger.assign import Assignment, assign
from impact.ledger.book import Ledger, read_ledger
from impact.ledger.exposure import exposure
from impact.ledger.findings import RULES, Finding, Findings
from impact.ledger.rules import AssignmentRules
from impact.ledger.template import write_template

__all__ = [
    "RULES",
    "Assignment",
    "AssignmentRules",
    "Finding",
    "Findings",
    "Ledger",
    "assign",
    "exposure",
    "read_ledger",
    "write_template",
]
