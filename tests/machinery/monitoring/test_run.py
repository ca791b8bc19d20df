"""Runs of the monitors over real stores: days are read once, late outcomes count, and how they came changes nothing."""

import random as chance
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ringbound.errors import StoreError
from ringbound.features.frames import instants
from ringbound.features.history import PAST
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.reader import Reader
from ringbound.monitoring.run import run_monitors
from ringbound.problem.training import Rows
from ringbound.store import Outcome, Store
from ringbound.testing import examples

DAY_US = 86_400_000_000
BUDGET = AlarmBudget()


def through(rows, days: float = 3.0) -> int:
    return int(instants(rows.table["at"]).max() + days * DAY_US)


def run(store, bundle, profile, until, days=28, **more):
    return run_monitors(store, bundle, profile, through=until, days=days, budget=BUDGET, **more)


def test_every_answer_and_outcome_is_counted(store, bundle, profile, rows):
    report = run(store, bundle, profile, through(rows)).report
    assert report.rows == len(rows)
    bands = {band.name: band for band in report.bands}
    assert bands["final"].known == int((~np.isnan(rows.y)).sum())
    answers = bundle.full.answer(rows.features)
    there = ~np.isnan(rows.y)
    assert bands["final"].value == pytest.approx(bundle.task.losses(rows.y[there], answers[there]).mean(), abs=1e-12)
    weight = next(column for column in report.columns if column.name == "weight")
    assert sum(weight.now) == pytest.approx(1, abs=0.001)
    assert report.first == rows.table["at"].min().strftime("%Y-%m-%d")


def test_both_kinds_of_store_say_the_same(url, store, bundle, profile, rows, known):
    other = Store(url)
    put_into(other, bundle, rows, known)
    assert run(other, bundle, profile, through(rows)).report == run(store, bundle, profile, through(rows)).report


def test_days_that_are_remembered_are_not_read_again(store, bundle, profile, rows, monkeypatch):
    first = run(store, bundle, profile, through(rows))
    read: list[str] = []
    monkeypatch.setattr(Reader, "_read_day", lambda self, day, *_: read.append(day))
    assert run(store, bundle, profile, through(rows)) == first
    assert read == []


def test_daily_runs_say_what_one_run_says(store, tmp_path, bundle, profile, rows, known):
    other = Store(f"sqlite:///{tmp_path}/daily.db")
    put_into(other, bundle, rows, known)
    last = None
    for day in range(-5, 4):
        last = run(other, bundle, profile, through(rows, day))
    once = run(store, bundle, profile, through(rows, 3))
    assert last is not None
    assert last == once


def test_outcomes_may_come_late_twice_corrected_and_in_any_order(tmp_path, store, bundle, profile, rows, known):
    """What stands in the end is the same, and nothing counts twice."""
    expected = run(store, bundle, profile, through(rows)).report
    sent = [
        Outcome(f"{row:08x}", int(known[row]), float(rows.y[row])) for row in np.flatnonzero(~np.isnan(rows.y)).tolist()
    ]
    for seed in range(3):
        random = chance.Random(seed)
        other = Store(f"sqlite:///{tmp_path}/messy{seed}.db")
        put_into(other, bundle, rows.where(np.arange(len(rows))), known)
        messy = Store(f"sqlite:///{tmp_path}/again{seed}.db")
        table = rows.table.assign(late=np.nan)
        put_into(messy, bundle, type(rows)(rows.problem, table, rows.requests, rows.references), known)
        wrong = [Outcome(one.prediction_id, one.time - 1000, 1 - one.value) for one in random.sample(sent, 100)]
        unknown = [Outcome(f"nobody{n}", int(known[0]), 1.0) for n in range(20)]
        batch = [*sent, *random.sample(sent, 200), *wrong, *unknown]
        random.shuffle(batch)
        half = len(batch) // 2
        messy.tell(batch[:half], PAST)
        run(messy, bundle, profile, through(rows))  # remembers what is known so far
        messy.tell(batch[half:], PAST)
        found = run(messy, bundle, profile, through(rows)).report
        assert found.bands[-1].known == expected.bands[-1].known
        assert found.bands[-1].value == pytest.approx(expected.bands[-1].value, abs=1e-12)
        assert found.groups == expected.groups


def test_the_archive_is_read_like_the_store(tmp_path, bundle, profile, rows, known):
    whole, split = (Store(f"sqlite:///{tmp_path}/{name}.db", archive=tmp_path / name) for name in ("whole", "split"))
    for one in (whole, split):
        put_into(one, bundle, rows, known)
    split.put_away(int(np.median(instants(rows.table["at"]))))
    assert split.archive is not None
    assert list(Path(split.archive.folder).rglob("*.parquet"))
    assert run(split, bundle, profile, through(rows)).report == run(whole, bundle, profile, through(rows)).report


def test_what_was_not_known_yet_counts_when_it_is(store, bundle, profile, rows, known):
    """A day that was final is read again where outcomes came after all, also where a run looks back at an earlier present."""
    name = f"{int(np.flatnonzero(np.isnan(rows.y))[0]):08x}"
    late = through(rows, 20)
    store.tell([Outcome(name, late, 1.0)], PAST)
    before = run(store, bundle, profile, through(rows)).report.bands[-1]
    after = run(store, bundle, profile, late + DAY_US).report.bands[-1]
    assert after.known == before.known + 1


def test_early_outcomes_are_a_band_of_their_own(store, bundle, profile, rows, known):
    at = instants(rows.table["at"])
    present = int(at.max()) // DAY_US * DAY_US + 5 * 3_600_000_000
    report = run(store, bundle, profile, present).report
    bands = {band.name: band for band in report.bands}
    early = (at >= present // DAY_US * DAY_US - DAY_US) & (at < present // DAY_US * DAY_US)
    assert bands["partly matured"].rows == early.sum()
    assert bands["partly matured"].known == (early & (known <= present) & ~np.isnan(rows.y)).sum()


def test_answers_of_other_models_are_none_of_this_one_s(store, bundle, profile, rows):
    """After a promotion the profile is another, and features may be."""
    before = run(store, bundle, profile, through(rows)).report
    other = [
        replace(one, prediction_id=f"other{place}", model_version="another0000", features="others", answer=0.99)
        for place, one in enumerate(store.predictions(300))
    ]
    store.record(other)
    found = run(store, bundle, profile, through(rows), versions=lambda day: [bundle.version, "another0000"])
    assert found.report.bands == before.bands
    assert found.report.rows == before.rows
    assert {c.name: c.now for c in found.report.columns} == {c.name: c.now for c in before.columns}
    assert not [alarm for alarm in found.alarms if alarm.name.startswith(("data/", "code/"))]


def test_where_questions_stop_an_alarm_is_raised(tmp_path, bundle, profile):
    training = examples.training()
    weeks = Rows(training.problem, training.table, training.requests, training.references)
    store = Store(f"sqlite:///{tmp_path}/stops.db")
    put_into(store, bundle, weeks, instants(weeks.table["at"]) + 5 * 3_600_000_000)
    assert not [a for a in run(store, bundle, profile, through(weeks, 1)).alarms if a.name == "requests/volume"]
    alarms = [
        alarm for alarm in run(store, bundle, profile, through(weeks, 20)).alarms if alarm.name == "requests/volume"
    ]
    assert alarms
    assert alarms[0].says.startswith("0 questions a day, usual are 1")


def test_a_stray_answer_about_long_ago_begins_nothing(store, bundle, profile, rows):
    before = run(store, bundle, profile, through(rows))
    stray = store.predictions(1)[0]
    store.record(
        [replace(stray, prediction_id=f"stray{at}", at=at) for at in (5, -(2**55), int(stray.at - 300 * DAY_US))]
    )
    assert run(store, bundle, profile, through(rows)) == before


ODD = [
    "",
    "[]",
    '{"depot": 5}',
    '{"weight_kg": "NaN"}',
    '{"depot": "\\ud800"}',
    '{"depot": "a", "depot": "b"}',
    "TWICE",
]


@pytest.mark.parametrize("text", ODD)
def test_a_row_that_cannot_be_read_lacks_its_values_and_moves_no_other(text, store, bundle, profile, rows):
    before = run(store, bundle, profile, through(rows)).report
    one = store.predictions(1)[0]
    text = f"{one.row} {one.row}" if text == "TWICE" else text
    store.record([replace(one, prediction_id="odd", row=text)])
    after = run(store, bundle, profile, through(rows)).report
    assert after.rows == before.rows + 1
    groups = {group.name: group for group in after.groups}
    for group in before.groups:
        assert groups[group.name].loss == group.loss, group.name


def test_what_is_remembered_and_damaged_is_made_again(store, bundle, profile, rows):
    before = run(store, bundle, profile, through(rows))
    for content in ("garbage", "{}", "as of another day", "negative"):
        kept = list(store.remembered(bundle.version, "asked").values())
        first, text = kept[0], kept[0].content
        if content == "as of another day":
            content = text.replace(first.day, "2019-01-01")
        if content == "negative":
            content = text.replace('"missing": 0', '"missing": -5', 1)
        store.remember(bundle.version, "asked", [first._replace(content=content)])
        assert run(store, bundle, profile, through(rows)) == before


def test_a_model_that_was_not_to_answer_is_found_the_same_day(store, bundle, profile, rows):
    alarms = run(store, bundle, profile, through(rows), versions=lambda day: ["another0000"]).alarms
    assert alarms[0].name == "code/model"
    assert bundle.version in alarms[0].says
    assert [alarm for alarm in alarms if alarm.name == "code/model"] == alarms[:1]


def test_whylogs_profiles_are_kept_a_day_and_add_up(tmp_path, store, bundle, profile, rows):
    report = run(store, bundle, profile, through(rows), sketches=tmp_path / "profiles").report
    assert len(list((tmp_path / "profiles/asked").iterdir())) == sum(day.rows > 0 for day in report.days)
    weight = next(column for column in report.columns if column.name == "weight")
    assert weight.summary["max"] == pytest.approx(rows.table["weight"].max())
    assert weight.summary["mean"] == pytest.approx(rows.table["weight"].mean())


def test_a_store_without_a_whole_day_says_so(tmp_path, bundle, profile, store, rows):
    with pytest.raises(StoreError, match="about at least one whole day, UTC"):
        run(Store(f"sqlite:///{tmp_path}/empty.db"), bundle, profile, through(rows))
    with pytest.raises(StoreError, match="got the first about 2020"):
        run(store, bundle, profile, through(rows, -20))
