"""What a service is told about where it runs: written by who starts it, read once by the service."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ringbound.errors import WorkspaceError
from ringbound.store import CLOCKS, Clock

PREFIX = "RINGBOUND_"


@dataclass(frozen=True)
class ServiceSettings:
    """`bundle` is the model's folder, `store` the operational store's URL, `clock` wall or event, `workers` processes.

    `snapshot` is a file that makes starting again quick; without one, every start reads the log.
    """

    bundle: Path
    store: str
    clock: str = "wall"
    workers: int = 1
    snapshot: Path | None = None

    def __post_init__(self):
        if self.clock not in CLOCKS:
            raise WorkspaceError(f"{PREFIX}CLOCK: expected one of {', '.join(CLOCKS)}; got {self.clock!r}")
        if self.workers < 1:
            raise WorkspaceError(f"{PREFIX}WORKERS: expected at least 1; got {self.workers}")

    @property
    def present(self) -> Clock:
        """The clock itself."""
        return CLOCKS[self.clock]

    @classmethod
    def from_environment(cls, home: Path, environment: Mapping[str, str] = os.environ) -> "ServiceSettings":
        """Read RINGBOUND_STORE, _CLOCK, _WORKERS and _SNAPSHOT; the bundle, and by default the store, lie in `home`."""
        read = lambda name, default: environment.get(PREFIX + name) or default  # noqa: E731
        workers, snapshot = read("WORKERS", "1"), read("SNAPSHOT", None)
        if not workers.isdecimal():
            raise WorkspaceError(f"{PREFIX}WORKERS: expected a whole number; got {workers!r}")
        return cls(
            bundle=home / "bundle",
            store=read("STORE", f"sqlite:///{home / 'store.db'}"),
            clock=read("CLOCK", "wall"),
            workers=int(workers),
            snapshot=Path(snapshot) if snapshot else None,
        )

    def to_environment(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads."""
        variables = {"STORE": self.store, "CLOCK": self.clock, "WORKERS": str(self.workers)}
        variables |= {"SNAPSHOT": str(self.snapshot)} if self.snapshot else {}
        return {PREFIX + name: value for name, value in variables.items()}
