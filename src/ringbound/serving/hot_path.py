"""The route that is asked most, past the layers of a general server: read, validated, gathered, answered, written.

It stands before BentoML's own route of the same name, which says on the API's page what is asked and answered, and which
clients that speak anything but JSON still get.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

import orjson

from ringbound.data.files import whole
from ringbound.errors import InputError

ROUTE = "/predict"
MOST_BYTES = 20 << 20
"""Of a request; a thousand rows take far less."""
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Answering(Protocol):
    """What answers the rows of a request."""

    async def predict_rows(self, rows: Any) -> list[dict[str, Any]]: ...


class HotPath:
    """ASGI middleware: `POST /predict` with JSON is answered by `service()`, everything else by `app`."""

    def __init__(self, app: Callable, service: Callable[[], Answering | None]):
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = self.service()
        if scope["type"] != "http" or scope["path"] != ROUTE or scope["method"] != "POST" or service is None:
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"application/json").startswith(b"application/json"):
            return await self.app(scope, receive, send)
        try:
            body = await _body(receive)
            if body is None:
                return None
            answers = await service.predict_rows(_rows(body))
            status, content = 200, orjson.dumps({"predictions": answers})
        except InputError as error:
            status, content = 413 if isinstance(error, TooLargeError) else 400, _error(str(error))
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))],
            }
        )
        await send({"type": "http.response.body", "body": content})
        return None


class TooLargeError(InputError):
    """A request has more bytes than any that can be answered."""


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


def _rows(body: bytes) -> Any:
    """Return the rows that a request's JSON asks about, whole numbers with all their digits."""
    try:
        given = json.loads(body.decode(), parse_int=whole, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InputError('expected JSON like {"rows": [{…}]}; got something else') from None
    if not isinstance(given, dict) or not isinstance(given.get("rows"), list):
        raise InputError('expected JSON like {"rows": [{…}]}; got no list of rows')
    if more := sorted(given.keys() - {"rows"}):
        raise InputError(f"expected rows alone; got {more[:3]} too")
    return given["rows"]


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _error(says: str) -> bytes:
    return orjson.dumps({"error": says.encode("utf-8", "backslashreplace").decode()})
