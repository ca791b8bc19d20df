"""Answers to rows: what both the online service and the notebooks call."""

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from ringbound.errors import BundleError, InputError, StoreError
from ringbound.features.columns import Category, Column
from ringbound.features.definition import AT
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import Bundle
from ringbound.models.stepping import LadderAnswers, answer_by_ladder
from ringbound.serving.request import columns_from_rows, microseconds, row_model, validated
from ringbound.store import Prediction, instant

MOST_ROWS = 1000
MOST_UNRECORDED = 100_000
"""Predictions that wait in memory for a store that does not answer; the oldest are given up first."""
RETRY_S = 1.0
"""Seconds for which a store that failed is left alone."""
LOG = logging.getLogger(__name__)


def _new_id() -> str:
    return uuid.uuid4().hex


def _now() -> int:
    return time.time_ns() // 1000


def answer_model(bundle: Bundle) -> type[pydantic.BaseModel]:
    """Return the pydantic model of one answer of this bundle."""
    value: dict[str, Any] = {"prediction_id": (str, ...)}
    task = bundle.task
    bounds: dict[str, Any] = {"ge": 0, "le": 1} if task.probabilities else {}
    value[task.answer] = (float, pydantic.Field(description=task.says_answer, **bounds))
    if task.says_decision:
        value["decision"] = (bool, pydantic.Field(description=task.says_decision))
    value["model_version"] = (str, pydantic.Field(description="version of the bundle that answered"))
    value["rung"] = (
        str,
        pydantic.Field(description=f"which rung of the ladder answered: {', '.join(bundle.model.rungs)}"),
    )
    value["reason"] = (
        str | None,
        pydantic.Field(None, description="why no better rung answered; null for the full model"),
    )
    value["recorded"] = (
        bool,
        pydantic.Field(False, description="whether the answer was in the store before it was given"),
    )
    # `model_version` is what everyone calls it; pydantic keeps the prefix for itself unless told.
    return pydantic.create_model("Answer", __config__=pydantic.ConfigDict(protected_namespaces=()), **value)


class Predictor:
    """A bundle that answers rows.

    With `live`, windowed features are looked up as of each row's time, and predictions are kept in its store with the
    vector they were made from. Where the store or a model fails, or a source has had no news for too long, the next rung of
    the ladder answers and the answer says so; what cannot be recorded then is recorded when the store is back. `new_id`
    gives each answer its identity, `now` the time in microseconds since 1970, `monotonic` seconds.
    """

    def __init__(
        self,
        bundle: Bundle,
        live: LiveFeatures | None = None,
        *,
        new_id: Callable[[], str] = _new_id,
        now: Callable[[], int] = _now,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        if bundle.features.views and live is None:
            raise BundleError("bundle: its features look back on events; expected a store to look them up in; got none")
        self.bundle = bundle
        self.live = live
        self.fields = bundle.features.request
        self.Row = row_model(bundle.features.asked)
        self._new_id = new_id
        self._now = now
        self._monotonic = monotonic
        self._store_again = -math.inf
        self._unrecorded: deque[Prediction] = deque(maxlen=MOST_UNRECORDED)
        self._lock = threading.Lock()
        self.doing = ""

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a row; `InputError` says which row and field does not fit."""
        if not 1 <= len(rows) <= MOST_ROWS:
            raise InputError(
                f"expected 1 to {MOST_ROWS} rows; got {len(rows)}; send several requests or use ringbound score"
            )
        return self.answer(validated(self.Row, rows, "row"))

    def answer(self, rows: Sequence[pydantic.BaseModel]) -> list[dict[str, Any]]:
        """Return one answer for each row that is validated already, by the best rung that can, and record them."""
        try:
            columns = columns_from_rows(rows, self.fields)
            self.doing = "store"
            windowed, times, reasons = self._known(rows)
            self.doing = "model"
            done = answer_by_ladder(self.bundle, columns, windowed, reasons)
            self.doing = "store"
            return self._told(rows, times, done)
        finally:
            self.doing = ""

    def warm_up(self) -> None:
        """Answer the problem's examples once on every rung, so that the first who asks does not wait for what is loaded."""
        rows = validated(self.Row, [dict(example) for example in self.bundle.problem.examples], "example")
        for reasons in ([None] * len(rows), ["store"] * len(rows)):
            nothing = {name: np.full(len(rows), np.nan) for name in self.bundle.features.windowed}
            answer_by_ladder(self.bundle, columns_from_rows(rows, self.fields), nothing, reasons)

    def step_down(self, rows: Sequence[pydantic.BaseModel], reason: str) -> list[dict[str, Any]]:
        """Answer rows without asking store or full model, for a reason; they are recorded with the next answers."""
        present = self.live.present() if self.live else self._now()
        times = [present if at is None else at for at in map(self._asked, rows)]
        done = answer_by_ladder(self.bundle, columns_from_rows(rows, self.fields), None, [reason] * len(rows))
        return self._told(rows, times, done, later=True)

    def _known(
        self, rows: Sequence[pydantic.BaseModel]
    ) -> tuple[dict[str, np.ndarray] | None, Sequence[int], list[str | None]]:
        """Return the windowed values of rows, the times as of which they are, and why the full model cannot be asked."""
        if self.live is None or not self.bundle.features.views:  # nothing has to be looked up
            return None, [self.live.present() if self.live else 0] * len(rows), [None] * len(rows)
        ats = [self._asked(row) for row in rows]
        if self._monotonic() >= self._store_again:
            try:
                windowed, times = self.live.values([vars(row) for row in rows], ats)
                return windowed, times.tolist(), self.live.stale(times.tolist())
            except StoreError as error:
                self._give_up_store(error)
        present = self.live.present()
        return None, [present if at is None else at for at in ats], ["store"] * len(rows)

    def _asked(self, row: pydantic.BaseModel) -> int | None:
        at = getattr(row, AT.name, None)
        return microseconds(at) if at else None

    def _give_up_store(self, error: StoreError) -> None:
        """Leave the store alone for a while: a part that fails is not tried on every request."""
        LOG.error("%s; answering from the rungs below for %g s", error, RETRY_S)
        self._store_again = self._monotonic() + RETRY_S

    def _told(
        self, rows: Sequence[pydantic.BaseModel], times: Sequence[int], done: LadderAnswers, *, later: bool = False
    ) -> list[dict[str, Any]]:
        """Return answers as they are told, after recording them, or before where that is for later or fails."""
        decisions = self.bundle.task.decide(done.values)
        ids = [self._new_id() for _ in rows]
        recorded = self._keep(ids, rows, times, done, later=later)
        name = self.bundle.task.answer
        return [
            {"prediction_id": ids[i], name: value}
            | ({} if decisions is None else {"decision": bool(decisions[i])})
            | {"model_version": self.bundle.version, "rung": done.rungs[i], "reason": done.reasons[i]}
            | ({} if self.live is None else {"recorded": recorded})
            for i, value in enumerate(done.values.tolist())
        ]

    def look_up(self, rows: Sequence[pydantic.BaseModel]) -> tuple[dict[str, Column], np.ndarray]:
        """Return every feature of validated rows, and the times, in microseconds, as of which they are."""
        columns = columns_from_rows(rows, self.fields)
        if self.live is None:
            return self.bundle.features.compute(columns, self.bundle.references), np.zeros(len(rows), np.int64)
        windowed, times = self.live.values([vars(row) for row in rows], [self._asked(row) for row in rows])
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

    def _keep(
        self,
        ids: Sequence[str],
        rows: Sequence[pydantic.BaseModel],
        times: Sequence[int],
        done: LadderAnswers,
        *,
        later: bool,
    ) -> bool:
        """Record predictions, with those that could not be recorded before; return whether they are in the store."""
        if self.live is None:
            return False
        made_at, asked = self._now(), {field.name for field in self.fields}
        made = [
            Prediction(
                prediction_id=ids[i],
                made_at=made_at,
                at=int(times[i]),
                position=self.live.online.position,
                model_version=self.bundle.version,
                features=self.bundle.features.hash,
                answer=float(done.values[i]),
                row=row.model_dump_json(include=asked),
                vector=done.vectors[i],
                rung=done.rungs[i],
                reason=done.reasons[i],
            )
            for i, row in enumerate(rows)
        ]
        with self._lock:
            self._unrecorded += made
        if later or self._monotonic() < self._store_again:
            return False
        with self._lock:
            waiting = list(self._unrecorded)
            self._unrecorded.clear()
        try:
            self.live.store.record(waiting)
        except StoreError as error:
            self._give_up_store(error)
            with self._lock:
                self._unrecorded.extendleft(reversed(waiting))
            return False
        return True
