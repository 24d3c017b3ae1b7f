"""The environment a report is computed in: nothing of the day, the place or the person."""

from __future__ import annotations

import calendar
import datetime
import importlib.util
import os
from pathlib import Path

import impact

__all__ = ["kernel_environment"]

_DROPPED_PREFIXES = ("PYTHON", "IPYTHON", "JUPYTER", "MPL", "LC_", "OMP_", "OPENBLAS_NUM", "MKL_")


def kernel_environment(private: Path, output: Path, date: datetime.date) -> dict[str, str]:
    """Return the variables of a report's kernel.

    One thread, one hash seed, one time zone and locale; no start-up files or settings of the
    user; the plan's date where a date is stamped; this very package, wherever the interpreter
    would find another.

    Parameters
    ----------
    private : a folder of this build, for the kernel's own files
    output : the folder the record is written to
    date : the plan's date
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_DROPPED_PREFIXES)
    }
    return kept | {
        "COLUMNS": "100",
        "IMPACT_OUTPUT": str(output),
        "IPYTHONDIR": str(private / "ipython"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "MATPLOTLIBRC": _matplotlib_defaults(),
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(Path(impact.__file__).parent.parent),
        "SOURCE_DATE_EPOCH": str(calendar.timegm(date.timetuple())),
        "TZ": "UTC",
    }


def _matplotlib_defaults() -> str:
    """Return matplotlib's own settings file, so that a user's is not read."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).parent / "mpl-data" / "matplotlibrc")
