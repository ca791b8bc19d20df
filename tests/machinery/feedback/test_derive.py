"""Outcomes that events tell."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import ProblemError
from ringbound.features.asof import LATEST
from ringbound.features.frames import instants
from ringbound.features.history import PAST, deliveries
from ringbound.feedback.derive import derive_outcomes
from ringbound.monitoring.answers import put_into
from ringbound.problem.outcome import EventOutcome
from ringbound.store import Event, Store
from ringbound.testing import examples
from ringbound.testing.parcels import ARRIVED, PROBLEM

DAY_US = 86_400_000_000
ALWAYS = {"since": 0, "through": 2**53}


@pytest.fixture
def store(url) -> Store:
    """A store with the answers of the last week and the arrivals of all weeks."""
    made = Store(url)
    put_into(made, examples.bundle(), examples.later(), known=None)
    made.append("arrivals", deliveries(examples.events(), "arrivals", 0, LATEST).events, PAST)
    return made


def outcomes(store) -> dict[str, float | None]:
    return {one.prediction_id: one.outcome for one in store.judged()}


def test_an_arrival_is_the_outcome_of_its_parcel_and_is_told_once(store):
    done = derive_outcomes(store, PROBLEM, **ALWAYS)
    rows = examples.later()
    assert done.questions == done.outcomes == len(rows)
    came = outcomes(store)
    assert [came[f"{row:08x}"] for row in range(len(rows))] == rows.y.tolist()
    kept = store.outcomes(most=1)[0]
    assert (kept.told_by, kept.available_at) == ("events", kept.time)
    assert derive_outcomes(store, PROBLEM, **ALWAYS).outcomes == 0
    assert len(store.outcomes()) == len(rows)


def test_what_was_not_known_then_is_not_told(store):
    until = int(np.median(instants(examples.later().table["at"])))
    derive_outcomes(store, PROBLEM, since=0, through=until)
    told = store.outcomes()
    assert 0 < len(told) < len(examples.later())
    assert max(one.available_at for one in told) <= until
    again = derive_outcomes(store, PROBLEM, **ALWAYS)
    assert len(told) + again.outcomes == len(examples.later())


def test_an_event_that_is_corrected_corrects_the_outcome(store):
    derive_outcomes(store, PROBLEM, **ALWAYS)
    first = store.outcomes(most=1)[0]
    name = first.prediction_id
    parcel = examples.later().table["parcel_id"].iloc[int(name, 16)]
    event = next(one for one in store.tail(0, 10_000) if one.source == "arrivals" and one.id == parcel)
    store.void("arrivals", parcel, "the wrong door")
    fields = json.loads(event.payload)
    promised, late = event.time - round(fields["late_min"]) * 60_000_000, 0.0 if first.value else 600.0
    again = Event(
        f"{parcel}-again",
        promised + int(late) * 60_000_000,
        fields | {"late_min": late},
        known_at=event.available_at + DAY_US,
    )
    store.append("arrivals", [again], PAST)
    assert derive_outcomes(store, PROBLEM, **ALWAYS).outcomes == 1
    assert outcomes(store)[name] == 1.0 - first.value
    assert [one.value for one in store.outcomes_of(name)] == [first.value, 1.0 - first.value]


def test_an_event_from_before_the_question_says_nothing_of_it(store):
    before = EventOutcome("arrivals", lambda rows: rows["depot"], lambda events: events["depot"], ARRIVED.value)
    derive_outcomes(store, replace(PROBLEM, outcome=before), **ALWAYS)
    asked = {one.prediction_id: one.at for one in store.judged()}
    told = store.outcomes(most=100_000)
    assert told
    assert all(one.time > asked[one.prediction_id] for one in told)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (None, "expected an outcome=EventOutcome"),
        (replace(ARRIVED, value=lambda events: events["colour"]), "value failed on columns .*'colour'"),
        (replace(ARRIVED, of_event=lambda events: ["a"]), "expected of of_event one value a row, 3900; got 1"),
    ],
)
def test_a_problem_that_cannot_say_is_one_line(store, outcome, says):
    with pytest.raises(ProblemError, match=says):
        derive_outcomes(store, replace(PROBLEM, outcome=outcome), **ALWAYS)
    assert store.outcomes() == []


def test_a_problem_whose_outcome_no_source_tells_is_refused():
    with pytest.raises(ProblemError, match=r"outcome: expected a source of events, of .*; got 'rumours'"):
        replace(PROBLEM, outcome=replace(ARRIVED, source="rumours"))
