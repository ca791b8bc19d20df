"""A tiny problem: will a parcel be late, asked two hours before it is promised? `ringbound.testing.town` has its data."""

import numpy as np

from ringbound.features.definition import FeatureSet
from ringbound.features.events import EventSource
from ringbound.features.request import Field
from ringbound.features.view import view
from ringbound.problem.classification import Classification
from ringbound.problem.declaration import Problem
from ringbound.problem.outcome import EventOutcome
from ringbound.problem.task import Costs

ENTRY = "ringbound.testing.parcels:PROBLEM"

DEPOT = Field("depot", "category", "where the parcel starts", "north", pattern="[a-z]+")
COURIER = Field("courier", "category", "who carries it, if known", "c07", required=False, pattern="[a-z0-9]+")
ROUTE = Field("route", "number", "number of the route", 12, ge=1, le=99)
WHO = [DEPOT, COURIER, ROUTE]
REQUEST = [
    *WHO,
    Field("weight_kg", "number", "weight in kilograms", 2.5, ge=0, le=50),
    Field("promised", "timestamp", "when it is promised, with offset", "2020-03-20T15:00:00Z"),
]
LATE_MIN = Field("late_min", "number", "minutes after the promise, negative if early", 4, ge=-600, le=6000)
WAIT_MIN = Field("wait_min", "number", "minutes that it waited, if measured", 12.5, required=False, ge=0, le=600)
ARRIVALS = EventSource("arrivals", [*WHO, LATE_MIN], scale={"late_min": 1}, id="parcel_id", lateness="4h")
PICKUPS = EventSource("pickups", [*WHO, WAIT_MIN], scale={"wait_min": 100}, id="parcel_id")


def minute_of_day(promised):
    """Minutes after midnight at which it is promised."""
    return (promised - promised.astype("datetime64[D]")) / np.timedelta64(1, "m")


def weight(weight_kg):
    """Its weight."""
    return weight_kg


def distance_km(depot, depots):
    """How far the depot is from the middle of the town."""
    return depots.lookup(depot, "distance_km")


def is_late(late_min):
    """Whether a parcel came 15 minutes late or more."""
    return late_min >= 15


VIEWS = [
    view(
        "depot",
        entity="depot",
        events="arrivals",
        late_mean=("mean", "late_min", ["1h", "3h"]),
        late_rate=("rate", is_late, "3h"),
        arrivals=("count", "1h"),
        idle_min=("age", "24h"),
    ),
    view(
        "courier",
        entity="courier",
        events="arrivals",
        late_last=("last", "late_min", "24h"),
        late_most=("max", "late_min", "7d"),
        late_least=("min", "late_min", "7d"),
        late_sum=("sum", "late_min", "24h"),
    ),
    view("route", entity=["depot", "route"], events="arrivals", late_mean=("mean", "late_min", "7d")),
    view("waiting", entity="depot", events="pickups", wait_mean=("mean", "wait_min", "6h"), pickups=("count", "3h")),
]
FEATURES = FeatureSet(
    REQUEST,
    numbers=[minute_of_day, weight, distance_km],
    categories=["depot"],
    references=["depots"],
    sources=[ARRIVALS, PICKUPS],
    views=VIEWS,
)


def slices(rows, past):
    """Return what parcels are sliced by: depot, and whether they are heavy."""
    import pandas as pd  # not where the model serves

    heavy = (rows["weight"] > past["weight"].median()).map({True: "heavy", False: "light"})
    return pd.DataFrame({"depot": rows["depot"], "weight": heavy})


def parcel(table, promised):
    """What tells parcels apart, in questions as in events."""
    return (
        table["depot"] + table["courier"].fillna("-") + table["route"].astype(str) + promised.dt.strftime("@%dT%H:%M")
    )


def parcel_arrived(events):
    """Which parcel it is that arrived: it was promised so many minutes before."""
    return parcel(events, events["time"] - events["late_min"].astype("timedelta64[s]") * 60)


ARRIVED = EventOutcome(
    source="arrivals",
    of_question=lambda rows: parcel(rows, rows["promised"]),
    of_event=parcel_arrived,
    value=lambda events: is_late(events["late_min"]).astype(float),
)
PROBLEM = Problem(
    name="late-parcels",
    question="Will this parcel come 15 minutes late or more, asked two hours before it is promised?",
    task=Classification(Costs(miss=3.0, false_alarm=1.0), yes="late", no="punctual"),
    features=FEATURES,
    id="parcel_id",
    label="late",
    block="day",
    month="month",
    prior={"depot": None, "minute_of_day": 240.0},
    slices=slices,
    guarded=["depot"],
    examples=[
        {
            "depot": "north",
            "courier": "c07",
            "route": 12,
            "weight_kg": 0.5,
            "promised": "2020-03-29T23:30:00Z",
            "at": "2020-03-29T21:30:00Z",
        },
        {
            "depot": "hill",
            "courier": None,
            "route": 3,
            "weight_kg": 20,
            "promised": "2020-03-29T23:50:00Z",
            "at": "2020-03-29T21:50:00Z",
        },
    ],
    limits=["It is made up."],
    rows="parcels",
    outcome=ARRIVED,
)
