"""Threads for independent columns, workers for independent fits; results depend on neither."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

from impact.errors import EstimationError

__all__ = ["for_each", "get_threads", "run_jobs", "set_threads"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ATTEMPTS = 3
"""Times that jobs are started anew after a worker process has died."""

SHOWN = 60
"""Letters of a task that an error shows."""

_threads = [min(os.cpu_count() or 1, 4)]


def get_threads() -> int:
    """Return how many threads are used at most."""
    return _threads[0]


def set_threads(number: int) -> None:
    """Set how many threads are used at most; each column is computed the same way by any number.

    Raises
    ------
    EstimationError : not a whole number of at least 1
    """
    if not isinstance(number, int) or number < 1:
        raise EstimationError(f"threads is a whole number, 1 or more; it was {number!r}.")
    _threads[0] = number


def for_each(work: Callable[[Item], None], items: Iterable[Item], size: int) -> None:
    """Do independent work on each item, in threads if it is large: ``size`` numbers an item."""
    todo = list(items)
    if len(todo) < 2 or get_threads() < 2 or size < 100_000:
        for item in todo:
            work(item)
        return
    with ThreadPoolExecutor(min(get_threads(), len(todo))) as pool:
        list(pool.map(work, todo))


def run_jobs(work: Callable[[Item], Outcome], items: Iterable[Item]) -> list[Outcome]:
    """Do independent work on each item and return the outcomes in the items' order.

    Work goes to whatever ``joblib.parallel_config`` is in force: this process alone without one,
    else processes (``backend="loky", n_jobs=4``) or a cluster (``backend="dask"``, "ray" or
    "spark"). Whatever is drawn at random is drawn before, so that the number of workers changes
    nothing. If a worker process dies, what is not yet done starts anew.

    Raises
    ------
    EstimationError : worker processes die of it again and again, or the cluster is gone
    """
    todo = list(items)
    joblib = sys.modules.get("joblib")
    if joblib is None or len(todo) < 2:
        return [work(item) for item in todo]
    backend, _ = joblib.parallel.get_active_backend()
    if type(backend).__name__ == "DaskDistributedBackend":
        return _run_on_dask(backend, work, todo)
    done: list[Outcome] = []
    for attempt in range(ATTEMPTS):
        jobs = (joblib.delayed(work)(item) for item in todo[len(done) :])
        try:
            for outcome in joblib.Parallel(return_as="generator")(jobs):
                done.append(outcome)
            break
        except BrokenExecutor as error:
            if attempt == ATTEMPTS - 1:
                raise _workers_died(todo, len(done), f"{ATTEMPTS} times") from error
    return done


def _run_on_dask(backend: Any, work: Callable[[Item], Outcome], todo: list[Item]) -> list[Outcome]:
    """Do work on the workers of joblib's Dask client.

    joblib waits without end for a task whose workers die of it; a future of Dask says so. The work
    is itself a task's outcome, so that it travels once and is made anew where a worker is lost.
    """
    from distributed import KilledWorker

    held = backend.client.submit(_itself, work, pure=False)
    futures = [backend.client.submit(_apply, held, item, pure=False) for item in todo]
    outcomes: list[Outcome] = []
    with backend.retrieval_context():
        for number, future in enumerate(futures):
            try:
                outcomes.append(future.result())
            except KilledWorker as error:
                raise _workers_died(todo, number, "again and again") from error
            except CancelledError as error:
                raise EstimationError(
                    f"the scheduler was lost with {len(todo) - number} of {len(todo)} tasks to do. "
                    "Start it again and run the same command."
                ) from error
    return outcomes


def _itself(work: Any) -> Any:
    return work


def _apply(work: Callable[[Item], Outcome], item: Item) -> Outcome:
    return work(item)


def _workers_died(todo: list[Item], number: int, times: str) -> EstimationError:
    return EstimationError(
        f"worker processes ended {times} at task {number + 1} of {len(todo)}, "
        f"{repr(todo[number])[:SHOWN]}, or beside it; out of memory, as a rule. Use fewer workers, "
        "or give them more memory."
    )
