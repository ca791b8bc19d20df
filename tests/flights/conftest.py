"""The flights workspace, built once for all tests of a process: a clone of the working tree with few months and trials."""

import fcntl
import os
from pathlib import Path

import pytest

from workspace_clone import Clone


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """A DVC cache for all clones of this run, whichever process they are in: what one has made, others need not."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dvc-cache"


@pytest.fixture(scope="module")
def built(tmp_path_factory, shared_cache) -> Clone:
    """A clone in which every stage has run, from nothing: once in a run of tests, then copied."""
    first = shared_cache.parent / "built once"
    with (shared_cache.parent / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not first.is_dir():
            making = shared_cache.parent / "being built"
            making.mkdir()
            Clone(making, shared_cache).repro()
            making.rename(first)
    return Clone.copied(first, tmp_path_factory.mktemp("a clone"))
