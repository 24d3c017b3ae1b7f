"""Work on a cluster: the workers of a Dask scheduler do what this machine would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from impact.errors import ReportError

__all__ = ["cluster_outcomes"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

PATIENCE = 10
"""Seconds to wait for a scheduler's answer."""


def cluster_outcomes(
    scheduler: str,
    work: Callable[[Item], Outcome],
    items: Sequence[Item],
    close: Callable[[], None],
) -> Iterator[tuple[Item, Outcome | ReportError]]:
    """Give items to a Dask scheduler's workers and yield each with its outcome, as they are done.

    Parameters
    ----------
    scheduler : address such as "tcp://10.0.0.5:8786"
    work : a function of this package; what it raises is raised here
    close : run on every worker before and after, to end what work leaves open

    Raises
    ------
    ReportError : Dask is not installed, nobody answers at the address, or the scheduler has no
        worker, or one without this package

    Notes
    -----
    What a worker that dies was doing is done anew by another. An item that workers die of again
    and again, or that was still to do when the scheduler was lost, has an error as its outcome.
    """
    try:
        import distributed
    except ImportError as error:
        raise ReportError(
            "a scheduler's workers are reached through Dask, which is not installed. Install the "
            'extra: pip install "impact-panel[cluster]"'
        ) from error
    with _connect(scheduler) as client:
        _check_workers(client, scheduler, close)
        futures = {client.submit(work, item, pure=False): item for item in items}
        try:
            for future in distributed.as_completed(futures):
                try:
                    outcome = future.result()
                except (distributed.KilledWorker, CancelledError) as lost:
                    outcome = _lost(scheduler, lost)
                yield futures[future], outcome
        finally:
            with suppress(OSError, RuntimeError):
                client.run(close)


def _lost(scheduler: str, error: BaseException) -> ReportError:
    return ReportError(
        f"the workers of {scheduler} ended while they were at it ({type(error).__name__}; out of "
        "memory, as a rule). Give them more memory and run the same command again: what is done "
        "is kept."
    )


@contextmanager
def _connect(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, or say that nobody answers."""
    import distributed

    try:
        client = distributed.Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise ReportError(
            f'no scheduler answers at "{scheduler}": {str(error).rstrip(".")}. An address looks '
            "like tcp://10.0.0.5:8786; a scheduler prints its own as it starts."
        ) from error
    with client:
        yield client


def _check_workers(client: Any, scheduler: str, close: Callable[[], None]) -> None:
    """Refuse a scheduler without workers, or with workers that lack this package."""
    try:
        answers = client.run(close)
    except ImportError as error:
        raise ReportError(
            f"a worker of the scheduler at {scheduler} lacks this package ({error}). Install the "
            "same version on every worker."
        ) from error
    if not answers:
        raise ReportError(
            f"the scheduler at {scheduler} has no worker. Start some: dask worker {scheduler}"
        )
