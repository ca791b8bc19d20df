"""The online service: BentoML around the model bundle that lies beside this file in the Bento.

Where it runs decides, in the environment: RINGBOUND_STORE is the URL of the operational store, RINGBOUND_CLOCK `wall` or
`event`, RINGBOUND_WORKERS the number of processes. `ringbound serve` sets them.
"""

import importlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import bentoml
import pydantic
from bentoml.images import Image
from starlette.responses import JSONResponse

from ringbound.errors import InputError, StoreError
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.serving.intake import MOST_EVENTS, Intake
from ringbound.serving.predictor import MOST_ROWS, Predictor, answer_model
from ringbound.serving.request import row_model
from ringbound.store import CLOCKS, Store

HERE = Path(__file__).parent
BUNDLE = load_bundle(HERE / "bundle")
PACKAGE = BUNDLE.facts["features"]["entry"].split(".")[0]
EXAMPLES = importlib.import_module(f"{PACKAGE}.package").EXAMPLES
STORE = os.environ.get("RINGBOUND_STORE", f"sqlite:///{HERE / 'store.db'}")
CLOCK = CLOCKS[os.environ.get("RINGBOUND_CLOCK", "wall")]
# Exactly what the bundle was tested with. Serving needs neither pandas nor scikit-learn.
PACKAGES = ("bentoml", "numpy", "psycopg", "psycopg-binary", "pydantic", "scipy", "sqlalchemy", "treelite", "tzdata")
REQUIREMENTS = [f"{name}=={version(name)}" for name in PACKAGES]
IMAGE = Image(base_image="python:3.11-slim", distro="", python_version="3.11", lock_python_packages=False)

Row: Any = row_model(BUNDLE.features.asked)
Answer: Any = answer_model(BUNDLE)
Rows = Annotated[
    list[Row],
    pydantic.Field(min_length=1, max_length=MOST_ROWS, description=f"1 to {MOST_ROWS} rows", examples=[EXAMPLES]),
]
SOURCES = sorted(BUNDLE.features.sources)
Source = Annotated[str, pydantic.Field(description=f"one of {', '.join(SOURCES)}")]
Events = Annotated[
    list[dict[str, Any]],
    pydantic.Field(description=f"1 to {MOST_EVENTS} events, each with id, time and the fields of its source"),
]


class Answers(pydantic.BaseModel):
    """One answer a row, in the order of the rows."""

    predictions: list[Answer]


class Vectors(pydantic.BaseModel):
    """The features of rows, in model order; a missing value is null."""

    features: Annotated[str, pydantic.Field(description="hash of the definitions")]
    names: list[str]
    vectors: list[list[float | str | None]]
    at: Annotated[list[str], pydantic.Field(description="the time as of which each row was looked up")]
    newest: Annotated[dict[str, Any], pydantic.Field(description="each source's newest event, and its age")]


class Taken(pydantic.BaseModel):
    """What became of a batch of events."""

    accepted: Annotated[int, pydantic.Field(description="events that are new, now in the log for good")]
    duplicates: Annotated[int, pydantic.Field(description="events that the log had; they count once")]
    conflicting: Annotated[list[str], pydantic.Field(description="ids among them that the log has with other content")]


def answer(call: Callable[[], Any]) -> Any:
    """Return what `call` does; what is wrong with a request becomes 400, a store that does not answer 503, in one line.

    BentoML would log a traceback for either, and hide what the second is.
    """
    try:
        return call()
    except InputError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    except StoreError as error:
        return JSONResponse({"error": str(error)}, status_code=503)


@bentoml.service(
    name="ringbound",
    description=f"Predictions by model {BUNDLE.version}: online, 1 to {MOST_ROWS} rows a request.",
    image=IMAGE.python_packages(*REQUIREMENTS),
    workers=int(os.environ.get("RINGBOUND_WORKERS", "1")),
    traffic={"timeout": 10},
    logging={"access": {"enabled": False}},
    # Spans on every request, for a collector that is not there, cost more than the model.
    tracing={"excluded_urls": ".*"},
)
class Service:
    """Predictions for rows, online, and the events that their features look back on."""

    def __init__(self) -> None:
        store = Store(STORE)
        snapshot = Path(os.environ["RINGBOUND_SNAPSHOT"]) if "RINGBOUND_SNAPSHOT" in os.environ else None
        self.predictor = Predictor(BUNDLE, LiveFeatures(BUNDLE.features, store, clock=CLOCK, snapshot=snapshot))
        self.intake = Intake(BUNDLE.features.sources, store, CLOCK)

    # A prediction takes less time than handing it to another thread would.
    @bentoml.api(route="/predict")
    async def predict(self, rows: Rows) -> Answers:
        """Answer each row with its probability and decision; a row that does not fit is refused with the reason."""
        return answer(lambda: Answers(predictions=self.predictor.answer(rows)))

    @bentoml.api(route="/features")
    async def features(self, rows: Rows) -> Vectors:
        """Return each row's feature vector as the model would get it, and how new the events behind it are."""
        return answer(lambda: Vectors(**self.predictor.describe(rows)))

    @bentoml.api(route="/events")
    def events(self, source: Source, events: Events) -> Taken:
        """Log a batch of events, whole and for good once it is answered; sending it again changes nothing."""
        return answer(lambda: Taken(**self.intake.take(source, events)))
