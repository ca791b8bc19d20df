"""The routes past the layers of a general server: read, answered, written.

They stand before BentoML's own routes of the same names, which say on the API's page what is asked and answered, and which
clients that speak anything but JSON still get.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import orjson

from ringbound.serving.body import MOST_BYTES, OverloadError, TooLargeError, refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
RECEIPTS = "/receipts/"
"""What stands before a prediction's id where its receipt is asked for by GET."""
BEAT_S, LATE_S, LATE_FOR_S = 0.005, 0.03, 0.15
"""How often the loop's lateness is noted, what is late, and for how long it is before that is too much."""
LEAST = 32
"""Requests at once that are never too many."""
Route = Callable[[bytes], Awaitable[Any]]


class Routed(Protocol):
    """What answers: by path, from a request's body to what becomes JSON."""

    routes: Mapping[str, Route]


class Admission:
    """Says how long a request that came now would wait: by how many are being answered, and how long each takes then.

    >>> admission = Admission()
    >>> for _ in range(100): admission.came(0.0)
    >>> for n in range(1, 51): admission.left(n / 1000)
    >>> admission.number, round(admission.wait_s, 3)
    (50, 0.05)
    """

    def __init__(self) -> None:
        self.number = 0
        self._each_s: float | None = None
        self._last = 0.0
        self._due: float | None = None
        self._late_since: float | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to note how late the loop is: what has not been read from its sockets waits too, and nobody counts it."""
        if self._due is None:
            self._due = loop.time()
            self._beat(loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._due is not None
        now = loop.time()
        if now - self._due < LATE_S:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        self._due = now + BEAT_S
        loop.call_at(self._due, self._beat, loop)

    def late(self, now: float) -> bool:
        """Whether the loop has been late for a while, not just once, by what many rows at once take."""
        return self._late_since is not None and now - self._late_since > LATE_FOR_S

    def came(self, now: float) -> None:
        """Note that a request has come."""
        if self.number == 0:
            self._last = now
        self.number += 1

    def left(self, now: float) -> None:
        """Note that one has been answered: the time since the last one is what each takes, while there are others."""
        each, self._last = now - self._last, now
        self._each_s = each if self._each_s is None else self._each_s + (each - self._each_s) / 50
        self.number -= 1

    @property
    def wait_s(self) -> float:
        """Seconds after which all that are here will be answered."""
        return self.number * (self._each_s or 0.0)


class HotPath:
    """ASGI middleware: a POST of JSON to one of `service().routes` is answered by it, everything else by `app`.

    A request that would wait longer than `most_s` is refused at once: who asks can try elsewhere, and the others are not held
    up.
    """

    def __init__(self, app: Callable, service: Callable[[], Routed | None], *, most_s: float = math.inf):
        self.app = app
        self.service = service
        self.most_s = most_s
        self.admission = Admission()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = self._route(scope)
        if route is None:
            return await self.app(scope, receive, send)
        loop = asyncio.get_running_loop()
        self.admission.watch(loop)
        full = self.admission.number >= LEAST and self.admission.wait_s > self.most_s
        if full or self.admission.late(loop.time()):
            status, content = _failed(OverloadError("expected fewer requests at once; try again after Retry-After"))
        else:
            self.admission.came(time.monotonic())
            try:
                body = await _body(receive) if scope["method"] == "POST" else _named(scope)
                if body is None:
                    return None
                status, content = 200, orjson.dumps(await route(body))
            except Exception as error:  # whatever it is, who asks gets one line
                status, content = _failed(error)
            finally:
                self.admission.left(time.monotonic())
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        if status in (429, 503):
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return None

    def _route(self, scope: Scope) -> Route | None:
        service = self.service()
        if service is None or scope["type"] != "http":
            return None
        if scope["method"] == "GET" and scope["path"].startswith(RECEIPTS):
            return service.routes[RECEIPTS[:-1]]
        if scope["method"] != "POST":
            return None
        for name, value in scope["headers"]:
            if name == b"content-type" and not value.startswith(b"application/json"):
                return None
            if name == b"content-encoding":
                return None
        return service.routes.get(scope["path"])


def _failed(error: Exception) -> tuple[int, bytes]:
    status, says = refusal(error)
    return status, orjson.dumps({"error": says})


def _named(scope: Scope) -> bytes:
    """Return what GET /receipts/ID asks for as the body of the route."""
    return orjson.dumps({"prediction_id": scope["path"].removeprefix(RECEIPTS)})


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body; None where who sent it has hung up."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise TooLargeError(f"expected at most {MOST_BYTES >> 20} MB; send several requests")
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
