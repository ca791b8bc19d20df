"""Who may ask what: each request is held against the keys that the store has."""

import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ringbound.data.values import shown
from ringbound.errors import StoreError
from ringbound.serving.body import DeniedError, OverloadError, UnknownError
from ringbound.store import Key
from ringbound.store.keys import id_of

NEEDED = {
    "predict": "predict",
    "features": "predict",
    "events": "ingest",
    "outcomes": "ingest",
    "receipts": "operate",
    "metrics": "operate",
}
"""The role that routes take, by the first part of their path; the page and what describes it take any."""
FREE = ("/livez", "/readyz", "/healthz")
NOBODY = Key("", "", "", "0" * 64, 0.0, 0, None)
LOG = logging.getLogger(__name__)


class Access:
    """Lets those ask who have a key for it, by the keys that the last `refresh` has read.

    `read` returns the keys; where it fails, those that were read last hold. As long as there has never been a key, anybody
    may ask where the service is `open`, as on a machine's own address, and nobody elsewhere. A key's rate is shared out
    evenly among `workers`.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Key]],
        *,
        open: bool,
        workers: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._read = read
        self._open = open
        self._workers = workers
        self._monotonic = monotonic
        self._keys: dict[str, Key] = {}
        self._free_at: dict[str, float] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the keys anew."""
        try:
            self._keys = {key.id: key for key in self._read()}
        except StoreError as error:
            LOG.warning("keys: %s; those that were read last hold", error)

    def check(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let a request pass, or raise: `UnknownError` without a key, `DeniedError` for another role, `OverloadError`."""
        if path in FREE or (self._open and not self._keys):
            return
        token = _token(headers)
        found = self._keys.get(id_of(token), NOBODY)
        if not found.is_of(token) or found.revoked_at is not None:
            raise UnknownError(
                "expected a key that holds, as Authorization: Bearer KEY; got "
                f"{'another' if token else 'none'}; ask who operates this service for one"
            )
        needed = NEEDED.get(next((part for part in path.split("/") if part), ""))
        if needed and needed not in found.roles.split():
            raise DeniedError(f"expected a key of role {needed}; got one of role {found.roles.replace(' ', ', ')}")
        if found.rate:
            self._count(found)

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
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
