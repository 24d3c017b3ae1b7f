"""Published figures as accounting: printed amounts that keep their qualifier and their window."""

from impact.published.accounts import MEASURES, Account, Measure, account, account_table, accounts
from impact.published.figures import Figure, PublishedFigures, Window, read_published_figures
from impact.published.findings import Check, Finding, check_figures, findings_table
from impact.published.quantity import Bound, Quantity

__all__ = [
    "MEASURES",
    "Account",
    "Bound",
    "Check",
    "Figure",
    "Finding",
    "Measure",
    "PublishedFigures",
    "Quantity",
    "Window",
    "account",
    "account_table",
    "accounts",
    "check_figures",
    "findings_table",
    "read_published_figures",
]
