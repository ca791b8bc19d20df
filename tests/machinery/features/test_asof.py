"""The kernel against brute force, offline and online: the same bits on every path, whatever the events."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringbound.features import asof
from ringbound.features.columns import Category
from ringbound.features.definition import FeatureSet
from ringbound.features.events import Events, EventSource
from ringbound.features.join import windowed_values
from ringbound.features.online import OnlineFeatures
from ringbound.features.request import Field
from ringbound.features.view import view
from ringbound.store.records import LoggedEvent

BOUND = (asof.LIMIT - 1) / 100
WHO, SHOP = Field("who", "category", "a name", "ann"), Field("shop", "number", "a number", 3)
SALES = EventSource(
    "sales",
    [
        WHO,
        SHOP,
        Field("paid", "number", "an amount", 1.5, False, -BOUND, BOUND),
        Field("size", "number", "a small number", 1.5, False, -5000, 5000),
    ],
    scale={"paid": 100, "size": 100},
)


def size_of(paid: float | None) -> float | None:
    """A number that squares are taken of, beside an amount."""
    return None if paid is None else round(paid % 97 - 40, 2)


def large(paid):
    return paid >= 2


def features(*entity: str) -> FeatureSet:
    """Every kind of aggregate, over two windows that end now and two that ended before."""
    windows = ["2min", "2min, 1min ago", "1h, 1min ago", "1h"]
    declared = {kind: (kind, "paid", windows) for kind in ("sum", "mean", "min", "max", "last")}
    declared |= {kind: (kind, windows) for kind in ("count", "age", "since")} | {"rate": ("rate", large, windows)}
    declared |= {kind: (kind, "size", windows) for kind in ("std", "trend")}
    declared |= {"decayed": ("decayed", "paid", ["1min", "7min, 1min ago"]), "distinct": ("distinct", "paid", windows)}
    declared |= {"people": ("distinct", "who", windows)}
    made = view("v", entity=entity, events="sales", **declared)
    return FeatureSet([WHO, SHOP], sources=[SALES], views=[made])


def brute(
    events: list[tuple], asked_at: int, who, shop, entity, kind: str, track: str | None, window: int, ago: int
) -> Fraction | float | None:
    """Return a value from its definition, exactly; None where it is missing. Events: (available_at, id, who, shop, paid)."""
    asked, at = {"who": who, "shop": shop}, asked_at - ago
    if None in [asked[part] for part in entity]:
        return Fraction(0) if kind == "count" else None
    inside = [
        e for e in sorted(events, key=lambda e: (e[0], e[1]))
        if at - window < e[0] <= at and all({"who": e[2], "shop": e[3]}[part] == asked[part] for part in entity)
    ]  # fmt: skip
    if kind == "decayed":
        parts = [
            (
                Fraction(1, 2**number),
                brute(events, asked_at - number * window, who, shop, entity, part, track, window, ago),
            )
            for number in range(asof.HALVINGS)
            for part in ("sum", "known")
        ]
        total = sum(weight * (value or 0) for weight, value in parts[::2])
        weights = sum(weight * (value or 0) for weight, value in parts[1::2])
        return total / weights if weights else None
    if kind == "count":
        return Fraction(len(inside))
    if kind == "since":
        return Fraction(at - inside[0][0], asof.MINUTE) if inside else None
    if track == "who":
        return Fraction(len({e[2] for e in inside if e[2] is not None})) if any(e[2] for e in inside) else None
    if track == "size":
        return of_sizes(
            [(e[0] // asof.MINUTE, Fraction(round(size_of(e[4]) * 100), 100)) for e in inside if e[4] is not None], kind
        )
    if kind == "age":
        return Fraction(at - inside[-1][0], asof.MINUTE) if inside else None
    known = [Fraction(round(e[4] * 100), 100) for e in inside if e[4] is not None]
    if kind == "known":
        return Fraction(len(known))
    if not known:
        return None
    if kind == "distinct":
        return Fraction(len(set(known)))
    rate = Fraction(sum(e[4] >= 2 for e in inside if e[4] is not None), len(known))
    return {"sum": sum(known), "mean": sum(known) / len(known), "min": min(known), "max": max(known),
            "last": known[-1], "rate": rate}[kind]  # fmt: skip


def of_sizes(known: list[tuple[int, Fraction]], kind: str) -> float | None:
    """Return the standard deviation of numbers, or the slope a day of the line through them, by minute."""
    n = len(known)
    if n < 2:
        return None
    minute, mean = sum(t for t, _ in known) / Fraction(n), sum(v for _, v in known) / n
    if kind == "std":
        return math.sqrt(sum((v - mean) ** 2 for _, v in known) / (n - 1))
    across = sum((t - minute) ** 2 for t, _ in known)
    return float(1440 * sum((t - minute) * (v - mean) for t, v in known) / across) if across else None


MINUTES = st.integers(0, 150)
EVENT = st.tuples(
    st.one_of(MINUTES.map(lambda m: m * asof.MINUTE), st.integers(0, 150 * asof.MINUTE)),  # many ties and exact edges
    st.text("abé\U0001f600", min_size=1, max_size=3),
    st.sampled_from(["ann", "bob", None]),
    st.sampled_from([1.0, 2.0, None]),
    st.one_of(st.none(), st.sampled_from([0.0, 1.99, 2.0, 2.01, -3.5, 0.125, BOUND, -BOUND]), st.floats(-1e6, 1e6)),
)
QUERY = st.tuples(
    st.one_of(MINUTES.map(lambda m: m * asof.MINUTE), st.integers(0, 200 * asof.MINUTE)),
    st.sampled_from(["ann", "bob", "eve", None]),
    st.sampled_from([1.0, 2.0, 9.0, None]),
)


def columns(rows: list[tuple]) -> dict:
    who = Category.from_texts([row[0] for row in rows])
    return {"who": who, "shop": np.array([np.nan if row[1] is None else row[1] for row in rows], dtype=float)}


def offline(chosen: FeatureSet, events: list[tuple], queries: list[tuple]) -> dict[str, np.ndarray]:
    ordered = Events.ordered(
        np.array([e[0] for e in events], np.int64),
        np.array([e[1] for e in events], object),
        columns([(e[2], e[3]) for e in events])
        | {"paid": np.array([np.nan if e[4] is None else e[4] for e in events], float)}
        | {"size": np.array([np.nan if e[4] is None else size_of(e[4]) for e in events], float)},
    )
    at = np.array([q[0] for q in queries], np.int64)
    return windowed_values(chosen.views, chosen.sources, {"sales": ordered}, at, columns([q[1:] for q in queries]))


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENT, max_size=40, unique_by=lambda e: e[1]), st.lists(QUERY, min_size=1, max_size=8), st.data())
def test_every_path_gives_the_definitions_value(events, queries, data):
    entity = data.draw(st.sampled_from([(), ("who",), ("shop",), ("who", "shop")]))
    chosen = features(*entity)
    found = offline(chosen, events, queries)
    online = OnlineFeatures(chosen)
    for seq, event in enumerate(data.draw(st.permutations(events))):  # as they come, in any order
        fields = {"who": event[2], "shop": event[3], "paid": event[4], "size": size_of(event[4])}
        online.apply([LoggedEvent(seq, "sales", event[1], event[0], event[0], json.dumps(fields))], present=0)
    for row, (at, who, shop) in enumerate(queries):
        live = online.values(at, {"who": who, "shop": shop})
        for column, (name, (_, feature)) in enumerate(chosen.windowed.items()):
            expected = brute(
                events, at, who, shop, entity, feature.aggregate, feature.track, feature.window, feature.ago
            )
            value = found[name][row]
            assert np.array_equal([value], [live[column]], equal_nan=True), name
            if expected is None:
                assert np.isnan(value), name
            else:
                close = {"decayed": 1e-14, "std": 1e-9, "trend": 1e-9}.get(feature.aggregate, 1e-15)
                assert value == pytest.approx(float(expected), rel=close, abs=1e-6 if close == 1e-9 else 0), name


@settings(max_examples=100, deadline=None)
@given(
    st.lists(EVENT, max_size=60, unique_by=lambda e: e[1]), st.lists(QUERY, min_size=2, max_size=20), st.integers(1, 19)
)
def test_any_partition_of_the_requests_gives_the_same_bits(events, queries, cut):
    chosen = features("who")
    whole = offline(chosen, events, queries)
    parts = [offline(chosen, events, part) for part in (queries[:cut], queries[cut:]) if part]
    for name, values in whole.items():
        assert values.tobytes() == np.concatenate([part[name] for part in parts]).tobytes()


def test_an_event_at_the_windows_edges():
    """(t - w, t]: the beginning is outside, the end inside."""
    values = offline(
        features("who"), [(0, "a", "ann", 1.0, 5.0)], [(t, "ann", 1.0) for t in (-1, 0, 119999999, 120000000)]
    )
    assert values["v_count_2min"].tolist() == [0, 1, 1, 0]
    assert values["v_age_2min"][1:3].tolist() == [0, 119999999 / asof.MINUTE]


def test_ties_are_ordered_by_id():
    events = [(0, "b", "ann", 1.0, 2.0), (0, "c", "ann", 1.0, None), (0, "a", "ann", 1.0, 1.0)]
    assert offline(features("who"), events, [(0, "ann", 1.0)])["v_last_1h"].tolist() == [2.0]
    for order in itertools.permutations(events):
        online = OnlineFeatures(features("who"))
        for seq, (at, name, who, shop, paid) in enumerate(order):
            fields = {"who": who, "shop": shop, "paid": paid, "size": size_of(paid)}
            online.apply([LoggedEvent(seq, "sales", name, at, at, json.dumps(fields))], present=0)
        place = list(online.features.windowed).index("v_last_1h")
        assert online.values(0, {"who": "ann"})[place] == 2.0


def test_sums_at_the_limit_are_exact():
    events = [(i, f"{i:06}", "ann", 1.0, BOUND) for i in range(50_000)]
    assert offline(features("who"), events, [(50_000, "ann", 1.0)])["v_sum_1h"][0] == float(
        Fraction(50_000 * (asof.LIMIT - 1), 100)
    )


def test_bounds_past_the_limit_are_refused():
    from ringbound.errors import FeatureError

    with pytest.raises(FeatureError, match="lower the scale"):
        EventSource("x", [Field("n", "number", "", 1, ge=0, le=asof.LIMIT)], scale={"n": 1})


def test_no_events_and_no_requests():
    chosen = features("who", "shop")
    assert np.isnan(offline(chosen, [], [(0, "ann", 1.0)])["v_mean_1h"]).all()
    assert offline(chosen, [(0, "a", "ann", 1.0, 1.0)], [])["v_count_1h"].shape == (0,)


def test_many_entities_of_several_keys():
    """More combinations than the codes' narrow form holds."""
    random = np.random.default_rng(1)
    n = 40_000
    events = [(int(t), f"{i:05}", f"w{w}", float(s), 1.0) for i, (t, w, s) in enumerate(
        zip(random.integers(0, 10**6, n), random.integers(0, 400, n), random.integers(0, 400, n), strict=True))]  # fmt: skip
    queries = [(10**6, e[2], e[3]) for e in events[:50]]
    nobody = [(0, "a", None, 1.0, 1.0), (0, "b", "w1", None, 1.0)]
    counts = offline(features("who", "shop"), events + nobody, [*queries, (10**6, None, 1.0), (10**6, "w1", None)])
    expected = [sum(e[2:4] == q[1:] for e in events) for q in queries]
    assert counts["v_count_1h"].tolist() == [*expected, 0, 0]
