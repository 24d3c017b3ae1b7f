"""Reference cases that do not ship with the project, read from the folder IMPACT_CASES names."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


def read_case(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return a case's description with its numbers, and its data; skip the test without them."""
    folder = os.environ.get("IMPACT_CASES")
    if not folder:
        pytest.skip("reference cases: set IMPACT_CASES to the folder that holds cases/")
    case = Path(folder) / "cases" / name
    data = case / "data.csv"
    frame = pd.read_csv(data) if data.exists() else pd.DataFrame()
    return json.loads((case / "case.json").read_text(encoding="utf-8")), frame
