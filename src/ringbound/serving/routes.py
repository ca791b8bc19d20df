"""What a service does when it is asked, by whatever protocol: each route from a request's body to its answer."""

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import cached_property
from typing import Any

from ringbound.data.values import shown
from ringbound.errors import InputError, RecordError, StoreError
from ringbound.models.bundle import Bundle
from ringbound.monitoring.alerts import alerts_of
from ringbound.monitoring.report import Report
from ringbound.monitoring.view import page as monitor_page
from ringbound.rollout.view import page
from ringbound.serving.access import WHO, Access
from ringbound.serving.arm import WAIT_S, Arm, Arms
from ringbound.serving.asking import ask
from ringbound.serving.beat import Beat
from ringbound.serving.beside import Beside
from ringbound.serving.body import Body, NotThereError, OverloadError
from ringbound.serving.counters import AGE, LAG, MODEL, STALE, UNRECORDED, WAITING, begin
from ringbound.serving.follow import Follower
from ringbound.serving.intake import Intake
from ringbound.serving.logs import log_as_json
from ringbound.serving.outcomes import OutcomeIntake
from ringbound.serving.predictor import MOST_ROWS, Predictor
from ringbound.serving.receipts import receipt
from ringbound.serving.request import validated
from ringbound.serving.settings import ServiceSettings
from ringbound.serving.traces import Traces
from ringbound.store import Store, instant

INTAKE_S = 8.0
"""How long a batch that comes in may take."""
TAKERS, MOST_TAKING = 4, 16
"""Batches that are written, and that are here, at once; one may have 20 MB."""
CLOSE_S = 5.0
LINGER_S = 1.0
"""After which it is looked whether an arm that answers no more is left by all."""
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
        self.settings = settings
        if settings.log == "json":
            log_as_json()
        self.arms = Arms(Arm(bundle, settings, settings.code))
        self.beside: Beside | None = None
        self.access = Access(
            lambda: self.store.all_keys(), open=settings.open, kept=settings.keys, workers=settings.workers
        )
        self._beats = [Beat([self.access.refresh, self._measure], BEAT_S)]
        self._retired: list[Arm] = []
        self._say_who_answers(self.arms, 1)
        self._takers = ThreadPoolExecutor(TAKERS, "intake")
        self._taking = 0
        self._looking = threading.Lock()
        self._intake: tuple[Arms, Intake] | None = None
        self.routes = {
            "/predict": self._predict,
            "/features": self._features,
            "/events": self._events,
            "/outcomes": self._outcomes,
            "/receipts": self._receipts,
        }
        self.pages = {"/rollout": self._rollout, "/monitor": self._monitor}
        about = {"ringbound.code": settings.code, "ringbound.environment": settings.environment}
        self.traces = Traces(settings.traces, about) if settings.traces else None
        begin(self.routes)
        if settings.environment:
            self.follow()

    @cached_property
    def store(self) -> Store:
        """The store; `StoreError` while it cannot be reached."""
        return Store(self.settings.store, wait_s=WAIT_S, archive=self.settings.archive)

    @cached_property
    def shelf(self) -> Store:
        """The store, on a connection of its own: who looks something up there holds no answer up."""
        return Store(self.settings.store, wait_s=WAIT_S, archive=self.settings.archive)

    @property
    def bundle(self) -> Bundle:
        """The champion's bundle."""
        return self.arms.champion.bundle

    @property
    def predictor(self) -> Predictor:
        """What answers for the champion."""
        return self.arms.champion.predictor

    @property
    def intake(self) -> Intake:
        """What takes events: of the sources of both arms."""
        arms = self.arms
        if self._intake is None or self._intake[0] is not arms:
            sources = {name: one for arm in arms.all[::-1] for name, one in arm.bundle.features.sources.items()}
            self._intake = arms, Intake(sources, self.store, self.settings.present)
        return self._intake[1]

    @property
    def heard(self) -> OutcomeIntake:
        """What takes outcomes: of the champion's kind."""
        return OutcomeIntake(self.bundle.task, self.store, self.settings.present)

    def follow(self) -> None:
        """Serve what the store says that the environment has, from now on; first, at once, where it can be asked."""
        follower = Follower(self, self.settings)
        try:
            follower.follow()
        except StoreError as error:
            LOG.error("%s; serving what is here until it can be asked what is to serve", error)
        self._beats += [Beat([follower.follow], BEAT_S), Beat([follower.judge], BEAT_S)]

    def swap(self, arms: Arms) -> None:
        """Let other arms answer from now on; those that are left answer who has come to them."""
        before, self.arms = self.arms, arms
        start = arms.rollout.start.seq if arms.rollout else None
        if self.beside and self.beside.start != start:
            self.beside.stop()
            self.beside = None
        if self.beside is None and arms.rollout:
            self.beside = Beside(arms)
        self._say_who_answers(before, 0)
        self._say_who_answers(arms, 1)
        for arm in before.all:
            if arm not in arms.all:
                self._retired.append(arm)
                self._retire_later(arm)

    def _retire_later(self, arm: Arm) -> None:
        again = threading.Timer(LINGER_S, self._retire, [arm])
        again.daemon = True
        again.start()

    def _retire(self, arm: Arm) -> None:
        """Take an arm out once nobody comes to it any more and all that it answered is recorded."""
        try:
            if arm.users or not arm.stop(CLOSE_S):
                self._retire_later(arm)
                return
        except Exception:  # it must end some time
            LOG.exception("an arm cannot be taken out")
            self._retire_later(arm)
            return
        self._retired.remove(arm)
        arm.forget([*self.arms.all, *self._retired])

    def _say_who_answers(self, arms: Arms, value: int) -> None:
        for name, arm in (("champion", arms.champion), ("challenger", arms.challenger)):
            if arm is not None:
                MODEL.labels(version=arm.bundle.version, code=arm.code, arm=name).set(value)
        for name, source in arms.champion.bundle.features.sources.items():
            if source.stale is not None:
                STALE.labels(source=name).set(source.stale_us / 1e6)

    def _measure(self) -> None:
        """Say how things stand, for who watches."""
        arms = [*self.arms.all, *self._retired]
        WAITING.set(sum(arm.gatherer.waiting for arm in arms))
        UNRECORDED.set(sum(arm.predictor.recorder.waiting for arm in arms))
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
        with self.arms.in_use() as arms:
            told, pairs = await ask(arms, rows, partial=partial, explain=explain, low=priority == "low")
        if pairs and self.beside:
            self.beside.put(pairs)
        return told

    async def features(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Return the vectors of rows as they came."""
        _check_number(rows)
        with self.arms.in_use() as arms:
            arm = arms.champion
            return await arm.gatherer.call(arm.predictor.describe, validated(arm.Row, rows, "row"))

    async def receipt(self, name: str) -> dict[str, Any]:
        """Return the receipt of a prediction that was made here."""
        return await self.off_loop(lambda: self._look_up(name))

    def _look_up(self, name: str) -> dict[str, Any]:
        with self._looking:
            return receipt([arm.bundle for arm in self.arms.all], self.shelf, name)

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
        for beat in self._beats:
            beat.stop(CLOSE_S)
        if self.beside:
            self.beside.stop()
            with suppress(StoreError):
                self.beside.flush(self.store)
        if self.traces:
            self.traces.stop()
        self._takers.shutdown(wait=False, cancel_futures=True)
        for arm in [*self.arms.all, *self._retired]:
            arm.stop(CLOSE_S)

    async def _predict(self, body: bytes) -> dict[str, Any]:
        return {"predictions": await self.predict(**PREDICT.read(body))}

    async def _features(self, body: bytes) -> dict[str, Any]:
        return await self.features(**FEATURES.read(body))

    async def _events(self, body: bytes) -> dict[str, Any]:
        return await self.off_loop(lambda: self.intake.take(**EVENTS.read(body)))

    async def _rollout(self) -> str:
        environment = self.settings.environment
        if not environment:
            raise NotThereError("expected a service that follows an environment; see ringbound serve --environment")
        return page(environment, await self.off_loop(lambda: self.store.facts(environment)))

    async def _monitor(self) -> str:
        report, facts = await self.off_loop(lambda: (self.store.last_report(), self.store.alert_facts()))
        known, made = None, ""
        if report is not None:
            with suppress(RecordError):  # of another version, or damaged: the next run makes a new one
                known, made = Report.from_text(report.content, "the last report"), instant(report.at)[:16]
        return monitor_page(known, alerts_of(facts), made)

    async def _receipts(self, body: bytes) -> dict[str, Any]:
        return await self.receipt(RECEIPTS.read(body)["prediction_id"])

    async def _outcomes(self, body: bytes) -> dict[str, Any]:
        who = WHO.get()
        return await self.off_loop(lambda: self.heard.take(OUTCOMES.read(body)["outcomes"], who))


def _on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(call)


def _check_number(rows: Sequence[Any]) -> None:
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"rows: expected 1 to {MOST_ROWS}; got {len(rows)}; send several requests")
