"""The choice of inference keeps its size: fresh samples of a few cells, and the stored table."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from impact.inference.paths import FEWEST_WITH_COVARIATES

FOLDER = Path(__file__).parent
TABLE = FOLDER / "few_treated.csv"
STORED = 1000  # samples a cell of the table
LOW, HIGH = 0.03, 0.07


def load_script():
    spec = importlib.util.spec_from_file_location("few_treated", FOLDER / "few_treated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slack(share, samples):
    """Three standard errors of a simulated share."""
    return 3 * np.sqrt(share * (1 - share) / samples)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "method"),
    [
        ((34, 1, 0.5, "largest"), "permutation_by_size"),
        ((34, 2, 0.5, "equal"), "permutation"),
        ((34, 2, 0.5, "random"), "permutation"),
        ((63, 1, 0.5, "random"), "permutation_by_size"),
        ((63, 31, 0.5, "equal"), "cr2"),
    ],
)
def test_size_in_fresh_samples(cell, method):
    samples = 400
    row = load_script().run_cell(*cell, replications=samples, draws=299)
    found = dict(zip(load_script().COLUMNS, row, strict=True))
    assert found["methods"].split()[0] == method
    given = float(found["given"]) * samples
    assert LOW - slack(LOW, given) < float(found["size"]) < HIGH + slack(HIGH, given)


@pytest.mark.slow
def test_one_treated_of_eleven_unlike_places_gets_no_p_value():
    row = load_script().run_cell(11, 1, 0.5, "random", replications=20)
    assert float(row[5]) == 0.0
    assert row[-1] == "none"


def test_stored_table_keeps_its_size():
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(load_script().grid()))
    for row in rows:
        if float(row["given"]) == 0:
            continue
        samples = STORED * float(row["given"])
        size, cell = float(row["size"]), tuple(row.values())[:5]
        assert size < HIGH + slack(HIGH, samples), cell
        assert size > LOW - slack(LOW, samples), cell


def test_stored_table_keeps_its_size_over_twenty_periods_of_errors_that_persist():
    """Serial correlation 0.9 and a random walk: one of 11 rejected in 8 to 10 % by places alone."""
    with TABLE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["periods"] == "20"]
    assert {row["rho"] for row in rows} == {"0.9", "1.0"}
    assert {(row["clusters"], row["treated"]) for row in rows} >= {("11", "1"), ("34", "1")}
    assert all(LOW < float(row["size"]) < HIGH for row in rows)


def test_three_of_eleven_reject_as_often_as_full_twenties_allow():
    """Equal thirds of 165 reassignments would allow 3.6 % at most."""
    with TABLE.open(newline="") as file:
        sizes = [
            float(row["size"])
            for row in csv.DictReader(file)
            if (row["clusters"], row["treated"]) == ("11", "3") and row["sizes"] != "equal"
        ]
    assert len(sizes) == 9
    assert 0.04 < np.mean(sizes) < 0.05


def test_two_treated_are_found_more_often_than_by_the_spread_of_two():
    """Power at 34 places, the mean over serial correlations: 0.21 from their own spread alone."""
    with TABLE.open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["clusters"], row["treated"], row["sizes"]) == ("34", "2", "equal")
        ]
    assert np.mean([float(row["power"]) for row in rows]) > 0.3


def test_stored_table_keeps_its_size_over_serial_correlations_whatever_the_treated_sizes():
    """Three and more treated of 34 and 63: sizes averaged over rho, the smallest places too."""
    pooled = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            if int(row["clusters"]) > 11 and int(row["treated"]) >= 3:
                key = (row["clusters"], row["treated"], row["sizes"])
                pooled.setdefault(key, []).append(float(row["size"]))
    assert len(pooled) == 2 * 4 * 4
    for key, sizes in pooled.items():
        samples = STORED * len(sizes)
        assert LOW - slack(LOW, samples) < np.mean(sizes) < HIGH, key


def test_stored_table_of_treatment_within_clusters_keeps_its_size():
    with (FOLDER / "within_clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 34
    for row in rows:
        samples = STORED * float(row["given"])
        if not samples:
            assert int(row["treated"]) < 5
            continue
        for column in ("size", "score"):
            size = float(row[column])
            assert LOW - slack(LOW, samples) < size < HIGH + slack(HIGH, samples), tuple(
                row.values()
            )


def test_peers_reject_where_ours_does_not():
    """Shares of rejections of a true null on the same 400 draws a cell, peers as they come.

    diff-diff 3.13, StatsPAI 1.40.2, pyfixest 0.60.0 (two-way fixed effects, CR1).
    """
    with (FOLDER / "peers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert max(float(row["impact"]) for row in rows) < HIGH + slack(HIGH, 400)
    for peer in ("diff_diff", "statspai", "pyfixest"):
        two = [float(row[peer]) for row in rows if row["treated"] == "2"]
        assert min(two) > 0.15, peer


def test_stored_table_shows_what_normal_critical_values_would_do():
    with TABLE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["treated"] == "2"]
    assert min(float(row["cr1"]) for row in rows) > 0.2


def test_reassigned_contributions_keep_their_size():
    """Gaps and covariates; with these fewer than five treated have hardly ever a p-value."""
    with (FOLDER / "contributions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["panel"] for row in rows} == {"gaps", "covariate"}
    given = {tuple(row.values())[:5]: float(row["given"]) for row in rows}
    for row in rows:
        cell = tuple(row.values())[:5]
        if row["panel"] == "covariate" and int(row["treated"]) < FEWEST_WITH_COVARIATES:
            assert given[cell] < 0.1, cell
            continue
        samples, size = 600 * given[cell], float(row["size"])
        assert given[cell] > 0.95, cell
        assert LOW - slack(LOW, samples) < size < HIGH + slack(HIGH, samples), cell
        assert float(row["power"]) > size, cell
