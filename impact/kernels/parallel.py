"""Threads for independent columns, workers for independent fits; results depend on neither."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from typing import TypeVar

from impact.errors import EstimationError

__all__ = ["for_each", "get_threads", "run_jobs", "set_threads"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ATTEMPTS = 3
"""Times that jobs are started anew after a worker process has died."""

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
    """
    todo = list(items)
    joblib = sys.modules.get("joblib")
    if joblib is None or len(todo) < 2:
        return [work(item) for item in todo]
    done: list[Outcome] = []
    for attempt in range(ATTEMPTS):
        jobs = (joblib.delayed(work)(item) for item in todo[len(done) :])
        try:
            for outcome in joblib.Parallel(return_as="generator")(jobs):
                done.append(outcome)
            break
        except BrokenExecutor:
            if attempt == ATTEMPTS - 1:
                raise
    return done
