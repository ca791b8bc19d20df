"""What a service counts and measures for who watches it, at /metrics: few series, whatever is asked."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prometheus_client import Counter as Counted
from prometheus_client import Gauge, Histogram
from prometheus_client.multiprocess import mark_process_dead

ANSWERS = Counted(
    "ringbound_answers_total",
    "answers by the rung of the ladder that gave them, and why no better one did",
    ["rung", "reason", "arm"],
)
REQUESTS = Counted("ringbound_requests_total", "requests by route and status", ["route", "status"])
SECONDS = Histogram(
    "ringbound_request_seconds",
    "how long requests took, by route",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
LOST = Counted("ringbound_records_lost_total", "predictions given up unrecorded, for a store that did not come back")
STORE_ERRORS = Counted("ringbound_store_errors_total", "times that the store could not be asked or written")
UNRECORDED = Gauge("ringbound_unrecorded_answers", "answers that wait for the store", multiprocess_mode="livesum")
WAITING = Gauge("ringbound_waiting_rows", "rows that wait for their answer", multiprocess_mode="livesum")
AGE = Gauge(
    "ringbound_source_age_seconds", "age of each source's newest event", ["source"], multiprocess_mode="mostrecent"
)
STALE = Gauge(
    "ringbound_source_stale_seconds",
    "from which age on a service does not go by a source, where that is declared",
    ["source"],
    multiprocess_mode="mostrecent",
)
LAG = Gauge(
    "ringbound_log_lag_events", "events in the log that are not in the windows yet", multiprocess_mode="livemax"
)
MODEL = Gauge(
    "ringbound_model_info",
    "1 for the model and the code that serve, by their arm",
    ["version", "code", "arm"],
    multiprocess_mode="livemax",
)
AGAINST = Gauge(
    "ringbound_rollout_against",
    "evidence against the challenger, by gate; at 1 it is stopped",
    ["gate"],
    multiprocess_mode="mostrecent",
)
UNPAIRED = Counted("ringbound_unpaired_rows_total", "rows that only one of two arms has answered, for want of time")


def begin(routes: Iterable[str]) -> None:
    """Let failures count from nothing, so that the first is seen as a rise, and forget what processes say that are gone."""
    for route in routes:
        for status in (500, 503):
            REQUESTS.labels(route, status)
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)
        except PermissionError:  # somebody else's, and so alive
            continue


def count(answers: Iterable[dict[str, Any]], arm: str) -> None:
    """Count answers of an arm by rung and reason; what a reason says after its colon is not told apart."""
    for (rung, reason), number in Counter((a["rung"], (a["reason"] or "").partition(":")[0]) for a in answers).items():
        ANSWERS.labels(rung=rung, reason=reason, arm=arm).inc(number)
