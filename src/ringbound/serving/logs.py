"""Logs as lines of JSON, for machines that collect them; each line of a request has the request's id."""

import json
import logging
import re
import sys
import uuid
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime

HEADER = b"x-request-id"
REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; none where nobody asks."""
NAME = re.compile(rb"[\w.-]{1,64}")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; a traceback is a field of it.

    >>> record = logging.LogRecord("ringbound.x", logging.ERROR, "", 0, "store: %s", ("gone",), None)
    >>> json.loads(JsonLines().format(record))["says"]
    'store: gone'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "where": record.name,
            "says": record.getMessage(),
            "request": getattr(record, "request", "") or REQUEST.get(),
            **getattr(record, "more", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value != ""}, ensure_ascii=False)


def log_as_json() -> None:
    """Write what ringbound logs to standard error as lines of JSON from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    ours = logging.getLogger("ringbound")
    ours.handlers, ours.propagate, ours.level = [handler], False, logging.INFO


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that a request came with, or a new one."""
    given = next((value for name, value in headers if name == HEADER), b"")
    return given.decode() if NAME.fullmatch(given) else uuid.uuid4().hex
