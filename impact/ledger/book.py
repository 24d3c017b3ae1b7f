"""The ledger of projects: read once, checked, and turned into who was treated when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from impact.errors import LedgerError, listing, plural
from impact.ledger.files import frame_table, raw_tables
from impact.ledger.findings import Finding, Findings
from impact.ledger.project_rules import PROJECT_RULES
from impact.ledger.read import Typed, type_table
from impact.ledger.report_rules import REPORT_RULES
from impact.ledger.resolve import resolve_contents, resolve_provinces
from impact.ledger.schema import PROJECTS, REPORTS

__all__ = ["Ledger", "read_ledger"]


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """Hold the projects of a promotion programme, and the figures reported beside them.

    Attributes
    ----------
    projects : one row a project and beneficiary, indexed by the row's number in the file: the
        columns of the template, money in whole dong, and besides them province_code (within its
        vintage) and content (within its code list)
    reports : reported figures by place, indicator and window; empty if the file has none
    findings : everything that could not be read or cannot be right, in the order of the file

    Notes
    -----
    A ledger is made by ``read_ledger`` or ``Ledger.from_frames``. A cell that cannot be read is
    missing here and a finding there; nothing is guessed.
    """

    projects: pd.DataFrame
    reports: pd.DataFrame
    findings: Findings

    @classmethod
    def from_frames(cls, projects: pd.DataFrame, reports: pd.DataFrame | None = None) -> Ledger:
        """Make a ledger from DataFrames, whose headers are those of the template."""
        typed = type_table(frame_table(projects, "projects"), PROJECTS)
        typed_reports = (
            None if reports is None else type_table(frame_table(reports, "reports"), REPORTS)
        )
        return _check(typed, typed_reports)

    def __repr__(self) -> str:
        money = self.projects["disbursed_support"].sum() / 1e9
        return (
            f"Ledger({plural(len(self.projects), 'project')}, {money:,.1f} billion VND disbursed, "
            f"{plural(len(self.reports), 'reported figure')}, {self.findings!r})"
        )

    def require_distinct_places(self, column: str) -> None:
        """Refuse a column whose names or codes mean several places.

        Raises
        ------
        LedgerError : provinces of both vintages, or a district, village or commune whose name
            stands in several provinces
        """
        keyed = self.projects[[column, "province_code", "province_vintage"]].dropna()
        if column == "province_code":
            if keyed["province_vintage"].nunique() > 1:
                raise LedgerError(
                    "the ledger holds provinces of both vintages (63 and 34), and seven codes mean "
                    "another place in the newer one; their projects must not be added. Split the "
                    "ledger by province_vintage, and bring the older part to the 34 with "
                    "places.aggregate."
                )
            return
        provinces = keyed.groupby(column)["province_code"].nunique()
        shared = provinces.index[provinces > 1]
        if len(shared):
            raise LedgerError(
                f"{plural(len(shared), f'name of a {column}', f'names of a {column}')} "
                f"{'stands' if len(shared) == 1 else 'stand'} in several provinces, first "
                f"{listing(shared)}; their projects would be added up as one place. Make the names "
                'distinct, for instance "Châu Thành (Tiền Giang)".'
            )

    def require_placed(self, column: str) -> None:
        """Refuse paid projects that name no place; without a village they lie outside of all.

        Raises
        ------
        LedgerError : a paid project without province, district or commune
        """
        frame = self.projects
        paid = (frame["disbursed_support"].fillna(0) != 0).astype(bool)
        unplaced = frame.index[paid & frame[column].isna()]
        if column == "village" or not len(unplaced):
            return
        vintages = set(frame.loc[unplaced, "province_vintage"])
        remedy = (
            "Districts ended on 30 June 2025, and no list of communes with their former district "
            'is at hand here: fill the column "former district" from the resolution on each '
            "province's communes, or end the panel in 2024."
            if column == "district" and "34" in vintages
            else "Fill the cells."
        )
        raise LedgerError(
            f"{plural(len(unplaced), 'paid project')} without {column}, first in rows "
            f"{listing(unplaced)}; their money would be missing from the sums, and their places "
            f"would pass as untreated. {remedy}"
        )

    def require_sound(self, accept: Iterable[str] = ()) -> None:
        """Refuse a ledger with errors, except those of the rules accepted by name.

        Raises
        ------
        LedgerError : the ledger has errors that were not accepted
        """
        self.findings.require_none(accept)


def read_ledger(path: str | Path) -> Ledger:
    """Read a ledger from a workbook, CSV, Stata or Parquet file, and check it.

    Parameters
    ----------
    path : a workbook with a sheet "projects" (or "đề án") and, if there are any, "reports" (or
        "báo cáo"); or a file with the projects alone. Headers in Vietnamese or English, in any
        order, below any title; a unit in a header's brackets, such as (triệu đồng), holds for
        its bare numbers.

    Raises
    ------
    LedgerError : the file cannot be opened, or has no table of projects, or one without rows
    """
    raw = raw_tables(path)
    reports = type_table(raw.tables["reports"], REPORTS) if "reports" in raw.tables else None
    unused = [Finding("sheet_unused", name) for name in raw.unused]
    return _check(type_table(raw.tables["projects"], PROJECTS), reports, unused)


def _check(projects: Typed, reports: Typed | None, unused: Sequence[Finding] = ()) -> Ledger:
    if not len(projects.frame):
        raise LedgerError(
            f'"{projects.sheet}" has headers and no projects below them; nobody would be treated. '
            "Fill in a row a project.",
            f'"{projects.sheet}" có tiêu đề nhưng không có đề án nào bên dưới. Hãy ghi mỗi đề án '
            "một dòng.",
        )
    codes, unknown_places = resolve_provinces(projects)
    named, unknown_contents = resolve_contents(projects)
    findings: list[Finding] = [
        *unused, *projects.findings, *unknown_places, *unknown_contents,
    ]  # fmt: skip
    findings += [finding for rule in PROJECT_RULES for finding in rule(projects)]
    frame = projects.frame.assign(province_code=codes, content=named)
    if reports is None:
        empty = pd.DataFrame(columns=[column.name for column in REPORTS])
        return Ledger(frame, empty, Findings.of(findings))
    findings += reports.findings
    findings += [finding for rule in REPORT_RULES for finding in rule(reports)]
    return Ledger(frame, reports.frame, Findings.of(findings))
