"""Tells others of alerts that were opened: a POST of JSON, tried again where it fails, and with the next run."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape

import requests

from ringbound.errors import ModelError, one_line
from ringbound.monitoring.alerts import Alert
from ringbound.store import Store

TRIES, FIRST_WAIT_S, TIMEOUT_S = 4, 0.5, 5.0
LOG = logging.getLogger(__name__)


def check_url(url: str) -> None:
    """Raise `ModelError` where this is no address that can be told anything."""
    if not re.match(r"https?://[^\s/]", url):
        raise ModelError(f"--webhook: expected an address like https://example.org/hook; got {url!r}")


def tell(store: Store, alerts: Sequence[Alert], url: str, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Tell a webhook of each alert that it was not told of; return of how many it could not be.

    It is told at least once: where the answer is lost, it may be told again.
    """
    check_url(url)
    waiting = [alert for alert in alerts if not alert.told]
    for place, alert in enumerate(waiting):
        if not _sent(url, alert, sleep):
            return len(waiting) - place  # the others would fail as well, each after a while
        store.add_alert(alert.name, alert.last, "told", {"opened": alert.opened})
    return 0


def _sent(url: str, alert: Alert, sleep: Callable[[float], None]) -> bool:
    body = {name: value for name, value in asdict(alert).items() if name not in ("position", "told")}
    text = escape(f"{alert.severity}: {alert.name}: {alert.says}", quote=False)  # chats read <!channel> and the like
    for attempt in range(TRIES):
        try:
            answer = requests.post(url, json={"text": text, "alert": body}, timeout=TIMEOUT_S, allow_redirects=False)
            if answer.status_code < 300:
                return True
            says = f"it answered {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                LOG.error("webhook: %s; %s is told again with the next run", says, alert.name)
                return False
        except requests.RequestException as error:
            says = one_line(error, 200)
        if attempt + 1 < TRIES:
            sleep(FIRST_WAIT_S * 2**attempt)
    LOG.error("webhook: %s; %s is told again with the next run", says, alert.name)
    return False
