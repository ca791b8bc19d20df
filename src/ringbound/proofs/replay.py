"""Proof by replay: history goes through the store and the online path, and every value must equal the offline table's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ringbound.errors import FeatureError
from ringbound.features.asof import LATEST
from ringbound.features.columns import differs
from ringbound.features.definition import AT, FeatureSet
from ringbound.features.frames import columns_of, instants, plain_rows
from ringbound.features.history import PAST, PUNCTUAL, Delivery, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.features.logged import LoggedEvents
from ringbound.features.lookup import values_as_of
from ringbound.proofs.history import History
from ringbound.store import EventClock, Store


@dataclass(frozen=True)
class ReplayResult:
    """What a replay compared: rows asked, values compared, those that differed, and the first of them in words."""

    events: int
    rows: int
    values: int
    mismatches: int
    first: str | None


def replay(
    history: History, store: Store, *, delivery: Delivery | None = None, snapshot: Path | None = None
) -> ReplayResult:
    """Send every event through `store` and ask every request, in order of time, and compare with the table, bit for bit.

    With a `delivery`, events are delayed and repeated first, and the offline values are computed anew from what then
    lies in the log.
    """
    features, tables, requests = history.features, history.tables, history.requests
    if store.end().position:
        raise FeatureError("replay: expected an empty store; this one has events; name another with --store")
    at = instants(requests[AT.name])
    order = np.argsort(at, kind="stable")
    sent = {
        name: deliveries(tables, name, int(at.min()) - features.lookback[name], int(at.max()), delivery or PUNCTUAL)
        for name in features.sources
    }
    live = LiveFeatures(features, store, clock=EventClock(), snapshot=snapshot)
    asked = plain_rows(requests[features.key_fields])
    online = np.empty((len(requests), len(features.windowed)))
    waiting = dict.fromkeys(sent, 0)
    accepted = 0
    for row in order:
        now = int(at[row])
        for name, (times, events) in sent.items():
            end = int(np.searchsorted(times, now, "right"))
            for start in range(waiting[name], end, 1000):
                batch = events[start : min(start + 1000, end)]
                accepted += store.append(name, batch, PAST).accepted
            waiting[name] = end
        values, _ = live.values([asked[row]], [now])
        online[row] = [column[0] for column in values.values()]
    if delivery is None:
        offline = history.table[list(features.windowed)].to_numpy(np.float64)
    else:
        logged = LoggedEvents(store, features.sources, until=LATEST)
        anew = values_as_of(features, logged, at, features.keys(columns_of(requests[features.key_fields])))
        offline = np.array(list(anew.values())).T
    wrong = np.argwhere(differs(online, offline))
    return ReplayResult(
        events=accepted,
        rows=len(requests),
        values=online.size,
        mismatches=len(wrong),
        first=None if not len(wrong) else _described(features, requests, online, offline, wrong[0]),
    )


def _described(
    features: FeatureSet, requests: pd.DataFrame, online: np.ndarray, offline: np.ndarray, place: np.ndarray
) -> str:
    row, column = place
    name = list(features.windowed)[column]
    values = f"online {online[row, column]!r}, offline {offline[row, column]!r}"
    return f"{name}, row {row} ({requests.iloc[row].to_dict()}): {values}"
