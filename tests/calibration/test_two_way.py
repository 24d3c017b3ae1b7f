"""Stored tables of places and years clustered on, and of treatment within clusters in panels."""

import csv
from pathlib import Path

import numpy as np
import pytest

from impact.inference.auto import EVEN_OTHERS, FEWEST_OTHER

FOLDER = Path(__file__).parent
TWO_WAY, WITHIN = 600, 800
LOW, HIGH = 0.03, 0.07


def stored_rows(name):
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def slack(share, samples):
    """Three standard errors of a simulated share."""
    return 3 * np.sqrt(share * (1 - share) / samples)


def assert_size(row, samples):
    given = samples * float(row["given"])
    size = float(row["size"])
    assert LOW - slack(LOW, given) < size < HIGH + slack(HIGH, given), tuple(row.values())


def test_two_way_inference_keeps_its_size_and_has_power():
    rows = [row for row in stored_rows("two_way.csv") if row["serial"] == "0.0"]
    assert len(rows) >= 20
    for row in rows:
        shared = "permutation" in row["methods"].split()[0] and float(row["shared"]) > 0
        if float(row["given"]) == 0 or shared:
            continue
        assert int(row["years"]) >= FEWEST_OTHER
        assert_size(row, TWO_WAY)
        assert float(row["power"]) > 0.5, tuple(row.values())
    given = [row for row in rows if float(row["given"]) > 0]
    assert np.mean([float(row["size"]) for row in given]) == pytest.approx(0.05, abs=0.01)


def test_what_two_way_inference_does_not_know():
    """Serial correlation of years' shocks, and those of the treated where places are reassigned."""
    rows = stored_rows("two_way.csv")
    (serial,) = (row for row in rows if row["serial"] == "0.5")
    assert float(serial["size"]) > HIGH + slack(HIGH, TWO_WAY)
    (late,) = (row for row in rows if row["begins"] == "2")
    assert float(late["given"]) == 0
    assert float(late["cr1"]) > 3 * HIGH
    assert EVEN_OTHERS > 4 / 20  # about as many years tell the effect of the last two
    (reassigned,) = (row for row in rows if row["methods"].split()[0] == "permutation")
    assert float(reassigned["size"]) > HIGH + slack(HIGH, TWO_WAY)


def test_one_way_clusters_reject_too_often_where_years_are_shared():
    rows = [row for row in stored_rows("two_way.csv") if float(row["shared"]) > 0]
    assert np.mean([float(row["one_way"]) for row in rows]) > 2 * HIGH


def test_treatment_within_clusters_of_panels_keeps_its_size():
    """Serial correlation of 0.9, firms of one place treated at different times, and amounts."""
    rows = stored_rows("within_panels.csv")
    assert {row["treatment"] for row in rows} == {"staggered", "dose"}
    for row in rows:
        assert_size(row, WITHIN)
