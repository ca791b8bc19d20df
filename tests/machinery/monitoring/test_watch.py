"""The monitors day by day: what breaks is found, what is always so is not found again and again."""

import numpy as np
import pytest

from ringbound.monitoring.bins import Counts
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.days import Day, OutcomeDay, day_of
from ringbound.monitoring.statistics import Before, of_columns
from ringbound.monitoring.sums import Sums
from ringbound.monitoring.watch import Watch

DAY_US = 86_400_000_000


def a_day(number: int, *, repeated: int = 0, lower: int = 0) -> Day:
    rungs = {"full": 97 - lower} | ({"prior": lower} if lower else {})
    return Day(day_of(number * DAY_US), 97, repeated, {}, {"m": rungs}, {"store": lower} if lower else {})


@pytest.fixture
def watch(profile) -> Watch:
    return Watch(profile, AlarmBudget(), lambda day: ["m"])


def named(alarms, name: str) -> list[str]:
    return [alarm.day for alarm in alarms if alarm.name == name]


@pytest.mark.parametrize(("what", "name"), [("repeated", "requests/repeated"), ("lower", "rungs/lower")])
def test_what_comes_up_is_found_and_what_stays_so_is_not_found_for_ever(watch, what, name):
    days = [a_day(n) for n in range(30)] + [a_day(n, **{what: 30}) for n in range(30, 120)]
    alarms = [alarm for day in days for alarm in watch.take(day)]
    found = named(alarms, name)
    assert day_of(30 * DAY_US) <= found[0] <= day_of(35 * DAY_US)
    assert found[-1] < day_of(50 * DAY_US)
    assert watch.settled(name)


def test_a_column_of_fewer_rows_has_not_moved(profile):
    """With few rows chance alone moves a column, which is taken off."""
    random = np.random.default_rng(1)
    shares = np.full(39, 1 / 39)
    before = Before(profile)
    for _ in range(28):
        before.add(900, {"weight": Counts(random.multinomial(900, shares).tolist())})
    moved = [
        of_columns({"weight": Counts(random.multinomial(90, shares).tolist())}, before)["weight/moved"]
        for _ in range(200)
    ]
    assert np.mean(moved) < 0.02
    shifted = np.where(np.arange(39) < 20, 1.9, 0.1) / 39
    far = of_columns({"weight": Counts(random.multinomial(90, shifted / shifted.sum()).tolist())}, before)
    assert far["weight/moved"] > 0.1


def outcome_day(number: int, loss: float, groups: dict[str, float]) -> OutcomeDay:
    parts = {"": Sums(100, 100, 100 * loss, 100 * loss, 40.0, 40.0)}
    parts |= {name: Sums(20, 20, 20 * one, 20 * one, 8.0, 8.0) for name, one in groups.items()}
    return OutcomeDay(day_of(number * DAY_US), parts)


def test_a_group_is_singled_out_only_where_it_does_worse_than_the_others(watch, profile):
    usual = profile.judged[""].promise
    mine = {name: history.promise for name, history in profile.judged.items() if name}
    alarms = []
    for number in range(40):  # all do twice as badly
        alarms += watch.take_outcomes(outcome_day(number, 2 * usual, {n: 2 * loss for n, loss in mine.items()}))
    assert named(alarms, "performance")
    assert not [alarm.name for alarm in alarms if alarm.name.startswith("group/")]
    for number in range(40, 70):
        worse = mine | {"depot=north": 3 * mine["depot=north"]}
        alarms += watch.take_outcomes(outcome_day(number, usual, worse))
    assert {alarm.name for alarm in alarms if alarm.name.startswith("group/")} == {"group/depot=north"}


def test_outcomes_that_stop_are_found(watch):
    alarms = []
    for number in range(30):
        known = 100 if number < 20 else 0
        day = OutcomeDay(day_of(number * DAY_US), {"": Sums(100, known, 50.0 * (known > 0), 50.0, 40.0, 40.0)})
        alarms += watch.take_outcomes(day)
    assert named(alarms, "labels/unlabelled")[0] <= day_of(25 * DAY_US)
