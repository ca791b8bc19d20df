from datetime import UTC, datetime

import numpy as np
import pytest

from ringbound.errors import FeatureError
from ringbound.features.asof import LATEST
from ringbound.features.columns import Category
from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventSource
from ringbound.features.history import PAST
from ringbound.features.live import LiveFeatures
from ringbound.features.logged import LoggedEvents
from ringbound.features.lookup import values_as_of
from ringbound.features.online import OnlineFeatures
from ringbound.features.request import Field
from ringbound.features.view import view
from ringbound.store import Event, EventClock, Store

REQUEST = [Field("name", "category", "a name", "x"), Field("size", "number", "a size", 1.0, ge=0)]
SCALE = 2.0


def scaled(size):
    """Size, scaled."""
    return helper(size) * SCALE


def helper(size):
    return size + 1


def doubled(size):
    return size * 2


def on_doubled(doubled):
    return doubled + 1


def initial(name):
    return name.map(lambda text: text[:1])


def columns(*sizes):
    return {"name": Category.from_texts(["ab"] * len(sizes)), "size": np.array(sizes)}


def test_functions_get_what_their_parameters_name():
    features = FeatureSet(REQUEST, derived=[doubled], numbers=[scaled, on_doubled], categories=["name", initial])
    values = features.compute(columns(1.0, 2.0), {})
    assert features.names == ["scaled", "on_doubled", "name", "initial"]
    assert values["scaled"].tolist() == [4.0, 6.0]
    assert values["on_doubled"].tolist() == [3.0, 5.0]
    assert values["initial"].texts().tolist() == ["a", "a"]


def test_unknown_parameter_is_named():
    with pytest.raises(FeatureError, match=r"scaled: takes \['size'\]; there is \['name'\]"):
        FeatureSet(REQUEST[:1], numbers=[scaled])


def test_feature_declared_twice_is_refused():
    with pytest.raises(FeatureError, match="declared twice"):
        FeatureSet(REQUEST, numbers=[scaled, scaled])


def test_missing_column_is_named():
    with pytest.raises(FeatureError, match=r"missing columns \['name'\]"):
        FeatureSet(REQUEST, numbers=[scaled]).compute({"size": np.array([1.0])}, {})


def variant(source: str, **names) -> str:
    """Return the hash of a set whose one feature is defined by `source`."""
    import linecache

    file = f"<variant {abs(hash(source))}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    space = {"__name__": __name__, "np": np, **names}
    exec(compile(source, file, "exec"), space)
    return FeatureSet(REQUEST, numbers=[space["f"]]).hash


def test_hash_changes_with_meaning_and_not_with_prose():
    plain = variant("def f(size):\n    return size + 1\n")
    assert variant('def f(size):\n    """Words."""\n    # more words\n    return (size + 1)\n') == plain
    assert variant("def f(size):\n    return size + 2\n") != plain


def test_hash_changes_with_what_a_function_uses():
    source = "def f(size):\n    return g(size) * SCALE\n"
    one = variant("def g(size):\n    return size\n\n" + source, SCALE=1.0)
    assert variant("def g(size):\n    return size\n\n" + source, SCALE=2.0) != one
    assert variant("def g(size):\n    return -size\n\n" + source, SCALE=1.0) != one


def test_hash_changes_with_bounds_and_order():
    two = [scaled, doubled]
    one = FeatureSet(REQUEST, numbers=two).hash
    assert FeatureSet(REQUEST, numbers=two[::-1]).hash != one
    wider = [REQUEST[0], Field("size", "number", "a size", 1.0, ge=-1)]
    assert FeatureSet(wider, numbers=two).hash != one
    explained = [REQUEST[0], Field("size", "number", "another explanation", 5.0, ge=0)]
    assert FeatureSet(explained, numbers=two).hash == one


def test_hash_is_the_same_for_every_version_of_python():
    """A bundle trained on one is served on another; 3.11 and 3.12 both give this."""
    assert variant("def f(size):\n    return size + 1\n") == "10a05151df73"


def test_a_feature_may_work_over_the_field_of_its_own_name():
    def size(size):
        return size * 2

    features = FeatureSet(REQUEST, numbers=[size])
    assert features.compute(columns(1.0, 2.0), {})["size"].tolist() == [2.0, 4.0]
    assert features.hash != FeatureSet(REQUEST, numbers=[doubled]).hash


HOUR_US = 3_600_000_000


def hour(when):
    """The hour of the day."""
    return (when.astype(np.int64) // HOUR_US % 24).astype(float)


def weekday(when):
    """The name of the day."""
    days = when.astype("datetime64[D]").astype(np.int64)
    return Category((days + 3) % 7, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])


def by_the_clock(**changes) -> FeatureSet:
    """Sales of a place at this hour, and of this day of the week: neither is a field."""
    fields = [Field("place", "category", "a place", "north"), Field("paid", "number", "an amount", 1, ge=0, le=100)]
    derived = {"hour": (hour, "time"), "weekday": (weekday, "time")} | changes.pop("derived", {})
    sales = EventSource("sales", fields, scale={"paid": 100}, derived=derived)
    views = [
        view("hourly", entity=["place", "hour"], events="sales", paid=("mean", "paid", "28d"), sold=("count", "28d")),
        view("daily", entity="weekday", events="sales", paid=("mean", "paid", "28d")),
    ]
    when = Field("when", "timestamp", "the time asked about", "2025-06-01T12:00:00+00:00")
    return FeatureSet([fields[0], when], derived=[hour, weekday], sources=[sales], views=views, **changes)


def test_entities_that_are_derived_are_the_same_offline_online_and_from_the_log(tmp_path):
    chosen, dice = by_the_clock(), np.random.default_rng(2)
    n = 400
    times = np.sort(dice.integers(0, 20 * 24 * 60, n)) * 60_000_000
    sold = [
        Event(f"e{i:04}", int(t), {"place": str(dice.choice(["north", "south"])), "paid": float(dice.integers(0, 99))})
        for i, t in enumerate(times)
    ]
    asked_at = dice.integers(5 * 24 * 60, 21 * 24 * 60, 60) * 60_000_000
    about = asked_at + dice.integers(0, 48 * 60, 60) * 60_000_000
    where = [str(dice.choice(["north", "south", "east"])) for _ in about]
    requests = {"place": Category.from_texts(where), "when": about.view("datetime64[us]")}

    store = Store(f"sqlite:///{tmp_path}/store.db")
    store.append("sales", sold, PAST)
    logged = LoggedEvents(store, chosen.sources, until=LATEST)
    offline = values_as_of(chosen, logged, asked_at, chosen.keys(requests))
    snapshot = tmp_path / "snapshot.npz"
    for _ in ("from the log", "from the snapshot"):
        live = LiveFeatures(chosen, store, clock=EventClock(), snapshot=snapshot, retained=10**14)
        rows = [
            {"place": place, "when": datetime.fromtimestamp(t / 1e6, UTC)}
            for place, t in zip(where, about, strict=True)
        ]
        online, _ = live.values(rows, asked_at.tolist())
        live.save()
        for name, values in offline.items():
            assert np.array_equal(values, online[name], equal_nan=True), name
    one_by_one = OnlineFeatures(chosen, retained=10**14)
    for row in store.tail(0):
        one_by_one.apply([row], present=0)
    for number, row in enumerate(chosen.keyed(rows)):
        live_values = one_by_one.values(int(asked_at[number]), row)
        assert np.array_equal(live_values, [offline[name][number] for name in offline], equal_nan=True)
    for number in range(60):  # by hand
        theirs = [
            event.fields["paid"] for event in sold
            if event.time <= asked_at[number] and event.fields["place"] == where[number]
            and event.time // HOUR_US % 24 == about[number] // HOUR_US % 24
        ]  # fmt: skip
        assert offline["hourly_sold_28d"][number] == len(theirs)
        if theirs:
            assert offline["hourly_paid_28d"][number] == pytest.approx(np.mean(theirs))
    store.close()


def test_what_an_entity_is_derived_by_is_part_of_the_definition():
    def later(when):
        return (when.astype(np.int64) // HOUR_US % 24 + 1).astype(float)

    plain = by_the_clock()
    assert plain.key_fields == ["place", "when"]
    assert plain.taking("when") == ["hourly_paid_28d", "hourly_sold_28d", "daily_paid_28d"]
    assert plain.taking("place") == ["hourly_paid_28d", "hourly_sold_28d"]
    other = by_the_clock(derived={"hour": (later, "time")})
    assert other.hash_of("hourly_paid_28d") != plain.hash_of("hourly_paid_28d")
    assert other.hash_of("daily_paid_28d") == plain.hash_of("daily_paid_28d")


def test_an_entity_that_is_derived_on_one_side_alone_is_refused():
    with pytest.raises(FeatureError, match="entity hour: expected a category or number that both"):
        FeatureSet(
            [Field("when", "timestamp", "", "2025-06-01T12:00:00+00:00")],
            derived=[hour],
            sources=[EventSource("sales", [])],
            views=[view("v", entity="hour", events="sales", sold=("count", "1h"))],
        )
    with pytest.raises(FeatureError, match=r"derived hour: expected .* a function and what it takes"):
        EventSource("sales", [], derived={"hour": (hour, "place")})
