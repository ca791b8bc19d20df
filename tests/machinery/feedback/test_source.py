"""What a service was asked and what came of it, as ingest reads it."""

import pandas as pd
import pytest

from ringbound.data.ingest import Table, ingest
from ringbound.errors import SourceError
from ringbound.feedback.derive import derive_outcomes
from ringbound.feedback.source import Feedback
from ringbound.monitoring.answers import put_into
from ringbound.store import Outcome, SetClock, Store, instant
from ringbound.testing import examples
from ringbound.testing.parcels import PROBLEM

DAY_US = 86_400_000_000
FIELDS = {"depot": "string", "weight_kg": "number", "promised": "timestamp"}
LATER = pd.Timestamp("2020-04-20T00:00Z")


@pytest.fixture
def where(url, tmp_path) -> str:
    """The URL of a store with the answers of a week; events and one who corrects told what came."""
    store = Store(url, archive=tmp_path / "archive")
    put_into(store, examples.bundle(), examples.later(), known=None)
    store.append("arrivals", _arrivals(), SetClock(0, takes_history=True))
    derive_outcomes(store, PROBLEM, since=0, through=2**53)
    first = store.outcomes(most=1)[0]
    store.tell([Outcome(first.prediction_id, first.time + 1, 1 - first.value)], SetClock(first.time + DAY_US), "desk")
    store.close()
    return url


def _arrivals():
    from ringbound.features.asof import LATEST
    from ringbound.features.history import deliveries

    return deliveries(examples.events(), "arrivals", 0, LATEST).events


def read(where, through=LATER, **more):
    return Feedback(where, FIELDS, **more).read(None, through)


def test_every_question_comes_back_with_its_answer_and_who_told_its_outcome(where):
    reading = read(where)
    rows = examples.later()
    assert len(reading.rows) == len(rows)
    assert len(reading.rejected) == 0
    by_id = reading.rows.set_index("prediction_id")
    table = rows.table.assign(name=[f"{row:08x}" for row in range(len(rows))]).set_index("name")
    requests = rows.requests.assign(name=table.index).set_index("name").loc[by_id.index]
    assert (by_id["depot"] == requests["depot"]).all()
    assert (by_id["promised"] == requests["promised"]).all()
    told = by_id["told_by"].value_counts().to_dict()
    assert told == {"events": len(rows) - 1, "desk": 1}
    of_events = by_id["told_by"] == "events"
    assert (by_id["outcome"][of_events] == table["late"].loc[by_id.index][of_events]).all()
    assert (by_id["outcome"][~of_events] == 1 - table["late"].loc[by_id.index][~of_events]).all()
    assert set(by_id["propensity"]) == {1.0}


def test_ingest_reads_it_like_any_source_and_never_what_came_later(where, tmp_path):
    source = Feedback(where, FIELDS)
    table = Table("feedback", source, source.columns, ("available_at", "prediction_id"), "available_at")
    through = pd.Timestamp(instant(int(_middle(where))))
    (tmp_path / "raw").mkdir()
    facts = ingest([table], through=through, previous=tmp_path / "none", out=tmp_path / "raw").tables["feedback"]
    assert 0 < facts.rows < len(examples.later())
    kept = pd.concat(pd.read_parquet(part) for part in (tmp_path / "raw/feedback").glob("*.parquet"))
    assert kept["available_at"].max() <= through
    assert (kept["available_at"] >= kept["at"] + pd.Timedelta(days=1)).all()
    (tmp_path / "more").mkdir()
    later = ingest([table], through=LATER, previous=tmp_path / "raw", out=tmp_path / "more").tables["feedback"]
    assert later.rows == len(examples.later())


def _middle(where) -> float:
    store = Store(where, make=False)
    at = sorted(one.at for one in store.predictions(10_000))
    store.close()
    return at[len(at) // 2]


def test_outcomes_that_are_put_aside_are_with_the_rejected_ones(where, tmp_path):
    store = Store(where, make=False)
    some = [one for one in store.outcomes(most=400) if one.told_by == "events"]
    wrong = [Outcome(one.prediction_id, one.time + 2, 1 - one.value) for one in some[100:160]]
    store.tell(wrong, SetClock(some[160].time), "stranger")
    store.tell([Outcome(some[5].prediction_id, some[5].time, 1 - some[5].value)], SetClock(some[5].time + 1), "desk")
    early = next(one for one in store.predictions(1000) if one.prediction_id == some[7].prediction_id)
    store.close()
    reading = read(where)
    aside = reading.rejected.set_index("place")["reason"]
    assert set(aside.index) == {one.prediction_id for one in (*wrong, some[5])}
    assert aside[wrong[0].prediction_id].startswith("stranger: its outcomes of a week are ")
    assert (aside[some[5].prediction_id].str.startswith("contradictory: ")).all(), "either of them"
    assert early.prediction_id in set(reading.rows["prediction_id"])
    assert len(reading.rows) == len(examples.later()) - 1, "of those that a stranger told over, the arrivals' stand"


def test_what_lies_in_the_archive_is_read_too(where, tmp_path):
    before = read(where).rows
    store = Store(where, make=False, archive=tmp_path / "archive")
    at = sorted(one.made_at for one in store.predictions(10_000))
    assert store.put_away(at[len(at) // 2]).predictions > 100
    store.close()
    pd.testing.assert_frame_equal(read(where, archive=tmp_path / "archive").rows, before)


def test_reading_writes_nothing(where):
    store = Store(where, make=False)
    before = [store.predictions(10_000), store.outcomes(most=10_000), store.position()]
    read(where)
    assert [store.predictions(10_000), store.outcomes(most=10_000), store.position()] == before


def test_a_store_that_is_not_there_is_one_line_and_not_made(tmp_path):
    with pytest.raises(SourceError, match=r"feedback:nowhere\.db: cannot be read: store: expected one that is there"):
        read(f"sqlite:///{tmp_path}/nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_a_field_called_like_a_column_of_its_own_is_refused(where):
    with pytest.raises(SourceError, match="expected fields of other names than"):
        Feedback(where, {"answer": "number"}).read(None, LATER)
