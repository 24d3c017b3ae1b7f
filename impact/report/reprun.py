"""Run a notebook twice under hostile settings and name the cells that do not repeat."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impact.report.environment import kernel_environment
from impact.report.notebook import run_notebook

__all__ = ["UnstableCell", "rerun_notebook"]

_HOSTILE = {
    "COLUMNS": "71",
    "LC_ALL": "C",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_CORETYPE": "Sandybridge",
    "OPENBLAS_NUM_THREADS": "2",
    "PYTHONHASHSEED": "77",
    "TZ": "Asia/Ho_Chi_Minh",
}
_CAUSES = (
    (
        r"default_rng\(\s*\)|np\.random\.(?!default_rng|SeedSequence|Generator)\w+",
        "a draw without seed",
    ),
    (r"\b(now|today|time|perf_counter|monotonic)\(", "the clock"),
    (r"\bset\(|\{[^{}:]*,[^{}:]*\}", "the order of a set"),
    (r"\b(cwd|home|getcwd|absolute|resolve|gettempdir|mkdtemp)\(", "a path of this machine"),
    (r"\b(uuid|token|urandom|secrets)\b", "a random name"),
    (r"\.summary\(\)", "a summary that prints the day"),
)


@dataclass(frozen=True)
class UnstableCell:
    """A cell whose output differs between two runs, and the likely cause."""

    number: int
    source: str
    cause: str


def rerun_notebook(path: Path, *, progress: bool = True) -> list[UnstableCell]:
    """Run a notebook with its default parameters twice; return the cells that differ.

    The second run has another hash seed, time zone, locale, width, number of threads and, on
    x86, the arithmetic of an older processor.

    Raises
    ------
    ReportError : a cell failed
    """
    runs = []
    for hostile in ({}, _HOSTILE):
        with tempfile.TemporaryDirectory(prefix="impact-rerun-") as name:
            folder = Path(name)
            environment = kernel_environment(folder, folder / "out", datetime.date(2020, 1, 1))
            run = run_notebook(path, {}, environment | hostile, folder, progress=progress)
            runs.append(json.loads(run.notebook)["cells"])
    return [
        UnstableCell(number, "".join(first["source"]), _likely_cause("".join(first["source"])))
        for number, (first, second) in enumerate(zip(*runs, strict=True), start=1)
        if _outputs(first) != _outputs(second)
    ]


def _outputs(cell: dict[str, Any]) -> Any:
    return cell.get("outputs", [])


def _likely_cause(source: str) -> str:
    """Guess from a cell's source what differs; an earlier cell may be the origin."""
    found = [cause for pattern, cause in _CAUSES if re.search(pattern, source)]
    return ", ".join(found) or "threads, the processor or a value from an earlier cell"
