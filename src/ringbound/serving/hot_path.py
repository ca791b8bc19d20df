"""The routes past the layers of a general server: read, answered, written.

They stand before BentoML's own routes of the same names, which say on the API's page what is asked and answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import orjson

from ringbound.data.values import shown
from ringbound.serving.access import WHO, Access
from ringbound.serving.body import MOST_BYTES, NotThereError, OtherKindError, OverloadError, TooLargeError, refusal
from ringbound.serving.counters import REQUESTS, SECONDS
from ringbound.serving.logs import HEADER, REQUEST, request_id
from ringbound.serving.traces import Traces

LOG = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
POLICY = b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-src 'none'"
RECEIPTS = "/receipts/"
"""What stands before a prediction's id where its receipt is asked for by GET."""
BEAT_S, LATE_S, LATE_FOR_S = 0.005, 0.03, 0.15
"""How often the loop's lateness is noted, what is late, and for how long it is before that is too much."""
TOO_LARGE = f"expected at most {MOST_BYTES >> 20} MB; send several requests"
AGAIN = [(b"retry-after", b"1")]
MORE = {401: [(b"www-authenticate", b'Basic realm="ringbound: the key is the password"')], 429: AGAIN, 503: AGAIN}
"""Headers of refusals, by status."""
SAFE = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
"""Headers of pages."""
Route = Callable[[bytes], Awaitable[Any]]
Page = Callable[[], Awaitable[str]]


class Routed(Protocol):
    """What answers, by path: from a request's body to what becomes JSON, or a page; `access` says who may ask."""

    routes: Mapping[str, Route]
    pages: Mapping[str, Page]
    traces: Traces | None
    access: Access


class Lateness:
    """How late a loop is: what has not been read from its sockets waits too, and nobody else counts it."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._late_since: float | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to note it, where that has not begun."""
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

    def too_long(self, now: float) -> bool:
        """Whether the loop has been late for a while, not just once, by what many rows at once take."""
        return self._late_since is not None and now - self._late_since > LATE_FOR_S


class HotPath:
    """ASGI middleware: a POST to one of `service().routes` is answered by it, everything else by `app`.

    While more comes than can be read, it is refused at once: who asks can try elsewhere, and the others are not held up.
    """

    def __init__(self, app: Callable, service: Callable[[], Routed | None]):
        self.app = app
        self.service = service
        self.lateness = Lateness()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = self.service()
        if service is None or scope["type"] != "http":
            return await self.app(scope, receive, send)
        loop = asyncio.get_running_loop()
        started, name = loop.time(), request_id(scope["headers"])
        REQUEST.set(name)
        refused: Exception | None = None
        try:
            if not scope["path"].isprintable():  # a line break at the end is none to who matches routes
                raise NotThereError("expected a path without control characters")
            WHO.set(service.access.check(scope["path"], scope["headers"]))
        except Exception as error:  # told below
            refused = error
        page = service.pages.get(scope["path"]) if scope["method"] == "GET" else None
        route = _route(service, scope)
        if route is None and refused is None and scope["path"].startswith(RECEIPTS):
            refused = NotThereError("expected GET for a receipt by its id")
        if route is None and refused is None and page is None:
            return await self.app(scope, receive, _alone(send, name))
        self.lateness.watch(loop)
        try:
            if refused is not None:
                raise refused
            if self.lateness.too_long(loop.time()):
                raise OverloadError("expected fewer requests at once; try again after Retry-After")
            if page is not None:
                status, content = 200, (await page()).encode("utf-8", "backslashreplace")
            else:
                body = await _body(scope, receive) if scope["method"] == "POST" else _named(scope)
                if body is None or route is None:
                    return None
                status, content = 200, orjson.dumps(await route(body))
        except Exception as error:  # whatever it is, who asks gets one line
            status, says = refusal(error)
            content, page = orjson.dumps({"error": says}), None
        length = (b"content-length", b"%d" % len(content))
        kind = (b"content-type", b"text/html; charset=utf-8" if page else b"application/json")
        headers = [kind, length, (HEADER, name.encode()), *MORE.get(status, []), *(SAFE if page else [])]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        seconds = loop.time() - started
        said = _note(scope["path"] if route or page else "other", status, seconds)
        if service.traces:
            service.traces.note(scope["method"], said, status, seconds, name, scope["headers"])
        return None


def _note(path: str, status: int, seconds: float) -> str:
    """Count a request and how long it took, and return what its route is called; one that was refused is logged."""
    named = RECEIPTS[:-1] if path.startswith(RECEIPTS) else path
    REQUESTS.labels(named, status).inc()
    SECONDS.labels(named).observe(seconds)
    if status >= 400:
        LOG.info("refused", extra={"more": {"route": named, "status": status, "ms": round(seconds * 1000, 1)}})
    return named


def _route(service: Routed, scope: Scope) -> Route | None:
    if scope["method"] == "GET" and scope["path"].startswith(RECEIPTS):
        return service.routes[RECEIPTS[:-1]]
    return service.routes.get(scope["path"]) if scope["method"] == "POST" else None


def _alone(send: Send, name: str) -> Send:
    """Let a browser load nothing for the API's page from elsewhere: BentoML's would tell others of who reads it."""

    async def sending(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *SAFE, (HEADER, name.encode())]}
        await send(message)

    return sending


def _named(scope: Scope) -> bytes:
    """Return what GET /receipts/ID asks for as the body of the route."""
    return orjson.dumps({"prediction_id": scope["path"].removeprefix(RECEIPTS)})


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """Return a request's body, which must be JSON as it is; None where who sent it has hung up."""
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if kind.partition(b";")[0].strip().lower() != b"application/json":  # nor none: that is what other pages could send
        raise OtherKindError(
            f"expected Content-Type: application/json; got {shown(kind.decode('latin-1')) if kind else 'none'}"
        )
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            raise OtherKindError("expected JSON that is not compressed; send it as it is")
        if name == b"content-length" and value.isdigit() and int(value[:20]) > MOST_BYTES:
            raise TooLargeError(TOO_LARGE)
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise TooLargeError(TOO_LARGE)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
