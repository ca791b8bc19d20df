"""Where shards are computed: in this process or on a Dask cluster; the same function, the same bytes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ringbound.errors import FeatureError

Engine = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Maps a function over tasks and yields the results in order, holding few tasks at a time."""


def local_engine(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
    """Map in threads of this process: NumPy lets them run side by side."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        yield from in_turn(lambda task: pool.submit(function, task), tasks, workers)


@contextmanager
def dask_client(scheduler: str = "", workers: int = 0) -> Iterator[Any]:
    """Connect to the Dask cluster at `scheduler`, or to a local one of `workers` processes (default: one a core).

    A worker that dies is replaced. Workers need this package and the problem's. Needs the extra `dask`.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise FeatureError('engine dask: expected the package distributed; install "ringbound[dask]"') from error
    # A task travels with its data: what only workers hold would be lost with a worker.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
        if scheduler:
            try:
                client = Client(scheduler, timeout="10s")
            except (OSError, TimeoutError, ValueError) as error:
                raise FeatureError(f"engine dask: expected a scheduler at {scheduler}; it does not answer") from error
            with client:
                yield client
        else:
            with (
                LocalCluster(
                    n_workers=workers or max(2, os.cpu_count() or 1),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client


def _mapper(client: Any) -> Engine:
    def engine(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        ahead = 2 * max(1, len(client.scheduler_info()["workers"]))
        return in_turn(lambda task: client.submit(function, task, pure=False), tasks, ahead)

    return engine


@contextmanager
def open_engine(name: str, scheduler: str = "") -> Iterator[Engine]:
    """Open the engine `local` or `dask`.

    >>> with open_engine("local") as engine:
    ...     list(engine(str.upper, ["a", "b"]))
    ['A', 'B']
    """
    if name == "local" and not scheduler:
        yield local_engine
    elif name == "dask":
        with dask_client(scheduler) as client:
            yield _mapper(client)
    else:
        raise FeatureError(f"engine: expected local, or dask with or without a scheduler; got {name!r}, {scheduler!r}")


def in_turn(submit: Callable[[Any], "Future[Any]"], tasks: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Yield results in order of the tasks, with at most `ahead` tasks handed out beyond the one waited for."""
    running: deque[Future[Any]] = deque()
    for task in tasks:
        running.append(submit(task))
        if len(running) > ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
