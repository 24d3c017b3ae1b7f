"""How many threads independent columns may use; results do not depend on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from impact.errors import EstimationError

__all__ = ["for_each", "get_threads", "set_threads"]

Item = TypeVar("Item")

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
