"""What each column of a table is for; what was not known in time is set aside."""

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ProblemError
from ringbound.starting.look import look
from ringbound.starting.roles import assign_roles


def names(columns) -> list[str]:
    return [column.original for column in columns]


def test_columns_are_told_by_what_they_hold(put):
    roles = assign_roles(look(put()), label="back", time="at")
    assert (roles.task, roles.yes, roles.id.original) == ("classification", "yes", "order")
    assert names(roles.categories) == ["shop", "customer_id"]
    assert names(roles.numbers) == ["amount"]
    assert names(roles.entities) == ["shop", "customer_id"], "that which tells most first"
    assert roles.aside == {
        "country": "is always the same",
        "closed": "is later than at in 100% of the rows: not known when it is asked",
        "refund": "tells 100% of the outcome's variance by itself: known only with it?",
    }


def test_parts_of_the_outcome_are_set_aside(put):
    dice = np.random.default_rng(1)
    some, more = dice.integers(0, 9, 1000), dice.integers(0, 50, 1000)
    roles = assign_roles(look(put(guests=some, members=more, total=some + more)), label="total", time="at")
    assert roles.task == "regression"
    assert roles.aside["guests"] == "with `members` makes up `total` exactly: known with it"
    assert roles.aside["members"] == "with `guests` makes up `total` exactly: known with it"
    assert "amount" not in roles.aside


def test_of_yes_and_no_yes_is_asked_about_and_else_the_rarer(put):
    assert assign_roles(look(put(back=[1, 0, 1] * 333 + [1])), label="back", time="at").yes == "1"
    assert (
        assign_roles(look(put(back=["kept", "gone", "kept"] * 333 + ["kept"])), label="back", time="at").yes == "gone"
    )


def test_an_earlier_time_is_known(put):
    times = pd.date_range("2019-01-01", periods=1000, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    roles = assign_roles(look(put(member_since=times)), label="back", time="at")
    assert names(roles.times) == ["member_since"]


@pytest.mark.parametrize(
    ("changed", "asked", "says"),
    [
        ({}, {"label": "bake"}, r"--label: expected a column of orders.csv, one of \['order'"),
        ({"back": "no"}, {}, "--label: expected outcomes that differ in 'back'; got 1 value"),
        ({"back": ""}, {}, "--label: expected outcomes that differ in 'back'; got 0 value"),
        ({"back": ["a", "b", "c", "d"] * 250}, {}, "more than two classes are not supported yet"),
        ({}, {"label": "amount", "task": "classification"}, "expected a number, or one of two values, in 'amount'"),
        ({}, {"label": "closed"}, "expected a number or one of two values in 'closed'; got times"),
        ({}, {"task": "regression"}, "expected numbers to predict in 'back'; got texts"),
        ({}, {"time": ""}, r"times are \['at', 'closed'\]"),
        ({}, {"time": "shop"}, "--time: expected times like .* in 'shop'; got '"),
        ({"at": ["2020-01-01T00:00:00Z", ""] * 500}, {}, "--time: expected the time of every row; 50.0% have none"),
        ({"at": "2020-01-01T00:00:00Z"}, {}, "at least 300 rows on 6 days.*; got 1,000 rows on 1 days"),
        ({}, {"key": "shop"}, "--id: expected a value of its own for every row in 'shop'; 997 rows repeat one"),
    ],
)
def test_what_cannot_be_asked_is_one_line(put, changed, asked, says):
    with pytest.raises(ProblemError, match=says) as caught:
        assign_roles(look(put(**changed)), **{"label": "back", "time": "at"} | asked)
    assert "\n" not in str(caught.value)
