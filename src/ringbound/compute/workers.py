"""Processes that call one function many times: on this machine by joblib's executor, or on a Dask cluster.

The function travels to each process once, with the data it holds; a call then sends its arguments alone.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import cloudpickle

from ringbound.compute.engines import dask_client
from ringbound.errors import ModelError

Submit = Callable[..., "Future[Any]"]
"""`submit(*arguments)` hands one call out and returns its future."""

_installed: dict[str, Callable[..., Any]] = {}


@contextmanager
def open_workers(
    function: Callable[..., Any], *, workers: int, engine: str = "local", scheduler: str = ""
) -> Iterator[Submit]:
    """Yield `submit` for `function`. Engine `local` starts `workers` processes; `dask` takes the cluster's own number."""
    packed = cloudpickle.dumps(function)
    key = hashlib.sha256(packed).hexdigest()
    if engine == "local" and not scheduler:
        from joblib.externals.loky import ProcessPoolExecutor

        with ProcessPoolExecutor(workers, initializer=_install, initargs=(key, packed)) as pool:
            try:
                yield lambda *arguments: pool.submit(_call, key, *arguments)
            except BaseException:
                pool.shutdown(wait=False, kill_workers=True)
                raise
    elif engine == "dask":
        with dask_client(scheduler, workers) as client:
            client.register_plugin(_plugin(key, packed))
            yield lambda *arguments: client.submit(_call, key, *arguments, pure=False)
    else:
        raise ModelError(f"engine: expected local, or dask with or without a scheduler; got {engine!r}, {scheduler!r}")


def _install(key: str, packed: bytes) -> None:
    _installed[key] = cloudpickle.loads(packed)


def _call(key: str, *arguments: Any) -> Any:
    return _installed[key](*arguments)


def _plugin(key: str, packed: bytes) -> Any:
    """Return what installs the function in every Dask worker, also in one that replaces another."""
    from distributed import WorkerPlugin

    class Install(WorkerPlugin):
        name = f"ringbound-{key}"

        def setup(self, worker: Any) -> None:
            _install(key, packed)

    return Install()
