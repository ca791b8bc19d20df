"""Stores to test with: an empty SQLite file and an empty database of a real PostgreSQL."""

import pytest

from postgresql import PostgreSQL


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A PostgreSQL server for all tests of stores."""
    found = PostgreSQL(tmp_path_factory.mktemp("postgresql"))
    yield found
    found.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The URL of an empty store, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("server").database()
