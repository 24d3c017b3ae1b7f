"""Generate a national panel in Parquet and measure what its effects cost where it lies.

python tests/benchmarks/warehouse.py FOLDER ROWS [ROWS ...] [--peer PYTHON]

Each measurement runs in a process of its own, with DuckDB held to 4 GB and two threads, and prints
the seconds and the peak memory of the process. Files are made once and kept in FOLDER; delete it
afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

PERIODS = 10
FIRST = 2012
COHORTS = (2015, 2017, 2019)
CLUSTERS = 63
ROWS_A_FILE = 10_000_000
TASKS = ("group_time", "imputation", "two_way", "two_way_gaps")


def generate(folder: Path, rows: int) -> Path:
    """Write a panel of ``rows`` rows over ten periods with DuckDB alone, rows in no order.

    Outcomes are a hash of unit and period, so that no generator's state travels; a column
    ``gap`` marks one row in ten for panels with gaps.
    """
    import duckdb

    target = folder / f"panel_{rows}"
    if target.exists():
        return target
    partial = folder / f"panel_{rows}.partial"
    partial.mkdir(parents=True)
    engine = duckdb.connect()
    engine.execute("set threads = 2; set memory_limit = '4GB'")
    dates = ", ".join(map(str, COHORTS))
    for part, start in enumerate(range(0, rows // PERIODS, ROWS_A_FILE // PERIODS)):
        stop = min(start + ROWS_A_FILE // PERIODS, rows // PERIODS)
        engine.execute(f"""
            copy (
                with units as (
                    select range as firm, hash(range) % {CLUSTERS} as province,
                        [null, null, {dates}][1 + (hash(range, 1) % 5)::int] as first_support
                    from range({start}, {stop})
                ), rows as (
                    select firm, province::int as province, first_support,
                        ({FIRST} + t.range)::int as year,
                        (hash(firm, t.range, 2) % 1000003) / 1000003.0 as noise
                    from units, range({PERIODS}) t
                )
                select firm, province, year, first_support,
                    100 + 5 * ((hash(firm, 3) % 1000003) / 1000003.0)
                        + 0.2 * (year - {FIRST}) + 3 * noise
                        + case when year >= first_support then 1.0 else 0.0 end as jobs,
                    hash(firm, year, 4) % 10 = 0 as gap
                from rows order by hash(firm, year)
            ) to '{partial}/part_{part:03d}.parquet' (format parquet, compression snappy)
        """)
    partial.rename(target)
    return target


def measure(task: str, files: Path) -> dict[str, object]:
    """Fit one task and return seconds, peak memory in MB, queries and the estimate."""
    import impact

    started = time.perf_counter()
    table = impact.scan(
        f"{files}/*.parquet", memory_limit="4GB", threads=2, spill=files.parent / "spill"
    )
    estimator: object = impact.TwoWayFixedEffects(accept_forbidden_comparisons=True)
    clusters = None
    if task == "group_time":
        estimator = impact.CallawaySantAnna()
    elif task == "imputation":
        estimator = impact.Imputation()
    elif task == "two_way_gaps":
        table = table.filter(~table.gap)
        clusters = "province"
    design = impact.Design.from_table(
        table, unit="firm", time="year", outcome="jobs", cohort="first_support", clusters=clusters
    )
    result = estimator.fit(design)  # type: ignore[attr-defined]
    view = result.event_study() if task == "group_time" else result
    shown = view.tidy()
    att = result.att()
    return {
        "task": task,
        "rows": design.n_rows,
        "seconds": round(time.perf_counter() - started, 2),
        **_spent(),
        "queries": len(design.queries),
        "in_queries": [[q.purpose, round(q.seconds, 2)] for q in design.queries],
        "estimate": float(att.estimates[0]),
        "std_error": float(att.std_errors[0]),
        "band": float(shown["band_high"].iloc[-1]) if len(shown) > 1 else None,
        "load": round(os.getloadavg()[0], 1),
    }


def _spent() -> dict[str, object]:
    """Return the processor's seconds and the peak memory in MB of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


PEER = """
import json, resource, sys, time
import ibis
from duckreg.estimators import DuckMundlak
files, spill = sys.argv[1:3]
started = time.perf_counter()
engine = ibis.duckdb.connect(memory_limit="4GB", threads=2, temp_directory=spill)
source = (
    "(select firm, year, jobs, coalesce(year >= first_support, false)::int::double as treated "
    f"from '{files}/*.parquet')"
)
fit = DuckMundlak(
    db_name=None, connection=engine, table_name=source, outcome_var="jobs",
    covariates=["treated"], unit_col="firm", time_col="year", seed=1, n_bootstraps=0,
)
fit.fit()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "task": "two_way, point estimate only",
    "seconds": round(time.perf_counter() - started, 2),
    "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
    "peak_mb": round(used.ru_maxrss / 1024),
    "estimate": float(fit.point_estimate.ravel()[1]),
}))
"""


def main() -> None:
    """Generate, measure each task in a process of its own, and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", type=int, nargs="*")
    parser.add_argument("--peer", help="an interpreter with duckreg")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one[0], Path(given.one[1]))))
        return
    for rows in given.rows:
        files = generate(given.folder, rows)
        for task in given.tasks:
            command = [sys.executable, __file__, str(given.folder), "--one", task, str(files)]
            print(_run(command), flush=True)
        if given.peer:
            command = [given.peer, "-c", PEER, str(files), str(given.folder / "spill")]
            print("duckreg", _run(command), flush=True)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()[-2000:]


if __name__ == "__main__":
    main()
