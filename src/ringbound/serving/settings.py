"""What a service is told about where it runs: written by who starts it, read once by the service."""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ringbound.errors import WorkspaceError, one_line
from ringbound.store import CLOCKS, HOUR, Clock, EventClock

PREFIX = "RINGBOUND_"
LOGS = ("text", "json")


@dataclass(frozen=True)
class ServiceSettings:
    """`bundle` is the model's folder, `store` the operational store's URL, `clock` wall or event, `workers` processes.

    `archive` is the folder that has what the store does not keep any more. `snapshot` is a file that makes starting again
    quick; without one, every start reads the log. `keys` is a file that has the keys while the store is away. On the event
    clock, one event may move the present by `step_h` hours. An answer that is not there after `deadline_ms` is one of the
    ladder's lower rungs. `open` says that anybody may ask as long as there has never been a key: for a machine's own
    address. With `tls_cert` and `tls_key`, files in PEM, it speaks HTTPS. `log` is text or json; `traces` is the address of
    a collector of OpenTelemetry, as http://host:4318. With an
    `environment`, it follows what the store says this has. `code` is the version of the Bento that serves; it stands in the
    record of every answer.
    """

    bundle: Path
    store: str
    clock: str = "wall"
    workers: int = 1
    snapshot: Path | None = None
    archive: Path | None = None
    keys: Path | None = None
    step_h: float = 24.0
    deadline_ms: float = 250.0
    open: bool = True
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log: str = "text"
    traces: str = ""
    environment: str = ""
    code: str = ""

    def __post_init__(self):
        if self.clock not in CLOCKS:
            raise WorkspaceError(f"{PREFIX}CLOCK: expected one of {', '.join(CLOCKS)}; got {self.clock!r}")
        if self.workers < 1:
            raise WorkspaceError(f"{PREFIX}WORKERS: expected at least 1; got {self.workers}")
        if not 1 <= self.deadline_ms <= 60_000:
            raise WorkspaceError(f"{PREFIX}DEADLINE_MS: expected 1 to 60,000 milliseconds; got {self.deadline_ms}")
        if self.log not in LOGS:
            raise WorkspaceError(f"{PREFIX}LOG: expected one of {', '.join(LOGS)}; got {self.log!r}")
        if self.traces and not _is_address(self.traces):
            raise WorkspaceError(f"{PREFIX}TRACES: expected an address like http://127.0.0.1:4318; got {self.traces!r}")
        if self.archive is not None and find_spec("pyarrow") is None:
            raise WorkspaceError(f"{PREFIX}ARCHIVE: expected the package pyarrow, to read the archive with; install it")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise WorkspaceError(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY: expected both or none")
        for file in (self.tls_cert, self.tls_key):
            if file is not None and not file.is_file():
                raise WorkspaceError(f"{PREFIX}TLS: expected a file in PEM; there is none called {file.name}")
        if self.tls_cert and self.tls_key:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key, lambda: "")
            except (ssl.SSLError, OSError, ValueError) as error:
                raise WorkspaceError(
                    f"{PREFIX}TLS: expected a certificate and its key, in PEM, without a password; {one_line(error, 100)}"
                ) from error
        if not 0 < self.step_h < 1e6:
            raise WorkspaceError(
                f"{PREFIX}STEP_H: expected hours, more than 0 and less than a million; got {self.step_h}"
            )

    @property
    def present(self) -> Clock:
        """The clock itself."""
        return EventClock(round(self.step_h * HOUR)) if self.clock == "event" else CLOCKS[self.clock]

    @classmethod
    def from_environment(cls, home: Path, environment: Mapping[str, str] = os.environ) -> "ServiceSettings":
        """Read RINGBOUND_STORE and so on, as `to_environment` writes them; the bundle is in `home`."""
        read = lambda name, default: environment.get(PREFIX + name) or default  # noqa: E731
        workers = read("WORKERS", "1")
        place = lambda name: Path(found) if (found := read(name, "")) else None  # noqa: E731
        if not workers.isdecimal():
            raise WorkspaceError(f"{PREFIX}WORKERS: expected a whole number; got {workers!r}")
        numbers = {}
        for name, default in (("STEP_H", "24"), ("DEADLINE_MS", "250")):
            try:
                numbers[name.lower()] = float(read(name, default))
            except ValueError:
                raise WorkspaceError(f"{PREFIX}{name}: expected a number; got {read(name, default)!r}") from None
        return cls(
            bundle=home / "bundle",
            store=read("STORE", f"sqlite:///{home / 'store.db'}"),
            clock=read("CLOCK", "wall"),
            workers=int(workers),
            snapshot=place("SNAPSHOT"),
            archive=place("ARCHIVE"),
            keys=place("KEYS"),
            tls_cert=place("TLS_CERT"),
            tls_key=place("TLS_KEY"),
            log=read("LOG", "text"),
            traces=read("TRACES", ""),
            environment=read("ENVIRONMENT", ""),
            open=_is_open(read("OPEN", "0")),
            code=_version(home),
            **numbers,
        )

    def to_environment(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads."""
        variables = {
            "STORE": self.store,
            "CLOCK": self.clock,
            "WORKERS": str(self.workers),
            "OPEN": str(int(self.open)),
            "LOG": self.log,
            "TRACES": self.traces,
            "ENVIRONMENT": self.environment,
        }
        variables |= {"STEP_H": repr(self.step_h), "DEADLINE_MS": repr(self.deadline_ms)}
        places = {
            "SNAPSHOT": self.snapshot,
            "ARCHIVE": self.archive,
            "KEYS": self.keys,
            "TLS_CERT": self.tls_cert,
            "TLS_KEY": self.tls_key,
        }
        variables |= {name: str(place) for name, place in places.items() if place}
        return {PREFIX + name: value for name, value in variables.items()}


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else reaches.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.1.2.3", "example.org")]
    [True, True, True, False, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(given: str) -> bool:
    try:
        found = urlsplit(given)
        return found.scheme in ("http", "https") and bool(found.hostname) and (found.port is None or found.port > 0)
    except ValueError:
        return False


def _is_open(given: str) -> bool:
    if given not in ("0", "1"):
        raise WorkspaceError(f"{PREFIX}OPEN: expected 0 or 1; got {given!r}")
    return given == "1"


def _version(home: Path) -> str:
    """Return the version of the Bento that `home` is the code of; nothing where it is of none."""
    try:
        about = (home.parent / "bento.yaml").read_text("utf-8")
    except OSError:
        return ""
    found = re.search(r"^version: (\S+)$", about, re.M)
    return found[1] if found else ""
