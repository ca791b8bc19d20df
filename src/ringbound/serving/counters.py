"""What a service counts for who watches it, at /metrics."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter as Counted

ANSWERS = Counted(
    "ringbound_answers_total",
    "answers by the rung of the ladder that gave them, and why no better one did",
    ["rung", "reason"],
)

LOST = Counted("ringbound_records_lost_total", "predictions given up unrecorded, for a store that did not come back")


def count(answers: Iterable[dict[str, Any]]) -> None:
    """Count answers by rung and reason."""
    for (rung, reason), number in Counter((a["rung"], a["reason"] or "") for a in answers).items():
        ANSWERS.labels(rung=rung, reason=reason).inc(number)
