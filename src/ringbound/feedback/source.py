"""What a service was asked, what it answered and what came of it, as a source of ingest."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound import workspace
from ringbound.data.files import parse_object
from ringbound.data.sources import Reading, columns_of_records, content_digest, rejected_rows, typed
from ringbound.data.values import MISSING
from ringbound.errors import SourceError, StoreError
from ringbound.features.view import microseconds
from ringbound.feedback.final import NOBODY, OWN, final_answers
from ringbound.feedback.suspects import accepted, suspects
from ringbound.problem.multiclass import Multiclass
from ringbound.problem.packed import kept_outcomes, outcomes_kept, unpack
from ringbound.store import Store


@dataclass(frozen=True)
class Feedback:
    """Questions that a service was asked and whose outcome is final, each with what was answered and who told the outcome.

    `store` is its URL, which may name environment variables (`$STORE_URL`); `fields` are the request's fields that are
    wanted, by kind; `classes` are the task's, if it has some; `mature` says how long after a question its outcome is final,
    as the problem does. Outcomes that are implausible or contradictory, or come from a key that contradicts all others, are
    put aside with the reason; see `suspects`. The store is read, with its archive (by default that of the workspace), and
    never written.

    >>> from ringbound.testing import examples
    >>> source = Feedback(examples.answered_store(), {"depot": "string"}, mature="1d")
    >>> rows = source.read(None, pd.Timestamp("2020-04-01T00:00Z")).rows
    >>> sorted(set(rows["depot"])), sorted(set(rows["outcome"]))
    (['harbour', 'hill', 'north', 'south', 'station'], [0.0, 1.0])
    """

    store: str
    fields: Mapping[str, str] = field(hash=False)
    mature: str = "1d"
    classes: Sequence[str] = ()
    archive: Path | None = None
    incremental = False

    @property
    def columns(self) -> dict[str, str]:
        """All columns of its rows, by kind."""
        return OWN | ({"outcome": "string"} if self.classes else {}) | dict(self.fields)

    def describe(self) -> str:
        """Return what it is, without what may be secret."""
        return f"feedback:{Path(os.path.expandvars(self.store)).name.partition('?')[0]}"

    def read(self, since: pd.Timestamp | None, through: pd.Timestamp) -> Reading:
        """Read what is final at `through`, as it was known then."""
        if taken := sorted(set(self.fields) & set(OWN)):
            raise SourceError(f"{self.describe()}: expected fields of other names than {list(OWN)}; got {taken}")
        known_by = through.value // 1000 if through.unit == "ns" else int(through.as_unit("us").value)
        try:
            store = Store(
                os.path.expandvars(self.store), make=False, archive=self.archive or workspace.archive_folder()
            )
            mature = microseconds(self.mature)
            frame = final_answers(store, 0, known_by - mature, mature=mature, known_by=known_by)
            store.close()
        except StoreError as error:
            raise SourceError(f"{self.describe()}: cannot be read: {error}") from error
        if not self.classes and frame["answers"].notna().any():
            raise SourceError(f"{self.describe()}: its answers are of classes; expected classes=PROBLEM.task.classes")
        task = Multiclass(tuple(self.classes)) if self.classes else None
        if task:
            answers = unpack(task, frame["answer"].tolist(), frame["answers"].tolist())
            frame["decided"] = kept_outcomes(
                task, np.where(np.isnan(answers[:, 0]), np.nan, np.argmax(answers, axis=1))
            )
        reasons = suspects(frame)
        if task:
            known = ~np.isnan(outcomes_kept(task, frame["outcome"].to_numpy("float64")))
            reasons = reasons.where(known | reasons.notna(), f"outcome: expected {task.says_outcome}")
        aside = frame[reasons.notna()]
        refused = rejected_rows(
            self.describe(),
            aside["prediction_id"].tolist(),
            reasons[reasons.notna()].tolist(),
            [
                f"outcome {outcome:g}, told by {told_by or NOBODY}: {row}"
                for outcome, told_by, row in aside[["outcome", "told_by", "row"]].to_numpy().tolist()
            ],
        )
        good = accepted(frame, reasons).reset_index(drop=True)
        questions = [parse_object(row.encode("utf-8", "replace")) or {} for row in good["row"]]
        raw: dict[str, Any] = {name: good[name].astype(object).where(good[name].notna(), None).tolist() for name in OWN}
        for name in ("at", "available_at"):
            raw[name] = pd.to_datetime(good[name], unit="us", utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").tolist()
        if task:
            places = outcomes_kept(task, good["outcome"].to_numpy("float64"))
            raw["outcome"] = [task.classes[int(place)] for place in places.tolist()]
        raw |= columns_of_records(questions, self.fields) if questions else {name: [] for name in self.fields}
        raw |= {name: [None] * len(good) for name in self.fields if name not in raw}
        rows, unread = typed(raw, self.columns, self.describe(), missing=MISSING, zone=None)
        return Reading(rows, pd.concat([refused, unread], ignore_index=True), content_digest(rows))
