"""Answers to rows: what both the online service and the notebooks call."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from ringbound.errors import BundleError, InputError
from ringbound.features.columns import Category, Column
from ringbound.features.definition import AT
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import Bundle
from ringbound.serving.request import columns_from_rows, instant, microseconds, row_model, validated
from ringbound.store import Prediction

MOST_ROWS = 1000


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
    # `model_version` is what everyone calls it; pydantic keeps the prefix for itself unless told.
    return pydantic.create_model("Answer", __config__=pydantic.ConfigDict(protected_namespaces=()), **value)


class Predictor:
    """A bundle that answers rows.

    With `live`, windowed features are looked up as of each row's time, and predictions are kept in its store with the
    vector they were made from. `new_id` gives each answer its identity, `now` the time in microseconds since 1970.
    """

    def __init__(
        self,
        bundle: Bundle,
        live: LiveFeatures | None = None,
        *,
        new_id: Callable[[], str] = _new_id,
        now: Callable[[], int] = _now,
    ):
        if bundle.features.views and live is None:
            raise BundleError("bundle: its features look back on events; expected a store to look them up in; got none")
        self.bundle = bundle
        self.live = live
        self.fields = bundle.features.request
        self.Row = row_model(bundle.features.asked)
        self._new_id = new_id
        self._now = now

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a row; `InputError` says which row and field does not fit."""
        if not 1 <= len(rows) <= MOST_ROWS:
            raise InputError(
                f"expected 1 to {MOST_ROWS} rows; got {len(rows)}; send several requests or use ringbound score"
            )
        return self.answer(validated(self.Row, rows, "row"))

    def answer(self, rows: Sequence[pydantic.BaseModel]) -> list[dict[str, Any]]:
        """Return one answer for each row that is validated already."""
        features, times = self.look_up(rows)
        vectors = self.bundle.full.encoder.matrix(features)
        answers = self.bundle.full.answer_matrix(vectors)
        decisions = self.bundle.task.decide(answers)
        ids = [self._new_id() for _ in rows]
        if self.live is not None:
            self._keep(self.live, ids, rows, times, vectors, answers)
        name = self.bundle.task.answer
        return [
            {"prediction_id": ids[i], name: float(answer)}
            | ({} if decisions is None else {"decision": bool(decisions[i])})
            | {"model_version": self.bundle.version}
            for i, answer in enumerate(answers)
        ]

    def look_up(self, rows: Sequence[pydantic.BaseModel]) -> tuple[dict[str, Column], np.ndarray]:
        """Return every feature of validated rows, and the times, in microseconds, as of which they are."""
        columns = columns_from_rows(rows, self.fields)
        if self.live is None:
            return self.bundle.features.compute(columns, self.bundle.references), np.zeros(len(rows), np.int64)
        ats = [microseconds(at) if (at := getattr(row, AT.name, None)) else None for row in rows]
        windowed, times = self.live.values([vars(row) for row in rows], ats)
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
        live: LiveFeatures,
        ids: Sequence[str],
        rows: Sequence[pydantic.BaseModel],
        times: np.ndarray,
        vectors: np.ndarray,
        answers: np.ndarray,
    ) -> None:
        made_at, asked = self._now(), {field.name for field in self.fields}
        live.store.record(
            [
                Prediction(
                    prediction_id=ids[i],
                    made_at=made_at,
                    at=int(times[i]),
                    position=live.online.position,
                    model_version=self.bundle.version,
                    features=self.bundle.features.hash,
                    answer=float(answers[i]),
                    row=row.model_dump_json(include=asked),
                    vector=vectors[i].tobytes(),
                )
                for i, row in enumerate(rows)
            ]
        )
