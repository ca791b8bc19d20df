"""Answers whose outcome is final, with all who told one and how likely the question was to be decided as it was."""

import pandas as pd

from ringbound.store import LoggedOutcome, Store

OWN = {
    "prediction_id": "string",
    "at": "timestamp",
    "available_at": "timestamp",
    "answer": "number",
    "decision": "boolean",
    "outcome": "number",
    "told_by": "string",
    "model_version": "string",
    "rung": "string",
    "arm": "string",
    "propensity": "number",
}
"""What each row of feedback says besides its question."""
NOBODY = "anonymous"
"""Who tells outcomes without a key."""


def final_answers(store: Store, start: int, end: int, *, mature: int, known_by: int) -> pd.DataFrame:
    """Return the answers to questions about a time from `start` to `end`, in their order: a row for each who told an outcome.

    All times are microseconds since 1970. Columns are `OWN`, then `time` and `seq`, when the outcome was determined and its
    place in the store, `contradicted`, by whom another one of the same time was told (missing where by nobody), and `row`,
    the question as JSON, and `answers`, as `ringbound.problem.packed` packs those of classes. Of one who told several, the
    last counts, as it was known at `known_by`; an outcome is `available_at` when it was told, and not before it was
    `mature`.
    """
    arms = store.arms()
    records: list[tuple] = []
    for rows in store.asked(start, end + 1):
        told = store.told([row.prediction_id for row in rows], known_by)
        for row in rows:
            last: dict[str, LoggedOutcome] = {}
            for one in sorted(told.get(row.prediction_id, ()), key=lambda one: (one.time, one.seq)):
                last[one.told_by] = one
            for one in last.values():
                others = [other for other in last.values() if other.time == one.time and other.value != one.value]
                against = ", ".join(sorted(other.told_by or NOBODY for other in others)) or None
                records.append(
                    (
                        row.prediction_id,
                        row.at,
                        max(one.available_at, row.at + mature),
                        row.answer,
                        row.decision,
                        one.value,
                        one.told_by,
                        row.model_version,
                        row.rung,
                        arms.get(row.prediction_id),
                        row.propensity,
                        one.time,
                        one.seq,
                        against,
                        row.row,
                        row.answers,
                    )
                )
    return pd.DataFrame(records, columns=[*OWN, "time", "seq", "contradicted", "row", "answers"])
