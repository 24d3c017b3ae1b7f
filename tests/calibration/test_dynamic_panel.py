"""The stored table of dynamic panels: coefficients keep their size where they are tested."""

import csv
from pathlib import Path

import numpy as np

from impact.estimators.dynamic_panel import (
    CLUSTERS_AN_INSTRUMENT,
    FEWEST_CLUSTERS,
    MANY_CLUSTERS,
)

SAMPLES = 800
LOW, HIGH = 0.03, 0.07


def stored_rows():
    with (Path(__file__).parent / "dynamic_panel.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def slack(share):
    """Three standard errors of a simulated share."""
    return 3 * np.sqrt(share * (1 - share) / SAMPLES)


def test_sizes_where_coefficients_are_tested():
    seen = set()
    for row in stored_rows():
        units, instruments = int(row["units"]), int(row["instruments"])
        wanted = MANY_CLUSTERS if row["collapsed"] == "1" else CLUSTERS_AN_INSTRUMENT * instruments
        columns = ["lag_1", "lag_2"] if units >= wanted else []
        columns += ["x_1", "x_2"] if units >= FEWEST_CLUSTERS else []
        for column in columns:
            size = float(row[column])
            assert LOW - slack(LOW) < size < HIGH + slack(HIGH), tuple(row.values())
            seen.add((column, row["equations"]))
    assert len(seen) == 8


def test_sizes_where_they_are_not():
    rows = stored_rows()
    few = [row for row in rows if row["collapsed"] == "1" and row["units"] in ("20", "34")]
    assert np.mean([float(row["lag_2"]) for row in few]) > HIGH
    every = [row for row in rows if row["collapsed"] == "0" and row["units"] == "200"]
    assert np.mean([float(row["lag_1"]) for row in every]) > 2 * HIGH
    twenty = [row for row in rows if row["units"] == "20" and row["periods"] == "10"]
    assert max(float(row["x_1"]) for row in twenty) > HIGH + slack(HIGH)
