"""Machines to share work with: `cluster`."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from downshift.hw.errors import DownshiftError

__all__ = ["cluster"]

SECONDS = 10
"""How long a scheduler may take to answer."""


@contextmanager
def cluster(address: str | None) -> Iterator[Executor | None]:
    """Give what runs functions on the workers of the Dask scheduler at `address`, None for none.

    Raises
    ------
    DownshiftError
        If Dask is not installed, no scheduler answers, or it has no workers, or loses them.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import CancelledError, Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError as error:
        raise DownshiftError(
            "--scheduler needs Dask, which is not installed: pip install 'downshift[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise DownshiftError(
            f"No Dask scheduler answers at {address}; start one with `dask scheduler`, and workers "
            "with `dask worker ADDRESS`"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError as error:
            raise DownshiftError(
                f"The Dask scheduler at {address} has no workers; start some with `dask worker "
                f"{address}`"
            ) from error
        try:
            yield client.get_executor()
        except (CancelledError, CommClosedError, KilledWorker) as error:
            raise DownshiftError(
                f"The Dask scheduler at {address} lost its workers ({error}); have they enough "
                "memory, and this release of downshift?"
            ) from error
