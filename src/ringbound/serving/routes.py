"""What a service does when it is asked, by whatever protocol: each route from a request's body to its answer."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import cached_property
from typing import Any

from ringbound.data.values import shown
from ringbound.errors import InputError, StoreError
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import Bundle
from ringbound.serving.access import Access
from ringbound.serving.beat import Beat
from ringbound.serving.body import Body, OverloadError
from ringbound.serving.counters import AGE, LAG, MODEL, STALE, UNRECORDED, WAITING, begin, count
from ringbound.serving.gather import Gatherer
from ringbound.serving.intake import Intake
from ringbound.serving.logs import log_as_json
from ringbound.serving.outcomes import OutcomeIntake
from ringbound.serving.predictor import MOST_ROWS, Asked, Predictor
from ringbound.serving.receipts import receipt
from ringbound.serving.recorder import MOST_UNRECORDED
from ringbound.serving.request import row_model, validated
from ringbound.serving.settings import ServiceSettings
from ringbound.store import Store

WAIT_S = 2.0
"""How long the store is waited for, for a connection or a lock."""
INTAKE_S = 8.0
"""How long a batch that comes in may take."""
TAKERS, MOST_TAKING = 4, 16
"""Batches that are written, and that are here, at once; one may have 20 MB."""
CLOSE_S = 5.0
BEAT_S = 0.4
"""How often keys are read anew, and measured how things stand."""
MOST_EXPLAINED = 100
"""Rows of a request that can be explained: each takes as long as twenty answers."""
PRIORITIES = ("normal", "low")
PREDICT = Body('{"rows": [{…}]}', {"rows": list}, {"partial": bool, "explain": bool, "priority": str})
FEATURES = Body('{"rows": [{…}]}', {"rows": list})
EVENTS = Body('{"source": "…", "events": [{…}]}', {"source": str, "events": list})
OUTCOMES = Body('{"outcomes": [{…}]}', {"outcomes": list})
RECEIPTS = Body('{"prediction_id": "…"}', {"prediction_id": str})
LOG = logging.getLogger(__name__)


class Serving:
    """What a service does, for a bundle, whoever asks and by whatever protocol; see `routes`."""

    def __init__(self, bundle: Bundle, settings: ServiceSettings):
        self.bundle = bundle
        self.settings = settings
        self.Row = row_model(bundle.features.asked)
        self.predictor = Predictor(bundle, open_live=self._live, code=settings.code)
        if settings.log == "json":
            log_as_json()
        try:
            self.predictor.open()
        except StoreError as error:
            LOG.error("%s; answering from the rungs below until it can be", error)
        self.predictor.warm_up()
        self.gatherer = Gatherer(
            self.predictor.answer,
            self.predictor.step_down,
            lambda: self.predictor.doing,
            deadline_s=settings.deadline_ms / 1000,
            most=MOST_ROWS,
            give_up=_give_up,
            idle=self.predictor.rest,
        )
        self.access = Access(
            lambda: self.store.all_keys(), open=settings.open, kept=settings.keys, workers=settings.workers
        )
        self._beat = Beat([self.access.refresh, self._measure], BEAT_S)
        MODEL.labels(version=bundle.version, code=settings.code).set(1)
        for name, source in bundle.features.sources.items():
            if source.stale is not None:
                STALE.labels(source=name).set(source.stale_us / 1e6)
        self._takers = ThreadPoolExecutor(TAKERS, "intake")
        self._taking = 0
        self._looking = threading.Lock()
        self.routes = {
            "/predict": self._predict,
            "/features": self._features,
            "/events": self._events,
            "/outcomes": self._outcomes,
            "/receipts": self._receipts,
        }
        begin(self.routes)

    @cached_property
    def store(self) -> Store:
        """The store; `StoreError` while it cannot be reached."""
        return Store(self.settings.store, wait_s=WAIT_S, archive=self.settings.archive)

    @cached_property
    def shelf(self) -> Store:
        """The store, on a connection of its own: who looks something up there holds no answer up."""
        return Store(self.settings.store, wait_s=WAIT_S, archive=self.settings.archive)

    @cached_property
    def intake(self) -> Intake:
        """What takes events."""
        return Intake(self.bundle.features.sources, self.store, self.settings.present)

    @cached_property
    def heard(self) -> OutcomeIntake:
        """What takes outcomes."""
        return OutcomeIntake(self.bundle.task, self.store, self.settings.present)

    def _live(self) -> LiveFeatures:
        return LiveFeatures(
            self.bundle.features, self.store, clock=self.settings.present, snapshot=self.settings.snapshot
        )

    def _measure(self) -> None:
        """Say how things stand, for who watches."""
        WAITING.set(self.gatherer.waiting)
        UNRECORDED.set(self.predictor.recorder.waiting)
        if (live := self.predictor.live) is not None:
            present = live.present()
            for name, newest in live.online.newest.items():
                AGE.labels(source=name).set(math.inf if newest is None else (present - newest) / 1e6)
            with suppress(StoreError):  # it is counted where it is asked for an answer
                LAG.set(max(0, live.store.position() - live.online.position))

    async def predict(
        self, rows: Sequence[Any], *, partial: bool = False, explain: bool = False, priority: str = "normal"
    ) -> list[dict[str, Any]]:
        """Return the answers for rows as they came; `InputError` says which row and field does not fit.

        Where `partial` is asked for, that is said in the place of the row, and the others are answered. Rows of low
        `priority` are stepped down first where too much is asked.
        """
        if priority not in PRIORITIES:
            raise InputError(f"priority: expected one of {', '.join(PRIORITIES)}; got {shown(priority)}")
        _check_number(rows)
        if explain and len(rows) > MOST_EXPLAINED:
            raise InputError(
                f"explain: expected at most {MOST_EXPLAINED} rows; got {len(rows)}; see ringbound score --explain"
            )
        since, asked, refused = time.monotonic(), [], {}
        for number, row in enumerate(rows):
            try:
                (found,) = validated(self.Row, [row], "row", number)
                if why := self.predictor.refusal(found):
                    raise InputError(f"row {number}: {why}")
                asked.append(Asked(found, explain, since))
            except InputError as error:
                if not partial:
                    raise
                refused[number] = {"error": str(error).encode("utf-8", "backslashreplace").decode()}
        answers = iter(await self.gatherer.answer(asked, low=priority == "low") if asked else [])
        told = [refused.get(number) or next(answers) for number in range(len(rows))]
        count(answer for answer in told if "error" not in answer)
        return told

    async def features(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Return the vectors of rows as they came."""
        _check_number(rows)
        return await self.gatherer.call(self.predictor.describe, validated(self.Row, rows, "row"))

    async def receipt(self, name: str) -> dict[str, Any]:
        """Return the receipt of a prediction that was made here."""
        return await self.off_loop(lambda: self._look_up(name))

    def _look_up(self, name: str) -> dict[str, Any]:
        with self._looking:
            return receipt(self.bundle, self.shelf, name)

    async def off_loop(self, call: Callable[[], Any]) -> Any:
        """Return what a call to the store does, in a thread; `TimeoutError` where that takes too long."""
        if self._taking >= MOST_TAKING:
            raise OverloadError("expected fewer batches at once; send the same again after Retry-After")
        self._taking += 1
        loop, taken = asyncio.get_running_loop(), self._takers.submit(copy_context().run, call)
        taken.add_done_callback(lambda _: _on(loop, self._left))
        return await asyncio.wait_for(asyncio.wrap_future(taken), INTAKE_S)

    def _left(self) -> None:
        self._taking -= 1

    def close(self) -> None:
        """Do what has been taken on, record what has not been recorded yet, and take no more."""
        self._beat.stop()
        self._takers.shutdown(wait=False, cancel_futures=True)
        if self.gatherer.stop(CLOSE_S):  # else its thread is at the store still
            self.predictor.flush(most=MOST_UNRECORDED)

    async def _predict(self, body: bytes) -> dict[str, Any]:
        return {"predictions": await self.predict(**PREDICT.read(body))}

    async def _features(self, body: bytes) -> dict[str, Any]:
        return await self.features(**FEATURES.read(body))

    async def _events(self, body: bytes) -> dict[str, Any]:
        return await self.off_loop(lambda: self.intake.take(**EVENTS.read(body)))

    async def _receipts(self, body: bytes) -> dict[str, Any]:
        return await self.receipt(RECEIPTS.read(body)["prediction_id"])

    async def _outcomes(self, body: bytes) -> dict[str, Any]:
        return await self.off_loop(lambda: self.heard.take(**OUTCOMES.read(body)))


def _give_up(asked: Sequence[Asked]) -> None:
    for one in asked:
        one.given_up = True


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(call)


def _check_number(rows: Sequence[Any]) -> None:
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"rows: expected 1 to {MOST_ROWS}; got {len(rows)}; send several requests")
