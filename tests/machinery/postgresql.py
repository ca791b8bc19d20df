"""A real PostgreSQL server of our own, from Debian's packages, that tests may kill."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

import sqlalchemy as sa


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PostgreSQL:
    """A server in a folder of its own, on the loopback."""

    def __init__(self, folder: Path, *, fsync: bool = True):
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert programs, "expected PostgreSQL; apt-get install postgresql"
        self._user: dict = {}
        if os.getuid() == 0:  # the server refuses to run as root
            person = pwd.getpwnam("postgres")
            self._user = {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []}
            folder = Path(f"/tmp/ringbound-postgresql-{uuid.uuid4().hex[:8]}")
            folder.mkdir()
            os.chown(folder, person.pw_uid, person.pw_gid)
        self.folder = folder
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        data, on = folder / "data", "on" if fsync else "off"
        self._command = [programs[-1] / "postgres", "-D", data, "-p", str(self.port), "-k", folder, "-h", "127.0.0.1",
                         "-c", f"fsync={on}"]  # fmt: skip
        subprocess.run(
            [programs[-1] / "initdb", "-D", data, "-U", "postgres", "-A", "trust"], check=True,
            stdout=subprocess.DEVNULL, cwd=folder, **self._user,
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._server = subprocess.Popen(self._command, stderr=subprocess.DEVNULL, cwd=self.folder, **self._user)
        deadline = time.monotonic() + 30
        while True:
            try:
                sa.create_engine(self.url).connect().close()
                return
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill every process of the server, as a crash would."""
        children = subprocess.run(["pgrep", "-P", str(self._server.pid)], capture_output=True, text=True).stdout.split()
        self._server.kill()
        for child in children:
            subprocess.run(["kill", "-9", child], stderr=subprocess.DEVNULL)
        self._server.wait()
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._server.send_signal(signal.SIGINT)  # does not wait for clients
        self._server.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"d{uuid.uuid4().hex}"
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url.removesuffix("postgres") + name
