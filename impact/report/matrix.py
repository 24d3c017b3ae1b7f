"""One evaluation for many: a report for each province, or each value of a parameter or column.

Each value gets a plan of its own, derived from the one given, and a report of its own beside it.
They are built side by side by joblib's workers, each of which forks its reports from a process that
has everything loaded. What is up to date is left alone; what fails is listed and stops nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from impact.errors import ImpactError, ReportError
from impact.evaluation import Evaluation
from impact.report.build import build_report, is_current
from impact.report.cells import Cell, Matrix
from impact.report.cluster import cluster_outcomes
from impact.report.derive import derived_plans, varied_values
from impact.report.index import write_index
from impact.report.nested import nested_counts
from impact.report.notebook import notebook_parameters
from impact.report.preloaded import Built, Preloaded, can_fork
from impact.report.suppression import is_small

__all__ = ["build_matrix"]


def build_matrix(
    plan: Evaluation,
    over: str,
    values: Iterable[object] | None = None,
    *,
    jobs: int | None = None,
    force: bool = False,
    progress: bool = True,
    scheduler: str | None = None,
) -> Matrix:
    """Build a report for each value of a parameter or column, and the index of them all.

    Parameters
    ----------
    plan : the evaluation
    over : a parameter of its notebook, or a column of its data
    values : the values; all those of the column if None
    jobs : reports built at a time; as ``joblib.parallel_config`` says if None, else one
    force : whether to build even what is up to date
    progress : whether to show a progress bar
    scheduler : address of a Dask scheduler whose workers build the reports; they need this
        package, and the evaluation's folder at the same path

    Raises
    ------
    SpecError : there is no such parameter or column, or it has no such value
    ReportError : the scheduler cannot be reached, or has no worker that can build reports

    Notes
    -----
    ``with joblib.parallel_config(backend=...)`` around the call puts the reports wherever that
    backend computes. The bytes are the same for any backend and any number of jobs.
    """
    units = varied_values(plan, over, values)
    smallest = plan.smallest_cell
    shown = [v for v, n in units.items() if not (n is not None and is_small(n, smallest))]
    files = derived_plans(plan, over, shown, _withheld(plan, over))
    todo = [file for file in files.values() if force or not is_current(Evaluation.read(file))]
    built = dict(_build_all(todo, jobs, progress, scheduler))
    cells = tuple(_cell(value, files.get(value), built) for value in units)
    matrix = Matrix(plan, over, cells)
    write_index(matrix)
    return matrix


def _withheld(plan: Evaluation, over: str) -> dict[object, tuple[str, ...]]:
    """Name the counts each report hides for the others' sake, whichever are built now."""
    is_parameter = over in notebook_parameters(plan.notebook)
    if is_parameter or not plan.outcomes or not {"unit", "time", "cohort"} <= set(plan.design):
        return {}
    units = varied_values(plan, over)
    reported = [v for v, n in units.items() if n is None or not is_small(n, plan.smallest_cell)]
    return nested_counts(plan, over, list(units), reported)


def _cell(value: object, file: Path | None, built: dict[Path, Built]) -> Cell:
    if file is None:
        return Cell(value, "hidden", None)
    done = built.get(file.resolve())
    if done is None:
        return Cell(value, "current", file.parent)
    if done.error is None:
        return Cell(value, "built", file.parent)
    return Cell(value, "failed", file.parent, _without_place(done.error, file.parent.parent))


def _without_place(error: str, folder: Path) -> str:
    """Name the files of an error as seen from the matrix's folder, wherever that lies."""
    for place in (folder.resolve(), folder):
        error = error.replace(f"{place}{os.sep}", "")
    return error


def _build_all(
    files: list[Path], jobs: int | None, progress: bool, scheduler: str | None
) -> Iterator[tuple[Path, Built]]:
    """Build the reports of these plans, in whatever order they are done, by resolved file."""
    from tqdm.auto import tqdm

    todo = [file.resolve() for file in files]
    build = _build_here(todo, jobs) if scheduler is None else _build_there(todo, scheduler)
    yield from tqdm(build, total=len(todo), unit="report", disable=not progress, leave=False)


def _build_here(files: list[Path], jobs: int | None) -> Iterator[tuple[Path, Built]]:
    """Build where ``joblib.parallel_config`` says."""
    import joblib

    backend, _ = joblib.parallel.get_active_backend(prefer="threads")
    if type(backend).__name__ == "DaskDistributedBackend":
        yield from _build_there(files, backend.client.scheduler.address)
        return
    as_done = "generator_unordered" if backend.supports_return_generator else "list"
    workers: Any = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as=as_done)
    try:
        yield from workers(joblib.delayed(_build_one)(file) for file in files)
    finally:
        _close_processes()


def _build_there(files: list[Path], scheduler: str) -> Iterator[tuple[Path, Built]]:
    """Build on the workers of a scheduler."""
    if not files:
        return
    for file, done in cluster_outcomes(scheduler, _build_one, files, _close_processes):
        yield file, Built(0.0, str(done)) if isinstance(done, ReportError) else done[1]


def _close_processes() -> None:
    """End the processes that this one has started to build reports."""
    while _OPEN:
        _OPEN.pop().close()


class _Workers(threading.local):
    """The process of each of this process's threads."""

    preloaded: Preloaded | None = None


_WORKERS = _Workers()
_OPEN: list[Preloaded] = []


def _build_one(file: Path) -> tuple[Path, Built]:
    """Build one report in a child of this worker's process; never raise what a report may raise."""
    try:
        plan = Evaluation.read(file)
        if not can_fork():
            build_report(plan, progress=False)
            return file, Built(0.0)
        return file, _worker(plan).build(file)
    except ImpactError as error:
        return file, Built(0.0, str(error))


def _worker(plan: Evaluation) -> Preloaded:
    """Return this thread's process, begun anew where there is none that runs."""
    worker = _WORKERS.preloaded
    if worker is None or not worker.is_running:
        worker = _WORKERS.preloaded = Preloaded(plan)
        _OPEN.append(worker)
    return worker
