import numpy as np
import pytest

from ringbound.errors import FeatureError
from ringbound.features.asof import MINUTE
from ringbound.features.columns import Category
from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventSource
from ringbound.features.request import Field
from ringbound.features.view import microseconds, view

WHO = Field("who", "category", "a name", "ann")
SALES = EventSource("sales", [WHO, Field("paid", "number", "an amount", 1.5, ge=0, le=1000)], scale={"paid": 100})


def large(paid):
    return paid >= 100


def a_set(**features) -> FeatureSet:
    return FeatureSet([WHO], sources=[SALES], views=[view("v", entity="who", events="sales", **features)])


def test_names_come_from_view_key_and_window():
    chosen = a_set(paid_mean=("mean", "paid", ["90min", "28d"]), sales=("count", "1h"), share=("rate", large, "1h"))
    assert chosen.names == ["v_paid_mean_90min", "v_paid_mean_28d", "v_sales_1h", "v_share_1h"]


@pytest.mark.parametrize(("text", "minutes"), [("90min", 90), ("3h", 180), ("28d", 28 * 1440)])
def test_windows(text, minutes):
    assert microseconds(text) == minutes * MINUTE


@pytest.mark.parametrize("text", ["", "3", "0h", "h", "3 h", "-1h", "3w", "1h,23h ago", "1h, 0h ago", "1h, 23h", "ago"])
def test_other_windows_are_refused(text):
    with pytest.raises(FeatureError, match="expected a window like"):
        a_set(sales=("count", text))


def test_a_window_may_end_before_the_question():
    chosen = a_set(sales=("count", ["1h", "1h, 23h ago"]))
    assert chosen.names == ["v_sales_1h", "v_sales_1h_23h_ago"]
    assert chosen.views[0].longest == 24 * 60 * MINUTE
    assert chosen.hash_of("v_sales_1h") == a_set(sales=("count", "1h")).hash_of("v_sales_1h")
    assert chosen.hash_of("v_sales_1h_23h_ago") != a_set(sales=("count", "1h, 22h ago")).hash_of("v_sales_1h_22h_ago")


def test_a_number_of_the_request_is_a_feature_by_its_name():
    size = Field("size", "number", "of it", 1, required=False, ge=0, le=9)
    chosen = FeatureSet([WHO, size], numbers=["size"], categories=["who"])
    assert chosen.names == ["size", "who"]
    columns = {"who": Category.from_texts(["ann", "bob"]), "size": np.array([2.0, np.nan])}
    assert np.array_equal(chosen.compute(columns, {})["size"], [2.0, np.nan], equal_nan=True)
    wider = FeatureSet([WHO, Field("size", "number", "of it", 1, required=False, ge=0, le=10)], numbers=["size"])
    assert wider.hash_of("size") != chosen.hash_of("size")
    with pytest.raises(FeatureError, match=r"who: expected a function, or a number of the request, one of \['size'\]"):
        FeatureSet([WHO, size], numbers=["who"])
    with pytest.raises(
        FeatureError, match=r"size: expected a function, or a category of the request, one of \['who'\]"
    ):
        FeatureSet([WHO, size], categories=["size"])


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        (("median", "paid", "1h"), r"expected \(aggregate, windows\) for count, age, since"),
        (("count", "paid", "1h"), "expected"),
        (("mean", "1h"), "expected"),
        (("rate", "paid", "1h"), "rate takes a function"),
        (("mean", large, "1h"), "rate takes a function"),
        (("mean", "who", "1h"), r"a number of sales with a scale, one of \['paid'\]; got 'who'"),
        (("distinct", "shop", "1h"), r"a number of sales with a scale, one of \['paid'\]; got 'shop'"),
        (("mean", "price", "1h"), r"a number of sales with a scale, one of \['paid'\]; got 'price'"),
    ],
)
def test_features_that_do_not_fit_are_refused(feature, says):
    with pytest.raises(FeatureError, match=says):
        a_set(x=feature)


def test_views_that_do_not_fit_their_set_are_refused():
    with pytest.raises(FeatureError, match=r"expected events of \['sales'\]; got 'returns'"):
        FeatureSet([WHO], sources=[SALES], views=[view("v", entity="who", events="returns", n=("count", "1h"))])
    with pytest.raises(FeatureError, match="entity shop: expected a category or number that both"):
        FeatureSet([WHO], sources=[SALES], views=[view("v", entity="shop", events="sales", n=("count", "1h"))])
    with pytest.raises(FeatureError, match=r"\['v_n_1h'\] are declared twice"):
        FeatureSet([WHO], sources=[SALES], views=2 * [view("v", entity="who", events="sales", n=("count", "1h"))])


def test_events_cannot_have_the_logs_own_fields():
    with pytest.raises(FeatureError, match=r"none called id, time or available_at; got \['time'\]"):
        EventSource("x", [Field("time", "number", "", 1)])


def test_hash_changes_with_window_scale_and_condition_and_not_with_prose():
    one = a_set(x=("mean", "paid", "1h"), share=("rate", large, "1h"))
    wider = a_set(x=("mean", "paid", "2h"), share=("rate", large, "1h"))
    assert wider.hash != one.hash
    assert wider.hash_of("v_x_2h") != one.hash_of("v_x_1h")
    finer = EventSource("sales", SALES.fields, scale={"paid": 1000})
    assert FeatureSet([WHO], sources=[finer], views=one.views).hash_of("v_x_1h") != one.hash_of("v_x_1h")
    explained = EventSource(
        "sales", [WHO, Field("paid", "number", "other words", 7, ge=0, le=1000)], scale={"paid": 100}
    )
    assert FeatureSet([WHO], sources=[explained], views=one.views).hash == one.hash

    def larger(paid):
        return paid >= 200

    larger.__name__ = "large"
    assert a_set(share=("rate", larger, "1h")).hash_of("v_share_1h") != one.hash_of("v_share_1h")
    assert a_set(share=("rate", larger, "1h"), x=("mean", "paid", "1h")).hash_of("v_x_1h") == one.hash_of("v_x_1h")


@pytest.mark.parametrize("kind", ["std", "trend"])
def test_squares_are_taken_of_small_numbers_alone(kind):
    size = Field("size", "number", "it", 1, ge=-5242, le=5242)
    source = EventSource("sales", [WHO, size], scale={"size": 100})
    made = view("v", entity="who", events="sales", x=(kind, "size", "1h"))
    FeatureSet([WHO], sources=[source], views=[made])
    wide = EventSource("sales", [WHO, size], scale={"size": 1000})
    with pytest.raises(FeatureError, match="expected bounds times scale below 524288, so that squares add up exactly"):
        FeatureSet([WHO], sources=[wide], views=[made])


def test_a_trend_is_of_two_years_at_most():
    a_set(x=("trend", "paid", "728d, 90d ago"))
    with pytest.raises(FeatureError, match="trend of paid: expected a window of up to 728d"):
        a_set(x=("trend", "paid", "729d"))


def test_a_decayed_mean_looks_ten_windows_back():
    chosen = a_set(paid=("decayed", "paid", "7d, 1d ago"), number=("count", "60d"))
    assert chosen.views[0].longest == 71 * 24 * 60 * MINUTE
    assert chosen.lookback["sales"] == chosen.views[0].longest
