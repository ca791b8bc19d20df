"""What a request's JSON has to look like, and the answer where it does not or where nobody can be asked."""

import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringbound.data.values import shown, whole
from ringbound.errors import InputError, StoreError
from ringbound.serving.logs import REQUEST

LOG = logging.getLogger(__name__)
MOST_BYTES = 4 << 20
"""Of a request; a thousand rows take far less, and while more is read nobody else is answered."""
LONG = re.compile(rb"\d{16}")
"""A whole number that a float may not hold."""
UNAVAILABLE = "store: it does not answer now; nothing is lost, send the same again"
KINDS = {list: "a list", str: "a text", bool: "true or false"}


class TooLargeError(InputError):
    """A request has more bytes than any that can be answered."""


class OtherKindError(InputError):
    """A request is no JSON."""


class NotThereError(InputError):
    """What is asked about is not in the store."""


class UnknownError(InputError):
    """Who asks has no key that holds."""


class DeniedError(InputError):
    """Who asks has a key for something else."""


class OverloadError(InputError):
    """More is asked than can be answered, even by the ladder's lowest rung."""


@dataclass(frozen=True)
class Body:
    """The JSON object that a route takes: fields that it must have and may have, and an example in short."""

    like: str
    must: Mapping[str, type]
    may: Mapping[str, type] = field(default_factory=dict)

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the fields of a request, whole numbers with all their digits; `InputError` says what does not fit.

        >>> Body('{"rows": [{…}]}', {"rows": list}).read(b'{"rows": 7}')
        Traceback (most recent call last):
        ringbound.errors.InputError: expected JSON like {"rows": [{…}]}; rows is not a list
        """
        try:
            given = json.loads(body.decode(), parse_int=whole if LONG.search(body) else None, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise InputError(f"expected JSON like {self.like}; got something else") from None
        if not isinstance(given, dict):
            raise InputError(f"expected JSON like {self.like}; got no object")
        for name, kind in {**self.must, **self.may}.items():
            if (name in given or name in self.must) and not isinstance(given.get(name), kind):
                raise InputError(f"expected JSON like {self.like}; {name} is not {KINDS[kind]}")
        if more := sorted(given.keys() - self.must.keys() - self.may.keys()):
            raise InputError(f"expected JSON like {self.like}; got {shown(more[:3])} too")
        return given


STATUS: dict[type[Exception], int] = {
    UnknownError: 401,
    DeniedError: 403,
    NotThereError: 404,
    TooLargeError: 413,
    OtherKindError: 415,
    OverloadError: 429,
}


def _no_number(text: str) -> Any:
    raise ValueError(text)


def refusal(error: Exception) -> tuple[int, str]:
    """Return the HTTP status and the line with which an error is answered; what a client has no part in is only logged."""
    if isinstance(error, InputError):
        return STATUS.get(type(error), 400), str(error).encode("utf-8", "backslashreplace").decode()
    if isinstance(error, StoreError | TimeoutError):
        LOG.error("%s", str(error) or "no answer in time")
        return 503, UNAVAILABLE
    name = REQUEST.get() or uuid.uuid4().hex
    LOG.error("error %s", name, exc_info=error)
    return 500, f"this service has failed; error {name} says why to who operates it"
