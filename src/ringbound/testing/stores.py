"""What every store is held to: nothing acknowledged is lost or counted twice, and what comes out is what went in."""

import json

from ringbound.errors import StoreError
from ringbound.store.clock import CLOCKS, SetClock
from ringbound.store.records import Event, Outcome, Prediction, Told
from ringbound.store.store import Store


def check_store(store: Store) -> None:
    """Hold an empty store to the contract of the log, of predictions and of outcomes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_store(Store(f"sqlite:///{folder}/store.db"))
    """
    assert store.tail(0) == [], "expected an empty store"
    assert (store.end().position, store.end().newest) == (0, None)
    _check_order(store)
    _check_repeats(store)
    _check_clock(store)
    _check_voids(store)
    _check_predictions(store)
    _check_outcomes(store)
    _check_keys(store)


def events(start: int, size: int, paid: float = 1.0) -> list[Event]:
    """Return `size` events whose ids and times count on from `start`."""
    return [Event(f"{number:06}", number, {"paid": paid}) for number in range(start, start + size)]


def _check_order(store: Store) -> None:
    sent = [*events(0, 3), Event("late", 1, {"paid": None}, known_at=900)]
    done = store.append("sales", sent, SetClock(500))
    assert (done.accepted, done.duplicates, done.conflicting) == (4, 0, [])
    rows = store.tail(0)
    assert [(row.source, row.id, row.available_at) for row in rows] == [
        ("sales", "000000", 500),
        ("sales", "000001", 500),
        ("sales", "000002", 500),
        ("sales", "late", 900),
    ], "an event is available when it could be known or now, whichever is later"
    assert json.loads(rows[3].payload) == {"paid": None}
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    assert store.tail(rows[1].seq) == rows[2:], "a tail goes on where the last one ended"
    assert store.tail(0, 2) == rows[:2]
    assert (store.end().position, store.end().newest) == (rows[3].seq, 900)
    assert [row.id for row in store.since("sales", 500, 900)] == ["late"], "a stretch is open at its beginning"
    assert store.since("sales", 0, 900, position=rows[0].seq) == rows[:1]
    assert store.since("returns", 0, 900) == []


def _check_repeats(store: Store) -> None:
    before = len(store.tail(0))
    store.append("sales", events(100, 10))
    again = store.append("sales", events(105, 10))
    assert (again.accepted, again.duplicates, again.conflicting) == (5, 5, []), "an event sent again counts once"
    other = store.append("sales", events(114, 2, paid=2.0))
    assert (other.accepted, other.duplicates, other.conflicting) == (1, 1, ["000114"]), "other content is told"
    assert store.append("sales", events(200, 2) + events(201, 1)).accepted == 2, "also within one batch"
    assert store.append("returns", events(100, 1)).accepted == 1, "ids are a source's own"
    rows = store.tail(0)
    assert len(rows) == before + 19
    assert [json.loads(row.payload)["paid"] for row in rows if row.id == "000114"] == [1.0], "the first content stays"
    assert store.append("sales", []).accepted == 0


def _check_clock(store: Store) -> None:
    newest = store.end().newest or 0
    store.append("visits", [Event("a", newest + 1000, {})], CLOCKS["event"])
    store.append("visits", [Event("b", 10, {})], CLOCKS["event"])
    stamps = [row.available_at for row in store.tail(0) if row.source == "visits"]
    assert stamps == [newest + 1000] * 2, "by the event clock time never goes back"


def _check_voids(store: Store) -> None:
    store.append(
        "calls", [Event("a", 1, {"n": 1}), Event("b", 2, {"n": 2}), Event("far", 10**17, {"n": 3})], SetClock(0)
    )
    before = store.end()
    voided = store.void("calls", "far", "a wrong clock")
    assert (voided.id, voided.available_at) == ("far", 10**17)
    after = store.end()
    assert after.position == before.position + 1, "the log goes on: nothing is deleted"
    assert (before.newest, (after.newest or 0) < 10**17) == (10**17, True), "a void event is no present"
    assert [row.id for row in store.since("calls", 0, 2**62)] == ["a", "b"]
    assert [row.id for row in store.since("calls", 0, 2**62, before.position)] == ["a", "b", "far"], (
        "it was there before"
    )
    assert [row.id for row in store.since("calls", 0, 2**62, voided=True)] == ["a", "b", "far"]
    assert store.voided("calls") == {"far": after.position}
    (fact,) = store.tail(before.position)
    assert fact.voids
    assert json.loads(fact.payload) == {"reason": "a wrong clock", "fields": {"n": 3}}
    again = store.append("calls", [Event("far", 3, {"n": 4})], SetClock(0))
    assert (again.accepted, again.conflicting) == (0, ["far"]), "an id stays taken"
    for name, reason in (("far", "again"), ("nobody", "why"), ("a", " ")):
        try:
            store.void("calls", name, reason)
        except StoreError:
            continue
        raise AssertionError(f"expected that {name} is not voided because of {reason!r}")


def _check_predictions(store: Store) -> None:
    one = Prediction("a", 1, 1, 3, "m", "f", 0.1, "{}", b"\x00" * 8)
    two = Prediction("b", 2, 1, 3, "m", "f", 0.1 + 0.2, "{}", b"\x01" * 8)
    store.record([one, two])
    assert store.predictions(10) == [two, one], "predictions come back the latest first, every bit of them"
    assert store.predictions(1) == [two]
    three = Prediction(
        "c", 3, 1, 3, "m", "f", 0.5, "{}", b"", "default", "store", decision=True, code="v1", took_us=7, propensity=0.75
    )
    store.record([two, three])
    assert store.predictions(1) == [three]
    assert [kept.prediction_id for kept in store.predictions(10)] == ["c", "b", "a"], "recording again changes nothing"


def _check_outcomes(store: Store) -> None:
    clock = SetClock(100)
    first = store.tell([Outcome("a", 5, 1.0), Outcome("early", 6, 0.0)], clock)
    assert first == Told(accepted=2, duplicates=0, corrections=0, superseded=0, unknown=1), (
        "one may come before its prediction"
    )
    again = store.tell([Outcome("a", 5, 1.0), Outcome("b", 7, 0.1 + 0.2), Outcome("b", 7, 0.1 + 0.2)], clock)
    assert again == Told(accepted=1, duplicates=2, corrections=0, superseded=0, unknown=0), (
        "sent again it is not there twice"
    )
    corrected = store.tell([Outcome("a", 9, 0.0), Outcome("a", 8, 1.0), Outcome("a", 9, 1.0)], SetClock(200), "desk")
    assert corrected == Told(accepted=3, duplicates=0, corrections=3, superseded=2, unknown=0)
    kept = store.outcomes()
    assert [(one.prediction_id, one.time, one.value, one.available_at) for one in kept] == [
        ("a", 5, 1.0, 100),
        ("early", 6, 0.0, 100),
        ("b", 7, 0.1 + 0.2, 100),
        ("a", 9, 0.0, 200),
        ("a", 8, 1.0, 200),
        ("a", 9, 1.0, 200),
    ], "a correction is a new fact, and the old one is kept"
    assert store.outcomes(kept[1].seq, 2) == kept[2:4]
    assert store.told(["a", "b", "c"], 199) == {"a": kept[:1], "b": kept[2:3]}, "as it was known then"
    assert [one.told_by for one in store.told(["a"], 200)["a"]] == ["", "desk", "desk", "desk"]
    assert [(one.prediction_id, one.outcome, one.known) for one in store.judged()] == [
        ("a", 1.0, 9),
        ("b", 0.1 + 0.2, 7),
        ("c", None, None),
    ], "what was determined last stands, and of that what came last"
    earlier = store.tell([Outcome("b", 3, 0.0), Outcome("a", 9, 0.0)], clock)
    assert (earlier.accepted, earlier.duplicates, earlier.superseded) == (1, 1, 2), "sent again it does not stand again"
    assert store.judged(since=1)[0].outcome == 0.1 + 0.2, (
        "what was determined before changes nothing, though it comes later"
    )
    assert [one.prediction_id for one in store.judged(since=1)] == ["b", "c"]
    assert store.tell([], clock) == Told(0, 0, 0, 0, 0)
    assert [one[:5] for one in store.answered()] == [("m", "full", None, 2, 2), ("m", "default", "store", 1, 0)]
    assert [one[5:] for one in store.answered(since=2)] == [(7.0, 7, 3)]


def _check_keys(store: Store) -> None:
    token = store.add_key("shop", ["operate", "predict"], rate=2.5)
    (key,) = store.all_keys()
    assert (key.name, key.roles, key.rate, key.revoked_at) == ("shop", "predict operate", 2.5, None)
    assert key.is_of(token)
    assert not key.is_of(token + " ")
    store.revoke_key("shop")
    second = store.add_key("shop", ["ingest"])
    first, other = store.all_keys()
    assert (first.revoked_at is None, other.revoked_at, other.is_of(second)) == (False, None, True)
