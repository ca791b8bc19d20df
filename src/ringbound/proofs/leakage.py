"""The leakage prover: training rows are asked again as if live, with nothing in memory that was not yet known."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ringbound.features import asof
from ringbound.features.columns import Category, Column, differs
from ringbound.features.definition import AT, FeatureSet
from ringbound.features.frames import columns_of, instants, plain_rows
from ringbound.features.history import deliveries
from ringbound.features.join import windowed_values
from ringbound.features.offline import EventTables
from ringbound.features.online import OnlineFeatures
from ringbound.proofs.history import History


@dataclass(frozen=True)
class Leak:
    """A value of the training table that could not have been known, and the event that gives it away, if one does."""

    feature: str
    row: str
    trained: Any
    live: Any
    event: str | None

    def __str__(self) -> str:
        because = self.event or "no event explains it: the table was made from other data or by other code"
        return f"{self.feature}, {self.row}: trained on {self.trained!r}, known was {self.live!r}; {because}"


@dataclass(frozen=True)
class LeakageResult:
    """How many values were asked for again, and those that could not have been known."""

    values: int
    leaks: list[Leak]


def prove(history: History, *, rows: int, seed: int) -> LeakageResult:
    """Ask `rows` of the training table's rows again (0: all) and compare.

    Events are taken in one by one in the order in which they became available, and a row is asked when the last before
    its time is in: what the online path answers then is what was known. This proves that values keep to the declared
    `available_at`; whether that time is right is for who declares it to say.
    """
    features, tables = history.features, history.tables
    at = instants(history.requests[AT.name])
    chosen = np.arange(len(at))
    if rows and rows < len(chosen):
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, rows, replace=False))
    chosen = chosen[np.argsort(at[chosen], kind="stable")]
    asked, trained = history.requests.iloc[chosen], history.table.iloc[chosen]
    live = features.compute(columns_of(asked), history.references, _known(features, tables, asked, at[chosen]))
    leaks = []
    for name, column in columns_of(trained[features.names]).items():
        for place in np.flatnonzero(_unequal(column, live[name])):
            row = asked.iloc[int(place)]
            values = [_value(c, int(place)) for c in (column, live[name])]
            event = _culprit(features, tables, name, asked.iloc[[int(place)]], int(at[chosen][place]), values[0])
            known_fields = {k: v for k, v in row.items() if pd.notna(v)}
            leaks.append(Leak(name, f"row {chosen[place]} ({known_fields})", values[0], values[1], event))
    return LeakageResult(len(chosen) * len(features.names), leaks)


def _known(features: FeatureSet, tables: EventTables, asked: pd.DataFrame, at: np.ndarray) -> dict[str, np.ndarray]:
    """Return the windowed features of requests in order of time, from events taken in as they became available."""
    if not features.views:
        return {}
    online = OnlineFeatures(features)
    sent = [
        (int(time), name, event.id, event.fields, event.time)
        for name, source in features.sources.items()
        for time, event in zip(
            *deliveries(tables, name, int(at[0]) - features.lookback[name], int(at[-1])), strict=True
        )
        if source.counts(event.time, time)
    ]
    sent.sort(key=lambda one: one[0])
    rows = features.keyed(plain_rows(asked[features.key_fields]))
    values = np.empty((len(rows), len(features.windowed)))
    place = 0
    for i, (row, now) in enumerate(zip(rows, at.tolist(), strict=True)):
        while place < len(sent) and sent[place][0] <= now:
            time, source, name, fields, happened = sent[place]
            online.add(source, name, time, fields, happened)
            place += 1
        values[i] = online.values(now, row)
    return dict(zip(features.windowed, values.T, strict=True))


def _unequal(some: Column, others: Column) -> np.ndarray:
    if isinstance(some, Category) and isinstance(others, Category):
        return some.texts() != others.texts()
    return differs(np.asarray(some, np.float64), np.asarray(others, np.float64))


def _value(column: Column, row: int) -> Any:
    return column[row : row + 1].texts()[0] if isinstance(column, Category) else float(column[row])


def _culprit(
    features: FeatureSet, tables: EventTables, name: str, asked: pd.DataFrame, at: int, trained: Any
) -> str | None:
    """Name the first event, not yet available at `at`, with which the value becomes the one trained on."""
    if name not in features.windowed:
        return None
    view, _ = features.windowed[name]
    source = features.sources[view.events]
    later = tables.read(view.events, at, at + view.longest, ids=True)
    every_key = features.keys(columns_of(asked[features.key_fields]))
    keys = {name: every_key[name] for name in view.entity}
    matches = [_matches(later.fields[k], keys[k]) for k in view.entity]
    theirs = np.flatnonzero(np.all([np.ones(len(later), bool), *matches], axis=0))
    if not len(theirs):
        return None
    times = later.available_at[theirs]
    every = {view.events: tables.read(view.events, int(at - view.longest), int(times[-1]))}
    repeated = {k: column[np.zeros(len(times), np.int64)] for k, column in keys.items()}
    values = windowed_values([view], {view.events: source}, every, times, repeated)[name]
    exact = np.flatnonzero(~differs(values, np.full(len(values), trained)))
    place = int(exact[0]) if len(exact) else 0
    when = np.datetime64(int(times[place]), "us")
    effect = "gives this value" if len(exact) else "is the next that was to come"
    minutes = (times[place] - at) / asof.MINUTE
    return f"{view.events} {later.ids[theirs[place]]}, available at {when}Z, {minutes:.0f} min too late, {effect}"


def _matches(theirs: Column, ours: Column) -> np.ndarray:
    if isinstance(theirs, Category) and isinstance(ours, Category):
        return theirs.texts() == ours.texts()[0]
    return np.asarray(theirs) == np.asarray(ours)[0]
