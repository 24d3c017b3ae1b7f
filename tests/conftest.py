"""Fixtures that more than one test module needs."""

import matplotlib
import pytest
from reference import read_case

matplotlib.use("agg")


@pytest.fixture(scope="session")
def reference_case():
    """Read a reference case by name: its description with the numbers, and its data."""
    return read_case
