"""Published figures as accounting: printed amounts that keep their qualifier and their window."""

from impact.published.accounts import MEASURES, Account, Measure, account, account_table, accounts
from impact.published.figures import Figure, PublishedFigures, Window, read_published_figures
from impact.published.findings import Check, Finding, check_figures, findings_table
from impact.published.labels import BOUNDS, FUNDINGS, INDICATORS, label
from impact.published.plots import draw_money_per_project, draw_windows
from impact.published.quantity import Bound, Quantity
from impact.published.values import Shown, shown

__all__ = [
    "BOUNDS",
    "FUNDINGS",
    "INDICATORS",
    "MEASURES",
    "Account",
    "Bound",
    "Check",
    "Figure",
    "Finding",
    "Measure",
    "PublishedFigures",
    "Quantity",
    "Shown",
    "Window",
    "account",
    "account_table",
    "accounts",
    "check_figures",
    "draw_money_per_project",
    "draw_windows",
    "findings_table",
    "label",
    "read_published_figures",
    "shown",
]
