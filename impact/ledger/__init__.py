"""The ledger of projects, as departments keep it."""

from impact.ledger.book import Ledger, read_ledger
from impact.ledger.findings import RULES, Finding, Findings

__all__ = ["RULES", "Finding", "Findings", "Ledger", "read_ledger"]
