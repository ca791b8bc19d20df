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
        "closed": "is later than the question in 100% of its rows: not known when it is asked",
        "refund": "tells 100% of the outcome by itself: known only with it?",
    }


def test_parts_of_the_outcome_are_set_aside(put):
    dice = np.random.default_rng(1)
    some, more = dice.integers(0, 9, 1000), dice.integers(0, 50, 1000)
    roles = assign_roles(look(put(guests=some, members=more, total=some + more)), label="total", time="at")
    assert roles.task == "count"
    assert roles.aside["guests"] == "with `members` makes up `total` exactly: known with it"
    assert roles.aside["members"] == "with `guests` makes up `total` exactly: known with it"
    assert "amount" not in roles.aside


@pytest.mark.parametrize(
    ("values", "task", "says"),
    [
        (lambda n: n % 40, "count", ""),
        (lambda n: n % 40 + 0.5, "regression", ""),
        (lambda n: n % 40 - 20, "regression", ""),
        (lambda n: 20 + n % 60, "regression", "an age, say"),
        (lambda n: 1 + n % 5, "regression", "stars, say"),
        (lambda n: 1000 * (n % 400), "regression", "money, say"),
    ],
)
def test_whole_numbers_from_few_on_are_counts(put, values, task, says):
    assert assign_roles(look(put(y=values(np.arange(1000)))), label="y", time="at").task == task, says


def test_a_task_that_is_asked_for_is_taken_where_it_can_be(put):
    table = look(put(y=np.arange(1000) % 40, z=np.arange(1000) % 40 - 0.5))
    assert assign_roles(table, label="y", time="at", task="regression").task == "regression"
    with pytest.raises(ProblemError, match="expected whole numbers of at least 0 in 'z', for a count"):
        assign_roles(table, label="z", time="at", task="count")


def test_a_site_that_is_a_number_stays_what_series_are_told_by(put):
    number = np.arange(1000)
    changed = {
        "at": pd.Timestamp("2020-01-01T00:00Z") + pd.to_timedelta(number // 4 * 24, unit="h"),
        "site": number % 4,
        "rest": number // 4 % 7,
        "amount": 1000 * (number % 4) + number // 4 % 7,  # with the rest it makes up the amount exactly
    }
    roles = assign_roles(look(put(**changed, shop="one")), label="amount", time="at")
    assert roles.panel.name == "site"
    assert "site" in names([*roles.numbers, *roles.entities])
    assert "site" not in roles.aside


def test_rows_of_a_group_are_put_in_order_and_the_group_tells_nothing(put):
    roles = assign_roles(
        look(put(basket=pd.read_csv(put())["at"].str[:10].radd("b"))), label="back", time="at", group="basket"
    )
    assert (roles.task, roles.yes, roles.group.name) == ("ranking", "yes", "basket")
    assert "basket" not in names([*roles.fields, *roles.entities])
    assert "basket" not in roles.aside


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
        ({"back": ["a", "b", "c", "d"] * 250}, {"task": "classification"}, "4 different ones; use --task multiclass"),
        ({}, {"label": "amount", "task": "multiclass"}, "expected 3 to 50 classes in 'amount'; got"),
        ({"back": ["a", "b"] * 495 + ["c"] * 10}, {}, "expected at least 20 rows of each class in 'back'; 'c' has 10"),
        ({}, {"label": "closed"}, "expected a number or one of two values in 'closed'; got times"),
        ({}, {"task": "regression"}, "expected numbers to predict in 'back'; got texts"),
        ({}, {"time": ""}, r"are \['at', 'closed'\]"),
        ({}, {"time": "shop"}, "--time: expected times like .* in 'shop'; got '"),
        ({"at": ["2020-01-01T00:00:00Z", ""] * 500}, {}, "--time: expected the time of every row; 50.0% have none"),
        ({"at": "2020-01-01T00:00:00Z"}, {}, "at least 300 rows in 6 weeks.*; got 1,000 rows in 1 weeks"),
        ({}, {"key": "shop"}, "--id: expected a value of its own for every row in 'shop'; 997 rows repeat one"),
        ({}, {"task": "ranking"}, "--group: expected a column for a ranking, of what is put in order together"),
        (
            {},
            {"task": "count", "group": "customer_id"},
            "--group: expected a column for a ranking, .* for nothing else",
        ),
        ({}, {"group": "shop"}, "--group: expected 50 groups or more in which some .*; 3 of 3 in 'shop' are so"),
        (
            {},
            {"group": "order"},
            "--group: expected 50 groups or more in which some rows are .*; 0 of 1,000 in 'order' are so",
        ),
        (
            {},
            {"group": "customer_id"},
            "expected the rows of one 'customer_id' to be of one day, .*; 100% are of several",
        ),
        (
            {"basket": ["a", None] * 500},
            {"group": "basket"},
            "expected the group of every row; 500 have none in 'basket'",
        ),
        ({}, {"group": "back"}, "--group: expected another column than the label and the time"),
        ({"back": ["a", "b", "c"] * 333 + ["a"]}, {"group": "customer_id"}, "got 3 different ones: a ranking"),
    ],
)
def test_what_cannot_be_asked_is_one_line(put, changed, asked, says):
    with pytest.raises(ProblemError, match=says) as caught:
        assign_roles(look(put(**changed)), **{"label": "back", "time": "at"} | asked)
    assert "\n" not in str(caught.value)


def test_what_is_known_only_after_the_question_is_set_aside(put):
    """A time between the question and what it is about, of which only some rows have one."""
    at = pd.read_csv(put())["at"].pipe(pd.to_datetime)
    before = (at - pd.Timedelta("1h")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").where(np.arange(1000) % 300 == 0, "")
    table = look(put(checked_in=before))
    assert "checked_in" not in assign_roles(table, label="back", time="at").aside
    aside = assign_roles(table, label="back", time="at", horizon_h=2.0).aside
    assert aside["checked_in"] == "is later than the question in 100% of its rows: not known when it is asked"


def test_a_column_that_gives_the_outcome_away_is_seen_through_heavy_tails_and_rare_cases(put):
    dice = np.random.default_rng(1)
    y = np.exp(2 * dice.normal(size=1000))
    heavy = assign_roles(look(put(total=y, logged=np.log(y))), label="total", time="at")
    assert "logged" in heavy.aside
    score = dice.random(1000)
    rare = assign_roles(look(put(back=np.where(score > 0.97, "yes", "no"), score=score)), label="back", time="at")
    assert "score" in rare.aside
    told = assign_roles(look(put()), label="back", time="at").share
    assert told["amount"] < 0.05 < told["shop"]


def test_doubles_of_the_outcome_hide_no_parts(put):
    some, more = np.random.default_rng(1).integers(0, 9, (2, 1000))
    total = some + more
    roles = assign_roles(look(put(some=some, more=more, twice=2 * total, total=total)), label="total", time="at")
    assert {"some", "more", "twice"} <= set(roles.aside)
    noisy = total + np.random.default_rng(2).normal(0, 0.05, 1000).round(2)
    assert "exactly" not in assign_roles(look(put(noisy=noisy, total=total)), label="total", time="at").aside["noisy"]
