"""Answers to rows: what both the online service and the notebooks call."""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic

from ringbound.errors import BundleError, InputError, StoreError
from ringbound.features.columns import Category, Column
from ringbound.features.definition import AT
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import Bundle
from ringbound.models.stepping import LadderAnswers, answer_by_ladder, doubts
from ringbound.problem.packed import pack
from ringbound.serving.breaker import Breaker
from ringbound.serving.counters import STORE_ERRORS
from ringbound.serving.reasons import explanations
from ringbound.serving.recorder import Recorder
from ringbound.serving.request import columns_from_rows, microseconds, row_model, validated
from ringbound.store import Prediction, instant

MOST_ROWS = 1000
RETRY_S = 1.0
"""Seconds for which a part that failed is left alone."""
LOG = logging.getLogger(__name__)


def _new_id() -> str:
    return uuid.uuid4().hex


def _now() -> int:
    return time.time_ns() // 1000


@dataclass(slots=True)
class Asked:
    """A row that is validated, whether its answer is to be explained, and when it came in, in monotonic seconds.

    It is `given_up` where somebody else has answered it meanwhile: then there is nothing to record.
    """

    row: pydantic.BaseModel
    explain: bool = False
    since: float = 0.0
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """The windowed values of rows, None where the store cannot be asked, and as of which times and position of the log.

    `reasons` say why the full model cannot be asked about a row, None where it can.
    """

    windowed: dict[str, np.ndarray] | None
    times: Sequence[int]
    reasons: list[str | None]
    position: int


class Predictor:
    """A bundle that answers rows.

    With `live`, windowed features are looked up as of each row's time, and predictions are kept in its store with the
    vector they were made from; `open_live` opens it when it can be, for a service that starts while its store is down.
    Where the store or a model fails, or a source has had no news for too long, the next rung of the ladder answers and the
    answer says so; what cannot be recorded then is recorded when the store is back. `code` is the version of what serves,
    `new_id` gives each answer its identity, `now` the time in microseconds since 1970, `monotonic` seconds.
    """

    def __init__(
        self,
        bundle: Bundle,
        live: LiveFeatures | None = None,
        *,
        open_live: Callable[[], LiveFeatures] | None = None,
        code: str = "",
        new_id: Callable[[], str] = _new_id,
        now: Callable[[], int] = _now,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self.keeps = live is not None or open_live is not None
        if bundle.features.views and not self.keeps:
            raise BundleError("bundle: its features look back on events; expected a store to look them up in; got none")
        self.bundle = bundle
        self.live = live
        self.fields = bundle.features.request
        self.Row = row_model(bundle.features.asked)
        self.doing = ""
        self._open_live = open_live
        self._code = code
        self._new_id = new_id
        self._now = now
        self._monotonic = monotonic
        self._store = Breaker(RETRY_S, monotonic)
        self._models = {name: Breaker(RETRY_S, monotonic) for name in bundle.model.rungs}
        self.recorder = Recorder(self._store)

    def predict(self, rows: Sequence[Mapping[str, Any]], *, explain: bool = False) -> list[dict[str, Any]]:
        """Return one answer a row; `InputError` says which row and field does not fit."""
        if not 1 <= len(rows) <= MOST_ROWS:
            raise InputError(
                f"expected 1 to {MOST_ROWS} rows; got {len(rows)}; send several requests or use ringbound score"
            )
        since = self._monotonic()
        return self.answer([Asked(row, explain, since) for row in validated(self.Row, rows, "row")])

    def answer(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        """Return one answer for each row that is validated already, by the best rung that can, and record them."""
        rows = [one.row for one in asked]
        try:
            columns = columns_from_rows(rows, self.fields)
            self.doing = "store"
            known = self._known(rows)
            self.doing = "model"
            done = self._by_ladder(columns, known.windowed, known.reasons)
            explained = self._explained(done, asked)
            self.doing = "store"
            return self._told(asked, columns, known, done, explained)
        finally:
            self.doing = ""

    def known_beside(self, rows: Sequence[pydantic.BaseModel]) -> "Known":
        """Return the windowed values of rows that are answered beside; `StoreError` where they cannot be looked up."""
        if not self.bundle.features.views:
            return self._nothing(rows, None)
        if self.live is None:
            raise StoreError("store: it is not open yet; try again")
        return self._looked_up(self.live, rows)

    def answer_beside(self, rows: Sequence[pydantic.BaseModel], known: "Known") -> LadderAnswers:
        """Answer validated rows that somebody else answers too: nothing is recorded, and nothing learnt of what fails."""
        return answer_by_ladder(self.bundle, columns_from_rows(rows, self.fields), known.windowed, known.reasons)

    def warm_up(self) -> None:
        """Answer the problem's examples once on every rung, so that the first who asks does not wait for what is loaded."""
        rows = validated(self.Row, [dict(example) for example in self.bundle.problem.examples], "example")
        for reasons in ([None] * len(rows), ["store"] * len(rows)):
            nothing = {name: np.full(len(rows), np.nan) for name in self.bundle.features.windowed}
            done = answer_by_ladder(self.bundle, columns_from_rows(rows, self.fields), nothing, reasons)
            self._explained(done, [Asked(row, explain=True) for row in rows])

    def step_down(self, asked: Sequence[Asked], reason: str) -> list[dict[str, Any]]:
        """Answer rows without asking store or full model, and unexplained, for a reason; they are recorded a little later."""
        rows = [one.row for one in asked]
        columns, known = columns_from_rows(rows, self.fields), self._nothing(rows, reason)
        done = self._by_ladder(columns, None, known.reasons)
        return self._told(asked, columns, known, done, [None] * len(asked), later=True)

    def flush(self, *, most: int = 2) -> None:
        """Record what was answered and could not be recorded then, as far as the store can be asked; see `Recorder.flush`."""
        if self.live is None and self.recorder.waiting and not self._store.resting:
            with suppress(StoreError):
                self.open()
        if self.live is not None:
            self.recorder.flush(self.live.store, most=most)

    def rest(self) -> None:
        """Do what can be done while nobody asks: record what waits, and take in what the log has got."""
        self.flush()
        if self.live is not None and not self._store.resting:
            try:
                with self.live.turn:
                    self.live.refresh()
            except StoreError as error:
                LOG.error("%s; it is tried again", error)
                self._store.failed()
                STORE_ERRORS.inc()

    def _explained(self, done: LadderAnswers, asked: Sequence[Asked]) -> list[dict[str, Any] | None]:
        """Explain the answers for which it is asked; an answer that cannot be explained is an answer all the same."""
        try:
            return explanations(self.bundle, done, [one.explain for one in asked])
        except Exception:  # whatever a model's file holds
            LOG.exception("answers cannot be explained")
            return [None] * len(asked)

    def refusal(self, row: pydantic.BaseModel) -> str | None:
        """Return why the time that a validated row asks about has no answer, None where it has one."""
        at = self._asked(row)
        return None if at is None or self.live is None else self.live.refusal(at)

    def _by_ladder(
        self, columns: Mapping[str, Column], windowed: Mapping[str, np.ndarray] | None, reasons: Sequence[str | None]
    ) -> LadderAnswers:
        """Answer by the rungs that have not failed just now."""
        resting = {name for name, breaker in self._models.items() if breaker.resting}
        done = answer_by_ladder(self.bundle, columns, windowed, reasons, resting)
        for name in done.failed:
            self._models[name].failed()
        return done

    def _known(self, rows: Sequence[pydantic.BaseModel]) -> "Known":
        """Return the windowed values of rows, and why the full model cannot be asked."""
        views = bool(self.bundle.features.views)
        if self.keeps and not self._store.resting:
            try:
                live = self.open()
                if views:
                    return self._looked_up(live, rows)
            except StoreError as error:
                LOG.error("%s; answering from the rungs below for %g s", error, RETRY_S)
                self._store.failed()
                STORE_ERRORS.inc()
        return self._nothing(rows, "store" if views else None)

    def _looked_up(self, live: LiveFeatures, rows: Sequence[pydantic.BaseModel]) -> "Known":
        with live.turn:
            windowed, times = live.values([vars(row) for row in rows], [self._asked(row) for row in rows])
            return Known(windowed, times.tolist(), live.stale(times), live.online.position)

    def _nothing(self, rows: Sequence[pydantic.BaseModel], reason: str | None) -> "Known":
        """Return what is known without the store, for a reason."""
        position = self.live.online.position if self.live else 0
        return Known(None, self._times(rows), [reason] * len(rows), position)

    def open(self) -> LiveFeatures:
        """Return the live features, opened now if they were not; `StoreError` where they cannot be."""
        if self.live is None:
            assert self._open_live is not None
            self.live = self._open_live()
        return self.live

    def _times(self, rows: Sequence[pydantic.BaseModel]) -> list[int]:
        """Return the times that rows ask about, as far as that is known without the store."""
        present = self.live.present() if self.live else self._now()
        return [present if at is None else at for at in map(self._asked, rows)]

    def _asked(self, row: pydantic.BaseModel) -> int | None:
        at = getattr(row, AT.name, None)
        return microseconds(at) if at else None

    def _told(
        self,
        asked: Sequence[Asked],
        columns: Mapping[str, Column],
        known: "Known",
        done: LadderAnswers,
        explained: Sequence[dict[str, Any] | None],
        *,
        later: bool = False,
    ) -> list[dict[str, Any]]:
        """Return answers as they are told, after recording them, or before where that is for later or fails."""
        task = self.bundle.task
        decisions = task.decide(done.values)
        decided, likely = self.bundle.problem.exposure.decided(columns, decisions, len(asked))
        ids = [self._new_id() for _ in asked]
        if self.keeps:
            made = [
                record
                for one, record in zip(asked, self._records(asked, ids, known, done, decided, likely), strict=True)
                if later or not one.given_up
            ]
            recorded = {"recorded": self.recorder.keep(made, None if later or self.live is None else self.live.store)}
        else:
            recorded = {}
        name, rungs, reasons = task.answer, done.rungs.tolist(), done.reasons.tolist()
        doubt = doubts(self.bundle, done)
        return [
            {"prediction_id": ids[i], name: value}
            | doubt[i]
            | ({} if decisions is None else {"decision": decided[i]})
            | {"model_version": self.bundle.version, "rung": rungs[i], "reason": reasons[i]}
            | recorded
            | {"explanation": explained[i]}
            for i, value in enumerate(task.told(done.values))
        ]

    def _records(
        self,
        asked: Sequence[Asked],
        ids: Sequence[str],
        known: "Known",
        done: LadderAnswers,
        decided: Sequence[bool | None],
        likely: Sequence[float],
    ) -> list[Prediction]:
        made_at, moment = self._now(), self._monotonic()
        task = self.bundle.task
        singles, packed = task.single(done.values).tolist(), pack(task, done.values)
        fields = {field.name for field in self.fields}
        return [
            Prediction(
                prediction_id=ids[i],
                made_at=made_at,
                at=int(known.times[i]),
                position=known.position,
                model_version=self.bundle.version,
                features=self.bundle.features.hash,
                answer=singles[i] + 0.0,  # SQLite has no -0.0
                row=one.row.model_dump_json(include=fields),
                vector=done.vector(i),
                rung=done.rungs[i],
                reason=done.reasons[i],
                decision=None if task.classes else decided[i],
                code=self._code,
                took_us=round((moment - one.since) * 1e6) if one.since else 0,
                propensity=likely[i],
                answers=packed[i],
            )
            for i, one in enumerate(asked)
        ]

    def look_up(self, rows: Sequence[pydantic.BaseModel]) -> tuple[dict[str, Column], np.ndarray]:
        """Return every feature of validated rows, and the times, in microseconds, as of which they are."""
        columns = columns_from_rows(rows, self.fields)
        if not self.keeps:
            return self.bundle.features.compute(columns, self.bundle.references), np.zeros(len(rows), np.int64)
        live = self.open()
        with live.turn:
            windowed, times = live.values([vars(row) for row in rows], [self._asked(row) for row in rows])
        return self.bundle.features.compute(columns, self.bundle.references, windowed), times

    def describe(self, rows: Sequence[pydantic.BaseModel]) -> dict[str, Any]:
        """Return the feature vectors of validated rows: names, values (None is missing), and how new the events are."""
        features, times = self.look_up(rows)
        columns = [c.texts().tolist() if isinstance(c, Category) else c.tolist() for c in features.values()]
        newest = self.live.online.newest if self.live else {}
        present = self.live.present() if self.live else 0
        return {
            "features": self.bundle.features.hash,
            "names": list(features),
            "vectors": [[None if value != value else value for value in row] for row in zip(*columns, strict=True)],
            "at": [instant(time) for time in times.tolist()],
            "newest": {
                name: None if time is None else {"available_at": instant(time), "age_s": (present - time) / 1e6}
                for name, time in newest.items()
            },
        }
