"""Alarms about who tells outcomes: a key that contradicts all others, or sends many that cannot be."""

import pandas as pd

from ringbound.feedback.final import NOBODY
from ringbound.feedback.suspects import LEAST, WEEK_US
from ringbound.monitoring.alarm import Alarm
from ringbound.store import instant

PREFIX = "feedback/"


def feedback_alarms(answers: pd.DataFrame, reasons: pd.Series) -> list[Alarm]:
    """Return an alarm for each key of whose outcomes of a week `LEAST` or more are put aside, and why.

    `answers` are of `final_answers`, `reasons` of `suspects`.

    >>> from ringbound.feedback.final import final_answers
    >>> from ringbound.feedback.suspects import suspects
    >>> from ringbound.store import Store
    >>> from ringbound.testing import examples
    >>> answers = final_answers(Store(examples.answered_store()), 0, 2**53, mature=0, known_by=2**53)
    >>> feedback_alarms(answers, suspects(answers))
    []
    """
    table = answers.assign(
        reason=reasons, week=answers["at"] // WEEK_US, told_by=answers["told_by"].replace("", NOBODY)
    )
    alarms = []
    for (key, _), some in table[reasons.notna()].groupby(["told_by", "week"]):
        if len(some) < LEAST:
            continue
        all_of_key = ((table["told_by"] == key) & (table["week"] == some["week"].iloc[0])).sum()
        most = some["reason"].mode().iloc[0]
        alarms.append(
            Alarm(
                name=PREFIX + str(key),
                day=instant(int(some["at"].max()))[:10],
                severity="critical",
                says=f"{len(some):,} of {all_of_key:,} outcomes that {key} told of a week are put aside; {most}",
                cause="labels",
                action=f"ask who has the key {key}; nothing is learnt from them; ringbound keys revoke stops it",
                examples=some["prediction_id"].tail(3).tolist(),
            )
        )
    return alarms
