"""Parts of one day, from several shards or hosts, as one."""

from collections.abc import Sequence

import numpy as np

from ringbound.monitoring.bins import total
from ringbound.monitoring.days import Day, OutcomeDay
from ringbound.monitoring.sums import Sums


def merged(parts: Sequence[Day]) -> Day:
    """Return parts of one day as one.

    >>> part = Day("2020-01-01", 2, 0, {}, {"m": {"full": 2}}, {}, 1, [0, 2])
    >>> merged([part, part]).answered, merged([part, part]).took
    ({'m': {'full': 4}}, [0, 4])
    """
    answered: dict[str, dict[str, int]] = {}
    reasons: dict[str, int] = {}
    for part in parts:
        for version, rungs in part.answered.items():
            mine = answered.setdefault(version, {})
            for rung, number in rungs.items():
                mine[rung] = mine.get(rung, 0) + number
        for reason, number in part.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + number
    return Day(
        day=parts[0].day,
        rows=sum(part.rows for part in parts),
        repeated=sum(part.repeated for part in parts),
        columns=total([part.columns for part in parts]),
        answered=answered,
        reasons=reasons,
        decided=sum(part.decided for part in parts),
        took=np.sum([part.took for part in parts], axis=0).tolist(),
    )


def merged_outcomes(parts: Sequence[OutcomeDay]) -> OutcomeDay:
    """Return what came of parts of one day as one; of the examples those of the first part stay."""
    sums: dict[str, Sums] = {}
    for part in parts:
        for name, some in part.parts.items():
            sums[name] = sums.get(name, Sums()) + some
    delays = [part.delays for part in parts if part.delays]
    return OutcomeDay(parts[0].day, sums, np.sum(delays, axis=0).tolist() if delays else [], parts[0].examples)
