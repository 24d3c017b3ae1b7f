"""Fixtures that more than one test module needs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest

matplotlib.use("agg")


@pytest.fixture(scope="session")
def reference_case() -> Callable[[str], tuple[dict[str, Any], pd.DataFrame]]:
    """Read a reference case by name: its description with the numbers, and its data."""
    folder = os.environ.get("IMPACT_CASES")

    def read(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
        if not folder:
            pytest.skip("reference cases: set IMPACT_CASES to the folder that holds cases/")
        case = Path(folder) / "cases" / name
        data = case / "data.csv"
        frame = pd.read_csv(data) if data.exists() else pd.DataFrame()
        return json.loads((case / "case.json").read_text(encoding="utf-8")), frame

    return read
