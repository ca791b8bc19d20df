"""Who may ask what: each request is held against the keys that the store has."""

import base64
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ringbound.data.values import shown
from ringbound.errors import StoreError, one_line
from ringbound.serving.body import DeniedError, NotThereError, OverloadError, UnknownError
from ringbound.store import Key
from ringbound.store.keys import id_of

NEEDED = {
    "/predict": "predict",
    "/features": "predict",
    "/events": "ingest",
    "/outcomes": "ingest",
    "/receipts": "operate",
    "/metrics": "operate",
    "/rollout": "operate",
    "/monitor": "operate",
    "/": "",
    "/docs.json": "",
    "/schema.json": "",
}
"""The role that a path takes; the page, and what describes it, is shown to whoever has a key."""
BELOW = {"/receipts/": "operate", "/static_content/": ""}
FREE = ("/livez", "/readyz", "/healthz")
NO_ROUTE = "expected one of the routes that the page at / describes; there is none of this name"
WHO: ContextVar[str] = ContextVar("who", default="")
"""The name of the key that the request at hand came with."""
NOBODY = Key("", "", "", "0" * 64, 0.0, 0, None)
LOG = logging.getLogger(__name__)


class Access:
    """Lets those ask who have a key for it, by the keys that the last `refresh` has read.

    `read` returns the keys; where it fails, those that were read last hold, also by who ran here before: they are in the
    file `kept`. As long as no key has ever been seen, anybody may ask where the service is `open`, as on a machine's own
    address, and nobody elsewhere. A key's rate is shared out evenly among `workers`.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Key]],
        *,
        open: bool,
        kept: Path | None = None,
        workers: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._read = read
        self._open = open
        self._kept = kept
        self._workers = workers
        self._monotonic = monotonic
        self._free_at: dict[str, float] = {}
        self._keys = {key.id: key for key in _remembered(kept)}
        self.refresh()

    def refresh(self) -> None:
        """Read the keys anew."""
        try:
            found = {key.id: key for key in self._read()}
        except StoreError as error:
            LOG.warning("keys: %s; those that were read last hold", error)
            return
        if found != self._keys:
            self._keys = found
            _remember(self._kept, found.values())

    def check(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Let a request pass, or raise: `UnknownError` without a key, `DeniedError` for another role, `OverloadError`.

        Return the name of the key, an empty text where none is needed.
        """
        if path in FREE:
            return ""
        needed = NEEDED.get(path)
        if needed is None:
            needed = next((role for start, role in BELOW.items() if path.startswith(start)), None)
        if self._open and not self._keys:
            if needed is None:
                raise NotThereError(NO_ROUTE)
            return ""
        token = _token(headers)
        found = self._keys.get(id_of(token), NOBODY)
        if not found.is_of(token) or found.revoked_at is not None:
            raise UnknownError(
                "expected a key that holds, as Authorization: Bearer KEY; got "
                f"{'another' if token else 'none'}; ask who operates this service for one"
            )
        if needed is None:
            raise NotThereError(NO_ROUTE)
        if needed and needed not in found.roles.split():
            raise DeniedError(f"expected a key of role {needed}; got one of role {found.roles.replace(' ', ', ')}")
        if found.rate:
            self._count(found)
        return found.name

    def _count(self, key: Key) -> None:
        """Let a request pass if it is its turn: one each 1/rate seconds, and some at once where few came before."""
        now, every = self._monotonic(), self._workers / key.rate
        due = max(self._free_at.get(key.id, 0.0), now - max(0.02, every))  # as many at once as come in 20 ms
        if due > now:
            raise OverloadError(
                f"expected at most {key.rate:g} requests a second of key {shown(key.name)}; see Retry-After"
            )
        self._free_at[key.id] = due + every


def _token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the key that a request came with: as a bearer's, or as the password that a browser asks for."""
    given: Any = next((value for name, value in headers if name == b"authorization"), b"")
    kind, _, value = given.decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        with suppress(ValueError):  # no base64, or no text
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
    return ""


def _remembered(file: Path | None) -> list[Key]:
    """Return the keys of a file; none where there is no file."""
    if file is None or not file.is_file():
        return []
    try:
        return [Key(**plain) for plain in json.loads(file.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        LOG.error(
            "keys: %s cannot be read: %s; nobody may ask until the store is back", file.name, one_line(error, 100)
        )
        return [NOBODY]


def _remember(file: Path | None, keys: Iterable[Key]) -> None:
    """Write the keys into a file, for its owner's eyes."""
    if file is None:
        return
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch(0o600)
        unfinished.write_text(json.dumps([vars(key) for key in keys]), "utf-8")
        unfinished.replace(file)
    except OSError as error:
        LOG.error("keys: %s cannot be written: %s", file.name, one_line(error, 100))
