"""From two workbooks to a fitted design: 5,000 projects, 17,000 establishments in 13 years."""

import time

import numpy as np
import pandas as pd
import pytest

from impact import CallawaySantAnna, Design
from impact.ledger import AssignmentRules, assign, read_ledger
from impact.simulate import simulate_programme

SECONDS = 20.0
"""Bound for reading, checking, assigning and estimating together."""
COLUMNS = ["establishment", "year", "size_class", "workers", "revenue"]


@pytest.fixture(scope="module")
def workbooks(tmp_path_factory):
    from openpyxl import Workbook

    folder = tmp_path_factory.mktemp("programme")
    programme = simulate_programme(1, approvals=200)
    with pd.ExcelWriter(folder / "ledger.xlsx", engine="openpyxl") as writer:
        programme.projects.to_excel(writer, sheet_name="projects", index=False)
        programme.reports.to_excel(writer, sheet_name="reports", index=False)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("outcomes")
    sheet.append(COLUMNS)
    for row in programme.establishments[COLUMNS].itertuples(index=False, name=None):
        sheet.append(row)
    book.save(folder / "outcomes.xlsx")
    return folder / "ledger.xlsx", folder / "outcomes.xlsx", programme


def estimate(ledger_file, outcome_file):
    ledger = read_ledger(ledger_file)
    ledger.require_sound()
    outcomes = pd.read_excel(outcome_file, engine="calamine")
    outcomes = outcomes.assign(eligible=True, log_workers=np.log(outcomes["workers"]))
    rules = AssignmentRules(
        onset="acceptance", returned="drop", after_panel="drop", anticipation=1, price_base=2020
    )
    assignment = assign(
        ledger, outcomes, unit="establishment", time="year", eligible="eligible", rules=rules
    )
    design = Design(assignment.panel(), outcome="log_workers", cohort="cohort", anticipation=1)
    return ledger, outcomes, CallawaySantAnna().fit(design)


@pytest.mark.slow
def test_workbooks_to_a_fitted_design_within_the_bound(workbooks):
    ledger_file, outcome_file, programme = workbooks
    start = time.perf_counter()
    ledger, outcomes, result = estimate(ledger_file, outcome_file)
    row = result.att("cell").tidy().iloc[0]
    taken = time.perf_counter() - start
    assert len(ledger.projects) == 5_000
    assert len(outcomes) == 17_000 * 13
    assert abs(row["estimate"] - programme.att()) < 4 * row["std_error"]
    assert taken < SECONDS, f"{taken:.1f} s"
