"""A request's rows, each asked of the arm that its key says, and answered by the champion where the challenger fails."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from ringbound.errors import InputError
from ringbound.serving.arm import Arm, Arms
from ringbound.serving.beside import Told
from ringbound.serving.body import OverloadError
from ringbound.serving.counters import count
from ringbound.serving.predictor import Asked

LOG = logging.getLogger(__name__)


async def ask(
    arms: Arms, rows: Sequence[Any], *, partial: bool = False, explain: bool = False, low: bool = False
) -> tuple[list[dict[str, Any]], list[Told]]:
    """Return the answers to rows as they came, and what both arms are to be compared on.

    Nobody is asked before all rows fit, or with `partial` are refused in their places: who is refused has no record.
    """
    since = time.monotonic()
    told: list[Any] = [None] * len(rows)
    mine: dict[int, Asked] = {}
    others: dict[int, Asked] = {}
    failed: set[int] = set()
    for number, row in enumerate(rows):
        if arms.challenger and arms.of(row) is arms.challenger:
            try:
                others[number] = Asked(arms.challenger.validated(row, number), explain, since)
                arms.champion.validated(row, number)  # it may have to answer
                continue
            except InputError:
                others.pop(number, None)
                failed.add(number)
        try:
            mine[number] = Asked(arms.champion.validated(row, number), explain, since)
        except InputError as error:
            if not partial:
                raise
            told[number] = {"error": str(error).encode("utf-8", "backslashreplace").decode()}
    if others:
        assert arms.challenger
        challenged = asyncio.ensure_future(_challenge(arms.challenger, others, told, low=low))
        try:
            await _answer(arms.champion, mine, told, low=low)
        finally:
            missed = await challenged
        again = {n: Asked(arms.champion.validated(rows[n], n), explain, since) for n in others if told[n] is None}
        failed |= again.keys() if missed else set()
        await _answer(arms.champion, again, told, low=low)
        mine |= again
    else:
        await _answer(arms.champion, mine, told, low=low)
    if not arms.challenger:
        return told, []
    return told, [
        Told(row, told[n]["prediction_id"], "champion" if n in mine else "challenger", n in failed)
        for n, row in enumerate(rows)
        if "error" not in told[n]
    ]


async def _answer(arm: Arm, asked: dict[int, Asked], told: list[Any], *, low: bool, name: str = "champion") -> None:
    """Put an arm's answers in their places."""
    if asked:
        answers = await arm.gatherer.answer(list(asked.values()), low=low)
        count(answers, name)
        for number, answer in zip(asked, answers, strict=True):
            told[number] = answer


async def _challenge(arm: Arm, asked: dict[int, Asked], told: list[Any], *, low: bool) -> bool:
    """Put the challenger's answers in their places; return whether it fails, which too much at once is not."""
    try:
        await _answer(arm, asked, told, low=low, name="challenger")
    except OverloadError:
        return False
    except Exception as error:  # whatever a challenger does
        LOG.warning("the challenger cannot answer %d rows: %s", len(asked), error or type(error).__name__)
        return True
    return False
